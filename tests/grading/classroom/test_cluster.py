"""Grading on a Dask cluster of this machine: every submission gets its one record, whatever becomes of the workers."""

import collections
import dataclasses
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from distributed import LocalCluster

from clearformer.grading.classroom import cluster, cluster_worker, pool, submissions
from clearformer.grading.classroom.cluster import ClusterFailed

HERE = str(Path(__file__).parent)
GRADER = "graders_to_send:Grader"


@pytest.fixture(scope="module")
def graders():
    """The module graders_to_send, importable here, on the workers and by their judges."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(HERE)
        patch.setenv("PYTHONPATH", HERE, prepend=os.pathsep)
        import graders_to_send

        yield graders_to_send


def local_cluster(**options):
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True} | options
    return LocalCluster(dashboard_address="127.0.0.1:0", silence_logs=50, **options)


@pytest.fixture(scope="module")
def workers(graders):
    """Two worker processes."""
    with local_cluster() as found:
        yield found


@pytest.fixture
def mortal_workers(graders):
    """Two worker processes that a test may kill."""
    with local_cluster() as found:
        yield found


@pytest.fixture
def hand_in(tmp_path):
    """hand_in(ada="{}", ben="die") -> their submissions."""

    def write(**contents):
        folder = tmp_path / "submissions"
        folder.mkdir(exist_ok=True)
        for student, content in contents.items():
            (folder / f"{student}.ipynb").write_text(content)
        return submissions.find(folder)

    return write


@pytest.fixture
def grade(workers, graders, monkeypatch):
    """grade(submissions) -> iterator of records"""
    monkeypatch.setattr(cluster, "TRY_OUT", "graders_to_send:try_nothing")
    until = time.monotonic() + 20
    while len(workers.scheduler.workers) < 2 and time.monotonic() < until:  # a test before may have killed one
        time.sleep(0.05)

    def start(handed_in, address=None, grader=GRADER, say=None, settings=None, **more):
        settings = settings or graders.Settings()
        return cluster.grade_all(handed_in, settings, address or workers.scheduler_address, grader, say=say, **more)

    return start


def class_of(number):
    return {f"student{each:02}": "{" + " " * each for each in range(number)}


def students(records):
    return sorted(record["student"] for record in records)


def is_running(process_id):
    """A process that has ended may stay in the table until its parent, or the first process, asks for it."""
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


# --- every submission, once ----------------------------------------------------------------------------------


def test_everyone_stands_once_with_what_they_handed_in(grade, hand_in):
    handed_in = hand_in(**class_of(20))
    records = list(grade(handed_in))
    assert {record["student"]: record["size"] for record in records} == {f"student{n:02}": n + 1 for n in range(20)}
    assert len(records) == 20


def test_a_submission_that_is_named_twice_is_graded_once(grade, hand_in):
    handed_in = hand_in(ada="{}", ben="{}")
    assert students(grade(handed_in + handed_in[:1])) == ["ada", "ben"]


def test_both_workers_grade_and_each_keeps_its_judge(grade, hand_in):
    judges = collections.defaultdict(set)
    for record in grade(hand_in(**class_of(20))):
        judges[record["worker"]].add(record["judge"])
    assert [len(found) for found in judges.values()] == [1, 1]
    assert os.getpid() not in judges


def test_a_class_without_submissions_has_no_records(grade):
    assert list(grade([])) == []


def test_a_file_that_cannot_be_read_reaches_the_grader_as_such(workers, tmp_path, grade, graders):
    missing = submissions.Submission("ada", "ada.ipynb", tmp_path / "gone.ipynb")
    [record] = grade([missing])
    assert "no longer there" in record["error"]


def test_a_submission_that_ends_its_judge_is_recorded_as_on_one_machine(grade, hand_in, graders):
    handed_in = hand_in(ada="{}", ben="die", cem="{}")
    here = {record["student"]: record for record in pool.grade_all(handed_in, graders.Settings(), 1, GRADER)}
    there = {record["student"]: record for record in grade(handed_in)}
    assert there["ben"] == here["ben"]
    assert "was lost" in there["ben"]["error"]
    assert [there[student]["size"] for student in ("ada", "cem")] == [2, 2]


# --- workers that are lost -----------------------------------------------------------------------------------


def test_what_a_killed_worker_had_in_hand_is_graded_by_another(mortal_workers, grade, hand_in):
    records = grade(hand_in(**class_of(40)), address=mortal_workers.scheduler_address)
    first = next(records)
    os.kill(first["worker"], signal.SIGKILL)
    found = [first, *records]
    assert students(found) == sorted(class_of(40))
    assert not any("error" in record for record in found)
    assert sum(record["worker"] == first["worker"] for record in found) < 10
    assert not is_running(first["judge"])  # it went with its worker


def test_records_that_are_lost_on_their_way_back_are_made_again(mortal_workers, grade, hand_in, monkeypatch, capfd):
    monkeypatch.setattr(cluster, "RESULT_SECONDS", 0.1)
    records = grade(hand_in(**class_of(12)), address=mortal_workers.scheduler_address, say=lambda text: None)
    first = next(records)
    time.sleep(1)  # now the next ones are ready, and lie on the workers
    for nanny in mortal_workers.workers.values():
        os.kill(nanny.pid, signal.SIGKILL)
    assert students([first, *records]) == sorted(class_of(12))
    assert capfd.readouterr() == ("", "")  # Dask's own words about it say nothing to who grades


def test_a_submission_that_kills_each_worker_is_recorded_and_costs_nobody_else(mortal_workers, grade, hand_in):
    mortal_workers.scheduler.allowed_failures = 0  # Dask now blames all that a dead worker held
    handed_in = hand_in(ada="kill the worker", ben="{}", cem="{}", dora="{}")
    found = {record["student"]: record for record in grade(handed_in, address=mortal_workers.scheduler_address)}
    assert "had it in hand died" in found.pop("ada")["error"]
    assert sorted(found) == ["ben", "cem", "dora"]
    assert not any("error" in record for record in found.values())


def test_a_cluster_that_is_gone_ends_the_run_in_words(hand_in, graders, grade):
    with local_cluster(n_workers=1, processes=False) as own:
        records = grade(hand_in(**class_of(12)), address=own.scheduler_address)
        next(records)
        own.close()
        with pytest.raises(ClusterFailed, match="is lost"):
            list(records)


def test_a_cluster_whose_workers_do_not_come_back_ends_the_run_in_words(hand_in, grade, monkeypatch):
    monkeypatch.setattr(cluster, "WORKER_SECONDS", 0.5)
    monkeypatch.setattr(cluster, "POLL_SECONDS", 0.1)
    monkeypatch.setattr(cluster, "RESULT_SECONDS", 0.1)
    said = []
    with local_cluster(n_workers=1) as own:
        records = grade(hand_in(**class_of(12)), address=own.scheduler_address, say=said.append)
        next(records)
        own.scale(0)
        with pytest.raises(ClusterFailed, match="has lost its workers, and none came back"):
            list(records)
    assert said == ["The cluster has lost its workers. Waiting up to 0.5 seconds for one."]


# --- refused before anything is graded -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "address, words",
    [
        ("tcp://127.0.0.1:9", "No Dask scheduler answered at tcp://127.0.0.1:9"),
        ("127.0.0.1:9", "No Dask scheduler answered"),
        ("somewhere", "'somewhere' is no address"),
        ("pigeon://post:1", "'pigeon://post:1' is no address"),
        ("tls://127.0.0.1:9", "distributed.comm.tls"),
    ],
)
def test_an_address_that_leads_nowhere_is_said(address, words, grade, hand_in, monkeypatch, capfd):
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.3)
    with pytest.raises(ClusterFailed) as failure:
        list(grade(hand_in(ada="{}"), address=address))
    assert words in str(failure.value)
    assert capfd.readouterr() == ("", "")


def test_a_cluster_without_workers_is_waited_for_and_then_named(grade, hand_in, monkeypatch):
    monkeypatch.setattr(cluster, "WORKER_SECONDS", 0.3)
    said = []
    with (
        local_cluster(n_workers=0) as empty,
        pytest.raises(ClusterFailed, match=r"no worker, and none came within 0.3 seconds"),
    ):
        list(grade(hand_in(ada="{}"), address=empty.scheduler_address, say=said.append))
    assert said == ["The cluster has no worker yet. Waiting up to 0.3 seconds for one."]


def changed(field, value):
    here = dataclasses.replace(cluster_worker.installed(), **{field: value})
    return lambda: here


@pytest.mark.parametrize(
    "field, value, words",
    [
        ("python", "3.2", "and here is Python 3.2"),
        ("clearformer", "0.0.1", "clearformer 0.0.1"),
        ("course", "another", "with other source files"),
    ],
)
def test_workers_with_another_course_are_refused(field, value, words, grade, hand_in, monkeypatch):
    monkeypatch.setattr(cluster_worker, "installed", changed(field, value))
    sent = []
    with pytest.raises(ClusterFailed, match="Nothing was graded") as failure:
        list(grade(hand_in(ada="{}"), on_start=sent.append))
    assert str(failure.value).count("tcp://") == 2  # both workers are named
    assert words in str(failure.value)
    assert sent == []


def test_workers_that_do_not_isolate_are_refused(grade, hand_in, monkeypatch, tmp_path):
    monkeypatch.setattr(cluster, "TRY_OUT", "clearformer.grading.classroom.cluster_worker:try_sandbox")
    monkeypatch.setenv("PATH", str(tmp_path))  # no bubblewrap there
    sent = []
    with (
        local_cluster(n_workers=1, processes=False) as own,
        pytest.raises(ClusterFailed, match=r"Nothing was graded\.\nThe worker \S+ cannot grade\. .*bubblewrap"),
    ):
        list(grade(hand_in(ada="{}"), address=own.scheduler_address, on_start=sent.append))
    assert sent == []


def test_workers_without_the_grader_are_refused(grade, hand_in):
    with pytest.raises(ClusterFailed, match=r"cannot grade: ModuleNotFoundError"):
        list(grade(hand_in(ada="{}"), grader="no_such_module:Grader"))


def test_without_distributed_the_extra_is_named(grade, hand_in, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ClusterFailed, match=r"clearformer\[cluster\]"):
        list(grade(hand_in(ada="{}")))


# --- good manners --------------------------------------------------------------------------------------------


def test_only_a_few_notebooks_are_on_their_way_at_a_time(grade, hand_in):
    sent, most = [], 0
    for done, _ in enumerate(grade(hand_in(**class_of(20)), on_start=sent.append)):
        most = max(most, len(sent) - done)
    assert len(sent) == 20
    assert most <= 2 * cluster.AHEAD


def test_large_notebooks_go_one_by_one(grade, hand_in, monkeypatch):
    monkeypatch.setattr(cluster, "BYTES_ON_THEIR_WAY", 1)
    sent = []
    for done, _ in enumerate(grade(hand_in(**class_of(6)), on_start=sent.append)):
        assert len(sent) == done + 1


def test_the_largest_notebook_travels_without_a_warning(grade, hand_in, capfd, recwarn):
    [record] = grade(hand_in(ada=" " * submissions.SIZE_LIMIT))
    assert record["size"] == submissions.SIZE_LIMIT
    assert capfd.readouterr() == ("", "")
    assert [str(warning.message) for warning in recwarn] == []


def test_names_of_students_do_not_show_on_the_dashboard(workers, grade, hand_in):
    records = grade(hand_in(**class_of(12)))
    next(records)
    keys = [str(key) for key in workers.scheduler.tasks]
    records.close()
    assert keys and not any("student" in key for key in keys)


def test_closing_cancels_what_waits_and_ends_the_graders(workers, grade, hand_in, graders, tmp_path):
    diary = tmp_path / "diary"
    records = grade(hand_in(**class_of(40)), settings=graders.Settings(diary=str(diary)))
    next(records)
    records.close()
    until = time.monotonic() + 5
    while (notes := diary.read_text().split()).count("closed") < 2 and time.monotonic() < until:
        time.sleep(0.05)
    assert notes.count("made") == notes.count("closed") == 2
    assert len([note for note in notes if note.startswith("student")]) < 10
    assert not workers.scheduler.tasks


def test_a_worker_with_many_threads_grades_one_at_a_time(hand_in, grade, monkeypatch):
    monkeypatch.setattr(cluster, "AHEAD", 8)
    with local_cluster(n_workers=1, threads_per_worker=8, processes=False) as own:
        handed_in = hand_in(**dict.fromkeys(class_of(12), "slow"))
        records = list(grade(handed_in, address=own.scheduler_address))
    assert students(records) == sorted(class_of(12))
    assert len({record["judge"] for record in records}) == 1
