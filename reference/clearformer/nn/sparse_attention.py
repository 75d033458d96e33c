"""Attention in which most pairs are hidden: the patterns as masks, and ways that never compute what they hide.

Masks are bool (T, T), True = may be attended, queries down, keys across.
"""

import math

import torch
import torch.nn.functional as F

from clearformer.nn._arguments import require_count

# Patterns ------------------------------------------------------------------------------------------------------------


def sliding_window_mask(seq_len, window):
    """Each position sees the `window` positions that end with itself: 0 ≤ i − j < window. ValueError below 1."""
    require_count("seq_len", seq_len)
    require_count("window", window)
    distance = _distance(seq_len)
    return (distance >= 0) & (distance < window)


def neighbour_mask(seq_len, reach):
    """Each position sees those at most `reach` away, on both sides (Beltagy et al. 2020, section 3.1, for encoders)."""
    require_count("seq_len", seq_len)
    return _distance(seq_len).abs() <= reach


def strided_mask(seq_len, stride):
    """Each position sees the last `stride` ones and every stride-th before (Child et al. 2019, section 4.2), causal."""
    require_count("seq_len", seq_len)
    require_count("stride", stride)
    distance = _distance(seq_len)
    return (distance >= 0) & ((distance < stride) | (distance % stride == 0))


def global_mask(seq_len, positions):
    """`positions` see everyone and are seen by everyone (Beltagy et al. 2020, section 3.1)."""
    require_count("seq_len", seq_len)
    chosen = torch.zeros(seq_len, dtype=torch.bool)
    chosen[list(positions)] = True
    return chosen[:, None] | chosen


def random_mask(seq_len, keys_each, generator):
    """Each position sees `keys_each` others drawn at random, each at most once (Zaheer et al. 2020, section 2).

    ValueError where there are not as many positions.
    """
    require_count("seq_len", seq_len)
    if not 0 <= keys_each <= seq_len:
        raise ValueError(f"keys_each must be from 0 to seq_len = {seq_len}; got {keys_each!r}")
    order = torch.rand(seq_len, seq_len, generator=generator).argsort(dim=-1)
    return torch.zeros(seq_len, seq_len, dtype=torch.bool).scatter_(-1, order[:, :keys_each], True)


def big_bird_mask(seq_len, reach, num_global, keys_each, generator):
    """Neighbours, the first positions for everyone, and random keys (Zaheer et al. 2020, figure 1).

    On a grid of blocks, as in the paper, seq_len counts blocks: see block_attention.
    """
    near, anchors = neighbour_mask(seq_len, reach), global_mask(seq_len, range(num_global))
    return near | anchors | random_mask(seq_len, keys_each, generator)


def receptive_field(mask, num_layers):
    """What may have reached each position through num_layers layers with this mask: bool (T, T).

    A position keeps what it has, through the residual connection.
    """
    require_count("num_layers", num_layers)
    step = (mask | torch.eye(len(mask), dtype=torch.bool)).float()
    reached = step
    for _ in range(num_layers - 1):
        reached = (step @ reached > 0).float()
    return reached > 0


def _distance(seq_len):
    position = torch.arange(seq_len)
    return position[:, None] - position


# Ways to compute -----------------------------------------------------------------------------------------------------


def sliding_window_attention(query, key, value, window):
    """Attention under sliding_window_mask. No score is computed of keys more than 2 · window − 1 away.

    query, key (..., T, d_k), value (..., T, d_v), same leading axes. Returns (..., T, d_v). The queries are cut into
    chunks of `window`: all that a chunk may see lies in it and in the one before (Beltagy et al. 2020, section 3.1, do
    it with overlapping chunks). ValueError where the lengths differ or window is below 1.
    """
    require_count("window", window)
    _require_same_length(query, key, value)
    length = query.shape[-2]
    window = min(window, length)
    missing = -length % window
    query, key, value = (F.pad(x, (0, 0, 0, missing)).unflatten(-2, (-1, window)) for x in (query, key, value))
    # (..., chunks, 2 · window, d): the chunk before, then the chunk itself; before the first there are zeros, hidden.
    key, value = (torch.cat((F.pad(x[..., :-1, :, :], (0, 0, 0, 0, 1, 0)), x), dim=-2) for x in (key, value))
    visible = sliding_window_mask(2 * window, window)[window:].to(query.device)  # (window, 2 · window)
    chunks = torch.arange(query.shape[-3], device=query.device)
    exists = (chunks[:, None, None] > 0) | (torch.arange(2 * window, device=query.device) >= window)
    output = F.scaled_dot_product_attention(query, key, value, attn_mask=visible & exists)
    return output.flatten(-3, -2)[..., :length, :]


def block_attention(query, key, value, layout, block_size):
    """Attention that computes only the blocks of scores that `layout` shows, each block_size × block_size.

    query (..., T_q, d_k), key (..., T_k, d_k), value (..., T_k, d_v), same leading axes; the last blocks may be
    shorter. layout: bool (blocks of queries, blocks of keys), True = computed and seen. Returns (..., T_q, d_v); a
    query whose blocks are all hidden gets zeros. ValueError where the layout has another shape.
    """
    require_count("block_size", block_size)
    shape = tuple(math.ceil(x.shape[-2] / block_size) for x in (query, key))
    if layout.dtype != torch.bool or tuple(layout.shape) != shape:
        raise ValueError(f"layout must be bool of shape {shape}; got {layout.dtype} of shape {tuple(layout.shape)}")
    keys, values = key.split(block_size, dim=-2), value.split(block_size, dim=-2)
    outputs = []
    for block, visible in zip(query.split(block_size, dim=-2), layout.tolist(), strict=True):
        seen = [number for number, yes in enumerate(visible) if yes]
        if not seen:
            outputs.append(block.new_zeros((*block.shape[:-1], value.shape[-1])))
            continue
        gathered = (torch.cat([blocks[number] for number in seen], dim=-2) for blocks in (keys, values))
        outputs.append(F.scaled_dot_product_attention(block, *gathered))
    return torch.cat(outputs, dim=-2)


def mask_of_layout(layout, block_size, length_q, length_k):
    """The mask (T_q, T_k) that a layout of blocks stands for."""
    rows = layout.repeat_interleave(block_size, dim=0)[:length_q]
    return rows.repeat_interleave(block_size, dim=1)[:, :length_k]


def _require_same_length(query, key, value):
    if not query.shape[-2] == key.shape[-2] == value.shape[-2] > 0:
        lengths = query.shape[-2], key.shape[-2], value.shape[-2]
        raise ValueError(f"query, key and value must have the same length, above 0; got {lengths}")
