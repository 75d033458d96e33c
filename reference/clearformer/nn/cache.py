"""What a decoder keeps while it writes one token after another, so that it computes nothing twice."""

import math

import torch

SMALLEST_ROOM = 64  # tokens
ROOM_AFTER_KEEP = 8  # tokens, at most


class KeyValueCache:
    """The projected keys and values of one attention, which grow by chunks of any length.

    length is how many tokens they hold; keys and values are None before the first chunk.
    """

    def __init__(self):
        self.length = 0
        self._keys, self._values = _Buffer(), _Buffer()

    @property
    def keys(self):
        """(batch, heads, length, d_head)."""
        return self._keys.first(self.length)

    @property
    def values(self):
        """(batch, heads, length, d_head)."""
        return self._values.first(self.length)

    def append(self, key, value):
        """Add key and value (batch, heads, T_new, d_head); return all keys and all values so far.

        What is returned are views; where no gradients are recorded, a later call of keep may write over them.
        ValueError where the chunk does not continue what is there.
        """
        self._require_chunk(key, value)
        self._keys.append(self.length, key)
        self._values.append(self.length, value)
        self.length += key.shape[-2]
        return self.keys, self.values

    def keep(self, rows):
        """Go on with these rows of the batch, in this order; a row may come more than once.

        rows is a list or tensor of whole numbers, or a bool tensor (batch,) that is True for the rows to keep.
        """
        if self.keys is not None:
            rows = row_numbers("rows", rows, len(self.keys), self.keys.device)
            self._keys.keep(self.length, rows)
            self._values.keep(self.length, rows)

    def _require_chunk(self, key, value):
        if key.ndim < 2 or key.shape[:-1] != value.shape[:-1]:
            raise ValueError(
                f"key and value must have shape (batch, heads, T_new, d_head), alike but for d_head; got "
                f"{tuple(key.shape)} and {tuple(value.shape)}"
            )
        for name, new, old in (("key", key, self._keys.tensor), ("value", value, self._values.tensor)):
            if old is not None and (new.shape[:-2], new.shape[-1]) != (old.shape[:-2], old.shape[-1]):
                raise ValueError(
                    f"{name} must continue the {name}s of the cache, {tuple(self._shape(old))}, in every axis but the "
                    f"third; got {tuple(new.shape)}"
                )

    def _shape(self, buffer):
        return *buffer.shape[:-2], self.length, buffer.shape[-1]


class LayerCache:
    """What one decoder layer keeps: its self-attention's growing cache, and its view of the encoder's output."""

    def __init__(self):
        self.self_attention = KeyValueCache()
        self.cross_attention = KeyValueCache()  # filled once


class DecoderCache:
    """What Transformer.decode and Decoder keep from call to call.

    A new one is empty and fits any model; it belongs to the first model and the first sources it is used with, and to
    the weights that the model then has. length is how many target tokens it holds. Several rows of the target may share
    one source (the hypotheses of a beam): with B rows and S sources, row r reads source r // (B / S), and its keys and
    values are stored once.
    """

    def __init__(self):
        self.layers = []  # a LayerCache for each decoder layer, from the first call on
        self.token_ids = None  # (rows, length): kept by Transformer.decode, which has to know where padding is
        self.memory_mask = None  # a ReadyMask or None
        self.ready_layers = None  # the decoder's layers as OneToken, once single tokens come
        self.ready_output = None  # and the map to the logits

    @property
    def length(self):
        return self.layers[0].self_attention.length if self.layers else 0

    @property
    def num_rows(self):
        """Rows of the target; None before the first call."""
        return len(self.layers[0].self_attention.keys) if self.layers else None

    @property
    def num_sources(self):
        """Sources that the rows read; None before the first call."""
        return len(self.layers[0].cross_attention.keys) if self.layers else None

    def keep(self, rows, sources=None):
        """Go on with these rows of the target, in this order: finished ones leave, those of a beam change places.

        rows is a list or tensor of whole numbers, in which a row may come more than once, or a bool tensor that is
        True for the rows to keep. sources says the same of the sources. Without it, sources follow rows where each row
        has its own; where rows share sources, these stay as they are. ValueError where the rows that are left cannot
        be shared out evenly among the sources that are left.
        """
        if not self.layers:
            return
        device = self.layers[0].self_attention.keys.device
        rows = row_numbers("rows", rows, self.num_rows, device)
        if sources is not None:
            sources = row_numbers("sources", sources, self.num_sources, device)
        elif self.num_rows == self.num_sources:
            sources = rows
        left = self.num_sources if sources is None else len(sources)
        if len(rows) % left if left else len(rows):
            raise ValueError(f"rows must be a multiple of the sources; got {len(rows)} rows for {left} sources")
        for layer in self.layers:
            layer.self_attention.keep(rows)
            if sources is not None:
                layer.cross_attention.keep(sources)
        if self.token_ids is not None:
            self.token_ids = self.token_ids.index_select(0, rows)
        if sources is not None and self.memory_mask is not None:
            self.memory_mask = self.memory_mask.keep(sources)


def row_numbers(name, rows, num_rows, device):
    """rows as an int64 tensor; ValueError where one of them is not in the batch."""
    rows = torch.as_tensor(rows, device=device)
    if rows.numel() == 0 and rows.ndim == 1:
        return rows.to(torch.int64)
    if rows.dtype == torch.bool and rows.shape == (num_rows,):
        return rows.nonzero().flatten()
    if rows.ndim != 1 or rows.dtype not in (torch.int64, torch.int32):
        raise ValueError(
            f"{name} must be a list of row numbers or a bool tensor ({num_rows},); got {rows.dtype} in shape "
            f"{tuple(rows.shape)}"
        )
    smallest, largest = torch.stack(rows.aminmax()).tolist()
    if smallest < 0 or largest >= num_rows:
        wrong = smallest if smallest < 0 else largest
        raise ValueError(f"{name} must be from 0 to {num_rows - 1}; got {wrong}")
    return rows.to(torch.int64)


class _Buffer:
    """The keys or the values: tensor (batch, heads, room for all tokens or more, d_head), None before the first ones.

    Which of the room is taken, the cache knows and says with each call, as `length`.
    """

    def __init__(self):
        self.tensor = None
        self._memory = None  # what the tensor is a view of, (numbers,); None where it is somebody's first chunk
        self._spare = None  # the memory before the last keep, to be written over by the next

    def first(self, length):
        return None if self.tensor is None else self.tensor[..., :length, :]

    def append(self, length, new):
        if self.tensor is None:
            self.tensor = new
            return
        if not _may_write(self.tensor):
            self.tensor, self._memory = torch.cat([self.first(length), new], dim=-2), None
            return
        end = length + new.shape[-2]
        if self.tensor.shape[-2] < end:  # twice the room at a time: n tokens then cost O(n) copies, not O(n²)
            shape = self._shape(len(self.tensor), max(2 * end, SMALLEST_ROOM))
            memory = self.tensor.new_empty(math.prod(shape))
            larger = memory.view(shape)
            larger[..., :length, :] = self.first(length)
            self.tensor, self._memory, self._spare = larger, memory, None
        self.tensor[..., length:end, :] = new

    def keep(self, length, rows):
        """New rows take turns in two memories: to ask for a new one at each step takes longer than to copy.

        They leave room for a few tokens only. Keys with wide gaps between them take longer to read and to copy.
        """
        if not _may_write(self.tensor):
            self.tensor, self._memory = self.first(length).index_select(0, rows), None
            return
        shape, memory = self._shape(len(rows), length + ROOM_AFTER_KEEP - length % ROOM_AFTER_KEEP), self._spare
        if memory is None or len(memory) < math.prod(shape) or not _may_write(memory):
            memory = self.tensor.new_empty(math.prod(self._shape(len(rows), max(2 * length, SMALLEST_ROOM))))
        into = memory[: math.prod(shape)].view(shape)
        torch.index_select(self.first(length), 0, rows, out=into[..., :length, :])
        self.tensor, self._memory, self._spare = into, memory, self._memory

    def _shape(self, num_rows, room):
        return (num_rows, *self.tensor.shape[1:-2], room, self.tensor.shape[-1])


def _may_write(tensor):
    """Writing in place saves copies, but not while gradients are recorded, nor outside of inference mode into what
    was made in it: torch forbids both."""
    return not torch.is_grad_enabled() and (torch.is_inference_mode_enabled() or not tensor.is_inference())
