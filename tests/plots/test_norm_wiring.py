from clearformer.plots import picture
from clearformer.plots.norm_wiring import norm_wiring


def boxes(axes):
    """(text, where it stands from left to right) on the main line, and on the ways beside it."""
    placed = [(text.get_position(), text.get_text()) for text in axes.texts if text.get_bbox_patch()]
    on_line = [text for (_, y), text in sorted(placed) if y == 0]
    beside = [text for (_, y), text in sorted(placed) if y > 0]
    return on_line, beside


def test_post_norm_has_its_norms_on_the_main_line_and_pre_norm_beside_it():
    figure, _ = norm_wiring()
    post, pre = figure.axes
    assert boxes(post) == (["attention", "+", "norm", "feed-forward", "+", "norm"], [])
    assert boxes(pre) == (["+", "+", "norm"], ["norm", "attention", "norm", "feed-forward"])


def test_the_words_tell_both_layouts():
    figure, alt = norm_wiring()
    assert picture(figure, alt).alt == alt
    assert "Post-norm: attention, plus x, norm" in alt and "After the last layer one more norm" in alt
