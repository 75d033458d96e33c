"""Calls that are announced go out in one message, and mean what they mean one by one."""

import numpy as np
import pytest
import torch  # noqa: F401 - a fork that has to import it takes seconds

from clearformer.checks import catalogue
from clearformer.checks.answer import AnswerError
from clearformer.checks.exercise import Call
from clearformer.checks.given import Callback
from clearformer.grading.child import ChildStopped
from clearformer.grading.inside import wire
from clearformer.grading.sandbox.piped_answer import ROW_BYTES, PipedAnswer, run_cell

EXERCISE = catalogue.find("softmax")
DOUBLED = "calls = []\ndef softmax(x, axis=-1):\n    calls.append(axis)\n    return 2 * x + axis"


@pytest.fixture
def asked(forked):
    """asked(source) -> (answer, process, list that gets every message that the judge sends)"""

    def ask(source, seconds=5.0):
        process, sent = forked(), []
        assert run_cell(process, 1, source, 5.0) is None
        answer = PipedAnswer(process, EXERCISE, seconds)
        send = process.connection.send
        process.connection.send = lambda message, *more: sent.append(message.get("do")) or send(message, *more)
        return answer, process, sent

    return ask


def calls(count, size=3):
    return [Call(np.full(size, float(number)), axis=number) for number in range(count)]


def made(answer, announced):
    return [answer.call(*call.args, **call.kwargs) for call in announced]


def test_announced_calls_are_answered_in_their_order_and_sent_at_once(asked):
    answer, _, sent = asked(DOUBLED)
    announced = calls(6)
    answer.ahead(announced)
    assert sent == []
    assert [value.tolist() for value in made(answer, announced)] == [[3.0 * number] * 3 for number in range(6)]
    assert sent == ["calls"]


def test_a_call_that_was_not_announced_is_asked_by_itself(asked):
    answer, _, sent = asked(DOUBLED)
    announced = calls(4)
    answer.ahead(announced)
    assert made(answer, announced[:2])[1].tolist() == [3.0] * 3
    assert answer.call(np.array([50.0]), axis=9).tolist() == [109.0]
    assert made(answer, announced[2:])[1].tolist() == [9.0] * 3
    assert sent == ["calls", "call", "call", "call"]


def test_equal_arguments_are_not_the_announced_ones(asked):
    answer, _, sent = asked(DOUBLED)
    answer.ahead(calls(3))
    assert made(answer, calls(3))[2].tolist() == [6.0] * 3
    assert "calls" not in sent


@pytest.mark.parametrize(
    ("third", "flag"),
    [("raise NotImplementedError", "unanswered"), ("import torch; torch.softmax(torch.tensor(x), 0)", "forbidden")],
)
def test_a_row_ends_where_the_judge_will_stop_asking(asked, third, flag):
    answer, process, _ = asked(DOUBLED.replace("return", f"if axis == 2: {third}\n    return"))
    announced = calls(6)
    answer.ahead(announced)
    made(answer, announced[:2])
    with pytest.raises(AnswerError) as caught:
        made(answer, announced[2:3])
    assert getattr(caught.value, flag)
    assert run_cell(process, 2, "assert calls == [0, 1, 2], calls", 5.0) is None


def test_an_error_in_one_call_is_that_calls_own(asked):
    answer, _, _ = asked(DOUBLED.replace("return", "if axis == 1: 1 / 0\n    return"))
    announced = calls(3)
    answer.ahead(announced)
    assert made(answer, announced[:1])[0].tolist() == [0.0] * 3
    with pytest.raises(AnswerError, match="ZeroDivisionError"):
        made(answer, announced[1:2])
    assert made(answer, announced[2:])[0].tolist() == [6.0] * 3


def test_what_a_call_changes_and_prints_is_told_with_it(asked):
    answer, _, _ = asked("def softmax(x, axis=-1):\n    print(axis)\n    if axis == 1: x[0] = 7\n    return x + 0")
    announced = calls(3)
    answer.ahead(announced)
    seen = []
    for call in announced:
        answer.changed.clear()
        made(answer, [call])
        seen.append((set(answer.changed), answer.printed.split("\n")[-2]))
    assert seen == [(set(), "0"), ({0}, "1"), (set(), "2")]


@pytest.mark.parametrize(("does", "late"), [("while True: pass", True), ("import os; os._exit(3)", False)])
def test_the_call_that_never_ends_is_the_one_that_stops(asked, does, late):
    answer, _, _ = asked(DOUBLED.replace("return", f"if axis == 2:\n        {does}\n    return"), seconds=0.5)
    announced = calls(4)
    answer.ahead(announced)
    made(answer, announced[:2])
    with pytest.raises(ChildStopped) as stopped:
        made(answer, announced[2:3])
    assert stopped.value.late is late
    with pytest.raises(ChildStopped):
        made(answer, announced[3:])


def test_large_and_calling_arguments_do_not_go_into_a_row(asked):
    answer, _, sent = asked("def softmax(x, axis=-1):\n    return x(1.0) if callable(x) else x.sum()")
    large = Call(np.ones(ROW_BYTES // 8 + 1))
    announced = [*calls(2), large, Call(Callback(lambda value: value + 1, "add_one")), *calls(2)]
    answer.ahead(announced)
    values = made(answer, announced)
    assert [float(value) for value in values] == [0.0, 3.0, ROW_BYTES // 8 + 1, 2.0, 0.0, 3.0]
    assert sent.count("calls") == 1


def test_a_reply_counts_for_the_call_that_it_names(forked):
    """A process that numbers its replies as it likes gets nothing for the wrong number."""

    def serve(sock):
        connection = wire.Connection(sock, accepts=wire.REQUESTS, sends=wire.REPLIES, trusted=False)
        connection.send({"number": connection.receive()["number"], "problem": ""})
        request = connection.receive()
        for part in (1, None, "0", True, 0.0, -1, [0], 0, 2, 0, 1):
            value = 100 if part == 0 and type(part) is int else part
            connection.send({"number": request["number"], "part": part, "value": value})

    answer = PipedAnswer(forked(serve), EXERCISE, 0.5)
    announced = calls(3)
    answer.ahead(announced)
    assert made(answer, announced[:2]) == [100, 1]
    with pytest.raises(ChildStopped):
        made(answer, announced[2:])
