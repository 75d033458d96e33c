"""The figure of the three families: who sees whom in it, told by the drawing itself."""

from clearformer.plots.figure import picture
from clearformer.plots.model_families import three_families


def test_dots_stand_where_a_token_may_look():
    figure, alt = three_families()
    dots = [
        {(int(text.get_position()[1]), int(text.get_position()[0])) for text in axes.texts if text.get_text() == "●"}
        for axes in figure.axes
    ]
    causal = {(row, column) for row in range(4) for column in range(row + 1)}
    source = {(row, column) for row in range(4) for column in range(3)}
    assert dots[0] == {(row, column) for row in range(4) for column in range(4)}
    assert dots[1] == causal
    assert dots[2] == source | {(row, column + 3) for row, column in causal}
    assert picture(figure, alt).alt == alt
