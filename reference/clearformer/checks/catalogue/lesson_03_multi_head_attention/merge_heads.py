"""merge_heads: from several narrow sequences back to one wide one."""

import numpy as np

from clearformer.checks.catalogue.lesson_03_multi_head_attention.split_heads import counted
from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception
from clearformer.numpy.multi_head import merge_heads as reference


def a_token_stays_in_its_row(answer, rng):
    x = rng.normal(size=(3, 5, 2))
    other = x.copy()
    other[:, 3] += 1.0
    moved = answer.call(x) != answer.call(other)  # (T, d_model)
    rows = sorted({int(row) for row in np.argwhere(moved)[:, 0]})
    return None if rows == [3] else f"changing token 3 in every head changed rows {rows}, expected row 3 alone"


@misconception(
    "reshape-without-transpose",
    "The shape is right and the numbers are in the wrong places. Your reshape reads memory in its order: all tokens "
    "of head 0, then all of head 1. So a row got several tokens of one head. It should get one token of all heads: "
    "swap the axes heads and T first, then reshape.",
)
def reshape_without_transpose(x):
    *leading, num_heads, seq_len, d_head = x.shape
    return x.reshape(*leading, seq_len, num_heads * d_head)


@misconception(
    "not-reshaped",
    "The heads of each token lie side by side now, in (..., T, heads, d_head). What is missing is the reshape that "
    "makes one axis of the last two.",
)
def not_reshaped(x):
    return x.swapaxes(-3, -2)


@misconception(
    "heads-added",
    "You added the heads up. Merging keeps all their numbers: put the heads side by side along the width.",
)
def heads_added(x):
    return x.sum(axis=-3, dtype=x.dtype)


@misconception(
    "heads-averaged",
    "You took the mean over the heads. Merging keeps all their numbers: put the heads side by side along the width.",
)
def heads_averaged(x):
    return x.mean(axis=-3)


@misconception(
    "columns-interleaved",
    "You wove the heads together: column 0 of every head, then column 1 of every head. This exercise asks for the "
    "whole of head 0 first, then the whole of head 1, as split_heads cut them.",
)
def columns_interleaved(x):
    *leading, num_heads, seq_len, d_head = x.shape
    return np.moveaxis(x, -3, -1).reshape(*leading, seq_len, d_head * num_heads)


@misconception(
    "heads-behind-each-other",
    "You put the heads one behind the other along the sentence: the result has heads × T rows. Put them side by side "
    "along the width: T rows of heads × d_head numbers.",
)
def heads_behind_each_other(x):
    *leading, num_heads, seq_len, d_head = x.shape
    return x.reshape(*leading, num_heads * seq_len, d_head)


@misconception(
    "batch-taken-for-heads",
    "You joined along the first axis as if it held the heads. For one sentence that is right. With a batch in front "
    "the heads are axis -3: swap axes -3 and -2, then reshape.",
)
def batch_taken_for_heads(x):
    return np.concatenate(x, axis=-1)


@misconception(
    "all-axes-reversed",
    "`.T` turns all axes around, the last ones too. Swap two axes alone: x.swapaxes(-3, -2).",
)
def all_axes_reversed(x):
    *leading, num_heads, seq_len, d_head = x.shape
    return x.T.reshape(*leading, seq_len, num_heads * d_head)


@misconception(
    "only-with-a-batch",
    "You take x.shape apart into four numbers, so a single sentence (heads, T, d_head) does not fit. This exercise "
    "asks for any leading axes: `*leading, num_heads, seq_len, d_head = x.shape` takes none, one or more.",
)
def only_with_a_batch(x):
    batch, num_heads, seq_len, d_head = x.shape
    return x.swapaxes(1, 2).reshape(batch, seq_len, num_heads * d_head)


@misconception(
    "only-without-a-batch",
    "You take x.shape apart into three numbers, so a batch of sentences does not fit. This exercise asks for any "
    "leading axes: `*leading, num_heads, seq_len, d_head = x.shape` takes none, one or more.",
)
def only_without_a_batch(x):
    num_heads, seq_len, d_head = x.shape
    return x.swapaxes(0, 1).reshape(seq_len, num_heads * d_head)


def by_concatenating(x):
    """Another right answer: put the heads side by side."""
    return np.concatenate(list(np.moveaxis(x, -3, 0)), axis=-1)


def into_an_empty_array(x):
    """Another right answer: fill the columns head by head; not contiguous in memory."""
    *leading, num_heads, seq_len, d_head = x.shape
    merged = np.empty((*leading, seq_len, num_heads * d_head), dtype=x.dtype, order="F")
    for head in range(num_heads):
        merged[..., head * d_head : (head + 1) * d_head] = x[..., head, :, :]
    return merged


EXERCISE = Exercise(
    name="merge_heads",
    lesson="03_multi_head_attention",
    kind="write",
    points=1,
    difficulty=2,
    minutes=5,
    asks="Undo split_heads: (..., heads, T, d_head) becomes (..., T, heads · d_head).",
    reference=reference,
    returns=("x",),
    cases=(
        Case("two heads, three tokens, width 2 a head", lambda rng: Call(counted(2, 3, 2))),
        Case(
            "two heads, two tokens",
            lambda rng: Call(rng.normal(size=(2, 2, 3))),
            "as many tokens as heads: shapes fit that should not",
        ),
        Case("one head", lambda rng: Call(rng.normal(size=(1, 3, 4)))),
        Case("heads of width 1", lambda rng: Call(rng.normal(size=(3, 2, 1)))),
        Case("a single token", lambda rng: Call(rng.normal(size=(2, 1, 3)))),
        Case("a batch of two sentences", lambda rng: Call(rng.normal(size=(2, 3, 4, 2)))),
        Case(
            "a batch as large as the number of heads",
            lambda rng: Call(rng.normal(size=(2, 2, 3, 4))),
            "shapes fit that should not",
        ),
        Case("two leading axes", lambda rng: Call(rng.normal(size=(2, 3, 2, 4, 3)))),
        Case("half precision", lambda rng: Call(rng.normal(size=(2, 3, 2)).astype(np.float16))),
        Case("single precision", lambda rng: Call(rng.normal(size=(2, 3, 2)).astype(np.float32))),
        Case("a transposed view", lambda rng: Call(rng.normal(size=(4, 3, 2)).T), "not contiguous in memory"),
    ),
    properties=(Property("token t stays in row t", a_token_stays_in_its_row),),
    misconceptions=(
        reshape_without_transpose,
        not_reshaped,
        heads_added,
        heads_averaged,
        columns_interleaved,
        heads_behind_each_other,
        batch_taken_for_heads,
        all_axes_reversed,
        only_with_a_batch,
        only_without_a_batch,
    ),
    alternatives=(by_concatenating, into_an_empty_array),
    hints=(
        "split_heads did two things, one after the other. Undo the last one first.",
        "Swap the axes heads and T, so that each token has its heads side by side. Then reshape the last two axes "
        "into one of heads · d_head numbers.",
        "return x.swapaxes(-3, -2).reshape(*leading, seq_len, num_heads * d_head)",
    ),
)
