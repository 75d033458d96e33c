"""The encoder: layers in which every token may look at every other."""

from torch import nn

from clearformer.nn._arguments import require_count, require_states
from clearformer.nn._ready_mask import ready_mask
from clearformer.nn.attention import MultiHeadAttention
from clearformer.nn.feed_forward import FeedForward
from clearformer.nn.residual import ResidualLayer, one_after_the_other


class EncoderLayer(ResidualLayer):
    """Self-attention, then feed-forward, each with a residual connection and a norm (Vaswani et al. 2017, section 3.1).

    norm is "post", as in 2017, or "pre". dropout acts on the attention weights, after the activation and on the output
    of each sublayer, as in torch.nn.TransformerEncoderLayer. norm_eps is the ε of both norms, torch's default; BERT's
    is 1e-12. ValueError where a size cannot be used.
    """

    def __init__(self, d_model, num_heads, d_ff, dropout=0.0, norm="post", activation="relu", norm_eps=1e-5):
        super().__init__(dropout, norm)
        self.self_attention = MultiHeadAttention(d_model, num_heads, dropout)
        self.feed_forward = FeedForward(d_model, d_ff, dropout, activation)
        self.norm1 = nn.LayerNorm(d_model, eps=norm_eps)
        self.norm2 = nn.LayerNorm(d_model, eps=norm_eps)

    def forward(self, x, mask=None, cache=None):
        """x (batch, T, d_model), mask bool, True = may be attended, broadcastable to (batch, heads, T, T).

        Returns (batch, T, d_model). cache is a KeyValueCache: x then continues the tokens of earlier calls, which the
        mask's last axis counts too. ValueError where the shapes cannot go together.
        """
        require_states("x", x, self.self_attention.d_model)
        x = self.connect(x, lambda x: self.self_attention(x, x, x, mask, cache), self.norm1)
        return self.connect(x, self.feed_forward, self.norm2)


class Encoder(nn.Module):
    """num_layers encoder layers, one after the other.

    With norm="pre" one more norm stands after the last layer, because there the sum itself is never normed. final_norm
    True or False decides otherwise: torch.nn.Transformer has that norm in both cases.
    """

    def __init__(
        self,
        num_layers,
        d_model,
        num_heads,
        d_ff,
        dropout=0.0,
        norm="post",
        activation="relu",
        final_norm=None,
        norm_eps=1e-5,
    ):
        super().__init__()
        require_count("num_layers", num_layers)
        self.layers = nn.ModuleList(
            EncoderLayer(d_model, num_heads, d_ff, dropout, norm, activation, norm_eps) for _ in range(num_layers)
        )
        has_final_norm = norm == "pre" if final_norm is None else final_norm
        self.final_norm = nn.LayerNorm(d_model, eps=norm_eps) if has_final_norm else nn.Identity()
        self.d_model = d_model
        self.num_heads = num_heads

    run_layers = staticmethod(one_after_the_other)  # clearformer.memory puts another in its place

    def forward(self, x, mask=None, cache=None):
        """x (batch, T, d_model), mask bool, broadcastable to (batch, heads, T, T) → (batch, T, d_model).

        cache is a DecoderOnlyCache, for a mask that is causal: x then continues the tokens of earlier calls, which the
        mask's last axis counts too.
        """
        require_states("x", x, self.d_model)
        length = x.shape[-2] + (0 if cache is None else cache.length)
        mask = ready_mask(mask, (*x.shape[:-2], self.num_heads, x.shape[-2], length))
        if cache is None:
            return self.final_norm(self.run_layers(self.layers, x, mask))
        for layer, kept in zip(self.layers, cache.layers, strict=True):
            x = layer(x, mask, kept)
        return self.final_norm(x)
