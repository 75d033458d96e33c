"""What the measurements of speed share: rounds in which everybody takes turns, and what stands beside the figures."""

import os
import platform
import statistics
import sys
import time
from importlib import metadata
from pathlib import Path


def interleaved(calls, rounds, repeats=1, clock=time.perf_counter):
    """Seconds of every call in every round, {name: list}. In each round all take their turn, in changing order.

    calls: {name: function}. Each is called once before, unmeasured; in a round `repeats` times, and the mean counts.
    Whatever else the machine does for a while then slows all of them alike. clock: time.process_time counts what the
    processor spent on this program alone.
    """
    names = list(calls)
    for name in names:
        calls[name]()
    seconds = {name: [] for name in names}
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            began = clock()
            for _ in range(repeats):
                calls[name]()
            seconds[name].append((clock() - began) / repeats)
    return seconds


def spread(values, factor=1.0, digits=2):
    """Median, smallest and largest."""
    return {
        "median": round(factor * statistics.median(values), digits),
        "min": round(factor * min(values), digits),
        "max": round(factor * max(values), digits),
    }


def ratio(ours, theirs):
    """How many times as long as theirs ours takes: the spread of the ratios of the rounds."""
    return spread([mine / other for mine, other in zip(ours, theirs, strict=True)], digits=3)


def surroundings(packages, threads=None):
    """The command, the machine and the versions, to stand beside the figures."""
    found = {
        "command": " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "machine": machine(),
        "versions": {"python": platform.python_version()} | {name: metadata.version(name) for name in packages},
    }
    return found if threads is None else found | {"threads": threads}


def machine():
    processor = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    for line in information.read_text().splitlines() if information.exists() else ():
        if line.startswith("model name"):
            processor = line.partition(":")[2].strip()
            break
    found = {"processor": processor, "cores": os.cpu_count(), "system": platform.platform()}
    if hasattr(os, "sched_getaffinity"):
        found["cores"] = len(os.sched_getaffinity(0))
    return found
