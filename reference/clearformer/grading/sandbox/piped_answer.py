"""An answer that lives in another process, behind a pipe, and cannot be trusted.

`PipedAnswer` offers what clearformer.checks.answer promises, so that a check cannot tell it from an answer of this
process. What the other side sends is taken for no more than what its code returned: a reply that makes no sense is a
wrong answer (AnswerError), and one that never comes, or comes as something that is no message, ends the process's
part in this (ChildStopped). A reply counts where it repeats its request's number, drawn at random for each.

The process: any object with `connection`, a wire.Connection, and `status(seconds)`, its exit status as in
Popen.returncode, or None.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import secrets
import time
from dataclasses import dataclass, field

from clearformer.checks import catalogue
from clearformer.checks.answer import PRINTED_LIMIT, AnswerError
from clearformer.checks.compare import is_tensor
from clearformer.checks.given import Callback, Given, holds_given, plain, too_often
from clearformer.checks.judge import SEED
from clearformer.grading.child import ChildStopped
from clearformer.grading.inside.submission import ERROR_FIELDS
from clearformer.grading.inside.wire import Closed, Late, TooLarge, WireError

GRACE_SECONDS = 1.0  # at its deadline a process says where it is and ends; one that does not gets no more than this
STATUS_SECONDS = 1.0
STRAY_LIMIT = 1000  # messages that answer no question
FIELD_LIMITS = {"kind": 100, "text": 1000, "where": 1000, "unanswered": 100, "forbidden": 200, "code": 500}
MODULE_PARTS = 100_000
ROW_CALLS, ROW_BYTES = 100, 1 << 20  # calls that are sent at once; bytes of the arrays of each


def run_cell(process, cell, source, seconds):
    """Run a notebook's cell over there; None, or {kind, text, cell, line, code} of what went wrong. ChildStopped."""
    try:
        reply = _exchange(process, {"do": "run", "cell": cell, "source": source}, seconds)
    except (WireError, TooLarge) as error:
        return {"kind": type(error).__name__, "text": str(error), "cell": cell, "line": 0, "code": ""}
    error = reply.get("error")
    if not isinstance(error, dict):
        return None
    texts = {name: _text(error.get(name), name) for name in ("kind", "text", "code")}
    return texts | {name: _small_number(error.get(name)) for name in ("cell", "line")}


def _text(value, name):
    return value[: FIELD_LIMITS[name]] if isinstance(value, str) else ""


def _small_number(value):
    return value if type(value) is int and 0 <= value < 1 << 31 else 0


# --- one question --------------------------------------------------------------------------------------------


def _exchange(process, request, seconds, given=None, called_back=None):
    """The reply to `request`, a dict. ChildStopped; WireError where something came that is not allowed.

    given: see Encoder; called_back: function of a message that calls back -> the reply to it.
    """
    connection, number = process.connection, secrets.token_hex(8)
    with _stopping(process, seconds) as until:
        connection.send({**request, "number": number, "seconds": seconds}, seconds + GRACE_SECONDS, given)
        for _ in range(STRAY_LIMIT):
            message = connection.receive(until - time.monotonic())
            while called_back and _answers(message, number) and "callback" in message:
                left = until - time.monotonic()
                connection.send({**called_back(message), "number": number}, max(left, 0.0), given)
                message = connection.receive(until - time.monotonic())
            if _answers(message, number) and "callback" not in message:
                return message
    raise ChildStopped(False)


@contextlib.contextmanager
def _stopping(process, seconds):
    """Gives the time until when to wait. ChildStopped where the process has not answered by then, or never will."""
    began = time.monotonic()
    try:
        yield began + seconds + GRACE_SECONDS
    except Late as late:
        raise ChildStopped(True, None, *_place(late.rest)) from None
    except Closed as closed:
        if time.monotonic() - began >= seconds:
            raise ChildStopped(True, None, *_place(closed.rest)) from None
        raise ChildStopped(False, process.status(STATUS_SECONDS), *_place(closed.rest)) from None


def _answers(message, number):
    # The type first: what came may be an array, and be equal to nothing and anything.
    return type(message.get("number")) is str and message["number"] == number


class _Row:
    """Calls that were sent in one message, since nothing but their answers is wanted; answered one by one.

    The process goes on while the judge looks at what came, and neither waits for the other.
    """

    def __init__(self, process, on, calls):
        self._process, self._on, self._calls = process, on, calls
        self._number, self._next, self._sent = secrets.token_hex(8), 0, False

    def is_next(self, on, args, kwargs):
        if on != self._on or self._next == len(self._calls):
            return False
        told = self._calls[self._next]
        same = (len(args), [*kwargs]) == (len(told.args), [*told.kwargs])
        pairs = zip((*args, *kwargs.values()), (*told.args, *told.kwargs.values()), strict=same)
        return same and all(one is other for one, other in pairs)

    def reply(self, seconds):
        """The next call's reply. As `_exchange`."""
        part, self._next = self._next, self._next + 1
        with _stopping(self._process, seconds) as until:
            if not self._sent:
                self._send(seconds)
            for _ in range(STRAY_LIMIT):
                message = self._process.connection.receive(until - time.monotonic())
                found = message.get("part")
                if _answers(message, self._number) and type(found) is int and found == part:
                    return message
        raise ChildStopped(False)

    def _send(self, seconds):
        calls = [(call.args, call.kwargs) for call in self._calls]
        request = {"do": "calls", "on": self._on, "calls": calls, "number": self._number, "seconds": seconds}
        self._process.connection.send(request, seconds + GRACE_SECONDS)
        self._sent = True


def _place(rest):
    """(cell, line) from the lines of a crash; zeros where they are not there."""
    found = re.search(r'File "<cell (\d{1,9})>", line (\d{1,9})', rest.decode(errors="replace"))
    return (int(found[1]), int(found[2])) if found else (0, 0)


@dataclass
class _Talk:
    """What an answer and all that came out of it share. left: seconds for the questions still to come."""

    process: object
    left: float
    changed: set = field(default_factory=set)
    printed: str = ""
    objects: int = 0
    stopped: ChildStopped | None = None
    known: dict = field(default_factory=dict)  # id of a Given: (its number, itself)
    row: _Row | None = None

    def ask(self, do, on, args=(), kwargs=None, keep=None):
        kwargs = kwargs or {}
        request = {"do": do, "on": on, "args": tuple(args), "kwargs": kwargs, "keep": keep}
        calls = _Calls(self.known)
        try:
            if do == "call" and self.row and self.row.is_next(on, args, kwargs):
                reply = self._timed(self.row.reply)
            else:
                self.row = None
                reply = self._timed(self._exchanging(request, calls))
        except WireError as error:
            raise AnswerError("Garbled", f"what came back cannot be read: {error}") from None
        self._note(reply, {*range(len(args)), *kwargs})
        if calls.stopped:
            raise AnswerError("TooManyCalls", too_often(*calls.stopped))
        if (error := reply.get("error")) is not None:
            error = error if isinstance(error, dict) else {}
            raise AnswerError(**{name: _text(error.get(name), name) for name in ERROR_FIELDS})
        return reply.get("value")

    def _exchanging(self, request, calls):
        return lambda seconds: _exchange(self.process, request, seconds, self._described, calls.answer)

    def _timed(self, asking):
        """What asking(seconds) returns; the time it takes is no longer there for later questions."""
        if self.stopped or self.left <= 0:
            stop = self.stopped or ChildStopped(late=True)
            raise ChildStopped(stop.late, stop.status, stop.cell, stop.line)
        began = time.monotonic()
        try:
            return asking(self.left)
        except ChildStopped as stop:
            self.stopped = stop
            raise
        finally:
            self.left -= time.monotonic() - began

    def select(self, exercise, seed):
        """ "" or why the process has nothing that could be asked."""
        request = {
            "do": "answer",
            "exercise": exercise.name,
            "kind": exercise.kind,
            "forbidden": exercise.forbidden,
            "modules": catalogue.modules_not_yet_built(exercise.lesson),
            "seed": seed,
        }
        try:
            problem = self._timed(self._exchanging(request, _Calls({}))).get("problem")
        except WireError as error:
            problem = f"What came back cannot be read: {error}"
        return problem[:1000] if isinstance(problem, str) else "The process that runs the notebook gave no answer."

    def _described(self, given):
        """What stands for a Given on the way: its number, and the first time all that it is made from."""
        if id(given) in self.known:
            return {"number": self.known[id(given)][0]}
        number = len(self.known)
        self.known[id(given)] = number, given
        return {"number": number, "kind": type(given).__name__, "fields": given.fields()}

    def _note(self, reply, positions):
        changed, printed = reply.get("changed"), reply.get("printed")
        if isinstance(changed, list):
            self.changed.update(item for item in changed if isinstance(item, (int, str)) and item in positions)
        if isinstance(printed, str):
            self.printed = printed[: PRINTED_LIMIT + 100]


class _Calls:
    """Answers the calls back of one question. stopped: (name, cap) of the callback that was called too often."""

    def __init__(self, known):
        self._known, self._counts, self.stopped = known, {}, None

    def answer(self, message):
        wanted, args, kwargs = message["callback"], message.get("args"), message.get("kwargs")
        found = next((given for number, given in self._known.values() if type(wanted) is int and number == wanted), 0)
        sound = isinstance(args, tuple) and isinstance(kwargs, dict) and all(type(name) is str for name in kwargs)
        if not isinstance(found, Callback) or not sound:
            return {"value": None, "error": ("RuntimeError", "there is no such function")}
        self._counts[found] = self._counts.get(found, 0) + 1
        if self._counts[found] > found.limit:
            self.stopped = found.name, found.limit
            return {"value": None, "error": ("RuntimeError", too_often(*self.stopped))}
        value, error = found.answered(args, kwargs)
        return {"value": plain(value), "error": error}


# --- the answer ----------------------------------------------------------------------------------------------


def _garbled_unless(condition):
    if not condition:
        raise AnswerError("Garbled", "what came back is not what was asked for")


def _is_plain(call):
    values = [*call.args, *call.kwargs.values()]
    return not holds_given(values) and sum(getattr(value, "nbytes", 0) for value in values) <= ROW_BYTES


def _gradients(value, count):
    _garbled_unless(isinstance(value, list) and len(value) == count)
    _garbled_unless(all(item is None or is_tensor(item) for item in value))


def _names(value, fits):
    _garbled_unless(isinstance(value, dict) and len(value) <= MODULE_PARTS)
    _garbled_unless(all(isinstance(name, str) and fits(item) for name, item in value.items()))
    return value


def _gradient(value):
    return value is None or is_tensor(value)


class _Piped:
    """What functions and objects over there have in common. See clearformer.checks.answer for what is promised."""

    is_here = False

    def __init__(self, talk, number):
        self._talk, self._number = talk, number

    @property
    def changed(self):
        return self._talk.changed

    @property
    def printed(self):
        return self._talk.printed

    def _ask(self, do, *args, **kwargs):
        return self._talk.ask(do, self._number, args, kwargs)

    def _part(self, do, args, kwargs=None):
        self._talk.objects += 1
        number = self._talk.objects
        self._talk.ask(do, self._number, args, kwargs, keep=number)
        return PipedModule(self._talk, number)

    def call(self, *args, **kwargs):
        return self._talk.ask("call", self._number, args, kwargs)

    def ahead(self, calls):
        """Takes those whose arguments cross as they are: up to the first that may call back."""
        calls = list(itertools.takewhile(_is_plain, calls[:ROW_CALLS]))
        self._talk.row = _Row(self._talk.process, self._number, calls) if len(calls) > 1 else None

    def make(self, *args, **kwargs):
        return self._part("make", args, kwargs)

    def method(self, name, *args, **kwargs):
        return self._talk.ask("method", self._number, (name, *args), kwargs)

    def attribute(self, name):
        return self._ask("attribute", name)

    def part(self, name):
        return self._part("part", (name,))

    def given(self, layer):
        return self._part("given", (layer,))

    def is_same(self, other):
        same = self._ask("is_same", other if isinstance(other, Given) else other._number)
        _garbled_unless(isinstance(same, bool))
        return same

    def call_with_gradients(self, args, grad_output, kwargs=None):
        value = self._ask("call_with_gradients", tuple(args), grad_output, kwargs or {})
        _garbled_unless(isinstance(value, tuple) and len(value) == 2 and is_tensor(value[0]))
        _gradients(value[1], len(args))
        return value

    def call_watched(self, args, grad_output, kwargs=None, without_gradient=()):
        value = self._ask("call_watched", tuple(args), grad_output, kwargs or {}, tuple(without_gradient))
        _garbled_unless(isinstance(value, dict) and set(value) == set(WATCHED) and is_tensor(value["output"]))
        _gradients(value["gradients"], len(args))
        _names(value["parameters"], lambda layer: _names(layer, _gradient) is layer)
        _garbled_unless(isinstance(value["calls"], list) and all(map(_is_call, value["calls"])))
        _garbled_unless(isinstance(value["saved"], list) and all(map(_is_shape, value["saved"])))
        _garbled_unless(type(value["largest"]) is int and value["largest"] >= 0)
        return value

    def seed(self, number):
        self._ask("seed", number)


WATCHED = ("output", "gradients", "parameters", "calls", "saved", "largest")


def _is_call(value):
    return isinstance(value, tuple) and len(value) == 2 and all(isinstance(item, str) for item in value)


def _is_shape(value):
    return isinstance(value, tuple) and all(type(n) is int and n >= 0 for n in value)


class PipedAnswer(_Piped):
    """The answer to `exercise` that the cells run so far have left in `process`.

    seconds: for all questions together. problem: why there is nothing to ask, in a sentence, or "".
    """

    def __init__(self, process, exercise, seconds, seed=SEED):
        super().__init__(_Talk(process, seconds), 0)
        self.problem = self._talk.select(exercise, seed)

    def value(self):
        return self._ask("value")


class PipedModule(_Piped):
    """An object that an answer over there has made, mostly a module."""

    def parameters(self):
        return _names(self._ask("parameters"), _is_shape)

    def trainable(self):
        return _names(self._ask("trainable"), lambda value: isinstance(value, bool))

    def load(self, weights):
        self._ask("load", weights)

    def call_with_gradients(self, args, grad_output, kwargs=None):
        value = self._ask("call_with_gradients", tuple(args), grad_output, kwargs or {})
        _garbled_unless(isinstance(value, tuple) and len(value) == 3 and is_tensor(value[0]))
        _gradients(value[1], len(args))
        _names(value[2], _gradient)
        return value

    def train(self):
        self._ask("train")

    def eval(self):
        self._ask("eval")

    def to(self, dtype):
        self._ask("to", dtype)
