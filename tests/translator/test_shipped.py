"""The translator that comes with the course: small, open about itself, and able to translate."""

import re

import pytest
import torch

from clearformer.data.tokenizer import END_ID, START_ID
from clearformer.models import TransformerConfig
from clearformer.training.recipe import load_recipe
from clearformer.translator import Translator
from clearformer.translator.translator import MODEL, SHIPPED

CARD = (SHIPPED / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def shipped():
    return Translator.load()


def test_it_has_at_most_6_megabytes():
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) <= 6_000_000


@pytest.mark.parametrize(
    "english, words",
    [
        ("A man is riding a bike.", {"Ein", "Mann", "fährt", "Fahrrad"}),
        ("A dog is running on the beach.", {"Hund", "Strand"}),
        ("Two women are sitting on a bench.", {"Zwei", "Frauen", "sitzen", "Bank"}),
    ],
)
def test_it_translates_captions(shipped, english, words):
    for beam_size in (1, 5):
        assert words <= set(re.findall(r"\w+", shipped.translate([english], beam_size)[0]))


def test_it_comes_from_the_recipe_of_the_course(shipped):
    recipe = load_recipe("multi30k")
    about = shipped.about
    assert about["recipe"] == {name: getattr(recipe, name) for name in about["recipe"]}
    assert shipped.model.config == recipe.config(shipped.tokenizer.vocab_size)
    tiny = TransformerConfig.preset("tiny", shipped.tokenizer.vocab_size)
    for name in ("d_model", "num_heads", "d_ff", "num_encoder_layers", "num_decoder_layers"):
        assert getattr(shipped.model.config, name) == getattr(tiny, name)


def test_its_card_says_what_it_is(shipped):
    numbers = sum(weight.numel() for weight in shipped.model.parameters())
    assert f"{numbers:,} parameters" in CARD
    assert f"{shipped.about['steps']:,} steps" in CARD and f"--minutes {shipped.about['minutes']:.0f}" in CARD
    assert f"{(SHIPPED / MODEL).stat().st_size / 1e6:.1f} MB" in CARD
    for word in ("Multi30k", "Terms", "clearformer train multi30k", "BLEU", "tok:13a", "version:"):
        assert word in CARD


def test_it_is_sure_of_an_end_where_the_sentence_ends(shipped):
    ids = shipped.tokenizer.encode("Ein Mann fährt auf einem Fahrrad.")
    source = torch.tensor([[*shipped.tokenizer.encode("A man is riding a bike."), END_ID]])
    with torch.no_grad():
        probabilities = shipped.model(source, torch.tensor([[START_ID, *ids]]))[0].softmax(dim=-1)
    assert probabilities[-1].argmax() == END_ID
    assert all(row.argmax() != END_ID for row in probabilities[:-1])
