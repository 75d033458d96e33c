"""The process of one judge: grades the submissions that `pool` hands it, one after the other.

Started as ``python -m clearformer.grading.classroom.judge_worker DESCRIPTOR PARENT``, with a socket to its parent.
Both sides write one JSON object a line; names are written "module:name":

    parent    {"grader": name, "settings_class": name, "settings": {…}}, then {"student", "path", "file", "problem"}, …
    judge     {"ready": true}, then for each submission {"record": {…}}; at its end {"raised": text},
              or {"refused": text} where this machine is not fit for grading

It ends when the parent closes the socket or dies.
"""

from __future__ import annotations

import importlib
import json
import os
import queue
import signal
import socket
import sys
import threading
from pathlib import Path

from clearformer.grading.classroom.submissions import Submission

MEMORY = 2 * 2**30  # bytes that one submission may add: a verdict is reached on numbers that came from outside
TEXT_LIMIT = 500  # characters of an error's text
PR_SET_PDEATHSIG = 1


def main(descriptor, parent):
    _die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _set_limit("RLIMIT_CORE", 0)
    channel = socket.socket(fileno=descriptor)
    channel.set_inheritable(False)
    grader = None
    try:
        inbox = _Inbox(channel)
        start = inbox.get()
        grader = _named(start["grader"])(_named(start["settings_class"])(**start["settings"]))
        _send(channel, "ready", True)
        while request := inbox.get():
            _set_limit("RLIMIT_AS", _address_space() + MEMORY)
            record = grader.grade(_submission(**request))
            inbox.is_idle.set()  # who has the record may go away at once: that is no reason to end in a hurry
            _send(channel, "record", record)
    except BaseException as error:  # what it left behind in this process is unknown: a new one goes on
        _send(channel, *_told(error))
    finally:
        if hasattr(grader, "close"):
            grader.close()


class _Inbox:
    """What the parent asks for, and None when it wants no more. Where it goes away amid the work, so does this
    process: nobody is there to hear the result. is_idle: no work is in hand."""

    def __init__(self, channel):
        self._lines, self.is_idle = queue.SimpleQueue(), threading.Event()
        threading.Thread(target=self._listen, args=(channel.makefile("rb"),), daemon=True).start()

    def get(self):
        self.is_idle.set()
        line = self._lines.get()
        self.is_idle.clear()
        return json.loads(line) if line else None

    def _listen(self, lines):
        for line in lines:
            self._lines.put(line)
        if not self.is_idle.is_set():
            os._exit(0)
        self._lines.put(None)


def _send(channel, kind, content):
    channel.sendall(json.dumps({kind: content}).encode() + b"\n")


def _named(name):
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _submission(student, path, file, problem):
    return Submission(student, path, Path(file), problem)


def _told(error):
    """(kind, content) of the message about an error that a grader raised."""
    from clearformer.grading.sandbox.layers import SandboxRefused

    if isinstance(error, SandboxRefused):
        return "refused", str(error)
    return "raised", f"{type(error).__name__}: {error}"[:TEXT_LIMIT]


# --- what the system is asked for ----------------------------------------------------------------------------


def _die_with(parent):
    """Have Linux kill this process when its parent ends, even by SIGKILL and even amid compiled code."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before this was asked for
        os._exit(0)


def _address_space():
    """Bytes of addresses that this process has now."""
    return int(Path("/proc/self/statm").read_bytes().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def _set_limit(name, value):
    """Set a soft limit: the processes of the sandbox set their own."""
    if sys.platform == "linux":
        import resource

        which = getattr(resource, name)
        hard = resource.getrlimit(which)[1]
        resource.setrlimit(which, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
