"""The layers in PyTorch."""

from clearformer.nn.attention import MultiHeadAttention

__all__ = ["MultiHeadAttention"]
