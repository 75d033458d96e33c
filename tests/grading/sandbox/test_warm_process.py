"""A warm process and its children, from the judge: opening, ending, and every way in which one of them fails."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from clearformer.grading.sandbox import warm_process
from clearformer.grading.sandbox.warm_process import WarmFailed, WarmProcess


@pytest.fixture(params=["full", "none"])
def level(request):
    if request.param == "full":
        request.getfixturevalue("sandbox_full")
    return request.param


@pytest.fixture
def warm(request, level):
    return request.getfixturevalue(f"warm_{level}")


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")")[-1].split()[0] != "Z"
    except OSError:
        return False


def gone_soon(*pids, seconds=5):
    until = time.monotonic() + seconds
    while any(map(alive, pids)) and time.monotonic() < until:
        time.sleep(0.02)
    return not any(map(alive, pids))


def family(pid):
    """The process and all below it."""
    found = [pid]
    for each in found:
        for task in Path(f"/proc/{each}/task").glob("*/children"):
            found += map(int, task.read_text().split())
    return found


# --- one submission ------------------------------------------------------------------------------------------


def test_a_child_answers_until_it_is_closed(warm, actor_of):
    with warm.open() as process:
        assert actor_of(process).do("result = 1 + 1") == 2
        assert process.status() is None
    assert process.status() == -9


def test_the_connection_is_to_what_the_real_children_run(level):
    with WarmProcess("02_attention", level) as warm, warm.open() as process:
        request = {"do": "run", "cell": 1, "source": "x = 1\n1 / 0", "number": 1, "seconds": 10.0}
        process.connection.send(request)
        error = process.connection.receive(20)["error"]
    assert (error["kind"], error["line"]) == ("ZeroDivisionError", 2)


@pytest.mark.parametrize(
    ("source", "status"),
    [
        ("import os; os._exit(7)", 7),
        ("import ctypes; ctypes.string_at(0)", -signal.SIGSEGV),
        ("import signal; sock.shutdown(0)", 0),
    ],
)
def test_the_status_says_how_a_child_ended(warm, actor_of, source, status):
    with warm.open() as process:
        actor_of(process).tell(source)
        assert process.status(5) == status
        assert process.status() == status
        assert process.kill() == status


def test_killing_twice_and_closing_twice_does_nothing_more(warm):
    process = warm.open()
    assert process.kill() == -9
    assert process.kill() == -9
    process.close()
    process.close()


def test_waiting_for_a_child_that_goes_on_takes_the_time_given(warm, actor_of):
    with warm.open() as process:
        actor_of(process).tell("while True: pass")
        began = time.monotonic()
        assert process.status(0.3) is None
        assert 0.25 < time.monotonic() - began < 4


def test_several_children_live_at_a_time_and_end_one_by_one(warm, actor_of):
    first, second, third = (warm.open() for _ in range(3))
    assert second.kill() == -9
    assert [actor_of(each).do("result = 'alive'") for each in (first, third)] == ["alive"] * 2
    for each in (first, third):
        each.close()


def test_what_a_child_has_started_ends_with_it(warm_none, actor_of):
    """With "none"; with "full" it starts nothing."""
    with warm_none.open() as process:
        pids = actor_of(process).do("""
            import subprocess, os
            result = [subprocess.Popen(["/bin/sleep", "1000"]).pid for _ in range(3)]
        """)
        assert all(map(alive, pids))
    assert gone_soon(*pids)


def test_what_a_child_has_started_ends_even_if_the_child_ended_first(warm_none, actor_of):
    process = warm_none.open()
    pid = actor_of(process).do("import subprocess; result = subprocess.Popen(['/bin/sleep', '1000']).pid")
    actor_of(process).tell("import os; os._exit(0)")
    assert process.status(5) == 0
    process.close()
    assert gone_soon(pid)


# --- a warm process that fails -------------------------------------------------------------------------------


def test_a_warm_process_that_dies_is_started_anew(new_warm, level, actor_of):
    with new_warm(level) as warm:
        process = warm.open()
        first = warm._run._pid
        os.kill(first, signal.SIGKILL)
        assert gone_soon(first)
        assert actor_of(process).answer(5) is None  # its child has died with it
        assert process.kill() is None
        with warm.open() as process:
            assert actor_of(process).do("result = 'alive'") == "alive"
        assert warm._run._pid != first


def test_it_has_again_what_was_preloaded(new_warm, level, actor_of):
    with new_warm(level) as warm:
        warm.preload("colorsys")
        warm.open().close()
        os.kill(warm._run._pid, signal.SIGKILL)
        with warm.open() as process:
            assert actor_of(process).do("import sys; result = 'colorsys' in sys.modules") is True


def test_a_warm_process_that_does_not_answer_is_ended_with_its_children(new_warm, level, monkeypatch, actor_of):
    monkeypatch.setattr(warm_process, "ANSWER_SECONDS", 0.5)
    with new_warm(level) as warm:
        process = warm.open()
        below = family(warm._run._program.pid)
        assert len(below) >= 2
        os.kill(warm._run._pid, signal.SIGSTOP)
        assert process.kill() is None
        assert gone_soon(*below)
        with warm.open() as process:
            assert actor_of(process).do("result = 'alive'") == "alive"


def test_a_child_that_survives_its_kill_costs_the_warm_process(new_warm, level, actor_of):
    """Such a child is stuck in the kernel: here the warm process says that it could not reap it."""
    with new_warm(level) as warm:
        process = warm.open()
        below = family(warm._run._program.pid)
        ask = warm._run.ask
        warm._run.ask = lambda request: {"status": None} if request["do"] == "kill" else ask(request)
        assert process.kill() is None
        assert gone_soon(*below)
        with warm.open() as process:
            assert actor_of(process).do("result = 'alive'") == "alive"


def test_a_python_that_does_not_start_is_said(new_warm, level, monkeypatch, with_actor):
    def fill(lesson, folder):
        with_actor(lesson, folder)
        Path(folder, "clearformer/grading/inside/warm.py").write_text("raise RuntimeError('broken on purpose')")

    with (
        WarmProcess("02_attention", level, fill=fill) as warm,
        pytest.raises(WarmFailed, match=r"did not start.*broken on purpose"),
    ):
        warm.open()


def test_an_unknown_level_is_no_level():
    with pytest.raises(ValueError, match="full, none, not 'some'"):
        WarmProcess("02_attention", "some")


# --- ending --------------------------------------------------------------------------------------------------


def test_closing_leaves_no_process_no_folder_and_no_descriptor(new_warm, level, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    new_warm(level).close()
    before = len(os.listdir("/proc/self/fd"))
    warm = new_warm(level)
    warm.open()
    below = family(warm._run._program.pid)
    assert list(tmp_path.iterdir())
    warm.close()
    warm.close()
    assert gone_soon(*below)
    assert not list(tmp_path.iterdir())
    assert len(os.listdir("/proc/self/fd")) <= before + 1  # the channel of the child that was left open


JUDGE = """
import sys, time
from clearformer.grading.sandbox.warm_process import WarmProcess
warm = WarmProcess("02_attention", {level!r})
process = warm.open()
source = {source!r}
process.connection.send({{"do": "run", "cell": 1, "source": source, "number": 1, "seconds": 600.0}})
print(warm._run._program.pid, warm._run._folder, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_judge_that_dies_takes_everything_with_it(level, number, tmp_path):
    source, generations = "while True: pass", 2
    if level == "none":  # where a submission may start a process of its own
        source, generations = "import subprocess; subprocess.run(['/bin/sleep', '600'])", 3
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    line = [sys.executable, "-c", JUDGE.format(level=level, source=source)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment) as judge:
        pid, _ = judge.stdout.readline().split(maxsplit=1)
        until = time.monotonic() + 10
        while len(below := family(int(pid))) < generations and time.monotonic() < until:
            time.sleep(0.05)
        assert len(below) >= generations and all(map(alive, below))
        judge.send_signal(number)
        judge.wait(20)
        assert gone_soon(*below)


def test_the_folder_of_a_judge_that_was_killed_is_removed_by_the_next(new_warm, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    abandoned, fresh = tmp_path / f"{warm_process.FOLDER}abandoned", tmp_path / f"{warm_process.FOLDER}fresh"
    for folder in (abandoned, fresh):
        folder.mkdir()
        (folder / "lock").touch()
        (folder / "some file").touch()
    hour_ago = time.time() - 3600
    os.utime(abandoned, (hour_ago, hour_ago))
    with new_warm("none") as other:
        os.utime(other._run._folder, (hour_ago, hour_ago))
        with new_warm("none"):
            assert other._run._folder.exists(), "it is in use"
    assert not abandoned.exists()
    assert fresh.exists()


def test_ctrl_c_in_the_terminal_is_for_the_judge_alone(new_warm, level):
    with new_warm(level) as warm, warm.open():
        for pid in family(warm._run._program.pid):
            assert os.getsid(pid) != os.getsid(0)


def test_it_outlives_the_thread_that_started_it(new_warm, level, actor_of):
    made = []
    thread = threading.Thread(target=lambda: made.append(new_warm(level)))
    thread.start()
    thread.join()
    time.sleep(0.3)
    with made[0] as warm, warm.open() as process:
        assert actor_of(process).do("result = 'alive'") == "alive"
        assert warm._run is not None and not warm._run.has_died


def test_a_fork_of_the_judge_has_warm_processes_of_its_own(new_warm, level):
    new_warm(level).close()  # so that the judge's own thread for starting is there
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            with new_warm(level) as warm:
                warm.open().close()
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
