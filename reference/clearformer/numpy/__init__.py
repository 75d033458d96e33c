"""Part I in NumPy: positions, attention, several heads, and the two other parts of a layer."""

from clearformer.numpy.attention import (
    attention_backward,
    causal_mask,
    masked_softmax,
    padding_mask,
    scaled_dot_product_attention,
    softmax,
)
from clearformer.numpy.layers import feed_forward, layer_norm
from clearformer.numpy.multi_head import merge_heads, multi_head_attention, split_heads
from clearformer.numpy.online_softmax import online_softmax_attention
from clearformer.numpy.positions import positional_encoding, shift_matrix

__all__ = [
    "attention_backward",
    "causal_mask",
    "feed_forward",
    "layer_norm",
    "masked_softmax",
    "merge_heads",
    "multi_head_attention",
    "online_softmax_attention",
    "padding_mask",
    "positional_encoding",
    "scaled_dot_product_attention",
    "shift_matrix",
    "softmax",
    "split_heads",
]
