"""What the pages say, as plain values: counts, mistakes, who may need help.

Records are those of documents.for_people: their text is safe to show, and "page" names their student's files.
"""

from __future__ import annotations

import math
import re
import statistics
from collections import Counter
from dataclasses import dataclass

from clearformer.checks import catalogue
from clearformer.grading.report import WORDS

KINDS = {"passed": "passed", "failed": "wrong", "error": "stopped", "timeout": "stopped"}  # else "empty"
MOST_BARS = 16
NAMED_AT_ONCE = 12


@dataclass(frozen=True)
class Link:
    """A person or a place and where it is."""

    text: str
    href: str


@dataclass(frozen=True)
class Cell:
    """One student's exercise in the table. kind: "passed", "wrong", "stopped" or "empty"; href: "" for no link."""

    kind: str
    words: str
    href: str = ""


@dataclass(frozen=True)
class Row:
    """One notebook in the table. path: where the student has several for this lesson, else ""."""

    student: Link
    path: str
    points: int
    cells: list

    @property
    def is_empty(self):
        return all(cell.kind == "empty" for cell in self.cells)


@dataclass(frozen=True)
class ExerciseCount:
    """How a class did in one exercise: {kind: number of students}."""

    name: str
    counts: dict
    total: int

    def share(self, kind):
        """The part of the class, in percent."""
        return 100 * self.counts[kind] / self.total if self.total else 0

    def before(self, kind):
        """The part of the class in kinds that a bar shows before this one, in percent."""
        kinds = list(self.counts)
        return sum(self.share(other) for other in kinds[: kinds.index(kind)])


@dataclass(frozen=True)
class Mistake:
    """A known mistake, its words, and who made it."""

    exercise: str
    slug: str
    says: str
    students: list


@dataclass(frozen=True)
class Bar:
    """How many notebooks have from `low` to `high` points."""

    low: int
    high: int
    count: int

    @property
    def label(self):
        return str(self.low) if self.low == self.high else f"{self.low} to {self.high}"


@dataclass(frozen=True)
class LessonView:
    """One lesson of the class. behind: rows with under half of the points who have written something, lowest first;
    nothing_written: rows that are empty."""

    id: str
    title: str
    max_points: int
    exercises: list
    rows: list
    mistakes: list
    bars: list
    behind: list
    nothing_written: list

    @property
    def median(self):
        return f"{statistics.median(row.points for row in self.rows):g}"

    @property
    def all_passed(self):
        return sum(all(cell.kind == "passed" for cell in row.cells) for row in self.rows)


def kind(status):
    return KINDS.get(status, "empty" if status in WORDS else "stopped")


def words(status):
    return WORDS.get(status, status)


def title(lesson):
    """ "02 Who looks at whom? Attention", or the id of a lesson that the catalogue does not have."""
    found = next((each for each in catalogue.LESSONS if each.id == lesson), None)
    return f"{lesson.split('_')[0]} {found.title}" if found else lesson or "Unknown lesson"


def anchor(number, name):
    """The id of an exercise's section on a student's page. number: of the notebook, from 1."""
    return f"{re.sub('[^A-Za-z0-9_]', '-', name)}-{number}"


def lesson_views(own_records, columns):
    """A LessonView for each lesson. own_records: {page: its records}; columns: {lesson: names of its exercises}."""
    graded = {lesson: [] for lesson in columns}
    for own in own_records.values():
        handed_in = Counter(record["lesson"] for record in own if not record["error"])
        for number, record in enumerate(own, 1):
            if not record["error"]:
                graded[record["lesson"]].append((number, record, handed_in[record["lesson"]] > 1))
    return [_lesson_view(lesson, names, graded[lesson]) for lesson, names in columns.items()]


def _lesson_view(lesson, names, graded):
    rows = [_row(names, number, record, several) for number, record, several in graded]
    max_points = max(record["max_points"] for _, record, _ in graded)
    nothing = [row for row in rows if row.is_empty]
    behind = [row for row in rows if 2 * row.points < max_points and not row.is_empty]
    return LessonView(
        id=lesson,
        title=title(lesson),
        max_points=max_points,
        exercises=[_count(name, [row.cells[i] for row in rows]) for i, name in enumerate(names)],
        rows=rows,
        mistakes=_mistakes(names, [(number, record) for number, record, _ in graded]),
        bars=_bars([row.points for row in rows], max_points),
        behind=sorted(behind, key=lambda row: row.points),
        nothing_written=nothing,
    )


def _row(names, number, record, several):
    href = f"students/{record['page']}.html"
    found = {each["id"]: each["status"] for each in record["exercises"]}
    cells = []
    for name in names:
        status = found.get(name, "missing")
        link = f"{href}#{anchor(number, name)}" if kind(status) in ("wrong", "stopped") else ""
        cells.append(Cell(kind(status), words(status), link))
    return Row(Link(record["student"], href), record["path"] if several else "", record["points"], cells)


def _count(name, cells):
    found = Counter(cell.kind for cell in cells)
    return ExerciseCount(name, {each: found[each] for each in ("passed", "wrong", "stopped", "empty")}, len(cells))


def _mistakes(names, graded):
    """The known mistakes, the most frequent first; among equals in the order of the exercises."""
    found = {}
    for number, record in graded:
        for each in record["exercises"]:
            if each["misconception"]:
                person = Link(record["student"], f"students/{record['page']}.html#{anchor(number, each['id'])}")
                found.setdefault((each["id"], each["misconception"]), []).append((person, says(each["message"])))
    mistakes = []
    for (name, slug), seen in found.items():
        most_said = Counter(said for _, said in seen).most_common(1)[0][0]
        mistakes.append(Mistake(name, slug, most_said, [person for person, _ in seen]))
    return sorted(mistakes, key=lambda one: (-len(one.students), names.index(one.exercise), one.slug))


def says(message):
    """The catalogue's words for a mistake: the first paragraph of every message that names one.

    Read from there because the catalogue itself would have to be run, and parts of it need PyTorch.
    """
    return message.split("\n\n")[0]


def _bars(points, max_points):
    width = max(1, math.ceil((max_points + 1) / MOST_BARS))
    lows = range(0, max_points + 1, width)
    return [Bar(low, high := min(low + width - 1, max_points), sum(low <= p <= high for p in points)) for low in lows]
