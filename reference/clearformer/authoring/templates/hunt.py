"""NAME: a hunt for a forgotten sign. CHANGE: which bug yours hides."""

import numpy as np

from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception


# CHANGE: the mended function.
def reference(x):
    """Divide each row of x (rows, columns) by the size of its largest number, signs left out."""
    return x / np.abs(x).max(axis=-1, keepdims=True)


# CHANGE: a law, something that every right answer keeps and that needs no right answer to compare with.
# None where it holds, else a sentence that says how it is broken.
def the_largest_number_has_size_one(answer, rng):
    sizes = np.abs(answer.call(rng.normal(size=(6, 5)))).max(axis=-1)
    worst = sizes[np.abs(sizes - 1).argmax()]
    return None if abs(worst - 1) < 1e-9 else f"the largest number of one row has size {worst:.4f}"


# CHANGE: the function as the notebook shows it, word for word.
@misconception(
    "as-it-was",
    "This is the function as it was. The largest number of a row is not the one that lies farthest from 0: "
    "in a row of -3 and 1 it is 1. Take the sizes first, np.abs(x), then the largest.",
)
def as_it_was(x):
    return x / x.max(axis=-1, keepdims=True)


# CHANGE: what people write when they mend it wrongly, six in all at least. Each is code that runs, a short name for
# reports, and what to say to the person who wrote it: what came out, why, what to do.
@misconception(
    "signs-lost",
    "Your numbers are all positive. The size belongs into the divisor alone: leave the numbers above it their signs.",
)
def signs_lost(x):
    return np.abs(x) / np.abs(x).max(axis=-1, keepdims=True)


@misconception(
    "signs-turned",
    "Rows without a positive number change their signs: you take the size of the maximum. "
    "Take the maximum of the sizes.",
)
def signs_turned(x):
    return x / np.abs(x.max(axis=-1, keepdims=True))


@misconception(
    "columns-instead",
    "You scale the columns. axis=0 runs down a column, axis=-1 along a row.",
)
def columns_instead(x):
    return x / np.abs(x).max(axis=0)


@misconception(
    "one-size-for-all",
    "You divide all rows by the same number. Each row has a largest number of its own: give max axis=-1.",
)
def one_size_for_all(x):
    return x / np.abs(x).max()


@misconception(
    "sum-of-sizes",
    "You divide by the sum of the sizes. Then the sizes of a row sum to 1. Here the largest of them is to be 1.",
)
def sum_of_sizes(x):
    return x / np.abs(x).sum(axis=-1, keepdims=True)


@misconception(
    "changes-its-input",
    "The numbers are right, but you changed x itself (`x /= …` works on the caller's array). Write x / … instead.",
)
def changes_its_input(x):
    x /= np.abs(x).max(axis=-1, keepdims=True)
    return x


# CHANGE: another right answer, one that a learner may well write. It has to pass.
def by_both_ends(x):
    """Another right answer: the larger of the maximum and minus the minimum."""
    return x / np.maximum(x.max(axis=-1, keepdims=True), -x.min(axis=-1, keepdims=True))


EXERCISE = Exercise(
    name="NAME",
    lesson="LESSON",
    kind="hunt",
    points=1,  # CHANGE these three here and in the notebook
    difficulty=1,
    minutes=5,
    asks="Mend the function so that rows with negative numbers come out right too.",  # CHANGE: one sentence
    reference=reference,
    returns=("scaled",),  # CHANGE: what messages call the result
    # CHANGE: smallest first, because the first that fails is shown. One at least that the bug shows on every time,
    # whatever numbers are drawn; and one that it does not show on, as in the notebook.
    cases=(
        Case("one row of negative numbers", lambda rng: Call(-rng.uniform(1.0, 2.0, size=(1, 2)))),
        Case("positive numbers", lambda rng: Call(rng.uniform(1.0, 2.0, size=(2, 3))), "the bug does not show here"),
        Case("as many rows as columns", lambda rng: Call(rng.normal(size=(3, 3))), "here shapes fit that should not"),
        Case("single precision", lambda rng: Call(rng.normal(size=(2, 5)).astype(np.float32))),
    ),
    properties=(Property("the largest number of each row has size 1", the_largest_number_has_size_one),),
    misconceptions=(
        as_it_was,
        signs_lost,
        signs_turned,
        columns_instead,
        one_size_for_all,
        sum_of_sizes,
        changes_its_input,
    ),
    alternatives=(by_both_ends,),
    # CHANGE: an idea, a plan, the line that matters.
    hints=(
        "Try the shown function on a row of -4 and 1. What does it divide by?",
        "Divide by the distance of the farthest number from 0. Distances have no sign.",
        "np.abs(x).max(axis=-1, keepdims=True)",
    ),
    forbidden=(),  # CHANGE: dotted names of library calls that already are the answer, such as "torch.softmax"
)
