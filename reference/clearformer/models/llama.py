"""LLaMA's decoder (Touvron et al. 2023), and every step that leads to it from the one of 2017."""

import math
from dataclasses import dataclass

import torch
from torch import nn

from clearformer.models._one_token import one_token_model
from clearformer.nn import DecoderOnlyCache, FeedForward, GroupedQueryAttention, RMSNorm, RotaryPositions, SwiGLU
from clearformer.nn._arguments import require_choice, require_count, require_sizes, require_token_ids
from clearformer.nn._ready_mask import ready_mask
from clearformer.nn.decoder import causal_rows
from clearformer.nn.positions import SinusoidalPositions
from clearformer.nn.residual import NORM_PLACEMENTS, ResidualLayer
from clearformer.nn.rotary import LAYOUTS

# The choices of Vaswani et al. 2017. dataclasses.replace(config, norm="rms") is one switch from there to LLaMA.
AS_IN_2017 = dict(
    norm_placement="post", norm="layer", positions="sinusoidal", feed_forward="relu", bias=True, num_kv_heads=None
)


@dataclass(frozen=True)
class LlamaConfig:
    """Size and form of a Llama. ValueError, with the field's name, where a value cannot be used.

    vocab_size, d_model, num_heads, num_layers   as in a Transformer
    num_kv_heads       heads of keys and values, a divisor of num_heads; None: as many as query heads
    d_ff               width inside the feed-forward; None: 4 · d_model, or two thirds of it for "swiglu", which has
                       three matrices instead of two
    rope_base          the slowest pair turns about this many times as slowly as the fastest
    rope_layout        "pairs" or "halves": which entries of queries and keys are turned together
    norm_eps           ε of all norms
    share_embeddings   one table for the embedding and the output

    The rest are the switches between LLaMA's block, the first value, and that of 2017:
    norm_placement     "pre" or "post"
    norm               "rms" or "layer"
    positions          "rotary" or "sinusoidal"; the second adds them to embeddings times √d_model
    feed_forward       "swiglu" or "relu"
    bias               False or True: biases in the attention and in "swiglu"; "relu" always has them
    """

    vocab_size: int
    d_model: int = 256
    num_heads: int = 8
    num_kv_heads: int | None = None
    d_ff: int | None = None
    num_layers: int = 8
    rope_base: float = 10000.0
    rope_layout: str = "pairs"
    norm_eps: float = 1e-6
    share_embeddings: bool = False
    norm_placement: str = "pre"
    norm: str = "rms"
    positions: str = "rotary"
    feed_forward: str = "swiglu"
    bias: bool = False

    def __post_init__(self):
        for name in ("vocab_size", "num_layers"):
            require_count(name, getattr(self, name))
        for name in ("num_kv_heads", "d_ff"):
            if getattr(self, name) is not None:
                require_count(name, getattr(self, name))
        require_sizes(self.d_model, self.num_heads, dropout=0.0)
        require_choice("rope_layout", self.rope_layout, LAYOUTS)
        require_choice("norm_placement", self.norm_placement, NORM_PLACEMENTS)
        require_choice("norm", self.norm, ("rms", "layer"))
        require_choice("positions", self.positions, ("rotary", "sinusoidal"))
        require_choice("feed_forward", self.feed_forward, ("swiglu", "relu"))
        if self.num_heads % self.kv_heads:
            raise ValueError(f"num_kv_heads must divide num_heads = {self.num_heads}; got {self.num_kv_heads}")
        if self.positions == "rotary" and self.d_head % 2:
            raise ValueError(f"rotary positions need heads of even width; got d_model / num_heads = {self.d_head}")
        if not self.rope_base > 0:
            raise ValueError(f"rope_base must be above 0; got {self.rope_base!r}")
        if not self.norm_eps >= 0:
            raise ValueError(f"norm_eps must be 0 or greater; got {self.norm_eps!r}")
        for name in ("share_embeddings", "bias"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} must be True or False; got {getattr(self, name)!r}")

    @property
    def kv_heads(self):
        return self.num_heads if self.num_kv_heads is None else self.num_kv_heads

    @property
    def ff_width(self):
        if self.d_ff is not None:
            return self.d_ff
        return 4 * self.d_model if self.feed_forward == "relu" else round(8 * self.d_model / 3)

    @property
    def d_head(self):
        return self.d_model // self.num_heads


class LlamaBlock(ResidualLayer):
    """Self-attention and feed-forward: h = x + attention(norm1(x)), then h + feed_forward(norm2(h)).

    rotary is the RotaryPositions that all blocks of a model share, or None. config.norm_placement "post" has the norms
    after the sums instead.
    """

    def __init__(self, config, rotary=None):
        super().__init__(dropout=0.0, norm=config.norm_placement)
        self.attention = GroupedQueryAttention(
            config.d_model, config.num_heads, config.num_kv_heads, rotary, config.bias
        )
        if config.feed_forward == "swiglu":
            self.feed_forward = SwiGLU(config.d_model, config.ff_width, config.bias)
        else:
            self.feed_forward = FeedForward(config.d_model, config.ff_width)
        self.norm1, self.norm2 = make_norm(config), make_norm(config)

    def forward(self, x, mask=None, cache=None):
        """x (batch, T, d_model) → (batch, T, d_model); mask and cache as in GroupedQueryAttention."""
        x = self.connect(x, lambda x: self.attention(x, mask, cache), self.norm1)
        return self.connect(x, self.feed_forward, self.norm2)


class Llama(nn.Module):
    """Token embedding, blocks, a last norm and logits, as a LlamaConfig says.

    The weights are drawn from `generator`, or from torch's own where there is none.
    """

    def __init__(self, config, generator=None):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        rotates = config.positions == "rotary"
        self.positions = None if rotates else SinusoidalPositions(config.d_model)
        rotary = RotaryPositions(config.d_head, config.rope_base, config.rope_layout) if rotates else None
        self.blocks = nn.ModuleList(LlamaBlock(config, rotary) for _ in range(config.num_layers))
        self.final_norm = make_norm(config) if config.norm_placement == "pre" else nn.Identity()
        self.output = nn.Linear(config.d_model, config.vocab_size, bias=False)
        if config.share_embeddings:
            self.output.weight = self.embedding.weight
        self.reset_parameters(generator)

    def reset_parameters(self, generator=None):
        """Draw all weights anew, as Transformer does: Xavier's for matrices, N(0, 1/d_model) for the tables."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight, generator=generator)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.LayerNorm | RMSNorm):
                module.reset_parameters()
        for table in (self.output, self.embedding):
            nn.init.normal_(table.weight, std=self.config.d_model**-0.5, generator=generator)

    def new_cache(self):
        """An empty cache for a batch that this model is to continue."""
        return DecoderOnlyCache(self.config.num_layers)

    def forward(self, token_ids, cache=None):
        """token_ids (batch, T), int64 or int32 → logits (batch, T, vocab_size) for the token after each.

        cache comes from new_cache: token_ids then continue those of earlier calls, and their logits alone are returned.
        A token sees itself and those before it. There is no padding: all rows are of one length. ValueError where ids
        are out of range or shapes cannot go together.
        """
        require_batch(token_ids, self.config.vocab_size, cache)
        length, start = token_ids.shape[1], 0 if cache is None else cache.length
        if length == 1 and start and not torch.is_grad_enabled() and not self.training:
            if cache.one_token is None:
                cache.one_token = one_token_model(self, len(token_ids)) or False
            if cache.one_token:
                return cache.one_token(token_ids, cache)
        x = self.embedding(token_ids)  # (batch, T, d_model)
        if self.positions is not None:
            x = self.positions(x * math.sqrt(self.config.d_model), start)
        # One token more than those in the cache may look at all of them.
        mask = None if length == 1 else causal_rows(length, start, x.device)
        mask = ready_mask(mask, (len(x), self.config.num_heads, length, start + length))
        for block, kept in zip(self.blocks, [None] * len(self.blocks) if cache is None else cache.layers, strict=True):
            x = block(x, mask, kept)
        return self.output(self.final_norm(x))


def make_norm(config):
    """The norm that a LlamaConfig asks for, (..., d_model) → the same: RMSNorm, or nn.LayerNorm as in 2017."""
    kind = RMSNorm if config.norm == "rms" else nn.LayerNorm
    return kind(config.d_model, eps=config.norm_eps)


def require_batch(token_ids, vocab_size, cache=None):
    """ValueError unless token_ids is a batch of ids, (batch, T), that can continue the cache."""
    require_token_ids("token_ids", token_ids, vocab_size)
    if token_ids.ndim != 2:
        raise ValueError(f"token_ids must have shape (batch, T); got {tuple(token_ids.shape)}")
    if cache is not None and cache.num_rows not in (None, len(token_ids)):
        raise ValueError(f"token_ids must have the {cache.num_rows} rows of the cache; got {len(token_ids)}")
