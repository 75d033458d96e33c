"""split_heads: from one wide sequence to several narrow ones."""

import numpy as np

from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception
from clearformer.numpy.multi_head import split_heads as reference


def a_token_stays_in_its_row(answer, rng):
    x = rng.normal(size=(5, 6))
    other = x.copy()
    other[3] += 1.0
    moved = answer.call(x, 3) != answer.call(other, 3)  # (heads, T, d_head)
    rows = sorted({int(row) for row in np.argwhere(moved)[:, 1]})
    return None if rows == [3] else f"changing token 3 changed rows {rows} of the heads, expected row 3 alone"


@misconception(
    "reshape-without-transpose",
    "The shape is right and the numbers are in the wrong places. Your reshape goes straight to (heads, T, d_head): "
    "it fills head 0 with the first numbers in memory, and these are whole tokens. Reshape to "
    "(..., T, num_heads, d_head) first, so that each token is cut by itself. Then swap the axes T and heads.",
)
def reshape_without_transpose(x, num_heads):
    *leading, seq_len, d_model = x.shape
    return x.reshape(*leading, num_heads, seq_len, d_model // num_heads)


@misconception(
    "not-transposed",
    "Each token is cut rightly, into (..., T, heads, d_head). What is missing is the swap of T and heads: "
    "attention works on the last two axes, so these have to be T and d_head.",
)
def not_transposed(x, num_heads):
    return x.reshape(*x.shape[:-1], num_heads, x.shape[-1] // num_heads)


@misconception(
    "columns-interleaved",
    "Your head 0 reads every num_heads-th column. This exercise asks for neighbouring columns: "
    "head h reads columns h·d_head to (h+1)·d_head. Reshape to (..., T, num_heads, d_head), heads before d_head.",
)
def columns_interleaved(x, num_heads):
    pieces = x.reshape(*x.shape[:-1], x.shape[-1] // num_heads, num_heads)
    return np.moveaxis(pieces, -1, -3)


@misconception(
    "count-and-width-mixed-up",
    "You made heads of width num_heads. num_heads says how many heads there are, and each is d_model / num_heads wide.",
)
def count_and_width_mixed_up(x, num_heads):
    pieces = x.reshape(*x.shape[:-1], x.shape[-1] // num_heads, num_heads)
    return pieces.swapaxes(-3, -2)


@misconception(
    "axes-counted-from-the-front",
    "You count the axes from the front, which fits a batch (batch, T, d_model) alone. Count from the end: "
    "swapaxes(-3, -2).",
)
def axes_counted_from_the_front(x, num_heads):
    if x.shape[-1] % num_heads:
        raise ValueError("num_heads must divide d_model")
    return not_transposed.implementation(x, num_heads).swapaxes(1, 2)


@misconception(
    "wrong-axes-swapped",
    "After the reshape you swapped the last two axes, heads and d_head. Swap T and heads: axes -3 and -2.",
)
def wrong_axes_swapped(x, num_heads):
    return not_transposed.implementation(x, num_heads).swapaxes(-2, -1)


@misconception(
    "all-axes-reversed",
    "`.T` turns all axes around, d_head comes before T and the batch goes last. Swap two axes alone: "
    "x.swapaxes(-3, -2).",
)
def all_axes_reversed(x, num_heads):
    return not_transposed.implementation(x, num_heads).T


@misconception(
    "heads-before-the-batch",
    "You put the heads first of all axes. For one sentence that is right. With a batch in front the "
    "heads come after it: (batch, heads, T, d_head).",
)
def heads_before_the_batch(x, num_heads):
    if x.shape[-1] % num_heads:
        raise ValueError("num_heads must divide d_model")
    return np.stack(np.split(x, num_heads, axis=-1))


@misconception(
    "tokens-split",
    "You cut the sentence into parts, each with whole tokens. A head sees every token, but only a part "
    "of its width: cut the last axis.",
)
def tokens_split(x, num_heads):
    *leading, seq_len, d_model = x.shape
    if seq_len % num_heads or d_model % num_heads:
        raise ValueError("cannot split")
    return x.reshape(*leading, num_heads, seq_len // num_heads, d_model)


@misconception(
    "rest-thrown-away",
    "When num_heads does not divide d_model, your heads leave out the last columns and nobody is told. "
    "This exercise asks for a ValueError.",
)
def rest_thrown_away(x, num_heads):
    d_head = x.shape[-1] // num_heads
    return np.stack([x[..., h * d_head : (h + 1) * d_head] for h in range(num_heads)], axis=-3)


@misconception(
    "only-with-a-batch",
    "You take x.shape apart into three numbers, so a single sentence (T, d_model) does not fit. "
    "This exercise asks for any leading axes: `*leading, seq_len, d_model = x.shape` takes none, one or more.",
)
def only_with_a_batch(x, num_heads):
    batch, seq_len, d_model = x.shape
    return x.reshape(batch, seq_len, num_heads, d_model // num_heads).swapaxes(1, 2)


@misconception(
    "only-without-a-batch",
    "You take x.shape apart into two numbers, so a batch of sentences does not fit. "
    "This exercise asks for any leading axes: `*leading, seq_len, d_model = x.shape` takes none, one or more.",
)
def only_without_a_batch(x, num_heads):
    seq_len, d_model = x.shape
    return x.reshape(seq_len, num_heads, d_model // num_heads).swapaxes(0, 1)


def by_slicing(x, num_heads):
    """Another right answer: cut the columns and stack the pieces."""
    return np.stack(np.split(x, num_heads, axis=-1), axis=-3)


def by_moved_axis(x, num_heads):
    """Another right answer; contiguous in memory."""
    pieces = np.array(np.split(x, num_heads, axis=-1))
    return np.ascontiguousarray(np.moveaxis(pieces, 0, -3))


def counted(*shape):
    """0, 1, 2, … so that a message shows which number went where."""
    return np.arange(np.prod(shape)).reshape(shape)


EXERCISE = Exercise(
    name="split_heads",
    lesson="03_multi_head_attention",
    kind="write",
    points=2,
    difficulty=2,
    minutes=10,
    asks="Cut the width of every token into num_heads parts: (..., T, d_model) becomes (..., heads, T, d_head).",
    reference=reference,
    returns=("heads",),
    cases=(
        Case("three tokens of width 4, two heads", lambda rng: Call(counted(3, 4), 2)),
        Case(
            "two tokens of width 4, two heads",
            lambda rng: Call(rng.normal(size=(2, 4)), 2),
            "as many tokens as heads: shapes fit that should not",
        ),
        Case("one head", lambda rng: Call(rng.normal(size=(3, 4)), 1), "one head is the whole width"),
        Case("heads of width 1", lambda rng: Call(rng.normal(size=(2, 3)), 3)),
        Case("a single token", lambda rng: Call(rng.normal(size=(1, 6)), 2)),
        Case("a batch of two sentences", lambda rng: Call(rng.normal(size=(2, 4, 6)), 3)),
        Case(
            "a batch as large as the number of heads",
            lambda rng: Call(rng.normal(size=(2, 3, 4)), 2),
            "shapes fit that should not",
        ),
        Case("two leading axes", lambda rng: Call(rng.normal(size=(2, 3, 4, 6)), 2)),
        Case("half precision", lambda rng: Call(rng.normal(size=(2, 4)).astype(np.float16), 2)),
        Case("single precision", lambda rng: Call(rng.normal(size=(2, 4)).astype(np.float32), 2)),
        Case("a transposed view", lambda rng: Call(rng.normal(size=(6, 5)).T, 3), "not contiguous in memory"),
        Case(
            "three heads for a width of 8",
            lambda rng: Call(rng.normal(size=(2, 8)), 3),
            "3 does not divide 8",
            raises=ValueError,
        ),
    ),
    properties=(Property("token t stays in row t of every head", a_token_stays_in_its_row),),
    misconceptions=(
        reshape_without_transpose,
        not_transposed,
        columns_interleaved,
        count_and_width_mixed_up,
        axes_counted_from_the_front,
        wrong_axes_swapped,
        all_axes_reversed,
        heads_before_the_batch,
        tokens_split,
        rest_thrown_away,
        only_with_a_batch,
        only_without_a_batch,
    ),
    alternatives=(by_slicing, by_moved_axis),
    hints=(
        "A token's d_model numbers lie side by side in memory. Cutting them into num_heads parts is one reshape "
        "of the last axis. After that, every token has its heads; you want every head to have its tokens.",
        "Two steps: reshape (..., T, d_model) to (..., T, num_heads, d_head), then swap the axes T and heads. "
        "Count the axes from the end, so that it works with any leading axes.",
        "return x.reshape(*leading, seq_len, num_heads, d_model // num_heads).swapaxes(-3, -2)",
    ),
)
