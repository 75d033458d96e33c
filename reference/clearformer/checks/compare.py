"""Is this value the expected one? If not, where do they first differ, in words."""

from __future__ import annotations

import functools
import math
import numbers
import sys

import numpy as np

# Room for another order of summation, not for another formula: a few hundred roundings of the dtype.
ROOM = {"float64": 1e-9, "float32": 2e-5, "float16": 1e-2, "bfloat16": 6e-2}
LARGEST_INT = 2**63 - 1


def is_tensor(value):
    # Without importing torch: lessons 01 and 02 do not need it.
    return type(value).__module__.split(".")[0] == "torch" and hasattr(value, "detach")


def kind_of(value):
    """The word a learner uses for this value's type."""
    if isinstance(value, np.ndarray):
        return "NumPy array"
    if is_tensor(value):
        return "torch tensor"
    if isinstance(value, (bool, np.bool_)):
        return "bool"
    if isinstance(value, numbers.Number):
        return "number"
    return {"NoneType": "None"}.get(type(value).__name__, type(value).__name__)


def to_array(value):
    """(array, dtype's name) of an array, tensor or number."""
    if is_tensor(value):
        name = str(value.dtype).removeprefix("torch.")
        plain = value.detach().cpu()
        return (plain.float() if name == "bfloat16" else plain).numpy(), name
    if isinstance(value, int) and abs(value) > LARGEST_INT and abs(value) < sys.float_info.max:
        value = float(value)  # NumPy has no whole number for it
    array = np.asarray(value)
    return array, _name(array.dtype)


@functools.cache
def _name(dtype):
    return dtype.name  # which NumPy puts together each time


def describe(value):
    """ "float64 (2, 3)" for arrays and tensors; the value itself for what is small."""
    if isinstance(value, np.ndarray) or is_tensor(value):
        array, dtype = to_array(value)
        return f"{dtype} {array.shape}"
    if isinstance(value, (list, tuple)) and len(value) > 8:
        return f"{type(value).__name__} of {len(value)}"
    return repr(value)


def _where(expected, got, index):
    """Both values around `index`: whole where they are small, else the row that holds it."""
    gap = float(np.abs(expected[index].astype(np.float64) - got[index].astype(np.float64)))
    digits = min(12, max(4, 2 - math.floor(math.log10(gap)))) if 0 < gap < math.inf else 4

    def numbers_text(array):
        return np.array2string(array, precision=digits, suppress_small=gap > 1e-4, separator=", ")

    if expected.ndim == 0:
        return f"expected {numbers_text(expected)}, got {numbers_text(got)}"
    if expected.size <= 12:
        return f"expected\n{numbers_text(expected)}\ngot\n{numbers_text(got)}"
    row, start = index[:-1], max(0, min(index[-1] - 2, expected.shape[-1] - 6))
    part = slice(start, start + 6)
    at = ", ".join([*map(str, row), f"{start}:{min(start + 6, expected.shape[-1])}"])
    return f"at [{at}]\nexpected {numbers_text(expected[row][part])}\ngot      {numbers_text(got[row][part])}"


def tolerance(expected, dtype, scale, close=None):
    """Largest allowed difference: follows the dtype and the size of the numbers."""
    finite = np.abs(expected[np.isfinite(expected)]) if expected.size else np.zeros(0)
    size = max(float(finite.max()) if finite.size else 0.0, scale)
    return (close if close is not None else ROOM.get(dtype, 0.0)) * size


def _numeric_difference(expected, got, dtype, scale, close):
    if expected.dtype == got.dtype and expected.tobytes() == got.tobytes():
        return None  # as what follows would find, in a tenth of the time
    wanted, found = expected.astype(np.float64), got.astype(np.float64)
    if np.isnan(found).any() and not np.isnan(wanted).any():
        index = tuple(int(i) for i in np.argwhere(np.isnan(found))[0])
        return (f"there is a NaN at {list(index)}\n" if index else "") + _where(expected, got, index)
    with np.errstate(invalid="ignore"):
        near = np.abs(wanted - found) <= tolerance(wanted, dtype, scale, close)
    # A known wrong answer may hold infinities and NaNs; the learner's is the same where both have them.
    wrong = ~(near | (wanted == found) | (np.isnan(wanted) & np.isnan(found)))
    if not wrong.any():
        return None
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    many = f"{int(wrong.sum())} of {wrong.size} numbers differ"
    return (f"{many}, first at {list(index)}\n" if wrong.size > 1 else "") + _where(expected, got, index)


def difference(expected, got, label="result", *, scale=0.1, close=None, any_float=False):
    """None where `got` is as good as `expected`, else a text that says how they differ."""

    def numbers_differ(wanted, found, dtype):
        return _numeric_difference(wanted, found, dtype, scale, close)

    return _difference(expected, got, label, any_float, numbers_differ)


def form_difference(expected, got, label="result", *, any_float=False):
    """None where one can compute with `got` as with `expected`, else a text that says why not.

    The same kinds, shapes and dtypes throughout, and finite numbers where those of `expected` are; which numbers
    they are does not matter.
    """
    return _difference(expected, got, label, any_float, _not_finite)


def _not_finite(wanted, found, dtype):
    bad = np.argwhere(~np.isfinite(found)) if found.dtype.kind == "f" and np.isfinite(wanted).all() else ()
    if not len(bad):
        return None
    index = tuple(map(int, bad[0]))
    return f"expected finite numbers, got {found[index]}" + (f" at {list(index)}" if index else "")


def _difference(expected, got, label, any_float, numbers_differ):
    """numbers_differ: (array, array of the same shape, dtype's name) -> None or a text"""
    if isinstance(expected, (tuple, list, dict)):
        return _structure_difference(expected, got, label, any_float, numbers_differ)
    if expected is None or isinstance(expected, str):
        alike = type(got) is type(expected) and (numbers_differ is _not_finite or got == expected)
        return None if alike else f"{label}: expected {expected!r}, got {got!r}"
    scalar = isinstance(expected, (numbers.Number, np.generic))
    if scalar and isinstance(got, np.ndarray) and got.ndim == 0:
        got = got[()]
    wanted_kind, got_kind = kind_of(expected), kind_of(got)
    if wanted_kind != got_kind:
        return f"{label}: expected a {wanted_kind}, got {'a ' if got is not None else ''}{got_kind}"
    wanted, dtype = to_array(expected)
    found, got_dtype = to_array(got)
    if wanted.shape != found.shape:
        return f"{label}: expected shape {wanted.shape}, got {found.shape}"
    float_for_float = any_float and got_dtype in ROOM and dtype in ROOM
    if not scalar and dtype != got_dtype and not float_for_float:
        return f"{label}: expected dtype {dtype}, got {got_dtype}"
    if found.dtype == object or found.dtype.kind in "USV":
        return f"{label}: expected numbers, got dtype {got_dtype}"
    if found.dtype.kind == "c":
        return f"{label}: expected real numbers, got dtype {got_dtype}"
    text = numbers_differ(wanted, found, got_dtype if float_for_float else dtype)
    return f"{label}: {text}" if text else None


def _is_short(items):
    return len(items) <= 12 and all(type(item) in (int, float, bool, str) for item in items)


def _structure_difference(expected, got, label, *how):
    if isinstance(expected, dict):
        if not isinstance(got, dict) or set(got) != set(expected):
            return f"{label}: expected a dict with keys {sorted(map(str, expected))}, got {describe(got)}"
        pairs = [(f"{label}[{key!r}]", expected[key], got[key]) for key in expected]
    else:
        if type(got) is not type(expected):
            return f"{label}: expected a {type(expected).__name__} of {len(expected)}, got a {kind_of(got)}"
        if len(got) != len(expected):
            shown = f"\nexpected {expected!r}\ngot      {got!r}" if _is_short(expected) and _is_short(got) else ""
            return f"{label}: expected {len(expected)} items, got {len(got)}{shown}"
        pairs = [(f"{label}[{i}]", *both) for i, both in enumerate(zip(expected, got, strict=True))]
    return next((text for name, a, b in pairs if (text := _difference(a, b, name, *how))), None)
