"""Fits find what is there, say how sure they are, and refuse what cannot be fitted."""

import numpy as np
import pytest

from clearformer.scaling import LossSurface, bootstrap_power_law, fit_loss_surface, fit_power_law


def noisy(seed, count=12, noise=0.1, exponent=-0.3):
    rng = np.random.default_rng(seed)
    x = 10 ** np.linspace(3, 6, count)
    return x, 7 * x**exponent * np.exp(noise * rng.normal(size=count))


@pytest.mark.parametrize(("constant", "exponent"), [(406.4, -0.34), (1.3e9, 0.73), (2.0, 0.0)])
def test_points_on_a_law_give_the_law_back(constant, exponent):
    x = np.array([3.0, 1e2, 5e3, 1e7])
    assert fit_power_law(x, constant * x**exponent) == pytest.approx((constant, exponent), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_noisy_points_give_what_polyfit_gives(seed):
    x, y = noisy(seed)
    exponent, height = np.polyfit(np.log(x), np.log(y), 1)
    assert fit_power_law(x, y) == pytest.approx((np.exp(height), exponent), rel=1e-10)
    assert fit_power_law(x.tolist(), tuple(y)) == fit_power_law(x, y)


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
@pytest.mark.parametrize("name", ["x", "y"])
def test_a_number_without_a_logarithm_is_refused_by_name(name, bad):
    points = {"x": [1.0, 2.0, 3.0], "y": [1.0, 2.0, 3.0]}
    points[name][1] = bad
    with pytest.raises(ValueError, match=f"{name} must hold positive, finite numbers; got .* at 1"):
        fit_power_law(**points)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([1.0], [2.0], "x must have at least 2 different numbers; got 1"),
        ([], [], "at least 2 different numbers; got 0"),
        ([3.0, 3.0], [1.0, 2.0], "at least 2 different numbers; got 1"),
        ([1.0, 2.0], [1.0, 2.0, 3.0], "one length; got 2 and 3"),
        ([[1.0, 2.0]], [1.0, 2.0], r"x must be a sequence of numbers; got shape \(1, 2\)"),
    ],
)
def test_points_that_make_no_line_are_refused(x, y, message):
    with pytest.raises(ValueError, match=message):
        fit_power_law(x, y)


def test_without_noise_the_band_has_no_width():
    x, y = noisy(0, noise=0.0)
    band = bootstrap_power_law(x, y, np.random.default_rng(0), draws=50)
    assert band.exponent() == pytest.approx((-0.3, -0.3))
    assert np.allclose(band.at(x), 7 * x**-0.3)


def test_bands_of_95_percent_hold_the_truth_about_that_often():
    # With 30 points and 200 repetitions 95 % means 190, and the bootstrap is known to be a little narrow.
    found = 0
    for seed in range(200):
        low, high = bootstrap_power_law(*noisy(seed, 30), np.random.default_rng(seed), draws=200).exponent()
        found += low < -0.3 < high
    assert 175 <= found <= 199


def test_a_band_is_wider_further_out():
    x, y = noisy(1)
    low, high = bootstrap_power_law(x, y, np.random.default_rng(0)).at([1e4, 1e8])
    near, far = np.log(high / low)
    assert far > 2 * near


def test_each_drawn_line_is_a_fit_of_drawn_points():
    x, y = np.array([1.0, 10.0, 100.0]), np.array([8.0, 3.0, 2.0])
    band = bootstrap_power_law(x, y, np.random.default_rng(0), draws=200)
    possible = {
        tuple(np.round(fit_power_law(x[list(rows)], y[list(rows)]), 9))
        for rows in np.ndindex(3, 3, 3)
        if len(set(rows)) > 1
    }
    assert {tuple(pair) for pair in np.round(np.stack([band.constants, band.exponents], axis=1), 9)} <= possible


def test_a_band_of_two_points_would_say_nothing():
    with pytest.raises(ValueError, match="x must have at least 3 different numbers for a band; got 2"):
        bootstrap_power_law([1.0, 2.0, 2.0], [3.0, 2.0, 2.1], np.random.default_rng(0))


TRUTH = LossSurface(1.2, 20.0, 0.4, 90.0, 0.5)


def runs(noise=0.0):
    rng = np.random.default_rng(0)
    parameters, tokens = 10 ** rng.uniform(3, 6, 40), 10 ** rng.uniform(4, 7, 40)
    above = TRUTH.loss(parameters, tokens) - TRUTH.floor
    return parameters, tokens, TRUTH.floor + above * np.exp(noise * rng.normal(size=40))


@pytest.mark.parametrize("floor", [None, 1.2])
def test_a_surface_without_noise_is_found(floor):
    found = fit_loss_surface(*runs(), floor)
    assert (found.alpha, found.beta, found.floor) == pytest.approx((0.4, 0.5, 1.2), abs=0.002)
    factors = found.A, found.B
    assert factors == pytest.approx((20, 90), rel=0.02)


def test_noise_moves_a_surface_a_little():
    found = fit_loss_surface(*runs(noise=0.02), 1.2)
    assert (found.alpha, found.beta) == pytest.approx((0.4, 0.5), abs=0.03)


def test_no_surface_near_the_found_one_fits_better():
    parameters, tokens, losses = runs(noise=0.05)

    def error(surface):
        return ((surface.loss(parameters, tokens) / losses - 1) ** 2).sum()

    found = fit_loss_surface(parameters, tokens, losses)
    here = error(found)
    for name in ("floor", "A", "alpha", "B", "beta"):
        for factor in (0.99, 1.01):
            moved = {**found.__dict__, name: getattr(found, name) * factor}
            assert error(LossSurface(**moved)) > here


def test_where_the_size_does_not_matter_its_term_is_zero():
    rng = np.random.default_rng(0)
    parameters, tokens = 10 ** rng.uniform(3, 6, 30), 10 ** rng.uniform(4, 7, 30)
    found = fit_loss_surface(parameters, tokens, 1.2 + 50 / tokens**0.5, 1.2)
    assert found.beta == pytest.approx(0.5, abs=0.01)
    assert (found.A / parameters**found.alpha).max() < 0.01


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda n, d, loss: (n[:3], d[:3], loss[:3]), "losses must hold at least 5 runs"),
        (lambda n, d, loss: (n, d[:-1], loss), "num_parameters and num_tokens must be of one length"),
        (lambda n, d, loss: (n, d, loss[:-1]), "num_parameters and losses must be of one length"),
        (lambda n, d, loss: (n, d, -loss), "losses must hold positive"),
        (lambda n, d, loss: (n, 0 * d, loss), "num_tokens must hold positive"),
    ],
)
def test_runs_that_cannot_be_fitted_are_refused_by_name(change, message):
    with pytest.raises(ValueError, match=message):
        fit_loss_surface(*change(*runs()))


@pytest.mark.parametrize("floor", [-0.1, 5.0, float("nan")])
def test_a_floor_above_a_loss_is_refused(floor):
    with pytest.raises(ValueError, match="floor must be from 0 to below the lowest loss"):
        fit_loss_surface(*runs(), floor)


def test_no_term_of_a_surface_is_negative():
    rng = np.random.default_rng(0)
    parameters, tokens = 10 ** rng.uniform(3, 6, 30), 10 ** rng.uniform(4, 7, 30)
    harmful = 1.2 + 50 / tokens**0.5 * (parameters / 1e4) ** 0.1  # size makes it worse: no surface says that
    found = fit_loss_surface(parameters, tokens, harmful, 1.2)
    assert found.A >= 0 and found.B > 0
