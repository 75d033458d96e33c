"""Trying out what a confined process can do, in place of a submission: what the layers of the sandbox are judged by."""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import socket
import sys
import threading
import time

from clearformer.grading.inside import confine, seccomp

ASKED_OF_THE_KERNEL = ("ptrace", "mount", "unshare", "setns", "bpf", "keyctl", "process_vm_readv", "io_uring_setup")
NO_ARGUMENTS = [ctypes.c_long(-1)] * 6  # nothing could come of these calls even where they are allowed


def serve(channel):
    """Answer one request, {"paths": […], "folders": […]}, with what was seen, both one line of JSON; then wait."""
    request = json.loads(_line(channel))
    channel.sendall(json.dumps(observe(**request)).encode() + b"\n")
    while True:  # until killed, which is a layer too
        time.sleep(3600)


def _line(channel):
    line = b""
    while not line.endswith(b"\n") and (part := channel.recv(4096)):
        line += part
    return line


def observe(paths, folders):
    """What this process sees and can do. paths: files that it should not see; folders: it should not write there.

    Harmless in a process that is not confined. Refused things are named by their error: "EPERM", or "" where it worked.
    """
    import resource

    return {
        "visible": [path for path in paths if os.path.exists(path)],
        "writable": [folder for folder in folders if os.access(folder, os.W_OK)],
        "scratch": sorted(os.listdir(confine.SCRATCH)) if os.path.isdir(confine.SCRATCH) else [],
        "allowed_bytes": confine.SCRATCH_BYTES,
        "scratch_bytes": _size_of_scratch(),
        "environment": sorted(os.environ),
        "process": os.getpid(),
        "parent": os.getppid(),
        "user": os.getuid(),
        "fork": _error(_fork_and_end),
        "exec": _error(lambda: os.execv("/no such program", ["none"])),
        "thread": _error(_thread),
        "sockets": [_error(lambda kind=kind: socket.socket(kind).close()) for kind in (socket.AF_INET, socket.AF_UNIX)],
        "calls": {name: _call(name) for name in ASKED_OF_THE_KERNEL},
        "privileges": _privileges(),
        "memory": _error(_more_than_the_limit),
        "core": resource.getrlimit(resource.RLIMIT_CORE)[1],
        "file": resource.getrlimit(resource.RLIMIT_FSIZE)[1],
        "descriptors": [number for number in range(3, 1024) if _is_open(number)],
    }


def _error(attempt):
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno, "OSError")
    except (RuntimeError, MemoryError) as error:
        return type(error).__name__
    return ""


def _fork_and_end():
    if (pid := os.fork()) == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def _thread():
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()


def _size_of_scratch():
    if not os.path.isdir(confine.SCRATCH):
        return 0
    seen = os.statvfs(confine.SCRATCH)
    return seen.f_blocks * seen.f_frsize


def _more_than_the_limit():
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[1]
    if limit != resource.RLIM_INFINITY:
        mmap.mmap(-1, limit).close()


def _call(name):
    column, _ = seccomp.MACHINES.get(os.uname().machine.lower(), (None, None))
    number = None if column is None else seccomp.REFUSED[name][column]
    if number is None or sys.platform != "linux":
        return "unknown"
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.syscall(ctypes.c_long(number), *NO_ARGUMENTS)
    return errno.errorcode.get(ctypes.get_errno(), "?") if result < 0 else ""


def _privileges():
    """Names of what this process still holds: capabilities, and the way to new ones."""
    if sys.platform != "linux":
        return ["unknown"]
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = (ctypes.c_uint32 * 2)(confine.CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    libc.capget(header, sets)
    zero = [ctypes.c_ulong(0)] * 4
    bounding = any(libc.prctl(confine.PR_CAPBSET_READ, ctypes.c_ulong(number), *zero[1:]) == 1 for number in range(64))
    open_to_more = libc.prctl(39, *zero) != 1  # PR_GET_NO_NEW_PRIVS
    held = {"capabilities": any(sets), "capabilities to come": bounding, "new privileges": open_to_more}
    return [name for name, is_so in held.items() if is_so]


def _is_open(number):
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def interfaces():
    """Names of the network interfaces here; asked in the warm process, since a confined one may not even ask."""
    try:
        return [name for _, name in socket.if_nameindex()]
    except OSError:
        return []
