from clearformer.plots.figure import picture
from clearformer.plots.two_blocks import CHANGES, two_blocks


def test_each_change_has_its_number_in_the_picture_and_in_the_text():
    figure, alt = two_blocks()
    picture(figure, alt)
    _, below, words = figure.axes
    numbers = {text.get_text() for text in below.texts}
    for number, change in enumerate(CHANGES, start=1):
        assert f"{number}, {change}" in alt
        assert str(number) in numbers
        assert change in {text.get_text() for text in words.texts}


def test_the_layer_of_2017_carries_no_number():
    figure, _ = two_blocks()
    assert not [text for text in figure.axes[0].texts if text.get_text().isdigit()]
