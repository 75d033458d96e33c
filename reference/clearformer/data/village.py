"""A small language of our own, of which everything is known: which sentences are right, and how likely each word is.

    from clearformer.data import village
    village.sentences(2, seed=0)                # two texts
    village.mistake("two bakers forges nails .")  # after "two bakers" comes …
    village.next_words("every tall smith")      # {word: probability}, exactly

A sentence is one clause, or two joined by "while" or "because". A clause says who makes what, and sometimes how and
where. In a clause the trade decides verb, thing and place, and the number decides the form of noun and verb. So each
of these words tells of the others, to its left and to its right.
"""

import functools
import math
import random
from typing import NamedTuple

DETERMINERS = {"one": ("the", "a", "every"), "more": ("the", "two", "many")}  # by the number of people
ADJECTIVES = ("old", "young", "tall", "quiet")
ADVERBS = ("slowly", "gladly", "often", "rarely")
JOINTS = ("while", "because")
END = "."
P_ADJECTIVE, P_ADVERB, P_PLACE, P_SECOND_CLAUSE = 0.5, 0.25, 0.5, 0.5


class Trade(NamedTuple):
    """person and verb as in "two bakers bake"; one of them takes the other form: "a baker bakes"."""

    person: str
    verb: str
    things: tuple
    place: tuple

    def noun(self, number):
        return self.person if number == "one" else f"{self.person}s"

    def verb_form(self, number):
        return f"{self.verb}s" if number == "one" else self.verb


TRADES = tuple(
    Trade(person, verb, tuple(things.split()), tuple(place.split()))
    for person, verb, things, place in (
        ("baker", "bake", "bread rolls cakes", "in the oven"),
        ("smith", "forge", "nails hooks knives", "at the fire"),
        ("tailor", "sew", "coats shirts gowns", "on the bench"),
        ("farmer", "milk", "cows goats sheep", "in the stable"),
        ("fisher", "sell", "trout eels crabs", "by the harbour"),
        ("gardener", "plant", "roses beans onions", "behind the wall"),
        ("potter", "shape", "bowls jugs plates", "on the wheel"),
        ("brewer", "stir", "ale malt hops", "under the roof"),
    )
)


class _State(NamedTuple):
    """What has to come next; of the clause so far: the number, the trade, words of the place said; which clause."""

    part: str = "determiner"
    number: str = ""
    trade: Trade | None = None
    said: int = 0
    clause: int = 1


@functools.cache
def _choices(state):
    """[(probability, word, state behind it)]: the whole grammar."""
    part, number, trade = state.part, state.number, state.trade
    if part == "determiner":
        return [
            (1 / len(DETERMINERS) / len(words), word, state._replace(part="adjective", number=each))
            for each, words in DETERMINERS.items()
            for word in words
        ]
    if part == "adjective":
        noun = state._replace(part="noun")
        return _maybe(P_ADJECTIVE, _one_of(ADJECTIVES, noun), _choices(noun))
    if part == "noun":
        found = [(each.noun(number), state._replace(part="adverb", trade=each)) for each in TRADES]
        return [(1 / len(found), word, after) for word, after in found]
    if part == "adverb":
        verb = state._replace(part="verb")
        return _maybe(P_ADVERB, _one_of(ADVERBS, verb), _choices(verb))
    if part == "verb":
        return _one_of([trade.verb_form(number)], state._replace(part="thing"))
    if part == "thing":
        return _one_of(trade.things, state._replace(part="place"))
    if part == "place" and state.said == 0:
        return _maybe(P_PLACE, _place(state), _choices(state._replace(part="joint")))
    if part == "place":
        return _place(state)
    if part == "joint":
        stop = _one_of([END], _State("over"))
        return stop if state.clause == 2 else _maybe(P_SECOND_CLAUSE, _one_of(JOINTS, _State(clause=2)), stop)
    return []


def _one_of(words, after):
    return [(1 / len(words), word, after) for word in words]


def _maybe(probability, these, others):
    return [
        (share * p, word, after)
        for share, choices in ((probability, these), (1 - probability, others))
        for p, word, after in choices
    ]


def _place(state):
    place, said = state.trade.place, state.said + 1
    after = state._replace(said=said) if said < len(place) else state._replace(part="joint", said=0)
    return _one_of([place[said - 1]], after)


def vocabulary():
    """Every word of the language once, always in the same order."""
    words, waiting, seen = {}, [_State()], set()
    while waiting:
        state = waiting.pop(0)
        if state not in seen:
            seen.add(state)
            words |= {word: None for _, word, _ in _choices(state)}
            waiting += [after for _, _, after in _choices(state)]
    return [*words]


def sentences(count, seed=0):
    """`count` sentences, each one text with spaces between its words; the same ones for the same seed."""
    draw = random.Random(f"village {seed}")
    return [" ".join(_drawn(draw)) for _ in range(count)]


def _drawn(draw):
    state, words = _State(), []
    while choices := _choices(state):
        _, word, state = draw.choices(choices, [probability for probability, _, _ in choices])[0]
        words.append(word)
    return words


def next_words(text):
    """{word: probability} of every word that may follow a beginning; {} behind the end.

    text: words with spaces between them, or a list of words. ValueError where no sentence begins so.
    """
    words = _words(text)
    beliefs, _, read = _read(words)
    if read < len(words):
        raise ValueError(f"no sentence begins with {' '.join(words[: read + 1])!r}")
    return _following(beliefs)


def log_probability(text):
    """The logarithm of the probability that a sentence drawn from the language is this one; −inf for any other text."""
    words = _words(text)
    beliefs, log_probability, read = _read(words)
    return log_probability if read == len(words) and _over(beliefs) else -math.inf


def gap_words(left, right):
    """{word: probability} of the one word between two texts that make a sentence with it; {} where there is none.

    What is known from both sides, where next_words knows the left one alone.
    """
    left, right = _words(left), _words(right)
    logs = {word: log_probability([*left, word, *right]) for word in vocabulary()}
    weights = {word: math.exp(value) for word, value in logs.items() if value > -math.inf}
    return {word: weight / sum(weights.values()) for word, weight in weights.items()}


def mistake(text):
    """None for a right sentence, else words that say where it stops being one."""
    words = _words(text)
    beliefs, _, read = _read(words)
    if read == len(words) and _over(beliefs):
        return None
    before = f'after "{" ".join(words[:read])}"' if read else "at the beginning"
    found = f'"{words[read]}"' if read < len(words) else "nothing more"
    allowed = sorted(_following(beliefs))
    wanted = " or ".join(allowed) if len(allowed) <= 4 else f"one of {len(allowed)} words such as {allowed[0]}"
    return f"{before} comes {wanted or 'nothing more'}, not {found}"


def _words(text):
    return text.split() if isinstance(text, str) else [*text]


def _read(words):
    """({state: probability of being there}, log-probability of the words read, how many could be read)."""
    beliefs, log_probability = {_State(): 1.0}, 0.0
    for read, word in enumerate(words):
        then = {}
        for state, belief in beliefs.items():
            for probability, choice, after in _choices(state):
                if choice == word:
                    then[after] = then.get(after, 0.0) + belief * probability
        if not then:
            return beliefs, log_probability, read
        total = sum(then.values())
        beliefs, log_probability = {state: p / total for state, p in then.items()}, log_probability + math.log(total)
    return beliefs, log_probability, len(words)


def _following(beliefs):
    found = {}
    for state, belief in beliefs.items():
        for probability, word, _ in _choices(state):
            found[word] = found.get(word, 0.0) + belief * probability
    return found


def _over(beliefs):
    return all(state.part == "over" for state in beliefs)
