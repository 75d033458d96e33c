"""What post_norm and pre_norm share: sublayers and norms to stand around, and what is asked of both."""

import torch

from clearformer.checks.exercise import Call, Case
from clearformer.checks.given import Layer, with_weights
from clearformer.checks.modules import tensor

CONNECT = "clearformer.nn.residual.ResidualLayer.connect"  # of lesson 04: it has both formulas in it


def connected(answer, call):
    """The output, all gradients, and how often both callables were called."""
    x = call.args[0]
    grad_output = torch.linspace(-1.0, 2.0, x.numel(), dtype=x.dtype).view_as(x)
    seen = answer.call_watched(call.args, grad_output, call.kwargs)
    called = [label for label, _ in seen["calls"]]
    gradients = {
        f"gradient of {label}'s {name}": gradient
        for label, parameters in seen["parameters"].items()
        for name, gradient in parameters.items()
    }
    return {
        "output": seen["output"],
        "gradient of x": seen["gradients"][0],
        **gradients,
        **{f"calls of {label}": called.count(label) for label in ("sublayer", "norm")},
    }


def linear(width, dtype="float64"):
    return Layer("Linear", width, width, label="sublayer", dtype=dtype)


def feed_forward(width, dtype="float64"):
    inside = Layer("Linear", width, 8, dtype=dtype), Layer("ReLU"), Layer("Linear", 8, width, dtype=dtype)
    return Layer("Sequential", *inside, label="sublayer", dtype=dtype)


def with_dropout(width):
    return Layer("Sequential", Layer("Linear", width, width), Layer("Dropout", 0.5), label="sublayer")


def zero(width):
    """A sublayer that gives nothing: its weights are 0."""
    weights = {"weight": torch.zeros(width, width).double(), "bias": torch.zeros(width).double()}
    return Layer("Linear", width, width, weights=weights, label="sublayer")


def norm(rng, width, dtype="float64"):
    return with_weights(rng, Layer("LayerNorm", width, label="norm", dtype=dtype))


def plain_norm(width, eps=1e-5):
    return Layer("LayerNorm", width, eps=eps, label="norm")


def drawn(*shape, sublayer=linear, size=1.0, far=0.0, dtype="float64"):
    def draw(rng):
        x = tensor(rng, *shape, size=size, dtype=getattr(torch, dtype)) + far
        settings = (shape[-1],) if dtype == "float64" else (shape[-1], dtype)
        return Call(x, with_weights(rng, sublayer(*settings)), norm(rng, shape[-1], dtype))

    return draw


def nothing_added(rng):
    return Call(tensor(rng, 2, 3), zero(3), norm(rng, 3))


def other_order(rng):
    """By name, in another order than that of the signature."""
    call = drawn(2, 3)(rng)
    x, sublayer, norm = call.args
    return Call(x, norm=norm, sublayer=sublayer)


CASES = (
    Case("two tokens of width 3", drawn(2, 3), ask=connected),
    Case("a sublayer that gives nothing", nothing_added, "what is left is the way around it", ask=connected),
    Case("one token alone", drawn(4), ask=connected),
    Case("a batch, and a feed-forward sublayer", drawn(2, 3, 4, sublayer=feed_forward), ask=connected),
    Case("large numbers far from 0", drawn(2, 4, size=20.0, far=50.0), ask=connected),
    Case("dropout in the sublayer", drawn(2, 3, 6, sublayer=with_dropout), "it is called once", ask=connected),
    Case("arguments by name", other_order, ask=connected),
    Case("single precision", drawn(2, 3, 4, sublayer=feed_forward, dtype="float32"), ask=connected),
)
