"""Linear attention: feature maps in place of the softmax, so that keys and values melt into one matrix.

The weight of key j for query i is φ(q_i)·φ(k_j) / Σ_m φ(q_i)·φ(k_m) (Katharopoulos et al. 2020, eq. 4 to 6). The sum
over the keys can be taken before the query is known.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F

CHUNK = 64


def elu_plus_one(x):
    """elu(x) + 1: positive everywhere, as weights have to be (Katharopoulos et al. 2020, eq. 7)."""
    return F.elu(x) + 1


class LinearState(NamedTuple):
    """All that is remembered of the keys and values so far; its size does not depend on how many they were.

    memory (..., d_f, d_v): Σ φ(k)ᵀ v; normaliser (..., d_f): Σ φ(k).
    """

    memory: torch.Tensor
    normaliser: torch.Tensor


def linear_attention(query, key, value, feature_map, causal=False):
    """Each query's weighted mean of the values, with weights φ(q)·φ(k), in time and memory linear in the length.

    query (..., T_q, d_k), key (..., T_k, d_k), value (..., T_k, d_v); feature_map: from (..., T, d_k) to (..., T, d_f),
    never negative. No scale. Returns (..., T_q, d_v); zeros where all weights are 0. causal: no query sees later keys
    (needs T_q = T_k): chunks of 64 see themselves by a masked product and all before them through the state.
    ValueError where the lengths do not fit.
    """
    query, key = feature_map(query), feature_map(key)  # (..., T, d_f)
    if causal:
        return _by_chunks(query, key, value, None)[0]
    return _read(query, _added(None, key, value))


def linear_attention_step(query, key, value, feature_map, state=None):
    """Causal linear attention that is carried on: (output, state after these tokens).

    Shapes as in linear_attention, T ≥ 1 new tokens. state: a LinearState of the tokens before, None at the start. With
    any cutting into calls, the outputs together are those of linear_attention(…, causal=True).
    """
    return _by_chunks(feature_map(query), feature_map(key), value, state)


def recurrent_linear_attention(query, key, value, feature_map):
    """linear_attention(…, causal=True) as a recurrence, a token at a time (Katharopoulos et al. 2020, eq. 16 to 20)."""
    query, key = feature_map(query), feature_map(key)
    _require_same_length(query, key, value)
    state, outputs = None, []
    for t in range(query.shape[-2]):
        now = slice(t, t + 1)
        state = _added(state, key[..., now, :], value[..., now, :])
        outputs.append(_read(query[..., now, :], state))
    return torch.cat(outputs, dim=-2)


def _by_chunks(query, key, value, state):
    _require_same_length(query, key, value)
    outputs = []
    for queries, keys, values in zip(*(x.split(CHUNK, dim=-2) for x in (query, key, value)), strict=True):
        weights = (queries @ keys.transpose(-2, -1)).tril()  # (..., chunk, chunk)
        mixed, total = weights @ values, weights.sum(dim=-1, keepdim=True)
        if state is not None:
            mixed = mixed + queries @ state.memory
            total = total + queries @ state.normaliser[..., None]
        outputs.append(_divided(mixed, total))
        state = _added(state, keys, values)
    return torch.cat(outputs, dim=-2), state


def _added(state, key, value):
    memory, normaliser = key.transpose(-2, -1) @ value, key.sum(dim=-2)
    return LinearState(memory, normaliser) if state is None else LinearState(
        state.memory + memory, state.normaliser + normaliser
    )  # fmt: skip


def _read(query, state):
    return _divided(query @ state.memory, query @ state.normaliser[..., None])


def _divided(mixed, total):
    return mixed / total.masked_fill(total == 0, 1.0)


def _require_same_length(query, key, value):
    if not query.shape[-2] == key.shape[-2] == value.shape[-2] > 0:
        lengths = query.shape[-2], key.shape[-2], value.shape[-2]
        raise ValueError(f"causal linear attention needs T_q = T_k, above 0; got lengths {lengths}")
