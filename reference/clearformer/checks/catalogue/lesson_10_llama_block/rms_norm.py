"""rms_norm: each token divided by the root of its mean square, then scaled."""

import torch

from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception
from clearformer.checks.modules import tensor
from clearformer.nn.rms_norm import rms_norm as reference


def output_and_gradients(answer, call):
    x = call.args[0]
    grad_output = torch.linspace(-1.0, 2.0, x.numel(), dtype=x.dtype).view_as(x)
    output, gradients = answer.call_with_gradients(call.args, grad_output, call.kwargs)
    return {"output": output, "gradient of x": gradients[0], "gradient of weight": gradients[1]}


def output_alone(answer, call):
    return {"output": answer.call(*call.args, **call.kwargs)}


def the_size_is_one(answer, rng):
    x = tensor(rng, 3, 4, 5, size=7.0) + 2.0
    sizes = answer.call(x, torch.ones(5).double(), eps=1e-12).square().mean(dim=-1)
    gap = float((sizes - 1).abs().max())
    return None if gap < 1e-9 else f"with weight 1, the mean square of a token is {gap:.2g} away from 1"


def stretching_a_token_changes_nothing(answer, rng):
    x, weight = tensor(rng, 4, 6), tensor(rng, 6)
    gap = float((answer.call(x, weight, 0.0) - answer.call(30.0 * x, weight, 0.0)).abs().max())
    return None if gap < 1e-9 else f"a token that was stretched by 30 came out {gap:.2g} away, with eps = 0"


def a_token_knows_nothing_of_the_others(answer, rng):
    x, weight = tensor(rng, 2, 3, 4), tensor(rng, 4)
    other = x.clone()
    other[1] += tensor(rng, 3, 4)
    other[0, 2] += tensor(rng, 4)
    gap = float((answer.call(x, weight) - answer.call(other, weight))[0, :2].abs().max())
    return None if gap < 1e-9 else f"other tokens were changed, and this one moved by {gap:.2g}"


# Wrong answers: the plain right one, with one part in another form ------------------------------------------------


def in_full(x):
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def mean_square(x):
    return x.square().mean(dim=-1, keepdim=True)


def variant(*, wide=in_full, start=lambda x: x, size=mean_square, root=None, finish=None):
    root = root or (lambda square, eps: (square + eps).sqrt())
    finish = finish or (lambda normed, weight: normed * weight)

    def rms_norm(x, weight, eps=1e-6):
        full = start(wide(x))
        return finish(full / root(size(full), eps), weight).to(x.dtype)

    return rms_norm


def wrong(slug, says, **changes):
    return misconception(slug, says)(variant(**changes))


def centred(x):
    return x - x.mean(dim=-1, keepdim=True)


def variance(x):
    return x.var(dim=-1, correction=0, keepdim=True)


layer_norm = wrong(
    "layer-norm",
    "You subtract the mean first: that is layer norm without its shift. RMSNorm leaves the mean where it is, and "
    "divides by the root of the mean square.",
    start=centred,
)
by_the_deviation = wrong(
    "divided-by-the-deviation",
    "You divide by the deviation, which measures distances from the mean. RMSNorm has no mean in it at all: take the "
    "mean of x's own squares.",
    size=variance,
)
no_root = wrong(
    "root-forgotten",
    "You divide by the mean square itself. Its root is missing: twice the token then gives half the result, where it "
    "should give the same.",
    root=lambda square, eps: square + eps,
)
sum_of_squares = wrong(
    "sum-instead-of-mean",
    "You divide by the root of the sum of the squares, the token's length. RMSNorm takes their mean: your numbers are "
    "too small by the root of d_model.",
    size=lambda x: x.square().sum(dim=-1, keepdim=True),
)
by_the_length = wrong(
    "divided-by-the-length",
    "You divide by the token's length, the root of the sum of its squares. RMSNorm takes the mean of the squares: your "
    "numbers are too small by the root of d_model. And eps is missing, so a token of zeros gives NaN.",
    size=lambda x: x.square().sum(dim=-1, keepdim=True),
    root=lambda square, eps: square.sqrt(),
)
one_less = wrong(
    "divided-by-one-less",
    "Your mean divides by d_model - 1. Nothing is estimated here: the mean of d_model squares divides by d_model.",
    size=lambda x: x.square().sum(dim=-1, keepdim=True) / max(x.shape[-1] - 1, 1),
)
mean_of_sizes = wrong(
    "mean-of-absolute-values",
    "You take the mean of the absolute values. The root mean square squares first, takes the mean, then the root.",
    size=lambda x: x.abs().mean(dim=-1, keepdim=True).square(),
)
eps_outside = wrong(
    "eps-outside-the-root",
    "You add eps after the root. It belongs inside: sqrt(mean square + eps). For a token of small numbers the result "
    "is another, and for a token of zeros the gradient is NaN.",
    root=lambda square, eps: square.sqrt() + eps,
)
eps_fixed = wrong(
    "eps-not-used",
    "You always add 0.000001. The caller may ask for another eps: use the argument.",
    root=lambda square, eps: (square + 1e-6).sqrt(),
)
eps_left_out = wrong(
    "eps-left-out",
    "eps is missing. A token of zeros, as padding often is, gives 0 / 0, which is NaN.",
    root=lambda square, eps: square.sqrt(),
)
eps_as_floor = wrong(
    "eps-as-a-floor",
    "You take the larger of mean square and eps. This exercise adds the two, as nn.RMSNorm does.",
    root=lambda square, eps: square.clamp(min=eps).sqrt(),
)
no_weight = wrong(
    "no-weight",
    "weight is missing: multiply what was normed by it, number by number.",
    finish=lambda normed, weight: normed + 0.0 * weight,
)
one_plus_weight = wrong(
    "one-plus-weight",
    "You multiply by 1 + weight. Some models store the weight that way (Gemma does); this exercise multiplies by "
    "weight itself, as LLaMA does.",
    finish=lambda normed, weight: normed * (1 + weight),
)
over_the_sequence = wrong(
    "over-the-sequence",
    "Your mean runs over the tokens of a sentence (dim=-2). Each token is normed by itself, over its own width: "
    "dim=-1. Over the sequence, a token would also learn of those that come later.",
    size=lambda x: x.square().mean(dim=max(-2, -x.ndim), keepdim=True),
)
over_everything = wrong(
    "over-everything",
    "You take one mean of all squares. Each token has its own, over its width: dim=-1, with keepdim=True.",
    size=lambda x: x.square().mean(),
)
in_half = wrong(
    "squares-overflow-in-half-precision",
    "In float16 nothing above 65,504 exists, so the square of 300 is infinite. Take x.float() at the start, and go "
    "back to x's dtype at the end.",
    wide=lambda x: x,
)
constant_size = wrong(
    "constant-size",
    "The numbers are right, but no gradient flows through the root mean square. It depends on x: leave out detach and "
    "no_grad.",
    root=lambda square, eps: (square + eps).sqrt().detach(),
)


@misconception(
    "wider-dtype-returned",
    "The numbers are right, but for half precision you return float32. Give back x's dtype: .to(x.dtype).",
)
def wider_dtype_returned(x, weight, eps=1e-6):
    full = in_full(x)
    return full / (mean_square(full) + eps).sqrt() * in_full(weight)


def by_rsqrt(x, weight, eps=1e-6):
    """Another right answer: in float64, with rsqrt."""
    full = x.double()
    return (full * torch.rsqrt(full.pow(2).mean(-1, keepdim=True) + eps) * weight).to(x.dtype)


def by_length(x, weight, eps=1e-6):
    """Another right answer: the length of the token from a matrix product."""
    full = in_full(x)
    square = (full.unsqueeze(-2) @ full.unsqueeze(-1)).squeeze(-1) / full.shape[-1]
    return (weight * (full / torch.sqrt(square + eps))).to(x.dtype)


def weight_in_half(x, weight, eps=1e-6):
    """Another right answer: back to half precision before the weight comes in, as some libraries do."""
    full = in_full(x)
    return weight * (full / (mean_square(full) + eps).sqrt()).to(x.dtype)


def drawn(*shape, size=1.0, far=0.0, **kwargs):
    def draw(rng):
        return Call(tensor(rng, *shape, size=size) + far, tensor(rng, shape[-1]), **kwargs)

    return draw


def with_zeros(rng):
    x = tensor(rng, 3, 4)
    x[1] = 0.0
    return Call(x, tensor(rng, 4))


def strided(rng):
    return Call(tensor(rng, 5, 2, 3).transpose(0, 2), tensor(rng, 5))


def in_dtype(dtype, size):
    def draw(rng):
        return Call(tensor(rng, 3, 16, size=size, dtype=dtype), tensor(rng, 16, dtype=dtype))

    return draw


EXERCISE = Exercise(
    name="rms_norm",
    lesson="10_llama_block",
    kind="write",
    points=1,
    difficulty=1,
    minutes=8,
    asks="Write RMSNorm: each token divided by the root of its mean square, then multiplied by weight.",
    reference=reference,
    returns=("output",),
    cases=(
        Case("two tokens of width 3", drawn(2, 3), ask=output_alone),
        Case("two tokens, and gradients", drawn(2, 3), ask=output_and_gradients),
        Case("a batch", drawn(2, 3, 4), "each token by itself", ask=output_and_gradients),
        Case("one token alone", drawn(4), ask=output_and_gradients),
        Case("numbers far from 0", drawn(2, 4, far=50.0), "the mean stays in", ask=output_and_gradients),
        Case(
            "small numbers", drawn(2, 4, size=0.001), "eps is as large as their mean square", ask=output_and_gradients
        ),
        Case("a token of zeros", with_zeros, "0 / 0 is NaN", ask=output_and_gradients),
        Case("another eps", drawn(2, 4, eps=0.5), ask=output_and_gradients),
        Case("width 1", drawn(3, 1), ask=output_and_gradients),
        Case("not contiguous", strided, ask=output_and_gradients),
        Case("half precision, numbers of some hundreds", in_dtype(torch.float16, 400.0), ask=output_alone),
        Case("single precision", in_dtype(torch.float32, 3.0), ask=output_and_gradients),
    ),
    properties=(
        Property("with weight 1 the mean square is 1", the_size_is_one),
        Property("stretching a token changes nothing", stretching_a_token_changes_nothing),
        Property("a token knows nothing of the others", a_token_knows_nothing_of_the_others),
    ),
    misconceptions=(
        layer_norm,
        by_the_deviation,
        no_root,
        sum_of_squares,
        by_the_length,
        one_less,
        mean_of_sizes,
        eps_outside,
        eps_fixed,
        eps_left_out,
        eps_as_floor,
        no_weight,
        one_plus_weight,
        over_the_sequence,
        over_everything,
        in_half,
        constant_size,
        wider_dtype_returned,
    ),
    alternatives=(by_rsqrt, by_length, weight_in_half),
    forbidden=("torch.rms_norm", "torch.nn.functional.rms_norm", "torch.nn.RMSNorm.forward"),
    hints=(
        "The name read from its end says the steps: square the numbers, take their mean, take the root. Then divide.",
        "x.square().mean(dim=-1, keepdim=True) has shape (..., 1). Add eps, take the root, divide x by it, multiply by "
        "weight. In half precision do all of this on x.float().",
        "(x / (x.square().mean(dim=-1, keepdim=True) + eps).sqrt() * weight).to(x.dtype)",
    ),
)
