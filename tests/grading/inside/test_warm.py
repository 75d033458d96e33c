"""The warm process: what it imports, how it forks, and that it is left as it was by whatever its children do."""

import os
from pathlib import Path

import pytest

from clearformer.grading.sandbox.warm_process import WarmFailed


@pytest.fixture(params=["full", "none"])
def warm(request):
    return request.getfixturevalue(f"warm_{request.param}")


def state(warm):
    """What a leak would show in: descriptors, mounts, children, memory in pages."""
    process = Path(f"/proc/{warm._run._pid}")
    children = (process / f"task/{process.name}/children").read_text().split()
    mounts = len((process / "mountinfo").read_text().splitlines())
    return {
        "descriptors": len(os.listdir(process / "fd")),
        "mounts": mounts,
        "children": children,
        "namespaces": os.readlink(process / "ns/pid_for_children"),
        "own descriptors": len(os.listdir("/proc/self/fd")),
    }


def resident(warm):
    return int(Path(f"/proc/{warm._run._pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_opening_and_closing_leaves_nothing_behind(warm):
    warm.open().close()
    before = state(warm)
    for _ in range(25):
        warm.open().close()
    assert state(warm) == before
    assert before["children"] == []


@pytest.mark.slow
def test_hundreds_of_submissions_leave_nothing_behind(warm):
    for _ in range(20):
        warm.open().close()
    before, size = state(warm), resident(warm)
    for _ in range(300):
        warm.open().close()
    assert state(warm) == before
    assert resident(warm) < size + 300 * (2 << 10)


@pytest.mark.slow
def test_it_has_one_thread_whatever_is_preloaded(new_warm, sandbox_full, actor_of):
    with new_warm("full") as warm:
        warm.preload("torch", "matplotlib.pyplot", "clearformer.plots")
        with warm.open() as process:
            loaded = actor_of(process).do("import sys; result = ['torch' in sys.modules, 'matplotlib' in sys.modules]")
            status = Path(f"/proc/{warm._run._pid}/status").read_text()
    assert loaded == [True, True]
    assert "Threads:\t1\n" in status


@pytest.mark.slow
def test_what_a_preloaded_module_puts_into_the_environment_is_not_there(new_warm, sandbox_full, actor_of):
    with new_warm("full") as warm:
        warm.preload("torch", "torch._dynamo")  # which leaves a TORCHINDUCTOR_CACHE_DIR
        with warm.open() as process:
            found = actor_of(process).do(
                "import os, sys; result = [sorted(os.environ), 'torch._dynamo' in sys.modules]"
            )
            status = Path(f"/proc/{warm._run._pid}/status").read_text()
    assert found[1] and not [name for name in found[0] if "TORCH" in name]
    assert "Threads:\t1\n" in status


def test_numpy_is_there_before_the_submission_asks(warm, actor_of):
    with warm.open() as process:
        assert actor_of(process).do("import sys; result = 'numpy' in sys.modules") is True


def test_it_holds_no_check_no_reference_and_no_solution(new_warm, with_actor, warm_full, actor_of):
    with warm_full.open() as process:
        names = actor_of(process).do("import sys; result = [n for n in sys.modules if n.startswith('clearformer')]")
    allowed = ("clearformer.grading.inside", "clearformer.checks.", "clearformer.plots")
    own = [name for name in names if not name.startswith(allowed)]
    assert set(own) <= {"clearformer", "clearformer.checks", "clearformer.grading"}
    assert not [name for name in names if "catalogue" in name or "judge" in name]


def test_a_submission_finds_nothing_of_the_judge_in_the_warm_process(warm_full, actor_of):
    with warm_full.open() as process:
        found = actor_of(process).do("""
            import gc, socket
            gc.unfreeze()
            result = [o.fileno() for o in gc.get_objects() if isinstance(o, socket.socket) and o.fileno() >= 0]
        """)
    assert set(found) <= {3}


def test_one_submission_cannot_change_modules_for_the_next(warm, actor_of):
    with warm.open() as process:
        actor_of(process).do("import numpy, builtins; numpy.exp = None; builtins.abs = None")
    with warm.open() as process:
        assert actor_of(process).do("import numpy; result = [float(numpy.exp(0)), abs(-1)]") == [1.0, 1]


def test_a_module_that_cannot_be_imported_is_named(new_warm):
    with new_warm("none") as warm:
        warm.preload("no_such_module")
        with pytest.raises(WarmFailed, match="no_such_module cannot be imported"):
            warm.open()


def test_a_module_that_ends_python_is_named(new_warm, with_actor):
    def fill(lesson, folder):
        with_actor(lesson, folder)
        Path(folder, "ends_python.py").write_text("import os; os._exit(3)")

    from clearformer.grading.sandbox.warm_process import WarmProcess

    with WarmProcess("02_attention", "none", fill=fill, serve="clearformer.grading.inside.actor") as warm:
        warm.preload("ends_python")
        with pytest.raises(WarmFailed, match="while it imported ends_python"):
            warm.open()


def test_a_child_that_cannot_be_shut_in_runs_nothing(new_warm, with_actor, sandbox_full, tmp_path):
    """Every step of the confinement, broken: the submission is refused, and never run unconfined."""
    from clearformer.grading.sandbox.warm_process import WarmProcess

    steps = ("_own_mounts", "_limits", "_no_privileges", "_only", "seccomp.install")
    for step in steps:

        def fill(lesson, folder, step=step):
            with_actor(lesson, folder)
            file = Path(folder, "clearformer/grading/inside/confine.py")
            broken = f"\ndef broken(*arguments):\n    raise ConfineError('no {step}')\n{step} = broken\n"
            file.write_text(file.read_text() + broken)

        warm = WarmProcess("02_attention", "full", fill=fill, serve="clearformer.grading.inside.actor")
        with warm, pytest.raises(WarmFailed, match=f"was not run: ConfineError: no {step}"):
            warm.open()
