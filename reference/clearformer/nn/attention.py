"""Multi-head attention in PyTorch."""

import torch
import torch.nn.functional as F
from torch import nn

from clearformer.nn._arguments import require_sizes
from clearformer.nn._ready_mask import ready_mask


class MultiHeadAttention(nn.Module):
    """Several attentions side by side, each in its own projection (Vaswani et al. 2017, section 3.2.2).

    d_model is the width of every input and of the output; num_heads must divide it. dropout is the share of
    attention weights set to zero in training. ValueError where one of the three cannot be used.
    """

    def __init__(self, d_model, num_heads, dropout=0.0):
        super().__init__()
        require_sizes(d_model, num_heads, dropout)
        self.d_model = d_model
        self.num_heads = num_heads
        self.dropout = dropout
        self.query_proj = nn.Linear(d_model, d_model)
        self.key_proj = nn.Linear(d_model, d_model)
        self.value_proj = nn.Linear(d_model, d_model)
        self.output_proj = nn.Linear(d_model, d_model)

    def forward(self, query, key, value, mask=None, cache=None):
        """Return the mixed values alone, (..., T_q, d_model).

        query (..., T_q, d_model), key and value (..., T_k, d_model), with the same leading axes; mask bool,
        True = may be attended, broadcastable to (..., heads, T_q, T_k), as are (T_q, T_k) and
        (batch, 1, T_q, T_k). A query that may attend to nothing gets output_proj's bias. ValueError where the
        shapes cannot go together or the mask is not bool.

        cache is a KeyValueCache: these keys and values are appended to it, and the query sees all it then holds.
        T_k in the mask's shape counts those of earlier calls too.
        """
        self._require_inputs(query, key, value)
        length_k = key.shape[-2] + (0 if cache is None else cache.length)
        mask = ready_mask(mask, (*query.shape[:-2], self.num_heads, query.shape[-2], length_k))
        keys, values = self.keys_and_values(key, value)
        if cache is not None:
            keys, values = cache.append(keys, values)
        return self.attend(query, keys, values, mask)

    def keys_and_values(self, key, value):
        """The projected keys and values, each (..., heads, T_k, d_head): what attend reads and a cache keeps."""
        return self._split_heads(self.key_proj(key)), self._split_heads(self.value_proj(value))

    def attend(self, query, keys, values, mask=None):
        """As forward, for keys and values that keys_and_values has projected before."""
        mask = ready_mask(mask, (*query.shape[:-2], self.num_heads, query.shape[-2], keys.shape[-2]))
        query = self._split_heads(self.query_proj(query))  # (..., heads, T_q, d_head)
        output = self.mix(query, keys, values, mask, self.dropout if self.training else 0.0)
        return self.output_proj(output.transpose(-3, -2).flatten(-2))  # (..., T_q, d_model)

    @staticmethod
    def mix(query, keys, values, mask, dropout):
        """Scores, softmax, dropout, weighted sum, all split by heads. clearformer.memory puts another in its place."""
        return _attend(query, keys, values, mask, dropout)

    def attention_weights(self, query, key, mask=None):
        """Return how much each query looks at each key, (..., heads, T_q, T_k), without dropout.

        For looking at: forward does not use it. Arguments and errors as in forward. Each row sums to 1, or is
        zero where the query may attend to nothing.
        """
        self._require_inputs(query, key, key)
        mask = ready_mask(mask, (*query.shape[:-2], self.num_heads, query.shape[-2], key.shape[-2]))
        query = self._split_heads(self.query_proj(query))  # (..., heads, T_q, d_head)
        key = self._split_heads(self.key_proj(key))  # (..., heads, T_k, d_head)
        # Attention returns weights @ value. If the value is the identity matrix, that is the weights.
        identity = torch.eye(key.shape[-2], dtype=key.dtype, device=key.device)  # (T_k, T_k)
        return self.mix(query, key, identity.expand(*key.shape[:-1], -1), mask, 0.0)

    def extra_repr(self):
        return f"d_model={self.d_model}, num_heads={self.num_heads}, dropout={self.dropout}"

    def _split_heads(self, x):
        return x.unflatten(-1, (self.num_heads, -1)).transpose(-3, -2)  # (..., heads, T, d_head)

    def _require_inputs(self, query, key, value):
        width, same = self.d_model, query is key is value
        if query.ndim >= 2 and query.shape[-1] == width and (
            same or (key.ndim >= 2 and key.shape[-1] == width and key.shape == value.shape
                     and query.shape[:-2] == key.shape[:-2])
        ):  # fmt: skip
            return
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


def _attend(query, key, value, mask, dropout=0.0):
    """F.scaled_dot_product_attention, where a query that may attend to nothing gets zeros and zero gradients.

    query (..., T_q, d_head), key (..., T_k, d_head), value (..., T_k, d_v), mask a ReadyMask or None. Returns
    (..., T_q, d_v).
    """
    visible, has_key = (None, None) if mask is None else mask
    output = F.scaled_dot_product_attention(query, key, value, attn_mask=visible, dropout_p=dropout)
    # What a query without a key saw is gone, forward and backward.
    return output if has_key is None else output.masked_fill(~has_key, 0.0)
