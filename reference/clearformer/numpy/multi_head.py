"""Multi-head attention: several attentions side by side, each on its own slice of the width."""

import numpy as np

from clearformer.numpy._arguments import as_floats, as_whole_number, require_shape
from clearformer.numpy.attention import scaled_dot_product_attention


def split_heads(x, num_heads):
    """Cut the width into heads: x (..., T, d_model) becomes (..., heads, T, d_head).

    d_head = d_model / num_heads, and head h reads columns h*d_head to (h+1)*d_head. ValueError if num_heads
    does not divide d_model.
    """
    x = np.asarray(x)
    if x.ndim < 2:
        raise ValueError(f"x must have shape (..., T, d_model), two axes or more; got {x.shape}")
    num_heads = as_whole_number("num_heads", num_heads, at_least=1)
    *leading, seq_len, d_model = x.shape
    if d_model % num_heads:
        raise ValueError(f"num_heads must divide d_model = {d_model}, the last axis of x; got {num_heads}")
    heads = x.reshape(*leading, seq_len, num_heads, d_model // num_heads)  # (..., T, heads, d_head)
    return heads.swapaxes(-3, -2)  # (..., heads, T, d_head)


def merge_heads(x):
    """Undo split_heads: x (..., heads, T, d_head) becomes (..., T, heads * d_head).

    ValueError if x has fewer than three axes.
    """
    x = np.asarray(x)
    if x.ndim < 3:
        raise ValueError(f"x must have shape (..., heads, T, d_head), three axes or more; got {x.shape}")
    *leading, num_heads, seq_len, d_head = x.shape
    return x.swapaxes(-3, -2).reshape(*leading, seq_len, num_heads * d_head)


def multi_head_attention(x_query, x_key_value, w_query, w_key, w_value, w_output, num_heads, mask=None):
    """Let every head attend in its own projection of the inputs (Vaswani et al. 2017, section 3.2.2).

    x_query (..., T_q, d_model) asks, x_key_value (..., T_k, d_model) is attended to; for self-attention they
    are the same array. The four weights are (d_model, d_model), used as x @ w, without bias. mask bool,
    True = may be attended, broadcastable to (..., heads, T_q, T_k), as are (T_q, T_k) and (batch, 1, T_q, T_k).
    Returns the output alone, (..., T_q, d_model). ValueError where the shapes cannot go together or num_heads
    does not divide d_model.
    """
    x_query, x_key_value, w_query, w_key, w_value, w_output, dtype = as_floats(
        x_query=x_query,
        x_key_value=x_key_value,
        w_query=w_query,
        w_key=w_key,
        w_value=w_value,
        w_output=w_output,
    )
    _require_inputs(x_query, x_key_value)
    d_model = x_query.shape[-1]
    for name, weight in dict(w_query=w_query, w_key=w_key, w_value=w_value, w_output=w_output).items():
        require_shape(name, weight, (d_model, d_model), "(d_model, d_model)")
    query = split_heads(x_query @ w_query, num_heads)  # (..., heads, T_q, d_head)
    key = split_heads(x_key_value @ w_key, num_heads)  # (..., heads, T_k, d_head)
    value = split_heads(x_key_value @ w_value, num_heads)  # (..., heads, T_k, d_head)
    output, _ = scaled_dot_product_attention(query, key, value, mask)
    return (merge_heads(output) @ w_output).astype(dtype, copy=False)  # (..., T_q, d_model)


def _require_inputs(x_query, x_key_value):
    shapes = f"got x_query {x_query.shape}, x_key_value {x_key_value.shape}"
    if min(x_query.ndim, x_key_value.ndim) < 2:
        raise ValueError(f"x_query and x_key_value must have shape (..., T, d_model), two axes or more; {shapes}")
    if x_query.shape[-1] != x_key_value.shape[-1] or x_query.shape[-1] == 0:
        raise ValueError(
            f"x_query and x_key_value must have the same width d_model, their last axis, above 0; {shapes}"
        )
    try:
        np.broadcast_shapes(x_query.shape[:-2], x_key_value.shape[:-2])
    except ValueError:
        raise ValueError(f"the leading axes (...) of x_query and x_key_value must broadcast; {shapes}") from None
