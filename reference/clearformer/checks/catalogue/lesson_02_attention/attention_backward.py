"""attention_backward: the chain rule through attention, by hand."""

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
from clearformer.numpy.attention import attention_backward as reference
from clearformer.numpy.attention import scaled_dot_product_attention, softmax

MASK = np.array([[True, False, True, True], [False, True, True, False], [True] * 4])


def gradients_predict_a_small_step(answer, rng):
    query, key, value = triple(rng, keys=3)
    grad_output, mask = rng.normal(size=(3, 5)), np.tri(3, dtype=bool)
    steps = [rng.normal(size=array.shape) for array in (query, key, value)]

    def loss(size):
        moved = [array + size * step for array, step in zip((query, key, value), steps, strict=True)]
        return (grad_output * scaled_dot_product_attention(*moved, mask)[0]).sum()

    measured = (loss(1e-5) - loss(-1e-5)) / 2e-5
    gradients = answer.call(grad_output, query, key, value, mask)
    predicted = sum((gradient * step).sum() for gradient, step in zip(gradients, steps, strict=True))
    close = abs(measured - predicted) < 1e-6 * max(1.0, abs(measured))
    return (
        None if close else f"a small step changes the loss by {measured:.6f} a unit; your gradients say {predicted:.6f}"
    )


def moving_all_keys_alike_changes_nothing(answer, rng):
    grad_output, (query, key, value) = rng.normal(size=(3, 5)), triple(rng)
    total = np.abs(answer.call(grad_output, query, key, value)[1].sum(axis=-2)).max()
    if total < 1e-9:
        return None
    return (
        "adding one vector to all keys adds one number to all scores of a row, and the softmax does not see it; "
        f"so the rows of grad_key sum to 0. Yours sum to {total:.2g}"
    )


def hidden_keys_get_no_gradient(answer, rng):
    grad_output, (query, key, value) = rng.normal(size=(3, 5)), triple(rng)
    _, grad_key, grad_value = answer.call(grad_output, query, key, value, np.array([[True, False, True, True]]))
    largest = max(np.abs(grad_key[1]).max(), np.abs(grad_value[1]).max())
    return None if largest == 0 else f"a key that nobody may attend to has a gradient as large as {largest:.2g}"


def to_inputs(grad_scores, weights, grad_output, query, key):
    """From the gradient of the unscaled scores to the three results."""
    return grad_scores @ key, grad_scores.swapaxes(-2, -1) @ query, weights.swapaxes(-2, -1) @ grad_output


def forward(query, key, value, mask):
    return scaled_dot_product_attention(query, key, value, mask)[1]


def through_softmax(weights, grad_weights):
    return weights * (grad_weights - (weights * grad_weights).sum(axis=-1, keepdims=True))


def backward(grad_output, query, key, value, weights):
    grad_weights = grad_output @ value.swapaxes(-2, -1)
    grad_scores = through_softmax(weights, grad_weights) / math.sqrt(query.shape[-1])
    return to_inputs(grad_scores, weights, grad_output, query, key)


@misconception(
    "scale-forgotten",
    "grad_query and grad_key are too large by the factor √d_k. The scores were divided by √d_k on the way forward, so "
    "their gradient is divided by it on the way back.",
)
def scale_forgotten(grad_output, query, key, value, mask=None):
    weights = forward(query, key, value, mask)
    grad_scores = through_softmax(weights, grad_output @ value.swapaxes(-2, -1))
    return to_inputs(grad_scores, weights, grad_output, query, key)


@misconception(
    "scale-forgotten-for-the-key",
    "grad_query is right, but grad_key is too large by the factor √d_k. The scale belongs to the scores, so it is part "
    "of the way back to both.",
)
def scale_forgotten_for_the_key(grad_output, query, key, value, mask=None):
    grad_query, _, grad_value = reference(grad_output, query, key, value, mask)
    return grad_query, scale_forgotten.implementation(grad_output, query, key, value, mask)[1], grad_value


@misconception(
    "scaled-by-d-k",
    "You divide the gradient of the scores by d_k. Forward they were divided by √d_k, once: so is the gradient.",
)
def scaled_by_d_k(grad_output, query, key, value, mask=None):
    weights = forward(query, key, value, mask)
    grad_scores = through_softmax(weights, grad_output @ value.swapaxes(-2, -1)) / query.shape[-1]
    return to_inputs(grad_scores, weights, grad_output, query, key)


@misconception(
    "no-scale-at-all",
    "Your weights come from scores without the scale, and neither does the way back have it. The attention that is "
    "differentiated here divides the scores by √d_k.",
)
def no_scale_at_all(grad_output, query, key, value, mask=None):
    return scale_forgotten.implementation(grad_output, query * math.sqrt(query.shape[-1]), key, value, mask)


@misconception(
    "softmax-element-by-element",
    "You take the softmax's derivative to be w(1 − w), as if each weight depended on its own score alone. Raising one "
    "score also lowers all the other weights of its row. Both parts together: w · (g − Σ g w), with the sum along the "
    "row.",
)
def softmax_element_by_element(grad_output, query, key, value, mask=None):
    weights = forward(query, key, value, mask)
    grad_scores = weights * (1 - weights) * (grad_output @ value.swapaxes(-2, -1)) / math.sqrt(query.shape[-1])
    return to_inputs(grad_scores, weights, grad_output, query, key)


@misconception(
    "row-sum-missing",
    "Your gradient of the scores is w · g, without the row's sum. The weights of a row compete: what one gains, the "
    "others lose. Subtract Σ g w of the row from g before you multiply by w.",
)
def row_sum_missing(grad_output, query, key, value, mask=None):
    weights = forward(query, key, value, mask)
    grad_scores = weights * (grad_output @ value.swapaxes(-2, -1)) / math.sqrt(query.shape[-1])
    return to_inputs(grad_scores, weights, grad_output, query, key)


@misconception(
    "row-sum-unweighted",
    "You subtract the plain mean of g along the row. It has to be the mean weighted by the attention weights: Σ g w.",
)
def row_sum_unweighted(grad_output, query, key, value, mask=None):
    weights = forward(query, key, value, mask)
    grad_weights = grad_output @ value.swapaxes(-2, -1)
    grad_scores = weights * (grad_weights - grad_weights.mean(axis=-1, keepdims=True)) / math.sqrt(query.shape[-1])
    return to_inputs(grad_scores, weights, grad_output, query, key)


@misconception(
    "row-sum-of-g-alone",
    "You subtract the plain sum of g along the row. Each g counts in it by its weight: subtract Σ g w.",
)
def row_sum_of_g_alone(grad_output, query, key, value, mask=None):
    weights = forward(query, key, value, mask)
    grad_weights = grad_output @ value.swapaxes(-2, -1)
    grad_scores = weights * (grad_weights - grad_weights.sum(axis=-1, keepdims=True)) / math.sqrt(query.shape[-1])
    return to_inputs(grad_scores, weights, grad_output, query, key)


@misconception(
    "element-by-element-and-no-scale",
    "Two things are missing on the way back. You take the softmax's derivative to be w(1 − w), as if each weight "
    "depended on its own score alone: it is w · (g − Σ g w), with the sum along the row. And the gradient of the "
    "scores has to be divided by √d_k, as the scores were.",
)
def element_by_element_and_no_scale(grad_output, query, key, value, mask=None):
    weights = forward(query, key, value, mask)
    grad_scores = weights * (1 - weights) * (grad_output @ value.swapaxes(-2, -1))
    return to_inputs(grad_scores, weights, grad_output, query, key)


@misconception(
    "row-sum-and-scale-missing",
    "Two things are missing on the way back. Before you multiply g by w, subtract the row's Σ g w from it: what one "
    "weight gains, the others lose. And the gradient of the scores has to be divided by √d_k, as the scores were.",
)
def row_sum_and_scale_missing(grad_output, query, key, value, mask=None):
    weights = forward(query, key, value, mask)
    return to_inputs(weights * (grad_output @ value.swapaxes(-2, -1)), weights, grad_output, query, key)


@misconception(
    "summed-over-the-queries",
    "You sum g w over the queries. The softmax ran along each row, over the keys, and so does this sum: axis=-1, "
    "keepdims=True.",
)
def summed_over_the_queries(grad_output, query, key, value, mask=None):
    weights = forward(query, key, value, mask)
    grad_weights = grad_output @ value.swapaxes(-2, -1)
    grad_scores = weights * (grad_weights - (weights * grad_weights).sum(axis=-2, keepdims=True))
    return to_inputs(grad_scores / math.sqrt(query.shape[-1]), weights, grad_output, query, key)


@misconception(
    "row-sum-not-kept",
    "The row's Σ g w lost its axis, so NumPy lined it up with the keys: each row met the sums of all rows, or the "
    "shapes did not fit at all. keepdims=True keeps the axis, with length 1.",
)
def row_sum_not_kept(grad_output, query, key, value, mask=None):
    weights = forward(query, key, value, mask)
    grad_weights = grad_output @ value.swapaxes(-2, -1)
    grad_scores = weights * (grad_weights - (weights * grad_weights).sum(axis=-1))
    return to_inputs(grad_scores / math.sqrt(query.shape[-1]), weights, grad_output, query, key)


@misconception(
    "row-sum-without-its-weight",
    "You compute w · g − Σ g w: the row's sum is subtracted after the multiplication by w. It belongs into the "
    "bracket, w · (g − Σ g w), so that a weight of 0 gives a gradient of 0.",
)
def row_sum_without_its_weight(grad_output, query, key, value, mask=None):
    weights = forward(query, key, value, mask)
    weighted = weights * (grad_output @ value.swapaxes(-2, -1))
    grad_scores = (weighted - weighted.sum(axis=-1, keepdims=True)) / math.sqrt(query.shape[-1])
    return to_inputs(grad_scores, weights, grad_output, query, key)


@misconception(
    "sign-of-the-scores-gradient",
    "grad_value is right, but grad_query and grad_key have the wrong sign. The gradient of the scores is "
    "w · (g − Σ g w), not w · (Σ g w − g).",
)
def sign_of_the_scores_gradient(grad_output, query, key, value, mask=None):
    grad_query, grad_key, grad_value = reference(grad_output, query, key, value, mask)
    return -grad_query, -grad_key, grad_value


@misconception(
    "softmax-skipped",
    "You pass the gradient of the weights straight on to query and key. Between the weights and the scores lies the "
    "softmax: its way back is w · (g − Σ g w).",
)
def softmax_skipped(grad_output, query, key, value, mask=None):
    weights = forward(query, key, value, mask)
    grad_scores = grad_output @ value.swapaxes(-2, -1) / math.sqrt(query.shape[-1])
    return to_inputs(grad_scores, weights, grad_output, query, key)


@misconception(
    "query-and-key-swapped",
    "The products for grad_query and grad_key have each other's partner. A score is query · key, so its derivative by "
    "the query is the key: grad_query = grad_scores @ key, and grad_key = grad_scores transposed @ query.",
)
def query_and_key_swapped(grad_output, query, key, value, mask=None):
    weights = forward(query, key, value, mask)
    grad_weights = grad_output @ value.swapaxes(-2, -1)
    grad_scores = through_softmax(weights, grad_weights) / math.sqrt(query.shape[-1])
    return grad_scores @ query, grad_scores.swapaxes(-2, -1) @ key, weights.swapaxes(-2, -1) @ grad_output


@misconception(
    "gradients-in-each-others-place",
    "Your grad_query and grad_key stand in each other's place. This exercise asks for (grad_query, grad_key, "
    "grad_value).",
)
def gradients_in_each_others_place(grad_output, query, key, value, mask=None):
    grad_query, grad_key, grad_value = reference(grad_output, query, key, value, mask)
    return grad_key, grad_query, grad_value


@misconception(
    "key-gradient-not-transposed",
    "For grad_key the gradient of the scores has to be transposed: row k of it collects what key k did for all "
    "queries. grad_key = grad_scores.swapaxes(-2, -1) @ query.",
)
def key_gradient_not_transposed(grad_output, query, key, value, mask=None):
    weights = forward(query, key, value, mask)
    grad_weights = grad_output @ value.swapaxes(-2, -1)
    grad_scores = through_softmax(weights, grad_weights) / math.sqrt(query.shape[-1])
    return grad_scores @ key, grad_scores @ query, weights.swapaxes(-2, -1) @ grad_output


@misconception(
    "weights-not-transposed",
    "For grad_value the weights have to be transposed: value k collects from every query that looked at it. "
    "grad_value = weights.swapaxes(-2, -1) @ grad_output.",
)
def weights_not_transposed(grad_output, query, key, value, mask=None):
    grad_query, grad_key, _ = reference(grad_output, query, key, value, mask)
    return grad_query, grad_key, forward(query, key, value, mask) @ grad_output


@misconception(
    "mask-ignored",
    "You compute the weights without the mask, so gradient flows to keys that were hidden. Use the same masked weights "
    "as on the way forward; where they are 0, the softmax's gradient is 0 by itself.",
)
def mask_ignored(grad_output, query, key, value, mask=None):
    return reference(grad_output, query, key, value, None)


@misconception(
    "mask-the-other-way-round",
    "Your weights hide the keys whose mask is True. This exercise asks for True = may be attended.",
)
def mask_the_other_way_round(grad_output, query, key, value, mask=None):
    return reference(grad_output, query, key, value, None if mask is None else ~mask)


@misconception(
    "nan-from-a-hidden-row",
    "A query that may attend to nothing makes your gradients NaN. Its weights are 0 divided by 0; even if the output "
    "is set to 0 afterwards, the NaN weights spoil all that is computed from them, for the other queries' keys and "
    "values too. Set the weights of such a row to 0 right after the softmax.",
)
def nan_from_a_hidden_row(grad_output, query, key, value, mask=None):
    scores = query @ key.swapaxes(-2, -1) / math.sqrt(query.shape[-1])
    if mask is not None:
        scores = np.where(mask, scores, -np.inf).astype(scores.dtype)
    return backward(grad_output, query, key, value, softmax(scores))


@misconception(
    "finite-stand-in",
    "A query that may attend to nothing passes gradient on: its hidden scores all hold the same finite number, such "
    "as -1e9, so it attends to everything alike. Its weights have to be 0.",
)
def finite_stand_in(grad_output, query, key, value, mask=None):
    scores = query @ key.swapaxes(-2, -1) / math.sqrt(query.shape[-1])
    if mask is not None:
        scores = np.where(mask, scores, scores.dtype.type(-1e9))
    return backward(grad_output, query, key, value, softmax(scores))


@misconception(
    "no-maximum-subtracted",
    "The chain of steps is right, but your weights come from exponentials that overflow for large scores. Use your "
    "softmax, which subtracts the largest score of each row first.",
)
def no_maximum_subtracted(grad_output, query, key, value, mask=None):
    exponentials = np.exp(query @ key.swapaxes(-2, -1) / math.sqrt(query.shape[-1]))
    if mask is not None:
        exponentials = np.where(mask, exponentials, 0).astype(exponentials.dtype)
    total = exponentials.sum(axis=-1, keepdims=True)
    weights = exponentials / np.where(total > 0, total, 1).astype(exponentials.dtype)
    return backward(grad_output, query, key, value, weights)


@misconception(
    "output-gradient-ignored",
    "You start from a gradient of ones, as if the loss were the sum of the outputs. Start from grad_output.",
)
def output_gradient_ignored(grad_output, query, key, value, mask=None):
    return reference(np.ones_like(grad_output), query, key, value, mask)


@misconception(
    "wrong-sign",
    "All your gradients have the wrong sign. A gradient points where the loss grows; the optimiser, not the gradient, "
    "turns round.",
)
def wrong_sign(grad_output, query, key, value, mask=None):
    return tuple(-gradient for gradient in reference(grad_output, query, key, value, mask))


@misconception(
    "widened-to-float64",
    "The numbers are right, but float32 or float16 came in and float64 went out. np.sqrt returns a NumPy float64, and "
    "dividing by it widens the whole array. math.sqrt returns a Python number, which leaves the dtype alone.",
)
def widened_to_float64(grad_output, query, key, value, mask=None):
    weights = forward(query, key, value, mask)
    grad_scores = through_softmax(weights, grad_output @ value.swapaxes(-2, -1)) / np.sqrt(query.shape[-1])
    return to_inputs(grad_scores, weights, grad_output, query, key)


@misconception(
    "changes-its-input",
    "The gradients are right, but you changed query itself: `query /= …` works on the caller's array. Scale the "
    "scores and their gradient instead.",
)
def changes_its_input(grad_output, query, key, value, mask=None):
    gradients = reference(grad_output, query, key, value, mask)
    query /= math.sqrt(query.shape[-1])
    return gradients


def hidden_aware_weights(query, key, mask):
    """Attention weights written out, for the alternatives below."""
    scores = np.einsum("...qd,...kd->...qk", query, key) / math.sqrt(query.shape[-1])
    visible = np.broadcast_to(True if mask is None else mask, scores.shape)
    scores = np.where(visible, scores, -np.inf)
    top = np.where(visible.any(axis=-1, keepdims=True), scores.max(axis=-1, keepdims=True), 0)
    exponentials = np.exp(scores - top)
    total = exponentials.sum(axis=-1, keepdims=True)
    return (exponentials / np.where(total == 0, 1, total)).astype(query.dtype)


def with_einsum(grad_output, query, key, value, mask=None):
    """Another right answer: einsum, and the row's sum by way of the output."""
    weights = hidden_aware_weights(query, key, mask)
    output = np.einsum("...qk,...kd->...qd", weights, value)
    row_sum = np.einsum("...qd,...qd->...q", grad_output, output)[..., np.newaxis]
    grad_scores = weights * (np.einsum("...qd,...kd->...qk", grad_output, value) - row_sum)
    grad_query = np.einsum("...qk,...kd->...qd", grad_scores, key) / math.sqrt(key.shape[-1])
    grad_key = np.einsum("...qk,...qd->...kd", grad_scores, query) / math.sqrt(key.shape[-1])
    return grad_query, grad_key, np.einsum("...qk,...qd->...kd", weights, grad_output)


def with_jacobians(grad_output, query, key, value, mask=None):
    """Another right answer: the whole Jacobian of each row's softmax, in float64."""
    grad_output, query, key, value, dtype = (
        *(x.astype(np.float64) for x in (grad_output, query, key, value)),
        query.dtype,
    )
    weights = hidden_aware_weights(query, key, mask)
    jacobian = (
        np.eye(weights.shape[-1]) * weights[..., np.newaxis, :] - weights[..., np.newaxis] * weights[..., np.newaxis, :]
    )
    grad_weights = grad_output @ value.swapaxes(-2, -1)
    grad_scores = (jacobian @ grad_weights[..., np.newaxis])[..., 0] / math.sqrt(query.shape[-1])
    results = (
        grad_scores @ key,
        grad_scores.swapaxes(-2, -1) @ query,
        weights.swapaxes(-2, -1) @ grad_output,
    )
    return tuple(result.astype(dtype) for result in results)


def call(rng, leading=(), mask=None, **sizes):
    query, key, value = triple(rng, leading, **sizes)
    grad_output = rng.normal(size=(*query.shape[:-1], value.shape[-1])).astype(query.dtype)
    return Call(grad_output, query, key, value, *([] if mask is None else [mask]))


def hidden_far_ahead(rng):
    return Call(rng.normal(size=(3, 5)), *one_key_far_ahead(rng, row=1), np.array([[True, False, True, True]]))


def transposed_views(rng):
    arrays = call(rng, (2,), d_k=3).args
    return Call(*(np.ascontiguousarray(array.swapaxes(-2, -1)).swapaxes(-2, -1) for array in arrays))


EXERCISE = Exercise(
    name="attention_backward",
    lesson="02_attention",
    kind="write",
    points=4,
    difficulty=5,
    minutes=40,
    asks="Return how a loss changes with query, key and value, given how it changes with the output.",
    reference=reference,
    returns=("grad_query", "grad_key", "grad_value"),
    cases=(
        Case("two tokens, two numbers each", lambda rng: call(rng, queries=2, keys=2, d_k=2, d_v=2)),
        Case("a single key", lambda rng: call(rng, queries=2, keys=1, d_k=3), "its weight is 1 whatever its score"),
        Case(
            "more keys than queries, to twelve digits",
            lambda rng: call(rng, queries=3, keys=5, d_k=4, d_v=2),
            "differences measured with small steps are not that exact; the formula is",
            close=1e-12,
        ),
        Case("a batch as large as the number of queries", lambda rng: call(rng, (3,))),
        Case("a mask for each query", lambda rng: call(rng, mask=MASK)),
        Case(
            "one causal mask for a whole batch",
            lambda rng: call(rng, (2,), queries=4, mask=np.tri(4, dtype=bool)),
        ),
        Case(
            "heads, and padding in front and inside",
            lambda rng: call(rng, (2, 3), queries=5, mask=PADDING),
            "the mask is (batch, 1, 1, T_k)",
        ),
        Case(
            "a query that may attend to nothing",
            lambda rng: call(rng, (2,), mask=WITH_A_HIDDEN_ROW),
            "its gradient is zero, and it adds nothing to the others",
        ),
        Case("no query may attend to anything", lambda rng: call(rng, mask=np.zeros((3, 4), dtype=bool))),
        Case(
            "large scores",
            lambda rng: Call(rng.normal(size=(3, 5)), *large_scores(rng)),
            "exp of 1000 is too large for a float64",
        ),
        Case("a hidden key with a far larger score", hidden_far_ahead),
        Case("single precision", lambda rng: call(rng, dtype=np.float32)),
        Case(
            "half precision, with a query that may attend to nothing",
            lambda rng: call(rng, (2,), mask=WITH_A_HIDDEN_ROW, dtype=np.float16),
            scale=1.0,  # what the gradients are differences of is of that size, however small they come out
        ),
        Case("transposed views", transposed_views, "not contiguous in memory"),
    ),
    properties=(
        Property("the gradients predict what a small step does", gradients_predict_a_small_step),
        Property("moving all keys alike changes nothing", moving_all_keys_alike_changes_nothing),
        Property("hidden keys get no gradient", hidden_keys_get_no_gradient),
    ),
    misconceptions=(
        scale_forgotten,
        scale_forgotten_for_the_key,
        scaled_by_d_k,
        no_scale_at_all,
        softmax_element_by_element,
        row_sum_missing,
        row_sum_unweighted,
        row_sum_of_g_alone,
        element_by_element_and_no_scale,
        row_sum_and_scale_missing,
        summed_over_the_queries,
        row_sum_not_kept,
        row_sum_without_its_weight,
        sign_of_the_scores_gradient,
        softmax_skipped,
        query_and_key_swapped,
        gradients_in_each_others_place,
        key_gradient_not_transposed,
        weights_not_transposed,
        mask_ignored,
        mask_the_other_way_round,
        nan_from_a_hidden_row,
        finite_stand_in,
        no_maximum_subtracted,
        output_gradient_ignored,
        wrong_sign,
        widened_to_float64,
        changes_its_input,
    ),
    alternatives=(with_einsum, with_jacobians),
    hints=(
        "Walk the forward pass backwards. output = weights @ value, weights = softmax(scores), "
        "scores = query @ keyᵀ / √d_k: three steps, three small derivatives.",
        "From output = weights @ value, one matrix product gives grad_value and one gives grad_weights. Through the "
        "softmax, row by row: w · (g − Σ g w). Divide by √d_k. Then one matrix product gives grad_query and one "
        "grad_key.",
        "grad_scores = weights * (grad_weights - (grad_weights * weights).sum(axis=-1, keepdims=True))",
    ),
    forbidden=(
        "torch.autograd.grad",
        "torch.autograd.backward",
        "torch.Tensor.backward",
        "torch.func.grad",
        "torch.func.vjp",
        "torch.nn.functional.scaled_dot_product_attention",
    ),
)
