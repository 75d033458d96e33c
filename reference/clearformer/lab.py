"""Open the course in JupyterLab. That Lab asks no outside host for anything is set in reference/jupyter/."""

import os
import sys
import webbrowser
from pathlib import Path

FIRST_NOTEBOOK = "notebooks/00_start_here.ipynb"


class CourseNotFound(Exception):
    """The lessons are not where they were looked for. The text says what to do."""


def find_course(start=None):
    """The course's folder, a Path: the one that start (default: here) lies in, else the one this package lies in."""
    start = Path(start or Path.cwd()).resolve()
    own = Path(__file__).resolve().parents[2]
    for folder in (start, *start.parents, own):
        if (folder / FIRST_NOTEBOOK).is_file():
            return folder
    raise CourseNotFound(
        f"The lessons were not found: there is no {FIRST_NOTEBOOK} in {start} or above it. "
        "Change to the course's folder, then run the same command again."
    )


def can_open_browser():
    """True where a browser with a window can be opened from here."""
    desktop = os.name == "nt" or sys.platform == "darwin"
    if not desktop and not any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")):
        return False  # webbrowser might find a text browser, which would take over the terminal
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True


def lab_options(course, arguments=()):
    """The options JupyterLab is started with; the caller's arguments stand last, so they win."""
    options = [f"--ServerApp.root_dir={course}", f"--LabApp.default_url=/lab/tree/{FIRST_NOTEBOOK}"]
    options += ["--log-level=WARN", "--LabApp.log_level=WARN", "--ServerApp.answer_yes=True"]  # one Ctrl-C stops it
    if not can_open_browser():
        options.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.append("--allow-root")  # containers run as root
    return [*options, *arguments]


def run(arguments=()):
    """Serve the course until it is stopped. CourseNotFound where there are no lessons."""
    options = lab_options(find_course(), arguments)
    from jupyterlab.labapp import LabApp

    server = LabApp.initialize_server(options)
    opens = server.open_browser and "--no-browser" not in options
    text = "JupyterLab is running. " + ("If no browser opens, go" if opens else "Go") + " to this address:\n\n"
    text += f"    {server.public_url}\n\nCtrl-C in this window stops it."
    server.io_loop.add_callback(print, text, flush=True)  # the first thing it does once it can be reached
    server.identity_provider.token_generated = False  # or Jupyter would print the address too
    server.start()
