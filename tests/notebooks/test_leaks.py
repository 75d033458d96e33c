"""No answer gets out: neither the code between the markers nor the last hint stands in exercises/."""

import functools
import re
from pathlib import Path

import pytest

from clearformer.authoring.handout import BEGIN, END, LIKE_A_MARKER
from clearformer.authoring.notebook import read
from clearformer.checks import catalogue

ROOT = Path(__file__).parents[2]
LESSONS = [lesson.id for lesson in catalogue.LESSONS]
SHORTEST = 12  # characters; a shorter line, such as `return x`, gives nothing away


def squeezed(text):
    return re.sub(r"\s+", "", text)


def answer_lines(notebook):
    """{exercise: the telling lines of its answer, without white space}"""
    found = {}
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("solution"):
            regions = re.findall(rf"{BEGIN}\n(.*?)\n *{END}", cell.source, re.DOTALL)
            lines = {squeezed(line) for region in regions for line in region.split("\n")}
            found[cell.metadata.nbgrader.grade_id] = {line for line in lines if len(line) > SHORTEST}
    return found


def texts(notebook):
    """[(exercise whose task the cell belongs to, or "", squeezed text of the cell)]"""
    texts, waiting = [], []
    for cell in notebook.cells:
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id", "")
        if re.match(r"#+ ", cell.source) and cell.cell_type == "markdown":
            texts += [("", text) for text in waiting]
            waiting = []
        waiting.append(squeezed(cell.source))
        if cell.metadata.get("nbgrader", {}).get("solution"):
            texts += [(grade_id, text) for text in waiting]
            waiting = []
    return texts + [("", text) for text in waiting]


def leaks(answers, exercises, may_show):
    """(exercise, line) for each line of an answer that stands in a cell of the exercises.

    may_show: {hunt: the exercises whose lines its task may show}. A hunt shows broken code, which shares
    lines with the mended one and with what the reader has written by then.
    """
    return [
        (name, line)
        for name, lines in answers.items()
        for line in sorted(lines)
        for task, text in exercises
        if line in text and name not in may_show.get(task, ())
    ]


@functools.cache
def solutions(lesson):
    return read(ROOT / "solutions" / f"{lesson}.ipynb")


@functools.cache
def exercises():
    """What a learner can read in any of the exercise notebooks."""
    return [pair for path in sorted((ROOT / "exercises").glob("*.ipynb")) for pair in texts(read(path))]


@functools.cache
def hunts():
    """{hunt: itself and the exercises before it}"""
    course = catalogue.exercises()
    names = [exercise.name for exercise in course]
    return {each.name: names[: index + 1] for index, each in enumerate(course) if each.kind == "hunt"}


@pytest.mark.parametrize("lesson", LESSONS)
def test_no_line_of_an_answer_stands_in_the_exercises(lesson):
    answers = answer_lines(solutions(lesson))
    assert set(answers) == {exercise.name for exercise in catalogue.exercises(lesson)}
    assert leaks(answers, exercises(), hunts()) == []


@pytest.mark.parametrize("lesson", LESSONS)
def test_the_last_hint_does_not_stand_in_the_exercises(lesson):
    hints = {exercise.name: {squeezed(exercise.hints[-1].split("\n")[-1])} for exercise in catalogue.exercises(lesson)}
    assert leaks(hints, exercises(), hunts()) == []


@pytest.mark.parametrize("lesson", LESSONS)
def test_no_marker_and_no_output_is_left(lesson):
    notebook = read(ROOT / "exercises" / f"{lesson}.ipynb")
    for cell in notebook.cells:
        assert not LIKE_A_MARKER.search(cell.source)
        assert cell.cell_type != "code" or (cell.outputs == [] and cell.execution_count is None)


def planted(cells):
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

    makers = {"markdown": new_markdown_cell, "code": new_code_cell}
    return new_notebook(cells=[makers[kind](source, metadata=metadata) for kind, source, metadata in cells])


ANSWER = f"def softmax(x):\n    {BEGIN}\n    e = np.exp(x - x.max(-1))\n    return e\n    {END}"
GRADED = {"nbgrader": {"grade_id": "softmax", "solution": True}}


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        (("markdown", "Look: `e = np.exp(x - x.max(-1))`", {}), 1),
        (("code", "weights = [\n  e=np.exp(x-x.max(-1))\n]", {}), 1),
        (("code", "def softmax(x):\n    e  =  np.exp(x - x.max(-1))", GRADED), 1),
        (("code", "e = np.exp(x)\nreturn e", {}), 0),
    ],
)
def test_a_planted_answer_is_found_wherever_it_is(cell, found):
    answers = answer_lines(planted([("code", ANSWER, GRADED)]))
    heading, stub = ("markdown", "## 1. softmax", {}), ("code", "softmax = None", GRADED)
    for order in ([cell, heading, stub], [heading, cell, stub], [heading, stub, cell]):
        assert len(leaks(answers, texts(planted(order)), {})) == found


def test_a_hunt_may_show_lines_of_its_own_answer_in_its_task_and_nowhere_else():
    answers = answer_lines(planted([("code", ANSWER, GRADED)]))
    heading, stub = ("markdown", "## 1. softmax", {}), ("code", "softmax = None", GRADED)
    broken = ("code", "e = np.exp(x - x.max(-1))", {})
    may_show = {"softmax": ["softmax"]}
    assert leaks(answers, texts(planted([heading, broken, stub])), may_show) == []
    assert len(leaks(answers, texts(planted([broken, heading, stub])), may_show)) == 1
    assert len(leaks(answers, texts(planted([heading, stub, broken])), may_show)) == 1
    assert len(leaks(answers, texts(planted([heading, broken, stub])), {"softmax": ["other"]})) == 1
