"""multi_head_attention: several attentions side by side, in NumPy."""

import math

import numpy as np

from clearformer.checks.catalogue.lesson_03_multi_head_attention import merge_heads as merging
from clearformer.checks.catalogue.lesson_03_multi_head_attention import split_heads as splitting
from clearformer.checks.exercise import Call, Case, Exercise, Misconception, Property
from clearformer.numpy.attention import causal_mask, masked_softmax, padding_mask, softmax
from clearformer.numpy.multi_head import merge_heads, split_heads
from clearformer.numpy.multi_head import multi_head_attention as reference


def the_order_of_the_heads_is_free(answer, rng):
    x, w_query, w_key, w_value, w_output = rng.normal(size=(5, 6, 6))
    order = [2, 3, 4, 5, 0, 1]  # three heads of width 2: the first one goes to the end
    output = answer.call(x, x, w_query, w_key, w_value, w_output, 3)
    turned = answer.call(x, x, w_query[:, order], w_key[:, order], w_value[:, order], w_output[order], 3)
    gap = np.abs(output - turned).max()
    return None if gap < 1e-9 else f"with the heads in another order the output moved by {gap:.2g}"


def hidden_keys_change_nothing(answer, rng):
    x, w_query, w_key, w_value, w_output = rng.normal(size=(5, 4, 4))
    future = x.copy()
    future[2:] += 1.0
    before = answer.call(x, x, w_query, w_key, w_value, w_output, 2, causal_mask(4))[:2]
    after = answer.call(future, future, w_query, w_key, w_value, w_output, 2, causal_mask(4))[:2]
    gap = np.abs(before - after).max()
    return None if gap < 1e-9 else f"changing tokens 2 and 3 moved the output of tokens 0 and 1 by {gap:.2g}"


# What the parts of a wrong answer may be replaced by ----------------------------------------------------------


def right_scores(query, key, d_model):
    return query @ key.swapaxes(-2, -1) / math.sqrt(query.shape[-1])


def right_weights(scores, mask):
    return masked_softmax(scores, mask)


def softmax_with_nan(scores, mask):
    return softmax(scores if mask is None else np.where(mask, scores, -np.inf))


def softmax_over_queries(scores, mask):
    mask = None if mask is None else np.broadcast_to(mask, scores.shape).swapaxes(-2, -1)
    return masked_softmax(scores.swapaxes(-2, -1), mask).swapaxes(-2, -1)


def masked_afterwards(scores, mask):
    weights = softmax(scores)
    return weights if mask is None else np.where(mask, weights, 0.0)


def finite_stand_in(scores, mask):
    return softmax(scores if mask is None else np.where(mask, scores, -1e9))


def mask_inverted(scores, mask):
    return masked_softmax(scores, None if mask is None else ~mask)


def mask_ignored(scores, mask):
    return softmax(scores)


def heads_axis_added(scores, mask):
    return masked_softmax(scores, None if mask is None else mask[:, np.newaxis])


def heads_axis_removed(scores, mask):
    if mask is not None and mask.ndim == 4:
        mask = mask[:, 0]
    return masked_softmax(scores, mask)


def variant(
    *,
    projections=lambda x_query, x_key_value, w_query, w_key, w_value: (
        x_query @ w_query,
        x_key_value @ w_key,
        x_key_value @ w_value,
    ),
    heads=lambda num_heads: num_heads,
    split=split_heads,
    scores=right_scores,
    weights=right_weights,
    merge=merge_heads,
    output_projection=lambda merged, w_output: merged @ w_output,
    returns=lambda output, weights: output,
):
    """Multi-head attention with some of its parts replaced."""

    def multi_head_attention(x_query, x_key_value, w_query, w_key, w_value, w_output, num_heads, mask=None):
        projected = projections(x_query, x_key_value, w_query, w_key, w_value)
        query, key, value = (split(x, heads(num_heads)) for x in projected)
        weighting = weights(scores(query, key, x_query.shape[-1]), mask)
        output = output_projection(merge(weighting @ value), w_output)
        return returns(output.astype(x_query.dtype, copy=False), weighting)

    return multi_head_attention


MISCONCEPTIONS = (
    Misconception(
        "split-without-transpose",
        variant(split=splitting.reshape_without_transpose.implementation),
        "Your heads hold pieces of the wrong tokens: the split is a reshape straight to (..., heads, T, d_head). "
        "Reshape to (..., T, heads, d_head) first, then swap T and heads; or call your split_heads.",
    ),
    Misconception(
        "merged-without-transposing-back",
        variant(merge=merging.reshape_without_transpose.implementation),
        "Up to the merging all is right. Then you reshaped (..., heads, T, d_head) at once, so a row got several "
        "tokens of one head. Swap heads and T back first; or call your merge_heads.",
    ),
    Misconception(
        "split-and-merged-without-transpose",
        variant(
            split=splitting.reshape_without_transpose.implementation,
            merge=merging.reshape_without_transpose.implementation,
        ),
        "You reshape straight to (..., heads, T, d_head) and back. The shapes fit, but a head now sees pieces of "
        "several tokens as one. Both ways need the swap of the axes T and heads; your split_heads and merge_heads do "
        "it.",
    ),
    Misconception(
        "columns-interleaved",
        variant(
            split=splitting.columns_interleaved.implementation,
            merge=merging.columns_interleaved.implementation,
        ),
        "Your head h reads every num_heads-th column. This exercise asks for neighbouring columns: head h reads "
        "columns h·d_head to (h+1)·d_head of the projections.",
    ),
    Misconception(
        "scaled-by-d-model",
        variant(scores=lambda query, key, d_model: query @ key.swapaxes(-2, -1) / math.sqrt(d_model)),
        "You divide the scores by √d_model. A score here is a sum over one head, d_head = d_model / num_heads terms: "
        "divide by √d_head. query.shape[-1] after the split is the number you need.",
    ),
    Misconception(
        "scaled-by-d-head",
        variant(scores=lambda query, key, d_model: query @ key.swapaxes(-2, -1) / query.shape[-1]),
        "You divide the scores by d_head, or by √d_head twice (scaled_dot_product_attention does it for you). "
        "Divide by √d_head once.",
    ),
    Misconception(
        "not-scaled",
        variant(scores=lambda query, key, d_model: query @ key.swapaxes(-2, -1)),
        "Your scores are not scaled. Divide them by √d_head before the softmax.",
    ),
    Misconception(
        "scaled-by-the-number-of-heads",
        variant(scores=lambda query, key, d_model: query @ key.swapaxes(-2, -1) / math.sqrt(d_model / query.shape[-1])),
        "You divide the scores by √num_heads. The scale follows the number of terms in a score, and that is the "
        "width of a head: divide by √d_head.",
    ),
    Misconception(
        "one-head-for-all",
        variant(heads=lambda num_heads: 1),
        "Your result is that of a single head as wide as d_model: num_heads makes no difference. Split query, key and "
        "value into heads before the scores, so that each head has a softmax of its own.",
    ),
    Misconception(
        "no-output-projection",
        variant(output_projection=lambda merged, w_output: merged),
        "You return the merged heads. One step is missing: multiply them by w_output, which lets the heads mix.",
    ),
    Misconception(
        "weights-transposed",
        variant(
            projections=lambda x_query, x_key_value, w_query, w_key, w_value: (
                x_query @ w_query.T,
                x_key_value @ w_key.T,
                x_key_value @ w_value.T,
            ),
            output_projection=lambda merged, w_output: merged @ w_output.T,
        ),
        "You multiply by the transposed weights, x @ w.T, as nn.Linear does. This exercise asks for x @ w.",
    ),
    Misconception(
        "same-projection-for-key-and-value",
        variant(
            projections=lambda x_query, x_key_value, w_query, w_key, w_value: (
                x_query @ w_query,
                x_key_value @ w_key,
                x_key_value @ w_key,
            )
        ),
        "Your values are projected with w_key. What a token is found by and what it hands over are two things: "
        "the values take w_value.",
    ),
    Misconception(
        "values-not-projected",
        variant(
            projections=lambda x_query, x_key_value, w_query, w_key, w_value: (
                x_query @ w_query,
                x_key_value @ w_key,
                x_key_value,
            )
        ),
        "Your heads mix parts of x_key_value itself. Project it first: the values are x_key_value @ w_value.",
    ),
    Misconception(
        "query-and-key-swapped",
        variant(
            projections=lambda x_query, x_key_value, w_query, w_key, w_value: (
                x_query @ w_key,
                x_key_value @ w_query,
                x_key_value @ w_value,
            )
        ),
        "You swapped w_query and w_key. The one who asks takes w_query: x_query @ w_query.",
    ),
    Misconception(
        "the-wrong-one-asks",
        variant(
            projections=lambda x_query, x_key_value, w_query, w_key, w_value: (
                x_key_value @ w_query,
                x_query @ w_key,
                x_query @ w_value,
            )
        ),
        "You took the queries from x_key_value, and keys and values from x_query. It is the other way round: x_query "
        "asks, and the result has one row for each of its tokens.",
    ),
    Misconception(
        "attends-to-itself-only",
        variant(
            projections=lambda x_query, x_key_value, w_query, w_key, w_value: (
                x_query @ w_query,
                x_query @ w_key,
                x_query @ w_value,
            )
        ),
        "Your keys and values come from x_query. For self-attention that is the same; otherwise they come from "
        "x_key_value.",
    ),
    Misconception(
        "softmax-over-queries",
        variant(weights=softmax_over_queries),
        "Your softmax ran over the queries: each key's weights sum to 1. Each query has a sum of 1 to hand out, over "
        "the keys: the last axis.",
    ),
    Misconception(
        "mask-inverted",
        variant(weights=mask_inverted),
        "You hide what may be seen. In this course True means: may be attended.",
    ),
    Misconception(
        "mask-ignored",
        variant(weights=mask_ignored),
        "Your result does not change with the mask. Hand it on to the attention inside.",
    ),
    Misconception(
        "masked-after-the-softmax",
        variant(weights=masked_afterwards),
        "You set hidden weights to 0 after the softmax. The hidden keys have had their share by then, and what is left "
        "of a row sums to less than 1. Hide the scores before the softmax.",
    ),
    Misconception(
        "finite-stand-in-for-minus-infinity",
        variant(weights=finite_stand_in),
        "You hide scores with a large negative number. A query that may attend to nothing then looks at all keys "
        "alike: every score is the same −1e9. Its output has to be zero.",
    ),
    Misconception(
        "nan-in-a-hidden-row",
        variant(weights=softmax_with_nan),
        "A query that may attend to nothing gets NaN: the softmax of a row of minus infinities is 0/0. Its output has "
        "to be zero. scaled_dot_product_attention of lesson 02 does that for you.",
    ),
    Misconception(
        "heads-axis-added-to-every-mask",
        variant(weights=heads_axis_added),
        "You give the mask one more axis, always. This exercise asks for masks that already fit (batch, heads, T_q, "
        "T_k) as NumPy lines shapes up: (T_q, T_k) and (batch, 1, T_q, T_k) both do. Hand the mask on as it is.",
    ),
    Misconception(
        "mask-without-heads-axis",
        variant(weights=heads_axis_removed),
        "You took the heads axis out of the mask. Without it, (batch, T_q, T_k) lines up its batch with the heads of "
        "the scores, (batch, heads, T_q, T_k). Leave the axis of length 1 where it is: it serves every head.",
    ),
    Misconception(
        "weights-returned-too",
        variant(returns=lambda output, weights: (output, weights)),
        "You return output and weights. This exercise asks for the output alone.",
    ),
    Misconception(
        "rest-thrown-away",
        variant(
            split=splitting.rest_thrown_away.implementation,
            output_projection=lambda merged, w_output: merged @ w_output[: merged.shape[-1]],
        ),
        "When num_heads does not divide d_model, your heads leave out the last columns and nobody is told. "
        "This exercise asks for a ValueError.",
    ),
)


def a_loop_over_heads(x_query, x_key_value, w_query, w_key, w_value, w_output, num_heads, mask=None):
    """Another right answer: each head by itself, its part of the output projection added up."""
    d_model = w_query.shape[0]
    if d_model % num_heads:
        raise ValueError("num_heads must divide d_model")
    total, d_head = 0, d_model // num_heads
    for head in range(num_heads):
        columns = slice(head * d_head, (head + 1) * d_head)
        query, key, value = (
            x_query @ w_query[:, columns],
            x_key_value @ w_key[:, columns],
            x_key_value @ w_value[:, columns],
        )
        scores = query @ key.swapaxes(-2, -1) / math.sqrt(d_head)
        seen = mask
        if mask is not None and mask.ndim > 2:
            seen = mask[..., head if mask.shape[-3] > 1 else 0, :, :]
        total = total + masked_softmax(scores, seen) @ value @ w_output[columns]
    return total.astype(x_query.dtype)


def without_widening(x_query, x_key_value, w_query, w_key, w_value, w_output, num_heads, mask=None):
    """Another right answer: the formula as it stands, every step in the dtype of the inputs."""
    query, key, value = (
        splitting.by_slicing(x, num_heads) for x in (x_query @ w_query, x_key_value @ w_key, x_key_value @ w_value)
    )
    scores = query @ key.swapaxes(-2, -1) / math.sqrt(query.shape[-1])
    scores = scores if mask is None else np.where(mask, scores, -np.inf)
    largest = scores.max(axis=-1, keepdims=True)
    exponentials = np.exp(scores - np.where(np.isfinite(largest), largest, 0))
    total = exponentials.sum(axis=-1, keepdims=True)
    return merging.by_concatenating(exponentials / np.where(total == 0, 1, total) @ value) @ w_output


def by_einsum(x_query, x_key_value, w_query, w_key, w_value, w_output, num_heads, mask=None):
    """Another right answer: every step an einsum, computed in double precision."""
    d_model, wide = len(w_query), np.float64
    w_query, w_key, w_value = (w.astype(wide).reshape(d_model, num_heads, -1) for w in (w_query, w_key, w_value))
    query = np.einsum("...td,dhe->...hte", x_query, w_query)
    key = np.einsum("...td,dhe->...hte", x_key_value, w_key)
    value = np.einsum("...td,dhe->...hte", x_key_value, w_value)
    scores = np.einsum("...qe,...ke->...qk", query, key) / math.sqrt(d_model / num_heads)
    mixed = np.einsum("...hqk,...hke->...qhe", masked_softmax(scores, mask), value)
    w_output = w_output.astype(wide).reshape(num_heads, -1, d_model)
    return np.einsum("...the,hed->...td", mixed, w_output).astype(x_query.dtype)


# The cases ----------------------------------------------------------------------------------------------------


def drawn(x_query, x_key_value=None, *, num_heads, mask=None, dtype=np.float64):
    """A case's draw: sequences of these shapes (one shape: self-attention), weights, and a mask that may follow."""

    def draw(rng):
        asking = rng.normal(size=x_query).astype(dtype)
        attended = asking if x_key_value is None else rng.normal(size=x_key_value).astype(dtype)
        weights = [rng.normal(size=(x_query[-1],) * 2).astype(dtype) for _ in range(4)]
        return Call(asking, attended, *weights, num_heads, *([] if mask is None else [mask]))

    return draw


def not_contiguous(rng):
    x = rng.normal(size=(4, 3, 2)).T  # (2, 3, 4)
    return Call(x, x, *(rng.normal(size=(4, 4)).T for _ in range(4)), 2)


def one_mask_a_sentence(rng):
    mask = np.array([[[True, False, True], [True, True, False]], [[False, True, True], [True, False, True]]])
    return drawn((2, 2, 4), (2, 3, 4), num_heads=2, mask=mask[:, np.newaxis])(rng)


def a_hidden_row(rng):
    mask = np.array([[True, False, True], [False, False, False]])
    return drawn((2, 4), (3, 4), num_heads=2, mask=mask)(rng)


def a_hidden_key_with_a_large_score(rng):
    call = drawn((3, 4), num_heads=2, mask=causal_mask(3))(rng)
    call.args[0][2] *= 1000.0
    return call


PADDED = np.array([[5, 3, 8, 0], [7, 2, 0, 0]])

EXERCISE = Exercise(
    name="multi_head_attention",
    lesson="03_multi_head_attention",
    kind="write",
    points=3,
    difficulty=3,
    minutes=20,
    asks="Project, split into heads, attend in each, merge, and project again. Return the output alone.",
    reference=reference,
    returns=("output",),
    cases=(
        Case("one head, two tokens", drawn((2, 2), num_heads=1), "with one head nothing has to be split"),
        Case("two heads, three tokens", drawn((3, 4), num_heads=2)),
        Case("two heads, two tokens", drawn((2, 4), num_heads=2), "shapes fit that should not"),
        Case("heads of width 1", drawn((3, 3), num_heads=3)),
        Case("three tokens look at five", drawn((3, 4), (5, 4), num_heads=2), "T_q ≠ T_k"),
        Case("a batch of two sentences", drawn((2, 5, 6), (2, 4, 6), num_heads=3)),
        Case("two leading axes", drawn((2, 3, 2, 4), num_heads=2)),
        Case("a mask (T_q, T_k): no looking ahead", drawn((3, 4), num_heads=2, mask=causal_mask(3))),
        Case(
            "a mask (batch, 1, 1, T_k): padding",
            drawn((2, 4, 6), num_heads=3, mask=padding_mask(PADDED)),
            "one axis of the mask stands for all heads",
        ),
        Case(
            "a mask (batch, 1, T_q, T_k), as many sentences as heads",
            one_mask_a_sentence,
            "the batch must not be taken for the heads",
        ),
        Case("a row that may attend to nothing", a_hidden_row, "its output is zero"),
        Case("a hidden key with a large score", a_hidden_key_with_a_large_score),
        Case("half precision", drawn((2, 4), num_heads=2, dtype=np.float16)),
        Case("single precision", drawn((2, 3, 4), num_heads=2, dtype=np.float32)),
        Case("transposed views", not_contiguous, "not contiguous in memory"),
        Case("three heads for a width of 4", drawn((2, 4), num_heads=3), "3 does not divide 4", raises=ValueError),
    ),
    properties=(
        Property("the order of the heads does not matter", the_order_of_the_heads_is_free),
        Property("what the mask hides changes nothing", hidden_keys_change_nothing),
    ),
    misconceptions=MISCONCEPTIONS,
    alternatives=(a_loop_over_heads, without_widening, by_einsum),
    hints=(
        "You have all the parts: three matrix products, split_heads, the attention of lesson 02, merge_heads, and one "
        "more matrix product. The attention takes any leading axes, so all heads go through it at once.",
        "query = split_heads(x_query @ w_query, num_heads), and key and value alike, both from x_key_value. "
        "scaled_dot_product_attention returns output and weights; the mask goes in as it is.",
        "return merge_heads(output) @ w_output",
    ),
)
