"""The list of the course is read from the catalogue's files without running them: it has to say the same."""

import subprocess
import sys
from pathlib import Path

import pytest

from clearformer.checks import catalogue, overview


@pytest.mark.parametrize("name", catalogue.names())
def test_the_facts_are_those_of_the_exercise(name):
    exercise = catalogue.find(name)
    expected = [getattr(exercise, what) for what in ("name", "lesson", "kind", "points", "difficulty", "minutes")]
    assert list(vars(overview.facts(name)).values()) == expected


def test_listing_the_course_runs_no_exercise():
    code = (
        "import sys; from clearformer.checks import overview; overview.course({}); "
        "print([name for name in sys.modules if 'lesson_' in name or name == 'torch'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_facts_that_are_not_plain_values_are_found_by_running_the_file(monkeypatch, tmp_path):
    lesson = catalogue.lesson("02_attention")
    folder = tmp_path / "lesson_02_attention"
    folder.mkdir()
    monkeypatch.setattr(catalogue, "__file__", str(tmp_path / "__init__.py"))
    (folder / "softmax.py").write_text("POINTS = 5\nEXERCISE = Exercise(name='softmax', points=POINTS, minutes=1)")
    assert overview._written_facts(lesson, "softmax") is None
    (folder / "softmax.py").write_text("OTHER = Exercise(points=1, minutes=1, difficulty=1, kind='write')")
    assert overview._written_facts(lesson, "softmax") is None
    overview.facts.cache_clear()
    assert overview.facts("softmax").points == catalogue.find("softmax").points
    overview.facts.cache_clear()


def test_an_unknown_exercise_has_no_facts():
    with pytest.raises(KeyError):
        overview.facts("nobody")


def test_totals_are_sums_over_all_exercises():
    course = overview.course({"softmax": "2026-01-01T00:00:00+00:00", "an exercise of a later version": "2026-01-01"})
    every = [catalogue.find(name) for name in catalogue.names()]
    assert course["exercises"] == len(every)
    assert course["max_points"] == sum(exercise.points for exercise in every)
    assert (course["passed"], course["points"]) == (1, catalogue.find("softmax").points)
    assert [each["id"] for each in course["lessons"]] == [lesson.id for lesson in catalogue.LESSONS]
    ids = [each["id"] for lesson in course["lessons"] for each in lesson["exercises"]]
    assert ids == catalogue.names()


def test_every_file_of_the_catalogue_belongs_to_an_exercise_or_is_imported_by_one():
    """A file that is in no list would be an exercise that nobody sees."""
    listed = {f"lesson_{lesson.id}/{file}.py" for lesson in catalogue.LESSONS for file in lesson.exercises.values()}
    root = Path(catalogue.__file__).parent
    holding = {
        str(path.relative_to(root)) for path in root.glob("lesson_*/*.py") if "\nEXERCISE = " in path.read_text("utf-8")
    }
    assert holding == listed
