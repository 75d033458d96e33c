"""A bar for sentences that are being translated."""

import contextlib


@contextlib.contextmanager
def sentences_bar(total, shown=True):
    """Gives a function that is told how many sentences are done. Draws on standard error."""
    if not shown:
        yield lambda count: None
        return
    from tqdm.auto import tqdm

    with tqdm(total=total, unit=" sentences", desc="Translating", leave=False, dynamic_ncols=True) as bar:
        yield bar.update
