"""The system call filter: its table against the kernel's, its program run by a small machine, and the real thing."""

import errno
import platform
import re
import struct
from pathlib import Path

import pytest

from clearformer.grading.inside import seccomp

X86, ARM = "x86_64", "aarch64"
ALLOWED, KILLED = "allowed", "killed"
HEADERS = {
    X86: ["/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm/unistd_64.h"],
    ARM: ["/usr/include/asm-generic/unistd.h"],
}


def answer(machine, number, *arguments, audit_name=None):
    """What the filter says to a call: run instruction by instruction, as the kernel's manual describes them."""
    name = seccomp.MACHINES[machine][1] if audit_name is None else audit_name
    arguments = (*arguments, *[0] * 6)[:6]
    data = struct.pack("=IIQ6Q", number, name, 0, *(value & (1 << 64) - 1 for value in arguments))
    steps = [*struct.iter_unpack("=HBBI", seccomp.program(machine))]
    at, loaded = 0, 0
    while True:
        code, if_true, if_false, constant = steps[at]
        at += 1
        if code == 0x20:  # BPF_LD | BPF_W | BPF_ABS
            loaded = struct.unpack_from("=I", data, constant)[0]
        elif code == 0x06:  # BPF_RET | BPF_K
            if constant == 0x7FFF0000:
                return ALLOWED
            return KILLED if constant == 0x80000000 else errno.errorcode[constant & 0xFFFF]
        else:  # BPF_JMP | BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET | BPF_K
            holds = {0x15: loaded == constant, 0x25: loaded > constant, 0x35: loaded >= constant}
            at += if_true if holds.get(code, bool(loaded & constant)) else if_false


def number(machine, name):
    return {**seccomp.REFUSED, **seccomp.LOOKED_AT}[name][seccomp.MACHINES[machine][0]]


both = pytest.mark.parametrize("machine", [X86, ARM])


@both
def test_the_numbers_are_those_of_the_kernels_headers(machine):
    found = next((path for path in map(Path, HEADERS[machine]) if path.exists()), None)
    if found is None:
        pytest.skip("the kernel's headers are not installed here")
    lines = re.findall(r"^#define __NR(?:3264)?_(\w+)\s+(\d+)$", found.read_text(), re.MULTILINE)
    theirs = {name: int(value) for name, value in lines}
    column = seccomp.MACHINES[machine][0]
    ours = {name: numbers[column] for name, numbers in {**seccomp.REFUSED, **seccomp.LOOKED_AT}.items()}
    shared = {name: value for name, value in ours.items() if name in theirs}
    assert len(shared) > 80
    assert shared == {name: theirs[name] for name in shared}
    unknown = [name for name, value in ours.items() if value is not None and name not in theirs]
    assert set(unknown) <= {"statmount", "listmount", "quotactl_fd", "memfd_secret", "process_mrelease"}  # young


@both
def test_every_call_of_the_table_is_refused(machine):
    column = seccomp.MACHINES[machine][0]
    for name, numbers in seccomp.REFUSED.items():
        if numbers[column] is not None:
            assert answer(machine, numbers[column]) == "EPERM", name


@both
def test_reading_writing_and_waiting_are_allowed(machine):
    ordinary = {X86: (0, 1, 3, 9, 11, 12, 202, 231, 257), ARM: (63, 64, 57, 222, 215, 214, 98, 94, 56)}
    assert {answer(machine, each) for each in ordinary[machine]} == {ALLOWED}


@both
def test_threads_are_allowed_and_processes_and_namespaces_are_not(machine):
    clone = number(machine, "clone")
    thread = 0x003D0F00  # what the C library asks for
    assert answer(machine, clone, thread) == ALLOWED
    assert answer(machine, clone, 0x01200011) == "EPERM"  # fork
    assert answer(machine, clone, 0x00004111) == "EPERM"  # vfork, posix_spawn
    for namespace in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        assert answer(machine, clone, thread | namespace) == "EPERM"
    assert answer(machine, number(machine, "clone3")) == "ENOSYS"  # whose flags cannot be looked at


@both
def test_a_message_to_an_address_is_refused_and_one_without_is_not(machine):
    sendto = number(machine, "sendto")
    assert answer(machine, sendto, 3, 0x7F0000001000, 5, 0, 0, 0) == ALLOWED
    assert answer(machine, sendto, 3, 0x7F0000001000, 5, 0, 0x1000, 16) == "EPERM"
    assert answer(machine, sendto, 3, 0x7F0000001000, 5, 0, 0x7F00_0000_0000, 16) == "EPERM"  # lower half 0


@both
def test_only_local_pairs_of_sockets_are_made(machine):
    assert answer(machine, number(machine, "socketpair"), 1, 1) == ALLOWED
    assert {answer(machine, number(machine, "socketpair"), family, 1) for family in (0, 2, 10, 16, 30)} == {"EPERM"}


@both
def test_nothing_is_typed_into_a_terminal(machine):
    ioctl = number(machine, "ioctl")
    assert answer(machine, ioctl, 0, 0x5412) == "EPERM"
    assert answer(machine, ioctl, 0, 0x1_0000_5412) == "EPERM"  # the kernel looks at the lower half alone
    assert answer(machine, ioctl, 0, 0x5401) == ALLOWED


@both
def test_calls_younger_than_the_table_are_answered_as_if_they_were_not_there(machine):
    assert {answer(machine, each) for each in (463, 500, 100_000)} == {"ENOSYS"}


def test_programs_of_another_kind_are_killed():
    assert answer(X86, 0x40000000 | 39) == KILLED  # x32
    assert answer(X86, 1, audit_name=0x40000003) == KILLED  # 32 bits
    assert answer(ARM, 64, audit_name=0x40000028) == KILLED


def test_the_program_fits_the_kernels_limit():
    assert len(seccomp.program(X86)) // 8 < 4096


def test_an_unknown_processor_has_no_filter(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert not seccomp.available()
    with pytest.raises(seccomp.NoFilter, match="riscv64"):
        seccomp.install()


# --- the real thing ------------------------------------------------------------------------------------------

CALL_ALL = """
    import ctypes, errno, os
    from clearformer.grading.inside import seccomp
    column = seccomp.MACHINES[os.uname().machine][0]
    libc = ctypes.CDLL(None, use_errno=True)
    result = {}
    for name, numbers in seccomp.REFUSED.items():
        if numbers[column] is not None and (not ONLY or name in ONLY):
            done = libc.syscall(ctypes.c_long(numbers[column]), *[ctypes.c_long(-1)] * 6)
            result[name] = errno.errorcode[ctypes.get_errno()] if done < 0 else "done"
"""


def test_the_kernel_refuses_every_call_of_the_table(inside, unprotected):
    answers = inside("ONLY = ()\n" + "\n".join(line[4:] for line in CALL_ALL.splitlines()))
    assert len(answers) > 80
    assert {name: said for name, said in answers.items() if said != "EPERM"} == {}
    # Without the filter these say something else about arguments without sense.
    some = ("socket", "pidfd_open", "memfd_create", "shmget", "unshare", "setns", "keyctl", "execve", "connect")
    answers = unprotected(f"ONLY = {some!r}\n" + "\n".join(line[4:] for line in CALL_ALL.splitlines()))
    assert "EPERM" not in answers.values()


def test_a_program_of_another_kind_is_killed_for_real(warm_full, actor_of):
    if platform.machine() != X86:
        pytest.skip("only x86-64 has such a second kind")
    with warm_full.open() as process:
        actor = actor_of(process)
        actor.tell("import ctypes; ctypes.CDLL(None).syscall(ctypes.c_long(0x40000000 | 39))")
        assert actor.answer() is None
        assert process.status(3) == -31  # SIGSYS


def test_the_filter_cannot_be_taken_off(inside):
    said = inside("""
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(22, ctypes.c_ulong(0), ctypes.c_ulong(0))
        try:
            os.fork()
        except PermissionError:
            result = "refused"
    """)
    assert said == "refused"


def test_a_thread_of_the_submission_is_filtered_too(inside):
    assert (
        inside("""
        import os, threading
        def attempt():
            global result
            try:
                os.fork()
            except PermissionError:
                result = "refused"
        thread = threading.Thread(target=attempt); thread.start(); thread.join()
    """)
        == "refused"
    )
