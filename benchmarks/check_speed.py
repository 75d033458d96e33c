"""How long does one `check` take in a live notebook?

    python benchmarks/check_speed.py [--out benchmarks/results/check_speed.json]

Starts one Jupyter kernel for each lesson, makes the imports that its exercise notebook makes, and times `check` on
right answers and on every known wrong answer, in milliseconds of wall-clock time inside the kernel. The first check
of each exercise, which loads its catalogue entry, is counted like any other.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
from importlib import metadata
from pathlib import Path

from jupyter_client.manager import start_new_kernel

from clearformer.checks import catalogue

SETUP = """
import json, time
import numpy as np
{torch}
from clearformer import check
from clearformer.checks import catalogue
from clearformer.checks.feedback import CheckFailed

# Many known wrong answers are written with the reference; without this their check would end at its first call.
catalogue.modules_not_yet_built = lambda lesson: ("clearformer.of_another_lesson",)

def timed(target, name):
    began = time.perf_counter()
    try:
        check(target, name)
    except CheckFailed:
        pass
    return 1000 * (time.perf_counter() - began)
"""

MEASURE = """
first = timed(lambda *arguments: None, {name!r})
exercise = catalogue.find({name!r})
right = exercise.alternatives or (exercise.reference,)
milliseconds = dict(
    first=[first],
    right=[timed(target, {name!r}) for target in right for _ in range({rounds})],
    wrong=[timed(each.implementation, {name!r}) for each in exercise.misconceptions for _ in range({rounds})],
)
print("measured " + json.dumps(milliseconds))
"""


def run(client, code):
    """Run `code` in the kernel and return what it printed. RuntimeError where it fails."""
    printed = []

    def listen(message):
        content = message["content"]
        if message["msg_type"] == "stream":
            printed.append(content["text"])
        if message["msg_type"] == "error":
            raise RuntimeError("\n".join(content["traceback"]))

    client.execute_interactive(code, timeout=300, output_hook=listen)
    return "".join(printed)


def measure_lesson(lesson, rounds):
    """{exercise: {"first", "right", "wrong": milliseconds}} measured in a kernel of its own."""
    needs_torch = any(module.startswith(("clearformer.nn", "clearformer.training")) for module in lesson.builds)
    torch = "import torch" if needs_torch else ""
    manager, client = start_new_kernel()
    try:
        run(client, SETUP.format(torch=torch))
        found = {}
        for name in lesson.exercises:
            text = run(client, MEASURE.format(name=name, rounds=rounds))
            line = next(line for line in text.splitlines() if line.startswith("measured "))
            found[name] = json.loads(line.removeprefix("measured "))
        return found
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def summary(times):
    return {"median_ms": round(statistics.median(times), 1), "max_ms": round(max(times), 1), "checks": len(times)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the figures as JSON, with the machine beside them")
    parser.add_argument("--rounds", type=int, default=3, help="how often each answer is checked")
    options = parser.parse_args()
    os.environ["CLEARFORMER_HOME"] = tempfile.mkdtemp()
    exercises = {}
    for lesson in catalogue.LESSONS:
        for name, kinds in measure_lesson(lesson, options.rounds).items():
            exercises[name] = summary([time for times in kinds.values() for time in times])
            print(f"{name:32} {exercises[name]}", flush=True)
            exercises[name]["all_ms"] = [round(time, 1) for times in kinds.values() for time in times]
    together = summary([time for each in exercises.values() for time in each.pop("all_ms")])
    print(f"{'all':32} {together}")
    if options.out:
        machine = {"processor": platform.machine(), "cores": os.cpu_count(), "system": platform.platform()}
        packages = ("numpy", "torch", "ipykernel")
        versions = {"python": platform.python_version()} | {name: metadata.version(name) for name in packages}
        command = "python benchmarks/check_speed.py"
        report = {"command": command, "machine": machine, "versions": versions, "all": together, "exercises": exercises}
        options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
