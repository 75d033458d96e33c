"""Where downloaded data is kept, and where a copy is that somebody has already."""

import os
from pathlib import Path


def data_folder():
    """CLEARFORMER_HOME/data where that is set, else the place this system keeps its users' data in."""
    import platformdirs

    chosen = os.environ.get("CLEARFORMER_HOME")
    home = Path(chosen).expanduser() if chosen else platformdirs.user_data_path("clearformer", appauthor=False)
    return home / "data"


def copy_folder():
    """The folder that CLEARFORMER_DATA names, or None."""
    chosen = os.environ.get("CLEARFORMER_DATA")
    return Path(chosen).expanduser() if chosen else None
