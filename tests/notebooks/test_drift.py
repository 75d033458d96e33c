"""exercises/ is what solutions/ make of it."""

from pathlib import Path

from clearformer.authoring.handout import drift

ROOT = Path(__file__).parents[2]


def test_the_exercises_are_made_from_the_solutions():
    assert drift(ROOT / "solutions", ROOT / "exercises") == {}, "run: make exercises"
