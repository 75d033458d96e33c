"""Scores of a translator are sacreBLEU's, on the data that it was trained for."""

import pytest
import sacrebleu

from clearformer.data import tiny_translation
from clearformer.translator.moses import tokenised
from clearformer.translator.scores import all_test_sets, data_of, score


@pytest.fixture
def five_pairs(monkeypatch):
    pairs = tiny_translation.load("test")[:5]
    monkeypatch.setattr("clearformer.data.tiny_translation.load", lambda split: pairs)
    return pairs


def test_scores_are_those_of_sacrebleu_itself(translator, five_pairs):
    references = [pair.german for pair in five_pairs]
    rows, translations = score(translator, "test")
    assert [row.search for row in rows] == ["greedy", "beam 3"] == list(translations)
    for row in rows:
        found = translations[row.search]
        assert row.text == "plain"
        assert row.bleu.score == sacrebleu.corpus_bleu(found, [references]).score
        assert row.chrf.score == sacrebleu.corpus_chrf(found, [references]).score
        assert "tok:13a" in row.bleu.signature and "version:" in row.chrf.signature


def test_a_perfect_translator_scores_100(translator, five_pairs, monkeypatch):
    monkeypatch.setattr(translator, "translate", lambda *_: [pair.german for pair in five_pairs])
    rows, _ = score(translator, "test")
    assert [round(row.bleu.score, 9) for row in rows] == [100, 100]


def test_multi30k_is_scored_as_plain_and_as_tokenised_text(translator, monkeypatch):
    translator.about["recipe"] = {"data_set": "multi30k", "text": "plain"}
    plain, tokens = ["Ein Hund läuft, schnell.", "Zwei Männer."], ["ein hund läuft , schnell .", "zwei männer ."]
    files = {("en", False): ["A", "B"], ("de", False): plain, ("de", True): tokens, ("en", True): ["a", "b"]}
    monkeypatch.setattr("clearformer.data.multi30k.load", lambda split, language, tok: files[language, tok])
    monkeypatch.setattr(translator, "translate", lambda *_: plain)
    rows, _ = score(translator, "test_2016_flickr")
    assert [(row.text, row.search) for row in rows] == [
        ("plain", "greedy"), ("tokenised", "greedy"), ("plain", "beam 3"), ("tokenised", "beam 3"),
    ]  # fmt: skip
    assert all(round(row.bleu.score, 9) == 100 for row in rows)
    assert "tok:none" in rows[1].bleu.signature


def test_a_translator_that_does_not_say_its_data_is_refused(translator):
    translator.about = {}
    with pytest.raises(ValueError, match="does not say which data"):
        data_of(translator)


def test_each_data_set_has_its_test_sets(translator):
    assert all_test_sets(translator) == ("test",)
    translator.about["recipe"]["data_set"] = "multi30k"
    assert all_test_sets(translator) == ("test_2016_flickr", "test_2017_flickr", "test_2017_mscoco")


def test_text_is_tokenised_as_the_moses_scripts_do():
    assert tokenised(['Ein Mann (links) sagt: "Los geht\'s!"', "  U-Bahn, z.B. 3,5 km  "], "de") == [
        "ein mann ( links ) sagt : &quot; los geht &apos; s ! &quot;",
        "u-bahn , z.b. 3,5 km",
    ]
