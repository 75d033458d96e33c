"""Every exercise of the course, whatever it asks, keeps these promises."""

import importlib
import itertools

import pytest

from clearformer.checks import catalogue, judge_here
from clearformer.checks.answer import AnswerError, InProcessAnswer
from clearformer.checks.judge import SEED, case_difference, judge, known_answers

judging = importlib.import_module("clearformer.checks.judge")  # `clearformer.checks` has a function of this name
EXERCISES = catalogue.exercises()
SEEDS = (SEED, 0, 1)
REFERENCE_PACKAGES = tuple(
    f"clearformer.{name}"
    for name in (
        *("numpy", "nn", "models", "data", "training", "generation", "evaluation", "translator"),
        *("memory", "lora", "complexity", "scaling"),
    )
)


def each(what, of=EXERCISES):
    """pytest parameters (exercise, item) for every item of `what(exercise)`."""
    return [
        pytest.param(exercise, item, id=f"{exercise.name}-{getattr(item, 'slug', None) or getattr(item, 'name', item)}")
        for exercise in of
        for item in what(exercise)
    ]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_the_reference_passes(exercise, seed):
    verdict = judge(exercise, InProcessAnswer(exercise.reference), seed)
    assert verdict.status == "passed", verdict.message


@pytest.mark.parametrize(("exercise", "number"), each(lambda exercise: range(len(exercise.alternatives))))
def test_other_right_answers_pass(exercise, number):
    for seed in SEEDS:
        verdict = judge_here(exercise, exercise.alternatives[number], seed)
        assert verdict.status == "passed", verdict.message


@pytest.fixture(scope="module")
def shown():
    """What the answers of one exercise have shown."""
    return {}


@pytest.fixture
def seen_once(shown, exercise, monkeypatch):
    """A wrong answer is judged, and others are compared with it: with most seeds it is looked at once for both.

    With the first it is looked at anew, so that one that shows something else each time is found.
    """
    look = judging.observe
    if shown.get("of") is not exercise:
        shown.clear()
        shown["of"] = exercise

    def observe(case, answer, seed, inputs=None):
        if seed == SEEDS[0]:
            return look(case, answer, seed, inputs)
        key = id(case), id(answer._target), seed
        if key not in shown:
            shown[key] = look(case, answer, seed), answer  # kept, for its id to stay its own
        return shown[key][0]

    monkeypatch.setattr(judging, "observe", observe)


@pytest.mark.parametrize(("exercise", "wrong"), each(lambda exercise: exercise.misconceptions))
def test_each_wrong_answer_is_rejected_and_named_by_its_own_message(exercise, wrong, seen_once):
    for seed in SEEDS[:2]:
        verdict = judge(exercise, InProcessAnswer(wrong.implementation), seed)
        assert verdict.status != "passed"
        assert verdict.points == 0
        assert verdict.misconception == wrong.slug, verdict.message
        assert verdict.message.startswith(wrong.says)


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_no_two_wrong_answers_return_the_same_everywhere(exercise):
    known = known_answers(exercise, SEED)
    for one, other in itertools.combinations(exercise.misconceptions, 2):
        assert any(
            case_difference(exercise, case, known.wrong(case, one), known.wrong(case, other)) for case in exercise.cases
        ), f"{one.slug} equals {other.slug}"


@pytest.mark.parametrize(("exercise", "law"), each(lambda exercise: exercise.properties))
def test_each_law_is_broken_by_some_wrong_answer(exercise, law):
    def broken_by(wrong):
        try:
            return law.broken_by(InProcessAnswer(wrong.implementation), SEED)
        except AnswerError:
            return False  # an error says nothing about the law

    assert any(broken_by(wrong) for wrong in exercise.misconceptions)


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_the_catalogue_entry_is_complete(exercise):
    lesson = catalogue.lesson(exercise.lesson)
    assert exercise.name in lesson.exercises
    assert len(exercise.misconceptions) >= (3 if exercise.kind == "predict" else 6)
    assert exercise.kind == "predict" or exercise.alternatives
    assert exercise.points > 0 and 1 <= exercise.difficulty <= 5 and exercise.minutes > 0
    texts = [wrong.says for wrong in exercise.misconceptions]
    assert len(set(texts)) == len(texts)
    for text in (*texts, *exercise.hints, exercise.asks):
        assert text.strip() == text and text[-1] not in "!", text


@pytest.mark.parametrize("lesson", catalogue.LESSONS[1:], ids=lambda lesson: lesson.id)
def test_every_lesson_has_a_prediction_and_a_hunt(lesson):
    kinds = {exercise.kind for exercise in catalogue.exercises(lesson.id)}
    assert kinds == {"write", "predict", "hunt"}


@pytest.mark.parametrize(
    "exercise",
    [each for each in EXERCISES if getattr(each.reference, "__module__", "").startswith(REFERENCE_PACKAGES)],
    ids=lambda exercise: exercise.name,
)
def test_the_reference_itself_is_not_an_answer(exercise):
    """A learner who imports the reference is told to write it."""
    verdict = judge_here(exercise, exercise.reference)
    assert verdict.status == "failed"
    assert verdict.misconception == "calls-the-answer"
