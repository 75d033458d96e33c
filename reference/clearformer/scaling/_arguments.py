"""What the laws may be asked."""

import math
from numbers import Real

import numpy as np


def require_positive(**arguments):
    """ValueError, by name, where a number or one number of an array is not positive and finite."""
    for name, value in arguments.items():
        if isinstance(value, np.ndarray):
            fine = value.dtype.kind in "iuf" and bool(np.all(np.isfinite(value) & (value > 0)))
        else:
            fine = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value) and value > 0
        if not fine:
            raise ValueError(f"{name} must be positive and finite; got {value!r}")
