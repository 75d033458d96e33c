"""How fast is a class graded? Beside nbgrader, from a cold start, and a thousand submissions at once.

    python benchmarks/grading_speed.py [--out benchmarks/results/grading_speed.json] [--quick]

Lesson 02 with all its exercises, in the full sandbox. In each round come, one after the other:

warm      seconds for one of 8 submissions where the judges run already; imports and first loading are over. As
          `clearformer grade` does it, one judge for each core, and again with a single judge
nbgrader  `nbgrader autograde` over the same 8 in a course of its own, its time divided by 8; and over 1, from which
          follows what each further submission takes and what the start takes
cold      from the start of `clearformer grade` with one notebook to the first record in its journal

once with right answers and once with a mixed class: right, wrong in ways of the catalogue, not answered. Then, once:

class     1,000 different submissions, mixed, with --jobs 2: time to the last report, and memory of all its processes:
          RSS counts a page for each process that shares it, PSS counts it once
same      one mixed class with 1, 2 and 4 jobs, twice with 2, and on a Dask cluster of two workers: report.json, without
          its seconds, has to be the same byte for byte

Medians over the rounds. --quick measures little, to see that this script runs.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from classroom import LESSON, ROOT, names, write_class
from nbgrader_course import NbgraderCourse
from process_tree import MemoryOfTree

from clearformer.grading.classroom.pool import Pool
from clearformer.grading.classroom.settings import Settings
from clearformer.grading.classroom.submissions import find

WARM_UP = 16  # submissions for each judge before the clock starts: the second judge takes a second to start


@dataclass(frozen=True)
class Sizes:
    rounds: int
    side_by_side: int  # submissions graded here and by nbgrader
    cold: int  # starts in each round
    whole_class: int
    same: int
    jobs: tuple
    kinds: tuple = ("right", "mixed")


FULL = Sizes(rounds=3, side_by_side=8, cold=2, whole_class=1000, same=24, jobs=(1, 2, 4, 2))
QUICK = Sizes(rounds=1, side_by_side=2, cold=1, whole_class=8, same=4, jobs=(1, 2), kinds=("right",))


# --- clearformer --------------------------------------------------------------------------------------------


def command(submissions, out, *options):
    return [sys.executable, "-m", "clearformer.cli", "grade", str(submissions), "--out", str(out), *options]


def grade(submissions, out, *options):
    """Run `clearformer grade` to its end. RuntimeError where not everything was graded."""
    done = subprocess.run(command(submissions, out, *options), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"clearformer grade ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def warm_seconds(warm_up, submissions, jobs):
    """Seconds for each of these with `jobs` judges at work, their number taken together, and {student: points}."""
    with Pool(Settings(), jobs) as pool:
        list(pool.grade(warm_up))
        began = time.perf_counter()
        points = {record["student"]: record["points"] for record in pool.grade(submissions)}
        return (time.perf_counter() - began) / len(submissions), points


def cold_seconds(notebook, out):
    """From the start of the command to the first record on disk."""
    journal = out / "results.jsonl"
    began = time.perf_counter()
    with subprocess.Popen(command(notebook, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            if journal.exists() and journal.read_bytes().count(b"\n") >= 2:  # its heading, and a record
                seconds = time.perf_counter() - began
                process.wait()
                return seconds
            time.sleep(0.002)
    raise RuntimeError(f"clearformer grade ended with {process.returncode} and left no record")


# --- side by side -------------------------------------------------------------------------------------------


def side_by_side(folder, sizes):
    """{kind: {"warm", "nbgrader", "nbgrader_alone": seconds in each round, "same_points"}} and all cold starts."""
    cores = len(os.sched_getaffinity(0))
    write_class(folder / "warm_up", [f"early{number}" for number in range(WARM_UP * cores)], mixed=True, seed=1)
    warm_up = find(folder / "warm_up")
    courses, measured = {}, {}
    for kind in sizes.kinds:
        course = folder / f"nbgrader_{kind}"
        course.mkdir()
        courses[kind] = NbgraderCourse(course, ROOT / "solutions" / f"{LESSON}.ipynb")
        write_class(courses[kind].submitted, names(sizes.side_by_side), mixed=kind == "mixed", seed=2)
        measured[kind] = {"warm": [], "one_judge": [], "nbgrader": [], "nbgrader_alone": []}
    cold = []
    for number in range(sizes.rounds):
        for kind, course in courses.items():
            submissions, found = find(course.folder), measured[kind]
            alone = submissions[0]
            found["nbgrader_alone"].append(course.autograde(alone.student))
            cold += [cold_seconds(alone.file, folder / f"cold_{kind}{number}.{each}") for each in range(sizes.cold)]
            found["nbgrader"].append(course.autograde())
            seconds, points = warm_seconds(warm_up, submissions, cores)
            found["warm"].append(seconds)
            found["one_judge"].append(warm_seconds(warm_up, submissions, 1)[0])
            theirs = course.scores()
            found["same_points"] = sum(points[student] == theirs[student] for student in theirs)
            say(f"round {number + 1}, {kind}: warm {1000 * seconds:.0f} ms, nbgrader {found['nbgrader'][-1]:.1f} s")
    return measured, cold


# --- at scale -----------------------------------------------------------------------------------------------


def whole_class(folder, sizes):
    """Seconds, and bytes at the peak, of grading a class with two jobs."""
    write_class(folder / "class", names(sizes.whole_class), mixed=True, seed=3)
    began = time.perf_counter()
    process = subprocess.Popen(
        command(folder / "class", folder / "class_report", "--jobs", "2"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with MemoryOfTree(process.pid) as memory:
        status = process.wait()
    seconds = time.perf_counter() - began
    notebooks = json.loads((folder / "class_report" / "report.json").read_text(encoding="utf-8"))["notebooks"]
    graded = sum("error" not in notebook for notebook in notebooks)
    if status or graded != sizes.whole_class:
        raise RuntimeError(f"clearformer grade ended with {status}, {graded} of {sizes.whole_class} are graded")
    say(f"{graded} submissions: {seconds:.1f} s")
    return {
        "submissions": graded,
        "seconds": seconds,
        "peak_rss_bytes": memory.peak_rss,
        "peak_pss_bytes": memory.peak_pss,
        "peak_processes": memory.peak_processes,
    }


def without_seconds(report):
    """The bytes of a report.json with every time in it made 0."""
    text, times = re.subn(rb'("seconds": )[0-9.e+-]+', rb"\g<1>0", report.read_bytes())
    if not times:
        raise RuntimeError(f"{report} holds no seconds")
    return text


def same_verdicts(folder, sizes):
    """{how it was graded: is report.json the same as the first one's?}"""
    from distributed import LocalCluster

    write_class(folder / "same", names(sizes.same), mixed=True, seed=4)
    runs = {f"{jobs} jobs, run {number}": ("--jobs", str(jobs)) for number, jobs in enumerate(sizes.jobs, 1)}
    with LocalCluster(2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster:
        runs["Dask"] = ("--scheduler", cluster.scheduler_address)
        reports = {}
        for number, (name, options) in enumerate(runs.items()):
            out = folder / f"same_report{number}"
            grade(folder / "same", out, *options)
            reports[name] = without_seconds(out / "report.json")
    first = next(iter(reports.values()))
    return {name: report == first for name, report in reports.items()}


# --- the result ---------------------------------------------------------------------------------------------


def machine():
    processor = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            processor = line.partition(":")[2].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": processor,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(memory / 1e9, 1),
        "system": platform.platform(),
    }


def versions():
    packages = ("clearformer", "numpy", "torch", "ipython", "nbgrader", "distributed")
    bubblewrap = subprocess.run(["bwrap", "--version"], capture_output=True, text=True).stdout.split()
    found = {name: metadata.version(name) for name in packages}
    return {"python": platform.python_version(), "bubblewrap": bubblewrap[-1]} | found


def spread(times, factor=1.0, digits=3):
    return {
        "median": round(factor * statistics.median(times), digits),
        "min": round(factor * min(times), digits),
        "max": round(factor * max(times), digits),
        "number": len(times),
    }


def compared(found, submissions):
    """The figures of one kind of answers."""
    each = [seconds / submissions for seconds in found["nbgrader"]]
    pairs = list(zip(found["nbgrader"], found["nbgrader_alone"], strict=True))
    further = [(all_of_them - alone) / (submissions - 1) for all_of_them, alone in pairs]
    start = [alone - more for (_, alone), more in zip(pairs, further, strict=True)]
    warm = statistics.median(found["warm"])
    return {
        "warm_ms": spread(found["warm"], 1000, 1),
        "warm_one_judge_ms": spread(found["one_judge"], 1000, 1),
        "nbgrader_ms": spread(each, 1000, 0),
        "nbgrader_each_further_ms": spread(further, 1000, 0),
        "nbgrader_start_ms": spread(start, 1000, 0),
        "times_faster": round(statistics.median(each) / warm, 1),
        "times_faster_one_judge": round(statistics.median(each) / statistics.median(found["one_judge"]), 1),
        "times_faster_without_start": round(statistics.median(further) / warm, 1),
        "same_points_as_nbgrader": f"{found['same_points']} of {submissions}",
    }


def rows(report):
    """(what, figure, target, is it met: None where there is no target)"""
    for kind, found in report["side_by_side"].items():
        faster = found["times_faster"]
        yield f"{kind}: warm, one submission", f"{found['warm_ms']['median']:.0f} ms", "", None
        yield f"{kind}: warm, with one judge", f"{found['warm_one_judge_ms']['median']:.0f} ms", "", None
        yield f"{kind}: nbgrader, one submission", f"{found['nbgrader_ms']['median']:.0f} ms", "", None
        yield f"{kind}: its start, over all", f"{found['nbgrader_start_ms']['median']:.0f} ms", "", None
        yield f"{kind}: times faster than nbgrader", f"{faster:.1f}", ">= 50", faster >= 50
        yield f"{kind}: the same, with one judge", f"{found['times_faster_one_judge']:.1f}", "", None
        yield f"{kind}: its start left out", f"{found['times_faster_without_start']:.1f}", "", None
        yield f"{kind}: same points as nbgrader", found["same_points_as_nbgrader"], "", None
    cold, at_scale = report["cold_s"]["median"], report["class"]
    yield "cold: to the first record", f"{cold:.2f} s", "<= 1.5 s", cold <= 1.5
    seconds, rss, pss = at_scale["seconds"], at_scale["peak_rss_bytes"] / 1e9, at_scale["peak_pss_bytes"] / 1e9
    yield f"class: {at_scale['submissions']} submissions", f"{seconds:.1f} s", "<= 90 s", seconds <= 90
    yield "class: peak memory, RSS", f"{rss:.2f} GB", "<= 1.5 GB", rss <= 1.5
    yield "class: peak memory, PSS", f"{pss:.2f} GB", "", None
    same = report["same_verdicts"]
    yield "same: reports equal to the first", f"{sum(same.values())} of {len(same)}", "all", all(same.values())


def table(report):
    words = {True: "met", False: "MISSED", None: ""}
    return "\n".join(f"{what:36} {figure:>10}  {target:10} {words[met]}" for what, figure, target, met in rows(report))


def say(text):
    print(text, file=sys.stderr, flush=True)


def measure(sizes):
    with tempfile.TemporaryDirectory(prefix="clearformer-bench-") as temporary:
        folder = Path(temporary)
        measured, cold = side_by_side(folder, sizes)
        return {
            "command": " ".join(["python", "benchmarks/grading_speed.py", *sys.argv[1:]]),
            "machine": machine(),
            "versions": versions(),
            "rounds": sizes.rounds,
            "submissions_side_by_side": sizes.side_by_side,
            "side_by_side": {kind: compared(found, sizes.side_by_side) for kind, found in measured.items()},
            "cold_s": spread(cold),
            "class": whole_class(folder, sizes),
            "same_verdicts": same_verdicts(folder, sizes),
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the figures as JSON, with the machine beside them")
    parser.add_argument("--quick", action="store_true", help="measure little; the targets then mean nothing")
    options = parser.parse_args()
    report = measure(QUICK if options.quick else FULL)
    print(table(report))
    if options.out:
        report["targets"] = {f"{what} {target}": met for what, _, target, met in rows(report) if met is not None}
        options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
