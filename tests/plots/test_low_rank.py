import pytest

from clearformer.plots.figure import picture
from clearformer.plots.low_rank import low_rank


def test_the_text_says_the_sizes_and_how_little_is_trained():
    figure, alt = low_rank(384, 384, 8, "One weight")
    picture(figure, alt)
    for part in ("384 × 384 = 147,456", "B of 384 × 8", "A of 8 × 384", "6,144 numbers, 4.2%"):
        assert part in alt


@pytest.mark.parametrize("sizes", [(256, 128, 4), (128, 512, 16)])
def test_the_matrices_are_drawn_to_scale(sizes):
    figure, _ = low_rank(*sizes, "One weight")
    (axes,) = figure.axes
    weight, b, a = axes.patches
    out_features, in_features, rank = sizes
    unit = weight.get_height() / out_features
    for patch, (height, width) in zip((weight, b, a), [(out_features, in_features), (out_features, rank),
                                                       (rank, in_features)], strict=True):  # fmt: skip
        assert patch.get_height() == pytest.approx(unit * height)
        assert patch.get_width() == pytest.approx(unit * width)
