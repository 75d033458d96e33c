"""causal_mask: nobody looks ahead."""

import numpy as np

from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception
from clearformer.numpy.attention import causal_mask as reference


def each_query_sees_one_key_more(answer, rng):
    seen = (answer.call(6) == 1).sum(axis=-1).ravel().tolist()
    return None if seen == [1, 2, 3, 4, 5, 6] else f"queries 0 to 5 see {seen} keys"


def no_query_sees_the_future(answer, rng):
    ahead = [(query, key) for *_, query, key in np.argwhere(answer.call(6)).tolist() if key > query]
    return f"query {ahead[0][0]} may attend to key {ahead[0][1]}, which comes later" if ahead else None


@misconception(
    "true-means-hidden",
    "Your mask is True where a key is hidden. That is the convention of some libraries. This exercise asks for "
    "True = may be attended: turn it round with ~.",
)
def true_means_hidden(seq_len):
    return ~np.tri(seq_len, dtype=bool)


@misconception(
    "transposed",
    "Your mask shows the upper triangle: each query sees itself and what comes after it. Rows are queries, columns "
    "are keys: the lower triangle is True.",
)
def transposed(seq_len):
    return np.tri(seq_len, dtype=bool).T


@misconception(
    "not-itself",
    "Your queries may not attend to their own position, and the first one is left with nothing to attend to. "
    "The diagonal belongs to what may be seen.",
)
def not_itself(seq_len):
    return np.tri(seq_len, k=-1, dtype=bool)


@misconception(
    "one-step-ahead",
    "Each query also sees the token right after it. That is the one it should predict: the answer leaks. "
    "Everything above the diagonal must be False.",
)
def one_step_ahead(seq_len):
    return np.tri(seq_len, k=1, dtype=bool)


@misconception(
    "ones-and-zeros",
    "Your mask holds the numbers 1.0 and 0.0. This exercise asks for bool: nothing then has to guess whether 1 means "
    "visible or hidden. Give dtype=bool, or compare.",
)
def ones_and_zeros(seq_len):
    return np.tril(np.ones((seq_len, seq_len)))


@misconception(
    "ones-where-hidden",
    "Your mask holds 1.0 where a key is hidden and 0.0 where it is visible. This exercise asks for bool, and for "
    "True = may be attended.",
)
def ones_where_hidden(seq_len):
    return np.triu(np.ones((seq_len, seq_len)), 1)


@misconception(
    "integers",
    "Your mask holds the integers 1 and 0. This exercise asks for bool. With integers, ~ does not turn the mask round "
    "(~1 is -2), and x[mask] picks rows 0 and 1. Give dtype=bool.",
)
def integers(seq_len):
    return np.tri(seq_len, dtype=int)


@misconception(
    "ready-to-add",
    "You return 0 for visible and -inf for hidden, a mask to be added to the scores. This exercise asks for a bool "
    "mask, True = may be attended.",
)
def ready_to_add(seq_len):
    return np.where(np.tri(seq_len, dtype=bool), 0.0, -np.inf)


@misconception(
    "extra-axes",
    "The triangle is right, but there are axes of length 1 in front of it. This exercise asks for the shape "
    "(seq_len, seq_len); broadcasting adds batch and heads where they are needed.",
)
def extra_axes(seq_len):
    return np.tri(seq_len, dtype=bool)[np.newaxis, np.newaxis]


@misconception(
    "only-itself",
    "Each query sees its own position and nothing else. It may also see everything before it.",
)
def only_itself(seq_len):
    return np.eye(seq_len, dtype=bool)


@misconception(
    "everything-visible",
    "Every query sees every key, the future too. Keep only the keys whose position is at most the query's.",
)
def everything_visible(seq_len):
    return np.ones((seq_len, seq_len), dtype=bool)


def by_comparing_positions(seq_len):
    """Another right answer: key position at most the query's."""
    position = np.arange(seq_len)
    return position[:, np.newaxis] >= position


def by_hiding_the_future(seq_len):
    """Another right answer, not contiguous in memory: all but the upper triangle."""
    return (np.triu(np.ones((seq_len, seq_len))) > 0).T


def by_loops(seq_len):
    """Another right answer: one cell at a time."""
    return np.array([[key <= query for key in range(seq_len)] for query in range(seq_len)])


EXERCISE = Exercise(
    name="causal_mask",
    lesson="02_attention",
    kind="write",
    points=1,
    difficulty=1,
    minutes=5,
    asks="Return a bool square in which each position may attend to itself and to what came before.",
    reference=reference,
    returns=("mask",),
    cases=(
        Case("three tokens", lambda rng: Call(3)),
        Case("a single token", lambda rng: Call(1), "it may attend to itself"),
        Case("seven tokens", lambda rng: Call(7)),
    ),
    properties=(
        Property("each query sees one key more than the query before it", each_query_sees_one_key_more),
        Property("no query sees the future", no_query_sees_the_future),
    ),
    misconceptions=(
        true_means_hidden,
        transposed,
        not_itself,
        one_step_ahead,
        ones_and_zeros,
        ones_where_hidden,
        integers,
        ready_to_add,
        extra_axes,
        only_itself,
        everything_visible,
    ),
    alternatives=(by_comparing_positions, by_hiding_the_future, by_loops),
    hints=(
        "Draw it for three tokens: rows are queries, columns are keys. Which of the nine cells may be attended?",
        "Query i may attend to key j where j is at most i. That is a lower triangle, diagonal included. NumPy has "
        "tri, tril and triu, and comparing two aranges works too.",
        "np.arange(seq_len)[:, np.newaxis] >= np.arange(seq_len)",
    ),
)
