"""layer_norm: mean 0 and variance 1 for each token, then a scale and a shift."""

import torch

from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception
from clearformer.checks.modules import tensor
from clearformer.nn.norm import layer_norm as reference


def output_and_gradients(answer, call):
    x = call.args[0]
    grad_output = torch.linspace(-1.0, 2.0, x.numel(), dtype=x.dtype).view_as(x)
    output, gradients = answer.call_with_gradients(call.args, grad_output, call.kwargs)
    names = ("x", "weight", "bias")
    return {"output": output} | {f"gradient of {name}": found for name, found in zip(names, gradients[:3], strict=True)}


def output_alone(answer, call):
    return {"output": answer.call(*call.args, **call.kwargs)}


def plain_weights(width, dtype=torch.float64):
    return torch.ones(width, dtype=dtype), torch.zeros(width, dtype=dtype)


def mean_and_variance_are_those_asked_for(answer, rng):
    x = tensor(rng, 3, 4, 5, size=7.0) + 2.0
    y = answer.call(x, *plain_weights(5), eps=1e-12)
    mean, variance = y.mean(dim=-1).abs().max(), y.var(dim=-1, correction=0)
    if mean > 1e-9:
        return f"with weight 1 and bias 0, a token has the mean {float(mean):.2g}, not 0"
    gap = float((variance - 1).abs().max())
    return None if gap < 1e-9 else f"with weight 1 and bias 0, the variance of a token is {gap:.2g} away from 1"


def a_token_knows_nothing_of_the_others(answer, rng):
    x, weight, bias = tensor(rng, 2, 3, 4), tensor(rng, 4), tensor(rng, 4)
    other = x.clone()
    other[1] += tensor(rng, 3, 4)
    other[0, 2] += tensor(rng, 4)
    gap = float((answer.call(x, weight, bias) - answer.call(other, weight, bias))[0, :2].abs().max())
    return None if gap < 1e-9 else f"other tokens were changed, and this one moved by {gap:.2g}"


def shifting_and_stretching_a_token_changes_nothing(answer, rng):
    x, weight, bias = tensor(rng, 4, 6), tensor(rng, 6), tensor(rng, 6)
    gap = float((answer.call(x, weight, bias, 0.0) - answer.call(3.0 * x + 8.0, weight, bias, 0.0)).abs().max())
    return None if gap < 1e-9 else f"a token that was stretched by 3 and shifted by 8 came out {gap:.2g} away, eps = 0"


# Wrong answers: the plain right one, with one part in another form ------------------------------------------------


def in_full(x):
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def last_mean(x):
    return x.mean(dim=-1, keepdim=True)


def root(centred, eps):
    return (centred.square().mean(dim=-1, keepdim=True) + eps).sqrt()


def scaled(normed, weight, bias):
    return normed * weight + bias


def variant(*, wide=in_full, mean=last_mean, deviation=root, finish=scaled):
    def layer_norm(x, weight, bias, eps=1e-5):
        start = wide(x)
        centred = start - mean(start)
        return finish(centred / deviation(centred, eps), weight, bias).to(x.dtype)

    return layer_norm


def wrong(slug, says, **changes):
    return misconception(slug, says)(variant(**changes))


def unbiased(centred):
    return centred.square().sum(dim=-1, keepdim=True) / (centred.shape[-1] - 1)


def biased(centred):
    return centred.square().mean(dim=-1, keepdim=True)


unbiased_and_outside = wrong(
    "unbiased-and-eps-outside",
    "Two things differ from nn.LayerNorm. Your variance divides by d_model - 1, as x.std() does; it has to divide by "
    "d_model (correction=0). And you add eps to the deviation; it belongs to the variance, inside the root.",
    deviation=lambda centred, eps: unbiased(centred).sqrt() + eps,
)
unbiased_variance = wrong(
    "unbiased-variance",
    "Your variance divides by d_model - 1, as x.var() and x.std() do. Layer norm describes these numbers, and does not "
    "estimate anything from them: divide by d_model (correction=0).",
    deviation=lambda centred, eps: (unbiased(centred) + eps).sqrt(),
)
eps_outside = wrong(
    "eps-outside-the-root",
    "You add eps to the deviation. It belongs to the variance, inside the root: sqrt(variance + eps). For a token "
    "whose numbers hardly differ that is another result, and where they are all alike the gradient is huge or NaN.",
    deviation=lambda centred, eps: biased(centred).sqrt() + eps,
)
eps_squared = wrong(
    "eps-squared",
    "You add eps² inside the root. This exercise adds eps itself, as nn.LayerNorm does.",
    deviation=lambda centred, eps: (biased(centred) + eps**2).sqrt(),
)
eps_fixed = wrong(
    "eps-not-used",
    "You always add 0.00001. The caller may ask for another eps: use the argument.",
    deviation=lambda centred, eps: root(centred, 1e-5),
)
eps_left_out = wrong(
    "eps-left-out",
    "eps is missing. A token whose numbers are all alike has variance 0, and 0 / 0 is NaN.",
    deviation=lambda centred, eps: root(centred, 0.0),
)
eps_as_floor = wrong(
    "eps-as-a-floor",
    "You take the larger of variance and eps. This exercise adds the two, as nn.LayerNorm does.",
    deviation=lambda centred, eps: biased(centred).clamp(min=eps).sqrt(),
)
by_the_variance = wrong(
    "divided-by-the-variance",
    "You divide by the variance. The deviation is its root; divided by it, the variance becomes 1.",
    deviation=lambda centred, eps: biased(centred) + eps,
)
mean_kept = wrong(
    "mean-not-subtracted",
    "You divide by the deviation but leave the mean in. Subtract each token's mean first.",
    mean=lambda x: 0.0 * x[..., :1],
    deviation=lambda x, eps: (x.var(dim=-1, correction=0, keepdim=True) + eps).sqrt(),
)
root_mean_square = wrong(
    "rms-norm",
    "You divide by the root of the mean square, without subtracting the mean. That is RMSNorm, another norm (lesson 10 "
    "has it). Layer norm subtracts each token's mean first.",
    mean=lambda x: 0.0 * x[..., :1],
)
no_deviation = wrong(
    "not-divided",
    "You subtract the mean and leave the size as it is. Divide by the deviation too.",
    deviation=lambda centred, eps: 1.0,
)
over_the_batch = wrong(
    "over-the-first-axis",
    "Your mean runs over the first axis: the sentences of a batch get mixed. That is closer to batch norm. Each token "
    "is normed by itself, over its own width: dim=-1.",
    mean=lambda x: x.mean(dim=0, keepdim=True),
    deviation=lambda centred, eps: (centred.square().mean(dim=0, keepdim=True) + eps).sqrt(),
)
over_the_sequence = wrong(
    "over-the-sequence",
    "Your mean runs over the tokens of a sentence (dim=-2). Each token is normed by itself, over its own width: "
    "dim=-1. Over the sequence, a token would also learn of those that come later.",
    mean=lambda x: x.mean(dim=max(-2, -x.ndim), keepdim=True),
    deviation=lambda centred, eps: (centred.square().mean(dim=max(-2, -centred.ndim), keepdim=True) + eps).sqrt(),
)
over_everything = wrong(
    "over-everything",
    "You take one mean and one variance of all numbers. Each token has its own, over its width: dim=-1, with "
    "keepdim=True.",
    mean=lambda x: x.mean(),
    deviation=lambda centred, eps: (centred.square().mean() + eps).sqrt(),
)
no_weight = wrong(
    "no-scale-and-shift",
    "weight and bias are missing. Multiply what was normed by weight and add bias.",
    finish=lambda normed, weight, bias: normed + 0.0 * (weight + bias),
)
bias_first = wrong(
    "bias-before-weight",
    "You add bias before you multiply by weight. Scale first, then shift: normed * weight + bias.",
    finish=lambda normed, weight, bias: (normed + bias) * weight,
)
one_plus_weight = wrong(
    "one-plus-weight",
    "You multiply by 1 + weight. Some libraries store the weight that way; this exercise multiplies by weight itself.",
    finish=lambda normed, weight, bias: normed * (1 + weight) + bias,
)
in_half = wrong(
    "squares-overflow-in-half-precision",
    "In float16 nothing above 65,504 exists, so the square of 300 is infinite. Take x.float() at the start, and go "
    "back to x's dtype at the end.",
    wide=lambda x: x,
)


@misconception(
    "constant-statistics",
    "The numbers are right, but no gradient flows through the mean and the deviation. Both depend on x: leave out "
    "detach and no_grad.",
)
def constant_statistics(x, weight, bias, eps=1e-5):
    start = in_full(x)
    with torch.no_grad():
        mean = last_mean(start)
        deviation = root(start - mean, eps)
    return ((start - mean) / deviation * weight + bias).to(x.dtype)


@misconception(
    "difference-of-squares",
    "You take the variance as mean of the squares minus square of the mean. Far from 0 these are two huge numbers that "
    "are nearly equal, and their difference has no right digit left. Subtract the mean first, then square.",
)
def difference_of_squares(x, weight, bias, eps=1e-5):
    start = in_full(x)
    mean = last_mean(start)
    variance = start.square().mean(dim=-1, keepdim=True) - mean.square()
    return ((start - mean) / (variance + eps).sqrt() * weight + bias).to(x.dtype)


@misconception(
    "wider-dtype-returned",
    "The numbers are right, but for half precision you return float32. Give back x's dtype: .to(x.dtype).",
)
def wider_dtype_returned(x, weight, bias, eps=1e-5):
    start = in_full(x)
    centred = start - last_mean(start)
    return centred / root(centred, eps) * in_full(weight) + in_full(bias)


def by_var_mean(x, weight, bias, eps=1e-5):
    """Another right answer: torch's own variance, in float64, and rsqrt."""
    start = x.double()
    variance, mean = torch.var_mean(start, dim=-1, correction=0, keepdim=True)
    return ((start - mean) * torch.rsqrt(variance + eps) * weight.double() + bias.double()).to(x.dtype)


def token_by_token(x, weight, bias, eps=1e-5):
    """Another right answer: one token after the other."""
    tokens = []
    for token in x.reshape(-1, x.shape[-1]).unbind():
        wide = token.to(torch.promote_types(token.dtype, torch.float32))
        centred = wide - wide.sum() / len(wide)
        variance = (centred @ centred) / len(wide)
        tokens.append((weight * (centred / torch.sqrt(variance + eps)) + bias).to(x.dtype))
    return torch.stack(tokens).reshape(x.shape)


def drawn(*shape, size=1.0, far=0.0, dtype=torch.float64, eps=None, turned=False):
    def draw(rng):
        x = tensor(rng, *shape, size=size, dtype=torch.float64) + far
        x = x.transpose(0, 1) if turned else x
        weight, bias = tensor(rng, shape[-1]) + 0.5, tensor(rng, shape[-1])
        return Call(x.to(dtype), weight.to(dtype), bias.to(dtype), **({} if eps is None else {"eps": eps}))

    return draw


def all_alike(rng):
    x = tensor(rng, 2, 4)
    x[1] = 3.0
    return Call(x, tensor(rng, 4), tensor(rng, 4))


EXERCISE = Exercise(
    name="layer_norm",
    lesson="07_pre_norm_post_norm",
    kind="write",
    points=2,
    difficulty=2,
    minutes=12,
    asks="Give each token mean 0 and variance 1 over its width, then scale by weight and shift by bias.",
    reference=reference,
    returns=("output",),
    cases=(
        Case("two tokens of width 4", drawn(2, 4), ask=output_and_gradients),
        Case("one token alone", drawn(5), "x has shape (d_model,)", ask=output_and_gradients),
        Case("a batch of two sentences", drawn(2, 3, 4), ask=output_and_gradients),
        Case("as many sentences and tokens as the width", drawn(3, 3, 3), "here every axis fits"),
        Case("width 1", drawn(3, 1), "the variance is 0", ask=output_and_gradients),
        Case("a token whose numbers are all alike", all_alike, "its variance is 0", ask=output_and_gradients),
        Case("numbers that hardly differ", drawn(2, 4, size=0.003), "the variance is about as large as eps"),
        Case("another eps", drawn(2, 3, 4, eps=0.3)),
        Case("far from 0", drawn(2, 6, far=1e5), "the mean is much larger than the deviation"),
        Case("not contiguous", drawn(3, 2, 4, turned=True)),
        Case("single precision", drawn(2, 3, 8, dtype=torch.float32), ask=output_and_gradients),
        Case("half precision, numbers in the hundreds", drawn(2, 8, size=300.0, dtype=torch.float16)),
        Case("bfloat16", drawn(2, 8, dtype=torch.bfloat16)),
    ),
    properties=(
        Property("a token has mean 0 and variance 1", mean_and_variance_are_those_asked_for),
        Property("a token knows nothing of the others", a_token_knows_nothing_of_the_others),
        Property("shifting and stretching a token changes nothing", shifting_and_stretching_a_token_changes_nothing),
    ),
    misconceptions=(
        unbiased_and_outside,
        unbiased_variance,
        eps_outside,
        eps_squared,
        eps_fixed,
        eps_left_out,
        eps_as_floor,
        by_the_variance,
        mean_kept,
        root_mean_square,
        no_deviation,
        over_the_batch,
        over_the_sequence,
        over_everything,
        no_weight,
        bias_first,
        one_plus_weight,
        in_half,
        constant_statistics,
        difference_of_squares,
        wider_dtype_returned,
    ),
    alternatives=(variant(), by_var_mean, token_by_token),
    forbidden=(
        "torch.nn.functional.layer_norm",
        "torch.nn.functional.group_norm",
        "torch.nn.functional.instance_norm",
        "torch.nn.functional.batch_norm",
        "torch.layer_norm",
        "torch.native_layer_norm",
        "torch.group_norm",
        "torch.instance_norm",
        "torch.batch_norm",
        "torch.nn.LayerNorm",
        "torch.nn.GroupNorm",
    ),
    hints=(
        "Each token is a row of d_model numbers. Which two numbers describe where a row lies and how far it spreads?",
        "Subtract each row's mean, divide by the root of (mean of the squares + eps), multiply by weight, add bias. "
        "keepdim=True keeps an axis to divide along.",
        "centred / (centred.square().mean(dim=-1, keepdim=True) + eps).sqrt() * weight + bias",
    ),
)
