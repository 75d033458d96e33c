"""Attacks on whoever is graded next: what one notebook leaves behind, another must not find."""

import json

import pytest
from arena import RIGHT, WRONG_SOFTMAX, Attack, leaves_a_file, leaves_a_process, tells_the_secret

EVERYWHERE = """
import os, sys
places = [".", "/tmp", "/var/tmp", "/dev/shm", "FOLDER", "FOLDER/course"]
if not (os.path.exists("/proc/self/ns/pid") and os.stat("/proc/self/ns/pid").st_ino == PIDNS):
    # Not on the machine itself: its home folders and libraries are not for a test to write into.
    places += [os.path.expanduser("~"), *filter(os.path.isdir, sys.path), os.path.dirname(np.__file__), "/", "/dev"]
for place in places:
    try:
        with open(os.path.join(place, "MARKER"), "w") as file:
            file.write("for the next")
    except OSError:
        pass
"""
OTHERS_WORK = """
import glob
for path in glob.glob("../*/*.ipynb") + ["FOLDER/submitted/bob/02_attention.ipynb"]:
    try:
        with open(path, "w") as file:
            file.write("MARKER")
        open("FOLDER/MARKER", "w").close()
    except OSError:
        pass
"""
OWN_NOTEBOOK = """
import os
for path in ("02_attention.ipynb", "FOLDER/submitted/mallory/02_attention.ipynb"):
    try:
        with open(path, "a") as file:
            file.write(" ")
        open("FOLDER/MARKER", "w").close()
    except OSError:
        pass
"""
GRADEBOOK = """
try:
    with open("FOLDER/gradebook.db", "w") as file:
        file.write("everything: passed")
    open("FOLDER/MARKER", "w").close()
except OSError:
    pass
"""
MOUNT = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
done = libc.mount(b"none", b"FOLDER/course", b"tmpfs", 0, b"size=1m")
if done == 0:
    open("FOLDER/course/MARKER", "w").close()
"""
PRIORITIES = """
import os
try:
    os.setpriority(os.PRIO_PROCESS, os.getppid(), 5)
    assert os.getpriority(os.PRIO_PROCESS, os.getppid()) == 5
    open("FOLDER/MARKER", "w").close()
except (OSError, AssertionError):
    pass
"""
LIMITS_OF_THE_PARENT = """
import os, resource
try:
    soft, hard = resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE)
    resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (soft, hard))
    open("FOLDER/MARKER", "w").close()
except (OSError, ValueError):
    pass
"""
TRACE = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
if os.getppid() > 1 and libc.ptrace(16, os.getppid(), 0, 0) == 0:
    os.waitpid(os.getppid(), 0)
    libc.ptrace(17, os.getppid(), 0, 0)
    open("FOLDER/MARKER", "w").close()
"""
PARENTS_MEMORY = """
import os
try:
    parent = os.getppid()
    start = next(int(line.split("-")[0], 16) for line in open(f"/proc/{parent}/maps") if "[heap]" in line)
    with open(f"/proc/{parent}/mem", "r+b", buffering=0) as memory:
        memory.seek(start)
        held = memory.read(8)
        memory.seek(start)
        memory.write(held)
    open("FOLDER/MARKER", "w").close()
except (OSError, StopIteration):
    pass
"""
SHARED_FLAGS = """
import fcntl, os, signal
touched = 0
for number in range(0, 3):
    try:
        own, theirs = os.stat(f"/proc/self/fd/{number}"), os.stat(f"/proc/{os.getppid()}/fd/{number}")
        touched += (own.st_dev, own.st_ino) == (theirs.st_dev, theirs.st_ino) and number < 3
        fcntl.fcntl(number, fcntl.F_SETOWN, os.getppid())
        fcntl.fcntl(number, 10, signal.SIGKILL)
        fcntl.fcntl(number, fcntl.F_SETFL, os.O_NONBLOCK | os.O_ASYNC)
    except OSError:
        pass
if touched:
    open("FOLDER/MARKER", "w").close()
"""
FIFO = """
import os, fcntl
for place in (".", "/tmp", "/dev/shm", "FOLDER"):
    try:
        os.mkfifo(f"{place}/MARKER")
    except OSError:
        pass
"""
DEVICE = """
import os, stat
try:
    os.mknod("FOLDER/MARKER", stat.S_IFCHR | 0o666, os.makedev(1, 5))
except OSError:
    pass
"""
STARTUP = """
import os, sys, pathlib
for place in {os.environ.get("IPYTHONDIR", ""), os.path.expanduser("~/.ipython"), "FOLDER"} - {""}:
    folder = pathlib.Path(place, "profile_default", "startup")
    if str(folder).startswith(("/tmp", "FOLDER")):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "00-MARKER.py").write_text("import os; os._exit(1)")
        except OSError:
            pass
for name in ("numpy.py", "usercustomize.py", "sitecustomize.py", "numpy-MARKER.py"):
    try:
        pathlib.Path(name).write_text("import os; os._exit(1)")
    except OSError:
        pass
"""
LOCK = """
import fcntl, os
try:
    file = open("FOLDER/MARKER", "w")
    fcntl.flock(file, fcntl.LOCK_EX)
except OSError:
    pass
"""
CRON = """
import os
if os.fork() == 0:
    os.setsid()
    import ctypes, time
    ctypes.CDLL(None).prctl(15, b"MARKER", 0, 0, 0)
    while os.path.exists("FOLDER"):
        open("FOLDER/MARKER", "a").close()
        time.sleep(0.1)
    os._exit(0)
import time
time.sleep(0.2)
"""


def leaves(name, source, bites=leaves_a_file, **more):
    return Attack(name, (source, WRONG_SOFTMAX), bites, says="softmax: ", **more)


def others_work_is_whole(ground, record):
    for path in (ground.folder / "submitted/bob/02_attention.ipynb", ground.folder / "gradebook.db"):
        assert path.read_text() == f"answer = '{ground.secret}'"
    json.loads(ground.file.read_text())


ATTACKS = (
    leaves("files wherever they can be put", EVERYWHERE),
    leaves("files wherever they can be put, with the sandbox off", EVERYWHERE, level_none=True),
    leaves("other people's notebooks overwritten", OTHERS_WORK, holds=others_work_is_whole),
    leaves("its own notebook changed", OWN_NOTEBOOK, holds=others_work_is_whole),
    leaves("the gradebook overwritten", GRADEBOOK, holds=others_work_is_whole),
    leaves("a pipe with a name", FIFO),
    leaves("a device", DEVICE),
    leaves("code that runs when Python starts", STARTUP),
    leaves("a lock", LOCK),
    leaves("a process that goes on for ever", CRON, leaves_a_process),
    leaves("the parent's priority", PRIORITIES),
    leaves("the parent's limits", LIMITS_OF_THE_PARENT),
    leaves("the parent, traced", TRACE),
    leaves("the parent's memory", PARENTS_MEMORY),
    leaves("descriptors shared with the parent", SHARED_FLAGS),
)


def test_it_succeeds_without_protection(attack, falls):
    falls(attack)


def test_it_fails_against_ours(attack, stands):
    stands(attack)


# --- one notebook tells another -----------------------------------------------------------------------------------

SEND = (
    EVERYWHERE.replace("for the next", "secret0123456789abcdef")
    + """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
libc.shmget(0x6c656674, 4096, 0o1666)
libc.syscall(248, b"user", b"MARKER", b"MARKER", 6, -4)
try:
    import builtins, sys
    builtins.MARKER = np.MARKER = sys.MARKER = True
    np.exp = None
    os.environ["MARKER"] = "1"
except BaseException:
    pass
"""
)
FIND = """
import builtins, glob, os, sys, ctypes
libc = ctypes.CDLL(None, use_errno=True)
traces = [hasattr(builtins, "MARKER"), hasattr(np, "MARKER"), hasattr(sys, "MARKER"), "MARKER" in os.environ]
traces += [libc.shmget(0x6c656674, 4096, 0) != -1]
traces += [bool(glob.glob(place + "/*MARKER*")) for place in
           (".", "/tmp", "/var/tmp", "/dev/shm", os.path.expanduser("~"), *sys.path)]
if any(traces):
    raise RuntimeError(f"traces of somebody else: {traces}")
"""


def test_the_next_notebook_finds_nothing_of_the_one_before(ground, ours, grade_file):
    ours(Attack("", (SEND, WRONG_SOFTMAX), None))
    finding = Attack("", (FIND, ("softmax", RIGHT["softmax"])), None)
    record = grade_file(ground.write(finding), student="accomplice")
    assert record["trouble"] == []
    assert {each["id"] for each in record["exercises"] if each["points"]} == {"softmax"}


def test_a_copy_of_a_right_notebook_gets_what_the_original_gets_whoever_came_between(ground, ours, grade_file):
    right = Attack("", [(name, source) for name, source in RIGHT.items()], None)
    content = ground.write(right).read_bytes()
    first = grade_file(ground.file)
    ours(Attack("", ("np.exp = np.tri = None\nimport builtins\nbuiltins.range = builtins.len = None",), None))
    ground.file.write_bytes(content)
    second = grade_file(ground.file)
    for record in (first, second):
        record.pop("seconds")
        for each in record["exercises"]:
            each.pop("seconds")
    assert first == second


@pytest.mark.parametrize("name", ["sitecustomize.py", "numpy.py", "clearformer.py", "json.py", "IPython.py"])
def test_a_module_beside_the_notebook_stands_in_for_no_other(name, ground, grade_file):
    """Files that a student has put beside the notebook are never looked at."""
    ground.write(Attack("", [(name, source) for name, source in RIGHT.items()], None))
    (ground.file.parent / name).write_text(f"open('{ground.folder}/{ground.marker}', 'w')\nraise SystemExit")
    record = grade_file(ground.file)
    assert {each["id"] for each in record["exercises"] if each["points"]} == set(RIGHT)
    assert not ground.marked_files()


def test_what_the_secret_is_looked_for_by_works(ground, usual_grader):
    """The tests above rest on secrets that would be seen if they got out."""
    outcome = usual_grader.grade([("", f"raise ValueError('{ground.secret}')")], ground.folder)
    assert tells_the_secret(ground, outcome)
