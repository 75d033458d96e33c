"""What came of a check, as JSON and in a terminal."""

import io
import json
import os
import subprocess
import sys

import pytest
from rich.console import Console

from clearformer.grading import report
from clearformer.grading.self_check import Report, Result

PASSED = Result("softmax", "passed", "All checks passed.", points=2, max_points=2, seconds=0.01234)
FAILED = Result("causal_mask", "failed", "Your mask [0, 1] is [bold]turned[/bold] round.", "turned", 0, 1, 0.5)
LONG = "Each of the many words of this message stands in one long line. " * 5
ERROR = Result("padding_mask", "error", LONG + "\n\nexpected [1, 2]\ngot      [3, 4]", None, 0, 1)
MISSING = [Result(name, "missing", "Its cell is gone.", max_points=1) for name in ("first", "second")]
UNANSWERED = [Result(name, "unanswered", f"{name} is not written yet.", max_points=1) for name in ("third", "fourth")]
EVERYTHING = Report("work.ipynb", [PASSED, FAILED, ERROR, *MISSING, *UNANSWERED], trouble=["Cell 2: It stopped."])


def shown(found, width=80, terminal=False, encoding="utf-8"):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, errors="replace")
    to = Console(file=stream, width=width, force_terminal=terminal, markup=False, highlight=False, emoji=False)
    report.print_report(found, to)
    stream.flush()
    return raw.getvalue().decode(encoding)


def test_the_json_has_exactly_the_promised_fields():
    document = json.loads(report.as_json([Report("a.ipynb", [PASSED, FAILED]), Report("b.ipynb", error="Why not.")]))
    passed = {"id": "softmax", "status": "passed", "misconception": None, "message": "All checks passed."}
    failed = {"id": "causal_mask", "status": "failed", "misconception": "turned", "message": FAILED.message}
    assert document == {
        "schema": 1,
        "notebooks": [
            {
                "path": "a.ipynb",
                "points": 2,
                "max_points": 3,
                "exercises": [
                    {**passed, "points": 2, "max_points": 2, "seconds": 0.012},
                    {**failed, "points": 0, "max_points": 1, "seconds": 0.5},
                ],
            },
            {"path": "b.ipynb", "points": 0, "max_points": 0, "exercises": [], "error": "Why not."},
        ],
    }


@pytest.mark.parametrize(
    ("reports", "status"),
    [
        ([Report("a", [PASSED])], 0),
        ([Report("a", [PASSED]), Report("b", [PASSED])], 0),
        ([Report("a", [PASSED, FAILED])], 1),
        ([Report("a", [PASSED]), Report("b", MISSING)], 1),
        ([Report("a", [PASSED]), Report("b", error="no")], 2),
        ([Report("a", [FAILED]), Report("b", error="no")], 2),
    ],
)
def test_the_exit_status_says_the_worst(reports, status):
    assert report.exit_status(reports) == status


def test_every_status_is_said_in_words():
    text = shown(EVERYTHING)
    for words in ("✓ passed", "✗ not right yet", "✗ stopped with", "– answer cell missing", "– not written yet"):
        assert words in text
    assert set(report.WORDS) == {"passed", "failed", "error", "unanswered", "missing", "timeout"}
    assert "2 of 8" in text


@pytest.mark.parametrize("width", [40, 80, 120])
def test_nothing_is_wider_than_the_terminal(width):
    long_names = Report("a/" * 60 + "work.ipynb", [Result("an_exercise_with_a_very_long_name" * 2, "failed", LONG)])
    for found in (EVERYTHING, long_names):
        assert max(map(len, shown(found, width).splitlines())) <= width


def test_no_word_of_a_message_is_lost_or_broken():
    words = shown(EVERYTHING).split()
    assert words.count("message") == LONG.split().count("message")
    assert "  expected [1, 2]\n  got      [3, 4]" in shown(EVERYTHING)
    assert "[0, 1] is [bold]turned[/bold]" in shown(EVERYTHING)


def test_one_message_for_several_exercises_stands_once():
    text = shown(EVERYTHING)
    assert text.count("Its cell is gone.") == 1
    assert "first, second: answer cell missing" in text
    assert text.count("third") == 1


def test_colour_is_for_terminals_only():
    assert "\x1b" not in shown(EVERYTHING)
    assert "\x1b[" in shown(EVERYTHING, terminal=True)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1"])
def test_an_old_terminal_gets_words_without_marks(encoding):
    text = shown(EVERYTHING, encoding=encoding)
    assert "passed" in text and "not right yet" in text
    assert "?" not in text


def test_text_from_a_notebook_cannot_steer_the_terminal():
    evil = "\x1b[2J\x1b]0;title\x07 \x9b31m \u202e \r over"
    found = Report(f"a{evil}\n.ipynb", [Result("softmax", "failed", evil)], trouble=[evil])
    text = shown(found) + shown(Report(evil, error=evil))
    assert not [c for c in text if c != "\n" and not c.isprintable()]


def test_output_to_a_pipe_of_another_encoding_does_not_fail():
    code = (
        "from clearformer.grading import report\nfrom clearformer.grading.self_check import Report, Result\n"
        "result = Result('softmax', 'failed', 'a “quoted” 数 \\udcff')\n"
        "report.print_report(Report('数.ipynb', [result]), report.console())"
    )
    for encoding in ("ascii", "cp1252", "utf-8"):
        env = {**os.environ, "PYTHONIOENCODING": encoding}
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True)
        assert b"not right yet" in done.stdout
