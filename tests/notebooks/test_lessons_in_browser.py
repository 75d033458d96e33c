"""Each lesson in a real JupyterLab: it runs, its sliders and maps move by keyboard, and a screen reader can read it.

It is run as far as its last widget. What comes after is read as it is stored; that it runs is nbval's to say.
"""

import re
from pathlib import Path

import nbformat
import pytest

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))

UNEXPECTED_ERRORS = """
[...window.jupyterapp.shell.currentWidget.content.model.cells]
    .map(cell => cell.toJSON())
    .filter(cell => !(cell.metadata.tags ?? []).includes('raises-exception'))
    .flatMap(cell => cell.outputs ?? [])
    .filter(output => output.output_type === 'error')
    .map(output => `${output.ename}: ${output.evalue}`)
"""
RUN_THE_FIRST = """
number => {
    window.jupyterapp.shell.currentWidget.content.activeCellIndex = number;
    window.jupyterapp.commands.execute('notebook:run-all-above');
}
"""
THE_FIRST_WERE_RUN = """
number => [...window.jupyterapp.shell.currentWidget.content.model.cells].slice(0, number)
    .filter(cell => cell.type === 'code').every(cell => cell.executionCount !== null)
"""
WIDGETS = re.compile(r"\b(explore|attention_map|TrainingCurve)\(")


@pytest.fixture(params=LESSONS, ids=lambda path: path.stem)
def lesson(request, outside_connections, lab_page):
    """A lesson that was opened and run from its top to its last widget."""
    lab = lab_page(request.param, run=False)
    cells = nbformat.read(request.param, as_version=4).cells
    last = max(number for number, cell in enumerate(cells) if cell.cell_type == "code" and WIDGETS.search(cell.source))
    lab.page.evaluate(RUN_THE_FIRST, last + 1)
    # The command ends at the first cell that fails, on purpose too, while the kernel goes on.
    lab.page.wait_for_function(THE_FIRST_WERE_RUN, arg=last + 1, timeout=180_000)
    return lab


def test_a_lesson_runs_moves_by_keyboard_and_can_be_read_aloud(lesson, outside_connections):
    assert lesson.page.evaluate(UNEXPECTED_ERRORS) == []
    sliders = lesson.page.locator(".jp-OutputArea-output input[type=range]")
    sliders.first.wait_for()
    for number in range(sliders.count()):
        the_figure_follows(sliders.nth(number))
    for grid in lesson.page.locator(".jp-OutputArea-output [role=grid]").all():
        the_arrow_keys_move_within(grid)
    assert lesson.violations(".jp-OutputArea-output") == []
    assert lesson.outside_requests == []
    assert outside_connections() == []


def the_figure_follows(slider):
    """One arrow key on the slider draws another picture with another description."""
    picture = slider.locator("xpath=ancestor::*[.//img][1]").locator("img").first
    before, described = picture.get_attribute("src"), picture.get_attribute("alt")
    where = slider.input_value()
    slider.focus()
    slider.press("ArrowRight")
    if slider.input_value() == where:  # it stood at its end
        slider.press("ArrowLeft")
    assert slider.input_value() != where
    slider.page.wait_for_function("([image, old]) => image.src !== old", arg=[picture.element_handle(), before])
    assert picture.get_attribute("alt") != described


def the_arrow_keys_move_within(grid):
    """One cell takes part in the Tab order; an arrow key moves the focus to another."""
    start = grid.locator("[tabindex='0']").first
    start.focus()
    before = grid.page.evaluate(
        "document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent"
    )
    column = grid.page.evaluate("[...document.activeElement.parentElement.children].indexOf(document.activeElement)")
    grid.page.keyboard.press("ArrowRight")
    after = grid.page.evaluate("[...document.activeElement.parentElement.children].indexOf(document.activeElement)")
    assert after != column, f"the focus stayed at {before}"


def test_a_kernel_that_calls_out_is_noticed(lab_page, outside_connections, tmp_path):
    """The other test's claim that nobody is called can fail. 192.0.2.1 is an address that nobody has (RFC 5737)."""
    call = (
        "import socket\ntry:\n    socket.create_connection(('192.0.2.1', 9), timeout=0.01)\nexcept OSError:\n    pass"
    )
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(call)], metadata=kernel)
    nbformat.write(notebook, tmp_path / "calls.ipynb")
    lab_page(tmp_path / "calls.ipynb")
    assert outside_connections() == ["('192.0.2.1', 9)"]


def test_there_are_lessons_to_open():
    assert {path.stem for path in LESSONS} >= {"00_start_here", "01_positional_encoding", "02_attention"}
