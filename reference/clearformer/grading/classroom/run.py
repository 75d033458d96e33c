"""`clearformer grade`, without the reading of options."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import threading
from dataclasses import dataclass, field
from pathlib import Path

from clearformer.grading.classroom.pool import GRADER, Pool, PoolFailed
from clearformer.grading.classroom.settings import Settings
from clearformer.grading.classroom.submissions import NoSubmissions, find
from clearformer.grading.classroom.summary import number, print_summary
from clearformer.grading.report import console, plain

ALL_GRADED, NOT_ALL_GRADED = 0, 2


class _Refused(Exception):
    """What was asked for makes no sense. The text says why."""


class _Stopped(KeyboardInterrupt):
    """Somebody wants this to end. number: the signal's."""

    def __init__(self, number):
        self.number = number


@dataclass
class _Outcome:
    """How far a run came. records: what is finished; of: how many submissions there are; problem: why it could not
    go on, or ""; status: the exit status where it was stopped, or 0."""

    records: list = field(default_factory=list)
    of: int = 0
    problem: str = ""
    status: int = 0


def grade(root, out, jobs=None, deadline=10.0, scheduler=None, resume=False, sandbox="full", grader=GRADER):
    """Grade the submissions in `root` and write the reports into the folder `out`; returns the exit status.

    jobs: processes, by default one for each processor; deadline: seconds for each cell and each check; scheduler:
    address of a Dask cluster to be used instead; resume: go on with what `out` holds; sandbox: "full" or "none".
    0: all were graded; 2: some could not be, or none; 130: stopped by Ctrl-C. Results that are finished are kept.
    """
    settings, out = Settings(sandbox, deadline), Path(out)
    outcome = _Outcome()
    try:
        with _stoppable():
            _grade(Path(root), out, settings, _Means(jobs or _processors(), scheduler, grader), resume, outcome)
    except _Stopped as stop:
        outcome.status = 128 + stop.number
    again = _command(root, out, jobs, deadline, scheduler, sandbox)
    return _report(outcome, out, settings, again)


@contextlib.contextmanager
def _stoppable():
    """Ctrl-C, and the SIGTERM of a machine that shuts down, end the block. A second one does not disturb tidying up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number, frame):
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        raise _Stopped(number)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before = {number: handler for number, handler in before.items() if handler != signal.SIG_IGN}  # nohup and its like
    try:
        for number in before:
            signal.signal(number, stop)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass(frozen=True)
class _Means:
    """What grades: `jobs` processes here, or the Dask cluster of a scheduler."""

    jobs: int
    scheduler: str | None
    grader: str

    @contextlib.contextmanager
    def ready(self, settings):
        """Yields a function (submissions, on_start) -> iterator of records."""
        if self.scheduler:
            from clearformer.grading.classroom import cluster

            yield lambda submissions, on_start: cluster.grade_all(
                submissions, settings, self.scheduler, self.grader, on_start
            )
        else:
            with Pool(settings, self.jobs, self.grader) as pool:  # a first process starts now, while we look around
                yield pool.grade

    def __str__(self):
        if self.scheduler:
            return f"on {self.scheduler}"
        return f"with {self.jobs} processes" if self.jobs > 1 else "with one process"


def _grade(root, out, settings, means, resume, outcome):
    """Grade what is not graded yet; `outcome` is filled in as it goes."""
    # Imported here, while the first judge starts.
    from clearformer.grading.classroom.journal import Journal, JournalFailed, JournalRefused, still_good
    from clearformer.grading.classroom.progress_bar import shown_progress

    try:
        with contextlib.ExitStack() as stack:
            records_of = stack.enter_context(means.ready(settings))
            submissions = find(root)
            _refuse_inside(root, out)
            journal = stack.enter_context(Journal(out, settings, resume))
            outcome.records, outcome.of = still_good(journal.kept.records, submissions), len(submissions)
            done = {(record["student"], record["path"]) for record in outcome.records}
            rest = [each for each in submissions if (each.student, each.path) not in done]
            progress = stack.enter_context(shown_progress(len(rest), _beginning(rest, outcome, journal.kept, means)))
            for record in stack.enter_context(contextlib.closing(records_of(rest, progress.begin))):
                journal.add(record)
                outcome.records.append(record)
                progress.finish(record)
    except (NoSubmissions, JournalRefused, JournalFailed, PoolFailed, _Refused) as problem:
        outcome.problem = str(problem)


def _refuse_inside(root, out):
    if root.is_dir() and out.resolve().is_relative_to(root.resolve()):
        raise _Refused(
            "The reports cannot lie among the submissions, where they would be graded: choose another --out."
        )


def _beginning(rest, outcome, kept, means):
    """Sentences to begin with."""
    kept_words = f"{len(outcome.records)} of {outcome.of} submissions are graded already. " if outcome.records else ""
    outdated = f"{kept.outdated} were graded with another deadline or version, and are graded anew. "
    damaged = f"{kept.damaged} lines of the results could not be read and are left out. "
    return (
        kept_words
        + (outdated if kept.outdated else "")
        + (damaged if kept.damaged else "")
        + (f"Grading {number(len(rest), 'submission')} {means}." if rest else "")
    )


def _processors():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _command(root, out, jobs, deadline, scheduler, sandbox):
    """The command that goes on with this run."""
    options = {"--jobs": jobs, "--scheduler": scheduler}
    options |= {"--deadline": f"{deadline:g}" if deadline != 10 else None}
    options |= {"--sandbox": sandbox if sandbox != "full" else None}
    given = [word for option, value in options.items() if value is not None for word in (option, str(value))]
    return shlex.join(["clearformer", "grade", str(root), "--out", str(out), *given, "--resume"])


# --- the end -------------------------------------------------------------------------------------------------


def _report(outcome, out, settings, again):
    """Write the reports on what is finished, say how it went, and return the exit status."""
    outcome.records.sort(key=lambda record: (record["student"], record["path"]))
    if outcome.records:
        print_summary(outcome.records, outcome.of, console())
        _write(outcome, out, settings)
    for line in _last_words(outcome, again):
        console(error=True).print(plain(line), soft_wrap=True)
    not_all = outcome.problem or any(record.get("error") for record in outcome.records)
    return outcome.status or (NOT_ALL_GRADED if not_all else ALL_GRADED)


def _write(outcome, out, settings):
    from clearformer.grading.classroom.documents import write_reports  # takes a while

    try:
        write_reports(outcome.records, out, _sandbox(settings.level))
    except OSError as error:
        outcome.problem += f"\nThe reports could not be written to {out} ({error.strerror or error})."
    except KeyboardInterrupt:
        outcome.problem += f"\nThe reports in {out} were not finished."
        outcome.status = outcome.status or 128 + signal.SIGINT
    else:
        to_read = f"For people: {out / 'index.html'}. For programs: report.json, report.csv and more beside it."
        console().print(plain(to_read), soft_wrap=True)


def _sandbox(level):
    """What the reports say of the sandbox: its level, and which layers were seen to be active on this machine."""
    from clearformer.grading.sandbox import layers, warm_process

    try:
        active = [layer.name for layer in warm_process.examine(level) if layer.active]
    except (layers.SandboxRefused, warm_process.WarmFailed):  # the workers of a cluster may have what is lacking here
        active = []
    return {"level": level, "layers": active}


def _last_words(outcome, again):
    if outcome.problem:
        yield outcome.problem.strip()
    if outcome.status and not outcome.of:
        yield "Stopped before anything was graded."
    elif outcome.of and (outcome.status or outcome.problem):
        yield f"{len(outcome.records)} of {number(outcome.of, 'submission')} graded and kept. To go on:\n  {again}"
