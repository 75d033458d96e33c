"""A bar for bytes that arrive."""

import contextlib


@contextlib.contextmanager
def bytes_bar(label, total, shown=True):
    """Gives a function that is told how many bytes came. Draws on standard error, and nothing where total is 0."""
    if not shown or not total:
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task(label, total=total)
        yield lambda count: progress.advance(task, count)
