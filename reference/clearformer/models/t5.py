"""T5: the encoder-decoder with positions in the attention instead of in the embeddings (Raffel et al. 2020)."""

import math
from dataclasses import dataclass

import torch
from torch import nn

from clearformer.nn import Decoder, DecoderLayer, Encoder, EncoderLayer, MultiHeadAttention, RMSNorm
from clearformer.nn._arguments import require_choice, require_count, require_dropout, require_token_ids
from clearformer.nn._ready_mask import ReadyMask, ready_mask
from clearformer.nn.decoder import causal_rows
from clearformer.nn.dropout import Dropout
from clearformer.nn.feed_forward import ACTIVATIONS
from clearformer.nn.residual import ResidualLayer


@dataclass(frozen=True)
class T5Config:
    """Size and form of a T5. ValueError, with the field's name, where a value cannot be used.

    vocab_size, d_model, num_heads, d_ff, num_encoder_layers, num_decoder_layers   as in a Transformer
    d_head             width of a head; d_model need not be num_heads · d_head
    num_buckets        distances that the attention tells apart, even
    max_distance       from here on all distances are one
    dropout            on embeddings, attention weights, activations, the output of each sublayer and of each stack
    activation         "relu", or another of FeedForward's
    gated              False: linear, activation, linear. True: the activation of one linear map times another one, as
                       in T5 1.1, there with "gelu_tanh" (Shazeer 2020, section 2)
    norm_eps           ε of all norms
    share_embeddings   one table for both embeddings and the output; False gives the output its own, as in T5 1.1
    scale_output       are the states divided by √d_model before the output? None: where the table is shared
    pad_id             the token that fills up short sentences, and begins a target
    """

    vocab_size: int
    d_model: int = 512
    num_heads: int = 8
    d_head: int = 64
    d_ff: int = 2048
    num_encoder_layers: int = 6
    num_decoder_layers: int = 6
    num_buckets: int = 32
    max_distance: int = 128
    dropout: float = 0.1
    activation: str = "relu"
    gated: bool = False
    norm_eps: float = 1e-6
    share_embeddings: bool = True
    scale_output: bool | None = None
    pad_id: int = 0

    def __post_init__(self):
        sizes = "vocab_size", "d_model", "num_heads", "d_head", "d_ff", "num_encoder_layers", "num_decoder_layers"
        for name in (*sizes, "num_buckets", "max_distance"):
            require_count(name, getattr(self, name))
        require_dropout(self.dropout)
        require_choice("activation", self.activation, ACTIVATIONS)
        require_buckets(self.num_buckets, self.max_distance, bidirectional=True)
        require_buckets(self.num_buckets, self.max_distance, bidirectional=False)
        if not isinstance(self.pad_id, int) or not 0 <= self.pad_id < self.vocab_size:
            raise ValueError(f"pad_id must be a token, 0 to {self.vocab_size - 1}; got {self.pad_id!r}")

    @property
    def output_factor(self):
        scales = self.share_embeddings if self.scale_output is None else self.scale_output
        return self.d_model**-0.5 if scales else 1.0


def relative_position_bucket(offset, num_buckets=32, max_distance=128, bidirectional=True):
    """Which bucket the key at `offset` = key position - query position falls into (Raffel et al. 2020, section 2.1).

    offset: a tensor of whole numbers → int64, the same shape, 0 to num_buckets - 1. Half of the buckets are for one
    distance each, the nearest; in the other half the distances a bucket holds grow by one factor, up to max_distance,
    and the last holds all from there on too. bidirectional: keys after the query have buckets of their own, the second
    half of them all. Otherwise they share bucket 0 with distance 0: a causal mask hides them. ValueError where there
    are too few buckets or max_distance is not beyond those for one distance.
    """
    require_buckets(num_buckets, max_distance, bidirectional)
    first = torch.zeros_like(offset, dtype=torch.int64)
    if bidirectional:
        num_buckets //= 2
        first = (offset > 0) * num_buckets
    distance = offset.abs() if bidirectional else (-offset).clamp(min=0)
    num_exact = num_buckets // 2
    # In float32, as the weights of T5 were trained with: a logarithm that should be whole may come out below.
    grown = torch.log(distance.clamp(min=1).float() / num_exact) / math.log(max_distance / num_exact)
    logarithmic = num_exact + (grown * (num_buckets - num_exact)).to(torch.int64)
    return first + torch.where(distance < num_exact, distance, logarithmic.clamp(max=num_buckets - 1))


class RelativePositions(nn.Module):
    """A number for each head and bucket of distances, added to the scores of attention (Shaw et al. 2018, simplified).

    weight (num_buckets, num_heads).
    """

    def __init__(self, num_heads, num_buckets=32, max_distance=128, bidirectional=True):
        super().__init__()
        self.num_buckets, self.max_distance, self.bidirectional = num_buckets, max_distance, bidirectional
        self.weight = nn.Parameter(torch.zeros(num_buckets, num_heads))

    def forward(self, start, end):
        """What is added for the queries from `start` to `end` and the keys from 0 to `end`: (heads, T_q, end)."""
        places = torch.arange(end, device=self.weight.device)
        offset = places - places[start:, None]  # (T_q, end)
        bucket = relative_position_bucket(offset, self.num_buckets, self.max_distance, self.bidirectional)
        return self.weight[bucket].movedim(-1, 0)

    def added_to(self, mask, start, end):
        """The ReadyMask that hides what `mask` hides, a ReadyMask or None, and adds this to the scores."""
        bias = self(start, end)
        if mask is None:
            return ReadyMask(bias, None)
        return ReadyMask(torch.where(mask.visible, bias, -torch.inf), mask.has_key)

    def extra_repr(self):
        return f"num_buckets={self.num_buckets}, max_distance={self.max_distance}, bidirectional={self.bidirectional}"


class T5Attention(MultiHeadAttention):
    """MultiHeadAttention without biases, with heads of any width, and scores that are not divided by √d_head."""

    def __init__(self, config):
        width = config.num_heads * config.d_head
        super().__init__(width, config.num_heads, config.dropout)
        self.d_model = config.d_model
        self.query_proj = nn.Linear(config.d_model, width, bias=False)
        self.key_proj = nn.Linear(config.d_model, width, bias=False)
        self.value_proj = nn.Linear(config.d_model, width, bias=False)
        self.output_proj = nn.Linear(width, config.d_model, bias=False)

    @staticmethod
    def mix(query, keys, values, mask, dropout):
        return MultiHeadAttention.mix(query * math.sqrt(query.shape[-1]), keys, values, mask, dropout)


class T5FeedForward(nn.Module):
    """FeedForward without biases, and, where the configuration says so, with a gate."""

    def __init__(self, config):
        super().__init__()
        self.activation = config.activation
        self.gate = nn.Linear(config.d_model, config.d_ff, bias=False) if config.gated else None
        self.linear1 = nn.Linear(config.d_model, config.d_ff, bias=False)
        self.linear2 = nn.Linear(config.d_ff, config.d_model, bias=False)
        self.dropout = Dropout(config.dropout)

    def forward(self, x):
        """x (..., T, d_model) → (..., T, d_model)."""
        activation, hidden = ACTIVATIONS[self.activation], self.linear1(x)  # (..., T, d_ff)
        hidden = activation(hidden) if self.gate is None else activation(self.gate(x)) * hidden
        return self.linear2(self.dropout(hidden))


class T5EncoderLayer(EncoderLayer):
    """An EncoderLayer of T5's parts."""

    def __init__(self, config):
        ResidualLayer.__init__(self, config.dropout, norm="pre")  # not EncoderLayer's, which makes other parts
        self.self_attention = T5Attention(config)
        self.feed_forward = T5FeedForward(config)
        self.norm1, self.norm2 = (RMSNorm(config.d_model, config.norm_eps) for _ in range(2))


class T5DecoderLayer(DecoderLayer):
    """A DecoderLayer of T5's parts."""

    def __init__(self, config):
        ResidualLayer.__init__(self, config.dropout, norm="pre")
        self.self_attention = T5Attention(config)
        self.cross_attention = T5Attention(config)
        self.feed_forward = T5FeedForward(config)
        self.norm1, self.norm2, self.norm3 = (RMSNorm(config.d_model, config.norm_eps) for _ in range(3))


class T5(nn.Module):
    """Encoder and decoder with pre-norm, RMSNorm, no biases, and distances in the attention of each token to others.

    Distances are the same for all layers of a stack; cross-attention has none. encode, source_mask and decode are as in
    Transformer, so that generate_greedy and generate_beam write with this model too, from start_id = pad_id on. The
    weights are drawn from `generator`, or from torch's own where there is none; from_t5 brings trained ones.
    """

    def __init__(self, config, generator=None):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        buckets = config.num_heads, config.num_buckets, config.max_distance
        self.encoder_distances = RelativePositions(*buckets, bidirectional=True)
        self.decoder_distances = RelativePositions(*buckets, bidirectional=False)
        self.encoder = _stack(Encoder, T5EncoderLayer, config.num_encoder_layers, config)
        self.decoder = _stack(Decoder, T5DecoderLayer, config.num_decoder_layers, config)
        self.dropout = Dropout(config.dropout)
        self.output = nn.Linear(config.d_model, config.vocab_size, bias=False)
        if config.share_embeddings:
            self.output.weight = self.embedding.weight
        self.reset_parameters(generator)

    def reset_parameters(self, generator=None):
        """Draw all weights anew: linear maps from N(0, 1/inputs), embeddings and output from N(0, 1), norms 1.

        Scores are not divided by √d_head, so query_proj starts that much smaller instead.
        """
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=module.in_features**-0.5, generator=generator)
            elif isinstance(module, RMSNorm):
                module.reset_parameters()
            elif isinstance(module, RelativePositions):
                nn.init.normal_(module.weight, std=self.config.d_model**-0.5, generator=generator)
        with torch.no_grad():
            for module in self.modules():
                if isinstance(module, T5Attention):
                    module.query_proj.weight /= math.sqrt(self.config.d_head)
        for table in (self.output, self.embedding):
            nn.init.normal_(table.weight, generator=generator)

    def forward(self, source_ids, target_ids):
        """source_ids (batch, S), target_ids (batch, T) → logits (batch, T, vocab_size).

        Logits at t are for the token after target_ids[:, t]. Padding is hidden in the source; in the target it is no
        different from other tokens, as it begins one. ValueError where ids are out of range or the shapes cannot go
        together.
        """
        return self.decode(target_ids, self.encode(source_ids), self.source_mask(source_ids))

    def encode(self, source_ids):
        """source_ids (batch, S), int64 or int32 → memory (batch, S, d_model)."""
        x, length = self._embedded("source_ids", source_ids), source_ids.shape[1]
        mask = ready_mask(self.source_mask(source_ids), (len(x), self.config.num_heads, length, length))
        return self.dropout(self.encoder(x, self.encoder_distances.added_to(mask, 0, length)))

    def source_mask(self, source_ids):
        """True where a source token is none of padding, (batch, 1, 1, S)."""
        return (source_ids != self.config.pad_id)[:, None, None, :]

    def decode(self, target_ids, memory=None, source_mask=None, cache=None):
        """Logits (batch, T, vocab_size) of target_ids (batch, T), given encode's memory and source_mask.

        cache is a DecoderCache, as in Transformer.decode.
        """
        x, length = self._embedded("target_ids", target_ids), target_ids.shape[1]
        start = 0 if cache is None else cache.length
        end = start + length
        # One token more than those in the cache may look at all of them.
        causal = None if length == 1 else causal_rows(length, start, x.device)
        mask = ready_mask(causal, (len(x), self.config.num_heads, length, end))
        mask = self.decoder_distances.added_to(mask, start, end)
        x = self.dropout(self.decoder(x, memory, mask, source_mask, cache))
        return self.output(x * self.config.output_factor)

    def _embedded(self, name, token_ids):
        require_token_ids(name, token_ids, self.config.vocab_size)
        if token_ids.ndim != 2:
            raise ValueError(f"{name} must have shape (batch, T); got {tuple(token_ids.shape)}")
        return self.dropout(self.embedding(token_ids))


def require_buckets(num_buckets, max_distance, bidirectional):
    """ValueError unless half of one direction's buckets are for one distance each, and max_distance lies beyond."""
    one_way = num_buckets // 2 if bidirectional else num_buckets
    if one_way < 2 or (bidirectional and num_buckets % 2):
        raise ValueError(f"num_buckets must be at least {4 if bidirectional else 2}, and even; got {num_buckets}")
    if max_distance <= one_way // 2:
        raise ValueError(f"max_distance must be above {one_way // 2}, the buckets of one distance; got {max_distance}")


def _stack(kind, layer_kind, num_layers, config):
    """An Encoder or Decoder of T5's layers, in the place of the least that it can be made with."""
    stack = kind(1, config.num_heads, config.num_heads, 1, norm="pre")
    stack.layers = nn.ModuleList(layer_kind(config) for _ in range(num_layers))
    stack.final_norm = RMSNorm(config.d_model, config.norm_eps)
    stack.d_model = config.d_model
    return stack
