"""Run notebooks from start to end and keep them in one normal form.

python -m clearformer.authoring.refresh notebooks solutions/02_attention.ipynb
python -m clearformer.authoring.refresh --no-run exercises     normalise only
python -m clearformer.authoring.refresh --check notebooks      change nothing; exit 1 where a file is not normal
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from clearformer.authoring.notebook import (
    NotebookProblem,
    label,
    meant_to_fail,
    normalise,
    read,
    text_of,
    write,
)

CELL_SECONDS = 120
USUAL_HOME = "~/.local/share/clearformer"  # on Linux


def notebooks_in(paths):
    """The notebooks that the paths name, folders with all that lies in them; NotebookProblem where there is none."""
    found = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(path.rglob("*.ipynb"))
            found += [file for file in inside if ".ipynb_checkpoints" not in file.parts]
        elif path.exists():
            found.append(path)
        else:
            raise NotebookProblem(f"{path}: there is no such file or folder")
    return found


def run(notebook, path, seconds=CELL_SECONDS, keep_going=False):
    """Run every code cell in a new kernel of this environment, in the notebook's folder, and keep the outputs.

    NotebookProblem where a cell fails that is not tagged raises-exception, one that is tagged does not fail
    (with keep_going neither stops the run), or one takes longer than `seconds`.
    """
    client = _client(notebook, path, seconds)
    client.allow_errors = keep_going
    with tempfile.TemporaryDirectory(prefix="clearformer-") as home:
        # No progress into the author's data directory, no start-up files out of the author's profile.
        here = {"CLEARFORMER_HOME": home, "IPYTHONDIR": str(Path(home, "ipython"))}
        with client.setup_kernel(env=os.environ | here):
            for index, cell in enumerate(notebook.cells):
                if cell.cell_type == "code":
                    _run_cell(client, cell, index, path)
                    _name_the_usual_home(cell, home)


def _name_the_usual_home(cell, home):
    """Where the scratch directory is printed, write the place that a reader's progress is really kept in."""
    for output in cell.outputs:
        for kind, text in output.get("data", {}).items():
            if isinstance(text, str):
                output["data"][kind] = text.replace(home, USUAL_HOME)


def _client(notebook, path, seconds):
    try:
        from jupyter_client.kernelspec import KernelSpecManager
        from nbclient import NotebookClient
    except ImportError:
        raise NotebookProblem("Running notebooks needs nbclient: pip install nbclient") from None
    client = NotebookClient(
        notebook,
        timeout=seconds,
        kernel_name="python3",
        resources={"metadata": {"path": str(Path(path).resolve().parent)}},
        store_widget_state=False,
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
    )
    # Without folders to look in, "python3" is this interpreter and not what the author has installed.
    client.create_kernel_manager().kernel_spec_manager = KernelSpecManager(kernel_dirs=[])
    return client


def _run_cell(client, cell, index, path):
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    where = f"{path}, {label(index + 1, cell)}"
    try:
        client.execute_cell(cell, index)
    except CellTimeoutError:
        raise NotebookProblem(f"{where}: took longer than {client.timeout} s") from None
    except DeadKernelError:
        raise NotebookProblem(f"{where}: the kernel died") from None
    except CellExecutionError as error:
        if not meant_to_fail(cell):
            raise NotebookProblem(f"{where}: {error.ename}: {error.evalue}") from None
    failed = any(output.output_type == "error" for output in cell.outputs)
    if meant_to_fail(cell) and not failed and not client.allow_errors:
        raise NotebookProblem(f"{where}: tagged as meant to fail, but it did not")


def refreshed(path, execute=True):
    """The text that the file should hold."""
    notebook = read(path)
    if execute:
        run(notebook, path)
    return text_of(normalise(notebook, path), path)


def refresh(path, execute=True):
    """Run (where `execute`) and normalise one file; the file stays as it was where that fails."""
    text = refreshed(path, execute)
    if text.encode() != Path(path).read_bytes():
        write(text, path)


def is_normal(path):
    return refreshed(path, execute=False).encode() == Path(path).read_bytes()


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="refresh", description=__doc__.split("\n")[0])
    parser.add_argument("paths", nargs="+", metavar="PATH", help="notebooks, or folders of them")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--check", action="store_true", help="change nothing; exit 1 where a file is not normal")
    how.add_argument("--no-run", action="store_true", help="normalise, but do not run")
    options = parser.parse_args(arguments)
    try:
        paths = notebooks_in(options.paths)
    except NotebookProblem as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0 if all([_one(path, options) for path in paths]) else 1


def _one(path, options):
    """Treat one notebook and say how it went."""
    began = time.perf_counter()
    try:
        if options.check and not is_normal(path):
            raise NotebookProblem(f"{path}: not in normal form; run python -m clearformer.authoring.refresh {path}")
        if not options.check:
            refresh(path, execute=not options.no_run)
    except NotebookProblem as problem:
        print(problem, file=sys.stderr)
        return False
    print(f"{path}  {time.perf_counter() - began:.1f} s", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
