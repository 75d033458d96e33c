"""post_norm: a sublayer, the way around it, and then the norm."""

import torch

from clearformer.checks.catalogue.lesson_07_pre_norm_post_norm.around_a_sublayer import (
    CASES,
    CONNECT,
    drawn,
    plain_norm,
    zero,
)
from clearformer.checks.exercise import Exercise, Misconception, Property, misconception
from clearformer.checks.modules import tensor
from clearformer.nn.norm import post_norm as reference


def what_comes_out_is_normed(answer, rng):
    x, sublayer, _ = drawn(2, 3, 6)(rng).args
    y = answer.call(5.0 * x, sublayer, plain_norm(6, eps=1e-12))
    mean, gap = float(y.mean(dim=-1).abs().max()), float((y.var(dim=-1, correction=0) - 1).abs().max())
    return None if max(mean, gap) < 1e-6 else (
        f"the norm has weight 1 and bias 0, and a token comes out with a mean up to {mean:.2g} and a variance up to "
        f"{gap:.2g} away from 1"
    )  # fmt: skip


def the_way_around_is_there(answer, rng):
    x = tensor(rng, 2, 6)
    one, other = (answer.call(each, zero(6), plain_norm(6)) for each in (x, -x))
    gap = float((one - other).abs().max())
    return None if gap > 1e-3 else "the sublayer gives 0, and x and -x have the same output: x itself is lost"


def as_wrong(slug, formula, says):
    return Misconception(slug, formula, says)


MISCONCEPTIONS = (
    as_wrong(
        "no-residual",
        lambda x, sublayer, norm: norm(sublayer(x)),
        "The residual connection is missing: you norm the sublayer's output alone. What was in x is lost. Add x to the "
        "sublayer's output before the norm.",
    ),
    as_wrong(
        "pre-norm",
        lambda x, sublayer, norm: x + sublayer(norm(x)),
        "This is pre-norm: the norm stands before the sublayer. In post-norm, that of 2017, the sublayer sees x as it "
        "is, and the norm comes last, after the sum.",
    ),
    as_wrong(
        "sublayer-normed-not-the-sum",
        lambda x, sublayer, norm: x + norm(sublayer(x)),
        "You norm what the sublayer returns, and then add x. Add first: post-norm norms the sum.",
    ),
    as_wrong(
        "each-normed-before-the-sum",
        lambda x, sublayer, norm: norm(x) + norm(sublayer(x)),
        "You norm x and the sublayer's output each by itself. Add them first, then norm the sum, once.",
    ),
    as_wrong(
        "norm-before-and-after",
        lambda x, sublayer, norm: norm(x + sublayer(norm(x))),
        "You norm twice: before the sublayer and after the sum. In post-norm the sublayer sees x as it is.",
    ),
    as_wrong(
        "residual-from-the-normed-x",
        lambda x, sublayer, norm: norm(x) + sublayer(norm(x)),
        "You norm x first and use that for both ways. In post-norm both ways begin with x as it is, and the norm comes "
        "last.",
    ),
    as_wrong(
        "no-norm",
        lambda x, sublayer, norm: x + sublayer(x),
        "The norm is missing. It comes last, around the sum.",
    ),
    as_wrong(
        "residual-around-the-norm",
        lambda x, sublayer, norm: x + norm(x + sublayer(x)),
        "You add x a second time, after the norm. In post-norm the norm is the last step.",
    ),
    as_wrong(
        "residual-twice",
        lambda x, sublayer, norm: norm(x + x + sublayer(x)),
        "x is in your sum twice. It goes around the sublayer once.",
    ),
    as_wrong(
        "difference",
        lambda x, sublayer, norm: norm(x - sublayer(x)),
        "You subtract the sublayer's output. It is added to x.",
    ),
    as_wrong(
        "residual-cut-off-from-the-gradient",
        lambda x, sublayer, norm: norm(x.detach() + sublayer(x)),
        "The numbers are right, but no gradient flows along the way around the sublayer, which is what that way is "
        "there for. Leave out detach.",
    ),
    as_wrong(
        "normed-twice-over",
        lambda x, sublayer, norm: norm(norm(x + sublayer(x))),
        "You call norm twice. One call, on the sum, is enough.",
    ),
    as_wrong(
        "sublayer-called-twice",
        lambda x, sublayer, norm: norm(x + 0.5 * (sublayer(x) + sublayer(x))),
        "You call sublayer twice. A sublayer is most of the work of a layer, and with dropout it returns something "
        "else each time. Call it once.",
    ),
)


def step_by_step(x, sublayer, norm):
    """Another right answer: in steps, and without the operator."""
    changed = sublayer(x)
    return norm(torch.add(changed, x))


@misconception(
    "x-changed-in-place",
    "You change x in place (x += …, or x.add_). Whoever gave it to you still needs it, and torch refuses to for a "
    "tensor that wants a gradient. Write x + … instead.",
)
def x_changed_in_place(x, sublayer, norm):
    x += sublayer(x)
    return norm(x)


EXERCISE = Exercise(
    name="post_norm",
    lesson="07_pre_norm_post_norm",
    kind="write",
    points=1,
    difficulty=1,
    minutes=5,
    asks="Put the sublayer, the way around it and the norm together as in 2017: the norm comes last.",
    reference=reference,
    returns=("output",),
    cases=CASES,
    properties=(
        Property("what comes out is normed", what_comes_out_is_normed),
        Property("x goes around the sublayer", the_way_around_is_there),
    ),
    misconceptions=(*MISCONCEPTIONS, x_changed_in_place),
    alternatives=(lambda x, sublayer, norm: norm(sublayer(x) + x), step_by_step),
    forbidden=(CONNECT,),
    hints=(
        "Three things happen: the sublayer works on x, x is added to what it returns, and the norm. Which is last?",
        "Call the sublayer with x, add x, and give the sum to the norm.",
        "norm(x + sublayer(x))",
    ),
)
