"""Multi-head attention in PyTorch."""

from numbers import Integral

import torch
import torch.nn.functional as F
from torch import nn


class MultiHeadAttention(nn.Module):
    """Several attentions side by side, each in its own projection (Vaswani et al. 2017, section 3.2.2).

    d_model is the width of every input and of the output; num_heads must divide it. dropout is the share of
    attention weights set to zero in training. ValueError where one of the three cannot be used.
    """

    def __init__(self, d_model, num_heads, dropout=0.0):
        super().__init__()
        _require_sizes(d_model, num_heads, dropout)
        self.d_model = d_model
        self.num_heads = num_heads
        self.dropout = dropout
        self.query_proj = nn.Linear(d_model, d_model)
        self.key_proj = nn.Linear(d_model, d_model)
        self.value_proj = nn.Linear(d_model, d_model)
        self.output_proj = nn.Linear(d_model, d_model)

    def forward(self, query, key, value, mask=None):
        """Return the mixed values alone, (..., T_q, d_model).

        query (..., T_q, d_model), key and value (..., T_k, d_model), with the same leading axes; mask bool,
        True = may be attended, broadcastable to (..., heads, T_q, T_k), as are (T_q, T_k) and
        (batch, 1, T_q, T_k). A query that may attend to nothing gets output_proj's bias. ValueError where the
        shapes cannot go together or the mask is not bool.
        """
        self._require_inputs(query, key, value, mask)
        query = self._split_heads(self.query_proj(query))  # (..., heads, T_q, d_head)
        key = self._split_heads(self.key_proj(key))  # (..., heads, T_k, d_head)
        value = self._split_heads(self.value_proj(value))  # (..., heads, T_k, d_head)
        output = _attend(query, key, value, mask, dropout=self.dropout if self.training else 0.0)
        return self.output_proj(output.transpose(-3, -2).flatten(-2))  # (..., T_q, d_model)

    def attention_weights(self, query, key, mask=None):
        """Return how much each query looks at each key, (..., heads, T_q, T_k), without dropout.

        For looking at: forward does not use it. Arguments and errors as in forward. Each row sums to 1, or is
        zero where the query may attend to nothing.
        """
        self._require_inputs(query, key, key, mask)
        query = self._split_heads(self.query_proj(query))  # (..., heads, T_q, d_head)
        key = self._split_heads(self.key_proj(key))  # (..., heads, T_k, d_head)
        # Attention returns weights @ value. If the value is the identity matrix, that is the weights.
        identity = torch.eye(key.shape[-2], dtype=key.dtype, device=key.device)  # (T_k, T_k)
        return _attend(query, key, identity.expand(*key.shape[:-1], -1), mask)

    def extra_repr(self):
        return f"d_model={self.d_model}, num_heads={self.num_heads}, dropout={self.dropout}"

    def _split_heads(self, x):
        return x.unflatten(-1, (self.num_heads, -1)).transpose(-3, -2)  # (..., heads, T, d_head)

    def _require_inputs(self, query, key, value, mask):
        for name, tensor in dict(query=query, key=key, value=value).items():
            if tensor.ndim < 2 or tensor.shape[-1] != self.d_model:
                raise ValueError(
                    f"{name} must have shape (..., T, d_model) with d_model = {self.d_model}; got {tuple(tensor.shape)}"
                )
        shapes = f"got query {tuple(query.shape)}, key {tuple(key.shape)}, value {tuple(value.shape)}"
        if key.shape != value.shape:
            raise ValueError(f"key and value must have the same shape (..., T_k, d_model); {shapes}")
        if query.shape[:-2] != key.shape[:-2]:
            raise ValueError(f"query, key and value must have the same leading axes (...); {shapes}")
        if mask is not None:
            _require_mask(mask, (*query.shape[:-2], self.num_heads, query.shape[-2], key.shape[-2]))


def _attend(query, key, value, mask, dropout=0.0):
    """F.scaled_dot_product_attention, where a query that may attend to nothing gets zeros and zero gradients.

    query (..., T_q, d_head), key (..., T_k, d_head), value (..., T_k, d_v). Returns (..., T_q, d_v).
    """
    if mask is None:
        return F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
    # For such a query some versions and devices give NaN. So let it see every key, then put zeros in its row:
    # what it saw is gone, forward and backward.
    mask = torch.atleast_2d(mask)
    has_key = mask.any(dim=-1, keepdim=True)  # (..., T_q, 1)
    output = F.scaled_dot_product_attention(query, key, value, attn_mask=mask | ~has_key, dropout_p=dropout)
    return output.masked_fill(~has_key, 0.0)


def _require_sizes(d_model, num_heads, dropout):
    for name, number in dict(d_model=d_model, num_heads=num_heads).items():
        if not isinstance(number, Integral) or number < 1:
            raise ValueError(f"{name} must be a whole number of at least 1; got {number!r}")
    if d_model % num_heads:
        raise ValueError(f"num_heads must divide d_model; got d_model = {d_model}, num_heads = {num_heads}")
    if not 0.0 <= dropout <= 1.0:
        raise ValueError(f"dropout must be from 0 to 1; got {dropout!r}")


def _require_mask(mask, shape):
    if not isinstance(mask, torch.Tensor) or mask.dtype != torch.bool:
        got = mask.dtype if isinstance(mask, torch.Tensor) else type(mask).__name__
        raise ValueError(f"mask must be a bool tensor, True = may be attended; got {got}")
    # from the last axis back, a mask's axis is 1 or the scores' own
    fits = mask.ndim <= len(shape) and all(
        length in (1, wanted) for length, wanted in zip(reversed(mask.shape), reversed(shape), strict=False)
    )
    if not fits:
        hint = "; is an axis missing, as in (batch, 1, T_q, T_k)?" if 2 < mask.ndim < len(shape) else ""
        raise ValueError(
            f"mask must be broadcastable to the scores, (..., heads, T_q, T_k) = {shape}; got {tuple(mask.shape)}{hint}"
        )
