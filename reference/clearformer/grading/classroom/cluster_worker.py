"""What runs on a worker of a Dask cluster: a judge in a process of its own, as on one machine (see `pool`).

A submission that ends its judge, or that never ends, therefore costs the worker itself nothing. Imported only where
`distributed` is installed.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import importlib
import platform
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from distributed import WorkerPlugin, get_worker

import clearformer
from clearformer.checks import catalogue
from clearformer.grading.classroom.pool import Pool, PoolFailed
from clearformer.grading.classroom.submissions import Submission
from clearformer.grading.sandbox.layers import SandboxRefused

PACKAGE = Path(clearformer.__file__).parent
TEXT_LIMIT = 500  # characters of an error's text


@dataclass(frozen=True)
class Sent:
    """A submission as it travels, with its content. problem: why that cannot be read where it lies, or ""."""

    student: str
    path: str
    content: bytes = b""
    problem: str = ""


class Unfit(Exception):
    """This worker must not judge. The text says why, as a sentence without its subject."""


# --- is it the same course? ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Installed:
    """What must be equal wherever one class is graded. course: a fingerprint of the package's source."""

    python: str
    clearformer: str
    course: str

    def __str__(self):
        return f"Python {self.python} and clearformer {self.clearformer}"


@functools.cache
def installed():
    """The Installed of this process."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(PACKAGE).as_posix()} {len(content)}\n".encode() + content)
    python = ".".join(platform.python_version_tuple()[:2])
    return Installed(python, clearformer.__version__, digest.hexdigest())


def difference(here, there):
    """How the worker's Installed `there` differs from `here`, that of the one who asks, or ""."""
    if there == here:
        return ""
    if str(there) != str(here):
        return f"has {there}, and here is {here}. All must have the same."
    return f"has clearformer {here.clearformer} as here, but with other source files. All must have the same."


# --- judging -------------------------------------------------------------------------------------------------


class Judge(WorkerPlugin):
    """Keeps one judge on each worker, started when it is first needed.

    All its work is done in one thread: a worker may have several threads that know nothing of each other, and the
    judge's process ends with the thread that started it.

    grader: "module:name" of what makes a grader of the settings; try_out: of a function of the settings that raises
    SandboxRefused where there should be none; expected: the Installed of the one who asks.
    """

    def __init__(self, grader, try_out, settings, expected):
        self._grader, self._try_out, self._settings, self._expected = grader, try_out, settings, expected

    def setup(self, worker):
        self._pool, self._is_ended = None, False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="clearformer")

    def teardown(self, worker):
        """Returns at once, though a submission may be in hand: the worker has to go on answering."""
        self._is_ended = True
        self._thread.submit(self._close)
        self._thread.shutdown(wait=False)

    def look(self):
        """A future that raises Unfit where this worker must not judge."""
        return self._thread.submit(self._told, self._look)

    def grade(self, sent):
        """The record of a Sent. Unfit where this worker must not judge."""
        return self._thread.submit(self._told, self._grade, sent).result()

    def _told(self, do, *arguments):
        """What `do` returns; what it raises, in words, because not every error can travel."""
        if self._is_ended:
            raise Unfit("was told to stop.")
        if problem := difference(self._expected, installed()):
            raise Unfit(problem)
        try:
            return do(*arguments)
        except (SandboxRefused, PoolFailed) as error:
            raise Unfit(f"cannot grade. {error}") from None
        except Exception as error:
            raise Unfit(f"cannot grade: {type(error).__name__}: {str(error)[:TEXT_LIMIT]}") from None

    def _look(self):
        _named(self._grader)
        _named(self._try_out)(self._settings)

    def _grade(self, sent):
        if self._pool is None:
            self._pool = Pool(self._settings, 1, self._grader).__enter__()
        with tempfile.TemporaryDirectory(prefix="clearformer-sent-") as folder:
            file = Path(folder, "notebook.ipynb")
            file.write_bytes(sent.content)
            [record] = self._pool.grade([Submission(sent.student, sent.path, file, sent.problem)])
        return record

    def _close(self):
        if self._pool is not None:
            self._pool.__exit__(None, None, None)


def _named(name):
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def try_sandbox(settings):
    """SandboxRefused where this machine does not isolate as well as the settings ask."""
    from clearformer.grading.sandbox.warm_process import WarmProcess  # not on a Windows that only sends

    with WarmProcess(catalogue.LESSONS[0].id, settings.level) as warm:
        assert warm.layers


async def look(judge, dask_worker):
    """Why this worker must not judge, or "". judge: the name of its plugin."""
    try:
        await asyncio.wrap_future(dask_worker.plugins[judge].look())
    except Unfit as error:
        return str(error)
    return ""


def grade(judge, sent):
    """The task: the record of a Sent."""
    worker = get_worker()
    try:
        return worker.plugins[judge].grade(sent)
    except Unfit as error:
        raise Unfit(f"The worker {worker.address} {error}") from None
