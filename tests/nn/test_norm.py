"""Where a norm stands."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from clearformer.nn import DecoderLayer, EncoderLayer, layer_norm, post_norm, pre_norm
from clearformer.numpy.layers import layer_norm as numpy_layer_norm


def test_post_norm_norms_the_sum_and_pre_norm_what_goes_in():
    norm, x = nn.LayerNorm(4).double(), torch.randn(2, 4, dtype=torch.float64)
    assert torch.equal(post_norm(x, torch.sin, norm), norm(x + torch.sin(x)))
    assert torch.equal(pre_norm(x, torch.sin, norm), x + torch.sin(norm(x)))


def test_both_keep_the_residual_connection():
    """Where a sublayer gives nothing, pre-norm hands x on as it is, and post-norm its norm."""
    norm, x = nn.LayerNorm(4).double(), torch.randn(2, 4, dtype=torch.float64)
    assert torch.equal(pre_norm(x, torch.zeros_like, norm), x)
    assert torch.equal(post_norm(x, torch.zeros_like, norm), norm(x))


@pytest.mark.parametrize("kind", [EncoderLayer, DecoderLayer])
def test_another_placement_is_refused_by_name(kind):
    with pytest.raises(ValueError, match=r"norm must be one of 'post', 'pre'; got 'sandwich'"):
        kind(8, 2, 16, norm="sandwich")


# ---- layer_norm ----------------------------------------------------------------------------------------------------

SHAPES = [(1,), (5,), (2, 3), (2, 3, 7), (2, 1, 3, 16), (0, 4)]


def given(shape, dtype=torch.float64, size=1.0, far=0.0):
    generator = torch.Generator().manual_seed(len(shape))
    x, weight, bias = (torch.randn(s, generator=generator).double() for s in (shape, shape[-1:], shape[-1:]))
    return [each.to(dtype) for each in (size * x + far, weight, bias)]


def with_gradients(norm, arguments):
    leaves = [each.clone().requires_grad_() for each in arguments]
    output = norm(*leaves)
    (output * torch.linspace(-1, 2, output.numel()).view_as(output)).sum().backward()
    return [output.detach(), *(leaf.grad for leaf in leaves)]


@pytest.mark.parametrize("eps", [1e-5, 0.3])
@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_gradients_are_those_of_torch(shape, eps):
    ours = with_gradients(lambda *a: layer_norm(*a, eps=eps), given(shape))
    theirs = with_gradients(lambda x, w, b: F.layer_norm(x, x.shape[-1:], w, b, eps), given(shape))
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-10, atol=1e-10)  # another order of summation


def test_the_two_layer_norms_of_this_course_are_one():
    arguments = given((2, 3, 7))
    expected = torch.from_numpy(numpy_layer_norm(*(each.numpy() for each in arguments)))
    torch.testing.assert_close(layer_norm(*arguments), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("dtype", "room"), [(torch.float16, 2e-3), (torch.bfloat16, 2e-2)])
def test_half_precision_stays_half_and_does_not_overflow(dtype, room):
    arguments = given((4, 8), dtype, size=300.0)
    found = layer_norm(*arguments)
    exact = layer_norm(*(each.double() for each in arguments))
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), exact, rtol=room, atol=room)


def test_far_from_0_no_digit_is_lost():
    x, weight, bias = given((4, 8), far=1e6)
    expected = layer_norm(x - 1e6, weight, bias)
    torch.testing.assert_close(layer_norm(x, weight, bias), expected, rtol=1e-7, atol=1e-7)


def test_a_row_whose_numbers_are_all_alike_becomes_the_bias_and_has_a_gradient():
    x = torch.full((1, 4), 7.0, dtype=torch.float64, requires_grad=True)
    _, weight, bias = given((1, 4))
    y = layer_norm(x, weight, bias)
    assert torch.equal(y[0], bias)
    (y * torch.arange(4)).sum().backward()
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((torch.tensor(1.0), torch.ones(1), torch.ones(1)), r"x must have shape \(\.\.\., d_model\)"),
        ((torch.ones(2, 0), torch.ones(0), torch.ones(0)), r"d_model above 0; got \(2, 0\)"),
        ((torch.ones(2, 3), torch.ones(2), torch.ones(3)), r"weight must have shape \(d_model,\) = \(3,\); got \(2,\)"),
        ((torch.ones(2, 3), torch.ones(3), torch.ones(1)), r"bias must have shape \(d_model,\) = \(3,\); got \(1,\)"),
        ((torch.ones(2, 3), torch.ones(3), torch.ones(3), -1e-5), "eps must be 0 or greater"),
    ],
)
def test_what_does_not_fit_is_named(arguments, says):
    with pytest.raises(ValueError, match=says):
        layer_norm(*arguments)
