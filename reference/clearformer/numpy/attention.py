"""Scaled dot-product attention, forward and backward.

Sequences have shape (..., T, d), with any leading axes. A mask is bool, True = may be attended.
"""

import math

import numpy as np

from clearformer.numpy._arguments import as_floats, as_mask, as_whole_number, require_shape


def softmax(x, axis=-1):
    """Positive numbers that sum to 1 along the axis: exp(x) / sum of exp(x).

    x has any shape; the result has the same. A slice that is all -inf gives NaN, as in torch: to hide keys,
    use masked_softmax. ValueError if x has no such axis.
    """
    x, dtype = as_floats(x=x)
    axis = as_whole_number("axis", axis)
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(f"axis must be an axis of x, which has shape {x.shape}; got {axis}")
    # exp of a large number overflows. Taking the maximum away changes nothing: it cancels in the fraction.
    exponentials = np.exp(x - x.max(axis=axis, keepdims=True, initial=-np.inf))
    return (exponentials / exponentials.sum(axis=axis, keepdims=True)).astype(dtype, copy=False)


def masked_softmax(scores, mask):
    """Softmax over the visible keys, the last axis; hidden keys, and rows with no visible key, get 0.

    scores (..., T_q, T_k); mask bool, broadcastable to the scores, or None where every key is visible.
    Returns weights in the shape of the scores. ValueError if the mask is not bool or does not fit.
    """
    scores, dtype = as_floats(scores=scores)
    if mask is None:
        return softmax(scores).astype(dtype, copy=False)
    mask = as_mask(mask, scores.shape)
    has_key = mask.any(axis=-1, keepdims=True)  # (..., T_q, 1)
    scores = np.where(mask, scores, -np.inf)  # exp(-inf) is 0, and the maximum sees visible keys only
    scores = np.where(has_key, scores, 0.0)  # a row of -inf alone would become NaN
    return np.where(has_key, softmax(scores), 0.0).astype(dtype, copy=False)


def causal_mask(seq_len):
    """Each position may attend to itself and to what came before (Vaswani et al. 2017, section 3.2.3).

    Returns bool (seq_len, seq_len), queries down, keys across. ValueError if seq_len < 0.
    """
    seq_len = as_whole_number("seq_len", seq_len, at_least=0)
    return np.tri(seq_len, dtype=bool)


def padding_mask(token_ids, pad_id=0):
    """Every real token may be attended, padding may not.

    token_ids are integers (batch, seq_len). Returns bool (batch, 1, 1, seq_len), which broadcasts over heads
    and queries. ValueError if token_ids is not a table of integers.
    """
    token_ids = np.asarray(token_ids)
    if token_ids.ndim != 2 or token_ids.dtype.kind not in "iu":
        raise ValueError(
            "token_ids must be integers of shape (batch, seq_len); "
            f"got dtype {token_ids.dtype} in shape {token_ids.shape}"
        )
    pad_id = as_whole_number("pad_id", pad_id)
    return (token_ids != pad_id)[:, np.newaxis, np.newaxis, :]


def scaled_dot_product_attention(query, key, value, mask=None):
    """Mix the values by how well each query matches each key (Vaswani et al. 2017, eq. 1).

    query (..., T_q, d_k), key (..., T_k, d_k), value (..., T_k, d_v); mask bool, broadcastable to
    (..., T_q, T_k), True = may be attended. Returns output (..., T_q, d_v) and weights (..., T_q, T_k);
    a row with nothing to attend to is zero. ValueError where the shapes cannot go together.
    """
    query, key, value, dtype = as_floats(query=query, key=key, value=value)
    _require_matching_shapes(query, key, value)
    scores = query @ key.swapaxes(-2, -1) / math.sqrt(query.shape[-1])  # (..., T_q, T_k)
    weights = masked_softmax(scores, mask)
    output = weights @ value  # (..., T_q, d_v)
    return output.astype(dtype, copy=False), weights.astype(dtype, copy=False)


def attention_backward(grad_output, query, key, value, mask=None):
    """How a loss changes with query, key and value, given how it changes with attention's output.

    The chain rule, through eq. 1 of Vaswani et al. 2017 from the end to the start. grad_output
    (..., T_q, d_v) has the shape of the output; the rest is as in scaled_dot_product_attention. Returns
    grad_query, grad_key and grad_value, each in the shape of its input; a query that may attend to nothing
    has gradient zero and adds nothing to the others. ValueError where the shapes cannot go together.
    """
    grad_output, query, key, value, dtype = as_floats(grad_output=grad_output, query=query, key=key, value=value)
    output, weights = scaled_dot_product_attention(query, key, value, mask)
    require_shape("grad_output", grad_output, output.shape, "(..., T_q, d_v), the output's,")
    # output = weights @ value
    grad_value = weights.swapaxes(-2, -1) @ grad_output  # (..., T_k, d_v)
    grad_weights = grad_output @ value.swapaxes(-2, -1)  # (..., T_q, T_k)
    # weights = softmax(scores): raising one score lowers the other weights of its row
    row_mean = (weights * grad_weights).sum(axis=-1, keepdims=True)  # (..., T_q, 1)
    grad_scores = weights * (grad_weights - row_mean)  # (..., T_q, T_k)
    # scores = query @ key^T / sqrt(d_k)
    grad_scores = grad_scores / math.sqrt(query.shape[-1])
    grad_query = grad_scores @ key  # (..., T_q, d_k)
    grad_key = grad_scores.swapaxes(-2, -1) @ query  # (..., T_k, d_k)
    return (
        _sum_to_shape(grad_query, query.shape).astype(dtype, copy=False),
        _sum_to_shape(grad_key, key.shape).astype(dtype, copy=False),
        _sum_to_shape(grad_value, value.shape).astype(dtype, copy=False),
    )


def _sum_to_shape(gradient, shape):
    """Add up a gradient along the axes where its input was repeated by broadcasting."""
    new_axes = tuple(range(gradient.ndim - len(shape)))
    gradient = gradient.sum(axis=new_axes)
    stretched_axes = tuple(axis for axis, length in enumerate(shape) if length == 1)
    return gradient.sum(axis=stretched_axes, keepdims=True)


def _require_matching_shapes(query, key, value):
    shapes = f"got query {query.shape}, key {key.shape}, value {value.shape}"
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise ValueError(f"query, key and value must have shape (..., T, d), two axes or more; {shapes}")
    if query.shape[-1] != key.shape[-1] or query.shape[-1] == 0:
        raise ValueError(f"query and key must have the same width d_k, their last axis, above 0; {shapes}")
    if key.shape[-2] != value.shape[-2]:
        raise ValueError(f"key and value must have the same length T_k, their axis -2; {shapes}")
    try:
        np.broadcast_shapes(query.shape[:-2], key.shape[:-2], value.shape[:-2])
    except ValueError:
        raise ValueError(f"the leading axes (...) of query, key and value must broadcast; {shapes}") from None
