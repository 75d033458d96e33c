"""Attacks on the run: processes that end, kill, crash, hang, or that cannot be ended."""

import pytest
from arena import WRONG_SOFTMAX, Attack, brings_the_grader_down, ends_the_run, leaves_a_file, never_ends

CTYPES = "import ctypes\n"


def cell(name, source, bites, says="softmax: ", **more):
    """Code in a cell of its own, before the answer."""
    return Attack(name, (source, WRONG_SOFTMAX), bites, says=says, **more)


def answer(name, body, bites, says, setup="", **more):
    """Code in the answer, run when it is called."""
    cells = [setup] if setup else []
    return Attack(name, (*cells, ("softmax", f"def softmax(x, axis=-1):\n{body}")), bites, says=says, **more)


SOON = {"deadline": 1.0}
HANGS = {"bites": never_ends, **SOON}

ATTACKS = (
    answer("os._exit in an answer", "    import os\n    os._exit(0)", ends_the_run, "softmax: error: .*exit status 0"),
    answer(
        "os._exit after a forged pass",
        "    import os\n    print('passed')\n    os._exit(100)",
        ends_the_run,
        "softmax: error: .*exit status 100",
    ),
    cell("os._exit in a cell", "import os\nos._exit(0)", ends_the_run, "ended Python itself .exit status 0."),
    cell(
        "the end called in every way there is",
        "import os, sys, signal\n"
        "for end in (sys.exit, exit, quit, lambda: os.kill(os.getpid(), signal.SIGKILL), os.abort):\n"
        "    try:\n        end()\n    except BaseException:\n        pass",
        ends_the_run,
    ),
    answer(
        "sys.exit in an answer", "    import sys\n    sys.exit(0)", ends_the_run, "softmax: error: .*", way="script"
    ),
    cell("sys.exit in a cell", "import sys\nsys.exit(0)", ends_the_run, "SystemExit", way="script"),
    answer("abort", "    import os\n    os.abort()", ends_the_run, "softmax: error: .*crashed Python itself"),
    answer(
        "a segmentation fault",
        "    import ctypes\n    ctypes.string_at(0)",
        ends_the_run,
        "softmax: error: .*SIGSEGV.*",
    ),
    answer(
        "a segmentation fault with the fault handler off",
        "    import ctypes, faulthandler\n    faulthandler.disable()\n    ctypes.string_at(0)",
        ends_the_run,
        "softmax: error: ",
    ),
    answer(
        "Python's stack without a limit",
        "    import sys\n    sys.setrecursionlimit(10**9)\n    class Deep:\n        def __getattr__(self, name):\n"
        "            return getattr(self, name + 'x')\n        def __repr__(self):\n            return repr(self)\n"
        "    def down(n):\n        return [*map(down, [n])]\n    down(0)",
        ends_the_run,
        "softmax: (error|timeout): ",
        deadline=5.0,
    ),
    cell(
        "the parent killed",
        "import os, signal\ntry:\n    os.kill(os.getppid(), signal.SIGKILL)\nexcept OSError:\n    pass\n"
        "import time; time.sleep(0.1)",
        brings_the_grader_down,
    ),
    cell(
        "the group killed",
        "import os, signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nos.kill(0, signal.SIGKILL)",
        brings_the_grader_down,
    ),
    cell(
        "the group of the parent killed",
        "import os, signal\ntry:\n    os.killpg(os.getpgid(os.getppid()), signal.SIGKILL)\nexcept OSError:\n    pass",
        brings_the_grader_down,
    ),
    cell(
        "the parent stopped",
        "import os, signal\ntry:\n    os.kill(os.getppid(), signal.SIGSTOP)\nexcept OSError:\n    pass\n"
        "import time; time.sleep(0.1)",
        brings_the_grader_down,
    ),
    cell(
        "every signal to the parent",
        "import os\nfor number in range(1, 64):\n    try:\n        os.kill(os.getppid(), number)\n"
        "    except OSError:\n        pass",
        brings_the_grader_down,
    ),
    cell(
        "stopping itself",
        "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
        never_ends,
        "did not end within|softmax: failed",  # the first process of a namespace cannot be stopped from inside
        **SOON,
    ),
    cell("an endless loop in a cell", "while True:\n    pass", says="did not end within 1 seconds", **HANGS),
    answer(
        "an endless loop in an answer", "    while True:\n        pass", says="softmax: timeout: .*line [23]", **HANGS
    ),
    answer(
        "an endless loop that catches everything",
        "    while True:\n        try:\n            while True:\n                pass\n        except BaseException:\n"
        "            pass",
        says="softmax: timeout: ",
        **HANGS,
    ),
    answer(
        "an endless loop with every signal masked and no fault handler",
        "    import signal, faulthandler\n"
        "    faulthandler.cancel_dump_traceback_later()\n    faulthandler.disable()\n"
        "    for number in signal.valid_signals():\n        try:\n"
        "            signal.signal(number, signal.SIG_IGN)\n        except (OSError, ValueError):\n            pass\n"
        "    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\n    while True:\n        pass",
        says="softmax: timeout: ",
        **HANGS,
    ),
    answer(
        "an endless loop in C that lets no thread run",
        "    return sum(x for x in iter(int, 1)) if False else pow(7, 10**9, 10**400_000)",
        says="softmax: timeout: ",
        **HANGS,
    ),
    answer(
        "a pattern that backtracks for ever",
        "    import re\n    re.match('(a*)*b', 'a' * 64)",
        says="softmax: timeout: ",
        **HANGS,
    ),
    answer(
        "sleep without end in a thread that is waited for",
        "    import threading\n    threading.Event().wait()",
        says="softmax: timeout: ",
        **HANGS,
    ),
    answer(
        "a loop in the result's destructor",
        "    return Endless()",
        says="softmax: (timeout|error|failed): ",
        setup="class Endless:\n    def __del__(self):\n        while True:\n            pass",
        bites=lambda ground, outcome: outcome.late or "softmax" not in outcome.passed,
        **SOON,
    ),
    answer(
        "an exception whose text never ends",
        "    raise Endless",
        says="softmax: (timeout|error): ",
        setup="class Endless(Exception):\n    def __str__(self):\n        while True:\n            pass\n"
        "    __repr__ = __str__",
        **HANGS,
    ),
    cell(
        "a cell's exception whose text never ends",
        "class Endless(Exception):\n    def __str__(self):\n        while True:\n            pass\n"
        "    __repr__ = __str__\nraise Endless",
        says="did not end within",
        **HANGS,
    ),
    answer(
        "a trace function that never returns",
        "    return x * 0",
        says="softmax: (timeout|failed|error): ",
        setup="import sys, threading\ndef never(frame, event, argument):\n    while True:\n        pass\n"
        "threading.setprofile(never)\nsys.settrace(never)\nsys.setprofile(never)",
        **HANGS,
    ),
    cell(
        "an alarm that comes while somebody else works",
        "import signal, os\nsignal.signal(signal.SIGALRM, lambda *a: os._exit(9))\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)",
        ends_the_run,
    ),
    cell(
        "work at the end, by atexit and by a thread that Python waits for",
        "import atexit, threading, time, sys\n"
        "atexit.register(lambda: open('FOLDER/MARKER', 'w').close())\n"
        "threading.Thread(target=time.sleep, args=(600,)).start()\n"
        "atexit._run_exitfuncs()",
        leaves_a_file,
    ),
    cell(
        "limits lowered",
        "import resource\nfor name in ('RLIMIT_NOFILE', 'RLIMIT_CPU', 'RLIMIT_FSIZE', 'RLIMIT_AS'):\n"
        "    resource.setrlimit(getattr(resource, name), (0, 0))",
        lambda ground, outcome: outcome.ended or outcome.late or "softmax" not in outcome.passed,
    ),
)


def test_it_succeeds_without_protection(attack, falls):
    falls(attack)


def test_it_fails_against_ours(attack, stands):
    stands(attack)


RAISING = [
    "SystemExit",
    "SystemExit(0)",
    "KeyboardInterrupt",
    "GeneratorExit",
    "BaseException('x')",
    "StopIteration",
    "MemoryError",
    "RecursionError",
    "RuntimeError('\\ud800')",
    "type('ChildStopped', (BaseException,), {})()",
    "type('ForbiddenCall', (BaseException,), {})()",
    "ExceptionGroup('g', [ValueError()] * 1000)",
    "UnicodeDecodeError('utf-8', b'x', 0, 1, 'y' * 10**6)",
]


@pytest.mark.parametrize("error", RAISING)
def test_whatever_is_raised_costs_its_own_exercise_alone(error, ours):
    mask = ("causal_mask", "def causal_mask(seq_len):\n    return np.tri(seq_len, dtype=bool)")
    softmax = ("softmax", f"def softmax(x, axis=-1):\n    raise {error}")
    record = ours(Attack("", (f"raise {error}", softmax, mask, f"raise {error}"), None, earned=("causal_mask",)))
    status = {each["id"]: each["status"] for each in record["exercises"]}
    assert status["softmax"] == "error"


EVERYBODY = """
import os, signal
if os.path.exists("FOLDER") or os.getpid() > 10:
    raise RuntimeError("this is the machine itself: not tried")
os.kill(-1, signal.SIGKILL)
raise RuntimeError("tried")
"""


def test_a_signal_to_every_process_reaches_none(ours):
    """Not run without protection: it would end this machine."""
    softmax = ("softmax", "def softmax(x, axis=-1):\n    return x * 0")
    record = ours(Attack("", (EVERYBODY, softmax), None))
    assert "not tried" not in str(record)
