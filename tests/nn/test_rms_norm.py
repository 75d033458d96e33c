"""rms_norm against torch's RMSNorm, and by laws."""

import pytest
import torch

from clearformer.nn import RMSNorm, rms_norm

EXACT = 1e-12  # the largest difference in float64


def randn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


SHAPES = [(7,), (1, 1), (2, 3, 8), (0, 4), (5, 1)]


@pytest.mark.parametrize("eps", [0.0, 1e-6, 0.5])
@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_gradients_are_torchs(shape, eps):
    x, weight = (values.requires_grad_() for values in (randn(*shape), randn(shape[-1], seed=1)))
    theirs = torch.nn.functional.rms_norm(x, shape[-1:], weight, eps)
    torch.testing.assert_close(rms_norm(x, weight, eps), theirs, atol=EXACT, rtol=0)
    upstream = randn(*shape, seed=2)
    ours = torch.autograd.grad(rms_norm(x, weight, eps), (x, weight), upstream)
    for mine, other in zip(ours, torch.autograd.grad(theirs, (x, weight), upstream), strict=True):
        torch.testing.assert_close(mine, other, atol=1e-9, rtol=1e-9)


def test_the_module_is_torchs_and_has_one_weight():
    ours, theirs = RMSNorm(6, eps=1e-3).double(), torch.nn.RMSNorm(6, eps=1e-3).double()
    assert [name for name, _ in ours.named_parameters()] == ["weight"]
    torch.testing.assert_close(ours(randn(2, 6)), theirs(randn(2, 6)), atol=EXACT, rtol=0)
    theirs.weight.data = ours.weight.data = randn(6, seed=3)
    torch.testing.assert_close(ours(randn(2, 6)), theirs(randn(2, 6)), atol=EXACT, rtol=0)


def test_size_goes_and_the_mean_stays():
    x, weight = randn(4, 6) + 3.0, torch.ones(6, dtype=torch.float64)
    normed = rms_norm(x, weight, eps=0.0)
    torch.testing.assert_close(normed.square().mean(-1), torch.ones(4, dtype=torch.float64))
    torch.testing.assert_close(rms_norm(1000.0 * x, weight, eps=0.0), normed)
    assert normed.mean(-1).abs().min() > 0.5


def test_a_token_of_zeros_stays_zero_with_finite_gradients():
    x = torch.zeros(2, 4, dtype=torch.float64, requires_grad=True)
    out = rms_norm(x, torch.ones(4, dtype=torch.float64))
    out.sum().backward()
    assert torch.equal(out, torch.zeros_like(x)) and x.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_halves_whose_squares_would_overflow(dtype):
    x = torch.tensor([[3e4, -3e4, 1e4, 0.0]], dtype=dtype)
    out = rms_norm(x, torch.ones(4, dtype=dtype))
    assert out.dtype == dtype
    wanted = rms_norm(x.double(), torch.ones(4, dtype=torch.float64))
    torch.testing.assert_close(out.double(), wanted, atol=0.01, rtol=0)


def test_x_that_is_not_contiguous():
    x, weight = randn(8, 3).T, randn(8, seed=1)
    assert torch.equal(rms_norm(x, weight), rms_norm(x.contiguous(), weight))


@pytest.mark.parametrize(
    "x, weight, eps, says",
    [
        (torch.ones(2, 3), torch.ones(2), 1e-6, r"weight must have shape \(d_model,\) = \(3,\)"),
        (torch.ones(2, 3), torch.ones(1, 3), 1e-6, "weight"),
        (torch.ones(2, 0), torch.ones(0), 1e-6, "d_model above 0"),
        (torch.tensor(1.0), torch.ones(1), 1e-6, "x must be"),
        (torch.ones(2, 3, dtype=torch.int64), torch.ones(3), 1e-6, "floating"),
        (torch.ones(2, 3), torch.ones(3), -1e-6, "eps must be"),
        (torch.ones(2, 3), torch.ones(3), float("nan"), "eps must be"),
    ],
)
def test_what_cannot_be_normed_is_named(x, weight, eps, says):
    with pytest.raises(ValueError, match=says):
        rms_norm(x, weight, eps)


@pytest.mark.parametrize("arguments", [(0,), (2.0,), (4, -1.0)])
def test_a_module_that_cannot_be_made_says_so(arguments):
    with pytest.raises(ValueError, match=r"d_model|eps"):
        RMSNorm(*arguments)
