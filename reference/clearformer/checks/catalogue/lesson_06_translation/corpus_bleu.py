"""corpus_bleu: how much of the translations is found in the references."""

import math
from collections import Counter
from itertools import chain

import numpy as np

from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception
from clearformer.evaluation import corpus_bleu as reference

WORDS = (
    "a",
    "the",
    "man",
    "woman",
    "dog",
    "bike",
    "rides",
    "runs",
    "red",
    "blue",
    "street",
    "park",
    "in",
    "on",
    "by",
    "two",
)


def the_order_of_the_sentences_changes_nothing(answer, rng):
    hypotheses, references = any_corpus(rng).args
    forward, backward = answer.call(hypotheses, references), answer.call(hypotheses[::-1], references[::-1])
    return (
        None if abs(forward - backward) < 1e-9 else f"turned round, the corpus gets {backward:.4f}, not {forward:.4f}"
    )


def a_corpus_twice_scores_the_same(answer, rng):
    hypotheses, references = any_corpus(rng).args
    once, twice = answer.call(hypotheses, references), answer.call(2 * hypotheses, 2 * references)
    return (
        None if abs(once - twice) < 1e-9 else f"with every sentence twice, the corpus gets {twice:.4f}, not {once:.4f}"
    )


def right_translations_get_100(answer, rng):
    _, references = any_corpus(rng).args
    found = answer.call(references, references)
    return None if abs(found - 100) < 1e-9 else f"translations equal to their references get {found:.4f}"


# Wrong answers: the count, with one part in another form ----------------------------------------------------------


def ngrams(tokens, order):
    return Counter(tuple(tokens[place : place + order]) for place in range(len(tokens) - order + 1))


def clipped(found, wanted):
    return sum(min(count, wanted[ngram]) for ngram, count in found.items())


def geometric(precisions):
    return math.exp(sum(map(math.log, precisions)) / len(precisions)) if all(precisions) else 0.0


def short_only(hypothesis_length, reference_length):
    if not hypothesis_length:
        return 0.0
    return math.exp(min(0.0, 1 - reference_length / hypothesis_length))


def plain_total(hypothesis, reference, order):
    return max(len(hypothesis) - order + 1, 0)


def variant(
    *,
    orders=(1, 2, 3, 4),
    matches=clipped,
    total=plain_total,
    mean=geometric,
    penalty=short_only,
    factor=100,
    added=0,
):
    def corpus_bleu(hypotheses, references):
        matched, totals = dict.fromkeys(orders, 0), dict.fromkeys(orders, 0)
        for hypothesis, wanted in zip(hypotheses, references, strict=True):
            for order in orders:
                matched[order] += matches(ngrams(hypothesis, order), ngrams(wanted, order))
                totals[order] += total(hypothesis, wanted, order)
        lengths = sum(map(len, hypotheses)), sum(map(len, references))
        precisions = [(matched[n] + added * (n > 1)) / max(totals[n] + added * (n > 1), 1) for n in orders]
        return factor * penalty(*lengths) * mean(precisions)

    return corpus_bleu


def wrong(slug, says, **changes):
    return misconception(slug, says)(variant(**changes))


def by_sentence(hypotheses, references, one=reference):
    scores = [one([hypothesis], [wanted]) for hypothesis, wanted in zip(hypotheses, references, strict=True)]
    return sum(scores) / len(scores) if scores else 0.0


mean_of_sentences = misconception(
    "mean-of-sentences",
    "You score each sentence and take the mean. BLEU counts over the whole corpus first, and divides once: matches of "
    "all sentences by n-grams of all sentences.",
)(by_sentence)


@misconception(
    "precisions-averaged-over-sentences",
    "You take each sentence's precision and average these. Count matches and n-grams over the whole corpus, then "
    "divide.",
)
def precisions_averaged(hypotheses, references):
    precisions = []
    for order in (1, 2, 3, 4):
        shares = [
            clipped(ngrams(hypothesis, order), ngrams(wanted, order)) / (len(hypothesis) - order + 1)
            for hypothesis, wanted in zip(hypotheses, references, strict=True)
            if len(hypothesis) >= order
        ]
        precisions.append(sum(shares) / len(shares) if shares else 0.0)
    return 100 * short_only(sum(map(len, hypotheses)), sum(map(len, references))) * geometric(precisions)


@misconception(
    "penalty-by-sentence",
    "You work out the brevity penalty for each sentence and take the mean. It compares the lengths of the whole "
    "corpus: a short sentence and a long one may balance.",
)
def penalty_by_sentence(hypotheses, references):
    penalties = [short_only(len(h), len(r)) for h, r in zip(hypotheses, references, strict=True)]
    mean = sum(penalties) / len(penalties) if penalties else 0.0
    return mean * variant(penalty=lambda hypothesis_length, reference_length: 1.0)(hypotheses, references)


@misconception(
    "sentences-joined",
    "You join all sentences into one, so that n-grams run across their borders and match n-grams of other sentences. "
    "Each translation is compared with its own reference.",
)
def sentences_joined(hypotheses, references):
    return reference([[*chain(*hypotheses)]], [[*chain(*references)]])


@misconception(
    "stops-without-a-match",
    "Where an order has no match your code stops: 0 has no logarithm. This exercise asks for 0.0 there.",
)
def stops_without_a_match(hypotheses, references):
    def mean(precisions):
        return math.exp(sum(math.log(precision) for precision in precisions) / 4)

    return variant(mean=mean)(hypotheses, references)


not_clipped = wrong(
    "not-clipped",
    "You count every n-gram that occurs in the reference, however often the translation repeats it. It counts at most "
    "as often as the reference has it: the smaller of the two counts.",
    matches=lambda found, wanted: sum(count for ngram, count in found.items() if ngram in wanted),
)
each_counted_once = wrong(
    "each-counted-once",
    "You count different n-grams, each once. One that stands twice in both counts twice: compare counts, not sets.",
    matches=lambda found, wanted: len(set(found) & set(wanted)),
)
no_penalty = wrong(
    "no-brevity-penalty",
    "Nothing in your score says that a translation is too short. Where the translations together are shorter than the "
    "references, multiply by exp(1 − r/h).",
    penalty=lambda hypothesis_length, reference_length: 1.0,
)
penalty_for_length_too = wrong(
    "reward-for-length",
    "Your brevity penalty is larger than 1 where the translations are too long. It is 1 there.",
    penalty=lambda h, r: math.exp(1 - r / h) if h else 0.0,
)
penalty_is_a_ratio = wrong(
    "penalty-is-the-ratio",
    "Your brevity penalty is the ratio of the lengths. It is exp(1 − r/h).",
    penalty=lambda h, r: min(1.0, h / r) if r else 0.0,
)
penalty_upside_down = wrong(
    "penalty-upside-down",
    "Your brevity penalty has the two lengths the wrong way round: exp(1 − h/r). It is exp(1 − r/h), r of the "
    "references, h of the translations.",
    penalty=lambda h, r: math.exp(min(0.0, 1 - h / r)) if r else 0.0,
)
arithmetic_mean = wrong(
    "arithmetic-mean",
    "You add up the four precisions and divide by 4. BLEU takes the geometric mean: the fourth root of their product.",
    mean=lambda precisions: sum(precisions) / 4,
)
product = wrong(
    "product",
    "You multiply the four precisions and stop there. The geometric mean is the fourth root of the product.",
    mean=math.prod,
)
words_only = wrong(
    "words-only",
    "You count single words. BLEU takes n-grams of 1 to 4 words, four precisions in all.",
    orders=(1,),
)
up_to_3 = wrong("up-to-3", "You stop at three words. BLEU goes up to n-grams of four.", orders=(1, 2, 3))
up_to_2 = wrong("up-to-2", "You stop at pairs of words. BLEU goes up to n-grams of four.", orders=(1, 2))
order_4_only = wrong(
    "order-4-only",
    "You count n-grams of four words alone. BLEU takes the mean over n-grams of 1, 2, 3 and 4.",
    orders=(4,),
)
share_instead_of_percent = wrong(
    "0-to-1",
    "Right, as a share of 1. This exercise asks for the usual scale, 0 to 100.",
    factor=1,
)
smoothed = wrong(
    "smoothed",
    "You add 1 to the counts of the longer n-grams, which some programs do for single sentences. This exercise asks "
    "for no smoothing: 0.0 where an order has no match.",
    added=1,
)
recall = wrong(
    "recall",
    "You divide by the n-grams of the references, which is recall. BLEU divides by the n-grams of the translations.",
    total=lambda hypothesis, wanted, order: max(len(wanted) - order + 1, 0),
)
negative_totals = wrong(
    "negative-totals",
    "A sentence of two words adds −1 to your number of 4-grams: len − n + 1 is negative there. It has none: count 0.",
    total=lambda hypothesis, wanted, order: len(hypothesis) - order + 1,
)
divided_by_the_words = wrong(
    "divided-by-the-words",
    "You divide the matches of every order by the number of words. A sentence of h words has h − n + 1 n-grams.",
    total=lambda hypothesis, wanted, order: len(hypothesis),
)

plain = variant()


def by_cutting(hypotheses, references):
    """Another right answer: n-grams as joined strings, all logarithms added up, NumPy numbers."""
    matched, totals = np.zeros(4), np.zeros(4)
    for hypothesis, wanted in zip(hypotheses, references, strict=True):
        for n in range(4):
            left = [" ".join(wanted[k : k + n + 1]) for k in range(len(wanted) - n)]
            for k in range(len(hypothesis) - n):
                ngram = " ".join(hypothesis[k : k + n + 1])
                totals[n] += 1
                if ngram in left:
                    left.remove(ngram)
                    matched[n] += 1
    if not matched.all():
        return 0.0
    h, r = (sum(len(tokens) for tokens in side) for side in (hypotheses, references))
    return np.exp(np.log(matched / totals).mean() + min(0.0, 1 - r / h)) * 100


def order_by_order(hypotheses, references):
    """Another right answer: one order after the other, and the root of the product."""
    product = 1.0
    for order in (1, 2, 3, 4):
        pairs = [(ngrams(h, order), ngrams(r, order)) for h, r in zip(hypotheses, references, strict=True)]
        total = sum(found.total() for found, _ in pairs)
        product *= sum((found & wanted).total() for found, wanted in pairs) / total if total else 0
    if product == 0:
        return 0.0
    h, r = (sum(map(len, side)) for side in (hypotheses, references))
    return 100 * product**0.25 * (1 if h >= r else math.exp(1 - r / h))


# What is drawn ------------------------------------------------------------------------------------------------


def corpus(*sentences):
    """A case's draw: pairs "hypothesis|reference", in which each letter stands for another word each time."""

    def draw(rng):
        words = dict(zip("abcdefghijklmnop", rng.permutation(WORDS).tolist(), strict=True))
        sides = zip(*(pair.split("|") for pair in sentences), strict=True)
        return Call(*([[words[letter] for letter in sentence] for sentence in side] for side in sides))

    return draw


def any_corpus(rng):
    """Sentences with some words replaced, left out or doubled; the first begins like its reference."""
    hypotheses, references = [], []
    for number in range(6):
        wanted = rng.choice(WORDS, size=int(rng.integers(6, 12))).tolist()
        hypothesis = wanted[:5] if number == 0 else []
        for word in wanted[len(hypothesis) :]:
            kind = rng.random()
            hypothesis += [word, word] if kind < 0.1 else [] if kind < 0.25 else [word]
        hypotheses.append(hypothesis)
        references.append(wanted)
    return Call(hypotheses, references)


EXERCISE = Exercise(
    name="corpus_bleu",
    lesson="06_translation",
    kind="write",
    points=3,
    difficulty=3,
    minutes=25,
    asks="Return the BLEU of a corpus, 0 to 100: four precisions counted over all sentences, their geometric mean, the "
    "brevity penalty.",
    reference=reference,
    returns=("bleu",),
    cases=(
        Case("a right translation", corpus("abcde|abcde"), "100"),
        Case("the last word is wrong", corpus("abcdeg|abcdef")),
        Case("too short", corpus("abcdef|abcdefgh"), "all it says is right, and words are missing"),
        Case("too long", corpus("abcdefgh|abcdef"), "there is no penalty for length, but the precisions fall"),
        Case("a word too often", corpus("aabcdea|abcde"), "a counts once, as in the reference"),
        Case("a word twice in both", corpus("abacdef|abacdeg"), "a counts twice"),
        Case(
            "one sentence too short, one too long",
            corpus("abcdef|abcdefgh", "ijklmnop|ijklmn"),
            "together they are as long as the references",
        ),
        Case("two sentences, good and bad", corpus("abcdef|abcdef", "ijkamnbc|ijkldnop"), "counted together"),
        Case("a sentence of two words among others", corpus("abcdef|abcdeg", "hi|hi"), "it has no 4-gram"),
        Case("a sentence that matches its neighbour's reference", corpus("abcd|abcd", "efgh|ijkl", "ijkl|efgh")),
        Case("no four words in a row", corpus("abchefg|abcdefg"), "without a match of one order it is 0.0"),
        Case("only short sentences", corpus("abc|abc", "de|de"), "there is no 4-gram at all: 0.0"),
        Case("an empty translation among others", corpus("abcdef|abcdef", "|ghij")),
        Case("nothing translated", corpus("|abcd", "|ef"), "0.0"),
        Case("any corpus", any_corpus),
    ),
    properties=(
        Property("the order of the sentences changes nothing", the_order_of_the_sentences_changes_nothing),
        Property("every sentence twice changes nothing", a_corpus_twice_scores_the_same),
        Property("right translations get 100", right_translations_get_100),
    ),
    misconceptions=(
        mean_of_sentences,
        precisions_averaged,
        penalty_by_sentence,
        sentences_joined,
        stops_without_a_match,
        not_clipped,
        each_counted_once,
        no_penalty,
        penalty_for_length_too,
        penalty_is_a_ratio,
        penalty_upside_down,
        arithmetic_mean,
        product,
        words_only,
        up_to_3,
        up_to_2,
        order_4_only,
        share_instead_of_percent,
        smoothed,
        recall,
        negative_totals,
        divided_by_the_words,
    ),
    alternatives=(plain, by_cutting, order_by_order),
    hints=(
        "Three parts: matches and totals for n from 1 to 4, added up over all sentences; the geometric mean of the "
        "four precisions; the brevity penalty from the two lengths of the whole corpus.",
        "Count the n-grams of a sentence with Counter(zip(tokens, tokens[1:], …)). The matches of two Counters are "
        "(found & wanted).total(), which takes the smaller count of each. Any order without a match: 0.0. The mean is "
        "exp of the mean logarithm, the penalty exp(1 − r/h) where h < r.",
        "100 * math.exp(min(0.0, 1 - r / h) + sum(math.log(m / t) for m, t in zip(matches, totals)) / 4)",
    ),
    forbidden=("sacrebleu.corpus_bleu", "sacrebleu.metrics.BLEU", "nltk.translate.bleu_score.corpus_bleu"),
)
