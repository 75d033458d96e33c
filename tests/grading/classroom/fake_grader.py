"""A grader that does what the first line of a submission says: for testing those who start graders and lose them."""

import ctypes
import mmap
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

from clearformer.grading.classroom.submissions import not_graded
from clearformer.grading.notebook import NotebookError


@dataclass(frozen=True)
class Settings:
    """log: a file that gets a line "number of the process, time, path" for each submission that is begun."""

    level: str = "none"
    deadline: float = 10.0
    log: str = ""


class Grader:
    def __init__(self, settings):
        self._settings = settings

    def close(self):
        self._note("closed")

    def _note(self, what):
        with open(getattr(self._settings, "log", "") or os.environ.get("FAKE_GRADER_LOG") or os.devnull, "a") as log:
            log.write(f"{os.getpid()} {time.monotonic()} {what}\n")

    def grade(self, submission):
        self._note(submission.path)
        try:
            content = submission.content()
        except NotebookError as error:
            return not_graded(submission, str(error))
        command, *arguments = content.decode(errors="replace").split("\n")[0].split() or [""]
        points = getattr(self, f"do_{command}", lambda *ignored: 2)(*arguments)
        exercise = {"id": "softmax", "status": "passed" if points == 2 else "failed", "misconception": None}
        exercise |= {"message": "a\nmessage \ud800", "points": points, "max_points": 2, "seconds": 0.0, "rows": []}
        return {
            **not_graded(submission, ""),
            "lesson": "02_attention",
            "points": points,
            "max_points": 2,
            "exercises": [exercise],
        }

    def do_points(self, points):
        return int(points)

    def do_sleep(self, seconds):
        time.sleep(float(seconds))
        return 2

    def do_segfault(self):
        ctypes.string_at(0)

    def do_kill(self):
        os.kill(os.getpid(), signal.SIGKILL)

    def do_exit(self):
        sys.exit(3)

    def do_raise(self):
        raise RuntimeError("a \x1b[31mcoloured text")

    def do_once(self, mark):
        """Die the first time."""
        if not os.path.exists(mark):
            open(mark, "w").close()
            self.do_kill()
        return 2

    def do_memory(self, mebibytes):
        """Ask for so much memory, without touching it."""
        try:
            mmap.mmap(-1, int(mebibytes) << 20).close()
        except OSError:
            raise MemoryError from None
        return 2

    def do_hold(self, seconds):
        """Compiled code that lets no other thread run, nor any signal handler."""
        ctypes.PyDLL(None).usleep(int(float(seconds) * 1e6))

    def do_start(self, log, seconds):
        """Start a process in a session of its own, write down its number, and go on for a while."""
        sleeping = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        with open(log, "a") as file:
            file.write(f"{sleeping.pid}\n")
        time.sleep(float(seconds))
        return 2


class Refusing:
    def __init__(self, settings):
        from clearformer.grading.sandbox.layers import SandboxRefused

        raise SandboxRefused("This machine isolates nothing.")


class Broken:
    def __init__(self, settings):
        os.write(2, b"a last word\n")
        os._exit(9)


def grader_without_close(settings):
    return type("Plain", (), {"grade": Grader(settings).grade})()
