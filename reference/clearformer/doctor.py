"""Look at this machine and this environment: what is fine, what is not, and what to do about it.

Needs only Python to be imported. Packages are tried in a child process, so that one that is missing, broken or
crashes Python is reported like everything else.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from clearformer.lab import CourseNotFound, find_course

FREE_DISK, FREE_MEMORY = 1e9, 1e9  # bytes; under these, lessons begin to fail
PROBE_SECONDS = 120
DONE = "all probed"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: its name, whether it is fine, what was found, what to do if it is not."""

    name: str
    ok: bool
    found: str
    advice: str = ""


def examine():
    """Look at everything; a list of Findings. Takes a few seconds, changes nothing, never raises for what it finds."""
    wanted = _wanted_packages()
    facts = _probe([*wanted, "torch device", "JupyterLab"])
    return [
        _python(),
        *_packages(wanted, facts),
        _device(facts["torch device"]),
        _jupyterlab(facts["JupyterLab"]),
        _lessons(),
        _own_files(),
        _progress_place(),
        _disk(),
        _memory(),
    ]


# --- packages ------------------------------------------------------------------------------------------------


def _python():
    version = ".".join(map(str, sys.version_info[:3]))
    advice = "" if sys.version_info >= (3, 11) else "Install Python 3.11 or newer, then make the environment anew."
    return Finding("Python 3.11+", not advice, f"{version}, {_short(sys.executable)}", advice)


def _wanted_packages():
    """{package: lowest version} of what the lessons need; empty where clearformer itself is not installed."""
    try:
        requirements = metadata.requires("clearformer") or []
    except metadata.PackageNotFoundError:
        return {}
    needed = [text for text in requirements if ";" not in text]  # what stands after a ; is for an extra
    return dict(re.match(r"([\w.-]+)\s*>=\s*([\d.]+)", text).groups() for text in needed)


def _packages(wanted, facts):
    if not wanted:
        return [Finding("clearformer", False, "not installed", "In the course's folder run: make lab")]
    return [_package(name, lowest, facts[name]) for name, lowest in wanted.items()]


def _package(name, lowest, error):
    title = f"{name} {lowest}+"
    try:
        version = metadata.version(name) or "of no known version"
    except metadata.PackageNotFoundError:
        return Finding(title, False, "not installed", _repair(name))
    if _numbers(version) < _numbers(lowest):
        return Finding(title, False, version, _repair(name))
    if error:
        return Finding(title, False, f"{version}, but it does not start: {error}", _repair(name))
    return Finding(title, True, version)


def _numbers(version):
    """2.13.0+cpu as (2, 13, 0), to be compared."""
    return tuple(int(number) for number in re.findall(r"\d+", version.split("+")[0])[:3])


def _repair(name):
    if Path(sys.prefix).name == ".venv":
        return "In the course's folder run: make clean, then make lab"
    return (
        "In the course's folder run: "
        f"{sys.executable} -m pip install --force-reinstall --no-deps --constraint constraints.txt {name}"
    )


def _probe(names):
    """Try each name in a child process. {name: what was reported, or the error in one line, or None for no error}.

    A child that dies or hangs takes the blame for the name it was at; the next child goes on after it.
    """
    facts, rest = {}, list(names)
    while rest:
        command = [sys.executable, "-c", "from clearformer.doctor import _child; _child()", *rest]
        try:
            child = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_SECONDS)
            lines, end = child.stdout.splitlines(), f"Python ended with status {child.returncode}"
        except subprocess.TimeoutExpired as late:
            lines, end = (late.stdout or b"").decode().splitlines(), f"no end after {PROBE_SECONDS} seconds"
        reported = dict(json.loads(line) for line in lines)
        facts.update(reported)
        rest = [name for name in rest if name not in reported]
        if rest:
            facts[rest.pop(0)] = end
    return facts


def _child():
    """In the child: one JSON line [name, report] for each name. What packages print goes to the error stream."""
    reports = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for name in sys.argv[1:]:
        try:
            report = {"torch device": _torch_device, "JupyterLab": _lab_python}.get(name, lambda n=name: _load(n))()
        except BaseException as error:  # also a package that calls exit
            report = f"{type(error).__name__}: {error}".strip().splitlines()[0]
        print(json.dumps([name, report]), file=reports, flush=True)


def _load(name):
    __import__(name.replace("-", "_"))


def _torch_device():
    """{"device", "name"} of the device that lessons use, after a multiplication on it."""
    import torch

    device, name = "cpu", f"{torch.get_num_threads()} threads"
    if torch.cuda.is_available():
        memory = torch.cuda.get_device_properties(0).total_memory / 1e9
        device, name = "cuda", f"{torch.cuda.get_device_name(0)}, {memory:.0f} GB"
    elif torch.backends.mps.is_available():
        device, name = "mps", "Apple GPU"
    product = torch.ones(2, 3, device=device) @ torch.ones(3, 2, device=device)
    if not (product == 3).all():
        raise ArithmeticError(f"a multiplication on {device} came out wrong")
    return {"device": device, "name": name}


def _lab_python():
    """{"python"}: the Python that JupyterLab runs notebooks with."""
    import jupyterlab.labapp  # noqa: F401 - the whole application, not the empty package alone
    from jupyter_client.kernelspec import KernelSpecManager

    return {"python": KernelSpecManager().get_kernel_spec("python3").argv[0]}


def _device(report):
    name = "PyTorch computes"
    if not isinstance(report, dict):
        advice = "Update the GPU's driver, or set CUDA_VISIBLE_DEVICES= to work on the CPU."
        return Finding(name, False, str(report), advice)
    found = f"on the {report['device'].upper()} ({report['name']})"
    if report["device"] == "cpu" and shutil.which("nvidia-smi"):
        found += "; this PyTorch does not reach the NVIDIA GPU. Every lesson runs on the CPU too"
    return Finding(name, True, found)


def _jupyterlab(report):
    name = "JupyterLab starts"
    if not isinstance(report, dict):
        return Finding(name, False, str(report), _repair("jupyterlab"))
    python = report["python"]
    own = {"python", "python3", f"python3.{sys.version_info.minor}", sys.executable}  # Jupyter takes these as its own
    if python not in own:
        advice = f"Run: {sys.executable} -m ipykernel install --sys-prefix"
        return Finding(name, False, f"yes, but its notebooks run with another Python, {python}", advice)
    return Finding(name, True, "yes, and its notebooks run with this Python")


# --- files, disk, memory -------------------------------------------------------------------------------------


def _lessons():
    name = "Notebooks"
    try:
        course = find_course()
    except CourseNotFound as problem:
        return Finding(name, False, "not found", str(problem))
    folders = {folder: sorted((course / folder).glob("*.ipynb")) for folder in ("notebooks", "exercises", "solutions")}
    found = ", ".join(f"{len(paths)} in {folder}/" for folder, paths in folders.items())
    damaged = [str(path.relative_to(course)) for paths in folders.values() for path in paths if not _is_notebook(path)]
    if damaged:
        found, advice = f"not a notebook: {', '.join(damaged)}", "Put back your copy, or run: git restore FILE"
        return Finding(name, False, found, advice)
    complete = all(folders.values())
    return Finding(name, complete, found, "" if complete else "Fetch the whole course again, or run: git restore .")


def _short(path):
    """A path as a person would say it: from the course's folder or from home where it lies in one of them."""
    path = Path(path)
    for place, name in ((Path(__file__).parents[2], ""), (Path.home(), "~")):
        if path.is_relative_to(place):
            return str(Path(name) / path.relative_to(place))
    return str(path)


def _is_notebook(path):
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return content["nbformat"] >= 4 and isinstance(content["cells"], list)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _own_files():
    """What the package brings beside its code: texts, style sheets, small data sets."""
    package = Path(__file__).parent
    files = [path for path in package.rglob("*") if path.is_file() and path.suffix not in {".py", ".pyc"}]
    empty = [str(path.relative_to(package)) for path in files if not path.stat().st_size]
    found = f"{len(files)} files, {sum(path.stat().st_size for path in files) / 1e3:.0f} kB"
    advice = f"These are empty: {', '.join(empty)}. {_repair('clearformer')}" if empty else ""
    return Finding("Built-in data", not empty, found, advice)


def _progress_place():
    """Progress can be read where there is some, and written."""
    name, advice = "Your progress", "Make that place your own, or set CLEARFORMER_HOME to a folder you can write to."
    try:
        from clearformer.checks.progress import progress_path

        path = progress_path()
    except Exception as error:  # the checks need packages that may be missing
        found = f"could not be looked for ({type(error).__name__}: {error})"
        return Finding(name, False, found, _repair("platformdirs"))
    try:
        if path.exists():
            path.read_bytes()
        folder = next(place for place in path.parents if place.exists())  # made when the first exercise is passed
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return Finding(name, False, f"{_short(path)}: {error.strerror}", advice)
    return Finding(name, True, f"kept in {_short(path)}" + ("" if path.exists() else ", nothing yet"))


def _disk():
    free = shutil.disk_usage(Path.cwd()).free
    advice = "" if free >= FREE_DISK else f"Free some space: {FREE_DISK / 1e9:.0f} GB should be free."
    return Finding("Free disk space", not advice, f"{free / 1e9:.1f} GB", advice)


def _memory():
    free = _free_memory()
    if free is None:
        return Finding("Free memory", True, "could not be measured")
    advice = "" if free >= FREE_MEMORY else f"Close other programs: {FREE_MEMORY / 1e9:.0f} GB should be free."
    return Finding("Free memory", not advice, f"{free / 1e9:.1f} GB", advice)


def _free_memory(limits=Path("/sys/fs/cgroup")):
    """Bytes that can still be had, a container's limit included; None where that cannot be found out."""
    try:
        import psutil
    except Exception:  # a damaged package may raise anything
        return None
    free = psutil.virtual_memory().available
    try:
        limit, used = ((limits / name).read_text().strip() for name in ("memory.max", "memory.current"))
        return free if limit == "max" else min(free, int(limit) - int(used))
    except (OSError, ValueError):
        return free


# --- showing it ----------------------------------------------------------------------------------------------


def summary(findings):
    """One sentence: is everything fine?"""
    bad = sum(not finding.ok for finding in findings)
    return f"{bad} of {len(findings)} not fine." if bad else "Everything is fine."


def print_table(findings):
    """Print a table, by rich where that can be had."""
    rows = [(f.name, _state(f), f.found + (f"\nDo this: {f.advice}" if f.advice else "")) for f in findings]
    try:
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table
    except Exception:  # rich is one of the packages that may be missing or broken
        for row in rows:
            print("  ".join(row))
    else:
        table = Table("What", "State", box=SIMPLE_HEAD)
        table.add_column("Found", overflow="fold")
        for row in rows:
            table.add_row(*row)
        Console(markup=False, highlight=False).print(table)
    print(summary(findings))


def _state(finding):
    return "fine" if finding.ok else "NOT FINE"


def print_json(findings):
    """Print {"schema": 1, "ok", "findings": [{"name", "ok", "found", "advice"}]}."""
    ok = all(finding.ok for finding in findings)
    print(json.dumps({"schema": 1, "ok": ok, "findings": [asdict(finding) for finding in findings]}, indent=1))


def show():
    """In a notebook: look at everything and show a table; as text where the table cannot be made."""
    findings = examine()
    try:
        from IPython.display import display

        from clearformer.plots.table import table

        rows = [(f.name, _state(f), f.found, f.advice) for f in findings]
        display(table(rows, ("What", "State", "Found", "What to do"), summary(findings)))
    except Exception:  # the very packages that are looked at may be broken
        print_table(findings)


if __name__ == "__main__":  # for an environment in which the command itself no longer starts
    print_table(examine())
