"""A small English-German corpus made from our own grammar: a translator for it trains offline in minutes.

    from clearformer.data import tiny_translation
    for english, german in tiny_translation.load("test")[:5]: ...

`words` holds the dictionary, `german` and `english` say how a sentence is put into words, `sentences` which
sentences there are, `corpus` which of them are for training and which combinations of words are held out.
"""

from clearformer.data.tiny_translation.corpus import SIZES, Pair, load

__all__ = ["SIZES", "Pair", "load"]
