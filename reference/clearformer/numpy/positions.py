"""Sinusoidal positions: where a token stands, told by points on circles."""

import numpy as np

from clearformer.numpy._arguments import as_whole_number


def positional_encoding(seq_len, d_model, *, base=10000.0):
    """The position of each token as sines and cosines (Vaswani et al. 2017, section 3.5).

    PE[p, 2i] = sin(p / base^(2i/d_model)) and PE[p, 2i+1] = cos of the same angle, in radians, p from 0.
    Returns float64 (seq_len, d_model). If d_model is odd, the last column is a sine without its cosine.
    ValueError if seq_len < 0, d_model < 1 or base <= 0.
    """
    seq_len = as_whole_number("seq_len", seq_len, at_least=0)
    d_model = as_whole_number("d_model", d_model, at_least=1)
    positions = np.arange(seq_len)[:, np.newaxis]  # (seq_len, 1)
    angles = positions * _frequencies(d_model, base)  # (seq_len, ceil(d_model / 2))
    encoding = np.empty((seq_len, d_model))
    encoding[:, 0::2] = np.sin(angles)
    encoding[:, 1::2] = np.cos(angles[:, : d_model // 2])
    return encoding


def shift_matrix(offset, d_model, *, base=10000.0):
    """The matrix M that moves an encoding by offset positions: M @ PE[p] = PE[p + offset], for every p.

    Each pair (sin, cos) is a point on a circle, and M turns pair i by offset / base^(2i/d_model) radians.
    (Vaswani et al. 2017, section 3.5, say that such a matrix exists.) offset is any whole number. Returns
    float64 (d_model, d_model), a rotation. ValueError if d_model is odd or < 1, or base <= 0.
    """
    offset = as_whole_number("offset", offset)
    d_model = as_whole_number("d_model", d_model, at_least=1)
    if d_model % 2:
        raise ValueError(f"d_model must be even, so that each sine has its cosine; got {d_model}")
    angles = offset * _frequencies(d_model, base)  # (d_model / 2,)
    sine, cosine = np.arange(0, d_model, 2), np.arange(1, d_model, 2)  # the columns that hold each
    matrix = np.zeros((d_model, d_model))
    matrix[sine, sine] = matrix[cosine, cosine] = np.cos(angles)
    matrix[sine, cosine] = np.sin(angles)  # sin(a + b) = cos(b) sin(a) + sin(b) cos(a)
    matrix[cosine, sine] = -np.sin(angles)  # cos(a + b) = cos(b) cos(a) - sin(b) sin(a)
    return matrix


def _frequencies(d_model, base):
    """How far each pair of columns turns from one position to the next, in radians."""
    if not base > 0:
        raise ValueError(f"base must be greater than 0; got {base!r}")
    return float(base) ** -(np.arange(0, d_model, 2) / d_model)
