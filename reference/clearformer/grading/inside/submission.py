"""The process of one submission, from inside: runs the cells of a notebook and answers requests about what they left.

`serve(sock)` talks to `clearformer.grading.sandbox.piped_answer` in messages of `wire`. Requests:

    {"do": "run", "cell": number, "source": code}              reply: {"error": null, or kind, text, cell, line, code}
    {"do": "answer", "exercise", "kind", "forbidden", "modules", "seed"}         {"problem": a sentence, or ""}
        The object called so is what later requests are about, as number 0.
    {"do": "call", "on": number, "args": (…), "kwargs": {…}, "keep": number}     {"value"} or {"error": fields of
        AnswerError}, "changed": [position or name of an argument], "printed": text or null
        Any of ASKED; after one of KEPT the object that came out has the number "keep", and the value is null.
    {"do": "calls", "on": number, "calls": [(args, kwargs), …]}                  a reply for each, as to "call", with
        "part" counted from 0. There the row ends where an answer is a stub, or calls what it is to write itself.

Each has a "number", which the reply repeats, and "seconds": past these the process writes to the channel, in the
words of faulthandler, where it is, and ends. It does the same when it crashes. While it is being asked, the answer's
code may call back: {"number", "callback": number, "args", "kwargs"}, and {"value", "error"} comes in reply.

The judge believes nothing of all this. Here it matters that a clumsy or hostile answer gets a clear reply: the code
below takes what it needs before any cell runs, and turns whatever is raised into a reply.
"""

from __future__ import annotations

import faulthandler
import os
import random
import signal
import sys
import threading

import numpy as np

from clearformer.checks.answer import AnswerError, InProcessAnswer, first_line
from clearformer.checks.given import Given, Workshop, rebuilt
from clearformer.grading.inside.cells import NAME_LIMIT, Cells, new_streams
from clearformer.grading.inside.wire import REPLIES, REQUESTS, Closed, Connection, Encoder, TooLarge, WireError

OF_MODULES = ("parameters", "trainable", "load", "train", "eval", "to")
ASKED = frozenset(("call", "call_with_gradients", "call_watched", "value", "method", "attribute", "seed", *OF_MODULES))
KEPT = frozenset(("make", "part", "given"))
ERROR_FIELDS = ("kind", "text", "where", "unanswered", "forbidden")
LATE_STATUS, BROKEN_STATUS = 72, 73

_exit, _own_id = os._exit, os.getpid
_set_timer, _alarm, _real = signal.setitimer, signal.SIGALRM, signal.ITIMER_REAL
_set_handler, _handler = signal.signal, signal.getsignal
_register, _enable = faulthandler.register, faulthandler.enable

_prepared = []


def prepare():
    """Do what takes time and is the same for all submissions: to be called once in the process that is forked."""
    if not _prepared:
        cells = Cells()
        cells.run(0, "import numpy as np")  # the first cell takes ten times as long as the second
        _prepared.append(cells)


def serve(sock, namespace=None):
    """Answer what comes over the socket until it is closed. namespace: {name: object}, as if a cell had defined it."""
    prepare()
    desk = _Desk(sock, _prepared[0])
    desk.cells.namespace.update(namespace or {})
    desk.serve()


class _Clock:
    """Ends the process at the deadline, with the place where it is written to the channel.

    A signal and no thread: faulthandler's handler writes at once, whatever runs, also where compiled code lets no
    other thread run. Then Python's own ends the process; compiled code that never returns is ended by the judge.
    """

    def __init__(self, descriptor):
        self._descriptor = descriptor

    @staticmethod
    def _end(number, frame):
        _exit(LATE_STATUS)

    def start(self, seconds):
        if _handler(_alarm) is not self._end:
            faulthandler.unregister(_alarm)
            _set_handler(_alarm, self._end)
            _register(_alarm, self._descriptor, all_threads=False, chain=True)
        _set_timer(_real, max(seconds, 0.001))

    def stop(self):
        _set_timer(_real, 0)


class _Workshop(Workshop):
    """Callbacks of what it builds go to the judge."""

    def __init__(self, ask_judge):
        super().__init__()
        self.answer_back = ask_judge


class _Desk:
    def __init__(self, sock, cells):
        self.cells = cells
        self._connection = Connection(sock, accepts=REQUESTS, sends=REPLIES, trusted=False)
        self._clock = _Clock(sock.fileno())
        self._process, self._recursion = _own_id(), sys.getrecursionlimit()
        self._number, self._turn = None, threading.Lock()
        self._given, self._objects, self._printed, self._streams = {}, {}, "", ()
        self._row_ends = False
        _enable(sock.fileno())

    def serve(self):
        while True:
            try:
                request = self._connection.receive(given=self._take_given)
            except (Closed, WireError):
                return  # the judge is gone: whatever a cell still does, nobody wants it
            number, seconds = request.pop("number"), request.pop("seconds")
            self._clock.start(seconds)
            self._number = number
            for part in _parts(request):
                self._before()
                frame = self._frame(number, part)
                if _own_id() != self._process:
                    _exit(0)  # a process that a cell forked and let run on: it must not reply as well
                try:
                    self._connection.send_frame(frame)
                except Closed:
                    return
                if self._row_ends:
                    break
            self._number = None
            self._clock.stop()

    def _before(self):
        """Whatever a cell did to them: no tracing, streams that lead nowhere, and room on the stack."""
        sys.settrace(None)
        sys.setprofile(None)
        if sys.getrecursionlimit() < self._recursion:
            sys.setrecursionlimit(self._recursion)
        if not self._streams or any(stream.closed for stream in self._streams):
            new_streams()
            self._streams = sys.stdin, sys.stdout
        sys.stdin, sys.stdout = self._streams
        sys.stderr = sys.stdout

    def _frame(self, number, request):
        """The reply to a request in bytes, whatever comes of it."""
        part = request.pop("part", 0)
        reply = {"part": part}
        self._row_ends = False
        try:
            try:
                reply |= self._reply(**request)
            finally:
                self.cells.repair_builtins()
            return Encoder(REPLIES).message({**reply, "number": number})
        except TooLarge as error:
            instead = _error("TooLarge", f"the result is too large: {error}")
        except BaseException as error:
            instead = _error(*_named(error))
        try:
            seen = {name: reply[name] for name in ("part", "changed", "printed") if name in reply}
            return Encoder(REPLIES).message({**instead, **seen, "number": number})
        except BaseException:
            _exit(BROKEN_STATUS)

    def _reply(self, do, **request):
        if do == "run":
            return {"error": self.cells.run(**request)}
        if do == "answer":
            return {"problem": self._select(**request)}
        return self._asked(do, **request)

    def _select(self, exercise, kind, forbidden, modules, seed):
        problem = self.cells.unfit(exercise, kind)
        if not problem:
            _seed(seed)
            self._given, self._printed = {}, ""
            target, workshop = self.cells.namespace[exercise], _Workshop(self._ask_judge)
            self._objects = {0: InProcessAnswer(target, forbidden, modules, keep=lambda x: x, workshop=workshop)}
        return problem

    def _asked(self, do, on, args, kwargs, keep):
        answer = self._objects[on]
        reply = {"value": None}
        try:
            with np.errstate(all="ignore"), _gradients():
                if do == "is_same":
                    reply["value"] = answer.is_same(args[0] if isinstance(args[0], Given) else self._objects[args[0]])
                elif do in KEPT:
                    self._objects[keep] = getattr(answer, do)(*args, **kwargs)
                elif do in ASKED:
                    reply["value"] = getattr(answer, do)(*args, **kwargs)
        except AnswerError as error:
            reply = {"error": {name: getattr(error, name) for name in ERROR_FIELDS}}
            self._row_ends = bool(error.unanswered or error.forbidden)
        except BaseException as error:
            self.cells.repair_builtins()
            reply = _error(*_named(error))
        return {**reply, **self._seen(answer)}

    def _seen(self, answer):
        changed, printed = [*answer.changed], answer.printed
        answer.changed.clear()
        news, self._printed = None if printed == self._printed else printed, printed
        return {"changed": changed, "printed": news}

    # --- what the judge has given ----------------------------------------------------------------------------

    def _take_given(self, content):
        number = content["number"]
        if "kind" in content:
            self._given[number] = rebuilt(content["kind"], content["fields"])
            self._given[number].number = number
        return self._given[number]

    def _ask_judge(self, callback, args, kwargs):
        with self._turn:
            if self._number is None or _own_id() != self._process:
                raise RuntimeError(f"{callback.name} was called after the call that it was given to had ended")
            message = {"number": self._number, "callback": callback.number, "args": tuple(args), "kwargs": kwargs}
            try:
                frame = Encoder(REPLIES).message(message)
            except TooLarge as error:
                raise ValueError(f"an argument of {callback.name} is too large: {error}") from None
            self._connection.send_frame(frame)
            reply = self._connection.receive()
        return reply["value"], reply["error"]


def _parts(request):
    """A request as it is, or each call of a row."""
    if request["do"] != "calls":
        yield request
        return
    for part, (args, kwargs) in enumerate(request["calls"]):
        yield {"do": "call", "on": request["on"], "args": args, "kwargs": kwargs, "keep": None, "part": part}


def _error(kind, text):
    return {"error": dict.fromkeys(ERROR_FIELDS, "") | {"kind": kind, "text": text}}


def _named(error):
    try:
        return type(error).__name__[:NAME_LIMIT], first_line(error)
    except BaseException:
        return "Exception", ""


def _gradients():
    torch = sys.modules.get("torch")
    return torch.enable_grad() if torch is not None else np.errstate()


def _seed(seed):
    """The state that an answer finds does not depend on the cells that ran before."""
    random.seed(seed)
    np.random.seed(seed % (1 << 32))
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(seed)
        if torch.get_num_threads() != 1:
            torch.set_num_threads(1)
