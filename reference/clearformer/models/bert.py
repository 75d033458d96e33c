"""BERT: the encoder by itself (Devlin et al. 2019), RoBERTa as a form of it, and a vector for a whole sentence."""

import dataclasses
from dataclasses import dataclass

import torch
from torch import nn

from clearformer.nn import Encoder
from clearformer.nn._arguments import require_choice, require_count, require_sizes, require_token_ids
from clearformer.nn.dropout import Dropout
from clearformer.nn.feed_forward import ACTIVATIONS


@dataclass(frozen=True)
class BertConfig:
    """Size and form of a Bert. ValueError, with the field's name, where a value cannot be used.

    vocab_size, d_model, num_heads, d_ff, num_layers   as in a Transformer
    max_len            positions that have a vector; no sentence may have more
    num_token_types    kinds of tokens: BERT tells the first sentence of a pair from the second
    dropout            on the embeddings, attention weights, activations and the output of each sublayer
    activation         "gelu", "relu" or "silu"
    norm_eps           ε of all norms
    pad_id             the token that fills up short sentences
    pooler             is there one more linear map and tanh for the first token, which BERT classifies with?
    count_padding      do all tokens take a position, from 0 on? False is RoBERTa's way (Liu et al. 2019, in its code):
                       the real tokens alone are counted, from pad_id + 1 on, and padding is at pad_id
    """

    vocab_size: int
    d_model: int = 768
    num_heads: int = 12
    d_ff: int = 3072
    num_layers: int = 12
    max_len: int = 512
    num_token_types: int = 2
    dropout: float = 0.1
    activation: str = "gelu"
    norm_eps: float = 1e-12
    pad_id: int = 0
    pooler: bool = True
    count_padding: bool = True

    def __post_init__(self):
        for name in ("vocab_size", "d_ff", "num_layers", "max_len", "num_token_types"):
            require_count(name, getattr(self, name))
        require_sizes(self.d_model, self.num_heads, self.dropout)
        if not isinstance(self.pad_id, int) or not 0 <= self.pad_id < self.vocab_size:
            raise ValueError(f"pad_id must be a token, 0 to {self.vocab_size - 1}; got {self.pad_id!r}")


class BertEmbedding(nn.Module):
    """The sum of three learned vectors, for the token, its position and its type, then a norm and dropout.

    Nothing is multiplied by √d_model here, and the positions are weights like others, not sines.
    """

    def __init__(self, config):
        super().__init__()
        self.pad_id = None if config.count_padding else config.pad_id
        self.tokens = nn.Embedding(config.vocab_size, config.d_model)
        self.positions = nn.Embedding(config.max_len, config.d_model)
        self.token_types = nn.Embedding(config.num_token_types, config.d_model)
        self.norm = nn.LayerNorm(config.d_model, eps=config.norm_eps)
        self.dropout = Dropout(config.dropout)

    def forward(self, token_ids, token_types=None):
        """token_ids (batch, T), token_types the same or None for type 0 → (batch, T, d_model)."""
        require_token_ids("token_ids", token_ids, self.tokens.num_embeddings)
        if token_types is None:
            types = self.token_types.weight[0]
        else:
            if token_types.shape != token_ids.shape:
                raise ValueError(
                    f"token_types must have token_ids' shape, {tuple(token_ids.shape)}; got {tuple(token_types.shape)}"
                )
            require_token_ids("token_types", token_types, self.token_types.num_embeddings)
            types = self.token_types(token_types)
        return self.dropout(self.norm(self.tokens(token_ids) + types + self._position_vectors(token_ids)))

    def _position_vectors(self, token_ids):
        """A vector for where each token stands, (batch, T, d_model) or, the same for all rows, (T, d_model)."""
        if self.pad_id is None:
            self._require_room(token_ids, token_ids.shape[-1], first=0)
            return self.positions.weight[: token_ids.shape[-1]]
        real = token_ids != self.pad_id
        self._require_room(token_ids, max(real.sum(dim=-1).tolist(), default=0), first=self.pad_id + 1)
        return self.positions(real.cumsum(dim=-1) * real + self.pad_id)  # padding is at pad_id

    def _require_room(self, token_ids, num_tokens, first):
        room = self.positions.num_embeddings - first
        if num_tokens > room:
            raise ValueError(
                f"token_ids may be at most {room} long, as there are no more positions; got {num_tokens} tokens in "
                f"{tuple(token_ids.shape)}"
            )


class Bert(nn.Module):
    """Embeddings and an encoder with post-norm: a vector for each token that has seen all the others.

    The weights are drawn as in BERT, from N(0, 0.02²), biases 0. from_bert and from_roberta bring trained ones.
    """

    def __init__(self, config, generator=None):
        super().__init__()
        self.config = config
        self.embedding = BertEmbedding(config)
        self.encoder = Encoder(
            config.num_layers,
            config.d_model,
            config.num_heads,
            config.d_ff,
            config.dropout,
            activation=config.activation,
            norm_eps=config.norm_eps,
        )
        self.pooler = nn.Linear(config.d_model, config.d_model) if config.pooler else None
        self.reset_parameters(generator)

    def reset_parameters(self, generator=None):
        """Draw all weights anew."""
        draw_weights(self, generator)

    def forward(self, token_ids, token_types=None, mask=None):
        """token_ids (batch, T), int64 or int32 → states (batch, T, d_model).

        mask bool, (batch, T), True = a real token; None: all that are not pad_id. Padding is hidden from every token;
        the states at padding mean nothing. ValueError where ids are out of range or shapes cannot go together.
        """
        if not isinstance(token_ids, torch.Tensor) or token_ids.ndim != 2:
            got = tuple(token_ids.shape) if isinstance(token_ids, torch.Tensor) else type(token_ids).__name__
            raise ValueError(f"token_ids must be a tensor (batch, T); got {got}")
        mask = self.padding_mask(token_ids) if mask is None else mask
        if mask.dtype != torch.bool or mask.shape != token_ids.shape:
            wanted, got = tuple(token_ids.shape), f"{mask.dtype} {tuple(mask.shape)}"
            raise ValueError(f"mask must be bool with token_ids' shape, {wanted}; got {got}")
        return self.encoder(self.embedding(token_ids, token_types), mask[:, None, None, :])

    def padding_mask(self, token_ids):
        """True where a token is none of padding, (batch, T)."""
        return token_ids != self.config.pad_id

    def pooled(self, states):
        """What BERT classifies with: tanh of a linear map of the first token's state, (batch, d_model).

        ValueError where the configuration has no pooler.
        """
        if self.pooler is None:
            raise ValueError("this Bert has no pooler: its configuration says pooler=False")
        return torch.tanh(self.pooler(states[:, 0]))


class MaskedLanguageModel(nn.Module):
    """A Bert, and logits for the token that stands, or stood, at each place (Devlin et al. 2019, section 3.1).

    A linear map, the activation and a norm come between the states and the logits, which have a bias. share_embeddings:
    the table of the embeddings is that of the logits too. head_activation None is the configuration's own. There is no
    pooler, whatever the configuration says.
    """

    def __init__(self, config, generator=None, share_embeddings=True, head_activation=None):
        super().__init__()
        self.config = config
        self.bert = Bert(dataclasses.replace(config, pooler=False), generator)
        self.activation = config.activation if head_activation is None else head_activation
        require_choice("head_activation", self.activation, ACTIVATIONS)
        self.linear = nn.Linear(config.d_model, config.d_model)
        self.norm = nn.LayerNorm(config.d_model, eps=config.norm_eps)
        self.output = nn.Linear(config.d_model, config.vocab_size)
        if share_embeddings:
            self.output.weight = self.bert.embedding.tokens.weight
        for part in (self.linear, self.norm, self.output):
            draw_weights(part, generator)

    def forward(self, token_ids, token_types=None, mask=None):
        """Arguments and errors as in Bert → logits (batch, T, vocab_size); those at t are for the token at t."""
        states = self.bert(token_ids, token_types, mask)  # (batch, T, d_model)
        return self.output(self.norm(ACTIVATIONS[self.activation](self.linear(states))))


def draw_weights(model, generator=None):
    """Draw a model's weights as in BERT, from N(0, 0.02²), biases 0."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=0.02, generator=generator)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm):
            module.reset_parameters()


def mean_pooling(states, mask):
    """The mean of the states of the real tokens, (batch, d_model) (Reimers and Gurevych 2019, section 3).

    states (batch, T, d_model), mask bool (batch, T), True = a real token. A row without one gives zeros.
    """
    weights = mask[..., None].to(states.dtype)  # (batch, T, 1)
    return (states * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)
