"""Which exercises are passed, remembered in one file in the user's data directory.

The file: {"schema": 1, "passed": {exercise: date of the first pass, ISO 8601, UTC}}. Nothing here is ever
fatal to a check: what could not be read or saved is said in a sentence.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

SCHEMA = 1
LOCK_SECONDS = 5
# filelock.Timeout is an OSError; a file system without locks raises NotImplementedError.
_CANNOT_WRITE = (OSError, NotImplementedError)


class NewerFile(Exception):
    """The file is of a later schema than this version knows."""


@dataclass(frozen=True)
class Progress:
    """passed: {exercise: date of the first pass, ISO 8601, UTC}; notice: what went wrong reading, or ""."""

    passed: dict[str, str]
    notice: str = ""


def data_directory():
    """CLEARFORMER_HOME where it is set, else the place this system keeps its users' data in."""
    import platformdirs

    chosen = os.environ.get("CLEARFORMER_HOME")
    return Path(chosen).expanduser() if chosen else platformdirs.user_data_path("clearformer", appauthor=False)


def progress_path():
    return data_directory() / "progress.json"


def read():
    """What is remembered. A damaged file is set aside and said in `notice`."""
    path = progress_path()
    try:
        return Progress(_load(path))
    except NewerFile:
        return Progress({}, _newer(path))
    except OSError as error:
        return Progress({}, f"The progress file {path} cannot be read ({_reason(error)}).")
    except ValueError:
        pass
    # Another process may have put a good file there since: only who holds the lock may set one aside.
    try:
        with _locked(path):
            return _read_or_set_aside(path)
    except _CANNOT_WRITE as error:
        return Progress({}, f"The progress file {path} is damaged and could not be set aside ({_reason(error)}).")


def record(*exercises):
    """Remember that `exercises` are passed. Returns "" or a sentence about what could not be read or saved."""
    path = progress_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path):
            known = _read_or_set_aside(path)
            now = datetime.now(UTC).isoformat(timespec="seconds")
            passed = {**dict.fromkeys(exercises, now), **known.passed}
            if passed != known.passed:
                _write(path, passed)
            return known.notice
    except NewerFile:
        return f"Passed, but not remembered. {_newer(path)}"
    except _CANNOT_WRITE as error:
        return f"Passed, but the progress file {path} could not be written ({_reason(error)})."


def show(lesson=None):
    """A table of your progress, lesson by lesson, or exercise by exercise for one: ``show("02_attention")``.

    HTML in a notebook, text elsewhere. ValueError where there is no such lesson.
    """
    from clearformer.checks.overview import progress_table

    known = read()
    found = progress_table(known.passed, lesson)
    if known.notice:
        print(known.notice)
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        print(found)
    else:
        display(found) if get_ipython() else print(found)


# --- the file ------------------------------------------------------------------------------------------------


def _load(path):
    """{exercise: date}; ValueError where the file is damaged, NewerFile where it is of a later schema."""
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return {}
    except OSError as error:
        if path.is_dir():
            raise ValueError("a folder stands in its place") from error
        raise
    try:
        document = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(document, dict) or type(document.get("schema")) is not int:
        raise ValueError("not a progress file")
    if document["schema"] > SCHEMA:
        raise NewerFile
    passed = document.get("passed")
    if not isinstance(passed, dict) or not all(isinstance(when, str) for when in passed.values()):
        raise ValueError("not a progress file")
    return passed


def _read_or_set_aside(path):
    """As `read`, for who holds the lock; raises NewerFile and OSError."""
    try:
        return Progress(_load(path))
    except ValueError:
        return Progress({}, _set_aside(path))


def _set_aside(path):
    """Rename a damaged file to a name that is free; nothing of it is lost."""
    number = 1
    while os.path.lexists(aside := path.with_name(f"{path.stem}.damaged-{number}{path.suffix}")):
        number += 1
    os.replace(path, aside)
    return f"The progress file was damaged. It is kept as {aside}; progress starts anew."


def _write(path, passed):
    text = json.dumps({"schema": SCHEMA, "passed": passed}, indent=1, sort_keys=True)
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix="progress-", suffix=".partial")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        raise


def _locked(path):
    import filelock

    return filelock.FileLock(f"{path}.lock", timeout=LOCK_SECONDS)


def _reason(error):
    if isinstance(error, TimeoutError):
        return "another program holds it"
    return getattr(error, "strerror", None) or str(error)


def _newer(path):
    return f"The progress file {path} was written by a newer version of clearformer. It is left as it is."
