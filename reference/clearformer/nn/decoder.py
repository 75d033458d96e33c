"""The decoder: layers that look at the tokens before, and at what the encoder made of the source."""

import torch
from torch import nn

from clearformer.nn._arguments import ID_DTYPES, require_count, require_states
from clearformer.nn._one_token import ready_layers
from clearformer.nn._ready_mask import ready_mask
from clearformer.nn.attention import MultiHeadAttention
from clearformer.nn.cache import LayerCache
from clearformer.nn.feed_forward import FeedForward
from clearformer.nn.residual import ResidualLayer, one_after_the_other


def decoder_mask(token_ids, pad_id=0, start=0):
    """Which tokens of the target each token may look at: not at later ones and not at padding.

    token_ids (batch, T), whole numbers → bool (batch, 1, T, T), True = may be attended. Keys are hidden, never whole
    rows: a row of padding looks at what stands before it. pad_id None hides no padding: (1, 1, T, T). With
    `start`, only the rows of the tokens from there on: (batch, 1, T - start, T).
    """
    if not isinstance(token_ids, torch.Tensor) or token_ids.ndim != 2 or token_ids.dtype not in ID_DTYPES:
        got = f"{token_ids.dtype} {tuple(token_ids.shape)}" if isinstance(token_ids, torch.Tensor) else type(token_ids)
        raise ValueError(f"token_ids must be a tensor of whole numbers (batch, T); got {got}")
    length = token_ids.shape[1]
    if not 0 <= start <= length:
        raise ValueError(f"start must be from 0 to T = {length}; got {start}")
    causal = causal_rows(length - start, start, token_ids.device)[None, None]
    return causal if pad_id is None else causal & (token_ids != pad_id)[:, None, None, :]


def causal_rows(length, start=0, device=None):
    """Which of start + length tokens each of the last `length` sees: itself and those before, (length, T_k)."""
    return torch.ones(length, start + length, dtype=torch.bool, device=device).tril(start)


class DecoderLayer(ResidualLayer):
    """Self-attention, cross-attention, feed-forward, each with a residual connection and a norm (Vaswani et al. 2017).

    norm, dropout and activation as in EncoderLayer.
    """

    def __init__(self, d_model, num_heads, d_ff, dropout=0.0, norm="post", activation="relu"):
        super().__init__(dropout, norm)
        self.self_attention = MultiHeadAttention(d_model, num_heads, dropout)
        self.cross_attention = MultiHeadAttention(d_model, num_heads, dropout)
        self.feed_forward = FeedForward(d_model, d_ff, dropout, activation)
        self.norm1 = nn.LayerNorm(d_model)
        self.norm2 = nn.LayerNorm(d_model)
        self.norm3 = nn.LayerNorm(d_model)

    def forward(self, x, memory, target_mask=None, memory_mask=None, cache=None):
        """x (batch, T, d_model), memory (batch, S, d_model), the encoder's output → (batch, T, d_model).

        target_mask broadcastable to (batch, heads, T, T), memory_mask to (batch, heads, T, S), both bool, True = may be
        attended. cache is a LayerCache: x then continues the tokens of earlier calls, which target_mask's last axis
        counts too; the memory is read in the first call and may be None in later ones. ValueError where the shapes
        cannot go together.
        """
        require_states("x", x, self.self_attention.d_model)
        growing = None if cache is None else cache.self_attention
        x = self.connect(x, lambda x: self.self_attention(x, x, x, target_mask, growing), self.norm1)
        x = self.connect(x, lambda x: self._look_at(memory, x, memory_mask, cache), self.norm2)
        return self.connect(x, self.feed_forward, self.norm3)

    def _look_at(self, memory, x, mask, cache):
        if cache is None:
            return self.cross_attention(x, memory, memory, mask)
        kept = cache.cross_attention
        if kept.keys is None:
            require_states("memory", memory, self.cross_attention.d_model)
            # They are read for every token, and faster where each head's stand together.
            kept.append(*(x.contiguous() for x in self.cross_attention.keys_and_values(memory, memory)))
        # Rows that share a source are so many more queries to it.
        sources = len(kept.keys)
        queries = x.reshape(sources, x.shape[0] * x.shape[1] // max(sources, 1), x.shape[2])
        return self.cross_attention.attend(queries, kept.keys, kept.values, mask).reshape(x.shape)


class Decoder(nn.Module):
    """num_layers decoder layers, one after the other; final_norm as in Encoder."""

    def __init__(
        self, num_layers, d_model, num_heads, d_ff, dropout=0.0, norm="post", activation="relu", final_norm=None
    ):
        super().__init__()
        require_count("num_layers", num_layers)
        self.layers = nn.ModuleList(
            DecoderLayer(d_model, num_heads, d_ff, dropout, norm, activation) for _ in range(num_layers)
        )
        has_final_norm = norm == "pre" if final_norm is None else final_norm
        self.final_norm = nn.LayerNorm(d_model) if has_final_norm else nn.Identity()
        self.d_model = d_model
        self.num_heads = num_heads

    run_layers = staticmethod(one_after_the_other)  # clearformer.memory puts another in its place

    def forward(self, x, memory, target_mask=None, memory_mask=None, cache=None):
        """Arguments as in DecoderLayer; cache is a DecoderCache. Returns (batch, T, d_model).

        With a cache, memory and memory_mask (broadcastable to (batch, heads, 1, S)) count in its first call and may be
        None in later ones. In that call x may have k times as many rows as memory: each source then serves the next k.
        """
        require_states("x", x, self.d_model)
        if x.ndim != 3:
            raise ValueError(f"x must have shape (batch, T, d_model); got {tuple(x.shape)}")
        if cache is not None and cache.layers:
            memory_mask = self._continue(cache, x, memory)
        else:
            self._require_memory(x, memory, shared=cache is not None)
            # A mask that is kept has to serve chunks of any length: its axis T is 1.
            length = x.shape[1] if cache is None else 1
            memory_mask = ready_mask(memory_mask, (len(memory), self.num_heads, length, memory.shape[1]))
        length = x.shape[1] + (0 if cache is None else cache.length)
        target_mask = ready_mask(target_mask, (len(x), self.num_heads, x.shape[1], length))
        if cache is not None and not cache.layers:
            cache.layers = [LayerCache() for _ in self.layers]
            cache.memory_mask = memory_mask
        if cache is not None and x.shape[1] == 1 and cache.length and not torch.is_grad_enabled() and not self.training:
            if cache.ready_layers is None:
                cache.ready_layers = ready_layers(self.layers, DecoderLayer)
            if cache.ready_layers:
                x = x.squeeze(1)  # (batch, d_model)
                for layer, kept in zip(cache.ready_layers, cache.layers, strict=True):
                    x = layer(x, target_mask, memory_mask, kept)
                return self.final_norm(x.unsqueeze(1))
        if cache is None:
            return self.final_norm(self.run_layers(self.layers, x, memory, target_mask, memory_mask))
        for layer, kept in zip(self.layers, cache.layers, strict=True):
            x = layer(x, memory, target_mask, memory_mask, kept)
        return self.final_norm(x)

    def _require_memory(self, x, memory, shared):
        require_states("memory", memory, self.d_model)
        rows, sources = len(x), len(memory)
        fits = rows == sources or (shared and sources and rows % sources == 0)
        if memory.ndim != 3 or not fits:
            raise ValueError(
                f"memory must have shape (batch, S, d_model), with the batch of x; got x {tuple(x.shape)}, memory "
                f"{tuple(memory.shape)}"
            )

    def _continue(self, cache, x, memory):
        """The cache's memory mask; ValueError where x or memory are not what the cache goes on with."""
        if len(cache.layers) != len(self.layers):
            raise ValueError(f"the cache belongs to a decoder of {len(cache.layers)} layers, not {len(self.layers)}")
        if len(x) != cache.num_rows:
            raise ValueError(f"x must have the {cache.num_rows} rows of the cache; got {len(x)}")
        kept = cache.layers[0].cross_attention
        wanted = (len(kept.keys), kept.length, self.d_model)
        if memory is not None and memory.shape != wanted:
            raise ValueError(
                f"memory must be None or the one that began the cache, {wanted}; got {tuple(memory.shape)}"
            )
        return cache.memory_mask
