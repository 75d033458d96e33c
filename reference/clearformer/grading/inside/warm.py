"""The warm process: has imported what submissions need, and forks a confined child for each of them.

It has one thread, obeys its judge alone, and takes nothing from its children: they talk to the judge over a channel
that this process hands on and forgets. Requests come one JSON object a line over the control socket:

    {"do": "preload", "module": name}                              reply: {"error": "" or why}
        A module inside this package that has a prepare() is prepared too.
    {"do": "file", "path": path, "id": …} with a descriptor        its content will stand at `path` for each submission
    {"do": "open", "child": number, "memory": bytes or null, "run": module} with the child's end of the channel
        The child writes "ready <pid>\\n" or "failed <why>\\n" to it, and then does what serve() of that module does.
    {"do": "status", "child": number, "seconds": s}                reply: {"status": as Popen.returncode, or null}
    {"do": "kill", "child": number}                                the same, the child ended and gone

Each has an "id", which its reply repeats; "file" and "open" have no reply. The end of the control socket, which is
the end of the judge, ends this process and all its children.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import shutil
import signal
import socket
import sys
import time
from pathlib import Path

from clearformer.grading.inside import confine, probe

REQUEST_BYTES = 1 << 16
REAP_SECONDS = 3.0  # a killed process that takes longer is stuck in the kernel
POLL_SECONDS = 0.0005
WITH_DESCRIPTOR = ("file", "open")
NOT_CONFINED = 71  # exit status of a child that could not be confined; nobody's code has run in it


class Warm:
    """The loop. control: the socket to the judge; level: "full" or "none"; home: folder for scratch, with "none"."""

    def __init__(self, control, level, home):
        self._control, self._level, self._home = control, level, Path(home)
        self._children, self._files = {}, {}
        self._pending, self._descriptors = b"", []

    def serve(self):
        while (request := self._next()) is not None:
            do, number = request.pop("do"), request.pop("id", None)
            reply = getattr(self, f"_do_{do}")(**request)
            if reply is not None:
                self._control.sendall(json.dumps({**reply, "id": number}).encode() + b"\n")
        for child in list(self._children):
            self._do_kill(child)

    def _next(self):
        """The next request, None where the judge is gone."""
        while b"\n" not in self._pending:
            part, descriptors, _, _ = socket.recv_fds(self._control, REQUEST_BYTES, 1)
            self._descriptors += descriptors
            if not part:
                return None
            self._pending += part
        line, self._pending = self._pending.split(b"\n", 1)
        request = json.loads(line)
        if request["do"] in WITH_DESCRIPTOR:
            request["descriptor"] = self._descriptors.pop(0)
        return request

    def _do_preload(self, module):
        environment = set(os.environ)
        try:
            loaded = importlib.import_module(module)
            if module.startswith(f"{__package__}.") and hasattr(loaded, "prepare"):
                loaded.prepare()
            _ready_to_fork()
        except Exception as error:
            return {"error": f"{type(error).__name__}: {error}"}
        for name in set(os.environ) - environment:  # torch._dynamo leaves one there, and a child shall find none
            del os.environ[name]
        return {"error": ""}

    def _do_file(self, path, descriptor):
        with open(descriptor, "rb") as file:
            self._files[path] = file.read()
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Path(path).write_bytes(self._files[path])

    def _do_open(self, child, memory, run, descriptor):
        channel = socket.socket(fileno=descriptor)
        try:
            pid = confine.fork_apart() if self._level == "full" else os.fork()
        except (OSError, confine.ConfineError) as error:
            with contextlib.suppress(OSError):
                channel.sendall(f"failed {error}\n".encode())
            channel.close()
            return
        if pid == 0:
            self._become_child(channel, child, memory, run)
        channel.close()
        self._children[child] = pid

    def _become_child(self, channel, child, memory, run):
        """Never returns: neither the loop above nor an exit handler of the warm process is the child's."""
        given = channel.fileno()
        which = os.fstat(given)
        try:
            channel = self._confined(channel, child, memory)
            serve = importlib.import_module(run).serve
            channel.sendall(f"ready {os.getpid()}\n".encode())
        except BaseException as error:
            _say_failed((given, confine.CHANNEL), which, error)
            os._exit(NOT_CONFINED)
        status = 1
        try:
            serve(channel)
            status = 0
        finally:
            os._exit(status)

    def _confined(self, channel, child, memory):
        if self._level == "none":
            folder = self._home / str(child)
            folder.mkdir(mode=0o700)
            os.chdir(folder)
            os.environ |= {"HOME": str(folder), "TMPDIR": str(folder)}
        # Descriptors are closed below; no object must be left that closes what gets the same number later.
        _new_streams()
        self._control.detach()
        confine.confine(channel.detach(), self._level, memory, self._files)
        return socket.socket(fileno=confine.CHANNEL)

    def _do_status(self, child, seconds):
        return {"status": self._wait(child, seconds)}

    def _do_kill(self, child):
        if child in self._children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._children[child], signal.SIGKILL)
        status = self._wait(child, REAP_SECONDS)
        if self._level == "none":
            shutil.rmtree(self._home / str(child), ignore_errors=True)
        return {"status": status}

    def _kill_group(self, leader):
        """What a child has started, with level "none"; with "full" that ends with the child."""
        if self._level == "none":
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(leader, signal.SIGKILL)

    def _wait(self, child, seconds):
        """Exit status of a child, None while it runs."""
        if child not in self._children:
            return None
        until = time.monotonic() + seconds
        while True:
            pid, status = os.waitpid(self._children[child], os.WNOHANG)
            if pid:
                del self._children[child]
                self._kill_group(pid)
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() >= until:
                return None
            time.sleep(POLL_SECONDS)


def _say_failed(descriptors, which, error):
    """To the judge, over the channel, which is or is not moved by now."""
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(descriptor), which):
                os.write(descriptor, f"failed {type(error).__name__}: {error}\n".encode())
                return


def _new_streams():
    """On descriptors 0, 1 and 2, which lead nowhere, whatever prepare() has made of them."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if stream is not None and not stream.closed and stream.fileno() > 2:
            stream.close()
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = sys.stderr = open(1, "w", encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115


def _ready_to_fork():
    """What lives now will live on: the collector of a child need not touch it, and so copies no page of it."""
    gc.collect()
    gc.freeze()


def main(control, level, home):
    """control: number of the descriptor to the judge; all others but 0, 1 and 2 are closed."""
    os.closerange(3, control)
    os.closerange(control + 1, os.sysconf("SC_OPEN_MAX"))
    control = socket.socket(fileno=control)
    importlib.import_module("numpy")
    _ready_to_fork()
    control.sendall(json.dumps({"id": 0, "interfaces": probe.interfaces()}).encode() + b"\n")
    Warm(control, level, home).serve()
    os._exit(0)
