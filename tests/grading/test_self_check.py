"""Whatever stands in a notebook, each exercise gets a clear status and the others are still judged."""

import os
import re
import subprocess
import sys

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell

from clearformer.checks import overview
from clearformer.grading.self_check import check_notebook

pytestmark = pytest.mark.usefixtures("small_course")
NOT_NORMALISED = "def softmax(x, axis=-1):\n    return np.exp(x - x.max(axis=axis, keepdims=True))"
SOON = 20.0  # seconds for a cell, more than any takes on a busy machine; what never ends is given less


@pytest.fixture
def check(write):
    """check(cells, …) -> ({exercise: Result}, Report) of a notebook with these cells."""

    def check_cells(*cells, seconds=SOON, **how):
        report = check_notebook(write(*cells, **how), seconds)
        assert not report.error, report.error
        assert [result.id for result in report.results] == ["softmax", "score_variance", "causal_mask"]
        for result in report.results:
            assert result.max_points == overview.facts(result.id).points
            assert result.points == (result.max_points if result.status == "passed" else 0)
        return {result.id: result for result in report.results}, report

    return check_cells


@pytest.fixture
def check_softmax(check, right):
    """check_softmax(source) -> Result of softmax, where the other two exercises are answered rightly and pass."""

    def check_source(source, **how):
        found, _ = check(*({**right, "softmax": source}.items()), **how)
        assert (found["score_variance"].status, found["causal_mask"].status) == ("passed", "passed")
        return found["softmax"]

    return check_source


def test_right_answers_pass(check, right):
    _, report = check(*right.items())
    assert report.all_passed and report.points == report.max_points == 4
    assert not report.trouble


def test_a_known_wrong_answer_is_named(check_softmax):
    found = check_softmax(NOT_NORMALISED)
    assert (found.status, found.misconception) == ("failed", "not-normalised")
    assert "Divide them by their sum" in found.message


def test_what_an_answer_printed_is_shown(check_softmax):
    assert "Your code printed:\nlook here" in check_softmax("def softmax(x, axis=-1):\n    print('look here')").message


@pytest.mark.parametrize(
    "source",
    [
        "",
        "# Write your answer here.",
        "def softmax(x, axis=-1):\n    raise NotImplementedError('softmax is not written yet')",
        "def softmax(x, axis=-1):\n    raise NotImplementedError('softmax is not written yet')\nsoftmax(np.zeros(3))",
    ],
    ids=["empty cell", "comment", "stub", "stub that is called"],
)
def test_what_is_not_written_is_unanswered(check_softmax, source):
    assert check_softmax(source).status == "unanswered"


def test_a_prediction_of_none_is_unanswered(check, right):
    found, _ = check(*{**right, "score_variance": "score_variance = None  # your number"}.items())
    assert found["score_variance"].status == "unanswered"
    assert found["softmax"].status == found["causal_mask"].status == "passed"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("x = 1\nx / 0", "The answer cell stopped with ZeroDivisionError: division by zero\nin line 2: x / 0"),
        ("def softmax(x, axis=-1)\n    return x", "SyntaxError: expected ':'\nin line 1: def softmax(x, axis=-1)"),
        ("def softmax(x, axis=-1):\n\treturn (x", "SyntaxError: '(' was never closed\nin line 2: return (x"),
        ("def softmax(x, axis=-1):\nreturn x", "IndentationError: expected an indented block"),
        ("import sys\nsys.exit(0)", "it asks Python to end, as exit() and sys.exit() do. Leave that out\nin line 2"),
        ("raise SystemExit", "it asks Python to end"),
        ("exit()", "it asks Python to end"),
        ("quit", "it asks Python to end"),
        ("def r(): r()\nr()", "RecursionError"),
        ("name = input('name? ')", "EOFError: input() asks the reader something"),
        ("raise KeyboardInterrupt", "stopped with KeyboardInterrupt\nin line 1"),
        ("softmax = np.array([1, 2])", "softmax is a ndarray here, not a function or a class."),
        ("softmax = 3", "softmax is an int here, not a function or a class."),
        ("class softmax:\n    pass", "TypeError: softmax() takes no arguments"),
        ("def soft_max(x, axis=-1):\n    return x", "The answer cell does not define softmax. Keep that name."),
        ("def softmax(x, axis=-1):\n    raise SystemExit", "SystemExit"),
        ("def softmax(x, axis=-1):\n    raise KeyboardInterrupt", "stopped the check with KeyboardInterrupt"),
        ("def softmax(x, axis=-1):\n    return softmax(x)", "RecursionError"),
        ("def softmax(x, axis=-1):\n    return input()", "EOFError"),
    ],
)
def test_an_answer_that_fails_is_an_error_with_its_reason(check_softmax, source, said):
    found = check_softmax(source)
    assert found.status == "error"
    assert said in found.message


NEVER_ENDING = {
    "cell that never ends": ("x = 1\nwhile True:\n    pass", "answer cell did not end within 1.5 seconds", "line [23]"),
    "cell that prints for ever": ("while True:\n    print('x' * 100)", "answer cell did not end", "line [12]"),
    "answer that never returns": (
        "def softmax(x, axis=-1):\n    while x is not None:\n        x = x",
        "softmax did not end within 1.5 seconds",
        "line [23]",
    ),
    "answer that prints for ever": (
        "def softmax(x, axis=-1):\n    while True: print('x')",
        "softmax did not end",
        "line 2: while True: print",
    ),
    "answer that catches everything": (
        "def softmax(x, axis=-1):\n    while True:\n        try: softmax(x)\n        except BaseException: pass",
        "softmax did not end",
        "line",
    ),
}


@pytest.mark.parametrize(("source", "said", "line"), NEVER_ENDING.values(), ids=NEVER_ENDING)
def test_what_never_ends_is_a_timeout(check_softmax, source, said, line):
    found = check_softmax(source, seconds=1.5)
    assert found.status == "timeout"
    assert said in found.message
    assert re.search(f"It was still in {line}", found.message)
    assert found.seconds > 1.4


DEADLY = {
    "os._exit in the cell": ("import os\nos._exit(0)", "The answer cell ended Python itself (exit status 0)"),
    "os._exit in the answer": ("def softmax(x, axis=-1):\n    import os; os._exit(0)", "softmax ended Python itself"),
    "segfault in the cell": ("import ctypes\nctypes.string_at(0)", "(SIGSEGV). It was in line 2: ctypes.string_at(0)"),
    "segfault in the answer": (
        "def softmax(x, axis=-1):\n    import ctypes; ctypes.string_at(0)",
        "softmax crashed Python itself (SIGSEGV). It was in line 2",
    ),
    "killed from outside": (
        "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
        "was ended by the system, as happens when memory runs out",
    ),
}


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize(("source", "said"), DEADLY.values(), ids=DEADLY)
def test_what_takes_python_down_is_an_error(check_softmax, source, said):
    found = check_softmax(source)
    assert found.status == "error"
    assert said in found.message


def test_each_of_several_bad_answers_costs_only_itself(check, right):
    found, _ = check(
        ("softmax", "import os\nos._exit(0)"),
        ("causal_mask", "def causal_mask(seq_len):\n    while True: pass"),
        ("score_variance", right["score_variance"]),
        "assert softmax_is_gone",
        seconds=1.5,
    )
    assert [result.status for result in found.values()] == ["error", "passed", "timeout"]


def test_after_a_restart_the_earlier_cells_have_run_and_the_bad_one_has_not(check, right):
    found, report = check(
        "offset = 0.0",
        "offset += 1.0",
        ("score_variance", "while True: pass"),
        ("softmax", right["softmax"] + "\nassert offset == 1.0\nassert 'score_variance' not in globals()"),
        ("causal_mask", right["causal_mask"]),
        seconds=1.5,
    )
    assert [result.status for result in found.values()] == ["passed", "timeout", "passed"], report


def test_a_cell_that_dies_only_the_second_time_does_not_stop_the_rest(check, right, tmp_path):
    second_time = "import os, pathlib\nmark = pathlib.Path('mark')\nmark.exists() and os._exit(3)\nmark.touch()"
    right["score_variance"] = "os._exit(0)"
    found, _ = check(second_time, *right.items())
    assert [result.status for result in found.values()] == ["passed", "error", "passed"]


# --- cells that are not where they were ----------------------------------------------------------------------


def test_a_deleted_answer_cell_is_missing(check, right):
    found, _ = check(("softmax", right["softmax"]), ("causal_mask", right["causal_mask"]))
    assert [result.status for result in found.values()] == ["passed", "missing", "passed"]
    assert "exercises/02_attention.ipynb" in found["score_variance"].message


def test_an_answer_cell_turned_into_text_is_missing(check, right):
    text = new_markdown_cell(right["softmax"], metadata={"nbgrader": {"grade_id": "softmax", "solution": True}})
    found, _ = check(text, ("causal_mask", right["causal_mask"]))
    assert found["softmax"].status == "missing"
    assert "is a text cell: cell 3 (def softmax(x, axis=-1):). Make it a code cell again." in found["softmax"].message


def test_a_doubled_answer_cell_is_an_error_that_says_which(check, right):
    found, _ = check(("softmax", right["softmax"]), *right.items())
    assert found["softmax"].status == "error"
    assert found["softmax"].message == "The notebook has 2 answer cells for it: cells 3 and 5. Keep one."
    assert found["causal_mask"].status == "passed"


def test_answers_in_another_order_pass(check, right):
    _, report = check(*reversed(right.items()))
    assert report.all_passed


def test_a_name_that_is_defined_further_down_is_pointed_at(check, right):
    found, _ = check(
        ("softmax", right["softmax"].replace("exponentials /", "helper(exponentials) /")),
        "def helper(values):\n    return values",
        ("causal_mask", right["causal_mask"]),
    )
    assert found["softmax"].status == "error"
    assert "helper is defined further down, in cell 5 (def helper(values):)" in found["softmax"].message
    assert found["causal_mask"].status == "passed"


def test_a_name_from_a_cell_that_failed_is_pointed_at(check, right):
    found, report = check(*right.items(), imports="import no_such_module\nimport numpy as np")
    said = "np comes from cell 2 (import no_such_module), which stopped with ModuleNotFoundError"
    assert said in found["softmax"].message
    assert found["score_variance"].status == "passed"
    assert len(report.trouble) == 1 and report.trouble[0].startswith("Cell 2 (import no_such_module): It stopped with")


def test_a_name_from_a_cell_that_never_ended_is_pointed_at(check, right):
    found, report = check("helper = 1\nwhile True: pass", ("softmax", right["softmax"] + "\nhelper"), seconds=1.5)
    assert "helper comes from cell 3 (helper = 1), which did not run to its end." in found["softmax"].message
    assert "did not end within 1.5 seconds" in report.trouble[0]


def test_the_answer_cell_counts_and_no_later_one(check, right):
    found, _ = check(
        ("softmax", "def softmax(x, axis=-1):\n    return x"), right["softmax"], ("causal_mask", right["causal_mask"])
    )
    assert found["softmax"].status == "failed"
    said = "Cell 5 (def softmax(x, axis=-1):) defines softmax too. Only the answer cell counts."
    assert said in found["softmax"].message


def test_a_later_cell_cannot_spoil_an_answer(check, right):
    _, report = check(*right.items(), "def softmax(x, axis=-1):\n    return x", "causal_mask = None")
    assert report.all_passed


def test_a_helper_that_a_later_cell_redefines_is_the_one_from_before(check, right):
    _, report = check(
        "def helper(values):\n    return values",
        ("softmax", right["softmax"].replace("exponentials /", "helper(exponentials) /")),
        "def helper(values):\n    return 0 * values",
        *list(right.items())[1:],
    )
    assert report.all_passed


def test_a_cell_that_checks_its_own_answer_is_judged_all_the_same(check_softmax):
    assert check_softmax(NOT_NORMALISED + "\ncheck(softmax)").misconception == "not-normalised"


# --- what the notebook does to its surroundings --------------------------------------------------------------


def test_a_replaced_numpy_function_gives_no_points(check):
    found, _ = check(
        "np.abs = lambda values: 0 * np.asarray(values)",
        ("softmax", "def softmax(x, axis=-1):\n    return x"),
        ("causal_mask", "def causal_mask(seq_len):\n    return 1"),
    )
    assert found["softmax"].status == found["causal_mask"].status == "error"
    assert "The notebook has replaced numpy.abs" in found["softmax"].message


def test_a_check_that_fails_by_itself_does_not_blame_the_answer(check, right):
    found, _ = check("import clearformer.checks\nclearformer.checks.judge = lambda *given: 1 / 0", *right.items())
    assert {result.status for result in found.values()} == {"error"}
    said = "The check itself failed, a mistake of the course and not yours: ZeroDivisionError: division by zero"
    assert found["softmax"].message == said


def test_names_that_hide_builtins_in_the_notebook_do_not_matter(check, right):
    _, report = check("sum = max = abs = len = type = str = list = 0", *right.items())
    assert report.all_passed


def test_settings_of_numpy_and_python_do_not_matter(check, right):
    settings = (
        "import sys, warnings\nnp.seterr(all='raise')\nnp.set_printoptions(precision=1, threshold=2)\n"
        "warnings.simplefilter('error')\nnp.random.seed(1)\nsys.stdout = None\nsys.setrecursionlimit(300)"
    )
    _, report = check(settings, *right.items())
    assert report.all_passed, report


def test_a_hundred_megabytes_of_output_do_not_matter(check_softmax, right):
    flood = "\nfor line in range(100):\n    print('x' * 1_000_000)"
    assert check_softmax(right["softmax"] + flood, seconds=10).status == "passed"


def test_a_huge_cell_is_run(check_softmax, right):
    padding = "\n".join(f"x_{number} = {number}" for number in range(5_000))
    assert check_softmax(f"{padding}\n{right['softmax']}", seconds=20).status == "passed"


def test_a_huge_line_is_an_error_or_runs_but_never_a_crash_of_ours(check_softmax):
    assert check_softmax("x = " + "(" * 5000 + ")" * 5000).status == "error"
    assert check_softmax("x = '" + "a" * 3_000_000 + "'").status == "error"


@pytest.mark.parametrize("name", ["two words.ipynb", "line\nbreak.ipynb", "größe 数.ipynb", "-x.ipynb", "[b].ipynb"])
def test_any_file_name_will_do(write, right, name):
    path = write(("softmax", right["softmax"]), name=name)
    report = check_notebook(path, SOON)
    assert report.results[0].status == "passed"
    assert report.path == str(path)


def test_a_relative_path_is_run_in_its_folder(write, right, tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "numbers_beside.py").write_text("one = 1")
    write(("softmax", "import numbers_beside\n" + right["softmax"]), name="folder/work.ipynb")
    monkeypatch.chdir(tmp_path)
    assert check_notebook("folder/work.ipynb", SOON).results[0].status == "passed"


def test_a_file_that_cannot_be_checked_is_said_in_the_report(tmp_path):
    report = check_notebook(tmp_path / "none.ipynb")
    assert (report.error, report.results, report.all_passed) == ("There is no such file.", [], False)


def test_a_child_that_does_not_start_is_said_in_the_report(write, right, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no python"))
    assert "did not start" in check_notebook(write(*right.items())).error


def test_each_step_is_announced(write, right):
    steps = []
    check_notebook(write(*right.items()), SOON, steps.append)
    assert "running cell 3 (def softmax(x, axis=-1):)" in steps
    assert steps.index("running cell 3 (def softmax(x, axis=-1):)") < steps.index("checking softmax")


def test_a_cell_without_a_check_cell_and_a_bare_grade_id_still_count(check, right):
    bare = new_code_cell(right["softmax"], metadata={"nbgrader": {"grade_id": "softmax"}})
    found, _ = check(bare)
    assert found["softmax"].status == "passed"


def test_the_parent_needs_neither_numpy_heavy_libraries_nor_ipython():
    code = (
        "import sys; import clearformer.cli, clearformer.grading.command, clearformer.grading.course_list; "
        "print([name for name in ('torch', 'matplotlib', 'IPython', 'nbformat') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
