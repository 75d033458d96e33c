"""Where a norm stands."""

import pytest
import torch
from torch import nn

from clearformer.nn import DecoderLayer, EncoderLayer, post_norm, pre_norm


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
