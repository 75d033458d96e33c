"""The linear map for a few rows is F.linear, whatever the layout of its weight and however many rows come."""

import pytest
import torch
import torch.nn.functional as F

from clearformer.nn import _few_rows
from clearformer.nn._few_rows import few_rows

RELATIVE = {torch.float32: 1e-5, torch.float64: 1e-13}


def randn(*shape, seed, dtype):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


@pytest.fixture(params=["packed where it can be", "without the private operations"])
def may_pack(request, monkeypatch):
    if request.param == "without the private operations":
        monkeypatch.setattr(_few_rows, "_may_pack", lambda weight: False)


@pytest.mark.parametrize("dtype", RELATIVE)
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("num_rows", [1, 2, 32, 160])
@torch.inference_mode()
def test_any_number_of_rows_gives_what_linear_gives(num_rows, with_bias, dtype, may_pack):
    weight = randn(301, 24, seed=0, dtype=dtype)
    bias = randn(301, seed=1, dtype=dtype) if with_bias else None
    linear = few_rows(weight, bias, num_rows)
    for rows in (0, 1, 2, 5, 31, 33, 200):
        x = randn(rows, 24, seed=rows, dtype=dtype)
        expected = F.linear(x.double(), weight.double(), None if bias is None else bias.double())
        found = linear(x)
        assert found.shape == expected.shape and found.dtype == dtype
        torch.testing.assert_close(found.double(), expected, rtol=0, atol=RELATIVE[dtype] * 24)


@torch.inference_mode()
def test_what_comes_out_may_be_written_over():
    """A search puts -inf where a token is forbidden."""
    linear = few_rows(*(randn(*shape, seed=0, dtype=torch.float32) for shape in ((301, 24), (301,))), 4)
    x = randn(4, 24, seed=1, dtype=torch.float32)
    expected = linear(x).clone()
    linear(x).fill_(-torch.inf)
    assert torch.equal(linear(x), expected)


def test_only_single_precision_is_packed():
    weight = torch.zeros(8, 8)
    assert not any(_few_rows._may_pack(weight.to(dtype)) for dtype in (torch.float64, torch.bfloat16, torch.float16))
    assert not _few_rows._may_pack(weight.to("meta"))
