"""What a run came to, in a terminal: how many, how well, what was hard, and who could not be graded."""

from __future__ import annotations

from collections import Counter
from statistics import fmean

from clearformer.grading.report import plain

NOT_GRADED_SHOWN = 20


def print_summary(records, of, to):
    """records: those that are finished, in order; of: how many submissions there are; to: a rich Console."""
    graded = [record for record in records if not record.get("error")]
    failed = [record for record in records if record.get("error")]
    if graded:
        to.print(_exercises(graded))
    for sentence in _sentences(graded, failed, of):
        to.print(plain(sentence), soft_wrap=True)
    for record in failed[:NOT_GRADED_SHOWN]:
        to.print(f"  {_line(record['path'])}: {_line(record['error'])}", soft_wrap=True)
    if len(failed) > NOT_GRADED_SHOWN:
        to.print(f"  and {len(failed) - NOT_GRADED_SHOWN} more, see report.csv")


def number(count, what):
    """ "1 submission", "2 submissions"."""
    return f"{count} {what}" + "s" * (count != 1)


def _sentences(graded, failed, of):
    students = len({record["student"] for record in graded})
    yield f"{len(graded)} of {number(of, 'submission')} graded, of {number(students, 'student')}."
    if shares := [record["points"] / record["max_points"] for record in graded if record["max_points"]]:
        full = sum(share == 1 for share in shares)
        yield f"On average {fmean(shares):.0%} of the points; all points: {full}."
    if found := Counter(_misconceptions(graded)).most_common(1):
        (exercise, slug), count = found[0]
        yield f"Most frequent misconception: {slug} in {exercise}, {number(count, 'submission')}."
    if failed:
        yield f"{number(len(failed), 'submission')} could not be graded:"


def _misconceptions(graded):
    return [
        (each["id"], each["misconception"])
        for record in graded
        for each in record["exercises"]
        if each["misconception"]
    ]


def _exercises(graded):
    """A table of the exercises, those that fewest pass at the top."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    of = Counter(each["id"] for record in graded for each in record["exercises"])
    passed = Counter(each["id"] for record in graded for each in record["exercises"] if each["status"] == "passed")
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("Exercise, hardest first", overflow="fold")
    table.add_column("Passed", justify="right", no_wrap=True)
    table.add_column("", justify="right", no_wrap=True)
    for name in sorted(of, key=lambda name: passed[name] / of[name]):
        table.add_row(Text(_line(name)), f"{passed[name]} of {of[name]}", f"{passed[name] / of[name]:.0%}")
    return table


def _line(text):
    return " ".join(plain(text).split())
