"""Progress survives restarts, several programs at once, and whatever happens to its file."""

import json
import os
import subprocess
import sys

import filelock
import pytest

from clearformer.checks import catalogue, progress

DAMAGED = {
    "empty": b"",
    "not JSON": b"passed: softmax",
    "truncated": b'{"schema": 1, "passed": {"softmax": "2026-01-0',
    "binary": bytes(range(256)),
    "nested too deeply": b"[" * 100_000,
    "a list": b"[]",
    "null": b"null",
    "no schema": b'{"passed": {}}',
    "schema of a wrong type": b'{"schema": "1", "passed": {}}',
    "schema true": b'{"schema": true, "passed": {}}',
    "no passed": b'{"schema": 1}',
    "passed of a wrong type": b'{"schema": 1, "passed": ["softmax"]}',
    "a date of a wrong type": b'{"schema": 1, "passed": {"softmax": null}}',
}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("CLEARFORMER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def file(home):
    home.mkdir()
    return home / "progress.json"


def test_nothing_is_passed_at_the_start(home):
    assert progress.read() == progress.Progress({})
    assert not home.exists()


def test_what_is_passed_is_remembered_with_its_first_date(home, monkeypatch):
    assert progress.record("softmax", "causal_mask") == ""
    first = progress.read().passed
    assert set(first) == {"softmax", "causal_mask"}
    earlier = dict.fromkeys(first, "2026-01-01T00:00:00+00:00")
    progress._write(progress.progress_path(), earlier)
    assert progress.record("softmax", "padding_mask") == ""
    now = progress.read().passed
    assert {name: now[name] for name in first} == earlier
    assert now["padding_mask"] > "2026-01-02"


def test_the_file_is_as_documented(home):
    progress.record("softmax")
    document = json.loads((home / "progress.json").read_text())
    assert document == {"schema": 1, "passed": progress.read().passed}
    assert sorted(os.listdir(home)) in (["progress.json"], ["progress.json", "progress.json.lock"])


def test_a_second_process_sees_what_the_first_has_passed(home):
    code = "from clearformer.checks import progress; progress.record('softmax')"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert "softmax" in progress.read().passed


def test_processes_that_record_at_once_lose_nothing(home):
    code = (
        "import sys\nfrom clearformer.checks import progress\nprogress.LOCK_SECONDS = 60\nsys.stdin.read()\n"
        "for number in range(20):\n"
        "    notice = progress.record(f'{sys.argv[1]}-{number}')\n"
        "    assert not notice, notice"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(n)], stdin=subprocess.PIPE) for n in range(8)]
    for writer in writers:
        writer.stdin.close()  # all begin now
    assert [writer.wait() for writer in writers] == [0] * 8
    assert set(progress.read().passed) == {f"{writer}-{number}" for writer in range(8) for number in range(20)}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_set_aside_and_said(file, content):
    file.write_bytes(content)
    known = progress.read()
    assert known.passed == {}
    assert "was damaged. It is kept as" in known.notice
    aside = file.with_name("progress.damaged-1.json")
    assert aside.read_bytes() == content and str(aside) in known.notice
    assert progress.read() == progress.Progress({})


def test_recording_over_a_damaged_file_keeps_both(file):
    for number in (1, 2):
        file.write_bytes(b"broken %d" % number)
        assert f"progress.damaged-{number}.json" in progress.record("softmax")
        assert set(progress.read().passed) == {"softmax"}
        assert file.with_name(f"progress.damaged-{number}.json").read_bytes() == b"broken %d" % number


def test_a_folder_in_the_files_place_is_set_aside(file):
    (file / "inside").mkdir(parents=True)
    assert "was damaged" in progress.record("softmax")
    assert set(progress.read().passed) == {"softmax"}
    assert (file.with_name("progress.damaged-1.json") / "inside").is_dir()


def test_a_good_file_that_another_program_has_just_written_is_not_set_aside(file, monkeypatch):
    """Between reading a damaged file and getting the lock, another program may have mended it."""
    file.write_bytes(b"broken")
    lock = progress._locked

    def mended_meanwhile(path):
        progress._write(path, {"softmax": "2026-01-01"})
        return lock(path)

    monkeypatch.setattr(progress, "_locked", mended_meanwhile)
    assert progress.read() == progress.Progress({"softmax": "2026-01-01"})


def test_a_file_of_a_later_version_is_left_as_it_is(file):
    content = b'{"schema": 2, "passed": {"softmax": {"date": "2030-01-01"}}}'
    file.write_bytes(content)
    assert "written by a newer version" in progress.read().notice
    assert "Passed, but not remembered." in progress.record("softmax")
    assert file.read_bytes() == content
    assert not list(file.parent.glob("*damaged*"))


def test_an_interrupted_write_leaves_the_old_file_and_no_half(file, monkeypatch):
    progress.record("softmax")

    def pulled_out(descriptor):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "fsync", pulled_out)
        progress.record("causal_mask")
    assert set(progress.read().passed) == {"softmax"}
    assert not list(file.parent.glob("*.partial"))


@pytest.mark.parametrize("place", ["below a file", "below a device", "in /proc"])
def test_a_place_that_cannot_be_written_is_said(place, tmp_path, monkeypatch):
    (tmp_path / "a file").write_text("")
    home = {"below a file": tmp_path / "a file", "below a device": "/dev/null/home", "in /proc": "/proc/home"}[place]
    if not os.path.exists(os.path.dirname(home)):
        pytest.skip(f"this system has no {os.path.dirname(home)}")
    monkeypatch.setenv("CLEARFORMER_HOME", str(home))
    assert "Passed, but the progress file" in progress.record("softmax")
    assert progress.read().passed == {}


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(28, "No space left on device")])
def test_a_failing_write_is_said_and_not_fatal(home, monkeypatch, error):
    def fail(*arguments, **how):
        raise error

    monkeypatch.setattr(progress.tempfile, "mkstemp", fail)
    assert error.strerror in progress.record("softmax")


def test_a_damaged_file_that_cannot_be_renamed_is_said(file, monkeypatch):
    def fail(*arguments):
        raise PermissionError(13, "Permission denied")

    file.write_bytes(b"broken")
    monkeypatch.setattr(os, "replace", fail)
    assert "is damaged and could not be set aside (Permission denied)" in progress.read().notice
    assert "could not be written (Permission denied)" in progress.record("softmax")
    assert file.read_bytes() == b"broken"


def test_a_file_that_may_not_be_read_is_said_and_not_touched(file, monkeypatch):
    progress.record("softmax")
    content = file.read_bytes()

    def fail(path):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(type(file), "read_bytes", fail)
        assert "cannot be read (Permission denied)" in progress.read().notice
        assert "could not be written (Permission denied)" in progress.record("causal_mask")
    assert file.read_bytes() == content


def test_a_lock_that_another_program_keeps_is_said(file, monkeypatch):
    monkeypatch.setattr(progress, "LOCK_SECONDS", 0.1)
    with filelock.FileLock(f"{file}.lock"):
        assert "another program holds it" in progress.record("softmax")


def test_a_home_given_with_a_tilde_is_the_users(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("CLEARFORMER_HOME", "~/mine")
    assert progress.progress_path() == tmp_path / "mine" / "progress.json"


def test_without_a_home_the_systems_own_place_is_used(monkeypatch):
    import platformdirs

    monkeypatch.delenv("CLEARFORMER_HOME")
    assert progress.data_directory() == platformdirs.user_data_path("clearformer", appauthor=False)


# --- showing it ----------------------------------------------------------------------------------------------


def test_the_table_says_for_each_lesson_how_much_is_passed(capsys):
    progress.record("softmax", "normalise_rows", "a name that no exercise has")
    progress.show()
    shown = capsys.readouterr().out
    total = len(catalogue.names())
    assert f"Your progress: 2 of {total} exercises passed" in shown
    line = next(line for line in shown.splitlines() if line.startswith("02_attention"))
    assert f"1 of {len(catalogue.lesson('02_attention').exercises)}" in line


def test_the_table_of_one_lesson_names_its_exercises(capsys):
    progress.record("softmax")
    progress.show("02_attention")
    lines = capsys.readouterr().out.splitlines()
    shown = [line.split()[0] for line in lines if line.split() and line.split()[0] in catalogue.names()]
    assert shown == list(catalogue.lesson("02_attention").exercises)
    assert any(line.startswith("softmax ") and "passed on 20" in line for line in lines)
    with pytest.raises(ValueError, match="got '02', expected one of 00_start_here"):
        progress.show("02")


def test_a_notebook_gets_a_table_that_a_screen_reader_can_walk_through():
    from clearformer.checks.overview import progress_table

    html = progress_table({})._repr_html_()
    assert "<caption" in html and html.count('scope="col"') == 4
    assert html.count('scope="row"') == len(catalogue.LESSONS)


def test_showing_says_that_the_file_was_damaged(file, capsys):
    file.write_bytes(b"broken")
    progress.show()
    assert "The progress file was damaged." in capsys.readouterr().out
