import pytest

from clearformer.plots import picture
from clearformer.plots.parameter_bars import parameter_bars

PARTS = {
    "left": {"big": 6_000_000, "small": 20_000},
    "right": {"big": 3_000_000, "other": 980_000},
}


def test_each_piece_is_as_long_as_it_has_parameters_and_pieces_stand_end_to_end():
    figure, _ = parameter_bars(PARTS, "Two parts")
    bars = figure.axes[0].patches
    assert [bar.get_x() for bar in bars] == pytest.approx([0, 6.0, 0, 3.0])
    assert [bar.get_width() for bar in bars] == pytest.approx([6.0, 0.02, 3.0, 0.98])


def test_a_name_has_one_colour_and_one_line_in_the_legend():
    figure, _ = parameter_bars(PARTS, "Two parts")
    (axes,) = figure.axes
    first, _, second, _ = (bar.get_facecolor() for bar in axes.patches)
    assert first == second
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["big", "small", "other"]


def test_words_and_labels_give_the_shares_of_the_whole():
    figure, alt = parameter_bars(PARTS, "Two parts")
    shown = [text.get_text().strip() for text in figure.axes[0].texts]
    assert "6.0 (60%)" in shown and "4.0 (40%)" in shown
    assert alt.startswith("Two parts. Left: 60%") and "small 0.02" in alt
    assert picture(figure, alt).alt == alt


def test_no_number_is_written_into_a_piece_that_is_too_short_for_it():
    figure, _ = parameter_bars(PARTS, "Two parts")
    assert "0.02" not in [text.get_text() for text in figure.axes[0].texts]
