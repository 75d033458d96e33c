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

import faulthandler
import json
import os
import queue
import sys
import threading

import numpy as np

from clearformer.checks import catalogue, judge_here
from clearformer.checks.feedback import message
from clearformer.grading.inside.cells import Cells, described_error, lead_nowhere, new_streams

MESSAGE_LIMIT = 10_000
C_CODE_SECONDS = 1  # after the deadline


class Worker:
    """What the requests ask for. Each public method is a request; its arguments are the request's."""

    def __init__(self):
        self._cells = None

    def start(self, exercises, trace):
        self._trace = open(trace, "w")  # noqa: SIM115 - stays open for the fault handler
        faulthandler.enable(self._trace)
        for name in exercises:
            catalogue.find(name)
        sys.path.insert(0, "")  # as in a notebook: modules beside it can be imported
        self._cells = Cells()
        lead_nowhere(2)
        return {}

    def prepare(self, seconds):
        """Before each request: new streams, whatever a cell did to the last ones, and the clock."""
        new_streams()
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
        return {"error": self._cells.run(cell, source)}

    def judge(self, exercise):
        found = catalogue.find(exercise)
        if unfit := self._cells.unfit(exercise, found.kind):
            return _error(unfit)
        target = self._cells.namespace[exercise]
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


def _error(text):
    return {"status": "error", "misconception": None, "message": text, "points": 0}


def _named(error):
    described = described_error(error)
    return f"{described['kind']}: {described['text']}" if described["text"] else described["kind"]


# --- the channel ---------------------------------------------------------------------------------------------


def _take_channel():
    """(requests, replies): the pipes to the parent. Descriptors 0 and 1 lead nowhere afterwards."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    lead_nowhere(0, 1)
    return requests, replies


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
