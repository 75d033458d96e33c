"""The split of a budget is the minimum that it claims to be, and says what the papers say."""

import math

import pytest

from clearformer.scaling import CHINCHILLA, REFIT_2024, LossSurface, compute_optimal, training_flops

BUDGETS = (1e15, 1e18, 1e21, 5.76e23)
SURFACES = {"2022": CHINCHILLA, "2024": REFIT_2024, "steep": LossSurface(1.2, 30.0, 0.8, 500.0, 0.6)}


def searched(surface, flops):
    """(parameters, tokens) by golden-section search over log N, with nothing of the closed form."""
    low, high, ratio = math.log(flops / 6) - 60, math.log(flops / 6) + 60, (math.sqrt(5) - 1) / 2

    def above(log_n):
        # without the floor, whose digits would hide the minimum's
        return surface.A * math.exp(-surface.alpha * log_n) + surface.B * math.exp(
            -surface.beta * (math.log(flops / 6) - log_n)
        )

    for _ in range(200):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if above(left) < above(right) else (left, high)
    return math.exp(low), flops / 6 / math.exp(low)


@pytest.mark.parametrize("flops", BUDGETS)
@pytest.mark.parametrize("surface", SURFACES.values(), ids=SURFACES)
def test_the_closed_form_is_where_a_search_ends(surface, flops):
    # a search by values finds a minimum to the root of their precision
    assert surface.compute_optimal(flops) == pytest.approx(searched(surface, flops), rel=1e-6)


@pytest.mark.parametrize("flops", BUDGETS)
@pytest.mark.parametrize("surface", SURFACES.values(), ids=SURFACES)
def test_the_budget_is_spent(surface, flops):
    assert training_flops(*surface.compute_optimal(flops)) == pytest.approx(flops, rel=1e-12)


@pytest.mark.parametrize(("flops", "tokens_each"), [(1e18, 25.67), (1e21, 50.08), (5.76e23, 92.65)])
def test_the_printed_constants_do_not_give_twenty_tokens_a_parameter(flops, tokens_each):
    parameters, tokens = compute_optimal(flops)
    assert tokens / parameters == pytest.approx(tokens_each, rel=1e-3)


def test_the_refit_of_2024_gives_about_eighteen_where_chinchilla_was_trained():
    parameters, tokens = REFIT_2024.compute_optimal(5.76e23)
    assert tokens / parameters == pytest.approx(18.4, rel=0.01)


def test_chinchilla_has_the_twenty_tokens_a_parameter_of_the_first_two_methods():
    assert 1.4e12 / 70e9 == 20
    # table 3, the first method: parameters, operations, tokens
    for parameters, flops, tokens in ((1e9, 1.21e20, 20.2e9), (10e9, 1.23e22, 205.1e9)):
        assert training_flops(parameters, tokens) == pytest.approx(flops, rel=0.01)
        assert tokens / parameters == pytest.approx(20, rel=0.03)


def test_size_and_data_grow_with_the_exponents_of_the_third_method():
    # table 2: a = 0.46, b = 0.54 from constants that were not rounded
    low, high = compute_optimal(1e20), compute_optimal(1e22)
    exponents = [math.log(after / before) / math.log(100) for before, after in zip(low, high, strict=True)]
    assert exponents == pytest.approx([0.28 / 0.62, 0.34 / 0.62])
    assert exponents == pytest.approx([0.46, 0.54], abs=0.011)


def test_chinchilla_beats_gopher_at_its_budget():
    gopher, chinchilla = CHINCHILLA.loss(280e9, 300e9), CHINCHILLA.loss(70e9, 1.4e12)
    assert (round(gopher, 3), round(chinchilla, 3)) == (1.993, 1.937)


def test_the_loss_falls_with_both_and_stays_above_the_floor():
    here = CHINCHILLA.loss(1e9, 1e10)
    assert CHINCHILLA.floor < CHINCHILLA.loss(2e9, 1e10) < here
    assert CHINCHILLA.floor < CHINCHILLA.loss(1e9, 2e10) < here


@pytest.mark.parametrize("bad", [0, -1.0, math.nan, math.inf, "1e18"])
def test_a_budget_that_is_none_is_refused(bad):
    with pytest.raises(ValueError, match="flops must be positive"):
        compute_optimal(bad)
    with pytest.raises(ValueError, match="num_tokens must be positive"):
        CHINCHILLA.loss(1e9, bad)
