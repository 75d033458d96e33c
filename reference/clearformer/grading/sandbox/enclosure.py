"""What there is for student code: the command line of bubblewrap that a warm process runs under.

Nothing of this machine is visible but what is listed here, and all of it is read-only: the shared libraries, the
Python in use with its packages, and the folder with the course's package for one lesson. The course itself, with its
solutions and tests, is not there, wherever it lies and however it was installed.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import clearformer
from clearformer.grading.inside.confine import SCRATCH

VIEW = "/opt/clearformer"
HOST_NAME = "sandbox"
NOBODY = "65534"

# Shared libraries, fonts, time zones, what the processor can do; each only where this machine has it.
SYSTEM = (
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/libx32",
    "/usr/local/lib",
    "/usr/local/lib64",
    "/nix/store",
    "/gnu/store",
    "/usr/share/fonts",
    "/usr/share/zoneinfo",
    "/etc/ld.so.cache",
    "/etc/alternatives",  # links by which Debian chooses a BLAS
    "/sys/devices/system/cpu",
    "/proc/cpuinfo",  # torch reads it before it multiplies in half precision
)
TOP = ("/lib", "/lib32", "/lib64", "/libx32")  # links into /usr, or folders of their own on older systems
DEVICES = ("null", "zero", "full", "random", "urandom")
PACKAGE_FOLDERS = ("site-packages", "dist-packages")

# For the namespaces and mounts of each submission. A child gives them up before it runs anything.
CAPABILITIES = ("SYS_ADMIN", "SETPCAP")
CAPABILITIES_OF_ROOT = ("SETUID", "SETGID", "KILL")


@dataclass(frozen=True)
class Python:
    """The Python in use, as files. folders: standard library and what it loads; packages: where packages lie, in
    the order of the path."""

    program: Path
    folders: tuple[Path, ...]
    packages: tuple[Path, ...]


def python_here():
    program = Path(getattr(sys, "_base_executable", None) or sys.executable).resolve()
    base = Path(sys.base_prefix).resolve()
    # The whole lib folder: of conda and of Pythons built by hand it holds the shared libraries too.
    folders = [base / "lib", Path(sysconfig.get_path("stdlib")).resolve(), base / "lib64"]
    folders += [Path(sysconfig.get_path("platstdlib", vars={"platbase": sys.base_exec_prefix})).resolve()]
    packages = [Path(entry) for entry in sys.path if Path(entry).name in PACKAGE_FOLDERS and os.path.isdir(entry)]
    kept = [folder for folder in dict.fromkeys(folders) if folder.is_dir()]
    return Python(program, tuple(kept), tuple(dict.fromkeys(packages)))


def course_folder():
    """The folder with notebooks and solutions that the package in use belongs to, or None where it stands alone."""
    package = Path(clearformer.__file__).resolve().parent
    root = package.parents[1]
    return root if package.parent.name == "reference" and (root / "pyproject.toml").is_file() else None


def environment(home):
    """All the environment variables that there are. Threads are one each, because several submissions run at a time."""
    one_thread = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": home,
        "TMPDIR": home,
        "LANG": "C.UTF-8",
        "IPYTHONDIR": f"{home}/ipython",
        "MPLBACKEND": "Agg",
        "MPLCONFIGDIR": f"{home}/matplotlib",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "MALLOC_ARENA_MAX": "2",  # or each thread takes 64 MiB of the address space
        **dict.fromkeys(one_thread, "1"),
    }


def start_of_python(python, view, control, level, home):
    """Arguments for Python: nothing on its path but the standard library, the view and the packages; no .pth file and
    no sitecustomize is run."""
    path = [str(view), *map(str, python.packages)]
    code = (
        f"import sys; sys.path += {path!r}; import site; site.sethelper(); site.setquit(); "
        f"from clearformer.grading.inside import warm; warm.main({control}, {level!r}, {home!r})"
    )
    return [str(python.program), "-s", "-P", "-S", "-c", code]


def command(bubblewrap, view, control, info, block=None, python=None):
    """The whole command line.

    view: folder with the package for the lesson; control: descriptor to the judge; info: descriptor that bubblewrap
    writes the process id to; block: with root, descriptor that it waits at until the users are mapped.
    """
    python = python or python_here()
    return [
        bubblewrap,
        *_namespaces(info, block),
        *_mounts(view, python),
        *(part for name, value in environment(SCRATCH).items() for part in ("--setenv", name, value)),
        "--chdir",
        SCRATCH,
        "--",
        *start_of_python(python, VIEW, control, "full", SCRATCH),
    ]


def _namespaces(info, block):
    apart = [f"--unshare-{kind}" for kind in ("user", "pid", "net", "ipc", "uts", "cgroup-try")]
    capabilities = CAPABILITIES if block is None else CAPABILITIES + CAPABILITIES_OF_ROOT
    # The user inside: with root outside there are two, one to set up, and nobody, who owns nothing on this machine.
    user = ["--uid", NOBODY, "--gid", NOBODY] if block is None else ["--userns-block-fd", str(block)]
    return [
        *apart,
        *user,
        *("--info-fd", str(info)),
        *(part for name in capabilities for part in ("--cap-add", f"CAP_{name}")),
        *("--hostname", HOST_NAME),
        "--as-pid-1",
        "--die-with-parent",
        "--new-session",
        "--clearenv",
    ]


def users_map():
    """What root writes for the namespace's users: 0 to set up, and nobody; 0 alone where there is no nobody."""
    ranges = [list(map(int, line.split())) for line in Path("/proc/self/uid_map").read_text().splitlines()]
    nobody = int(NOBODY)
    has_nobody = any(first <= nobody < first + count for first, _, count in ranges)
    return f"0 0 1\n{NOBODY} {NOBODY} 1\n" if has_nobody else "0 0 1\n"


# --- mounts --------------------------------------------------------------------------------------------------


def _mounts(view, python):
    """In this order: the system, over it nothing where the course lies, over that Python, and the view last."""
    course = course_folder()
    system = [path for path in map(Path, (*SYSTEM, *TOP)) if path.exists() and not path.is_symlink()]
    own = [*python.folders, *python.packages, python.program]
    devices = [Path("/dev", name) for name in DEVICES]
    parts = _folders_to([*system, *own, *devices, Path(VIEW)])
    for path in TOP:
        if os.path.islink(path):
            parts += ["--symlink", os.readlink(path), path]
    for path in system:
        parts += _read_only(path)
    hides_course = course is not None and any(course.is_relative_to(path.resolve()) for path in [*system, *own])
    if hides_course:
        parts += ["--tmpfs", str(course), *_folders_to([path for path in own if path.is_relative_to(course)])]
    for path in own:  # a Python inside the course's folder, in a .venv there, has just been covered with it
        if not any(path.is_relative_to(folder) for folder in system) or _is_inside(path, course):
            parts += _read_only(path)
    for path in _to_be_hidden([*system, *python.folders, *python.packages]):
        parts += _empty(path) if path.is_dir() else _read_only("/dev/null", path)
    for path in devices:
        parts += ["--dev-bind", str(path), str(path)]
    parts += [*_read_only(view, VIEW), "--tmpfs", SCRATCH]
    for path in ("/dev/shm", "/tmp"):
        if not any(each.is_relative_to(path) for each in [*system, *own]):  # unless Python itself lies there
            parts += ["--symlink", SCRATCH, path]
    ends = ["--remount-ro", str(course)] if hides_course else []
    return [*parts, *ends, "--remount-ro", "/"]


def _folders_to(paths):
    """The folders above these, open to everybody: bubblewrap would make them for one user alone."""
    above = {folder for path in paths for folder in path.parents if folder != Path("/")}
    return [part for folder in sorted(above) for part in ("--perms", "0755", "--dir", str(folder))]


def _read_only(source, target=None):
    return ["--ro-bind", str(source), str(target or source)]


def _empty(folder):
    return ["--tmpfs", str(folder), "--remount-ro", str(folder)]


def _is_inside(path, folder):
    return folder is not None and Path(path).resolve().is_relative_to(folder)


def _to_be_hidden(folders):
    """The course's package as far as it is installed in any of the package folders that can be seen."""
    libraries = [path for folder in folders for kind in PACKAGE_FOLDERS for path in folder.glob(f"python*/{kind}")]
    own = [folder for folder in folders if folder.name in PACKAGE_FOLDERS]
    inner = [folder / kind for folder in folders for kind in PACKAGE_FOLDERS]
    found = {
        path
        for folder in dict.fromkeys([*libraries, *own, *inner])
        for pattern in ("clearformer*", "_*clearformer*")
        for path in folder.glob(pattern)
    }
    return sorted(path for path in found if not path.is_symlink())
