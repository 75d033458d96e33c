"""Text in, text out; saved, loaded, and refused by name where something is wrong."""

import json

import pytest
import torch

from clearformer.data.batches import pad_sources
from clearformer.data.tokenizer import Tokenizer
from clearformer.generation.beam import generate_beam
from clearformer.generation.greedy import generate_greedy
from clearformer.models import Transformer, TransformerConfig
from clearformer.translator import Translator, TranslatorError
from clearformer.translator.translator import CONFIG, MODEL, TOKENIZER

TEXTS = ["A dog runs.", "Two dogs run on the beach.", "dog", "A dog runs on the beach. A dog runs."]


def alone(translator, text, beam_size, length_penalty):
    """The translation of one text by the search itself."""
    ids = translator.tokenizer.encode(text)
    options = dict(max_len=2 * len(ids) + 20, forbidden_ids=[0, 1, 3])
    if beam_size == 1:
        found = generate_greedy(translator.model, pad_sources([ids]), **options)
    else:
        found = generate_beam(
            translator.model, pad_sources([ids]), beam_size=beam_size, length_penalty=length_penalty, **options
        ).ids
    return translator.tokenizer.decode(found[0].tolist())


@pytest.mark.parametrize("beam_size, length_penalty", [(1, 0.0), (3, 0.5), (4, 1.0)])
def test_texts_are_translated_in_their_order_as_each_alone(translator, beam_size, length_penalty):
    found = translator.translate(TEXTS, beam_size, length_penalty)
    for text, translation in zip(TEXTS, found, strict=True):
        # a longer neighbour in the batch only allows more tokens
        assert translation.startswith(alone(translator, text, beam_size, length_penalty)[:20])
    assert translator.translate(TEXTS[::-1], beam_size, length_penalty) == found[::-1]


def test_its_own_beam_and_penalty_are_used_unless_others_are_given(translator):
    assert translator.translate(TEXTS) == translator.translate(TEXTS, 3, 0.5)


@pytest.mark.parametrize("empty", ["", "   ", "\n\t"])
def test_a_text_without_a_word_stays_empty(translator, empty):
    assert translator.translate([empty]) == [""]
    assert translator.translate([TEXTS[0], empty, TEXTS[2]])[1] == ""
    assert translator.translate([]) == []


def test_one_string_is_refused(translator):
    with pytest.raises(TranslatorError, match="put it into a list"):
        translator.translate("A dog runs.")


def test_a_text_of_10_000_tokens_is_refused_and_named_before_any_is_translated(translator, monkeypatch):
    monkeypatch.setattr(translator, "_generate", None)
    with pytest.raises(TranslatorError, match=r"256 tokens; 'dog dog .*…' has 10,000"):
        translator.translate(["A dog runs.", "dog " * 10_000])


def test_unknown_characters_are_translated_around(translator):
    assert isinstance(translator.translate(["犬 runs ☃."])[0], str)
    assert translator.tokenizer.unknown_characters("犬 runs ☃.") == ["犬", "☃"]


def test_what_is_written_holds_no_special_token(translator):
    for text in translator.translate(TEXTS, 1):
        assert not any(mark in text for mark in ("<pad>", "<start>", "<end>", "⁇"))


def test_saved_and_loaded_it_is_the_same(translator, tmp_path):
    translator.save(tmp_path / "it")
    loaded = Translator.load(tmp_path / "it")
    assert sorted(path.name for path in (tmp_path / "it").iterdir()) == sorted([MODEL, TOKENIZER, CONFIG])
    assert loaded.about == translator.about
    assert (loaded.beam_size, loaded.length_penalty) == (3, 0.5)
    assert loaded.translate(TEXTS) == translator.translate(TEXTS)
    for name, weight in translator.model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], weight)
    assert loaded.model.output.weight is loaded.model.target_embedding.weight


def test_a_training_folder_is_as_good_as_the_translator_in_it(translator, tmp_path):
    translator.save(tmp_path / "run" / "translator")
    assert Translator.load(tmp_path / "run").translate(TEXTS) == translator.translate(TEXTS)


def test_weights_are_halves(translator, tmp_path):
    translator.save(tmp_path)
    numbers = sum(weight.numel() for weight in translator.model.parameters())
    assert 2 * numbers <= (tmp_path / MODEL).stat().st_size <= 2 * numbers + 20_000


def broken_json(folder):
    (folder / CONFIG).write_text("{")


def unknown_field(folder):
    values = json.loads((folder / CONFIG).read_text())
    values["model"]["d_modle"] = 1
    (folder / CONFIG).write_text(json.dumps(values))


def other_configuration(folder):
    values = json.loads((folder / CONFIG).read_text())
    values["model"]["d_ff"] *= 2
    (folder / CONFIG).write_text(json.dumps(values))


def fewer_layers(folder):
    values = json.loads((folder / CONFIG).read_text())
    values["model"]["num_decoder_layers"] -= 1
    (folder / CONFIG).write_text(json.dumps(values))


def cut_short(folder):
    content = (folder / MODEL).read_bytes()
    (folder / MODEL).write_bytes(content[: len(content) // 2])


def other_tokenizer(folder):
    Tokenizer.train(["another one altogether"], 40, min_frequency=1).save(folder / TOKENIZER)


def no_weights(folder):
    (folder / MODEL).unlink()


@pytest.mark.parametrize(
    "damage, message",
    [
        (broken_json, "damaged"),
        (unknown_field, "d_modle"),
        (other_configuration, "another model.*linear"),
        (fewer_layers, "another model.*decoder"),
        (cut_short, "model.safetensors is damaged"),
        (other_tokenizer, "do not belong together"),
        (no_weights, "model.safetensors"),
    ],
    ids=lambda it: getattr(it, "__name__", None),
)
def test_a_damaged_translator_is_refused_and_the_fault_named(translator, tmp_path, damage, message):
    translator.save(tmp_path)
    damage(tmp_path)
    with pytest.raises(TranslatorError, match=message):
        Translator.load(tmp_path)


def test_no_translator_at_all(tmp_path):
    with pytest.raises(TranslatorError, match="clearformer train"):
        Translator.load(tmp_path / "nowhere")


def test_model_and_tokenizer_must_have_the_same_vocabulary(tokenizer):
    model = Transformer(TransformerConfig.preset("toy", tokenizer.vocab_size + 1))
    with pytest.raises(TranslatorError, match="do not belong together"):
        Translator(model, tokenizer)


def test_a_full_disk_leaves_the_old_translator_and_no_rubbish(translator, tmp_path, monkeypatch):
    translator.save(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    write, written = type(tmp_path).write_bytes, []

    def fills_up(self, content):
        written.append(self.name)
        write(self, content[:100] if len(written) > 1 else content)
        if len(written) > 1:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(tmp_path), "write_bytes", fills_up)
    with pytest.raises(OSError, match="No space"):
        translator.save(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
