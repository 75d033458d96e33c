"""What is finished stays finished: through kills, cut lines, full disks, and people who start two runs at once."""

import dataclasses
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clearformer.grading.classroom import journal
from clearformer.grading.classroom.journal import Journal, JournalFailed, JournalRefused, still_good
from clearformer.grading.classroom.settings import Settings
from clearformer.grading.classroom.submissions import find

FULL = Settings("full", 10.0)


def record(student, points=2, sha256="0", **more):
    named = {"student": student, "path": f"{student}/02.ipynb", "sha256": sha256}
    return {**named, "lesson": "02_attention", "points": points, "exercises": [], "trouble": ["\ud800 é"], **more}


def lines(out):
    return (out / "results.jsonl").read_bytes().splitlines(keepends=True)


def written(out, *records, settings=FULL, resume=False):
    with Journal(out, settings, resume) as held:
        for each in records:
            held.add(each)
    return out


def kept(out, settings=FULL):
    with Journal(out, settings, resume=True) as held:
        return held.kept


def refusal(*arguments, **options):
    with pytest.raises(JournalRefused) as caught:
        Journal(*arguments, **options)
    text = str(caught.value)
    assert text.endswith(".") and "Errno" not in text
    return text


def test_records_come_back_as_they_were(tmp_path):
    records = [record("ada"), record("bob", 1)]
    out = written(tmp_path / "new" / "report", *records)
    assert list(kept(out).records.values()) == records
    assert json.loads(lines(out)[0]) == {
        "schema": 1,
        "version": "0.1.0",
        "settings": {"level": "full", "deadline": 10.0},
    }
    assert len(lines(out)) == 3  # going on with the same settings adds nothing


def test_the_later_of_two_records_counts(tmp_path):
    out = written(tmp_path, record("ada", 1), record("bob", 1), record("ada", 2))
    assert {key: each["points"] for key, each in kept(out).records.items()} == {
        ("ada", "ada/02.ipynb"): 2,
        ("bob", "bob/02.ipynb"): 1,
    }


def test_a_record_is_in_the_file_as_soon_as_it_is_added(tmp_path):
    code = (
        "import os, signal, sys\nfrom clearformer.grading.classroom.journal import Journal\n"
        "from clearformer.grading.classroom.settings import Settings\n"
        "journal = Journal(sys.argv[1], Settings())\n"
        "for number in range(100):\n"
        "    student = str(number)\n"
        "    journal.add({'student': student, 'path': student, 'sha256': '', 'exercises': []})\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(kept(tmp_path).records) == 100


@pytest.mark.parametrize("cut", range(1, 40, 6))
def test_a_line_that_was_cut_short_is_taken_away(tmp_path, cut):
    written(tmp_path, record("ada"), record("bob"))
    path = tmp_path / "results.jsonl"
    os.truncate(path, path.stat().st_size - cut)
    written(tmp_path, record("carl"), resume=True)
    found = kept(tmp_path)
    assert [student for student, _ in found.records] == ["ada", "carl"] and not found.damaged
    assert all(json.loads(line) for line in lines(tmp_path)) and len(lines(tmp_path)) == 3


@pytest.mark.parametrize(
    "content", [b"", b'{"schema": 1, "ver', b'{"schema": 1, "version": "0.1.0", "settings": {}}\n']
)
def test_a_run_that_was_killed_at_once_does_not_stand_in_the_way(tmp_path, content):
    (tmp_path / "results.jsonl").write_bytes(content)
    written(tmp_path, record("ada"))
    assert len(lines(tmp_path)) == 2


def test_damaged_lines_in_the_middle_cost_no_other(tmp_path):
    written(tmp_path, record("ada"), record("bob"), record("carl"))
    first, ada, _, carl = lines(tmp_path)
    damaged = [b"\0\0\0\n", b"[1]\n", b'{"student": "bob"}\n', b"[" * 100_000 + b"\n", b"\xff\n"]
    (tmp_path / "results.jsonl").write_bytes(b"".join([first, ada, *damaged, carl]))
    found = kept(tmp_path)
    assert [student for student, _ in found.records] == ["ada", "carl"] and found.damaged == len(damaged)


def test_results_are_never_overwritten_without_being_told(tmp_path):
    written(tmp_path, record("ada"))
    before = lines(tmp_path)
    assert "--resume" in refusal(tmp_path, FULL)
    assert lines(tmp_path) == before


@pytest.mark.parametrize("name", ["index.html", "report.json", "students"])
def test_what_others_have_put_there_is_not_overwritten(tmp_path, name):
    (tmp_path / name).write_text("mine")
    for resume in (False, True):
        assert name in refusal(tmp_path, FULL, resume)
    (tmp_path / "other").mkdir()
    written(tmp_path / "other", record("ada"))  # what has another name does not matter


def test_one_report_holds_results_of_one_level(tmp_path):
    written(tmp_path, record("ada"))
    assert "--sandbox full" in refusal(tmp_path, Settings("none", 10.0), resume=True)
    assert len(kept(tmp_path).records) == 1


def test_with_another_deadline_all_is_graded_anew(tmp_path):
    written(tmp_path, record("ada"), record("bob"))
    found = kept(tmp_path, Settings("full", 20.0))
    assert not found.records and found.outdated == 2
    written(tmp_path, record("ada"), settings=Settings("full", 20.0), resume=True)
    found = kept(tmp_path, Settings("full", 20.0))
    assert [student for student, _ in found.records] == ["ada"] and found.outdated == 1


def heading(**other):
    return json.dumps({"schema": 1, "version": "0.1.0", "settings": dataclasses.asdict(FULL)} | other).encode() + b"\n"


@pytest.mark.parametrize("newer", [{"schema": 2}, {"version": "0.1.1"}, {"version": "0.10.0"}, {"version": "1.0rc1"}])
def test_what_a_newer_version_wrote_is_left_alone(tmp_path, newer):
    written(tmp_path, record("ada"))
    path = tmp_path / "results.jsonl"
    path.write_bytes(heading(**newer) + lines(tmp_path)[1])
    before = path.read_bytes()
    assert "were made with clearformer" in refusal(tmp_path, FULL, resume=True)
    assert path.read_bytes() == before


def test_what_an_older_version_wrote_is_graded_anew(tmp_path):
    written(tmp_path, record("ada"))
    (tmp_path / "results.jsonl").write_bytes(heading(version="0.0.9") + lines(tmp_path)[1])
    assert kept(tmp_path).outdated == 1


def test_a_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_text('{"some": "log"}\n{"other": 1}\n')
    assert "not what clearformer writes" in refusal(tmp_path, FULL, resume=True)
    path.unlink()
    path.symlink_to("/dev/full")
    assert "no regular file" in refusal(tmp_path, FULL, resume=True)
    assert "is a file" in refusal(__file__, FULL)
    assert "cannot be written" in refusal(Path(__file__, "below"), FULL)
    assert "cannot be written" in refusal("/proc/report", FULL)


def test_two_runs_at_once_do_not_mix(tmp_path):
    with Journal(tmp_path, FULL) as held:
        held.add(record("ada"))
        assert "Another run" in refusal(tmp_path, FULL, resume=True)
        code = (
            "import sys\nfrom clearformer.grading.classroom.journal import Journal\n"
            "from clearformer.grading.classroom.settings import Settings\nJournal(sys.argv[1], Settings(), True)"
        )
        other = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
        assert "JournalRefused: Another run" in other.stderr
    assert len(kept(tmp_path).records) == 1


# --- disks that are full -------------------------------------------------------------------------------------

FILL = """
import resource, sys
from clearformer.grading.classroom.journal import Journal, JournalFailed
from clearformer.grading.classroom.settings import Settings
if sys.argv[2:]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
with Journal(sys.argv[1], Settings()) as journal:
    for number in range(1000):
        student = str(number)
        try:
            journal.add({"student": student, "path": student, "sha256": "", "exercises": [], "text": "x" * 900})
        except JournalFailed as error:
            print(number, error)
            break
print(open(sys.argv[1] + "/results.jsonl", "rb").read().count(b"\\n"))
"""


def check_what_was_filled(output):
    said, number_of_lines = output.strip().splitlines()
    number, sentence = said.split(" ", 1)
    assert "the disk is full" in sentence and "Errno" not in sentence
    assert int(number) > 5 and int(number_of_lines) == int(number) + 1


def test_a_full_disk_loses_nothing_that_is_written(tmp_path):
    unshare = shutil.which("unshare")
    script = f'mount -t tmpfs -o size=40k none "$1" && exec {sys.executable} -c "$2" "$1"'
    command = [unshare or "unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", tmp_path, FILL]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("a small disk is made with unshare, which this machine lacks")
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip(f"this machine does not let a test mount a small disk: {done.stderr}")
    check_what_was_filled(done.stdout)


def test_a_file_that_may_not_grow_loses_nothing_that_is_written(tmp_path):
    done = subprocess.run([sys.executable, "-c", FILL, tmp_path, "limit"], capture_output=True, text=True, check=False)
    check_what_was_filled(done.stdout)
    assert len(kept(tmp_path).records) > 5


def test_a_disk_that_fails_later_is_said_at_the_next_record_or_at_the_end(tmp_path, monkeypatch):
    def fsync(file):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(JournalFailed, match="Input/output error"), Journal(tmp_path / "a", FULL) as held:
        held.add(record("ada"))
        time.sleep(2 * journal.SYNC_SECONDS)
        held.add(record("bob"))
        pytest.fail("the second record was taken")
    held = Journal(tmp_path / "b", FULL)
    held.add(record("ada"))
    with pytest.raises(JournalFailed), held:
        pass


def test_what_is_written_is_on_the_disk_soon(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append((time.monotonic(), os.fstat(file).st_size)))
    with Journal(tmp_path, FULL) as held:
        for _ in range(50):
            held.add(record("ada"))
            time.sleep(0.01)
        size, now = os.path.getsize(tmp_path / "results.jsonl"), time.monotonic()
        time.sleep(2 * journal.SYNC_SECONDS)
        assert synced[-1][1] == size and synced[-1][0] < now + 1.5 * journal.SYNC_SECONDS
        assert len(synced) < 10  # not one a record: that is slow on a spinning disk
        held.add(record("bob"))
    assert synced[-1][1] == os.path.getsize(tmp_path / "results.jsonl")


# --- going on ------------------------------------------------------------------------------------------------


def test_only_what_is_unchanged_is_still_good(tmp_path):
    for student in ("ada", "bob", "carl", "dora"):
        (tmp_path / student).mkdir()
        (tmp_path / student / "02.ipynb").write_text(student)
    submissions = find(tmp_path)
    records = [record(each.student, sha256=each.sha256()) for each in submissions]
    records[3]["error"] = "The process was lost."
    records.append(record("gone"))
    known = {(each["student"], each["path"]): each for each in records}
    (tmp_path / "bob/02.ipynb").write_text("better")
    assert [each["student"] for each in still_good(known, submissions)] == ["ada", "carl"]
    assert still_good({}, submissions) == []
