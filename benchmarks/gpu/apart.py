"""Each section in a process of its own: neither an error, a crash, nor a section that hangs reaches the others."""

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

import report
from timing import Budget, last_line

GRACE = 15  # seconds beyond its budget, after which a section is stopped


def run_apart(name, function, options, seconds, began):
    """What the section found, with status, seconds and, unless all is well, why.

    function(place, options, budget, found, say) fills found, a dict that may be saved half-way; `say` prints a line.
    It is given `seconds`, and stopped a little later. began: when the whole run did.
    """
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "found.json"
        process = _context().Process(target=_child, args=(name, function, options, seconds, path, began))
        process.start()
        try:
            process.join(seconds + GRACE)
            found = report.read(path) or {}
            if process.is_alive() and "status" not in found:
                found |= {"status": "cut short", "why": f"it was stopped after {seconds + GRACE:.0f} s"}
            elif "status" not in found:
                found |= {"status": "failed", "why": f"its process ended by itself, with exit code {process.exitcode}"}
        finally:
            _end(process)
    return found | {"seconds": round(time.monotonic() - started, 1)}


def ask_apart(function, *arguments):
    """What function returns, when called in a process of its own. None where it failed, or took over two minutes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answer.json"
        process = _context().Process(target=_answer, args=(function, arguments, path))
        process.start()
        try:
            process.join(120)
        finally:
            _end(process)
        return report.read(path)


def sayer(name, began):
    """A function that prints a line with the seconds since `began` in front."""

    def say(line):
        print(f"[{time.time() - began:5.0f} s] {name}: {line}", flush=True)

    return say


def _context():
    """fork, where it is there: the child has torch already. The parent must not have touched CUDA."""
    methods = multiprocessing.get_all_start_methods()
    return multiprocessing.get_context("fork" if "fork" in methods else "spawn")


def _child(name, function, options, seconds, path, began):
    _be_a_group()
    budget, found, say = Budget(seconds), report.Found(path), sayer(name, began)
    try:
        from place import Place

        function(Place(options.reduced), options, budget, found, say)
        status = "cut short" if budget.short else "done"
        found.save(status=status, **({"why": f"{seconds:.0f} s were too short for all of it"} if budget.short else {}))
    except Exception as error:
        traceback.print_exc()
        say(f"FAILED: {last_line(error)}")
        found.save(status="failed", why=last_line(error))
    # Not by way of Python's own end, which may wait for threads that libraries have started.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _answer(function, arguments, path):
    _be_a_group()
    report.write(path, function(*arguments))


def _be_a_group():
    """Whatever this process starts (torch.compile's helpers) can be ended with it, and all ends with the parent."""
    if hasattr(os, "setpgrp"):
        os.setpgrp()
    threading.Thread(target=_end_with_parent, args=(multiprocessing.parent_process(),), daemon=True).start()


def _end_with_parent(parent):
    multiprocessing.connection.wait([parent.sentinel])
    if hasattr(os, "killpg"):
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


def _end(process):
    """End it and all of its group."""
    if hasattr(os, "killpg") and process.pid:
        with contextlib.suppress(OSError):  # all gone already
            os.killpg(process.pid, signal.SIGKILL)
    if process.is_alive():
        process.kill()
    process.join(10)  # a GPU's driver may hold it a little longer
