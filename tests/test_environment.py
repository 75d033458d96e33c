"""The environment: what is pinned, what `make lab` and `make test` install, and what they say when they cannot."""

import ast
import configparser
import importlib.util
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LESSONS, TESTS = PROJECT["project"]["dependencies"], PROJECT["project"]["optional-dependencies"]["test"]
MAKE = shutil.which("make")


def load(path):
    """make_environment.py as a module; the environment it speaks of lies beside the file."""
    spec = importlib.util.spec_from_file_location("make_environment_under_test", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make_environment = load(ROOT / "make_environment.py")


# --- what is pinned ------------------------------------------------------------------------------------------


def pins():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [line.split("==") for line in lines if line and not line.startswith("#")]


PINS = {canonicalize_name(name): version for name, version in pins()}


def closure(requirements):
    """The names of all packages that these bring with them here."""
    found, to_do = set(), [Requirement(text) for text in requirements]
    while to_do:
        requirement = to_do.pop()
        name, extras = canonicalize_name(requirement.name), requirement.extras or {""}
        if (name, *extras) in found:
            continue
        found.add((name, *extras))
        further = map(Requirement, metadata.requires(name) or [])
        to_do += [r for r in further if not r.marker or any(r.marker.evaluate({"extra": e}) for e in extras | {""})]
    return {name for name, *_ in found}


def test_no_package_is_pinned_twice():
    assert len(PINS) == len(pins())


@pytest.mark.parametrize("text", LESSONS + TESTS + PROJECT["build-system"]["requires"])
def test_each_dependency_is_pinned_to_a_version_it_allows(text):
    requirement = Requirement(text)
    assert requirement.specifier.contains(PINS[canonicalize_name(requirement.name)])


def test_what_the_dependencies_bring_with_them_is_pinned_too():
    assert closure(LESSONS + TESTS) - set(PINS) == set()


def test_what_is_installed_is_what_is_pinned():
    installed = {name: metadata.version(name).split("+")[0] for name in closure(LESSONS + TESTS)}
    assert {name: PINS[name] for name in installed} == installed


def test_the_lessons_bring_in_nothing_that_only_tests_and_benchmarks_need():
    others = {
        "transformers",
        "peft",
        "nbgrader",
        "playwright",
        "hypothesis",
        "jupytext",
        "ruff",
        "pytest-xdist",
        "distributed",
    }
    assert closure(LESSONS) & others == set()


# --- conda and Binder, licences, pictures in notebooks ------------------------------------------------------


def test_conda_installs_what_pyproject_says_and_nothing_else():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    python, *rest = environment["dependencies"]
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    assert rest == ["pip", {"pip": ["-c constraints.txt", "-e ."]}]
    version = re.fullmatch(r"python=(3\.\d+)", python).group(1)
    assert Requirement("python" + PROJECT["project"]["requires-python"]).specifier.contains(version)
    assert make_environment.OLDEST <= tuple(map(int, version.split("."))) <= make_environment.NEWEST


def test_the_oldest_python_is_the_one_in_pyproject():
    assert PROJECT["project"]["requires-python"] == f">={'.'.join(map(str, make_environment.OLDEST))}"


def test_the_licences_are_named_in_their_files():
    assert PROJECT["project"]["license"] == "MIT AND CC-BY-4.0"
    assert (ROOT / "LICENSE").read_text().startswith("MIT License")
    lessons = (ROOT / "LICENSE-LESSONS").read_text()
    for text in ("CC BY 4.0", "creativecommons.org/licenses/by/4.0/", "notebooks/", "exercises/", "solutions/"):
        assert text in lessons


def test_pictures_are_left_out_of_the_comparison_and_what_stands_beside_them_is_not():
    config = configparser.RawConfigParser()
    config.read(ROOT / "tests" / "nbval_sanitize.cfg")
    pattern, substitute = config["pictures"]["regex"], config["pictures"]["replace"]
    one = '<img alt="A" src="data:image/png;base64,iVBO\nRw0=" width="3">'
    other = '<img alt="B" src="data:image/png;base64,AAAA" width="3">'
    assert re.sub(pattern, substitute, one).replace("A", "B", 1) == re.sub(pattern, substitute, other)


# --- an environment that is not really installed ------------------------------------------------------------

FAKE_PYTHON = """#!/bin/sh
case "$*" in
    *"-m pip install"*)
        echo "$*" >> pip-calls
        [ -e pip-says ] && cat pip-says
        while [ -e pip-waits ]; do sleep 0.1; done
        exit $(cat pip-status 2>/dev/null || echo 0);;
    *";"* | *.py*) exec {python} "$@";;
    "-c import "*) [ -e import-says ] && cat import-says && exit 1; exit 0;;
esac
"""
# The real reports of pip for the same failures, shortened.
OFFLINE = (
    "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError('<HTTPSConnection object>: "
    "Failed to establish a new connection: [Errno -3] Temporary failure in name resolution')': /simple/hatchling/\n"
    "ERROR: No matching distribution found for hatchling==1.33.0\n"
)
FULL = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n"
FAILURES = {
    "offline": (OFFLINE, "connect to the internet"),
    "slow": ("pip._vendor.urllib3.exceptions.ReadTimeoutError: Read timed out.\n", "connect to the internet"),
    "full": (FULL, "Free some space"),
    "full while offline": (OFFLINE + FULL, "Free some space"),
    "quota": ("OSError: [Errno 122] Disk quota exceeded\n", "Free some space"),
    "read only": ("ERROR: [Errno 13] Permission denied: '/x/.venv/bin/jupyter'\n", "make the folder your own"),
    "proxy": ("SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]'))\n", "PIP_CERT"),
    "no build": ("ERROR: No matching distribution found for torch==2.13.0\n", "no torch==2.13.0 for Python 3."),
    "compiler": ("error: command 'gcc' failed\nERROR: Failed building wheel for pyzmq\n", "no ready-made pyzmq"),
    "damaged": ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.\n", "arrived damaged"),
    "unheard of": ("Traceback (most recent call last):\nERROR: the moon is full\n", "(ERROR: the moon is full)"),
}


class Course:
    """A copy of what makes the environment, in a folder of its own, beside a .venv whose pip does what a test says."""

    def __init__(self, folder):
        self.folder = folder
        for name in ("Makefile", "make_environment.py", "pyproject.toml", "constraints.txt", "reference/jupyter"):
            source, target = ROOT / name, folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
        self.write_python(folder / ".venv" / "bin" / "python", FAKE_PYTHON.format(python=shlex.quote(sys.executable)))

    def write_python(self, path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
        return path

    def write(self, name, text=""):
        (self.folder / name).write_text(text)

    def make(self, *arguments, **variables):
        """Run make; (exit status, everything that was printed)."""
        command = [MAKE, "--no-print-directory", *arguments]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=inherited | {"PYTHON": ""} | variables,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=300,
        )
        return done.returncode, done.stdout

    def start(self, **options):
        """make_environment.py in the background."""
        command = [sys.executable, "make_environment.py"]
        return subprocess.Popen(command, cwd=self.folder, stdout=subprocess.PIPE, text=True, **options)

    def calls(self):
        path = self.folder / "pip-calls"
        return path.read_text().splitlines() if path.exists() else []

    def wait_for_pip(self, calls=1):
        deadline = time.monotonic() + 60
        while len(self.calls()) < calls:
            assert time.monotonic() < deadline, "pip was not called"
            time.sleep(0.05)


@pytest.fixture
def course(tmp_path):
    folder = tmp_path / "a folder with ümlaut"
    folder.mkdir()
    return Course(folder)


def test_the_lab_asks_pip_for_the_course_alone_and_the_tests_for_the_extra(course):
    assert course.make("environment")[0] == 0
    assert course.make("test-environment")[0] == 0
    assert [call.rsplit(maxsplit=4)[1:] for call in course.calls()] == [
        ["--constraint", "constraints.txt", "--editable", "."],
        ["--constraint", "constraints.txt", "--editable", ".[test]"],
    ]


def test_the_tests_environment_is_enough_for_the_lab(course):
    course.make("test-environment")
    course.make("environment")
    assert len(course.calls()) == 1


def test_a_second_call_runs_no_pip_and_takes_less_than_a_second_of_a_core(course):
    course.make("environment")
    before = os.times()
    assert course.make("environment") == (0, "")
    after = os.times()
    assert len(course.calls()) == 1
    assert after.children_user + after.children_system - before.children_user - before.children_system < 1


def test_a_changed_pin_is_installed_and_a_changed_linter_setting_is_not(course):
    course.make("environment")
    course.write(
        "pyproject.toml", (course.folder / "pyproject.toml").read_text().replace("line-length = 1", "line-length = 9")
    )
    course.make("environment")
    assert len(course.calls()) == 1
    course.write("constraints.txt", (course.folder / "constraints.txt").read_text() + "another==1.0\n")
    course.make("environment")
    assert len(course.calls()) == 2


def test_a_new_test_package_does_not_disturb_the_lab(course):
    course.make("test-environment")
    text = (course.folder / "pyproject.toml").read_text()
    course.write("pyproject.toml", text.replace("test = [", 'test = ["another",'))
    course.make("environment")
    assert len(course.calls()) == 1
    course.make("test-environment")
    assert len(course.calls()) == 2


def test_a_folder_that_was_moved_gets_its_environment_anew(course):
    course.make("environment")
    course.folder = course.folder.rename(course.folder.with_name("elsewhere"))
    course.make("environment")
    assert len(course.calls()) == 2


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_is_said_in_a_sentence_and_the_next_call_starts_again(course, failure, capsys):
    report, sentence = FAILURES[failure]
    course.write("pip-says", report)
    course.write("pip-status", "1")
    module = load(course.folder / "make_environment.py")
    assert module.main([]) == 1
    text = capsys.readouterr().out
    assert sentence in text
    assert "Traceback" not in text
    assert module.LOG in text
    assert report.splitlines()[-1] in Path(module.LOG).read_text()
    (course.folder / "pip-status").unlink()
    assert module.main([]) == 0
    assert len(course.calls()) == 2


def test_make_stops_where_the_environment_cannot_be_made(course):
    course.write("pip-says", OFFLINE)
    course.write("pip-status", "1")
    status, text = course.make("lab")
    assert status != 0
    assert "connect to the internet" in text
    assert "clearformer.cli" not in text


def test_pip_that_was_killed_is_told_from_pip_that_failed():
    assert "memory" in make_environment.explain("", -9)


def test_a_package_that_is_there_but_does_not_start_is_named(course):
    course.write("import-says", "Traceback (most recent call last):\nImportError: libgomp.so.1: cannot open\n")
    status, text = course.make("environment")
    assert status != 0
    assert "clearformer is installed but does not start on this machine (ImportError: libgomp.so.1" in text
    assert "Traceback" not in text


def test_a_full_disk_is_found_before_anything_is_fetched(course, monkeypatch, capsys):
    module = load(course.folder / "make_environment.py")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9e9, 8e9, 1.2e9))
    assert module.main([]) == 1
    assert "The disk is too full: 1.2 GB are free" in capsys.readouterr().out
    assert course.calls() == []


def test_a_disk_too_small_for_cuda_is_found_when_pip_turns_to_cuda(course, monkeypatch, capsys):
    module = load(course.folder / "make_environment.py")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9e9, 4e9, 5e9))
    course.write("pip-says", "  Downloading nvidia_cublas-13.1.1.3-py3-none-manylinux_2_27_x86_64.whl (423.1 MB)\n")
    assert module.main([]) == 1
    assert "about 6.5 GB are needed" in capsys.readouterr().out


def test_a_folder_that_may_not_be_written_is_said(course, monkeypatch, capsys):
    shutil.rmtree(course.folder / ".venv")
    module = load(course.folder / "make_environment.py")

    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(module.os, "mkdir", refuse)  # root, which these tests may run as, may write everywhere
    assert module.main([]) == 1
    assert "make the folder your own" in capsys.readouterr().out


def test_a_file_in_the_environments_place_is_left_alone(course):
    shutil.rmtree(course.folder / ".venv")
    course.write(".venv", "mine")
    status, text = course.make("environment")
    assert status != 0
    assert "is in the way" in text
    assert (course.folder / ".venv").read_text() == "mine"


def test_two_calls_at_once_wait_for_each_other(course):
    course.write("pip-waits")
    first = course.start()
    course.wait_for_pip()
    second = course.start()
    assert second.stdout.readline() == "Another command is making the environment. Waiting for it to finish.\n"
    (course.folder / "pip-waits").unlink()
    assert first.wait(60) == second.wait(60) == 0
    assert len(course.calls()) == 1


def child_of(process):
    return int(subprocess.check_output(["pgrep", "-P", str(process.pid)]).split()[0])


OFFLINE_SETTINGS = {
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_INDEX_URL": "http://127.0.0.1:9/simple",  # nobody listens there
    "PIP_EXTRA_INDEX_URL": "",
    "PIP_FIND_LINKS": "",
}


def stop_half_way(course, blow):
    """Start to make the environment, and send it the signal while pip runs."""
    course.write("pip-says", "Installing collected packages: numpy, torch\n")
    course.write("pip-waits")
    process = course.start(preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    course.wait_for_pip()
    while not (course.folder / ".venv" / "half-made").exists():
        time.sleep(0.05)
    pip = child_of(process)
    process.send_signal(blow)
    assert process.wait(60) != 0
    assert not Path(f"/proc/{pip}").exists()  # pip is ended too
    assert "Traceback" not in process.stdout.read()


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("blow", [signal.SIGTERM, signal.SIGINT])
def test_an_environment_left_half_made_says_so(course, blow):
    stop_half_way(course, blow)
    assert (course.folder / ".venv" / "half-made").exists()


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_an_environment_left_half_made_is_made_anew(course):
    stop_half_way(course, signal.SIGTERM)
    (course.folder / "pip-waits").unlink()
    # The second call makes a real environment and runs the real pip, which reaches no index.
    status, text = course.make("environment", **OFFLINE_SETTINGS)
    assert status != 0
    assert "was left half made. Making it anew." in text
    assert "connect to the internet" in text
    assert not (course.folder / ".venv" / "half-made").exists()  # nothing was changed since pip was there
    assert list((course.folder / ".venv").glob("pip-*")) == []


def test_the_lab_still_opens_where_only_the_tests_packages_are_half_made(course):
    course.make("environment")
    (course.folder / ".venv" / "half-made").touch()
    assert course.make("environment") == (0, "")
    assert len(course.calls()) == 1


def test_an_update_that_failed_is_not_taken_for_the_version_before_it(course):
    course.make("environment")
    before = (course.folder / "constraints.txt").read_text()
    course.write("constraints.txt", before + "another==1.0\n")
    course.write("pip-status", "1")
    course.make("environment")
    course.write("constraints.txt", before)
    (course.folder / "pip-status").unlink()
    course.make("environment")
    assert len(course.calls()) == 3


def test_an_environment_that_is_ready_needs_no_other_python(course):
    course.make("environment")
    (course.folder / "bin").mkdir()
    assert course.make("environment", PATH=str(course.folder / "bin")) == (0, "")


def test_pip_gives_up_soon_without_a_network_unless_the_user_says_otherwise(course, monkeypatch):
    module = load(course.folder / "make_environment.py")
    for name in ("PIP_RETRIES", "PIP_TIMEOUT", "PIP_DEFAULT_TIMEOUT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_TARGET", "/elsewhere")
    settings = module.settings_for_pip("scratch")
    assert (settings["PIP_RETRIES"], settings["PIP_TIMEOUT"]) == ("1", "15")
    assert "PIP_TARGET" not in settings
    monkeypatch.setenv("PIP_RETRIES", "9")
    monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "99")
    settings = module.settings_for_pip("scratch")
    assert settings["PIP_RETRIES"] == "9"
    assert "PIP_TIMEOUT" not in settings


# --- which Python --------------------------------------------------------------------------------------------

PRETENDING = """#!/bin/sh
exec {python} -c "
import runpy, sys
sys.version_info = {version}
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')" "$@"
"""


def pretend(course, name, version):
    """A Python that gives itself out for another version."""
    text = PRETENDING.format(python=shlex.quote(sys.executable), version=(*version, 0, "final", 0))
    return course.write_python(course.folder / "bin" / name, text)


@pytest.mark.parametrize("version", [(2, 7), (3, 9), (3, 10), (3, 15)])
def test_an_unsupported_python_is_named_with_what_is_wanted(course, version):
    status, text = course.make("environment", PYTHON=str(pretend(course, "python3", version)))
    assert status != 0
    assert f"This is Python {version[0]}.{version[1]} (" in text
    assert "the course needs Python 3.11 to 3.14" in text
    assert "Traceback" not in text
    assert course.calls() == []


def without_environment(course):
    shutil.rmtree(course.folder / ".venv")
    (course.folder / "bin").mkdir(exist_ok=True)
    return str(course.folder / "bin")


def test_a_python_that_will_do_is_found_behind_one_that_will_not(course):
    path = without_environment(course)
    pretend(course, "python3", (3, 9))
    report = '#!/bin/sh\n[ "$2" = --suitable ] || echo chosen: $0\n'
    course.write_python(course.folder / "bin" / "python3.12", report)
    assert "/python3.12" in course.make("environment", PATH=path)[1]


def test_where_every_python_is_too_old_that_is_said(course):
    path = without_environment(course)
    pretend(course, "python3", (3, 9))
    status, text = course.make("environment", PATH=path)
    assert status != 0
    assert "This is Python 3.9 (" in text


def test_a_machine_without_python_is_told_to_install_one(course):
    status, text = course.make("environment", PATH=without_environment(course))
    assert status != 0
    assert "No Python was found: install Python 3.11 or newer" in text


def test_a_python_that_does_not_exist_is_said(course):
    status, text = course.make("environment", PYTHON="python3.99")
    assert status != 0
    assert "There is no python3.99" in text


def test_another_python_chosen_by_hand_replaces_the_environment(course, monkeypatch, capsys):
    course.make("environment")
    module = load(course.folder / "make_environment.py")
    monkeypatch.setattr(module, "made_with", lambda: [3, 14] if (course.folder / ".venv/bin").exists() else None)
    monkeypatch.setattr(module, "run", lambda *arguments: (1, OFFLINE))
    assert module.main([]) == 0  # the one that is there is good enough
    assert module.main(["--chosen"]) == 1
    assert "was made with Python 3.14. Making it anew." in capsys.readouterr().out


def test_debian_without_venv_is_told_the_package(course, monkeypatch, capsys):
    shutil.rmtree(course.folder / ".venv")
    module = load(course.folder / "make_environment.py")
    monkeypatch.setattr(module, "has_module", lambda name: name == "venv")  # Debian leaves out ensurepip
    assert module.main([]) == 1
    assert f"sudo apt install python3.{sys.version_info.minor}-venv" in capsys.readouterr().out


def test_virtualenv_serves_where_venv_is_missing(course, monkeypatch):
    shutil.rmtree(course.folder / ".venv")
    module = load(course.folder / "make_environment.py")
    commands = []
    monkeypatch.setattr(module, "has_module", lambda name: name == "virtualenv")
    monkeypatch.setattr(module, "run", lambda command, *_: commands.append(command) or (0, ""))
    assert module.main([]) == 0
    assert commands[0][1:] == ["-m", "virtualenv", str(course.folder / ".venv")]


def test_an_old_python_can_read_the_file_that_turns_it_away():
    # What Python 2.7 has no grammar for; it would answer with a SyntaxError.
    newer = (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr, ast.Nonlocal, ast.AsyncFunctionDef, ast.YieldFrom, ast.Match)
    source = (ROOT / "make_environment.py").read_bytes()
    assert source.isascii()
    for node in ast.walk(ast.parse(source)):
        assert not isinstance(node, newer)
        assert not (isinstance(node, ast.Raise) and node.cause)
        assert not (isinstance(node, ast.FunctionDef) and (node.returns or node.args.kwonlyargs))
        assert not (isinstance(node, ast.arg) and node.annotation)
        assert not (isinstance(node, ast.List | ast.Tuple) and any(isinstance(e, ast.Starred) for e in node.elts))
        assert not (isinstance(node, ast.ClassDef) and node.keywords)
        if isinstance(node, ast.Call):  # f(*a, b) and f(**a, b=1)
            stars = [isinstance(argument, ast.Starred) for argument in node.args]
            assert stars == sorted(stars) and sum(stars) <= 1
            names = [keyword.arg is None for keyword in node.keywords]
            assert names == sorted(names) and sum(names) <= 1


# --- the commands --------------------------------------------------------------------------------------------


def test_make_alone_lists_the_commands(course):
    status, text = course.make()
    assert status == 0
    for target in ("lab", "test", "exercises", "notebooks", "clean"):
        assert re.search(rf"^make {target} +\w", text, re.MULTILINE)


def test_lab_passes_options_on(course):
    status, text = course.make("--dry-run", "lab", "LAB_ARGS=--port 9999 --no-browser")
    assert status == 0
    assert "-m clearformer.cli lab --port 9999 --no-browser" in text


@pytest.mark.parametrize("bare", [True, False])
def test_ci_installs_what_a_bare_machine_lacks_and_runs_the_tests(course, bare):
    path = course.folder / "bin"
    there = ["make", "apt-get", "python3"] + ([] if bare else ["chromium"])
    for name in there:
        course.write_python(path / name, f'#!/bin/sh\necho "{name} $*" >> {shlex.quote(str(course.folder))}/log\n')
    for name in ("dirname", "id", "env", "sh"):
        (path / name).symlink_to(shutil.which(name))
    (course.folder / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", course.folder / ".ci" / "run")
    bash = shutil.which("bash")
    assert subprocess.run([bash, ".ci/run"], cwd=course.folder, env={"PATH": str(path)}, timeout=60).returncode == 0
    log = (course.folder / "log").read_text().splitlines()
    assert log[-1] == "make test"
    assert any(re.search(r"^apt-get install .*\bchromium chromium-driver\b", line) for line in log) == bare
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
