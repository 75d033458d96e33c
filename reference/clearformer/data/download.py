"""Fetch a file whose size and SHA-256 are known: in parts if need be, and never taken for whole before it is."""

import contextlib
import errno
import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request

CHUNK = 64 * 1024
TRIES = 4
TIMEOUT = 20  # seconds without an answer
PAUSE = 1.0  # seconds before the second try; doubled before each further one
FULL = {errno.ENOSPC, errno.EDQUOT}
_ASK_LATER = {408, 425, 429, 500, 502, 503, 504}


class DataError(Exception):
    """A file could not be had. The message names it and says what to do."""


class _TryAgain(Exception):
    """This try failed, the next may not."""


def fetch(url, path, size, sha256, advance=lambda count: None):
    """Download url to path. What an earlier try left in path + ".partial" is not loaded again.

    The file appears under its own name when its size and hash are right. advance is told how many bytes came, less
    than 0 where some had to be thrown away. DataError where it cannot be had.
    """
    partial = path.with_name(path.name + ".partial")
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    resumed = partial.exists()
    _complete(url, partial, size, advance)
    found = file_hash(partial)
    if found == sha256:
        with _writing(path):
            os.replace(partial, path)
        return
    advance(-size)
    partial.unlink()
    if resumed:  # what lay there may have been the wrong half
        fetch(url, path, size, sha256, advance)
        return
    raise DataError(
        f"{path.name} from {url} is not the file this course was made with: its SHA-256 is {found}, it should be "
        f"{sha256}. It was deleted. Run the same command again; if this comes back, the file has changed at its "
        "source, or something between here and there changes it."
    )


def _complete(url, partial, size, advance):
    """Try until the partial file has its size. DataError where that cannot be reached."""
    for attempt in range(TRIES):
        if attempt:
            time.sleep(PAUSE * 2 ** (attempt - 1))
        try:
            _continue(url, partial, size, advance)
            return
        except _TryAgain as problem:
            reason = problem
    raise DataError(
        f"{partial.stem} could not be downloaded from {url} ({reason}). Is this machine online? "
        "Run the same command again: it goes on where it stopped."
    )


def file_hash(path):
    """The SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def put(content, path):
    """Write bytes to path: the whole of them or nothing. DataError where it cannot be written."""
    partial = path.with_name(path.name + ".partial")
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(partial, "wb") as file:
                _write(file, content)
            os.replace(partial, path)
        except BaseException:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise


def _continue(url, partial, size, advance):
    """Load what is missing of the partial file. _TryAgain where the connection failed."""
    have = partial.stat().st_size if partial.exists() else 0
    if have > size:  # not ours, whatever it is
        partial.unlink()
        have = 0
    advance(have)
    if have == size:
        return
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        advance(-have)
        error.close()
        if error.code == 416:  # nothing to be had from there on: begin again
            partial.unlink(missing_ok=True)
        if error.code == 416 or error.code in _ASK_LATER:
            raise _TryAgain(f"the server answered {error.code} {error.reason}") from None
        raise DataError(
            f"{partial.stem} is not at {url}: the server answered {error.code} {error.reason}. "
            "If you have a copy of the data, give its folder with --from."
        ) from None
    except (OSError, http.client.HTTPException) as error:
        advance(-have)
        raise _TryAgain(_reason(error)) from None
    with answer:
        whole_again = answer.status != 206 or not _starts_at(answer, have)
        if whole_again:  # the server does not send parts
            advance(-have)
            if answer.status == 206:
                partial.unlink(missing_ok=True)
                raise _TryAgain("the server sent another part than was asked for")
            have = 0
        _receive(answer, partial, have, size, advance)


def _starts_at(answer, position):
    return answer.headers.get("Content-Range", "").startswith(f"bytes {position}-")


def _receive(answer, partial, have, size, advance):
    """Add the answer to the partial file. Whatever arrived is kept for the next try."""
    with _writing(partial), open(partial, "ab" if have else "wb") as file:
        while have < size:
            try:
                block = answer.read(min(CHUNK, size - have))
            except (OSError, http.client.HTTPException) as error:
                advance(-have)
                raise _TryAgain(_reason(error)) from None
            if not block:
                break
            _write(file, block)
            have += len(block)
            advance(len(block))
    if have < size:
        advance(-have)
        raise _TryAgain(f"the connection ended after {have:,} of {size:,} bytes")
    if answer.read(1):
        advance(-have)
        partial.unlink()
        raise DataError(f"{partial.stem} at {answer.url} is longer than {size:,} bytes: it is another file.")


def _write(file, block):
    file.write(block)
    file.flush()


@contextlib.contextmanager
def _writing(path):
    """A file that cannot be written is a DataError that says why."""
    try:
        yield
    except OSError as error:
        name = path.name.removesuffix(".partial")
        if error.errno in FULL:
            advice = "The disk is full: make room, or choose another folder with --into, then run the same command"
            raise DataError(f"{name} could not be written to {path.parent}. {advice} again.") from None
        raise DataError(
            f"{name} could not be written to {path.parent} ({error.strerror or error}). "
            "Choose a folder that you may write to with --into."
        ) from None


def _reason(error):
    reason = getattr(error, "reason", error)
    return getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
