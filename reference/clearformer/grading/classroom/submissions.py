"""Finding submissions: which notebooks lie in a folder, and whose they are.

Nothing here trusts what it finds: names are written out where they would steer a terminal, links are not followed,
and what is no regular file is never opened for longer than it takes to see that.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import unicodedata
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SIZE_LIMIT = 32 * 2**20  # bytes of one notebook
NOTEBOOK_LIMIT = 200  # notebooks of one student
SUFFIX = ".ipynb"
EXERCISES = "exercises"
LEFT_OUT = ("__MACOSX", "__pycache__")  # beside hidden folders
NBGRADER_MARKS = ("nbgrader_config.py", "gradebook.db")
NBGRADER_FOLDERS = ("source", "release", "autograded", "feedback")
NBGRADER_SUBMITTED = "submitted"


class NoSubmissions(Exception):
    """There is nothing to grade. The text says why."""


class _NoContent(Exception):
    """A submission that is no readable notebook file. The text says why."""


@dataclass(frozen=True)
class Submission:
    """student, path: as people may see them (path: from SUBMISSIONS on); file: where it lies;
    problem: why it cannot be graded, where that was seen already, or ""."""

    student: str
    path: str
    file: Path
    problem: str = ""

    def content(self):
        """The notebook's bytes. NotebookError where there are none to be had: a link, no regular file, too large."""
        try:
            return self._content()
        except _NoContent as problem:
            from clearformer.grading.notebook import NotebookError  # brings numpy, and finding is to be quick

            raise NotebookError(str(problem)) from None

    def _content(self):
        if self.problem:
            raise _NoContent(self.problem)
        with _opened(self.file) as file:
            content = file.read(SIZE_LIMIT + 1)
        if len(content) > SIZE_LIMIT:
            raise _NoContent(f"The file has over {SIZE_LIMIT // 2**20} MiB.")
        return content

    def sha256(self):
        """Of the notebook's bytes, in hexadecimal digits; "" where there are none to be had."""
        try:
            return hashlib.sha256(self._content()).hexdigest()
        except _NoContent:
            return ""

    def lesson(self):
        """The lesson that the notebook says it belongs to, or "". A guess, good for putting like beside like."""
        try:
            with _opened(self.file) as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - 16_384))  # Jupyter writes the metadata last
                found = re.search(rb'"clearformer"\s*:\s*\{[^{}]*"lesson"\s*:\s*"(\w{1,64})"', file.read(16_384))
        except (_NoContent, OSError):
            return ""
        return found[1].decode("ascii", "replace") if found and not self.problem else ""


def not_graded(submission, why):
    """The record of a submission that could not be graded."""
    return {
        "student": submission.student,
        "path": submission.path,
        "lesson": "",
        "sha256": submission.sha256(),
        "points": 0,
        "max_points": 0,
        "seconds": 0.0,
        "exercises": [],
        "trouble": [],
        "error": why,
    }


def find(root):
    """The submissions in `root`, ordered by student and path. NoSubmissions where it is not there or holds none.

    root is one of these; .ipynb_checkpoints and hidden files and folders never count:
    - a notebook: its student is named after it;
    - a folder of notebooks, one a student, each named after its student;
    - a folder of folders, one a student, notebooks at any depth in them;
    - nbgrader's course folder, or the folder `submitted` in it (submitted/STUDENT/ASSIGNMENT/*.ipynb);
    - a folder of GitHub Classroom's repositories, one a student. A repository holds the lessons and solutions too:
      where a folder holds a folder `exercises`, the notebooks under that are taken and nothing beside it.

    A link, a FIFO, a device or a folder named like a notebook becomes a submission that cannot be graded, and so
    does a student's folder without notebooks, unless notebooks lie beside it: then it is taken for something else.
    """
    given = Path(root)
    try:
        root = Path(os.path.realpath(given))
        kind = os.stat(root).st_mode
        if not stat.S_ISDIR(kind):
            return [Submission(shown(given.stem), shown(given.name), root)]
        found = _in_folder(root)
    except FileNotFoundError:
        raise NoSubmissions(f"There is no file or folder {shown(str(given))}.") from None
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte
        raise NoSubmissions(f"{shown(str(given))} cannot be read ({_reason(error)}).") from None
    if not found:
        raise NoSubmissions(f"There is no notebook and no student's folder in {shown(str(given))}.")
    return sorted(found, key=lambda each: (each.student, each.path))


def shown(name):
    """`name` as it may stand in a terminal, a page or a gradebook.

    What is not printed is written out, as \\n or \\u202e, and a backslash is doubled: different names stay different.
    """
    return "".join(c if c.isprintable() and c != "\\" else c.encode("unicode_escape").decode() for c in name)


# --- folders -------------------------------------------------------------------------------------------------


def _in_folder(root):
    entries = _entries(root)
    folders = [label for label, entry in entries if _is_folder(entry)]
    has_marks = any(label in NBGRADER_MARKS for label, _ in entries) or {"source", "release"} <= set(folders)
    flat = any(_is_notebook(entry) for _, entry in entries)
    if NBGRADER_SUBMITTED in folders and (has_marks or (folders == [NBGRADER_SUBMITTED] and not flat)):
        return _students(_entries(root / NBGRADER_SUBMITTED), f"{NBGRADER_SUBMITTED}/")
    if has_marks:
        raise NoSubmissions(
            f"{shown(str(root))} looks like nbgrader's course folder, and nothing is collected in it yet: "
            f"there is no folder {NBGRADER_SUBMITTED}."
        )
    return _students(entries, "")


def _students(entries, prefix):
    """Submissions of the students whose notebooks or folders `entries` are. prefix: of their paths."""
    flat = any(_is_notebook(entry) for _, entry in entries)
    found = []
    for label, entry in entries:
        path, file = prefix + label, Path(entry.path)
        if _is_notebook(entry):
            found.append(Submission(label[: -len(SUFFIX)], path, file, _problem(entry)))
        elif _is_folder(entry):
            found += _of_student(label, path, file, flat)
        elif entry.is_symlink() and not entry.is_file() and not flat:
            found.append(Submission(label, path, file, _problem(entry)))
    return found


def _of_student(student, path, folder, may_be_empty):
    found = []
    for below, file, problem in _notebooks(folder, path):
        found.append(Submission(student, below, file, problem))
        if len(found) > NOTEBOOK_LIMIT:
            problem = f"This student's folder holds over {NOTEBOOK_LIMIT} notebooks. None of them was graded."
            return [Submission(student, path, folder, problem)]
    if not found and not may_be_empty:
        where = f"the folder {EXERCISES} of this student" if (folder / EXERCISES).is_dir() else "this student's folder"
        return [Submission(student, path, folder, f"There is no notebook in {where}.")]
    return found


def _notebooks(folder, path):
    """(path, file, problem) of each notebook in a student's folder, at any depth."""
    todo = [(path, folder)]
    while todo:
        path, folder = todo.pop()
        try:
            entries = _entries(folder)
        except OSError as error:
            yield path, folder, f"This folder cannot be read ({_reason(error)})."
            continue
        for label, entry in _worth_a_look(entries):
            below, file = f"{path}/{label}", Path(entry.path)
            if _is_notebook(entry) or (label == EXERCISES and entry.is_symlink()):
                yield below, file, _problem(entry)
            elif _is_folder(entry):
                todo.append((below, file))


def _worth_a_look(entries):
    """Of a repository, its exercises; of nbgrader's course folder, what students handed in; else all of it."""
    names = {entry.name for _, entry in entries}
    if EXERCISES in names:
        only = [(label, entry) for label, entry in entries if entry.name == EXERCISES]
        if _is_folder(only[0][1]) or only[0][1].is_symlink():
            return only
    if names.intersection((*NBGRADER_MARKS, NBGRADER_SUBMITTED)):
        return [(label, entry) for label, entry in entries if entry.name not in NBGRADER_FOLDERS]
    return entries


def _entries(folder):
    """(label, os.DirEntry) of what lies in a folder. label: the name as shown, another for each entry."""
    with os.scandir(folder) as scan:
        entries = [entry for entry in scan if not entry.name.startswith(".") and entry.name not in LEFT_OUT]
    drawn_alike = Counter(unicodedata.normalize("NFC", entry.name) for entry in entries)
    return [(_label(entry.name, drawn_alike), entry) for entry in entries]


def _label(name, drawn_alike):
    composed = unicodedata.normalize("NFC", name)
    if drawn_alike[composed] > 1 and composed != name:  # its accents are characters of their own: write them out
        return name.encode("unicode_escape").decode()
    return shown(name)


def _is_notebook(entry):
    return entry.name.lower().endswith(SUFFIX)


def _is_folder(entry):
    return entry.is_dir(follow_symlinks=False) and not _is_notebook(entry)


# --- files ---------------------------------------------------------------------------------------------------


def _problem(entry):
    return _why_not(entry.stat(follow_symlinks=False).st_mode)


def _why_not(mode):
    """Why something of this mode is no notebook's file, or ""."""
    if stat.S_ISREG(mode):
        return ""
    if stat.S_ISLNK(mode):
        return "This is a link to another place. Links are not followed: hand in the notebook itself."
    if stat.S_ISDIR(mode):
        return "This is a folder, though its name is that of a notebook."
    return "This is no regular file but a device, a socket or a pipe."


@contextmanager
def _opened(path):
    """The regular file at `path`, opened for reading bytes; _NoContent where it is none or cannot be read."""
    try:
        if problem := _why_not(os.lstat(path).st_mode):  # before opening: that may wake a device
            raise _NoContent(problem)
        with open(path, "rb", buffering=0, opener=_open_no_link) as file:
            if problem := _why_not(os.fstat(file.fileno()).st_mode):  # another one has taken its place
                raise _NoContent(problem)
            yield file
    except FileNotFoundError:
        raise _NoContent("The file is no longer there.") from None
    except OSError as error:
        raise _NoContent(f"The file cannot be read ({_reason(error)}).") from None


def _open_no_link(path, flags):
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))


def _reason(error):
    return getattr(error, "strerror", None) or str(error)
