"""Sections that go wrong, each in its way."""

import os
import signal
import time


def _half(found):
    found.save(rows=[1])


def fails(place, options, budget, found, say):
    _half(found)
    raise ValueError("the kernel\nis not there")


def is_killed(place, options, budget, found, say):
    _half(found)
    os.kill(os.getpid(), signal.SIGKILL)


def hangs(place, options, budget, found, say):
    _half(found)
    time.sleep(600)


def leaves_something_out(place, options, budget, found, say):
    _half(found)
    budget.allows(1e9)


def goes_well(place, options, budget, found, say):
    _half(found)
