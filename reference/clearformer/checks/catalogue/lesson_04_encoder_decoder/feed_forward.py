"""FeedForward: each token by itself, out to a wide layer and back."""

import torch
import torch.nn.functional as F
from torch import nn

from clearformer.checks.catalogue.lesson_04_encoder_decoder.layer_calls import (
    SHOWN,
    dropped_by_feed_forward,
    feed_forward_weights,
)
from clearformer.checks.exercise import Case, Exercise, Property, misconception
from clearformer.checks.modules import (
    ModuleCall,
    made,
    output_alone,
    outputs_and_gradients,
    outputs_in_evaluation,
    same_and_other_seeds,
    tensor,
)
from clearformer.nn.feed_forward import FeedForward as reference

# What is asked and drawn --------------------------------------------------------------------------------------


def drawn(*shape, d_ff, size=1.0, dtype=torch.float64, **settings):
    def draw(rng):
        weights = feed_forward_weights(rng, shape[-1], d_ff, dtype=dtype)
        shown = {"d_model": shape[-1], "d_ff": d_ff} | settings | {"x": tensor(rng, *shape, size=size, dtype=dtype)}
        return ModuleCall(weights, tensor(rng, *shape, dtype=dtype), inputs=("x",), **shown)

    return draw


def that_shows_its_hidden_layer(rng):
    """Every hidden number is 1, and the second map hands each to two columns: the output shows what was dropped."""
    call = drawn(2, 12, 2 * SHOWN, d_ff=SHOWN, dropout=0.25)(rng)
    identity = torch.eye(SHOWN, dtype=torch.float64)
    call.weights = {name: 0.0 * weight for name, weight in call.weights.items()}
    call.weights["linear1.bias"] += 1.0
    call.weights["linear2.weight"] = torch.cat([identity, identity])
    call.share = 0.25
    return call


def not_contiguous(rng):
    call = drawn(2, 3, 4, d_ff=6)(rng)
    call.kwargs["x"] = call.kwargs["x"].transpose(1, 2).contiguous().transpose(1, 2)
    return call


def two_objects(answer, call):
    first, second = made(answer, call), made(answer, call, factor=-2.0)
    x = call.kwargs["x"]
    return {"output of the first object": first.call(x), "output of the second object": second.call(x)}


def twice_the_token_gives_twice_the_output(answer, rng):
    """Without biases, that is what a ReLU between two linear maps does; other bends do not."""
    call = drawn(2, 3, 4, d_ff=6)(rng)
    call.weights = {name: weight * name.endswith("weight") for name, weight in call.weights.items()}
    module = made(answer, call)
    x = call.kwargs["x"]
    gap = float((module.call(2.0 * x) - 2.0 * module.call(x)).abs().max())
    return None if gap < 1e-9 else f"with biases of 0, the output for 2x and twice the output for x differ by {gap:.2g}"


# Wrong answers: the plain right module, with one part replaced ---------------------------------------------------


class Plain(nn.Module):
    """The plain right answer, in parts that a wrong answer replaces."""

    def __init__(self, d_model, d_ff, dropout=0.0):
        super().__init__()
        self.dropout = dropout
        self.build(d_model, d_ff)

    def build(self, d_model, d_ff):
        self.linear1 = nn.Linear(d_model, d_ff)
        self.linear2 = nn.Linear(d_ff, d_model)

    def activate(self, hidden):
        return F.relu(hidden)

    def drop(self, hidden):
        return F.dropout(hidden, self.dropout, self.training)

    def forward(self, x):
        return self.linear2(self.drop(self.activate(self.linear1(x))))


@misconception(
    "no-relu",
    "There is nothing between your two linear maps, and two linear maps in a row are one: the wide layer adds nothing. "
    "Put a ReLU after linear1.",
)
class NoRelu(Plain):
    def activate(self, hidden):
        return hidden


@misconception(
    "relu-at-the-end",
    "Your output has no negative numbers: there is a ReLU after linear2 too. What is added to a token has to be able "
    "to go down as well as up. One ReLU, between the two maps.",
)
class ReluAtTheEnd(Plain):
    def forward(self, x):
        return F.relu(super().forward(x))


@misconception(
    "relu-at-the-end-alone",
    "Your ReLU stands after linear2 alone. It belongs between the two maps: without it there they are one linear map.",
)
class ReluAtTheEndAlone(NoRelu.implementation):
    def forward(self, x):
        return F.relu(super().forward(x))


@misconception(
    "relu-first",
    "Your ReLU comes before linear1 and cuts the token itself. It belongs after linear1, on the wide layer.",
)
class ReluFirst(NoRelu.implementation):
    def forward(self, x):
        return super().forward(F.relu(x))


@misconception(
    "gelu",
    "You use GELU, as BERT and GPT do. This exercise asks for the ReLU of the 2017 paper.",
)
class Gelu(Plain):
    def activate(self, hidden):
        return F.gelu(hidden)


@misconception(
    "relu6",
    "You use ReLU6, which ends at 6. This exercise asks for ReLU, max(0, x), which has no upper end.",
)
class Relu6(Plain):
    def activate(self, hidden):
        return F.relu6(hidden)


@misconception("sigmoid", "You use a sigmoid between the two maps. This exercise asks for ReLU, max(0, x).")
class Sigmoid(Plain):
    def activate(self, hidden):
        return torch.sigmoid(hidden)


@misconception("tanh", "You use tanh between the two maps. This exercise asks for ReLU, max(0, x).")
class Tanh(Plain):
    def activate(self, hidden):
        return torch.tanh(hidden)


@misconception(
    "residual-added",
    "You add x to the result. That sum belongs to the layer around it, EncoderLayer. FeedForward returns the output of "
    "linear2 alone.",
)
class ResidualAdded(Plain):
    def forward(self, x):
        return x + super().forward(x)


@misconception(
    "dropout-left-out",
    "dropout makes no difference in your module. In training, a share `dropout` of the hidden numbers, after the ReLU, "
    "is set to zero.",
)
class DropoutLeftOut(Plain):
    def drop(self, hidden):
        return hidden


@misconception(
    "dropout-on-the-output",
    "You drop numbers of the output. The layer around this module does that later. In here, the hidden numbers are "
    "dropped: after the ReLU, before linear2.",
)
class DropoutOnTheOutput(DropoutLeftOut.implementation):
    def forward(self, x):
        return F.dropout(super().forward(x), self.dropout, self.training)


@misconception(
    "dropout-on-hidden-and-output",
    "You drop twice: hidden numbers, which is right, and numbers of the output, which is for the layer around this "
    "module to do.",
)
class DropoutOnHiddenAndOutput(Plain):
    def forward(self, x):
        return F.dropout(super().forward(x), self.dropout, self.training)


@misconception(
    "dropout-on-the-input",
    "You drop numbers of x, before linear1. This exercise asks for dropout on the hidden numbers, after the ReLU.",
)
class DropoutOnTheInput(DropoutLeftOut.implementation):
    def forward(self, x):
        return super().forward(F.dropout(x, self.dropout, self.training))


@misconception(
    "dropout-in-evaluation-too",
    "Your module drops in evaluation too. F.dropout does that unless it gets training=self.training, and so does an "
    "nn.Dropout that forward makes anew each time. Make nn.Dropout once in __init__: eval() then switches it off.",
)
class DropoutInEvaluationToo(Plain):
    def drop(self, hidden):
        return F.dropout(hidden, self.dropout)


@misconception(
    "dropout-is-the-share-kept",
    "You keep the share `dropout` and drop the rest. dropout=0.25 drops a quarter.",
)
class DropoutIsTheShareKept(Plain):
    def drop(self, hidden):
        return F.dropout(hidden, 1 - self.dropout if self.dropout else 0.0, self.training)


@misconception(
    "dropout-not-scaled-up",
    "The hidden numbers that you keep stay as they are, so training and evaluation differ in size. The kept ones are "
    "divided by 1 − dropout; nn.Dropout does that.",
)
class DropoutNotScaledUp(Plain):
    def drop(self, hidden):
        return super().drop(hidden) * (1 - self.dropout) if self.training else hidden


@misconception(
    "biases-left-out",
    "Your two maps have no bias. This exercise asks for nn.Linear with its bias, both times.",
)
class BiasesLeftOut(Plain):
    def build(self, d_model, d_ff):
        self.linear1, self.linear2 = nn.Linear(d_model, d_ff, bias=False), nn.Linear(d_ff, d_model, bias=False)


@misconception(
    "put-into-a-sequential",
    "The parameters of an nn.Sequential are called 0, 1, 2, … So that anybody's weights can be loaded, this exercise "
    "asks for the attributes linear1 and linear2.",
)
class PutIntoASequential(Plain):
    def build(self, d_model, d_ff):
        self.net = nn.Sequential(nn.Linear(d_model, d_ff), nn.ReLU(), nn.Dropout(), nn.Linear(d_ff, d_model))


@misconception(
    "named-fc",
    "Your two maps have other names. So that anybody's weights can be loaded, this exercise asks for the attributes "
    "linear1 and linear2.",
)
class NamedFc(Plain):
    def build(self, d_model, d_ff):
        self.fc1, self.fc2 = nn.Linear(d_model, d_ff), nn.Linear(d_ff, d_model)


@misconception(
    "named-w",
    "You named the maps after the paper's W₁ and W₂. So that anybody's weights can be loaded, this exercise asks for "
    "the attributes linear1 and linear2.",
)
class NamedW(Plain):
    def build(self, d_model, d_ff):
        self.w_1, self.w_2 = nn.Linear(d_model, d_ff), nn.Linear(d_ff, d_model)


@misconception(
    "widths-swapped",
    "linear1 goes from d_ff to d_model and linear2 back. A token comes in with d_model numbers: nn.Linear(d_model, "
    "d_ff) first, nn.Linear(d_ff, d_model) second.",
)
class WidthsSwapped(Plain):
    def build(self, d_model, d_ff):
        super().build(d_ff, d_model)


@misconception(
    "d-ff-ignored",
    "Both your maps are d_model wide. The layer between them has d_ff numbers, as many as the caller says.",
)
class DFfIgnored(Plain):
    def build(self, d_model, d_ff):
        super().build(d_model, d_model)


@misconception(
    "four-times-d-model",
    "Your wide layer always has 4 · d_model numbers. That is the paper's choice, but here the caller chooses: d_ff.",
)
class FourTimesDModel(Plain):
    def build(self, d_model, d_ff):
        super().build(d_model, 4 * d_model)


@misconception(
    "super-init-forgotten",
    "nn.Module has to be set up before anything is assigned: call super().__init__() as the first line of __init__.",
)
class SuperInitForgotten(nn.Module):
    def __init__(self, d_model, d_ff, dropout=0.0):
        self.linear1 = nn.Linear(d_model, d_ff)


class AllInline(nn.Module):
    """Another right answer: dropout before the ReLU. Both only set to zero or scale, so their order is free."""

    def __init__(self, d_model, d_ff, dropout=0.0):
        super().__init__()
        self.linear2 = nn.Linear(d_ff, d_model)
        self.linear1 = nn.Linear(d_model, d_ff)
        self.relu, self.dropout = nn.ReLU(), nn.Dropout(dropout)

    def forward(self, x):
        return self.linear2(self.relu(self.dropout(self.linear1(x))))


class ByEinsum(nn.Module):
    """Another right answer: both maps by einsum, the ReLU by clamp, dropout by hand."""

    def __init__(self, d_model, d_ff, dropout=0.0):
        super().__init__()
        self.linear1, self.linear2, self.dropout = nn.Linear(d_model, d_ff), nn.Linear(d_ff, d_model), dropout

    def forward(self, x):
        hidden = (torch.einsum("...d,fd->...f", x, self.linear1.weight) + self.linear1.bias).clamp_min(0.0)
        if self.training and self.dropout:
            hidden = hidden * (torch.rand(hidden.shape) >= self.dropout) / (1 - self.dropout)
        return torch.einsum("...f,df->...d", hidden, self.linear2.weight) + self.linear2.bias


EXERCISE = Exercise(
    name="FeedForward",
    lesson="04_encoder_decoder",
    kind="write",
    points=2,
    difficulty=2,
    minutes=10,
    asks="Write the feed-forward network as a torch.nn.Module: linear1, ReLU, dropout, linear2.",
    reference=reference,
    returns=("output",),
    cases=(
        Case("one token of width 2", drawn(1, 1, 2, d_ff=5), ask=outputs_and_gradients),
        Case("three tokens", drawn(1, 3, 4, d_ff=6), ask=outputs_and_gradients),
        Case("a wide layer as wide as the token", drawn(2, 3, 4, d_ff=4), ask=outputs_and_gradients),
        Case("a wide layer that is narrow", drawn(2, 2, 6, d_ff=2), ask=outputs_and_gradients),
        Case("large numbers", drawn(2, 3, 4, d_ff=6, size=30.0), "a ReLU has no upper end", ask=outputs_and_gradients),
        Case("two objects at once", drawn(2, 3, 4, d_ff=6), "each has its own weights", ask=two_objects),
        Case(
            "dropout=0.25: what happens to the hidden numbers",
            that_shows_its_hidden_layer,
            "without dropout each of them is 1 here, and linear2 lets you see them",
            ask=dropped_by_feed_forward,
        ),
        Case(
            "dropout=0.5: training and evaluation",
            drawn(2, 3, 8, d_ff=12, dropout=0.5),
            "training drops anew in each call, evaluation never",
            ask=same_and_other_seeds,
        ),
        Case("dropout=0.5, in evaluation", drawn(1, 3, 4, d_ff=6, dropout=0.5), ask=outputs_in_evaluation),
        Case("single precision", drawn(2, 3, 4, d_ff=6, dtype=torch.float32), ask=output_alone),
        Case("a transposed view", not_contiguous, "not contiguous in memory", ask=output_alone),
    ),
    properties=(
        Property("without biases, twice the token gives twice the output", twice_the_token_gives_twice_the_output),
    ),
    misconceptions=(
        NoRelu,
        ReluAtTheEnd,
        ReluAtTheEndAlone,
        ReluFirst,
        Gelu,
        Relu6,
        Sigmoid,
        Tanh,
        ResidualAdded,
        DropoutLeftOut,
        DropoutOnTheOutput,
        DropoutOnHiddenAndOutput,
        DropoutOnTheInput,
        DropoutInEvaluationToo,
        DropoutIsTheShareKept,
        DropoutNotScaledUp,
        BiasesLeftOut,
        PutIntoASequential,
        NamedFc,
        NamedW,
        WidthsSwapped,
        DFfIgnored,
        FourTimesDModel,
        SuperInitForgotten,
    ),
    alternatives=(Plain, AllInline, ByEinsum),
    parameters=("x",),
    hints=(
        "Two nn.Linear, made in __init__, and between them what keeps two linear maps from being one.",
        "__init__ makes linear1 from d_model to d_ff, linear2 back, and an nn.Dropout. forward sends x through "
        "linear1, ReLU, dropout and linear2, in this order. nn.Linear works on the last axis, so no reshape is needed.",
        "return self.linear2(self.dropout(torch.relu(self.linear1(x))))",
    ),
)
