"""causal_attention: a hunt. The mask is read off the scores, and a score may be 0."""

import math

import numpy as np

from clearformer.checks.catalogue.lesson_02_attention.inputs import one_key_far_ahead, triple
from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception
from clearformer.numpy.attention import causal_mask, masked_softmax, scaled_dot_product_attention, softmax


def reference(query, key, value):
    """Attention in which no position sees a later one: the mask follows from the positions alone."""
    return scaled_dot_product_attention(query, key, value, causal_mask(query.shape[-2]))


def future_tokens_do_not_change_the_past(answer, rng):
    # Features of 0 and 1, as words may have: many dot products are exactly 0.
    tokens = rng.integers(0, 2, size=(6, 4)).astype(float)
    tokens[4:] = 0.0
    before, _ = answer.call(tokens, tokens, tokens)
    tokens[4:, 0] = 1.0
    after, _ = answer.call(tokens, tokens, tokens)
    moved = np.abs(after - before)[:4].max()
    return None if moved < 1e-9 else f"changing tokens 4 and 5 moved the output at an earlier token by {moved:.2g}"


def rows_sum_to_one(answer, rng):
    _, weights = answer.call(*triple(rng, queries=5, keys=5))
    worst = max(weights.sum(axis=-1), key=lambda total: abs(total - 1))
    return None if abs(worst - 1) < 1e-9 else f"one row of the weights sums to {worst:.4f}"


def scaled_scores(query, key):
    return query @ key.swapaxes(-2, -1) / math.sqrt(query.shape[-1])


def mixed(weights, value):
    return weights @ value, weights


@misconception(
    "as-it-was",
    "This is the function as it was, with both its mistakes. It looks for the places above the diagonal by asking "
    "which scores are not 0, and misses those whose score is 0. And it hides after the softmax, when the later tokens "
    "have taken their share. Start from the positions alone, and hide the scores.",
)
def as_it_was(query, key, value):
    scores = scaled_scores(query, key)
    weights = softmax(scores)
    weights = np.where(np.triu(scores, 1) != 0, 0, weights)
    return mixed(weights / weights.sum(axis=-1, keepdims=True), value)


@misconception(
    "mask-read-off-the-scores",
    "A later token still gets weight wherever its score happens to be exactly 0: np.triu(scores, 1) != 0 finds the "
    "scores that differ from 0, not the places above the diagonal. Build the mask from the positions alone, without "
    "looking at the scores.",
)
def mask_read_off_the_scores(query, key, value):
    scores = scaled_scores(query, key)
    hidden = np.triu(scores, 1) != 0
    return mixed(softmax(np.where(hidden, -np.inf, scores).astype(scores.dtype)), value)


@misconception(
    "visible-zeros-hidden",
    "A token that may be seen is hidden wherever its score happens to be exactly 0: np.tril leaves zeros above the "
    "diagonal, but a zero below it looks the same. Build the mask from the positions alone.",
)
def visible_zeros_hidden(query, key, value):
    scores = np.tril(scaled_scores(query, key))
    return mixed(softmax(np.where(scores == 0, -np.inf, scores).astype(scores.dtype)), value)


@misconception(
    "future-score-zero",
    "You set the scores of later tokens to 0. exp(0) is 1, so they still get weight. The score that gives weight 0 "
    "is -inf.",
)
def future_score_zero(query, key, value):
    return mixed(softmax(np.tril(scaled_scores(query, key))), value)


@misconception(
    "mask-after-softmax",
    "You set the weights of later tokens to 0 after the softmax. They have taken their share by then, and the rows "
    "no longer sum to 1. Hide the scores before the softmax.",
)
def mask_after_softmax(query, key, value):
    return mixed(np.tril(softmax(scaled_scores(query, key))), value)


@misconception(
    "renormalised-after-masking",
    "You set the weights of later tokens to 0 after the softmax and divide each row by what is left. Where a later "
    "token has a far larger score, nothing is left: 0 divided by 0 is NaN. Hide the scores before the softmax.",
)
def renormalised_after_masking(query, key, value):
    weights = np.tril(softmax(scaled_scores(query, key)))
    return mixed(weights / weights.sum(axis=-1, keepdims=True), value)


@misconception(
    "zero-times-infinity",
    "Your weights are all NaN. You multiply a triangle of ones and zeros by infinity, and 0 times infinity is not a "
    "number, so the visible scores become NaN too. Choose instead of multiplying: np.where(visible, scores, -np.inf).",
)
def zero_times_infinity(query, key, value):
    seq_len = query.shape[-2]
    return mixed(softmax(scaled_scores(query, key) - np.triu(np.ones((seq_len, seq_len)), 1) * np.inf), value)


@misconception(
    "too-large-for-half-precision",
    "Right in float32 and float64. In half precision 1e9 does not exist: it becomes infinity, and 0 times infinity is "
    "NaN. Choose instead of multiplying: np.where(visible, scores, -np.inf).",
)
def too_large_for_half_precision(query, key, value):
    future = np.triu(np.ones((query.shape[-2], query.shape[-2]), query.dtype), 1)
    return mixed(softmax(scaled_scores(query, key) - query.dtype.type(1e9) * future), value)


@misconception(
    "widened-by-the-mask",
    "The numbers are right, but float32 or float16 came in and float64 went out. np.ones makes float64 unless told "
    "otherwise, and adding such a mask widens the scores. np.where(visible, scores, -np.inf) leaves the dtype alone.",
)
def widened_by_the_mask(query, key, value):
    seq_len = query.shape[-2]
    scores = (query / math.sqrt(query.shape[-1])) @ key.swapaxes(-2, -1)  # as in the function shown
    return mixed(softmax(scores - 1e9 * np.triu(np.ones((seq_len, seq_len)), 1)), value)


@misconception(
    "past-hidden",
    "You hide the past and show the future: the triangle is the wrong way up. Rows are queries, columns are keys; "
    "what lies above the diagonal comes later.",
)
def past_hidden(query, key, value):
    visible = causal_mask(query.shape[-2]).T
    return mixed(masked_softmax(scaled_scores(query, key), visible), value)


@misconception(
    "not-itself",
    "Your tokens may not attend to themselves, and the first one is left with nothing. The diagonal belongs to what "
    "may be seen: np.triu(…, 1) starts above it, np.triu(…) on it.",
)
def not_itself(query, key, value):
    visible = np.tri(query.shape[-2], k=-1, dtype=bool)
    return mixed(masked_softmax(scaled_scores(query, key), visible), value)


@misconception(
    "one-step-ahead",
    "Each token also sees the one right after it. Everything above the diagonal has to be hidden.",
)
def one_step_ahead(query, key, value):
    visible = np.tri(query.shape[-2], k=1, dtype=bool)
    return mixed(masked_softmax(scaled_scores(query, key), visible), value)


@misconception(
    "nothing-hidden",
    "Every token sees every other, the later ones too. Hide what lies above the diagonal of the scores.",
)
def nothing_hidden(query, key, value):
    return mixed(softmax(scaled_scores(query, key)), value)


@misconception(
    "no-scale",
    "The mask is right now, but the scores have lost their scale. Divide them by √d_k.",
)
def no_scale(query, key, value):
    return mixed(masked_softmax(query @ key.swapaxes(-2, -1), causal_mask(query.shape[-2])), value)


@misconception(
    "softmax-over-the-queries",
    "Your weights sum to 1 down the columns: the softmax ran over the queries. It runs over the keys, the last axis.",
)
def softmax_over_the_queries(query, key, value):
    visible = causal_mask(query.shape[-2]).T
    weights = masked_softmax(scaled_scores(query, key).swapaxes(-2, -1), visible).swapaxes(-2, -1)
    return mixed(weights, value)


@misconception(
    "one-mask-axis-too-many",
    "You take the length from the first axis. With a batch in front that is the number of sequences. The number of "
    "tokens is query.shape[-2].",
)
def one_mask_axis_too_many(query, key, value):
    visible = causal_mask(len(query))
    return mixed(masked_softmax(scaled_scores(query, key), visible), value)


def by_comparing_positions(query, key, value):
    """Another right answer: hide a key whose position is larger."""
    position = np.arange(query.shape[-2])
    scores = scaled_scores(query, key)
    scores[..., position[:, np.newaxis] < position] = -np.inf
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights = weights / weights.sum(axis=-1, keepdims=True)
    return weights @ value, weights


def by_prefixes(query, key, value):
    """Another right answer: token by token, over the tokens so far."""
    seq_len = query.shape[-2]
    weights = np.zeros((*query.shape[:-1], seq_len), query.dtype)
    for t in range(seq_len):
        scores = (key[..., : t + 1, :] @ query[..., t, :, np.newaxis])[..., 0] / math.sqrt(query.shape[-1])
        powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights[..., t, : t + 1] = powers / powers.sum(axis=-1, keepdims=True)
    return weights @ value, weights


def by_adding_minus_infinity(query, key, value):
    """Another right answer, not contiguous in memory: -inf added above the diagonal."""
    seq_len = query.shape[-2]
    future = np.triu(np.full((seq_len, seq_len), -np.inf, dtype=query.dtype), 1)
    columns = (scaled_scores(query, key) + future).swapaxes(-2, -1)
    weights = np.exp(columns - columns.max(axis=-2, keepdims=True))
    weights = (weights / weights.sum(axis=-2, keepdims=True)).swapaxes(-2, -1)
    return np.einsum("...qk,...kd->...qd", weights, value), weights


def one_hot_words(rng):
    words = np.eye(4)
    return Call(words, words, rng.normal(size=(4, 3)))


def a_key_of_zeros(rng):
    query, key, value = triple(rng, queries=4, keys=4)
    key[2] = 0.0
    return Call(query, key, value)


EXERCISE = Exercise(
    name="causal_attention",
    lesson="02_attention",
    kind="hunt",
    points=2,
    difficulty=3,
    minutes=10,
    asks="Mend the function so that no token ever sees a later one, whatever the scores are.",
    reference=reference,
    returns=("output", "weights"),
    cases=(
        Case("two random tokens", lambda rng: Call(*triple(rng, queries=2, keys=2, d_k=3, d_v=2))),
        Case("a single token", lambda rng: Call(*triple(rng, queries=1, keys=1))),
        Case("four random tokens", lambda rng: Call(*triple(rng, queries=4, keys=4))),
        Case("four different words, one number each", one_hot_words, "every score off the diagonal is 0"),
        Case("a key of zeros", a_key_of_zeros, "as embeddings of padding often are"),
        Case("all scores zero", lambda rng: Call(np.zeros((3, 2)), *triple(rng, queries=3, keys=3, d_k=2)[1:])),
        Case("heads and a batch", lambda rng: Call(*triple(rng, (2, 3), queries=4, keys=4))),
        Case("a batch as large as the number of tokens", lambda rng: Call(*triple(rng, (3,), queries=3, keys=3))),
        Case(
            "a later token with a far larger score",
            lambda rng: Call(*one_key_far_ahead(rng, row=2, queries=3, keys=3)),
            "it must not count, not even in the maximum",
        ),
        Case("large scores", lambda rng: Call(*triple(rng, queries=3, keys=3, size=60.0))),
        Case("single precision", lambda rng: Call(*triple(rng, queries=3, keys=3, dtype=np.float32))),
        Case("half precision", lambda rng: Call(*triple(rng, queries=3, keys=3, dtype=np.float16))),
    ),
    properties=(
        Property("tokens to come do not change the past", future_tokens_do_not_change_the_past),
        Property("each row of weights sums to 1", rows_sum_to_one),
    ),
    misconceptions=(
        as_it_was,
        mask_read_off_the_scores,
        visible_zeros_hidden,
        future_score_zero,
        mask_after_softmax,
        renormalised_after_masking,
        zero_times_infinity,
        too_large_for_half_precision,
        widened_by_the_mask,
        past_hidden,
        not_itself,
        one_step_ahead,
        nothing_hidden,
        no_scale,
        softmax_over_the_queries,
        one_mask_axis_too_many,
    ),
    alternatives=(by_comparing_positions, by_prefixes, by_adding_minus_infinity),
    hints=(
        "Run the shown function on words that are one-hot vectors, and print the weights. Which weights above the "
        "diagonal are not 0, and what are their scores?",
        "Whether a key comes later depends on where it stands, not on what its score is. Make a bool triangle from "
        "the length alone. You wrote one in this notebook. And what have later tokens taken before you set their "
        "weights to 0?",
        "scores = np.where(causal_mask(query.shape[-2]), scores, -np.inf)  # before the softmax",
    ),
    forbidden=("torch.nn.functional.scaled_dot_product_attention",),
)
