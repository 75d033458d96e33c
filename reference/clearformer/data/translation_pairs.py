"""Sentence pairs by the name of a data set, whichever it is."""

from typing import NamedTuple

DATA_SETS = ("tiny_translation", "multi30k")
TEXTS = ("plain", "tokenised")


class Pairs(NamedTuple):
    """sources (English) and targets (German): as many lines of text as each other."""

    sources: list
    targets: list


def read_pairs(data_set, split, text="plain"):
    """The Pairs of "train", "validation" or one of `test_sets`. DataError where the data is not there.

    data_set: "tiny_translation" or "multi30k". text: "plain", or for multi30k "tokenised" (and lower-cased).
    """
    if data_set == "multi30k":
        from clearformer.data import multi30k

        split = {"validation": "val"}.get(split, split)
        return Pairs(*(multi30k.load(split, language, text == "tokenised") for language in multi30k.LANGUAGES))
    from clearformer.data import tiny_translation

    pairs = tiny_translation.load(split)
    return Pairs([pair.english for pair in pairs], [pair.german for pair in pairs])


def test_sets(data_set):
    """The names of the splits that a translator trained on this data is measured on."""
    return ("test_2016_flickr", "test_2017_flickr", "test_2017_mscoco") if data_set == "multi30k" else ("test",)
