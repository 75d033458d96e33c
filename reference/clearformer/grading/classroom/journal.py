"""Finished records on disk, so that a run that was stopped goes on where it was.

A report's folder holds results.jsonl, one JSON object a line: a heading with what the records after it were made with,

    {"schema": 1, "version": "0.1.0", "settings": {"level": "full", "deadline": 10.0}}

then a record a line, as each is finished. Where a submission stands twice, the later record counts. Nothing in the
file is ever changed but its end: a line that was cut short when a run was killed is taken away, a run that goes on
with other settings adds a heading.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

import clearformer

SCHEMA = 1
NAME = "results.jsonl"
LOCK = "results.jsonl.lock"
SYNC_SECONDS = 0.2  # what is written is on the disk itself after so long, in case the power fails
OURS = ("report.json", "report.csv", "grades.csv", "junit.xml", "index.html", "gradescope", "students")
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class JournalRefused(Exception):
    """The folder cannot take this run's results. The text says why, and what to do."""


class JournalFailed(Exception):
    """A record could not be written. The text says why, and what to do."""


@dataclass(frozen=True)
class Kept:
    """What a journal held. records: {(student, path): record}, those made with the present version and settings;
    outdated: how many submissions were graded with others; damaged: how many lines could not be read."""

    records: dict
    outdated: int = 0
    damaged: int = 0


class Journal:
    """The results in the folder `out`, held for this run alone until it is closed; with statement.

    settings: a dataclass of plain values with a `level`; resume: go on with what the folder holds. JournalRefused
    where it holds results and resume is not asked for; where another run is at it, or made it at another level of
    the sandbox, or a newer version did; where it holds reports of other origin; where it cannot be written.
    """

    def __init__(self, out, settings, resume=False):
        self._path, self._settings = Path(out, NAME), asdict(settings)
        self._failure, self._is_dirty, self._is_closed = None, threading.Event(), threading.Event()
        with contextlib.ExitStack() as stack:
            self._lock = stack.enter_context(_held(Path(out)))
            _refuse_others_files(Path(out))
            headings, self.kept, complete = _read(self._path, self._settings)
            if headings:
                _refuse_unless_fit(self._path.parent, headings, self._settings, resume)
            self._file = self._opened(complete)
            stack.callback(os.close, self._file)
            if not headings or headings[-1] != _heading(self._settings):
                self._add(_heading(self._settings))
            self._close_all = stack.pop_all().close
        self._syncing = threading.Thread(target=self._sync_now_and_then, daemon=True)
        self._syncing.start()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()
        if error[0] is None:
            self._raise_failure()

    def _raise_failure(self):
        if self._failure:
            raise JournalFailed(f"The disk reports an error for {self._path}: {_reason(self._failure)}.")

    def _opened(self, complete):
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            os.ftruncate(file, complete)
        except OSError as error:
            raise JournalRefused(f"{self._path} cannot be written ({_reason(error)}).") from None
        return file

    def add(self, record):
        """Write down a finished record. From here on it survives this process; JournalFailed where it cannot."""
        self._raise_failure()
        self._add(record)

    def _add(self, content):
        line = json.dumps(content).encode() + b"\n"
        begins = os.fstat(self._file).st_size
        try:
            written = 0
            while written < len(line):
                written += os.write(self._file, line[written:])
        except OSError as error:
            with contextlib.suppress(OSError):  # half a line: the next run would take it away too
                os.ftruncate(self._file, begins)
            why = "the disk is full" if error.errno in FULL else _reason(error)
            raise JournalFailed(f"{self._path} could not be written: {why}. What stands in it is safe.") from None
        self._is_dirty.set()

    def _sync_now_and_then(self):
        while not self._is_closed.wait(SYNC_SECONDS):
            self._sync()

    def _sync(self):
        if self._is_dirty.is_set():
            self._is_dirty.clear()
            try:
                os.fsync(self._file)
            except OSError as error:
                self._failure = error

    def close(self):
        if not self._is_closed.is_set():
            self._is_closed.set()
            self._syncing.join()
            self._sync()
            self._close_all()


def still_good(kept, submissions):
    """Of the records kept, those of these submissions whose notebooks have not changed since.

    What could not be graded is not among them: the reason may have been this machine's.
    """
    found = ((submission, kept.get((submission.student, submission.path))) for submission in submissions)
    return [
        record
        for submission, record in found
        if record and not record.get("error") and record["sha256"] == submission.sha256()
    ]


# --- may this folder be used? --------------------------------------------------------------------------------


@contextlib.contextmanager
def _held(out):
    """The folder, made where it is not there, held against other runs."""
    import filelock

    lock = filelock.FileLock(out / LOCK, timeout=0)
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except filelock.Timeout:
        raise JournalRefused(
            f"Another run is writing to {out} at this moment. Wait for it, or choose another --out."
        ) from None
    except FileExistsError:
        raise JournalRefused(f"{out} is a file. --out takes a folder for the reports.") from None
    except (OSError, NotImplementedError) as error:
        raise JournalRefused(f"The folder {out} cannot be written ({_reason(error)}).") from None
    try:
        yield lock
    finally:
        lock.release()


def _refuse_others_files(out):
    if os.path.lexists(out / NAME):
        return
    if found := [name for name in OURS if os.path.lexists(out / name)]:
        raise JournalRefused(
            f"{out} holds {found[0]}, and no {NAME} beside it: it may be anything, and a report would take its place. "
            "Choose another --out."
        )


def _refuse_unless_fit(out, headings, settings, resume):
    if newer := [each for each in headings if each["schema"] > SCHEMA or _numbers(each) > _numbers(_heading({}))]:
        raise JournalRefused(
            f"The results in {out} were made with clearformer {newer[0]['version']}, and this is "
            f"{clearformer.__version__}, which may not understand them. Use that version, or choose another --out."
        )
    if not resume:
        raise JournalRefused(f"{out} holds results already. Add --resume to go on with them, or choose another --out.")
    if other := [each for each in headings if each["settings"].get("level") != settings["level"]]:
        raise JournalRefused(
            f"The results in {out} were made with --sandbox {other[0]['settings'].get('level')}, and this run asks for "
            f"{settings['level']}. One report holds results of one kind only: choose another --out."
        )


def _heading(settings):
    return {"schema": SCHEMA, "version": clearformer.__version__, "settings": settings}


def _numbers(heading):
    """The version in a heading, for comparing: (0, 1, 0)."""
    return tuple(int(part) if part.isdigit() else 0 for part in heading["version"].split("."))


# --- reading -------------------------------------------------------------------------------------------------


def _read(path, settings):
    """(headings, Kept, bytes of complete lines). JournalRefused where the file is no journal."""
    headings, records, damaged, complete = [], {}, 0, 0
    try:
        if os.path.lexists(path) and not os.path.isfile(path):
            raise JournalRefused(f"{path} is no regular file.")
        with open(path, "rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                complete += len(line)
                content = _parsed(line)
                if _is_heading(content):
                    headings.append(content)
                elif not headings:
                    raise JournalRefused(f"{path} is not what clearformer writes. Choose another --out.")
                elif _is_record(content):
                    records[content["student"], content["path"]] = content, headings[-1]
                else:
                    damaged += 1
    except FileNotFoundError:
        pass
    except OSError as error:
        raise JournalRefused(f"{path} cannot be read ({_reason(error)}).") from None
    if not records and not damaged:  # killed before the first was finished
        return [], Kept({}), 0
    present = {key: record for key, (record, made_with) in records.items() if made_with == _heading(settings)}
    return headings, Kept(present, len(records) - len(present), damaged), complete


def _parsed(line):
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _is_heading(content):
    return (
        isinstance(content, dict)
        and type(content.get("schema")) is int
        and isinstance(content.get("version"), str)
        and isinstance(content.get("settings"), dict)
    )


def _is_record(content):
    return (
        isinstance(content, dict)
        and all(isinstance(content.get(name), str) for name in ("student", "path", "sha256"))
        and isinstance(content.get("exercises"), list)
    )


def _reason(error):
    return getattr(error, "strerror", None) or str(error)
