"""The normal form: what is kept, what is dropped, what is refused."""

import copy
import json
import re
import tempfile
import time
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from nbgrader.nbgraderformat import MetadataValidator

from clearformer.authoring.notebook import (
    WIDGET_VIEW,
    NotebookProblem,
    machine_traces,
    normalise,
    read,
    repository,
    text_of,
    write,
)
from clearformer.checks import catalogue

LESSON = Path("/lessons/02_attention.ipynb")


def code(source, **parts):
    """A code cell; `metadata`, `outputs` and `execution_count` as in nbformat."""
    return new_code_cell(source, **parts)


def answer_cell(name="softmax", **grading):
    metadata = {"nbgrader": {"grade_id": name, "solution": True, **grading}}
    return code(f"def {name}(x):\n    pass", metadata=metadata)


def check_cell(name="softmax", **grading):
    metadata = {"nbgrader": {"grade_id": f"check_{name}", "grade": True, **grading}}
    return code(f"check({name})", metadata=metadata)


def normal(*cells, path=LESSON, **metadata):
    notebook = new_notebook(metadata=metadata)
    notebook.cells = list(cells)  # as they are: new_notebook(cells=…) would mend double ids
    return normalise(notebook, path)


def printed(text):
    return new_output("stream", name="stdout", text=text)


def test_normalising_twice_changes_nothing_more():
    messy = new_notebook(
        cells=[
            new_markdown_cell("# Über Aufmerksamkeit  \n\ntext\t\n\n", metadata={"slideshow": {}}),
            code("1 \n", execution_count=7, outputs=[printed("a"), printed("b")]),
            code("1", execution_count=3, metadata={"tags": ["b", "a"], "execution": {"iopub.status.busy": "now"}}),
            answer_cell(),
            check_cell(),
            code(""),
        ],
        metadata={"widgets": {}, "jupytext": {"a": 1}, "language_info": {"name": "python", "version": "3.11.7"}},
    )
    once = normalise(messy, LESSON)
    text = text_of(once, LESSON)
    assert text_of(normalise(copy.deepcopy(once), LESSON), LESSON) == text
    assert text_of(normalise(nbformat.reads(text, as_version=4), LESSON), LESSON) == text
    assert text.endswith("}\n") and not text.endswith("\n\n")
    assert "Über" in text
    assert not re.search(r"[ \t]+$", text, re.MULTILINE)
    assert list(json.loads(text)) == sorted(json.loads(text))


def test_the_metadata_says_which_kernel_and_which_lesson_and_nothing_else():
    notebook = normal(code("1"), widgets={"state": {}}, language_info={"name": "python", "version": "3.14"}, toc={})
    assert notebook.metadata == {
        "clearformer": {"lesson": "02_attention"},
        "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)


def test_a_notebook_that_is_no_lesson_gets_no_lesson():
    assert "clearformer" not in normal(code("1"), path=Path("scratch.ipynb")).metadata


def test_cells_keep_their_tags_and_no_other_metadata():
    cell = normal(code("1", metadata={"tags": ["nbval-ignore-output"], "collapsed": True, "execution": {}})).cells[0]
    assert cell.metadata == {"tags": ["nbval-ignore-output"]}


def test_a_cell_that_fails_on_purpose_has_the_tag_that_lab_understands_too():
    cell = normal(code("1 / 0", metadata={"tags": ["nbval-raises-exception"]})).cells[0]
    assert cell.metadata.tags == ["raises-exception"]


def test_empty_cells_and_windows_line_endings_go():
    notebook = normal(new_markdown_cell("\r\n  \r\n"), code("a = 1\r\nb = 2  \r\n"), code(" "))
    assert [cell.source for cell in notebook.cells] == ["a = 1\nb = 2"]


def test_a_line_separator_inside_a_string_does_not_break_the_line():
    source = "words = 'a\u2028b\x0cc'"
    assert [cell.source for cell in normal(code(source + "\r" + source)).cells] == [source + "\n" + source]


def test_execution_counts_run_from_one_over_the_cells_that_were_run():
    shown = new_output("execute_result", {"text/plain": "1"}, execution_count=9)
    notebook = normal(code("1", execution_count=9, outputs=[shown]), code("2"), code("3", execution_count=4))
    assert [cell.execution_count for cell in notebook.cells] == [1, None, 2]
    assert notebook.cells[0].outputs[0].execution_count == 1


def test_streams_that_follow_each_other_are_one_and_their_order_stays():
    error = new_output("stream", name="stderr", text="!\n")
    outputs = [printed("a\n"), printed("b\n"), error, printed("c\n")]
    notebook = normal(code("1", execution_count=1, outputs=outputs))
    assert [(o.name, o.text) for o in notebook.cells[0].outputs] == [
        ("stdout", "a\nb\n"),
        ("stderr", "!\n"),
        ("stdout", "c\n"),
    ]


def test_the_widget_goes_and_what_stands_in_for_it_stays():
    with_text = new_output("display_data", {WIDGET_VIEW: {"model_id": "a1"}, "text/html": "<p>Run this cell</p>"})
    alone = new_output("display_data", {WIDGET_VIEW: {"model_id": "a2"}})
    outputs = normal(code("1", execution_count=1, outputs=[with_text, alone])).cells[0].outputs
    assert [output.data for output in outputs] == [{"text/html": "<p>Run this cell</p>"}]


@pytest.mark.parametrize("cell", [answer_cell(), check_cell()], ids=["answer", "check"])
def test_nbgrader_accepts_the_metadata_that_was_completed(cell):
    done = normal(cell).cells[0]
    MetadataValidator().validate_cell(done)
    grading = done.metadata.nbgrader
    assert grading.schema_version == 3 and grading.task is False
    assert (grading.solution, grading.grade, grading.locked) in [(True, False, False), (False, True, True)]


def test_points_come_from_the_catalogue_whatever_the_notebook_says():
    assert normal(check_cell(points=99)).cells[0].metadata.nbgrader.points == catalogue.find("softmax").points


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([answer_cell(), answer_cell()], r"cell 2 \(def softmax\(x\):\): a second cell with the grade_id 'softmax'"),
        ([answer_cell("softmin")], "There is no exercise called 'softmin'"),
        ([check_cell(solution=True)], "either solution: true or grade: true"),
        ([code("1", metadata={"nbgrader": {"grade_id": "softmax", "grade": True}})], "check_ and a name"),
        ([code("1", metadata={"nbgrader": {}})], "either solution: true or grade: true"),
    ],
)
def test_wrong_exercise_metadata_is_refused_by_name(cells, message):
    with pytest.raises(NotebookProblem, match=rf"02_attention\.ipynb, .*{message}"):
        normal(*copy.deepcopy(cells))


def ids(*cells):
    return [cell.id for cell in normal(*cells).cells]


def test_ids_say_what_the_cell_is():
    assert ids(
        new_markdown_cell("## Why divide by √d?\n\ntext"),
        answer_cell(),
        check_cell(),
        code("import numpy as np"),
        code("→"),
        new_markdown_cell("日本"),
    ) == ["why-divide-by-d", "answer-softmax", "check-softmax", "import-numpy-as-np", "code", "markdown"]


def test_our_ids_stay_when_the_text_changes_and_random_ones_do_not():
    kept = new_markdown_cell("something else now", id="why-divide-by-d")
    random = new_markdown_cell("text", id="0f3a9c1d")
    from_lab = new_markdown_cell("lab", id="123e4567-e89b-12d3-a456-426614174000")
    odd = new_markdown_cell("odd", id="Upper_Case")
    assert ids(kept, random, from_lab, odd) == ["why-divide-by-d", "text", "lab", "odd"]


def test_no_two_cells_share_an_id():
    twice = [new_markdown_cell("same", id="kept"), new_markdown_cell("same", id="kept"), new_markdown_cell("kept")]
    found = ids(*twice, new_markdown_cell("same"), new_markdown_cell("x" * 300), new_markdown_cell("x" * 300))
    assert found == ["kept", "same", "kept-2", "same-2", "x" * 48, "x" * 48 + "-2"]


def test_a_new_id_makes_way_for_one_that_stays():
    assert ids(new_markdown_cell("kept"), new_markdown_cell("text", id="kept")) == ["kept-2", "kept"]


def test_an_id_that_looks_random_is_not_made():
    assert ids(new_markdown_cell("deadbeef")) == ["deadbeef-cell"]


MACHINE_TEXTS = [
    str(repository() / "notebooks"),
    str(Path.home() / "notes.txt"),
    str(Path(tempfile.gettempdir(), "scratch")),
    "/opt/python/lib/python3.11/site-packages/torch/__init__.py",
    "C:\\Python\\Lib\\site-packages\\numpy",
    "C:\\Temp\\ipykernel_4711\\123.py:1: UserWarning: careful",
    "/lessons/words.txt",
    "<function f at 0x7f3a5c0de0>",
]


@pytest.mark.parametrize("text", MACHINE_TEXTS)
@pytest.mark.parametrize("kind", ["stdout", "stderr", "result", "html"])
def test_an_output_that_names_this_machine_is_refused(text, kind):
    output = {
        "stdout": lambda: printed(f"see {text}\n"),
        "stderr": lambda: new_output("stream", name="stderr", text=f"see {text}\n"),
        "result": lambda: new_output("execute_result", {"text/plain": repr(text)}, execution_count=1),
        "html": lambda: new_output("display_data", {"text/html": f"<p>{text}</p>"}),
    }[kind]()
    with pytest.raises(NotebookProblem, match="different on every machine"):
        normal(code("1", execution_count=1, outputs=[output]))


def test_pictures_and_addresses_of_the_web_are_not_taken_for_paths():
    home = str(Path.home())
    picture = new_output("display_data", {"text/html": f'<img alt="a" src="data:image/png;base64,AAAA{home}/BBBB">'})
    png = new_output("display_data", {"image/png": f"{home}/"})
    web = printed("https://example.org/notes and half/way, homework, 0x10\n")
    cell = code("1", execution_count=1, outputs=[picture, png, web])
    assert machine_traces(cell, LESSON) == []


def test_a_long_output_takes_no_time():
    long = "/x" * 500_000
    error = new_output("error", ename="E", evalue=long, traceback=[long])
    outputs = [printed(long), error, new_output("display_data", {"text/html": f'<a href="data:{long}">'})]
    began = time.process_time()
    normal(code("1", execution_count=1, outputs=outputs))
    assert time.process_time() - began < 5  # seconds; a pattern that tries every start needs minutes


@pytest.mark.parametrize(
    ("line", "stored"),
    [
        (f"File {repository()}/reference/clearformer/x.py:77, in f", "File reference/clearformer/x.py:77, in f"),
        (f"\x1b[32m{repository()}/.venv/lib/site-packages/torch/nn.py:3", "\x1b[32mtorch/nn.py:3"),
        ("File ~/env/lib/python3.12/site-packages/torch/nn.py:3", "File torch/nn.py:3"),
        ("File C:\\Python\\Lib\\site-packages\\torch\\nn.py:3", "File torch\\nn.py:3"),
        ("Cell In[3], line 1", "Cell In[3], line 1"),
    ],
)
def test_a_traceback_names_files_without_saying_where_they_lie(line, stored):
    error = new_output("error", ename="ValueError", evalue="no", traceback=[line])
    cell = normal(code("1", execution_count=1, outputs=[error])).cells[0]
    assert cell.outputs[0].traceback == [stored]


@pytest.mark.parametrize("folder", ["~", str(repository().parent)])
def test_a_traceback_is_shortened_in_a_home_directory_too(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(repository().parent))
    line = f"File {folder}/{repository().name}/reference/clearformer/x.py:7"
    error = new_output("error", ename="ValueError", evalue="no", traceback=[line])
    cell = normal(code("1", execution_count=1, outputs=[error])).cells[0]
    assert cell.outputs[0].traceback == ["File reference/clearformer/x.py:7"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no json", "not a notebook"),
        (b"\xff\xfe", "not a notebook"),
        (b"[1, 2]", "not a notebook"),
        (b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}}', "not a"),
        (b"", "not a notebook"),
    ],
)
def test_a_file_that_is_no_notebook_is_said_to_be_none(tmp_path, content, message):
    path = tmp_path / "a.ipynb"
    path.write_bytes(content)
    with pytest.raises(NotebookProblem, match=message):
        text_of(normalise(read(path), path), path)


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(NotebookProblem, match="no such file"):
        read(tmp_path / "a.ipynb")


def test_an_old_notebook_is_brought_to_the_present_format(tmp_path):
    path = tmp_path / "02_attention.ipynb"
    cell = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": "1"}
    path.write_text(json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 2}))
    notebook = normalise(read(path), path)
    assert notebook.nbformat_minor == 5 and notebook.cells[0].id == "1"


def test_writing_leaves_the_old_file_whole_when_it_fails(tmp_path, monkeypatch):
    path = tmp_path / "a.ipynb"
    path.write_text("old")
    path.chmod(0o640)

    def no_room(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("os.replace", no_room)
        with pytest.raises(OSError, match="No space"):
            write("new", path)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    write("new\n", path)
    assert path.read_bytes() == b"new\n" and path.stat().st_mode & 0o777 == 0o640
