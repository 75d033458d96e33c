"""A class of submissions to lesson 02: right answers, known mistakes and blanks, all made from a seed.

A wrong answer is the source of a misconception from the catalogue, with the functions that it calls. Only those are
taken that the check, asked here, calls by their name.
"""

import ast
import builtins
import copy
import functools
import inspect
import json
import math
import random
import symtable
from pathlib import Path

import numpy as np

from clearformer.checks import catalogue, judge_here

ROOT = Path(__file__).parents[1]
LESSON = "02_attention"
IMPORTED = {"np": np, "math": math}  # what the notebook's first cell imports
RIGHT, WRONG, UNANSWERED = 0.6, 0.25, 0.15  # shares of the answers of a mixed class


def notebook(folder):
    return json.loads((ROOT / folder / f"{LESSON}.ipynb").read_text(encoding="utf-8"))


def source_of(cell):
    return "".join(cell["source"])


def answers(document):
    """{exercise: its answer cell}."""
    marked = {cell["metadata"].get("nbgrader", {}).get("grade_id"): cell for cell in document["cells"]}
    return {name: marked[name] for name in catalogue.lesson(LESSON).exercises}


# --- wrong answers ------------------------------------------------------------------------------------------


def global_names(source):
    """Names that the functions in `source` read from their module."""
    found, to_do = set(), [symtable.symtable(source, "answer", "exec")]
    while to_do:
        table = to_do.pop()
        to_do += table.get_children()
        found |= {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global() and symbol.is_referenced()}
    return found - set(vars(builtins)) - set(IMPORTED)


def as_answer(function, name):
    """The source of `function` under the name `name`, after what it uses; None where it needs more than functions and
    modules."""
    sources, to_do = {}, [(name, function)]
    while to_do:
        used, value = to_do.pop()
        if inspect.ismodule(value):
            sources[used] = f"import {value.__name__} as {used}"
        elif inspect.isfunction(value):
            definition = ast.parse(inspect.getsource(value)).body[0]
            definition.name, definition.decorator_list = used, []
            sources[used] = ast.unparse(definition)
            needed = global_names(sources[used]) - set(sources)
            to_do += [(each, value.__globals__.get(each)) for each in sorted(needed)]
        else:
            return None
    return "\n\n\n".join(reversed(sources.values()))


def is_named(name, source, slug):
    """Does the check know the answer `source` by this slug?"""
    namespace = dict(IMPORTED)
    exec(source, namespace)
    return judge_here(catalogue.find(name), namespace[name]).misconception == slug


@functools.cache
def wrong_answers(name):
    """Sources of wrong answers to the exercise `name`."""
    exercise = catalogue.find(name)
    if exercise.kind == "predict":
        found = {wrong.slug: f"{name} = {wrong.implementation!r}" for wrong in exercise.misconceptions}
    else:
        found = {wrong.slug: as_answer(wrong.implementation, name) for wrong in exercise.misconceptions}
    return tuple(source for slug, source in found.items() if source and is_named(name, source, slug))


# --- the class ----------------------------------------------------------------------------------------------


def write_class(folder, students, *, mixed, seed=0):
    """Write folder/STUDENT/02_attention/02_attention.ipynb for each of `students`, no two with the same content.

    mixed: right, wrong and missing answers; otherwise each answer is the one of solutions/.
    """
    rng = random.Random(seed)
    solved, blank = notebook("solutions"), answers(notebook("exercises"))
    for student in students:
        document = copy.deepcopy(solved)
        document["cells"][1]["source"] = source_of(document["cells"][1]) + f"\n\nauthor = {student!r}"
        for name, cell in answers(document).items() if mixed else ():
            wrong = wrong_answers(name)
            kind = rng.choices(("right", "wrong", "unanswered"), (RIGHT, WRONG, UNANSWERED))[0]
            if kind == "unanswered":
                cell["source"] = blank[name]["source"]
            elif kind == "wrong" and wrong:
                cell["source"] = rng.choice(wrong)
        path = Path(folder, student, LESSON, f"{LESSON}.ipynb")
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(document, indent=1, ensure_ascii=False), encoding="utf-8")


def names(count):
    return [f"student{number:04}" for number in range(1, count + 1)]
