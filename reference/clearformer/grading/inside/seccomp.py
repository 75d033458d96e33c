"""The system call filter: what a submission's process may ask of the kernel (seccomp(2), Linux).

Starting processes and programs, networking, mounting, watching other processes and the kernel's rarely used corners
are refused with EPERM, which Python raises as PermissionError. System calls younger than this list are answered as if
the kernel did not have them. The filter cannot be taken off again.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
import sys

# name: number on x86-64 and on ARM 64, None where there is no such call.
REFUSED = {
    # processes and programs
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "execveat": (322, 281),
    # the network, and sockets with a name
    "socket": (41, 198),
    "connect": (42, 203),
    "bind": (49, 200),
    "listen": (50, 201),
    "accept": (43, 202),
    "accept4": (288, 242),
    # other processes
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "kcmp": (312, 272),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    # namespaces and mounts
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "statmount": (457, 457),
    "listmount": (458, 458),
    "chroot": (161, 51),
    "pivot_root": (155, 41),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "mknod": (133, None),
    "mknodat": (259, 33),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "fanotify_init": (300, 262),
    "fanotify_mark": (301, 263),
    # memory and messages that no limit counts, or that outlive a process
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "shmdt": (67, 197),
    "msgget": (68, 186),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "msgctl": (71, 187),
    "semget": (64, 190),
    "semop": (65, 193),
    "semtimedop": (220, 192),
    "semctl": (66, 191),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    # parts of the kernel that were broken into before
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "vmsplice": (278, 75),
    "modify_ldt": (154, None),
    "personality": (135, 92),
    "lookup_dcookie": (212, 18),
    "nfsservctl": (180, 42),
    "uselib": (134, None),
    "ustat": (136, None),
    "sysfs": (139, None),
    "_sysctl": (156, None),
    # the machine itself
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "create_module": (174, None),
    "query_module": (178, None),
    "get_kernel_syms": (177, None),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "iopl": (172, None),
    "ioperm": (173, None),
    "syslog": (103, 116),
    "vhangup": (153, 58),
    "acct": (163, 89),
}
LOOKED_AT = {"clone": (56, 220), "clone3": (435, 435), "ioctl": (16, 29), "socketpair": (53, 199), "sendto": (44, 206)}
YOUNGEST_KNOWN = 462  # mseal, of Linux 6.10: the same number on both

# platform.machine(): (position in the table, the kernel's name for it, AUDIT_ARCH_… of linux/audit.h)
MACHINES = {"x86_64": (0, 0xC000003E), "amd64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7), "arm64": (1, 0xC00000B7)}
X32_BIT = 0x4000_0000  # x86-64 kernels take the calls of a third kind of program under numbers with this bit

CLONE_THREAD = 0x0001_0000
CLONE_NEW_NAMESPACES = 0x7E02_0080  # all the CLONE_NEW… flags
TERMINAL_REQUESTS = (0x5412, 0x541C, 0x540E, 0x5423)  # TIOCSTI, TIOCLINUX, TIOCSCTTY, TIOCSETD
AF_UNIX = 1

# linux/filter.h and linux/seccomp.h
LOAD, JUMP_EQUAL, JUMP_MORE, JUMP_AT_LEAST, JUMP_ANY_BIT, RETURN = 0x20, 0x15, 0x25, 0x35, 0x45, 0x06
ALLOW, KILL_PROCESS, ERRNO = 0x7FFF_0000, 0x8000_0000, 0x0005_0000
NUMBER_AT, MACHINE_AT = 0, 4  # offsets in struct seccomp_data

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2


class NoFilter(Exception):
    """This machine or kernel takes no such filter. The text says why."""


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def available():
    """Is there a list of system calls for this kind of processor?"""
    return sys.platform == "linux" and platform.machine().lower() in MACHINES and sys.byteorder == "little"


def install():
    """Put the filter on the calling thread and all that it starts. NoFilter where that is not possible."""
    if not available():
        raise NoFilter(f"there is no system call filter for {sys.platform} on {platform.machine()}")
    instructions = program(platform.machine().lower())
    libc = ctypes.CDLL(None, use_errno=True)
    zero = ctypes.c_ulong(0)
    filter_ = _Program(len(instructions) // 8, instructions)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), zero, zero, zero) or libc.prctl(
        PR_SET_SECCOMP, ctypes.c_ulong(SECCOMP_MODE_FILTER), ctypes.byref(filter_), zero, zero
    ):
        raise NoFilter(f"the kernel refuses a system call filter: {errno.errorcode[ctypes.get_errno()]}")


def program(machine):
    """The filter for one kind of processor ("x86_64", "aarch64"), as the kernel takes it: 8 bytes an instruction."""
    column, audit_name = MACHINES[machine]
    steps = [
        (LOAD, 0, 0, MACHINE_AT),
        (JUMP_EQUAL, 1, 0, audit_name),
        _return(KILL_PROCESS),
        (LOAD, 0, 0, NUMBER_AT),
    ]
    if column == 0:
        steps += [(JUMP_AT_LEAST, 0, 1, X32_BIT), _return(KILL_PROCESS)]
    steps += [(JUMP_MORE, 0, 1, YOUNGEST_KNOWN), _refuse(errno.ENOSYS)]
    for numbers in REFUSED.values():
        if numbers[column] is not None:
            steps += _when_called(numbers[column], [_refuse()])
    for name, then in _conditions().items():
        steps += _when_called(LOOKED_AT[name][column], then)
    steps.append(_return(ALLOW))
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def _conditions():
    """{name: what to do about a call that is allowed with some arguments only}; each list ends with a return."""
    return {
        # Threads, yes. Where there is no clone3, the C library asks for clone, whose flags can be looked at.
        "clone3": [_refuse(errno.ENOSYS)],
        "clone": [
            (LOAD, 0, 0, _argument(0)),
            (JUMP_ANY_BIT, 0, 2, CLONE_THREAD),
            (JUMP_ANY_BIT, 1, 0, CLONE_NEW_NAMESPACES),
            _return(ALLOW),
            _refuse(),
        ],
        "ioctl": [
            (LOAD, 0, 0, _argument(1)),
            *(step for request in TERMINAL_REQUESTS for step in _when_called(request, [_refuse()])),
            _return(ALLOW),
        ],
        "socketpair": [(LOAD, 0, 0, _argument(0)), (JUMP_EQUAL, 1, 0, AF_UNIX), _refuse(), _return(ALLOW)],
        "sendto": [  # only without an address, which is what send() does
            (LOAD, 0, 0, _argument(4)),
            (JUMP_EQUAL, 0, 3, 0),
            (LOAD, 0, 0, _argument(4) + 4),
            (JUMP_EQUAL, 0, 1, 0),
            _return(ALLOW),
            _refuse(),
        ],
    }


def _argument(index):
    """Where the lower half of a call's argument lies in struct seccomp_data."""
    return 16 + 8 * index


def _when_called(number, then):
    """`then`, reached only where what was loaded last equals `number`."""
    return [(JUMP_EQUAL, 0, len(then), number), *then]


def _return(action):
    return RETURN, 0, 0, action


def _refuse(error=errno.EPERM):
    return _return(ERRNO | error)
