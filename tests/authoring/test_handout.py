"""Taking the answers out: what learners get, and what is refused so that no answer gets out."""

import ast
import copy
import textwrap

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from nbgrader.preprocessors import ClearSolutions
from traitlets.config import Config

from clearformer.authoring import handout
from clearformer.authoring.handout import BEGIN, END, exercise_notebook, hand_out, without_answers
from clearformer.authoring.notebook import NotebookProblem, read

ANSWER = {"nbgrader": {"grade_id": "softmax", "solution": True}}
CHECK = {"nbgrader": {"grade_id": "check_softmax", "grade": True}}
SOFTMAX = f'''\
def softmax(x, axis=-1):
    """Turn scores into weights."""
    {BEGIN}
    exponentials = np.exp(x - x.max(axis=axis, keepdims=True))
    return exponentials / exponentials.sum(axis=axis, keepdims=True)
    {END}'''
STUB = '''\
def softmax(x, axis=-1):
    """Turn scores into weights."""
    # Write your answer here.
    raise NotImplementedError("softmax is not written yet")'''


def solutions(*cells, title="# Attention: solutions"):
    return new_notebook(cells=[new_markdown_cell(title), *cells])


def with_answer(source=SOFTMAX):
    return solutions(new_code_cell(source, metadata=ANSWER), new_code_cell("check(softmax)", metadata=CHECK))


def save(folder, name, notebook):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(nbformat.writes(notebook), encoding="utf-8")


def cleared(source):
    return without_answers(textwrap.dedent(source), "somewhere")


def test_inside_a_function_the_answer_becomes_an_error_that_says_what_is_missing():
    assert cleared(SOFTMAX) == STUB


def test_outside_functions_the_answer_becomes_a_comment():
    source = f"score_variance = None  # your number\n{BEGIN}\nscore_variance = 64\n{END}"
    assert cleared(source) == "score_variance = None  # your number\n# Write your answer here."


def test_a_class_is_cleared_method_by_method_and_named_as_a_whole():
    stub = cleared(f"""\
        class Heads(nn.Module):
            def __init__(self, width):
                super().__init__()
                {BEGIN}
                self.project = nn.Linear(width, width)
                {END}

            async def forward(self, x):
                {BEGIN}
                return self.project(x)
                {END}
        """)
    assert stub.count('        raise NotImplementedError("Heads is not written yet")') == 2
    assert "super().__init__()" in stub and "Linear" not in stub and "project" not in stub


def test_the_stub_stands_where_the_answer_stood():
    stub = cleared(f"""\
        @decorated
        def outer(x):
            for row in x:
                {BEGIN}
                yield row
                {END}
            return x


        def helper(x):
        \t{BEGIN}
        \treturn x
        \t{END}
        """)
    assert '        raise NotImplementedError("outer is not written yet")\n    return x' in stub
    assert '\traise NotImplementedError("helper is not written yet")' in stub


def test_a_function_inside_the_answer_goes_with_it():
    stub = cleared(f"def outer(x):\n    {BEGIN}\n    def inner(y):\n        return y\n    return inner(x)\n    {END}")
    assert "inner" not in stub and "outer is not written yet" in stub


@pytest.mark.parametrize("ending", ["\r\n", "\r", "\n"])
def test_line_endings_of_other_systems_make_the_same_stub(ending):
    assert cleared(SOFTMAX.replace("\n", ending)) == STUB


def test_a_blank_line_or_a_comment_may_begin_the_answer():
    assert cleared(SOFTMAX.replace(BEGIN, f"{BEGIN}\n\n  # shift first")) == STUB


def test_a_line_separator_inside_a_string_does_not_shift_the_answer():
    before = "names = 'a\u2028b\x0cc\x1cd'\n\n\n"
    assert cleared(before + SOFTMAX) == before + STUB


def test_unicode_stays():
    stub = cleared(f'def größe(x):\n    """√d → 日本"""\n    {BEGIN}\n    return x\n    {END}')
    assert '"""√d → 日本"""' in stub and "größe is not written yet" in stub


def by_nbgrader(source, name):
    """The same cell, cleared by nbgrader with our stub."""
    stub = f'# Write your answer here.\nraise NotImplementedError("{name} is not written yet")'
    config = Config({"ClearSolutions": {"code_stub": {"python": stub}}})
    full = {"grade": False, "locked": False, "task": False, "schema_version": 3}
    cell = new_code_cell(source, metadata={"nbgrader": {**ANSWER["nbgrader"], **full}})
    notebook = new_notebook(cells=[cell])
    return ClearSolutions(config=config).preprocess(notebook, {})[0].cells[0].source


words = st.text("abcdefgh_", min_size=3, max_size=9).map(lambda text: f"secret_{text}")
statements = st.lists(st.builds("{} = {!r} + x".format, words, st.integers()), min_size=1, max_size=4)


@given(before=statements, answers=st.lists(statements, min_size=1, max_size=3), depth=st.integers(1, 3))
def test_what_is_left_is_what_nbgrader_would_leave(before, answers, depth):
    lines = [line.replace("secret", "given") for line in before]
    for answer in answers:
        lines += [BEGIN, *answer, END, "given_after = x"]
    nested = [f"{'    ' * level}if x:" for level in range(1, depth)]
    body = textwrap.indent("\n".join(lines), "    " * depth)
    source = "\n".join(["def f(x):", *nested, body])
    stub = without_answers(source, "somewhere")
    assert stub == by_nbgrader(source, "f")
    assert "secret" not in stub
    ast.parse(stub)


REFUSED = {
    "no region": ("def softmax(x):\n    return x", "without ### BEGIN SOLUTION"),
    "no end": (f"def softmax(x):\n    {BEGIN}\n    return x", "line 2: ### BEGIN SOLUTION without ### END"),
    "no begin": (f"def softmax(x):\n    return x\n    {END}", "line 3: ### END SOLUTION without ### BEGIN"),
    "nested": (f"def softmax(x):\n    {BEGIN}\n    {BEGIN}\n    return x\n    {END}", "line 3: .* inside a region"),
    "ended twice": (f"def softmax(x):\n    {BEGIN}\n    return x\n    {END}\n    {END}", "line 5: ### END"),
    "empty": (f"def softmax(x):\n    'doc'\n    {BEGIN}\n    # to do\n    {END}", "line 3: nothing between"),
    "in a string": (
        f'def softmax(x):\n    """\n    {BEGIN}\n    """\n    return x\n    {END}',
        "line 3: expected ### BEGIN",
    ),
    "whole string": (f'softmax = """\n{BEGIN}\nsecret\n{END}\n"""', "line 2: expected ### BEGIN"),
    "after code": (f"def softmax(x):\n    y = x  {BEGIN}\n    return y\n    {END}", "line 2: .*alone on a line"),
    "two signs": ("def softmax(x):\n    ## BEGIN SOLUTION\n    return x\n    ## END SOLUTION", "line 2: expected"),
    "lower case": ("def softmax(x):\n    ### begin solution\n    return x\n    ### end solution", "line 2: expected"),
    "plural": (f"def softmax(x):\n    {BEGIN}S\n    return x\n    {END}", "line 2: expected"),
    "end spelt otherwise": (f"def softmax(x):\n    {BEGIN}\n    return x\n    # END_SOLUTION", "line 4: expected"),
    "not Python": (f"%%time\ndef softmax(x):\n    {BEGIN}\n    return x\n    {END}", "not plain Python"),
    "breaks when cleared": (
        f"softmax = 1\nif softmax:\n    {BEGIN}\n    y = 1\n    {END}",
        "after the answer is taken",
    ),
    "between methods": (
        f"class softmax:\n    {BEGIN}\n    def forward(self):\n        return 1\n    {END}",
        "between the methods of softmax",
    ),
    "the definition itself": (
        f"{BEGIN}\ndef softmax(x):\n    return x\n{END}",
        "outside the markers defines 'softmax'",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_cleared_safely_is_refused_by_notebook_and_cell(case):
    source, message = REFUSED[case]
    with pytest.raises(NotebookProblem, match=rf"02\.ipynb, cell 2 \(.*{message}"):
        exercise_notebook(with_answer(source), "02.ipynb")


@pytest.mark.parametrize("cell", [new_code_cell(SOFTMAX), new_markdown_cell(SOFTMAX), new_code_cell("# End Solution")])
def test_a_marker_outside_an_answer_cell_is_refused(cell):
    with pytest.raises(NotebookProblem, match=r"cell 2 .*marker outside an answer cell"):
        exercise_notebook(solutions(cell), "02.ipynb")


def test_two_answers_to_one_exercise_are_refused():
    first, second = (new_code_cell(SOFTMAX, metadata=copy.deepcopy(ANSWER)) for _ in range(2))
    with pytest.raises(NotebookProblem, match=r"cell 3 .*a second cell with the grade_id 'softmax'"):
        exercise_notebook(solutions(first, second), "02.ipynb")


@pytest.mark.parametrize("title", ["# Attention", "Attention: solutions", "## Attention: solutions", "# My solutions!"])
def test_a_title_that_cannot_be_renamed_is_refused(title):
    with pytest.raises(NotebookProblem, match="title that ends in"):
        exercise_notebook(solutions(title=title), "02.ipynb")


def test_learners_get_everything_but_answers_outputs_and_what_is_for_solutions_only():
    notebook = solutions(
        new_markdown_cell("Try it yourself first.", metadata={"tags": ["solution-only"]}),
        new_code_cell("1 + 1", execution_count=4, outputs=[new_output("stream", text="2")], id="look"),
        new_code_cell(SOFTMAX, metadata=ANSWER, execution_count=5),
        new_code_cell("check(softmax)", metadata=CHECK, execution_count=6),
        title="# Attention: solutions\n\nAbout the solutions",
    )
    made = exercise_notebook(notebook, "02_attention.ipynb")
    assert [cell.source for cell in made.cells] == [
        "# Attention: exercises\n\nAbout the solutions",
        "1 + 1",
        STUB,
        "check(softmax)",
    ]
    code = [cell for cell in made.cells if cell.cell_type == "code"]
    assert [cell.id for cell in code] == ["look", "answer-softmax", "check-softmax"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    assert code[1].metadata.nbgrader.grade_id == "softmax" and code[2].metadata.nbgrader.points == 2
    assert made.metadata.clearformer.lesson == "02_attention"


@pytest.fixture
def folders(tmp_path):
    save(tmp_path / "solutions", "02_attention.ipynb", with_answer())
    save(tmp_path / "solutions", "01_positional_encoding.ipynb", solutions(new_code_cell("1")))
    return tmp_path / "solutions", tmp_path / "exercises"


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_second_time_nothing_is_written(folders):
    made = hand_out(*folders)
    assert set(made.values()) == {"written"} and len(made) == 2
    before = contents(folders[1])
    assert hand_out(*folders) == {} and contents(folders[1]) == before
    assert handout.main(["--check", *map(str, folders)]) == 0


def test_check_names_what_drifted_and_changes_nothing(folders, capsys):
    source, target = folders
    hand_out(source, target)
    (target / "01_positional_encoding.ipynb").unlink()
    changed = (target / "02_attention.ipynb").read_text(encoding="utf-8").replace("Turn scores", "Turns scores")
    (target / "02_attention.ipynb").write_text(changed, encoding="utf-8")
    before = contents(target)
    assert handout.main(["--check", str(source), str(target)]) == 1
    said = capsys.readouterr().err
    assert "01_positional_encoding.ipynb: missing" in said and "02_attention.ipynb: different" in said
    assert contents(target) == before


def test_an_exercise_whose_source_is_gone_goes_and_other_notebooks_stay(folders):
    source, target = folders
    hand_out(source, target)
    save(target, "my-notes.ipynb", new_notebook(cells=[new_code_cell("1", execution_count=1)]))
    (source / "01_positional_encoding.ipynb").unlink()
    assert handout.drift(source, target) == {target / "01_positional_encoding.ipynb": "its source is gone"}
    assert hand_out(source, target) == {target / "01_positional_encoding.ipynb": "removed"}
    assert sorted(contents(target)) == ["02_attention.ipynb", "my-notes.ipynb"]


def test_a_notebook_that_somebody_has_worked_in_is_not_overwritten(folders, capsys):
    source, target = folders
    hand_out(source, target)
    path = target / "02_attention.ipynb"
    theirs = read(path)
    theirs.cells[1].source, theirs.cells[1].execution_count = "def softmax(x):\n    return mine", 1
    path.write_text(nbformat.writes(theirs), encoding="utf-8")
    (target / "01_positional_encoding.ipynb").unlink()
    before = contents(target)
    assert handout.main([str(source), str(target)]) == 1
    assert "02_attention.ipynb: somebody has worked in this notebook" in capsys.readouterr().err
    assert contents(target) == before


def test_a_bad_source_stops_before_anything_is_written(folders, capsys):
    source, target = folders
    save(source, "03_multi_head_attention.ipynb", with_answer(f"def softmax(x):\n    {BEGIN}\n    return x"))
    assert handout.main([str(source), str(target)]) == 1
    assert "03_multi_head_attention.ipynb, cell 2 (def softmax(x):), line 2" in capsys.readouterr().err
    assert not target.exists()


def test_a_folder_without_notebooks_is_said(tmp_path, capsys):
    assert handout.main([str(tmp_path), str(tmp_path / "exercises")]) == 1
    assert "no notebook in this folder" in capsys.readouterr().err
