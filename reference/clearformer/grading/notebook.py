"""Reading a notebook: its cells in order, and which of them answer which exercise.

Read with json alone. nbformat would take a second to be imported and adds nothing here: outputs, ids and the
fine points of the schema do not matter to a check.
"""

from __future__ import annotations

import ast
import functools
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from clearformer.checks import catalogue

NAME_LIMIT = 60  # characters of what a file says, in a sentence about it
TITLE_LIMIT = 1000  # characters of a cell, among which its first line is looked for
SEARCHED = 300_000  # characters of code that are searched for names, in a notebook; a long one of the course has 30,000


class NotebookError(Exception):
    """A file that cannot be checked. The text says why, and what to do."""


@dataclass(frozen=True)
class Cell:
    """number: counted from 1 over all cells; grade_id: nbgrader's, or ""; is_check: a check cell, never run."""

    number: int
    is_code: bool
    source: str
    grade_id: str = ""
    is_check: bool = False

    def __str__(self):
        lines = [line.strip() for line in self.source[:TITLE_LIMIT].splitlines() if line.strip()]
        return f"cell {self.number} ({lines[0][:50]})" if lines else f"cell {self.number}"

    @property
    def at_start(self):
        """How a sentence that begins with the cell names it."""
        return "C" + str(self)[1:]

    @property
    def is_empty(self):
        """Nothing but comments."""
        return all(not line.strip() or line.lstrip().startswith("#") for line in self.source.splitlines())

    def defines(self, name):
        """Does the cell bind `name` at its top level, by an assignment, an import, a def or a class?"""
        return name in self.source and name in self._bound_names  # the first, because most cells need no second

    @functools.cached_property
    def _bound_names(self):
        return _bound_names(self.source)


@dataclass(frozen=True)
class Notebook:
    """cells: all of them; exercises: names of those to report, in the order of the course."""

    cells: tuple[Cell, ...]
    exercises: tuple[str, ...]

    def answers(self, exercise):
        """The answer cells of an exercise: one, unless some were deleted or copied."""
        return [cell for cell in self.cells if cell.grade_id == exercise and not cell.is_check]

    @property
    def to_run(self):
        return [cell for cell in self.cells if cell.is_code and not cell.is_check]

    def defining(self, name):
        """The cells to run that bind `name`. Of very long notebooks not all cells are looked at."""
        return [cell for cell in self._searched if cell.defines(name)]

    @functools.cached_property
    def _searched(self):
        found, room = [], SEARCHED
        for cell in self.to_run:
            if len(cell.source) <= room:
                found.append(cell)
                room -= len(cell.source)
        return found


def read_notebook(path):
    """The Notebook in the file at `path`, of format 3 or 4. NotebookError where it cannot be checked."""
    return notebook_from(_content(Path(path)))


def notebook_from(content):
    """The Notebook that these bytes are, as `read_notebook`."""
    document = _document(content)
    cells = tuple(_cell(number, raw) for number, raw in enumerate(_raw_cells(document), 1))
    return Notebook(cells, _exercises(document, cells))


def _content(path):
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise NotebookError("There is no such file.") from None
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte
        if path.is_dir():
            raise NotebookError("This is a folder. Name the notebook in it, a file that ends in .ipynb.") from None
        raise NotebookError(f"The file cannot be read ({getattr(error, 'strerror', None) or error}).") from None


def _document(content):
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise NotebookError("Not a notebook: the file is not text.") from None
    if not text.strip():
        raise NotebookError("The file is empty.")
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise NotebookError(f"Not a notebook: not JSON (line {error.lineno}: {error.msg}).") from None
    except (ValueError, RecursionError) as error:
        raise NotebookError(f"Not a notebook: not JSON ({error}).") from None
    if not isinstance(document, dict) or type(document.get("nbformat")) is not int:
        raise NotebookError("Not a notebook: JSON, but without the number nbformat.")
    return document


def _raw_cells(document):
    """The cells as dicts with a source, whichever format they came in."""
    version = document["nbformat"]
    has = f"The notebook has format {_cut(version)}"
    if version < 3:
        raise NotebookError(f"{has}, which is too old. Open it in Jupyter, save it, then check it again.")
    if version > 4:
        raise NotebookError(f"{has}. This version of clearformer reads formats 3 and 4.")
    groups = [document] if version == 4 else _list(document, "worksheets")
    return [raw for group in groups for raw in _list(group, "cells")]


def _list(holder, key):
    found = holder.get(key) if isinstance(holder, dict) else None
    if not isinstance(found, list):
        raise NotebookError(f"Not a notebook: it has no list of {key}.")
    return found


def _cell(number, raw):
    kind = raw.get("cell_type") if isinstance(raw, dict) else None
    source = raw.get("input", raw.get("source")) if kind == "code" else raw.get("source") if kind else None
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if not isinstance(source, str):
        raise NotebookError(f"Not a notebook: cell {number} has no type or no source.")
    marks = _mapping(raw, "metadata", "nbgrader")
    grade_id = marks.get("grade_id")
    return Cell(
        number=number,
        is_code=kind == "code",
        source=source,
        grade_id=grade_id if isinstance(grade_id, str) else "",
        is_check=bool(marks.get("grade")) and not marks.get("solution"),
    )


def _mapping(holder, *keys):
    """holder[key][key]…, or an empty dict where that is not there or is no dict."""
    for key in keys:
        holder = holder.get(key) if isinstance(holder, dict) else None
    return holder if isinstance(holder, dict) else {}


def _exercises(document, cells):
    """Names of all exercises of the notebook's lesson, and of those of other lessons that it has answer cells of."""
    found = {cell.grade_id for cell in cells if cell.grade_id and not cell.is_check}
    answered = [name for name in catalogue.names() if name in found]
    lessons = {each.id: each for each in catalogue.LESSONS}
    named = _mapping(document, "metadata", "clearformer").get("lesson")
    known = isinstance(named, str) and named in lessons
    if not answered and not (known and any(cell.grade_id for cell in cells)):
        raise NotebookError(_nothing_to_check(named, known, found))
    if not known:
        of = Counter(each.id for each in lessons.values() for name in answered if name in each.exercises)
        named = of.most_common(1)[0][0]
    return tuple(name for name in catalogue.names() if name in lessons[named].exercises or name in answered)


def _nothing_to_check(named, known, found):
    if known:
        return f"There is no answer cell in this notebook. The exercises of its lesson are in exercises/{named}.ipynb."
    if isinstance(named, str) or found:
        what = f"the lesson {_cut(named)!r}" if isinstance(named, str) else f"the exercise {_cut(min(found))!r}"
        return f"This version of clearformer does not know {what}. Its lessons: `clearformer list`."
    return (
        "There is no answer cell in this notebook. It is not one of the course's exercises, or a program that saved "
        "it has dropped the cells' metadata: start from a fresh copy."
    )


def _cut(value):
    """What a file says, short enough for a sentence. Of a text it may hold anything: show its repr."""
    text = str(value)
    return text if len(text) <= NAME_LIMIT else text[:NAME_LIMIT] + "…"


# --- what a cell defines -------------------------------------------------------------------------------------

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
OWN_SCOPES = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def _bound_names(source):
    """Names that a cell's code binds at its top level; lines that are IPython's own are left out."""
    lines = ["" if line.lstrip().startswith(("%", "!", "?")) else line for line in source.splitlines()]
    try:
        tree = ast.parse("\n".join(lines))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return frozenset()
    return frozenset(_names_of(tree))


def _names_of(tree):
    """What the statements of a tree bind, without entering functions and classes.

    No recursion: a sum of a thousand numbers is a tree a thousand levels deep.
    """
    todo = [tree]
    while todo:
        for child in ast.iter_child_nodes(todo.pop()):
            if isinstance(child, FUNCTIONS):
                yield child.name
            elif isinstance(child, ast.alias):
                yield (child.asname or child.name).split(".")[0]
            elif isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
                yield child.id
            elif not isinstance(child, OWN_SCOPES):
                todo.append(child)
