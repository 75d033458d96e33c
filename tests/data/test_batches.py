"""Batches: each sentence once, never over the cost, the same order always, resumed where they stopped."""

from itertools import islice

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clearformer.data.batches import Batches, batch_by_tokens, pad_sources, pad_targets
from clearformer.data.tokenizer import END_ID, PAD_ID, START_ID

property_test = settings(deadline=None, max_examples=200, derandomize=True, database=None)
rows = st.lists(st.integers(4, 60), max_size=11)
corpora = st.lists(st.tuples(rows, rows), min_size=1, max_size=25)


def greedy_count(lengths, max_tokens):
    """How many batches sorting and filling gives, counted another way: by walking over the sorted lengths."""
    count = size = 0
    for length in sorted(lengths):
        size += 1
        if count == 0 or size * length > max_tokens:
            count, size = count + 1, 1
    return count


@property_test
@given(st.lists(st.integers(0, 30), max_size=40), st.integers(30, 120))
def test_each_sentence_is_in_one_batch_and_no_batch_costs_too_much(lengths, max_tokens):
    batches = batch_by_tokens(lengths, max_tokens)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert all(batch and len(batch) * max(lengths[index] for index in batch) <= max_tokens for batch in batches)
    assert len(batches) <= greedy_count(lengths, max_tokens)


def test_a_cost_equal_to_the_most_is_allowed():
    assert len(batch_by_tokens([5, 5, 5, 5], 20)) == 1
    assert len(batch_by_tokens([5, 5, 5, 5], 19)) == 2


def test_sentences_of_like_length_are_together():
    lengths = [9, 1, 9, 1, 9, 1]
    assert sorted(sorted(batch) for batch in batch_by_tokens(lengths, 27)) == [[0, 2, 4], [1, 3, 5]]


def test_no_sentences_make_no_batches():
    assert batch_by_tokens([], 10) == []


def test_a_sentence_longer_than_a_batch_is_named():
    with pytest.raises(ValueError, match="max_tokens, 10; sentence 1 has 11"):
        batch_by_tokens([10, 11], 10)
    with pytest.raises(ValueError, match="sentence 0 has -1"):
        batch_by_tokens([-1], 10)


def test_rows_are_padded_with_start_and_end():
    assert pad_sources([[7, 8], [9]]).tolist() == [[7, 8, END_ID], [9, END_ID, PAD_ID]]
    assert pad_targets([[7, 8], []]).tolist() == [[START_ID, 7, 8, END_ID], [START_ID, END_ID, PAD_ID, PAD_ID]]
    assert pad_sources([[]]).tolist() == [[END_ID]]
    assert pad_sources([]).shape == (0, 0)
    assert pad_sources([[7]]).dtype == pad_targets([[7]]).dtype == torch.int64


def unpadded(batch):
    """The pairs of a batch, read back out of its tensors."""
    for source, target in zip(batch.source_ids.tolist(), batch.target_ids.tolist(), strict=True):
        yield tuple(source[: source.index(END_ID)]), tuple(target[1 : target.index(END_ID)])


@property_test
@given(corpora, st.integers(12, 60), st.integers(0, 3))
def test_an_epoch_has_each_pair_once_and_the_pairs_stay_together(corpus, max_tokens, epoch):
    sources, targets = [list(side) for side in zip(*corpus, strict=True)]
    batches = Batches(sources, targets, max_tokens, seed=5)
    found = [pair for batch in batches.epoch(epoch) for pair in unpadded(batch)]
    assert sorted(found) == sorted((tuple(source), tuple(target)) for source, target in corpus)


@property_test
@given(corpora, st.integers(12, 60), st.integers(0, 3))
def test_neither_side_of_a_batch_holds_more_than_the_most(corpus, max_tokens, epoch):
    sources, targets = [list(side) for side in zip(*corpus, strict=True)]
    for batch in Batches(sources, targets, max_tokens).epoch(epoch):
        assert batch.source_ids.numel() <= max_tokens
        assert batch.target_ids[:, :-1].numel() <= max_tokens


@property_test
@given(corpora, st.integers(12, 60), st.integers(0, 40))
def test_stopped_and_started_again_no_batch_is_lost_or_doubled(corpus, max_tokens, stop):
    sources, targets = [list(side) for side in zip(*corpus, strict=True)]
    whole = list(islice(Batches(sources, targets, max_tokens, seed=1).forever(), stop + 10))
    resumed = list(islice(Batches(sources, targets, max_tokens, seed=1).forever(stop), 10))
    for mine, theirs in zip(whole[stop:], resumed, strict=True):
        assert torch.equal(mine.source_ids, theirs.source_ids) and torch.equal(mine.target_ids, theirs.target_ids)


CORPUS = [[4 + (i * 7 + j) % 50 for j in range(i % 9)] for i in range(300)]


def test_each_epoch_has_as_many_batches_in_another_order_with_other_companions():
    batches = Batches(CORPUS, CORPUS, 64, seed=3)
    plans = [[frozenset(batch) for batch in batches.plan(epoch)] for epoch in range(4)]
    assert {len(plan) for plan in plans} == {len(batches)}
    assert len({tuple(plan) for plan in plans}) == 4
    assert set(plans[0]) != set(plans[1])
    lengths = [max(len(CORPUS[index]) for index in batch) for batch in batches.plan(0)]
    assert lengths != sorted(lengths)  # short sentences do not all come first


def test_the_order_depends_on_seed_and_epoch_alone():
    first, second = Batches(CORPUS, CORPUS, 64, seed=3), Batches(CORPUS, CORPUS, 64, seed=3)
    list(first.epoch(5))  # what was read before has no influence
    assert first.plan(2) == second.plan(2)
    assert Batches(CORPUS, CORPUS, 64, seed=4).plan(2) != second.plan(2)


def test_an_epoch_can_be_entered_in_the_middle():
    batches = Batches(CORPUS, CORPUS, 64)
    whole, rest = list(batches.epoch(1)), list(batches.epoch(1, start=4))
    assert [batch.source_ids.tolist() for batch in whole[4:]] == [batch.source_ids.tolist() for batch in rest]
    assert batches.batch(len(batches) + 4).source_ids.tolist() == whole[4].source_ids.tolist()


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="as many sources as targets are needed; got 2 and 1"):
        Batches([[4], [5]], [[4]], 10)
    with pytest.raises(ValueError, match="at least one pair"):
        Batches([], [], 10)
    with pytest.raises(ValueError, match="sentence 1 has 10001"):
        Batches([[4], [4] * 10_000], [[4], [4]], 4096)
    with pytest.raises(ValueError, match="counted from 0; got -1"):
        Batches([[4]], [[4]], 10).batch(-1)
