"""This module is built in the exercise's lesson or in a later one: write what you need of it yourself."""

from clearformer.checks.guard import NotYet


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return NotYet(f"{__name__}.{name}")
