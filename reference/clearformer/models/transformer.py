"""The encoder-decoder of 2017, and one object that says everything about its size and form."""

import dataclasses
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from clearformer.nn import Decoder, Encoder, LearnedPositions, SinusoidalPositions, TokenEmbedding, decoder_mask
from clearformer.nn._arguments import ID_DTYPES, require_choice, require_count, require_sizes
from clearformer.nn._one_token import ready_output
from clearformer.nn.feed_forward import ACTIVATIONS
from clearformer.nn.residual import NORM_PLACEMENTS

PRESETS = {
    # Vaswani et al. 2017, table 3
    "base": dict(d_model=512, num_heads=8, d_ff=2048, num_encoder_layers=6, num_decoder_layers=6, dropout=0.1),
    # Wu et al. 2021, for Multi30k
    "tiny": dict(d_model=128, num_heads=4, d_ff=256, num_encoder_layers=4, num_decoder_layers=4, dropout=0.3),
    # copying, reversing and sorting in seconds on a CPU
    "toy": dict(d_model=64, num_heads=4, d_ff=128, num_encoder_layers=2, num_decoder_layers=2, dropout=0.0),
}
EMBEDDING_SWITCHES = ("scale_embeddings", "embedding_norm")


@dataclass(frozen=True)
class TransformerConfig:
    """Size and form of a Transformer. ValueError, with the field's name, where a value cannot be used.

    vocab_size            tokens of the source; of the target too, unless target_vocab_size says otherwise
    d_model, num_heads    width of every state; heads, which divide it
    d_ff                  width inside the feed-forward sublayers
    dropout               on embeddings, attention weights, activations and the output of each sublayer
    norm                  "post", as in 2017, or "pre"
    share_embeddings      one table for both embeddings and the output; needs one vocabulary
    pad_id                the token that fills up short sentences, in source and target

    The rest is for weights from elsewhere: activation, "gelu", "silu" or "gelu_tanh"; final_norm, a norm after the last
    layer of encoder and decoder, None: only with norm="pre"; output_bias, a bias on the logits; hide_target_padding
    False, for models in which pad_id also begins a target, and the causal mask alone has to hide what stands behind it;
    scale_embeddings False, embeddings that are not multiplied by √d_model; max_len, how many positions have a learned
    vector, in source and target each, None: sines for any number; embedding_norm, a norm after learned positions.
    """

    vocab_size: int
    target_vocab_size: int | None = None
    d_model: int = 512
    num_heads: int = 8
    d_ff: int = 2048
    num_encoder_layers: int = 6
    num_decoder_layers: int = 6
    dropout: float = 0.1
    norm: str = "post"
    share_embeddings: bool = True
    pad_id: int = 0
    activation: str = "relu"
    final_norm: bool | None = None
    output_bias: bool = False
    hide_target_padding: bool = True
    scale_embeddings: bool = True
    max_len: int | None = None
    embedding_norm: bool = False

    def __post_init__(self):
        for name in ("vocab_size", "d_ff", "num_encoder_layers", "num_decoder_layers"):
            require_count(name, getattr(self, name))
        if self.target_vocab_size is not None:
            require_count("target_vocab_size", self.target_vocab_size)
        require_sizes(self.d_model, self.num_heads, self.dropout)
        require_choice("norm", self.norm, NORM_PLACEMENTS)
        require_choice("activation", self.activation, ACTIVATIONS)
        for name in ("share_embeddings", "output_bias", "hide_target_padding", "final_norm", *EMBEDDING_SWITCHES):
            value = getattr(self, name)
            if not isinstance(value, bool) and not (name == "final_norm" and value is None):
                raise ValueError(f"{name} must be True or False; got {value!r}")
        if self.max_len is not None:
            require_count("max_len", self.max_len)
        elif self.embedding_norm:
            raise ValueError("embedding_norm goes with learned positions: it needs a max_len")
        if self.share_embeddings and self.target_size != self.vocab_size:
            raise ValueError(
                f"share_embeddings needs one vocabulary for source and target; got vocab_size = {self.vocab_size}, "
                f"target_vocab_size = {self.target_size}"
            )
        ids = min(self.vocab_size, self.target_size)
        if not isinstance(self.pad_id, int) or isinstance(self.pad_id, bool) or not 0 <= self.pad_id < ids:
            raise ValueError(f"pad_id must be a token of both vocabularies, 0 to {ids - 1}; got {self.pad_id!r}")

    @property
    def target_size(self):
        """Tokens of the target's vocabulary."""
        return self.vocab_size if self.target_vocab_size is None else self.target_vocab_size

    @property
    def has_final_norm(self):
        return self.norm == "pre" if self.final_norm is None else self.final_norm

    @classmethod
    def preset(cls, name, vocab_size, **changes):
        """The configuration called "base", "tiny" or "toy", with this vocabulary and these changes."""
        require_choice("name", name, PRESETS)
        return cls.from_dict({**PRESETS[name], "vocab_size": vocab_size, **changes})

    def to_dict(self):
        """All fields, as a dict that JSON can hold."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields):
        """The configuration that to_dict wrote; ValueError names fields that are unknown, missing or wrong."""
        known = [field.name for field in dataclasses.fields(cls)]
        unknown = sorted(set(fields) - set(known))
        if unknown:
            raise ValueError(f"unknown in a TransformerConfig: {', '.join(unknown)}. Its fields are {', '.join(known)}")
        if "vocab_size" not in fields:
            raise ValueError("vocab_size is missing: a TransformerConfig needs it")
        return cls(**fields)


class AttentionMaps(NamedTuple):
    """Who looks at whom, in every layer and head; each row sums to 1, or is zero where nothing may be attended.

    encoder (layers, batch, heads, S, S), decoder (layers, batch, heads, T, T), cross (layers, batch, heads, T, S): in
    the last two axes, queries, then keys.
    """

    encoder: torch.Tensor
    decoder: torch.Tensor
    cross: torch.Tensor


class Transformer(nn.Module):
    """Encoder and decoder between embeddings and logits (Vaswani et al. 2017), as a TransformerConfig says.

    The weights are drawn from `generator`, or from torch's own where there is none.
    """

    def __init__(self, config, generator=None):
        super().__init__()
        self.config = config
        scale = config.scale_embeddings
        self.source_embedding = TokenEmbedding(config.vocab_size, config.d_model, scale)
        self.target_embedding = (
            self.source_embedding
            if config.share_embeddings
            else TokenEmbedding(config.target_size, config.d_model, scale)
        )
        self.positions = _positions(config)
        self.target_positions = self.positions if config.max_len is None else _positions(config)
        stack = (config.d_model, config.num_heads, config.d_ff, config.dropout)
        form = dict(norm=config.norm, activation=config.activation, final_norm=config.has_final_norm)
        self.encoder = Encoder(config.num_encoder_layers, *stack, **form)
        self.decoder = Decoder(config.num_decoder_layers, *stack, **form)
        self.output = nn.Linear(config.d_model, config.target_size, bias=config.output_bias)
        if config.share_embeddings:
            self.output.weight = self.target_embedding.weight
        self.reset_parameters(generator)

    def reset_parameters(self, generator=None):
        """Draw all weights anew.

        Matrices come from Xavier's uniform distribution, which keeps the variance of what passes through them forward
        and backward, and biases start at 0: as in the code that came with the paper. The tables of embeddings and
        output are drawn as TokenEmbedding says.
        """
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight, generator=generator)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.LayerNorm):
                module.reset_parameters()
            elif isinstance(module, LearnedPositions):
                module.reset_parameters(generator)
        nn.init.normal_(self.output.weight, std=self.config.d_model**-0.5, generator=generator)
        self.source_embedding.reset_parameters(generator)
        if not self.config.share_embeddings:
            self.target_embedding.reset_parameters(generator)

    def forward(self, source_ids, target_ids):
        """source_ids (batch, S), target_ids (batch, T) → logits (batch, T, target_size).

        Logits at t are for the token after target_ids[:, t]. ValueError where ids are out of range or the shapes cannot
        go together.
        """
        self._require_batch(source_ids, target_ids)
        return self.decode(target_ids, self.encode(source_ids), self.source_mask(source_ids))

    def encode(self, source_ids):
        """source_ids (batch, S), int64 or int32 → memory (batch, S, d_model)."""
        _require_ids("source_ids", source_ids)
        x = self.positions(self.source_embedding(source_ids, "source_ids"))
        return self.encoder(x, self.source_mask(source_ids))

    def source_mask(self, source_ids):
        """True where a source token is none of padding, (batch, 1, 1, S)."""
        _require_ids("source_ids", source_ids)
        return (source_ids != self.config.pad_id)[:, None, None, :]

    def decode(self, target_ids, memory=None, source_mask=None, cache=None):
        """Logits (batch, T, target_size) of target_ids (batch, T), given encode's memory and source_mask.

        cache is a DecoderCache: target_ids then continue those of earlier calls, and the logits are those of the new
        ones only. memory and source_mask are read in its first call and may be left out in later ones; in the first,
        target_ids may have k times as many rows as memory, and each source then serves the next k rows.
        """
        _require_ids("target_ids", target_ids)
        start = 0 if cache is None else cache.length
        so_far = target_ids if start == 0 else self._continued(cache, target_ids)  # (batch, start + T)
        x = self.target_positions(self.target_embedding(target_ids, "target_ids"), start)
        x = self.decoder(x, memory, self._target_mask(so_far, start), source_mask, cache)
        if cache is not None:
            cache.token_ids = so_far
            if cache.ready_layers and x.shape[1] == 1 and not torch.is_grad_enabled():
                if cache.ready_output is None:
                    cache.ready_output = ready_output(self.output, len(x))
                return cache.ready_output(x.squeeze(1)).unsqueeze(1)
        return self.output(x)

    @torch.no_grad()
    def attention_maps(self, source_ids, target_ids):
        """Who looks at whom when the model reads these sentences, as AttentionMaps, without dropout.

        Arguments and errors as in forward. For looking at: it computes every attention twice.
        """
        seen = {}

        def look(module, arguments):
            query, key, _, mask = arguments[:4]
            seen[module] = module.attention_weights(query, key, mask)  # (batch, heads, T_q, T_k)

        attentions = (
            [layer.self_attention for layer in self.encoder.layers],
            [layer.self_attention for layer in self.decoder.layers],
            [layer.cross_attention for layer in self.decoder.layers],
        )
        hooks = [module.register_forward_pre_hook(look) for group in attentions for module in group]
        modes = {module: module.training for module in self.modules()}
        try:
            self.eval()
            self(source_ids, target_ids)
        finally:
            for hook in hooks:
                hook.remove()
            for module, training in modes.items():
                module.training = training
        return AttentionMaps(*(torch.stack([seen[module] for module in group]) for group in attentions))

    def _target_mask(self, token_ids, start):
        if self.config.hide_target_padding:
            return decoder_mask(token_ids, self.config.pad_id, start)
        # One token more than those in the cache may look at all of them.
        return None if token_ids.shape[1] - start == 1 else decoder_mask(token_ids, None, start)

    def _require_batch(self, source_ids, target_ids):
        _require_ids("source_ids", source_ids)
        _require_ids("target_ids", target_ids)
        if len(source_ids) != len(target_ids):
            raise ValueError(
                f"source_ids and target_ids must have the same batch; got {tuple(source_ids.shape)} and "
                f"{tuple(target_ids.shape)}"
            )

    def _continued(self, cache, target_ids):
        if cache.token_ids is None:
            raise ValueError("cache has been used without token ids: begin a new DecoderCache for decode")
        if len(cache.token_ids) != len(target_ids):
            raise ValueError(
                f"target_ids must have the {len(cache.token_ids)} rows of the cache; got {len(target_ids)}"
            )
        return torch.cat([cache.token_ids, target_ids], dim=1)


def _positions(config):
    if config.max_len is None:
        return SinusoidalPositions(config.d_model, config.dropout)
    return LearnedPositions(config.max_len, config.d_model, config.dropout, config.embedding_norm)


def _require_ids(name, token_ids):
    if not isinstance(token_ids, torch.Tensor) or token_ids.dtype not in ID_DTYPES:
        got = token_ids.dtype if isinstance(token_ids, torch.Tensor) else type(token_ids).__name__
        raise ValueError(f"{name} must be a tensor of token ids, int64 or int32; got {got}")
    if token_ids.ndim != 2:
        raise ValueError(f"{name} must have shape (batch, T); got {tuple(token_ids.shape)}")
