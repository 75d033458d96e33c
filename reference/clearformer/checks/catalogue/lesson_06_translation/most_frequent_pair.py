"""most_frequent_pair: which two symbols stand side by side most often."""

from collections import Counter
from itertools import combinations, pairwise

from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception
from clearformer.data.byte_pairs import most_frequent_pair as reference

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def counts_of(words):
    counts = Counter()
    for symbols, count in words.items():
        for pair in pairwise(symbols):
            counts[pair] += count
    return counts


def one_of_the_best(answer, call):
    """Where several pairs are equally frequent, any of them is right."""
    (words,) = call.args
    pair = answer.call(words)
    if not isinstance(pair, tuple) or len(pair) != 2:
        return {"pair": "no tuple of two symbols"}
    return {"pair": "a tuple of two symbols", "how often it occurs": counts_of(words)[pair]}


def letters_of(rng):
    """The letters that stand for a, b, c, … this time."""
    return dict(zip(LETTERS, rng.permutation(list(LETTERS)).tolist(), strict=True))


def spelled(words):
    """A case's draw: {word or tuple of symbols: count}, with other letters each time."""

    def draw(rng):
        turned = letters_of(rng)
        return Call(
            {tuple("".join(turned[x] for x in symbol) for symbol in word): count for word, count in words.items()}
        )

    return draw


def any_words(rng):
    """Words of four letters, drawn until one pair is ahead of all others."""
    while True:
        drawn = {tuple(rng.choice(list("abcd"), size=int(rng.integers(2, 7))).tolist()) for _ in range(12)}
        words = {word: int(rng.integers(1, 200)) for word in sorted(drawn)}
        first, second = (count for _, count in counts_of(words).most_common(2))
        if first > second:
            return Call(words)


def doubling_all_counts_changes_nothing(answer, rng):
    (words,) = any_words(rng).args
    once, twice = answer.call(words), answer.call({word: 2 * count for word, count in words.items()})
    return None if once == twice else f"with all counts doubled, the pair is {twice}, before it was {once}"


def the_order_of_the_words_changes_nothing(answer, rng):
    (words,) = any_words(rng).args
    forward, backward = answer.call(words), answer.call(dict(reversed(words.items())))
    return None if forward == backward else f"with the words in another order, the pair is {backward}, not {forward}"


def best(counts):
    return max(counts, key=counts.__getitem__, default=None)


@misconception(
    "counts-ignored",
    "You count each word once, however often it occurs. A pair in a word that occurs 10 times counts 10.",
)
def counts_ignored(words):
    return best(Counter(pair for symbols in words for pair in pairwise(symbols)))


@misconception(
    "once-a-word",
    "You count a pair once in each word, times the word's count. In a word that holds the pair twice it counts twice.",
)
def once_a_word(words):
    counts = Counter()
    for symbols, count in words.items():
        for pair in dict.fromkeys(pairwise(symbols)):
            counts[pair] += count
    return best(counts)


@misconception(
    "overlaps-left-out",
    "After a pair you go on behind it, so that a a a holds one pair. This exercise asks for every two neighbours: a a "
    "a holds two.",
)
def overlaps_left_out(words):
    counts = Counter()
    for symbols, count in words.items():
        place = 0
        while place + 1 < len(symbols):
            pair = symbols[place : place + 2]
            counts[pair] += count
            place += 2 if pair[0] == pair[1] else 1
    return best(counts)


@misconception(
    "every-second-place",
    "You cut each word into pairs: symbols 0 and 1, 2 and 3. Symbols 1 and 2 are neighbours too.",
)
def every_second_place(words):
    counts = Counter()
    for symbols, count in words.items():
        for place in range(0, len(symbols) - 1, 2):
            counts[symbols[place : place + 2]] += count
    return best(counts)


@misconception(
    "across-words",
    "You put all words in a row and count pairs across their borders. A pair lies within one word.",
)
def across_words(words):
    row = [symbol for symbols, count in words.items() for symbol in symbols * count]
    return best(Counter(pairwise(row)))


@misconception(
    "order-ignored",
    "You count a b and b a as the same pair. The order matters: what is joined reads ab or ba.",
)
def order_ignored(words):
    counts = Counter()
    for pair, count in counts_of(words).items():
        counts[tuple(sorted(pair))] += count
    return best(counts)


@misconception(
    "not-neighbours",
    "You count any two symbols of a word. A pair are two neighbours, with nothing between them.",
)
def not_neighbours(words):
    counts = Counter()
    for symbols, count in words.items():
        for pair in combinations(symbols, 2):
            counts[pair] += count
    return best(counts)


@misconception(
    "letters-instead-of-symbols",
    "You join the symbols of a word and count pairs of letters. Symbols that were joined before are one symbol: lo and "
    "w are a pair, l and o no longer.",
)
def letters_instead_of_symbols(words):
    return best(counts_of({"".join(symbols): count for symbols, count in words.items()}))


@misconception(
    "joined",
    "You return the pair as one string. This exercise asks for the tuple of its two symbols.",
)
def joined(words):
    pair = reference(words)
    return pair and "".join(pair)


@misconception(
    "pair-and-count",
    "You return the pair with its count, as Counter.most_common does. This exercise asks for the pair alone.",
)
def pair_and_count(words):
    counts = counts_of(words)
    return counts.most_common(1)[0] if counts else None


@misconception(
    "a-list",
    "You return a list. This exercise asks for a tuple, which can be a key of a dict.",
)
def a_list(words):
    pair = reference(words)
    return pair and list(pair)


@misconception(
    "stops-without-pairs",
    "Where no word has two symbols, your code stops: there is nothing to take the largest of. This exercise asks for "
    "None there, so that one knows when all is joined.",
)
def stops_without_pairs(words):
    counts = counts_of(words)
    return max(counts, key=counts.__getitem__)


@misconception(
    "rarest",
    "That is the pair that occurs least often. The most frequent one is asked for: max, not min.",
)
def rarest(words):
    counts = counts_of(words)
    return min(counts, key=counts.__getitem__, default=None)


@misconception(
    "last-in-the-alphabet",
    "You take the largest of the pairs, which is the last in the alphabet. Take the one with the largest count: "
    "max(counts, key=counts.get).",
)
def last_in_the_alphabet(words):
    return max(counts_of(words), default=None)


@misconception(
    "of-the-most-frequent-word",
    "You look at the most frequent word alone. A pair collects the counts of all words that hold it.",
)
def of_the_most_frequent_word(words):
    return best(counts_of(dict([max(words.items(), key=lambda item: item[1])]))) if words else None


def by_a_dict(words):
    """Another right answer: a plain dict; among equal pairs the one found last."""
    counts, winner = {}, None
    for symbols, count in words.items():
        for place in range(len(symbols) - 1):
            pair = symbols[place], symbols[place + 1]
            counts[pair] = counts.get(pair, 0) + count
    for pair, count in counts.items():
        winner = pair if winner is None or count >= counts[winner] else winner
    return winner


def by_sorting(words):
    """Another right answer: sorted by count, then by alphabet, from the back."""
    counts = counts_of(words)
    ranked = sorted(counts, key=lambda pair: (counts[pair], pair))
    return ranked[-1] if ranked else None


EXERCISE = Exercise(
    name="most_frequent_pair",
    lesson="06_translation",
    kind="write",
    points=1,
    difficulty=2,
    minutes=10,
    asks="Return the pair of neighbouring symbols that occurs most often, or None where there is none.",
    reference=reference,
    returns=("pair",),
    cases=(
        Case("one word of two symbols", spelled({"ab": 3})),
        Case("a frequent word against several rare ones", spelled({"ab": 10, "cde": 1, "cdf": 1, "cdg": 2})),
        Case("one pair in several words", spelled({"gabh": 3, "iab": 3, "cd": 5}), "counts of all words add up"),
        Case("a pair twice in one word", spelled({"ababe": 3, "cd": 5})),
        Case("three equal symbols in a row", spelled({"aaa": 2, "bc": 3}), "they hold two pairs"),
        Case("pairs at every place", spelled({"xab": 3, "yabz": 2, "cd": 4})),
        Case("two symbols with another between them", spelled({"acb": 5, "adb": 4, "ef": 6})),
        Case("the same two symbols in both orders", spelled({"ab": 3, "ba": 3, "cd": 4})),
        Case("symbols of several letters", spelled({("lo", "w"): 3, ("lo", "t"): 2, ("l", "m"): 1})),
        Case("a frequent word of one symbol", spelled({"a": 9, "bc": 2}), "a pair lies within one word"),
        Case("no word with two symbols", spelled({"a": 5, "b": 2}), "the result is None"),
        Case("no words", lambda rng: Call({}), "the result is None"),
        Case(
            "two pairs equally often",
            spelled({"ab": 4, "cd": 4, "ef": 1}),
            "either is right",
            ask=one_of_the_best,
        ),
        Case("any words", any_words),
    ),
    properties=(
        Property("doubling all counts changes nothing", doubling_all_counts_changes_nothing),
        Property("the order of the words changes nothing", the_order_of_the_words_changes_nothing),
    ),
    misconceptions=(
        counts_ignored,
        once_a_word,
        overlaps_left_out,
        every_second_place,
        across_words,
        order_ignored,
        not_neighbours,
        letters_instead_of_symbols,
        joined,
        pair_and_count,
        a_list,
        stops_without_pairs,
        rarest,
        last_in_the_alphabet,
        of_the_most_frequent_word,
    ),
    alternatives=(by_a_dict, by_sorting),
    hints=(
        "Count first, choose afterwards. What adds to a pair's count, and how much?",
        "Go through the words. For each two neighbouring symbols add the word's count to the pair's. Then take the "
        "pair with the largest count, if there is any.",
        "for pair in zip(symbols, symbols[1:]): counts[pair] += count",
    ),
)
