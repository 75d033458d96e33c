"""What a lesson builds may be used from the next one on: it is complete, and needs nothing that comes later."""

import ast
from pathlib import Path

import pytest

from clearformer.checks import catalogue
from clearformer.grading.sandbox import view

IN_NO_LESSON = {
    # of the command line: no answer has a use for them
    "clearformer.data.command",
    "clearformer.training.command",
    "clearformer.translator.command",
}

# Brought along by an earlier lesson, which only uses them, and named again where they are written as an exercise
SUBJECT_LATER = {"clearformer.nn.cache": "10_llama_block"}  # lesson 06 decodes with a cache, lesson 10 asks for one


def module_of(path):
    return "clearformer." + path.relative_to(view.PACKAGE).with_suffix("").as_posix().replace("/", ".")


def subject_modules():
    """{module: its file} of all that some lesson has to build before an answer may import it."""
    python = [path for path in view._files() if path.suffix == ".py" and not path.name.startswith("_")]
    tops = {path: path.relative_to(view.PACKAGE).parts[0] for path in python}
    return {module_of(path): path for path, top in tops.items() if top not in view.OUTSIDE | view.ALWAYS}


MODULES = subject_modules()
BUILT_IN = {module: number for number, each in reversed([*enumerate(catalogue.LESSONS)]) for module in each.builds}


def imported_by(path):
    """Modules of the package that a file imports, through a package's __init__ too."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("clearformer"):
            for alias in node.names:
                yield from _found(node.module, alias.name)


def _found(module, name):
    if module in MODULES:
        yield module
    elif f"{module}.{name}" in MODULES:
        yield f"{module}.{name}"
    elif (init := Path(view.PACKAGE, *module.split(".")[1:], "__init__.py")).exists():
        for node in ast.parse(init.read_text("utf-8")).body:
            if isinstance(node, ast.ImportFrom) and name in [alias.name for alias in node.names]:
                yield from _found(node.module, name)


def test_every_module_is_built_by_a_lesson():
    every = [module for each in catalogue.LESSONS for module in each.builds]
    assert sorted(every) == sorted([*set(every), *SUBJECT_LATER]), "named twice"
    assert set(MODULES) - IN_NO_LESSON == set(every)


@pytest.mark.parametrize(("module", "lesson_id"), SUBJECT_LATER.items())
def test_a_module_that_is_named_again_may_not_be_called_where_it_is_the_subject(module, lesson_id):
    assert catalogue.LESSONS[BUILT_IN[module]].id < lesson_id
    assert module in catalogue.lesson(lesson_id).builds
    assert module not in catalogue.modules_built_before(lesson_id)


@pytest.mark.parametrize("module", sorted(set(MODULES) - IN_NO_LESSON))
def test_what_a_lesson_builds_needs_nothing_that_comes_later(module):
    later = {
        needed for needed in imported_by(MODULES[module]) if BUILT_IN.get(needed, len(BUILT_IN)) > BUILT_IN[module]
    }
    allowed = {"clearformer.nn.decoder": {"clearformer.nn.cache"}}  # named there, used by whoever brings a cache
    assert later == allowed.get(module, set())


def test_the_imports_are_found_through_a_package():
    assert {"clearformer.nn.encoder", "clearformer.nn.residual"} <= set(
        imported_by(MODULES["clearformer.models.transformer"])
    )


def lesson(name, *builds):
    return catalogue.Lesson(name, name, 1, {}, builds)


@pytest.fixture
def more_lessons(monkeypatch):
    """Lessons 00 to 06 and three more, of which the second has as its subject what an earlier one brought along."""
    first = (each for each in catalogue.LESSONS if each.id < "07")
    later = lesson("07_a", "clearformer.nn.norm"), lesson("08_b", "clearformer.nn.cache"), lesson("09_c")
    monkeypatch.setattr(catalogue, "LESSONS", (*first, *later))


def test_what_was_brought_along_may_not_be_called_where_it_is_the_subject(more_lessons):
    cache, norm = "clearformer.nn.cache", "clearformer.nn.norm"
    lessons = [each.id for each in catalogue.LESSONS]
    may_call = {
        module: {at[:2] for at in lessons if module in catalogue.modules_built_before(at)} for module in (cache, norm)
    }
    assert may_call == {cache: {"07", "09"}, norm: {"08", "09"}}


def test_every_module_may_be_called_or_not(more_lessons):
    every = {module for each in catalogue.LESSONS for module in each.builds}
    for each in catalogue.LESSONS:
        may, may_not = catalogue.modules_built_before(each.id), catalogue.modules_not_yet_built(each.id)
        assert sorted((*may, *may_not)) == sorted(every)
        assert not set(each.builds) & set(may)
