"""What the pages in docs/ say is so: links, commands, options, what is printed, what is written."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from typer.testing import CliRunner

from clearformer.authoring import new_exercise
from clearformer.authoring.notebook import read
from clearformer.checks import catalogue
from clearformer.cli import app
from clearformer.grading.classroom.settings import NOTEBOOK_DEADLINES, Settings
from clearformer.grading.classroom.submissions import SIZE_LIMIT
from clearformer.grading.report import WORDS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in sorted(DOCS.glob("*.md"))}
WORKFLOW = DOCS / "github" / "check.yml"
LESSON = "02_attention"
ANY_PAGE = pytest.mark.parametrize("page", PAGES)


def prose(text):
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def script(name):
    """One of the scripts in docs/github, as a module."""
    spec = importlib.util.spec_from_file_location(name, DOCS / "github" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---- links, names, options -----------------------------------------------------------------------------------------


def anchors(text):
    """The anchors that GitHub gives the headings."""
    headings = re.findall(r"^#+ +(.+?) *$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def broken_links(text, source):
    return [link for link in re.findall(r"\]\(([^)]+)\)", prose(text)) if not leads_somewhere(link, source)]


def leads_somewhere(link, source):
    file, _, anchor = link.partition("#")
    target = (source.parent / file).resolve() if file else source
    return target.is_file() and (not anchor or anchor in anchors(target.read_text(encoding="utf-8")))


@ANY_PAGE
def test_every_link_leads_to_a_file_and_a_heading_of_ours(page):
    assert broken_links(PAGES[page], DOCS / f"{page}.md") == []


@pytest.mark.parametrize("link", ["nothing.md", "instructors.md#nothing", "#nothing", "https://example.org"])
def test_a_link_that_leads_nowhere_is_found(link):
    assert broken_links(f"see [this]({link})", DOCS / "instructors.md") == [link]


@ANY_PAGE
def test_every_file_of_the_course_that_is_named_exists(page):
    named = re.findall(r"`((?:docs|tests|notebooks|solutions|exercises|reference)/[\w./-]*\w)`", PAGES[page])
    made = {f"{new_exercise.CATALOGUE.as_posix()}/lesson_02_attention/centre_rows.py"}  # by the command of that page
    assert [name for name in named if not (ROOT / name).exists() and name not in made] == []


def options_of(command):
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"}).output
    return set(re.findall(r"--[a-z-]+", shown))


def commands_in(text):
    """(command, its options) for each line or piece of code that calls clearformer."""
    code = "\n".join(blocks(text, "(?:bash|sh|yaml)?") + re.findall(r"`([^`\n]+)`", prose(text)))
    calls = re.findall(r"(?:^|/|\s)clearformer ([a-z][a-z-]*)([^\n|&;]*)", code)
    return [(command, set(re.findall(r"--[a-z-]+", rest))) for command, rest in calls]


@ANY_PAGE
def test_every_command_exists_and_has_the_options_it_is_given(page):
    for command, options in commands_in(PAGES[page]):
        assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0, command
        assert options <= options_of(command), command


def test_the_commands_of_a_page_are_found():
    text = "run `clearformer doctor`\n```bash\ncd x\nsource/.venv/bin/clearformer grade a --out b || true\n```\n"
    assert commands_in(text) == [("grade", {"--out"}), ("doctor", set())]


def test_the_table_of_options_has_every_option_of_grade():
    table = set(re.findall(r"^\| `(--[a-z-]+)", PAGES["instructors"], re.MULTILINE))
    assert table | {"--out", "--help"} == options_of("grade")


def test_the_table_of_kinds_has_every_kind_of_exercise():
    table = re.findall(r"^\| `(\w+)`(?: \(default\))? \| \w", PAGES["new_exercise"], re.MULTILINE)
    assert tuple(table) == new_exercise.KINDS


@ANY_PAGE
def test_every_make_target_exists(page):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    code = "\n".join(blocks(PAGES[page], "(?:bash|sh)") + re.findall(r"`([^`\n]+)`", prose(PAGES[page])))
    for target in re.findall(r"\bmake ([a-z-]+)", code):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


# ---- numbers and prose ---------------------------------------------------------------------------------------------


@ANY_PAGE
def test_the_prose_is_plain(page):
    text = re.sub(r"`[^`]*`", "", prose(PAGES[page]))
    assert re.findall(r"!|—| – |\b(?:simply|easily|just|blazing|powerful|seamless\w*)\b", text) == []


# Every number with a unit in the pages, and what holds it.
CLAIMS = {
    "10 if you do not say": Settings().deadline == 10,
    "five times that": NOTEBOOK_DEADLINES == 5,
    "32 MiB": SIZE_LIMIT == 32 * 2**20,
    "15 of 15 points": sum(each.points for each in catalogue.exercises(LESSON)) == 15,  # and in test_nbgrader
}


@ANY_PAGE
def test_no_number_stands_in_the_prose_that_nothing_holds(page):
    text = prose(PAGES[page])
    for claim, is_so in CLAIMS.items():
        assert is_so, claim
        text = text.replace(claim, "")
    assert re.findall(r"\d[\d.,]* ?(?:%|(?:GB|GiB|MB|MiB|ms|seconds?|points?|times)\b|×)", text) == []


def test_the_words_for_how_an_exercise_stands_are_those_of_the_reports():
    line = next(line for line in PAGES["instructors"].split("\n") if line.startswith("`status` is one of"))
    assert set(re.findall(r"`(\w+)`", line)) - {"status"} == set(WORDS)


# ---- a class that is graded ----------------------------------------------------------------------------------------


def answered(answers):
    """The exercises of the lesson with these answers in it: {exercise: source}."""
    notebook = read(ROOT / "exercises" / f"{LESSON}.ipynb")
    for cell in notebook.cells:
        cell.source = answers.get(cell.metadata.get("nbgrader", {}).get("grade_id"), cell.source)
    return notebook


def right_answers():
    cells = read(ROOT / "solutions" / f"{LESSON}.ipynb").cells
    return {
        cell.metadata.nbgrader.grade_id: cell.source
        for cell in cells
        if cell.metadata.get("nbgrader", {}).get("solution")
    }


def padding_shown(right):
    """The padding may be seen, and nothing else: a mistake that stays in its own exercise."""
    return right | {"padding_mask": right["padding_mask"].replace("!=", "==")}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the submissions of ada, who is right, ben, who has one mistake, and carol, who has not begun."""
    place = tmp_path_factory.mktemp("place")
    right = right_answers()
    for student, answers in {"ada": right, "ben": padding_shown(right), "carol": {}}.items():
        folder = place / "submissions" / student
        folder.mkdir(parents=True)
        nbformat.write(answered(answers), folder / f"{LESSON}.ipynb")
    (place / "course").symlink_to(ROOT, target_is_directory=True)
    return place


def run(command, place, **environment):
    """Run a line of a page or of the workflow, with this environment's clearformer and python."""
    searched = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {"PATH": searched, "COLUMNS": "80", "NO_COLOR": "1"} | environment
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command.replace("course/.venv/bin/", "")],
        cwd=place,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def graded(place):
    done = run(next(each for each in blocks(PAGES["instructors"], "bash") if "--out report" in each), place)
    assert done.returncode == 0, done.stderr
    return done


def squeezed(text):
    """The text without what differs from terminal to terminal: space at line ends, empty lines at both ends."""
    return "\n".join(line.rstrip() for line in text.split("\n")).strip("\n")


def test_grade_prints_what_the_page_shows(graded):
    shown = next(each for each in blocks(PAGES["instructors"], "text") if "hardest first" in each)
    assert squeezed(graded.stdout) == squeezed(shown)


def test_the_report_holds_the_files_that_the_page_lists(graded, place):
    table = re.findall(r"^\| `([\w.]+/?)` \| ", PAGES["instructors"], re.MULTILINE)
    found = {path.name + "/" * path.is_dir() for path in (place / "report").iterdir()}
    assert {name for name in found if not name.endswith(".lock") and not name.startswith(".")} == set(table)
    assert len(list((place / "report" / "students").glob("*.html"))) == 3


@pytest.mark.parametrize("shape", re.findall(r"^(sub\S+\.ipynb) ", PAGES["instructors"], re.MULTILINE))
def test_submissions_are_found_in_every_shape_that_the_page_lists(shape, tmp_path):
    from clearformer.grading.classroom.submissions import find

    folder, *rest = Path(shape).parts
    (tmp_path / shape).parent.mkdir(parents=True)
    nbformat.write(answered({}), tmp_path / shape)
    assert [(each.student, each.path) for each in find(tmp_path / folder)] == [("ada", str(Path(*rest)))]


def test_the_sandbox_is_shown_as_the_page_says(place):
    done = run("clearformer grade --sandbox show", place)
    assert re.search(r"\d+ of \d+ layers active", done.stdout), done.stderr


def test_the_script_for_gradescope_writes_its_results(place, tmp_path):
    code = next(
        each for each in blocks(PAGES["instructors"], "sh") if "run_autograder" in each or "/autograder" in each
    )
    for name in ("submission", "results", "source"):
        (tmp_path / name).mkdir()
    (tmp_path / "source" / "course").symlink_to(ROOT, target_is_directory=True)
    nbformat.write(answered(right_answers()), tmp_path / "submission" / "renamed.ipynb")
    done = run(code.replace("cd /autograder\n", "").replace("source/course/.venv/bin/", ""), tmp_path)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "results" / "results.json").read_text(encoding="utf-8"))
    assert (results["score"], len(results["tests"])) == (15, 7)


# ---- the workflow --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def workflow():
    found = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
    found["on"] = found.pop(True)  # YAML 1.1 reads the key `on` so
    return found


def steps(workflow):
    return workflow["jobs"]["check"]["steps"]


def lines(workflow):
    return [step["run"] for step in steps(workflow) if "run" in step]


def test_the_workflow_has_the_form_of_one(workflow):
    assert set(workflow) == {"name", "on", "permissions", "concurrency", "jobs"}
    assert set(workflow["jobs"]) == {"check"}
    assert set(workflow["jobs"]["check"]) == {"runs-on", "timeout-minutes", "steps"}
    for step in steps(workflow):
        assert ("uses" in step) != ("run" in step), step
        assert set(step) <= {"name", "uses", "with", "run", "if", "env"}
        assert "with" not in step or "uses" in step
        assert "uses" not in step or re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"])


def test_the_workflow_gives_strangers_nothing_to_take(workflow):
    assert workflow["permissions"] == {"contents": "read"}
    assert set(workflow["on"]) == {"push", "pull_request", "workflow_dispatch"}
    assert "secrets." not in WORKFLOW.read_text(encoding="utf-8")
    checkouts = [step["with"] for step in steps(workflow) if step.get("uses", "").startswith("actions/checkout@")]
    assert all(each["persist-credentials"] is False for each in checkouts)


def test_no_value_from_outside_gets_into_a_shell(workflow):
    assert [line for line in lines(workflow) if "${{" in line] == []


def test_the_checks_come_from_the_instructors_commit_and_not_from_the_learner(workflow):
    learner, course = (step["with"] for step in steps(workflow) if step.get("uses", "").startswith("actions/checkout@"))
    assert set(learner) == {"path", "persist-credentials"} and learner["path"].startswith("submissions/")
    assert course["path"] == "course" and re.fullmatch("[0-9a-f]{40}", course["ref"]) and course["repository"]
    programs = re.findall(r"^(?:sudo )?(\S+)", "\n".join(lines(workflow)), re.MULTILINE)
    allowed = {"apt-get", "sysctl", "#", "python", "course/.venv/bin/clearformer", "course/.venv/bin/python"}
    assert set(programs) <= allowed
    assert re.findall(r"\bpython (\S+)", "\n".join(lines(workflow))) == [
        "course/make_environment.py",
        "course/docs/github/summary.py",
    ]
    assert (ROOT / "make_environment.py").is_file()


def test_the_lines_of_the_workflow_run_and_say_who_is_right(workflow, place, tmp_path):
    """All but those that need root and a network: the sandbox and the environment are there already."""
    for line in lines(workflow):
        assert subprocess.run(["bash", "-n", "-c", line]).returncode == 0
    grade, summary = (line for line in lines(workflow) if line.startswith("course/.venv/bin/"))
    for student, status in {"ada": 0, "ben": 1, "carol": 0}.items():
        here = tmp_path / student
        exercises = here / "submissions" / "attention" / "exercises"
        exercises.mkdir(parents=True)
        (here / "course").symlink_to(ROOT, target_is_directory=True)
        notebook = place / "submissions" / student / f"{LESSON}.ipynb"
        (exercises / notebook.name).write_bytes(notebook.read_bytes())
        done = run(grade, here)
        assert done.returncode == 0, done.stderr
        done = run(summary, here, GITHUB_STEP_SUMMARY=str(here / "summary.md"))
        assert done.returncode == status, done.stdout + done.stderr
    text = (tmp_path / "ben" / "summary.md").read_text(encoding="utf-8")
    assert "| padding_mask | ❌ not yet | 0 of 1 |" in text
    assert "| softmax | ✅ passed | 2 of 2 |" in text
    assert "True where there is padding" in text


@pytest.fixture(scope="module")
def hostile():
    exercise = {"id": "softmax", "misconception": None, "points": 0, "max_points": 2, "seconds": 0.1}
    exercise |= {"status": "failed", "message": "</pre><img src=x onerror=alert(1)>\n# big\n::error::no"}
    notebook = {"path": "a|b\n`c`.ipynb", "points": 0, "max_points": 2, "exercises": [exercise]}
    return {"schema": 1, "notebooks": [notebook, {**notebook, "exercises": [], "error": "not a <b>notebook</b>"}]}


def test_a_summary_shows_what_a_notebook_says_as_text(hostile, tmp_path, capsys):
    text = script("summary").summary(hostile)
    assert "<img" not in text and "<b>" not in text and "\n# big" not in text and "a|b" not in text
    (tmp_path / "report.json").write_text(json.dumps(hostile), encoding="utf-8")
    assert script("summary").main(tmp_path / "report.json") == 1
    assert "\n::" not in capsys.readouterr().out


# ---- Classroom 50 --------------------------------------------------------------------------------------------------


def test_the_autograder_for_classroom_50_writes_what_its_contract_asks_for(place, tmp_path, monkeypatch):
    """Fields as in the section on result.json of Classroom 50's wiki, Advanced Autograding."""
    autograder = script("classroom50")
    given = {"CLASSROOM": "c", "ASSIGNMENT": "a", "SUBMISSION_TAG": "submit/t", "COMMIT_URL": "u", "RELEASE_URL": "r"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(autograder, "committed", lambda: "2026-11-21T12:00:00Z")
    (tmp_path / "course").mkdir()
    (tmp_path / "course" / ".venv").symlink_to(sys.prefix, target_is_directory=True)
    report = autograder.graded(tmp_path / "course", place / "submissions" / "ben", tmp_path)
    result = autograder.result(report)
    assert result["schema"] == "classroom50/result/v1"
    assert {name for name in result if name not in ("score", "max-score", "tests")} == {
        *("schema", "classroom", "assignment", "submission", "commit", "release", "review", "datetime")
    }
    assert (result["score"], result["max-score"]) == (14, 15)
    assert all({"test-name", "passed", "score", "max-score"} <= set(test) for test in result["tests"])
    assert [test["test-name"] for test in result["tests"] if not test["passed"]] == ["padding_mask"]


def test_a_commit_is_dated_in_utc(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    who = {"GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b", "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b"}
    when = {"GIT_COMMITTER_DATE": "2026-11-21T12:00:00+02:00"}
    for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "x"]):
        subprocess.run(["git", *command], check=True, env=os.environ | who | when)
    assert script("classroom50").committed() == "2026-11-21T10:00:00Z"


# ---- a new exercise ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", blocks(PAGES["new_exercise"], "python"), ids=lambda code: code.split("\n")[0])
def test_the_code_on_the_page_is_what_the_command_writes(code):
    written = [line.strip() for line in new_exercise.TEMPLATES.joinpath("write.py").read_text("utf-8").split("\n")]
    shown = [line.strip() for line in code.strip().split("\n")]
    if shown[0] == "cases = (":  # a keyword argument, written as an assignment
        shown = shown[1:-1]
    assert any(written[start : start + len(shown)] == shown for start in range(len(written)))


def test_the_page_counts_the_wrong_answers_that_the_tests_ask_for():
    asked = re.search(r"len\(exercise\.misconceptions\) >= \((\d) if exercise\.kind == \"predict\" else (\d)\)",
                      (ROOT / "tests" / "checks" / "test_catalogue.py").read_text(encoding="utf-8"))  # fmt: skip
    assert asked.groups() == ("3", "6")
    assert "You need six, or three for a prediction." in PAGES["new_exercise"]


def test_the_minutes_of_the_steps_are_ten():
    words = {"one": 1, "two": 2, "five": 5}
    steps = re.findall(r"^## \d\. .*\((\w+) minutes?\)$", PAGES["new_exercise"], re.MULTILINE)
    assert sum(words[word] for word in steps) == 10
