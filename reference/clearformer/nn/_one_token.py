"""One token more: what a decoder layer computes when it writes, in fewer and larger steps than its modules take.

For one token the arithmetic is so small that calling the modules takes longer. The numbers are those of
DecoderLayer.forward, but for the rounding of sums in another order; without gradients and dropout.
"""

import torch
import torch.nn.functional as F
from torch import nn

from clearformer.nn._few_rows import few_rows
from clearformer.nn.attention import MultiHeadAttention
from clearformer.nn.dropout import Dropout
from clearformer.nn.feed_forward import ACTIVATIONS, FeedForward


def ready_layers(layers, kind):
    """A OneToken for each decoder layer, () where one holds something that only its modules can compute.

    Such as a linear map with an adapter around it, or a hook that watches. kind is DecoderLayer.
    """
    known = (kind, MultiHeadAttention, FeedForward, Dropout, nn.Linear, nn.LayerNorm)
    for module in (module for layer in layers for module in layer.modules()):
        if type(module) not in known or module.training or module._forward_hooks or module._forward_pre_hooks:
            return ()
    return [OneToken(layer) for layer in layers]


def ready_output(linear, num_rows):
    """The map to the logits of about num_rows single tokens: few_rows for float32 on a CPU, else linear itself.

    It is the largest matrix by far. The layers' own are small, and F.linear is as fast for them.
    """
    if type(linear) is not nn.Linear or linear._forward_hooks or linear._forward_pre_hooks:
        return linear
    if linear.weight.dtype != torch.float32 or linear.weight.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
        return linear
    return few_rows(linear.weight, linear.bias, num_rows)


class OneToken:
    """A decoder layer's weights, laid out for one token at a time: the three projections of self-attention in one."""

    def __init__(self, layer):
        attention, cross, feed_forward = layer.self_attention, layer.cross_attention, layer.feed_forward
        into = (attention.query_proj, attention.key_proj, attention.value_proj)
        self._into = torch.cat([p.weight for p in into]), torch.cat([p.bias for p in into])
        self._out = _weights(attention.output_proj)
        self._cross_query, self._cross_out = _weights(cross.query_proj), _weights(cross.output_proj)
        self._wide, self._back = _weights(feed_forward.linear1), _weights(feed_forward.linear2)
        self._activation = ACTIVATIONS[feed_forward.activation]
        self._norms = [(norm.normalized_shape, norm.weight, norm.bias, norm.eps)
                       for norm in (layer.norm1, layer.norm2, layer.norm3)]  # fmt: skip
        self._is_pre = layer.norm_placement == "pre"
        self._heads = attention.num_heads, attention.d_model // attention.num_heads  # heads, d_head

    def __call__(self, x, target_mask, memory_mask, cache):
        """x (rows, d_model), masks ReadyMask or None, cache a LayerCache that has seen the memory → (rows, d_model)."""
        first, second, third = self._norms
        x = self._connect(x, self._look_back(self._before(x, first), target_mask, cache.self_attention), first)
        x = self._connect(x, self._look_at_memory(self._before(x, second), memory_mask, cache.cross_attention), second)
        hidden = self._activation(F.linear(self._before(x, third), *self._wide))  # (rows, d_ff)
        return self._connect(x, F.linear(hidden, *self._back), third)

    def _before(self, x, norm):
        return F.layer_norm(x, *norm) if self._is_pre else x

    def _connect(self, x, change, norm):
        return x + change if self._is_pre else F.layer_norm(x + change, *norm)

    def _look_back(self, x, mask, cache):
        projected = F.linear(x, *self._into).view(len(x), 3, *self._heads)
        query, key, value = projected.unsqueeze(-2).unbind(1)  # (rows, heads, 1, d_head)
        mixed = _attend(query, *cache.append(key, value), mask)
        return F.linear(mixed.reshape(x.shape), *self._out)

    def _look_at_memory(self, x, mask, cache):
        keys = cache.keys
        rows, sources = len(x), len(keys)
        query = F.linear(x, *self._cross_query).view(sources, rows // max(sources, 1), *self._heads)
        mixed = _attend(query.transpose(1, 2), keys, cache.values, mask)  # (sources, heads, rows of each, d_head)
        return F.linear(mixed.transpose(1, 2).reshape(x.shape), *self._cross_out)


def _weights(linear):
    return linear.weight, linear.bias


def _attend(query, keys, values, mask):
    if mask is None:
        return F.scaled_dot_product_attention(query, keys, values)
    mixed = F.scaled_dot_product_attention(query, keys, values, attn_mask=mask.visible)
    return mixed if mask.has_key is None else mixed.masked_fill(~mask.has_key, 0.0)
