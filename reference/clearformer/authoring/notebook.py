"""Notebooks as files: reading, one normal form, and writing in one step."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import unicodedata
import warnings
from pathlib import Path

import nbformat

from clearformer.checks import catalogue
from clearformer.checks.feedback import CheckFailed

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
# What JupyterLab, nbclient and nbval all understand, and what nbval alone does: Lab would stop "Run all" at the latter.
RAISES, NBVAL_RAISES = "raises-exception", "nbval-raises-exception"
ID_LENGTH = 48
OUR_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
# What nbformat and jupytext draw (eight hexadecimal digits) and what JupyterLab draws (a UUID).
RANDOM_ID = re.compile(r"[0-9a-f]{8}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class NotebookProblem(Exception):
    """A notebook cannot be used as it is. The text names the file, the cell and what to do."""


def label(number, cell):
    """How messages name a cell: 'cell 7 (def softmax(x, axis=-1):)'."""
    return f"cell {number} ({first_line(cell)})"


def first_line(cell):
    lines = [line.strip() for line in cell.source.splitlines() if line.strip()]
    return lines[0][:60] if lines else "empty"


def lines_of(source):
    """The lines as Python counts them; str.splitlines would also break at characters such as U+2028."""
    return source.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def meant_to_fail(cell):
    return bool({RAISES, NBVAL_RAISES} & set(cell.metadata.get("tags", [])))


def read(path):
    """The notebook in the file, brought to nbformat 4. NotebookProblem where it is not one."""
    try:
        text = Path(path).read_text(encoding="utf-8")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of missing and doubled ids: `normalise` gives new ones
            notebook = nbformat.reads(text, as_version=4)
    except FileNotFoundError:
        raise NotebookProblem(f"{path}: there is no such file") from None
    except (nbformat.reader.NotJSONError, UnicodeDecodeError) as error:
        raise NotebookProblem(f"{path}: not a notebook ({str(error)[:80]})") from None
    except Exception as error:  # nbformat raises KeyError, AttributeError and others on broken structure
        raise NotebookProblem(f"{path}: not a notebook ({type(error).__name__}: {str(error)[:80]})") from None
    return notebook


def text_of(notebook, path):
    """The text of the file. NotebookProblem where the notebook breaks nbformat's schema."""
    try:
        nbformat.validate(notebook)
    except nbformat.ValidationError as error:
        raise NotebookProblem(f"{path}: not a valid notebook: {error.message[:200]}") from None
    return nbformat.writes(notebook) + "\n"


def write(text, path):
    """Put `text` into the file in one step: whoever reads it sees the old or the new, never a half."""
    path = Path(path)
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f"{path.stem}-", suffix=".partial")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.chmod(partial, mode)
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        raise


def normalise(notebook, path):
    """Bring the notebook to the form that is committed, in place; doing it twice changes nothing more.

    path: where it is kept; its stem is the lesson's id. NotebookProblem where the metadata of an exercise
    is wrong, or where a stored output holds a path or an address of this machine.
    """
    path = Path(path)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    notebook.metadata = _notebook_metadata(notebook.metadata, path.stem)
    for cell in notebook.cells:
        cell.source = "\n".join(line.rstrip(" \t") for line in lines_of(cell.source)).strip("\n")
    notebook.cells = [cell for cell in notebook.cells if cell.source]
    count, grade_ids = 0, set()
    for number, cell in enumerate(notebook.cells, 1):
        cell.metadata = _cell_metadata(cell, f"{path}, {label(number, cell)}", grade_ids)
        if cell.cell_type != "code":
            continue
        if cell.execution_count is not None:
            count += 1
            cell.execution_count = count
        cell.outputs = _outputs(cell)
        _refuse_machine_traces(cell, f"{path}, {label(number, cell)}", path)
    _name_cells(notebook.cells)
    return notebook


def _notebook_metadata(metadata, lesson):
    kept = {"kernelspec": dict(KERNEL), "language_info": {"name": "python"}}
    if lesson in [each.id for each in catalogue.LESSONS]:
        kept["clearformer"] = {"lesson": lesson}
    elif "clearformer" in metadata:
        kept["clearformer"] = metadata["clearformer"]
    return nbformat.from_dict(kept)


def _cell_metadata(cell, where, grade_ids):
    kept = {}
    if tags := cell.metadata.get("tags"):
        kept["tags"] = sorted({RAISES if tag == NBVAL_RAISES else tag for tag in tags})
    if "nbgrader" in cell.metadata:
        kept["nbgrader"] = _grading(cell, where)
        grade_id = kept["nbgrader"]["grade_id"]
        if grade_id in grade_ids:
            raise NotebookProblem(f"{where}: a second cell with the grade_id {grade_id!r}; each may stand once")
        grade_ids.add(grade_id)
    return nbformat.from_dict(kept)


def _grading(cell, where):
    """nbgrader's metadata (schema 3), completed from "grade_id" and one of "solution" and "grade"."""
    given = cell.metadata["nbgrader"]
    grade_id, answer, graded = given.get("grade_id", ""), bool(given.get("solution")), bool(given.get("grade"))
    if cell.cell_type != "code" or answer == graded:
        raise NotebookProblem(f"{where}: nbgrader needs a code cell with either solution: true or grade: true")
    name = grade_id.removeprefix("check_") if graded else grade_id
    if graded and name == grade_id:
        raise NotebookProblem(f"{where}: the grade_id of a check cell is check_ and a name, not {grade_id!r}")
    full = {"grade": graded, "grade_id": grade_id, "locked": graded, "schema_version": 3}
    full |= {"solution": answer, "task": False}
    exercise = _exercise(name, where)
    return full | {"points": exercise.points} if graded else full


def _exercise(name, where):
    try:
        return catalogue.find(name)
    except CheckFailed as error:
        raise NotebookProblem(f"{where}: {error}") from None
    except ImportError as error:
        raise NotebookProblem(f"{where}: the catalogue's file of {name} cannot be loaded ({error})") from None


def _outputs(cell):
    kept = []
    for output in cell.outputs:
        if output.output_type in ("display_data", "execute_result"):
            output.data.pop(WIDGET_VIEW, None)
            if not output.data:
                continue
        if output.output_type == "execute_result":
            output.execution_count = cell.execution_count
        if output.output_type == "error":
            output.traceback = [_without_folders(line) for line in output.traceback]
        before = kept[-1] if kept else None
        if output.output_type == "stream" and before and before.get("name") == output.name:
            before.text += output.text
        else:
            kept.append(output)
    return kept


def repository():
    """The folder that holds the package's source, notebooks and tests."""
    return Path(__file__).resolve().parents[3]


def _without_folders(line):
    """A line of a traceback with the files of the course and of packages named without where they lie."""
    root = str(repository())
    home = str(Path.home())
    short = "~" + root.removeprefix(home) if root.startswith(home + os.sep) else root
    line = line.replace(root + os.sep, "").replace(short + os.sep, "")
    return re.sub(r"[^\s\x1b]+", _without_environment, line)


def _without_environment(match):
    """The file of a package, named from the package on; any other word as it is."""
    word = match[0]
    begin, end = re.search(r"[/~.]|[A-Z]:", word), re.search(r"(?:site|dist)-packages[/\\]", word)
    return word[: begin.start()] + word[end.end() :] if begin and end and begin.start() < end.start() else word


def _strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            if not str(key).startswith("image/"):
                yield from _strings(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _strings(item)


def machine_traces(cell, path):
    """Pieces of the cell's outputs that differ from machine to machine: folders, addresses of objects."""
    text = "\n".join(_strings(cell.outputs))
    text = re.sub(r"data:[\w/+.-]+;base64,[A-Za-z0-9+/=\s]+", "", text)
    folders = {str(repository()), str(Path(path).resolve().parent), str(Path.home()), tempfile.gettempdir()}
    named = "|".join(re.escape(folder) for folder in sorted(folders, reverse=True) if len(folder) > 1)
    pattern = rf"(?:{named})(?![\w-])\S*|(?:site|dist)-packages[/\\]\S*|ipykernel_\d+\S*|\bat 0x[0-9a-f]+"
    return re.findall(pattern, text)


def _refuse_machine_traces(cell, where, path):
    if found := machine_traces(cell, path):
        raise NotebookProblem(
            f"{where}: its output holds {found[0]!r}, which is different on every machine. "
            "Mend what prints it (a warning with a path, the bare repr of an object)."
        )


def _name_cells(cells):
    """Give each cell an id that a reader of a diff understands; ids that are one already stay."""
    kept = [cell.get("id", "") for cell in cells]
    kept = [name if OUR_ID.fullmatch(name) and not RANDOM_ID.fullmatch(name) else "" for name in kept]
    kept = [name if name not in kept[:i] else "" for i, name in enumerate(kept)]
    taken = set(kept)
    for cell, name in zip(cells, kept, strict=True):
        cell.id = name or _free(_slug(cell), taken)
        taken.add(cell.id)


def _free(slug, taken):
    number = 1
    while (name := slug if number == 1 else f"{slug}-{number}") in taken:
        number += 1
    return name


def _slug(cell):
    """A short name from what the cell is: the exercise it belongs to, its heading, its first words."""
    if grading := cell.metadata.get("nbgrader"):
        prefix = "answer_" if grading["solution"] else ""
        text = prefix + grading["grade_id"]
    else:
        text = first_line(cell)
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:ID_LENGTH].strip("-") or cell.cell_type
    return f"{slug}-cell" if RANDOM_ID.fullmatch(slug) else slug
