from clearformer.plots import picture
from clearformer.plots.checkpointing import memory_against_time, worst_moment

POINTS = {"plain": (2.0, 1000), "scores": (2.2, 800), 2: (2.4, 520), 5: (2.5, 220), 24: (2.7, 130)}


def test_times_and_bytes_are_drawn_as_parts_of_the_plain_ones():
    figure, alt = memory_against_time(POINTS, "A title")
    (axes,) = figure.axes
    drawn = {(round(x, 3), round(y, 3)) for line in axes.lines for x, y in zip(*line.get_data(), strict=True)}
    assert drawn == {(1.0, 1.0), (1.1, 0.8), (1.2, 0.52), (1.25, 0.22), (1.35, 0.13)}
    assert "k = 5: 22% of the bytes at 1.25 times the time" in alt
    assert picture(figure, alt).alt == alt


def test_every_point_is_named_beside_it():
    figure, _ = memory_against_time(POINTS, "A title")
    said = [text.get_text() for text in figure.axes[0].texts]
    assert said == ["plain", "recompute scores", "k = 2", "k = 5", "k = 24, every layer"]


def test_bars_stand_end_to_end_and_say_their_sum():
    rows = {"plain": (0, 8 * 2**20), "4 segments": (2**20, 2 * 2**20)}
    figure, alt = worst_moment(rows, "The worst moment")
    bars = [(bar.get_x(), bar.get_width()) for bar in figure.axes[0].patches]
    assert bars == [(0, 0), (0, 8), (0, 1), (1, 2)]
    assert [text.get_text().strip() for text in figure.axes[0].texts][-1] == "3.0"
    assert "4 segments: 1.0 MiB of inputs and 2.0 MiB in a segment" in alt
    assert picture(figure, alt).alt == alt
