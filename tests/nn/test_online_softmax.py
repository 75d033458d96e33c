"""Attention by blocks of keys with its own backward pass: values, gradients and what is kept, against torch's."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from clearformer.memory import AllocatedBytes, SavedTensors
from clearformer.nn import online_softmax_attention

EXACT = 1e-10
property_test = settings(deadline=None, max_examples=40, derandomize=True, database=None)


def leaves(seed, leading=(2,), queries=4, keys=7, d_k=3, d_v=5, size=1.0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    shapes = (*leading, queries, d_k), (*leading, keys, d_k), (*leading, keys, d_v)
    return [
        (scale * torch.randn(shape, generator=generator, dtype=torch.float64)).to(dtype).requires_grad_()
        for shape, scale in zip(shapes, (size, size, 1.0), strict=True)
    ]


def gap(found, wanted):
    return max(float((a - b).detach().abs().max()) for a, b in zip(found, wanted, strict=True))


@property_test
@given(st.integers(0, 999), st.integers(1, 5), st.integers(1, 9), st.integers(1, 11), st.sampled_from([0.0, 1.0, 60.0]))
def test_output_and_gradients_are_torchs(seed, queries, keys, block_size, size):
    inputs = leaves(seed, queries=queries, keys=keys, size=size)
    output, wanted = online_softmax_attention(*inputs, block_size), F.scaled_dot_product_attention(*inputs)
    assert gap([output], [wanted]) <= EXACT
    direction = torch.linspace(-1, 2, output.numel(), dtype=output.dtype).view_as(output)
    found, oracle = (torch.autograd.grad(each, inputs, direction) for each in (output, wanted))
    assert gap(found, oracle) <= EXACT * max(1.0, size)


def test_the_gradient_is_that_of_finite_differences():
    inputs = leaves(0, leading=(), queries=2, keys=5, d_k=2, d_v=2)
    assert torch.autograd.gradcheck(lambda *given: online_softmax_attention(*given, 2), inputs)


@pytest.mark.parametrize("pass_", ["forward", "backward"])
def test_memory_grows_with_the_length_and_not_with_its_square(pass_):
    peaks = []
    for length in (256, 1024):
        inputs = leaves(0, (1,), length, length, 8, 8)
        with AllocatedBytes() as allocated:
            output = online_softmax_attention(*inputs, 16)
            if pass_ == "backward":
                output.sum().backward()
        peaks.append(allocated.peak)
    assert peaks[1] < 4.5 * peaks[0]
    assert peaks[1] < 1024 * 1024 * 8 / 4


def test_it_keeps_the_inputs_the_output_and_one_number_a_query():
    inputs = leaves(0, (1,), 64, 64, 8, 8)
    with SavedTensors() as saved:
        output = online_softmax_attention(*inputs, 16)
    kept = sum(x.numel() for x in inputs) + output.numel() + 64
    assert saved.now == 8 * kept


def test_no_key_gives_zeros_and_zero_gradients():
    query, key, value = leaves(0, keys=0)
    output = online_softmax_attention(query, key, value, 4)
    output.sum().backward()
    assert not output.any() and not query.grad.any() and key.grad.shape == key.shape


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_other_dtypes_come_back_as_they_went_in(dtype):
    inputs = leaves(0, dtype=dtype, size=2.0)
    output = online_softmax_attention(*inputs, 2)
    output.float().sum().backward()
    assert {x.dtype for x in (output, *(each.grad for each in inputs))} == {dtype}
    wanted = F.scaled_dot_product_attention(*(x.detach().double() for x in inputs))
    assert (
        float((output.detach() - wanted).abs().max())
        < {torch.float32: 1e-6, torch.float16: 2e-3, torch.bfloat16: 2e-2}[dtype]
    )


def test_what_does_not_fit_is_named():
    query, key, value = leaves(0)
    for wrong in ((query[..., :2], key, value), (query, key[:, :3], value), (query[:1], key, value)):
        with pytest.raises(ValueError, match="query"):
            online_softmax_attention(*wrong, 2)
    with pytest.raises(ValueError, match="block_size"):
        online_softmax_attention(query, key, value, 0)
