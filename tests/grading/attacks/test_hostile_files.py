"""Attacks on whoever reads the file: what is no notebook, what is one only just, and what costs too much to read.

The grader without protection is Python's own json.loads with a loop over the cells, as most tools have it."""

import json
import os
import re
import time

import pytest
from arena import IMPORTS, RIGHT, check_shape, earned, grade, said

SECONDS = 8.0  # that reading one file may take at most, on a busy machine
MEBI = 1 << 20


def code(source, **marks):
    return {
        "cell_type": "code",
        "metadata": {"nbgrader": marks} if marks else {},
        "source": source,
        "outputs": [],
        "execution_count": None,
    }


def answer(name, source=None):
    return code(source if source is not None else RIGHT[name], grade_id=name, solution=True, grade=False)


def notebook(*cells, **more):
    lesson = {"clearformer": {"lesson": "02_attention"}}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": lesson, "cells": [code(IMPORTS), *cells], **more}


def text(*cells, **more):
    return json.dumps(notebook(*cells, **more))


WRONG = answer("softmax", "def softmax(x, axis=-1):\n    return x * 0")
DEEP_SUM = "x = " + "+".join(["1"] * 2500)
DEEP_ELSE = "if x: pass\n" + "".join(f"elif x == {n}: y = {n}\n" for n in range(3000))
DEEP_CALLS = "x = y" + "()" * 3000

# content of the file -> what the record says. None of these is a notebook that could be graded.
NO_NOTEBOOKS = {
    "nothing": (b"", "empty"),
    "spaces": (b" \n" * 1000, "empty"),
    "no text": (os.urandom(1 << 16), "not text|not JSON"),
    "null bytes": (b"\0" * 1000, "not JSON"),
    "UTF-16": (text(WRONG).encode("utf-16"), "not text|not JSON"),
    "a program": (b"#!/bin/sh\nrm -rf /\n", "not JSON"),
    "half a notebook": (text(WRONG).encode()[:-200], "not JSON"),
    "a list": (b"[]", "nbformat"),
    "a number": (b"1", "nbformat"),
    "NaN": (b"NaN", "nbformat"),
    "a hundred thousand brackets": (b"[" * 100_000, "not JSON"),
    "a hundred thousand brackets, closed": (b"[" * 100_000 + b"]" * 100_000, "not JSON"),
    "a hundred thousand objects": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "not JSON"),
    "depth in the metadata": (text(WRONG).replace("{}", "[" * 50_000 + "]" * 50_000, 1).encode(), "not JSON"),
    "an integer of a million digits": (b'{"nbformat": ' + b"9" * 1_000_000 + b"}", "not JSON|too old|has format"),
    "an integer of four thousand digits": (b'{"nbformat": ' + b"9" * 4000 + b', "cells": []}', "has format|not JSON"),
    "nbformat true": (text(WRONG, nbformat=True).encode(), "nbformat"),
    "nbformat 4.0": (text(WRONG, nbformat=4.0).encode(), "nbformat"),
    "nbformat as text": (text(WRONG, nbformat="4").encode(), "nbformat"),
    "nbformat below zero": (text(WRONG, nbformat=-1).encode(), "too old"),
    "no cells": (b'{"nbformat": 4, "metadata": {}}', "list of cells"),
    "cells that are a text": (text(cells="x" * 1000).encode(), "list of cells"),
    "cells that are numbers": (text(cells=[1, 2, None]).encode(), "no type or no source"),
    "a source that is a number": (text(code(17)).encode(), "no source"),
    "a source that is a list of lists": (text(code([["x"]])).encode(), "no source"),
    "a source that is an object": (text(code({"a": "b"})).encode(), "no source"),
    "a source that is not there": (text({"cell_type": "code", "metadata": {}}).encode(), "no source"),
    "a lesson that is a path": (
        json.dumps({**notebook(code("x", grade_id="x")), "metadata": {"clearformer": {"lesson": "../../x"}}}).encode(),
        "does not know",
    ),
    "a lesson of a megabyte": (
        json.dumps({**notebook(code("x", grade_id="x")), "metadata": {"clearformer": {"lesson": "x" * MEBI}}}).encode(),
        "does not know",
    ),
    "an exercise with a hostile name": (
        json.dumps({**notebook(code("x", grade_id="../../x\n<script>\x1b[2J" + "y" * MEBI)), "metadata": {}}).encode(),
        "does not know",
    ),
    "50 megabytes": (text(code("#" * (50 * MEBI))).encode(), "MiB"),
}
# content -> exercises that are right in it
NOTEBOOKS = {
    "a key twice": (text(answer("softmax"))[:-1] + ', "nbformat": 4, "cells": ' + json.dumps([WRONG]) + "}", ()),
    "NaN and infinity": (text(answer("softmax"), more=[float("nan"), float("inf")]), ("softmax",)),
    "metadata of every kind": (
        json.dumps(
            notebook(
                *[
                    {**code("1"), "metadata": what}
                    for what in (None, 1, [], "x", {"nbgrader": [1]}, {"nbgrader": {"grade_id": {}}})
                ],
                answer("softmax"),
            )
        ),
        ("softmax",),
    ),
    "grade_ids of every kind": (
        text(
            *[
                code("1", grade_id=what, solution=True)
                for what in (1, None, [], {}, True, "", "\0", "\ud800", "x" * MEBI)
            ],
            answer("softmax"),
        ),
        ("softmax",),
    ),
    "marks that are no truth values": (
        text({**answer("softmax"), "metadata": {"nbgrader": {"grade_id": "softmax", "grade": "", "solution": "no"}}}),
        ("softmax",),
    ),
    "half a pair in a source": (text(code("'\ud800'"), answer("softmax")), ("softmax",)),
    "null bytes in a source": (text(code("x = 1\0"), answer("softmax")), ("softmax",)),
    "unknown kinds of cells": (text({"cell_type": "<script>", "source": "x"}, answer("softmax")), ("softmax",)),
    "a kernel that does not exist": (
        text(
            answer("softmax"),
            metadata={
                "clearformer": {"lesson": "02_attention"},
                "kernelspec": {"name": "sh", "language": "../../bin/sh"},
                "language_info": {"name": "\0"},
            },
        ),
        ("softmax",),
    ),
    "widgets and attachments": (
        text(
            {"cell_type": "markdown", "source": "x", "metadata": {}, "attachments": {"../../x": {"a": "b"}}},
            answer("softmax"),
        ),
        ("softmax",),
    ),
    "a sum of 2500 numbers after a wrong answer": (text(WRONG, code(DEEP_SUM)), ()),
    "a sum of 900 numbers after a wrong answer": (text(WRONG, code("x = " + "+".join(["1"] * 900))), ()),
    "3000 branches after a wrong answer": (text(WRONG, code(DEEP_ELSE)), ()),
    "3000 calls after a wrong answer": (text(WRONG, code(DEEP_CALLS)), ()),
    "depth that breaks the parser": (text(WRONG, code("(" * 5000), code("-" * 100_000 + "1"), code("[" * 150)), ()),
    "lambdas in lambdas": (text(WRONG, code("lambda: " * 3000 + "0")), ()),
    "an f-string in an f-string": (text(WRONG, code("f'{" * 200 + "1" + "}'" * 200)), ()),
    "a name that cannot be found": (
        text(answer("softmax", "def softmax(x, axis=-1):\n    return " + "_" * 5000), code("_" * 5000 + " = 1")),
        (),
    ),
    "many names that cannot be found": (
        text(
            answer(
                "softmax", "raise NameError(' '.join(f\"NameError: name 'n{i}' is not defined\" for i in range(9)))"
            ),
            *[code("n1 = 1\n" * 100)] * 300,
        ),
        (),
    ),
    "a hundred thousand cells": (
        text(answer("softmax"), *[{"cell_type": "markdown", "source": ""}] * 100_000),
        ("softmax",),
    ),
    "a thousand empty code cells": (text(answer("softmax"), *[code("")] * 1000), ("softmax",)),
    "an answer cell of ten megabytes": (
        text(answer("softmax", RIGHT["softmax"] + "\n#" + "x" * (10 * MEBI))),
        ("softmax",),
    ),
    "an answer cell of ten thousand lines": (text(answer("softmax", RIGHT["softmax"] + "\n#" * 10_000)), ("softmax",)),
}
# Each costs the judge a while where nobody bounds it: these may end in a clear refusal or in a deadline.
COSTLY = {
    "a million code cells": lambda: text(WRONG)[:-2] + ', {"cell_type":"code","source":"1"}' * 700_000 + "]}",
    "a wrong answer among ten thousand definitions": lambda: text(
        WRONG, *[code("def softmax_(): pass\n" * 50)] * 10_000
    ),
    "a cell of ten megabytes after wrong answers": lambda: text(
        WRONG, *[answer(name, "1") for name in ("causal_mask", "padding_mask")], code("x=1;" * 2_500_000)
    ),
    "thirty megabytes of numbers": lambda: text(WRONG, code("x = [" + "1," * 7_000_000 + "]")),
    "thirty megabytes of brackets": lambda: '{"nbformat": 4, "cells": [' + "[]," * 10_000_000 + "[]]}",
}


@pytest.fixture
def grade_content(ground, grade_file):
    def run(content):
        ground.file.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
        began = time.perf_counter()
        record = grade_file(ground.file)
        return record, time.perf_counter() - began

    return run


def grade_with_a_loop(content):
    """What a tool does that has nothing against any of this. Its errors are those that end a run."""
    document = json.loads(content)
    assert document["nbformat"] == 4
    for cell in document["cells"]:
        if cell["cell_type"] == "code":
            source = cell["source"] if isinstance(cell["source"], str) else "".join(map(str, cell["source"]))
            compile(source[:1000], "<cell>", "exec")
            cell["metadata"].get("nbgrader", {}).get("grade_id", "").startswith("check")
            source.encode()


@pytest.mark.parametrize("what", NO_NOTEBOOKS)
def test_what_is_no_notebook_is_said_to_be_none(what, grade_content):
    content, says = NO_NOTEBOOKS[what]
    record, seconds = grade_content(content)
    assert re.search(says, record["error"]), record["error"]
    assert (record["points"], record["exercises"]) == (0, [])
    assert seconds < SECONDS and len(record["error"]) < 2000


# A plain loop reads these without an error, as if nothing were wrong with them. All others end its run.
READ_AS_IF_RIGHT = {
    "UTF-16",
    "nbformat 4.0",
    "a source that is a list of lists",
    "a source that is an object",
    "a lesson that is a path",
    "a lesson of a megabyte",
    "an exercise with a hostile name",
    "50 megabytes",
}


@pytest.mark.parametrize("what", NO_NOTEBOOKS)
def test_a_plain_loop_over_cells_ends_there_or_takes_it_for_right(what):
    """That these bite."""
    content, _ = NO_NOTEBOOKS[what]
    try:
        grade_with_a_loop(content)
    except Exception:
        assert what not in READ_AS_IF_RIGHT
    else:
        assert what in READ_AS_IF_RIGHT


@pytest.mark.parametrize("what", NOTEBOOKS)
def test_an_odd_notebook_is_graded_by_its_answers(what, grade_content):
    content, right = NOTEBOOKS[what]
    record, seconds = grade_content(content)
    assert "error" not in record, record["error"]
    assert earned(record) == set(right), said(record)[:3000]
    assert seconds < SECONDS


@pytest.mark.parametrize("what", COSTLY)
def test_a_costly_notebook_costs_a_bounded_time(what, ground, graders, sandbox_full):
    """With a deadline of 1 s a notebook may take 5 s; the rest is room for reading it, and for a busy machine."""
    ground.file.write_text(COSTLY[what]())
    grader = graders(deadline=1.0)
    began = time.perf_counter()
    record = grade(grader, ground.file)
    seconds = time.perf_counter() - began
    check_shape(record)
    assert earned(record) == set()
    assert seconds < 5 + 4 * SECONDS, f"{seconds:.0f} s"


HOSTILE_NAMES = [
    "../../x",
    "..",
    "a/b",
    "a\nb",
    "-rf",
    "~root",
    "$(touch x)",
    "x" * 250,
    "CON",
    "a\x1b[2Jb",
    "\u202eexe.x",
    "<img src=x>",
    "=1+1",
    "a\0b",
    ".hidden",
    "a b",
    "é",
    "e\u0301",
    "'; drop table",
    "%2e%2e%2f",
]


def test_these_names_bite_a_tool_that_takes_them_as_they_are(tmp_path):
    """One that writes a page called after each student and lesson, and a line of text with the name in it."""
    pages = tmp_path / "report" / "pages"
    pages.mkdir(parents=True)
    bitten = set()
    for name in HOSTILE_NAMES:
        try:
            (pages / f"{name}_02_attention.html").write_text("")
        except (OSError, ValueError):
            bitten.add(name)
        if not f"{name}: 2 points".isprintable():
            bitten.add(name)
    assert {"a/b", "a\nb", "x" * 250, "a\x1b[2Jb", "a\0b", "\u202eexe.x"} <= bitten
    assert (tmp_path / "x_02_attention.html").exists()  # by the name ../../x


@pytest.fixture
def class_folder(tmp_path, ground):
    """class_folder(names) -> a folder with a folder a student, each with the same notebook, as far as the system takes
    such names."""

    def make(names):
        root = tmp_path / "class"
        content = text(answer("softmax"))
        for number, name in enumerate(name.lstrip(".") for name in names):
            for student, file in ((name, "02_attention"), (f"student{number}", name)):
                try:
                    folder = root / student.replace("/", "\u2215").replace("\0", "")
                    folder.mkdir(parents=True, exist_ok=True)
                    (folder / f"{file}.ipynb".replace("/", "\u2215").replace("\0", "")).write_text(content)
                except OSError:
                    continue
        return root

    return make


def test_hostile_names_of_students_and_files_reach_no_file_outside(class_folder, graders, sandbox_full, tmp_path):
    from clearformer.grading.classroom.documents import write_reports
    from clearformer.grading.classroom.submissions import find

    submissions = find(class_folder(HOSTILE_NAMES))
    assert len(submissions) >= len(HOSTILE_NAMES) + 10
    grader = graders()
    records = [grader.grade(submission) for submission in submissions]
    for record in records:
        check_shape(record)
        assert record["points"] == 2, record
        assert record["student"].isprintable() and record["path"].isprintable()
    assert len({(record["student"], record["path"]) for record in records}) == len(records)
    before = {path for path in tmp_path.rglob("*")}
    write_reports(records, tmp_path / "report", {"level": "full", "layers": []})
    new = {path for path in tmp_path.rglob("*")} - before
    assert new and all(tmp_path / "report" in (path, *path.parents) for path in new)


def test_names_that_are_no_unicode_are_graded_too(tmp_path, graders, sandbox_full):
    from clearformer.grading.classroom.submissions import find

    folder = os.fsencode(tmp_path / "class") + b"/\xff\xfe"
    os.makedirs(folder)
    with open(folder + b"/\xff.ipynb", "w") as file:
        file.write(text(answer("softmax")))
    [submission] = find(tmp_path / "class")
    record = graders().grade(submission)
    check_shape(record)
    assert record["points"] == 2


def test_links_pipes_devices_and_folders_are_no_notebooks(tmp_path, ground, graders, sandbox_full):
    from clearformer.grading.classroom.submissions import find

    folder = tmp_path / "class" / "mallory"
    folder.mkdir(parents=True)
    os.symlink(ground.folder / "course" / "solutions.ipynb", folder / "link.ipynb")
    os.symlink("/dev/zero", folder / "zero.ipynb")
    os.symlink("loop.ipynb", folder / "loop.ipynb")
    os.symlink("/", folder / "root")
    os.mkfifo(folder / "pipe.ipynb")
    (folder / "folder.ipynb").mkdir()
    began = time.perf_counter()
    records = [graders().grade(submission) for submission in find(tmp_path / "class")]
    assert time.perf_counter() - began < SECONDS
    assert len(records) >= 4
    for record in records:
        assert record["points"] == 0 and record["error"]
        assert ground.secret not in json.dumps(record)


def test_a_file_that_is_exchanged_after_it_was_found_is_not_followed(tmp_path, ground, graders, sandbox_full):
    from clearformer.grading.classroom.submissions import find

    folder = tmp_path / "class" / "mallory"
    folder.mkdir(parents=True)
    file = folder / "02_attention.ipynb"
    file.write_text(text(answer("softmax")))
    [submission] = find(tmp_path / "class")
    file.unlink()
    os.symlink(ground.folder / "course" / "solutions.ipynb", file)
    record = graders().grade(submission)
    assert record["error"] and ground.secret not in json.dumps(record)


def test_the_plain_way_to_write_such_a_notebook_is_right(ground, grade_content):
    """Else all of the above would be refused for a reason of its own."""
    record, _ = grade_content(text(answer("softmax")))
    assert earned(record) == {"softmax"}
