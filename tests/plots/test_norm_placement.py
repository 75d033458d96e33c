"""Stored curves are drawn and told as they were measured."""

import json
import statistics
from pathlib import Path

import pytest

from clearformer.plots import picture
from clearformer.plots.norm_placement import NormPlacement

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "norm_placement.json"
PEAKS = (0.001, 0.002)


def made_up():
    """Three seeds; each number says what it belongs to."""
    shift = {"post": 0.5, "pre": 0.0}
    training = [
        {
            "norm": norm,
            "peak": peak,
            "warmup_steps": warmup_steps,
            "curves": [[2.0 + shift[norm] + seed / 10, 100 * peak + shift[norm] + seed / 10] for seed in (0, 1, 2)],
        }
        for norm in shift
        for peak in PEAKS
        for warmup_steps in (0, 5)
    ]
    gradients = {
        norm: {
            str(depth): [
                {"feed-forward": [1.0 + seed + shift[norm] + layer for layer in range(depth)]} for seed in (0, 1, 2)
            ]
            for depth in (2, 4)
        }
        for norm in shift
    }
    return {
        "command": "python benchmarks/norm_placement.py",
        "machine": {"processor": "abacus"},
        "versions": {"python": "3", "torch": "2"},
        "threads": 1,
        "seeds": 3,
        "steps": 20,
        "training": training,
        "gradients": gradients,
    }


@pytest.fixture
def stored(tmp_path):
    path = tmp_path / "norm_placement.json"
    path.write_text(json.dumps(made_up()))
    return NormPlacement(path)


def test_the_last_loss_is_found_by_norm_rate_and_warm_up(stored):
    assert stored.last_losses("post", 0.002, warm_up=True) == pytest.approx([0.7, 0.8, 0.9])
    assert stored.last_losses("pre", 0.001, warm_up=False) == pytest.approx([0.1, 0.2, 0.3])


def test_the_line_is_the_median_and_the_band_goes_from_lowest_to_highest(stored):
    figure, alt = stored.loss_by_peak()
    left = figure.axes[0]
    post, pre = left.lines[:2]
    assert post.get_ydata() == pytest.approx([0.7, 0.8]) and pre.get_ydata() == pytest.approx([0.2, 0.3])
    heights = left.collections[0].get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == pytest.approx((0.6, 0.9))
    assert "post-norm without warm-up: 0.60 to 0.80 at 0.001, 0.70 to 0.90 at 0.002." in alt
    assert picture(figure, alt).alt == alt


def test_post_and_pre_differ_in_more_than_colour(stored):
    for figure, _ in (stored.loss_by_peak(), stored.learning_curves(0.001), stored.gradients_by_layer()):
        post, pre = figure.axes[0].lines[:2]
        assert post.get_linestyle() != pre.get_linestyle() and post.get_marker() != pre.get_marker()


def test_learning_curves_run_over_the_steps(stored):
    figure, alt = stored.learning_curves(0.002)
    assert list(figure.axes[1].lines[0].get_xdata()) == [10, 20]
    assert "post-norm with warm-up ends at 0.70 to 0.90." in alt


def test_gradients_have_a_panel_for_each_depth(stored):
    figure, alt = stored.gradients_by_layer()
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["2 layers", "4 layers"]
    assert list(figure.axes[1].lines[1].get_ydata()) == [2.0, 3.0, 4.0, 5.0]
    assert "pre-norm, 4 layers: 2 in the first, 5 in the last." in alt
    assert stored.last_gradients("post", 4) == [4.5, 5.5, 6.5]


def test_where_the_figures_come_from_is_told(stored):
    assert stored.origin() == (
        "3 seeds, measured by: python benchmarks/norm_placement.py\non abacus, 1 thread, Python 3, torch 2"
    )


# ---- what was measured ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def measured():
    return NormPlacement(RESULTS)


def test_every_curve_comes_from_five_seeds(measured):
    assert measured.stored["seeds"] == 5
    assert {len(run["curves"]) for run in measured.stored["training"]} == {5}
    assert all(len(seeds) == 5 for by_depth in measured.stored["gradients"].values() for seeds in by_depth.values())


def test_pre_norm_shrinks_in_the_last_layer_by_about_the_root_of_the_depth_and_post_norm_does_not(measured):
    """As lesson 07 says it: Xiong et al. 2020, theorem 1."""

    def ratio(norm):
        deep, shallow = (statistics.median(measured.last_gradients(norm, depth)) for depth in (24, 6))
        return deep / shallow

    assert 0.25 < ratio("pre") < 0.7
    assert ratio("post") > 0.75


def test_there_is_a_rate_at_which_post_norm_learns_nothing_and_pre_norm_learns(measured):
    post, pre = (measured.last_losses(norm, 0.008, warm_up=False) for norm in ("post", "pre"))
    assert min(post) > 2.0 and max(pre) < 0.5
