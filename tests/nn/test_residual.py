"""What stands around a sublayer."""

import pytest
import torch
from torch import nn

from clearformer.nn import DecoderLayer, EncoderLayer, post_norm, pre_norm
from clearformer.nn.residual import ResidualLayer


@pytest.mark.parametrize(("placement", "formula"), [("post", post_norm), ("pre", pre_norm)])
def test_a_layer_connects_as_the_formula_of_its_placement_says(placement, formula):
    norm, x = nn.LayerNorm(4).double(), torch.randn(2, 4, dtype=torch.float64)
    assert torch.equal(ResidualLayer(0.0, placement).connect(x, torch.sin, norm), formula(x, torch.sin, norm))


@pytest.mark.parametrize("placement", ["post", "pre"])
def test_dropout_acts_on_the_sublayer_alone(placement):
    layer, x = ResidualLayer(1.0, placement), torch.randn(2, 4)
    assert torch.equal(layer.connect(x, torch.sin, nn.Identity()), x)
    assert not torch.equal(layer.eval().connect(x, torch.sin, nn.Identity()), x)


@pytest.mark.parametrize("kind", [EncoderLayer, DecoderLayer])
def test_a_layer_says_where_its_norm_stands(kind):
    assert "norm='pre'" in repr(kind(8, 2, 16, norm="pre"))
