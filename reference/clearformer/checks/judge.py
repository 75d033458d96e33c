"""From an exercise and an answer to a verdict."""

from __future__ import annotations

import contextlib
import functools
import itertools
import sys
import time
from dataclasses import dataclass, field

import numpy as np

from clearformer.checks.answer import AnswerError, InProcessAnswer
from clearformer.checks.compare import describe, difference, kind_of
from clearformer.checks.exercise import call_once
from clearformer.checks.form import FormChecked, WrongForm

SEED = 2017

# Kinds of AnswerError that no code raised, and how the sentence about them begins.
NOT_RAISED = {
    "ParameterNames": "the parameters of the module are not the ones asked for: ",
    "NoModule": "",
    "NoTensor": "",
    "TooManyCalls": "your code was stopped: ",
}


@dataclass(frozen=True)
class Row:
    """One line of the table: what was checked, and "passed", "failed" or "not run"."""

    name: str
    outcome: str


@dataclass(frozen=True)
class Verdict:
    """What a check found. status: "passed", "failed", "error" or "unanswered"."""

    exercise: str
    status: str
    points: int
    max_points: int
    message: str
    misconception: str | None = None
    rows: tuple[Row, ...] = ()
    printed: str = ""
    seconds: float = 0.0


@dataclass
class Observation:
    """What one case saw of an answer: labelled values, or the error; and which inputs were changed."""

    values: dict = field(default_factory=dict)
    error: AnswerError | None = None
    changed: frozenset = frozenset()


def observe(case, answer, seed, inputs=None):
    """Ask `answer` what `case` asks. inputs: those of the seed, where they are drawn already."""
    answer.changed.clear()
    if answer.is_here and (torch := sys.modules.get("torch")):
        torch.default_generator.manual_seed(seed)  # what is seen then depends on nothing that was asked before
    seen = Observation()
    try:
        seen.values = case.ask(answer, inputs or case.inputs(seed))
    except AnswerError as error:
        seen.error = error
    except Exception as error:  # a result of a kind that the question could not handle
        seen.error = AnswerError(type(error).__name__, f"the result cannot be used: {error}")
    seen.changed = frozenset(answer.changed)
    return seen


def _value_difference(exercise, case, expected, got):
    how = {"scale": case.scale, "close": case.close, "any_float": exercise.any_float}
    for label, wanted in expected.values.items():
        found = got.values.get(label)
        if label == "result" and len(exercise.returns) > 1:
            if not isinstance(found, tuple) or len(found) != len(exercise.returns):
                pair = ", ".join(exercise.returns)
                return f"expected a tuple ({pair}), got {_article(kind_of(found))}"
            named = zip(exercise.returns, wanted, found, strict=True)
            text = next((text for name, a, b in named if (text := difference(a, b, name, **how))), None)
        else:
            name = exercise.returns[0] if label == "result" else label
            text = difference(wanted, found, name, **how)
        if text:
            return text
    return None


def _article(kind):
    return kind if kind in ("None", "bool") else f"a {kind}"


def _error_difference(expected, got):
    if got.error is None:
        return f"expected a {expected.error.kind}, but your code returned normally"
    if got.error.kind in NOT_RAISED:
        return NOT_RAISED[got.error.kind] + got.error.text
    if expected.error is None or got.error.kind != expected.error.kind:
        wanted = f", expected a {expected.error.kind}" if expected.error else ""
        where = f"\nin {got.error.where}" if got.error.where else ""
        text = f": {got.error.text}" if got.error.text else ""
        return f"your code stopped with {got.error.kind}{text}{wanted}{where}"
    return None


def case_difference(exercise, case, expected, got):
    """None where the two observations agree, else a text."""
    if expected.error or got.error:
        return _error_difference(expected, got)
    text = _value_difference(exercise, case, expected, got)
    if text and exercise.kind == "predict" and kind_of(got.values["number"]) == "number":
        return f"{got.values['number']} is not the number. Think again, or take a hint."
    if text is None and got.changed - expected.changed:
        names = [
            exercise.parameters[i] if isinstance(i, int) and i < len(exercise.parameters) else f"input {i}"
            for i in sorted(got.changed - expected.changed, key=str)
        ]
        were = "was" if len(names) == 1 else "were"
        return f"the result is right, but {' and '.join(names)} {were} changed in place: work on a copy"
    return text


def _agrees(exercise, case, wrong, got):
    """Does the learner's observation equal that of a known wrong answer, errors and all?"""
    if wrong.error and got.error:
        return (wrong.error.kind, wrong.error.text) == (got.error.kind, got.error.text)
    return wrong.changed == got.changed and case_difference(exercise, case, wrong, got) is None


class KnownAnswers:
    """What the right answer and the known wrong ones show with one seed. It is looked at when needed, and once."""

    def __init__(self, exercise, seed):
        self._exercise, self._seed, self._shown = exercise, seed, {}

    def right(self, case):
        """An exercise whose own right answer fails is a bug of ours: RuntimeError says so."""
        right = self._look(case, None, self._exercise.reference)
        wanted = case.raises and case.raises.__name__
        if (right.error and right.error.kind) != wanted:
            name = self._exercise.name
            raise RuntimeError(f"{name}, case {case.name!r}: should raise {wanted}, but: {right.error}")
        return right

    def wrong(self, case, misconception):
        return self._look(case, misconception.slug, misconception.implementation)

    def _look(self, case, slug, implementation):
        if (case.name, slug) not in self._shown:
            self._shown[case.name, slug] = observe(case, InProcessAnswer(implementation), self._seed)
        return self._shown[case.name, slug]


@functools.lru_cache(maxsize=4)
def known_answers(exercise, seed):
    """Those of a few exercises are kept: a reader checks the same one again and again."""
    return KnownAnswers(exercise, seed)


def recognise(exercise, seen, failing, known):
    """The misconception whose results the learner's results are, or None.

    It has to agree in the smallest failing case and in at least half of the failing ones; among
    several, the one that agrees in most cases. `seen` holds (case, observation) pairs; `failing` is
    the part of them that is wrong; known: KnownAnswers.
    """
    first_case, first_seen = failing[0]
    best, best_score = None, 0
    for wrong in exercise.misconceptions:
        if not _agrees(exercise, first_case, known.wrong(first_case, wrong), first_seen):
            continue
        agreed = [case for case, got in seen if _agrees(exercise, case, known.wrong(case, wrong), got)]
        explained = sum(any(case is other for other in agreed) for case, _ in failing)
        if 2 * explained >= len(failing) and len(agreed) > best_score:
            best, best_score = wrong, len(agreed)
    return best


def _given(exercise, case, seed):
    """The inputs of a failing case, in words."""
    named = case.inputs(seed).named(exercise.parameters)
    return ", ".join(
        f"{name} {describe(value)}" if not _is_plain(value) else f"{name}={value!r}" for name, value in named
    )


def _is_plain(value):
    return value is None or isinstance(value, (bool, int, float, str))


def failure_message(exercise, case, text, wrong, seed):
    """What the learner reads: the misconception in words where one is known, then the smallest failing case."""
    if exercise.kind == "predict":
        return wrong.says if wrong else text
    given = _given(exercise, case, seed)
    because = f" ({case.because})" if case.because else ""
    case_text = f"Case “{case.name}”{because}" + (f", with {given}" if given else "")
    return (f"{wrong.says}\n\n" if wrong else "") + f"{case_text}:\n{text}"


def _unanswered(exercise, error):
    inner = error.unanswered
    if inner not in (exercise.name, "the variable", "forward", "__init__"):
        return f"{exercise.name} uses {inner}, which is not written yet. Write {inner} first."
    return f"{exercise.name} is not written yet. {exercise.asks}"


def _forbidden(exercise, name):
    if name.startswith("clearformer.") and name.split(".")[-1] != exercise.name and name not in exercise.forbidden:
        return (
            f"Your code calls {name}, which is built in this lesson or a later one. Use your own function from this "
            "notebook instead, or write the step out."
        )
    return (
        f"Your code calls {name}. That call already is the answer: this exercise asks you to write it "
        f"yourself, from smaller steps. {exercise.asks}"
    )


def judge(exercise, answer, seed=SEED):
    """Ask `answer` everything that `exercise` wants to know; never raises because of the answer's code."""
    # Underflow is part of some right answers, also for a reader who set NumPy to stop at it.
    with _torch_set_aside(seed), np.errstate(all="ignore"):
        return _judge(exercise, answer, seed)


@contextlib.contextmanager
def _torch_set_aside(seed):
    """Lend torch to the check: one thread, gradients on, a known seed. Afterwards all is as the reader had it.

    One thread, because small arrays gain nothing from a second, and on a busy machine wait for it: with two, a
    check of a module took 4 times as long.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    torch.set_num_threads(1)
    torch.default_generator.manual_seed(seed)
    try:
        with torch.enable_grad():
            yield
    finally:
        torch.set_num_threads(threads)
        torch.set_rng_state(state)


def _announced(cases, answer, seed):
    """Pairs (case, its inputs). The answer is told which calls will follow each other, if it wants to go ahead."""
    for are_calls, group in itertools.groupby(cases, lambda case: case.ask is call_once):
        drawn = [(case, case.inputs(seed)) for case in group]
        if are_calls:
            answer.ahead([inputs for _, inputs in drawn])
        yield from drawn


def _judge(exercise, answer, seed):
    began = time.perf_counter()
    known = known_answers(exercise, seed)
    seen, failing, texts = [], [], []
    printed = ""
    for case, inputs in _announced(exercise.cases, answer, seed):
        got = observe(case, answer, seed, inputs)
        if got.error and (got.error.unanswered or got.error.forbidden):
            return _stopped(exercise, got.error, began)
        seen.append((case, got))
        text = case_difference(exercise, case, known.right(case), got)
        if text:
            failing.append((case, got))
            texts.append(text)
        if (len(failing) == 1 and text) or not failing:
            printed = answer.printed
    wrong = recognise(exercise, seen, failing, known) if failing else None
    broken = {} if failing else _broken_properties(exercise, answer, seed)
    return Verdict(
        exercise=exercise.name,
        status=_status(failing, broken),
        points=0 if failing or broken else exercise.points,
        max_points=exercise.points,
        message=_message(exercise, failing, texts, wrong, broken, seed),
        misconception=wrong.slug if wrong else None,
        rows=_rows(exercise, failing, broken),
        printed=printed,
        seconds=time.perf_counter() - began,
    )


def _stopped(exercise, error, began):
    message = _unanswered(exercise, error) if error.unanswered else _forbidden(exercise, error.forbidden)
    return Verdict(
        exercise=exercise.name,
        status="unanswered" if error.unanswered else "failed",
        points=0,
        max_points=exercise.points,
        message=message,
        misconception="calls-the-answer" if error.forbidden else None,
        seconds=time.perf_counter() - began,
    )


def _broken_properties(exercise, answer, seed):
    broken = {}
    label = exercise.returns[0] if len(exercise.returns) == 1 else "result"
    for law in exercise.properties:
        reference = InProcessAnswer(exercise.reference)
        try:
            text = law.broken_by(FormChecked(answer, reference, label, exercise.any_float), seed)
        except WrongForm as error:
            text = str(error)
        except AnswerError as error:
            text = f"{error.kind}: {error.text}" + (f"\nin {error.where}" if error.where else "")
            text = _forbidden(exercise, error.forbidden) if error.forbidden else text
        except Exception as error:
            text = f"{type(error).__name__}: the result cannot be used: {error}"
        if text:
            broken[law.name] = text
    return broken


def _status(failing, broken):
    if not failing and not broken:
        return "passed"
    return "error" if failing and all(got.error for _, got in failing) else "failed"


def _message(exercise, failing, texts, wrong, broken, seed):
    if failing:
        return failure_message(exercise, failing[0][0], texts[0], wrong, seed)
    if broken:
        name, text = next(iter(broken.items()))
        return f"A law does not hold: {name}.\n{text}"
    return "All checks passed."


def _rows(exercise, failing, broken):
    failed = {case.name for case, _ in failing}
    rows = [Row(case.name, "failed" if case.name in failed else "passed") for case in exercise.cases]
    for law in exercise.properties:
        outcome = "not run" if failing else "failed" if law.name in broken else "passed"
        rows.append(Row(law.name, outcome))
    return tuple(rows)
