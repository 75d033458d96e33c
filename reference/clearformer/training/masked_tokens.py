"""The objective of BERT: hide some tokens, and ask for them (Devlin et al. 2019, section 3.1)."""

import numpy as np

IGNORED = -100  # the label that F.cross_entropy leaves out unless told otherwise


def mask_tokens(token_ids, mask_id, vocab_size, special_ids, rng, rate=0.15):
    """Choose tokens to be predicted, and hide most of them. Returns (inputs, labels), both of token_ids' shape.

    token_ids: whole numbers from 0 to vocab_size - 1, an array of any shape; special_ids: ids that are never chosen,
    such as padding; rng: a numpy Generator. Each other token is chosen by itself with probability `rate`. A chosen
    token becomes mask_id in 80 of 100 cases, a random id that is none of special_ids in 10, and stays in 10. inputs
    have token_ids' dtype. labels: int64, the token that was there where one was chosen, -100 elsewhere. token_ids are
    not changed. ValueError where token_ids are no ids below vocab_size, mask_id is none, rate is not from 0 to 1, or
    all ids are special.
    """
    token_ids = np.asarray(token_ids)
    ordinary = _require(token_ids, mask_id, vocab_size, special_ids, rate)
    chosen = (rng.random(token_ids.shape) < rate) & ~np.isin(token_ids, special_ids)
    lot = rng.random(token_ids.shape)
    inputs = np.where(chosen & (lot < 0.8), mask_id, token_ids)
    inputs = np.where(chosen & (lot >= 0.9), ordinary[rng.integers(ordinary.size, size=token_ids.shape)], inputs)
    return inputs.astype(token_ids.dtype), np.where(chosen, token_ids.astype(np.int64), IGNORED)


def _require(token_ids, mask_id, vocab_size, special_ids, rate):
    """The ids that are not special."""
    if token_ids.dtype.kind not in "iu":
        raise ValueError(f"token_ids must be whole numbers; got {token_ids.dtype}")
    if token_ids.size and not 0 <= token_ids.min() <= token_ids.max() < vocab_size:
        raise ValueError(f"token_ids must be from 0 to {vocab_size - 1}; got {token_ids.min()} to {token_ids.max()}")
    if not 0 <= mask_id < vocab_size:
        raise ValueError(f"mask_id must be from 0 to {vocab_size - 1}; got {mask_id}")
    if not 0.0 <= rate <= 1.0:
        raise ValueError(f"rate must be from 0 to 1; got {rate!r}")
    ordinary = np.setdiff1d(np.arange(vocab_size), special_ids)
    if not ordinary.size:
        raise ValueError(f"special_ids must leave some of the {vocab_size} ids; got all of them")
    return ordinary
