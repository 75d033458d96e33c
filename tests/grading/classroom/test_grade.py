"""A judge outside: what an answer is worth does not depend on where its code runs."""

import json
from pathlib import Path

import nbformat
import pytest

from clearformer.checks import catalogue
from clearformer.grading.classroom.grade import Grader, seed_of
from clearformer.grading.classroom.settings import Settings
from clearformer.grading.classroom.submissions import Submission
from clearformer.grading.notebook import notebook_from
from clearformer.grading.self_check import check_notebook

ROOT = Path(__file__).parents[3]
STATUSES = {"passed", "failed", "error", "unanswered"}


@pytest.fixture(scope="module")
def grader(sandbox_full):
    with Grader(Settings("full", 10.0)) as judge:
        yield judge


def submission(path):
    return Submission("ada", path.name, path)


def statuses(record):
    return {each["id"]: each["status"] for each in record["exercises"]}


@pytest.mark.parametrize("lesson", [each.id for each in catalogue.LESSONS])
def test_the_solutions_get_all_points_and_the_handouts_none(grader, lesson):
    solved = grader.grade(submission(ROOT / "solutions" / f"{lesson}.ipynb"))
    assert set(statuses(solved).values()) == {"passed"} and solved["points"] == solved["max_points"] > 0
    assert (solved["lesson"], solved["trouble"]) == (lesson, [])
    handed_out = grader.grade(submission(ROOT / "exercises" / f"{lesson}.ipynb"))
    assert set(statuses(handed_out).values()) == {"unanswered"} and handed_out["points"] == 0


def test_what_is_said_is_what_the_learner_reads(grader, write, right):
    wrong = "def softmax(x, axis=-1):\n    return np.exp(x - x.max(axis=axis, keepdims=True))"
    path = write(*{**right, "softmax": wrong}.items())
    record, own = grader.grade(submission(path)), check_notebook(path)
    said = {each["id"]: each for each in record["exercises"]}
    for result in own.results:
        assert (said[result.id]["status"], said[result.id]["misconception"]) == (result.status, result.misconception)
        assert said[result.id]["message"].split("\n\n")[0] == result.message.split("\n\n")[0]
    assert said["softmax"]["misconception"] == "not-normalised"
    assert {row[1] for row in said["softmax"]["rows"]} == {"passed", "failed", "not run"}


def test_a_record_is_json_and_the_same_each_time_but_for_seconds(grader, write, right):
    path = submission(write(*right.items()))

    def timeless(record):
        record["seconds"] = 0
        for each in record["exercises"]:
            each["seconds"] = 0
        return json.dumps(record)

    assert timeless(grader.grade(path)) == timeless(grader.grade(path))


@pytest.mark.parametrize(
    "call",
    [
        "from clearformer.numpy import softmax as theirs\ndef softmax(x, axis=-1):\n    return theirs(x, axis)",
        "import torch\ndef softmax(x, axis=-1):\n    return torch.softmax(torch.tensor(x), axis).numpy()",
    ],
    ids=["the reference", "a library"],
)
def test_a_call_that_already_is_the_answer_earns_nothing(grader, write, right, call):
    record = grader.grade(submission(write(*{**right, "softmax": call}.items())))
    softmax = record["exercises"][0]
    assert (softmax["status"], softmax["points"]) == ("failed", 0)
    assert softmax["misconception"] == "calls-the-answer" and "yourself" in softmax["message"]
    assert record["points"] > 0


def test_each_answer_that_ends_its_process_costs_its_own_exercise_alone(grader, write, right):
    path = write(*{**right, "softmax": "import os\nos._exit(0)"}.items())
    record = grader.grade(submission(path))
    found = statuses(record)
    assert found.pop("softmax") == "error"
    assert {found[name] for name in right if name != "softmax"} == {"passed"}


def test_a_notebook_as_a_whole_has_a_deadline(write, right, sandbox_full):
    never = {name: "while True:\n    pass" for name in catalogue.lesson("02_attention").exercises}
    with Grader(Settings("full", 0.3)) as hasty:
        record = hasty.grade(submission(write(*never.items())))
    assert set(statuses(record).values()) == {"timeout"} and record["seconds"] < 10
    assert "The notebook as a whole did not end within 1.5 seconds" in record["exercises"][-1]["message"]


def test_what_cannot_be_read_is_a_record_with_its_reason(grader, tmp_path):
    path = tmp_path / "broken.ipynb"
    path.write_text("{")
    record = grader.grade(submission(path))
    assert record["error"].startswith("Not a notebook") and record["exercises"] == [] and record["points"] == 0


def test_the_inputs_follow_from_all_code_and_from_nothing_else():
    def seed(*sources, text="Notes"):
        cells = [nbformat.v4.new_markdown_cell(text), *map(nbformat.v4.new_code_cell, sources)]
        cells[1].metadata["nbgrader"] = {"grade_id": "softmax", "solution": True}
        book = nbformat.v4.new_notebook(cells=cells, metadata={"clearformer": {"lesson": "02_attention"}})
        return seed_of(notebook_from(nbformat.writes(book).encode()))

    assert seed("a = 1", "table = {}") == seed("a = 1", "table = {}", text="Other notes")
    assert len({seed("a = 1", "table = {}"), seed("a = 1", "table = {1: 2}"), seed("table = {}", "a = 1")}) == 3
    assert 0 <= seed("a = 1") < 1 << 63


def test_a_lesson_for_another_is_not_seen_by_the_next(grader, write):
    """What lesson 03 may import would answer lesson 02."""
    allowed = "from clearformer.numpy import softmax as theirs\ntheirs(np.zeros(2))"
    split = "def split_heads(x, num_heads):\n    return 0"
    later = grader.grade(submission(write(allowed, ("split_heads", split), lesson="03_multi_head_attention")))
    assert later["trouble"] == []
    record = grader.grade(submission(write(allowed, ("causal_mask", "causal_mask = 0"))))
    assert "write this one yourself" in record["trouble"][0]
