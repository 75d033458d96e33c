"""The command `clearformer`: list and check."""

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_notebook, writes
from typer.testing import CliRunner

from clearformer import cli
from clearformer.checks import catalogue, progress

RIGHT = (
    "import numpy as np\n"
    "def normalise_rows(x):\n"
    "    return x / x.sum(axis=-1, keepdims=True)"
)  # fmt: skip
WRONG = RIGHT.replace("axis=-1", "axis=0")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("CLEARFORMER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def write(tmp_path):
    def write_notebook(source, name="work.ipynb"):
        cell = new_code_cell(source, metadata={"nbgrader": {"grade_id": "normalise_rows", "solution": True}})
        path = tmp_path / name
        path.write_text(writes(new_notebook(cells=[cell], metadata={"clearformer": {"lesson": "00_start_here"}})))
        return path

    return write_notebook


def run(*arguments):
    """In this process: fast, and the child it starts is real."""
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def command(*arguments, **how):
    """As a program of its own."""
    how = {"capture_output": True, "text": True} | how
    return subprocess.run([sys.executable, "-m", "clearformer.cli", *map(str, arguments)], check=False, **how)


# --- check ---------------------------------------------------------------------------------------------------


def test_a_right_notebook_exits_with_0_and_is_remembered(write, home):
    done = command("check", write(RIGHT))
    assert done.returncode == 0, done.stderr
    assert "✓ passed" in done.stdout and "1 of 1" in done.stdout
    assert done.stderr == ""
    assert set(progress.read().passed) == {"normalise_rows"}


def test_a_wrong_notebook_exits_with_1_and_says_what_is_wrong(write, home):
    done = run("check", write(WRONG))
    assert done.exit_code == 1
    assert "You added down the columns" in done.output
    assert 'hint("normalise_rows")' in done.output
    assert not home.exists()


def test_what_cannot_be_checked_exits_with_2_and_does_not_stop_the_others(write, tmp_path):
    broken = tmp_path / "broken.ipynb"
    broken.write_text("not JSON")
    out = tmp_path / "report.json"
    done = run("check", tmp_path / "none.ipynb", broken, tmp_path, write(RIGHT), "--json", out)
    assert done.exit_code == 2
    document = json.loads(out.read_text())
    none, not_json, folder, good = document["notebooks"]
    assert none["error"] == "There is no such file."
    assert "not JSON" in not_json["error"] and "a folder" in folder["error"]
    assert none["exercises"] == [] and good["exercises"][0]["status"] == "passed"
    assert "error" not in good
    assert "could not be checked" in done.output and "✓ passed" in done.output


def test_json_to_a_pipe_comes_alone_on_the_standard_output(write):
    done = command("check", write(WRONG), "--json", "-")
    assert done.returncode == 1
    found = json.loads(done.stdout)["notebooks"][0]["exercises"][0]
    assert (found["id"], found["status"], found["misconception"]) == ("normalise_rows", "failed", "columns-instead")
    assert "You added down the columns" in done.stderr


def test_json_that_cannot_be_written_is_said_with_2(write, tmp_path):
    done = run("check", write(RIGHT), "--json", tmp_path / "no folder" / "report.json")
    assert done.exit_code == 2
    assert "The JSON could not be written" in done.output


def test_the_deadline_is_the_cells(write):
    began = time.monotonic()
    done = run("check", write("while True: pass"), "--deadline", "0.5", "--json", "-")
    assert done.exit_code == 1
    assert "did not end within 0.5 seconds" in done.stdout
    assert time.monotonic() - began < 20
    assert run("check", write(RIGHT), "--deadline", "0").exit_code == 2


def test_names_with_a_leading_dash_spaces_and_line_breaks(write, tmp_path):
    names = ["-x.ipynb", "two words.ipynb", "line\nbreak.ipynb", "größe 数.ipynb"]
    for name in names:
        write(RIGHT, name)
    done = command("check", "--json", "report.json", "--", *names, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    document = json.loads((tmp_path / "report.json").read_text())
    assert [notebook["path"] for notebook in document["notebooks"]] == names


@pytest.mark.skipif(sys.platform != "linux", reason="file names that are not text are Linux's")
def test_a_name_that_is_not_text(write, tmp_path):
    write(RIGHT).rename(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.ipynb"))
    done = command("check", b"\xff.ipynb".decode(errors="surrogateescape"), "--json", "-", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["notebooks"][0]["path"] == "\udcff.ipynb"


def test_a_progress_file_that_cannot_be_written_is_said_and_the_check_counts(write, tmp_path, monkeypatch):
    (tmp_path / "home").write_text("a file")
    done = run("check", write(RIGHT))
    assert done.exit_code == 0
    assert "Passed, but the progress file" in " ".join(done.output.split())


def test_help_gives_an_example_and_the_exit_statuses():
    text = " ".join(command("check", "--help").stdout.split())
    assert "Example: clearformer check exercises/02_attention.ipynb --json report.json" in text
    assert "Exit status: 0, every exercise is passed; 1, some are not; 2, a notebook could not be checked." in text
    assert "check only notebooks that you trust" in text


def test_check_without_a_notebook_is_a_usage_error():
    assert run("check").exit_code == 2


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_what_goes_on_is_shown_in_a_terminal_and_nowhere_else(write):
    import pty

    ours, theirs = pty.openpty()
    arguments = [sys.executable, "-m", "clearformer.cli", "check", write(RIGHT + "\nimport time; time.sleep(1)")]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=theirs, text=True) as process:
        os.close(theirs)
        written = b"".join(iter(lambda: read_terminal(ours), b""))
        shown = process.stdout.read()
    os.close(ours)
    assert b"work.ipynb: running cell 1 (import numpy as np)" in written
    assert "running" not in shown and "✓ passed" in shown


def read_terminal(descriptor):
    try:
        return os.read(descriptor, 4096)
    except OSError as error:  # how Linux says that the other end is closed
        assert error.errno == errno.EIO
        return b""


# --- list ----------------------------------------------------------------------------------------------------


def test_the_list_has_every_lesson_and_exercise_and_what_is_passed():
    progress.record("softmax")
    done = run("list")
    assert done.exit_code == 0
    lines = done.output.splitlines()
    for name in [*catalogue.names(), *(lesson.id for lesson in catalogue.LESSONS)]:
        assert any(line.split() and line.split()[0] == name for line in lines), name
    passed = [line.split()[0] for line in lines if line.rstrip().endswith("✓ passed")]
    assert passed == ["softmax"]
    assert f"1 of {len(catalogue.names())} exercises passed" in done.output
    assert max(map(len, lines)) <= 80


def test_the_list_as_json():
    progress.record("softmax")
    document = json.loads(run("list", "--json").output)
    assert document["schema"] == 1 and document["notice"] == ""
    every = {each["id"]: each for lesson in document["lessons"] for each in lesson["exercises"]}
    assert list(every) == catalogue.names()
    assert [name for name in every if every[name]["passed"]] == ["softmax"]
    softmax = catalogue.find("softmax")
    assert every["softmax"]["points"] == softmax.points and every["softmax"]["minutes"] == softmax.minutes


def test_the_list_says_that_the_progress_file_was_damaged(home):
    home.mkdir()
    (home / "progress.json").write_text("broken")
    done = run("list")
    assert done.exit_code == 0
    assert "The progress file was damaged." in done.output
    assert "damaged" not in run("list").output


def test_the_list_needs_no_terminal_that_knows_unicode():
    done = command("list", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr
    assert "softmax" in done.stdout and "?" not in done.stdout


# --- the course's own notebooks ------------------------------------------------------------------------------

COURSE = Path(__file__).resolve().parents[1]
# One in NumPy and one in PyTorch. All solutions are run as notebooks by `make test`, and graded in tests/grading.
LESSONS = [catalogue.lesson(name) for name in ("01_positional_encoding", "03_multi_head_attention")]


@pytest.mark.parametrize(
    ("folder", "status", "exit_status"), [("solutions", "passed", 0), ("exercises", "unanswered", 1)]
)
def test_solutions_pass_and_exercises_are_handed_out_unanswered(folder, status, exit_status, tmp_path):
    paths = [COURSE / folder / f"{lesson.id}.ipynb" for lesson in LESSONS]
    done = run("check", *paths, "--json", tmp_path / "report.json")
    document = json.loads((tmp_path / "report.json").read_text())
    found = {each["id"]: each["status"] for notebook in document["notebooks"] for each in notebook["exercises"]}
    assert found == dict.fromkeys([name for lesson in LESSONS for name in lesson.exercises], status)
    assert done.exit_code == exit_status
    assert "Other cells that did not run through" not in done.output
