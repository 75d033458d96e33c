"""Pairs drawn as clock hands."""

import numpy as np
import pytest
from matplotlib.colors import same_color

from clearformer.numpy import positional_encoding
from clearformer.plots import new_figure, picture
from clearformer.plots.clock_hands import HAND, TRAIL, clock, clock_rows


def line_of(axes, colour):
    (line,) = [line for line in axes.lines if same_color(line.get_color(), colour)]
    return line.get_xydata()


def drawn(angle, **how):
    _, axes = new_figure()
    clock(axes, np.sin(angle), np.cos(angle), **how)
    return axes


@pytest.mark.parametrize(("angle", "tip"), [(0, (0, 1)), (np.pi / 2, (1, 0)), (np.pi, (0, -1)), (-np.pi / 2, (-1, 0))])
def test_a_hand_starts_at_the_top_and_turns_clockwise(angle, tip):
    assert line_of(drawn(angle), HAND)[-1] == pytest.approx(tip, abs=1e-12)


@pytest.mark.parametrize("turn", [0.7, 3.0, 20.0, -5.0])
def test_the_trail_goes_from_the_old_hand_to_the_new_as_often_round_as_the_hand_did(turn):
    angle = 1.2
    trail = line_of(drawn(angle, turn=turn), TRAIL)
    angles = np.unwrap(np.arctan2(trail[:, 0], trail[:, 1]))
    assert angles[-1] - angles[0] == pytest.approx(turn)
    assert np.exp(1j * angles[-1]) == pytest.approx(np.exp(1j * angle))
    assert np.hypot(*trail.T).max() < 1


def test_a_hand_that_has_not_turned_leaves_no_trail():
    assert not [line for line in drawn(1.2).lines if same_color(line.get_color(), TRAIL)]


def test_there_is_a_row_of_dials_for_each_position():
    encoding = positional_encoding(3, 8)
    figure = clock_rows(encoding, ["p = 0", "p = 1", "p = 2"], list("abcd"), "Four hands")
    assert len(figure.axes) == 12
    tips = np.array([line_of(axes, HAND)[-1] for axes in figure.axes]).reshape(3, 8)
    assert np.abs(tips - encoding).max() < 1e-12
    assert picture(figure, "Twelve dials.").png.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("rows", "row_names", "pair_names", "turns", "message"),
    [
        (np.zeros((2, 3)), ["a", "b"], ["c"], None, r"even number of columns.*\(2, 3\)"),
        (np.zeros(4), ["a"], ["c", "d"], None, r"even number of columns.*\(4,\)"),
        (np.zeros((2, 4)), ["a"], ["c", "d"], None, "1 row names, 2 pair names .* 2 rows of 2 pairs"),
        (np.zeros((2, 4)), ["a", "b"], ["c"], None, "2 row names, 1 pair names .* 2 rows of 2 pairs"),
        (np.zeros((2, 4)), ["a", "b"], ["c", "d"], [[1.0, 2.0]], r"turns \(1, 2\) do not fit"),
    ],
)
def test_sizes_that_do_not_fit_are_named(rows, row_names, pair_names, turns, message):
    with pytest.raises(ValueError, match=message):
        clock_rows(rows, row_names, pair_names, "Hands", turns)
