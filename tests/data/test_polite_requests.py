"""The polite requests: known translations, sound splits, and what a test sentence holds."""

import re

import pytest

from clearformer.data import polite_requests
from clearformer.data.polite_requests import DETERMINERS, FRAMES, NOUNS, SIZES, TIMES, VERBS, load, request

KNOWN = [
    (0, "open …", "window", "the", "today",
     "Please open the window today.", "Bitte machen Sie heute das Fenster auf."),
    (1, "take … along", "umbrella", "our", "",
     "Please do not take our umbrella along.", "Bitte nehmen Sie unseren Regenschirm nicht mit."),
    (2, "bring me …", "newspaper", "this", "at once",
     "Could you please bring me this newspaper at once?", "Könnten Sie mir bitte sofort diese Zeitung bringen?"),
    (3, "switch off …", "heating", "my", "tonight",
     "Would you be so kind as to switch off my heating tonight?",
     "Wären Sie so freundlich, heute Abend meine Heizung auszuschalten?"),
    (4, "sign …", "contract", "this", "on Monday",
     "I would like to ask you to sign this contract on Monday.",
     "Ich möchte Sie bitten, am Montag diesen Vertrag zu unterschreiben."),
    (5, "send me …", "report", "the", "before lunch",
     "I would be grateful if you could send me the report before lunch.",
     "Ich wäre Ihnen dankbar, wenn Sie mir vor dem Mittagessen den Bericht schicken könnten."),
    (6, "close …", "door", "the", "now",
     "You do not need to close the door now.", "Sie brauchen jetzt die Tür nicht zuzumachen."),
]  # fmt: skip


@pytest.mark.parametrize("frame, verb, noun, determiner, time, english, german", KNOWN)
def test_each_kind_of_request_has_its_right_translation(frame, verb, noun, determiner, time, english, german):
    (found,) = (each for each in VERBS if each[0] == verb)
    assert request(FRAMES[frame], found, noun, determiner, time) == (english, german)


def words(pairs):
    return {(side, word) for pair in pairs for side, line in enumerate(pair) for word in re.findall(r"\w+", line)}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_test_has_new_combinations_of_known_words(seed):
    splits = {name: load(name, seed) for name in SIZES}
    assert {name: len(pairs) for name, pairs in splits.items()} == SIZES
    assert words(splits["test"]) <= words(splits["train"])
    held_out = polite_requests.held_out_combinations(seed)
    assert 0.1 < len(held_out) / sum(len(nouns.split()) for _, _, nouns in VERBS) < 0.2
    for name, pairs in splits.items():
        for english, _ in pairs:
            assert any(_holds(english, *combination) for combination in held_out) == (name == "test"), english


def _holds(english, verb, noun):
    before, after = (re.escape(part.strip()) for part in verb.split("…"))
    return re.search(rf"\b{before} \w+ {noun} ?{after}", english) is not None


def test_no_request_stands_twice():
    every = [pair.english for name in SIZES for pair in load(name)]
    assert len(set(every)) == len(every)


def test_the_same_seed_gives_the_same_list_and_another_one_another():
    assert load("train", 3) == load("train", 3) != load("train", 4)


def test_every_noun_that_a_verb_takes_is_in_the_dictionary_and_every_noun_is_used():
    used = {noun for _, _, nouns in VERBS for noun in nouns.split()}
    assert used <= set(NOUNS)
    assert set(NOUNS) - used == set()
    assert all(gender in "mfn" for _, gender in NOUNS.values())


def test_every_frame_verb_and_time_gives_clean_text():
    for frame in FRAMES:
        for verb in VERBS:
            for time in TIMES:
                for determiner in DETERMINERS:
                    for line in request(frame, verb, verb[2].split()[0], determiner, time):
                        assert re.fullmatch(r"[A-ZÄÖÜ][\wäöüÄÖÜß]*(,? [\wäöüÄÖÜß]+)*[.?]", line), line


def test_an_unknown_split_is_named():
    with pytest.raises(ValueError, match="train, validation, test; got 'dev'"):
        load("dev")
