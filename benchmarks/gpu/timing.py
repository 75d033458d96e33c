"""Seconds, memory and time limits: what all sections measure with."""

import statistics
import time

from place import is_out_of_memory

DOES_NOT_FIT = "does not fit into the memory"
LONG_ENOUGH = 0.1  # seconds of one timing; shorter calls are repeated
MOST_REPEATS = 20
ENOUGH_ROUNDS = 3


class Budget:
    """The seconds that a section may take. `short` says whether something was left out for want of them."""

    def __init__(self, seconds):
        self._end = time.monotonic() + seconds
        self.short = False

    def left(self):
        return self._end - time.monotonic()

    def allows(self, seconds):
        """Is there time for something that takes this long? If not, the section counts as cut short."""
        if self.left() >= seconds:
            return True
        self.short = True
        return False


def spread(values, digits=3):
    """Median, smallest and largest."""
    found = dict(median=statistics.median(values), min=min(values), max=max(values))
    return {name: round(value, digits) for name, value in found.items()}


def milliseconds(seconds):
    return spread([1000 * each for each in seconds])


def ratio(ones, others):
    """The spread of the ratios of the rounds."""
    return spread([one / other for one, other in zip(ones, others, strict=True)])


def interleaved(calls, place, budget, rounds, warm=2, prepare=None):
    """Seconds of every call in every round, {name: list}. In each round all take their turn, in changing order.

    Before, each is called `warm` times, unmeasured. A call that is over quickly is repeated, and the mean counts. The
    device is waited for before and after, never between. prepare(name) runs before a call's turn, unmeasured. When the
    budget is used up no further round begins; one is always made, and with less than three the section is cut short.
    """
    prepare = prepare or (lambda name: None)
    names, repeats, seconds = list(calls), {}, {name: [] for name in calls}
    for name in names:
        prepare(name)
        repeats[name] = _repeats(calls[name], place, warm)
    for number in range(rounds):
        began = time.monotonic()
        turn = number % max(len(names), 1)
        for name in names[turn:] + names[:turn]:
            prepare(name)
            seconds[name].append(_timed(calls[name], place, repeats[name]))
        if budget.left() < time.monotonic() - began:
            budget.short |= number + 1 < min(rounds, ENOUGH_ROUNDS)
            break
    return seconds


def _repeats(call, place, warm):
    for _ in range(max(warm - 1, 0)):
        call()
    once = _timed(call, place, 1)
    return 1 if place.reduced else min(MOST_REPEATS, max(1, round(LONG_ENOUGH / max(once, 1e-6))))


def _timed(call, place, repeats):
    place.wait()
    began = time.perf_counter()
    for _ in range(repeats):
        call()
    place.wait()
    return (time.perf_counter() - began) / repeats


def attempt(call, place):
    """(what call returns, None), or (None, why not): out of memory, or the last line of another error."""
    try:
        return call(), None
    except Exception as error:
        why = DOES_NOT_FIT if is_out_of_memory(error) else last_line(error)
    place.tidy()  # here: inside of except the error still holds on to its frames, and these to their tensors
    return None, why


def last_line(error):
    """An error as one line, for the report."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"[:300].removesuffix(": ")


def added_peak(call, place):
    """The most bytes that call had allocated above what there was before it."""
    place.wait()
    before = place.allocated()
    place.begin_peak()
    call()
    place.wait()
    return place.most_allocated() - before
