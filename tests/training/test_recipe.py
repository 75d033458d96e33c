"""A recipe: read from a file, or refused with the place that is wrong."""

import pytest

from clearformer.data.tokenizer import Tokenizer
from clearformer.data.translation_pairs import DATA_SETS, read_pairs
from clearformer.training.recipe import Recipe, RecipeError, load_recipe, prepare, recipe_names

RECIPE = """
[data]
name = "tiny_translation"
vocab_size = 300
[model]
preset = "toy"
dropout = 0.2
[training]
max_steps = 3
batch_tokens = 500
average = 2
peak = 0.01
[decoding]
beam_size = 3
"""


@pytest.fixture
def write(tmp_path):
    def write_recipe(text=RECIPE, name="mine.toml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write_recipe


def test_a_file_becomes_a_recipe(write):
    recipe = load_recipe(write())
    assert recipe == Recipe(
        name="mine", data_set="tiny_translation", vocab_size=300, preset="toy", changes={"dropout": 0.2},
        batch_tokens=500, average=2, beam_size=3, training={"max_steps": 3, "peak": 0.01},
    )  # fmt: skip
    assert recipe.config(300).dropout == 0.2 and recipe.settings().peak == 0.01


@pytest.mark.parametrize("name", recipe_names())
def test_the_recipes_of_the_course_can_be_read(name):
    recipe = load_recipe(name)
    assert recipe.name == name and recipe.data_set in DATA_SETS
    settings = recipe.settings()
    assert recipe.average <= settings.keep_last


def test_there_is_a_recipe_for_each_data_set():
    assert {load_recipe(name).data_set for name in recipe_names()} == set(DATA_SETS)


def test_what_the_command_line_says_comes_before_the_recipe(write):
    recipe = load_recipe(write())
    assert recipe.settings(max_steps=7, minutes=None, seed=5).to_dict() == recipe.settings().to_dict() | {
        "max_steps": 7,
        "seed": 5,
    }


WRONG = {
    "no table": ('name = "x"', "name must be a table|unknown: name"),
    "unknown table": (RECIPE + "[extra]\na = 1", "unknown: extra"),
    "unknown data": (RECIPE.replace("tiny_translation", "wmt"), "one of tiny_translation, multi30k; got 'wmt'"),
    "no vocabulary": (RECIPE.replace("vocab_size = 300", ""), "needs vocab_size"),
    "key of the data": (RECIPE.replace("vocab_size", "vocabulary"), "no vocabulary; there are name, text, vocab_size"),
    "tokenised, where there is none": (RECIPE.replace("[model]", 'text = "tokenised"\n[model]'), "multi30k only"),
    "unknown preset": (RECIPE.replace('"toy"', '"huge"'), "model.*huge"),
    "unknown setting": (RECIPE.replace("peak", "top"), "training.*unknown settings: top"),
    "wrong setting": (RECIPE.replace("max_steps = 3", "max_steps = -3"), "max_steps must be"),
    "nothing that ends it": (RECIPE.replace("max_steps = 3", ""), "never end"),
    "wrong model": (RECIPE.replace("dropout = 0.2", "dropout = 2"), "dropout"),
    "unknown field of the model": (RECIPE.replace("dropout", "drop"), "drop"),
    "beam of none": (RECIPE.replace("beam_size = 3", "beam_size = 0"), "beam_size must be a whole number"),
    "batch in words": (RECIPE.replace("batch_tokens = 500", 'batch_tokens = "many"'), "batch_tokens must be"),
    "penalty below 0": (RECIPE + "length_penalty = -1", "length_penalty must be at least 0"),
    "no TOML": ("[data", "no TOML file"),
}


@pytest.mark.parametrize("text, message", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_recipe_is_refused_by_file_and_place(write, text, message):
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe(write(text))
    assert "mine.toml" in str(caught.value)


def test_an_unknown_name_is_answered_with_those_there_are():
    with pytest.raises(RecipeError, match="tiny_translation"):
        load_recipe("tiny_translatoin")


def test_the_vocabulary_is_learnt_from_the_training_split_alone(write):
    recipe = load_recipe(write())
    train = read_pairs("tiny_translation", "train")
    expected = Tokenizer.train(train.sources + train.targets, 300)
    prepared = prepare(recipe)
    assert prepared.tokenizer.to_json() == expected.to_json()
    assert prepared.model.config == recipe.config(expected.vocab_size)
    assert sorted(prepared.batches.sources) == sorted(expected.encode_batch(train.sources))
    validation = read_pairs("tiny_translation", "validation")
    assert sum(len(batch.source_ids) for batch in prepared.validation) == len(validation.sources)
