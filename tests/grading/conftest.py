"""Notebooks made for a test, and a course small enough to be run often."""

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, writes

from clearformer.checks import catalogue

IMPORTS = "import numpy as np\nfrom clearformer import check, hint"
RIGHT = {
    "softmax": (
        "def softmax(x, axis=-1):\n"
        "    exponentials = np.exp(x - x.max(axis=axis, keepdims=True))\n"
        "    return exponentials / exponentials.sum(axis=axis, keepdims=True)"
    ),
    "score_variance": f"score_variance = {catalogue.find('score_variance').reference!r}",
    "causal_mask": "def causal_mask(seq_len):\n    return np.tri(seq_len, dtype=bool)",
}


@pytest.fixture
def right():
    """{exercise: source of a right answer}, in the order of the small course."""
    return dict(RIGHT)


@pytest.fixture
def small_course(monkeypatch):
    """A course of two lessons, 02_attention with the three exercises of `right`."""
    lesson = catalogue.lesson("02_attention")
    few = catalogue.Lesson(lesson.id, lesson.title, lesson.minutes, {name: name for name in RIGHT}, lesson.builds)
    monkeypatch.setattr(catalogue, "LESSONS", (catalogue.lesson("00_start_here"), few))


@pytest.fixture(autouse=True)
def own_progress(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("CLEARFORMER_HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture
def write(tmp_path):
    """write(cells, name=…, lesson=…) -> path of a new notebook.

    A cell is source, or (exercise, source) for an answer cell with its check cell, or a cell of nbformat.
    """

    def write_notebook(*cells, name="work.ipynb", lesson="02_attention", imports=IMPORTS):
        notebook = new_notebook(metadata={"clearformer": {"lesson": lesson}} if lesson else {})
        notebook.cells = [new_markdown_cell("# Exercises"), new_code_cell(imports)]
        for cell in cells:
            if isinstance(cell, tuple):
                notebook.cells += [answer_cell(*cell), check_cell(cell[0])]
            else:
                notebook.cells.append(new_code_cell(cell) if isinstance(cell, str) else cell)
        path = tmp_path / name
        path.write_text(writes(notebook), encoding="utf-8")
        return path

    return write_notebook


def answer_cell(exercise, source):
    marks = {"grade_id": exercise, "solution": True, "grade": False, "locked": False, "schema_version": 3}
    return new_code_cell(source, metadata={"nbgrader": marks})


def check_cell(exercise):
    # What is in a check cell never counts: this one would end the run.
    marks = {"grade_id": f"check_{exercise}", "solution": False, "grade": True, "locked": True, "schema_version": 3}
    return new_code_cell("import os; os._exit(7)", metadata={"nbgrader": marks, "points": 1})
