# ruff: noqa: RUF005, UP004, UP010, UP031 - Python 2.7 and 3.6 have to understand this file, so that it can turn them away.
"""Make the course's environment in .venv, or find that it is there already.

    python make_environment.py              what the lessons need
    python make_environment.py --tests      what the tests need as well

Needs nothing but Python. Versions are pinned by constraints.txt. What pip says is kept in .venv/install.log.
Each failure ends with a sentence that says what to do. Exit status: 0 ready, 1 not, 130 stopped by the user.
"""

from __future__ import print_function

import argparse
import glob
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

OLDEST, NEWEST = (3, 11), (3, 14)  # what constraints.txt pins has ready-made builds for these
# Free disk space needed, in GB, pip's temporary files included: measured on Linux (1.7 and 6.8), and a little more.
FOR_ALL, FOR_CUDA, FOR_A_CHANGE = 2.5, 7.5, 0.5

REPOSITORY = os.path.dirname(os.path.abspath(__file__))
ENVIRONMENT = os.path.join(REPOSITORY, ".venv")
LOG = os.path.join(ENVIRONMENT, "install.log")
HALF_MADE = os.path.join(ENVIRONMENT, "half-made")  # there while files are being put in place
PYTHON = os.path.join(ENVIRONMENT, *(("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")))
LOCKS = []  # open files; their locks end with this process, however it ends


class CannotGoOn(Exception):
    """The environment cannot be made. The text says why and what to do."""


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tests", action="store_true", help="add what the tests need")
    parser.add_argument("--chosen", action="store_true", help="use this Python, even if .venv has another")
    parser.add_argument("--suitable", action="store_true", help="only say whether this Python will do")
    parser.add_argument("--ready", action="store_true", help="only say whether the environment is there")
    options = parser.parse_args(arguments)
    part = "test" if options.tests else "lab"
    try:
        check_python()
        if options.suitable:
            return 0
        if options.ready:
            return 0 if is_ready(part) else 1
        for name in ("SIGTERM", "SIGHUP"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), lambda *_: sys.exit(143))  # so that pip is ended too
        wait_for_turn()
        if not is_ready(part) or (options.chosen and made_with() != list(sys.version_info[:2])):
            make(part, options.chosen)
    except CannotGoOn as problem:
        say("\n%s\n" % problem)
        return 1
    except OSError as problem:  # a folder that may not be written, and the like
        say("\n%s\n" % explain(str(problem)))
        return 1
    except KeyboardInterrupt:
        say("\nStopped. Run the same command again to go on.\n")
        return 130
    return 0


def check_python():
    """Raise CannotGoOn where this Python is too old, too new or a 32-bit build."""
    wanted = "Python %d.%d to %d.%d" % (OLDEST + NEWEST)
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        raise CannotGoOn(
            "This is Python %d.%d (%s), but the course needs %s: install one, from python.org for example, "
            "then run the same command again.\nTo name one yourself: make lab PYTHON=/path/to/python3"
            % (sys.version_info[0], sys.version_info[1], sys.executable, wanted)
        )
    if sys.maxsize < 2**32:
        raise CannotGoOn("This is a 32-bit Python: install a 64-bit %s, then run the same command again." % wanted)


# --- is it there already? ------------------------------------------------------------------------------------


def is_ready(part):
    """True where part ("lab" or "test") was made from the files as they are now."""
    return os.path.exists(PYTHON) and read(stamp_of(part)) == fingerprint(part)


def stamp_of(part):
    return os.path.join(ENVIRONMENT, part + "-ready")


def fingerprint(part):
    """All that an environment depends on, as one line: its place, pins, dependencies, what the package installs."""
    import tomllib

    with open(os.path.join(REPOSITORY, "pyproject.toml"), "rb") as file:
        settings = tomllib.load(file)
    project, hatch = settings["project"], settings.get("tool", {}).get("hatch", {})
    content = [REPOSITORY, settings["build-system"], hatch]
    content += [project.get(name) for name in ("version", "dependencies", "scripts")]
    content += [project.get("optional-dependencies", {}).get("test") if part == "test" else None]
    installed = hatch.get("build", {}).get("targets", {}).get("wheel", {}).get("shared-data", {})
    content += [read(os.path.join(REPOSITORY, name)) for name in ["constraints.txt"] + sorted(installed)]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def made_with():
    """[major, minor] of the Python in .venv; None where there is none that runs."""
    code = "import sys; print(list(sys.version_info[:2]))"
    try:
        return json.loads(subprocess.check_output([PYTHON, "-c", code], stderr=subprocess.DEVNULL).decode())
    except (OSError, ValueError, subprocess.CalledProcessError):
        return None


def wait_for_turn():
    """Let only one command at a time make the environment."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    LOCKS.append(open(os.path.join(REPOSITORY, "pyproject.toml")))  # noqa: SIM115 - stays open to hold the lock
    try:
        fcntl.flock(LOCKS[0], fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("Another command is making the environment. Waiting for it to finish.")
        fcntl.flock(LOCKS[0], fcntl.LOCK_EX)
    except OSError:
        pass  # a file system without locks


# --- making it -----------------------------------------------------------------------------------------------


def make(part, chosen=False):
    """Bring .venv to the state of pyproject.toml and constraints.txt, keeping what is there and whole."""
    start = time.time()
    remove_what_cannot_be_used(chosen)
    check_disk()
    if not os.path.isdir(ENVIRONMENT):
        os.mkdir(ENVIRONMENT)
    write(LOG, "")
    for name in ("lab", "test"):
        if os.path.exists(stamp_of(name)) and not is_ready(name):
            os.remove(stamp_of(name))  # pip is about to change what it speaks of
    with Progress(steps=3) as progress:
        progress.step("Making an empty environment" if made_with() is None else "Keeping the environment that is there")
        create_environment()
        progress.step("Installing the packages (some minutes the first time)")
        install(part, progress)
        progress.step("Trying them")
        try_imports()
        for name in ("lab", part):
            write(stamp_of(name), fingerprint(name))
    say("The environment is ready, after %d seconds." % (time.time() - start))


def remove_what_cannot_be_used(chosen):
    """Empty .venv where it is half made, broken, or made with another Python than the one asked for."""
    if os.path.lexists(ENVIRONMENT) and not os.path.isdir(ENVIRONMENT):
        raise CannotGoOn("%s is in the way: move it away, then run the same command again." % ENVIRONMENT)
    if not os.path.isdir(ENVIRONMENT) or not os.listdir(ENVIRONMENT):
        return
    version = made_with()
    if os.path.exists(HALF_MADE):
        reason = "was left half made"
    elif version is None:
        reason = "has no Python that runs"
    elif not list(OLDEST) <= version <= list(NEWEST) or (chosen and version != list(sys.version_info[:2])):
        reason = "was made with Python %d.%d" % tuple(version)
    else:
        return
    say("The environment in .venv %s. Making it anew." % reason)
    write(HALF_MADE, "")
    for name in os.listdir(ENVIRONMENT):  # not the folder itself: it may be a link to another disk
        path = os.path.join(ENVIRONMENT, name)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        elif path != HALF_MADE:
            os.remove(path)
    os.remove(HALF_MADE)  # last, so that a removal that is cut short is begun again


def check_disk():
    """Raise CannotGoOn where the packages will not fit."""
    packages = ("lib", "python*", "site-packages") if os.name != "nt" else ("Lib", "site-packages")
    has_torch = glob.glob(os.path.join(glob.escape(ENVIRONMENT), *(packages + ("torch",))))
    need_space(FOR_A_CHANGE if has_torch else FOR_ALL)


def need_space(wanted):
    free = shutil.disk_usage(ENVIRONMENT if os.path.isdir(ENVIRONMENT) else REPOSITORY).free / 1e9
    if free < wanted:
        raise CannotGoOn(
            "The disk is too full: %.1f GB are free at %s, about %.1f GB are needed. Free some space, "
            "then run the same command again." % (free, REPOSITORY, wanted)
        )


def create_environment():
    """Make .venv with nothing but pip in it, unless there is one."""
    if made_with() is not None:
        return
    modules = [name for name in ("venv", "ensurepip", "virtualenv") if has_module(name)]
    if "ensurepip" in modules and "venv" in modules:  # Debian has a venv that lacks ensurepip
        commands = [[sys.executable, "-m", "venv", "--without-pip", ENVIRONMENT], [PYTHON, "-m", "ensurepip"]]
    elif "virtualenv" in modules:
        commands = [[sys.executable, "-m", "virtualenv", ENVIRONMENT]]
    else:
        raise CannotGoOn(
            "This Python (%s) lacks the module that makes environments: on Debian or Ubuntu run "
            "'sudo apt install python%d.%d-venv', then run the same command again."
            % ((sys.executable,) + sys.version_info[:2])
        )
    write(HALF_MADE, "")
    for command in commands:
        status, output = run(command)
        if status != 0:
            raise CannotGoOn(explain(output, status))
    os.remove(HALF_MADE)


def has_module(name):
    return subprocess.call([sys.executable, "-c", "import " + name], stderr=subprocess.DEVNULL) == 0


def install(part, progress):
    """Have pip install the course and its dependencies as constraints.txt pins them."""
    for leftover in glob.glob(os.path.join(glob.escape(ENVIRONMENT), "pip-*")):
        shutil.rmtree(leftover)
    scratch = tempfile.mkdtemp(prefix="pip-", dir=ENVIRONMENT)  # so that there is one disk to watch
    command = [PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--progress-bar=off"]
    command += ["--constraint", "constraints.txt", "--editable", ".[test]" if part == "test" else "."]

    def follow(line):
        if line.startswith(("Installing collected packages", "Attempting uninstall")):
            write(HALF_MADE, "")  # until here nothing was changed
        if re.match(r"Downloading nvidia", line):
            need_space(FOR_CUDA - 1)  # PyTorch itself is fetched by now
        progress.show(in_words(line))

    try:
        status, output = run(command, settings_for_pip(scratch), follow)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if status != 0:
        raise CannotGoOn(explain(output, status))
    if os.path.exists(HALF_MADE):
        os.remove(HALF_MADE)


def settings_for_pip(scratch):
    """The environment variables that pip gets: the user's, but for those that would lead it elsewhere."""
    import pathlib

    settings = dict(os.environ, TMPDIR=scratch, TEMP=scratch, PIP_USER="0", PYTHONUNBUFFERED="1")
    for name in ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PYTHONHOME", "PYTHONPATH"):
        settings.pop(name, None)
    constraints = pathlib.Path(REPOSITORY, "constraints.txt").as_uri()  # pip would split a path at its spaces
    settings.update(PIP_CONSTRAINT=constraints, PIP_BUILD_CONSTRAINT=constraints)  # for the build tools too
    settings.setdefault("PIP_RETRIES", "1")  # with no network, minutes would pass before pip says so
    if "PIP_DEFAULT_TIMEOUT" not in settings:
        settings.setdefault("PIP_TIMEOUT", "15")
    return settings


def try_imports():
    """A package can be there and not run: a processor too old, a system library that is missing."""
    for name in ("clearformer", "ipywidgets", "matplotlib.pyplot", "jupyterlab.labapp", "torch"):
        status, output = run([PYTHON, "-c", "import " + name])
        if status != 0:
            reason = (output.strip().splitlines() or ["it ended with status %d" % status])[-1]
            raise CannotGoOn(
                "%s is installed but does not start on this machine (%s): remove the folder .venv, "
                "then run the same command again.\nThe full report is in %s" % (name.split(".")[0], reason, LOG)
            )


def run(command, settings=None, follow=None):
    """Run command and log what it prints; call follow with each line. Returns (exit status, output)."""
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    if LOCKS:
        options["pass_fds"] = [LOCKS[0].fileno()]  # pip goes on holding the lock, should this process be killed
    lines = []
    with open(LOG, "a") as log:
        log.write("\n$ %s\n" % " ".join(command))
        log.flush()
        child = subprocess.Popen(command, cwd=REPOSITORY, env=settings, **options)
        try:
            for raw in child.stdout:
                line = raw.decode(errors="replace")
                lines.append(line)
                log.write(line.encode("ascii", "backslashreplace").decode())
                log.flush()
                if follow:
                    follow(line.strip())
            return child.wait(), "".join(lines)
        finally:
            if child.poll() is None:
                child.terminate()
                child.wait()


# --- what is said --------------------------------------------------------------------------------------------

AGAIN = "then run the same command again."
REASONS = (  # what to look for in a report, and what to say; the first that is found counts
    (
        r"No space left on device|Errno 28\b|Disk quota exceeded|Errno 122\b",
        "The disk is full: about %(all)s GB are needed, or %(cuda)s GB where pip fetches PyTorch with CUDA. "
        "Free some space, " + AGAIN,
    ),
    (
        r"Permission denied|Errno 13\b|Read-only file system|Errno 30\b|Access is denied",
        "A file in %(folder)s may not be written: make the folder your own, " + AGAIN,
    ),
    (
        r"SSL module is not available",
        "This Python was built without SSL, so pip cannot fetch anything: use another Python, " + AGAIN,
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|SSLCertVerificationError|certificate verify failed",
        "The package index's certificate was refused: set the clock right, or name your proxy's certificate in "
        "PIP_CERT, " + AGAIN,
    ),
    (
        r"NewConnectionError|NameResolutionError|name resolution|getaddrinfo failed|nodename nor servname|"
        r"ConnectTimeout|ReadTimeout|Read timed out|Connection refused|Connection reset|Connection aborted|"
        r"Network is unreachable|No route to host|ProxyError|RemoteDisconnected|IncompleteRead|"
        r"Max retries exceeded|Failed to establish|HTTP error 5\d\d|5\d\d Server Error",
        "The package index could not be reached: connect to the internet (or name a proxy in HTTPS_PROXY), " + AGAIN,
    ),
    (
        r"No matching distribution found for (?P<what>[^\s;]+)",
        "The package index has no %(what)s for Python %(version)s on this machine: use Python 3.11 to 3.14, 64 bits, "
        "on Linux, Windows or a Mac with Apple silicon, " + AGAIN,
    ),
    (
        r"Failed to build '?(?P<what>[\w.-]+)|Failed building wheel for (?P<also>[\w.-]+)",
        "There is no ready-made %(what)s for Python %(version)s on this machine, and building it failed: use "
        "Python 3.12, " + AGAIN,
    ),
    (
        r"DO NOT MATCH THE HASHES|BadZipFile|has an invalid wheel|Wheel .* is invalid",
        "A download arrived damaged: run the same command again.",
    ),
)


def explain(report, status=1):
    """One sentence on what pip, venv or the system reported, and what to do about it."""
    errors = [line for line in report.splitlines() if line.lower().startswith("error")] or report.splitlines()
    facts = {
        "all": FOR_ALL,
        "cuda": FOR_CUDA,
        "folder": REPOSITORY,
        "version": "%d.%d" % sys.version_info[:2],
        "last": errors[-1].strip() if errors else "no reason was given",
    }
    sentence = "The environment could not be made (%(last)s): remove the folder .venv, " + AGAIN
    if status < 0:
        sentence = "pip was ended from outside, perhaps for lack of memory: close other programs, " + AGAIN
    for pattern, words in REASONS:
        match = re.search(pattern, report)
        if match:
            facts["what"] = next((group for group in match.groups() if group), "")
            sentence = words
            break
    return sentence % facts + ("\nThe full report is in %s" % LOG if os.path.exists(LOG) else "")


def in_words(line):
    """What pip is doing, from a line that it prints; None where the line says nothing to a reader."""
    patterns = (
        (r"Collecting ([\w.-]+)", "looking for %s"),
        (r"Downloading ([A-Za-z0-9_.]+?)-\d\S* (\(.*\))", "fetching %s %s"),
        (r"Processing \S*?([A-Za-z0-9_.]+)-\d\S*\.whl", "reading %s"),
        (r"Installing build dependencies()", "fetching the build tools%s"),
        (r"Installing collected packages()", "putting them in place%s"),
    )
    for pattern, words in patterns:
        match = re.match(pattern, line)
        if match:
            return words % match.groups()
    return None


class Progress(object):
    """Says which step is under way and how long it has taken: one line that changes, or a line now and then."""

    def __init__(self, steps):
        self.steps, self.number, self.title, self.detail = steps, 0, "", ""
        self.start, self.live, self.over = time.time(), sys.stdout.isatty(), threading.Event()

    def __enter__(self):
        self.thread = threading.Thread(target=self.keep_drawing)
        self.thread.daemon = True
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        if self.live:
            sys.stdout.write("\r" + " " * self.width() + "\r")

    def step(self, title):
        self.number, self.title, self.detail = self.number + 1, title, ""
        self.draw()

    def show(self, detail):
        self.detail = detail or self.detail

    def keep_drawing(self):
        while not self.over.wait(0.5 if self.live else 15):
            self.draw()

    def draw(self):
        minutes, seconds = divmod(int(time.time() - self.start), 60)
        text = "[%d/%d] %d:%02d  %s" % (self.number, self.steps, minutes, seconds, self.title)
        text += ": " + self.detail if self.detail else ""
        if self.live:
            sys.stdout.write("\r" + text[: self.width()].ljust(self.width()))
            sys.stdout.flush()
        else:
            say(text)

    def width(self):
        return shutil.get_terminal_size().columns - 1


def say(text):
    print(text)
    sys.stdout.flush()


def read(path):
    """The text of a file; None where there is none."""
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return None


def write(path, text):
    """Write a file whole or not at all."""
    with open(path + ".partial", "w") as file:
        file.write(text)
    os.replace(path + ".partial", path)


if __name__ == "__main__":
    sys.exit(main())
