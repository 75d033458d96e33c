"""pre_norm: the norm, then a sublayer, and the way around both."""

import torch

from clearformer.checks.catalogue.lesson_07_pre_norm_post_norm.around_a_sublayer import CASES, CONNECT, norm, zero
from clearformer.checks.exercise import Exercise, Misconception, Property, misconception
from clearformer.checks.given import Layer, with_weights
from clearformer.checks.modules import tensor
from clearformer.nn.norm import pre_norm as reference


def x_passes_unchanged(answer, rng):
    x = tensor(rng, 2, 6, size=4.0)
    gap = float((answer.call(x, zero(6), norm(rng, 6)) - x).detach().abs().max())
    return None if gap < 1e-9 else f"the sublayer gives 0, and x does not come out as it went in: {gap:.2g} away"


def what_is_added_does_not_depend_on_the_size_of_x(answer, rng):
    sublayer = with_weights(rng, Layer("Linear", 6, 6, label="sublayer"))
    x, plain = tensor(rng, 2, 6), Layer("LayerNorm", 6, eps=0.0, label="norm")
    small, large = (answer.call(factor * x, sublayer, plain) - factor * x for factor in (1.0, 10.0))
    gap = float((small - large).detach().abs().max())
    return None if gap < 1e-7 else f"for 10 x, another change was added than for x (by {gap:.2g}): x was not normed"


def as_wrong(slug, formula, says):
    return Misconception(slug, formula, says)


def norm_called_twice(x, sublayer, norm):
    return x + sublayer(norm(norm(x)))


MISCONCEPTIONS = (
    as_wrong(
        "no-residual",
        lambda x, sublayer, norm: sublayer(norm(x)),
        "The residual connection is missing: you return the sublayer's output alone. Add x, as it came in.",
    ),
    as_wrong(
        "post-norm",
        lambda x, sublayer, norm: norm(x + sublayer(x)),
        "This is post-norm, that of 2017: the norm comes last. In pre-norm it stands before the sublayer, and what "
        "comes out is the plain sum.",
    ),
    as_wrong(
        "residual-from-the-normed-x",
        lambda x, sublayer, norm: norm(x) + sublayer(norm(x)),
        "You add the normed x. The way around begins before the norm: add x as it came in. Otherwise nothing passes "
        "from layer to layer unchanged, which is the point of pre-norm.",
    ),
    as_wrong(
        "residual-from-the-normed-x-kept",
        lambda x, sublayer, norm: (lambda normed: normed + sublayer(normed))(norm(x)),
        "You norm x once, and use the normed x for both ways. Only the sublayer sees it: add x as it came in. "
        "Otherwise nothing passes from layer to layer unchanged, which is the point of pre-norm.",
    ),
    as_wrong(
        "norm-after-the-sublayer",
        lambda x, sublayer, norm: x + norm(sublayer(x)),
        "You norm what the sublayer returns. In pre-norm the norm comes before it: sublayer(norm(x)).",
    ),
    as_wrong(
        "norm-before-and-after",
        lambda x, sublayer, norm: norm(x + sublayer(norm(x))),
        "The norm before the sublayer is right. The second one, around the sum, is one too many: the stack has a "
        "single further norm, after its last layer.",
    ),
    as_wrong(
        "no-norm",
        lambda x, sublayer, norm: x + sublayer(x),
        "The norm is missing: the sublayer has to see norm(x).",
    ),
    as_wrong(
        "only-the-norm-goes-around",
        lambda x, sublayer, norm: sublayer(x + norm(x)),
        "Your sum stands inside the sublayer. Its output is what x is added to.",
    ),
    as_wrong(
        "residual-cut-off-from-the-gradient",
        lambda x, sublayer, norm: x.detach() + sublayer(norm(x)),
        "The numbers are right, but no gradient flows along the way around the sublayer, which is what that way is "
        "there for. Leave out detach.",
    ),
    as_wrong(
        "difference",
        lambda x, sublayer, norm: x - sublayer(norm(x)),
        "You subtract the sublayer's output. It is added to x.",
    ),
    as_wrong(
        "normed-twice-over",
        norm_called_twice,
        "You call norm twice. One call, on x, is enough.",
    ),
    as_wrong(
        "sublayer-called-twice",
        lambda x, sublayer, norm: x + 0.5 * (sublayer(norm(x)) + sublayer(norm(x))),
        "You call sublayer and norm twice. A sublayer is most of the work of a layer, and with dropout it returns "
        "something else each time. Call each once.",
    ),
)


@misconception(
    "x-changed-in-place",
    "You change x in place (x += …, or x.add_). Whoever gave it to you still needs it, and torch refuses to for a "
    "tensor that wants a gradient. Write x + … instead.",
)
def x_changed_in_place(x, sublayer, norm):
    x += sublayer(norm(x))
    return x


def step_by_step(x, sublayer, norm):
    """Another right answer: in steps, and without the operator."""
    normed = norm(x)
    return torch.add(sublayer(normed), x)


EXERCISE = Exercise(
    name="pre_norm",
    lesson="07_pre_norm_post_norm",
    kind="write",
    points=1,
    difficulty=1,
    minutes=5,
    asks="Put the norm, the sublayer and the way around them together: the norm comes first, the sum last.",
    reference=reference,
    returns=("output",),
    cases=CASES,
    properties=(
        Property("where the sublayer gives nothing, x passes unchanged", x_passes_unchanged),
        Property("what is added does not depend on the size of x", what_is_added_does_not_depend_on_the_size_of_x),
    ),
    misconceptions=(*MISCONCEPTIONS, x_changed_in_place),
    alternatives=(lambda x, sublayer, norm: sublayer(norm(x)) + x, step_by_step),
    forbidden=(CONNECT,),
    hints=(
        "The sublayer sees the normed x. What does the way around it carry: the normed x, or x as it came in?",
        "Norm x, give that to the sublayer, and add x itself to what comes back.",
        "x + sublayer(norm(x))",
    ),
)
