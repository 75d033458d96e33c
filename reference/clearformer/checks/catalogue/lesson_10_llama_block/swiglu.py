"""swiglu: a feed-forward sublayer in which one projection opens and closes the other."""

import torch
import torch.nn.functional as F

from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception
from clearformer.checks.modules import tensor
from clearformer.nn.swiglu import swiglu as reference

NAMES = ("x", "w_gate", "w_up", "w_down")


def output_and_gradients(answer, call):
    x = call.args[0]  # the output has its shape
    grad_output = torch.linspace(-1.0, 2.0, x.numel(), dtype=x.dtype).view_as(x)
    output, gradients = answer.call_with_gradients(call.args, grad_output)
    return {"output": output} | {f"gradient of {n}": g for n, g in zip(NAMES, gradients, strict=True)}


def twice_the_up_projection_is_twice_the_output(answer, rng):
    x, w_gate, w_up, w_down = drawn(2, 3, 4, d_ff=5)(rng).args
    gap = float((answer.call(x, w_gate, 2 * w_up, w_down) - 2 * answer.call(x, w_gate, w_up, w_down)).abs().max())
    return None if gap < 1e-9 else f"with 2 · w_up the output is {gap:.2g} away from twice as large"


def a_closed_gate_lets_nothing_through(answer, rng):
    x, _, w_up, w_down = drawn(2, 3, 4, d_ff=5)(rng).args
    size = float(answer.call(x, torch.zeros_like(w_up), w_up, w_down).abs().max())
    return None if size < 1e-9 else f"where w_gate is 0, SiLU gives 0, and yet the output reaches {size:.2g}"


# Wrong answers: the plain right one, with one part in another form ------------------------------------------------


def variant(*, gate=F.silu, up=lambda up: up, join=torch.mul, end=lambda y: y, swapped=False):
    def swiglu(x, w_gate, w_up, w_down):
        if swapped:
            w_gate, w_up = w_up, w_gate
        return end(join(gate(x @ w_gate), up(x @ w_up)) @ w_down)

    return swiglu


def wrong(slug, says, **changes):
    return misconception(slug, says)(variant(**changes))


swapped = wrong(
    "gate-and-up-swapped",
    "SiLU is taken of x @ w_up. It belongs to the gate: silu(x @ w_gate), and x @ w_up is left as it is. With weights "
    "of your own you would never notice, with somebody else's the results are wrong.",
    swapped=True,
)
sigmoid_gate = wrong(
    "sigmoid-alone",
    "Your gate is the sigmoid. That is the older gated linear unit, GLU. SiLU multiplies the sigmoid by its own input: "
    "z · sigmoid(z).",
    gate=torch.sigmoid,
)
gelu_gate = wrong(
    "gelu",
    "Your gate is GELU: that is GEGLU, which the same paper also tries. SwiGLU takes SiLU, z · sigmoid(z).",
    gate=F.gelu,
)
relu_gate = wrong(
    "relu",
    "Your gate is ReLU: that is ReGLU, which the same paper also tries. SwiGLU takes SiLU, z · sigmoid(z), which does "
    "not cut everything below 0 away.",
    gate=F.relu,
)
swish_of_another_size = wrong(
    "another-beta",
    "Your gate is z · sigmoid(1.702 z), an approximation of GELU. SwiGLU as LLaMA has it takes z · sigmoid(z).",
    gate=lambda z: z * torch.sigmoid(1.702 * z),
)
no_gate_function = wrong(
    "no-activation",
    "Your gate has no SiLU: the two projections are multiplied as they are. The paper calls that a bilinear layer. "
    "Take silu(x @ w_gate).",
    gate=lambda z: z,
)
silu_on_both = wrong(
    "silu-on-both",
    "SiLU is taken of both projections. It belongs to the gate alone; x @ w_up stays as it is.",
    up=F.silu,
)
added = wrong(
    "added",
    "You add the two projections. The gate multiplies: it decides, number by number, how much of x @ w_up passes.",
    join=torch.add,
)
up_left_out = wrong(
    "up-left-out",
    "w_up is not used: this is the feed-forward sublayer of 2017 with another activation. Multiply silu(x @ w_gate) by "
    "x @ w_up.",
    join=lambda gate, up: gate + 0.0 * up,
)
silu_of_the_product = wrong(
    "silu-of-the-product",
    "You multiply first and take SiLU of the product. SiLU comes first, on the gate alone; then multiply.",
    gate=lambda z: z,
    join=lambda gate, up: F.silu(gate * up),
)
silu_at_the_end = wrong(
    "silu-at-the-end-too",
    "SiLU is taken once more, of the output. What comes out of w_down is the result.",
    end=F.silu,
)
scaled = wrong(
    "divided-by-the-root-of-the-width",
    "Your output is smaller by the root of d_ff. That scale belongs to attention scores; there is none here.",
    join=lambda gate, up: gate * up / up.shape[-1] ** 0.5,
)
exponential_by_hand = wrong(
    "exponential-overflows",
    "The output is right, and the gradient is NaN where the gate is far below 0: there exp(-z) is infinite. Use "
    "torch.sigmoid or F.silu, which know how to avoid that.",
    gate=lambda z: z / (1 + torch.exp(-z)),
)


def by_sigmoid(x, w_gate, w_up, w_down):
    """Another right answer: SiLU from the sigmoid."""
    gate = x @ w_gate
    return torch.matmul(gate * torch.sigmoid(gate) * (x @ w_up), w_down)


def by_one_product(x, w_gate, w_up, w_down):
    """Another right answer: both projections in one matrix product."""
    gate, up = (x @ torch.cat([w_gate, w_up], dim=1)).chunk(2, dim=-1)
    return torch.einsum("...f,fd->...d", F.silu(gate) * up, w_down)


def drawn(*shape, d_ff, size=1.0, dtype=torch.float64):
    def draw(rng):
        width = shape[-1]
        weights = (tensor(rng, *each, dtype=dtype) for each in ((width, d_ff), (width, d_ff), (d_ff, width)))
        return Call(tensor(rng, *shape, size=size, dtype=dtype), *weights)

    return draw


def strided(rng):
    x = tensor(rng, 4, 3, 2).transpose(0, 2)
    return Call(x, tensor(rng, 6, 4).T, tensor(rng, 6, 4).T, tensor(rng, 4, 6).T)


EXERCISE = Exercise(
    name="swiglu",
    lesson="10_llama_block",
    kind="write",
    points=1,
    difficulty=1,
    minutes=8,
    asks="Write the gated feed-forward sublayer: silu(x @ w_gate) times x @ w_up, then w_down.",
    reference=reference,
    returns=("output",),
    cases=(
        Case("two tokens of width 3", drawn(2, 3, d_ff=4), ask=output_and_gradients),
        Case("a batch", drawn(2, 3, 4, d_ff=6), ask=output_and_gradients),
        Case("one token alone", drawn(3, d_ff=5), ask=output_and_gradients),
        Case("d_ff equal to d_model", drawn(2, 4, d_ff=4), "all weights have one shape then", ask=output_and_gradients),
        Case("small numbers", drawn(2, 4, d_ff=5, size=0.05), "SiLU is nearly z / 2 there", ask=output_and_gradients),
        Case(
            "large numbers, single precision",
            drawn(3, 4, d_ff=8, size=400.0, dtype=torch.float32),
            "the gate is far below 0 and far above",
            ask=output_and_gradients,
        ),
        Case("not contiguous", strided, ask=output_and_gradients),
        Case("half precision", drawn(2, 4, d_ff=6, size=0.5, dtype=torch.bfloat16)),
    ),
    properties=(
        Property("twice w_up gives twice the output", twice_the_up_projection_is_twice_the_output),
        Property("a gate of 0 lets nothing through", a_closed_gate_lets_nothing_through),
    ),
    misconceptions=(
        swapped,
        sigmoid_gate,
        gelu_gate,
        relu_gate,
        swish_of_another_size,
        no_gate_function,
        silu_on_both,
        added,
        up_left_out,
        silu_of_the_product,
        silu_at_the_end,
        scaled,
        exponential_by_hand,
    ),
    alternatives=(by_sigmoid, by_one_product),
    hints=(
        "Two projections of the same x, both (..., d_ff). One becomes the gate, the other is what passes through it.",
        "gate = silu(x @ w_gate), where silu(z) = z · sigmoid(z). Multiply it by x @ w_up, number by number, and bring "
        "the product back to d_model with w_down.",
        "(F.silu(x @ w_gate) * (x @ w_up)) @ w_down",
    ),
)
