"""What the checks of this lesson's modules draw, and how they make dropout visible behind a layer norm."""

import torch

from clearformer.checks.modules import ModuleCall, different_numbers, linear_weights, made, tensor

PROJECTIONS = ("query_proj", "key_proj", "value_proj", "output_proj")
SHOWN = 16  # columns in which dropout is looked for
ANCHORS = 10.0  # what lies between the two columns beside them, which nothing is added to


def feed_forward_weights(rng, d_model, d_ff, prefix="", dtype=torch.float64):
    return linear_weights(rng, f"{prefix}linear1", d_model, d_ff, dtype) | linear_weights(
        rng, f"{prefix}linear2", d_ff, d_model, dtype
    )


def layer_weights(rng, d_model, d_ff, attentions, num_norms, dtype=torch.float64):
    """Different weights for each part; the norms scale by numbers around 1."""
    weights = {}
    for name in attentions:
        for projection in PROJECTIONS:
            weights |= linear_weights(rng, f"{name}.{projection}", d_model, d_model, dtype)
    weights |= feed_forward_weights(rng, d_model, d_ff, "feed_forward.", dtype)
    for number in range(1, num_norms + 1):
        weights[f"norm{number}.weight"] = 1.0 + tensor(rng, d_model, size=0.3, dtype=dtype)
        weights[f"norm{number}.bias"] = tensor(rng, d_model, size=0.5, dtype=dtype)
    return weights


def that_shows_dropout(attentions, where):
    """A case's draw: a layer in which the part `where` gives 1 in SHOWN columns, and all other parts give 0.

    where: the name of an attention, "feed_forward" or "hidden", the layer between the feed-forward's two maps.
    Weights of attention make no difference, so that an answer may or may not drop those too.
    """
    width = SHOWN + 2
    ones = torch.cat([torch.zeros(2), torch.ones(SHOWN)]).double()
    x = torch.zeros(2, 12, width).double()
    x[..., 1] = ANCHORS

    def draw(rng):
        num_norms = len(attentions) + 1
        weights = {
            name: 0.0 * weight
            for name, weight in layer_weights(rng, width, width, attentions, num_norms).items()
            if not name.startswith("norm")
        }
        for number in range(1, num_norms + 1):
            weights |= {f"norm{number}.weight": torch.ones(width).double(), f"norm{number}.bias": 0.0 * ones}
        if where == "hidden":
            weights["feed_forward.linear1.bias"] = ones
            weights["feed_forward.linear2.weight"] = torch.diag(ones)
        else:
            weights["feed_forward.linear2.bias" if where == "feed_forward" else f"{where}.output_proj.bias"] = ones
        inputs = {"x": x.clone()} | ({"memory": tensor(rng, 2, 3, width)} if len(attentions) > 1 else {})
        shown = {"d_model": width, "num_heads": 2, "d_ff": width, "dropout": 0.25} | inputs
        call = ModuleCall(weights, x, inputs=tuple(inputs), **shown)
        call.share = 1 - 0.75**2 if where == "hidden" else 0.25  # what was dropped inside is then dropped once more
        return call

    return draw


def dropped_by_a_layer(answer, call):
    """A layer norm shifts and stretches each token: the two columns that nothing is added to show by how much."""

    def added(output):
        low, high = output[..., 0:1], output[..., 1:2]
        return (ANCHORS * (output - low) / (high - low))[..., 2:]

    return _dropped(answer, call, added)


def dropped_by_feed_forward(answer, call):
    """The second map gives each hidden number to two columns, so that a dropped one is missing in both."""
    seen = _dropped(answer, call, lambda output: output)
    module = made(answer, call)
    one, other = module.call(*call.inputs()).chunk(2, dim=-1)
    return seen | {"a dropped hidden number is missing wherever linear2 takes it": bool(one.equal(other))}


def _dropped(answer, call, shown):
    module = made(answer, call)
    answer.seed(1)
    loud = shown(module.call(*call.inputs()))  # (batch, T, columns)
    module.eval()
    quiet = shown(module.call(*call.inputs()))
    dropped = loud.abs() < 1e-9
    share = float(dropped.double().mean())
    return {
        "numbers that occur in training": different_numbers(loud),
        f"about {call.share:.0%} of the numbers are dropped": abs(share - call.share) < 0.12,
        "sentences drop different numbers": bool((dropped != dropped[:1]).any()),
        "tokens drop different numbers": bool((dropped != dropped[:, :1]).any()),
        "a token loses some numbers and keeps others": bool((dropped != dropped[..., :1]).any()),
        "numbers that occur in evaluation": different_numbers(quiet),
    }
