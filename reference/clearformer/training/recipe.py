"""A recipe: one TOML file that says which data, which model and which training make a translator."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch

from clearformer.data.batches import Batches
from clearformer.data.tokenizer import Tokenizer
from clearformer.data.translation_pairs import DATA_SETS, TEXTS, read_pairs
from clearformer.models import Transformer, TransformerConfig
from clearformer.training.settings import TrainingSettings

RECIPES = Path(__file__).parent / "recipes"


class RecipeError(ValueError):
    """A recipe cannot be read or makes no sense; the message names the file and the place in it."""


@dataclass(frozen=True)
class Recipe:
    """What makes a translator.

    name              of the recipe, and of the folder that a run of it is kept in
    data_set, text    "tiny_translation", or "multi30k" as "plain" or "tokenised" (lower-cased) text
    vocab_size        pieces of the joint byte-pair encoding, learnt from the training split alone
    preset, changes   the model, as in TransformerConfig.preset
    batch_tokens      of a batch at most, on either side, padding included
    average           this many of the last checkpoints become the translator
    beam_size, length_penalty   how it is asked to translate, unless it is told otherwise
    training          the fields of TrainingSettings
    """

    name: str
    data_set: str
    vocab_size: int
    text: str = "plain"
    preset: str = "tiny"
    changes: dict = field(default_factory=dict)
    batch_tokens: int = 4096
    average: int = 1
    beam_size: int = 5
    length_penalty: float = 1.0
    training: dict = field(default_factory=dict)

    def __post_init__(self):
        _require(
            self.data_set in DATA_SETS, f"[data] name must be one of {', '.join(DATA_SETS)}; got {self.data_set!r}"
        )
        _require(self.text in TEXTS, f"[data] text must be one of {', '.join(TEXTS)}; got {self.text!r}")
        _require(
            self.text == "plain" or self.data_set == "multi30k",
            f"[data] text = {self.text!r} is there for multi30k only; {self.data_set} is plain text",
        )
        for place, name in (
            ("data", "vocab_size"),
            ("training", "batch_tokens"),
            ("training", "average"),
            ("decoding", "beam_size"),
        ):
            value = getattr(self, name)
            whole = isinstance(value, int) and not isinstance(value, bool)
            _require(whole and value >= 1, f"[{place}] {name} must be a whole number of at least 1; got {value!r}")
        number = isinstance(self.length_penalty, int | float) and not isinstance(self.length_penalty, bool)
        _require(
            number and self.length_penalty >= 0,
            f"[decoding] length_penalty must be at least 0; got {self.length_penalty!r}",
        )
        self.config(self.vocab_size)
        self.settings()

    def config(self, vocab_size):
        """The TransformerConfig, for the vocabulary that was found."""
        try:
            return TransformerConfig.preset(self.preset, vocab_size, **self.changes)
        except (ValueError, TypeError) as error:
            raise RecipeError(f"[model] {error}") from None

    def settings(self, **changes):
        """The TrainingSettings; changes come last, and None in them changes nothing."""
        changes = {name: value for name, value in changes.items() if value is not None}
        try:
            return TrainingSettings.from_dict({**self.training, **changes})
        except (ValueError, TypeError) as error:
            raise RecipeError(f"[training] {error}") from None

    def pairs(self, split):
        """The Pairs of "train", "validation" or one of `test_sets`. DataError where the data is not there."""
        return read_pairs(self.data_set, split, self.text)


def recipe_names():
    """The recipes that come with the course."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def load_recipe(name_or_path):
    """The Recipe of this name, or in this TOML file. RecipeError, with file and place, where there is none."""
    path = Path(name_or_path).expanduser()
    if path.suffix != ".toml" and str(name_or_path) in recipe_names():
        path = RECIPES / f"{name_or_path}.toml"
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        names = ", ".join(recipe_names())
        raise RecipeError(
            f"{name_or_path} cannot be read ({error.strerror}). Give a TOML file, or one of the recipes that come with "
            f"the course: {names}."
        ) from None
    except ValueError as error:  # tomllib's and the decoder's
        raise RecipeError(f"{path} is no TOML file: {error}") from None
    try:
        return _from_tables(path.stem, content)
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from None


_PLACES = {
    "data": {"name": "data_set", "text": "text", "vocab_size": "vocab_size"},
    "decoding": {"beam_size": "beam_size", "length_penalty": "length_penalty"},
}


def _from_tables(name, content):
    unknown = sorted(set(content) - {"data", "model", "training", "decoding"})
    _require(not unknown, f"unknown: {', '.join(unknown)}. The tables are [data], [model], [training] and [decoding]")
    for table, values in content.items():
        _require(isinstance(values, dict), f"{table} must be a table: write [{table}] and its values below it")
    fields = {"name": name}
    for table, names in _PLACES.items():
        for key, value in content.get(table, {}).items():
            _require(key in names, f"[{table}] has no {key}; there are {', '.join(names)}")
            fields[names[key]] = value
    for needed in ("data_set", "vocab_size"):
        _require(needed in fields, f"[data] needs {'name' if needed == 'data_set' else needed}")
    model, training = dict(content.get("model", {})), dict(content.get("training", {}))
    if "preset" in model:
        fields["preset"] = model.pop("preset")
    for key in ("batch_tokens", "average"):
        if key in training:
            fields[key] = training.pop(key)
    return Recipe(**fields, changes=model, training=training)


def _require(holds, message):
    if not holds:
        raise RecipeError(message)


class Prepared(NamedTuple):
    """What a Trainer needs. batches: Batches of the training split; validation: a list of batches."""

    tokenizer: Tokenizer
    model: Transformer
    batches: Batches
    validation: list


def prepare(recipe, seed=0, tokenizer=None):
    """Read the data, learn the vocabulary where no tokenizer is given, and draw the model's weights.

    seed: of the weights and of the order of the batches.
    """
    train, validation = recipe.pairs("train"), recipe.pairs("validation")
    if tokenizer is None:
        tokenizer = Tokenizer.train(train.sources + train.targets, recipe.vocab_size)

    def batches(pairs):
        ids = tokenizer.encode_batch(pairs.sources), tokenizer.encode_batch(pairs.targets)
        return Batches(*ids, recipe.batch_tokens, seed)

    return Prepared(
        tokenizer,
        Transformer(recipe.config(tokenizer.vocab_size), torch.Generator().manual_seed(seed)),
        batches(train),
        list(batches(validation).epoch(0)),
    )
