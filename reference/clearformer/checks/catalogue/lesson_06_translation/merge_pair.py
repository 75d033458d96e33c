"""merge_pair: two symbols become one, in every word."""

from itertools import pairwise

from clearformer.checks.catalogue.lesson_06_translation.most_frequent_pair import letters_of
from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception
from clearformer.data.byte_pairs import merge_pair as reference


def every_word_is_spelled_as_before(answer, rng):
    words, pair = any_words(rng).args
    before = {"".join(word): count for word, count in words.items()}
    after = {"".join(word): count for word, count in answer.call(words, pair).items()}
    return None if before == after else f"the words were {sorted(before)}, and are {sorted(after)}"


def the_pair_is_gone(answer, rng):
    words, pair = any_words(rng).args
    left = [word for word in answer.call(words, pair) if pair in pairwise(word)]
    return f"{left[0]} still holds {pair[0]} and {pair[1]} side by side" if left else None


def spelled(words, pair):
    """A case's draw: {word or tuple of symbols: count} and a pair, with other letters each time."""

    def draw(rng):
        letters = letters_of(rng)

        def turned(symbols):
            return tuple("".join(letters[x] for x in symbol) for symbol in symbols)

        return Call({turned(word): count for word, count in words.items()}, turned(pair))

    return draw


def any_words(rng):
    """Words of three letters; the pair is of two different ones, of which no word keeps any."""
    drawn = {tuple(rng.choice(list("abc"), size=int(rng.integers(2, 9))).tolist()) for _ in range(10)}
    words = {word: int(rng.integers(1, 50)) for word in sorted({*drawn, tuple("cabcab"), tuple("bc")})}
    return Call(words, ("a", "b"))


# Wrong answers: one word at a time, from left to right, with one part in another form -----------------------------


def variant(
    *,
    is_pair=lambda symbols, place, pair: symbols[place : place + 2] == pair,
    joined=lambda pair: pair[0] + pair[1],
    step=2,
    stop=0,
    times=10**9,
    key=tuple,
    kept=lambda symbols, pair, merged: True,
    counted=lambda count: count,
):
    def merged_word(symbols, pair):
        merged, place, left = [], 0, times
        while place < len(symbols) - stop:
            if left and place + 1 < len(symbols) and is_pair(symbols, place, pair):
                merged.append(joined(pair))
                place, left = place + step, left - 1
            else:
                merged.append(symbols[place])
                place += 1
        return merged

    def merge_pair(words, pair):
        new = {}
        for symbols, count in words.items():
            merged = merged_word(symbols, pair)
            if kept(symbols, pair, merged):
                new[key(merged)] = counted(count)
        return new

    return merge_pair


def wrong(slug, says, **changes):
    return misconception(slug, says)(variant(**changes))


@misconception(
    "replaced-in-the-text",
    "You joined the symbols with spaces and replaced text. A symbol that only ends with the first letters of the pair, "
    "or begins with those of the second, is caught too: “xa b” holds “a b”. Compare whole symbols.",
)
def replaced_in_the_text(words, pair):
    old, new = " ".join(pair), "".join(pair)
    return {tuple(" ".join(symbols).replace(old, new).split(" ")): count for symbols, count in words.items()}


@misconception(
    "from-the-right",
    "You join from right to left: a a a becomes a aa. This exercise asks for left to right: aa a.",
)
def from_the_right(words, pair):
    turned = {symbols[::-1]: count for symbols, count in words.items()}
    merged = variant(joined=lambda pair: pair[1] + pair[0])(turned, pair[::-1])
    return {symbols[::-1]: count for symbols, count in merged.items()}


@misconception(
    "changed-in-place",
    "The result is right, but you changed `words` itself. Make a new dict.",
)
def changed_in_place(words, pair):
    new = reference(words, pair)
    words.clear()
    words.update(new)
    return words


overlapping = wrong(
    "second-symbol-kept",
    "You put in the joined symbol and go on with the second one of the two, so it is there twice. Go on behind both.",
    step=1,
)
first_place_only = wrong(
    "first-place-only",
    "You join the first pair of each word and leave the others. Every place counts.",
    times=1,
)
last_symbol_lost = wrong(
    "last-symbol-lost",
    "Words that do not end with the pair lose their last symbol: your loop ends one place too early. The last symbol "
    "has no right neighbour, but it has to be kept.",
    stop=1,
)
joined_the_other_way = wrong(
    "joined-the-other-way-round",
    "You join the second symbol with the first: ba for a b.",
    joined=lambda pair: pair[1] + pair[0],
)
pair_kept_as_a_tuple = wrong(
    "pair-kept-as-a-tuple",
    "The pair stands in your words as a tuple. It becomes one symbol, a string: pair[0] + pair[1].",
    joined=lambda pair: pair,
)
either_order = wrong(
    "either-order",
    "You also join the two symbols where they stand the other way round.",
    is_pair=lambda symbols, place, pair: sorted(symbols[place : place + 2]) == sorted(pair),
)
compared_by_spelling = wrong(
    "compared-by-spelling",
    "You join what is spelled like the pair. a and bc are other symbols than ab and c: compare each of the two.",
    is_pair=lambda symbols, place, pair: "".join(symbols[place : place + 2]) == "".join(pair),
)
words_with_the_pair_only = wrong(
    "words-without-the-pair-lost",
    "Words that do not hold the pair are missing. They stay as they are.",
    kept=lambda symbols, pair, merged: len(merged) < len(symbols),
)
keys_are_strings = wrong(
    "keys-are-strings",
    "The keys of your dict are strings. Symbols could not be told apart any more: a word is a tuple of symbols.",
    key=" ".join,
)
keys_are_whole_words = wrong(
    "keys-are-whole-words",
    "The keys of your dict are whole words, with all symbols joined. Only the pair becomes one symbol; a word stays a "
    "tuple of symbols.",
    key="".join,
)
counts_lost = wrong(
    "counts-lost",
    "Your words all have the count 1. The counts stay as they are.",
    counted=lambda count: 1,
)
only_the_first_compared = wrong(
    "first-symbol-alone-compared",
    "You join wherever the first symbol of the pair stands. The next one has to be the second.",
    is_pair=lambda symbols, place, pair: symbols[place] == pair[0],
)
plain = variant()


def by_looking_back(words, pair):
    """Another right answer: a symbol joins the one before it, if that one is free."""
    new = {}
    for symbols, count in words.items():
        merged, free = [], False
        for symbol in symbols:
            if free and merged[-1] == pair[0] and symbol == pair[1]:
                merged[-1], free = merged[-1] + symbol, False
            else:
                merged.append(symbol)
                free = True
        new[tuple(merged)] = count
    return new


def by_an_iterator(words, pair):
    """Another right answer: takes symbols from an iterator; the dict comes out in another order."""

    def merged(symbols):
        rest = iter(symbols)
        symbol = next(rest, None)
        while symbol is not None:
            following = next(rest, None)
            if (symbol, following) == pair:
                yield symbol + following
                following = next(rest, None)
            else:
                yield symbol
            symbol = following

    return {tuple(merged(symbols)): words[symbols] for symbols in sorted(words, reverse=True)}


EXERCISE = Exercise(
    name="merge_pair",
    lesson="06_translation",
    kind="write",
    points=2,
    difficulty=2,
    minutes=12,
    asks="Return new words in which the pair has become one symbol, wherever it stands.",
    reference=reference,
    returns=("words",),
    cases=(
        Case("one word", spelled({"abc": 5}, "ab")),
        Case("two words", spelled({"abc": 5, "dab": 2}, "ab"), "the pair stands in front and at the end"),
        Case("several places in one word", spelled({"abcab": 3}, "ab")),
        Case("three and four equal symbols", spelled({"aaa": 2, "aaaa": 1}, "aa"), "from left to right: aa a, aa aa"),
        Case("the pair the other way round", spelled({"bac": 4, "ab": 1}, "ab"), "b a is another pair"),
        Case("the first symbol alone", spelled({"aca": 4, "ab": 1}, "ab")),
        Case("a word without the pair, and one of one symbol", spelled({"abd": 3, "cde": 2, "f": 7}, "ab")),
        Case(
            "symbols of several letters",
            spelled({("ab", "c", "d"): 3, ("a", "b", "c", "e"): 2}, ("ab", "c")),
            "in the second word a and b are two symbols",
        ),
        Case(
            "symbols that end or begin like the pair",
            spelled({("xa", "b", "c"): 3, ("a", "by", "c"): 2, ("a", "b", "c"): 1}, ("a", "b")),
            "only whole symbols are joined",
        ),
        Case(
            "another pair that is spelled alike",
            spelled({("a", "bc", "d"): 3, ("ab", "c", "e"): 2}, ("ab", "c")),
            "a and bc are other symbols than ab and c",
        ),
        Case("no words", lambda rng: Call({}, ("a", "b"))),
        Case("any words", any_words),
    ),
    properties=(
        Property("every word is spelled as before", every_word_is_spelled_as_before),
        Property("afterwards the pair is gone", the_pair_is_gone),
    ),
    misconceptions=(
        replaced_in_the_text,
        from_the_right,
        changed_in_place,
        overlapping,
        first_place_only,
        last_symbol_lost,
        joined_the_other_way,
        pair_kept_as_a_tuple,
        either_order,
        compared_by_spelling,
        words_with_the_pair_only,
        keys_are_strings,
        keys_are_whole_words,
        counts_lost,
        only_the_first_compared,
    ),
    alternatives=(plain, by_looking_back, by_an_iterator),
    hints=(
        "One word at a time: go through its symbols with a place that you move yourself, and build a new list.",
        "While there are symbols left: if this one and the next are the pair, put the joined symbol into the new list "
        "and move on by 2, else put in this symbol and move on by 1. The new list, as a tuple, is the key; the count "
        "stays.",
        "if symbols[place : place + 2] == pair: merged.append(pair[0] + pair[1]); place += 2",
    ),
)
