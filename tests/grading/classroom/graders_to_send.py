"""A grader that needs no sandbox, for tests of what carries submissions to graders. Workers import it by name.

What a notebook of these tests says is what happens: "die", "kill the worker", "slow".
"""

import os
import signal
import time
from dataclasses import dataclass

from clearformer.grading.notebook import NotebookError


@dataclass(frozen=True)
class Settings:
    level: str = "full"
    deadline: float = 10.0
    diary: str = ""  # a file: each grader writes what it does


class Grader:
    """Its record says which worker and which judge made it."""

    def __init__(self, settings):
        self._settings = settings
        self._note("made")

    def grade(self, submission):
        self._note(submission.student)
        try:
            content = submission.content()
        except NotebookError as error:
            return {"error": str(error)}
        if content == b"die":
            os.kill(os.getpid(), signal.SIGKILL)
        if content == b"kill the worker":
            time.sleep(0.3)  # Dask does not replace a worker that dies while it starts
            os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(0.1 if content == b"slow" else 0.02)
        return {"size": len(content), "worker": os.getppid(), "judge": os.getpid()}

    def close(self):
        self._note("closed")

    def _note(self, what):
        if self._settings.diary:
            with open(self._settings.diary, "a", encoding="utf-8") as file:
                file.write(f"{what}\n")


def try_nothing(settings):
    pass
