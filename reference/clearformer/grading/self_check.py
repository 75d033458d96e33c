"""Checking one's own notebook, in a process that runs its cells and judges its answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from clearformer.grading.child import Child, ChildFailed
from clearformer.grading.notebook import NotebookError, read_notebook
from clearformer.grading.run_through import Deadlines, Result, RunThrough

CELL_SECONDS = 60
JUDGE_SECONDS = 20


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


class _OwnProcess:
    """A child that runs cells and judges them itself."""

    def __init__(self, folder, exercises):
        self._child = Child(folder, exercises)
        self.close = self._child.close

    def run(self, cell, seconds):
        return self._child.ask({"do": "run", "cell": cell.number, "source": cell.source}, seconds)["error"]

    def judge(self, name, seconds):
        reply = self._child.ask({"do": "judge", "exercise": name}, seconds)
        return {key: reply[key] for key in ("status", "message", "misconception", "points")}


def check_notebook(path, cell_seconds=CELL_SECONDS, on_step=lambda text: None):
    """The Report on the notebook at `path`; never raises because of what is in it.

    cell_seconds: deadline of each cell, and of each exercise's check where that is under JUDGE_SECONDS;
    on_step: called with a few words before each step.
    """
    report = Report(str(path))
    deadlines = Deadlines(cell_seconds, min(cell_seconds, JUDGE_SECONDS))
    folder = Path(path).absolute().parent
    try:
        notebook = read_notebook(path)
        with RunThrough(notebook, lambda: _OwnProcess(folder, notebook.exercises), deadlines, on_step) as run:
            report.results = run.results()
            report.trouble = run.trouble
    except (NotebookError, ChildFailed) as error:
        report.error = str(error)
    return report
