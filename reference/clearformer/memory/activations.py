"""What the layers keep for the backward pass, counted by hand: tensor by tensor, with shape and bytes."""

import dataclasses
import math
from dataclasses import dataclass
from typing import NamedTuple

from clearformer.nn._arguments import require_choice, require_count, require_sizes
from clearformer.nn.feed_forward import ACTIVATIONS
from clearformer.nn.residual import NORM_PLACEMENTS

DTYPES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}  # bytes of a number
OPTIONAL = {
    "autocast": ("bfloat16", "float16"),
    "mask": ("keys", "queries and keys", "causal"),
    "memory_mask": ("keys",),
    "kernel": ("cpu", "flash", "efficient", "math"),
}


class Kept(NamedTuple):
    """A tensor that is kept. shared: another layer keeps it too, so that in a stack it counts once."""

    name: str
    shape: tuple[int, ...]
    item: int  # bytes of one number
    shared: bool = False

    @property
    def bytes(self):
        return math.prod(self.shape) * self.item


@dataclass(frozen=True)
class Work:
    """What a layer has to do, as far as its memory goes. ValueError where a field cannot be used.

    batch, seq_len            of x (batch, seq_len, d_model)
    d_model, num_heads, d_ff  as in EncoderLayer
    source_len                length of the encoder's memory, for a DecoderLayer; None: seq_len
    dropout                   any share above 0 keeps as much as any other
    norm, activation          as in EncoderLayer
    dtype                     of x and the weights: "float64", "float32", "bfloat16" or "float16"
    autocast                  None, or the dtype that torch.autocast computes with: "bfloat16" or "float16"
    device                    "cpu" or "cuda"
    mask                      of self-attention: None, "keys" (batch, 1, 1, T), "queries and keys" (batch, 1, T, T) or
                              "causal" (1, 1, T, T). Each query sees a key, and some keys are hidden
    memory_mask               of cross-attention: None or "keys"
    kernel                    how F.scaled_dot_product_attention is computed: "cpu", "flash", "efficient", "math", or
                              None for what torch takes here (see `kernel_of`)
    """

    batch: int
    seq_len: int
    d_model: int = 512
    num_heads: int = 8
    d_ff: int = 2048
    source_len: int | None = None
    dropout: float = 0.0
    norm: str = "post"
    activation: str = "relu"
    dtype: str = "float32"
    autocast: str | None = None
    device: str = "cpu"
    mask: str | None = None
    memory_mask: str | None = None
    kernel: str | None = None

    def __post_init__(self):
        for name in ("batch", "seq_len", "d_ff"):
            require_count(name, getattr(self, name))
        require_sizes(self.d_model, self.num_heads, self.dropout)
        require_choice("norm", self.norm, NORM_PLACEMENTS)
        require_choice("activation", self.activation, ACTIVATIONS)
        require_choice("dtype", self.dtype, DTYPES)
        require_choice("device", self.device, ("cpu", "cuda"))
        for name, choices in OPTIONAL.items():
            if getattr(self, name) is not None:
                require_choice(name, getattr(self, name), choices)

    def with_changes(self, **changes):
        return dataclasses.replace(self, **changes)

    @property
    def item(self):
        """Bytes of a number of x."""
        return DTYPES[self.dtype]

    @property
    def inner_item(self):
        """Bytes of a number inside of linear maps and attention, where autocast may have narrowed it."""
        return DTYPES[self.autocast or self.dtype]

    @property
    def x_shape(self):
        return self.batch, self.seq_len, self.d_model

    @property
    def memory_shape(self):
        return self.batch, self.source_len or self.seq_len, self.d_model


def kernel_of(work, mask):
    """Which kernel torch 2.11 to 2.13 take for F.scaled_dot_product_attention, as its source decides.

    CPU: its flash kernel, unless there is dropout. CUDA: flash for 16-bit numbers without a mask, the memory-efficient
    one for masks and float32, else plain operations.
    """
    if work.kernel:
        return work.kernel
    if work.device == "cpu":
        return "math" if work.dropout else "cpu"
    if (work.autocast or work.dtype) == "float64":
        return "math"
    return "flash" if work.inner_item == 2 and mask is None else "efficient"


# --- parts of a layer ----------------------------------------------------------------------------------------


def attention_kept(work, kind="self"):
    """What MultiHeadAttention keeps. kind: "self", or "cross" (queries from x, keys and values from the memory)."""
    return [*_projections_kept(work, kind), *mixing_kept(work, kind), *_weights_kept(work)]


def _projections_kept(work, kind):
    """What the linear maps read. autocast narrows it for each map anew, unless a graph begins with it."""
    if kind == "self":
        names = ("query", "key", "value") if work.autocast else ("query, key and value",)
        return [Kept(f"input of {name}", work.x_shape, work.inner_item) for name in names]
    read = [Kept("input of query", work.x_shape, work.inner_item)]
    if work.autocast:
        return read + [
            Kept(f"memory, input of {name}", work.memory_shape, work.inner_item) for name in ("key", "value")
        ]
    return [*read, Kept("memory, input of key and value", work.memory_shape, work.inner_item, shared=True)]


def mixing_kept(work, kind="self"):
    """What F.scaled_dot_product_attention keeps, and the input of the output map."""
    mask = work.mask if kind == "self" else work.memory_mask
    kernel, heads, queries = kernel_of(work, mask), work.num_heads, work.seq_len
    keys = queries if kind == "self" else work.memory_shape[1]
    by_heads, wide = (work.batch, heads, queries, work.d_model // heads), work.inner_item
    key_shape = (work.batch, heads, keys, work.d_model // heads)
    names = ("queries", "keys", "values")
    if kernel == "math":
        # Half precision is computed in 32 bits here.
        wide = max(4, wide)
        scores = (work.batch, heads, queries, keys)
        kept = [Kept(name, shape, wide) for name, shape in zip(names, (by_heads, key_shape, key_shape), strict=True)]
        kept.append(Kept("attention weights", scores, wide))
        if work.dropout:
            kept += [Kept("dropout mask of the weights", scores, wide if work.device == "cpu" else 1),
                     Kept("weights after dropout", scores, wide)]  # fmt: skip
        return [*kept, Kept("mixed values", work.x_shape, work.inner_item)]
    kept = [Kept(name, shape, wide) for name, shape in zip(names, (by_heads, key_shape, key_shape), strict=True)]
    rows = 32 * math.ceil(queries / 32) if kernel == "efficient" else queries
    kept.append(Kept("log of the softmax's sum", (work.batch, heads, rows), max(4, wide) if kernel == "cpu" else 4))
    if mask:
        kept.append(Kept("mask as numbers", _mask_shape(work, mask, queries, keys), wide))
    kept.append(Kept("mixed values", work.x_shape, wide))
    if mask and work.device == "cuda":  # every mask counts as one with hidden rows there
        kept += [Kept("mixed values, hidden rows at 0", work.x_shape, wide),
                 Kept("hidden rows", (*_mask_shape(work, mask, queries, keys)[:3], 1), 1)]  # fmt: skip
    return kept


def _mask_shape(work, mask, queries, keys):
    if work.device == "cuda":
        keys = 8 * math.ceil(keys / 8)
    return (1 if mask == "causal" else work.batch), 1, (1 if mask == "keys" else queries), keys


def _weights_kept(work):
    """autocast's narrow copies of the weights. They belong to no input, so a long text does not add to them."""
    maps = ("query", "key", "value", "output")
    square = (work.d_model, work.d_model)
    return [Kept(f"narrow weight of the {name} map", square, work.inner_item) for name in maps if work.autocast]


def feed_forward_kept(work):
    """What FeedForward keeps: its input, and up to three tensors of its wide inside."""
    hidden, item = (work.batch, work.seq_len, work.d_ff), work.inner_item
    kept = [Kept("input of linear1", work.x_shape, item)]
    if work.activation != "relu":
        kept.append(Kept(f"input of {work.activation}", hidden, item))
    elif work.dropout:
        kept.append(Kept("output of relu", hidden, item))
    if work.dropout:
        kept.append(Kept("dropout mask inside", hidden, item if work.device == "cpu" else 1))
    kept.append(Kept("input of linear2", hidden, item))
    if work.autocast:
        kept += [Kept(f"narrow weight of {name}", (work.d_model, work.d_ff), item) for name in ("linear1", "linear2")]
    return kept


def norm_kept(work, name):
    """nn.LayerNorm keeps its input, and mean and 1/deviation of each token: on a GPU in 32 bits at least."""
    item = max(4, work.item) if work.device == "cuda" else work.item
    stats = (work.batch, work.seq_len, 1)
    return [Kept(f"input of {name}", work.x_shape, work.item),
            Kept(f"mean in {name}", stats, item), Kept(f"1/deviation in {name}", stats, item)]  # fmt: skip


def _norm_in_front(work, number):
    return norm_kept(work, f"norm{number}") if work.norm == "pre" else []


def behind(work, number):
    """What stands behind a sublayer: dropout, and the norm where it does not stand in front."""
    item = work.inner_item if work.device == "cpu" else 1
    mask = [Kept(f"dropout mask of sublayer {number}", work.x_shape, item)] if work.dropout else []
    return mask if work.norm == "pre" else [*mask, *norm_kept(work, f"norm{number}")]


# --- layers --------------------------------------------------------------------------------------------------


class Parts(NamedTuple):
    """What a layer keeps, by the order of computing: before its first attention, in it, and after it."""

    before: list
    attention: list
    after: list


def encoder_layer_parts(work):
    """What an EncoderLayer keeps, as Parts."""
    after = [*behind(work, 1), *_norm_in_front(work, 2), *feed_forward_kept(work), *behind(work, 2)]
    return Parts(_norm_in_front(work, 1), attention_kept(work), after)


def encoder_layer_kept(work):
    """Every tensor that one EncoderLayer keeps while it trains, in the order of computing: a list of Kept.

    Parameters are not counted: they are there anyway. Nor is the output, which the next layer keeps as its input.
    """
    before, attention, after = encoder_layer_parts(work)
    return [*before, *attention, *after]


def decoder_layer_kept(work):
    """As encoder_layer_kept, for a DecoderLayer. The memory is shared: all decoder layers keep the same one."""
    first = [*_norm_in_front(work, 1), *attention_kept(work), *behind(work, 1)]
    second = [*_norm_in_front(work, 2), *attention_kept(work, "cross"), *behind(work, 2)]
    return [*first, *second, *_norm_in_front(work, 3), *feed_forward_kept(work), *behind(work, 3)]


def total_bytes(kept):
    return sum(tensor.bytes for tensor in kept)
