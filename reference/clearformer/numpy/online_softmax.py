"""Attention over one block of keys after the other: the softmax that needs no row of scores as a whole."""

import collections
import math
from typing import NamedTuple

import numpy as np

from clearformer.numpy._arguments import as_floats, as_whole_number


class Running(NamedTuple):
    """What is known of each query after some blocks of keys.

    largest (..., T_q, 1): the largest score so far; total (..., T_q, 1): the sum of exp(score - largest);
    mixed (..., T_q, d_v): the values, weighted with exp(score - largest).
    """

    largest: np.ndarray
    total: np.ndarray
    mixed: np.ndarray


def online_softmax_attention(query, key, value, block_size):
    """Scaled dot-product attention that sees block_size keys at a time, equal to the dense one.

    query (..., T_q, d_k), key (..., T_k, d_k), value (..., T_k, d_v); the last block may be shorter. Returns the output
    (..., T_q, d_v), zeros where there is no key. No array is larger than (..., T_q, block_size) or the output. The
    running sum is that of Milakov and Gimelshein 2018, algorithm 3; the output with it is what Dao et al. 2022
    (algorithm 1) compute. ValueError where the shapes cannot go together.
    """
    query, key, value, dtype = as_floats(query=query, key=key, value=value)
    _require_matching_shapes(query, key, value)
    running = collections.deque(online_softmax_steps(query, key, value, block_size), maxlen=1).pop()  # the last one
    output = running.mixed / np.where(running.total == 0, 1, running.total)
    return output.astype(dtype, copy=False)


def online_softmax_steps(query, key, value, block_size):
    """The Running state before the first block, then after each."""
    block_size = as_whole_number("block_size", block_size, at_least=1)
    running = start(query, key, value)
    yield running
    for first in range(0, key.shape[-2], block_size):
        block = slice(first, first + block_size)
        running = absorb(running, query, key[..., block, :], value[..., block, :])
        yield running


def start(query, key, value):
    """Running, before any key was seen."""
    leading = np.broadcast_shapes(query.shape[:-2], key.shape[:-2], value.shape[:-2])
    rows = (*leading, query.shape[-2])
    return Running(
        largest=np.full((*rows, 1), -np.inf, query.dtype),
        total=np.zeros((*rows, 1), query.dtype),
        mixed=np.zeros((*rows, value.shape[-1]), query.dtype),
    )


def absorb(running, query, key, value):
    """Running, after these keys and values too."""
    scores = query @ key.swapaxes(-2, -1) / math.sqrt(query.shape[-1])  # (..., T_q, block)
    largest = np.maximum(running.largest, scores.max(axis=-1, keepdims=True))
    powers = np.exp(scores - largest)
    # What was added up before was measured from the old maximum: exp(s - old) · exp(old - new) = exp(s - new).
    rescale = np.exp(running.largest - largest)
    total = rescale * running.total + powers.sum(axis=-1, keepdims=True)
    return Running(largest, total, rescale * running.mixed + powers @ value)


def merge(one, other):
    """Running over two sets of keys, each seen for itself. In any order, so blocks may run side by side."""
    largest = np.maximum(one.largest, other.largest)
    seen = np.where(np.isneginf(largest), 0.0, largest)  # nothing seen at all: -inf - (-inf) is no number
    first, second = np.exp(one.largest - seen), np.exp(other.largest - seen)
    return Running(largest, first * one.total + second * other.total, first * one.mixed + second * other.mixed)


def _require_matching_shapes(query, key, value):
    shapes = f"got query {query.shape}, key {key.shape}, value {value.shape}"
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise ValueError(f"query, key and value must have shape (..., T, d), two axes or more; {shapes}")
    if query.shape[-1] != key.shape[-1] or query.shape[-1] == 0:
        raise ValueError(f"query and key must have the same width d_k, their last axis, above 0; {shapes}")
    if key.shape[-2] != value.shape[-2]:
        raise ValueError(f"key and value must have the same length T_k, their axis -2; {shapes}")
