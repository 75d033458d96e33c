"""The captions and the paraphrases: written by hand, so only their form can be tested."""

import pytest

from clearformer.data import paraphrases, photo_captions


@pytest.mark.parametrize("module", [photo_captions, paraphrases])
def test_forty_pairs_of_sentences_none_of_them_twice(module):
    pairs = module.load()
    assert len(pairs) == 40
    lines = [line for pair in pairs for line in pair]
    assert len(set(lines)) == len(lines)
    for line in lines:
        assert line[0].isupper() and line.endswith(".") and line == " ".join(line.split())


def test_the_shipped_translator_knows_every_letter_of_the_captions():
    from clearformer.translator import Translator

    tokenizer = Translator.load().tokenizer
    for pair in photo_captions.load():
        for line in pair:
            assert tokenizer.unknown_characters(line) == []
