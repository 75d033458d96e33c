"""Grading many submissions at once, in judge processes of this machine (see `judge_worker`).

Whatever happens to a judge, the run goes on. A submission on which one was lost is tried once more, alone and after
all others; where that ends the same way, its record says that it could not be graded.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path

from clearformer.grading.child import ChildStopped
from clearformer.grading.classroom.settings import NOTEBOOK_DEADLINES
from clearformer.grading.classroom.submissions import not_graded

GRADER = "clearformer.grading.classroom.grade:Grader"
GRACE_SECONDS = 60  # on top of what a notebook may take: starting a sandbox, importing torch from a slow disk
START_SECONDS = 120  # Python and the checks, from a slow disk
STARTS = 3  # that may fail in a row
END_SECONDS = 5  # for a judge to end its sandbox itself
POLL_SECONDS = 0.2
READ_BYTES = 1 << 20
RECORD_LIMIT = 64 * 2**20  # bytes


class PoolFailed(Exception):
    """No judge can be started here, or this machine is not fit for grading. The text says why."""


def grade_all(submissions, settings, jobs, grader=GRADER, on_start=lambda submission: None):
    """Yield the record of each submission as it is finished, with `jobs` judges. Close it to end them at once.

    settings: a dataclass of plain values; grader: what makes a grader of settings, a callable at the top of a
    module or its name, "module:name"; on_start: called with each submission that a judge begins with.
    PoolFailed where there can be no judge.
    """
    with Pool(settings, jobs, grader) as pool:
        yield from pool.grade(submissions, on_start)


class Pool:
    """`jobs` judges, the first of which starts at once. Use it in a with statement, which ends them."""

    def __init__(self, settings, jobs, grader=GRADER):
        self._start = {
            "grader": grader if isinstance(grader, str) else _name_of(grader),
            "settings_class": _name_of(type(settings)),
            "settings": asdict(settings),
        }
        self._seconds = NOTEBOOK_DEADLINES * settings.deadline + GRACE_SECONDS
        self._jobs, self._failed_starts = max(1, jobs), 0
        self._judges, self._selector = [], None

    def __enter__(self):
        self._selector = selectors.DefaultSelector()
        try:
            self._new_judge()
        except BaseException:
            self._selector.close()
            raise
        return self

    def __exit__(self, *error):
        self._end()
        self._selector.close()

    def grade(self, submissions, on_start=lambda submission: None):
        """Yield the record of each submission as it is finished."""
        lost = []
        for submission, outcome in self._through(submissions, self._jobs, on_start):
            if isinstance(outcome, _Lost):
                lost.append(submission)
            else:
                yield outcome
        if lost:
            self._end()  # what follows may need all memory there is
        for submission, outcome in self._through(lost, 1, on_start):
            yield not_graded(submission, outcome.twice) if isinstance(outcome, _Lost) else outcome

    def _through(self, submissions, jobs, on_start):
        """Pairs of a submission and its record or _Lost."""
        waiting = _Waiting(submissions)
        while waiting or self._busy:
            self._hand_out(waiting, jobs, on_start)
            for judge in self._heard_from():
                outcome, submission = judge.outcome(self._seconds), judge.submission
                self._failed_starts = 0 if judge.is_ready else self._failed_starts
                if isinstance(outcome, _Lost):
                    self._drop(judge, outcome)
                    if not judge.is_ready:  # not the submission's fault
                        waiting.put(submission)
                        continue
                if outcome:
                    judge.submission = None
                    yield submission, outcome

    @property
    def _busy(self):
        return [judge for judge in self._judges if judge.submission]

    def _hand_out(self, waiting, jobs, on_start):
        """Give each idle judge a submission; start more judges where there is work for them."""
        while waiting:
            judge = next((judge for judge in self._judges if not judge.submission), None)
            if judge is None:
                if len(self._judges) >= jobs or not self._new_judge():
                    return
                continue
            lesson, submission = waiting.take(judge.lesson)
            judge.begin(submission, lesson)
            on_start(submission)

    def _new_judge(self):
        """Is there one more? PoolFailed where there is none at all."""
        try:
            judge = _Judge(self._start)
        except OSError as error:  # no memory, too many processes
            if self._judges:
                return False
            raise PoolFailed(f"No process for grading can be started ({error.strerror}).") from None
        self._judges.append(judge)
        self._selector.register(judge.channel, selectors.EVENT_READ, judge)
        return True

    def _heard_from(self):
        """The busy judges, once one of them has said something or a moment has passed."""
        for key, _ in self._selector.select(POLL_SECONDS):
            key.data.read()
        return self._busy

    def _drop(self, judge, lost):
        self._judges.remove(judge)
        self._selector.unregister(judge.channel)
        judge.end(0)
        if judge.refusal:
            raise PoolFailed(judge.refusal)
        self._failed_starts += not judge.is_ready
        if self._failed_starts >= STARTS:
            raise PoolFailed(f"The process that grades does not start: {judge.last_words or 'it ' + lost.reason}")

    def _end(self):
        """End the judges and all they started. Those who are idle are asked to; the others are killed."""
        judges, self._judges = self._judges, []
        for judge in judges:
            self._selector.unregister(judge.channel)
            if not judge.submission:
                judge.ask_to_end()
        until = time.monotonic() + END_SECONDS
        for judge in judges:
            judge.end(0 if judge.submission else max(0, until - time.monotonic()))


def _name_of(thing):
    return f"{thing.__module__}:{thing.__qualname__}"


class _Waiting:
    """Submissions that wait. A judge gets those of one lesson after the other: its sandbox is made for a lesson."""

    def __init__(self, submissions):
        self._lessons = {}
        for submission in submissions:
            self.put(submission)

    def __bool__(self):
        return bool(self._lessons)

    def put(self, submission):
        self._lessons.setdefault(submission.lesson(), deque()).append(submission)

    def take(self, lesson):
        """(lesson, submission), of that lesson where there is one, else of the lesson with the most."""
        if lesson not in self._lessons:
            lesson = max(self._lessons, key=lambda each: len(self._lessons[each]))
        of_lesson = self._lessons[lesson]
        submission = of_lesson.popleft()
        if not of_lesson:
            del self._lessons[lesson]
        return lesson, submission


# --- one judge -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Lost:
    """A judge is gone. reason: what it did, as the end of a sentence: "it …"."""

    reason: str

    @property
    def twice(self):
        return f"The process that graded this was lost, and so was a second one, which {self.reason}."


class _Judge:
    """A judge_worker seen from outside. submission: what it has in hand, or None; lesson: that of its last one;
    refusal: why this machine is not fit for grading, or ""."""

    def __init__(self, start):
        self.submission, self.lesson, self.is_ready, self.refusal, self.last_words = None, None, False, "", ""
        self._received, self._is_closed, self._since = bytearray(), False, time.monotonic()
        self._scratch = tempfile.TemporaryDirectory(prefix="clearformer-grade-", ignore_cleanup_errors=True)
        self.channel, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = _started(theirs.fileno(), self._scratch.name)
        except BaseException:
            self.channel.close()
            self._scratch.cleanup()
            raise
        self._send(start)

    def begin(self, submission, lesson):
        self.submission, self.lesson, self._since = submission, lesson, time.monotonic()
        path = {"path": submission.path, "file": str(submission.file)}
        self._send({"student": submission.student, "problem": submission.problem, **path})

    def _send(self, message):
        with contextlib.suppress(OSError):  # it died: that is seen where its answer is waited for
            self.channel.sendall(json.dumps(message).encode() + b"\n")

    def read(self):
        """Take what has come. Was there something?"""
        try:
            came = self.channel.recv(READ_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            came = b""
        self._received += came
        self._is_closed = not came
        return not self._is_closed

    def outcome(self, seconds):
        """The record of what it has in hand, a _Lost, or None while neither is there.

        seconds: how long it may be silent.
        """
        # Not by the closed channel alone: a process that it started may hold that open.
        is_gone = self._is_closed or self._process.poll() is not None
        while is_gone and len(self._received) <= RECORD_LIMIT and self.read():
            pass  # its last words came after we last listened
        while b"\n" in self._received:
            line, _, self._received = self._received.partition(b"\n")
            [(kind, content)] = json.loads(line).items()
            if kind == "record":
                return content | {"student": self.submission.student, "path": self.submission.path}
            if kind == "raised":
                return _Lost(f"failed with {content}")
            if kind == "refused":
                self.refusal = content
            if kind == "ready":
                self.is_ready, self._since = True, time.monotonic()
        if len(self._received) > RECORD_LIMIT:
            return _Lost("sent more than a record")
        if is_gone:
            return self._died()
        if time.monotonic() > self._since + (seconds if self.is_ready else START_SECONDS):
            return _Lost("did not end in time")
        return None

    def _died(self):
        try:
            status = self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            status = None
        return _Lost(ChildStopped(late=False, status=status).reason)

    def ask_to_end(self):
        with contextlib.suppress(OSError):
            self.channel.shutdown(socket.SHUT_WR)

    def end(self, seconds):
        """End it and all it started, by force where it has not ended after so many seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        _kill_tree(self._process.pid)
        self._process.wait()
        self.channel.close()
        with contextlib.suppress(OSError):
            lines = Path(self._scratch.name, "errors").read_text(errors="replace").strip().splitlines()
            self.last_words = lines[-1] if lines else ""
        self._scratch.cleanup()


def _started(descriptor, scratch):
    """The process of a judge. Its temporary files are in `scratch`; what it says to nobody is in `errors` there."""
    # With one thread each, the numbers of a verdict are the same whatever else the machine does.
    threads = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
    # -P: a student's file numpy.py in this folder must not be taken for the library.
    command = [sys.executable, "-P", "-m", "clearformer.grading.classroom.judge_worker"]
    with open(Path(scratch, "errors"), "wb") as errors:
        return subprocess.Popen(
            [*command, str(descriptor), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            pass_fds=[descriptor],
            env=os.environ | threads | {"TMPDIR": scratch},
            start_new_session=True,  # Ctrl-C is for the parent alone
        )


def _kill_tree(process_id):
    """Kill a process and all below it. Each is stopped before its children are looked up: it can start no more."""
    todo, found = [process_id], []
    while todo:
        found.append(each := todo.pop())
        _signal(each, signal.SIGSTOP)
        with contextlib.suppress(OSError):
            for children in Path(f"/proc/{each}/task").glob("*/children"):
                todo += map(int, children.read_text().split())
    for each in found:
        _signal(each, signal.SIGKILL)
    with contextlib.suppress(OSError):
        os.killpg(process_id, signal.SIGKILL)


def _signal(process_id, number):
    with contextlib.suppress(OSError):
        os.kill(process_id, number)
