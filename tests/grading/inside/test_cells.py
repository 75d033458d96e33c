"""Cells in one shell: what they leave behind, and how their errors are told."""

import pytest

from clearformer.grading.inside import wire
from clearformer.grading.inside.cells import Cells


@pytest.fixture
def with_cells(forked):
    """with_cells(function) -> function(Cells()), in a process of its own: there is one shell in each."""

    def ask(function):
        def serve(sock):
            wire.Connection(sock, sends=wire.REPLIES, trusted=False).send({"value": function(Cells())})

        return forked(serve).connection.receive(20.0)["value"]

    return ask


def test_cells_share_a_namespace_and_know_the_shells_own_syntax(with_cells):
    def run(cells):
        cells.run(1, "a = 1\n%time b = a + 1\n!true\nb")
        return cells.run(2, "assert b == 2 and _ == 2"), cells.namespace["b"]

    assert with_cells(run) == (None, 2)


SOURCES = (
    "x = 1\ny = 2",
    "def f(x):\n    return x",
    "\n\nx = 1\ny = 2",
    "  x = 1\n  y = 2",
    ">>> x = 1\n... y = 2",
    "In [1]: x = 1\n   ...: y = 2",
    "In [1]: x\ny = 2",
    "%time x = 1\ny = 2",
    "x = %timeit 1\ny = 2",
    "files = !ls\nx = 1",
    "%%time\nx = 1",
    "x = 7\nx?",
    "x = 7 # really?\ny = 1",
    "text = '''\n%not a magic\n!nor this\nwhat?\n'''\nx = 1",
    "x = (7\n%3)\ny = 1",
    "exit",
    "quit\n",
    "x = 1;",
    "def f(:\n    pass",
    "",
    "# nothing",
)


def test_skipping_ipythons_transformations_changes_no_cell(with_cells):
    """Where a cell is taken for plain Python, what IPython would have made of it is that cell."""
    from IPython.core.interactiveshell import InteractiveShell

    def both(cells):
        shell = cells._shell
        usual = [InteractiveShell.transform_cell(shell, source) for source in SOURCES]
        return list(map(shell.transform_cell, SOURCES)), usual

    quick, usual = with_cells(both)
    assert quick == usual


def test_transformations_that_a_notebook_adds_are_made(with_cells):
    def run(cells):
        add = "get_ipython().input_transformers_post.append(lambda lines: [line.replace('1', '2') for line in lines])"
        cells.run(1, add)
        cells.run(2, "x = 1\ny = 1")
        return cells.namespace["x"]

    assert with_cells(run) == 2


def test_cells_that_wait_for_something_run(with_cells):
    assert with_cells(lambda cells: cells.run(1, "import asyncio\nawait asyncio.sleep(0)")) is None


def test_the_place_is_the_last_line_of_a_cell_on_the_way(with_cells):
    def run(cells):
        cells.run(3, "import numpy as np\ndef f(x):\n    return np.reshape(x, (7,))")
        return cells.run(5, "a = 1\n\nf(np.ones(3))")

    error = with_cells(run)
    assert (error["kind"], error["cell"], error["line"]) == ("ValueError", 3, 3)
    assert error["code"] == "return np.reshape(x, (7,))"


def test_a_mistake_of_syntax_is_told_in_pythons_words(with_cells):
    error = with_cells(lambda cells: cells.run(1, "x = 1\ndef f(x):"))
    assert error["kind"] in ("SyntaxError", "IndentationError")
    assert (error["line"], "expected an indented block" in error["text"]) == (2, True)


def test_matplotlibs_magic_and_windows_do_nothing(with_cells):
    assert with_cells(lambda cells: cells.run(1, "%matplotlib inline\n%gui")) is None


def test_replaced_functions_are_the_notebooks_own_and_nobody_elses(with_cells):
    def run(cells):
        first = cells.run(1, "import builtins\nbuiltins.sum = lambda items: 'mine'")
        outside = sum([1, 2])
        second = cells.run(2, "assert sum([1, 2]) == 'mine'\ndef f(x):\n    return x")
        told = cells.unfit("f", "write")
        third = cells.run(3, "del builtins.sum\nimport importlib")
        return first, outside, second, told, third is None and sum([1, 2])

    first, outside, second, told, after = with_cells(run)
    assert (first, outside, second, after) == (None, 3, None, 3)
    assert told.startswith("The notebook has replaced builtins.sum")


def test_a_function_put_back_by_the_notebook_is_no_reason_to_refuse(with_cells):
    def run(cells):
        cells.run(1, "import builtins, numpy as np\nkept = print, np.sum\nbuiltins.print = np.sum = len")
        before = cells.unfit("kept", "predict")
        cells.run(2, "builtins.print, np.sum = kept")
        return before, cells.unfit("kept", "predict")

    before, after = with_cells(run)
    assert "builtins.print" in before and after == ""


@pytest.mark.parametrize(
    ("source", "kind", "told"),
    [
        ("", "write", "does not define answer"),
        ("answer = None", "write", "answer is None here, not a function"),
        ("answer = []", "hunt", "answer is a list here"),
        ("answer = 1", "predict", ""),
        ("answer = len", "write", ""),
        ("class answer: pass", "write", ""),
        ("answer = type('x' * 10**6, (), {})()", "write", "answer is a xxx"),
        ("answer = type('', (), {})()", "write", "not a function"),
    ],
)
def test_what_cannot_be_asked_is_told(with_cells, source, kind, told):
    def run(cells):
        cells.run(1, source)
        return cells.unfit("answer", kind)

    found = with_cells(run)
    assert told in found and bool(told) == bool(found) and len(found) < 300
