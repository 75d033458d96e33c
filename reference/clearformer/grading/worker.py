"""The child process: runs a notebook's cells in one IPython shell and judges what they leave behind.

Started by `clearformer.grading.child`. Requests come on the standard input, replies go to the standard output, one
JSON object a line; both are moved out of the way before any cell runs, so that nothing a cell prints or reads can
touch them.

    {"do": "start", "exercises": [name, …], "trace": path}     loads the exercises
    {"do": "run", "cell": number, "source": code}              {"error": null, or kind, text, cell, line, code}
    {"do": "judge", "exercise": name}                          {"status", "misconception", "message", "points"}

Each request also has a "number", which the reply repeats, and "seconds": past these the child writes the place
where it is to the trace file, and ends.
"""

from __future__ import annotations

import builtins
import faulthandler
import json
import os
import queue
import sys
import threading
import traceback
import types

import numpy as np
from IPython.core.compilerop import CachingCompiler
from IPython.core.interactiveshell import InteractiveShell
from traitlets import Type
from traitlets.config import Config

from clearformer.checks import catalogue, judge_here
from clearformer.checks.feedback import message

TEXT_LIMIT = 500  # characters of an error's text
MESSAGE_LIMIT = 10_000
C_CODE_SECONDS = 1  # after the deadline
WATCHED = (builtins, np, np.linalg, np.random)  # modules that the checks themselves compute with


class _CellCompiler(CachingCompiler):
    """Compiles a cell under the file name "<cell 5>", by which tracebacks then know it."""

    cell = 0

    def get_code_name(self, raw_code, transformed_code, number):
        return f"<cell {self.cell}>"


class _Shell(InteractiveShell):
    """A shell for code that nobody watches: no tracebacks, no windows, and exit() is an error."""

    compiler_class = Type(_CellCompiler)

    def showtraceback(self, *args, **kwargs):
        pass

    def showsyntaxerror(self, *args, **kwargs):
        pass

    def ask_exit(self):
        raise SystemExit

    def enable_gui(self, gui=None):
        pass

    def enable_matplotlib(self, gui=None):
        return gui, "agg"


def _new_shell():
    config = Config()
    config.HistoryManager.enabled = False
    shell = _Shell.instance(config=config)
    builtins.input = _no_input
    return shell


def _no_input(prompt=""):
    raise EOFError("input() asks the reader something, and nobody is there to answer")


class Worker:
    """What the requests ask for. Each public method is a request; its arguments are the request's."""

    def __init__(self):
        self._shell = None
        self._untouched = {}

    def start(self, exercises, trace):
        self._trace = open(trace, "w")  # noqa: SIM115 - stays open for the fault handler
        faulthandler.enable(self._trace)
        for name in exercises:
            catalogue.find(name)
        sys.path.insert(0, "")  # as in a notebook: modules beside it can be imported
        self._shell = _new_shell()
        self._untouched = {module: dict(vars(module)) for module in WATCHED}
        _lead_nowhere(2)
        return {}

    def prepare(self, seconds):
        """Before each request: new streams, whatever a cell did to the last ones, and the clock."""
        sys.stdin = open(os.devnull)  # noqa: SIM115
        sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._clock = threading.Timer(seconds, self._too_late)
        self._clock.daemon = True
        self._clock.start()
        # For compiled code that lets no other thread run. It cannot be the only clock: looking at a thread that
        # runs on meanwhile crashes now and then.
        faulthandler.dump_traceback_later(seconds + C_CODE_SECONDS, file=self._trace, exit=True)

    def _too_late(self):
        self._trace.write("Timeout\n")
        self._trace.flush()
        faulthandler.dump_traceback(self._trace)
        os._exit(1)

    def finish(self):
        """After each request: stop the clock."""
        self._clock.cancel()
        faulthandler.cancel_dump_traceback_later()

    def run(self, cell, source):
        self._shell.compile.cell = cell
        result = self._shell.run_cell(source)
        error = result.error_before_exec or result.error_in_exec
        if isinstance(error, SyntaxError) and error.msg == "incomplete input":  # IPython's words; Python's say more
            error = _syntax_error(self._shell.transform_cell(source)) or error
        return {"error": _description(error) if error else None}

    def judge(self, exercise):
        found = catalogue.find(exercise)
        if exercise not in self._shell.user_ns:
            return _error(f"The answer cell does not define {exercise}. Keep that name.")
        target = self._shell.user_ns[exercise]
        if found.kind != "predict" and not callable(target):
            return _error(f"{exercise} is {_described(target)} here, not a function or a class.")
        if patched := self._patched():
            return _error(
                f"The notebook has replaced {patched}, which the check needs as it was. Choose another name for yours."
            )
        try:
            with np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"):
                verdict = judge_here(found, target)
        except Exception as error:  # those of the answer are caught where it is called
            return _error(f"The check itself failed, a mistake of the course and not yours: {_named(error)}")
        except BaseException as error:  # KeyboardInterrupt and its like, raised by the answer
            return _error(f"Your code stopped the check with {_named(error)}")
        return {
            "status": verdict.status,
            "misconception": verdict.misconception,
            "message": message(found, verdict, next_hint=False)[:MESSAGE_LIMIT],
            "points": verdict.points,
        }

    def _patched(self):
        """The name of something that a cell has replaced in a module that the checks compute with, or "".

        Catches accidents. Whoever wants to fool a check that runs in this process can.
        """
        for module, before in self._untouched.items():
            for name, value in before.items():
                if name.startswith("_") or isinstance(value, types.ModuleType):
                    continue
                if vars(module).get(name) is not value:
                    return f"{module.__name__}.{name}"
        return ""


def _syntax_error(source):
    try:
        compile(source, "<cell>", "exec")
    except SyntaxError as error:
        return error


def _error(text):
    return {"status": "error", "misconception": None, "message": text, "points": 0}


def _described(value):
    kind = type(value).__name__
    return "None" if value is None else f"{'an' if kind[0] in 'aeio' else 'a'} {kind}"


def _named(error):
    described = _description(error)
    return f"{described['kind']}: {described['text']}" if described["text"] else described["kind"]


def _description(error):
    """What went wrong and in which line of which cell, for JSON."""
    try:
        text = str(error)
    except Exception:  # an exception whose own __str__ fails
        text = ""
    cell, line, code = 0, 0, ""
    if isinstance(error, SyntaxError):
        text, line, code = str(error.msg), error.lineno or 0, error.text or ""
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename.startswith("<cell "):
            cell, line, code = int(frame.filename[6:-1]), frame.lineno or 0, frame.line or ""
    return {
        "kind": type(error).__name__,
        "text": text.strip()[:TEXT_LIMIT],
        "cell": cell,
        "line": line,
        "code": str(code).strip()[:TEXT_LIMIT],
    }


# --- the channel ---------------------------------------------------------------------------------------------


def _take_channel():
    """(requests, replies): the pipes to the parent. Descriptors 0 and 1 lead nowhere afterwards."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    _lead_nowhere(0, 1)
    return requests, replies


def _lead_nowhere(*descriptors):
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in descriptors:
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _read(requests, inbox):
    for line in requests:
        inbox.put(json.loads(line))
    os._exit(0)  # the parent is gone: whatever a cell still does, nobody wants it


def main():
    requests, replies = _take_channel()
    inbox = queue.SimpleQueue()
    threading.Thread(target=_read, args=(requests, inbox), daemon=True).start()
    worker, own_id = Worker(), os.getpid()
    while True:
        request = inbox.get()
        do, number, seconds = request.pop("do"), request.pop("number"), request.pop("seconds")
        if do == "start":  # until it has started, what goes wrong is written where the parent finds it
            reply = worker.start(**request)
        else:
            worker.prepare(seconds)
            reply = getattr(worker, do)(**request)
            if os.getpid() != own_id:
                os._exit(0)  # a process that a cell forked and let run on: it must not reply as well
            worker.finish()
        replies.write(json.dumps({**reply, "number": number}).encode() + b"\n")
        replies.flush()


if __name__ == "__main__":
    main()
