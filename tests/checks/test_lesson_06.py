"""The exercises of lesson 06 against sacreBLEU, against trying everything out, and against decoders that never stop."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearformer.checks import catalogue, judge_here
from clearformer.checks.catalogue.lesson_06_translation import beam_search as beams
from clearformer.checks.catalogue.lesson_06_translation.models import tree

property_test = settings(deadline=None, max_examples=50, derandomize=True, database=None)
BLEU, PAIR, MERGE = (catalogue.find(name) for name in ("corpus_bleu", "most_frequent_pair", "merge_pair"))
SENTENCE = st.lists(st.sampled_from(["a", "b", "c", "the"]), max_size=9)
WORDS = st.dictionaries(st.text("abc", min_size=1, max_size=7).map(tuple), st.integers(1, 9), max_size=6)


@property_test
@given(st.lists(st.tuples(SENTENCE, SENTENCE), min_size=1, max_size=4))
def test_every_right_bleu_is_sacrebleus(pairs):
    from sacrebleu.metrics import BLEU as Oracle

    hypotheses, references = map(list, zip(*pairs, strict=True))
    lines = [" ".join(tokens) for tokens in hypotheses], [[" ".join(tokens) for tokens in references]]
    expected = Oracle(tokenize="none", smooth_method="none", force=True).corpus_score(*lines).score
    for answer in (BLEU.reference, *BLEU.alternatives):
        assert answer(hypotheses, references) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_the_predicted_bleu_is_sacrebleus():
    from sacrebleu.metrics import BLEU as Oracle

    reference = "a man in a red shirt rides his new bike"
    score = Oracle(tokenize="none").corpus_score([reference.rsplit(" ", 1)[0]], [[reference]]).score
    assert score == pytest.approx(catalogue.find("bleu_without_the_last_word").reference, rel=1e-9)


@property_test
@given(WORDS)
def test_every_right_pair_is_as_frequent_as_any(words):
    text = {word: "".join(word) for word in words}
    counts = {
        (a, b): sum(n * sum(text[word].startswith(a + b, at) for at in range(len(word))) for word, n in words.items())
        for a, b in itertools.product("abc", repeat=2)
    }
    for answer in (PAIR.reference, *PAIR.alternatives):
        pair = answer(words)
        assert max(counts.values()) == (counts[pair] if pair else 0)


@property_test
@given(WORDS, st.tuples(st.sampled_from("abc"), st.sampled_from("abc")))
def test_all_right_merges_are_those_of_a_regular_expression(words, pair):
    import re

    expected = {tuple(re.findall(f"{pair[0]}{pair[1]}|.", "".join(word))): count for word, count in words.items()}
    for answer in (MERGE.reference, *MERGE.alternatives):
        assert answer(words, pair) == expected


@pytest.mark.parametrize("seed", range(5))
def test_a_beam_with_room_for_all_finds_the_best_of_all_sequences(seed):
    """Three ids after the first, or fewer where the end comes: tried out one by one."""
    model = tree(seed, 4, end_id=2)
    every = {
        tuple([1, *(tail[: tail.index(2) + 1] if 2 in tail else tail)])
        for tail in itertools.product(range(4), repeat=3)
    }
    best = max(every, key=lambda ids: beams.score(model, list(ids)))
    for answer in (beams.reference, *beams.EXERCISE.alternatives):
        assert answer(model, 1, 2, 4, 64) == list(best)


def for_ever(next_token_logits, start_id, end_id, max_len, *beam_size):
    while True:
        next_token_logits([start_id])


def for_ever_whatever_happens(next_token_logits, start_id, end_id, max_len, *beam_size):
    while True:
        try:
            next_token_logits([start_id])
        except BaseException:
            return [start_id]


def for_a_batch_for_ever(next_token_logits, start_ids, end_id, max_len):
    rows = [[start_id] for start_id in start_ids]
    while True:
        next_token_logits(rows)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("greedy_decode", for_ever),
        ("greedy_decode", for_ever_whatever_happens),
        ("beam_search", for_ever),
        ("beam_search", for_ever_whatever_happens),
        ("decode_batch", for_a_batch_for_ever),
    ],
)
def test_a_decoder_that_never_stops_is_stopped_and_told(name, answer):
    verdict = judge_here(catalogue.find(name), answer)
    calls = 300 if name == "beam_search" else 100
    assert verdict.points == 0
    told = f"your code was stopped: it called next_token_logits more than {calls} times. Does it ever stop?"
    assert told in verdict.message


def twice_as_often(answer):
    """The answer, with a model that is asked everything twice."""

    def asks_twice(next_token_logits, *arguments):
        def asked(ids):
            next_token_logits(ids)
            return next_token_logits(ids)

        return answer(asked, *arguments)

    return asks_twice


@pytest.mark.parametrize("name", ["greedy_decode", "beam_search", "decode_batch"])
def test_a_right_answer_that_asks_twice_is_not_stopped(name):
    exercise = catalogue.find(name)
    for answer in exercise.alternatives:
        verdict = judge_here(exercise, twice_as_often(answer))
        assert verdict.status == "passed", verdict.message


def no_callback_is_needed(next_token_logits, start_id, end_id, max_len, *beam_size):
    return [start_id, 5, 4, end_id][:max_len]


def changes_what_it_was_given(words, *pair):
    words[("x",)] = 1
    return {} if pair else None


def two_beams_at_most(next_token_logits, start_id, end_id, max_len, beam_size):
    return beams.plain(next_token_logits, start_id, end_id, max_len, min(beam_size, 2))


def forgets_the_first_score(next_token_logits, start_id, end_id, max_len, beam_size):
    def flat_at_first(ids):
        logits = next_token_logits(ids)
        return logits if len(ids) > 1 else np.zeros_like(logits)

    return beams.plain(flat_at_first, start_id, end_id, max_len, beam_size)


def bigrams_of_the_first_sentence(hypotheses, references):
    return BLEU.alternatives[0](hypotheses[:1], references[:1])


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("greedy_decode", no_callback_is_needed),
        ("beam_search", no_callback_is_needed),
        ("beam_search", two_beams_at_most),
        ("beam_search", forgets_the_first_score),
        ("most_frequent_pair", changes_what_it_was_given),
        ("merge_pair", changes_what_it_was_given),
        ("corpus_bleu", bigrams_of_the_first_sentence),
    ],
)
def test_wrong_answers_that_no_misconception_tells_of_do_not_pass(name, answer):
    for seed in (2017, 0, 1):
        assert judge_here(catalogue.find(name), answer, seed).status in ("failed", "error")


@pytest.mark.parametrize("weird", [None, 3, "text", [None], [[1]], {"a": 1}, np.zeros(3), [1, 2.5]])
@pytest.mark.parametrize("name", catalogue.lesson("06_translation").exercises)
def test_results_of_any_kind_get_a_verdict(name, weird):
    exercise = catalogue.find(name)
    target = weird if exercise.kind == "predict" else lambda *args, **kwargs: weird
    assert judge_here(exercise, target).points == 0
