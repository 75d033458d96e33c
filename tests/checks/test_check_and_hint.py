"""What a learner sees."""

import importlib

import numpy as np
import pytest

from clearformer import check, checks, hint
from clearformer.checks import catalogue, judge_here, progress
from clearformer.checks.feedback import COLUMNS, CheckFailed, CheckReport

SOFTMAX = catalogue.find("softmax")


def softmax(x, axis=-1):
    exponentials = np.exp(x - x.max(axis=axis, keepdims=True))
    return exponentials / exponentials.sum(axis=axis, keepdims=True)


@pytest.fixture(autouse=True)
def own_progress(tmp_path, monkeypatch):
    monkeypatch.setenv("CLEARFORMER_HOME", str(tmp_path))
    monkeypatch.setattr(checks, "_hints_given", {})


def test_a_pass_shows_the_table_and_is_remembered(capsys):
    check(softmax)
    shown = capsys.readouterr().out
    assert shown.startswith("softmax: passed (2 of 2 points)")
    assert "✓ passed   large scores" in shown
    assert "softmax" in progress.read().passed


def test_a_failure_raises_an_error_that_prints_as_its_message_alone(capsys):
    with pytest.raises(CheckFailed) as caught:
        check(lambda x, axis=-1: np.exp(x), "softmax")
    shown = caught.value._render_traceback_()
    assert max(map(len, shown)) <= COLUMNS
    assert " ".join(" ".join(shown).split()) == " ".join(str(caught.value).split())
    assert str(caught.value).endswith('For a hint: hint("softmax")')
    assert "✗ failed" in capsys.readouterr().out
    assert "softmax" not in progress.read().passed


def test_what_the_answer_printed_is_shown_when_it_fails():
    def softmax(x, axis=-1):
        print("shape", x.shape)
        return x

    with pytest.raises(CheckFailed, match=r"Your code printed:\nshape \(2, 3\)"):
        check(softmax)


def test_an_unknown_name_proposes_near_ones():
    def softmaxx(x):
        return x

    with pytest.raises(CheckFailed, match="Did you mean softmax"):
        check(softmaxx)
    with pytest.raises(CheckFailed, match="The exercises are: normalise_rows"):
        hint("qqqq")


def test_a_name_instead_of_a_function_is_told_so():
    with pytest.raises(CheckFailed, match=r"write check\(softmax\), without quotes"):
        check("softmax")
    with pytest.raises(CheckFailed, match="needs the exercise's name"):
        check(64)


def test_hints_come_one_at_a_time_and_then_all(capsys):
    for number in (1, 2, 3):
        hint("softmax")
        assert capsys.readouterr().out == f"Hint {number} of 3: {SOFTMAX.hints[number - 1]}\n"
    hint(softmax)
    assert capsys.readouterr().out.count("Hint") == 3


def test_the_table_escapes_names_and_says_results_in_words():
    html = CheckReport(SOFTMAX, judge_here(SOFTMAX, lambda x, axis=-1: x))._repr_html_()
    assert "<strong>softmax: not yet</strong>" in html
    assert html.count('scope="col"') == 2
    assert "failed" in html


def test_importing_the_package_loads_neither_torch_nor_matplotlib():
    import subprocess
    import sys

    code = (
        "import sys; from clearformer import check, hint; from clearformer.checks import catalogue; "
        "catalogue.find('softmax'); print([name for name in ('torch', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_exercise_file_of_the_catalogue_can_be_loaded_alone():
    for lesson in catalogue.LESSONS:
        for name, file in lesson.exercises.items():
            assert importlib.import_module(f"{lesson.folder}.{file}").EXERCISE.name == name
