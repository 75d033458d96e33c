"""How good a translator is: BLEU and chrF on the test sets of its data, greedy and by beam search."""

from typing import NamedTuple

from clearformer.data.translation_pairs import read_pairs, test_sets
from clearformer.evaluation import bleu, chrf
from clearformer.translator.moses import tokenised


class TestScore(NamedTuple):
    """One row of the result. text: "plain" or "tokenised"; search: "greedy" or "beam 5"; bleu, chrf: Score."""

    test_set: str
    text: str
    search: str
    bleu: object
    chrf: object


def score(translator, test_set, beam_size=None, progress=False):
    """The TestScores of a translator on one test set, and its translations: (rows, {search: lines}).

    On Multi30k each search has two rows: plain text, and lower-cased and tokenised as in published figures. A
    translator of tokenised text has only the latter.
    """
    data_set, text = data_of(translator)
    pairs = read_pairs(data_set, test_set, text)
    beam_size = translator.beam_size if beam_size is None else beam_size
    rows, translations = [], {}
    searches = {"greedy": (1, 0.0)}
    if beam_size > 1:
        searches[f"beam {beam_size}"] = beam_size, translator.length_penalty
    for search, (size, penalty) in searches.items():
        found = translator.translate(pairs.sources, size, penalty, progress)
        translations[search] = found
        for kind, ours, theirs in _forms(data_set, text, test_set, found, pairs.targets):
            rows.append(TestScore(test_set, kind, search, bleu(ours, theirs, kind == "tokenised"), chrf(ours, theirs)))
    return rows, translations


def data_of(translator):
    """(data set, text) that a translator was trained on. ValueError where it does not say."""
    recipe = translator.about.get("recipe", {})
    if "data_set" not in recipe:
        raise ValueError("the translator does not say which data it was trained on, so there is no test set for it")
    return recipe["data_set"], recipe.get("text", "plain")


def all_test_sets(translator):
    """The names of the test sets of its data."""
    return test_sets(data_of(translator)[0])


def _forms(data_set, text, test_set, found, references):
    if text == "tokenised":
        yield "tokenised", found, references
        return
    yield "plain", found, references
    if data_set == "multi30k":
        yield "tokenised", tokenised(found, "de"), read_pairs(data_set, test_set, "tokenised").targets
