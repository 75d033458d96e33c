"""Grading a class on a Dask cluster, where one machine is not enough.

Each worker keeps one judge with its warm process (see `cluster_worker`). The notebooks travel with their
tasks, so the workers need clearformer and its sandbox, and no disk in common. What a lost worker had in hand is graded
again by another one.

Scheduler, workers and the one who grades trust each other: Dask's protocol unpickles what comes over it, and whoever
reaches its port can run code. No notebook has a part in that: its code runs in the sandbox of a worker, and what it
answers reaches that worker's judge as plain data. In a network that others use, give a tls:// address; certificates
and keys are then those of Dask's own configuration (distributed.comm.tls).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import queue
import sys
import time
import uuid
from concurrent.futures import CancelledError

from clearformer.grading.classroom.pool import GRADER, PoolFailed
from clearformer.grading.classroom.submissions import not_graded
from clearformer.grading.notebook import NotebookError

CONNECT_SECONDS = 10
WORKER_SECONDS = 60  # to wait for a first worker, and for another one when all are lost
RESULT_SECONDS = 5.0  # to fetch a record, before it is asked whether there is still a worker that has it
TIDY_SECONDS = 5
POLL_SECONDS = 1.0
AHEAD = 2  # submissions on their way for each worker process: one in hand, one that waits
BYTES_ON_THEIR_WAY = 128 << 20  # the scheduler holds them too
TRY_OUT = "clearformer.grading.classroom.cluster_worker:try_sandbox"


class ClusterFailed(PoolFailed):
    """The cluster cannot grade, or not any more. The text says why, and what to do."""


def grade_all(submissions, settings, address, grader=GRADER, on_start=lambda submission: None, say=None):
    """Yield the record of each submission as it is finished, none twice. Close it to cancel what is not finished.

    address: the scheduler's, as tcp://host:8786; grader: the name of what makes a grader of settings, "module:name";
    on_start: called with each submission that is sent; say: with a sentence where everyone has to wait, which else
    goes to the standard error. ClusterFailed, before anything is graded where that can be known.
    """
    say = say or (lambda text: print(text, file=sys.stderr, flush=True))
    with _quiet(), _connected(address) as client, _judges(client, settings, grader, say) as judge:
        yield from _Run(client, judge, address, on_start, say).records(_in_order(submissions))


def _in_order(submissions):
    """The submissions, those of one lesson together, without any that names a student and a path again."""
    once = {(submission.student, submission.path): submission for submission in submissions}
    return sorted(once.values(), key=lambda submission: submission.lesson())


# --- the cluster ---------------------------------------------------------------------------------------------


def _dask():
    """The packages (dask, distributed), which only this way of grading needs."""
    try:
        import dask
        import distributed
    except ImportError:
        raise ClusterFailed(
            "Grading on a cluster takes the package distributed. Install it: pip install 'clearformer[cluster]'"
        ) from None
    return dask, distributed


@contextlib.contextmanager
def _quiet():
    """Without what Dask logs and warns of: what matters of it is said here in other words."""
    dask, _ = _dask()
    loggers = [logging.getLogger(name) for name in logging.root.manager.loggerDict if name.startswith("distributed")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 GiB"}):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def _connected(address):
    """A Client of the scheduler at `address`."""
    _, distributed = _dask()
    try:
        asyncio.run(_knock(address))  # a Client that cannot connect makes a noise when it is thrown away
        client = distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except TypeError:
        raise ClusterFailed(
            f"For {address} Dask's configuration has to name certificates and a key, under distributed.comm.tls."
        ) from None
    except ValueError as error:
        raise ClusterFailed(
            f"{address!r} is no address of a Dask scheduler ({error}). One is tcp://host:8786"
        ) from None
    except OSError as error:
        raise ClusterFailed(
            f"No Dask scheduler answered at {address} within {CONNECT_SECONDS} seconds. Is it running there, and can "
            f"this machine reach it? ({error.__cause__ or error})"
        ) from None
    try:
        yield client
    finally:
        with contextlib.suppress(Exception):
            client.close(timeout=TIDY_SECONDS)


async def _knock(address):
    from distributed.comm import connect
    from distributed.security import Security

    comm = await connect(address, timeout=CONNECT_SECONDS, **Security().get_connection_args("client"))
    await comm.close()


@contextlib.contextmanager
def _judges(client, settings, grader, say):
    """A judge on each worker that there is or will be; yields the name by which tasks find it."""
    from clearformer.grading.classroom.cluster_worker import Judge, installed

    _wait_for_workers(client, say)
    name = f"clearformer-{uuid.uuid4().hex}"
    try:
        client.register_plugin(Judge(grader, TRY_OUT, settings, installed()), name=name)
        _refuse_unfit(client, name)
        yield name
    finally:
        if client.status == "running":
            with contextlib.suppress(Exception):
                client.sync(client._unregister_worker_plugin, name=name, callback_timeout=TIDY_SECONDS)


def _wait_for_workers(client, say):
    if client.nthreads():
        return
    say(f"The cluster has no worker yet. Waiting up to {WORKER_SECONDS} seconds for one.")
    try:
        client.wait_for_workers(1, timeout=WORKER_SECONDS)
    except TimeoutError:
        raise ClusterFailed(
            f"The cluster has no worker, and none came within {WORKER_SECONDS} seconds. "
            "Start some, each with: dask worker ADDRESS --nthreads 1"
        ) from None


def _refuse_unfit(client, judge):
    """ClusterFailed where a worker must not judge."""
    from clearformer.grading.classroom.cluster_worker import look

    found = client.run(look, judge, on_error="return")
    if problems := [_why(worker, found[worker]) for worker in sorted(found) if found[worker]]:
        raise ClusterFailed("\n".join(["Nothing was graded.", *problems]))


def _why(worker, problem):
    if isinstance(problem, ImportError):
        return f"The worker {worker} cannot import clearformer ({problem}). Install it there as it is here."
    return f"The worker {worker} {problem}"


# --- the run -------------------------------------------------------------------------------------------------


class _Run:
    """One class on its way through the cluster. judge: the name of the plugin that grades on each worker."""

    def __init__(self, client, judge, address, on_start, say):
        self._client, self._judge, self._address, self._on_start, self._say = client, judge, address, on_start, say
        self._numbers = itertools.count()
        self._in_hand = {}  # {key: (future, submission, bytes)}
        self._ended = queue.SimpleQueue()  # futures, put there by a thread of Dask's
        self._given_up = []
        self._left_alone = None  # since when there is no worker

    def records(self, submissions):
        try:
            yield from self._through(submissions)
            # Dask blames every task that a worker held when it died. Sent alone, each can only be to blame itself.
            blamed, self._given_up = self._given_up, []
            for submission in blamed:
                yield from self._through([submission])
            for submission in self._given_up:
                yield not_graded(submission, "Each worker of the cluster that had it in hand died.")
        finally:
            with contextlib.suppress(Exception):
                self._client.cancel([future for future, *_ in self._in_hand.values()], force=True)

    def _through(self, submissions):
        """Yield the records of these; those that the cluster gave up are put aside."""
        waiting = iter(submissions)
        at_once = AHEAD * self._workers()
        while True:
            self._send(waiting, at_once)
            if not self._in_hand:
                return
            try:
                future = self._ended.get(timeout=POLL_SECONDS)
            except queue.Empty:
                at_once = AHEAD * self._workers()
                continue
            if record := self._record_of(future):
                yield record

    def _send(self, waiting, at_once):
        """Send as many as may be on their way."""
        while len(self._in_hand) < at_once and sum(size for *_, size in self._in_hand.values()) < BYTES_ON_THEIR_WAY:
            submission = next(waiting, None)
            if submission is None:
                return
            sent = _packed(submission)
            # By a number: names of students do not belong on the cluster's dashboard.
            key = f"{self._judge}-{next(self._numbers)}"
            future = self._submit(sent, key)
            self._in_hand[key] = future, submission, len(sent.content)
            future.add_done_callback(self._ended.put)
            self._on_start(submission)

    def _submit(self, sent, key):
        from clearformer.grading.classroom.cluster_worker import grade

        try:
            return self._client.submit(grade, self._judge, sent, key=key, pure=False)
        except RuntimeError:  # the client has closed itself
            raise self._lost() from None

    def _record_of(self, future):
        """The record that came of a future; None where the cluster gave it up, or its record is not here yet."""
        from distributed.scheduler import KilledWorker

        from clearformer.grading.classroom.cluster_worker import Unfit

        submission = self._in_hand[future.key][1]
        try:
            record = future.result(timeout=RESULT_SECONDS)
        except TimeoutError:  # the worker that held the record is lost, and another one grades it again
            self._workers()
            future.add_done_callback(self._ended.put)
            return None
        except CancelledError:
            raise self._lost() from None
        except KilledWorker:
            record = None
            self._given_up.append(submission)
        except Unfit as error:
            raise ClusterFailed(str(error)) from None
        except Exception as error:
            raise ClusterFailed(f"The cluster fails with {type(error).__name__}: {error}") from None
        del self._in_hand[future.key]
        return record and record | {"student": submission.student, "path": submission.path}

    def _workers(self):
        """How many worker processes there are, or 1 while none is. ClusterFailed where none comes back."""
        try:
            number = len(self._client.nthreads())
        except (OSError, RuntimeError, ValueError):
            raise self._lost() from None
        if number:
            self._left_alone = None
        elif self._left_alone is None:
            self._left_alone = time.monotonic()
            self._say(f"The cluster has lost its workers. Waiting up to {WORKER_SECONDS} seconds for one.")
        elif time.monotonic() - self._left_alone > WORKER_SECONDS:
            raise ClusterFailed("The cluster has lost its workers, and none came back.")
        return max(1, number)

    def _lost(self):
        return ClusterFailed(f"The connection to the scheduler at {self._address} is lost.")


def _packed(submission):
    """What is sent of a submission; why its file cannot be read is sent too, for the judge to say."""
    from clearformer.grading.classroom.cluster_worker import Sent

    try:
        return Sent(submission.student, submission.path, submission.content())
    except NotebookError as error:
        return Sent(submission.student, submission.path, problem=str(error))
