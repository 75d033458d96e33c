"""Records as grading makes them, of classes that do not exist: the answers are the catalogue's, right and wrong."""

import functools
import random

import pytest

from clearformer.checks import catalogue, overview
from clearformer.checks.answer import InProcessAnswer
from clearformer.checks.feedback import message
from clearformer.checks.judge import judge

GIVEN = ("Ada", "Björn", "Chidi", "Daniela", "Emeka", "Fatima", "Grace", "Hugo", "Ines", "Jun", "Kofi", "Léa", "Mira")
FAMILY = ("Adeyemi", "Bauer", "Costa", "Dubois", "Eriksen", "Garcia", "Haddad", "Ito", "Kaya", "Moreau", "Nguyen")
BROKEN_PLOT = "Cell 7 (plot(weights)) stopped with TypeError: plot() missing 1 argument"
OTHER = {
    "error": "The answer cell stopped with NameError: name 'nmupy' is not defined\nin line 3: return nmupy.exp(x)",
    "timeout": "The answer cell did not end within 10 seconds. It was still in line 4: while True:",
    "missing": "Its answer cell is not in the notebook. Copy it from a fresh exercises/02_attention.ipynb.",
}


@functools.cache
def judged(name, slug=""):
    """The fields of a record that come of judging the reference, or the misconception `slug`."""
    exercise = catalogue.find(name)
    target = next((wrong.implementation for wrong in exercise.misconceptions if wrong.slug == slug), exercise.reference)
    verdict = judge(exercise, InProcessAnswer(target))
    return {
        "status": verdict.status,
        "misconception": verdict.misconception,
        "message": message(exercise, verdict, next_hint=False),
        "points": verdict.points,
        "rows": [[row.name, row.outcome] for row in verdict.rows],
    }


def unjudged(name, status, text=""):
    text = text or OTHER.get(status) or f"{name} is not written yet. {catalogue.find(name).asks}"
    return {"status": status, "misconception": None, "message": text, "points": 0, "rows": []}


def record(student, results, lesson="02_attention", path=None, trouble=(), error="", seconds=0.125):
    """results: {exercise: what `judged` or `unjudged` gives}"""
    exercises = [
        {"id": name, **fields, "max_points": overview.facts(name).points, "seconds": seconds}
        for name, fields in results.items()
    ]
    made = {
        "student": student,
        "path": path or f"{student}/{lesson}.ipynb",
        "lesson": lesson,
        "sha256": "0" * 64,
        "points": sum(each["points"] for each in exercises),
        "max_points": sum(each["max_points"] for each in exercises),
        "seconds": seconds * len(exercises),
        "exercises": exercises,
        "trouble": list(trouble),
    }
    return made | {"error": error} if error else made


def _result(name, ability, draw):
    exercise = catalogue.find(name)
    luck = draw.random()
    if luck < ability * (1.15 - 0.12 * exercise.difficulty):
        return judged(name)
    if luck > 0.97:
        return unjudged(name, draw.choice(["error", "error", "timeout", "missing"]))
    if draw.random() < 0.75 * ability + 0.2:
        likely = exercise.misconceptions[: 1 + int(draw.paretovariate(1))]
        return judged(name, draw.choice(likely).slug)
    return unjudged(name, "unanswered")


@pytest.fixture(scope="session")
def class_of():
    """class_of(30) -> records; about one student in fifteen could not be graded. The same number, the same class."""

    def make(size, lesson="02_attention"):
        draw, records, names = random.Random(size), [], set()
        for number in range(size):
            student = f"{draw.choice(GIVEN)} {draw.choice(FAMILY)}"
            student = f"{student} {number}" if student in names else student
            names.add(student)
            if number % 15 == 14:
                why = "Not a notebook: not JSON (line 1: Expecting value)."
                records.append(record(student, {}, lesson="", path=f"{student}/work.ipynb", error=why))
                continue
            ability = 0.05 if number % 15 == 7 else min(draw.betavariate(4, 1.6) + 0.05, 1)
            results = {name: _result(name, ability, draw) for name in catalogue.lesson(lesson).exercises}
            if number % 15 == 3:
                results = {name: unjudged(name, "unanswered") for name in results}
            trouble = [BROKEN_PLOT] if number == 2 else ()
            records.append(record(student, results, lesson, trouble=trouble))
        return records

    return make


@pytest.fixture(scope="session")
def make_record():
    return record


@pytest.fixture(scope="session")
def answer():
    """answer("softmax", "wrong-axis") -> the fields of a record; without a slug those of the right answer."""
    return judged
