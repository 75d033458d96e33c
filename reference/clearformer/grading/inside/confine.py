"""What a forked child does to itself before a submission's code runs in it.

None of it can be undone from inside. A step that fails ends in ConfineError, and no code of the submission runs then.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import sys

from clearformer.grading.inside import seccomp

MEBI = 1 << 20
SCRATCH = "/scratch"  # home, working folder and place for temporary files, all in one
SCRATCH_BYTES = 64 * MEBI
SCRATCH_FILES = 4096
FILE_BYTES = 64 * MEBI
DESCRIPTORS = 256
THREADS = 256
STACK_BYTES = 8 * MEBI
CPU_SECONDS = 3600  # the judge ends a submission long before; this is for a judge that hangs
NOBODY = 65534
CHANNEL = 3  # the one descriptor that is left, beside 0, 1 and 2, which lead nowhere

# linux/sched.h, linux/mount.h, linux/prctl.h, linux/capability.h
CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWPID = 0x0002_0000, 0x0800_0000, 0x2000_0000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REC, MS_PRIVATE = 2, 4, 8, 1 << 14, 1 << 18
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_READ, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 4, 23, 24, 38
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
CAPABILITY_VERSION_3 = 0x2008_0522
SIGKILL = 9

_libc = ctypes.CDLL(None, use_errno=True)


class ConfineError(Exception):
    """A step failed. The text says which and why."""


def confine(channel, level, memory, files):
    """Take everything away that the calling process, a fresh fork of one thread, does not need.

    channel: descriptor of the connection to the judge, moved to CHANNEL; level: "full", or "none", which keeps only
    the limits; memory: largest size of the address space in bytes, or None; files: {path in SCRATCH: content} to be
    there from the start, with level "full".
    """
    with contextlib.suppress(PermissionError):  # where it leads a session already
        os.setsid()
    if level == "full":
        _own_mounts(files)
    _limits(level, memory)
    if level == "full":
        _no_privileges()
    elif sys.platform == "linux":
        _checked(_prctl(PR_SET_PDEATHSIG, SIGKILL), "a signal at the end of the warm process")
    _only(channel)
    if level == "full":
        try:
            seccomp.install()
        except seccomp.NoFilter as error:
            raise ConfineError(str(error)) from None


# --- namespaces and mounts -----------------------------------------------------------------------------------


def fork_apart():
    """os.fork(), the child the first of its own process namespace: it sees and reaches no other process, and all that
    it may start ends with it. Linux 5.8, with CAP_SYS_ADMIN.
    """
    own = os.pidfd_open(os.getpid())
    pid = None
    try:
        _checked(_libc.unshare(CLONE_NEWPID), "a process namespace")
        pid = os.fork()
    finally:
        if pid != 0:  # the parent goes back, or its next child would land in the same namespace
            _checked(_libc.setns(own, CLONE_NEWPID), "going back to the own process namespace")
            os.close(own)
    return pid


def _own_mounts(files):
    _checked(_libc.unshare(CLONE_NEWNS | CLONE_NEWIPC), "a mount namespace")
    _mount(None, "/", None, MS_REC | MS_PRIVATE, None)
    options = f"size={SCRATCH_BYTES},nr_inodes={SCRATCH_FILES},mode=0700,uid={NOBODY},gid={NOBODY}"
    _mount("scratch", SCRATCH, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options)
    os.chdir(SCRATCH)
    for path, content in files.items():
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)


def _mount(source, target, kind, flags, options):
    texts = [None if text is None else text.encode() for text in (source, target, kind)]
    given = None if options is None else options.encode()
    _checked(_libc.mount(*texts, ctypes.c_ulong(flags), given), f"mounting {target}")


# --- limits --------------------------------------------------------------------------------------------------


def _limits(level, memory):
    limits = {
        "CORE": 0,
        "FSIZE": FILE_BYTES,
        "NOFILE": DESCRIPTORS,
        "CPU": CPU_SECONDS,
        "STACK": STACK_BYTES,
        "MSGQUEUE": 0,
        "MEMLOCK": 0,
        "RTPRIO": 0,
    }
    if level == "full" and _threads_are_counted_here():
        limits["NPROC"] = THREADS
    if memory and sys.platform == "linux":  # macOS has the limit and does not keep to it
        limits["AS"] = memory
    for name, wanted in limits.items():
        if (kind := getattr(resource, f"RLIMIT_{name}", None)) is None:
            continue
        hard = resource.getrlimit(kind)[1]
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        try:
            resource.setrlimit(kind, (value, value))
        except (OSError, ValueError) as error:
            raise ConfineError(f"the limit {name} cannot be set: {error}") from None


def _threads_are_counted_here():
    """From Linux 5.14 on a user namespace counts its own; before, all that the user runs on the machine count."""
    major, minor = os.uname().release.split(".")[:2]
    return (int(major), int("".join(filter(str.isdigit, minor)) or 0)) >= (5, 14)


# --- privileges ----------------------------------------------------------------------------------------------


def _no_privileges():
    for capability in range(64):
        if _prctl(PR_CAPBSET_READ, capability) == 1:
            _checked(_prctl(PR_CAPBSET_DROP, capability), "dropping a capability")
    if os.getuid() == 0:  # root outside: then the sandbox has a second user, who owns nothing
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    _checked(_prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL), "dropping the ambient capabilities")
    header, none = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    _checked(_libc.capset(header, none), "dropping the capabilities")
    _checked(_prctl(PR_SET_NO_NEW_PRIVS, 1), "no new privileges")
    _checked(_prctl(PR_SET_DUMPABLE, 0), "no dumps")


def _prctl(*arguments):
    padded = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:5]]
    return _libc.prctl(ctypes.c_int(arguments[0]), *padded[1:])


def _checked(result, what):
    if result < 0:
        raise ConfineError(f"{what} was refused: {os.strerror(ctypes.get_errno())}")


# --- descriptors ---------------------------------------------------------------------------------------------


def _only(channel):
    nowhere = os.open(os.devnull, os.O_RDWR)
    high = os.dup(channel)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    if high != CHANNEL:
        os.dup2(high, CHANNEL)
    os.set_inheritable(CHANNEL, False)
    os.closerange(CHANNEL + 1, os.sysconf("SC_OPEN_MAX"))
