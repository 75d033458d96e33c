"""`clearformer doctor`: what is wrong is found and named, however broken the environment is."""

import json
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from typer.testing import CliRunner

from clearformer import doctor, lab
from clearformer.cli import app

FINE = doctor.Finding("numpy 2.0+", True, "2.4.6")
BAD = doctor.Finding("torch 2.5+", False, "not installed", "In the course's folder run: make lab")


@pytest.fixture
def broken(tmp_path, monkeypatch):
    """broken(name, code): the package of that name runs this code instead, in every Python started from here."""

    def put(name, code):
        folder = tmp_path / "shadows" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "__init__.py").write_text(code)

    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "shadows"))
    return put


@pytest.fixture
def quick(broken):
    """Empty packages in the place of those that take seconds to import. `here` looks at the real ones."""
    for name in ("anywidget", "ipykernel", "ipywidgets", "jupyterlab", "nbformat", "nbval", "torch"):
        broken(name, "")


def run(*arguments):
    return subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True, timeout=120)


def by_name(findings):
    return {finding.name.split()[0]: finding for finding in findings}


# --- packages ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def here():
    return doctor.examine()


def test_the_environment_that_the_tests_run_in_is_fine(here):
    # Disk, memory and the progress file are this machine's affair.
    own = [f for f in here if not f.name.startswith(("Free", "Your"))]
    assert [f for f in own if not f.ok] == []


def test_every_package_that_the_lessons_need_is_looked_at(here):
    requirements = [text for text in metadata.requires("clearformer") if "extra ==" not in text]
    names = {re.match(r"[\w.-]+", text).group() for text in requirements}
    assert len(names) > 5
    assert names <= set(by_name(here))


def test_what_is_found_names_no_folder_outside_home_and_course(here):
    # A lesson shows these findings, and lessons are kept with their outputs.
    assert [f for f in here if str(lab.find_course()) in f.found or str(Path.home()) in f.found] == []


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise ImportError('libgomp.so.1 is missing')", "ImportError: libgomp.so.1 is missing"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import os; os._exit(5)", "Python ended with status 5"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "Python ended with status -4"),
        ("print('hello', flush=True); raise ValueError('a\\nb')", "ValueError: a"),
    ],
)
def test_a_broken_package_is_named_and_the_others_are_still_looked_at(broken, code, said):
    broken("anywidget", code)
    facts = doctor._probe(["filelock", "anywidget", "platformdirs"])
    assert facts == {"filelock": None, "anywidget": said, "platformdirs": None}


def test_a_package_that_hangs_is_named(broken, monkeypatch):
    broken("anywidget", "import time; time.sleep(60)")
    broken("filelock", "")  # nothing but the start of Python has to be over by then, also on a busy machine
    broken("platformdirs", "")
    monkeypatch.setattr(doctor, "PROBE_SECONDS", 5)
    facts = doctor._probe(["filelock", "anywidget", "platformdirs"])
    assert facts == {"filelock": None, "anywidget": "no end after 5 seconds", "platformdirs": None}


def test_a_package_that_does_not_start_is_not_fine_and_says_what_to_do():
    finding = doctor._package("numpy", "2.0", "ImportError: no")
    assert not finding.ok
    assert "does not start: ImportError: no" in finding.found
    assert "make lab" in finding.advice or "pip install" in finding.advice


def test_a_package_that_is_missing_is_not_fine():
    finding = doctor._package("no-such-package", "1.0", None)
    assert (finding.ok, finding.found) == (False, "not installed")
    assert finding.advice


@pytest.mark.parametrize(
    ("version", "lowest", "ok"),
    [("2.10", "2.9", True), ("2.9", "2.10", False), ("2.13.0+cpu", "2.13", True), ("3", "2.9.9", True)],
)
def test_versions_are_compared_as_numbers(monkeypatch, version, lowest, ok):
    monkeypatch.setattr(metadata, "version", lambda name: version)
    assert doctor._package("numpy", lowest, None).ok == ok


def test_where_clearformer_itself_is_not_installed_that_is_said(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", missing)
    [finding] = doctor._packages(doctor._wanted_packages(), {})
    assert (finding.name, finding.ok) == ("clearformer", False)


@pytest.mark.parametrize("name", ["torch", "numpy", "jupyterlab", "platformdirs"])
def test_the_doctor_works_without(quick, broken, name):
    broken(name, "raise ImportError('gone')")
    done = run("clearformer.cli", "doctor", "--json")
    findings = {f["name"].split()[0]: f for f in json.loads(done.stdout)["findings"]}
    assert done.returncode == 1
    assert findings[name]["ok"] is False
    assert "gone" in findings[name]["found"]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["rich", "typer"])
def test_the_doctor_works_as_a_module_where_its_command_does_not_start(quick, broken, name):
    broken(name, "raise ImportError('gone')")
    done = run("clearformer.doctor")
    assert re.search(rf"{name} \d\S+ +NOT FINE", done.stdout)
    assert "Traceback" not in done.stderr


# --- device and Lab ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["cpu", "cuda", "mps"])
def test_the_device_is_named(device):
    finding = doctor._device({"device": device, "name": "Some Maker 7"})
    assert finding.ok
    assert device.upper() in finding.found
    assert "Some Maker 7" in finding.found


def test_a_gpu_that_pytorch_does_not_reach_is_mentioned(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/nvidia-smi" if name == "nvidia-smi" else None)
    finding = doctor._device({"device": "cpu", "name": "2 threads"})
    assert finding.ok
    assert "does not reach the NVIDIA GPU" in finding.found


def test_a_device_that_fails_is_not_fine():
    assert not doctor._device("RuntimeError: CUDA driver version is insufficient").ok


def test_notebooks_that_run_with_another_python_are_found():
    assert doctor._jupyterlab({"python": sys.executable}).ok
    assert doctor._jupyterlab({"python": "python3"}).ok
    finding = doctor._jupyterlab({"python": "/opt/another/bin/python"})
    assert not finding.ok
    assert "/opt/another/bin/python" in finding.found
    assert "ipykernel install" in finding.advice


# --- files, disk, memory -------------------------------------------------------------------------------------


@pytest.fixture
def course(tmp_path, monkeypatch):
    for folder in ("notebooks", "exercises", "solutions"):
        path = tmp_path / "course" / folder / "00_start_here.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    monkeypatch.chdir(tmp_path / "course")
    return tmp_path / "course"


def test_a_whole_course_is_fine(course):
    finding = doctor._lessons()
    assert finding.ok
    assert "1 in notebooks/" in finding.found


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"nbformat": 3, "worksheets": []}', '{"nbformat": 4}'])
def test_a_damaged_notebook_is_named(course, damage):
    (course / "exercises" / "00_start_here.ipynb").write_text(damage)
    finding = doctor._lessons()
    assert not finding.ok
    assert str(Path("exercises") / "00_start_here.ipynb") in finding.found


def test_a_course_without_its_exercises_is_not_fine(course):
    shutil.rmtree(course / "exercises")
    finding = doctor._lessons()
    assert not finding.ok
    assert finding.advice


def test_a_course_that_is_not_there_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lab, "__file__", str(tmp_path / "site-packages" / "clearformer" / "lab.py"))
    assert not doctor._lessons().ok


def test_a_built_in_file_that_is_empty_is_named(tmp_path, monkeypatch):
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "style.css").write_text("p {}")
    monkeypatch.setattr(doctor, "__file__", str(tmp_path / "doctor.py"))
    assert doctor._own_files().ok
    (tmp_path / "plots" / "style.css").write_text("")
    finding = doctor._own_files()
    assert not finding.ok
    assert "style.css" in finding.advice


def test_progress_that_cannot_be_kept_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("CLEARFORMER_HOME", str(tmp_path / "deep" / "home"))
    assert doctor._progress_place().ok
    assert not (tmp_path / "deep").exists()
    (tmp_path / "deep").write_text("a file where a folder should be")
    finding = doctor._progress_place()
    assert not finding.ok
    assert "CLEARFORMER_HOME" in finding.advice


@pytest.mark.parametrize(("free", "ok"), [(0.2e9, False), (3e9, True)])
def test_a_disk_or_memory_that_is_nearly_full_is_not_fine(monkeypatch, free, ok):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9e9, 9e9 - free, free))
    monkeypatch.setattr(doctor, "_free_memory", lambda: free)
    for finding in (doctor._disk(), doctor._memory()):
        assert finding.ok == ok
        assert bool(finding.advice) == (not ok)
        assert f"{free / 1e9:.1f} GB" in finding.found


def test_a_containers_memory_limit_counts(tmp_path):
    whole = doctor._free_memory(tmp_path)
    (tmp_path / "memory.max").write_text("50000000\n")
    (tmp_path / "memory.current").write_text("20000000\n")
    assert whole > 30e6
    assert doctor._free_memory(tmp_path) == 30e6
    (tmp_path / "memory.max").write_text("max\n")
    assert doctor._free_memory(tmp_path) > 30e6


# --- showing it ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("findings", "status"), [([FINE], 0), ([FINE, BAD], 1)])
def test_the_exit_status_says_whether_all_is_fine(monkeypatch, findings, status):
    monkeypatch.setattr(doctor, "examine", lambda: findings)
    table, text = CliRunner().invoke(app, ["doctor"]), CliRunner().invoke(app, ["doctor", "--json"])
    assert table.exit_code == text.exit_code == status
    report = json.loads(text.stdout)
    assert (report["schema"], report["ok"]) == (1, status == 0)
    assert [doctor.Finding(**finding) for finding in report["findings"]] == findings


def test_words_carry_the_meaning(capsys):
    doctor.print_table([FINE, BAD])
    text = capsys.readouterr().out
    assert re.search(r"numpy 2.0\+ +fine +2.4.6", text)
    assert re.search(r"torch 2.5\+ +NOT FINE +not installed", text)
    assert "Do this: In the course's folder run: make lab" in " ".join(text.split())
    assert "1 of 2 not fine." in text


def test_a_notebook_shows_a_table_with_a_caption(monkeypatch):
    shown = []
    monkeypatch.setattr(doctor, "examine", lambda: [FINE, BAD])
    monkeypatch.setattr("IPython.display.display", shown.append)
    doctor.show()
    [table] = shown
    assert "<caption" in table._repr_html_()
    for text in ("1 of 2 not fine.", "NOT FINE", "What to do", BAD.advice.replace("'", "&#x27;")):
        assert text in table._repr_html_()


def test_a_notebook_shows_text_where_the_table_cannot_be_made(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "examine", lambda: [FINE, BAD])
    monkeypatch.setitem(sys.modules, "clearformer.plots.table", None)
    doctor.show()
    assert "1 of 2 not fine." in capsys.readouterr().out


def test_nothing_but_python_is_needed_to_import_it():
    code = "import sys, clearformer.doctor; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = set(subprocess.check_output([sys.executable, "-I", "-c", code], text=True).split())
    others = {name.replace("-", "_") for name in doctor._wanted_packages()}
    assert loaded & others == set()
