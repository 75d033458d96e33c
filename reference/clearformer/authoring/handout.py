"""Make the exercises from the solutions: the same notebooks with the answers taken out.

    python -m clearformer.authoring.handout solutions exercises
    python -m clearformer.authoring.handout --check solutions exercises     change nothing; exit 1 where they differ

An answer stands between the lines `### BEGIN SOLUTION` and `### END SOLUTION`, as nbgrader has it. Inside a
function it becomes an error that says that the function is not written yet; elsewhere a comment. The title's
last word, "solutions", becomes "exercises"; cells tagged solution-only stay out.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import sys
import tokenize
from pathlib import Path

from clearformer.authoring.notebook import NotebookProblem, label, lines_of, normalise, read, text_of, write

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
PLACEHOLDER = "# Write your answer here."
SOLUTION_ONLY = "solution-only"
# Whatever looks like a marker has to be one: a misspelt marker would hand out the answer.
LIKE_A_MARKER = re.compile(r"\b(begin|end)[\s_-]+solution", re.IGNORECASE)
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def exercise_notebook(solutions, path):
    """The notebook that learners get. `solutions` is changed; path is where it came from.

    NotebookProblem where an answer cell holds no answer, or a marker stands where it cannot be understood.
    """
    numbered = list(enumerate(solutions.cells, 1))
    solutions.cells = [cell for _, cell in numbered if SOLUTION_ONLY not in cell.metadata.get("tags", [])]
    for number, cell in numbered:
        where = f"{path}, {label(number, cell)}"
        grading = cell.metadata.get("nbgrader", {})
        if grading.get("solution"):
            cell.source = without_answers(cell.source, where)
            _require_definition(cell.source, grading.get("grade_id", ""), where)
        elif LIKE_A_MARKER.search(cell.source):
            raise NotebookProblem(f"{where}: a solution marker outside an answer cell (nbgrader: solution: true)")
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    _rename(solutions, path)
    return normalise(solutions, path)


def _rename(notebook, path):
    title, *rest = notebook.cells[0].source.split("\n") if notebook.cells else [""]
    renamed = re.sub(r"\bsolutions$", "exercises", title.rstrip())
    if not title.startswith("# ") or renamed == title.rstrip():
        raise NotebookProblem(f'{path}, cell 1: the first line has to be a title that ends in "solutions"')
    notebook.cells[0].source = "\n".join([renamed, *rest])


def without_answers(source, where):
    """The source of an answer cell with each answer replaced; `where` names the cell in messages."""
    source = "\n".join(lines_of(source))
    lines = source.split("\n")
    tree = _parsed(source, where)
    kept, end = [], 0
    regions = _regions(lines, _comment_lines(source), where)
    if not regions:
        raise NotebookProblem(f"{where}: an answer cell without {BEGIN} and {END}")
    for begin, region_end in regions:
        kept += lines[end:begin] + _stub(lines, begin, region_end, tree, where)
        end = region_end + 1
    stub = "\n".join(kept + lines[end:])
    _parsed(stub, f"{where}, after the answer is taken out")
    return stub


def _parsed(source, where):
    try:
        return ast.parse(source)
    except SyntaxError as error:
        raise NotebookProblem(f"{where}: not plain Python (line {error.lineno}: {error.msg})") from None


def _require_definition(stub, name, where):
    """The stub has to define what the learner writes, or its check would stop with a NameError."""
    tree = ast.parse(stub)
    defined = {node.name for node in tree.body if isinstance(node, DEFINITIONS)}
    assigned = [node.targets for node in tree.body if isinstance(node, ast.Assign)]
    defined |= {target.id for targets in assigned for target in targets if isinstance(target, ast.Name)}
    if name not in defined:
        raise NotebookProblem(f"{where}: nothing outside the markers defines {name!r}, the cell's grade_id")


def _comment_lines(source):
    """Indices of the lines that hold a comment and nothing else; what looks like one inside a string is none."""
    tokens = tokenize.generate_tokens(io.StringIO(source + "\n").readline)
    return {
        token.start[0] - 1
        for token in tokens
        if token.type == tokenize.COMMENT and not token.line[: token.start[1]].strip()
    }


def _regions(lines, comments, where):
    """(index of the begin line, index of the end line) for each answer, in order."""
    regions, begin = [], None
    for index, line in enumerate(lines):
        if not LIKE_A_MARKER.search(line):
            continue
        marker = line.strip()
        if index not in comments or marker not in (BEGIN, END):
            raise NotebookProblem(
                f"{where}, line {index + 1}: expected {BEGIN} or {END} alone on a line, got {marker!r}"
            )
        if (marker == BEGIN) != (begin is None):
            fault = (
                f"{BEGIN} inside a region that line {begin + 1} began" if marker == BEGIN else f"{END} without {BEGIN}"
            )
            raise NotebookProblem(f"{where}, line {index + 1}: {fault}")
        if marker == END:
            regions.append((begin, index))
        begin = index if marker == BEGIN else None
    if begin is not None:
        raise NotebookProblem(f"{where}, line {begin + 1}: {BEGIN} without {END}")
    return regions


def _stub(lines, begin, end, tree, where):
    """The lines that stand in for the answer between lines[begin] and lines[end]."""
    code = [i for i in range(begin + 1, end) if lines[i].strip() and not lines[i].lstrip().startswith("#")]
    if not code:
        raise NotebookProblem(f"{where}, line {begin + 1}: nothing between {BEGIN} and {END}")
    around = _definitions_around(tree, begin + 1, code[0] + 1)
    indent = lines[begin][: len(lines[begin]) - len(lines[begin].lstrip())]
    if not around:
        return [indent + PLACEHOLDER]
    if isinstance(around[-1], ast.ClassDef):
        raise NotebookProblem(
            f"{where}, line {begin + 1}: an answer between the methods of {around[-1].name}; "
            "write the method's def outside the markers and its body inside"
        )
    return [indent + PLACEHOLDER, f'{indent}raise NotImplementedError("{around[0].name} is not written yet")']


def _definitions_around(tree, marker_line, answer_line):
    """Functions and classes, outermost first, that began before the marker and hold the answer's first line."""
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, DEFINITIONS) and node.lineno < marker_line and answer_line <= node.end_lineno
    ]


def handouts(solutions, exercises):
    """{path in `exercises`: the text it should hold} for each notebook in the folder `solutions`."""
    sources = sorted(Path(solutions).glob("*.ipynb"))
    if not sources:
        raise NotebookProblem(f"{solutions}: there is no notebook in this folder")
    targets = {}
    for source in sources:
        notebook = exercise_notebook(read(source), source)
        targets[Path(exercises, source.name)] = text_of(notebook, source)
    return targets


def left_over(targets, exercises):
    """Notebooks in `exercises` that were made from a source that is gone; a reader's own are not among them."""
    strangers = sorted(set(Path(exercises).glob("*.ipynb")) - set(targets))
    return [path for path in strangers if read(path).metadata.get("clearformer", {}).get("lesson") == path.stem]


def drift(solutions, exercises):
    """{path: what is wrong with it} for each notebook in `exercises` that is not what `solutions` make."""
    targets = handouts(solutions, exercises)
    found = {}
    for path, text in targets.items():
        if not path.exists():
            found[path] = "missing"
        elif path.read_bytes() != text.encode():
            found[path] = "different"
    return found | dict.fromkeys(left_over(targets, exercises), "its source is gone")


def hand_out(solutions, exercises):
    """Write and remove what differs; returns {path: what was done}.

    NotebookProblem, before anything is written, where a notebook in `exercises` has been run: those are
    somebody's answers.
    """
    targets = handouts(solutions, exercises)
    Path(exercises).mkdir(parents=True, exist_ok=True)
    old = left_over(targets, exercises)
    for path in [*targets, *old]:
        if path.exists() and _was_run(read(path)):
            raise NotebookProblem(f"{path}: somebody has worked in this notebook. Move it out of {exercises} first.")
    done = {}
    for path, text in targets.items():
        if not path.exists() or path.read_bytes() != text.encode():
            write(text, path)
            done[path] = "written"
    for path in old:
        path.unlink()
        done[path] = "removed"
    return done


def _was_run(notebook):
    return any(cell.get("execution_count") is not None or cell.get("outputs") for cell in notebook.cells)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="handout", description=__doc__.split("\n")[0])
    parser.add_argument("solutions", help="the folder of notebooks with answers")
    parser.add_argument("exercises", help="the folder to make")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 where the folders differ")
    options = parser.parse_args(arguments)
    try:
        found = (drift if options.check else hand_out)(options.solutions, options.exercises)
    except NotebookProblem as problem:
        print(problem, file=sys.stderr)
        return 1
    for path, what in found.items():
        print(f"{path}: {what}", file=sys.stderr if options.check else sys.stdout)
    if options.check and found:
        print(f"Run: python -m clearformer.authoring.handout {options.solutions} {options.exercises}", file=sys.stderr)
    return 1 if options.check and found else 0


if __name__ == "__main__":
    sys.exit(main())
