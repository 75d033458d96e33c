"""Sliders: each position stands for the right value, and a failed drawing is said in words."""

from html.parser import HTMLParser

import numpy as np
import pytest

from clearformer.plots import Choice, Slider, explore, new_figure

WIDTH = ("width", "Width", 8, 64, 8, 16)


def draw(width, base=10_000, kind="sine"):
    figure, axes = new_figure(width=2, height=2)
    axes.plot([0, width])
    axes.set(title="Wave", xlabel="position (tokens)", ylabel="value")
    if width == 64:
        raise RuntimeError("64 is too wide")
    return figure, f"width {width!r}, base {base!r}, {kind}"


def an_explorer(draw=draw, controls=None, title="Positions <b>"):
    return explore(draw, controls or [Slider(*WIDTH), Choice("kind", "Function", ["sine", "cosine"], "sine")], title)


def ask(explorer, positions):
    """What the browser does: send a message, and take what comes back."""
    sent = []
    explorer.send = sent.append
    explorer._handle_custom_msg({"kind": "draw", "view": "v", "serial": 7, "positions": positions}, [])
    return sent


def test_positions_stand_for_the_values_from_minimum_to_maximum():
    assert Slider("n", "N", -2, 4, 2, 0).values == [-2, 0, 2, 4]
    assert Slider("n", "N", 0, 1, 0.1, 0.3).values == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]


def test_a_log_slider_multiplies():
    assert Slider("n", "N", 1, 1024, 2, 8, log=True).values == [2**k for k in range(11)]
    fine = Slider("n", "N", 100, 10_000, 10**0.1, 1000, log=True).values
    assert np.allclose(fine, np.geomspace(100, 10_000, 21), rtol=1e-9) and fine[-1] == 10_000


def test_whole_numbers_stay_whole_and_others_do_not():
    assert {type(v) for v in Slider("n", "N", 0, 4, 2, 0).values} == {int}
    assert {type(v) for v in Slider("n", "N", np.int64(0), np.int64(4), np.int64(2), 0).values} == {int}
    assert {type(v) for v in Slider("n", "N", 0, 1, 0.5, 0).values} == {float}


def test_what_the_reader_sees_has_the_unit_and_only_the_digits_that_matter():
    assert Slider("n", "N", 0, 20_000, 10_000, 0, unit="tokens").texts == ["0 tokens", "10,000 tokens", "20,000 tokens"]
    assert Slider("n", "N", -0.5, 0.5, 0.25, 0).texts == ["−0.50", "−0.25", "0.00", "0.25", "0.50"]
    assert Slider("n", "N", 0.01, 1000.0, 10, 1, log=True).texts == ["0.01", "0.1", "1", "10", "100", "1,000"]


@pytest.mark.parametrize(
    "numbers, log, said",
    [
        ((0, 10, 3, 0), False, "whole number"),
        ((0, 1, 1e-6, 0), False, "at most 2,000"),
        ((0, 10, 5, 4), False, "cannot stand at 4: the nearest position is 5"),
        ((5, 5, 1, 5), False, "minimum < maximum"),
        ((0, 10, 0, 0), False, "step > 0"),
        ((0, 10, 2, 2), True, "0 < minimum"),
        ((1, 8, 1, 1), True, "step > 1"),
        ((1, 10, 2, 2), True, "whole number"),
        ((0, float("nan"), 1, 0), False, "maximum must be a finite number"),
        ((True, 2, 1, 1), False, "minimum must be a finite number"),
        (("0", 2, 1, 1), False, "minimum must be a finite number"),
    ],
)
def test_a_slider_that_cannot_be_is_refused(numbers, log, said):
    with pytest.raises(ValueError, match=said):
        Slider("n", "N", *numbers, log=log)


def test_names_and_labels_are_needed():
    with pytest.raises(ValueError, match="label"):
        Slider("n", " ", 0, 1, 1, 0)
    with pytest.raises(ValueError, match="name"):
        Choice("", "Label", [1], 1)
    with pytest.raises(ValueError, match="no option 3"):
        Choice("n", "N", [1, 2], 3)
    with pytest.raises(ValueError, match="title"):
        an_explorer(title="")
    with pytest.raises(ValueError, match="at least one"):
        explore(draw, [], "t")
    with pytest.raises(ValueError, match="name of its own"):
        an_explorer(controls=[Slider(*WIDTH), Slider(*WIDTH)])
    with pytest.raises(ValueError, match="draw does not take"):
        an_explorer(controls=[Slider("height", "Height", 0, 1, 1, 0)])


def test_moving_draws_with_the_values_of_the_positions():
    explorer = an_explorer()
    assert explorer.scene["alt"] == "width 16, base 10000, sine"
    before = explorer.scene["source"]
    assert ask(explorer, [3, 1]) == [{"kind": "drawn", "view": "v", "serial": 7}]
    assert explorer.scene["alt"] == "width 32, base 10000, cosine"
    assert explorer.scene["source"] != before and explorer.scene["positions"] == [3, 1]


def test_python_can_move_the_controls_too():
    explorer = an_explorer()
    explorer.move(kind="cosine")
    assert explorer.scene["positions"] == [1, 1] and "cosine" in explorer.scene["alt"]
    with pytest.raises(ValueError, match="no control is called depth"):
        explorer.move(depth=3)


def test_a_drawing_that_fails_is_said_in_words_and_the_next_one_works():
    explorer = an_explorer()
    good = explorer.scene
    assert len(ask(explorer, [7, 0])) == 1
    said = explorer.scene["problem"]
    assert "Width: 64" in said and "RuntimeError: 64 is too wide" in said
    assert f"line {draw.__code__.co_firstlineno + 5} of the cell that defines draw" in said
    assert explorer.scene["source"] == good["source"] and explorer.scene["alt"] == good["alt"]
    assert isinstance(explorer.error, RuntimeError)
    ask(explorer, [0, 0])
    assert explorer.scene["problem"] == "" and explorer.error is None


def test_a_figure_without_names_is_a_problem_in_words_too():
    def nameless(width):
        return new_figure()[0] if width > 16 else draw(width)[0], "alt"

    explorer = an_explorer(nameless, [Slider(*WIDTH)])
    ask(explorer, [5])
    assert "the figure lacks a title" in explorer.scene["problem"]


def test_leaving_python_from_a_drawing_does_not_leave_it():
    def leaves(width):
        return exit(1) if width > 16 else draw(width)

    explorer = an_explorer(leaves, [Slider(*WIDTH)])
    assert len(ask(explorer, [5])) == 1 and "SystemExit" in explorer.scene["problem"]


def test_the_first_drawing_fails_in_the_cell():
    with pytest.raises(RuntimeError, match="too wide"):
        an_explorer(controls=[Slider("width", "Width", 8, 64, 8, 64)])
    with pytest.raises(ValueError, match="must return"):
        an_explorer(lambda width: draw(width)[0], [Slider(*WIDTH)])


@pytest.mark.parametrize("positions", [None, [], [1], [1, 2], [-1, 0], [0.5, 0], [True, 0], ["1", 0], [0, 0, 0]])
def test_a_message_that_makes_no_sense_is_refused_and_still_answered(positions):
    explorer, before = an_explorer(), None
    before, sent = explorer.scene, []
    explorer.send = sent.append
    content = {"kind": "draw", "view": "v", "serial": 1, "positions": positions}
    with pytest.raises(ValueError, match="do not fit the controls"):
        explorer._answer(explorer, content, [])
    assert len(sent) == 1 and explorer.scene == before


def test_without_a_frontend_the_figure_still_shows():
    data, _ = an_explorer()._repr_mimebundle_()
    found = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: found.append((tag, dict(attributes)))
    parser.feed(data["text/html"])
    (image,) = [attributes for tag, attributes in found if tag == "img"]
    assert image["alt"] == "width 16, base 10000, sine" and image["src"].startswith("data:image/png")
    assert "b" not in [tag for tag, _ in found]
    assert "Width: 16; Function: sine. Run this cell to move the sliders." in data["text/html"]
    assert data["text/plain"].splitlines()[0] == "Positions <b>"
    assert "width 16, base 10000, sine" in data["text/plain"]
    assert "application/vnd.jupyter.widget-view+json" in data


def test_the_static_parts_are_the_same_every_time():
    (first, _), (second, _) = an_explorer()._repr_mimebundle_(), an_explorer()._repr_mimebundle_()
    assert [first[kind] for kind in ("text/plain", "text/html")] == [
        second[kind] for kind in ("text/plain", "text/html")
    ]
