"""greedy_decode: always the likeliest token, until the end."""

import math

import numpy as np

from clearformer.checks.catalogue.lesson_06_translation.models import callback, scripted, tree
from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception
from clearformer.generation.one_sentence import greedy_decode as reference


def a_longer_limit_goes_on_from_the_shorter_one(answer, rng):
    model, *ids = any_model(rng).args[:3]
    short, long = (answer.call(model, *ids, max_len) for max_len in (4, 8))
    return None if long[: len(short)] == short else f"with max_len=4 it is {short}, with max_len=8 {long}"


def never_longer_than_max_len(answer, rng):
    model = callback(scripted([4, 3], 6))
    lengths = {max_len: len(answer.call(model, 1, 2, max_len)) for max_len in (1, 2, 5, 9)}
    wrong = {max_len: length for max_len, length in lengths.items() if length != max_len}
    if not wrong:
        return None
    max_len, length = next(iter(wrong.items()))
    return f"a model that never says end_id gives {length} ids with max_len={max_len}, expected {max_len}"


# Wrong answers: the plain loop, with one part in another form -----------------------------------------------------


def largest(logits):
    return int(np.argmax(logits))


def variant(
    *,
    choose=largest,
    sees=lambda ids: [*ids],
    room=lambda ids, max_len: len(ids) < max_len,
    is_end=lambda token, end_id: token == end_id,
    keeps_end=True,
    finish=lambda ids, start_id, end_id, max_len: ids,
):
    def greedy_decode(next_token_logits, start_id, end_id, max_len):
        ids = [start_id]
        while room(ids, max_len):
            token = choose(next_token_logits(sees(ids)))
            if keeps_end or not is_end(token, end_id):
                ids.append(token)
            if is_end(token, end_id):
                break
        return finish(ids, start_id, end_id, max_len)

    return greedy_decode


def wrong(slug, says, **changes):
    return misconception(slug, says)(variant(**changes))


def overflowing(logits):
    with np.errstate(all="ignore"):
        exponentials = np.exp(np.asarray(logits, dtype=np.float64))
        return largest(exponentials / exponentials.sum())


def largest_above_zero(logits):
    found, highest = 0, 0.0
    for token, logit in enumerate(logits):
        if logit > highest:
            found, highest = token, float(logit)
    return found


never_stops = wrong(
    "never-stops",
    "Your loop waits for end_id, and some models never say it. max_len is there to stop them: go on only while there "
    "is room.",
    room=lambda ids, max_len: True,
)
end_ignored = wrong(
    "goes-on-after-the-end",
    "You always write max_len ids. Stop as soon as end_id is reached: what a model says after it means nothing.",
    is_end=lambda token, end_id: False,
)
end_dropped = wrong(
    "end-dropped",
    "The end_id is missing. This exercise asks to keep it where it is reached: so one can see that the sentence is "
    "complete.",
    keeps_end=False,
)
start_dropped = wrong(
    "start-dropped",
    "Your list begins with the first new token. This exercise asks for start_id in front.",
    finish=lambda ids, start_id, end_id, max_len: ids[1:],
)
start_and_end_dropped = wrong(
    "start-and-end-dropped",
    "You return the words alone. This exercise asks for start_id in front, and for end_id where it is reached.",
    keeps_end=False,
    finish=lambda ids, start_id, end_id, max_len: ids[1:],
)
one_too_many = wrong(
    "start-not-counted",
    "You write max_len new tokens, so with start_id there is one too many. max_len counts all ids, start_id too.",
    room=lambda ids, max_len: len(ids) <= max_len,
)
one_too_few = wrong(
    "one-too-few",
    "You stop one id too early. There may be max_len ids in all: go on while there are fewer.",
    room=lambda ids, max_len: len(ids) < max_len - 1,
)
sees_the_last_only = wrong(
    "sees-the-last-id-only",
    "You hand the model the last id alone. It needs everything written so far, beginning with start_id.",
    sees=lambda ids: ids[-1:],
)
sees_no_start = wrong(
    "start-not-shown",
    "You hand the model the new tokens without start_id. What it reads begins with start_id.",
    sees=lambda ids: ids[1:],
)
end_taken_for_2 = wrong(
    "end-id-taken-for-2",
    "You stop at token 2, whatever end_id is. Here the end has another number, and 2 is a word.",
    is_end=lambda token, end_id: token == 2,
)
stops_at_padding = wrong(
    "stops-at-0-too",
    "You stop at token 0 too. Here 0 is a word like any other: stop at end_id alone.",
    is_end=lambda token, end_id: token in (0, end_id),
)
end_forced = wrong(
    "end-forced",
    "Where max_len is reached you put end_id in the last place. This exercise leaves a sentence that was cut as it is.",
    finish=lambda ids, start_id, end_id, max_len: ids if ids[-1] == end_id else [*ids[: max_len - 1], end_id],
)
least_likely = wrong(
    "least-likely",
    "You take the token with the smallest logit. The likeliest has the largest: argmax.",
    choose=lambda logits: int(np.argmin(logits)),
)
overflows = wrong(
    "overflows",
    "For large logits exp overflows, and NaN has no largest. The softmax keeps the order: the largest logit is the "
    "likeliest token, no exp needed.",
    choose=overflowing,
)
largest_in_size = wrong(
    "largest-without-sign",
    "You take the logit that is farthest from 0. A very negative logit is a very unlikely token: take the largest.",
    choose=lambda logits: int(np.argmax(np.abs(np.nan_to_num(logits)))),
)
begins_at_zero = wrong(
    "search-begins-at-0",
    "Your search for the largest logit begins with 0, so where all logits are negative it finds none and stays with "
    "token 0. Begin with the first logit, or use argmax.",
    choose=largest_above_zero,
)
an_array = wrong(
    "no-list",
    "You return a NumPy array. This exercise asks for a list of ints.",
    finish=lambda ids, start_id, end_id, max_len: np.array(ids),
)
plain = variant()


def by_recursion(next_token_logits, start_id, end_id, max_len):
    """Another right answer: calls itself with one id more."""

    def go_on(ids):
        if len(ids) >= max_len or (len(ids) > 1 and ids[-1] == end_id):
            return ids
        logits = [float(logit) for logit in next_token_logits(ids)]
        return go_on([*ids, logits.index(max(logits))])

    return go_on([start_id])


def by_probabilities(next_token_logits, start_id, end_id, max_len):
    """Another right answer: a stable softmax, and NumPy integers in the list."""
    ids = [start_id]
    for _ in range(max_len - 1):
        logits = np.array(next_token_logits(ids), dtype=np.float64)
        probabilities = np.exp(logits - logits.max())
        probabilities /= math.fsum(probabilities)
        ids.append(probabilities.argmax())
        if ids[-1] == end_id:
            break
    return ids


def says(path, vocab, start_id=1, end_id=2, max_len=10, **how):
    return lambda rng: Call(callback(scripted(path, vocab, **how)), start_id, end_id, max_len)


def any_model(rng):
    return Call(callback(tree(int(rng.integers(1 << 30)), 8, end_id=2, ends=-2.0)), 1, 2, 12)


def impossible_tokens(rng):
    words = rng.permutation([4, 5, 6]).tolist()
    model = scripted([*words, 2], 7)

    def next_token_logits(ids):
        logits = model(ids)
        logits[[0, 3]] = -np.inf
        return logits

    return Call(callback(next_token_logits), 1, 2, 10)


EXERCISE = Exercise(
    name="greedy_decode",
    lesson="06_translation",
    kind="write",
    points=2,
    difficulty=2,
    minutes=12,
    asks="Write token after token, each time the likeliest, until end_id or until there are max_len ids.",
    reference=reference,
    returns=("ids",),
    cases=(
        Case("two words, then the end", says([5, 4, 2], 6)),
        Case("the end at once", says([2], 6), "the shortest translation: start and end"),
        Case("a model that never ends", says([5, 4, 3, 5], 6, max_len=7), "max_len stops it"),
        Case("the end in the last place", says([5, 4, 2], 6, max_len=4)),
        Case("cut one id before the end", says([5, 4, 3, 2], 6, max_len=4)),
        Case("room for start_id alone", says([5, 2], 6, max_len=1)),
        Case(
            "other ids for start and end",
            says([2, 0, 1, 2, 5], 6, start_id=3, end_id=5),
            "here 0, 1 and 2 are words",
        ),
        Case("logits below 0", says([5, 4, 2], 6, shift=-50.0)),
        Case("large logits", says([5, 4, 2], 6, size=50.0, shift=1000.0), "exp of 1000 is too large for a float64"),
        Case("impossible tokens", impossible_tokens, "their logit is minus infinity"),
        Case("any model", any_model, "what comes next follows from everything before"),
    ),
    properties=(
        Property("a larger max_len only goes on", a_longer_limit_goes_on_from_the_shorter_one),
        Property("a model that never ends is stopped at max_len", never_longer_than_max_len),
    ),
    misconceptions=(
        never_stops,
        end_ignored,
        end_dropped,
        start_dropped,
        start_and_end_dropped,
        one_too_many,
        one_too_few,
        sees_the_last_only,
        sees_no_start,
        end_taken_for_2,
        stops_at_padding,
        end_forced,
        least_likely,
        overflows,
        largest_in_size,
        begins_at_zero,
        an_array,
    ),
    alternatives=(plain, by_recursion, by_probabilities),
    hints=(
        "Keep a list that begins with start_id, and add to it in a loop. What are the two reasons to stop?",
        "While the list has fewer than max_len ids: ask for the logits of all ids so far, add the number of the "
        "largest, and stop if that is end_id.",
        "ids.append(int(np.argmax(next_token_logits(ids))))",
    ),
)
