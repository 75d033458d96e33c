"""How a verdict looks in a notebook: a small table, and an error that prints as its message alone."""

from __future__ import annotations

import textwrap
from html import escape

COLUMNS = 96  # JupyterLab would break longer lines inside words
# Numbers stay in their columns, and words whole: "feed-forward" is one.
KEEP = dict(replace_whitespace=False, drop_whitespace=False, break_long_words=False, break_on_hyphens=False)
MARKS = {"passed": "✓", "failed": "✗", "not run": "–"}


class CheckFailed(Exception):
    """An exercise's check did not pass. Its text is the feedback; notebooks show nothing else."""

    def _render_traceback_(self):
        lines = str(self).split("\n")
        return [part for line in lines for part in textwrap.wrap(line, COLUMNS, **KEEP) or [""]]


class CheckReport:
    """The table that a check shows: HTML in Lab, text elsewhere."""

    def __init__(self, exercise, verdict):
        self.exercise, self.verdict = exercise, verdict

    def _title(self):
        verdict = self.verdict
        said = {"passed": "passed", "unanswered": "not written yet"}.get(verdict.status, "not yet")
        unit = "point" if verdict.max_points == 1 else "points"
        return f"{verdict.exercise}: {said}", f"{verdict.points} of {verdict.max_points} {unit}"

    def __repr__(self):
        title, points = self._title()
        lines = [f"{title} ({points})"]
        lines += [f"  {MARKS[row.outcome]} {row.outcome:8} {row.name}" for row in self.verdict.rows]
        return "\n".join(lines)

    def _repr_html_(self):
        title, points = self._title()
        cell = "padding:.15em 1em .15em 0;text-align:left;background:transparent"
        rows = "".join(
            f'<tr><td style="{cell}">{escape(row.name)}</td>'
            f'<td style="{cell};font-weight:{600 if row.outcome == "failed" else 400}">'
            f'<span aria-hidden="true">{MARKS[row.outcome]}</span> {row.outcome}</td></tr>'
            for row in self.verdict.rows
        )
        edge = {"passed": "var(--jp-success-color1, #2e7d32)"}.get(
            self.verdict.status, "var(--jp-warn-color1, #b26a00)"
        )
        caption = f"<strong>{escape(title)}</strong> <span>({points})</span>"
        table = (
            f'<table style="border-collapse:collapse;margin:.3em 0 0;font-size:inherit">'
            f'<thead><tr><th scope="col" style="{cell}">What was checked</th>'
            f'<th scope="col" style="{cell}">Result</th></tr></thead><tbody>{rows}</tbody></table>'
        )
        return (
            f'<div style="border-left:4px solid {edge};padding:.2em 0 .2em .8em;'
            f'color:var(--jp-content-font-color1, inherit)">{caption}{table if rows else ""}</div>'
        )


def message(exercise, verdict, next_hint):
    """The text of the error: what is wrong, what was printed, and where help is."""
    parts = [verdict.message]
    if verdict.printed:
        parts.append("Your code printed:\n" + verdict.printed.rstrip())
    parts.append(f'For a hint: hint("{exercise.name}")' if next_hint else "")
    return "\n\n".join(part for part in parts if part)
