"""A law computes with what an answer returned. None of it may have another form than the right answer's."""

import contextlib
import dataclasses
import functools
import tracemalloc

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from clearformer.checks import catalogue
from clearformer.checks.answer import AnswerError, InProcessAnswer
from clearformer.checks.compare import form_difference, is_tensor
from clearformer.checks.exercise import call_once
from clearformer.checks.form import NEW_ANSWERS, FormChecked, WrongForm
from clearformer.checks.judge import judge

LONG = 3000  # a column and a row of it are 24 kB each, and make 72 MB
WRITTEN = [exercise for exercise in catalogue.exercises() if exercise.kind != "predict"]
LAWS = [
    pytest.param(exercise, law, id=f"{exercise.name}-{law.name}")
    for exercise in catalogue.exercises()
    for law in exercise.properties
]


def _column_or_row(array, turn):
    return np.ones((LONG, 1) if turn % 2 else (1, LONG), array.dtype)


def _with_nan(array, turn):
    array = array.astype(float)
    array.flat[-1] = np.nan
    return array


# name: function of a right array with axes and the number of the question -> what comes instead
OF_ARRAYS = {
    "a column and a row by turns": _column_or_row,
    "a tall column": lambda array, turn: np.ones((LONG, 1), array.dtype),
    "one entry for all": lambda array, turn: array[(slice(1),) * array.ndim],
    "one column for all": lambda array, turn: array[..., :1],
    "an axis more": lambda array, turn: np.stack([array] * (2 + turn)),
    "all in a row": lambda array, turn: array.ravel(),
    "one number": lambda array, turn: array.ravel()[:1].reshape(()),
    "nothing": lambda array, turn: array[:0],
    "a NaN": _with_nan,
    "infinity": lambda array, turn: np.full(array.shape, np.inf),
    "other numbers": lambda array, turn: array.astype(complex),
    "not an array": lambda array, turn: array.tolist(),
}

# The same of a number, as an array without axes, where a form of arrays would be none or the right one
OF_NUMBERS = OF_ARRAYS | {
    "one entry for all": lambda number, turn: number.reshape(1),
    "one column for all": lambda number, turn: number.reshape(1, 1),
    "one number": lambda number, turn: number.astype(str),
    "nothing": lambda number, turn: None,
    "not an array": lambda number, turn: [number.tolist()],
}

# The same of a list, tuple or dict of numbers, texts and the like; the other forms are those of what it holds
OF_CONTAINERS = {
    "a tall column": lambda value, turn: np.ones((LONG, 1)),
    "one entry for all": lambda value, turn: dict([*value.items()][:1]) if isinstance(value, dict) else value[:1] * 99,
    "an axis more": lambda value, turn: [value] * (2 + turn),
    "all in a row": lambda value, turn: value | {"one more": 1} if isinstance(value, dict) else value * 2 + value[:1],
    "one number": lambda value, turn: 1.0,
    "nothing": lambda value, turn: type(value)(),
    "not an array": lambda value, turn: str(value),
}
FORMS = [*OF_ARRAYS]
LARGE = ("a column and a row by turns", "a tall column")


def of_another_form(value, form, turn):
    """What comes instead of a right value, in each of its parts."""
    if isinstance(value, (tuple, list, dict)) and form in OF_CONTAINERS and not any(map(_has_axes, tree_leaves(value))):
        return OF_CONTAINERS[form](value, turn)
    if isinstance(value, (tuple, list)):
        return type(value)(of_another_form(item, form, turn) for item in value)
    if isinstance(value, dict):
        return {key: of_another_form(item, form, turn) for key, item in value.items()}
    if value is None or isinstance(value, (str, bool)):
        return OF_NUMBERS["a column and a row by turns"](np.ones(()), turn)
    array = value.detach().numpy() if is_tensor(value) else np.asarray(value)
    found = (OF_ARRAYS if array.ndim else OF_NUMBERS)[form](array, turn)
    if is_tensor(value) and getattr(found, "dtype", np.dtype(str)).kind in "biufc":
        return torch.as_tensor(found)
    return found


def _has_axes(leaf):
    return np.ndim(leaf) > 0


class Misshaping:
    """The right answer, but for the form of what it returns."""

    def __init__(self, answer, form, turns):
        self._answer, self._form, self._turns = answer, form, turns
        self.changed, self.printed = answer.changed, answer.printed

    def __getattr__(self, question):
        if not callable(found := getattr(self._answer, question)):
            return found

        def ask(*args, **kwargs):
            found = getattr(self._answer, question)(*args, **kwargs)
            if question in NEW_ANSWERS:
                return Misshaping(found, self._form, self._turns)
            self._turns.append(question)
            return of_another_form(found, self._form, len(self._turns)) if question in TELLING else found

        return ask


# The other questions are about names and identity, or tell nothing.
TELLING = ("call", "call_with_gradients", "call_watched", "method", "attribute")


@functools.cache
def alone(exercise, law=None):
    """The exercise with nothing but this law, or with those of its cases that do more than to call the answer once.

    Three that call it stay: what such a case does with the result is the same in each, and is none of its own.
    """
    if law is not None:
        return dataclasses.replace(exercise, cases=(), properties=(law,))
    calls = [case for case in exercise.cases if case.ask is call_once]
    own = [case for case in exercise.cases if case.ask is not call_once]
    return dataclasses.replace(exercise, cases=(*calls[:3], *own), properties=())


class LargestTensor(TorchDispatchMode):
    """numbers: of the largest tensor that was made meanwhile."""

    numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        sizes = [each.numel() for each in tree_leaves(made) if is_tensor(each)]
        self.numbers = max([self.numbers, *sizes])
        return made


@pytest.fixture(scope="module", autouse=True)
def torch_has_imported_what_watching_takes():
    with LargestTensor():
        torch.ones(2, requires_grad=True).sum().backward()


def watched(form):
    """Watching takes three times as long as judging; nothing large comes of a few small values."""
    return little_memory() if form in LARGE else contextlib.nullcontext()


@contextlib.contextmanager
def little_memory():
    """Fails where NumPy's memory grows, or a tensor has more numbers, than a column and a row by themselves explain."""
    tracemalloc.start()
    try:
        with LargestTensor() as largest:
            yield
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 10e6, f"{most / 1e6:.0f} MB"
    assert largest.numbers < 20 * LONG, f"{largest.numbers:,} numbers"


def test_memory_is_seen():
    column, row = np.ones((LONG, 1)), np.ones((1, LONG))
    with pytest.raises(AssertionError, match="MB"), little_memory():
        column - row
    with pytest.raises(AssertionError, match="numbers"), little_memory():
        torch.from_numpy(column) - torch.from_numpy(row)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("exercise", "law"), LAWS)
def test_a_law_does_not_hold_for_values_of_another_form_and_computes_nothing_with_them(exercise, law, form):
    turns = []
    with watched(form):
        verdict = judge(alone(exercise, law), Misshaping(InProcessAnswer(exercise.reference), form, turns))
    assert (verdict.status, verdict.points) == ("failed", 0), verdict.message
    assert "expected" in verdict.message and "cannot be used" not in verdict.message
    assert turns.count("call") + turns.count("method") == 1, "the law went on with it"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("exercise", WRITTEN, ids=lambda exercise: exercise.name)
def test_a_case_of_its_own_making_computes_little_with_values_of_another_form(exercise, form):
    with watched(form):
        verdict = judge(alone(exercise), Misshaping(InProcessAnswer(exercise.reference), form, []))
    assert verdict.status != "passed" and verdict.points == 0


@pytest.mark.parametrize(("exercise", "law"), LAWS)
def test_a_law_holds_for_the_right_answer_and_for_others_that_are_right(exercise, law):
    for right in (exercise.reference, *exercise.alternatives):
        verdict = judge(alone(exercise, law), InProcessAnswer(right))
        assert verdict.status == "passed", verdict.message


def checked(answer, reference, **how):
    return FormChecked(InProcessAnswer(answer), InProcessAnswer(reference), **how)


def test_other_values_of_the_right_form_reach_the_law_as_they_are():
    found = checked(lambda x: (x + 1, -3), lambda x: (x, 2)).call(np.zeros((2, 3)))
    np.testing.assert_array_equal(found[0], np.ones((2, 3)))
    assert found[1] == -3


def test_the_message_names_what_is_returned():
    with pytest.raises(WrongForm, match=r"^weights: expected shape \(2, 3\), got \(3, 2\)$"):
        checked(lambda x: x.T, lambda x: x, label="weights").call(np.zeros((2, 3)))


def test_where_any_float_is_right_another_precision_is():
    half = checked(lambda x: x.astype(np.float16), lambda x: x, any_float=True).call(np.zeros(2))
    assert half.dtype == np.float16
    with pytest.raises(WrongForm, match="expected dtype float64, got float16"):
        checked(lambda x: x.astype(np.float16), lambda x: x).call(np.zeros(2))


def test_infinity_is_allowed_where_the_right_answer_has_it():
    assert form_difference(np.array([0.0, -np.inf]), np.array([np.inf, np.nan])) is None
    assert "finite numbers, got nan at [1]" in form_difference(np.zeros(2), np.array([0.0, np.nan]))
    assert "finite numbers, got inf" in form_difference(1.0, float("inf"))


def test_a_text_of_any_words_has_the_form_of_a_text():
    assert form_difference("x", "y") is None
    assert "expected 'x'" in form_difference("x", b"y")
    assert "expected None" in form_difference(None, np.zeros(2))


def fails(*args):
    raise ValueError("no")


def test_where_the_right_answer_raises_a_result_never_reaches_the_law():
    assert checked(lambda: np.ones((LONG, LONG)), fails).call() is None
    with pytest.raises(AnswerError, match="no"):
        checked(fails, fails).call()


def test_what_the_answer_raises_reaches_the_law():
    with pytest.raises(AnswerError, match="ValueError: no"):
        checked(fails, lambda: 1).call()


def test_what_the_reference_draws_changes_nothing_for_the_answer():
    def draws():
        return np.random.normal(size=2) + torch.rand(2).numpy()

    np.random.seed(1)
    torch.manual_seed(1)
    alone = draws()
    both = checked(draws, draws)
    np.random.seed(1)
    torch.manual_seed(1)
    np.testing.assert_array_equal(both.call(), alone)
    both.seed(1)
    torch.manual_seed(1)
    assert both.call().shape == alone.shape


class Twice(torch.nn.Module):
    def __init__(self, width, tall=False):
        super().__init__()
        self.linear, self.tall = torch.nn.Linear(width, width), tall

    def forward(self, x):
        return x.new_ones(LONG, 1) if self.tall else 2 * self.linear(x)


def test_a_module_is_checked_like_a_function():
    x = torch.zeros(2, 3)
    right = checked(Twice, Twice).make(3)
    right.load({"linear.weight": torch.eye(3), "linear.bias": torch.zeros(3)})
    assert right.call(x + 1).equal(2 * (x + 1))
    _, (gradient,), own = right.call_with_gradients((x,), x + 1)
    assert gradient.equal(x + 2) and sorted(own) == ["linear.bias", "linear.weight"]
    assert right.part("linear").parameters() == {"weight": (3, 3), "bias": (3,)}
    assert right.part("linear").is_same(right.part("linear"))
    wrong = checked(lambda width: Twice(width, tall=True), Twice).make(3)
    with pytest.raises(WrongForm, match=r"expected shape \(2, 3\)"):
        wrong.call(x)


def test_the_right_answer_is_asked_before_an_answer_can_change_the_arguments():
    def spoils(x):
        x[...] = 7.0
        return x

    found = checked(spoils, lambda x: None if (x == 7).any() else x)
    assert found.call(np.zeros(3)).tolist() == [7.0, 7.0, 7.0]
    assert found.changed == {0}
