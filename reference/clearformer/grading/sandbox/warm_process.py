"""A warm process and the processes of submissions, seen from the judge.

    with WarmProcess("02_attention", "full") as warm:
        warm.preload("torch")
        with warm.open() as process:
            process.connection.send(…)

The warm process has imported what submissions need. `open` forks a confined child of it, in a few milliseconds; the
judge talks to that child over `connection`, and to nobody else. One WarmProcess is used by one thread at a time.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from clearformer.checks import catalogue
from clearformer.grading.inside.wire import Connection
from clearformer.grading.sandbox import enclosure, font_list, layers
from clearformer.grading.sandbox.view import view

MORE_MEMORY = 1 << 30  # bytes of address space that a submission may take beyond what it starts with
START_SECONDS = 120  # Python and NumPy, from a slow disk
PRELOAD_SECONDS = 180
OPEN_SECONDS = 20
ANSWER_SECONDS = 5  # for what takes milliseconds: a warm process that is silent for so long is given up
SUBMISSION = "clearformer.grading.inside.submission"
PROBE = "clearformer.grading.inside.probe"
FOLDER = "clearformer-warm-"
ABANDONED_SECONDS = 60  # a folder this old that nobody holds is of a judge that was killed


class WarmFailed(Exception):
    """The warm process did not start, or did not do its work. The text says why; a new attempt may succeed."""


class WarmProcess:
    """lesson: whose package is visible inside; level: "full" or "none".

    It starts at once, beside its judge; the first use waits for it. SandboxRefused where "full" cannot be had, then
    or at that first use; WarmFailed. Where it has died, or was given up, the next `open` starts it anew.

    fill: function of lesson and folder that writes the package; serve: module inside whose serve(socket) a child runs.
    """

    def __init__(self, lesson, level="full", fill=view, serve=SUBMISSION):
        if level not in layers.LEVELS:
            raise ValueError(f"the sandbox has the levels {', '.join(layers.LEVELS)}, not {level!r}")
        self._lesson, self._level, self._fill, self._serve = lesson, level, fill, serve
        self._modules, self._run = [serve], None
        self._start()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    @property
    def layers(self):
        """The layers that a probe has found active; see `layers.described`."""
        return self._living().layers

    def preload(self, *modules):
        """Import modules for every submission from now on. Does not wait: `open` raises where that fails."""
        new = [module for module in modules if module not in self._modules]
        self._modules += new
        if not self._run.is_over:
            self._run.preload(new)

    def open(self):
        """A SubmissionProcess, fresh and confined."""
        try:
            return self._living().open(self._serve)
        except WarmFailed:
            if not self._run.has_died:
                raise
        return self._living().open(self._serve)  # it had died since its last use

    def close(self):
        """End the warm process and all that it has started."""
        self._run.close()

    def _start(self):
        self._run = _Run(self._lesson, self._level, self._fill)
        self._run.preload(self._modules)

    def _living(self):
        if self._run.is_over:
            self._start()
        try:
            self._run.settle()
        except BaseException:
            self._run.close()
            raise
        return self._run


def examine(level="full"):
    """The layers that this machine has. SandboxRefused where there is no sandbox at all."""
    with WarmProcess(catalogue.LESSONS[0].id, level, serve=PROBE) as warm:
        return warm.layers


class SubmissionProcess:
    """A child of the warm process. connection: to what runs in it. Leaving it ends it, with all it has started."""

    def __init__(self, run, number, sock):
        self._run, self._number, self._sock = run, number, sock
        self._status, self._is_gone = None, False
        self.connection = Connection(sock)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def status(self, seconds=0.0):
        """What it ended with, as Popen.returncode; None where it still runs after so many seconds, or is unknown."""
        until = time.monotonic() + seconds
        while not self._is_gone:
            part = min(max(until - time.monotonic(), 0), 1.0)
            reply = self._run.ask({"do": "status", "child": self._number, "seconds": part}) or {}
            self._status = reply.get("status")
            self._is_gone = self._status is not None or self._run.is_over
            if time.monotonic() >= until:
                break
        return self._status

    def kill(self):
        """End it now. Its status where that was possible; where not, the whole warm process is ended."""
        if not self._is_gone:
            reply = self._run.ask({"do": "kill", "child": self._number}) or {}
            self._status, self._is_gone = reply.get("status"), True
            if self._status is None:
                self._run.give_up()
        self._run.forget(self._number)
        return self._status

    def close(self):
        self.kill()
        self._sock.close()


# --- one life of a warm process ------------------------------------------------------------------------------


class _Run:
    """From the start of a warm process to its end. is_over: it can do nothing more; has_died: not because of close."""

    def __init__(self, lesson, level, fill):
        self._level = level
        self.is_over, self.has_died, self.layers = False, False, None
        self._program = self._process = self._hello = None
        self._pending, self._unanswered = b"", {}
        self._requests, self._numbers, self._groups = itertools.count(1), itertools.count(1), {}
        layers.check_system(level)
        self._folder, self._lock = _new_folder()
        try:
            _fill(fill, lesson, self._folder / "view")
            self._start()
        except BaseException:
            self.close()
            raise

    # Starting

    def _start(self):
        self._control, theirs = socket.socketpair()
        with theirs, open(self._folder / "errors", "wb") as errors:
            start = self._start_enclosed if self._level == "full" else self._start_bare
            start(theirs.fileno(), errors)
        self._send_font_list(font_list.found())

    def _start_bare(self, control, errors):
        home = self._home()
        (home / "matplotlib").mkdir(parents=True)
        line = enclosure.start_of_python(enclosure.python_here(), self._folder / "view", control, "none", str(home))
        self._program = _popen(line, errors, (control,), enclosure.environment(str(home)), home)
        self._pid = self._program.pid

    def _start_enclosed(self, control, errors):
        bubblewrap = shutil.which("bwrap")
        if not bubblewrap:
            raise layers.no_bubblewrap()
        (tells, info), (block, release) = os.pipe(), os.pipe()
        is_root = os.geteuid() == 0
        try:
            line = enclosure.command(bubblewrap, self._folder / "view", control, info, block if is_root else None)
            self._program = _popen(line, errors, (control, info, block), {}, "/")
            os.close(info)
            self._pid = _process_id(tells)
            if self._pid and is_root:
                with contextlib.suppress(OSError):  # then it does not get far, and says so
                    Path(f"/proc/{self._pid}/uid_map").write_text(enclosure.users_map())
                    Path(f"/proc/{self._pid}/gid_map").write_text(enclosure.users_map())
            with contextlib.suppress(OSError):
                self._process = os.pidfd_open(self._pid) if self._pid else None
        finally:
            for descriptor in (tells, block, release):
                os.close(descriptor)

    def _home(self):
        return self._folder / "home" if self._level == "none" else Path(enclosure.SCRATCH)

    def _send_font_list(self, path):
        if path:
            with open(path, "rb") as file:
                request = {"do": "file", "path": str(self._home() / "matplotlib" / Path(path).name)}
                self._send(request, file.fileno())

    def preload(self, modules):
        if any(module.split(".")[0] == "matplotlib" for module in modules) and not font_list.found():
            self._send_font_list(font_list.made())
        for module in modules:
            if number := self._send({"do": "preload", "module": module}):
                self._unanswered[number] = module

    def settle(self):
        """Wait until it is ready, and has all it should; once, see which layers hold."""
        if self._hello is None:
            self._hello = self._reply(0, START_SECONDS)
            if self._hello is None:
                raise self._not_started()
        while self._unanswered:
            number, module = next(iter(self._unanswered.items()))
            reply = self._reply(number, PRELOAD_SECONDS)
            if reply is None:
                raise WarmFailed(f"The warm process ended while it imported {module}. {self._last_words()}".strip())
            if reply["error"]:
                raise WarmFailed(f"{module} cannot be imported inside the sandbox: {reply['error']}")
            del self._unanswered[number]
        if self.layers is None:
            found = layers.judged(self._probed(), self._level)
            layers.require(found)
            self.layers = found

    def _not_started(self):
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._program.wait(ANSWER_SECONDS)
        words = self._errors()
        if self._level == "full" and words.startswith("bwrap:"):
            return layers.bubblewrap_failed(words)
        return WarmFailed(f"The process that runs student code did not start. {self._last_words()}".strip())

    def _errors(self):
        with contextlib.suppress(OSError):
            return (self._folder / "errors").read_text(errors="replace")
        return ""

    def _last_words(self):
        lines = self._errors().strip().splitlines()
        return f"Its last words: {lines[-1][:500]}" if lines else ""

    def _probed(self):
        request = {"paths": [], "folders": []}
        if self._level == "full":
            request = {"paths": _not_to_be_seen(), "folders": ["/", enclosure.VIEW, "/dev", "/usr/lib"]}
        with self._open(PROBE) as process:
            sock = process._sock
            sock.sendall(json.dumps(request).encode() + b"\n")
            seen = json.loads(_first_line(sock) or "null")
            if seen is None:
                raise WarmFailed("The sandbox cannot be tried out: the process that was to do it has ended.")
            killed = process.kill() == -signal.SIGKILL
        return seen | {
            "killed": killed,
            "interfaces": self._hello["interfaces"],
            "allowed_environment": [*enclosure.environment(""), "PWD"],
            "allowed_scratch": ["matplotlib"],
        }

    # Submissions

    def open(self, serve):
        self.settle()
        return self._open(serve)

    def _open(self, serve):
        number, (ours, theirs) = next(self._numbers), socket.socketpair()
        with theirs:
            memory = self._size() + MORE_MEMORY if layers.is_linux() else None
            self._send({"do": "open", "child": number, "memory": memory, "run": serve}, theirs.fileno())
        word, _, rest = _first_line(ours).partition(" ")
        if word == "ready":
            self._groups[number] = int(rest)
            return SubmissionProcess(self, number, ours)
        ours.close()
        if word != "failed":
            self.give_up()
            raise WarmFailed(f"The warm process has ended. {self._last_words()}".strip())
        self.ask({"do": "kill", "child": number})
        raise WarmFailed(f"A submission could not be shut in, and was not run: {rest}")

    def _size(self):
        """Bytes of address space that the warm process takes."""
        try:
            return int(Path(f"/proc/{self._pid}/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        except OSError:
            return 0

    def forget(self, number):
        self._groups.pop(number, None)

    # Talking

    def ask(self, request):
        """Its reply, None where there is none: then it is given up."""
        if self.is_over:
            return None
        number = self._send(request)
        reply = self._reply(number, ANSWER_SECONDS) if number else None
        if reply is None:
            self.give_up()
        return reply

    def _send(self, request, *descriptors):
        """The request's id, None where nobody takes it."""
        number = next(self._requests)
        line = json.dumps({**request, "id": number}).encode() + b"\n"
        try:
            socket.send_fds(self._control, [line], descriptors)
        except OSError:
            return None
        return number

    def _reply(self, number, seconds):
        until = time.monotonic() + seconds
        while (line := self._next_line(until)) is not None:
            reply = json.loads(line)
            if reply["id"] == number:  # another: of a request that was interrupted
                return reply
        return None

    def _next_line(self, until):
        while b"\n" not in self._pending:
            self._control.settimeout(max(until - time.monotonic(), 0.001))
            try:
                part = self._control.recv(1 << 16)
            except OSError:  # too late, or broken off
                return None
            finally:
                self._control.settimeout(None)
            if not part:
                return None
            self._pending += part
        line, self._pending = self._pending.split(b"\n", 1)
        return line

    # Ending

    def give_up(self):
        """It does not do what it is told: end it, and all its children."""
        self.has_died = True
        self.close()

    def close(self):
        if self.is_over:
            return
        self.is_over = True
        if hasattr(self, "_control"):
            self._control.close()
        self._end_program()
        for group in self._groups.values() if self._level == "none" else ():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
        if self._process is not None:
            os.close(self._process)
        shutil.rmtree(self._folder, ignore_errors=True)
        os.close(self._lock)

    def _end_program(self):
        if self._program is None:
            return
        if self._process is not None:
            # The first process of its namespace: with it ends everything in there, before bubblewrap ends.
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._process, signal.SIGKILL)
        try:
            self._program.wait(ANSWER_SECONDS)  # with "none" it ends its children itself, now that its judge is gone
        except subprocess.TimeoutExpired:
            self._program.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._program.wait(ANSWER_SECONDS)


# --- helpers -------------------------------------------------------------------------------------------------


def _new_folder():
    """(folder, descriptor of its lock). Folders of judges that were killed go away now."""
    parent = Path(tempfile.gettempdir())
    for old in parent.glob(f"{FOLDER}*"):
        _remove_abandoned(old)
    folder = Path(tempfile.mkdtemp(prefix=FOLDER))
    lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return folder, lock


def _remove_abandoned(folder):
    with contextlib.suppress(OSError):
        seen = folder.lstat()
        if seen.st_uid != os.geteuid() or time.time() - seen.st_mtime < ABANDONED_SECONDS:
            return
        lock = os.open(folder / "lock", os.O_RDWR | os.O_NOFOLLOW)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)


def _fill(fill, lesson, folder):
    """The package for the lesson; readable for everybody, since inside it is somebody else who reads it."""
    folder.mkdir()
    fill(lesson, folder)
    for path, _, names in os.walk(folder):
        os.chmod(path, 0o755)
        for name in names:
            os.chmod(os.path.join(path, name), 0o644)


_starter = {}  # {process id: executor}; a fork of this process needs one of its own


def _popen(line, errors, descriptors, environment, folder):
    """Popen, from a thread that lives as long as this process: the end of the thread that starts it ends bubblewrap."""
    starter = _starter.setdefault(os.getpid(), ThreadPoolExecutor(1, "sandbox"))
    return starter.submit(
        subprocess.Popen,
        line,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=errors,
        pass_fds=descriptors,
        env=environment,
        cwd=folder,
        start_new_session=True,  # Ctrl-C in the terminal is for the judge
    ).result()


def _process_id(descriptor):
    """The id that bubblewrap tells of the process inside, None where it did not get so far."""
    text = b""
    while b"}" not in text and (part := os.read(descriptor, 4096)):
        text += part
    return json.loads(text)["child-pid"] if b"}" in text else None


def _first_line(sock):
    """The first line of a child of which no student code has run yet; "" where none comes."""
    line = b""
    sock.settimeout(OPEN_SECONDS)
    try:
        while not line.endswith(b"\n") and (part := sock.recv(1 << 16)):
            line += part
    except OSError:
        return ""
    finally:
        sock.settimeout(None)
    return line.decode(errors="replace").rstrip("\n") if line.endswith(b"\n") else ""


def _not_to_be_seen():
    """Files of this machine that are there, and must not be there inside."""
    candidates = [__file__, catalogue.__file__, "/etc/passwd", "/proc/self/status", "/sys/kernel"]
    home = Path.home()
    with contextlib.suppress(OSError):
        candidates += [str(home / name) for name in os.listdir(home)[:20] if not name.startswith(".pyenv")]
    if course := enclosure.course_folder():
        candidates += [str(course / "solutions"), str(course / "tests"), str(course / "pyproject.toml")]
    return candidates
