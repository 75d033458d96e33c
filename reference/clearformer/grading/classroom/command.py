"""`clearformer grade`, behind the reading of options: what makes no sense is refused before anything is imported."""

from __future__ import annotations

from clearformer.grading.classroom.settings import LEVELS
from clearformer.grading.report import console, plain

REFUSED = 2
USAGE = "For example: clearformer grade submitted --out report. All options: clearformer grade --help."


def run(submissions, out, jobs, deadline, scheduler, resume, sandbox):
    """Returns the exit status."""
    if sandbox == "show":
        return show()
    if sandbox not in LEVELS:
        return _refuse(f"The sandbox has the levels {' and '.join(LEVELS)}, not {sandbox!r}. show says what is here.")
    if submissions is None or out is None:
        missing = "what is to be graded" if submissions is None else "where the reports go (--out FOLDER)"
        return _refuse(f"Please say {missing}. {USAGE}")
    from clearformer.grading.classroom.run import grade

    return grade(submissions, out, jobs, deadline, scheduler, resume, sandbox)


def show():
    """Print the layers of the sandbox that this machine has; returns the exit status, 0 where they are enough."""
    from clearformer.grading.sandbox import layers
    from clearformer.grading.sandbox.warm_process import WarmFailed, examine

    try:
        found = examine()
    except (layers.SandboxRefused, WarmFailed) as problem:
        return _refuse(str(problem))
    console().print(plain(layers.described("full", found)), soft_wrap=True)
    return 0


def _refuse(text):
    console(error=True).print(plain(text), soft_wrap=True)
    return REFUSED
