"""What came of checking notebooks, for programs (JSON) and for people (a terminal)."""

from __future__ import annotations

import contextlib
import json
import sys
import textwrap

SCHEMA = 1
WORDS = {
    "passed": "passed",
    "failed": "not right yet",
    "error": "stopped with an error",
    "unanswered": "not written yet",
    "missing": "answer cell missing",
    "timeout": "did not end",
}
ALL_PASSED, NOT_ALL_PASSED, COULD_NOT_RUN = 0, 1, 2


def document(reports):
    """The JSON document of some self_check.Reports, as a dict; only one that could not be checked has an "error".

    {"schema": 1, "notebooks": [{"path", "points", "max_points", "exercises": [{"id", "status", "misconception",
    "message", "points", "max_points", "seconds"}], "error"}]}
    """
    return {"schema": SCHEMA, "notebooks": [_notebook(report) for report in reports]}


def _notebook(report):
    exercises = [
        {
            "id": result.id,
            "status": result.status,
            "misconception": result.misconception,
            "message": result.message,
            "points": result.points,
            "max_points": result.max_points,
            "seconds": round(result.seconds, 3),
        }
        for result in report.results
    ]
    found = {
        "path": report.path,
        "points": report.points,
        "max_points": report.max_points,
        "exercises": exercises,
    }
    return found | {"error": report.error} if report.error else found


def as_json(reports):
    return json.dumps(document(reports), indent=1)


def exit_status(reports):
    """2 where a notebook could not be checked, else 1 where an exercise is not passed, else 0."""
    if any(report.error for report in reports):
        return COULD_NOT_RUN
    return ALL_PASSED if all(report.all_passed for report in reports) else NOT_ALL_PASSED


# --- for people ----------------------------------------------------------------------------------------------


def console(error=False):
    """A rich Console on the standard output or error; what its encoding does not have is replaced, never fatal."""
    from rich.console import Console

    stream = sys.stderr if error else sys.stdout
    with contextlib.suppress(AttributeError, ValueError):  # a stream that somebody put in its place
        stream.reconfigure(errors="replace")
    return Console(stderr=error, markup=False, highlight=False, emoji=False)


def mark(status, to):
    """A mark to stand before the word, where the console `to` can show it."""
    if not to.encoding.lower().startswith("utf"):
        return ""
    return {"passed": "✓ ", "unanswered": "– ", "missing": "– "}.get(status, "✗ ")


def plain(text):
    """Text from a notebook, fit for a terminal: without control characters but for line ends."""
    return "".join(c if c == "\n" or c.isprintable() else " " if c.isspace() else "�" for c in text)


def print_report(report, to):
    """One notebook: a table of its exercises, then what to say about each that is not passed."""
    path = plain(report.path).replace("\n", " ")
    if report.error:
        _say(to, f"{path}: could not be checked", [report.error])
        return
    to.print(_table(report, path, to))
    messages = {}  # the same words once, for all exercises that they are about
    for result in report.results:
        if result.status not in ("passed", "unanswered"):  # of these the table says enough
            messages.setdefault((WORDS[result.status], result.message), []).append(result.id)
    for (words, message), names in messages.items():
        _say(to, f"{', '.join(names)}: {words}", [message])
    if report.trouble:
        _say(to, "Other cells that did not run through", report.trouble)
    if hard := [result.id for result in report.results if result.status in ("failed", "error", "timeout")]:
        to.print(f'For a hint, in the notebook: hint("{hard[0]}")\n')


def _table(report, path, to):
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(path, "bold"), title_justify="left", box=SIMPLE_HEAD, show_footer=True)
    table.add_column("Exercise", footer="Points in all", overflow="fold")
    table.add_column("Result")
    table.add_column("Points", footer=f"{report.points} of {report.max_points}", justify="right", no_wrap=True)
    for result in report.results:
        style = "green" if result.status == "passed" else ""
        words = Text(mark(result.status, to) + WORDS[result.status], style)
        table.add_row(result.id, words, f"{result.points} of {result.max_points}")
    return table


def _say(to, heading, texts):
    """A bold heading with indented text under it, broken between words to fit."""
    from rich.text import Text

    to.print(Text(heading, "bold"))
    for line in "\n".join(plain(text) for text in texts).splitlines():
        broken = textwrap.wrap(line, max(to.width - 2, 20), replace_whitespace=False) or [""]
        to.print(Text("\n".join(f"  {part}".rstrip() for part in broken)))
    to.print()


@contextlib.contextmanager
def status_line():
    """A line on the standard error that says what goes on; yields a function of a text. Nothing off a terminal."""
    shown = console(error=True)
    if not shown.is_terminal:
        yield lambda text: None
        return
    from rich.text import Text

    with shown.status("") as line:
        yield lambda text: line.update(Text(plain(text).replace("\n", " ")[: shown.width - 4]))
