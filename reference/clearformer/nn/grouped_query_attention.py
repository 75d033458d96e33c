"""Attention in which several query heads read the same keys and values."""

import torch.nn.functional as F
from torch import nn

from clearformer.nn._arguments import require_count, require_sizes, require_states
from clearformer.nn._ready_mask import ready_mask


def grouped_query_attention(query, key, value, mask=None):
    """Scaled dot-product attention with fewer key-value heads than query heads (Ainslie et al. 2023, section 2.2).

    query (..., heads, T_q, d), key (..., kv_heads, T_k, d), value (..., kv_heads, T_k, d_v); kv_heads divides heads,
    and query head h reads key-value head h // (heads / kv_heads). One key-value head is multi-query attention (Shazeer
    2019). mask bool, True = may be attended, broadcastable to (..., heads, T_q, T_k). Returns (..., heads, T_q, d_v);
    a query that may attend to nothing gets zeros. ValueError where the shapes cannot go together.
    """
    _require_heads(query, key, value)
    *leading, heads, length, _ = query.shape
    kv_heads = key.shape[-3]
    mask = ready_mask(mask, (*leading, heads, length, key.shape[-2]))
    # A group of query heads is so many more queries to its one key-value head: nothing is copied.
    grouped = query.reshape(
        *leading, kv_heads, heads // kv_heads * length, query.shape[-1]
    )  # (..., kv_heads, group * T_q, d)
    visible = None if mask is None else _grouped_mask(mask.visible, heads, kv_heads, length)
    mixed = F.scaled_dot_product_attention(grouped, key, value, attn_mask=visible)
    mixed = mixed.reshape(*leading, heads, length, value.shape[-1])
    return mixed if mask is None or mask.has_key is None else mixed.masked_fill(~mask.has_key, 0.0)


class GroupedQueryAttention(nn.Module):
    """Self-attention with num_kv_heads key-value heads for num_heads query heads, turned by rotary positions.

    num_kv_heads divides num_heads; None is one for each. rotary is a RotaryPositions for the width d_model / num_heads
    of a head; None turns nothing. Without rotary and fewer heads, and with biases, this is MultiHeadAttention of a
    sequence with itself. ValueError where an argument cannot be used.
    """

    def __init__(self, d_model, num_heads, num_kv_heads=None, rotary=None, bias=False):
        super().__init__()
        require_sizes(d_model, num_heads, dropout=0.0)
        num_kv_heads = num_heads if num_kv_heads is None else num_kv_heads
        require_count("num_kv_heads", num_kv_heads)
        if num_heads % num_kv_heads:
            raise ValueError(f"num_kv_heads must divide num_heads = {num_heads}; got {num_kv_heads}")
        self.d_model, self.d_head = d_model, d_model // num_heads
        self.num_heads, self.num_kv_heads = num_heads, num_kv_heads
        if rotary is not None and rotary.d_head != self.d_head:
            raise ValueError(f"rotary must be for heads of width {self.d_head}; got d_head = {rotary.d_head}")
        self.rotary = rotary
        self.query_proj = nn.Linear(d_model, d_model, bias=bias)
        self.key_proj = nn.Linear(d_model, num_kv_heads * self.d_head, bias=bias)
        self.value_proj = nn.Linear(d_model, num_kv_heads * self.d_head, bias=bias)
        self.output_proj = nn.Linear(d_model, d_model, bias=bias)

    def forward(self, x, mask=None, cache=None):
        """x (..., T, d_model) → (..., T, d_model).

        mask bool, True = may be attended, broadcastable to (..., heads, T, T). cache is a KeyValueCache, x then goes on
        where it ends: its length is the position of the first token of x, the new keys, turned, and values are appended
        to it, and the mask's last axis counts all it then holds. ValueError where shapes cannot go together.
        """
        require_states("x", x, self.d_model)
        start = 0 if cache is None else cache.length
        mask = ready_mask(mask, (*x.shape[:-2], self.num_heads, x.shape[-2], start + x.shape[-2]))
        query = self._split_heads(self.query_proj(x))  # (..., heads, T, d_head)
        keys = self._split_heads(self.key_proj(x))  # (..., kv_heads, T, d_head)
        values = self._split_heads(self.value_proj(x))
        if self.rotary is not None:
            query, keys = self.rotary(query, start), self.rotary(keys, start)
        if cache is not None:
            keys, values = cache.append(keys, values)  # turned once, before they are kept
        mixed = grouped_query_attention(query, keys, values, mask)
        return self.output_proj(mixed.transpose(-3, -2).flatten(-2))

    def extra_repr(self):
        return f"d_model={self.d_model}, num_heads={self.num_heads}, num_kv_heads={self.num_kv_heads}"

    def _split_heads(self, x):
        return x.unflatten(-1, (-1, self.d_head)).transpose(-3, -2)  # (..., heads, T, d_head)


def _grouped_mask(mask, heads, kv_heads, length):
    """A mask broadcastable to (..., heads, T_q, T_k) → (..., kv_heads or 1, group * T_q, T_k)."""
    group = heads // kv_heads
    if group == 1:
        return mask
    mask = mask if mask.ndim > 2 else mask[None]  # (..., heads or 1, T_q or 1, T_k or 1)
    mask = mask.expand(*mask.shape[:-2], length, mask.shape[-1])
    if mask.shape[-3] == 1:
        return mask.expand(*mask.shape[:-3], group, *mask.shape[-2:]).flatten(-3, -2).unsqueeze(-3)
    return mask.unflatten(-3, (kv_heads, group)).flatten(-3, -2)


def _require_heads(query, key, value):
    shapes = f"got query {tuple(query.shape)}, key {tuple(key.shape)}, value {tuple(value.shape)}"
    if min(query.ndim, key.ndim, value.ndim) < 3 or query.shape[-1] != key.shape[-1]:
        raise ValueError(f"query must be (..., heads, T_q, d) and key (..., kv_heads, T_k, d); {shapes}")
    if key.shape[:-1] != value.shape[:-1] or query.shape[:-3] != key.shape[:-3]:
        raise ValueError(f"key and value must be (..., kv_heads, T_k, ·), with the leading axes of query; {shapes}")
    if not key.shape[-3] or query.shape[-3] % key.shape[-3]:
        raise ValueError(f"kv_heads must divide heads; {shapes}")
