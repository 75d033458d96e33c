"""What student code may import: the package as it stood before the lesson, and nothing that answers an exercise."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from clearformer.checks import catalogue
from clearformer.grading.sandbox import view as views
from clearformer.grading.sandbox.view import view

LESSONS = [each.id for each in catalogue.LESSONS]


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """{lesson: folder with what its exercises may import}"""
    folders = {lesson: tmp_path_factory.mktemp(lesson) for lesson in LESSONS}
    for lesson, folder in folders.items():
        view(lesson, folder)
    return folders


def run(folder, source):
    """Run code to which the folder's package is the only `clearformer`; returns what it prints."""
    first = f"import sys; sys.path.insert(0, {str(folder)!r})\n"
    done = subprocess.run([sys.executable, "-I", "-c", first + source], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("lesson", LESSONS)
def test_no_source_of_this_lessons_answers_or_of_later_ones_is_there(seen, lesson):
    everything = "\n".join(path.read_text() for path in seen[lesson].rglob("*.py"))
    defined = set(re.findall(r"^(?:def|class) (\w+)\(", everything, re.MULTILINE))
    answers = {name for each in catalogue.LESSONS[LESSONS.index(lesson) :] for name in each.exercises}
    assert defined and not defined & answers


@pytest.mark.parametrize("lesson", LESSONS)
def test_no_check_and_nothing_that_judges_is_there(seen, lesson):
    package = seen[lesson] / "clearformer"
    assert {path.name for path in (package / "checks").iterdir()} == {
        "__init__.py",
        "answer.py",
        "compare.py",
        "given.py",
        "guard.py",
        "progress.py",
    }
    assert {path.name for path in (package / "grading").iterdir()} == {"__init__.py", "inside"}
    assert not {"authoring", "cli.py", "lab.py", "doctor.py"} & {path.name for path in package.iterdir()}
    assert all("misconception" not in path.read_text().casefold() for path in package.rglob("*.py"))


def test_a_module_that_no_lesson_has_built_yet_is_not_shown(seen):
    for path in (seen["03_multi_head_attention"] / "clearformer" / "numpy").iterdir():
        built_before = path.name in ("positions.py", "attention.py")
        assert built_before or path.name.startswith("_") or "write what you need of it yourself" in path.read_text()


def test_what_earlier_lessons_built_works_as_it_does_outside(seen):
    source = "from clearformer.numpy import softmax, causal_mask\nprint(softmax([0.0, 0.0]), causal_mask(2).tolist())"
    assert run(seen["03_multi_head_attention"], source) == "[0.5 0.5] [[True, False], [True, True]]\n"


@pytest.mark.parametrize(
    "use",
    [
        "from clearformer.numpy import softmax; softmax([1.0])",
        "import clearformer.numpy; clearformer.numpy.softmax([1.0])",
        "from clearformer.numpy.attention import softmax as mine; mine([1.0])",
        "from clearformer.nn import MultiHeadAttention; MultiHeadAttention(8, 2)",
        "from clearformer.nn import MultiHeadAttention\nclass Mine(MultiHeadAttention): pass",
        "from clearformer.nn import MultiHeadAttention; MultiHeadAttention.forward",
    ],
)
def test_what_this_lesson_builds_can_be_imported_but_says_write_it_yourself(seen, use):
    source = (
        "from clearformer.checks.guard import ForbiddenCall\n"
        f"code = {use!r}\n"
        "try:\n    exec(code)\nexcept ForbiddenCall as error:\n    print(error.name, '|', error)"
    )
    name, said = run(seen["02_attention"], source).strip().split(" | ")
    assert name.startswith(("clearformer.numpy.attention.softmax", "clearformer.nn.attention.MultiHeadAttention"))
    assert said.endswith("write this one yourself")


EVERYTHING = """
from clearformer.numpy import *
from clearformer import numpy, nn, models, plots, evaluation, translator
from clearformer.data import multi30k, tiny_translation, tokenizer
from clearformer.generation import greedy, one_sentence
from clearformer.training import loop
from clearformer.plots import heatmap, table, show
print(table([[1]], ["a"], "b"))
"""


@pytest.mark.parametrize("lesson", LESSONS)
def test_all_of_it_can_be_imported_and_figures_can_be_drawn(seen, lesson):
    run(seen[lesson], EVERYTHING)


NOT_TO_BE_CALLED = """
from clearformer.checks.guard import ForbiddenCall

def forbidden(name, *args, **kwargs):
    module, attribute = name.rsplit(".", 1)
    try:
        getattr(__import__(f"clearformer.{module}", fromlist=[attribute]), attribute)(*args, **kwargs)
    except ForbiddenCall:
        return True
"""
MODEL = """
import torch
from clearformer.models import Transformer, TransformerConfig

def model(norm):
    return Transformer(TransformerConfig.preset("toy", 9, norm=norm), torch.Generator().manual_seed(0)).eval()

ids = torch.tensor([[4, 5, 2]])
sizes = {norm: tuple(model(norm)(ids, ids).shape) for norm in ("post", "pre")}
assert sizes == {"post": (1, 3, 9), "pre": (1, 3, 9)}, sizes
"""


def test_a_lesson_can_use_what_was_built_before_and_none_of_its_answers(seen):
    run(
        seen["05_training"],
        MODEL + NOT_TO_BE_CALLED + "assert forbidden('training.schedule.warmup_rate', 1, 512)\n"
        "assert forbidden('data.batches.batch_by_tokens', [1], 2) and forbidden('training.loss.label_smoothed_loss')",
    )
    run(
        seen["06_translation"],
        MODEL + NOT_TO_BE_CALLED + "from clearformer.data import tiny_translation\n"
        "from clearformer.data.batches import batch_by_tokens\nassert batch_by_tokens([1, 1], 2) == [[0, 1]]\n"
        "assert forbidden('generation.one_sentence.greedy_decode') and forbidden('translator.Translator')\n"
        "assert forbidden('generation.greedy.generate_greedy') and forbidden('evaluation.corpus_bleu', [], [])\n"
        "assert forbidden('data.byte_pairs.merge_pair') and forbidden('nn.KeyValueCache')",
    )


def test_the_answers_of_lessons_to_come_are_hidden_there_and_the_models_still_run(tmp_path, monkeypatch):
    def lesson(name, *builds):
        return catalogue.Lesson(name, name, 1, {}, builds)

    later = lesson("07_norms", "clearformer.nn.norm"), lesson("09_between"), lesson("10_cache", "clearformer.nn.cache")
    monkeypatch.setattr(catalogue, "LESSONS", (*catalogue.LESSONS, *later))
    for each in later:
        view(each.id, tmp_path / each.id)
    norms = "assert forbidden('nn.pre_norm') and forbidden('nn.post_norm')\n"
    translate = (
        "from clearformer.generation.greedy import generate_greedy\nprint(generate_greedy(model('pre'), ids, 4).shape)"
    )
    run(tmp_path / "07_norms", MODEL + NOT_TO_BE_CALLED + norms + translate)
    cache = "assert forbidden('nn.KeyValueCache') and forbidden('nn.DecoderCache')\n"
    run(tmp_path / "10_cache", MODEL + NOT_TO_BE_CALLED + cache + translate.replace("4)", "4, use_cache=False)"))


def test_check_and_hint_do_nothing(seen):
    source = (
        "from clearformer import check, hint\nfrom clearformer.checks import progress\n"
        "print(check(len), check(1, 'softmax'), hint('softmax'), progress.show())"
    )
    assert run(seen["02_attention"], source) == "None None None None\n"


def test_a_new_module_of_the_package_is_hidden_until_a_lesson_builds_it(tmp_path, monkeypatch):
    package = tmp_path / "clearformer"
    for name in ("grading/inside/stand_ins", "checks", "memory"):
        (package / name).mkdir(parents=True)
    (package / "memory" / "counting.py").write_text("def activation_bytes(): return 7")
    (package / "lora.py").write_text("def merge(): return 7")
    monkeypatch.setattr(views, "PACKAGE", package)
    views._files.cache_clear()
    try:
        view("02_attention", tmp_path / "seen")
    finally:
        views._files.cache_clear()
    found = {path.name: path.read_text() for path in Path(tmp_path, "seen", "clearformer").rglob("*.py")}
    assert "return 7" not in found["counting.py"] + found["lora.py"]
