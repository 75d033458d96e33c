"""Words for what went wrong with a cell: where it stopped, and what elsewhere in the notebook may be the reason."""

from __future__ import annotations

import re


def stopped(notebook, cell, stop, seconds, what):
    """One or two sentences on a ChildStopped. what: the first one's subject; seconds: the deadline."""
    place = _place(notebook, cell, stop)
    if stop.late:
        return f"{what} did not end within {seconds:g} seconds." + (f" It was still {place}" if place else "")
    return f"{what} {stop.reason}." + (f" It was {place}" if place else "")


def described(error, cell):
    """The end of "It stopped with …", for the error of a worker's reply to "run"; cell: the one that was run."""
    text = f"{error['kind']}: {error['text']}" if error["text"] else error["kind"]
    if error["kind"] == "SystemExit":
        text = "SystemExit: it asks Python to end, as exit() and sys.exit() do. Leave that out"
    if not error["line"]:
        return text
    return f"{text}\n{_line(error['line'], error['cell'] or cell.number, cell, error['code'])}"


def remarks(notebook, cell, message, failed, done):
    """What the notebook as a whole adds to the message on an answer cell: cells in the wrong order, or not counted.

    failed: {number: error} of the cells that raised one; done: the cells that ran to an end, even to an error.
    """
    for name in dict.fromkeys(re.findall(r"NameError: name '(\w+)' is not defined", message)):
        if remark := _about_name(notebook, name, cell, failed, done):
            yield remark
    for other in notebook.defining(cell.grade_id):
        if other.number > cell.number and not other.grade_id:
            yield f"{other.at_start} defines {cell.grade_id} too. Only the answer cell counts."
            break


def _about_name(notebook, name, cell, failed, done):
    defining = [other for other in notebook.defining(name) if other is not cell]
    before = [other for other in defining if other.number < cell.number]
    if raised := [other for other in before if other.number in failed]:
        error = failed[raised[-1].number]
        return f"{name} comes from {raised[-1]}, which stopped with {error['kind']}: {error['text']}"
    if ended := [other for other in before if other not in done]:
        return f"{name} comes from {ended[-1]}, which did not run to its end."
    if defining and not before:
        return f"{name} is defined further down, in {defining[0]}. Cells run from the top: is the order right?"
    return ""


def _place(notebook, cell, stop):
    """Where the child was when it stopped, or "" where that is not known."""
    source = next((other.source.splitlines() for other in notebook.cells if other.number == stop.cell), [])
    code = source[stop.line - 1].strip() if 0 < stop.line <= len(source) else ""
    return _line(stop.line, stop.cell, cell, code) if stop.line else ""


def _line(line, number, cell, code):
    """ "in line 3: while True:", with the cell's number where it is not `cell`."""
    elsewhere = f" of cell {number}" if number != cell.number else ""
    return f"in line {line}{elsewhere}" + (f": {code}" if code else "")
