"""A notebook that is graded may call check and hint as it likes; nothing comes of it."""

__all__ = ["check", "hint"]


def check(answer=None, name=None):
    """Nothing: the grader asks the answer itself."""


def hint(exercise=None):
    """Nothing."""
