"""The layers in PyTorch."""

from clearformer.nn.attention import MultiHeadAttention
from clearformer.nn.cache import DecoderCache, KeyValueCache, LayerCache
from clearformer.nn.decoder import Decoder, DecoderLayer, decoder_mask
from clearformer.nn.embedding import TokenEmbedding
from clearformer.nn.encoder import Encoder, EncoderLayer
from clearformer.nn.feed_forward import FeedForward
from clearformer.nn.norm import layer_norm, post_norm, pre_norm
from clearformer.nn.positions import SinusoidalPositions

__all__ = [
    "Decoder",
    "DecoderCache",
    "DecoderLayer",
    "Encoder",
    "EncoderLayer",
    "FeedForward",
    "KeyValueCache",
    "LayerCache",
    "MultiHeadAttention",
    "SinusoidalPositions",
    "TokenEmbedding",
    "decoder_mask",
    "layer_norm",
    "post_norm",
    "pre_norm",
]
