import pytest

from clearformer.plots import picture
from clearformer.plots.beam_tree import beam_tree

WORDS = {1: "start", 2: "end", 3: "a", 4: "b"}
# "a" leads at first; "b end" wins and waits while "b b" goes on; "a a" dies
BEAMS = [
    [(0.0, [1])],
    [(-0.7, [1, 3]), (-0.9, [1, 4])],
    [(-1.0, [1, 4, 2]), (-1.5, [1, 4, 4])],
    [(-1.0, [1, 4, 2]), (-1.6, [1, 4, 4, 2])],
]


def drawn(beams=BEAMS):
    figure, alt = beam_tree(beams, WORDS.get)
    return figure.axes[0], alt


def boxes(axes):
    return {(round(p.get_x() + p.get_width() / 2), round(p.get_y() + p.get_height() / 2)): p for p in axes.patches}


def is_broken(patch):
    return patch.get_linestyle() not in ("-", "solid")


def lines(axes):
    """{(step, place in the step before, place): line}"""
    found = {}
    for line in axes.lines:
        (_, x), (y, z) = line.get_xdata(), line.get_ydata()
        found[round(x + 0.4), y, z] = line
    return found


def test_each_hypothesis_has_a_box_and_a_line_from_the_one_it_continues():
    axes, _ = drawn()
    assert set(boxes(axes)) == {(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (3, 0), (3, 1)}
    assert set(lines(axes)) == {(1, 0, 0), (1, 0, 1), (2, 1, 0), (2, 1, 1), (3, 0, 0), (3, 1, 1)}


def test_the_way_to_the_result_is_thick_and_no_other_is():
    axes, _ = drawn()
    thick = {place for place, line in lines(axes).items() if line.get_linewidth() > 2}
    assert thick == {(1, 0, 1), (2, 1, 0), (3, 0, 0)}


def test_a_beginning_that_nothing_continues_is_drawn_with_a_broken_edge():
    axes, _ = drawn()
    assert {place for place, box in boxes(axes).items() if is_broken(box)} == {(1, 0)}


def test_a_finished_hypothesis_that_holds_its_place_says_so():
    axes, _ = drawn()
    texts = {text.get_position(): text.get_text() for text in axes.texts}
    assert texts[3, -0.13] == "as it is" and texts[3, 1 - 0.13] == "end" and texts[2, -0.13] == "end"
    assert texts[3, 0.19] == "−1.00"


def test_the_text_alternative_tells_each_step_and_the_result():
    _, alt = drawn()
    assert "Step 1: a −0.70, b −0.90." in alt and "Step 3: b end −1.00, b b end −1.60." in alt
    assert alt.endswith("The result: b end, score −1.00.")


def test_the_picture_can_be_shown_for_one_place_and_for_many():
    for beams in ([beam[:1] for beam in [BEAMS[0], BEAMS[1][1:], BEAMS[2]]], BEAMS):
        figure, alt = beam_tree(beams, WORDS.get, "A search")
        assert picture(figure, alt).alt.startswith("A search.")


def test_a_hypothesis_out_of_nowhere_is_refused():
    with pytest.raises(ValueError, match=r"\[1, 3, 2\] continues no hypothesis of the step before"):
        beam_tree([[(0.0, [1])], [(-1.0, [1, 4])], [(-2.0, [1, 3, 2])]], WORDS.get)
