"""An exercise notebook that nobody has answered says so, kindly, and says nothing else."""

import copy
from pathlib import Path

import pytest

from clearformer.authoring.notebook import read
from clearformer.authoring.refresh import run
from clearformer.checks import catalogue

ROOT = Path(__file__).parents[2]
LESSONS = [lesson.id for lesson in catalogue.LESSONS]


@pytest.fixture(scope="module", params=LESSONS)
def unanswered(request):
    """(lesson, the cells of its exercises after a run from start to end that no error stops)."""
    path = ROOT / "exercises" / f"{request.param}.ipynb"
    notebook = copy.deepcopy(read(path))
    run(notebook, path, keep_going=True)
    return request.param, notebook.cells


def errors(cells):
    """(grade_id or "", the error) for each cell that failed."""
    return [
        (cell.metadata.get("nbgrader", {}).get("grade_id", ""), output)
        for cell in cells
        for output in cell.get("outputs", [])
        if output.output_type == "error"
    ]


def test_the_first_thing_that_stops_a_reader_is_the_first_check(unanswered):
    lesson, cells = unanswered
    first = next(iter(catalogue.lesson(lesson).exercises))
    assert errors(cells)[0][0] == f"check_{first}"


def test_each_check_says_that_its_exercise_is_not_written_yet_and_shows_no_traceback(unanswered):
    lesson, cells = unanswered
    said = {grade_id: error for grade_id, error in errors(cells) if grade_id}
    assert list(said) == [f"check_{name}" for name in catalogue.lesson(lesson).exercises]
    for grade_id, error in said.items():
        assert error.ename == "CheckFailed"
        assert error.evalue.startswith(f"{grade_id.removeprefix('check_')} is not written yet.")
        assert error.evalue.endswith(f'For a hint: hint("{grade_id.removeprefix("check_")}")')
        assert " ".join(" ".join(error.traceback).split()) == " ".join(error.evalue.split())


def test_cells_that_need_an_answer_say_which_one_is_missing(unanswered):
    lesson, cells = unanswered
    names = list(catalogue.lesson(lesson).exercises)
    for grade_id, error in errors(cells):
        if not grade_id:
            assert error.ename == "NotImplementedError"
            assert error.evalue in [f"{name} is not written yet" for name in names]
