"""clearformer new-exercise: a new exercise that works from the first minute, to be changed into one's own.

It writes the catalogue's file from authoring/templates/, lists it in the catalogue and in README, and appends
the task, the answer and the check to the lesson's solutions. All or nothing: where one part fails, none is left.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import difflib
import keyword
import re
import sys
from pathlib import Path

import nbformat
import numpy as np
from nbformat.v4 import new_code_cell, new_markdown_cell

from clearformer.authoring.notebook import NotebookProblem, read, text_of, write
from clearformer.lab import CourseNotFound, find_course

KINDS = ("write", "predict", "hunt")
TEMPLATES = Path(__file__).with_name("templates")
CATALOGUE = Path("reference", "clearformer", "checks", "catalogue")
LONGEST_NAME = 30  # so that `clearformer list` can show it in a narrow terminal
LINE_LENGTH = 120
TOUR = "00_start_here"
NUMBERS = ["Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten", "Eleven", "Twelve"]

TASK = {
    "write": "Subtract from each row of `x` its mean. CHANGE: what your exercise asks, and what it is good for.",
    "predict": "How many multiplications of two numbers does it take to multiply a matrix of 2 rows and 3 columns by "
    "one of 3 rows and 4 columns? Commit to a number before you count. CHANGE: what your exercise asks.",
    "hunt": "This function divides each row by its largest number, signs left out. On these rows it works. "
    "CHANGE: what your function should do, and where it seems to.",
}
# What stands between the task and the answer cell: pairs (kind of cell, source).
SHOWN = {
    "hunt": [
        ("code", "def buggy_NAME(x):\n    return x / x.max(axis=-1, keepdims=True)\n\n\n"
                 "print(buggy_NAME(np.array([[1.0, 2.0], [3.0, 4.0]])))"),
        ("markdown", "On this one it does not: no number should be larger than 1."),
        ("code", "print(buggy_NAME(np.array([[1.0, -4.0]])))"),
        ("markdown", "Find the mistake, and write the mended function."),
    ],
}  # fmt: skip
ANSWER = {
    "write": '''\
def NAME(x):
    """Subtract from each row of x its mean.

    x (rows, columns), floats. Returns a new array of the same shape and dtype, in which each row has mean 0.
    x itself stays as it was.
    """
    ### BEGIN SOLUTION
    return x - x.mean(axis=-1, keepdims=True)
    ### END SOLUTION''',
    "predict": "NAME = None  # your number\n### BEGIN SOLUTION\nNAME = 24\n### END SOLUTION",
    "hunt": '''\
def NAME(x):
    """Divide each row of x by the size of its largest number, signs left out.

    x (rows, columns), floats; no row is all zeros. Returns a new array of the same shape and dtype.
    x itself stays as it was.
    """
    ### BEGIN SOLUTION
    return x / np.abs(x).max(axis=-1, keepdims=True)
    ### END SOLUTION''',
}
AFTER = {
    "predict": [
        ("markdown", "Now count them."),
        ("code", "multiplications = 0\nfor row in range(2):\n    for column in range(4):\n"
                 "        for inner in range(3):\n            multiplications += 1\nprint(multiplications)"),
    ],
}  # fmt: skip


class CannotMake(Exception):
    """The exercise was not made, and nothing was changed. The text says why and what to do."""


def new_exercise(name, lesson, kind="write", course=None):
    """Write the template of an exercise into a checkout of the course; returns {path: "new" or "changed"}.

    course: its folder; default: the one around the current folder. CannotMake, and nothing is changed,
    where the name, the lesson or the course will not do.
    """
    root = _course(course)
    try:
        return _write_all(root, _texts(root, name, lesson, kind))
    except NotebookProblem as problem:
        raise CannotMake(str(problem)) from None


def _texts(root, name, lesson, kind):
    """{path in the course: the text that the file should hold}"""
    lessons = _lessons(root)
    lesson = _lesson(lesson, lessons)
    _require_kind(kind)
    _require_name(name, root, lesson, lessons)
    texts = {
        CATALOGUE / f"lesson_{lesson}" / f"{name}.py": _filled(_template(kind), name, lesson),
        CATALOGUE / "__init__.py": listed((root / CATALOGUE / "__init__.py").read_text("utf-8"), name, lesson),
        Path("solutions", f"{lesson}.ipynb"): _solutions(root, name, lesson, kind, len(lessons[lesson]) + 1),
        Path("README.md"): _readme(root, name, lesson),
    }
    return {path: text for path, text in texts.items() if text is not None}


# ---- what is asked for ---------------------------------------------------------------------------------------------


def _course(folder):
    try:
        root = Path(folder).resolve() if folder else find_course()
    except CourseNotFound as problem:
        raise CannotMake(str(problem)) from None
    if not (root / CATALOGUE / "__init__.py").is_file() or not (root / "solutions").is_dir():
        raise CannotMake(f"{root} is not a checkout of the course: it has no {CATALOGUE} or no solutions.")
    return root


def _lessons(root):
    """{lesson: names of its exercises}, read from the course's own file, which need not be the one imported here."""
    tree = ast.parse((root / CATALOGUE / "__init__.py").read_text("utf-8"))
    return {_constant(call.args[0]): _names(call.args[3]) for call in _lesson_calls(tree)}


def _lesson_calls(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _called(node) == "Lesson"]


def _called(node):
    return getattr(node.func, "id", "")


def _constant(node):
    return getattr(node, "value", None)


def _names(node):
    """The names of the exercises in _same_names("a", "b") or {**_same_names("a"), "B": "file_of_b"}."""
    if isinstance(node, ast.Call):
        return [_constant(argument) for argument in node.args]
    pairs = zip(node.keys, node.values, strict=True)
    return [name for key, value in pairs for name in ([_constant(key)] if key else _names(value))]


def _lesson(asked, lessons):
    found = next((lesson for lesson in lessons if asked in (lesson, lesson.split("_")[0])), None)
    if found == TOUR:
        raise CannotMake(f"{TOUR} shows how checking works, with one exercise on purpose. Choose another lesson.")
    if found:
        return found
    near = difflib.get_close_matches(asked, lessons, n=1)
    meant = f"Did you mean {near[0]}?" if near else f"The lessons are {', '.join(lessons)}."
    raise CannotMake(f"There is no lesson {asked!r}. {meant}")


def _require_kind(kind):
    if kind not in KINDS:
        raise CannotMake(f"There is no kind {kind!r}: an exercise is one of {', '.join(KINDS)}.")


def _require_name(name, root, lesson, lessons):
    """CannotMake where `name` cannot be the name of a new exercise."""
    taken = {exercise: each for each, exercises in lessons.items() for exercise in exercises}
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        why = "is a word of Python's own"
    elif not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name):
        why = "is no name for a function or a variable: small letters, digits and single underscores, a letter first"
    elif len(name) > LONGEST_NAME:
        why = f"is too long: {len(name)} characters, at most {LONGEST_NAME}"
    elif name.startswith("check_"):
        why = "begins with check_, as the ids of the check cells do"
    elif name in taken:
        why = f"is an exercise of lesson {taken[name]} already"
    elif (root / CATALOGUE / f"lesson_{lesson}" / f"{name}.py").exists():
        why = f"is the name of a file in {CATALOGUE / f'lesson_{lesson}'} already"
    elif found := _known(name):
        why = f"is the name of {found}, which learners would take it for"
    elif name in _used(root / "solutions" / f"{lesson}.ipynb"):
        why = f"stands for something else in solutions/{lesson}.ipynb"
    else:
        return
    raise CannotMake(f"{name!r} {why}. Choose another name.")


def _known(name):
    """The thing that people know by this name, or None."""
    if hasattr(builtins, name):
        return f"Python's {name}"
    if name in sys.stdlib_module_names or name in ("np", "numpy", "torch", "nn", "plt", "matplotlib", "clearformer"):
        return f"the module {name}"
    if hasattr(np, name):
        return f"NumPy's {name}"
    return f"the course's {name}" if name in ("check", "hint") else None


def _used(path):
    """The names that the notebook's cells give to something."""
    used = set()
    for cell in read(path).cells:
        if cell.cell_type == "code":
            with contextlib.suppress(SyntaxError):
                nodes = list(ast.walk(ast.parse(cell.source)))
                used |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
                used |= {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
                used |= {node.asname or node.name for node in nodes if isinstance(node, ast.alias)}
    return used


# ---- what is written -----------------------------------------------------------------------------------------------


def _template(kind):
    return (TEMPLATES / f"{kind}.py").read_text("utf-8")


def _filled(text, name, lesson=""):
    return text.replace("NAME", name).replace("LESSON", lesson)


def _facts(kind):
    """{"points", "difficulty", "minutes"} of the template."""
    nodes = ast.walk(ast.parse(_template(kind)))
    wanted = ("points", "difficulty", "minutes")
    return {node.arg: node.value.value for node in nodes if isinstance(node, ast.keyword) and node.arg in wanted}


def listed(source, name, lesson):
    """The text of catalogue/__init__.py with `name` as the last exercise of `lesson`."""
    call = _lesson_call(source, lesson)
    text = _with_exercise(source, call, name)
    with contextlib.suppress(SyntaxError):
        if _names(_lesson_call(text, lesson).args[3]) == [*_names(call.args[3]), name]:
            return text
    where = CATALOGUE / "__init__.py"
    raise CannotMake(
        f"{where} lists the exercises of {lesson} in a way that is new to this command: one a line, please."
    )


def _lesson_call(source, lesson):
    return next(call for call in _lesson_calls(ast.parse(source)) if _constant(call.args[0]) == lesson)


def _with_exercise(source, call, name):
    exercises = call.args[3]
    if not isinstance(exercises, ast.Dict):
        return _with_argument(source, exercises, name, around=call)
    key, value = exercises.keys[-1], exercises.values[-1]
    if key is None:  # the last entry is **_same_names(…)
        return _with_argument(source, value, name)
    return _line_after(source, value, f'**_same_names("{name}"),', key.col_offset)


def _line_after(source, node, text, indent):
    """`source` with `text` as a line of its own after the one that `node` ends in."""
    lines = source.split("\n")
    lines.insert(node.end_lineno, " " * indent + text)
    return "\n".join(lines)


def _with_argument(source, call, name, around=None):
    """`source` with one more argument in `call`, laid out as ruff does it; `around`: the call that holds it."""
    written = ast.get_source_segment(source, call)
    if "\n" in written:
        return _line_after(source, call.args[-1], f'"{name}",', call.args[-1].col_offset)
    longer = written.removesuffix(")") + f', "{name}")'
    line = source.split("\n")[call.lineno - 1]
    if len(line) + len(longer) - len(written) <= LINE_LENGTH:
        return source.replace(line, line.replace(written, longer))
    outer = around if around is not None and around.lineno == around.end_lineno else None
    indent = len(line) - len(line.lstrip())
    parts = [*(f'"{_constant(argument)}"' for argument in call.args), f'"{name}"']
    exploded = _exploded("_same_names", parts, indent + (4 if outer else 0))
    if outer is None:
        return source.replace(line, line.replace(written, exploded))
    old = ast.get_source_segment(source, outer)
    rest = [ast.get_source_segment(source, each) for each in outer.args]
    rest += [f"{each.arg}={ast.get_source_segment(source, each.value)}" for each in outer.keywords]
    return source.replace(old, _exploded("Lesson", [exploded if part == written else part for part in rest], indent))


def _exploded(called, parts, indent):
    """called(…) with each argument on a line of its own."""
    inner = "".join(f"\n{' ' * (indent + 4)}{part}," for part in parts)
    return f"{called}({inner}\n{' ' * indent})"


def _solutions(root, name, lesson, kind, number):
    """The text of the lesson's solutions with the exercise before the closing cell."""
    path = root / "solutions" / f"{lesson}.ipynb"
    notebook, facts = read(path), _facts(kind)
    closing = len(notebook.cells) - (notebook.cells[-1].cell_type == "markdown")
    cells = _named(_cells(name, kind, facts, number), name, {cell.id for cell in notebook.cells})
    notebook.cells[closing:closing] = cells
    notebook.cells[0].source = _opening(notebook.cells[0].source, number, facts["minutes"])
    return text_of(notebook, path)


def _cells(name, kind, facts, number):
    """The exercise's cells: heading and task, what is shown, answer, check, what follows."""
    points, minutes = facts["points"], facts["minutes"]
    line = (
        f"**{kind.title()}** · {points} point{'s' * (points != 1)} · difficulty {facts['difficulty']} of 5 · "
        f"about {minutes} minute{'s' * (minutes != 1)}"
    )
    called = f'{name}, "{name}"' if kind == "predict" else name
    return [
        new_markdown_cell(f"## {number}. {name}\n\n{line}\n\n{TASK[kind]}"),
        *_plain(SHOWN.get(kind, ()), name),
        new_code_cell(_filled(ANSWER[kind], name), metadata=_grading(name, solution=True)),
        new_code_cell(f"check({called})", metadata=_grading(f"check_{name}", grade=True, locked=True, points=points)),
        *_plain(AFTER.get(kind, ()), name),
    ]


def _plain(pairs, name):
    makers = {"markdown": new_markdown_cell, "code": new_code_cell}
    return [makers[kind](_filled(source, name)) for kind, source in pairs]


def _grading(grade_id, **given):
    """nbgrader's metadata (schema 3) of one cell, in the order that is kept."""
    full = {"grade": False, "grade_id": grade_id, "locked": False, "schema_version": 3, "solution": False}
    full |= {"task": False} | given
    return {"nbgrader": nbformat.from_dict(dict(sorted(full.items())))}


def _named(cells, name, taken):
    """The cells with ids that say what they are and that no other cell of the notebook has."""
    slug = name.replace("_", "-")
    for cell in cells:
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id", "")
        role = "check" if grade_id.startswith("check_") else "answer" if grade_id else "about"
        number = 1
        while (found := f"{role}-{slug}" + (f"-{number}" if number > 1 else "")) in taken:
            number += 1
        cell.id = found
        taken.add(found)
    return cells


def _opening(text, number, minutes):
    """The notebook's first cell with one exercise and its minutes more, where it counts them."""
    before, after = (NUMBERS[each] if each < len(NUMBERS) else str(each) for each in (number - 1, number))
    text = re.sub(rf"\b{before} exercises?\b", f"{after} exercises", text, count=1)
    sum_of = re.compile(r"([Aa]bout )(\d+) minutes?")
    return sum_of.sub(lambda found: f"{found[1]}{int(found[2]) + minutes} minutes", text, count=1)


def _readme(root, name, lesson):
    """README with the exercise in the lesson's row of the map; None where there is no such row."""
    path = root / "README.md"
    text = path.read_text("utf-8") if path.is_file() else ""
    row = re.search(rf"^\| \[\d+\]\(notebooks/{lesson}\.ipynb\) \|.*`(?= \|$)", text, re.MULTILINE)
    return text[: row.end()] + f", `{name}`" + text[row.end() :] if row else None


def _write_all(root, texts):
    """Write all files, or, where one cannot be written, none."""
    paths = [root / path for path in texts]
    before = {path: path.read_text("utf-8") if path.exists() else None for path in paths}
    try:
        for path, text in zip(paths, texts.values(), strict=True):
            write(text, path)
    except BaseException as error:
        for path, text in before.items():
            with contextlib.suppress(OSError):
                if text is None:
                    path.unlink(missing_ok=True)
                elif path.read_text("utf-8") != text:
                    write(text, path)
        if isinstance(error, OSError):
            raise CannotMake(f"Not written, and everything is as it was: {error}") from None
        raise
    return {path: "new" if before[root / path] is None else "changed" for path in texts}


# ---- the command ---------------------------------------------------------------------------------------------------


def command(name, lesson, kind="write", course=None):
    """Make the exercise and say what comes next; returns the exit status."""
    try:
        done = new_exercise(name, lesson, kind, course)
    except CannotMake as problem:
        print(problem, file=sys.stderr)
        return 2
    print("\n".join(f"{what:8} {path.as_posix()}" for path, what in done.items()))
    print(_next_steps(name, done))
    return 0


def _next_steps(name, done):
    new = [path.as_posix() for path, what in done.items() if what == "new"]
    changed = [path.as_posix() for path, what in done.items() if what == "changed"]
    solutions = next(path for path in changed if path.startswith("solutions/"))
    return f"""
It is complete and passes its tests. Now make it yours: what stands at the word CHANGE.

1. Edit {new[0]}
2. Edit the task, the answer and the check in {solutions}
3. make notebooks      runs the notebooks and tidies them
4. make exercises      takes the answer out, for learners
5. .venv/bin/python -m pytest tests/checks/test_catalogue.py -k {name}

To take it back: git restore {" ".join(changed)}; rm {" ".join(new)}
(git restore also drops what else you changed in those files.)"""
