"""The splits of the built-in corpus: nothing leaks, everything is known, always the same."""

import hashlib
import os
import random
import subprocess
import sys
from collections import Counter

import pytest

from clearformer.data import tiny_translation
from clearformer.data.tiny_translation import english, german, sampling, words
from clearformer.data.tiny_translation.corpus import HELD_OUT_SHARE, KEPT_SHARE, held_out_combinations, text
from clearformer.data.tiny_translation.sentences import combinations

SPLITS = ("train", "validation", "test")
MANY = 20_000


@pytest.fixture(scope="module")
def many():
    draw = random.Random("many sentences")
    return [sampling.sentence(draw) for _ in range(MANY)]


def surface(sentence):
    return text(english.sentence(sentence)), text(german.sentence(sentence))


def vocabulary(pairs):
    return [{word for pair in pairs for word in pair[side].lower().split()} for side in (0, 1)]


@pytest.mark.parametrize("seed", [0, 1])
def test_splits_have_their_sizes_and_share_no_sentence(seed):
    lines = [[pair.english for pair in tiny_translation.load(split, seed)] for split in SPLITS]
    assert [len(part) for part in lines] == list(tiny_translation.SIZES.values()) == [8000, 500, 1000]
    everything = [line for part in lines for line in part]
    assert len(set(everything)) == len(everything)


@pytest.mark.parametrize("seed", [0, 1])
def test_every_word_of_the_other_splits_is_in_training(seed):
    known = vocabulary(tiny_translation.load("train", seed))
    for split in ("validation", "test"):
        for mine, theirs in zip(vocabulary(tiny_translation.load(split, seed)), known, strict=True):
            assert mine <= theirs


@pytest.mark.parametrize("seed", [0, 1])
def test_no_held_out_combination_is_in_training_and_one_is_in_each_test_sentence(seed, monkeypatch):
    """The sentences are drawn again with their structure, and looked up by their text."""
    structure, inner = {}, sampling.sentence

    def remembered(draw):
        sentence = inner(draw)
        structure[surface(sentence)] = sentence
        return sentence

    from clearformer.data.tiny_translation import corpus

    monkeypatch.setattr(sampling, "sentence", remembered)
    corpus._splits.__wrapped__(seed)
    held_out = held_out_combinations(seed)
    for split in SPLITS:
        for pair in tiny_translation.load(split, seed):
            found = combinations(structure[tuple(pair)]) & held_out
            assert bool(found) == (split == "test"), (pair, found)


def test_combinations_are_not_in_the_training_text_either():
    """Told from the words alone: a held-out adjective never stands before its noun, in any of their forms."""
    training = [pair.german for pair in tiny_translation.load("train")]
    neighbours = {
        tuple(two) for line in training for two in zip(line.split(), line.rstrip(".?").split()[1:], strict=False)
    }
    adjectives = {it.german: it for it in words.ADJECTIVES}
    nouns = {it.german: it for it in words.NOUNS}
    checked = 0
    for kind, first, second in held_out_combinations():
        if kind != "adjective":
            continue
        noun = nouns[second]
        for ending in ("e", "er", "es", "en", "em"):
            for form in {noun.german, noun.plural, noun.plural + "n"}:
                assert (adjectives[first].stem + ending, form) not in neighbours
                checked += 1
    assert checked > 500
    assert ("alte", "Hexe") in neighbours or ("alten", "Hexe") in neighbours


def test_a_held_out_combination_is_new_but_its_words_are_used_to_company():
    possible, held_out = sampling.possible_combinations(), held_out_combinations()
    assert held_out < set(possible)
    assert 0.9 * HELD_OUT_SHARE <= len(held_out) / len(possible) <= HELD_OUT_SHARE + 0.001
    for side in (1, 2):
        every = Counter((it[0], it[side]) for it in possible)
        taken = Counter((it[0], it[side]) for it in held_out)
        assert all(taken[key] <= (1 - KEPT_SHARE) * every[key] + 1e-9 for key in taken)
    assert {kind for kind, _, _ in held_out} == {"adjective", "subject", "object"}


def test_sentences_have_no_combination_that_is_not_listed_as_possible(many):
    possible = set(sampling.possible_combinations())
    assert all(combinations(sentence) <= possible for sentence in many)


def test_an_english_sentence_has_one_translation(many):
    translations = {}
    for sentence in many:
        in_english, in_german = surface(sentence)
        assert translations.setdefault(in_english, in_german) == in_german
    assert len(translations) > 0.85 * MANY


def test_sentences_are_well_written(many):
    for sentence in many:
        for line in surface(sentence):
            assert line[0].isupper() and line[-1] in ".?" and line == " ".join(line.split())
            assert not any(mark in line for mark in (" ,", " .", " ?", ",,", ",.", ",?", "..", "-"))
            assert line.count("?") + line.count(".") == 1


def test_a_sentence_names_nobody_twice(many):
    twice = 0
    for sentence in many:
        nouns = [word for word in german.sentence(sentence) if word in {noun.german for noun in words.NOUNS}]
        twice += len(nouns) != len(set(nouns))
    assert twice == 0


def test_every_word_of_the_dictionary_is_used_often():
    lines = [pair.german for pair in tiny_translation.load("train")]
    used = Counter(word.strip(",.?").lower() for line in lines for word in line.split())
    for noun in words.NOUNS:
        forms = {german.noun(noun, case, plural).lower() for case in german.CASES for plural in (False, True)}
        assert sum(used[form] for form in forms) >= 50, noun.german
    for adjective in words.ADJECTIVES:
        forms = {adjective.german, *(adjective.stem + ending for ending in ("e", "er", "es", "en"))}
        assert sum(used[form] for form in forms) >= 30, adjective.german
    for verb in words.VERBS:
        forms = {verb.first, *verb.german, verb.infinitive, verb.particle + verb.german[1]}
        assert sum(used[form] for form in forms) >= 50, verb.infinitive


def test_the_same_seed_gives_the_same_corpus_in_another_process():
    code = (
        "import hashlib; from clearformer.data import tiny_translation as t; "
        "print(hashlib.sha256(repr([t.load(split) for split in t.SIZES]).encode()).hexdigest())"
    )
    prints = [
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    ]
    assert prints[0] == prints[1]
    here = repr([tiny_translation.load(split) for split in SPLITS]).encode()
    assert prints[0].strip() == hashlib.sha256(here).hexdigest()


def test_another_seed_gives_another_corpus_and_holds_out_other_combinations():
    assert tiny_translation.load("train", 0)[:100] != tiny_translation.load("train", 1)[:100]
    assert held_out_combinations(0) != held_out_combinations(1)


def test_changing_a_loaded_list_does_not_change_the_corpus():
    tiny_translation.load("test").clear()
    assert len(tiny_translation.load("test")) == 1000


def test_an_unknown_split_is_refused_by_name():
    with pytest.raises(ValueError, match="train, validation, test; got 'dev'"):
        tiny_translation.load("dev")
