"""What a layer costs, counted: operations, sequential steps, path lengths, bytes. Nothing is run here.

A multiplication and an addition count as two operations, as in the papers on scaling. T is seq_len, d is d_model. Only
matrix products are counted: softmax, norms and activations are a small part of the operations.
"""

import math
from typing import NamedTuple


class LayerParts(NamedTuple):
    """Forward operations of one Transformer layer, by its three parts.

    projections: queries, keys, values and output; attention: scores and mixing; feed_forward: its two linear maps.
    """

    projections: int
    attention: int
    feed_forward: int


def layer_parts(seq_len, d_model, d_ff):
    """Forward operations of one encoder layer for one sequence, as LayerParts (Vaswani et al. 2017, section 3).

    The number of heads does not matter: h heads of width d_model / h cost as much as one of width d_model. Nothing is
    halved for a causal mask. ValueError where a size is not a whole number of at least 1.
    """
    _require_counts(seq_len=seq_len, d_model=d_model, d_ff=d_ff)
    return LayerParts(
        projections=4 * 2 * seq_len * d_model**2,  # four maps (d, d)
        attention=2 * 2 * seq_len**2 * d_model,  # query @ key^T, and weights @ value
        feed_forward=2 * 2 * seq_len * d_model * d_ff,  # d to d_ff and back
    )


def attention_flops(seq_len, d_model, d_ff):
    """Forward operations of one encoder layer for one sequence: 8 T d² + 4 T² d + 4 T d d_ff."""
    return sum(layer_parts(seq_len, d_model, d_ff))


def crossing_length(d_ff):
    """The length at which scores and mixing cost as much as the feed-forward: 4 T² d = 4 T d d_ff, so T = d_ff."""
    _require_counts(d_ff=d_ff)
    return d_ff


# Layers that mix positions, beside each other (Vaswani et al. 2017, table 1) -----------------------------------------


class Cost(NamedTuple):
    """operations: forward, for one sequence. sequential_steps: how many of them have to wait for one another.
    path_length: how many layers or steps lie between the first position and the last."""

    operations: int
    sequential_steps: int
    path_length: int


def self_attention_cost(seq_len, d_model):
    """Every position looks at every position: scores and mixing, without projections."""
    _require_counts(seq_len=seq_len, d_model=d_model)
    return Cost(4 * seq_len**2 * d_model, 1, 1)


def window_attention_cost(seq_len, d_model, window):
    """Each position looks at the `window` positions that end with itself. The path goes through a stack of layers."""
    _require_counts(seq_len=seq_len, d_model=d_model, window=window)
    seen = sum(min(position, window) for position in range(1, seq_len + 1))  # the first ones see fewer
    return Cost(4 * seen * d_model, 1, _layers_to_cross(seq_len, window))


def recurrent_cost(seq_len, d_model):
    """h = tanh(W x + U h_before) at each position: two maps (d, d), one position after the other."""
    _require_counts(seq_len=seq_len, d_model=d_model)
    return Cost(4 * seq_len * d_model**2, seq_len, seq_len)


def convolutional_cost(seq_len, d_model, kernel):
    """A kernel of `kernel` positions, d channels to d. The path is that of a dilated stack, dilations 1, k, k² …:
    L such layers see k^L positions. Operations are those of one layer."""
    _require_counts(seq_len=seq_len, d_model=d_model, kernel=kernel)
    if kernel == 1 < seq_len:
        raise ValueError(f"kernel must be at least 2 to reach another position; got {kernel}")
    layers, reach = 0, 1
    while reach < seq_len:
        layers, reach = layers + 1, reach * kernel
    return Cost(2 * kernel * seq_len * d_model**2, 1, max(layers, 1))


def fully_connected_cost(seq_len, d_model):
    """One linear map from all T d numbers to all T d numbers."""
    _require_counts(seq_len=seq_len, d_model=d_model)
    return Cost(2 * (seq_len * d_model) ** 2, 1, 1)


def _layers_to_cross(seq_len, window):
    if window == 1 < seq_len:
        raise ValueError(f"window must be at least 2 to reach another position; got {window}")
    return max(1, math.ceil((seq_len - 1) / (window - 1))) if window > 1 else 1


# Bytes --------------------------------------------------------------------------------------------------------------


def score_bytes(seq_len, num_heads, batch=1, item=4):
    """Bytes of all scores of one layer, (batch, num_heads, T, T); item: bytes of one number."""
    _require_counts(seq_len=seq_len, num_heads=num_heads, batch=batch, item=item)
    return item * batch * num_heads * seq_len**2


def dense_traffic(seq_len, d_head):
    """Numbers that one head moves to and from the large memory when it writes its scores out.

    query, key and value are read, scores written; scores read, weights written; weights read, output written
    (Dao et al. 2022, algorithm 0).
    """
    _require_counts(seq_len=seq_len, d_head=d_head)
    return 4 * seq_len * d_head + 4 * seq_len**2


def block_traffic(seq_len, d_head, block_size):
    """The same, where `block_size` queries at a time stay in the small memory and scores never leave it.

    Each block of queries reads all keys and values once; queries are read and outputs written once.
    """
    _require_counts(seq_len=seq_len, d_head=d_head, block_size=block_size)
    return 2 * seq_len * d_head + math.ceil(seq_len / block_size) * 2 * seq_len * d_head


def _require_counts(**numbers):
    for name, number in numbers.items():
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise ValueError(f"{name} must be a whole number of at least 1; got {number!r}")
