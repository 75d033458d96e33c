"""FeedForward: every token by itself, wider and back."""

import math

import pytest
import torch

from clearformer.nn import FeedForward
from clearformer.numpy import feed_forward

X = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def make(**keywords):
    torch.manual_seed(0)
    return FeedForward(6, 10, **keywords).double()


def test_equals_the_numpy_reference():
    module = make()
    weights = [module.linear1.weight.T, module.linear1.bias, module.linear2.weight.T, module.linear2.bias]
    expected = feed_forward(X.numpy(), *(w.detach().numpy() for w in weights))
    assert (module(X) - torch.tensor(expected)).abs().max() <= 1e-12


@pytest.mark.parametrize("activation", ["relu", "gelu", "silu"])
def test_the_activation_stands_between_the_two_layers(activation):
    module, function = make(activation=activation), getattr(torch.nn.functional, activation)
    assert torch.equal(module(X), module.linear2(function(module.linear1(X))))


def test_gelu_tanh_is_the_formula_of_gpt2():
    module = make(activation="gelu_tanh")
    hidden = module.linear1(X)
    gelu = 0.5 * hidden * (1 + torch.tanh(math.sqrt(2 / math.pi) * (hidden + 0.044715 * hidden**3)))
    assert (module(X) - module.linear2(gelu)).abs().max() <= 1e-12
    assert (module.linear2(gelu) - module.linear2(torch.nn.functional.gelu(hidden))).abs().max() > 1e-6


def test_tokens_do_not_see_each_other():
    module, changed = make(), X.clone()
    changed[:, 2] += 1.0
    others = [0, 1, 3, 4]
    assert torch.equal(module(changed)[:, others], module(X)[:, others])


def test_dropout_acts_after_the_activation_in_training_only():
    """With an identity behind it, what is kept is the activation itself, scaled up."""
    module = FeedForward(40, 40, dropout=0.25).double()
    with torch.no_grad():
        module.linear2.weight.copy_(torch.eye(40))
        module.linear2.bias.zero_()
    x = torch.randn(100, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    plain = module.eval()(x)
    torch.manual_seed(0)
    dropped = module.train()(x)
    kept = dropped != 0
    assert torch.allclose(dropped[kept], plain[kept] / 0.75)
    assert (kept.sum() / (plain != 0).sum()).item() == pytest.approx(0.75, abs=0.03)


def test_it_has_the_names_of_the_course():
    expected = {"linear1.weight": (10, 6), "linear1.bias": (10,), "linear2.weight": (6, 10), "linear2.bias": (6,)}
    assert {name: tuple(p.shape) for name, p in make().named_parameters()} == expected


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: FeedForward(0, 4), r"d_model must be a whole number of at least 1; got 0"),
        (lambda: FeedForward(4, 2.5), r"d_ff must be a whole number of at least 1; got 2.5"),
        (lambda: FeedForward(4, 8, -0.1), r"dropout must be from 0 to 1; got -0.1"),
        (
            lambda: FeedForward(4, 8, activation="tanh"),
            r"activation must be one of 'relu', 'gelu', 'silu', 'gelu_tanh'; got 'tanh'",
        ),
        (lambda: FeedForward(4, 8)(torch.zeros(2, 3, 5)), r"x must have shape .* d_model = 4; got \(2, 3, 5\)"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
