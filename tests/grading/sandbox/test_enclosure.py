"""What is visible inside, however the course and Python are installed, and whoever grades."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from clearformer.grading.sandbox import enclosure

COURSE = Path(__file__).parents[3]


def look_for(path):
    return f"import os; result = os.path.exists({str(path)!r})"


@pytest.fixture
def enclosed(new_warm, sandbox_full, actor_of):
    """enclosed(source) -> its result in a sandbox made now, so with what the test has changed."""

    def run(source):
        with new_warm("full") as warm, warm.open() as process:
            return actor_of(process).do(source)

    return run


def mounted(line):
    return [Path(line[at + 1]) for at, word in enumerate(line) if word in ("--ro-bind", "--bind", "--dev-bind")]


def test_only_listed_folders_are_mounted_and_all_read_only():
    line = enclosure.command("bwrap", "/some/view", 5, 6)
    assert {word for word in line if word.endswith("bind")} == {"--ro-bind", "--dev-bind"}
    python = enclosure.python_here()
    allowed = {*map(Path, (*enclosure.SYSTEM, *enclosure.TOP)), *python.folders, *python.packages, python.program}
    devices = {Path("/dev", name) for name in enclosure.DEVICES}
    assert set(mounted(line)) <= allowed | devices | {Path("/some/view")}
    for path in ("/", "/etc", "/home", "/root", "/usr", "/proc", "/sys", "/tmp", "/var", "/run", str(Path.home())):
        assert Path(path) not in mounted(line)


def test_the_course_of_these_tests_is_found():
    assert enclosure.course_folder() == COURSE


def test_the_environment_is_the_listed_one_and_no_more(enclosed, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "secret")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    seen = enclosed("import os; result = dict(os.environ)")
    assert seen == enclosure.environment("/scratch") | {"PWD": "/scratch"}
    assert enclosed("import os; result = [hash('a'), os.uname().nodename]") == [
        enclosed("result = hash('a')"),
        enclosure.HOST_NAME,
    ]


def test_a_course_that_is_installed_as_a_package_is_not_there(enclosed, monkeypatch, tmp_path):
    packages = tmp_path / "site-packages"
    for name in ("clearformer", "clearformer-0.1.0.dist-info", "harmless"):
        (packages / name).mkdir(parents=True)
        (packages / name / "solutions.py").write_text("secret = 1")
    (packages / "__editable__.clearformer-0.1.0.pth").write_text("/the/course")
    here = enclosure.python_here()
    monkeypatch.setattr(enclosure, "python_here", lambda: replace(here, packages=(packages, *here.packages)))
    assert enclosed(look_for(packages / "harmless/solutions.py")) is True
    for name in ("clearformer/solutions.py", "clearformer-0.1.0.dist-info/solutions.py"):
        assert enclosed(look_for(packages / name)) is False
    read = f"result = open({str(packages / '__editable__.clearformer-0.1.0.pth')!r}).read()"
    assert "the/course" not in enclosed(read)
    assert "Error" in enclosed(f"open({str(packages / 'clearformer/left')!r}, 'w')")


def test_a_path_file_among_the_packages_is_not_followed(enclosed, monkeypatch, tmp_path):
    packages = tmp_path / "site-packages"
    packages.mkdir()
    (packages / "other.pth").write_text("import sys; sys.marked = True\n/tmp\n")
    here = enclosure.python_here()
    monkeypatch.setattr(enclosure, "python_here", lambda: replace(here, packages=(packages, *here.packages)))
    assert enclosed("import sys; result = [hasattr(sys, 'marked'), '/tmp' in sys.path]") == [False, False]


def test_a_course_inside_a_folder_that_is_visible_is_covered(enclosed, monkeypatch, tmp_path):
    course = tmp_path / "lib" / "course"
    packages = course / ".venv" / "lib" / "site-packages"
    (course / "solutions").mkdir(parents=True)
    (course / "solutions/02_attention.ipynb").write_text("secret")
    (tmp_path / "lib/visible").write_text("")
    packages.mkdir(parents=True)
    (packages / "some_package.py").write_text("number = 5")
    here = enclosure.python_here()
    monkeypatch.setattr(enclosure, "SYSTEM", (*enclosure.SYSTEM, str(tmp_path / "lib")))
    monkeypatch.setattr(enclosure, "course_folder", lambda: course)
    monkeypatch.setattr(enclosure, "python_here", lambda: replace(here, packages=(*here.packages, packages)))
    assert enclosed(look_for(tmp_path / "lib/visible")) is True
    assert enclosed(look_for(course / "solutions/02_attention.ipynb")) is False
    assert enclosed("import some_package; result = some_package.number") == 5  # the .venv in it is still needed
    assert "Error" in enclosed(f"open({str(course / 'left')!r}, 'w')")


def test_without_the_cover_it_would_be_seen(enclosed, monkeypatch, tmp_path):
    """The test above bites."""
    (tmp_path / "lib/course/solutions").mkdir(parents=True)
    (tmp_path / "lib/course/solutions/answers").write_text("secret")
    monkeypatch.setattr(enclosure, "SYSTEM", (*enclosure.SYSTEM, str(tmp_path / "lib")))
    assert enclosed(look_for(tmp_path / "lib/course/solutions/answers")) is True


def test_paths_with_spaces_and_signs_are_mounted(enclosed, monkeypatch, tmp_path):
    packages = tmp_path / "a b'c\"ü" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "oddly_placed.py").write_text("number = 7")
    here = enclosure.python_here()
    monkeypatch.setattr(enclosure, "python_here", lambda: replace(here, packages=(*here.packages, packages)))
    assert enclosed("import oddly_placed; result = oddly_placed.number") == 7


GRADE = """
import sys
sys.path[:0] = {path!r}
from clearformer.grading.sandbox import layers, warm_process
from clearformer.grading.sandbox.view import view
with warm_process.WarmProcess("02_attention", "full") as warm:
    with warm.open() as process:
        source = "import os\\nassert os.getuid() == 65534\\nopen('x', 'w').close()\\nos.fork()"
        process.connection.send({{"do": "run", "cell": 1, "source": source, "number": 1, "seconds": 10.0}})
        assert process.connection.receive(20)["error"]["kind"] == "PermissionError"
    print(layers.described("full", warm.layers))
"""


def test_an_ordinary_user_has_every_layer(sandbox_full, tmp_path):
    """Run as root: the same as nobody. Otherwise all the other tests are run by an ordinary user already."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        return
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    candidates = [sys._base_executable, shutil.which(version, path="/usr/bin:/usr/local/bin"), sys.executable]
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    home = tmp_path / "home"
    home.mkdir()
    os.chmod(home, 0o777)
    for folder in tmp_path.parents[:3]:
        if folder != Path("/tmp"):
            os.chmod(folder, 0o755)
    path = [str(COURSE / "reference"), *(entry for entry in sys.path if entry.endswith("-packages"))]
    environment = {"HOME": str(home), "TMPDIR": str(home), "PATH": os.environ["PATH"]}
    for program in filter(None, candidates):
        can_it = f"import os, sys; sys.path += {path!r}; os.stat(sys._base_executable); import numpy"
        can = subprocess.run([*nobody, program, "-c", can_it], env=environment, capture_output=True)
        if can.returncode == 0:
            line = [*nobody, program, "-c", GRADE.format(path=path)]
            done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=120)
            assert done.returncode == 0, done.stderr
            assert "13 of 13 layers active" in done.stdout
            return
    pytest.skip("no Python here can be run by an ordinary user, so this could not be tried")


@pytest.mark.parametrize(
    ("packages", "is_scratch"), [("/opt/env/site-packages", True), ("/tmp/env/site-packages", False)]
)
def test_the_folder_for_temporary_files_is_the_scratch_unless_python_lies_there(packages, is_scratch):
    python = enclosure.Python(Path("/usr/bin/python3"), (Path("/usr/lib"),), (Path(packages),))
    line = enclosure.command("bwrap", "/view", 4, 5, python=python)
    links = [line[place + 1 : place + 3] for place, part in enumerate(line) if part == "--symlink"]
    assert ([enclosure.SCRATCH, "/tmp"] in links) == is_scratch
    assert [enclosure.SCRATCH, "/dev/shm"] in links
