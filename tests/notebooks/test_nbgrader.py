"""nbgrader takes our notebooks as they are: every command of docs/nbgrader.md, in its order, by nbgrader itself."""

import csv
import getpass
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook

from clearformer.authoring.notebook import read
from clearformer.checks import catalogue

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "nbgrader.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```bash\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
LESSON = "02_attention"
EXERCISES = catalogue.exercises(LESSON)
FULL = sum(each.points for each in EXERCISES)
# The student who uses the exchange is whoever runs this; the others' notebooks are put where nbgrader looks.
FETCHES, HANDS_IN, CHEATS = getpass.getuser(), "alice", "mallory"
pytestmark = pytest.mark.slow
# nbgrader calls `alembic` by name, also where the environment it lies in is not activated.
SEARCHED = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


# Importing nbgrader takes most of a command's time. So one process imports it, and each command is a child of that.
NBGRADER = """#!/bin/sh
printf '%s\\n' "$PWD" "$@" > "$HOME/ask"
read status < "$HOME/answer"
cat "$HOME/said"
exit $status
"""
WARM = """
import os, sys
import nbgrader.apps, nbgrader.converters, nbgrader.exchange, nbgrader.server_extensions.formgrader
from nbgrader.apps.nbgraderapp import NbGraderApp

home = os.environ["HOME"]
while True:
    with open(f"{home}/ask") as ask:
        folder, *arguments = ask.read().splitlines()
    child = os.fork()
    if child == 0:
        os.chdir(folder)
        said = os.open(f"{home}/said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(said, 1)
        os.dup2(said, 2)
        NbGraderApp.launch_instance(argv=arguments)
        sys.exit()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with open(f"{home}/answer", "w") as answer:
        answer.write(f"{status}\\n")
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home with the course's checkout in it, and a course of nbgrader in which the page's commands were run.

    Whoever uses the exchange hands in the solutions, alice an empty notebook, mallory one that replaces `check`.
    """
    home = tmp_path_factory.mktemp("home")
    (home / "clearformer").symlink_to(ROOT, target_is_directory=True)
    (home / "downloads").mkdir()
    settings = home / "jupyter_config_dir"
    settings.mkdir()
    (settings / "nbgrader_config.py").write_text(f"c = get_config()\nc.Exchange.root = {str(home / 'exchange')!r}\n")
    (home / "exchange").mkdir(mode=0o777)
    (home / "exchange").chmod(0o777)
    (home / "bin").mkdir()
    (home / "bin" / "nbgrader").write_text(NBGRADER, encoding="utf-8")
    (home / "bin" / "nbgrader").chmod(0o755)
    for name in ("ask", "answer"):
        os.mkfifo(home / name)
    with subprocess.Popen([sys.executable, "-c", WARM], cwd=home, env=environment(home)) as warm:
        for block in BLOCKS:
            before(block, home)
            if "clearformer grade" not in block:
                run(block, home)
        warm.kill()
    return home


def before(block, home):
    """What people do between the page's commands."""
    released = home / "my_course" / "release" / LESSON / f"{LESSON}.ipynb"
    if "nbgrader submit" in block:
        write(released, answers(), home / LESSON / f"{LESSON}.ipynb")
    if "downloads/alice.ipynb" in block:
        write(released, {}, home / "downloads" / "alice.ipynb")
        folder = home / "my_course" / "submitted" / CHEATS / LESSON
        folder.mkdir(parents=True)
        write(released, {"softmax": "check = lambda *anything: None\nsoftmax = None"}, folder / f"{LESSON}.ipynb", True)


def environment(home):
    """A home and settings of one's own."""
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "CLEARFORMER_HOME")
    own = {name: str(home / name.lower()) for name in names}
    return os.environ | own | {"PATH": f"{home / 'bin'}{os.pathsep}{SEARCHED}", "HOME": str(home)}


def run(block, home):
    """Run one block of the page in a shell."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        cwd=home,
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, block + done.stdout + done.stderr
    return done


def answers():
    """{exercise: the source of its answer cell}"""
    cells = read(ROOT / "solutions" / f"{LESSON}.ipynb").cells
    graded = [cell for cell in cells if cell.metadata.get("nbgrader", {}).get("solution")]
    return {cell.metadata.nbgrader.grade_id: cell.source for cell in graded}


def write(source, written, target, fill=False):
    """Write `source` to `target` with these answers in it; with fill, the other answers only define their name."""
    notebook = read(source)
    for cell in notebook.cells:
        grading = cell.metadata.get("nbgrader", {})
        name = grading.get("grade_id")
        if name in written:
            cell.source = written[name]
        elif fill and grading.get("solution"):
            cell.source = f"{name} = None"
        elif (
            fill
            and cell.cell_type == "code"
            and not grading.get("grade")
            and name is None
            and "import" not in cell.source
        ):
            cell.source = "pass"
    if target.exists():
        target.chmod(0o644)
    nbformat.write(notebook, target)


def scores(home, student):
    """{grade_id: (points, of)}"""
    with Gradebook(f"sqlite:///{home / 'my_course' / 'gradebook.db'}") as gradebook:
        notebooks = gradebook.find_submission(LESSON, student).notebooks
        return {grade.name: (grade.auto_score, grade.max_score) for each in notebooks for grade in each.grades}


def test_the_page_names_the_version_that_is_tested():
    from importlib.metadata import version

    assert f"nbgrader {version('nbgrader')}" in PAGE


def test_what_the_page_leaves_to_the_reader_is_the_installation_alone():
    others = re.findall(r"^```(?!bash)\w+\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    lines = [line for block in others for line in block.strip().split("\n")]
    assert all(re.match(r"cd |source |\.venv/bin/python -m pip install ", line) for line in lines)


def test_nothing_of_the_answers_is_released(home):
    released = (home / "my_course" / "release" / LESSON / f"{LESSON}.ipynb").read_text(encoding="utf-8")
    assert "SOLUTION" not in released
    assert released.count("NotImplementedError") >= len(answers())


def test_a_stub_gets_no_points_and_the_solutions_get_them_all(home, monkeypatch):
    monkeypatch.setenv("PATH", SEARCHED)
    assert scores(home, HANDS_IN) == {f"check_{each.name}": (0, each.points) for each in EXERCISES}
    assert scores(home, FETCHES) == {f"check_{each.name}": (each.points, each.points) for each in EXERCISES}


def test_a_notebook_that_replaces_check_gets_full_points_from_nbgrader(home, monkeypatch):
    monkeypatch.setenv("PATH", SEARCHED)
    assert sum(points for points, _ in scores(home, CHEATS).values()) == FULL
    assert f"gets {FULL} of {FULL} points from nbgrader and 0 from `clearformer grade`" in PAGE


def test_grades_and_feedback_are_where_the_page_says(home):
    with open(home / "my_course" / "grades.csv", encoding="utf-8", newline="") as file:
        found = {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}
    assert found == {FETCHES: FULL, HANDS_IN: 0, CHEATS: FULL}
    for student in found:
        assert (home / "my_course" / "feedback" / student / LESSON / f"{LESSON}.html").is_file()


def test_the_feedback_shows_what_the_check_said(home):
    page = (home / "my_course" / "feedback" / HANDS_IN / LESSON / f"{LESSON}.html").read_text(encoding="utf-8")
    assert "softmax is not written yet" in page


def test_clearformer_grades_what_nbgrader_has_collected_and_changes_nothing_there(home):
    before = {path: path.stat().st_mtime_ns for path in (home / "my_course" / "submitted").rglob("*")}
    run(next(block for block in BLOCKS if "clearformer grade" in block), home)
    report = json.loads((home / "my_course" / "report" / "report.json").read_text(encoding="utf-8"))
    found = {each["student"]: (each["points"], each["max_points"]) for each in report["notebooks"]}
    assert found == {FETCHES: (FULL, FULL), HANDS_IN: (0, FULL), CHEATS: (0, FULL)}
    assert {path: path.stat().st_mtime_ns for path in (home / "my_course" / "submitted").rglob("*")} == before
