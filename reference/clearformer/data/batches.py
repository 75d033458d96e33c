"""Batches of sentence pairs of like length, shuffled anew each epoch and always in the same way."""

import operator
import random
from typing import NamedTuple

import torch

from clearformer.data.tokenizer import END_ID, PAD_ID, START_ID


class Batch(NamedTuple):
    """source_ids (batch, S) int64, each row with the end; target_ids (batch, T) int64, each with start and end.

    Rows are filled up with the padding id. The decoder reads target_ids[:, :-1] and is to say target_ids[:, 1:].
    """

    source_ids: torch.Tensor
    target_ids: torch.Tensor


def batch_by_tokens(lengths, max_tokens):
    """Put sentences of like length together. Returns lists of indices into lengths, each index once.

    A batch costs sentences × its longest one, because the others are padded, and may cost max_tokens. Sorted by
    length and filled one after the other. ValueError for a sentence longer than max_tokens.
    """
    for index, length in enumerate(lengths):
        if not 0 <= length <= max_tokens:
            raise ValueError(f"each length must be from 0 to max_tokens, {max_tokens}; sentence {index} has {length}")
    batches, batch = [], []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if (len(batch) + 1) * lengths[index] > max_tokens:  # sorted, so this one is the longest
            batches.append(batch)
            batch = []
        batch.append(index)
    return [*batches, batch] if batch else batches


def pad_sources(sources):
    """Lists of ids to source_ids (batch, S): each with the end, padded."""
    return _padded([[*ids, END_ID] for ids in sources])


def pad_targets(targets):
    """Lists of ids to target_ids (batch, T): each with start and end, padded."""
    return _padded([[START_ID, *ids, END_ID] for ids in targets])


def _padded(rows):
    longest = max(map(len, rows), default=0)
    padded = [row + [PAD_ID] * (longest - len(row)) for row in rows]
    return torch.tensor(padded, dtype=torch.int64).reshape(len(rows), longest)


class Batches:
    """The pairs of a training set in batches of at most max_tokens.

    sources, targets: lists of lists of ids, without start and end. A batch costs sentences × the longest of its rows,
    a source with its end or a target as the decoder reads it, with its start: neither side holds more than max_tokens.
    A row longer than that raises ValueError. len(batches) is the number in an epoch, the same in each.
    """

    def __init__(self, sources, targets, max_tokens, seed=0):
        if len(sources) != len(targets):
            raise ValueError(f"as many sources as targets are needed; got {len(sources)} and {len(targets)}")
        if not sources:
            raise ValueError("there must be at least one pair of sentences; got none")
        self.sources, self.targets = sources, targets
        self.max_tokens, self.seed = operator.index(max_tokens), seed
        self._lengths = [max(len(source), len(target)) + 1 for source, target in zip(sources, targets, strict=True)]
        self._count = len(batch_by_tokens(self._lengths, self.max_tokens))
        self._planned = None, []

    def __len__(self):
        return self._count

    def plan(self, epoch):
        """The indices of each batch of an epoch, counted from 0. It depends on seed and epoch alone."""
        if self._planned[0] != epoch:
            draw = random.Random(f"batches {self.seed} {epoch}")
            order = list(range(len(self._lengths)))
            draw.shuffle(order)  # sorting keeps this order among sentences of one length
            chosen = batch_by_tokens([self._lengths[index] for index in order], self.max_tokens)
            batches = [[order[place] for place in batch] for batch in chosen]
            draw.shuffle(batches)
            self._planned = epoch, batches
        return self._planned[1]

    def batch(self, position):
        """Batch number `position` since training began. Its epoch is position // len(self)."""
        if position < 0:
            raise ValueError(f"batches are counted from 0; got {position}")
        epoch, place = divmod(position, len(self))
        return self._batch(self.plan(epoch)[place])

    def epoch(self, epoch, start=0):
        """The batches of an epoch from number `start` on."""
        for indices in self.plan(epoch)[start:]:
            yield self._batch(indices)

    def forever(self, position=0):
        """The batches from number `position` since training began, without end."""
        while True:
            yield self.batch(position)
            position += 1

    def _batch(self, indices):
        return Batch(
            pad_sources([self.sources[index] for index in indices]),
            pad_targets([self.targets[index] for index in indices]),
        )
