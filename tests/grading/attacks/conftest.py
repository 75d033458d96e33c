"""Fixtures of the attacks: the two runs without protection, ours, and who is graded next."""

import contextlib
import os
import secrets
import sys
from pathlib import Path

import pytest

# By its folder, which holds nothing that has the name of anybody else's module.
sys.path.insert(0, str(Path(__file__).parent))

import arena
from arena import grade
from unprotected import Outcome, UsualGrader

SOLUTIONS = Path(__file__).parents[3] / "solutions"


def pytest_generate_tests(metafunc):
    if "attack" in metafunc.fixturenames:
        metafunc.parametrize("attack", metafunc.module.ATTACKS, ids=lambda attack: attack.name.replace(" ", "-"))


@pytest.fixture(scope="session")
def secret():
    """A word that no notebook may learn: in an environment variable of the grader, and in files of the course."""
    word = f"secret{secrets.token_hex(8)}"
    os.environ["COURSE_TOKEN"] = word
    yield word
    del os.environ["COURSE_TOKEN"]


@pytest.fixture(scope="session")
def usual_grader(secret):
    grader = UsualGrader()
    yield grader
    grader.close()


@pytest.fixture
def ground(tmp_path, secret):
    place = arena.Ground(tmp_path, secret)
    for name in ("submitted/bob/02_attention.ipynb", "course/solutions.ipynb", "course/test_hidden.py", "gradebook.db"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(f"answer = '{secret}'")
    yield place
    place.clear()


def _settings(level="full", deadline=10.0):
    from clearformer.grading.classroom.grade import Settings

    return Settings(level=level, deadline=deadline)


@pytest.fixture(scope="session")
def graders(secret):
    """graders(level, deadline) -> a warm grader: of each level one, whoever was graded by it before."""
    from clearformer.grading.classroom.grade import Grader

    with contextlib.ExitStack() as stack:
        made = {}

        def grader(level="full", deadline=10.0):
            if level not in made:
                made[level] = stack.enter_context(Grader(_settings(level)))
                grade(made[level], SOLUTIONS / "02_attention.ipynb", "warm-up")
            made[level]._settings = _settings(level, deadline)  # its process knows no deadline, and can stay
            return made[level]

        yield grader


@pytest.fixture
def unprotected(ground, usual_grader, request):
    """unprotected(attack) -> Outcome of the run without protection that the attack names."""

    def run(attack):
        if attack.level_none:
            graders = request.getfixturevalue("graders")
            record = grade(graders("none", attack.deadline), ground.write(attack))
            return Outcome(passed=frozenset(arena.earned(record)), text=arena.said(record))
        cells = ground.plain_cells(attack)
        return usual_grader.grade(cells, ground.file.parent, attack.way, attack.deadline, attack.limits)

    return run


@pytest.fixture(scope="session")
def next_in_line(tmp_path_factory):
    """next_in_line(lesson) -> a notebook of right answers, a few of the usual lesson or all of another."""
    few = arena.Ground(tmp_path_factory.mktemp("next"), "").write(arena.Attack("", [*arena.RIGHT.items()], None))
    return lambda lesson: few if lesson == arena.LESSON else SOLUTIONS / f"{lesson}.ipynb"


@pytest.fixture
def ours(ground, graders, next_in_line, sandbox_full):
    """ours(attack) -> the record, after everything that has to hold for any attack was seen to hold."""

    def run(attack):
        grader = graders("full", attack.deadline)
        before = arena.Machine.now()
        record = grade(grader, ground.write(attack))
        text = arena.check_shape(record)
        assert arena.earned(record) == set(attack.earned), "points that nobody earned, or none where they were"
        assert not arena.SECRET.search(text)  # nor that of another test, which may run beside this one
        assert before.unchanged() == ""
        assert not ground.marked_files() and not ground.marked_processes()
        next_one = grade(grader, next_in_line(attack.lesson), "ada")
        answered = arena.RIGHT if attack.lesson == arena.LESSON else [each["id"] for each in next_one["exercises"]]
        assert arena.earned(next_one) == set(answered) != set(), "who came next was not graded as before"
        return record

    return run


@pytest.fixture
def grade_file(ground, graders, sandbox_full):
    """grade_file(path) -> the record of a notebook that is there already."""

    def run(file, **how):
        record = grade(graders(), file, **how)
        arena.check_shape(record)
        return record

    return run


@pytest.fixture
def falls(unprotected, ground):
    def must_fall(attack):
        outcome = unprotected(attack)
        assert attack.bites(ground, outcome), f"this attack does not bite: {outcome}"

    return must_fall


@pytest.fixture
def stands(ours, ground):
    import re

    def must_stand(attack):
        record = ours(attack)
        said = arena.said(record)
        assert re.search(attack.says, said), said
        attack.holds(ground, record)

    return must_stand
