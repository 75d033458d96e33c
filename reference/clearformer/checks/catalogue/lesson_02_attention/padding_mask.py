"""padding_mask: nobody looks at the filling."""

import numpy as np

from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception
from clearformer.numpy.attention import padding_mask as reference


def a_token_decides_for_itself_alone(answer, rng):
    tokens = np.array([[5, 0, 7, 0, 0, 3]])
    order = rng.permutation(6)
    before, after = answer.call(tokens), answer.call(tokens[:, order])
    moves_along = before.shape[-1] == 6 and (after == before[..., order]).all()
    return None if moves_along else "moving tokens to other places does more than move their mask with them"


def it_fits_every_head_and_query(answer, rng):
    shape = answer.call(np.array([[4, 2, 0], [3, 0, 0]])).shape
    try:
        fits = np.broadcast_shapes(shape, (2, 8, 5, 3)) == (2, 8, 5, 3)
    except ValueError:
        fits = False
    return None if fits else f"shape {shape} does not fit scores of shape (batch, heads, T_q, T_k) = (2, 8, 5, 3)"


@misconception(
    "true-means-hidden",
    "Your mask is True where there is padding. That is the convention of some libraries. This exercise asks for "
    "True = may be attended: real tokens are True.",
)
def true_means_hidden(token_ids, pad_id=0):
    return ~reference(token_ids, pad_id)


@misconception(
    "pad-id-taken-for-zero",
    "You compare with 0, whatever pad_id is. Here padding has another number, and 0 is a real token. "
    "Compare with pad_id.",
)
def pad_id_taken_for_zero(token_ids, pad_id=0):
    return reference(token_ids, 0)


@misconception(
    "larger-than-the-padding",
    "You count a token as real when its number is larger than pad_id. Real tokens may have smaller numbers: "
    "test for being different.",
)
def larger_than_the_padding(token_ids, pad_id=0):
    return (token_ids > pad_id)[:, np.newaxis, np.newaxis, :]


@misconception(
    "no-axes-for-heads-and-queries",
    "Your mask has the shape of the tokens. The scores have two more axes, heads and queries. "
    "This exercise asks for (batch, 1, 1, seq_len).",
)
def no_axes_for_heads_and_queries(token_ids, pad_id=0):
    return token_ids != pad_id


@misconception(
    "no-axis-for-the-heads",
    "Your mask is (batch, 1, seq_len). Against scores (batch, heads, T_q, T_k) its batch axis would meet the heads. "
    "This exercise asks for (batch, 1, 1, seq_len).",
)
def no_axis_for_the_heads(token_ids, pad_id=0):
    return (token_ids != pad_id)[:, np.newaxis, :]


@misconception(
    "queries-hidden-not-keys",
    "You hide the queries that are padding: your tokens lie along the query axis. Padding must not be looked at, so "
    "its place is the key axis, the last one: (batch, 1, 1, seq_len).",
)
def queries_hidden_not_keys(token_ids, pad_id=0):
    return (token_ids != pad_id)[:, np.newaxis, :, np.newaxis]


@misconception(
    "queries-hidden-too",
    "You hide padding as keys and as queries. A padded query does no harm: nobody reads its output. This exercise "
    "hides keys alone, in the shape (batch, 1, 1, seq_len).",
)
def queries_hidden_too(token_ids, pad_id=0):
    real = token_ids != pad_id
    return (real[:, np.newaxis, :] & real[:, :, np.newaxis])[:, np.newaxis]


@misconception(
    "spread-over-the-queries",
    "The cells are right, but you copied the row once for every query. This exercise asks for "
    "(batch, 1, 1, seq_len); broadcasting does the copying, for any number of queries.",
)
def spread_over_the_queries(token_ids, pad_id=0):
    real = token_ids != pad_id
    return np.repeat(real[:, np.newaxis, np.newaxis, :], token_ids.shape[1], axis=2)


@misconception(
    "batch-and-length-swapped",
    "Your batch axis and your length axis have changed places: (seq_len, 1, 1, batch). Some libraries put the length "
    "first. Here the batch comes first.",
)
def batch_and_length_swapped(token_ids, pad_id=0):
    return (token_ids != pad_id).T[:, np.newaxis, np.newaxis, :]


@misconception(
    "only-padding-at-the-end",
    "You count the real tokens and show that many from the left. That holds only where all padding is at the end. "
    "Here some stands in front or inside: look at each token by itself.",
)
def only_padding_at_the_end(token_ids, pad_id=0):
    lengths = (token_ids != pad_id).sum(axis=1, keepdims=True)
    return (np.arange(token_ids.shape[1]) < lengths)[:, np.newaxis, np.newaxis, :]


@misconception(
    "everything-after-the-first-padding",
    "You hide everything from the first padding on. Real tokens may follow it: look at each token by itself.",
)
def everything_after_the_first_padding(token_ids, pad_id=0):
    return np.logical_and.accumulate(token_ids != pad_id, axis=1)[:, np.newaxis, np.newaxis, :]


@misconception(
    "ones-and-zeros",
    "Your mask holds the numbers 1.0 and 0.0. This exercise asks for bool, which a comparison gives you already.",
)
def ones_and_zeros(token_ids, pad_id=0):
    return reference(token_ids, pad_id).astype(float)


@misconception(
    "integers",
    "Your mask holds the integers 1 and 0. This exercise asks for bool, which a comparison gives you already. "
    "With integers, ~ does not turn the mask round: ~1 is -2.",
)
def integers(token_ids, pad_id=0):
    return reference(token_ids, pad_id).astype(int)


@misconception(
    "ready-to-add",
    "You return 0 for visible and -inf for hidden, a mask to be added to the scores. This exercise asks for a bool "
    "mask, True = may be attended.",
)
def ready_to_add(token_ids, pad_id=0):
    return np.where(reference(token_ids, pad_id), 0.0, -np.inf)


def by_reshape(token_ids, pad_id=0):
    """Another right answer: turned round and reshaped."""
    batch, seq_len = token_ids.shape
    return ~(token_ids == pad_id).reshape(batch, 1, 1, seq_len)


def by_lists(token_ids, pad_id=0):
    """Another right answer: one token at a time."""
    return np.array([[[[token != pad_id for token in row]]] for row in token_ids.tolist()])


EXERCISE = Exercise(
    name="padding_mask",
    lesson="02_attention",
    kind="write",
    points=1,
    difficulty=1,
    minutes=5,
    asks="Return a bool mask, (batch, 1, 1, seq_len), that is True at the real tokens.",
    reference=reference,
    returns=("mask",),
    cases=(
        Case("padding at the end", lambda rng: Call(np.array([[7, 3, 9, 0], [4, 0, 0, 0]]))),
        Case("a single token", lambda rng: Call(np.array([[6]]))),
        Case(
            "padding in front and inside",
            lambda rng: Call(np.array([[0, 0, 8, 2, 5], [6, 0, 4, 0, 1]])),
        ),
        Case(
            "another number for padding",
            lambda rng: Call(np.array([[0, 8, 3, 1, 1], [0, 2, 0, 1, 1]]), pad_id=1),
            "here 0 is a real token",
        ),
        Case(
            "a large number for padding",
            lambda rng: Call(np.array([[12, 0, 99, 99], [99, 7, 100, 3]]), pad_id=99),
        ),
        Case(
            "as many sequences as tokens in each",
            lambda rng: Call(np.array([[5, 0, 0], [3, 2, 0], [4, 8, 1]])),
            "here a swapped axis goes unnoticed by the shapes",
        ),
        Case("a sequence that is all padding", lambda rng: Call(np.array([[2, 3], [0, 0]]))),
        Case("short integers", lambda rng: Call(rng.integers(0, 3, size=(3, 4)).astype(np.int32))),
    ),
    properties=(
        Property("a token decides for itself alone", a_token_decides_for_itself_alone),
        Property("the mask fits scores with heads and queries", it_fits_every_head_and_query),
    ),
    misconceptions=(
        true_means_hidden,
        pad_id_taken_for_zero,
        larger_than_the_padding,
        no_axes_for_heads_and_queries,
        no_axis_for_the_heads,
        queries_hidden_not_keys,
        queries_hidden_too,
        spread_over_the_queries,
        batch_and_length_swapped,
        only_padding_at_the_end,
        everything_after_the_first_padding,
        ones_and_zeros,
        integers,
        ready_to_add,
    ),
    alternatives=(by_reshape, by_lists),
    hints=(
        "Comparing an array with a number compares every element, and gives an array of bools.",
        "Compare the tokens with pad_id so that real tokens come out True. Then put two axes of length 1, for heads "
        "and queries, between the batch and the length.",
        "mask[:, np.newaxis, np.newaxis, :] has shape (batch, 1, 1, seq_len)",
    ),
)
