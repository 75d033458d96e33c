"""NAME: subtract from each row its mean. CHANGE: what yours does."""

import numpy as np

from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception


# CHANGE: the right answer. Where the course's package has it, import it instead, as softmax.py of lesson 02 does.
def reference(x):
    """Subtract from each row of x (rows, columns) its mean."""
    return x - x.mean(axis=-1, keepdims=True)


# CHANGE: a law, something that every right answer keeps and that needs no right answer to compare with.
# None where it holds, else a sentence that says how it is broken.
def every_row_sums_to_zero(answer, rng):
    sums = answer.call(rng.normal(size=(6, 5))).sum(axis=-1)
    worst = sums[np.abs(sums).argmax()]
    return None if abs(worst) < 1e-9 else f"one row sums to {worst:.4f}"


# CHANGE: the wrong answers, six at least. Each is code that runs, a short name for reports, and what to say to the
# person who wrote it: what came out, why, what to do.
@misconception(
    "columns-instead",
    "Each column of your result has mean 0. You took the mean down the columns: axis=0 runs down, axis=-1 along a row.",
)
def columns_instead(x):
    return x - x.mean(axis=0)


@misconception(
    "one-mean-for-all",
    "You subtract one mean, taken over all numbers. Each row has a mean of its own: give the mean axis=-1.",
)
def one_mean_for_all(x):
    return x - x.mean()


@misconception(
    "axis-not-kept",
    "The means have lost their axis, and NumPy lines them up with the columns instead of the rows. "
    "keepdims=True keeps it.",
)
def axis_not_kept(x):
    return x - x.mean(axis=-1)


@misconception(
    "divided-by-the-mean",
    "You divide each row by its mean, which makes the mean 1. Subtract it: that makes the mean 0.",
)
def divided_by_the_mean(x):
    return x / x.mean(axis=-1, keepdims=True)


@misconception(
    "median-instead",
    "You subtract the median, the number in the middle. The mean is the sum divided by how many there are.",
)
def median_instead(x):
    return x - np.median(x, axis=-1, keepdims=True)


@misconception(
    "changes-its-input",
    "The numbers are right, but you changed x itself (`x -= …` works on the caller's array). Write x - … instead.",
)
def changes_its_input(x):
    x -= x.mean(axis=-1, keepdims=True)
    return x


# CHANGE: another right answer, one that a learner may well write. It has to pass.
def row_by_row(x):
    """Another right answer: one row after the other."""
    return np.stack([row - row.sum() / row.dtype.type(len(row)) for row in x])


EXERCISE = Exercise(
    name="NAME",
    lesson="LESSON",
    kind="write",
    points=1,  # CHANGE these three here and in the notebook
    difficulty=1,
    minutes=5,
    asks="Subtract from each row of x its mean.",  # CHANGE: one sentence
    reference=reference,
    returns=("centred",),  # CHANGE: what messages call the result
    # CHANGE: smallest first, because the first that fails is shown. Then one for each wrong answer that the
    # others let through.
    cases=(
        Case("two rows of three numbers", lambda rng: Call(rng.normal(size=(2, 3)))),
        Case("as many rows as columns", lambda rng: Call(rng.normal(size=(3, 3))), "here shapes fit that should not"),
        Case("a single row", lambda rng: Call(rng.normal(size=(1, 4)))),
        Case("numbers far from 0", lambda rng: Call(rng.normal(size=(2, 4)) + 100.0)),
        Case("single precision", lambda rng: Call(rng.normal(size=(2, 5)).astype(np.float32))),
    ),
    properties=(Property("each row sums to 0", every_row_sums_to_zero),),
    misconceptions=(
        columns_instead,
        one_mean_for_all,
        axis_not_kept,
        divided_by_the_mean,
        median_instead,
        changes_its_input,
    ),
    alternatives=(row_by_row,),
    # CHANGE: an idea, a plan, the line that matters.
    hints=(
        "A row whose numbers are all moved by the same amount keeps its shape. By how much must it move?",
        "Take the mean along each row, and keep the axis so that the shapes fit. Then subtract.",
        "x.mean(axis=-1, keepdims=True)",
    ),
    forbidden=(),  # CHANGE: dotted names of library calls that already are the answer, such as "torch.softmax"
)
