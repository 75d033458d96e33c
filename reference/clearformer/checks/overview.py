"""The course at a glance: lessons and exercises, with what is passed.

Made without running the catalogue, some of whose files need PyTorch: a list has to be there at once.
"""

from __future__ import annotations

import ast
import functools
from dataclasses import dataclass
from pathlib import Path

from clearformer.checks import catalogue

SCHEMA = 1
FACTS = ("kind", "points", "difficulty", "minutes")


@dataclass(frozen=True)
class Facts:
    """What a list says of an exercise."""

    name: str
    lesson: str
    kind: str
    points: int
    difficulty: int
    minutes: int


@functools.cache
def facts(name):
    """The Facts of the exercise called `name`; KeyError where there is none."""
    for lesson in catalogue.LESSONS:
        if name in lesson.exercises:
            written = _written_facts(lesson, lesson.exercises[name]) or vars(catalogue.find(name))
            return Facts(name, lesson.id, **{what: written[what] for what in FACTS})
    raise KeyError(name)


def _written_facts(lesson, file):
    """The facts that the catalogue's file gives as plain values, read without running it; None if one is not plain."""
    path = Path(catalogue.__file__).parent / f"lesson_{lesson.id}" / f"{file}.py"
    made = [
        node.value
        for node in ast.parse(path.read_bytes()).body
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and [target.id for target in node.targets if isinstance(target, ast.Name)] == ["EXERCISE"]
    ]
    if not made:
        return None
    plain = {word.arg: word.value.value for word in made[-1].keywords if isinstance(word.value, ast.Constant)}
    if isinstance(made[-1].func, ast.Name) and made[-1].func.id == "prediction":
        plain["kind"] = "predict"
    return plain if all(what in plain for what in FACTS) else None


def course(passed):
    """The course and what is passed of it, ready for JSON. passed: {exercise: date}.

    {"schema": 1, "lessons": [{"id", "title", "minutes", "exercises": [{"id", "kind", "minutes", "difficulty",
    "points", "passed": date or null}]}], "exercises", "passed", "points", "max_points"}: the last four are totals.
    """
    lessons = [
        {
            "id": lesson.id,
            "title": lesson.title,
            "minutes": lesson.minutes,
            "exercises": [_exercise(facts(name), passed) for name in lesson.exercises],
        }
        for lesson in catalogue.LESSONS
    ]
    return {"schema": SCHEMA, "lessons": lessons, **totals(each for lesson in lessons for each in lesson["exercises"])}


def _exercise(known, passed):
    return {
        "id": known.name,
        "kind": known.kind,
        "minutes": known.minutes,
        "difficulty": known.difficulty,
        "points": known.points,
        "passed": passed.get(known.name),
    }


def totals(exercises):
    """How many of `exercises`, entries of `course`, there are and are passed, and their points."""
    exercises = list(exercises)
    done = [each for each in exercises if each["passed"]]
    return {
        "exercises": len(exercises),
        "passed": len(done),
        "points": sum(each["points"] for each in done),
        "max_points": sum(each["points"] for each in exercises),
    }


def summary(total):
    """ "3 of 19 exercises passed, 8 of 40 points" """
    return (
        f"{total['passed']} of {total['exercises']} exercises passed, {total['points']} of {total['max_points']} points"
    )


def progress_table(passed, lesson=None):
    """The table that a notebook shows: the lessons, or the exercises of one. ValueError for an unknown lesson."""
    from clearformer.plots.table import table

    lessons = course(passed)["lessons"]
    if lesson is None:
        rows = []
        for each in lessons:
            total = totals(each["exercises"])
            passed_of = f"{total['passed']} of {total['exercises']}"
            rows.append((each["id"], each["title"], passed_of, f"{total['points']} of {total['max_points']}"))
        caption = f"Your progress: {summary(totals(each for one in lessons for each in one['exercises']))}"
        return table(rows, ["Lesson", "Title", "Exercises passed", "Points"], caption)
    found = next((each for each in lessons if each["id"] == lesson), None)
    if found is None:
        raise ValueError(f"lesson: got {lesson!r}, expected one of {', '.join(each['id'] for each in lessons)}")
    rows = [(each["id"], in_words(each), each["points"]) for each in found["exercises"]]
    caption = f"Your progress in {lesson}: {summary(totals(found['exercises']))}"
    return table(rows, ["Exercise", "Progress", "Points"], caption)


def in_words(exercise):
    """Progress of an entry of `course`."""
    return f"passed on {exercise['passed'][:10]}" if exercise["passed"] else "not passed yet"
