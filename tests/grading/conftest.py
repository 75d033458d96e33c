"""Notebooks made for a test, a course small enough to be run often, and a process that answers without a sandbox."""

import contextlib
import json
import os
import signal
import socket
import textwrap
import time
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, writes

from clearformer.checks import catalogue
from clearformer.grading.sandbox import layers

NOT_TESTED = "NOT TESTED, this machine has no sandbox"

IMPORTS = "import numpy as np\nfrom clearformer import check, hint"
RIGHT = {
    "softmax": (
        "def softmax(x, axis=-1):\n"
        "    exponentials = np.exp(x - x.max(axis=axis, keepdims=True))\n"
        "    return exponentials / exponentials.sum(axis=axis, keepdims=True)"
    ),
    "score_variance": f"score_variance = {catalogue.find('score_variance').reference!r}",
    "causal_mask": "def causal_mask(seq_len):\n    return np.tri(seq_len, dtype=bool)",
}


@pytest.fixture
def right():
    """{exercise: source of a right answer}, in the order of the small course."""
    return dict(RIGHT)


@pytest.fixture
def small_course(monkeypatch):
    """A course of two lessons, 02_attention with the three exercises of `right`."""
    lesson = catalogue.lesson("02_attention")
    few = catalogue.Lesson(lesson.id, lesson.title, lesson.minutes, {name: name for name in RIGHT}, lesson.builds)
    monkeypatch.setattr(catalogue, "LESSONS", (catalogue.lesson("00_start_here"), few))


@pytest.fixture(autouse=True)
def own_progress(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("CLEARFORMER_HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture
def write(tmp_path):
    """write(cells, name=…, lesson=…) -> path of a new notebook.

    A cell is source, or (exercise, source) for an answer cell with its check cell, or a cell of nbformat.
    """

    def write_notebook(*cells, name="work.ipynb", lesson="02_attention", imports=IMPORTS):
        notebook = new_notebook(metadata={"clearformer": {"lesson": lesson}} if lesson else {})
        notebook.cells = [new_markdown_cell("# Exercises"), new_code_cell(imports)]
        for cell in cells:
            if isinstance(cell, tuple):
                notebook.cells += [answer_cell(*cell), check_cell(cell[0])]
            else:
                notebook.cells.append(new_code_cell(cell) if isinstance(cell, str) else cell)
        path = tmp_path / name
        path.write_text(writes(notebook), encoding="utf-8")
        return path

    return write_notebook


def answer_cell(exercise, source):
    marks = {"grade_id": exercise, "solution": True, "grade": False, "locked": False, "schema_version": 3}
    return new_code_cell(source, metadata={"nbgrader": marks})


def check_cell(exercise):
    # What is in a check cell never counts: this one would end the run.
    marks = {"grade_id": f"check_{exercise}", "solution": False, "grade": True, "locked": True, "schema_version": 3}
    return new_code_cell("import os; os._exit(7)", metadata={"nbgrader": marks, "points": 1})


class Forked:
    """A fork of this process that does what `serve` does with its end of the channel."""

    def __init__(self, serve, options):
        from clearformer.grading.inside.wire import Connection

        here, there = socket.socketpair()
        self.process_id = os.fork()
        if self.process_id == 0:
            try:
                here.close()
                serve(there, **options)
            finally:
                os._exit(70)
        there.close()
        self.socket, self.connection, self._status = here, Connection(here), None

    def status(self, seconds=1.0):
        until = time.monotonic() + seconds
        while self._status is None and time.monotonic() < until:
            ended, status = os.waitpid(self.process_id, os.WNOHANG)
            self._status = os.waitstatus_to_exitcode(status) if ended else None
            time.sleep(0.001)
        return self._status

    def close(self):
        self.socket.close()
        if self._status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process_id, signal.SIGKILL)
            os.waitpid(self.process_id, 0)


@pytest.fixture
def forked():
    """forked(namespace={…}) -> a process, with `connection` and `status`, in which submission.serve runs."""
    from clearformer.grading.inside import submission

    started = []

    def start(serve=submission.serve, **options):
        started.append(Forked(serve, options))
        return started[-1]

    yield start
    for process in started:
        process.close()


# --- the sandbox ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def sandbox_full():
    """The layers of the sandbox. Where it cannot be had, the test is skipped, and said so loudly; in CI it fails."""
    from clearformer.grading.sandbox.warm_process import examine

    try:
        return examine("full")
    except layers.SandboxRefused as refused:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{NOT_TESTED}: {refused}")


def pytest_terminal_summary(terminalreporter):
    skipped = [report for report in terminalreporter.stats.get("skipped", []) if NOT_TESTED in str(report.longrepr)]
    if skipped:
        terminalreporter.section(NOT_TESTED, red=True, bold=True)
        terminalreporter.line(f"{len(skipped)} tests of the protection against student code did not run:", red=True)
        for report in skipped:
            terminalreporter.line(f"  {report.nodeid}", red=True)


ACTOR = '''
"""Runs what it is sent, in place of a submission: one line of JSON each way."""
import json
import os
import sys

def prepare():
    sys.stdin, sys.stdout, sys.stderr = open(os.devnull), open(os.devnull, "w"), open(os.devnull, "w")

def serve(sock):
    names = {"sock": sock}
    for line in sock.makefile("rb"):
        names["result"] = None
        try:
            exec(json.loads(line), names)
            reply = {"result": names["result"]}
        except BaseException as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        sock.sendall(json.dumps(reply).encode() + b"\\n")
'''


class Actor:
    """One submission's process, which does as it is told."""

    def __init__(self, process):
        self.process = process
        self._lines = process._sock.makefile("rb")

    def tell(self, source):
        self.process._sock.sendall(json.dumps(textwrap.dedent(source)).encode() + b"\n")

    def answer(self, seconds=60):
        """{"result": …} or {"error": …}; None where the process has ended."""
        self.process._sock.settimeout(seconds)
        try:
            line = self._lines.readline()
        except ConnectionResetError:
            line = b""
        return json.loads(line) if line else None

    def do(self, source):
        """What the source leaves in `result`, or the text of what it raised."""
        self.tell(source)
        answer = self.answer()
        assert answer is not None, "the process has ended"
        return answer["error"] if "error" in answer else answer["result"]


@pytest.fixture(scope="session")
def with_actor():
    """(lesson, folder): a view of the package, and the actor in it."""
    from clearformer.grading.sandbox.view import view

    def fill(lesson, folder):
        view(lesson, folder)
        Path(folder, "clearformer/grading/inside/actor.py").write_text(ACTOR)

    return fill


@pytest.fixture(scope="session")
def new_warm(with_actor):
    """new_warm(level) -> a WarmProcess whose children are actors."""
    from clearformer.grading.sandbox.warm_process import WarmProcess

    def start(level, **how):
        return WarmProcess("02_attention", level, fill=with_actor, serve="clearformer.grading.inside.actor", **how)

    return start


@pytest.fixture(scope="session")
def warm_none(new_warm):
    with new_warm("none") as warm:
        yield warm


@pytest.fixture(scope="session")
def warm_full(new_warm, sandbox_full):
    with new_warm("full") as warm:
        yield warm


@pytest.fixture
def inside(warm_full):
    """inside(source) -> what it leaves in `result` in a fresh enclosed process, or the text of what it raised."""
    return lambda source: _once(warm_full, source)


@pytest.fixture
def unprotected(warm_none):
    """The same without the sandbox: shows that a test bites."""
    return lambda source: _once(warm_none, source)


@pytest.fixture
def actor_of():
    return Actor


def _once(warm, source):
    with warm.open() as process:
        return Actor(process).do(source)
