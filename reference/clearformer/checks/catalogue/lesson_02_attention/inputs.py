"""Inputs that the exercises of this lesson share."""

import numpy as np

# True = may be attended. Query 1 sees nothing; padding stands in front, inside and at the end.
WITH_A_HIDDEN_ROW = np.array([[True, False, True, True], [False] * 4, [False, True, True, False]])
PADDING = np.array([[False, True, True, True], [True, False, True, False]])[:, np.newaxis, np.newaxis, :]


def triple(rng, leading=(), queries=3, keys=4, d_k=4, d_v=5, size=1.0, dtype=np.float64):
    """query (..., queries, d_k), key (..., keys, d_k), value (..., keys, d_v); `size` scales query and key."""
    query = size * rng.normal(size=(*leading, queries, d_k))
    key = size * rng.normal(size=(*leading, keys, d_k))
    value = rng.normal(size=(*leading, keys, d_v))
    return query.astype(dtype), key.astype(dtype), value.astype(dtype)


def large_scores(rng):
    """As `triple`, with scores in the thousands; that of the first query and key is so for every seed."""
    query, key, value = triple(rng, size=60.0)
    query[0] = key[0] = 60.0
    return query, key, value


def one_key_far_ahead(rng, row, queries=3, keys=4):
    """As `triple`, but the key at `row` scores thousands above the others for every query."""
    query, key, value = triple(rng, queries=queries, keys=keys)
    query[:] = np.abs(query) + 1.0
    key[row] = 1000.0
    return query, key, value
