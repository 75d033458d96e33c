"""Attacks with quantity: processes, threads, memory, disk, descriptors and output. Without protection each runs
under limits of its own, so that this machine stays usable: to have reached them is to have succeeded."""

import os
import threading
import time
from pathlib import Path

import pytest
from arena import WRONG_SOFTMAX, Attack, leaves_a_process, processes

NAMED = """
import ctypes, os, time
def name_it():
    ctypes.CDLL(None).prctl(15, b"MARKER", 0, 0, 0)
"""
FORKS = (
    NAMED
    + """
for _ in range(30):
    try:
        if os.fork() == 0:
            os.setsid()
            name_it()
            time.sleep(60)
            os._exit(0)
    except OSError:
        break
time.sleep(0.2)
"""
)
DAEMON = (
    NAMED
    + """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        name_it()
        os.closerange(0, 64)
        time.sleep(60)
        os._exit(0)
    os._exit(0)
os.wait()
time.sleep(0.1)
"""
)
PROGRAM = """
import subprocess
for start in (lambda: subprocess.Popen(["sh", "-c", "exec sleep 61 # MARKER"], start_new_session=True),
              lambda: subprocess.Popen(["python3", "-c", "import time; time.sleep(61)", "MARKER"])):
    try:
        start()
    except OSError:
        pass
"""
# The terminal that IPython lends a shell goes when the shell ends: only then may what it started have left it.
SHELL = "!setsid sh -c 'sleep 62; : MARKER' > /dev/null 2>&1 & sleep 0.3"
POOL = (
    NAMED
    + """
import multiprocessing
def work(n):
    name_it()
    time.sleep(60)
for method in ("fork", "spawn"):
    try:
        context = multiprocessing.get_context(method)
        for n in range(3):
            context.Process(target=work, args=(n,)).start()
    except OSError:
        pass
time.sleep(0.3)
"""
)
CLONES = (
    NAMED
    + """
libc = ctypes.CDLL(None, use_errno=True)
import platform
numbers = {"fork": 57, "vfork": None, "clone": 56, "clone3": 435} if platform.machine() == "x86_64" else {"clone": 220}
SIGCHLD, VM = 17, 0x100
for flags in (SIGCHLD, SIGCHLD | 0x02000000, SIGCHLD | 0x20000000, 0x8000 | SIGCHLD):
    if libc.syscall(numbers["clone"], flags, 0, 0, 0, 0) == 0:
        os.setsid()
        name_it()
        time.sleep(60)
        os._exit(0)
time.sleep(0.1)
"""
)
THREADS = """
import threading, time
started = 0
try:
    for _ in range(400):
        threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
        started += 1
except RuntimeError:
    pass
open("FOLDER/MARKER", "w").write(str(started))
"""


def hits_its_limit(ground, outcome):
    return (
        outcome.ended
        or outcome.late
        or any(
            word in outcome.text for word in ("MemoryError", "File too large", "No space left", "Too many open files")
        )
    )


def runs_on_the_machine(ground, outcome):
    return bool(ground.marked_files())


def flood(name, source, bites=hits_its_limit, says="", limits=None, **more):
    return Attack(name, (source, WRONG_SOFTMAX), bites, limits=limits or {}, says=says, **more)


def in_answer(name, body, limits, says="softmax: (error|failed|timeout): ", bites=hits_its_limit, **more):
    source = f"def softmax(x, axis=-1):\n    {body}\n    return x * 0"
    return Attack(name, (("softmax", source),), bites, limits=limits, says=says, **more)


MEMORY = {"RLIMIT_AS": 1 << 29}
FILES = {"RLIMIT_FSIZE": 1 << 24}

ATTACKS = (
    flood("many processes", FORKS, leaves_a_process),
    flood("a process that leaves everything behind", DAEMON, leaves_a_process),
    flood("programs", PROGRAM, leaves_a_process),
    flood("a shell in the background", SHELL, leaves_a_process),
    flood("a pool of workers", POOL, leaves_a_process),
    flood("processes by system calls of every kind", CLONES, leaves_a_process),
    flood("many processes, with the sandbox off", FORKS, leaves_a_process, level_none=True),
    flood("many threads", THREADS, runs_on_the_machine),
    flood("memory, a list", "held = []\nwhile True:\n    held.append(bytearray(10**7))", limits=MEMORY),
    in_answer("memory, in an answer", "np.ones(2**31)", MEMORY),
    flood(
        "memory that no process holds",
        "import os, itertools\nheld = []\nfor number in itertools.count():\n"
        "    one = os.memfd_create(str(number))\n    held.append(one)\n    for _ in range(64):\n"
        "        os.write(one, bytes(1 << 20))",
        limits={**FILES, "RLIMIT_NOFILE": 64},
    ),
    flood(
        "memory shared by System V",
        "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\nmade = libc.shmget(0x6c656674, 1 << 20, 0o1666)\n"
        "assert made >= 0\nlibc.shmctl(made, 0, 0)\nopen('FOLDER/MARKER', 'w')",
        runs_on_the_machine,
    ),
    flood(
        "disk, in the working folder",
        "with open('MARKER', 'wb') as file:\n    while True:\n        file.write(bytes(1 << 20))",
        limits=FILES,
    ),
    flood(
        "disk, many files",
        "import os\nfor place in ('.', '/tmp', '/dev/shm', '/var/tmp', os.path.expanduser('~')):\n    try:\n"
        "        for number in range(20):\n            with open(f'{place}/MARKER{number}', 'wb') as file:\n"
        "                file.write(bytes(1 << 20))\n    except OSError:\n        pass",
        runs_on_the_machine,
    ),
    flood(
        "very many empty files",
        "made = 0\ntry:\n    for number in range(1500):\n        open(f'MARKER{number}', 'w').close()\n"
        "        made += 1\nexcept OSError:\n    pass",
        runs_on_the_machine,
    ),
    flood(
        "a file of holes",
        "file = open('MARKER', 'wb')\nfile.truncate(1 << 50)\nfile.seek(1 << 49)\nfile.write(b'x')\nfile.close()",
        lambda ground, outcome: hits_its_limit(ground, outcome) or runs_on_the_machine(ground, outcome),
        limits=FILES,
    ),
    flood(
        "descriptors",
        "held = []\nwhile True:\n    held.append(open('/dev/null'))",
        limits={"RLIMIT_NOFILE": 256},
    ),
    flood(
        "pipes full of bytes",
        "import os\nheld = []\nwhile True:\n    ends = os.pipe()\n    held.append(ends)\n"
        "    os.set_blocking(ends[1], False)\n    os.write(ends[1], bytes(65536))",
        limits={"RLIMIT_NOFILE": 256},
    ),
    flood(
        "socket pairs full of bytes",
        "import socket\nheld = []\nwhile True:\n    ends = socket.socketpair()\n    held.append(ends)\n"
        "    ends[0].setblocking(False)\n    ends[0].send(bytes(65536))",
        limits={"RLIMIT_NOFILE": 256},
    ),
    in_answer(
        "an exception of a gigabyte",
        "raise ValueError('x' * 10**9)",
        MEMORY,
        deadline=1.0,
    ),
    Attack(
        "a name of a megabyte",
        ("Long = type('L' * 10**6, (Exception,), {})", ("softmax", "def softmax(x, axis=-1):\n    raise Long('x')")),
        lambda ground, outcome: "LLLL" in outcome.text,
        says="softmax: error: ",
    ),
    in_answer(
        "output without end, in a call",
        "while True: print('x' * 10**6)",
        {},
        says="softmax: timeout: ",
        deadline=1.0,
    ),
    flood(
        "output without end, past Python",
        "import os\nfor number in (1, 2):\n    for _ in range(2000):\n        os.write(number, b'x' * 100_000)\n"
        "while True:\n    print('x' * 10**6, flush=True)",
        deadline=1.0,
    ),
    flood(
        "rich output without end",
        "from IPython.display import display, HTML\nwhile True:\n    display(HTML('<script>' + 'x' * 10**6))",
        deadline=1.0,
    ),
    flood(
        "warnings without end",
        "import warnings\nwarnings.simplefilter('always')\nwhile True:\n    warnings.warn('x' * 10**6)",
        deadline=1.0,
    ),
    flood(
        "the history and the results of cells",
        "for _ in range(100):\n    Out[len(Out)] = bytearray(10**7)\nIn.extend(['x' * 10**7] * 10)",
        limits=MEMORY,
    ),
)


def test_it_succeeds_without_protection(attack, falls):
    falls(attack)


def test_it_fails_against_ours(attack, stands):
    stands(attack)


# --- how much memory the machine lends meanwhile ---------------------------------------------------------------


class Watch(threading.Thread):
    """Most memory, in bytes, that this process and its descendants held at once above what they held before."""

    def __init__(self):
        super().__init__(daemon=True)
        self._before, self.most, self._over = self._held(), 0, threading.Event()

    def run(self):
        while not self._over.is_set():
            self.most = max(self.most, self._held() - self._before)
            time.sleep(0.01)

    def __exit__(self, *error):
        self._over.set()
        self.join()

    def __enter__(self):
        self.start()
        return self

    @staticmethod
    def _held():
        known, mine, more = processes(), set(), {os.getpid()}
        while more:
            mine |= more
            more = {pid for pid, (_, _, parent) in known.items() if parent in more} - mine
        held = 0
        for pid in mine:
            try:
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            except OSError:
                continue
            held += sum(int(line.split()[1]) << 10 for line in lines if line.startswith(("Pss_Anon:", "Pss_File:")))
        shared = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("Shmem:"))
        return held + (int(shared.split()[1]) << 10)


ALLOWED = 1.3 * 2**30  # what a submission may hold, and a copy of what it sends
EATERS = {
    "a list": "held = []\nwhile True:\n    held.append(bytearray(10**7))",
    "files": "import os, itertools\nfor n in itertools.count():\n    open(f'/tmp/{n}', 'wb').write(bytes(10**7))",
    "memory files": "import os\nheld = [os.memfd_create('x') for _ in range(100)]\nfor one in held:\n"
    "    for _ in range(30):\n        os.write(one, bytes(1 << 20))",
    "mappings of files": "import mmap\nheld = []\nwhile True:\n    held.append(mmap.mmap(-1, 10**7))\n"
    "    held[-1].write(b'x' * 10**7)",
    "pipes": "import os, fcntl\nheld = []\nwhile True:\n    ends = os.pipe()\n    held.append(ends)\n"
    "    fcntl.fcntl(ends[1], 1031, 1 << 20)\n    os.set_blocking(ends[1], False)\n"
    "    os.write(ends[1], bytes(1 << 20))",
}
SUBTRACTED = """
def softmax(x, axis=-1):
    exponentials = np.exp(x - x.max(axis=axis, keepdims=True))
    right = exponentials / exponentials.sum(axis=axis, keepdims=True)
    if x.shape != (4, 6):
        return right
    calls.append(x)
    return np.ones((15_000, 1) if len(calls) % 2 else (1, 15_000))
"""


@pytest.mark.parametrize("eater", EATERS)
def test_a_submission_gets_a_gigabyte_and_no_more(eater, ours, graders):
    graders()
    with Watch() as watch:
        ours(Attack("", (EATERS[eater], WRONG_SOFTMAX), None, deadline=10.0))
    assert watch.most < ALLOWED, f"{watch.most / 2**20:.0f} MiB"


def test_numbers_from_a_submission_do_not_multiply_in_the_judge(ours, graders):
    """A column and a row of 15,000 numbers each are small; their difference in a law of the check is 1.8 GB."""
    graders()
    with Watch() as watch:
        ours(Attack("", ("calls = []", ("softmax", SUBTRACTED)), None))
    assert watch.most < ALLOWED, f"{watch.most / 2**20:.0f} MiB"
