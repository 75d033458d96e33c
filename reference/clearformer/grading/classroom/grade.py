"""One judge: grades notebooks of people it does not know, one after the other.

The judge holds the checks and the references and reaches the verdict. The notebook's code runs in a process of the
sandbox, which answers what it is asked and knows neither.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import time

from clearformer.checks import catalogue, overview
from clearformer.checks.feedback import message
from clearformer.checks.judge import judge
from clearformer.grading.classroom.settings import NOTEBOOK_DEADLINES, Settings
from clearformer.grading.notebook import NotebookError, notebook_from
from clearformer.grading.run_through import Deadlines, RunThrough
from clearformer.grading.sandbox.piped_answer import PipedAnswer, run_cell
from clearformer.grading.sandbox.warm_process import WarmFailed, WarmProcess

MESSAGE_LIMIT = 10_000  # characters
TROUBLE_LIMIT = 20  # cells
SEARCHED = 1 << 20  # bytes of a notebook in which imports are looked for
# What a notebook should find imported already: it takes a second, and would in every submission that imports it.
SLOW_IMPORTS = {
    "torch": re.compile(rb"(?:import|from)[ \t]{1,9}torch\b"),
    # What torch.utils.checkpoint, and a backward pass with a gradient handed in, import at their first use.
    "torch._dynamo": re.compile(rb"autograd\.(?:Function|grad)\b|\butils[. ](?:import[ ])?checkpoint\b"),
    "matplotlib.pyplot": re.compile(
        rb"(?:import|from|%)[ \t]{0,9}matplotlib\b|clearformer(?:\.|[ \t]import[\w ,]{1,80})\bplots\b"
    ),
}


class Grader:
    """Use it in a with statement, or close it: it keeps a warm process."""

    def __init__(self, settings=None):
        self._settings = settings or Settings()
        self._warm, self._lesson = None, ""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self):
        """End the warm process and everything in it."""
        if self._warm is not None:
            self._warm.close()
        self._warm, self._lesson = None, ""

    def grade(self, submission):
        """The record of a submission, a dict fit for JSON; never raises because of what is in the notebook.

        SandboxRefused where this machine does not isolate as well as the settings ask.
        """
        began = time.perf_counter()
        record = {"student": submission.student, "path": submission.path, "lesson": "", "sha256": ""}
        try:
            content = submission.content()
            record["sha256"] = hashlib.sha256(content).hexdigest()
            notebook = notebook_from(content)
            record["lesson"] = _lesson_of(notebook)
            results, trouble = self._judged(notebook, record["lesson"], content)
        except (NotebookError, WarmFailed) as error:
            return _complete(record, [], [], began) | {"error": str(error)}
        return _complete(record, results, trouble, began)

    def _judged(self, notebook, lesson, content):
        """(results, sentences about other cells that did not run through)"""
        limit = self._settings.deadline
        deadlines = Deadlines(limit, limit, NOTEBOOK_DEADLINES * limit)
        seed = seed_of(notebook)
        self._warm_up(lesson, content)
        with RunThrough(notebook, lambda: _JudgedProcess(self._warm_for(lesson), seed), deadlines) as run:
            return run.results(), run.trouble

    def _warm_up(self, lesson, content):
        """Have the process for this lesson ready, with what the notebook will import."""
        warm = self._warm_for(lesson)
        wanted = [module for module, imported in SLOW_IMPORTS.items() if imported.search(content, 0, SEARCHED)]
        warm.preload(*dict.fromkeys([*wanted, *_imports_of(lesson)]))

    def _warm_for(self, lesson):
        """The warm process of a lesson: another lesson's may know too much, or too little."""
        if self._lesson != lesson:
            self.close()
            self._warm, self._lesson = WarmProcess(lesson, self._settings.level), lesson
        return self._warm


def seed_of(notebook):
    """The seed that inputs are drawn from: a number that follows from all code that will run.

    The same notebook always gets the same inputs, and so the same verdict. Nobody can put a table of right results
    into a notebook, since adding it changes the inputs.
    """
    sources = json.dumps([cell.source for cell in notebook.to_run])
    return int.from_bytes(hashlib.sha256(sources.encode()).digest()[:8], "big") >> 1  # torch takes 63 bits


def _lesson_of(notebook):
    """The first lesson that an exercise of the notebook belongs to: what it builds, no answer in there may import."""
    lessons = {overview.facts(name).lesson for name in notebook.exercises}
    return next(each.id for each in catalogue.LESSONS if each.id in lessons)


def _imports_of(lesson):
    """What the inputs of a lesson's exercises are made with."""
    found = catalogue.lesson(lesson)
    catalogue.exercises(lesson)
    with_torch = any(hasattr(sys.modules[f"{found.folder}.{file}"], "torch") for file in found.exercises.values())
    return ("torch",) if with_torch else ()


def _complete(record, results, trouble, began):
    exercises = [
        {**vars(result), "message": _shortened(result.message), "seconds": round(result.seconds, 3)}
        for result in results
    ]
    more = [f"And {len(trouble) - TROUBLE_LIMIT} cells more."] if len(trouble) > TROUBLE_LIMIT else []
    return record | {
        "points": sum(result.points for result in results),
        "max_points": sum(result.max_points for result in results),
        "seconds": round(time.perf_counter() - began, 3),
        "exercises": [{**exercise, "rows": [list(row) for row in exercise["rows"]]} for exercise in exercises],
        "trouble": [_shortened(text) for text in trouble[:TROUBLE_LIMIT]] + more,
    }


def _shortened(text):
    return text if len(text) <= MESSAGE_LIMIT else text[: MESSAGE_LIMIT - 2] + " …"


class _JudgedProcess:
    """A process that runs the cells and answers, seen by a judge outside."""

    def __init__(self, warm, seed):
        self._process, self._seed = warm.open(), seed
        self.close = self._process.close

    def run(self, cell, seconds):
        return run_cell(self._process, cell.number, cell.source, seconds)

    def judge(self, name, seconds):
        exercise = catalogue.find(name)
        answer = PipedAnswer(self._process, exercise, seconds, self._seed)
        if answer.problem:
            return {"status": "error", "message": answer.problem}
        try:
            verdict = judge(exercise, answer, self._seed)
        except Exception as error:  # numbers from outside, of which a check could make nothing
            told = f"The check could not make sense of what {name} returned ({type(error).__name__})."
            return {"status": "error", "message": told}
        return {
            "status": verdict.status,
            "message": message(exercise, verdict, next_hint=False),
            "misconception": verdict.misconception,
            "points": verdict.points,
            "rows": tuple((row.name, row.outcome) for row in verdict.rows),
        }
