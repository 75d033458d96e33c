"""Attacks on the notebook's own check cells and on how cells are read: a grader that runs them believes them."""

import json

from arena import RIGHT, WRONG_SOFTMAX, Attack, Check, earned, passes

WRONG_MASK = ("causal_mask", "def causal_mask(seq_len):\n    return np.ones((seq_len, seq_len), dtype=bool)")
TRANSFORMED = """
def without_checks(lines):
    return ["pass\\n"] if any("assert" in line or "check(" in line for line in lines) else lines
get_ipython().input_transformers_cleanup.append(without_checks)
"""
REWRITTEN = """
import ast
class Satisfied(ast.NodeTransformer):
    def visit_Call(self, node):
        name = ast.unparse(node.func)
        return ast.Constant(True) if "assert" in name or "close" in name else self.generic_visit(node)
get_ipython().ast_transformers.append(Satisfied())
"""
BEFORE_EACH = """
def put_right(info):
    global softmax
    if "softmax(" in (info.raw_cell or "") and "def " not in info.raw_cell:
        softmax = lambda x, axis=-1: expected_in(info.raw_cell)
def expected_in(source):
    names = {"np": np}
    exec(source.split("answer =")[0], names)
    return names["expected"]
get_ipython().events.register("pre_run_cell", put_right)
"""
RUN_CELL = """
shell = get_ipython()
def nothing(self, source, *more, **how):
    from IPython.core.interactiveshell import ExecutionResult
    return ExecutionResult(None)
type(shell).run_cell = nothing
"""
SWAPPED = """
kept = np.exp
np.exp = lambda x: kept(x) * 0 + 1
def softmax(x, axis=-1):
    return x * 0 + 1 / 3
"""


def attack(name, *cells, way="own", says="softmax: failed", **more):
    return Attack(name, cells, more.pop("bites", passes()), way, says=says, **more)


ATTACKS = (
    attack("a check cell that was emptied", WRONG_SOFTMAX, Check("softmax", "pass")),
    attack("a check cell that checks something else", WRONG_SOFTMAX, Check("softmax", "assert softmax is softmax")),
    attack("check defined anew", WRONG_SOFTMAX, "check = lambda *a: None", Check("softmax", "check(softmax)")),
    attack(
        "check imported from elsewhere",
        "from builtins import print as check",
        WRONG_SOFTMAX,
        Check("softmax", "check(softmax)"),
    ),
    attack(
        "a check cell that defines the answer",
        WRONG_SOFTMAX,
        Check("softmax", RIGHT["softmax"] + "\ncheck(softmax)"),
    ),
    attack("a check cell that was deleted", WRONG_SOFTMAX, way="none failed"),
    attack(
        "a check cell that was deleted, and another one edited",
        WRONG_SOFTMAX,
        WRONG_MASK,
        Check("causal_mask", "pass"),
        way="none failed",
        bites=passes("softmax", "causal_mask"),
    ),
    attack("check cells twice", WRONG_SOFTMAX, Check("softmax", "pass"), Check("softmax", "pass")),
    attack(
        "a check cell for points that do not exist",
        WRONG_SOFTMAX,
        Check("softmax", "pass"),
        Check("a_thousand_points", "pass"),
        bites=passes("softmax", "a_thousand_points"),
    ),
    attack("a check cell before its answer", Check("softmax", "pass"), WRONG_SOFTMAX),
    attack("an input transformer that drops checks", TRANSFORMED, WRONG_SOFTMAX, WRONG_MASK, way="allclose"),
    attack("an ast transformer that satisfies checks", REWRITTEN, WRONG_SOFTMAX, WRONG_MASK, way="allclose"),
    attack("a hook before each cell", BEFORE_EACH, WRONG_SOFTMAX, way="assert_allclose"),
    attack(
        "run_cell itself replaced",
        RUN_CELL,
        WRONG_SOFTMAX,
        says="softmax: ",
        way="allclose",
        holds=lambda ground, record: earned(record) == set(),
    ),
    attack(
        "what the expected value is computed with",
        SWAPPED,
        ("softmax", "pass"),
        way="equal",
        says="softmax: error: .*numpy.exp",
    ),
    attack(
        "an answer put right by a later cell",
        WRONG_SOFTMAX,
        RIGHT["softmax"],
        Check("softmax", "check(softmax)"),
        says="Only the answer cell counts",
    ),
    attack(
        "a right answer from another cell, under the name of a wrong one",
        ("softmax", "import sys"),
        RIGHT["softmax"],
        Check("softmax", "check(softmax)"),
        says="softmax: error: .*does not define softmax",
    ),
    attack(
        "a compiler of one's own",
        "shell = get_ipython()\nkept = shell.compile\n"
        "class Lenient(type(kept)):\n"
        "    def ast_parse(self, source, *a, **k):\n"
        "        return super().ast_parse('pass' if 'assert' in source else source, *a, **k)\n"
        "shell.compile.__class__ = Lenient",
        WRONG_SOFTMAX,
        way="allclose",
    ),
)


def test_it_succeeds_without_protection(attack, falls):
    falls(attack)


def test_it_fails_against_ours(attack, stands):
    stands(attack)


# Cells with marks that are not as they were: no running of theirs is at stake, only how they are counted.


def changed(ground, change):
    """The notebook with right answers for softmax and causal_mask, after change(cells, metadata)."""
    right = [(name, RIGHT[name]) for name in ("softmax", "causal_mask")]
    ground.write(Attack("", right, None))
    document = json.loads(ground.file.read_text())
    change(document["cells"], document["metadata"])
    ground.file.write_text(json.dumps(document))
    return ground.file


def by_id(cells, grade_id):
    return next(cell for cell in cells if cell["metadata"].get("nbgrader", {}).get("grade_id") == grade_id)


def test_points_in_the_notebook_do_not_count(ground, grade_file):
    def rich(cells, metadata):
        for cell in cells:
            cell["metadata"].get("nbgrader", {})["points"] = 10**9
        metadata["clearformer"]["points"] = 10**9

    record = grade_file(changed(ground, rich))
    assert (earned(record), record["points"]) == ({"softmax", "causal_mask"}, 3)


def test_an_answer_cell_twice_earns_nothing_and_the_others_do(ground, grade_file):
    def twice(cells, metadata):
        cells.append(dict(by_id(cells, "softmax")))

    record = grade_file(changed(ground, twice))
    assert earned(record) == {"causal_mask"}
    assert "2 answer cells" in json.dumps(record)


def test_a_deleted_answer_cell_is_missing_and_the_others_are_graded(ground, grade_file):
    record = grade_file(changed(ground, lambda cells, metadata: cells.remove(by_id(cells, "softmax"))))
    assert earned(record) == {"causal_mask"}
    assert {each["id"]: each["status"] for each in record["exercises"]}["softmax"] == "missing"


def test_deleted_check_cells_change_nothing(ground, grade_file):
    def without(cells, metadata):
        cells[:] = [cell for cell in cells if not cell["metadata"].get("nbgrader", {}).get("grade")]

    assert earned(grade_file(changed(ground, without))) == {"softmax", "causal_mask"}


def test_an_answer_cell_marked_as_a_check_is_missing(ground, grade_file):
    def marked(cells, metadata):
        by_id(cells, "softmax")["metadata"]["nbgrader"] |= {"grade": True, "solution": False}

    assert earned(grade_file(changed(ground, marked))) == {"causal_mask"}


def test_the_same_answer_under_many_names_counts_once(ground, grade_file):
    def renamed(cells, metadata):
        for name in ("softmax ", "Softmax", "softmax\n", "../softmax", "softmax\0"):
            copy = json.loads(json.dumps(by_id(cells, "softmax")))
            copy["metadata"]["nbgrader"]["grade_id"] = name
            cells.append(copy)

    record = grade_file(changed(ground, renamed))
    assert earned(record) == {"softmax", "causal_mask"}
    assert len({each["id"] for each in record["exercises"]}) == len(record["exercises"])
