"""Reading a notebook."""

import json
import warnings

import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clearformer.grading import notebook as module
from clearformer.grading.notebook import Cell, Notebook, NotebookError, read_notebook

LESSON_02 = {"clearformer": {"lesson": "02_attention"}}
ANSWER = {"nbgrader": {"grade_id": "softmax", "solution": True, "grade": False}}


def code(source="x = 1", metadata=None, **more):
    cell = {"cell_type": "code", "source": source, "metadata": metadata or {}, "outputs": [], "execution_count": None}
    return cell | more


def document(*cells, metadata=None, minor=5):
    return {"nbformat": 4, "nbformat_minor": minor, "metadata": metadata or {}, "cells": list(cells)}


def old_code(source, metadata=None):
    cell = {"cell_type": "code", "input": source, "language": "python", "metadata": metadata or {}}
    return cell | {"outputs": [], "collapsed": False}


TEXT = {"cell_type": "markdown", "source": ["# a\n", "b"], "metadata": {}}
FORMAT_3 = {
    "nbformat": 3,
    "nbformat_minor": 0,
    "metadata": {"name": ""},
    "worksheets": [
        {"cells": [TEXT, old_code(["x = 1\n", "y = 2"])]},
        {"cells": [old_code("def softmax(x): ...", ANSWER)]},
    ],
}


@pytest.fixture
def read(tmp_path):
    def read_content(content):
        path = tmp_path / "some.ipynb"
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return read_notebook(path)

    return read_content


@pytest.mark.parametrize(
    "content",
    [
        document(code("a = 1\nb = 2", id="one"), code("c", ANSWER, id="two")),
        document(code(["a = 1\n", "b = 2"]), code("c", ANSWER), minor=0),
        FORMAT_3,
    ],
    ids=["4.5", "4.0 with lists of lines and no ids", "3 with two worksheets"],
)
def test_cells_are_those_that_nbformat_reads(read, content):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        oracle = nbformat.reads(json.dumps(content), as_version=4).cells
    found = read(content).cells
    assert [(cell.is_code, cell.source) for cell in found] == [(c.cell_type == "code", c.source) for c in oracle]
    assert [cell.grade_id for cell in found] == [c.metadata.get("nbgrader", {}).get("grade_id", "") for c in oracle]
    assert [cell.number for cell in found] == list(range(1, len(oracle) + 1))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "The file is empty."),
        (b" \n", "The file is empty."),
        (b"print('hello')", "not JSON"),
        (b'{"nbformat": 4, "cells": [', "not JSON"),
        (b"\xff\xfe\x00\x01", "the file is not text"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "without the number nbformat"),
        (b"null", "without the number nbformat"),
        (b'{"nbformat": "4", "cells": []}', "without the number nbformat"),
        (b'{"nbformat": true, "cells": []}', "without the number nbformat"),
        (b'{"nbformat": 4}', "no list of cells"),
        (b'{"nbformat": 4, "cells": {"a": 1}}', "no list of cells"),
        (b'{"nbformat": 4, "cells": [1]}', "cell 1 has no type or no source"),
        (b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": [1]}]}', "cell 1 has no type or no source"),
        (b'{"nbformat": 3, "worksheets": [2]}', "no list of cells"),
        (b'{"nbformat": 2, "worksheets": []}', "format 2, which is too old"),
        (b'{"nbformat": 5, "cells": []}', "format 5. This version of clearformer reads formats 3 and 4"),
        (b'{"nbformat": 4, "cells": []}', "There is no answer cell"),
        (json.dumps(document(metadata=LESSON_02)).encode(), "no answer cell"),
        (json.dumps(document(code(), metadata={"clearformer": {"lesson": "99_later"}})).encode(), "'99_later'"),
        (json.dumps(document(code("", {"nbgrader": {"grade_id": "later", "solution": True}}))).encode(), "'later'"),
        (json.dumps(document(code("", {"nbgrader": ["softmax"]}))).encode(), "There is no answer cell"),
        (json.dumps(document(code("", {"nbgrader": {"grade_id": {}}}))).encode(), "There is no answer cell"),
    ],
)
def test_what_cannot_be_checked_is_said(read, content, said):
    with pytest.raises(NotebookError) as caught:
        read(content)
    assert said in str(caught.value)


def test_a_file_that_is_not_there_and_a_folder_are_told_apart(tmp_path):
    with pytest.raises(NotebookError, match="no such file"):
        read_notebook(tmp_path / "none.ipynb")
    with pytest.raises(NotebookError, match="a folder"):
        read_notebook(tmp_path)


def test_a_byte_order_mark_does_not_matter(read):
    assert read(b"\xef\xbb\xbf" + json.dumps(document(code("c", ANSWER))).encode()).cells[0].source == "c"


KEYS = ["cells", "worksheets", "cell_type", "source", "input", "metadata", "nbgrader", "grade_id", "clearformer"]
any_json = st.recursive(
    st.none() | st.booleans() | st.integers(0, 5) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([3, 4]), any_json, any_json, any_json)
def test_no_structure_breaks_the_reading(read, version, cells, marks, metadata):
    cell = {"cell_type": "code", "source": "x", "input": "x", "metadata": {"nbgrader": marks}}
    for held in (cells, [cell, cells]):
        content = {"nbformat": version, "metadata": metadata, "cells": held, "worksheets": [{"cells": held}]}
        try:
            assert isinstance(read(content), Notebook)
        except NotebookError as error:
            assert str(error).endswith((".", ".ipynb")), error


# --- which exercises -----------------------------------------------------------------------------------------


def marked(name, **marks):
    return code("", {"nbgrader": {"grade_id": name, "solution": True} | marks})


def test_all_exercises_of_the_lesson_are_there_in_the_lessons_order(read, small_course):
    found = read(document(marked("causal_mask"), marked("softmax"), metadata=LESSON_02))
    assert found.exercises == ("softmax", "score_variance", "causal_mask")


def test_without_metadata_the_grade_ids_say_the_lesson(read, small_course):
    assert read(document(marked("causal_mask"))).exercises == ("softmax", "score_variance", "causal_mask")


def test_answers_of_another_lesson_count_too(read, small_course):
    found = read(document(marked("softmax"), marked("causal_mask"), marked("normalise_rows")))
    assert found.exercises == ("normalise_rows", "softmax", "score_variance", "causal_mask")


def test_a_notebook_whose_answer_cells_are_all_gone_still_has_its_exercises(read, small_course):
    only_check = marked("check_softmax", solution=False, grade=True)
    found = read(document(only_check, metadata=LESSON_02))
    assert found.exercises == ("softmax", "score_variance", "causal_mask")
    assert found.answers("softmax") == []


def test_check_cells_are_not_run(read):
    found = read(document(code("a", ANSWER), marked("check_softmax", solution=False, grade=True), code("b")))
    assert [cell.source for cell in found.to_run] == ["a", "b"]


# --- cells ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("x = 1\ny: int = 2\nz += 1", {"x", "y", "z"}),
        ("(a, [b, *c]) = d", {"a", "b", "c"}),
        ("import numpy as np, os.path\nfrom math import sqrt as root, pi", {"np", "os", "root", "pi"}),
        ("def f(x):\n    inner = 1\nclass C:\n    field = 1\nasync def g(): pass", {"f", "C", "g"}),
        ("for i in range(3):\n    last = i\nwith open(p) as file: pass", {"i", "last", "file"}),
        ("%matplotlib inline\n!ls\nq = 1", {"q"}),
        ("[hidden for hidden in z]", set()),
        ("lambda: (w := 1)", set()),
        ("def f(:", set()),
        ("x = '\0'", set()),
    ],
)
def test_the_names_that_a_cell_defines(source, names):
    cell = Cell(1, True, source)
    universe = {*"abcdfgipqwxyzC", "np", "os", "root", "last", "file", "hidden", "inner", "field", "math", "sqrt"}
    assert {name for name in universe | names if cell.defines(name)} == names


@pytest.mark.parametrize("terms", [900, 2500, 100_000])
def test_code_that_is_nested_deeply_ends_no_search(terms):
    cell = Cell(1, True, "x = " + "+".join(["1"] * terms))
    assert cell.defines("x") or terms > 900  # where Python's own parser gives up is its business
    assert not cell.defines("y")


def test_very_long_cells_are_not_searched_and_those_after_them_are(monkeypatch):
    parsed = []
    monkeypatch.setattr(module, "_bound_names", lambda source: parsed.append(len(source)) or frozenset("x"))
    cells = [Cell(n, True, "x = 1\n" * lines) for n, lines in enumerate((10, 10_000_000, 100, 49_000, 49_000), 1)]
    notebook = Notebook(tuple(cells), ("softmax",))
    assert [cell.number for cell in notebook.defining("x")] == [1, 3, 4]
    notebook.defining("x")
    assert sum(parsed) <= module.SEARCHED and len(parsed) == 3, "each is parsed once"


def test_a_cell_is_parsed_only_for_a_name_that_is_in_it(monkeypatch):
    monkeypatch.setattr(module, "_bound_names", lambda source: pytest.fail("parsed"))
    assert not Cell(1, True, "y = 1").defines("x")


def test_what_a_file_says_is_shown_short_and_printable(read):
    lesson = {"clearformer": {"lesson": "\x1b[2J\n" + "x" * 10_000}}
    with pytest.raises(NotebookError) as error:
        read(document(code(metadata={"nbgrader": {"grade_id": "x"}}), metadata=lesson))
    assert str(error.value).isprintable() and len(str(error.value)) < 300
    with pytest.raises(NotebookError) as error:
        read(document() | {"nbformat": 10**4000})
    assert len(str(error.value)) < 300


def test_a_cell_of_comments_is_empty():
    assert Cell(1, True, "\n# Write here.\n   ").is_empty
    assert not Cell(1, True, "# Write here.\nx").is_empty


def test_a_cell_is_named_by_its_number_and_first_line():
    assert str(Cell(4, True, "\n  def f():\n    pass")) == "cell 4 (def f():)"
    assert str(Cell(4, True, "")) == "cell 4"
