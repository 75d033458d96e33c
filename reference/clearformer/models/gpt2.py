"""GPT-2: a decoder by itself, which gives the next token for every beginning of a text (Radford et al. 2019)."""

import math
from dataclasses import dataclass

import torch
from torch import nn

from clearformer.nn import DecoderOnlyCache, Encoder, LearnedPositions
from clearformer.nn._arguments import require_choice, require_count, require_sizes, require_token_ids
from clearformer.nn.decoder import causal_rows
from clearformer.nn.feed_forward import ACTIVATIONS


@dataclass(frozen=True)
class GPT2Config:
    """Size and form of a GPT2. ValueError, with the field's name, where a value cannot be used.

    vocab_size, d_model, num_heads, d_ff, num_layers   as in a Transformer
    max_len            positions that have a vector; no text may be longer
    dropout            on the embeddings, attention weights, activations and the output of each sublayer
    activation         "gelu_tanh", as in GPT-2, or another of FeedForward's
    norm_eps           ε of all norms
    share_embeddings   one table for the embedding and the output
    """

    vocab_size: int
    d_model: int = 768
    num_heads: int = 12
    d_ff: int = 3072
    num_layers: int = 12
    max_len: int = 1024
    dropout: float = 0.1
    activation: str = "gelu_tanh"
    norm_eps: float = 1e-5
    share_embeddings: bool = True

    def __post_init__(self):
        for name in ("vocab_size", "d_ff", "num_layers", "max_len"):
            require_count(name, getattr(self, name))
        require_sizes(self.d_model, self.num_heads, self.dropout)
        require_choice("activation", self.activation, ACTIVATIONS)


class GPT2(nn.Module):
    """Tokens and learned positions, layers with pre-norm and a causal mask, one more norm, and logits.

    Such a layer has no cross-attention, so it is an EncoderLayer: the mask alone makes the stack a decoder. The weights
    are drawn as in GPT-2 (Radford et al. 2019, section 2.3), or brought by from_gpt2.
    """

    def __init__(self, config, generator=None):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.positions = LearnedPositions(config.max_len, config.d_model, config.dropout)
        self.decoder = Encoder(
            config.num_layers,
            config.d_model,
            config.num_heads,
            config.d_ff,
            config.dropout,
            norm="pre",
            activation=config.activation,
            norm_eps=config.norm_eps,
        )
        self.output = nn.Linear(config.d_model, config.vocab_size, bias=False)
        if config.share_embeddings:
            self.output.weight = self.embedding.weight
        self.reset_parameters(generator)

    def reset_parameters(self, generator=None):
        """Draw all weights anew, from N(0, 0.02²), biases 0 (Radford et al. 2018, section 4.1).

        Each layer adds to the sum twice. What writes into it is drawn smaller, by the root of how many do, so that the
        sum starts with a size that does not depend on the depth.
        """
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02, generator=generator)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.LayerNorm):
                module.reset_parameters()
        self.positions.reset_parameters(generator)
        with torch.no_grad():
            for layer in self.decoder.layers:
                for writer in (layer.self_attention.output_proj, layer.feed_forward.linear2):
                    writer.weight /= math.sqrt(2 * self.config.num_layers)

    def new_cache(self):
        """An empty DecoderOnlyCache for this model: what forward keeps while a text is written token by token."""
        return DecoderOnlyCache(self.config.num_layers)

    def forward(self, token_ids, cache=None):
        """token_ids (batch, T), int64 or int32 → logits (batch, T, vocab_size); those at t are for the token after t.

        cache is one of new_cache: token_ids then continue those of earlier calls, and the logits are those of the new
        ones only. No token sees a later one, so that padding at the end changes nothing before it. ValueError where ids
        are out of range, the shapes cannot go together, or the text is longer than max_len.
        """
        require_token_ids("token_ids", token_ids, self.config.vocab_size)
        if token_ids.ndim != 2:
            raise ValueError(f"token_ids must have shape (batch, T); got {tuple(token_ids.shape)}")
        if cache is not None and cache.num_rows not in (None, len(token_ids)):
            raise ValueError(f"token_ids must have the {cache.num_rows} rows of the cache; got {len(token_ids)}")
        length, start = token_ids.shape[1], 0 if cache is None else cache.length
        x = self.positions(self.embedding(token_ids), start)  # (batch, T, d_model)
        # One token more than those in the cache may look at all of them.
        mask = None if length == 1 else causal_rows(length, start, x.device)
        return self.output(self.decoder(x, mask, cache))
