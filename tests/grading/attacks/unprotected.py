"""Graders without protection, which the attacks have to overcome first: an attack that does not bite proves nothing.

`UsualGrader` does what the usual tools do: it runs all cells of a notebook in one process, the instructor's check
cells among them, and an exercise has its points where its check cell raised nothing. The process that ran the cells
sends the result through a pipe. Each notebook runs in a fork of one process, the grader, in a session of its own: so
what a notebook does to its parent or to its process group is done to the grader, and never to the tests.

Run as a program this file is the nursery: it has imported what a grader needs, and forks a new one each time the
last was brought down. A grader reads one JSON request a line on its standard input, and writes one reply a line.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pickle
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

EXAMPLE = {  # exercise: (arguments, expected), as an instructor writes them into a check cell
    "softmax": (
        "np.array([[0.0, 1.0, 3.0], [2.0, -1.0, 0.5]]),",
        "np.exp({0}) / np.exp({0}).sum(axis=-1, keepdims=True)",
    ),
    "causal_mask": ("5,", "np.tri({0}, dtype=bool)"),
    "padding_mask": ("np.array([[5, 9, 3, 0]]),", "np.array([[[[True, True, True, False]]]])"),
    "score_variance": ("", "64"),
}
# What a check cell says of `answer` and `expected`, in the ways that are common.
WAYS = {
    "assert_allclose": "np.testing.assert_allclose(answer, expected)",
    "allclose": "assert np.allclose(answer, expected)",
    "difference": "assert (abs(answer - expected) <= 1e-6).all()",
    "not far": "assert not (abs(answer - expected) > 1e-6).any()",  # NaN is not far from anything
    "equal": "assert np.all(answer == expected)",
    "torch": "import torch\nassert torch.allclose(torch.as_tensor(answer), torch.as_tensor(expected))",
    "any_close": "assert np.isclose(answer, expected).all()",
    "pickle": "send_to_judge(answer)",
    # A law that needs no expected value, asked of two results.
    "law": "scores = np.ones((4, 6))\nassert abs(softmax(scores) - softmax(scores + 100)).max() < 1e-9",
    "shape": "assert answer.shape == expected.shape and np.isfinite(answer).all() and (answer <= expected + 9).all()",
}
OWN_CHECKS = ("own", "none failed")
SCRIPT_WAY = "assert_allclose"
GRACE_SECONDS = 1.0  # for a process to end after it has reported
GONE_SECONDS = 10.0  # for a grader that was killed to be gone


def check_source(exercise, way):
    """Source of the check cell of `exercise`, in one of the WAYS or by the course's own check in this process.

    Ways without a source of their own: "own" counts the check cells that the notebook holds instead, and "none failed"
    gives an exercise its points unless one of those failed. "script" is "assert_allclose" by a grader that runs all
    cells with exec, as a script.
    """
    if way == "check":
        name = f', "{exercise}"' if exercise == "score_variance" else ""
        return f"from clearformer import check\ncheck({exercise}{name})"
    arguments, expected = EXAMPLE[exercise]
    asked = f"{exercise}(*arguments)" if arguments else exercise
    return (
        f"import numpy as np\narguments = ({arguments})\nexpected = {expected.format('arguments[0]')}\n"
        f"answer = {asked}\n{WAYS[SCRIPT_WAY if way == 'script' else way]}"
    )


@dataclass(frozen=True)
class Outcome:
    """What a run came to. passed: exercises that got their points; text: all that it reports; late: it had to be
    ended; ended: the process that ran the cells ended by itself before it had reported; fell: the grader is gone."""

    passed: frozenset = frozenset()
    text: str = ""
    late: bool = False
    ended: bool = False
    fell: bool = False


class Nursery:
    """A process that forks graders, each in a session of its own. To import it all anew would take each a second."""

    def __init__(self):
        self._control, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-P", __file__, str(theirs.fileno())]
            nowhere = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
            self._program = subprocess.Popen(command, pass_fds=(theirs.fileno(),), start_new_session=True, **nowhere)

    def grader(self, module):
        """(process id, file of its requests, file of its replies) of a new grader that has imported `module`."""
        (read, requests), (replies, write) = os.pipe(), os.pipe()
        socket.send_fds(self._control, [module.encode()], [read, write])
        os.close(read)
        os.close(write)
        process = int(self._control.recv(100))
        return process, os.fdopen(requests, "wb", 0), os.fdopen(replies, "rb", 0)

    def end(self):
        self._control.close()
        self._program.wait(GONE_SECONDS)


class UsualGrader:
    """See the module's docstring. Starts again by itself after it was brought down."""

    def __init__(self):
        self._nursery, self._process, self._number = Nursery(), None, 0
        self._module = ""

    def _start(self, module):
        if self._process and (self._gone(0) or (module == "torch" and self._module != module)):
            self.end()
        if self._process is None:
            self._module = module
            self._process, self._requests, self._replies = self._nursery.grader(module)
            self._ends = os.pidfd_open(self._process)

    def _gone(self, seconds):
        return bool(select.select([self._ends], [], [], seconds)[0])

    def grade(self, cells, folder, way="assert_allclose", seconds=2.0, limits=None):
        """The Outcome for cells: (exercise or "", source) in order; folder: where they run; limits: {rlimit: value}."""
        self._start("torch" if any("torch" in source for _, source in cells) else "numpy")
        self._number += 1
        request = {"cells": cells, "folder": str(folder), "way": way, "seconds": seconds, "limits": limits or {}}
        request["number"] = self._number
        reply = None
        with contextlib.suppress(BrokenPipeError):
            self._requests.write(json.dumps(request).encode() + b"\n")
            reply = self._reply(seconds + 10)
        if not reply:
            self.end()
            return Outcome(fell=True)
        return Outcome(frozenset(reply["passed"]), reply["text"], reply["late"], reply["ended"])

    def _reply(self, seconds):
        """The reply, or None where the grader is gone, or was stopped, or says nothing for too long.

        What else comes was forged by a notebook, this one or one before: it must not count for a later one.
        """
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self._stopped():
            if not select.select([self._replies], [], [], 0.1)[0]:
                continue
            line = self._replies.readline()
            if not line:
                return None
            with contextlib.suppress(ValueError):
                if (reply := json.loads(line)).get("number") == self._number:
                    return reply
        return None

    def _stopped(self):
        with contextlib.suppress(OSError):
            return ") T " in Path(f"/proc/{self._process}/stat").read_text()

    def end(self):
        """End the grader and what notebooks have left in its session. What left the session is for the test to end."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process, signal.SIGKILL)
        self._gone(GONE_SECONDS)
        os.close(self._ends)
        self._requests.close()
        self._replies.close()
        self._process = None

    def close(self):
        self.end()
        self._nursery.end()


# --- the graders themselves, in their own processes -------------------------------------------------------------


def _raise_graders(control):
    """Fork a grader for each request that comes, until there is nobody to ask for one."""
    import numpy  # noqa: F401 - the forks need not import them again
    from IPython.core.interactiveshell import InteractiveShell

    del InteractiveShell
    while (request := socket.recv_fds(control, 100, 2))[0]:
        module, descriptors, _, _ = request
        _bury_the_dead()
        importlib.import_module(module.decode())
        process = os.fork()
        if process == 0:
            _become_grader(control, *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        control.sendall(str(process).encode())
    _bury_the_dead()


def _bury_the_dead():
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _become_grader(control, read, write):
    """Never returns."""
    with contextlib.suppress(BaseException):
        control.close()
        os.setsid()
        for descriptor, number in ((read, 0), (write, 1)):
            os.dup2(descriptor, number)
            os.close(descriptor)
        _serve()
    os._exit(1)


def _serve():
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(nowhere, descriptor)
    for line in requests:
        request = json.loads(line)
        reply = _grade(request, requests, replies) | {"number": request["number"]}
        replies.write(json.dumps(reply).encode() + b"\n")
        replies.flush()


def _grade(request, *own):
    """own: files of the grader alone"""
    result, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(result)
        for file in own:
            os.close(file.fileno())
        _run(request, write)
    os.close(write)
    raw, late = _first_line(result, request["seconds"])
    os.close(result)
    _end(child, GRACE_SECONDS if raw else 0)
    return {"passed": [], "text": "", "late": late, "ended": not (late or raw)} | _believed(raw)


def _end(child, seconds):
    """Wait for a child to end by itself, then kill it."""
    with contextlib.suppress(ChildProcessError, ProcessLookupError):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if os.waitpid(child, os.WNOHANG)[0]:
                return
            time.sleep(0.005)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _first_line(result, seconds):
    """(bytes of the first line, was it late?)"""
    raw, until = b"", time.monotonic() + seconds
    while b"\n" not in raw:
        ready, _, _ = select.select([result], [], [], max(until - time.monotonic(), 0))
        if not ready:
            return b"", True
        part = os.read(result, 65536)
        if not part:
            return b"", False
        raw += part
    return raw.split(b"\n")[0], False


def _believed(raw):
    """The result as the grader takes it: JSON, or the answer itself as a pickle, which is then compared here."""
    if raw.startswith(b"pickle "):
        return _compared(pickle.loads(bytes.fromhex(raw[7:].decode())))
    with contextlib.suppress(ValueError):
        found = json.loads(raw)
        if isinstance(found, dict):
            return {"passed": list(found["passed"]), "text": found["text"]}
    return {}


def _compared(answer):
    """A verdict reached outside, by somebody who trusts what arrives: an error here ends the grader."""
    import numpy as np

    arguments, expected = EXAMPLE["softmax"]
    expected = eval(expected.format(arguments.rstrip(",")), {"np": np})
    right = bool((np.abs(answer - expected) <= 1e-6).all())
    return {"passed": ["softmax"] if right else [], "text": "" if right else f"expected {expected}, got {answer}"}


def _run(request, write):
    """In the fork: run the cells, count the check cells that raised nothing, report, end."""
    with contextlib.suppress(BaseException):
        _limit(request["limits"])
        os.chdir(request["folder"])
        found = _run_cells(request, write)
        os.write(write, json.dumps(found).encode() + b"\n")
    os._exit(0)


def _limit(limits):
    """Set resource limits; RLIMIT_AS is what may be added to the memory in use."""
    for name, value in limits.items():
        if name == "RLIMIT_AS":
            value += int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(getattr(resource, name), (value, value))


def _run_cells(request, write):
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    shell.history_manager.enabled = False
    shell.showtraceback = shell.showsyntaxerror = lambda *args, **kwargs: None
    shell.user_ns["send_to_judge"] = lambda answer: os.write(
        write, b"pickle %s\n" % pickle.dumps(answer).hex().encode()
    )
    passed, errors, way = [], [], request["way"]
    run = _run_as_script if way == "script" else _run_as_cell
    for exercise, source in request["cells"]:
        if exercise.startswith("own "):  # a check cell as the notebook has it
            if way in OWN_CHECKS:
                failed = run(shell, source)
                passed = [name for name in passed if not (failed and name == exercise[4:])]
                passed += [] if failed else [exercise[4:]]
            continue
        if error := run(shell, source):
            errors.append(f"{type(error).__name__}: {error}"[:2000])
        if way == "none failed" and exercise:
            passed.append(exercise)
        if not exercise or way in OWN_CHECKS:
            continue
        # The instructor's own check cell, as a tool that puts it back before it grades.
        if error := run(shell, check_source(exercise, way)):
            errors.append(repr(error)[:2000])
        else:
            passed.append(exercise)
    return {"passed": passed, "text": "\n".join(errors)}


def _run_as_cell(shell, source):
    """What went wrong, or None."""
    result = shell.run_cell(source)
    return result.error_before_exec or result.error_in_exec


def _run_as_script(shell, source):
    try:
        exec(source, shell.user_ns)
    except Exception as error:
        return error


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    _raise_graders(socket.socket(fileno=int(sys.argv[1])))
