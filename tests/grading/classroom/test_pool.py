"""Many judges: whatever happens to one, every submission has its record, and no process is left behind."""

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clearformer.grading.classroom import pool
from clearformer.grading.classroom.pool import PoolFailed, grade_all
from clearformer.grading.classroom.submissions import find

HERE = str(Path(__file__).parent)
PATH = os.pathsep.join(filter(None, [HERE, os.environ.get("PYTHONPATH")]))
SOON = 10  # seconds, far more than anything here takes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="classes are graded on Linux; looks into /proc")


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """The fake grader can be imported, here and in the processes that grade."""
    monkeypatch.syspath_prepend(HERE)
    monkeypatch.setenv("PYTHONPATH", PATH)


@pytest.fixture
def submitted(tmp_path):
    """submitted("sleep 1", …) -> submissions of students 0, 1, …, whose first lines tell the fake grader what to do."""

    def submit(*commands):
        for number, command in enumerate(commands):
            folder = tmp_path / "class" / f"{number:04}"
            folder.mkdir(parents=True)
            (folder / "02.ipynb").write_text(command)
        return find(tmp_path / "class")

    return submit


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"


def settings(log="", deadline=10.0):
    from fake_grader import Settings

    return Settings(deadline=deadline, log=str(log))


def graded(submissions, jobs=2, grader="fake_grader:Grader", **options):
    records = list(grade_all(submissions, settings(**options), jobs, grader))
    assert sorted(record["path"] for record in records) == [each.path for each in submissions]  # each exactly once
    return sorted(records, key=lambda record: record["path"])


def errors(records):
    return [record.get("error", "") for record in records]


def noted(log):
    """(process, what) of each line of the log."""
    lines = [line.split(" ", 2) for line in log.read_text().splitlines()]
    return [(int(process), what) for process, _, what in lines]


def alive(process):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False


def all_gone_soon(processes):
    until = time.monotonic() + SOON
    while any(map(alive, processes)) and time.monotonic() < until:
        time.sleep(0.02)
    return not any(map(alive, processes))


def children():
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


@pytest.fixture(autouse=True)
def nothing_left_behind(tmp_path, monkeypatch):
    """After each test: no process, no descriptor and no temporary file more than before."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    before, descriptors = children(), len(os.listdir("/proc/self/fd"))
    yield
    assert children() <= before
    assert len(os.listdir("/proc/self/fd")) <= descriptors  # fewer where something of an earlier test goes away
    assert not list(scratch.iterdir())


# --- the usual -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [1, 2, 4])
def test_any_number_of_judges_gives_the_same_records(submitted, jobs):
    records = graded(submitted("points 0", "points 1", "", *["points 2"] * 8, "raise"), jobs)
    assert [record["points"] for record in records] == [0, 1, *[2] * 9, 0]
    assert [record["student"] for record in records] == [f"{number:04}" for number in range(12)]
    assert all(record["exercises"][0]["message"] == "a\nmessage \ud800" for record in records[:11])
    assert records[11]["error"] == (
        "The process that graded this was lost, and so was a second one, which failed with RuntimeError: "
        "a \x1b[31mcoloured text."
    )


def test_judges_work_at_the_same_time(submitted, log):
    began = time.monotonic()
    graded(submitted(*["sleep 1"] * 8), jobs=4, log=log)
    assert time.monotonic() - began < 8 * 0.75
    assert len({process for process, _ in noted(log)}) == 4


def test_there_are_no_more_judges_than_submissions(submitted, log):
    graded(submitted("sleep 0.2"), jobs=4, log=log)
    assert len({process for process, _ in noted(log)}) == 1


def test_judges_tidy_up_when_all_is_done(submitted, log):
    graded(submitted("sleep 0.1", "sleep 0.1"), log=log)
    assert [what for _, what in noted(log)].count("closed") == 2


def test_a_judge_stays_with_its_lesson(submitted, log):
    names = ["01_positional_encoding", "02_attention", "03_multi_head_attention"]
    notebooks = [json.dumps({"metadata": {"clearformer": {"lesson": name}}}) for name in names * 6]
    submissions = submitted(*notebooks)
    graded(submissions, jobs=1, log=log)
    lesson = {each.path: each.lesson() for each in submissions}
    in_order = [lesson[what] for _, what in noted(log) if what != "closed"]
    assert set(in_order) == set(names) and len(list(itertools.groupby(in_order))) == 3


def test_who_is_being_graded_is_told(submitted):
    submissions, told = submitted("", "", "kill"), []
    list(grade_all(submissions, settings(), 1, "fake_grader:Grader", told.append))
    assert [each.path for each in told] == ["0000/02.ipynb", "0001/02.ipynb", "0002/02.ipynb", "0002/02.ipynb"]


def test_a_grader_may_be_given_as_itself(submitted):
    from fake_grader import Grader, grader_without_close

    submissions = submitted("points 1")
    for grader in (Grader, grader_without_close):
        assert graded(submissions, grader=grader)[0]["points"] == 1
    assert graded([]) == []


def test_a_students_file_is_not_taken_for_a_library(submitted, tmp_path, monkeypatch):
    submissions = submitted("points 1")
    for name in ("numpy", "json", "clearformer", "fake_grader"):
        (tmp_path / "class" / f"{name}.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w')")
    monkeypatch.chdir(tmp_path / "class")
    assert graded(submissions)[0]["points"] == 1
    assert not (tmp_path / "imported").exists()


def test_two_thousand_submissions_cost_little_each(submitted):
    submissions = submitted(*["points 2"] * 2000)
    began, records = time.monotonic(), iter(grade_all(submissions, settings(), 2, "fake_grader:Grader"))
    next(records)
    first = time.monotonic() - began
    assert len(list(records)) == 1999
    each = (time.monotonic() - began - first) / 1999
    print(f"first record after {first:.2f} s, then {each * 1000:.2f} ms each")
    assert each < 0.001


# --- judges that are lost ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("segfault", "crashed Python itself (SIGSEGV)"),
        ("kill", "was ended by the system, as happens when memory runs out"),
        ("exit", "failed with SystemExit: 3"),
        ("raise", "failed with RuntimeError"),
        ("memory 3000", "failed with MemoryError"),
    ],
)
def test_a_judge_that_is_lost_costs_its_submission_and_no_other(submitted, log, command, reason):
    records = graded(submitted("", command, *[""] * 5), log=log)
    assert reason in errors(records)[1] and not any(errors(records)[:1] + errors(records)[2:])
    tries = [process for process, what in noted(log) if what == "0001/02.ipynb"]
    assert len(tries) == len(set(tries)) == 2


def test_the_second_try_counts(submitted, tmp_path):
    records = graded(submitted("", f"once {tmp_path / 'mark'}", ""))
    assert not any(errors(records)) and [record["points"] for record in records] == [2, 2, 2]


def test_the_second_try_is_alone(submitted, log, tmp_path):
    graded(submitted(f"once {tmp_path / 'a'}", f"once {tmp_path / 'b'}", *["sleep 0.2"] * 6), log=log, jobs=4)
    order = [what for _, what in noted(log)]
    last = [what for what in order if what != "closed"][-2:]
    assert sorted(last) == ["0000/02.ipynb", "0001/02.ipynb"]
    assert order.index("closed") < len(order) - 1 - order[::-1].index(last[0])  # the others had ended


def test_a_judge_has_memory_for_its_work(submitted):
    assert not any(errors(graded(submitted("memory 1500", "memory 1500", "memory 1500"), jobs=1)))


@pytest.mark.parametrize("command", ["sleep 100", "hold 100"])
def test_a_silent_judge_is_ended(submitted, monkeypatch, command):
    monkeypatch.setattr(pool, "GRACE_SECONDS", 0.5)
    began = time.monotonic()
    records = graded(submitted("points 1", command, "points 1"), deadline=0.1)
    assert time.monotonic() - began < SOON
    assert "did not end in time" in errors(records)[1] and [record["points"] for record in records] == [1, 0, 1]


def test_a_judge_that_takes_its_time_is_left_alone(submitted, monkeypatch):
    monkeypatch.setattr(pool, "GRACE_SECONDS", 0)
    assert not any(errors(graded(submitted("sleep 1", "sleep 1"), deadline=0.4, jobs=1)))


@pytest.mark.parametrize("victim", ["killed", "stopped"])
def test_a_judge_that_somebody_else_ends_is_replaced(submitted, log, monkeypatch, victim):
    monkeypatch.setattr(pool, "GRACE_SECONDS", 1)
    records = grade_all(submitted(*["sleep 0.05"] * 10), settings(log, 0.1), 2, "fake_grader:Grader")
    done = [next(records)]
    os.kill(noted(log)[-1][0], signal.SIGKILL if victim == "killed" else signal.SIGSTOP)
    done += records
    assert len({record["path"] for record in done}) == len(done) == 10 and not any(errors(done))


# --- no judge at all -----------------------------------------------------------------------------------------


def test_a_machine_that_is_not_fit_is_said_in_the_words_of_the_sandbox(submitted):
    with pytest.raises(PoolFailed, match=r"^This machine isolates nothing\.$"):
        graded(submitted("", ""), grader="fake_grader:Refusing")


@pytest.mark.parametrize(
    ("grader", "why"),
    [("fake_grader:Broken", "a last word"), ("no_such_module:Grader", "no_such_module"), ("fake_grader:No", "No")],
)
def test_judges_that_do_not_start_end_the_run(submitted, grader, why):
    with pytest.raises(PoolFailed, match=f"does not start: .*{why}"):
        graded(submitted(*[""] * 10), grader=grader)


def test_the_last_words_of_a_judge_are_heard_though_it_ended_since_we_listened(submitted):
    with pool.Pool(settings(), 1, "no_such_module:Grader") as judges:
        [judge] = judges._judges
        judge.begin(submitted("")[0], None)
        judge._process.wait(60)
        assert "no_such_module" in judge.outcome(60).reason


def test_a_system_that_starts_no_process_is_said(submitted, monkeypatch):
    submissions = submitted("")

    def refuse(*arguments, **options):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(PoolFailed, match="Resource temporarily unavailable"):
        graded(submissions)


def test_a_system_that_starts_few_processes_gets_the_work_done(submitted, monkeypatch):
    submissions, popen, started = submitted(*[""] * 10), subprocess.Popen, []

    def refuse_the_second(*arguments, **options):
        started.append(1)
        if len(started) > 1:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return popen(*arguments, **options)

    monkeypatch.setattr(subprocess, "Popen", refuse_the_second)
    assert not any(errors(graded(submissions, jobs=4)))


# --- the end of a run ----------------------------------------------------------------------------------------


def test_closing_ends_all_that_was_started(submitted, tmp_path, log):
    started = tmp_path / "started"
    submissions = submitted("", *[f"start {started} 100"] * 3)
    records = grade_all(submissions, settings(log), 4, "fake_grader:Grader")
    next(records)
    until = time.monotonic() + SOON
    while not (started.exists() and len(started.read_text().split()) == 3) and time.monotonic() < until:
        time.sleep(0.02)
    judges = {process for process, _ in noted(log)}
    sleeping = [int(number) for number in started.read_text().split()]
    assert len(sleeping) == 3 and all(map(alive, [*sleeping, *judges]))
    began = time.monotonic()
    records.close()
    assert time.monotonic() - began < SOON
    assert not any(map(alive, judges)) and all_gone_soon(sleeping)


RUN = """
import sys
from fake_grader import Settings
from clearformer.grading.classroom.pool import grade_all
from clearformer.grading.classroom.submissions import find
for record in grade_all(find(sys.argv[1]), Settings(log=sys.argv[2]), 2, "fake_grader:Grader"):
    print(record["path"], flush=True)
"""


@pytest.fixture
def run(submitted, tmp_path, log):
    """A process of its own that grades two submissions, which take long; yields it and its judges."""
    submitted("", "sleep 1000", "hold 1000")
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, tmp_path / "class", log],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    until = time.monotonic() + SOON
    while not (log.exists() and len(noted(log)) == 3) and time.monotonic() < until:
        time.sleep(0.02)
    judges = {number for number, _ in noted(log)}
    assert len(judges) == 2 and all(map(alive, judges))
    yield process, judges
    process.kill()
    process.communicate()


def test_judges_die_with_their_parent(run):
    process, judges = run
    process.kill()
    assert all_gone_soon(judges)


@pytest.mark.parametrize("to", ["parent", "group"])
def test_ctrl_c_ends_judges_whatever_they_do(run, to):
    process, judges = run
    for each in judges if to == "group" else ():
        os.kill(each, signal.SIGINT)  # as if the terminal had sent it to them too: they do not mind
    time.sleep(0.2)
    assert all(map(alive, judges))
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=SOON)
    assert b"KeyboardInterrupt" in said
    assert not any(map(alive, judges))
