"""What a submission's process cannot do. Each thing is tried inside, and, where that is safe, without the sandbox too,
where it works: so each test is known to bite.
"""

import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from clearformer.grading.inside import confine
from clearformer.grading.sandbox import enclosure

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is for Linux")
COURSE = Path(__file__).parents[3]


# --- files ---------------------------------------------------------------------------------------------------


def test_neither_the_course_nor_the_home_folder_can_be_read(inside, unprotected, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    paths = [str(secret), str(COURSE / "solutions"), str(COURSE / "pyproject.toml"), __file__, "/etc/passwd"]
    look = f"import os; result = [path for path in {paths!r} if os.path.exists(path)]"
    assert unprotected(look) == paths
    assert inside(look) == []


def test_the_python_in_use_and_its_packages_can_be_read_and_nothing_else(inside):
    found = inside("""
        import os, sys
        system = ["/usr", "/lib", "/lib64", "/lib32", "/libx32", "/etc", "/dev", "/sys", "/nix", "/gnu", "/scratch"]
        own = [*sys.path, sys.base_prefix]
        result = []
        for folder, folders, files in os.walk("/"):
            folders[:] = [name for name in folders if not any(
                os.path.join(folder, name) == path for path in [*system, *own])]
            result += [os.path.join(folder, name) for name in files]
    """)
    assert set(found) <= {str(enclosure.python_here().program), "/proc/cpuinfo"}
    assert inside('import os; result = sorted(os.listdir("/etc"))') in (
        ["alternatives", "ld.so.cache"],
        ["ld.so.cache"],
        [],
    )
    assert inside('import os; result = sorted(os.listdir("/dev"))') == sorted([*enclosure.DEVICES, "shm"])


def test_nothing_outside_the_scratch_folder_can_be_written(inside):
    tried = inside("""
        import os
        result = []
        for folder, folders, files in os.walk("/"):
            if folder.startswith("/scratch"):
                continue
            if folder.count("/") > 4:
                folders[:] = []
            try:
                open(os.path.join(folder, "left"), "w").close()
                result.append(folder)
            except OSError:
                pass
    """)
    assert tried == []


def test_the_package_that_all_submissions_import_cannot_be_changed(inside, new_warm, actor_of):
    change = """
        import clearformer, os
        os.chmod(clearformer.__file__, 0o777)
        with open(clearformer.__file__, "a") as file:
            file.write("# changed")
        result = "changed"
    """
    with new_warm("none") as warm, warm.open() as process:
        assert actor_of(process).do(change) == "changed"
    assert "Error" in inside(change)


def test_what_a_submission_leaves_is_not_there_for_the_next(inside):
    places = '["/tmp", "/dev/shm", "/var/tmp", os.path.expanduser("~"), os.getcwd(), os.environ["TMPDIR"], "/"]'
    leave = f"""
        import os
        result = []
        for place in {places}:
            try:
                open(os.path.join(place, "left behind"), "w").close()
                result.append(place)
            except OSError:
                pass
    """
    look = f"import os; result = [p for p in {places} if os.path.exists(os.path.join(p, 'left behind'))]"
    assert "/dev/shm" in inside(leave)  # as /tmp is, unless the course's own environment lies there
    assert inside(look) == []


def test_a_file_left_outside_the_own_folder_stays_without_the_sandbox(unprotected):
    unprotected('open("../left", "w").close()')
    assert unprotected('import os; result = os.path.exists("../left")') is True


def test_two_submissions_at_a_time_do_not_see_each_others_files(warm_full, actor_of):
    with warm_full.open() as first, warm_full.open() as second:
        first, second = actor_of(first), actor_of(second)
        first.do('open("/dev/shm/mine", "w").close()')
        assert "mine" in first.do('import os; result = os.listdir("/dev/shm")')
        assert "mine" not in second.do('import os; result = os.listdir("/dev/shm")')


def test_the_scratch_folder_is_home_working_folder_and_temporary_folder(inside):
    seen = inside("import os, tempfile; result = [os.getcwd(), os.path.expanduser('~'), tempfile.gettempdir()]")
    assert seen == [confine.SCRATCH] * 3
    assert inside('open("x", "w").write("text"); result = open("/dev/shm/x").read()') == "text"


def test_environment_variables_of_whoever_grades_are_not_there(inside, unprotected):
    assert "PYTEST_CURRENT_TEST" in os.environ
    assert "PYTEST_CURRENT_TEST" not in inside("import os; result = dict(os.environ)")
    read = f"result = open('/proc/{os.getpid()}/environ').read()"
    assert "PATH=" in unprotected(read)
    assert "FileNotFoundError" in inside(read)


# --- processes -----------------------------------------------------------------------------------------------


def test_no_other_process_is_seen_or_reached(inside, unprotected):
    reach = f"import os; os.kill({os.getpid()}, 0); result = 'reached'"
    assert unprotected(reach) == "reached"
    assert "ProcessLookupError" in inside(reach)
    listing = "import os; result = [name for name in os.listdir('/proc') if name.isdigit()]"
    assert str(os.getpid()) in unprotected(listing)
    assert inside(listing) == []


def test_signals_to_all_processes_reach_none(warm_full, actor_of, inside):
    with warm_full.open() as other, warm_full.open() as process:
        killer, other = actor_of(process), actor_of(other)
        killer.tell("""
            import os, signal
            for target in (-1, 0, os.getppid(), os.getpid()):
                for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP):
                    try:
                        os.kill(target, number)
                    except OSError:
                        pass
            result = "still here"
        """)
        killer.answer()
        assert other.do("result = 'alive'") == "alive"
    assert inside("result = 'alive'") == "alive"


@pytest.mark.parametrize(
    "start",
    [
        "import os\npid = os.fork()\nif pid == 0: os._exit(0)\nos.waitpid(pid, 0)",
        "import subprocess; subprocess.run(['/bin/true'], check=True)",
        "import os; assert os.system('true') == 0",
        "import os; os.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0)",
        "import multiprocessing; p = multiprocessing.get_context('fork').Process(target=int); p.start(); p.join()",
    ],
    ids=["fork", "subprocess", "system", "posix_spawn", "multiprocessing"],
)
def test_no_process_is_started(inside, unprotected, start):
    assert unprotected(start + "\nresult = 'started'") == "started"
    assert inside(start + "\nresult = 'started'") != "started"


def test_fork_and_exec_are_refused_by_the_kernel(inside):
    assert "PermissionError" in inside("import os; os.fork()")
    program = str(enclosure.python_here().program)
    assert "PermissionError" in inside(f"import os; os.execv({program!r}, ['python', '-c', ''])")


def test_threads_work(inside):
    assert inside("""
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(8) as pool:
            result = sum(pool.map(abs, range(-100, 100)))
    """) == sum(map(abs, range(-100, 100)))


@pytest.mark.slow
def test_torch_that_is_imported_late_works_with_four_threads(inside):
    assert inside("""
        import torch
        torch.set_num_threads(4)
        x = torch.randn(300, 300, requires_grad=True)
        (x @ x).sum().backward()
        result = list(x.grad.shape)
    """) == [300, 300]


@pytest.mark.slow
def test_pyplot_that_is_imported_late_draws(inside):
    assert (
        inside("""
        import io
        import matplotlib.pyplot as plt
        plt.plot([1, 2, 3])
        picture = io.BytesIO()
        plt.savefig(picture)
        plt.savefig("figure.png")
        result = len(picture.getvalue()) > 1000
    """)
        is True
    )


def test_threads_left_behind_end_with_their_submission(warm_full, actor_of):
    process = warm_full.open()
    left = actor_of(process)
    left.do("""
        import threading, time
        def forever():
            while True:
                try:
                    time.sleep(0.01)
                except BaseException:
                    pass
        for _ in range(20):
            threading.Thread(target=forever).start()
    """)
    began = time.monotonic()
    process.close()
    assert time.monotonic() - began < 2
    assert process.status() == -9


def test_threads_are_limited(inside):
    started = inside("""
        import threading
        threading.stack_size(1 << 16)
        stop, result = threading.Event(), 0
        try:
            for result in range(5000):
                threading.Thread(target=stop.wait, daemon=True).start()
        except RuntimeError:
            pass
        stop.set()
    """)
    assert 50 < started < 300


def test_a_child_that_ignores_all_signals_is_ended(warm_full, warm_none, actor_of):
    for warm in (warm_full, warm_none):
        with warm.open() as process:
            actor_of(process).tell("""
                import signal
                for number in signal.valid_signals():
                    try:
                        signal.signal(number, signal.SIG_IGN)
                    except (OSError, ValueError):
                        pass
                signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
                while True:
                    pass
            """)
            time.sleep(0.1)
            assert process.kill() == -9


def test_nothing_wakes_up_after_its_end(warm_full, warm_none, actor_of, tmp_path):
    late = tmp_path / "late"
    for warm in (warm_none, warm_full):
        with warm.open() as process:
            actor = actor_of(process)
            said = actor.do(f"""
                import os, subprocess, threading, time
                def write():
                    time.sleep(0.5)
                    open({str(late)!r}, "w").close()
                    sock.send(b"late")
                threading.Thread(target=write).start()
                try:
                    if os.fork() == 0:
                        write()
                        os._exit(0)
                except PermissionError:
                    result = "no fork"
            """)
            assert said == (None if warm is warm_none else "no fork")
            process.kill()
            time.sleep(0.8)
            assert actor.answer() is None
            assert not late.exists()


# --- privileges, network and the kernel ----------------------------------------------------------------------


def test_it_is_nobody_and_stays_it(inside):
    assert inside("import os; result = [*os.getresuid(), *os.getresgid(), *os.getgroups()]")[:6] == [65534] * 6
    assert "PermissionError" in inside("import os; os.setuid(0)")


def test_what_only_root_may_read_cannot_be_read(new_warm, sandbox_full, with_actor, actor_of, tmp_path, monkeypatch):
    if os.geteuid() != 0:
        pytest.skip("only where root grades is there something that only root may read")
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/secret").write_text("secret")
    (tmp_path / "lib/secret").chmod(0o600)
    monkeypatch.setattr(enclosure, "SYSTEM", (*enclosure.SYSTEM, str(tmp_path / "lib")))
    with new_warm("full") as warm, warm.open() as process:
        said = actor_of(process).do(f"result = open({str(tmp_path / 'lib/secret')!r}).read()")
    assert "PermissionError" in said or "FileNotFoundError" in said  # the folder above may be closed as well


def test_no_capability_is_left_or_can_be_gained(inside):
    assert (
        inside("""
        from clearformer.grading.inside import probe
        result = probe._privileges()
    """)
        == []
    )


@pytest.mark.parametrize("kind", ["AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK"])
def test_there_is_no_network(inside, unprotected, kind):
    make = f"import socket; socket.socket(socket.{kind}, socket.SOCK_DGRAM).close(); result = 'made'"
    if kind != "AF_INET6":  # which not every machine has
        assert unprotected(make) == "made"
    assert "PermissionError" in inside(make)


def test_even_the_warm_process_has_no_network(warm_full, warm_none, sandbox_full):
    interfaces = warm_full._run._hello["interfaces"]
    assert set(interfaces) <= {"lo"}
    assert os.readlink(f"/proc/{warm_full._run._pid}/ns/net") != os.readlink("/proc/self/ns/net")


MOUNT = """
    import ctypes, os
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x10000000 | 0x00020000):
        raise OSError(ctypes.get_errno(), "unshare")
    os.mkdir("m")
    if libc.mount(b"none", b"m", b"tmpfs", 0, None):
        raise OSError(ctypes.get_errno(), "mount")
    result = "mounted"
"""


def test_nothing_is_mounted(inside, unprotected):
    assert unprotected(MOUNT) == "mounted"
    assert "PermissionError" in inside(MOUNT)


def test_tracing_is_refused(inside, unprotected):
    trace = "import ctypes; result = ctypes.CDLL(None).ptrace(0, 0, None, None)"  # PTRACE_TRACEME
    assert unprotected(trace) == 0
    assert inside(trace) == -1


# --- limits --------------------------------------------------------------------------------------------------


def test_too_much_memory_is_a_memory_error_and_life_goes_on(warm_full, warm_none, actor_of):
    assert np.empty(3 << 29, "u1").nbytes == 3 << 29, "this machine itself has too little"
    for warm in (warm_full, warm_none):
        with warm.open() as process:
            actor = actor_of(process)
            assert "MemoryError" in actor.do("x = bytearray(3 << 29)")
            assert "MemoryError" in actor.do("import numpy as np; x = np.ones(3 << 26)")
            assert "MemoryError" in actor.do("x = []\nwhile True: x.append(np.empty(1 << 24, 'u1'))")
            assert actor.do("result = len(x)") == pytest.approx(64, abs=8)  # of 16 MiB each: 1 GiB
            assert actor.do("del x; x = np.empty(1 << 29, 'u1'); result = x.nbytes") == 1 << 29


def test_the_limits_cannot_be_raised(inside):
    said = inside("""
        import resource
        result = []
        for name in ("AS", "FSIZE", "NOFILE", "CORE", "CPU", "NPROC"):
            kind = getattr(resource, "RLIMIT_" + name)
            soft, hard = resource.getrlimit(kind)
            try:
                resource.setrlimit(kind, (hard + 1, hard + 1))
                result.append(name)
            except (ValueError, OSError):
                pass
    """)
    assert said == []


def test_the_disk_cannot_be_filled(inside, unprotected):
    one_file = "open('a', 'wb').write(bytes(65 << 20)); result = 'written'"
    several = "for i in range(3): open(str(i), 'wb').write(bytes(30 << 20))\nresult = 'written'"
    many = "for i in range(10_000): open(str(i), 'w').close()\nresult = 'written'"
    assert unprotected(several) == unprotected(many) == "written"
    assert "File too large" in inside(one_file)
    assert "No space left" in inside(several)
    assert "No space left" in inside(many)
    assert inside("import os; result = os.statvfs('/tmp').f_bfree > 10_000") is True


def test_a_crash_writes_no_core_file(inside):
    assert inside("import resource; result = resource.getrlimit(resource.RLIMIT_CORE)") == [0, 0]


def test_one_descriptor_is_open_beside_three_that_lead_nowhere(inside, unprotected):
    look = """
        import os
        result = {}
        for number in range(1024):
            try:
                status = os.fstat(number)
                result[number] = "nowhere" if status.st_rdev == os.stat("/dev/null").st_rdev else "open"
            except OSError:
                pass
    """
    expected = {"0": "nowhere", "1": "nowhere", "2": "nowhere", "3": "open"}
    assert inside(look) == expected
    assert unprotected(look) == expected


def test_what_is_printed_goes_nowhere(inside, capfd):
    assert (
        inside("""
        import os, sys
        print("words"); print("words", file=sys.stderr); sys.__stdout__.write("words"); sys.stdout.flush()
        os.write(1, b"words"); os.write(2, b"words")
        result = sys.stdin.read()
    """)
        == ""
    )
    assert capfd.readouterr() == ("", "")


def test_no_stream_of_the_warm_process_is_left_to_close_a_file_of_the_submission(inside):
    assert (
        inside("""
        import gc, os, sys
        file = open("x", "w+")
        sys.stdin = sys.stdout = sys.stderr = sys.__stdin__ = sys.__stdout__ = sys.__stderr__ = None
        gc.collect()
        file.write("text"); file.flush(); file.seek(0)
        result = file.read()
    """)
        == "text"
    )


def test_a_crash_by_endless_recursion_ends_its_own_process_alone(warm_full, actor_of, inside):
    with warm_full.open() as process:
        actor = actor_of(process)
        actor.tell("import sys; sys.setrecursionlimit(1 << 30)\ndef f(x): return list(map(f, [x]))\nf(0)")
        assert actor.answer() is None
        assert process.status(3) == -11
    assert inside("result = 'alive'") == "alive"
