"""A child process that does what it is asked, until it dies or takes too long.

Both sides write one JSON object a line. The parent's requests are numbered, and a reply carries the number of its
request. The child in use is `clearformer.grading.worker`.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

START_SECONDS = 120  # Python, the exercises and what they import, on a slow disk
GRACE_SECONDS = 3.0  # at its deadline a child writes down where it is and ends; one that does not is ended after this
POLL_SECONDS = 0.1
WINDOWS = os.name == "nt"


class ChildStopped(BaseException):
    """The child is gone. Not an Exception, so that no check goes on without it.

    late: it took too long and was ended; status: what it exited with, where known; cell, line: the code of the
    notebook that ran last, or 0.
    """

    def __init__(self, late, status=None, cell=0, line=0):
        self.late, self.status, self.cell, self.line = late, status, cell, line
        super().__init__(self.reason)

    @property
    def reason(self):
        """What it did, as the end of a sentence: "It …"."""
        if self.late:
            return "did not end in time"
        if self.status is None:
            return "broke the connection to its process"
        if self.status == -9:
            return "was ended by the system, as happens when memory runs out"
        if self.status < 0 or self.status > 255:  # Windows has codes like 0xC0000005
            return f"crashed Python itself ({_signal_name(self.status)})"
        return f"ended Python itself (exit status {self.status}), as os._exit does"


def _signal_name(status):
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"status {status & 0xFFFFFFFF:#x}"


class ChildFailed(Exception):
    """The child could not be started. The text says why."""


class Child:
    """A worker for one notebook.

    folder: where the notebook lies, its cells' working directory; exercises: names to be loaded at the start.
    ChildFailed where it does not start. Close it, or use it in a with statement.
    """

    def __init__(self, folder, exercises=()):
        self._scratch = tempfile.TemporaryDirectory(prefix="clearformer-", ignore_cleanup_errors=True)
        self._process, self._errors, self._number = None, "", 0
        self._replies = queue.SimpleQueue()
        trace = str(Path(self._scratch.name, "trace"))
        try:
            self._process = self._start(folder)
            threading.Thread(target=self._listen, daemon=True).start()
            self.ask({"do": "start", "exercises": list(exercises), "trace": trace}, START_SECONDS)
        except (OSError, ChildStopped) as error:
            self.close()
            why = self._errors.strip().splitlines()[-1:] or [str(error)]
            raise ChildFailed(f"The process that runs the cells did not start: {why[0]}") from None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def _start(self, folder):
        private = {"MPLBACKEND": "Agg", "IPYTHONDIR": self._scratch.name}
        apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP} if WINDOWS else {"start_new_session": True}
        with open(Path(self._scratch.name, "errors"), "wb") as errors:
            return subprocess.Popen(
                # -P: a file numpy.py beside the notebook must not keep the worker itself from starting.
                [sys.executable, "-P", "-m", "clearformer.grading.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=folder,
                env=os.environ | private,
                **apart,
            )

    def _listen(self):
        with self._process.stdout as lines:
            for line in lines:
                with contextlib.suppress(ValueError):  # what Python itself may print before the worker runs
                    self._replies.put(json.loads(line))
        self._replies.put(None)

    def ask(self, request, seconds):
        """The child's reply to `request`, both dicts. ChildStopped, and no child any more, where none comes in time."""
        self._number += 1
        line = json.dumps({**request, "number": self._number, "seconds": seconds}) + "\n"
        try:
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()
        except OSError:
            self._give_up(late=False)
        until = time.monotonic() + seconds + GRACE_SECONDS
        while not (isinstance(reply := self._next_line(until), dict) and reply.get("number") == self._number):
            pass
        return reply

    def _next_line(self, until):
        while time.monotonic() < until:
            try:
                line = self._replies.get(timeout=POLL_SECONDS)
            except queue.Empty:
                # Not by the closed pipe alone: a process that the notebook started may hold it open.
                if self._process.poll() is None:
                    continue
                line = None
            return self._give_up(late=False) if line is None else line
        return self._give_up(late=True)

    def _give_up(self, late):
        status = None
        if not late:
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = self._process.wait(GRACE_SECONDS)
        trace, self._errors = self._written("trace"), self._written("errors")
        self.close()
        place = re.search(r'File "<cell (\d+)>", line (\d+)', trace)
        cell, line = (int(place[1]), int(place[2])) if place else (0, 0)
        raise ChildStopped(late or trace.startswith("Timeout"), status, cell, line)

    def _written(self, name):
        try:
            return Path(self._scratch.name, name).read_text(errors="replace")
        except OSError:
            return ""

    def close(self):
        """End the child and what it has started."""
        if self._process is not None:
            _kill(self._process)
            self._process.wait()
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        self._scratch.cleanup()


def _kill(process):
    if WINDOWS:
        subprocess.run(["taskkill", "/F", "/T", "/PID", str(process.pid)], capture_output=True, check=False)
        process.kill()
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
