"""Copy, reverse and sort: the right answers, rows of all lengths, the same rows for the same seed."""

from itertools import islice

import pytest
import torch

from clearformer.data.tokenizer import END_ID, PAD_ID, START_ID
from clearformer.data.toy_tasks import ToyTask


def symbols(row):
    return [number for number in row.tolist() if number not in (PAD_ID, START_ID, END_ID)]


@pytest.mark.parametrize(
    ("name", "answer"), [("copy", [9, 5, 7, 5]), ("reverse", [5, 7, 5, 9]), ("sort", [5, 5, 7, 9])]
)
def test_the_answer_of_each_task(name, answer):
    assert ToyTask(name).answer([9, 5, 7, 5]) == answer


@pytest.mark.parametrize("name", ["copy", "reverse", "sort"])
def test_each_target_is_the_answer_to_its_source(name):
    task = ToyTask(name, num_symbols=7, min_length=0, max_length=9)
    batch = task.batch(200, seed=1)
    lengths = set()
    for source, target in zip(batch.source_ids, batch.target_ids, strict=True):
        row = symbols(source)
        lengths.add(len(row))
        assert symbols(target) == task.answer(row)
        assert target[0] == START_ID and target[len(row) + 1] == END_ID and source[len(row)] == END_ID
        assert set(target[len(row) + 2 :].tolist()) <= {PAD_ID} and set(source[len(row) + 1 :].tolist()) <= {PAD_ID}
    assert lengths == set(range(10))
    assert {number for row in batch.source_ids for number in symbols(row)} == set(range(4, 11))
    assert task.vocab_size == 11


def test_the_same_seed_and_number_give_the_same_batch_and_others_give_others():
    task = ToyTask("sort")
    assert torch.equal(task.batch(8, 3, 5).source_ids, task.batch(8, 3, 5).source_ids)
    rows = {
        tuple(row)
        for seed in range(3)
        for number in range(3)
        for row in task.batch(8, seed, number).source_ids.tolist()
    }
    assert len(rows) > 60


def test_batches_can_be_entered_in_the_middle():
    task = ToyTask("copy")
    whole, rest = list(islice(task.batches(4, seed=2), 9)), list(islice(task.batches(4, seed=2, start=5), 4))
    assert all(torch.equal(mine.target_ids, theirs.target_ids) for mine, theirs in zip(whole[5:], rest, strict=True))


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="copy, reverse, sort; got 'add'"):
        ToyTask("add")
    with pytest.raises(ValueError, match="min_length <= max_length is needed; got 5 and 4"):
        ToyTask("copy", min_length=5, max_length=4)
    with pytest.raises(ValueError, match="num_symbols must be at least 1; got 0"):
        ToyTask("copy", num_symbols=0)
