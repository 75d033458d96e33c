"""An answer behind a pipe is judged as it is in this process, and cannot do more than answer."""

import dataclasses
import importlib

import numpy as np
import pytest
import torch

from clearformer.checks import catalogue
from clearformer.checks.answer import AnswerError, InProcessAnswer
from clearformer.checks.compare import is_tensor
from clearformer.checks.given import Callback
from clearformer.checks.judge import SEED
from clearformer.grading.child import ChildStopped
from clearformer.grading.inside import wire
from clearformer.grading.sandbox.piped_answer import PipedAnswer, run_cell

judging = importlib.import_module("clearformer.checks.judge")  # `clearformer.checks` has a function of this name


@pytest.fixture
def unguarded(monkeypatch):
    """Wrong answers of the catalogue are built from the reference, which a learner's may not call."""
    monkeypatch.setattr(catalogue, "modules_not_yet_built", lambda lesson: ())


@pytest.fixture
def remembered(monkeypatch):
    """What the known answers show in this process is the same each time: it is looked at once."""
    look, memory = judging.observe, {}

    def observe(case, answer, seed, inputs=None):
        if not isinstance(answer, InProcessAnswer):
            return look(case, answer, seed, inputs)
        key = id(case), id(answer._target), seed
        if key not in memory:
            memory[key] = look(case, answer, seed), case, answer
        return memory[key][0]

    monkeypatch.setattr(judging, "observe", observe)


def form_of(value):
    """All of a value but its numbers and words."""
    if isinstance(value, (tuple, list)):
        return type(value), tuple(map(form_of, value))
    if isinstance(value, dict):
        return dict, tuple((key, form_of(item)) for key, item in value.items())
    if is_tensor(value):
        return torch.Tensor, value.dtype, value.shape, value.is_contiguous(), value.requires_grad
    if isinstance(value, np.ndarray):
        return np.ndarray, value.dtype, value.shape, value.flags.c_contiguous
    if isinstance(value, (int, float)):
        return type(value), abs(value) < 1 << 63  # or more, or NaN
    return type(value)


def form_of_all(exercise, answer, verdict):
    """The form of what an answer showed in each case, and how the verdict was reached."""
    forms = [verdict.status, bool(verdict.printed), verdict.rows[len(exercise.cases) :]]
    for case in exercise.cases:
        seen = judging.observe(case, InProcessAnswer(answer), SEED)
        forms.append((form_of(seen.values), seen.error and (seen.error.kind, seen.error.where), seen.changed))
    return tuple(forms)


@pytest.mark.parametrize("exercise", catalogue.exercises(), ids=lambda exercise: exercise.name)
def test_a_known_answer_of_each_form_gets_the_same_verdict_through_a_pipe(exercise, forked, unguarded, remembered):
    """Of wrong answers that show values of the same form, errors and changes in each case, one is sent: others take
    the same way with other numbers.
    """
    exercise = dataclasses.replace(exercise, forbidden=())
    right = [exercise.reference, *exercise.alternatives]
    answers = [*right, *(each.implementation for each in exercise.misconceptions)]
    process, forms = forked(namespace={"answers": answers}), set()
    for number, answer in enumerate(answers):
        here = judging.judge(exercise, InProcessAnswer(answer), SEED)
        form = form_of_all(exercise, answer, here)
        if number >= len(right) and form in forms:
            continue
        forms.add(form)
        assert run_cell(process, 1, f"{exercise.name} = answers[{number}]", 10) is None
        piped = PipedAnswer(process, exercise, 20, SEED)
        assert piped.problem == ""
        there = judging.judge(exercise, piped, SEED)
        assert dataclasses.replace(there, seconds=0) == dataclasses.replace(here, seconds=0)


# --- whoever answers may send what they like ---------------------------------------------------------------------

EXERCISE = catalogue.find("softmax")
X = np.ones(3)


def forging(reply, before=lambda connection: None):
    """serve(sock) of a process that answers each request with the message reply(request, its index)."""

    def serve(sock):
        connection = wire.Connection(sock, accepts=wire.REQUESTS, sends=wire.REPLIES, trusted=False)
        before(connection)
        for index in range(10**6):
            request = connection.receive(given=lambda content: content)
            answer = {"problem": ""} if index == 0 else reply(request, index)
            if answer is not None:
                connection.send({"number": request["number"], **answer})

    return serve


def asked(forked, reply, seconds=3.0, **options):
    return PipedAnswer(forked(forging(reply, **options)), EXERCISE, seconds)


@pytest.mark.parametrize(
    "reply",
    [
        {},
        {"value": None, "error": None},
        {"error": 3},
        {"error": {}},
        {"error": {"kind": 1, "text": None, "where": [], "unanswered": {}, "forbidden": 2.0}},
        {"error": {"kind": "x" * 10**5, "text": "y" * 10**5}},
        {"value": 1, "changed": 5, "printed": 7},
        {"value": 1, "changed": [0, "softmax", 99, -1, None, True, [1]], "printed": "x" * 10**5},
        {"value": 1, "callback": None},
        {"callback": 0, "args": (), "kwargs": {}},
    ],
)
def test_a_reply_that_makes_no_sense_is_a_wrong_answer(forked, reply):
    answer = asked(forked, lambda request, index: reply, seconds=0.3)
    try:
        answer.call(X)
    except AnswerError as error:
        texts = (error.kind, error.text, error.where, error.unanswered, error.forbidden)
        assert all(isinstance(text, str) and len(text) <= 1000 for text in texts)
    except ChildStopped:
        assert "callback" in reply
    assert answer.changed <= {0}
    assert len(answer.printed) < 3000


@pytest.mark.parametrize(
    "value", [None, 1, "x", (1, 2), (X, [X]), ([], []), (X, None), {"output": X}, [X], (X, [], {})]
)
@pytest.mark.parametrize(
    "question",
    [
        lambda answer: answer.call_with_gradients((X,), X),
        lambda answer: answer.call_watched((X,), X),
        lambda answer: answer.is_same(answer),
        lambda answer: answer.make().parameters(),
        lambda answer: answer.make().trainable(),
        lambda answer: answer.make().call_with_gradients((X,), X),
    ],
)
def test_a_value_of_another_form_than_was_asked_for_is_a_wrong_answer(forked, question, value):
    answer = asked(forked, lambda request, index: {"value": value})
    with pytest.raises(AnswerError) as caught:
        question(answer)
    assert caught.value.kind == "Garbled"


def test_objects_have_the_numbers_that_the_judge_has_chosen(forked):
    answer = asked(forked, lambda request, index: {"value": 7, "keep": 7, "on": 7})
    first, second = answer.make(), answer.make()
    assert first._number != second._number
    with pytest.raises(AnswerError):
        first.parameters()


def test_replies_to_no_question_are_not_read(forked):
    def flood(connection):
        for number in ("", "0", None, 1, "a" * 16, np.zeros(3), [np.zeros(3)], np.array(["x", "y"])):
            connection.send({"number": number, "value": "forged", "problem": "forged"})

    answer = asked(forked, lambda request, index: {"value": index}, before=flood)
    assert answer.problem == ""
    assert answer.call(X) == 1


def test_an_old_reply_is_not_read_again(forked):
    numbers = []

    def reply(request, index):
        numbers.append(request["number"])
        return {"value": index, "number": numbers[0]}

    answer = asked(forked, reply, seconds=0.3)
    assert answer.call(X) == 1
    with pytest.raises(ChildStopped):
        answer.call(X)


def test_a_flood_of_replies_to_no_question_ends(forked):
    def serve(sock):
        connection = wire.Connection(sock, accepts=wire.REQUESTS, sends=wire.REPLIES, trusted=False)
        while True:
            connection.send({"number": "forged", "value": 1})

    with pytest.raises(ChildStopped):
        PipedAnswer(forked(serve), EXERCISE, 30.0)


@pytest.mark.parametrize("kind", ["frames", "bytes", "nothing", "end"])
def test_a_process_that_stops_to_make_sense_is_stopped(forked, kind):
    def serve(sock):
        if kind == "end":
            return
        content = {"frames": wire.HEAD.pack(wire.MAGIC, 2, 0) + b"[]", "bytes": b"no frame", "nothing": b""}[kind]
        while True:
            sock.sendall(content)
            if kind == "nothing":
                sock.recv(100)

    try:
        answer = PipedAnswer(forked(serve), EXERCISE, 0.3)
    except ChildStopped as stop:
        assert kind != "frames" and stop.late == (kind == "nothing")
    else:
        assert kind == "frames" and "cannot be read" in answer.problem
        for _ in range(3):
            with pytest.raises((AnswerError, ChildStopped)):
                answer.call(X)


def test_callbacks_are_counted_by_the_judge_too(forked):
    calls = []

    def reply(request, index):
        return {"callback": 0, "args": (1,), "kwargs": {}}

    def serve(sock):
        connection = wire.Connection(sock, accepts=wire.REQUESTS, sends=wire.REPLIES, trusted=False)
        select = connection.receive()
        connection.send({"number": select["number"], "problem": ""})
        number = connection.receive(given=lambda content: content)["number"]
        for _ in range(30):
            connection.send({"number": number, "callback": 0, "args": (1,), "kwargs": {}})
            connection.receive()
        connection.send({"number": number, "value": "done"})

    answer = PipedAnswer(forked(serve), EXERCISE, 5.0)
    with pytest.raises(AnswerError, match="called f more than 20 times") as caught:
        answer.call(Callback(calls.append, "f", limit=20))
    assert caught.value.kind == "TooManyCalls"
    assert len(calls) == 20


@pytest.mark.parametrize(
    "message",
    [
        {"callback": 7},
        {"callback": "0", "args": (), "kwargs": {}},
        {"callback": np.zeros(2, int), "args": (), "kwargs": {}},
        {"callback": np.False_, "args": (), "kwargs": {}},
        {"callback": 0, "args": 1, "kwargs": {}},
        {"callback": 0, "args": (), "kwargs": {1: 2}},
        {"callback": 0, "args": (), "kwargs": {"no_such": 2}},
        {"callback": 0},
        {"callback": 0, "args": ("x", [], {}), "kwargs": {}},
    ],
)
def test_a_call_back_that_makes_no_sense_gets_an_error(forked, message):
    def serve(sock):
        connection = wire.Connection(sock, accepts=wire.REQUESTS, sends=wire.REPLIES, trusted=False)
        connection.send({"number": connection.receive()["number"], "problem": ""})
        number = connection.receive(given=lambda content: content)["number"]
        connection.send({"number": number, **message})
        reply = connection.receive()
        connection.send({"number": number, "value": [reply["value"], reply["error"] is not None]})

    answer = PipedAnswer(forked(serve), EXERCISE, 5.0)
    assert answer.call(Callback(lambda x: x + 1, "f")) == [None, True]


def test_a_callback_after_its_question_is_an_error_there(forked):
    process = forked()
    run_cell(process, 1, "def softmax(f=None):\n    global kept\n    kept = f or kept\n    return kept(1)", 5.0)
    answer = PipedAnswer(process, EXERCISE, 5.0)
    assert answer.call(Callback(lambda x: x + 1, "f")) == 2
    assert answer.call() == 2  # while it is asked, whoever asks


def test_a_callback_with_too_much_or_from_a_thread_is_answered_or_refused(forked):
    process = forked()
    source = """
import threading
def softmax(f, big):
    if big:
        return f([0] * 10**6)
    results = []
    threads = [threading.Thread(target=lambda: results.append(f(1))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
"""
    run_cell(process, 1, source, 5.0)
    answer = PipedAnswer(process, EXERCISE, 5.0)
    callback = Callback(lambda x: x + 1, "f")
    assert answer.call(callback, False) == [2] * 20
    with pytest.raises(AnswerError, match="an argument of f is too large"):
        answer.call(callback, True)


def test_changes_and_prints_are_told_as_in_this_process(forked):
    process = forked()
    run_cell(process, 1, "def softmax(x, axis):\n    print('seen', axis)\n    x[0] = 1\n    axis.append(2)", 5.0)
    answer = PipedAnswer(process, EXERCISE, 5.0)
    answer.call(np.zeros(2), axis=[1])
    assert answer.changed == {0, "axis"}
    answer.changed.clear()
    answer.call(np.ones(2), axis=[1])
    assert answer.changed == {"axis"}
    assert answer.printed == "seen [1]\nseen [1]\n"


def test_what_is_forbidden_is_told_as_in_this_process(forked):
    exercise = catalogue.find("MultiHeadAttention")
    process = forked()
    source = "from torch import nn\nMultiHeadAttention = lambda d_model, num_heads: nn.MultiheadAttention(d_model, 1)"
    assert run_cell(process, 1, source, 30.0) is None
    verdict = judging.judge(exercise, PipedAnswer(process, exercise, 20.0))
    assert verdict.misconception == "calls-the-answer"


def test_a_check_does_not_go_on_without_a_process(forked):
    process = forked()
    run_cell(process, 3, "import os\ndef softmax(x, axis=-1):\n    os._exit(5)", 5.0)
    with pytest.raises(ChildStopped) as caught:
        judging.judge(EXERCISE, PipedAnswer(process, EXERCISE, 5.0))
    assert (caught.value.late, caught.value.status) == (False, 5)


def test_a_cell_too_large_to_be_sent_is_an_error_of_the_cell(forked, monkeypatch):
    monkeypatch.setattr(wire, "REQUESTS", wire.Limits())
    process = forked()
    process.connection._sends = wire.Limits()
    assert run_cell(process, 1, "x" * 10**6, 5.0)["kind"] == "TooLarge"
    assert run_cell(process, 1, "x = 1", 5.0) is None


@pytest.mark.parametrize(
    "error", [3, [], {"kind": 5}, {"cell": "x", "line": -1}, {"line": 1 << 40, "text": "y" * 10**5}]
)
def test_a_forged_error_of_a_cell_is_cut_to_its_form(forked, error):
    def serve(sock):
        connection = wire.Connection(sock, accepts=wire.REQUESTS, sends=wire.REPLIES, trusted=False)
        connection.send({"number": connection.receive()["number"], "error": error})

    found = run_cell(forked(serve), 1, "", 5.0)
    if isinstance(error, dict):
        assert [*found] == ["kind", "text", "code", "cell", "line"]
        assert found["line"] == found["cell"] == 0 and len(found["text"]) <= 1000
    else:
        assert found is None
