"""nbgrader takes our notebooks as they are: released, answered, graded by its own commands."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook

from clearformer.authoring.notebook import read
from clearformer.checks import catalogue

ROOT = Path(__file__).parents[2]
LESSON = "02_attention"
pytestmark = pytest.mark.slow
# nbgrader calls `alembic` by name, also where the environment it lies in is not activated.
SEARCHED = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course with one assignment, released, handed in empty by alice and solved by bob, and graded."""
    root = tmp_path_factory.mktemp("course")
    source = root / "source" / "ps1"
    source.mkdir(parents=True)
    shutil.copy(ROOT / "solutions" / f"{LESSON}.ipynb", source)
    nbgrader(root, "generate_assignment", "ps1")
    hand_in(root, "alice", {})
    hand_in(root, "bob", answers())
    nbgrader(root, "autograde", "ps1")
    return root


def nbgrader(root, *arguments):
    """Run one of nbgrader's commands with a home and settings of its own."""
    home = root / "home"
    home.mkdir(exist_ok=True)
    own = {name: str(home / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")}
    own |= {
        "PATH": SEARCHED,
        "HOME": str(home),
        "IPYTHONDIR": str(home / "ipython"),
        "CLEARFORMER_HOME": str(home / "clearformer"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *arguments, f"--CourseDirectory.root={root}"],
        cwd=root,
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr


def answers():
    """{exercise: the source of its answer cell}"""
    cells = read(ROOT / "solutions" / f"{LESSON}.ipynb").cells
    graded = [cell for cell in cells if cell.metadata.get("nbgrader", {}).get("solution")]
    return {cell.metadata.nbgrader.grade_id: cell.source for cell in graded}


def hand_in(root, student, written):
    """Copy the released notebook to the student's folder, with these answers in it."""
    notebook = read(root / "release" / "ps1" / f"{LESSON}.ipynb")
    for cell in notebook.cells:
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id")
        cell.source = written.get(grade_id, cell.source)
    folder = root / "submitted" / student / "ps1"
    folder.mkdir(parents=True)
    nbformat.write(notebook, folder / f"{LESSON}.ipynb")


def test_nothing_of_the_answers_is_released(course):
    released = (course / "release" / "ps1" / f"{LESSON}.ipynb").read_text(encoding="utf-8")
    assert "SOLUTION" not in released
    assert released.count("NotImplementedError") >= len(answers())


def test_a_stub_gets_no_points_and_the_solutions_get_them_all(course, monkeypatch):
    monkeypatch.setenv("PATH", SEARCHED)
    exercises = catalogue.exercises(LESSON)
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        assert gradebook.find_assignment("ps1").max_score == sum(each.points for each in exercises)
        scores = {
            student: {
                grade.name: (grade.auto_score, grade.max_score)
                for notebook in gradebook.find_submission("ps1", student).notebooks
                for grade in notebook.grades
            }
            for student in ("alice", "bob")
        }
    assert scores["alice"] == {f"check_{each.name}": (0, each.points) for each in exercises}
    assert scores["bob"] == {f"check_{each.name}": (each.points, each.points) for each in exercises}
