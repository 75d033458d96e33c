"""What student code may import: the package as it stood before the lesson, and nothing that answers an exercise."""

import subprocess
import sys
from pathlib import Path

import pytest

from clearformer.checks import catalogue
from clearformer.grading.sandbox import view as views
from clearformer.grading.sandbox.view import view

LESSONS = [each.id for each in catalogue.LESSONS]


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """{lesson: folder with what its exercises may import}"""
    folders = {lesson: tmp_path_factory.mktemp(lesson) for lesson in LESSONS}
    for lesson, folder in folders.items():
        view(lesson, folder)
    return folders


def run(folder, source):
    """Run code to which the folder's package is the only `clearformer`; returns what it prints."""
    first = f"import sys; sys.path.insert(0, {str(folder)!r})\n"
    done = subprocess.run([sys.executable, "-I", "-c", first + source], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("lesson", LESSONS)
def test_no_source_of_this_lessons_answers_or_of_later_ones_is_there(seen, lesson):
    everything = "".join(path.read_text() for path in seen[lesson].rglob("*.py"))
    for each in catalogue.LESSONS[LESSONS.index(lesson) :]:
        for name in each.exercises:
            assert f"def {name}(" not in everything
            assert f"class {name}(" not in everything


@pytest.mark.parametrize("lesson", LESSONS)
def test_no_check_and_nothing_that_judges_is_there(seen, lesson):
    package = seen[lesson] / "clearformer"
    assert {path.name for path in (package / "checks").iterdir()} == {
        "__init__.py",
        "answer.py",
        "compare.py",
        "given.py",
        "guard.py",
        "progress.py",
    }
    assert {path.name for path in (package / "grading").iterdir()} == {"__init__.py", "inside"}
    assert not {"authoring", "cli.py", "lab.py", "doctor.py"} & {path.name for path in package.iterdir()}
    assert all("misconception" not in path.read_text().casefold() for path in package.rglob("*.py"))


def test_a_module_that_no_lesson_has_built_yet_is_not_shown(seen):
    for path in (seen["03_multi_head_attention"] / "clearformer" / "numpy").iterdir():
        built_before = path.name in ("positions.py", "attention.py")
        assert built_before or path.name.startswith("_") or "write what you need of it yourself" in path.read_text()


def test_what_earlier_lessons_built_works_as_it_does_outside(seen):
    source = "from clearformer.numpy import softmax, causal_mask\nprint(softmax([0.0, 0.0]), causal_mask(2).tolist())"
    assert run(seen["03_multi_head_attention"], source) == "[0.5 0.5] [[True, False], [True, True]]\n"


@pytest.mark.parametrize(
    "use",
    [
        "from clearformer.numpy import softmax; softmax([1.0])",
        "import clearformer.numpy; clearformer.numpy.softmax([1.0])",
        "from clearformer.numpy.attention import softmax as mine; mine([1.0])",
        "from clearformer.nn import MultiHeadAttention; MultiHeadAttention(8, 2)",
        "from clearformer.nn import MultiHeadAttention\nclass Mine(MultiHeadAttention): pass",
        "from clearformer.nn import MultiHeadAttention; MultiHeadAttention.forward",
    ],
)
def test_what_this_lesson_builds_can_be_imported_but_says_write_it_yourself(seen, use):
    source = (
        "from clearformer.checks.guard import ForbiddenCall\n"
        f"code = {use!r}\n"
        "try:\n    exec(code)\nexcept ForbiddenCall as error:\n    print(error.name, '|', error)"
    )
    name, said = run(seen["02_attention"], source).strip().split(" | ")
    assert name.startswith(("clearformer.numpy.attention.softmax", "clearformer.nn.attention.MultiHeadAttention"))
    assert said.endswith("write this one yourself")


def test_importing_all_of_it_is_no_error(seen):
    for lesson in LESSONS:
        run(seen[lesson], "from clearformer.numpy import *\nfrom clearformer import numpy, nn, plots")


def test_check_and_hint_do_nothing(seen):
    source = (
        "from clearformer import check, hint\nfrom clearformer.checks import progress\n"
        "print(check(len), check(1, 'softmax'), hint('softmax'), progress.show())"
    )
    assert run(seen["02_attention"], source) == "None None None None\n"


def test_figures_can_be_drawn(seen):
    for lesson in LESSONS:
        run(seen[lesson], "from clearformer.plots import heatmap, table, show\nprint(table([[1]], ['a'], 'b'))")


def test_a_new_module_of_the_package_is_hidden_until_a_lesson_builds_it(tmp_path, monkeypatch):
    package = tmp_path / "clearformer"
    for name in ("grading/inside/stand_ins", "checks", "memory"):
        (package / name).mkdir(parents=True)
    (package / "memory" / "counting.py").write_text("def activation_bytes(): return 7")
    (package / "lora.py").write_text("def merge(): return 7")
    monkeypatch.setattr(views, "PACKAGE", package)
    views._files.cache_clear()
    try:
        view("02_attention", tmp_path / "seen")
    finally:
        views._files.cache_clear()
    found = {path.name: path.read_text() for path in Path(tmp_path, "seen", "clearformer").rglob("*.py")}
    assert "return 7" not in found["counting.py"] + found["lora.py"]
