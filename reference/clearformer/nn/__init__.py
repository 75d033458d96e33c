"""The layers in PyTorch."""

from clearformer.nn.attention import MultiHeadAttention
from clearformer.nn.cache import DecoderCache, KeyValueCache, LayerCache
from clearformer.nn.decoder import Decoder, DecoderLayer, decoder_mask
from clearformer.nn.decoder_only_cache import DecoderOnlyCache
from clearformer.nn.embedding import TokenEmbedding
from clearformer.nn.encoder import Encoder, EncoderLayer
from clearformer.nn.feed_forward import FeedForward
from clearformer.nn.grouped_query_attention import GroupedQueryAttention, grouped_query_attention
from clearformer.nn.linear_attention import (
    LinearState,
    elu_plus_one,
    linear_attention,
    linear_attention_step,
    recurrent_linear_attention,
)
from clearformer.nn.norm import layer_norm, post_norm, pre_norm
from clearformer.nn.online_softmax import online_softmax_attention
from clearformer.nn.positions import LearnedPositions, SinusoidalPositions
from clearformer.nn.rms_norm import RMSNorm, rms_norm
from clearformer.nn.rotary import RotaryPositions, change_layout, pairs_to_halves, rotary_embedding
from clearformer.nn.sparse_attention import (
    big_bird_mask,
    block_attention,
    global_mask,
    mask_of_layout,
    neighbour_mask,
    random_mask,
    receptive_field,
    sliding_window_attention,
    sliding_window_mask,
    strided_mask,
)
from clearformer.nn.swiglu import SwiGLU, swiglu

__all__ = [
    "Decoder",
    "DecoderCache",
    "DecoderLayer",
    "DecoderOnlyCache",
    "Encoder",
    "EncoderLayer",
    "FeedForward",
    "GroupedQueryAttention",
    "KeyValueCache",
    "LayerCache",
    "LearnedPositions",
    "LinearState",
    "MultiHeadAttention",
    "RMSNorm",
    "RotaryPositions",
    "SinusoidalPositions",
    "SwiGLU",
    "TokenEmbedding",
    "big_bird_mask",
    "block_attention",
    "change_layout",
    "decoder_mask",
    "elu_plus_one",
    "global_mask",
    "grouped_query_attention",
    "layer_norm",
    "linear_attention",
    "linear_attention_step",
    "mask_of_layout",
    "neighbour_mask",
    "online_softmax_attention",
    "pairs_to_halves",
    "post_norm",
    "pre_norm",
    "random_mask",
    "receptive_field",
    "recurrent_linear_attention",
    "rms_norm",
    "rotary_embedding",
    "sliding_window_attention",
    "sliding_window_mask",
    "strided_mask",
    "swiglu",
]
