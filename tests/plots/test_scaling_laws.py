"""Stored small runs are read as they were measured, and the calculator says what the laws say."""

import json
from pathlib import Path

import numpy as np
import pytest

from clearformer.plots import picture
from clearformer.plots.scaling_laws import (
    LAWS,
    ScalingRuns,
    budget_split,
    in_words,
    law_with_band,
    loss_by_budget,
    plan,
    powers,
    schedule_curves,
    steps_and_batches,
    surface_fit,
)
from clearformer.scaling import LossSurface, bootstrap_power_law, compute_optimal, critical_batch_size

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "scaling_runs.json"
TRUTH = LossSurface(1.2, 20.0, 0.5, 90.0, 0.5)


@pytest.fixture
def runs(tmp_path):
    """Two sizes, three numbers of tokens, two seeds that lie 10 % above and below a known surface."""
    grid = [
        {"d_model": d_model, "parameters": 12 * d_model**2, "tokens": tokens, "seed": seed,
         "excess": (TRUTH.loss(12 * d_model**2, tokens) - 1.2) * (1.1 if seed else 0.9)}
        for d_model in (4, 8)
        for tokens in (1024, 2048, 4096)
        for seed in (0, 1)
    ]  # fmt: skip
    stored = {
        "command": "python benchmarks/scaling_runs.py",
        "machine": {"processor": "abacus"},
        "versions": {"torch": "2"},
        "seeds": 2,
        "entropy": 1.2,
        "processor_seconds": 7,
        "schedule_width": 8,
        "grid": grid,
        "schedule": [
            {"seed": seed, "read": [[1024, 5.0 + seed], [2048, 4.0]], "ended": [[1024, 3.0], [2048, 1.0 + seed]]}
            for seed in (0, 1)
        ],
        "batches": [
            {"batch_tokens": batch, "seed": seed, "steps": steps, "rate": 0.01}
            for batch, both in {64: (100, 120), 32: (150, None), 128: (60, 80)}.items()
            for seed, steps in enumerate(both)
        ],
    }
    path = tmp_path / "scaling_runs.json"
    path.write_text(json.dumps(stored), encoding="utf-8")
    return ScalingRuns(path)


def test_seeds_are_averaged(runs):
    assert len(runs.excess) == 6
    assert runs.excess == pytest.approx(TRUTH.loss(runs.parameters, runs.tokens) - 1.2)
    assert runs.select(parameters=192, tokens=2048).tolist() == [False, True, False, False, False, False]


def test_a_batch_that_did_not_get_there_is_left_out(runs):
    batches, steps = runs.steps_by_batch()
    assert (batches.tolist(), steps.tolist()) == ([64, 128], [110, 70])


def test_both_schedules_are_averaged_over_seeds(runs):
    assert runs.schedule() == {1024: (3.0, 5.5), 2048: (1.5, 4.0)}


def test_figures_have_words_and_numbers(runs):
    x, y = [1e3, 1e4, 1e5], [8.0, 4.0, 2.5]
    band = bootstrap_power_law(x, y, np.random.default_rng(0), draws=20)
    drawn = {
        "768 parameters": loss_by_budget(runs),
        "kept back: the law says": law_with_band(x, y, 30.0, -0.2, band, fitted=[True, True, False], title="A law",
                                                 names=("size", "loss")),
        "1.00 to 1.00 times the points": surface_fit(runs, TRUTH, kept_back=4096),
        "2,048 tokens: 1.500 against 4.000": schedule_curves(runs),
        "64: 110": steps_and_batches(*runs.steps_by_batch(), 40.0, 112.0),
    }  # fmt: skip
    for said, (figure, alt) in drawn.items():
        assert said in picture(figure, alt).alt


def test_the_plan_of_2022_is_that_of_compute_optimal():
    found = plan("2022, as printed", 1e21, 1e14, 10)
    assert (found["parameters"], found["tokens"]) == compute_optimal(1e21)
    assert found["device hours"] == pytest.approx(1e21 / 1e14 / 3600)
    assert found["days"] == pytest.approx(found["device hours"] / 10 / 24)
    assert found["batch"] == critical_batch_size(found["loss"])
    assert found["steps"] * found["batch"] == pytest.approx(found["tokens"])


@pytest.mark.parametrize("law", LAWS)
def test_every_plan_spends_its_budget(law):
    found = plan(law, 8.64e19, 1e14, 1)
    assert 6 * found["parameters"] * found["tokens"] == pytest.approx(8.64e19)
    assert found["tokens a parameter"] == pytest.approx(found["tokens"] / found["parameters"])


def test_the_plan_of_2020_takes_pf_days():
    found = plan("2020, Kaplan", 8.64e19, 1e14, 1)
    assert (found["parameters"], round(found["loss"], 2)) == (1.3e9, 2.66)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("flops", [1e16, 1e26])
def test_the_calculator_draws_at_both_ends(law, flops):
    figure, alt = budget_split(law, flops, 1e12, 4096)
    assert law in picture(figure, alt).alt


@pytest.mark.parametrize(
    ("number", "text"),
    [(1.4e12, "1.40 trillion"), (70e9, "70.0 billion"), (999_990_000, "1.00 billion"), (123_456, "123,000"),
     (12.34, "12.3"), (0.25, "0.250"), (0.0001, "1.0e-04"), (5, "5.00")],
)  # fmt: skip
def test_large_numbers_in_words(number, text):
    assert in_words(number) == text


def test_powers_of_ten():
    assert (powers(5.76e23), powers(1e18), powers(42.0)) == ("5.76 · 10²³", "1 · 10¹⁸", "42 · 10⁰")


def test_what_is_stored_is_what_the_lesson_needs():
    runs = ScalingRuns(RESULTS)
    assert len(runs.excess) == 40 and runs.seeds == 3
    assert runs.excess.min() > 0  # nobody is better than who knows the language
    assert len(runs.steps_by_batch()[0]) >= 5
    assert runs.stored["processor_seconds"] <= 600
    for size in np.unique(runs.parameters):
        assert (np.diff(runs.excess[runs.select(size)]) < 0).all()  # more tokens, less loss
