"""checkpoint_layer: find the two mistakes in a checkpoint that is an autograd function."""

import torch

from clearformer.checks.catalogue.lesson_08_gradient_checkpointing.checkpointed_forward import (
    HIDDEN,
    ROWS,
    WIDTH,
    kept_numbers,
)
from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception
from clearformer.checks.given import Layer, with_weights
from clearformer.checks.modules import tensor


class LayerCall(Call):
    def __init__(self, *args, without=()):
        super().__init__(*args)
        self.without = without


def drawn(*, without=(), dropout=None, dtype="float64"):
    def draw(rng):
        drop = [] if dropout is None else [Layer("Dropout", dropout)]
        parts = [Layer("Linear", WIDTH, HIDDEN), Layer("Tanh"), *drop, Layer("Linear", HIDDEN, WIDTH)]
        layer = with_weights(rng, Layer("Sequential", *parts, label="layer", dtype=dtype))
        return LayerCall(layer, tensor(rng, ROWS, WIDTH, dtype=getattr(torch, dtype)), without=without)

    return draw


def watched(answer, call):
    x = call.args[1]
    answer.seed(5)
    grad_output = torch.linspace(-1.0, 2.0, x.numel(), dtype=x.dtype).view_as(x)
    seen = answer.call_watched(call.args, grad_output, None, call.without)
    values = {"output": seen["output"]}
    if not call.without:
        values["gradient of x"] = seen["gradients"][1]
    for name, gradient in seen["parameters"]["layer"].items():
        values[f"gradient of {name}"] = gradient
    return values | {
        "calls of the layer": [when for _, when in seen["calls"]],
        "the forward pass keeps x alone": kept_numbers(seen["saved"]) <= 2 * WIDTH,
    }


def the_random_state_decides_what_is_dropped(answer, rng):
    layer, x = drawn(dropout=0.5)(rng).args

    def with_seed(number):
        answer.seed(number)
        return answer.call(layer, x)

    one, again, other = with_seed(1), with_seed(1), with_seed(2)
    if not one.equal(again):
        return "with dropout, one seed gave two outputs"
    return "two different seeds dropped the same numbers" if one.equal(other) else None


# The code as it was found, and mends of it -----------------------------------------------------------------------


def make(*, restores=True, weights="given", second=lambda layer: None, seeds=False):
    """A checkpoint_layer. weights: "given": as arguments of the function, whose gradients are returned;
    "added": by backward(), as it was found; "both"; "none"."""

    class Recompute(torch.autograd.Function):
        @staticmethod
        def forward(ctx, layer, x, *parameters):
            ctx.layer, ctx.parameters, ctx.state = layer, parameters, torch.get_rng_state()
            ctx.save_for_backward(x)
            if seeds:
                torch.manual_seed(0)
            return layer(x)

        @staticmethod
        def backward(ctx, grad_output):
            x = ctx.saved_tensors[0].detach().requires_grad_()
            if seeds:
                torch.manual_seed(0)
            elif restores:
                torch.set_rng_state(ctx.state)
            second(ctx.layer)
            with torch.enable_grad():
                loss = (ctx.layer(x) * grad_output).sum()
            if weights in ("added", "both"):
                loss.backward(retain_graph=True)
                kept = x.grad
            given = torch.autograd.grad(loss, [x, *ctx.parameters])
            return None, *((kept, *given[1:]) if weights in ("added", "both") else given)

    def checkpoint_layer(layer, x):
        parameters = layer.parameters() if weights in ("given", "both") else ()
        return Recompute.apply(layer, x, *parameters)

    return checkpoint_layer


checkpoint_layer = make()


def wrong(slug, says, **changes):
    return misconception(slug, says)(make(**changes))


as_found = wrong(
    "as-found",
    "This does what the code did before. Look at the two experiments above the exercise again: which numbers does the "
    "second run drop, and when does the output of an autograd function ask for a gradient?",
    restores=False,
    weights="added",
)

random_state_left = wrong(
    "random-state-left",
    "The weights now learn where x asks for no gradient, and one mistake is left. With dropout, the second run drops "
    "other numbers than the first. Keep torch.get_rng_state() in forward, before the layer runs, and set it in "
    "backward.",
    restores=False,
)

gradient_of_weights_left = wrong(
    "trap-left",
    "Dropout is right now, and one mistake is left. Where x asks for no gradient, nothing that is handed to apply "
    "does, and so the output does not either: backward is never called, and the weights learn nothing. Hand the "
    "parameters to apply as well, and return their gradients.",
    weights="added",
)

only_of_x = wrong(
    "weights-left-out",
    "Your backward gives the gradient of x alone; the layer's weights get none. The code that was found did that part "
    "right, where x asks for a gradient.",
    weights="none",
)

twice = wrong(
    "weights-counted-twice",
    "The gradients of the weights are twice as large as they should be: backward() adds them to .grad, and you return "
    "them as well, which adds them once more. Do one of the two.",
    weights="both",
)

dropout_off = wrong(
    "dropout-off-in-the-second-run",
    "You turned dropout off in the second run. The forward pass had dropped numbers, and its gradients are asked for: "
    "the second run has to drop the same ones.",
    second=torch.nn.Module.eval,
)

fixed_seed = wrong(
    "one-seed-for-ever",
    "You set a fixed seed before both runs. The gradients then fit the output, but every call drops the same numbers, "
    "and whatever the reader's own seed said is lost. Keep the state that you find, and set that again.",
    seeds=True,
)


@misconception(
    "no-checkpoint-any-more",
    "The gradients are right, because nothing is checkpointed any more: the layer runs once, and everything it "
    "computes is kept. Mend the autograd function instead.",
)
def no_checkpoint_any_more(layer, x):
    return layer(x)


@misconception(
    "gradient-of-x-cut",
    "The weights get their gradients, but x gets none: it is cut off on its way in. backward has to return the "
    "gradient of x in the place of x.",
)
def gradient_of_x_cut(layer, x):
    return checkpoint_layer(layer, x.detach())


# Other right answers ---------------------------------------------------------------------------------------------


class WithADummy(torch.autograd.Function):
    """The weights' gradients are added by backward(); something that asks for a gradient is handed along."""

    @staticmethod
    def forward(ctx, layer, x, dummy):
        ctx.layer, ctx.state = layer, torch.get_rng_state()
        ctx.save_for_backward(x)
        return layer(x)

    @staticmethod
    def backward(ctx, grad_output):
        x = ctx.saved_tensors[0].detach().requires_grad_()
        with torch.random.fork_rng(), torch.enable_grad():
            torch.set_rng_state(ctx.state)
            (ctx.layer(x) * grad_output).sum().backward()
        return None, x.grad, None


def with_a_dummy(layer, x):
    return WithADummy.apply(layer, x, torch.zeros(1, requires_grad=True))


def library(layer, x):
    return torch.utils.checkpoint.checkpoint(layer, x, use_reentrant=False)


EXERCISE = Exercise(
    name="checkpoint_layer",
    lesson="08_gradient_checkpointing",
    kind="hunt",
    points=2,
    difficulty=4,
    minutes=20,
    asks="Mend both mistakes in the checkpoint.",
    reference=checkpoint_layer,
    returns=("output",),
    cases=(
        Case("no dropout, x with gradient", drawn(), "this worked before", ask=watched),
        Case("x without gradient", drawn(without=(1,)), "as the first layer of a model has it", ask=watched),
        Case("dropout in training", drawn(dropout=0.5), "the second run has to drop what the first did", ask=watched),
        Case("dropout, and x without gradient", drawn(dropout=0.3, without=(1,)), ask=watched),
        Case("single precision", drawn(dtype="float32"), ask=watched),
    ),
    properties=(Property("the random state decides what is dropped", the_random_state_decides_what_is_dropped),),
    misconceptions=(
        as_found,
        random_state_left,
        gradient_of_weights_left,
        only_of_x,
        twice,
        dropout_off,
        fixed_seed,
        no_checkpoint_any_more,
        gradient_of_x_cut,
    ),
    alternatives=(with_a_dummy, library),
    hints=(
        "Compare the second run with the first: is it given the same x, the same weights, the same random numbers? "
        "Then ask when autograd calls backward at all.",
        "In forward, keep torch.get_rng_state() before the layer runs. And hand layer.parameters() to apply: what asks "
        "for a gradient there makes the output ask for one. backward then returns a gradient for each of them.",
        "return None, *torch.autograd.grad(output, [x, *parameters], grad_output)",
    ),
)
