"""softmax: from scores to weights."""

import numpy as np

from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception
from clearformer.numpy.attention import softmax as reference


def rows_sum_to_one(answer, rng):
    weights = answer.call(rng.normal(size=(3, 4, 5)))
    largest = np.abs(weights.sum(axis=-1) - 1).max()
    return None if largest < 1e-9 else f"one row sums to {1 + largest:.4f}"


def a_constant_changes_nothing(answer, rng):
    scores = rng.normal(size=(4, 6))
    shift = np.abs(answer.call(scores) - answer.call(scores + 100.0)).max()
    return None if shift < 1e-9 else f"adding 100 to every score moved a weight by {shift:.2g}"


@misconception(
    "no-maximum-subtracted",
    "Your formula is right, but exp overflows for large scores: exp(1000) is infinite, and infinity divided "
    "by infinity is NaN. Subtracting the same number from every score of a slice changes no weight. "
    "Subtract the largest one first.",
)
def no_maximum_subtracted(x, axis=-1):
    exponentials = np.exp(x)
    return exponentials / exponentials.sum(axis=axis, keepdims=True)


@misconception(
    "one-maximum-for-all",
    "You subtract one maximum, taken over the whole array. A slice whose scores all lie far below it "
    "underflows to zeros, and zero divided by zero is NaN. Take the maximum of each slice: "
    "x.max(axis=axis, keepdims=True).",
)
def one_maximum_for_all(x, axis=-1):
    exponentials = np.exp(x - x.max())
    return exponentials / exponentials.sum(axis=axis, keepdims=True)


@misconception(
    "largest-absolute-value",
    "You subtract the largest absolute value of each slice. Where all scores are far below 0 everything underflows. "
    "Subtract the largest score: x.max(axis=axis, keepdims=True).",
)
def largest_absolute_value(x, axis=-1):
    exponentials = np.exp(x - np.abs(x).max(axis=axis, keepdims=True))
    return exponentials / exponentials.sum(axis=axis, keepdims=True)


@misconception(
    "always-last-axis",
    "You take the softmax along the last axis, whatever `axis` says. Pass `axis` on to max and to sum.",
)
def always_last_axis(x, axis=-1):
    return reference(x, axis=-1)


@misconception(
    "wrong-axis",
    "Your weights sum to 1 down the columns: the softmax ran over the first axis. "
    "The default is the last axis, axis=-1.",
)
def wrong_axis(x, axis=-1):
    return reference(x, axis=0)


@misconception(
    "axis-not-kept",
    "max and sum dropped the axis they ran along, so NumPy lined their results up with another axis: each row met "
    "the numbers of the other rows, or the shapes did not fit at all. keepdims=True keeps the axis, with length 1.",
)
def axis_not_kept(x, axis=-1):
    exponentials = np.exp(x - x.max(axis=axis))
    return exponentials / exponentials.sum(axis=axis)


@misconception(
    "epsilon-in-the-denominator",
    "Your weights sum to a little less than 1, as if a small number had been added to the sum before dividing. It is "
    "not needed: with the maximum subtracted, the largest exponential is exp(0) = 1, so the sum is at least 1.",
)
def epsilon_in_the_denominator(x, axis=-1):
    exponentials = np.exp(x - x.max(axis=axis, keepdims=True))
    return exponentials / (exponentials.sum(axis=axis, keepdims=True) + 1e-6)


@misconception(
    "one-sum-for-all",
    "All your weights together sum to 1. Each slice along `axis` has to sum to 1 by itself: "
    "give the sum axis=axis and keepdims=True.",
)
def one_sum_for_all(x, axis=-1):
    exponentials = np.exp(x - x.max())
    return exponentials / exponentials.sum()


@misconception(
    "not-normalised",
    "You return the exponentials. Divide them by their sum along `axis`, so that each slice sums to 1.",
)
def not_normalised(x, axis=-1):
    return np.exp(x - x.max(axis=axis, keepdims=True))


@misconception(
    "bare-exponential",
    "You return exp(x). Divide it by its sum along `axis`, so that each slice sums to 1. And exp overflows for large "
    "scores: subtract the largest score of each slice first.",
)
def bare_exponential(x, axis=-1):
    return np.exp(x)


@misconception(
    "no-exponential",
    "You divide the scores by their sum. That gives negative weights for negative scores. "
    "Take the exponential first: it makes every number positive.",
)
def no_exponential(x, axis=-1):
    return x / x.sum(axis=axis, keepdims=True)


@misconception(
    "log-softmax",
    "You return the logarithm of the weights, which is never positive. This exercise asks for the weights.",
)
def log_softmax(x, axis=-1):
    shifted = x - x.max(axis=axis, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))


@misconception(
    "power-of-two",
    "Your weights are powers of 2, not of e: use np.exp.",
)
def power_of_two(x, axis=-1):
    powers = np.exp2(x - x.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


@misconception(
    "changes-its-input",
    "The weights are right, but you changed x itself (`x -= …` works on the caller's array). "
    "Whoever called you still needs those scores. Write x = x - … instead.",
)
def changes_its_input(x, axis=-1):
    weights = reference(x, axis=axis)
    x -= x.max(axis=axis, keepdims=True)
    return weights


@misconception(
    "squashed-into-sigmoid",
    "You turn each score into a number between 0 and 1 by itself. Softmax weights compete: "
    "they share a sum of 1 along `axis`.",
)
def squashed_into_sigmoid(x, axis=-1):
    return 1 / (1 + np.exp(-x))


def by_logarithm(x, axis=-1):
    """Another right answer: exp(x - logsumexp(x))."""
    top = x.max(axis=axis, keepdims=True)
    return np.exp(x - top - np.log(np.exp(x - top).sum(axis=axis, keepdims=True)))


def by_moved_axis(x, axis=-1):
    """Another right answer: along the last axis of a transposed copy; the result is not contiguous."""
    moved = np.exp(np.moveaxis(x, axis, -1) - np.moveaxis(x, axis, -1).max(-1)[..., None])
    return np.moveaxis(moved / np.einsum("...i->...", moved)[..., None], -1, axis)


def large_scores(rng):
    return Call(np.array([[1000.0, 1001.0, 999.0], [-1000.0, -1001.0, -1003.0]]))


EXERCISE = Exercise(
    name="softmax",
    lesson="02_attention",
    kind="write",
    points=2,
    difficulty=2,
    minutes=10,
    asks="Turn scores into positive weights that sum to 1 along `axis`.",
    reference=reference,
    returns=("weights",),
    cases=(
        Case("two rows of three scores", lambda rng: Call(rng.normal(size=(2, 3)))),
        Case("one row, with no other axis", lambda rng: Call(rng.normal(size=4))),
        Case("a single score", lambda rng: Call(rng.normal(size=(2, 1)))),
        Case("equal scores", lambda rng: Call(np.zeros((2, 4))), "the weights are all alike"),
        Case(
            "as many rows as columns",
            lambda rng: Call(rng.normal(size=(3, 3))),
            "here shapes fit that should not",
        ),
        Case("along the first axis", lambda rng: Call(rng.normal(size=(3, 4)), axis=0)),
        Case("along the middle of three axes", lambda rng: Call(rng.normal(size=(2, 5, 3)), axis=1)),
        Case("large scores", large_scores, "exp of 1000 is too large for a float64"),
        Case(
            "one row far below the other",
            lambda rng: Call(np.array([[0.0, 1.0], [-2000.0, -2001.0]])),
            "each row needs its own maximum",
        ),
        Case(
            "some scores of minus infinity",
            lambda rng: Call(np.array([[0.5, -np.inf, 1.0], [-np.inf, -np.inf, 2.0]])),
            "a hidden key gets weight 0",
        ),
        Case("half precision", lambda rng: Call(rng.normal(size=(2, 5)).astype(np.float16))),
        Case("single precision", lambda rng: Call(rng.normal(size=(2, 5)).astype(np.float32))),
        Case("a transposed view", lambda rng: Call(rng.normal(size=(5, 3)).T), "not contiguous in memory"),
    ),
    properties=(
        Property("each row sums to 1", rows_sum_to_one),
        Property("adding a constant to all scores changes nothing", a_constant_changes_nothing),
    ),
    misconceptions=(
        no_maximum_subtracted,
        one_maximum_for_all,
        largest_absolute_value,
        always_last_axis,
        wrong_axis,
        axis_not_kept,
        epsilon_in_the_denominator,
        one_sum_for_all,
        not_normalised,
        bare_exponential,
        no_exponential,
        log_softmax,
        power_of_two,
        changes_its_input,
        squashed_into_sigmoid,
    ),
    alternatives=(by_logarithm, by_moved_axis),
    hints=(
        "The exponential makes every score positive and keeps their order. What is left is to make each "
        "slice sum to 1.",
        "Three steps: subtract each slice's maximum, take the exponential, divide by the sum. Both the maximum "
        "and the sum run along `axis` and keep it, so that the shapes fit.",
        "exponentials = np.exp(x - x.max(axis=axis, keepdims=True))",
    ),
    forbidden=("scipy.special.softmax", "torch.softmax", "torch.nn.functional.softmax", "torch.Tensor.softmax"),
)
