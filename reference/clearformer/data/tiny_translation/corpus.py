"""Which sentences are for training, and which hold combinations of words that training never shows."""

import random
from collections import Counter
from functools import lru_cache
from typing import NamedTuple

from clearformer.data.tiny_translation import english, german, sampling
from clearformer.data.tiny_translation.sentences import combinations

SIZES = {"train": 8000, "validation": 500, "test": 1000}
HELD_OUT_SHARE = 0.1  # of the combinations
KEPT_SHARE = 0.7  # of the combinations of each word stay in training


class Pair(NamedTuple):
    english: str
    german: str


def load(split, seed=0):
    """The sentences of a split as a list of Pair(english, german); the same list for the same seed.

    split: "train", "validation" (new sentences from combinations that training has) or "test" (each sentence has a
    combination that training never shows: an adjective with a noun, a verb with its object, a subject with its verb;
    every single word is in training). seed draws the sentences and the combinations that are held out.
    """
    if split not in SIZES:
        raise ValueError(f"split must be one of {', '.join(SIZES)}; got {split!r}")
    return list(_splits(seed)[split])


@lru_cache(maxsize=4)
def _splits(seed):
    held_out = held_out_combinations(seed)
    draw = random.Random(f"tiny_translation sentences {seed}")
    splits, seen, known_words = {name: [] for name in SIZES}, set(), set()
    for split, size in SIZES.items():
        while len(splits[split]) < size:
            sentence = sampling.sentence(draw)
            if (split == "test") != bool(combinations(sentence) & held_out):
                continue
            pair = Pair(text(english.sentence(sentence)), text(german.sentence(sentence)))
            if pair.english in seen or (split != "train" and not known_words.issuperset(_words(pair))):
                continue
            seen.add(pair.english)
            splits[split].append(pair)
        if split == "train":
            known_words = {word for pair in splits[split] for word in _words(pair)}
    return splits


@lru_cache(maxsize=4)
def held_out_combinations(seed=0):
    """The combinations that training never shows: a frozenset of (kind, German word, German word).

    A tenth of those that are possible. Of the combinations of one kind that a word takes part in, seven in ten stay.
    """
    draw = random.Random(f"tiny_translation combinations {seed}")
    possible = sampling.possible_combinations()
    of_word = Counter(end for kind, first, second in possible for end in ((kind, 0, first), (kind, 1, second)))
    taken, held_out = Counter(), set()
    draw.shuffle(possible)
    for combination in possible:
        kind, first, second = combination
        ends = (kind, 0, first), (kind, 1, second)
        if all(taken[end] + 1 <= (1 - KEPT_SHARE) * of_word[end] for end in ends):
            held_out.add(combination)
            taken.update(ends)
        if len(held_out) >= HELD_OUT_SHARE * len(possible):
            break
    return frozenset(held_out)


def text(words):
    """The words as one line: a capital first, punctuation close to the word before it."""
    line = " ".join(words)
    for mark in ",.?":
        line = line.replace(f" {mark}", mark)
    return line[0].upper() + line[1:]


def _words(pair):
    return {(language, word) for language, line in enumerate(pair) for word in line.lower().split()}
