import math
import re

import numpy as np
import pytest
import torch

from clearformer.nn.rotary import rotary_embedding
from clearformer.plots.figure import picture
from clearformer.plots.turned_pair import PAIRS, turned, turned_pair


def score_in(alt):
    return float(re.search(r"their score (-?[\d.]+?)\.(?: |$)", alt)[1])


@pytest.mark.parametrize("position", [0, 1, 17])
def test_a_pair_turns_as_the_first_pair_of_rotary_positions_does(position):
    expected = rotary_embedding(torch.tensor([PAIRS["query"]]).double(), torch.tensor([position]))[0]
    np.testing.assert_allclose(turned(PAIRS["query"], position, 1.0), expected, atol=1e-12)  # its speed is 1


@pytest.mark.parametrize(("query", "key"), [(9, 4), (4, 9), (0, 0), (30, 0)])
def test_the_dot_lies_on_the_wave_at_the_distance(query, key):
    figure, alt = turned_pair(query, key, 0.3)
    picture(figure, alt)
    wave, dot = figure.axes[1].lines
    (across,), (up,) = dot.get_data()
    assert across == query - key
    assert np.interp(across, *wave.get_data()) == pytest.approx(up, abs=1e-3)
    assert score_in(alt) == pytest.approx(up, abs=0.006)


def test_moving_both_keeps_the_score_and_moving_one_does_not():
    (_, here), (_, there), (_, other) = (turned_pair(*places, 0.3) for places in ((9, 4), (25, 20), (9, 5)))
    assert score_in(here) == score_in(there) != score_in(other)


def test_the_text_says_angles_distance_and_how_soon_the_wave_repeats():
    _, alt = turned_pair(10, 4, 0.5)
    angles = [f"{math.degrees(place * 0.5):.0f} degrees" for place in (10, 4)]
    for part in (*angles, "distance is 6", "12.6 positions"):
        assert part in alt
