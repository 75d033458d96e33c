"""checkpointed_forward: a stack of layers of which only the segments' inputs are kept."""

import math
from itertools import pairwise

import numpy as np
import torch
from torch.utils.checkpoint import checkpoint, checkpoint_sequential

from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception
from clearformer.checks.given import Layer, with_weights
from clearformer.checks.modules import tensor
from clearformer.memory.checkpoint import checkpointed_forward as reference

ROWS, WIDTH, HIDDEN = 11, 3, 8  # no other size is 11: what was saved is told by it


class Words(str):
    """Words that a message shows in place of a value."""

    def __repr__(self):
        return str(self)


class StackCall(Call):
    """without: (1,) where x gets no gradient, else (). dropout: whether the layers have some."""

    def __init__(self, layers, x, num_segments, *, without=(), dropout=False):
        super().__init__(layers, x, num_segments)
        self.without, self.dropout = without, dropout

    def named(self, names):
        (layers, stack), *rest = super().named(names)
        first = stack.settings[0][0] if isinstance(stack, Layer) else stack[0]
        return [(layers, Words(f"{self.num_layers} times {first!r}")), *rest]

    @property
    def num_layers(self):
        layers = self.args[0]
        return len(layers.settings[0]) if isinstance(layers, Layer) else len(layers)


def drawn(num_layers, num_segments, *, box=list, without=(), dropout=0.0, dtype="float64"):
    def draw(rng):
        def layer(number):
            parts = [Layer("Linear", WIDTH, HIDDEN), Layer("Tanh"), Layer("Linear", HIDDEN, WIDTH)]
            parts.insert(2, Layer("Dropout", dropout))
            return with_weights(rng, Layer("Sequential", *parts, label=f"layer {number}", dtype=dtype))

        layers = box([layer(number) for number in range(1, num_layers + 1)])
        x = tensor(rng, ROWS, WIDTH, dtype=getattr(torch, dtype))
        return StackCall(layers, x, num_segments, without=without, dropout=bool(dropout))

    return draw


def as_module_list(layers):
    return Layer("ModuleList", layers)


# --- what is seen of an answer -----------------------------------------------------------------------------------


def watched(answer, call):
    """The values, and what the order of the calls and the saved tensors tell about the segments."""
    x, num_layers = call.args[1], call.num_layers
    answer.seed(3)
    grad_output = torch.linspace(-1.0, 2.0, x.numel(), dtype=x.dtype).view_as(x)
    seen = answer.call_watched(call.args, grad_output, None, call.without)
    forward, backward = ([label for label, when in seen["calls"] if when == way] for way in ("forward", "backward"))
    values = {"output": seen["output"], "layers called in the forward pass": forward}
    if not call.without:
        values["gradient of x"] = seen["gradients"][1]
    for label, gradients in seen["parameters"].items():
        values |= {f"gradient of {name} in {label}": gradient for name, gradient in gradients.items()}
    segments, in_order, once = _segments(backward, num_layers)
    return values | {
        "layers run again in the backward pass": bool(backward) or call.args[2] == 1,
        "segments": len(segments),
        "the backward pass runs whole segments again, the last one first": in_order,
        "the forward pass keeps no more than it has to": kept_numbers(seen["saved"]) <= _allowed(call, once),
    }


def _segments(backward, num_layers):
    """(runs of neighbours that ran again, and those at the end that did not; is the order right; which did not)."""
    numbers = [int(label.removeprefix("layer ")) for label in backward]
    starts = [0, *(i for i in range(1, len(numbers)) if numbers[i] != numbers[i - 1] + 1), len(numbers)]
    runs = [numbers[first:end] for first, end in pairwise(starts) if end > first]
    once = [number for number in range(1, num_layers + 1) if number not in numbers]
    last = [once] if once else []
    in_order = [number for run in (*last, *runs)[::-1] for number in run] == [*range(1, num_layers + 1)]
    return [*runs, *last], in_order, once


def kept_numbers(saved):
    """Numbers a row that were kept, of the tensors with as many rows as x."""
    return sum(math.prod(shape[1:]) for shape in saved if shape[:1] == (ROWS,))


def _allowed(call, once):
    """Two tensors like x for each segment, and all that the layers keep which run once."""
    in_a_layer = WIDTH + 2 * HIDDEN + (HIDDEN if call.dropout else 0)
    return 2 * WIDTH * call.args[2] + in_a_layer * len(once)


def the_number_of_segments_changes_no_output(answer, rng):
    layers, x, _ = drawn(5, 1)(rng).args
    one = answer.call(layers, x, 1)
    gaps = {number: float((answer.call(layers, x, number) - one).abs().max()) for number in (2, 3, 5)}
    return next((f"with {number} segments the output is another than with 1, by {gap:.2g}"
                 for number, gap in gaps.items() if gap > 1e-9), None)  # fmt: skip


# Wrong answers ---------------------------------------------------------------------------------------------------


def run(layers, x):
    for layer in layers:
        x = layer(x)
    return x


def again(layers, x, **how):
    return checkpoint(lambda x: run(layers, x), x, **({"use_reentrant": False} | how))


def bounds(num_layers, num_segments):
    """Segments of about the same size, the last ones longer."""
    return [*pairwise(num_layers * i // num_segments for i in range(num_segments + 1))]


@misconception(
    "nothing-checkpointed",
    "The gradients are right, but no layer runs again in the backward pass: everything was kept. Hand each segment but "
    "the last to torch.utils.checkpoint, or to an autograd function of your own.",
)
def nothing_checkpointed(layers, x, num_segments):
    return run(layers, x)


@misconception(
    "one-checkpoint-for-all",
    "All layers are in one checkpoint. In the backward pass all of them run again at once, and everything they keep is "
    "there at once: nothing is saved at the worst moment. Cut the list into num_segments parts, a checkpoint for each.",
)
def one_checkpoint_for_all(layers, x, num_segments):
    return again(layers, x)


@misconception(
    "run-without-gradients",
    "The output is right, but only the last layers get gradients: you ran the others under torch.no_grad, and nothing "
    "runs them again. A checkpoint has to remember how to run its segment again, and do so in the backward pass.",
)
def run_without_gradients(layers, x, num_segments):
    last = bounds(len(layers), num_segments)[-1][0]
    with torch.no_grad():
        x = run(layers[:last], x)
    return run(layers[last:], x)


@misconception(
    "every-layer-by-itself",
    "You checkpointed every layer by itself, so the input of each layer was kept. This exercise asks for num_segments "
    "segments: several layers in one checkpoint.",
)
def every_layer_by_itself(layers, x, num_segments):
    for layer in layers:
        x = again([layer], x)
    return x


@misconception(
    "segments-of-that-length",
    "You made segments of num_segments layers each. num_segments says how many segments there are; their length "
    "follows from it.",
)
def segments_of_that_length(layers, x, num_segments):
    for start in range(0, len(layers), num_segments):
        x = again(layers[start : start + num_segments], x)
    return x


@misconception(
    "the-rest-forgotten",
    "Where the number of layers does not divide, your last layers are never called. Let the last segment go to the end "
    "of the list.",
)
def the_rest_forgotten(layers, x, num_segments):
    size = len(layers) // num_segments
    for number in range(num_segments):
        x = again(layers[number * size : (number + 1) * size], x)
    return x


@misconception(
    "the-rest-by-itself",
    "Where the number of layers does not divide, you make one segment more, of the layers that are left over. There "
    "should be exactly num_segments: some of them have to be longer.",
)
def the_rest_by_itself(layers, x, num_segments):
    size = len(layers) // num_segments
    for start in range(0, len(layers), size):
        x = again(layers[start : start + size], x)
    return x


@misconception(
    "length-rounded-up",
    "You rounded the length of a segment up. Then the layers are used up before there are num_segments segments: 4 "
    "layers in 3 segments become 2 and 2. Give some segments one layer more than others.",
)
def length_rounded_up(layers, x, num_segments):
    size = math.ceil(len(layers) / num_segments)
    for start in range(0, len(layers), size):
        x = again(layers[start : start + size], x)
    return x


@misconception(
    "random-state-forgotten",
    "Without dropout all is right. With it, the second run drops other numbers than the first, and the gradients "
    "belong to no forward pass that ever was. Keep the random state before the first run, and set it again before the "
    "second: torch.utils.checkpoint does so unless preserve_rng_state=False.",
)
def random_state_forgotten(layers, x, num_segments):
    for start, end in bounds(len(layers), num_segments):
        x = again(layers[start:end], x, preserve_rng_state=False)
    return x


@misconception(
    "lost-without-a-gradient-of-x",
    "As long as x asks for a gradient, all is right. Where it asks for none, the output of a checkpointed segment asks "
    "for none either, and its weights learn nothing: the reentrant form looks at the segment's inputs alone. "
    "use_reentrant=False does not have this trap.",
)
def lost_without_a_gradient_of_x(layers, x, num_segments):
    for start, end in bounds(len(layers), num_segments):
        x = again(layers[start:end], x, use_reentrant=True)
    return x


@misconception(
    "cut-between-segments",
    "The output is right, but the gradient ends where the last segment begins: what comes before was run without "
    "gradients, or its result was detached. A segment's input has to be cut off inside of the backward pass, where it "
    "runs again, and not in the forward pass.",
)
def cut_between_segments(layers, x, num_segments):
    for start, end in bounds(len(layers), num_segments):
        x = again(layers[start:end], x.detach() if start else x)
    return x


class OnlyOfX(torch.autograd.Function):
    @staticmethod
    def forward(ctx, layers, x):
        ctx.layers, ctx.state = layers, torch.get_rng_state()
        ctx.save_for_backward(x)
        return run(layers, x)

    @staticmethod
    def backward(ctx, grad_output):
        x = ctx.saved_tensors[0].detach().requires_grad_()
        torch.set_rng_state(ctx.state)
        with torch.enable_grad():
            loss = (run(ctx.layers, x) * grad_output).sum()
        return None, torch.autograd.grad(loss, x)[0]


@misconception(
    "gradients-of-weights-forgotten",
    "The gradient of x is right, but the weights inside your checkpointed segments get none. torch.autograd.grad(…, x) "
    "gives that of x alone: ask for those of the parameters too, or let backward() add them up.",
)
def gradients_of_weights_forgotten(layers, x, num_segments):
    for start, end in bounds(len(layers), num_segments):
        x = OnlyOfX.apply(layers[start:end], x)
    return x


@misconception(
    "one-segment-less",
    "You made one segment less than asked for. The last segment may stay un-checkpointed, but it counts: with "
    "num_segments = 2, one is checkpointed and one is not.",
)
def one_segment_less(layers, x, num_segments):
    for start, end in bounds(len(layers), max(1, num_segments - 1)):
        x = again(layers[start:end], x) if end < len(layers) else run(layers[start:end], x)
    return x


# Other right answers ---------------------------------------------------------------------------------------------


def by_torch(layers, x, num_segments):
    return checkpoint_sequential([*layers], num_segments, x, use_reentrant=False)


def all_of_them(layers, x, num_segments):
    """The last segment too, and the longer segments first."""
    for numbers in np.array_split(np.arange(len(layers)), num_segments):
        x = again([layers[number] for number in numbers], x)
    return x


class ByHand(torch.autograd.Function):
    @staticmethod
    def forward(ctx, layers, x, *parameters):
        ctx.layers, ctx.state = layers, torch.get_rng_state()
        ctx.save_for_backward(x)
        return run(layers, x)

    @staticmethod
    def backward(ctx, grad_output):
        x = ctx.saved_tensors[0].detach().requires_grad_()
        parameters = [value for layer in ctx.layers for value in layer.parameters()]
        with torch.random.fork_rng(), torch.enable_grad():
            torch.set_rng_state(ctx.state)
            loss = (run(ctx.layers, x) * grad_output).sum()
        return None, *torch.autograd.grad(loss, [x, *parameters])


def by_hand(layers, x, num_segments):
    for start, end in bounds(len(layers), num_segments):
        if end == len(layers):
            return run(layers[start:], x)
        parameters = [value for layer in layers[start:end] for value in layer.parameters()]
        x = ByHand.apply(layers[start:end], x, *parameters)


def one_after_the_other(layers, x, num_segments):
    """The left over layers all in the last segment."""
    size = len(layers) // num_segments
    for number in range(num_segments - 1):
        x = again(layers[number * size : (number + 1) * size], x)
    return run(layers[(num_segments - 1) * size :], x)


EXERCISE = Exercise(
    name="checkpointed_forward",
    lesson="08_gradient_checkpointing",
    kind="write",
    points=3,
    difficulty=4,
    minutes=25,
    asks="Run x through all layers in num_segments segments, and keep only the segments' inputs for the backward pass.",
    reference=reference,
    returns=("output",),
    cases=(
        Case("four layers in two segments", drawn(4, 2), ask=watched),
        Case("one segment", drawn(2, 1), ask=watched),
        Case("as many segments as layers", drawn(3, 3), ask=watched),
        Case("a length that does not divide", drawn(5, 2), ask=watched),
        Case("four layers in three segments", drawn(4, 3), "rounding up uses the layers up too soon", ask=watched),
        Case("x without gradient", drawn(4, 2, without=(1,)), "as the first layer of a model has it", ask=watched),
        Case("dropout in training", drawn(4, 2, dropout=0.5), "the second run has to drop the same", ask=watched),
        Case("a ModuleList", drawn(3, 2, box=as_module_list), ask=watched),
        Case("single precision", drawn(4, 2, dtype="float32"), ask=watched),
    ),
    properties=(Property("the number of segments changes no output", the_number_of_segments_changes_no_output),),
    misconceptions=(
        nothing_checkpointed,
        one_checkpoint_for_all,
        run_without_gradients,
        every_layer_by_itself,
        segments_of_that_length,
        the_rest_forgotten,
        the_rest_by_itself,
        length_rounded_up,
        random_state_forgotten,
        lost_without_a_gradient_of_x,
        cut_between_segments,
        gradients_of_weights_forgotten,
        one_segment_less,
    ),
    alternatives=(by_torch, all_of_them, by_hand, one_after_the_other),
    hints=(
        "Cut the list into num_segments runs of neighbours. A function that calls the layers of one run can be handed "
        "to torch.utils.checkpoint.checkpoint.",
        "Segment i goes from layer len(layers) * i // num_segments to len(layers) * (i + 1) // num_segments. All but "
        "the last are checkpointed.",
        "x = checkpoint(torch.nn.Sequential(*layers[start:end]), x, use_reentrant=False)",
    ),
)
