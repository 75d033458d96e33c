"""Which exercises are passed, remembered in one file in the user's data directory."""

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


def data_directory():
    """CLEARFORMER_HOME where it is set, else the place this system keeps its users' data in."""
    import platformdirs

    chosen = os.environ.get("CLEARFORMER_HOME")
    return Path(chosen) if chosen else platformdirs.user_data_path("clearformer", appauthor=False)


def progress_path():
    return data_directory() / "progress.json"


@dataclass(frozen=True)
class Progress:
    """passed: {exercise: date of the first pass, ISO 8601, UTC}; notice: what went wrong reading, or ""."""

    passed: dict[str, str]
    notice: str = ""


def _parse(text):
    document = json.loads(text)
    passed = document["passed"]
    if document["schema"] != SCHEMA or not isinstance(passed, dict):
        raise ValueError("not a progress file of this version")
    return {str(name): str(when) for name, when in passed.items()}


def _set_aside(path):
    """Rename a damaged file to a name that is free; nothing of it is lost."""
    number = 1
    while (aside := path.with_name(f"{path.stem}.damaged-{number}{path.suffix}")).exists():
        number += 1
    try:
        os.replace(path, aside)
    except OSError as error:
        return f"The progress file {path} is damaged and could not be renamed ({error.strerror})."
    return f"The progress file was damaged. It is kept as {aside}; progress starts anew."


def read():
    """What is remembered. A damaged file is set aside and said in `notice`; it is never fatal."""
    path = progress_path()
    try:
        return Progress(_parse(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return Progress({})
    except OSError as error:
        return Progress({}, f"The progress file {path} cannot be read ({error.strerror}).")
    except (ValueError, KeyError, TypeError, AttributeError):
        return Progress({}, _set_aside(path))


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


def record(exercise):
    """Remember that `exercise` is passed. Returns "" or a sentence about what could not be saved."""
    import filelock

    path = progress_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(f"{path}.lock", timeout=LOCK_SECONDS):
            known = read()
            if exercise not in known.passed:
                now = datetime.now(UTC).isoformat(timespec="seconds")
                _write(path, {**known.passed, exercise: now})
            return known.notice
    except (OSError, filelock.Timeout) as error:
        reason = getattr(error, "strerror", None) or "another program holds it"
        return f"Passed, but the progress file {path} could not be written ({reason})."
