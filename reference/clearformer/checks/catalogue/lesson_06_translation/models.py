"""Models for the decoders of this lesson: a function from ids to logits, which needs no training."""

import functools

import numpy as np

from clearformer.checks.given import Callback

CALLS, CALLS_OF_A_BEAM = 100, 300  # in one question; no right answer needs half as many


def callback(function, calls=CALLS):
    return Callback(function, "next_token_logits", limit=calls)


def scripted(path, vocab, size=1.0, shift=0.0):
    """Says path[0] first, then path[1] and so on, whatever was chosen; after its end, the last token for ever."""

    def next_token_logits(ids):
        said = path[min(len(ids), len(path)) - 1]
        return size * (np.arange(vocab) == said) - 0.01 * size * np.arange(vocab) + shift

    return next_token_logits


def tree(seed, vocab, end_id, ends=0.0, size=2.0, shift=0.0):
    """Other logits after each beginning; `ends` is added to end_id's, `shift` times a number of its own to all."""

    @functools.cache
    def after(*ids):
        rng = np.random.default_rng([seed, *ids])
        logits = size * rng.normal(size=vocab)
        logits[end_id] += ends
        return logits + shift * rng.normal()

    return lambda ids: after(*map(int, ids)).copy()


def table(after, vocab):
    """{ids so far: {token: probability}}, as a model; the rest of the probability goes to the other tokens alike."""

    def next_token_logits(ids):
        told = after.get(tuple(ids), {})
        rest = (1.0 - sum(told.values())) / max(vocab - len(told), 1)
        return np.log([told.get(token, rest) for token in range(vocab)])

    return next_token_logits
