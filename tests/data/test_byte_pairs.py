"""Byte-pair encoding by hand: known merges, laws, and the merges that Hugging Face's `tokenizers` chooses."""

import json
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearformer.data import tiny_translation
from clearformer.data.byte_pairs import learn, merge_pair, most_frequent_pair, segment

property_test = settings(deadline=None, max_examples=200, derandomize=True, database=None)
counted_words = st.dictionaries(st.text("abc", min_size=1, max_size=8), st.integers(1, 9), min_size=1, max_size=8)


def spelt(words):
    return {tuple(word): count for word, count in words.items()}


def pair_counts(words):
    counts = Counter()
    for symbols, count in words.items():
        counts.update({pair: 0 for pair in pairwise(symbols)})
        for pair in pairwise(symbols):
            counts[pair] += count
    return counts


def hugging_face_merges(words, num_merges):
    """What `tokenizers` learns from the same words."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    alphabet = {mark for word in words for mark in word}
    trainer = trainers.BpeTrainer(vocab_size=len(alphabet) + num_merges, min_frequency=1, show_progress=False)
    tokenizer.train_from_iterator([" ".join([word] * count) for word, count in words.items()], trainer)
    return [tuple(pair) for pair in json.loads(tokenizer.to_str())["model"]["merges"]]


def test_the_classic_example():
    words = spelt({"low": 5, "lower": 2, "newest": 6, "widest": 3})
    assert learn(words, 4) == [("e", "s"), ("es", "t"), ("l", "o"), ("lo", "w")]


def test_overlapping_places_count_and_words_count_as_often_as_they_occur():
    assert most_frequent_pair({("a", "a", "a"): 2, ("b", "c"): 3}) == ("a", "a")  # 4 against 3
    assert most_frequent_pair({("a", "a"): 2, ("b", "c"): 3}) == ("b", "c")


def test_a_merge_goes_from_left_to_right_without_overlap():
    assert merge_pair({("a", "a", "a"): 1}, ("a", "a")) == {("aa", "a"): 1}
    assert merge_pair({("a",) * 4: 1}, ("a", "a")) == {("aa", "aa"): 1}
    assert merge_pair({("a", "b", "a", "b", "c"): 7}, ("a", "b")) == {("ab", "ab", "c"): 7}


def test_a_pair_is_symbols_and_not_letters():
    words = {("ab", "c"): 1, ("a", "bc"): 1}
    assert merge_pair(words, ("a", "bc")) == {("ab", "c"): 1, ("abc",): 1}


@pytest.mark.parametrize("words", [{}, {("a",): 4}, {(): 1}])
def test_where_nothing_can_be_joined_there_is_no_pair(words):
    assert most_frequent_pair(words) is None
    assert learn(words, 5) == []


@property_test
@given(counted_words)
def test_the_chosen_pair_is_the_most_frequent(words):
    counts = pair_counts(spelt(words))
    chosen = most_frequent_pair(spelt(words))
    assert chosen is None if not counts else counts[chosen] == max(counts.values())


@property_test
@given(counted_words, st.tuples(st.sampled_from("abc"), st.sampled_from("abc")))
def test_a_merge_keeps_the_spelling_and_leaves_no_such_pair(words, pair):
    before = spelt(words)
    kept = dict(before)
    after = merge_pair(before, pair)
    assert before == kept
    assert [("".join(symbols), count) for symbols, count in after.items()] == list(words.items())
    assert pair not in {found for symbols in after for found in pairwise(symbols)}


@property_test
@given(counted_words, st.integers(0, 12))
def test_a_word_that_was_learnt_from_is_joined_as_it_was_then(words, num_merges):
    merges = learn(spelt(words), num_merges)
    at_the_end = spelt(words)
    for pair in merges:
        at_the_end = merge_pair(at_the_end, pair)
    assert [segment(word, merges) for word in words] == list(at_the_end)


def test_each_merge_of_tokenizers_is_a_most_frequent_pair_of_ours():
    """Which of two equally frequent pairs comes first is free, so each choice is held against our counts."""
    lines = [line for pair in tiny_translation.load("train")[:1500] for line in pair]
    words = Counter(word for line in lines for word in line.split())
    theirs = hugging_face_merges(words, 300)
    assert len(theirs) == 300
    current, ties = spelt(words), 0
    for pair in theirs:
        counts = pair_counts(current)
        assert counts[pair] == max(counts.values())
        ties += sum(count == counts[pair] for count in counts.values()) > 1
        current = merge_pair(current, pair)
    assert ties < 200  # the others were forced


def test_the_same_merges_as_tokenizers_where_no_two_pairs_are_equally_frequent():
    words = {"abcd": 1000, "abce": 310, "abf": 127, "cdg": 71, "xyz": 33, "xyw": 14}
    merges = learn(spelt(words), 5)
    counts, current = [], spelt(words)
    for pair in merges:
        found = sorted(pair_counts(current).values(), reverse=True)
        counts.append(found)
        current = merge_pair(current, pair)
    assert all(len(found) == 1 or found[0] > found[1] for found in counts)
    assert hugging_face_merges(words, 5) == merges
