"""Colours: the numbers stand out on every shade, and lightness alone tells the value."""

from itertools import pairwise

import pytest

from clearformer.plots.style import DARK_RAMP, LIGHT_RAMP, contrast, ink_on, luminance, shades

RAMPS = pytest.mark.parametrize("ramp", [LIGHT_RAMP, DARK_RAMP], ids=["light", "dark"])


@pytest.mark.parametrize(
    "first, second, ratio",
    # The figures that the W3C's technique G18 and its contrast examples give.
    [
        ("#000000", "#ffffff", 21.0),
        ("#ffffff", "#ffffff", 1.0),
        ("#767676", "#ffffff", 4.54),
        ("#ff0000", "#ffffff", 4.0),
    ],
)
def test_contrast_is_that_of_wcag(first, second, ratio):
    assert contrast(first, second) == pytest.approx(ratio, abs=0.005)
    assert contrast(second, first) == contrast(first, second)


@RAMPS
def test_each_number_stands_out_from_its_shade(ramp):
    assert min(contrast(shade, ink) for shade, ink in shades(ramp)) >= 4.5


@RAMPS
def test_a_larger_weight_is_further_from_the_page_in_lightness(ramp):
    light = [luminance(shade) for shade, _ in shades(ramp)]
    steps = [abs(a - light[0]) for a in light]
    assert all(a < b for a, b in pairwise(steps))
    assert contrast(shades(ramp)[0][0], shades(ramp)[-1][0]) > 7


def test_black_or_white_reads_on_any_grey_and_any_strong_colour():
    colours = [f"#{v:02x}{v:02x}{v:02x}" for v in range(256)] + ["#ff0000", "#00ff00", "#0000ff", "#ff00ff", "#00ffff"]
    assert min(contrast(colour, ink_on(colour)) for colour in colours) >= 4.5
