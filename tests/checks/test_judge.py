import time

import numpy as np
import pytest

from clearformer.checks import catalogue, judge_here
from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception, prediction

SOFTMAX = catalogue.find("softmax")
HINTS = ("an idea", "a plan", "a line")


def doubled(x):
    return 2 * x


@misconception("squared", "You squared it.")
def squared(x):
    return x * x


def exercise(**changes):
    facts = {
        "name": "doubled", "lesson": "00_start_here", "kind": "write", "points": 3, "difficulty": 1, "minutes": 1,
        "asks": "Double it.", "reference": doubled, "hints": HINTS, "misconceptions": (squared,),
        "cases": (
            Case("ones", lambda rng: Call(np.ones(2)), "a number that hides the square"),
            Case("any", lambda rng: Call(rng.normal(size=3))),
        ),
    }  # fmt: skip
    return Exercise(**{**facts, **changes})


def test_a_right_answer_gets_all_points():
    verdict = judge_here(exercise(), lambda x: x + x)
    assert (verdict.status, verdict.points, verdict.max_points, verdict.misconception) == ("passed", 3, 3, None)


def test_a_known_wrong_answer_is_named_first_and_then_the_case_is_shown():
    verdict = judge_here(exercise(), lambda x: x**2)
    assert (verdict.status, verdict.points, verdict.misconception) == ("failed", 0, "squared")
    assert verdict.message.startswith("You squared it.\n\nCase “ones” (a number that hides the square)")


def test_a_wrong_answer_nobody_foresaw_shows_the_smallest_failing_case():
    verdict = judge_here(exercise(), lambda x: x + 1)
    assert verdict.misconception is None
    assert "Case “any”, with x float64 (3,)" in verdict.message
    assert "expected" in verdict.message and "got" in verdict.message
    assert [row.outcome for row in verdict.rows] == ["passed", "failed"]


def test_a_known_wrong_answer_with_another_mistake_beside_it_is_still_named():
    """Right where the misconception is wrong in one case, the same in the others."""

    def softmax(x, axis=-1):
        exponentials = np.exp(x) if x.dtype == np.float64 else np.exp(x) * 1.5
        return exponentials / exponentials.sum(axis=axis, keepdims=True)

    assert judge_here(SOFTMAX, softmax).misconception == "no-maximum-subtracted"


def test_code_that_fails_everywhere_is_an_error_with_its_line():
    def answer(x):
        return x.nothing

    verdict = judge_here(exercise(), answer)
    assert verdict.status == "error"
    assert "AttributeError" in verdict.message and "return x.nothing" in verdict.message


def test_changing_the_input_fails_although_the_result_is_right():
    def answer(x):
        x *= 2
        return x

    verdict = judge_here(exercise(), answer)
    assert verdict.status == "failed"
    assert "x was changed in place" in verdict.message


def test_a_stub_is_unanswered_and_says_so_kindly():
    def answer(x):
        raise NotImplementedError

    answer.__name__ = "doubled"
    answer.__code__ = answer.__code__.replace(co_name="doubled")
    verdict = judge_here(exercise(), answer)
    assert verdict.status == "unanswered"
    assert verdict.message == "doubled is not written yet. Double it."


def test_an_answer_built_on_a_stub_says_which_one():
    def halved(x):
        raise NotImplementedError

    verdict = judge_here(exercise(), lambda x: halved(x) * 4)
    assert verdict.status == "unanswered"
    assert "uses halved, which is not written yet" in verdict.message


def test_the_expected_exception_is_asked_for():
    def picky(x):
        if x.size == 0:
            raise ValueError("x is empty")
        return x

    case = Case("nothing", lambda rng: Call(np.ones(0)), raises=ValueError)
    strict = exercise(reference=picky, cases=(case,), misconceptions=())
    assert judge_here(strict, picky).status == "passed"
    assert "expected a ValueError, but your code returned" in judge_here(strict, lambda x: x).message
    assert "TypeError" in judge_here(strict, lambda: 1).message


def test_a_broken_law_fails_an_answer_that_passed_all_cases():
    law = Property(
        "doubling a sum doubles each", lambda answer, rng: None if answer.call(np.ones(9)).sum() == 18 else "no"
    )

    def answer(x):
        return 2 * x if x.size < 9 else x

    verdict = judge_here(exercise(properties=(law,)), answer)
    assert (verdict.status, verdict.points) == ("failed", 0)
    assert "A law does not hold: doubling a sum doubles each" in verdict.message


@pytest.mark.parametrize("weird", [None, "text", object(), [np.ones(2)], {"a": 1}, lambda: 1, np.array(None), 1j])
def test_results_of_any_kind_never_break_the_judge(weird):
    law = Property("sum", lambda answer, rng: f"{answer.call(np.ones(2)).sum()}")
    for each in (exercise(), exercise(properties=(law,), cases=())):
        assert judge_here(each, lambda x: weird).points == 0


@pytest.mark.parametrize("target", [None, 3, "text", dict, np.ones(2)])
def test_answers_of_any_kind_never_break_the_judge(target):
    assert judge_here(SOFTMAX, target).points == 0


NUMBER = prediction(
    "number", number=64, wrong=(("root", 8, "That is the standard deviation."),), close=0.01, lesson="00_start_here",
    points=1, difficulty=1, minutes=1, asks="Predict it.", hints=HINTS,
)  # fmt: skip


def test_a_prediction_counts_within_its_tolerance_and_a_known_wrong_number_has_its_story():
    assert judge_here(NUMBER, 64.3).status == "passed"
    assert judge_here(NUMBER, np.float32(64)).status == "passed"
    wrong = judge_here(NUMBER, 8)
    assert (wrong.misconception, wrong.message) == ("root", "That is the standard deviation.")


@pytest.mark.parametrize("wrong", [63, 0, -64, float("nan"), float("inf"), "64", [64]])
def test_a_wrong_prediction_does_not_give_the_number_away(wrong):
    verdict = judge_here(NUMBER, wrong)
    assert verdict.status in ("failed", "error")
    assert "64" not in verdict.message.replace(repr(wrong), "")


@pytest.mark.parametrize("nothing", [None, ...])
def test_a_prediction_that_is_not_made_is_unanswered(nothing):
    assert judge_here(NUMBER, nothing).status == "unanswered"


def test_the_finished_answer_and_another_function_of_its_lesson_are_told_apart():
    from clearformer import nn, numpy

    finished = judge_here(SOFTMAX, numpy.softmax)
    assert finished.message.startswith("Your code calls clearformer.numpy.attention.softmax. That call already is")
    module = judge_here(catalogue.find("MultiHeadAttention"), nn.MultiHeadAttention)
    assert module.message.startswith(
        "Your code calls clearformer.nn.attention.MultiHeadAttention. That call already is"
    )
    other = judge_here(SOFTMAX, lambda x, axis=-1: numpy.masked_softmax(x, None))
    assert "clearformer.numpy.attention.masked_softmax, which is built in this lesson or a later one" in other.message
    assert {each.points for each in (finished, module, other)} == {0}


def test_the_finished_answer_kept_for_the_laws_alone_is_noticed():
    from clearformer.numpy import softmax

    def sly(x, axis=-1):
        exponentials = np.exp(x - x.max(axis=axis, keepdims=True))
        return softmax(x) if x.shape == (3, 4, 5) else exponentials / exponentials.sum(axis=axis, keepdims=True)

    verdict = judge_here(SOFTMAX, sly)
    assert (verdict.status, verdict.points) == ("failed", 0)
    assert "That call already is the answer" in verdict.message


def test_a_reader_who_lets_numpy_stop_at_underflow_can_still_check():
    attention = catalogue.find("scaled_dot_product_attention")
    with np.errstate(all="raise"):
        verdict = judge_here(attention, attention.alternatives[0])
        assert np.geterr()["under"] == "raise"
    assert verdict.status == "passed", verdict.message


def test_two_judgements_say_the_same():
    wrong = SOFTMAX.misconceptions[3].implementation
    one, other = (judge_here(SOFTMAX, wrong) for _ in range(2))
    assert (one.message, one.rows) == (other.message, other.rows)


def test_the_answer_sees_other_numbers_under_another_seed():
    case = SOFTMAX.cases[0]
    assert not np.array_equal(case.inputs(0).args[0], case.inputs(1).args[0])
    assert np.array_equal(case.inputs(1).args[0], case.inputs(1).args[0])


def test_the_time_it_took_is_measured():
    def slow(x):
        time.sleep(0.01)
        return 2 * x

    assert judge_here(exercise(), slow).seconds >= 0.02
