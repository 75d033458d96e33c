"""`clearformer list`: the lessons and exercises, and what is passed, in a terminal or as JSON."""

from __future__ import annotations

import json

from clearformer.checks import overview, progress
from clearformer.grading.report import console, mark, plain


def course_list(as_json=False):
    """Print the course. The JSON is `overview.course`'s and a "notice", what was wrong with the progress file."""
    known = progress.read()
    course = overview.course(known.passed)
    if as_json:
        print(json.dumps({**course, "notice": known.notice}, indent=1))
        return
    to = console()
    to.print(_table(course, to))
    to.print(overview.summary(course) + ". Difficulty goes from 1 to 5; a lesson's minutes are those of reading it.")
    if known.notice:
        to.print(plain(known.notice))


def _table(course, to):
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("Lesson and its exercises", overflow="fold")
    for name in ("Minutes", "Difficulty", "Points"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("Passed", no_wrap=True)
    for lesson in course["lessons"]:
        total = overview.totals(lesson["exercises"])
        points, passed = f"{total['points']} of {total['max_points']}", f"{total['passed']} of {total['exercises']}"
        table.add_row(Text(lesson["id"], "bold"), str(lesson["minutes"]), "", points, passed)
        for each in lesson["exercises"]:
            passed = Text(mark("passed", to) + "passed", "green") if each["passed"] else "not yet"
            name, difficulty = f"  {each['id']}", f"{each['difficulty']} of 5"
            table.add_row(name, str(each["minutes"]), difficulty, str(each["points"]), passed)
        table.add_section()
    return table
