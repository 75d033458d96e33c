"""Dropout: the law of nn.Dropout."""

import math

import pytest
import torch

from clearformer.models import Transformer, TransformerConfig
from clearformer.nn.dropout import Dropout


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_what_is_kept_is_scaled_up_and_the_share_dropped_is_p(p, dtype):
    torch.manual_seed(0)
    ones = torch.ones(301, 1003, dtype=dtype)
    output = Dropout(p)(ones)
    kept = output != 0
    assert output.dtype == dtype
    assert output[kept].unique().numel() == 1
    assert output[kept][0].item() == pytest.approx(1 / (1 - p), rel=1e-2 if dtype == torch.bfloat16 else 1e-4)
    deviation = math.sqrt(p * (1 - p) / ones.numel())
    assert abs((~kept).double().mean().item() - p) < 4 * deviation + 1e-5


def test_the_mean_stays_what_it_was():
    torch.manual_seed(0)
    assert Dropout(0.1)(torch.ones(4_000_000)).double().mean().item() == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("lag", [1, 2, 3, 4, 1003])
def test_elements_are_dropped_one_by_one(lag):
    """Neighbours share a draw, but not their fate: as often kept together as chance would have it."""
    torch.manual_seed(0)
    kept = (Dropout(0.5)(torch.ones(1_000_000)) != 0).double() - 0.5
    correlation = 4 * (kept[lag:] * kept[:-lag]).mean().item()
    assert abs(correlation) < 5e-3  # 5 deviations


@pytest.mark.parametrize("lane", range(4))
def test_each_of_the_four_that_share_a_draw_is_dropped_alike(lane):
    torch.manual_seed(0)
    kept = (Dropout(0.25)(torch.ones(400_000)) != 0)[lane::4].double().mean().item()
    assert kept == pytest.approx(0.75, abs=0.007)


def test_gradients_pass_where_values_passed_and_nowhere_else():
    torch.manual_seed(0)
    x = torch.randn(50, 7, dtype=torch.float64, requires_grad=True)
    output = Dropout(0.4)(x)
    output.sum().backward()
    assert torch.allclose(x.grad * x, output)
    assert set(x.grad.unique().tolist()) == {0.0, x.grad.max().item()}


def test_every_seed_has_its_draw_and_every_call_its_own():
    dropout, ones = Dropout(0.5), torch.ones(999)
    torch.manual_seed(1)
    first, second = dropout(ones), dropout(ones)
    torch.manual_seed(1)
    assert torch.equal(dropout(ones), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0, 2), (5,), (2, 3, 7)])
def test_any_shape(shape):
    assert Dropout(0.5)(torch.ones(shape)).shape == shape
    strided = torch.ones(*shape, 4).transpose(0, -1)
    assert Dropout(0.5)(strided).shape == strided.shape


def test_nothing_and_everything():
    ones = torch.ones(100)
    assert torch.equal(Dropout(0.0)(ones), ones)
    assert (Dropout(1.0)(ones) == 0).all()
    assert torch.equal(Dropout(0.9).eval()(ones), ones)


def test_the_input_is_not_changed():
    ones = torch.ones(100)
    Dropout(0.5)(ones)
    assert (ones == 1).all()


def test_the_whole_model_uses_it():
    model = Transformer(TransformerConfig.preset("tiny", vocab_size=9))
    kinds = {type(module) for module in model.modules() if isinstance(module, torch.nn.Dropout)}
    assert kinds == {Dropout}
