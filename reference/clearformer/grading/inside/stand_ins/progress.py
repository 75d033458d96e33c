"""Nobody's progress is kept here."""


def show(lesson=None):
    """Nothing."""


def record(*exercises):
    """Nothing; "" says that nothing went wrong."""
    return ""
