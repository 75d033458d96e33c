"""Checking one's own notebook: run its cells from the top, and judge each answer where it stands.

An exercise is judged on what its name means right after its answer cell has run, as its check cell in the notebook
would find it: a later cell that defines the name anew does not count. Check cells themselves are not run.

A cell or an answer that never ends, or that takes Python down with it, costs its own exercise and no other: a new
child runs the cells before it again, and the rest goes on without it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from clearformer.checks import overview
from clearformer.grading import explain
from clearformer.grading.child import Child, ChildFailed, ChildStopped
from clearformer.grading.notebook import NotebookError, read_notebook

CELL_SECONDS = 60
JUDGE_SECONDS = 20
# A cell may end with a call of something unwritten, or with its own check: judging says more about it.
SAID_BETTER_BY_JUDGING = ("NotImplementedError", "CheckFailed")


@dataclass(frozen=True)
class Result:
    """How one exercise stands. status: "passed", "failed", "error", "unanswered", "missing" or "timeout";
    misconception: the slug of a known wrong answer, or None; seconds: for its cell and its check."""

    id: str
    status: str
    message: str
    misconception: str | None = None
    points: int = 0
    max_points: int = 0
    seconds: float = 0.0


@dataclass
class Report:
    """What came of one notebook. path: as it was given; error: why it could not be checked, or "";
    trouble: sentences about cells that did not run through and are no answers."""

    path: str
    results: list[Result] = field(default_factory=list)
    error: str = ""
    trouble: list[str] = field(default_factory=list)

    @property
    def points(self):
        return sum(result.points for result in self.results)

    @property
    def max_points(self):
        return sum(result.max_points for result in self.results)

    @property
    def all_passed(self):
        return not self.error and all(result.status == "passed" for result in self.results)


def check_notebook(path, cell_seconds=CELL_SECONDS, on_step=lambda text: None):
    """The Report on the notebook at `path`; never raises because of what is in it.

    cell_seconds: deadline of each cell, and of each exercise's check where that is under JUDGE_SECONDS;
    on_step: called with a few words before each step.
    """
    report = Report(str(path))
    try:
        notebook = read_notebook(path)
        with _Run(notebook, Path(path).absolute().parent, cell_seconds, on_step) as run:
            judged = run.through()
            report.results = [judged.get(name) or _not_run(notebook, name) for name in notebook.exercises]
            report.trouble = run.trouble
    except (NotebookError, ChildFailed) as error:
        report.error = str(error)
    return report


def _result(name, status, message, **more):
    return Result(name, status, message, max_points=overview.facts(name).points, **more)


def _not_run(notebook, name):
    """The Result of an exercise that has no answer cell, or several, or one that is not code."""
    cells = notebook.answers(name)
    if len(cells) > 1:
        numbers = " and ".join(str(cell.number) for cell in cells)
        return _result(name, "error", f"The notebook has {len(cells)} answer cells for it: cells {numbers}. Keep one.")
    if cells:
        return _result(name, "missing", f"Its answer cell is a text cell: {cells[0]}. Make it a code cell again.")
    fresh = f"exercises/{overview.facts(name).lesson}.ipynb"
    return _result(name, "missing", f"Its answer cell is not in the notebook. Copy it from a fresh {fresh}.")


class _Run:
    """One pass through a notebook, over as many children as it takes."""

    def __init__(self, notebook, folder, cell_seconds, on_step):
        self._notebook, self._folder, self._on_step = notebook, folder, on_step
        self._cell_seconds = cell_seconds
        self._judge_seconds = min(cell_seconds, JUDGE_SECONDS)
        self._child, self._done, self._failed = None, [], {}
        self.trouble = []

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self._child:
            self._child.close()

    def through(self):
        """Run every cell; {exercise: Result} for those with one answer cell."""
        results = {}
        for cell in self._notebook.to_run:
            self._have_child()
            self._on_step(f"running {cell}")
            began = time.perf_counter()
            stop = self._run_cell(cell)
            name = cell.grade_id
            if name in self._notebook.exercises and len(self._notebook.answers(name)) == 1:
                status, message, more = self._judge(cell, stop)
                if status != "passed":
                    remarks = explain.remarks(self._notebook, cell, message, self._failed, self._done)
                    message = "\n\n".join([message, *remarks])
                results[name] = _result(name, status, message, seconds=time.perf_counter() - began, **more)
            elif problem := self._problem(cell, stop):
                self.trouble.append(f"{cell.at_start}: {problem}")
        return results

    def _run_cell(self, cell):
        """None where the cell ended by itself, even with an error, else how the child stopped."""
        reply, stop = self._ask({"do": "run", "cell": cell.number, "source": cell.source}, self._cell_seconds)
        if stop:
            return stop
        self._done.append(cell)
        if reply["error"]:
            self._failed[cell.number] = reply["error"]
        return None

    def _ask(self, request, seconds):
        """(reply, None), or (None, ChildStopped)."""
        self._have_child()
        try:
            return self._child.ask(request, seconds), None
        except ChildStopped as stop:
            self._child = None
            return None, stop

    def _have_child(self):
        """A child in which the cells done so far have run. A cell that fails the second time is left out."""
        while self._child is None:
            self._on_step("starting Python")
            child = Child(self._folder, self._notebook.exercises)
            for cell in self._done:
                self._on_step(f"running {cell} again")
                try:
                    child.ask({"do": "run", "cell": cell.number, "source": cell.source}, self._cell_seconds)
                except ChildStopped:
                    self._done = [other for other in self._done if other is not cell]
                    break
            else:
                self._child = child

    # --- what it means ---------------------------------------------------------------------------------------

    def _judge(self, cell, stop):
        """(status, message, further fields) of the exercise that `cell` answers."""
        if stop:
            return self._stopped(cell, stop, self._cell_seconds, "The answer cell")
        error = self._failed.get(cell.number)
        if error and error["kind"] not in SAID_BETTER_BY_JUDGING:
            return "error", f"The answer cell stopped with {explain.described(error, cell)}", {}
        self._on_step(f"checking {cell.grade_id}")
        reply, stop = self._ask({"do": "judge", "exercise": cell.grade_id}, self._judge_seconds)
        if stop:
            return self._stopped(cell, stop, self._judge_seconds, cell.grade_id)
        if reply["status"] == "error" and cell.is_empty:
            return "unanswered", f"The answer cell is empty. {reply['message']}", {}
        return reply["status"], reply["message"], {key: reply[key] for key in ("misconception", "points")}

    def _stopped(self, cell, stop, seconds, what):
        status = "timeout" if stop.late else "error"
        return status, explain.stopped(self._notebook, cell, stop, seconds, what), {}

    def _problem(self, cell, stop):
        """What is worth saying of a cell that is no answer, or ""."""
        if stop:
            return explain.stopped(self._notebook, cell, stop, self._cell_seconds, "It")
        error = self._failed.get(cell.number)
        if error and error["kind"] not in SAID_BETTER_BY_JUDGING:
            return f"It stopped with {explain.described(error, cell)}"
        return ""
