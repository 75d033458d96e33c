"""Greedy and beam search in plain Python: against exhaustive search, each other, and where a model never ends."""

import math

import numpy as np
import pytest
import torch
from models_to_search import END, START, TableModel, every_hypothesis, next_token_logits, sources

from clearformer.generation.one_sentence import beam_search, greedy_decode


def table(seed, vocab_size=5, end_bias=0.0):
    model = TableModel(vocab_size, seed=seed, end_bias=end_bias)
    return next_token_logits(model, sources(3)[0], forbidden=())


def score(next_logits, ids):
    return sum(torch.log_softmax(next_logits(ids[:t]), -1)[ids[t]].item() for t in range(1, len(ids)))


@pytest.mark.parametrize("seed", range(8))
def test_greedy_takes_the_likeliest_token_each_time(seed):
    next_logits = table(seed)
    ids = greedy_decode(next_logits, START, END, 9)
    assert ids[0] == START and END not in ids[:-1] and len(ids) <= 9
    for t in range(1, len(ids)):
        assert ids[t] == next_logits(ids[:t]).argmax()
    assert ids[-1] == END or len(ids) == 9


@pytest.mark.parametrize("seed", range(8))
def test_a_beam_of_1_is_greedy(seed):
    assert beam_search(table(seed), START, END, 9, 1) == greedy_decode(table(seed), START, END, 9)


@pytest.mark.parametrize("seed", range(6))
def test_a_beam_wide_enough_finds_the_best_of_all(seed):
    next_logits = table(seed, vocab_size=4, end_bias=-1.0)
    best_score, best = max(every_hypothesis(next_logits, range(4), max_len=5))
    found = beam_search(next_logits, START, END, 5, beam_size=4**4)
    assert found == best
    assert math.isclose(score(next_logits, found), best_score, rel_tol=1e-12)


def test_a_beam_can_find_what_greedy_misses():
    # greedy takes 3 (0.6) and then has only poor choices; 4 (0.4) leads to an end that is certain
    probabilities = {(1,): [0, 0, 0, 0.6, 0.4], (1, 3): [0, 0, 0.5, 0.25, 0.25], (1, 4): [0, 0, 1.0, 0, 0]}

    def next_logits(ids):
        return [math.log(p) if p else -math.inf for p in probabilities.get(tuple(ids), [0, 0, 1.0, 0, 0])]

    assert greedy_decode(next_logits, START, END, 6) == [1, 3, 2]
    assert beam_search(next_logits, START, END, 6, 2) == [1, 4, 2]


def test_a_finished_hypothesis_stays_and_is_not_asked_about_again():
    asked = []

    def next_logits(ids):
        asked.append(ids)
        return np.log([1e-9, 1e-9, 0.6, 0.4]) if len(ids) == 1 else np.log([1e-9, 1e-9, 0.3, 0.7])

    # the end at once (0.6) is better than any longer sentence, at most 0.4 * 0.7
    assert beam_search(next_logits, START, END, 6, 2) == [START, END]
    assert all(END not in ids for ids in asked)


@pytest.mark.parametrize("search", [greedy_decode, lambda *arguments: beam_search(*arguments, 3)])
def test_a_model_that_never_ends_stops_at_max_len(search):
    assert len(search(lambda ids: [0.0, 0.0, -1e9, 1.0], START, END, 12)) == 12


@pytest.mark.parametrize("search", [greedy_decode, lambda *arguments: beam_search(*arguments, 3)])
def test_max_len_1_asks_nothing(search):
    assert search(None, START, END, 1) == [START]
    with pytest.raises(ValueError, match="max_len must be at least 1"):
        search(None, START, END, 0)


def test_start_may_be_end_as_in_some_models():
    assert greedy_decode(lambda ids: [0.0, 1.0] if len(ids) < 4 else [1.0, 0.0], 0, 0, 9) == [0, 1, 1, 1, 0]
    assert beam_search(lambda ids: [0.0, 9.0] if len(ids) < 4 else [9.0, 0.0], 0, 0, 9, 2) == [0, 1, 1, 1, 0]


@pytest.mark.parametrize("make", [list, tuple, np.array, torch.tensor])
def test_logits_may_be_any_kind_of_list(make):
    ids = greedy_decode(lambda ids: make([0.0, 0.0, 0.5 * len(ids), 1.0]), START, END, 9)
    assert ids == beam_search(lambda ids: make([0.0, 0.0, 0.5 * len(ids), 1.0]), START, END, 9, 1) == [1, 3, 2]
    assert all(type(token) is int for token in ids)


def test_the_list_given_to_the_function_may_be_changed_by_it():
    def greedy_eater(ids):
        length = len(ids)
        ids.clear()
        return [0.0, 0.0, float(length > 3), 0.5]

    assert greedy_decode(greedy_eater, START, END, 9) == [1, 3, 3, 3, 2]
    assert beam_search(greedy_eater, START, END, 9, 1) == [1, 3, 3, 3, 2]


def test_a_beam_of_none_is_refused():
    with pytest.raises(ValueError, match="beam_size must be at least 1; got 0"):
        beam_search(table(0), START, END, 5, 0)
