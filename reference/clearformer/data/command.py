"""`clearformer data`: get data that does not come with the course."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Get data that does not come with the course.", no_args_is_help=True)


@app.callback()
def data():
    """Get data that does not come with the course."""


@app.command()
def multi30k(
    source: Annotated[
        Path | None, typer.Option("--from", metavar="FOLDER", help="Take a copy that you have.", show_default=False)
    ] = None,
    into: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where to keep it.", show_default="your data folder")
    ] = None,
):
    """Multi30k: 31,014 captions in English and German with three test sets, for research and education.

    Downloads 5.7 MB from the data set's own repository. What is there already
    is kept, what was cut off goes on. Each file is checked by its SHA-256.
    With --from, or where the variable CLEARFORMER_DATA names a folder, the
    files are taken from there, checked in the same way.

    Example: clearformer data multi30k

    Exit status: 0, the data is there and right; 2, it is not.
    """
    from clearformer.data import multi30k as dataset
    from clearformer.data.download import DataError
    from clearformer.data.folder import copy_folder

    source = source or copy_folder()
    try:
        folder = dataset.take(source, into) if source else dataset.download(into)
    except DataError as problem:
        typer.echo(str(problem), err=True)
        raise typer.Exit(2) from None
    typer.echo(f"Multi30k is in {folder}: {len(dataset.FILES)} files, each as it should be.")
