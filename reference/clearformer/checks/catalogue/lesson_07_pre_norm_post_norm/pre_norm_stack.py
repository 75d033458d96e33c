"""pre_norm_stack: find the three mistakes in a stack of pre-norm layers."""

import torch

from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception
from clearformer.checks.given import Layer, with_weights
from clearformer.checks.modules import tensor


def pre_norm_stack(x, layers, final_norm):
    """The mended code."""
    for norm1, attention, norm2, feed_forward in layers:
        x = x + attention(norm1(x))
        x = x + feed_forward(norm2(x))
    return final_norm(x)


PARTS = ("norm1", "attention", "norm2", "feed_forward")


def labels(layers):
    return [f"{part} of layer {number}" for number in range(1, len(layers) + 1) for part in PARTS]


def output_and_gradients(answer, call):
    x, layers = call.args[0], call.args[1]
    grad_output = torch.linspace(-1.0, 2.0, x.numel(), dtype=x.dtype).view_as(x)
    seen = answer.call_watched(call.args, grad_output)
    called = [label for label, _ in seen["calls"]]
    return {
        "output": seen["output"],
        "gradient of x": seen["gradients"][0],
        **{f"calls of {label}": called.count(label) for label in (*labels(layers), "final_norm")},
    }


def sizes_do_not_run_away(answer, rng):
    """The input a thousand times as large: the final norm still gives numbers of the size of 1."""
    x, layers, final_norm = drawn(2, 3, 6, num_layers=2, plain=True)(rng).args
    size = float(answer.call(1000.0 * x, layers, final_norm).square().mean().sqrt())
    return (
        None
        if abs(size - 1) < 1e-3
        else f"the final norm has weight 1 and bias 0, and what comes out has size {size:.3g}"
    )


def without_sublayers_the_input_is_left(answer, rng):
    """All sublayers give 0 and all norms double: what is left is the input, normed once at the end."""
    x = tensor(rng, 2, 4)
    doubled, nothing = (torch.full((4,), factor).double() for factor in (2.0, 0.0))

    def norm(label):
        return Layer("LayerNorm", 4, weights={"weight": doubled, "bias": doubled}, label=label)

    def silent(label):
        return Layer("Linear", 4, 4, weights={"weight": torch.zeros(4, 4).double(), "bias": nothing}, label=label)

    makers = (norm, silent, norm, silent)
    layers = [tuple(make(f"{part} of layer 1") for make, part in zip(makers, PARTS, strict=True))]
    found = answer.call(x, layers, Layer("Identity", label="final_norm"))
    gap = float((found - x).abs().max())
    return None if gap < 1e-9 else (
        f"all sublayers give 0 and the final norm does nothing, but x comes out changed, by {gap:.2g}: the way around "
        "the sublayers does not carry x as it is"
    )  # fmt: skip


# Wrong answers: the code as it was found, half-mended, and mended at the cost of something else -----------------


def variant(*, residual="x", second_norm="norm2", end="normed", second_residual=None):
    """The code with some of its lines in another form. residual: what goes around, "x" or "normed"."""

    def pre_norm_stack(x, layers, final_norm):
        for norm1, attention, norm2, feed_forward in layers:
            normed = norm1(x)
            x = (x if residual == "x" else normed) + attention(normed)
            normed = (norm2 if second_norm == "norm2" else norm1)(x)
            x = (x if (second_residual or residual) == "x" else normed) + feed_forward(normed)
        return final_norm(x) if end == "normed" else x

    return pre_norm_stack


def wrong(slug, says, **changes):
    return misconception(slug, says)(variant(**changes))


as_found = wrong(
    "as-found",
    "This returns what the code returned before. Look at the experiments above the exercise again: what goes around "
    "the sublayers, which norm stands before the feed-forward sublayer, and what happens after the last layer?",
    residual="normed",
    second_norm="norm1",
    end="plain",
)
final_norm_left = wrong(
    "final-norm-left",
    "The layers are right now, and one mistake is left: nobody calls final_norm. The stream is a sum that was never "
    "normed; it needs one more norm after the last layer.",
    end="plain",
)
residual_left = wrong(
    "residual-left",
    "One mistake is left: what goes around the sublayers. You add their output to the normed x. Add it to x as it came "
    "in, so that something passes through all layers unchanged.",
    residual="normed",
)
shared_norm_left = wrong(
    "shared-norm-left",
    "One mistake is left: norm1 stands before both sublayers, and norm2 is never called. Each sublayer has a norm of "
    "its own, with weights of its own.",
    second_norm="norm1",
)
only_residual_mended = wrong(
    "residual-mended-alone",
    "The residual connection is right now, and two mistakes are left: which norm stands before the feed-forward "
    "sublayer, and what happens after the last layer.",
    second_norm="norm1",
    end="plain",
)
only_shared_norm_mended = wrong(
    "shared-norm-mended-alone",
    "Each sublayer has its own norm now, and two mistakes are left: what goes around the sublayers, and what happens "
    "after the last layer.",
    residual="normed",
    end="plain",
)
only_final_norm_mended = wrong(
    "final-norm-mended-alone",
    "The final norm is there now, and two mistakes are left: what goes around the sublayers, and which norm stands "
    "before the feed-forward sublayer.",
    residual="normed",
    second_norm="norm1",
)
first_residual_only = wrong(
    "residual-mended-in-attention-alone",
    "Around attention x goes as it is, around the feed-forward sublayer still the normed x. Both ways carry x.",
    second_residual="normed",
)
second_residual_only = wrong(
    "residual-mended-in-feed-forward-alone",
    "Around the feed-forward sublayer x goes as it is, around attention still the normed x. Both ways carry x.",
    residual="normed",
    second_residual="x",
)


@misconception(
    "post-norm",
    "This is post-norm: you norm the sums. It is a stack that works, but this exercise asks for pre-norm: the norms "
    "stand before the sublayers, and one more at the end.",
)
def post_norm(x, layers, final_norm):
    for norm1, attention, norm2, feed_forward in layers:
        x = norm1(x + attention(x))
        x = norm2(x + feed_forward(x))
    return final_norm(x)


@misconception(
    "no-residual",
    "There is no way around the sublayers any more: what a sublayer does not hand on is lost. Add x to each output.",
)
def no_residual(x, layers, final_norm):
    for norm1, attention, norm2, feed_forward in layers:
        x = attention(norm1(x))
        x = feed_forward(norm2(x))
    return final_norm(x)


@misconception(
    "final-norm-in-each-layer",
    "You call final_norm after every layer. It comes once, after the last: between layers the stream stays as it is.",
)
def final_norm_in_each_layer(x, layers, final_norm):
    for norm1, attention, norm2, feed_forward in layers:
        x = x + attention(norm1(x))
        x = final_norm(x + feed_forward(norm2(x)))
    return x


@misconception(
    "both-sublayers-see-the-same",
    "Attention and feed-forward both work on what came into the layer, side by side. Some models do that; this "
    "exercise asks for one after the other: the feed-forward sublayer sees what attention has added.",
)
def both_sublayers_see_the_same(x, layers, final_norm):
    for norm1, attention, norm2, feed_forward in layers:
        x = x + attention(norm1(x)) + feed_forward(norm2(x))
    return final_norm(x)


@misconception(
    "residual-around-the-whole-layer",
    "Your way around leads around the whole layer, and none around the feed-forward sublayer alone. Each of the two "
    "sublayers has its own: what attention has added goes around feed-forward too.",
)
def residual_around_the_whole_layer(x, layers, final_norm):
    for norm1, attention, norm2, feed_forward in layers:
        x = x + feed_forward(norm2(attention(norm1(x))))
    return final_norm(x)


def by_function(x, layers, final_norm):
    """Another right answer: one function for both sublayers, and a list of all of them."""
    from functools import reduce

    steps = [pair for layer in layers for pair in (layer[:2], layer[2:])]
    return final_norm(reduce(lambda stream, step: stream + step[1](step[0](stream)), steps, x))


def the_sum_kept_apart(x, layers, final_norm):
    """Another right answer: keeps what was added in a list, and adds it up each time."""
    added = [x]
    for norm1, attention, norm2, feed_forward in layers:
        added.append(attention(norm1(torch.stack(added).sum(dim=0))))
        added.append(feed_forward(norm2(torch.stack(added).sum(dim=0))))
    return final_norm(torch.stack(added).sum(dim=0))


def drawn(*shape, num_layers, plain=False, size=1.0, dtype="float64"):
    """A case's draw. The sublayers need not be attention: a linear map tells the same mistakes apart."""

    def draw(rng):
        width = shape[-1]

        def norm(label):
            layer = Layer("LayerNorm", width, label=label, dtype=dtype)
            return layer if plain else with_weights(rng, layer)

        def attention(label):
            return with_weights(rng, Layer("Linear", width, width, label=label, dtype=dtype))

        def feed_forward(label):
            wide, back = Layer("Linear", width, 8, dtype=dtype), Layer("Linear", 8, width, dtype=dtype)
            return with_weights(rng, Layer("Sequential", wide, Layer("ReLU"), back, label=label, dtype=dtype))

        makers = (norm, attention, norm, feed_forward)
        layers = [
            tuple(make(f"{part} of layer {number}") for make, part in zip(makers, PARTS, strict=True))
            for number in range(1, num_layers + 1)
        ]
        return Call(tensor(rng, *shape, size=size, dtype=getattr(torch, dtype)), layers, norm("final_norm"))

    return draw


EXERCISE = Exercise(
    name="pre_norm_stack",
    lesson="07_pre_norm_post_norm",
    kind="hunt",
    points=2,
    difficulty=3,
    minutes=15,
    asks="Mend the three mistakes in the stack of pre-norm layers.",
    reference=pre_norm_stack,
    returns=("output",),
    cases=(
        Case("one layer", drawn(2, 4, num_layers=1), ask=output_and_gradients),
        Case("three layers, a batch", drawn(2, 3, 4, num_layers=3), ask=output_and_gradients),
        Case("no layer at all", drawn(2, 4, num_layers=0), "the final norm is there all the same"),
        Case("large numbers", drawn(2, 4, num_layers=2, size=30.0), ask=output_and_gradients),
        Case(
            "norms with weight 1 and bias 0",
            drawn(2, 3, 4, num_layers=2, plain=True),
            "as in a model that was made a moment ago",
            ask=output_and_gradients,
        ),
        Case("single precision", drawn(2, 3, 4, num_layers=2, dtype="float32"), ask=output_and_gradients),
    ),
    properties=(
        Property("what comes out is normed, however large the input is", sizes_do_not_run_away),
        Property("where the sublayers give nothing, x passes unchanged", without_sublayers_the_input_is_left),
    ),
    misconceptions=(
        as_found,
        final_norm_left,
        residual_left,
        shared_norm_left,
        only_residual_mended,
        only_shared_norm_mended,
        only_final_norm_mended,
        first_residual_only,
        second_residual_only,
        post_norm,
        no_residual,
        final_norm_in_each_layer,
        both_sublayers_see_the_same,
        residual_around_the_whole_layer,
    ),
    alternatives=(by_function, the_sum_kept_apart),
    forbidden=("clearformer.nn.residual.ResidualLayer.connect",),
    hints=(
        "Which of the five norms and sublayers are called, and how often? And what would come out if all sublayers "
        "returned 0?",
        "Two of the mistakes are in the layers: what the sublayer's output is added to, and which norm the second "
        "sublayer uses. The third is at the end: a stream that is only ever added to has to be normed once.",
        "x = x + attention(norm1(x)), then x = x + feed_forward(norm2(x)), and at the end return final_norm(x)",
    ),
)
