"""clearformer new-exercise: what it makes passes as it is, and what it cannot make leaves nothing behind."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from clearformer.authoring import new_exercise as made
from clearformer.authoring.new_exercise import CATALOGUE, KINDS, CannotMake, command, listed, new_exercise
from clearformer.authoring.notebook import read

ROOT = Path(__file__).parents[2]
COPIED = ("reference", "solutions", "exercises", "notebooks", "tests", "README.md", "pyproject.toml", "conftest.py")
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.egg-info", "attacks")
# A lesson, a kind, and a name as long as one may be.
MADE = {
    "write": ("02_attention", "centre_rows"),
    "predict": ("01_positional_encoding", "a_name_of_just_thirty_letters1"),
    "hunt": ("01", "scale_rows"),
}


def copy_of_the_course(folder):
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name, **({"ignore": LEFT_OUT} if copy is shutil.copytree else {}))
    return folder


@pytest.fixture
def course(tmp_path):
    """The few files that the command reads and writes."""
    for name in (CATALOGUE / "__init__.py", CATALOGUE / "lesson_02_attention" / "inputs.py", "README.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "solutions", tmp_path / "solutions")
    return tmp_path


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def in_copy(copy, *arguments):
    """Run a module of the copy's package."""
    environment = os.environ | {"PYTHONPATH": str(copy / "reference"), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=copy, env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A copy of the course with an exercise of each kind, made and then treated as the command says."""
    copy = copy_of_the_course(tmp_path_factory.mktemp("course"))
    for kind, (lesson, name) in MADE.items():
        new_exercise(name, lesson, kind, copy)
    touched = ["solutions/01_positional_encoding.ipynb", "solutions/02_attention.ipynb"]
    for arguments in (["authoring.refresh", *touched], ["authoring.handout", "solutions", "exercises"]):
        done = in_copy(copy, "-m", f"clearformer.{arguments[0]}", *arguments[1:])
        assert done.returncode == 0, done.stdout + done.stderr
    return copy


@pytest.mark.slow
def test_what_is_made_passes_the_tests_of_the_catalogue_the_notebooks_and_the_map_of_lessons(finished):
    pages = [f"tests/notebooks/test_{name}.py" for name in ("structure", "drift", "leaks", "stubs")]
    chosen = [name for _, name in MADE.values()]
    chosen += ["01_positional_encoding", "02_attention", "made_from_the_solutions", "map_of_lessons"]
    done = in_copy(
        finished,
        *("-m", "pytest", "-q", "-p", "no:xdist", "-k", " or ".join(chosen)),
        *("tests/checks/test_catalogue.py", *pages, "tests/test_readme.py"),
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 100


@pytest.mark.slow
def test_what_is_made_is_laid_out_as_the_tools_want(finished):
    names = [name for _, name in MADE.values()]
    files = [str(path) for path in (finished / CATALOGUE).rglob("*.py") if path.stem in names]
    files.append(str(CATALOGUE / "__init__.py"))
    assert len(files) == 4
    for how in (["check"], ["format", "--check"]):
        done = in_copy(finished, "-m", "ruff", *how, "--no-cache", *files)
        assert done.returncode == 0, done.stdout


def test_no_exercise_of_the_course_is_a_template_still():
    files = [*(ROOT / CATALOGUE).rglob("*.py"), *(ROOT / "solutions").glob("*.ipynb")]
    assert [path for path in files if "CHANGE:" in path.read_text(encoding="utf-8")] == []


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_says_where_to_change_it(course, kind):
    done = new_exercise("centre_rows", "02_attention", kind, course)
    new = next(path for path, what in done.items() if what == "new")
    assert (course / new).read_text(encoding="utf-8").count("CHANGE") >= 5
    assert "CHANGE:" in (course / "solutions" / "02_attention.ipynb").read_text(encoding="utf-8")


def test_it_comes_after_the_others_and_is_counted(course):
    new_exercise("centre_rows", "02_attention", "write", course)
    cells = read(course / "solutions" / "02_attention.ipynb").cells
    assert "Eight exercises" in cells[0].source and "about 105 minutes" in cells[0].source
    assert [cell.id for cell in cells[-4:-1]] == ["about-centre-rows", "answer-centre-rows", "check-centre-rows"]
    assert cells[-4].source.startswith("## 8. centre_rows\n\n**Write** · 1 point · ")
    assert cells[-1].source.startswith("Next: ")


# ---- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "lesson", "kind", "said"),
    [
        ("two words", "02_attention", "write", "no name for a function"),
        ("3_heads", "02_attention", "write", "no name for a function"),
        ("CentreRows", "02_attention", "write", "no name for a function"),
        ("größe", "02_attention", "write", "no name for a function"),
        ("../../evil", "02_attention", "write", "no name for a function"),
        ("centre_rows\n", "02_attention", "write", "no name for a function"),
        ("", "02_attention", "write", "no name for a function"),
        ("a" * 31, "02_attention", "write", "too long"),
        ("lambda", "02_attention", "write", "word of Python's own"),
        ("match", "02_attention", "write", "word of Python's own"),
        ("check_rows", "02_attention", "write", "begins with check_"),
        ("softmax", "02_attention", "write", "is an exercise of lesson 02_attention already"),
        ("shift_matrix", "02_attention", "write", "is an exercise of lesson 01_positional_encoding already"),
        ("inputs", "02_attention", "write", "is the name of a file"),
        ("sum", "02_attention", "write", "Python's sum"),
        ("mean", "02_attention", "write", "NumPy's mean"),
        ("json", "02_attention", "write", "the module json"),
        ("torch", "02_attention", "write", "the module torch"),
        ("hint", "02_attention", "write", "the course's hint"),
        ("query", "02_attention", "write", "stands for something else in solutions/02_attention.ipynb"),
        ("buggy_causal_attention", "02_attention", "write", "stands for something else"),
        ("centre_rows", "02_atention", "write", "Did you mean 02_attention?"),
        ("centre_rows", "99", "write", "The lessons are 00_start_here, "),
        ("centre_rows", "00", "write", "one exercise on purpose"),
        ("centre_rows", "02_attention", "guess", "one of write, predict, hunt"),
    ],
)
def test_what_will_not_do_is_refused_in_words_and_changes_nothing(course, capsys, name, lesson, kind, said):
    before = contents(course)
    assert command(name, lesson, kind, course) == 2
    assert said in capsys.readouterr().err
    assert contents(course) == before


def test_the_same_name_twice_is_refused(course):
    new_exercise("centre_rows", "02_attention", "write", course)
    with pytest.raises(CannotMake, match="is an exercise of lesson 02_attention already"):
        new_exercise("centre_rows", "03_multi_head_attention", "write", course)


def test_a_folder_that_is_no_course_is_refused(tmp_path):
    with pytest.raises(CannotMake, match="is not a checkout of the course"):
        new_exercise("centre_rows", "02_attention", course=tmp_path)


def test_a_broken_notebook_is_named_and_nothing_is_changed(course):
    (course / "solutions" / "02_attention.ipynb").write_text("{", encoding="utf-8")
    before = contents(course)
    with pytest.raises(CannotMake, match=r"02_attention\.ipynb: not a notebook"):
        new_exercise("centre_rows", "02_attention", "write", course)
    assert contents(course) == before


@pytest.mark.parametrize("fails_at", [1, 2, 3, 4])
@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_where_a_file_cannot_be_written_none_is(course, monkeypatch, fails_at, error):
    before, write, count = contents(course), made.write, 0

    def failing(text, path):
        nonlocal count
        count += 1
        if count == fails_at:
            raise error
        write(text, path)

    monkeypatch.setattr(made, "write", failing)
    with pytest.raises((CannotMake, KeyboardInterrupt)):
        new_exercise("centre_rows", "02_attention", "write", course)
    assert contents(course) == before


# ---- what is said --------------------------------------------------------------------------------------------------


def test_the_next_steps_name_what_is_there(course, capsys):
    assert command("centre_rows", "02", "hunt", course) == 0
    said = capsys.readouterr().out
    files = set(re.findall(r"(?:reference|solutions|README)[\w./]*", said))
    assert all((course / file).is_file() for file in files)
    assert "make notebooks" in said and "make exercises" in said and "-k centre_rows" in said


@pytest.mark.slow
def test_the_way_back_leads_back(course, capsys):
    for arguments in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"],
    ):
        subprocess.run(["git", *arguments], cwd=course, check=True)
    command("centre_rows", "02_attention", "write", course)
    back = re.search(r"^To take it back: (.+)$", capsys.readouterr().out, re.MULTILINE)[1]
    subprocess.run(["bash", "-c", back], cwd=course, check=True)
    status = subprocess.run(["git", "status", "--porcelain"], cwd=course, check=True, capture_output=True, text=True)
    assert status.stdout == ""


# ---- the line in the catalogue -------------------------------------------------------------------------------------


ROOM = 'Lesson("02_attention", "Attention", 60, _same_names("softmax")),'
NO_ROOM = ROOM.replace("Attention", "A title so long that nothing more fits on its line")
LONG = ", ".join(f'"{name}"' for name in ("softmax_of_all_scores", "mask_of_the_future", "mask_of_padding", "backward"))


def exploded(exercises):
    """A lesson with an argument a line."""
    return f'Lesson(\n        "02_attention",\n        "Attention",\n        60,\n        {exercises},\n    ),'


def listed_like(lesson):
    return f'LESSONS = (\n    Lesson("00_start_here", "Start here", 15, _same_names("rows")),\n    {lesson}\n)\n'


@pytest.mark.parametrize(
    "lesson",
    [
        ROOM,
        NO_ROOM,
        exploded('_same_names("softmax")'),
        exploded(f"_same_names({LONG})"),
        exploded('_same_names(\n            "softmax",\n        )'),
        exploded('{\n            "Module": "module",\n            **_same_names("softmax"),\n        }'),
        exploded(f'{{\n            "Module": "module",\n            **_same_names({LONG}),\n        }}'),
        exploded('{\n            **_same_names("softmax"),\n            "Module": "module",\n        }'),
    ],
)
def test_the_catalogue_stays_in_the_layout_of_ruff(lesson, tmp_path):
    def laid_out(text):
        (tmp_path / "catalogue.py").write_text(text, encoding="utf-8")
        arguments = ["format", "--check", "--no-cache", "--line-length", "120", str(tmp_path)]
        return subprocess.run([sys.executable, "-m", "ruff", *arguments], capture_output=True).returncode == 0

    assert laid_out(listed_like(lesson)), "the test's own text"
    text = listed(listed_like(lesson), "a_name_of_some_length", "02_attention")
    assert laid_out(text), text
    assert text.count("a_name_of_some_length") == 1


def test_a_catalogue_in_another_layout_is_left_alone():
    with pytest.raises(CannotMake, match="one a line, please"):
        listed(listed_like(ROOM.replace('_same_names("softmax")', '{"Module": "module"}')), "name", "02_attention")
