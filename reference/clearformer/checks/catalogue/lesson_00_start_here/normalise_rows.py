"""normalise_rows: a warm-up that shows how checking works."""

import numpy as np

from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception


def normalise_rows(x):
    """Divide each row of x (rows, columns) by its sum."""
    return x / x.sum(axis=-1, keepdims=True)


def every_row_sums_to_one(answer, rng):
    sums = answer.call(rng.uniform(1.0, 2.0, size=(6, 5))).sum(axis=-1)
    worst = sums[np.abs(sums - 1).argmax()]
    return None if abs(worst - 1) < 1e-9 else f"one row sums to {worst:.4f}"


@misconception(
    "columns-instead",
    "Each column of your result sums to 1. You added down the columns: axis=0 runs down, axis=-1 runs along a row.",
)
def columns_instead(x):
    return x / x.sum(axis=0, keepdims=True)


@misconception(
    "one-sum-for-all",
    "All your numbers together sum to 1. Each row has to sum to 1 by itself: give the sum axis=-1.",
)
def one_sum_for_all(x):
    return x / x.sum()


@misconception(
    "axis-not-kept",
    "The row sums came out with shape (rows,), and NumPy lines that up with the columns: every column was divided "
    "by another row's sum, or the shapes did not fit at all. keepdims=True keeps them as a column, (rows, 1).",
)
def axis_not_kept(x):
    return x / x.sum(axis=-1)


@misconception(
    "divided-by-the-largest",
    "The largest number of each row is now 1. Divide by the row's sum, not by its maximum.",
)
def divided_by_the_largest(x):
    return x / x.max(axis=-1, keepdims=True)


@misconception(
    "divided-by-the-length",
    "You divided by the vector length of each row, so its squares sum to 1. Here the numbers themselves should.",
)
def divided_by_the_length(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


@misconception(
    "divided-by-the-mean",
    "Each of your rows has mean 1. Divide by the row's sum, not by its mean.",
)
def divided_by_the_mean(x):
    return x / x.mean(axis=-1, keepdims=True)


@misconception(
    "changes-its-input",
    "The numbers are right, but you changed x itself: `x /= …` and `x[i] = …` write into the caller's array. "
    "Make a new one: x / …",
)
def changes_its_input(x):
    x /= x.sum(axis=-1, keepdims=True)
    return x


def row_by_row(x):
    """Another right answer: a loop over the rows."""
    return np.stack([row / row.sum() for row in x])


def by_transposing(x):
    """Another right answer; the result is not contiguous in memory."""
    return (x.T / np.einsum("rc->r", x)).T


EXERCISE = Exercise(
    name="normalise_rows",
    lesson="00_start_here",
    kind="write",
    points=1,
    difficulty=1,
    minutes=3,
    asks="Divide each row of x by its sum.",
    reference=normalise_rows,
    returns=("rows",),
    cases=(
        Case("two rows of three", lambda rng: Call(rng.integers(1, 9, size=(2, 3)).astype(float))),
        Case("one row", lambda rng: Call(rng.uniform(1.0, 2.0, size=(1, 4)))),
        Case(
            "as many rows as columns",
            lambda rng: Call(rng.uniform(1.0, 2.0, size=(3, 3))),
            "here shapes fit that should not",
        ),
        Case("single precision", lambda rng: Call(rng.uniform(1.0, 2.0, size=(4, 2)).astype(np.float32))),
    ),
    properties=(Property("every row sums to 1", every_row_sums_to_one),),
    misconceptions=(
        columns_instead,
        one_sum_for_all,
        axis_not_kept,
        divided_by_the_largest,
        divided_by_the_length,
        divided_by_the_mean,
        changes_its_input,
    ),
    alternatives=(row_by_row, by_transposing),
    hints=(
        "A row sums to 1 after you divide it by what it summed to before.",
        "x.sum(axis=-1) adds along each row. It has one number a row; keep its axis so that it divides row by row.",
        "return x / x.sum(axis=-1, keepdims=True)",
    ),
)
