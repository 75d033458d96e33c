"""The village's language: what it says of itself, against counting and against a grammar written a second time."""

import math
import re
from collections import Counter

import pytest

from clearformer.data import village

# The whole language once more, as one regular expression for each number and trade.
NOUNS = {(trade, number): trade.noun(number) for trade in village.TRADES for number in village.DETERMINERS}


def one_of(words):
    return f"(?:{'|'.join(words)})"


def clause():
    forms = []
    for (trade, number), noun in NOUNS.items():
        place = rf"(?: {' '.join(trade.place)})?"
        adjective, adverb = rf"(?:{one_of(village.ADJECTIVES)} )?", rf"(?: {one_of(village.ADVERBS)})?"
        forms.append(
            rf"{one_of(village.DETERMINERS[number])} {adjective}{noun}{adverb} {trade.verb_form(number)} "
            rf"{one_of(trade.things)}{place}"
        )
    return one_of(forms)


LANGUAGE = re.compile(rf"{clause()}(?: {one_of(village.JOINTS)} {clause()})? \.")


def broken(sentence):
    """Each sentence with one word left out, doubled, or replaced by another."""
    words = sentence.split()
    for place, word in enumerate(words):
        yield " ".join(words[:place] + words[place + 1 :])
        yield " ".join([*words[:place], word, *words[place:]])
        for other in (
            "baker",
            "bakers",
            "bake",
            "bakes",
            "the",
            "two",
            "a",
            "old",
            "in",
            "bread",
            "while",
            "often",
            ".",
        ):
            yield " ".join([*words[:place], other, *words[place + 1 :]])


@pytest.fixture(scope="module")
def texts():
    return village.sentences(4000, seed=0)


def test_it_agrees_with_the_grammar_written_a_second_time(texts):
    assert all(LANGUAGE.fullmatch(text) and village.mistake(text) is None for text in texts)
    for sentence in texts[:30]:
        for text in broken(sentence):
            right = LANGUAGE.fullmatch(text) is not None
            assert (village.mistake(text) is None) == right == (village.log_probability(text) > -math.inf), text


def test_next_words_are_as_frequent_as_it_says(texts):
    for beginning in ("", "the", "two old", "a baker", "the smiths", "every tall potter shapes"):
        words = beginning.split()
        after = Counter(text.split()[len(words)] for text in texts if text.split()[: len(words)] == words)
        said, total = village.next_words(beginning), sum(after.values())
        assert total > 3 and set(after) <= set(said)
        assert sum(said.values()) == pytest.approx(1)
        for word, probability in said.items():
            assert abs(after[word] / total - probability) < 5 * math.sqrt(probability / total), (beginning, word)


def test_log_probability_is_the_sum_over_the_words(texts):
    for text in texts[:50]:
        words = text.split()
        steps = [math.log(village.next_words(words[:place])[word]) for place, word in enumerate(words)]
        assert village.log_probability(text) == pytest.approx(sum(steps))


def test_a_gap_is_filled_as_bayes_would(texts):
    both = village.gap_words("two", "sew coats .")
    assert both == {"tailors": pytest.approx(1.0)}
    assert village.gap_words("the", "tailor sews coats .").keys() == set(village.ADJECTIVES)
    either = village.gap_words("the baker bakes bread while", "tailor sews gowns .")
    assert either == {word: pytest.approx(1 / 3) for word in village.DETERMINERS["one"]}
    assert village.gap_words("the", "the") == {}


def test_what_is_unknown_yet_stays_open():
    assert village.next_words("the") == village.next_words(["the"])
    assert {"baker", "bakers"} <= set(village.next_words("the old"))
    assert "bakers" not in village.next_words("every old")
    assert village.next_words("the baker bakes bread .") == {}


def test_the_vocabulary_is_all_that_is_said(texts):
    words = village.vocabulary()
    assert len(words) == len(set(words))
    assert {word for text in texts for word in text.split()} == set(words)


def test_one_seed_one_text(texts):
    assert village.sentences(4000, seed=0) == texts
    assert village.sentences(10, seed=1) != texts[:10]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("two bakers forges nails .", 'after "two bakers" comes one of 5 words such as bake, not "forges"'),
        ("every tall smith", 'after "every tall smith" comes one of 5 words such as forges, not nothing more'),
        ("baker", 'at the beginning comes one of 5 words such as a, not "baker"'),
        ("the smith forges nails at", 'after "the smith forges nails at" comes the, not nothing more'),
        ("a baker bakes bread . the", 'after "a baker bakes bread ." comes nothing more, not "the"'),
    ],
)
def test_mistakes_are_named(text, says):
    assert village.mistake(text) == says


def test_a_beginning_that_is_none_is_named():
    with pytest.raises(ValueError, match="no sentence begins with 'two baker'"):
        village.next_words("two baker bakes")
