"""The widgets in JupyterLab: by keyboard, by mouse, in both themes, and where nothing has been run."""

import re

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from playwright.sync_api import expect

from clearformer.plots import Slider, attention_map, explore, new_figure, picture, table

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("widgets")]  # its tests share what they opened

EXPLORER = """
import time
from clearformer.plots import Choice, Slider, explore, new_figure

drawings = 0

def draw(width, base, shape):
    global drawings
    drawings += 1
    time.sleep(0.15)
    figure, axes = new_figure(height=3)
    axes.plot([0, 1, 2], [0, width, base] if shape == "up" else [base, width, 0])
    axes.set(title="Three points", xlabel="step", ylabel="value")
    if width == 40:
        raise RuntimeError("40 is too wide")
    return figure, f"Width {width}, base {base}, going {shape}, drawing {drawings}."

explore(draw, [
    Slider("width", "Width", 0, 40, 1, 4, unit="columns"),
    Slider("base", "Base", 1, 100_000, 10, 1000, log=True),
    Choice("shape", "Shape", ["up", "down"], "up"),
], title="Three points that move")
"""
MAP = """
import numpy as np
from clearformer.plots import attention_map

words = ["the", "cat", "<script>window.broken = 1</script>", "sat"]
weights = np.stack([np.tri(4) / np.arange(1, 5)[:, None], np.eye(4)[::-1]])
attention_map(weights, words, words, title="Who looks at whom", head_names=["mean", "mirror"])
"""
STATIC = """
from clearformer.plots import heatmap, new_figure, show, table

figure, axes = new_figure(width=4, height=3)
heatmap(axes, [[0.25, 0.75], [0.5, 0.5]], title="Two by two", xlabel="key", ylabel="query", value_name="weight")
show(figure, "Each row sums to 1.")
table([["a", 1.5]], ["name", "size (m)"], "Sizes")
"""


def write(path, *cells):
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(new_notebook(cells=list(cells), metadata=kernel), path)
    return path


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    sources = [EXPLORER, MAP, STATIC]
    return write(tmp_path_factory.mktemp("made") / "widgets.ipynb", *map(new_code_cell, sources))


@pytest.fixture(scope="module")
def lab(module_lab_page, notebook):
    return module_lab_page(notebook)


@pytest.fixture
def explorer(lab):
    return lab.output(0).locator(".cf-explorer")


@pytest.fixture
def grid(lab):
    return lab.output(1).locator(".cf-map")


def live(widget):
    return widget.locator("[aria-live=polite]")


def alt_is(explorer, pattern):
    expect(explorer.locator("img")).to_have_attribute("alt", re.compile(pattern))
    return explorer.locator("img").get_attribute("alt")


def active_cell(lab):
    return lab.page.evaluate("window.jupyterapp.shell.currentWidget.content.activeCellIndex")


@pytest.mark.parametrize(
    "label, keys, shown, drawn",
    [
        ("Width", ["Home", "ArrowRight"], "1 columns", "Width 1,"),
        ("Width", ["End", "ArrowLeft", "ArrowDown"], "38 columns", "Width 38,"),
        ("Width", ["Home", "PageUp"], "4 columns", "Width 4,"),
        ("Base", ["Home", "ArrowRight", "ArrowUp"], "100", "base 100,"),
        ("Base", ["End"], "100,000", "base 100000,"),
    ],
)
def test_each_slider_moves_by_keyboard_and_the_figure_follows(lab, explorer, label, keys, shown, drawn):
    slider, before = explorer.get_by_label(label), explorer.locator("img").get_attribute("src")
    slider.focus()
    cell = active_cell(lab)
    for key in keys:
        slider.press(key)
    expect(slider).to_have_attribute("aria-valuetext", shown)
    expect(explorer.locator(".cf-readout").filter(has_text=re.compile(f"^{shown}$"))).to_be_visible()
    alt = alt_is(explorer, drawn)
    assert explorer.locator("img").get_attribute("src") != before
    expect(live(explorer)).to_have_text(alt)
    assert active_cell(lab) == cell  # JupyterLab did not take the keys for itself


def test_a_choice_is_made_by_keyboard(explorer):
    choice = explorer.get_by_label("Shape")
    choice.focus()
    choice.press("End")
    alt_is(explorer, "going down")
    choice.press("ArrowUp")
    alt_is(explorer, "going up")


def test_a_slider_is_dragged_with_the_mouse(lab, explorer):
    slider = explorer.get_by_label("Width")
    slider.focus()
    slider.press("Home")
    box = slider.bounding_box()
    lab.page.mouse.move(box["x"] + 9, box["y"] + box["height"] / 2)
    lab.page.mouse.down()
    lab.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=20)
    lab.page.mouse.up()
    alt_is(explorer, "Width 20,")


def test_each_control_shows_a_ring_when_the_keyboard_reaches_it(lab, explorer, grid):
    def ring():
        return lab.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")

    explorer.get_by_label("Width").focus()
    for name in ("base", "shape"):
        lab.page.keyboard.press("Tab")
        assert explorer.locator(":focus").get_attribute("data-name") == name and ring() == "solid"
    grid.get_by_label("Attention head").focus()
    lab.page.keyboard.press("Tab")
    assert grid.locator(":focus").get_attribute("role") == "gridcell" and ring() == "solid"


def test_fast_dragging_draws_the_last_position_and_does_not_queue(explorer):
    slider = explorer.get_by_label("Width")
    slider.focus()
    slider.press("Home")
    before = int(alt_is(explorer, "Width 0,").split()[-1].strip("."))
    slider.evaluate(
        """async (input) => {
            for (let position = 1; position <= 30; position++) {
                input.value = position;
                input.dispatchEvent(new Event("input", {bubbles: true}));
                await new Promise((done) => setTimeout(done, 10));
            }
        }"""
    )
    after = int(alt_is(explorer, "Width 30,").split()[-1].strip("."))
    # 30 moves in about 0.3 s, one drawing takes at least 0.15 s: a few are drawn, the last one is.
    assert 1 <= after - before <= 10
    explorer.page.wait_for_timeout(500)
    assert explorer.locator("img").get_attribute("alt").endswith(f" {after}.")


def test_a_drawing_that_fails_is_said_on_the_page_and_the_next_one_is_drawn(explorer):
    slider, problem = explorer.get_by_label("Width"), explorer.locator(".cf-problem")
    slider.focus()
    slider.press("End")
    expect(problem).to_contain_text("RuntimeError: 40 is too wide")
    expect(live(explorer)).to_contain_text("40 is too wide")
    slider.press("ArrowLeft")
    alt_is(explorer, "Width 39,")
    expect(problem).to_be_hidden()


def test_the_attention_map_is_walked_by_keyboard(lab, grid):
    grid.get_by_role("gridcell").first.click()
    cell = active_cell(lab)
    expect(live(grid)).to_have_text("“the” looks at: the 1.00.")
    lab.page.keyboard.press("ArrowDown")
    expect(live(grid)).to_have_text("“cat” looks at: the 0.50, cat 0.50.")
    lab.page.keyboard.press("End")
    expect(grid.locator(":focus")).to_have_attribute("aria-label", "cat looks at sat: 0")
    lab.page.keyboard.press("Control+End")
    expect(grid.locator(":focus")).to_have_attribute("aria-label", "sat looks at sat: 0.25")
    lab.page.keyboard.press("ArrowRight")  # at the edge: stays
    lab.page.keyboard.press("ArrowLeft")
    lab.page.keyboard.press("Home")
    lab.page.keyboard.press("ArrowUp")
    hostile = "<script>window.broken = 1</script>"
    expect(grid.locator(":focus")).to_have_attribute("aria-label", f"{hostile} looks at the: 0.33")
    expect(live(grid)).to_have_text(f"“{hostile}” looks at: the 0.33, cat 0.33, {hostile} 0.33.")
    assert grid.locator("[role=gridcell][tabindex='0']").count() == 1
    assert active_cell(lab) == cell
    assert lab.page.evaluate("window.broken") is None


def test_pointing_shows_a_row_and_leaving_shows_the_chosen_one_again(lab, grid):
    grid.get_by_role("gridcell").first.click()
    grid.get_by_role("gridcell").nth(5).hover()
    expect(live(grid)).to_contain_text("“cat” looks at")
    lab.page.mouse.move(1, 1)
    expect(live(grid)).to_contain_text("“the” looks at")
    grid.get_by_role("gridcell").nth(5).click()
    lab.page.mouse.move(1, 1)
    expect(live(grid)).to_contain_text("“cat” looks at")


def test_another_head_is_chosen_by_keyboard(lab, grid):
    grid.get_by_role("gridcell").first.click()
    chooser = grid.get_by_label("Attention head")
    chooser.focus()
    chooser.press("End")
    expect(live(grid)).to_have_text("“the” looks at: sat 1.00.")
    expect(grid.get_by_role("gridcell").nth(3)).to_have_text("1.00")
    chooser.press("Home")
    expect(live(grid)).to_have_text("“the” looks at: the 1.00.")


def test_screen_readers_find_a_grid_with_headers(grid):
    assert grid.get_by_role("grid", name="Who looks at whom").count() == 1
    assert grid.get_by_role("columnheader").count() == 5
    assert [header.inner_text() for header in grid.get_by_role("rowheader").all()][:2] == ["the", "cat"]


@pytest.mark.parametrize("theme, lightest", [("light", "rgb(243, 246, 250)"), ("dark", "rgb(34, 42, 51)")])
def test_axe_finds_nothing_serious_in_our_outputs(lab, grid, theme, lightest):
    lab.set_theme(theme)
    hidden = grid.get_by_role("gridcell").nth(1)
    expect(hidden).to_have_css("background-color", lightest)  # each theme has its own shades
    assert lab.violations(".jp-OutputArea-output") == []


def test_the_accessibility_check_sees_a_violation(lab):
    lab.output(2).first.evaluate("e => e.insertAdjacentHTML('beforeend', '<div id=bad><img src=x><input></div>')")
    found = " ".join(lab.violations("#bad"))
    lab.page.evaluate("document.getElementById('bad').remove()")
    assert "image-alt" in found and "label" in found


def test_no_request_leaves_this_machine(lab):
    assert lab.outside_requests == []


def test_a_request_that_leaves_is_noticed_and_stopped(lab):
    reached = lab.page.evaluate("fetch('http://192.0.2.1/x').then(() => true, () => false)")
    assert not reached and lab.outside_requests.pop() == "http://192.0.2.1/x"


def static_outputs():
    """What a stored notebook keeps of our outputs: everything but the live widget."""

    def draw(width):
        figure, axes = new_figure(width=4, height=3)
        axes.plot([0, width])
        axes.set(title="Line", xlabel="step", ylabel="value")
        return figure, f"A line up to {width}."

    shown = explore(draw, [Slider("width", "Width", 1, 9, 1, 3)], "A line")
    mapped = attention_map(np.eye(2), ["a", "<b>"], ["a", "<b>"], "Two words")
    bundles = [shown._repr_mimebundle_()[0], mapped._repr_mimebundle_()[0]]
    bundles += [{"text/html": it._repr_html_(), "text/plain": repr(it)} for it in (table([["a", 1]], ["x", "y"], "T"),)]
    bundles.append({"text/html": picture(*draw(5))._repr_html_(), "text/plain": "A line up to 5."})
    return [{kind: text for kind, text in each.items() if "widget-view" not in kind} for each in bundles]


def test_a_notebook_that_is_opened_and_not_run_still_shows_everything(lab_page, tmp_path):
    cells = [
        new_code_cell("...", execution_count=1, outputs=[new_output("display_data", data)]) for data in static_outputs()
    ]
    lab = lab_page(write(tmp_path / "stored.ipynb", *cells), run=False)
    image = lab.output(0).locator("img")
    expect(image).to_have_attribute("alt", "A line up to 3.")
    assert image.evaluate("e => e.naturalWidth") == 800 and image.bounding_box()["width"] == 400
    expect(lab.output(0)).to_contain_text("Width: 3. Run this cell to move the sliders.")
    assert lab.output(1).locator("td").all_inner_texts() == ["1.00", "0", "0", "1.00"]
    assert lab.output(1).locator("th[scope=row]").all_inner_texts() == ["a", "<b>"]
    expect(lab.output(1).locator("caption")).to_have_text("Two words")
    expect(lab.output(2).locator("caption")).to_have_text("T")
    assert lab.output(3).locator("img").evaluate("e => e.naturalWidth") == 800
    for theme in ("light", "dark"):
        lab.set_theme(theme)
        assert lab.violations(".jp-OutputArea-output") == []
    assert lab.outside_requests == []
