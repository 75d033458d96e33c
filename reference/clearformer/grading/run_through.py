"""One pass through a notebook: its cells from the top, and each answer judged where it stands.

An exercise is judged on what its name means right after its answer cell has run, as its check cell in the notebook
would find it: a later cell that defines the name anew does not count. Check cells themselves are not run.

A cell or an answer that never ends, or that takes Python down with it, costs its own exercise and no other: a new
process runs the cells before it again, and the rest goes on without it.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from clearformer.checks import overview
from clearformer.grading import explain
from clearformer.grading.child import ChildStopped

# A cell may end with a call of something unwritten, or with its own check: judging says more about it.
SAID_BETTER_BY_JUDGING = ("NotImplementedError", "CheckFailed")


@dataclass(frozen=True)
class Deadlines:
    """Seconds that one cell, the check of one answer, and all of a notebook may take."""

    cell: float
    judging: float
    notebook: float = math.inf


@dataclass(frozen=True)
class Result:
    """How one exercise stands. status: "passed", "failed", "error", "unanswered", "missing" or "timeout";
    misconception: the slug of a known wrong answer, or None; seconds: for its cell and its check; rows: pairs
    (what was checked, "passed", "failed" or "not run")."""

    id: str
    status: str
    message: str
    misconception: str | None = None
    points: int = 0
    max_points: int = 0
    seconds: float = 0.0
    rows: tuple[tuple[str, str], ...] = ()


def _result(name, status, message, **more):
    return Result(name, status, message, max_points=overview.facts(name).points, **more)


class RunThrough:
    """Use it in a with statement: it closes the last process.

    start: makes a process; it has run(cell, seconds) -> error or None, judge(exercise's name, seconds) -> dict with
    the keys status, message and further fields of a Result, close(); each of them may raise ChildStopped.
    on_step: called with a few words before each step.
    """

    def __init__(self, notebook, start, deadlines, on_step=lambda text: None):
        self._notebook, self._start, self._deadlines, self._on_step = notebook, start, deadlines, on_step
        self._until = time.monotonic() + deadlines.notebook
        self._process, self._done, self._failed = None, [], {}
        self.trouble = []  # sentences about cells that did not run through and are no answers

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self._process:
            self._process.close()

    @property
    def _too_late(self):
        return time.monotonic() >= self._until

    def results(self):
        """Run every cell; a Result for each exercise of the notebook."""
        judged = {}
        for cell in self._notebook.to_run:
            if self._too_late:
                break
            began = time.perf_counter()
            stop = self._run_cell(cell)
            name = cell.grade_id
            if name in self._notebook.exercises and len(self._notebook.answers(name)) == 1:
                status, message, more = self._judge(cell, stop)
                if status != "passed":
                    remarks = explain.remarks(self._notebook, cell, message, self._failed, self._done)
                    message = "\n\n".join([message, *remarks])
                judged[name] = _result(name, status, message, seconds=time.perf_counter() - began, **more)
            elif problem := self._problem(cell, stop):
                self.trouble.append(f"{cell.at_start}: {problem}")
        return [judged.get(name) or self._not_judged(name) for name in self._notebook.exercises]

    # --- running ---------------------------------------------------------------------------------------------

    def _run_cell(self, cell):
        """None where the cell ended by itself, even with an error, else how the process stopped."""

        def run(process, seconds):
            self._on_step(f"running {cell}")
            return process.run(cell, seconds)

        error, stop = self._ask(self._deadlines.cell, run)
        if stop:
            return stop
        self._done.append(cell)
        if error:
            self._failed[cell.number] = error
        return None

    def _ask(self, seconds, question):
        """(reply, None), or (None, ChildStopped)."""
        try:
            process = self._ready_process()
            return question(process, self._within(seconds)), None
        except ChildStopped as stop:
            if self._process:
                self._process.close()
            self._process = None
            return None, stop

    def _within(self, seconds):
        """Never past the notebook's own deadline."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise ChildStopped(late=True)
        return min(seconds, left)

    def _ready_process(self):
        """A process in which the cells done so far have run. A cell that fails the second time is left out."""
        while self._process is None:
            self._on_step("starting Python")
            self._process = self._start()
            for cell in self._done:
                self._on_step(f"running {cell} again")
                try:
                    self._process.run(cell, self._within(self._deadlines.cell))
                except ChildStopped:
                    if self._too_late:
                        raise
                    self._process.close()
                    self._process = None
                    self._done = [other for other in self._done if other is not cell]
                    break
        return self._process

    # --- what it means ---------------------------------------------------------------------------------------

    def _judge(self, cell, stop):
        """(status, message, further fields) of the exercise that `cell` answers."""
        if stop:
            return self._stopped(cell, stop, self._deadlines.cell, "The answer cell")
        error = self._failed.get(cell.number)
        if error and error["kind"] not in SAID_BETTER_BY_JUDGING:
            return "error", f"The answer cell stopped with {explain.described(error, cell)}", {}
        self._on_step(f"checking {cell.grade_id}")
        name, allowed = cell.grade_id, self._deadlines.judging
        reply, stop = self._ask(allowed, lambda process, seconds: process.judge(name, seconds))
        if stop:
            return self._stopped(cell, stop, allowed, name)
        reply = dict(reply)
        status, message = reply.pop("status"), reply.pop("message")
        if status == "error" and cell.is_empty:
            return "unanswered", f"The answer cell is empty. {message}", {}
        return status, message, reply

    def _stopped(self, cell, stop, seconds, what):
        if stop.late and self._too_late:
            return "timeout", self._notebook_too_late(), {}
        status = "timeout" if stop.late else "error"
        return status, explain.stopped(self._notebook, cell, stop, seconds, what), {}

    def _notebook_too_late(self):
        return f"The notebook as a whole did not end within {self._deadlines.notebook:g} seconds. It was ended here."

    def _problem(self, cell, stop):
        """What is worth saying of a cell that is no answer, or ""."""
        if stop and stop.late and self._too_late:
            return self._notebook_too_late()
        if stop:
            return explain.stopped(self._notebook, cell, stop, self._deadlines.cell, "It")
        error = self._failed.get(cell.number)
        if error and error["kind"] not in SAID_BETTER_BY_JUDGING:
            return f"It stopped with {explain.described(error, cell)}"
        return ""

    def _not_judged(self, name):
        """The Result of an exercise that has no answer cell, or several, or one that is not code or not reached."""
        cells = self._notebook.answers(name)
        if len(cells) > 1:
            numbers = " and ".join(str(cell.number) for cell in cells)
            told = f"The notebook has {len(cells)} answer cells for it: cells {numbers}. Keep one."
            return _result(name, "error", told)
        if cells and not cells[0].is_code:
            return _result(name, "missing", f"Its answer cell is a text cell: {cells[0]}. Make it a code cell again.")
        if cells:
            told = f"The notebook as a whole did not end within {self._deadlines.notebook:g} seconds."
            return _result(name, "timeout", f"{told} This answer was not reached.")
        fresh = f"exercises/{overview.facts(name).lesson}.ipynb"
        return _result(name, "missing", f"Its answer cell is not in the notebook. Copy it from a fresh {fresh}.")
