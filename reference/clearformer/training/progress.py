"""A bar that says how training goes: steps, loss, tokens a second, time left."""

import sys
import time

REDRAW = 0.5  # seconds between two drawings, where nothing but the step is new


def progress_bar(max_steps, max_seconds, shown):
    """A ProgressBar, or where none is to be shown what takes the same calls and needs no tqdm."""
    return ProgressBar(max_steps, max_seconds) if shown else NoBar()


class ProgressBar:
    """tqdm's bar: a widget in a notebook, a line in a terminal. Counts steps, or seconds where only time is limited."""

    def __init__(self, max_steps, max_seconds):
        from tqdm.auto import tqdm  # here, because importing it takes a while, and not every machine has it

        self._max_steps, self._max_seconds = max_steps, max_seconds
        self._drawn = 0.0
        unit = "steps" if max_steps else "s"
        self._bar = tqdm(
            total=max_steps or round(max_seconds),
            dynamic_ncols=True,
            bar_format="{percentage:3.0f}%|{bar}| {n_fmt} of {total_fmt} " + unit + "{postfix}",
        )

    def start_at(self, step, seconds):
        """Where a resumed run goes on: time left is judged by what is done from here."""
        self._first_step, self._first_seconds = step, seconds
        self._place(step, seconds)

    def move_to(self, step, seconds):
        """After each step. Drawn now and then only, and not at all into a file, which `show` is enough for."""
        watched = sys.stderr.isatty() or "ipykernel" in sys.modules
        if watched and time.monotonic() - self._drawn >= REDRAW:
            self._place(step, seconds)

    def show(self, record):
        """record: as in TrainingReport.history."""
        step, seconds = record["step"], record["seconds"]
        says = {"loss": f"{record['loss']:.3f}"}
        if "validation_loss" in record:
            says["validation"] = f"{record['validation_loss']:.3f}"
        says["tokens/s"] = f"{record['tokens_per_second']:,.0f}"
        left = self._seconds_left(step, seconds)
        if left is not None:
            says["left"] = duration(left)
        self._bar.set_postfix(says, refresh=False)
        self._place(step, seconds)

    def close(self):
        self._bar.close()

    def _place(self, step, seconds):
        self._drawn = time.monotonic()
        self._bar.n = step if self._max_steps else min(round(seconds), self._bar.total)
        self._bar.refresh()

    def _seconds_left(self, step, seconds):
        limits = []
        if self._max_steps and step > self._first_step:
            per_step = (seconds - self._first_seconds) / (step - self._first_step)
            limits.append((self._max_steps - step) * per_step)
        if self._max_seconds:
            limits.append(max(0.0, self._max_seconds - seconds))
        return min(limits, default=None)


class NoBar:
    """Nothing to look at."""

    def start_at(self, step, seconds):
        pass

    move_to = start_at

    def show(self, record):
        pass

    def close(self):
        pass


def duration(seconds):
    """ "48 s", "3 min", "2.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
