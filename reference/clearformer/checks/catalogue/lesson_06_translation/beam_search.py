"""beam_search: several beginnings at once, and the best of all that came of them."""

import functools
import heapq
import itertools
import math

import numpy as np

from clearformer.checks.catalogue.lesson_06_translation.models import CALLS_OF_A_BEAM, callback, scripted, table, tree
from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception
from clearformer.generation.one_sentence import beam_search as reference
from clearformer.generation.one_sentence import greedy_decode


def log_softmax(logits):
    logits = np.array(logits, dtype=np.float64)
    shifted = logits - logits.max()
    return shifted - np.log(np.exp(shifted).sum())


def score(model, ids):
    """The sum of the log-probabilities of all ids but the first."""
    return sum(float(log_softmax(model(ids[:place]))[ids[place]]) for place in range(1, len(ids)))


def one_beam_is_greedy(answer, rng):
    call = any_model(rng)
    found, greedy = answer.call(*call.args[:4], 1), greedy_decode(call.model, 1, 2, call.args[3])
    return None if found == greedy else f"with beam_size=1 it finds {found}, greedy search {greedy}"


def never_longer_than_max_len(answer, rng):
    model = callback(scripted([4, 3], 6), CALLS_OF_A_BEAM)
    lengths = {max_len: len(answer.call(model, 1, 2, max_len, 2)) for max_len in (1, 2, 5)}
    wrong = {max_len: length for max_len, length in lengths.items() if length > max_len}
    if not wrong:
        return None
    max_len, length = next(iter(wrong.items()))
    return f"with max_len={max_len} it gives {length} ids"


def a_beam_as_wide_as_all_there_is_finds_the_best(answer, rng):
    """With room for every hypothesis nothing is ever thrown away: the result is the best of all."""
    model = tree(int(rng.integers(1 << 30)), 4, end_id=2)
    found = answer.call(callback(model, CALLS_OF_A_BEAM), 1, 2, 4, 4**3)
    best = score(model, reference(model, 1, 2, 4, 4**3))
    if not isinstance(found, list) or not 2 <= len(found) <= 4 or found[0] != 1:
        return f"{found} is no hypothesis of 2 to 4 ids that begins with 1"
    gap = best - score(model, found)
    return None if gap < 1e-9 else f"{found} has a score {gap:.3f} below that of the best hypothesis"


# Wrong answers: the search, with one part in another form ---------------------------------------------------------


def by_score(total, ids):
    return total


def variant(
    *,
    gains=log_softmax,
    rank=by_score,
    chosen_by=by_score,
    finished="holds its place",
    unfinished="competes",
    counts_end=True,
    each_by_itself=False,
    room=lambda length, max_len: length < max_len,
    finish=lambda total, ids, end_id: ids,
    width=lambda beam_size: beam_size,
):
    """rank orders the beam, chosen_by the result."""

    def extended(beam, end_id, logits_of):
        for total, ids, done in beam:
            if done:
                yield [(total, ids, True)]
                continue
            gained = gains(logits_of([*ids]))
            yield [
                (total + (gain if counts_end or token != end_id else 0.0), [*ids, token], token == end_id)
                for token, gain in enumerate(gained)
            ]

    def beam_search(next_token_logits, start_id, end_id, max_len, beam_size):
        beam, aside, length = [(0.0, [start_id], False)], [], 1
        while room(length, max_len) and beam and not all(done for *_, done in beam):
            groups = list(extended(beam, end_id, next_token_logits))
            if each_by_itself and length > 1:
                groups = [[max(group, key=lambda one: rank(*one[:2]))] for group in groups]
            candidates = [candidate for group in groups for candidate in group]
            beam = heapq.nlargest(width(beam_size), candidates, key=lambda one: rank(*one[:2]))
            length += 1
            if finished == "is extended":
                beam = [(total, ids, False) for total, ids, _ in beam]
            if finished == "ends the search" and any(done for *_, done in beam):
                return finish(*next(one for one in beam if one[2])[:2], end_id)
            if finished == "leaves":
                aside += [one for one in beam if one[2]]
                beam = [one for one in beam if not one[2]]
        beam = aside + beam
        if unfinished == "is dropped":
            beam = [one for one in beam if one[2]] or beam
        return finish(*max(beam, key=lambda one: chosen_by(*one[:2]))[:2], end_id)

    return beam_search


def wrong(slug, says, **changes):
    return misconception(slug, says)(variant(**changes))


def a_token(total, ids):
    return total / max(len(ids) - 1, 1)


def overflowing(logits):
    with np.errstate(all="ignore"):
        exponentials = np.exp(np.asarray(logits, dtype=np.float64))
        return np.log(exponentials / exponentials.sum())


greedy_only = wrong(
    "greedy",
    "You keep one hypothesis, whatever beam_size is: that is greedy search. Keep the beam_size best beginnings.",
    width=lambda beam_size: 1,
)
one_more_beam = wrong(
    "one-hypothesis-too-many",
    "You keep one hypothesis more than beam_size.",
    width=lambda beam_size: beam_size + 1,
)
one_fewer_beam = wrong(
    "one-hypothesis-too-few",
    "You keep one hypothesis less than beam_size.",
    width=lambda beam_size: max(beam_size - 1, 1),
)
raw_logits = wrong(
    "raw-logits",
    "You add up logits. They are not normalised: after some beginnings all of them are large. Take their log_softmax "
    "first, the log-probabilities.",
    gains=lambda logits: np.array(logits, dtype=np.float64),
)
probabilities_added = wrong(
    "probabilities-added",
    "You add up probabilities. A sentence's probability is the product of its tokens'; in logarithms it is a sum.",
    gains=lambda logits: np.exp(log_softmax(logits)),
)
divided_by_the_length = wrong(
    "divided-by-the-length",
    "You divide the score by the number of tokens, so that long hypotheses win more often. That is often wanted. This "
    "exercise asks for the plain sum.",
    rank=a_token,
    chosen_by=a_token,
)
divided_at_the_end = wrong(
    "divided-by-the-length-at-the-end",
    "Among the last hypotheses you choose by score per token. That is often wanted. This exercise asks for the plain "
    "sum.",
    chosen_by=a_token,
)
leaves_the_beam = wrong(
    "finished-leave-the-beam",
    "A finished hypothesis leaves your beam and makes room for another beginning. Many programs do that. In this "
    "exercise it stays and holds its place, until better ones push it out.",
    finished="leaves",
)
is_extended = wrong(
    "goes-on-after-the-end",
    "You go on writing after end_id. A hypothesis that ends with end_id is finished: it goes into the next round as it "
    "is.",
    finished="is extended",
)
first_finished_wins = wrong(
    "first-finished-wins",
    "You stop as soon as one hypothesis is finished. One that is still on its way may have the higher score in the "
    "end: go on until the whole beam is finished.",
    finished="ends the search",
)
cut_ones_dropped = wrong(
    "cut-ones-dropped",
    "Where max_len is reached you take a finished hypothesis, although an unfinished one has the higher score. In this "
    "exercise those that were cut compete as they are.",
    unfinished="is dropped",
)
end_not_counted = wrong(
    "end-not-counted",
    "The log-probability of end_id is missing in your scores, so that ending costs nothing. It is a token like the "
    "others.",
    counts_end=False,
)
each_hypothesis_by_itself = wrong(
    "each-hypothesis-by-itself",
    "After the first step each of your hypotheses goes on with its own best token, so a good beginning never gets two "
    "places. Put the candidates of all hypotheses together and keep the beam_size best.",
    each_by_itself=True,
)
never_stops = wrong(
    "never-stops",
    "Your search waits until all hypotheses are finished, and some models never say end_id. max_len is there to stop "
    "them.",
    room=lambda length, max_len: True,
)
one_too_many = wrong(
    "start-not-counted",
    "Your hypotheses may have max_len new tokens, so with start_id there is one too many. max_len counts all ids.",
    room=lambda length, max_len: length <= max_len,
)
one_too_few = wrong(
    "one-too-few",
    "You stop one id too early. There may be max_len ids in all.",
    room=lambda length, max_len: length < max_len - 1,
)
score_too = wrong(
    "score-returned-too",
    "You return the ids with their score. This exercise asks for the ids alone.",
    finish=lambda total, ids, end_id: (ids, total),
)
start_dropped = wrong(
    "start-dropped",
    "Your list begins with the first new token. This exercise asks for start_id in front, as greedy_decode does.",
    finish=lambda total, ids, end_id: ids[1:],
)
end_dropped = wrong(
    "end-dropped",
    "The end_id is missing. This exercise asks to keep it where it is reached.",
    finish=lambda total, ids, end_id: [ids[0], *(token for token in ids[1:] if token != end_id)],
)
worst_first = wrong(
    "worst-instead-of-best",
    "You return the hypothesis with the lowest score of the beam. Logarithms of probabilities are negative; the best "
    "is the one nearest to 0.",
    chosen_by=lambda total, ids: -total,
)
overflows = wrong(
    "overflows",
    "For large logits exp overflows, and what follows is NaN. Subtract the largest logit before exp.",
    gains=overflowing,
)


@misconception(
    "all-beams-returned",
    "You return the whole beam. This exercise asks for the ids of the best hypothesis alone.",
)
def all_beams_returned(next_token_logits, start_id, end_id, max_len, beam_size):
    return [reference(next_token_logits, start_id, end_id, max_len, beam_size)]


plain = variant()


def stops_when_the_best_is_finished(next_token_logits, start_id, end_id, max_len, beam_size):
    """Another right answer: scores only fall, so a finished hypothesis in front stays in front."""
    beam = [(0.0, (start_id,))]

    def is_over(ids):
        return len(ids) >= max_len or (len(ids) > 1 and ids[-1] == end_id)

    while not is_over(beam[0][1]):
        candidates = []
        for total, ids in beam:
            if is_over(ids):
                candidates.append((total, ids))
                continue
            logits = [float(logit) for logit in next_token_logits(list(ids))]
            log_total = max(logits) + math.log(math.fsum(math.exp(logit - max(logits)) for logit in logits))
            candidates += [(total + logit - log_total, (*ids, token)) for token, logit in enumerate(logits)]
        beam = sorted(candidates, reverse=True)[:beam_size]
    return list(beam[0][1])


def in_arrays(next_token_logits, start_id, end_id, max_len, beam_size):
    """Another right answer: all scores of a step in one array."""
    rows, totals = [[start_id]], np.zeros(1)
    for _ in range(max_len - 1):
        open_rows = [len(row) == 1 or row[-1] != end_id for row in rows]
        if not any(open_rows):
            break
        pool_ids, pool = [], []
        for row, total, is_open in zip(rows, totals, open_rows, strict=True):
            steps = total + log_softmax(next_token_logits(row)) if is_open else np.array([total])
            pool_ids += [[*row, token] for token in range(len(steps))] if is_open else [row]
            pool.append(steps)
        pool = np.concatenate(pool)
        best = np.argsort(-pool, kind="stable")[:beam_size]
        rows, totals = [pool_ids[place] for place in best], pool[best]
    return rows[int(totals.argmax())]


# What is drawn ------------------------------------------------------------------------------------------------


class ModelCall(Call):
    """A call that remembers its model as a plain function."""

    def __init__(self, model, *args):
        super().__init__(callback(model, CALLS_OF_A_BEAM), *args)
        self.model = model


def says(path, vocab, max_len=10, beam_size=2, start_id=1, end_id=2, **how):
    return lambda rng: ModelCall(scripted(path, vocab, **how), start_id, end_id, max_len, beam_size)


def telling_apart(*slips, vocab=5, max_len=6, beam_size=2, **how):
    """A case's draw: a model for which the right answer and each of these wrong ones find something else."""

    @functools.lru_cache(maxsize=4)
    def model_from(seed):
        searches = (reference, *(slip.implementation for slip in slips))
        for number in itertools.count(seed):
            model = tree(number, vocab, end_id=2, **how)
            found = {tuple(search(model, 1, 2, max_len, beam_size)) for search in searches}
            if len(found) == len(searches):
                return model

    return lambda rng: ModelCall(model_from(int(rng.integers(1 << 30))), 1, 2, max_len, beam_size)


def wider_is_better(rng):
    """A model for which four places find something else than fewer, and three something else than one."""
    for number in itertools.count(int(rng.integers(1 << 30))):
        model = tree(number, 6, end_id=2)
        one, two, three, four = (tuple(reference(model, 1, 2, 6, width)) for width in (1, 2, 3, 4))
        if len({one, three, four}) == 3 and two != four:
            return ModelCall(model, 1, 2, 6, 4)


def any_model(rng):
    return ModelCall(tree(int(rng.integers(1 << 30)), 6, end_id=2, ends=-1.0), 1, 2, 7, 3)


def the_better_way_begins_worse(rng):
    """Greedy takes the likelier first word, and finds nothing good after it."""
    first, second, after = rng.permutation([3, 4, 5]).tolist()
    model = table(
        {
            (1,): {first: 0.5, second: 0.4},
            (1, first): {3: 0.2, 4: 0.2, 5: 0.25, 2: 0.3},
            (1, second): {after: 0.9},
            (1, second, after): {2: 0.95},
        },
        vocab=6,
    )
    return ModelCall(model, 1, 2, 6, 2)


def impossible_tokens(rng):
    model = tree(int(rng.integers(1 << 30)), 7, end_id=2)

    def next_token_logits(ids):
        logits = model(ids)
        logits[[0, 3]] = -np.inf
        return logits

    return ModelCall(next_token_logits, 1, 2, 6, 3)


EXERCISE = Exercise(
    name="beam_search",
    lesson="06_translation",
    kind="write",
    points=4,
    difficulty=4,
    minutes=35,
    asks="Keep the beam_size best beginnings, extend each by every token, keep the best again. Return the best one's "
    "ids.",
    reference=reference,
    returns=("ids",),
    cases=(
        Case("two words, then the end", says([5, 4, 2], 6)),
        Case("one beam is greedy search", telling_apart(vocab=6, beam_size=1)),
        Case("the better way begins worse", the_better_way_begins_worse, "greedy search takes the likelier first word"),
        Case("room for start_id alone", says([5, 2], 6, max_len=1)),
        Case("a model that never ends", says([5, 4, 3], 6, max_len=6), "max_len stops it"),
        Case(
            "a longer hypothesis that is worse",
            telling_apart(divided_by_the_length, divided_at_the_end),
            "the score is the sum of log-probabilities, whatever the length",
        ),
        Case(
            "a finished hypothesis is overtaken",
            telling_apart(first_finished_wins, is_extended),
            "one that is still on its way has the higher score in the end",
        ),
        Case(
            "a finished hypothesis holds its place",
            telling_apart(leaves_the_beam, ends=1.0),
            "it fills one of the beam_size places",
        ),
        Case(
            "cut at max_len",
            telling_apart(cut_ones_dropped, vocab=4, max_len=4),
            "hypotheses without an end compete as they are",
        ),
        Case("the end has a price", telling_apart(end_not_counted, ends=-1.0), "its log-probability counts"),
        Case("one beginning takes all places", telling_apart(each_hypothesis_by_itself, one_more_beam, vocab=6)),
        Case(
            "logits of different heights",
            telling_apart(raw_logits, probabilities_added, shift=5.0),
            "they are normalised after each beginning anew",
        ),
        Case("four places", wider_is_better, "fewer of them find something worse"),
        Case("more places than words", telling_apart(vocab=4, max_len=4, beam_size=9)),
        Case("other ids for start and end", says([2, 0, 1, 5], 6, start_id=3, end_id=5)),
        Case("large logits", says([5, 4, 2], 6, size=50.0, shift=1000.0), "exp of 1000 is too large for a float64"),
        Case("impossible tokens", impossible_tokens, "their logit is minus infinity"),
        Case("any model", any_model),
    ),
    properties=(
        Property("one beam is greedy search", one_beam_is_greedy),
        Property("no hypothesis is longer than max_len", never_longer_than_max_len),
        Property("with room for all, the best of all is found", a_beam_as_wide_as_all_there_is_finds_the_best),
    ),
    misconceptions=(
        greedy_only,
        one_more_beam,
        one_fewer_beam,
        raw_logits,
        probabilities_added,
        divided_by_the_length,
        divided_at_the_end,
        leaves_the_beam,
        is_extended,
        first_finished_wins,
        cut_ones_dropped,
        end_not_counted,
        each_hypothesis_by_itself,
        never_stops,
        one_too_many,
        one_too_few,
        score_too,
        start_dropped,
        end_dropped,
        worst_first,
        overflows,
        all_beams_returned,
    ),
    alternatives=(plain, stops_when_the_best_is_finished, in_arrays),
    hints=(
        "A beam is a list of hypotheses: score, ids, finished or not. One step makes of it a longer list of "
        "candidates, and keeps the best of these.",
        "For each hypothesis: if it is finished, it is a candidate as it is; else each token makes one, with the "
        "token's log-probability added. Sort all candidates by score, keep beam_size. Stop when all are finished or as "
        "long as max_len. The first one's ids are the result.",
        "beam = sorted(candidates, key=lambda candidate: candidate[0], reverse=True)[:beam_size]",
    ),
)
