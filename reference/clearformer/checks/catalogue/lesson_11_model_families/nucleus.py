"""nucleus: find the three mistakes in a top-p that keeps the wrong words."""

import numpy as np

from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception


def nucleus(probabilities, top_p):
    """The mended code."""
    order = np.argsort(probabilities)[::-1]
    sorted_probabilities = np.array(probabilities)[order]
    before = np.cumsum(sorted_probabilities) - sorted_probabilities
    kept = np.zeros(len(probabilities))
    kept[order] = np.where(before < top_p, sorted_probabilities, 0.0)
    return (kept / kept.sum()).tolist()


def the_likeliest_always_stays(answer, rng):
    probabilities, _ = any_words(rng).args
    kept = answer.call(probabilities, 0.01)
    likeliest = int(np.argmax(probabilities))
    return None if kept[likeliest] > 0.99 else f"with top_p 0.01 the likeliest word has {kept[likeliest]:.2f}, not 1"


def enough_is_kept(answer, rng):
    probabilities, top_p = any_words(rng).args
    held = sum(p for p, kept in zip(probabilities, answer.call(probabilities, top_p), strict=True) if kept > 0)
    return None if held >= top_p - 1e-9 else f"the words kept had {held:.2f} of the probability, less than {top_p}"


# Wrong answers: the code as it was found, half-mended, and mended at the cost of something else -----------------


def falling(probabilities):
    return np.argsort(-probabilities)


def rising(probabilities):
    return np.argsort(probabilities)


def until_crossed(sorted_probabilities, top_p):
    return np.cumsum(sorted_probabilities) - sorted_probabilities < top_p


def before_crossing(sorted_probabilities, top_p):
    return np.cumsum(sorted_probabilities) <= top_p


def put_back(kept, order):
    result = np.zeros_like(kept)
    result[order] = kept
    return result


def left_sorted(kept, order):
    return kept


def normalised(kept):
    return kept / kept.sum()


def variant(sort=falling, keep=until_crossed, back=put_back, finish=normalised):
    """The code with some of its lines in another form."""

    def nucleus(probabilities, top_p):
        probabilities = np.array(probabilities)
        order = sort(probabilities)
        sorted_probabilities = probabilities[order]
        kept = np.where(keep(sorted_probabilities, top_p), sorted_probabilities, 0.0)
        return finish(back(kept, order)).tolist()

    return nucleus


def wrong(slug, says, **changes):
    return misconception(slug, says)(variant(**changes))


as_found = wrong(
    "as-found",
    "This returns what the code returned before. Run the experiments above the exercise again: which words are kept, "
    "does the one that crosses top_p belong to them, and whose probability stands in which place?",
    sort=rising,
    keep=before_crossing,
    back=left_sorted,
)
order_left = wrong(
    "sorted-upwards",
    "Two mistakes are mended, one is left: the sum begins with the unlikeliest word, so these are kept. Sort from the "
    "likeliest down.",
    sort=rising,
)
crossing_left = wrong(
    "crossing-word-cut",
    "Two mistakes are mended, one is left: the word with which the sum crosses top_p is cut. It belongs to the set. "
    "Where the first word alone crosses, nothing would be left. Compare the sum *before* each word with top_p.",
    keep=before_crossing,
)
places_left = wrong(
    "left-in-sorted-order",
    "Two mistakes are mended, one is left: the result stands in sorted order, so each word has another one's "
    "probability. Put each back in its own place: kept[order] = …",
    back=left_sorted,
)
order_and_crossing_left = wrong(
    "sorted-upwards-and-crossing-word-cut",
    "The places are right now, and two mistakes are left: where the sum begins, and where it stops.",
    sort=rising,
    keep=before_crossing,
)
order_and_places_left = wrong(
    "sorted-upwards-and-left-in-order",
    "The word that crosses top_p is kept now, and two mistakes are left: with which words the sum begins, and in which "
    "places the result stands.",
    sort=rising,
    back=left_sorted,
)
crossing_and_places_left = wrong(
    "crossing-word-cut-and-left-in-order",
    "The sum begins with the likeliest word now, and two mistakes are left: where it stops, and in which places the "
    "result stands.",
    keep=before_crossing,
    back=left_sorted,
)
not_normalised = wrong(
    "does-not-sum-to-1",
    "The right words are kept, but what is left does not sum to 1. Divide by its sum, as the code did before.",
    finish=lambda kept: kept,
)
evened_out = wrong(
    "all-alike",
    "The right words are kept, but all have the same probability now. Among themselves they keep their proportions.",
    finish=lambda kept: (kept > 0) / (kept > 0).sum(),
)
softmax_again = wrong(
    "softmax-of-probabilities",
    "You took a softmax of probabilities, which brings back words that were cut. Divide by the sum.",
    finish=lambda kept: np.exp(kept) / np.exp(kept).sum(),
)


@misconception(
    "one-word-too-many",
    "You keep one word more: the sum has crossed top_p already, and the next one is still kept. The word that crosses "
    "is the last.",
)
def one_word_too_many(probabilities, top_p):
    sorted_probabilities = np.sort(probabilities)[::-1]
    number = int(until_crossed(sorted_probabilities, top_p).sum()) + 1
    kept = np.where(np.arange(len(probabilities)) < number, sorted_probabilities, 0.0)
    return normalised(put_back(kept, np.argsort(probabilities)[::-1])).tolist()


@misconception(
    "each-word-compared-alone",
    "You compare each word's own probability with something. What counts is the sum of the likeliest words.",
)
def each_word_compared_alone(probabilities, top_p):
    return normalised(np.where(np.array(probabilities) >= 1 - top_p, probabilities, 0.0)).tolist()


@misconception(
    "put-back-with-the-wrong-order",
    "The right words are kept, but put into wrong places: kept[order] = sorted puts them back, and sorted[order] does "
    "not, it sorts once more.",
)
def put_back_wrongly(probabilities, top_p):
    return variant(back=lambda kept, order: kept[order])(probabilities, top_p)


@misconception(
    "changes-its-input",
    "The result is right, but you changed the probabilities themselves. Whoever called you still needs them.",
)
def changes_its_input(probabilities, top_p):
    result = variant()(probabilities, top_p)
    probabilities[:] = result
    return list(result)


plain = variant()


def by_a_loop(probabilities, top_p):
    """Another right answer: word after word."""
    kept, total = [0.0] * len(probabilities), 0.0
    for word in sorted(range(len(probabilities)), key=lambda each: -probabilities[each]):
        kept[word] = probabilities[word]
        total += probabilities[word]
        if total >= top_p:
            break
    return [probability / total for probability in kept]


def by_a_border(probabilities, top_p):
    """Another right answer: the smallest probability that is kept, and all that are no smaller."""
    probabilities = np.array(probabilities)
    fall = np.sort(probabilities)[::-1]
    border = fall[min(int(np.searchsorted(fall.cumsum(), top_p)), len(fall) - 1)]
    kept = probabilities * (probabilities >= border)
    return (kept / kept.sum()).tolist()


def of(*probabilities, top_p):
    return lambda rng: Call([*probabilities], top_p)


def any_words(rng):
    return Call(rng.dirichlet(np.ones(12)).tolist(), float(rng.uniform(0.4, 0.9)))


EXERCISE = Exercise(
    name="nucleus",
    lesson="11_model_families",
    kind="hunt",
    points=2,
    difficulty=3,
    minutes=15,
    asks="Mend the three mistakes in top-p sampling.",
    reference=nucleus,
    returns=("probabilities",),
    cases=(
        Case("two words, one is not enough", of(0.3, 0.7, top_p=0.8), "the second one crosses"),
        Case("two words, one is enough", of(0.7, 0.3, top_p=0.6), "the likeliest alone crosses top_p"),
        Case("three words in any order", of(0.2, 0.5, 0.3, top_p=0.6)),
        Case("the likeliest is last", of(0.05, 0.1, 0.25, 0.6, top_p=0.75)),
        Case("the sum is top_p exactly", of(0.125, 0.5, 0.125, 0.25, top_p=0.75), "then nothing crosses it any more"),
        Case("everything", of(0.3, 0.1, 0.4, 0.2, top_p=1.0), "top_p 1 keeps every word"),
        Case("one word has nearly all", of(0.01, 0.02, 0.96, 0.01, top_p=0.9)),
        Case("five words", of(0.1, 0.35, 0.05, 0.3, 0.2, top_p=0.7)),
        Case("any words", any_words),
    ),
    properties=(
        Property("the likeliest word always stays", the_likeliest_always_stays),
        Property("what is kept holds at least top_p", enough_is_kept),
    ),
    misconceptions=(
        as_found,
        order_left,
        crossing_left,
        places_left,
        order_and_crossing_left,
        order_and_places_left,
        crossing_and_places_left,
        not_normalised,
        evened_out,
        softmax_again,
        one_word_too_many,
        each_word_compared_alone,
        put_back_wrongly,
        changes_its_input,
    ),
    alternatives=(plain, by_a_loop, by_a_border),
    hints=(
        "Take the probabilities 0.2, 0.5, 0.3 and top_p 0.6, and go through the code line by line with a pencil. Which "
        "words should be kept, and with which probabilities?",
        "Sort from the likeliest down. A word is kept if the sum of those before it is below top_p. Then each kept "
        "probability goes back to its own place, and all are divided by their sum.",
        "before = np.cumsum(sorted_probabilities) - sorted_probabilities",
    ),
)
