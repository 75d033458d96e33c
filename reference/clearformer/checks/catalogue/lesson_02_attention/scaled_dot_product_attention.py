"""scaled_dot_product_attention: mix the values by how well each query matches each key."""

import math

import numpy as np

from clearformer.checks.catalogue.lesson_02_attention.inputs import (
    PADDING,
    WITH_A_HIDDEN_ROW,
    large_scores,
    one_key_far_ahead,
    triple,
)
from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception
from clearformer.numpy.attention import masked_softmax, softmax
from clearformer.numpy.attention import scaled_dot_product_attention as reference


def rows_sum_to_one(answer, rng):
    query, key, value = triple(rng)
    _, weights = answer.call(query, key, value, np.array([[True, False, True, True]]))
    worst = max(weights.sum(axis=-1).ravel(), key=lambda total: abs(total - 1))
    return None if abs(worst - 1) < 1e-9 else f"one row of the weights sums to {worst:.4f}"


def hidden_keys_do_not_matter(answer, rng):
    query, key, value = triple(rng)
    mask = np.array([[True, True, False, True]])
    before, _ = answer.call(query, key, value, mask)
    key[2], value[2] = 3.0, 100.0
    after, _ = answer.call(query, key, value, mask)
    moved = np.abs(after - before).max()
    return None if moved < 1e-9 else f"changing a hidden key and its value moved the output by {moved:.2g}"


def order_of_the_keys_does_not_matter(answer, rng):
    query, key, value = triple(rng)
    order = [2, 0, 3, 1]
    before, _ = answer.call(query, key, value)
    after, _ = answer.call(query, key[order], value[order])
    moved = np.abs(after - before).max()
    return None if moved < 1e-9 else f"putting keys and values in another order moved the output by {moved:.2g}"


def scaled_scores(query, key):
    return query @ key.swapaxes(-2, -1) / math.sqrt(query.shape[-1])


def mixed(scores, value, mask):
    weights = masked_softmax(scores, mask)
    return weights @ value, weights


@misconception(
    "no-scale",
    "Your scores are not scaled. Divide them by √d_k, the square root of the width of query and key, before the "
    "softmax.",
)
def no_scale(query, key, value, mask=None):
    return mixed(query @ key.swapaxes(-2, -1), value, mask)


@misconception(
    "scaled-by-d-k",
    "You divide the scores by d_k. The scores' variance is d_k, so their typical size is √d_k: divide by that.",
)
def scaled_by_d_k(query, key, value, mask=None):
    return mixed(query @ key.swapaxes(-2, -1) / query.shape[-1], value, mask)


@misconception(
    "scaled-the-wrong-way",
    "You multiply the scores by √d_k. They are too large for the softmax already: divide by √d_k.",
)
def scaled_the_wrong_way(query, key, value, mask=None):
    return mixed(query @ key.swapaxes(-2, -1) * math.sqrt(query.shape[-1]), value, mask)


@misconception(
    "scaled-by-the-value-width",
    "You divide by the square root of d_v, the width of the values. A score is a sum of d_k products, so the width of "
    "query and key is what counts: query.shape[-1].",
)
def scaled_by_the_value_width(query, key, value, mask=None):
    return mixed(query @ key.swapaxes(-2, -1) / math.sqrt(value.shape[-1]), value, mask)


@misconception(
    "scaled-by-the-number-of-keys",
    "You divide by the square root of the number of keys. The scale is √d_k, the width of one key: key.shape[-1], "
    "not key.shape[-2].",
)
def scaled_by_the_number_of_keys(query, key, value, mask=None):
    return mixed(query @ key.swapaxes(-2, -1) / math.sqrt(key.shape[-2]), value, mask)


@misconception(
    "softmax-over-the-queries",
    "Your weights sum to 1 down the columns: the softmax ran over the queries. Each query shares a sum of 1 among "
    "the keys, so the softmax runs over the last axis of the scores.",
)
def softmax_over_the_queries(query, key, value, mask=None):
    scores = scaled_scores(query, key)
    visible = np.broadcast_to(True if mask is None else mask, scores.shape)
    weights = masked_softmax(scores.swapaxes(-2, -1), visible.swapaxes(-2, -1)).swapaxes(-2, -1)
    return weights @ value, weights


@misconception(
    "mask-after-softmax",
    "You set the hidden weights to 0 after the softmax. The hidden keys have taken their share by then, and the rows "
    "no longer sum to 1. Hide the scores before the softmax: a score of -inf gets weight 0.",
)
def mask_after_softmax(query, key, value, mask=None):
    weights = softmax(scaled_scores(query, key))
    if mask is not None:
        weights = np.where(mask, weights, 0.0).astype(weights.dtype)
    return weights @ value, weights


@misconception(
    "renormalised-after-masking",
    "You set the hidden weights to 0 after the softmax and divide each row by what is left. Where nothing is left, in "
    "a fully hidden row or under a far larger hidden score, that is 0 divided by 0. Hide the scores before the "
    "softmax, and give a row without visible keys zeros.",
)
def renormalised_after_masking(query, key, value, mask=None):
    weights = softmax(scaled_scores(query, key))
    if mask is not None:
        weights = weights * mask
        weights = weights / weights.sum(axis=-1, keepdims=True)
    return weights @ value, weights


@misconception(
    "maximum-over-hidden-keys",
    "Your softmax subtracts a maximum that was taken over the hidden keys too. Where a hidden score is far larger, "
    "every visible exponential underflows to 0, and nothing is left to share out. Hide the scores first, then take "
    "the maximum.",
)
def maximum_over_hidden_keys(query, key, value, mask=None):
    scores = scaled_scores(query, key)
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    if mask is not None:
        exponentials = exponentials * mask
    total = exponentials.sum(axis=-1, keepdims=True)
    weights = np.where(total > 0, exponentials / np.where(total > 0, total, 1), 0).astype(scores.dtype)
    return weights @ value, weights


@misconception(
    "mask-the-other-way-round",
    "You hide the keys whose mask is True. That is the convention of some libraries. This exercise asks for "
    "True = may be attended.",
)
def mask_the_other_way_round(query, key, value, mask=None):
    return mixed(scaled_scores(query, key), value, None if mask is None else ~mask)


@misconception(
    "mask-ignored",
    "Hidden keys still get weight: the mask is not used. Where it is False, set the score to -inf before the softmax.",
)
def mask_ignored(query, key, value, mask=None):
    return mixed(scaled_scores(query, key), value, None)


@misconception(
    "mask-used-as-an-index",
    "scores[~mask] works only where the mask has the very shape of the scores. Here it is broadcast: one mask serves "
    "all sequences, or all heads. np.where(mask, scores, -np.inf) broadcasts.",
)
def mask_used_as_an_index(query, key, value, mask=None):
    scores = scaled_scores(query, key)
    if mask is not None:
        scores[~mask] = -np.inf
    return mixed(scores, value, scores > -np.inf)


@misconception(
    "truth-of-an-array",
    "An `if` met an array of several bools, and NumPy refuses. To ask whether there is a mask: if mask is not None. "
    "To use it: np.where(mask, scores, -np.inf), which also fits masks with other axes than the scores.",
)
def truth_of_an_array(query, key, value, mask=None):
    return mixed(scaled_scores(query, key), value, mask or None)


@misconception(
    "hidden-score-zero",
    "You set hidden scores to 0, or multiply the scores by the mask. exp(0) is 1, so a hidden key still gets weight, "
    "often more than a visible one. The score that gives weight 0 is -inf.",
)
def hidden_score_zero(query, key, value, mask=None):
    scores = scaled_scores(query, key)
    if mask is not None:
        scores = scores * mask
    return mixed(scores, value, None)


@misconception(
    "nan-for-a-hidden-row",
    "A query that may attend to nothing has only scores of -inf: softmax then computes 0 divided by 0, which is NaN. "
    "This exercise asks for zeros there. After the softmax, set the weights of such a row to 0.",
)
def nan_for_a_hidden_row(query, key, value, mask=None):
    scores = scaled_scores(query, key)
    if mask is not None:
        scores = np.where(mask, scores, -np.inf).astype(scores.dtype)
    weights = softmax(scores)
    return weights @ value, weights


@misconception(
    "finite-stand-in",
    "A query that may attend to nothing attends to everything alike: its hidden scores all hold the same finite "
    "number, such as -1e9, and equal scores get equal weights. Use -inf, and give such a row zeros.",
)
def finite_stand_in(query, key, value, mask=None):
    scores = scaled_scores(query, key)
    if mask is not None:
        scores = np.where(mask, scores, scores.dtype.type(-1e9))
    return mixed(scores, value, None)


@misconception(
    "finite-number-added",
    "A query that may attend to nothing attends as if nothing were hidden: the same finite number, such as -1e9, was "
    "added to all its scores, and the softmax takes it out again. Replace hidden scores by -inf, and give such a "
    "row zeros.",
)
def finite_number_added(query, key, value, mask=None):
    scores = scaled_scores(query, key)
    if mask is not None:
        scores = scores + np.where(mask, 0.0, -1e9).astype(scores.dtype)
    return mixed(scores, value, None)


@misconception(
    "too-large-for-half-precision",
    "Right in float32 and float64. In half precision −1e9 does not exist: it becomes −inf, a fully hidden row becomes "
    "NaN, and NaN times 0 is still NaN. Use -inf, and set such a row with np.where.",
)
def too_large_for_half_precision(query, key, value, mask=None):
    scores = scaled_scores(query, key)
    if mask is None:
        return mixed(scores, value, None)
    weights = softmax(np.where(mask, scores, scores.dtype.type(-1e9))) * mask
    return weights @ value, weights


@misconception(
    "nan-replaced-in-the-output-alone",
    "The output of a query that may attend to nothing is zero, as asked, but its weights are NaN: 0 divided by 0. "
    "Replace them right after the softmax, before they meet the values.",
)
def nan_replaced_in_the_output_alone(query, key, value, mask=None):
    output, weights = nan_for_a_hidden_row.implementation(query, key, value, mask)
    return np.nan_to_num(output), weights


@misconception(
    "hidden-row-only-in-the-output",
    "The output of a query that may attend to nothing is zero, as asked, but its weights are not. Set the weights of "
    "that row to 0; the output follows.",
)
def hidden_row_only_in_the_output(query, key, value, mask=None):
    output, weights = reference(query, key, value, mask)
    if mask is not None:
        has_key = np.broadcast_to(mask, weights.shape).any(axis=-1, keepdims=True)
        weights = np.where(has_key, weights, 1 / weights.shape[-1]).astype(weights.dtype)
    return output, weights


@misconception(
    "no-maximum-subtracted",
    "The formula is right, but exp overflows for large scores, and infinity divided by infinity is NaN. Use your "
    "softmax, which subtracts the largest score of each row first.",
)
def no_maximum_subtracted(query, key, value, mask=None):
    exponentials = np.exp(scaled_scores(query, key))
    if mask is not None:
        exponentials = np.where(mask, exponentials, 0).astype(exponentials.dtype)
    total = exponentials.sum(axis=-1, keepdims=True)
    weights = exponentials / np.where(total > 0, total, 1).astype(exponentials.dtype)
    return weights @ value, weights


@misconception(
    "transposed-by-T",
    "key.T turns round all the axes of an array. With a batch axis in front, swap the last two only: "
    "key.swapaxes(-2, -1).",
)
def transposed_by_t(query, key, value, mask=None):
    return mixed(query @ key.T / math.sqrt(query.shape[-1]), value, mask)


@misconception(
    "reshaped-not-transposed",
    "Your keys have the right shape for the product, but reshape only cuts the same row of numbers in other places: "
    "the numbers of different keys get mixed. Swap the axes instead: key.swapaxes(-2, -1).",
)
def reshaped_not_transposed(query, key, value, mask=None):
    turned = key.reshape(*key.shape[:-2], key.shape[-1], key.shape[-2])
    return mixed(query @ turned / math.sqrt(query.shape[-1]), value, mask)


@misconception(
    "keys-mixed-not-values",
    "Your output mixes the keys. Keys only decide how much each position counts; what is mixed is the values: "
    "weights @ value.",
)
def keys_mixed_not_values(query, key, value, mask=None):
    _, weights = reference(query, key, value, mask)
    return weights @ key, weights


@misconception(
    "pair-the-other-way-round",
    "You return the weights first. This exercise asks for the pair (output, weights).",
)
def pair_the_other_way_round(query, key, value, mask=None):
    return reference(query, key, value, mask)[::-1]


@misconception(
    "widened-to-float64",
    "The numbers are right, but float32 or float16 came in and float64 went out. np.sqrt returns a NumPy float64, "
    "and dividing by it widens the whole array. math.sqrt returns a Python number, which leaves the dtype alone.",
)
def widened_to_float64(query, key, value, mask=None):
    return mixed(query @ key.swapaxes(-2, -1) / np.sqrt(query.shape[-1]), value, mask)


@misconception(
    "changes-its-input",
    "The result is right, but you changed query itself: `query /= …` works on the caller's array. "
    "Divide the scores instead, or write query = query / ….",
)
def changes_its_input(query, key, value, mask=None):
    query /= math.sqrt(query.shape[-1])
    return mixed(query @ key.swapaxes(-2, -1), value, mask)


def with_einsum(query, key, value, mask=None):
    """Another right answer: einsum, the maximum taken over the visible keys, a safe division."""
    scores = np.einsum("...qd,...kd->...qk", query, key) / math.sqrt(key.shape[-1])
    visible = np.broadcast_to(True if mask is None else mask, scores.shape)
    top = scores.max(axis=-1, keepdims=True, where=visible, initial=np.finfo(scores.dtype).min)
    exponentials = np.exp(np.where(visible, scores - top, -np.inf))
    total = exponentials.sum(axis=-1, keepdims=True)
    weights = (exponentials / np.where(total == 0, 1, total)).astype(query.dtype)
    return np.einsum("...qk,...kd->...qd", weights, value), weights


def in_float64(query, key, value, mask=None):
    """Another right answer: computed wider, NaN rows set to zero, rounded back."""
    wide = query.astype(np.float64) / math.sqrt(query.shape[-1]) @ np.moveaxis(key.astype(np.float64), -1, -2)
    if mask is not None:
        wide[~np.broadcast_to(mask, wide.shape)] = -np.inf
    wide = np.exp(wide - wide.max(axis=-1, keepdims=True))
    wide = np.nan_to_num(wide / wide.sum(axis=-1, keepdims=True), nan=0.0)
    return (wide @ value).astype(value.dtype), wide.astype(query.dtype)


def query_by_query(query, key, value, mask=None):
    """Another right answer: one query at a time, over the keys it may see."""
    shape = (*query.shape[:-1], key.shape[-2])
    visible = np.broadcast_to(True if mask is None else mask, shape)
    output, weights = np.zeros((*query.shape[:-1], value.shape[-1]), value.dtype), np.zeros(shape, query.dtype)
    for place in np.ndindex(query.shape[:-1]):
        seen = visible[place]
        if seen.any():
            scores = key[place[:-1]][seen] @ query[place] / math.sqrt(query.shape[-1])
            powers = np.exp(scores - scores.max())
            weights[(*place, seen)] = powers / powers.sum()
            output[place] = weights[place] @ value[place[:-1]]
    return output, weights


def transposed_views(rng):
    query, key, value = triple(rng, (2,), d_k=3)
    return Call(*(np.ascontiguousarray(x.swapaxes(-2, -1)).swapaxes(-2, -1) for x in (query, key, value)))


def four_axes(rng):
    return Call(*triple(rng, (2, 3), queries=5), PADDING)


EXERCISE = Exercise(
    name="scaled_dot_product_attention",
    lesson="02_attention",
    kind="write",
    points=4,
    difficulty=3,
    minutes=25,
    asks="Score each query against each key, turn the scores into weights, and mix the values with them.",
    reference=reference,
    returns=("output", "weights"),
    cases=(
        Case("one query, two keys", lambda rng: Call(*triple(rng, queries=1, keys=2, d_k=3, d_v=4))),
        Case("a single token", lambda rng: Call(*triple(rng, queries=1, keys=1, d_k=3, d_v=2))),
        Case("as many tokens as numbers in each", lambda rng: Call(*triple(rng, queries=3, keys=3, d_k=3, d_v=3))),
        Case("more keys than queries", lambda rng: Call(*triple(rng, queries=3, keys=5, d_k=4, d_v=2))),
        Case("equal scores", lambda rng: Call(np.zeros((2, 3)), *triple(rng, keys=4, d_k=3)[1:])),
        Case(
            "a batch as large as the number of queries",
            lambda rng: Call(*triple(rng, (3,))),
            "the batch axis must stay a batch axis",
        ),
        Case(
            "a mask for each query",
            lambda rng: Call(
                *triple(rng), np.array([[True, False, False, False], [True, True, False, True], [True] * 4])
            ),
        ),
        Case(
            "one mask for a whole batch",
            lambda rng: Call(*triple(rng, (2,), queries=4), np.tri(4, dtype=bool)),
            "a causal mask, the same for both sequences",
        ),
        Case("heads, and padding in front and inside", four_axes, "the mask is (batch, 1, 1, T_k)"),
        Case(
            "a query that may attend to nothing",
            lambda rng: Call(*triple(rng, (2,)), WITH_A_HIDDEN_ROW),
            "its weights and its output are zero",
        ),
        Case("no query may attend to anything", lambda rng: Call(*triple(rng), np.zeros((3, 4), dtype=bool))),
        Case("large scores", lambda rng: Call(*large_scores(rng)), "exp of 1000 is too large for a float64"),
        Case(
            "a hidden key with a far larger score",
            lambda rng: Call(*one_key_far_ahead(rng, row=1), np.array([[True, False, True, True]])),
            "a hidden score must not count, not even in the maximum",
        ),
        Case("single precision", lambda rng: Call(*triple(rng, dtype=np.float32))),
        Case(
            "half precision, with a query that may attend to nothing",
            lambda rng: Call(*triple(rng, (2,), dtype=np.float16), WITH_A_HIDDEN_ROW),
        ),
        Case("transposed views", transposed_views, "not contiguous in memory"),
    ),
    properties=(
        Property("each row of weights sums to 1", rows_sum_to_one),
        Property("what stands at a hidden key does not matter", hidden_keys_do_not_matter),
        Property("the order of the keys does not matter", order_of_the_keys_does_not_matter),
    ),
    misconceptions=(
        no_scale,
        scaled_by_d_k,
        scaled_the_wrong_way,
        scaled_by_the_value_width,
        scaled_by_the_number_of_keys,
        softmax_over_the_queries,
        mask_after_softmax,
        renormalised_after_masking,
        maximum_over_hidden_keys,
        mask_the_other_way_round,
        mask_ignored,
        mask_used_as_an_index,
        truth_of_an_array,
        hidden_score_zero,
        nan_for_a_hidden_row,
        finite_stand_in,
        finite_number_added,
        too_large_for_half_precision,
        nan_replaced_in_the_output_alone,
        hidden_row_only_in_the_output,
        no_maximum_subtracted,
        transposed_by_t,
        reshaped_not_transposed,
        keys_mixed_not_values,
        pair_the_other_way_round,
        widened_to_float64,
        changes_its_input,
    ),
    alternatives=(with_einsum, in_float64, query_by_query),
    hints=(
        "Every score is the dot product of one query with one key. One matrix product gives them all.",
        "Five steps: scores (..., T_q, T_k) = query times the transposed key; divide by √d_k; set hidden scores to "
        "-inf; softmax over the last axis, then zeros for the rows that may see nothing; weights times value.",
        "scores = query @ key.swapaxes(-2, -1) / math.sqrt(query.shape[-1])",
    ),
    forbidden=("torch.nn.functional.scaled_dot_product_attention",),
)
