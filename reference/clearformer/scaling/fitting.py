"""Straight lines through logarithms: fitting power laws, and how far to trust them."""

import math
from dataclasses import dataclass

import numpy as np

from clearformer.scaling.chinchilla import LossSurface


def fit_power_law(x, y):
    """(constant, exponent) of y = constant · x^exponent, by least squares between logarithms.

    x, y: sequences of positive numbers, at least two different x. For a falling curve the exponent is negative.
    ValueError, by name, where the lengths differ, a number is not positive and finite, or two different x are missing.
    """
    log_x, log_y = _logarithms(x, y)
    offset = log_x - log_x.mean()
    exponent = float(offset @ log_y / (offset @ offset))
    return math.exp(log_y.mean() - exponent * log_x.mean()), exponent


@dataclass(frozen=True)
class Band:
    """Power laws fitted to resampled points: constants and exponents (draws,), equally likely each."""

    constants: np.ndarray
    exponents: np.ndarray

    def exponent(self, share=0.95):
        """(low, high) around the middle `share` of the exponents."""
        return self._middle(self.exponents, share)

    def at(self, x, share=0.95):
        """(low, high), each of x's shape, around the middle `share` of the curves."""
        x = np.asarray(x, dtype=float)
        curves = self.constants * x[..., None] ** self.exponents
        return self._middle(curves, share)

    @staticmethod
    def _middle(values, share):
        edges = (1 - share) / 2, (1 + share) / 2
        low, high = np.quantile(values, edges, axis=-1)
        return (float(low), float(high)) if values.ndim == 1 else (low, high)


def bootstrap_power_law(x, y, rng, draws=1000):
    """A Band: the points are drawn anew with replacement, and each draw is fitted (Efron 1979).

    It shows what the scatter between these points can do, and nothing of what a wrong form does. rng: numpy Generator.
    Draws in which all x are alike are drawn again. ValueError as for fit_power_law, and below three different x.
    """
    log_x, log_y = _logarithms(x, y)
    if len(np.unique(log_x)) < 3:
        raise ValueError(f"x must have at least 3 different numbers for a band; got {len(np.unique(log_x))}")
    rows = rng.integers(len(log_x), size=(draws, len(log_x)))
    while (alike := np.ptp(log_x[rows], axis=1) == 0).any():
        rows[alike] = rng.integers(len(log_x), size=(int(alike.sum()), len(log_x)))
    x_drawn, y_drawn = log_x[rows], log_y[rows]
    offset = x_drawn - x_drawn.mean(axis=1, keepdims=True)
    exponents = (offset * y_drawn).sum(axis=1) / (offset**2).sum(axis=1)
    return Band(np.exp(y_drawn.mean(axis=1) - exponents * x_drawn.mean(axis=1)), exponents)


def fit_loss_surface(num_parameters, num_tokens, losses, floor=None):
    """The LossSurface nearest to the losses of some runs, by least squares.

    floor: the loss that no model can go below, where it is known; None fits it too. The exponents (and the floor) are
    searched on a grid that is refined around the best; for each, A and B are the solution of a linear problem. Errors
    count relative to the loss, or, where the floor is known, to the loss above it.
    ValueError, by name, where the lengths differ, a number is not positive, or there are fewer runs than unknowns.
    """
    log_n, log_d = _logarithms(num_parameters, num_tokens, names=("num_parameters", "num_tokens"))
    _, log_l = _logarithms(num_parameters, losses, names=("num_parameters", "losses"))
    unknown = 5 if floor is None else 4
    if len(log_n) < unknown:
        raise ValueError(f"losses must hold at least {unknown} runs for {unknown} unknowns; got {len(log_n)}")
    losses = np.exp(log_l)
    if floor is not None and not 0 <= floor < losses.min():
        raise ValueError(f"floor must be from 0 to below the lowest loss, {losses.min():.4g}; got {floor!r}")
    sizes = losses if floor is None else losses - floor
    floors = np.linspace(0, losses.min(), 12) if floor is None else np.array([floor])
    grids = [floors, np.linspace(0.05, 1.5, 12), np.linspace(0.05, 1.5, 12)]
    for _ in range(12):
        best = min(
            (_linear_part(log_n, log_d, losses, sizes, *point) for point in _points(grids)),
            key=lambda found: found[0],
        )
        grids = [_around(grid, middle) for grid, middle in zip(grids, best[1], strict=True)]
    (floor, alpha, beta), (A, B) = best[1:]
    return LossSurface(float(floor), float(A), float(alpha), float(B), float(beta))


def _points(grids):
    return np.stack(np.meshgrid(*grids, indexing="ij"), axis=-1).reshape(-1, len(grids))


def _around(grid, middle):
    """A grid of half the step around the middle, within what makes sense."""
    if len(grid) == 1:
        return grid
    step = (grid[1] - grid[0]) / 2
    return np.maximum(middle + step * np.arange(-2, 3), 0.0)


def _linear_part(log_n, log_d, losses, sizes, floor, alpha, beta):
    """(squared relative error, (floor, alpha, beta), (A, B)) with the best A and B, neither below zero."""
    columns = np.stack([np.exp(-alpha * log_n), np.exp(-beta * log_d)], axis=1) / sizes[:, None]
    wanted = (losses - floor) / sizes
    found = np.linalg.lstsq(columns, wanted, rcond=None)[0]
    if (found < 0).any():  # one term alone then fits best
        alone = np.maximum(columns.T @ wanted, 0) / (columns**2).sum(axis=0)
        errors = [((columns[:, i] * alone[i] - wanted) ** 2).sum() for i in (0, 1)]
        keep = int(np.argmin(errors))
        found = np.where(np.arange(2) == keep, alone, 0.0)
    error = ((columns @ found - wanted) ** 2).sum()
    return error, (floor, alpha, beta), found


def _logarithms(x, y, names=("x", "y")):
    pair = [np.asarray(values, dtype=float) for values in (x, y)]
    for name, values in zip(names, pair, strict=True):
        if values.ndim != 1:
            raise ValueError(f"{name} must be a sequence of numbers; got shape {values.shape}")
        bad = ~(np.isfinite(values) & (values > 0))
        if bad.any():
            raise ValueError(f"{name} must hold positive, finite numbers; got {values[bad][0]} at {np.argmax(bad)}")
    if len(pair[0]) != len(pair[1]):
        raise ValueError(f"{names[0]} and {names[1]} must be of one length; got {len(pair[0])} and {len(pair[1])}")
    if names == ("x", "y") and len(np.unique(pair[0])) < 2:
        raise ValueError(f"x must have at least 2 different numbers; got {len(np.unique(pair[0]))}")
    return [np.log(values) for values in pair]
