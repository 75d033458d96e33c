"""matplotlib's list of the fonts on this machine, made once and kept: making it takes a second, and a submission's
process starts with an empty home each time.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

from clearformer.checks.progress import data_directory

MAKE_SECONDS = 120


def found():
    """Path of the list, None where it has not been made for this version."""
    with contextlib.suppress(metadata.PackageNotFoundError, OSError):
        return next(iter(sorted(_folder().glob("fontlist*.json"))), None)


def made():
    """Path of the list, made now; None where that is not possible. Nothing depends on it but time."""
    with contextlib.suppress(OSError, subprocess.SubprocessError, metadata.PackageNotFoundError):
        folder = _folder()
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.mkdtemp(dir=folder.parent)
        try:
            environment = os.environ | {"MPLCONFIGDIR": scratch, "MPLBACKEND": "Agg"}
            line = [sys.executable, "-P", "-c", "import matplotlib.font_manager"]
            subprocess.run(line, env=environment, timeout=MAKE_SECONDS, capture_output=True, check=True)
            with contextlib.suppress(OSError):  # another process was quicker
                os.rename(scratch, folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return found()


def _folder():
    return Path(data_directory(), "sandbox", f"matplotlib-{metadata.version('matplotlib')}")
