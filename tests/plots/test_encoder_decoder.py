import re

from clearformer.models import count_parameters
from clearformer.nn import EncoderLayer
from clearformer.plots import picture
from clearformer.plots.encoder_decoder import encoder_decoder


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_every_part_has_its_box_and_the_picture_can_be_shown():
    figure, alt = encoder_decoder()
    shown = " ".join(texts(figure))
    assert shown.count("self-attention") == shown.count("feed-forward") == 2
    assert shown.count("cross-attention") == 1
    assert shown.count("add, then norm") == 5  # two of the encoder, three of the decoder
    assert picture(figure, alt).alt == alt


def test_the_numbers_in_the_boxes_are_those_of_the_base_model():
    figure, alt = encoder_decoder()
    millions = {float(number) for text in texts(figure) for number in re.findall(r"([\d.]+) million", text)}
    layer = EncoderLayer(512, 8, 2048)
    parts = [sum(p.numel() for p in part.parameters()) for part in (layer.self_attention, layer.feed_forward)]
    assert millions == {round(count / 1e6, 2) for count in (*parts, count_parameters(0, 512, 2048, 37_000))}
    assert {float(number) for number in re.findall(r"([\d.]+) million", alt)} == millions


def test_no_text_leaves_the_picture():
    figure, _ = encoder_decoder()
    figure.canvas.draw()
    (axes,) = figure.axes
    for text in axes.texts:
        box = text.get_window_extent()
        assert box.x0 >= 0 and box.x1 <= figure.bbox.width and box.y0 >= 0 and box.y1 <= figure.bbox.height
