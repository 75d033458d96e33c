"""What the functions of this package accept, and what they say about anything else."""

import operator

import numpy as np


def as_floats(**arrays):
    """The arrays as floats to compute with, and the dtype that the result should have.

    Integers become float64. Half precision is computed in float32 and its result rounded back. The arrays
    come back in the order given, then the dtype. ValueError names the one that does not hold real numbers.
    """
    floats = [_as_float(name, array) for name, array in arrays.items()]
    dtype = np.result_type(*floats)
    compute_dtype = np.float32 if dtype == np.float16 else dtype
    return *(array.astype(compute_dtype, copy=False) for array in floats), dtype


def _as_float(name, array):
    try:
        array = np.asarray(array)
    except ValueError as error:
        raise ValueError(f"{name} must be an array of numbers; its rows have different lengths") from error
    if array.dtype.kind in "iu":
        return array.astype(np.float64)
    if array.dtype.kind != "f":
        raise ValueError(f"{name} must hold real numbers; got dtype {array.dtype} in shape {array.shape}")
    return array


def as_whole_number(name, number, at_least=None):
    """The number as an int; ValueError if it is not a whole number or is smaller than allowed."""
    limit = "" if at_least is None else f" of at least {at_least}"
    try:
        whole = operator.index(number)
    except TypeError:
        raise ValueError(f"{name} must be a whole number{limit}; got {number!r}") from None
    if at_least is not None and whole < at_least:
        raise ValueError(f"{name} must be a whole number{limit}; got {number!r}")
    return whole


def as_mask(mask, shape):
    """The mask stretched to the shape of the scores; ValueError if it is not bool or does not fit."""
    mask = np.asarray(mask)
    if mask.dtype != bool:
        raise ValueError(f"mask must be bool, True = may be attended; got dtype {mask.dtype} in shape {mask.shape}")
    try:
        return np.broadcast_to(mask, shape)
    except ValueError:
        hint = "; is an axis missing, as in (batch, 1, T_q, T_k)?" if 2 < mask.ndim < len(shape) else ""
        raise ValueError(
            f"mask must be broadcastable to the scores, (..., T_q, T_k) = {shape}; got {mask.shape}{hint}"
        ) from None


def require_shape(name, array, shape, axes):
    """ValueError unless the array has this shape; axes says in words what the shape's axes are."""
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {axes} = {shape}; got {array.shape}")
