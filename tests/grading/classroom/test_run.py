"""`clearformer grade` as a whole, with a grader that does what a test wants: stopped, killed, gone on with."""

import contextlib
import csv
import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clearformer.grading.classroom import run as run_module
from clearformer.grading.classroom.journal import Journal
from clearformer.grading.classroom.progress_bar import rate_and_time_left
from clearformer.grading.classroom.settings import Settings
from clearformer.grading.classroom.summary import print_summary
from clearformer.grading.report import console

HERE = str(Path(__file__).parent)
PATH = os.pathsep.join(filter(None, [HERE, os.environ.get("PYTHONPATH")]))  # where the fake grader is imported from
SOON = 20  # seconds, far more than anything here takes
GRADE = (
    "import json, sys\nfrom clearformer.grading.classroom.run import grade\n"
    "sys.exit(grade(*sys.argv[1:3], **{'grader': 'fake_grader:Grader', 'sandbox': 'none', **json.loads(sys.argv[3])}))"
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="classes are graded on Linux; looks into /proc")


@pytest.fixture
def root(tmp_path):
    return tmp_path / "class"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "report"


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"


@pytest.fixture
def submit(root):
    def submit(commands):
        for student, command in commands.items():
            (root / student).mkdir(parents=True, exist_ok=True)
            (root / student / "02.ipynb").write_text(command)

    return submit


@pytest.fixture
def start(root, out, log, tmp_path):
    """start(resume=True, …) -> a process that grades; `command` in place of it."""
    started = []

    def start(folder=None, before=(), **options):
        command = [*before, sys.executable, "-c", GRADE, folder or root, out, json.dumps(options)]
        env = os.environ | {"PYTHONPATH": PATH, "FAKE_GRADER_LOG": str(log), "COLUMNS": "200", "TMPDIR": str(tmp_path)}
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(command, env=env, text=True, **streams)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def grade(start):
    """grade(resume=True, …) -> (exit status, standard output, standard error)"""

    def grade(*arguments, **options):
        process = start(*arguments, **options)
        said = process.communicate(timeout=60)
        assert "Traceback" not in said[1] and "Errno" not in said[1], said[1]
        return process.returncode, *said

    return grade


def notebooks(out):
    return json.loads((out / "report.json").read_text())["notebooks"]


def noted(log):
    """(process, what) of each line of the log."""
    lines = [line.split(" ", 2) for line in log.read_text().splitlines()] if log.exists() else []
    return [(int(process), what) for process, _, what in lines]


def begun(log):
    return [what for _, what in noted(log) if what != "closed"]


def wait_until(condition):
    until = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def alive(process):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False


def recorded(out):
    return len((out / "results.jsonl").read_bytes().splitlines()) - 1 if (out / "results.jsonl").exists() else 0


def without_seconds(text):
    return re.sub(r'"seconds": [0-9.e-]+', "", text)


# --- the usual -----------------------------------------------------------------------------------------------


def test_a_class_is_graded_and_reported(submit, grade, out, root):
    submit({"ada": "points 2", "bob": "points 0", "carl": "raise"})
    (root / "dora").mkdir()
    status, said, errors = grade()
    assert status == 2  # not all could be graded
    assert [each["student"] for each in notebooks(out)] == ["ada", "bob", "carl", "dora"]
    assert [bool(each.get("error")) for each in notebooks(out)] == [False, False, True, True]
    assert "2 of 4 submissions graded, of 2 students." in said and "softmax" in said and "1 of 2" in said
    assert "On average 50% of the points; all points: 1." in said
    assert "dora: There is no notebook in this student's folder." in said
    assert str(out / "index.html") in said and (out / "index.html").exists()
    assert errors.startswith("Grading 4 submissions with ") and "--resume" not in errors
    assert json.loads((out / "report.json").read_text())["sandbox"]["level"] == "none"


def test_a_wrong_answer_is_a_result_like_any_other(submit, grade):
    submit({"ada": "points 0", "bob": "points 1"})
    assert grade()[0] == 0


def test_any_number_of_jobs_writes_the_same_reports(submit, grade, out, tmp_path):
    submit({f"student {number}": f"points {number % 3}" for number in range(12)} | {"x": "raise", "y": "kill"})
    reports = []
    for jobs in (1, 2, 4):
        grade(jobs=jobs)
        reports.append({name: without_seconds((out / name).read_text()) for name in ("report.json", "report.csv")})
        out.rename(tmp_path / f"report {jobs}")
    assert reports[0] == reports[1] == reports[2]


@pytest.mark.parametrize("what", ["nowhere", "empty", "inside", "file", "held", "foreign"])
def test_what_cannot_be_done_is_said_in_a_sentence(submit, start, grade, root, out, what):
    submit({"ada": "sleep 2"})
    folder = None
    if what == "nowhere":
        folder = root / "nowhere"
    elif what == "empty":
        (folder := root / "empty").mkdir()
    elif what == "inside":
        folder = out.parent
    elif what == "file":
        out.write_text("")
    elif what == "foreign":
        out.mkdir()
        (out / "index.html").write_text("mine")
    else:
        start()
        wait_until(out.exists)
    status, said, errors = grade(folder)
    assert status == 2 and not said
    assert errors.strip().endswith(".") and len(errors.splitlines()) == 1
    if what == "foreign":
        assert (out / "index.html").read_text() == "mine" and len(list(out.iterdir())) <= 2


def test_a_machine_that_is_not_fit_is_said_and_nothing_is_reported(submit, grade, out):
    submit({"ada": "points 2"})
    status, said, errors = grade(grader="fake_grader:Refusing")
    assert status == 2 and "This machine isolates nothing." in errors and not said
    assert not (out / "report.json").exists()
    assert grade()[0] == 0  # where it is put right, the same command goes


# --- runs that end too early ---------------------------------------------------------------------------------

MANY = {f"student {number:02}": "sleep 0.2" for number in range(12)}


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(submit, start, out, log, number, status):
    submit(MANY)
    process = start(jobs=2, deadline=7)
    wait_until(lambda: recorded(out) >= 3)
    judges = {judge for judge, _ in noted(log)}
    process.send_signal(number)
    began = time.monotonic()
    while any(map(alive, judges)):
        process.send_signal(number)  # an impatient person
        assert time.monotonic() < began + 3
        time.sleep(0.05)
    _, errors = process.communicate(timeout=SOON)
    finished = recorded(out)
    assert process.returncode == status and "Traceback" not in errors
    assert 3 <= finished < 12 and f"{finished} of 12 submissions graded and kept. To go on:" in errors
    assert len(notebooks(out)) == finished or "were not finished" in errors
    assert not any(map(alive, judges))


def test_a_second_ctrl_c_does_not_disturb_tidying_up():
    before, tidied = signal.getsignal(signal.SIGINT), []
    with pytest.raises(KeyboardInterrupt), run_module._stoppable():
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
            tidied.append(True)
    assert tidied and signal.getsignal(signal.SIGINT) == before


def test_the_command_to_go_on_is_the_right_one(submit, start, grade, out, root, log):
    submit(MANY)
    process = start(jobs=2, deadline=7)
    wait_until(lambda: recorded(out) >= 3)
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=SOON)
    finished = recorded(out)
    assert len(notebooks(out)) == finished and "index.html" in said
    command = shlex.split(errors.strip().splitlines()[-1])
    options = ["--jobs", "2", "--deadline", "7", "--sandbox", "none", "--resume"]
    assert command == ["clearformer", "grade", str(root), "--out", str(out), *options]
    log.unlink()
    status, said, errors = grade(resume=True, jobs=2, deadline=7)
    assert status == 0 and f"{finished} of 12 submissions are graded already." in errors
    assert len(begun(log)) == 12 - finished and len(notebooks(out)) == 12


@pytest.mark.parametrize("victim", ["parent", "judges"])
def test_a_killed_run_loses_nothing_that_is_finished(submit, start, grade, out, log, victim):
    submit(MANY)
    process = start(jobs=2)
    wait_until(lambda: recorded(out) >= 3)
    judges = {judge for judge, _ in noted(log)}
    if victim == "parent":
        process.kill()
        process.communicate()
        wait_until(lambda: not any(map(alive, judges)))
        finished = recorded(out)
        log.unlink()
        assert grade(resume=True, jobs=2)[0] == 0
        assert len(begun(log)) == 12 - finished < 12
    else:
        for judge in judges:
            os.kill(judge, signal.SIGKILL)
        process.communicate(timeout=SOON)
        # A judge that was between two submissions when it was killed leaves none to be begun again.
        assert process.returncode == 0 and 12 <= len(begun(log)) <= 14
    found = [each["student"] for each in notebooks(out)]
    assert found == sorted(MANY) and not any(each.get("error") for each in notebooks(out))


def test_going_on_does_what_is_new_changed_or_could_not_be_graded(submit, grade, out, log, root):
    submit({"ada": "points 1", "bob": "points 1", "carl": "raise", "dora": "points 1"})
    assert grade()[0] == 2
    log.unlink()
    submit({"bob": "points 2", "emma": "points 1"})
    (root / "dora/02.ipynb").unlink()
    (root / "dora").rmdir()
    assert grade(resume=True)[0] == 2
    assert sorted(set(begun(log))) == ["bob/02.ipynb", "carl/02.ipynb", "emma/02.ipynb"]
    points = {each["student"]: each["points"] for each in notebooks(out)}
    assert points == {"ada": 1, "bob": 2, "carl": 0, "emma": 1}
    with open(out / "grades.csv", encoding="utf-8-sig") as file:
        assert len(list(csv.reader(file))) == 1 + 4


def test_going_on_when_all_is_done_grades_nothing(submit, grade, out, log):
    submit({"ada": "points 1"})
    grade()
    (out / "report.json").unlink()
    log.unlink()
    assert grade(resume=True)[0] == 0
    assert not begun(log) and len(notebooks(out)) == 1


def test_results_are_not_graded_over_without_being_told(submit, grade, log, out):
    submit({"ada": "points 1"})
    grade()
    before = (out / "report.json").read_bytes()
    log.unlink()
    status, _, errors = grade()
    assert status == 2 and "--resume" in errors and not begun(log)
    assert (out / "report.json").read_bytes() == before


def test_a_full_disk_is_a_sentence_and_loses_nothing(submit, grade, out, log):
    submit({f"student {number:03}": "points 1" for number in range(60)})
    limit = ["sh", "-c", 'ulimit -f 16; exec "$@"', "sh"]  # blocks of 512 bytes, or of 1024
    status, _, errors = grade(before=limit, jobs=1)
    assert status == 2 and "the disk is full" in errors and "graded and kept. To go on:" in errors
    finished = recorded(out)
    assert 3 < finished < 60
    log.unlink()
    assert grade(resume=True)[0] == 0
    assert len(begun(log)) == 60 - finished and len(notebooks(out)) == 60


def test_reports_that_cannot_be_written_are_said(submit, grade, out):
    submit({"ada": "points 1"})
    with Journal(out, Settings("none")):
        pass
    (out / "report.json").mkdir()
    status, said, errors = grade()
    assert status == 2 and "The reports could not be written" in errors and "index.html" not in said
    (out / "report.json").rmdir()
    assert grade(resume=True)[0] == 0


def test_ctrl_c_while_reports_are_written_keeps_the_results(submit, out, root, monkeypatch, capsys):
    submit({"ada": "points 1"})
    monkeypatch.syspath_prepend(HERE)
    monkeypatch.setenv("PYTHONPATH", PATH)

    def interrupted(*arguments):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("clearformer.grading.classroom.documents.write_reports", interrupted)
    assert run_module.grade(root, out, 1, sandbox="none", grader="fake_grader:Grader") == 130
    assert "were not finished" in capsys.readouterr().err and recorded(out) == 1


# --- what is seen --------------------------------------------------------------------------------------------


def in_terminal(command, env):
    """What a terminal of 100 columns gets to see of a command."""
    parent, child = pty.openpty()
    os.set_blocking(parent, True)
    with subprocess.Popen(command, env=env, stdout=child, stderr=child, stdin=child, close_fds=True) as process:
        os.close(child)
        seen = b""
        with contextlib.suppress(OSError):  # the end of a terminal
            while part := os.read(parent, 65536):
                seen += part
        os.close(parent)
    return process.returncode, seen.decode()


def test_a_terminal_shows_a_bar_and_nothing_that_a_name_wants(submit, root, out):
    evil = "\x1b]0;pwned\x07\u202e[bold]{task}"
    submit({evil: "sleep 0.7", "bob": "sleep 0.7", "carl": "sleep 0.7", "raises": "raise"})
    env = os.environ | {"PYTHONPATH": PATH, "TERM": "xterm-256color", "COLUMNS": "120"}
    options = json.dumps({"jobs": 1})
    status, seen = in_terminal([sys.executable, "-c", GRADE, root, out, options], env)
    assert status == 2
    for words in ("1 of 4", "a second", "left", "bob", r"\x1b]0;pwned\x07\u202e[…"):
        assert words in seen, words
    assert "\x1b]0;" not in seen and "\x07" not in seen and "\u202e" not in seen and "\x1b[31mcoloured" not in seen


def test_off_a_terminal_a_line_comes_now_and_then(submit, root, out, monkeypatch, capsys):
    submit({f"{number}": "sleep 0.1" for number in range(8)})
    monkeypatch.syspath_prepend(HERE)
    monkeypatch.setenv("PYTHONPATH", PATH)
    monkeypatch.setattr("clearformer.grading.classroom.progress_bar.LINE_SECONDS", 0.25)
    assert run_module.grade(root, out, 1, sandbox="none", grader="fake_grader:Grader") == 0
    lines = capsys.readouterr().err.splitlines()
    assert 2 < len(lines) < 8 and re.fullmatch(r"\d of 8 graded, [\d.]+ a second, \d+ seconds left", lines[1])


@pytest.mark.parametrize(
    ("done", "total", "seconds", "words"),
    [
        (10, 100, 5, "2.0 a second, 45 seconds left"),
        (10, 1000, 20, "30.0 a minute, 33 minutes left"),
        (1, 1000, 60, "1.0 a minute, 17 hours left"),
        (30, 30, 10, "3.0 a second"),
        (0, 10, 5, ""),
        (5, 5, 0, ""),
    ],
)
def test_rate_and_time_left(done, total, seconds, words):
    assert rate_and_time_left(done, total, seconds) == words


def test_the_summary_names_what_was_hard(class_of, capsys):
    records = class_of(30)
    print_summary(records, 31, console())
    said = capsys.readouterr().out
    assert "28 of 31 submissions graded, of 28 students." in said and "2 submissions could not be graded:" in said
    slugs = [
        (each["id"], each["misconception"]) for one in records for each in one["exercises"] if each["misconception"]
    ]
    exercise, slug = max(dict.fromkeys(slugs), key=slugs.count)
    assert f"Most frequent misconception: {slug} in {exercise}, {slugs.count((exercise, slug))} submissions." in said
    shares = [int(share) for share in re.findall(r"(\d+)% *$", said, re.M)]
    assert len(shares) == 7 and shares == sorted(shares)


def test_the_summary_is_short_where_much_went_wrong(make_record, capsys):
    records = [make_record(f"{number}", {}, error="\x1b[2Jno\nnotebook") for number in range(50)]
    print_summary(records, 50, console())
    said = capsys.readouterr().out
    assert len(said.splitlines()) < 30 and "and 30 more" in said and "\x1b" not in said
