import numpy as np
import pytest

from clearformer.plots.head_lines import FEATURES, IS, WORDS, hand_made_weights, head_lines, three_heads


def lines_of(axes):
    """{(row of the query, row of the key): width} of a panel's lines."""
    return {tuple(round(-y) for y in line.get_ydata()): line.get_linewidth() for line in axes.get_lines()}


def test_every_weight_has_a_line_as_thick_as_it_is_large():
    weights = np.array([[[0.7, 0.3, 0.0], [0.01, 0.09, 0.9]]])
    (panel,) = head_lines(weights, ["a", "b"], ["x", "y", "z"], ["one head"], "Lines").axes
    widths = lines_of(panel)
    assert set(widths) == {(0, 0), (0, 1), (1, 1), (1, 2)}  # 0 and 0.01 are left out
    assert widths[1, 2] > widths[0, 0] > widths[0, 1] > widths[1, 1]


def test_queries_stand_on_the_left_and_keys_on_the_right():
    (panel,) = head_lines(np.eye(2)[None], ["asks", "too"], ["found", "also"], ["one head"], "Lines").axes
    place = {text.get_text(): text.get_position()[0] for text in panel.texts}
    assert max(place["asks"], place["too"], place["looks"]) < 0 < 1 < min(place["found"], place["also"])


def test_the_three_heads_do_what_the_alt_text_says():
    before, who, kind = hand_made_weights()
    assert before.argmax(axis=-1).tolist() == [0, *range(len(WORDS) - 1)]
    assert before.max(axis=-1).min() > 0.9
    it, cat, milk = (WORDS.index(word) for word in ("it", "cat", "milk"))
    assert who[it, cat] > 0.99
    np.testing.assert_allclose(np.delete(who, it, axis=0), 1 / len(WORDS))
    assert kind[cat, cat] == kind[cat, milk] > 0.4


def test_every_word_has_exactly_one_kind():
    kinds = [feature for feature in FEATURES if feature not in ("living", "thing")]
    assert (IS[:, [FEATURES.index(kind) for kind in kinds]].sum(axis=-1) == 1).all()


def test_the_figure_names_what_it_shows():
    figure, alt = three_heads()
    assert len(figure.axes) == 3
    assert all(axes.get_title("left") for axes in figure.axes)
    assert " ".join(WORDS) in alt


@pytest.mark.parametrize("heads", [1, 2, 3])
def test_each_head_has_a_panel(heads):
    weights = np.full((heads, 2, 2), 0.5)
    figure = head_lines(weights, ["a", "b"], ["a", "b"], [f"head {h}" for h in range(heads)], "Lines")
    assert len(figure.axes) == heads
