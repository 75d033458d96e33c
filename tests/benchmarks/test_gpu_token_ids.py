"""Token ids in a file lead to the words, and to the BLEU, that the tokenizer and sacreBLEU lead to."""

import json
import random

import pytest
import torch

from clearformer.data import tiny_translation
from clearformer.data.tokenizer import Tokenizer
from clearformer.evaluation import bleu
from clearformer.models import Transformer, TransformerConfig
from clearformer.translator import Translator


@pytest.fixture(scope="module")
def lines():
    pairs = tiny_translation.load("test")[:80]
    return [pair.english for pair in pairs], [pair.german for pair in pairs]


@pytest.fixture(scope="module")
def tokenizer(lines):
    return Tokenizer.train(lines[0] + lines[1], 300)


def test_a_file_gives_back_what_was_written(script, tokenizer, lines, tmp_path):
    token_ids, path = script("token_ids"), tmp_path / "ids.safetensors"
    splits = {"train": tuple(map(tokenizer.encode_batch, lines)), "test": ([[], [5, 6]], [[7], []])}
    about, references = {"text": "plain"}, {"test": ["ein „Wort“", ""]}
    token_ids.write(path, about, tokenizer.pieces, splits, references)
    found = token_ids.read(path)
    assert found[:4] == (about, tokenizer.pieces, splits, references)
    assert len(found.sha256) == 64


def test_another_safetensors_file_is_refused(script, tmp_path):
    from safetensors.torch import save_file

    save_file({"weight": torch.zeros(2)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"model\.safetensors is no file of token ids"):
        script("token_ids").read(tmp_path / "model.safetensors")


def test_ids_become_the_text_that_the_tokenizer_makes_of_them(script, tokenizer):
    pieces, draw = script("token_ids").Pieces(tokenizer.pieces), random.Random(0)
    for _ in range(300):
        ids = [draw.randrange(0 if draw.random() < 0.2 else 4, tokenizer.vocab_size) for _ in range(draw.randrange(9))]
        ids = [1, *[number if number != 2 or draw.random() < 0.3 else 5 for number in ids]]
        assert pieces.decode(ids) == tokenizer.decode(ids), ids


def test_translating_ids_is_translating_their_text(script, tokenizer, lines):
    model = Transformer(TransformerConfig.preset("toy", tokenizer.vocab_size), torch.Generator().manual_seed(3))
    by_text, by_ids = Translator(model, tokenizer), Translator(model, script("token_ids").Pieces(tokenizer.pieces))
    sources = tokenizer.encode_batch(lines[0][:12])
    for beam_size, penalty in ((1, 0.0), (5, 1.0)):
        assert by_ids.translate(sources, beam_size, penalty) == by_text.translate(lines[0][:12], beam_size, penalty)


def test_bleu_is_sacrebleus_for_tokenised_text(script, lines):
    """As `clearformer evaluate` gives it: the same function, tokenised True."""
    draw = random.Random(1)
    for kept in (1.0, 0.9, 0.6):
        found = [" ".join(word for word in line.split() if draw.random() < kept) for line in lines[1]]
        ours = script("multi30k_bleu").bleu_of_lines(found, lines[1])
        assert ours == pytest.approx(bleu(found, lines[1], tokenised=True).score, abs=1e-9)
        assert 0 < ours <= 100.0000001


def test_the_stored_sentences_are_those_of_the_built_in_corpus(script):
    stored = json.loads(script("translation_speed").SENTENCES_FILE.read_text())["ids"]
    english = [pair.english for pair in tiny_translation.load("test")[: len(stored)]]
    assert stored == Translator.load().encode(english) and len(stored) == 256


def test_the_shipped_model_is_the_shipped_translators(script):
    ours, theirs = script("translation_speed").shipped_model(), Translator.load().model
    assert ours.config == theirs.config
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))


def test_the_mean_of_weights_is_their_mean(script):
    model = Transformer(TransformerConfig.preset("toy", 20))
    kept = [{name: torch.randn_like(weight) for name, weight in model.named_parameters()} for _ in range(3)]
    script("multi30k_bleu").put_mean(model, kept)
    for name, weight in model.named_parameters():
        torch.testing.assert_close(weight.detach(), torch.stack([each[name] for each in kept]).mean(0))
