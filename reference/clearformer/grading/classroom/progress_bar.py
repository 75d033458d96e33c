"""How far a run is: a bar in a terminal, a line now and then elsewhere, both on the standard error."""

from __future__ import annotations

import contextlib
import time

from clearformer.grading.report import console, plain

LINE_SECONDS = 10  # between lines where there is no terminal
NAME_WIDTH = 24  # characters of a student's name


@contextlib.contextmanager
def shown_progress(total, beginning):
    """Yields an object with begin(submission) and finish(record). beginning: a sentence to start with, or ""."""
    to = console(error=True)
    if beginning:
        to.print(plain(beginning), soft_wrap=True)
    if not to.is_terminal:
        yield _Lines(total, to)
        return
    with _bar(to) as bar:
        yield _Bar(bar, total)


def rate_and_time_left(done, total, seconds):
    """ "3.1 a second, 5 minutes left", of what was done in so many seconds."""
    rate = done / seconds if seconds > 0 else 0
    if not rate:
        return ""
    rated = f"{rate:.1f} a second" if rate >= 1 else f"{rate * 60:.1f} a minute"
    return f"{rated}, {_duration((total - done) / rate)} left" if done < total else rated


def _duration(seconds):
    for length, name in ((3600, "hour"), (60, "minute")):
        if seconds >= 2 * length:
            return f"{round(seconds / length)} {name}s"
    return f"{round(seconds)} seconds"


class _Lines:
    def __init__(self, total, to):
        self._total, self._to, self._done = total, to, 0
        self._began = self._said = time.monotonic()

    def begin(self, submission):
        pass

    def finish(self, record):
        self._done += 1
        now = time.monotonic()
        if now > self._said + LINE_SECONDS:
            self._said = now
            how_fast = rate_and_time_left(self._done, self._total, now - self._began)
            self._to.print(f"{self._done} of {self._total} graded, {how_fast}", soft_wrap=True)


class _Bar:
    def __init__(self, bar, total):
        self._bar, self._total, self._done, self._began, self._in_hand = bar, total, 0, time.monotonic(), {}
        self._task = bar.add_task("", total=total, says="", who="")

    def begin(self, submission):
        self._in_hand[submission.student, submission.path] = _short(submission.student)
        self._update()

    def finish(self, record):
        self._in_hand.pop((record["student"], record["path"]), None)
        self._done += 1
        self._update()

    def _update(self):
        how_fast = rate_and_time_left(self._done, self._total, time.monotonic() - self._began)
        who = ", ".join(self._in_hand.values())
        self._bar.update(self._task, completed=self._done, says=how_fast, who=who)


def _bar(to):
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.table import Column

    says = TextColumn("{task.fields[says]}", markup=False, table_column=Column(no_wrap=True))
    who = TextColumn(
        "{task.fields[who]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)
    )
    columns = BarColumn(bar_width=24), MofNCompleteColumn(" of "), says, who
    return Progress(*columns, console=to, transient=True, expand=True, refresh_per_second=5)


def _short(student):
    return student if len(student) <= NAME_WIDTH else student[: NAME_WIDTH - 1] + "…"
