"""Byte-pair encoding in a few lines (Sennrich et al. 2016, section 3.2): join the most frequent pair, again and again.

Words are a dict {tuple of symbols: count}. It begins with characters: {("l", "o", "w"): 5}.
"""

from collections import Counter
from itertools import pairwise


def most_frequent_pair(words):
    """The pair of neighbours that occurs most often, or None where no word has two symbols.

    Each place where the pair stands counts, overlapping ones too (aaa has two), times the word's count. Among equally
    frequent pairs the first in alphabetical order, so that the result is always the same.
    """
    counts = Counter()
    for symbols, count in words.items():
        for pair in pairwise(symbols):
            counts[pair] += count
    return min(counts, key=lambda pair: (-counts[pair], pair), default=None)


def merge_pair(words, pair):
    """New words in which the pair is one symbol, replaced from left to right, without overlap."""
    return {_merge(symbols, pair): count for symbols, count in words.items()}


def learn(words, num_merges):
    """The first num_merges pairs to join, in order; fewer where nothing is left to join."""
    merges = []
    while len(merges) < num_merges and (pair := most_frequent_pair(words)) is not None:
        merges.append(pair)
        words = merge_pair(words, pair)
    return merges


def segment(symbols, merges):
    """A new word's symbols (characters, to begin with) joined as `learn` joined those it saw. Returns a tuple."""
    symbols = tuple(symbols)
    for pair in merges:
        symbols = _merge(symbols, pair)
    return symbols


def _merge(symbols, pair):
    merged, position = [], 0
    while position < len(symbols):
        if symbols[position : position + 2] == tuple(pair):
            merged.append(symbols[position] + symbols[position + 1])
            position += 2
        else:
            merged.append(symbols[position])
            position += 1
    return tuple(merged)
