"""Wrong answers to the exercises of lesson 12 that no misconception tells of, and right ones written in other ways."""

import math

import pytest
import torch
import torch.nn.functional as F

from clearformer.checks import catalogue, judge_here
from clearformer.checks.answer import InProcessAnswer

SEEDS = (2017, 0, 1)


def verdict(name, target, seed=2017):
    return judge_here(catalogue.find(name), target, seed)


# --- how large the tensors are ----------------------------------------------------------------------------------


def largest(way, x):
    return InProcessAnswer(way).call_watched((x,), torch.ones_like(way(x)))["largest"]


def test_the_largest_tensor_of_the_forward_pass_is_seen():
    x = torch.ones(3, 4)
    assert largest(lambda x: x.sum(), x) == 12  # the argument itself
    assert largest(lambda x: (x @ torch.ones(4, 20)).sum(), x) == 80
    assert largest(lambda x: sum(part.sum() for part in torch.stack([x] * 4).unbind()), x) == 48
    assert largest(lambda x: x.sum() + torch.empty(5, 6).zero_()[0, 0], x) == 30
    assert largest(lambda x: torch.cat(torch.ones(7, 8).chunk(2)).sum() * x, x) == 56


def test_the_backward_pass_is_not_looked_at():
    class Wasteful(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return 2 * x

        @staticmethod
        def backward(ctx, grad):
            return 2 * grad + 0 * torch.ones(1000).sum()

    assert largest(Wasteful.apply, torch.ones(3, 4)) == 12


def all_scores_then_slices(query, key, value, block_size):
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    powers = (scores - scores.amax(dim=-1, keepdim=True)).exp()
    parts = zip(powers.split(block_size, dim=-1), value.split(block_size, dim=-2), strict=True)
    return sum(part @ values for part, values in parts) / powers.sum(dim=-1, keepdim=True)


def blocks_joined_before_the_softmax(query, key, value, block_size):
    blocks = [query @ keys.transpose(-2, -1) for keys in key.split(block_size, dim=-2)]
    return (torch.cat(blocks, dim=-1) / math.sqrt(query.shape[-1])).softmax(dim=-1) @ value


def all_pairs_multiplied_out(query, key, value, block_size):
    scores = (query[..., :, None, :] * key[..., None, :, :]).sum(dim=-1) / math.sqrt(query.shape[-1])
    return scores.softmax(dim=-1) @ value


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("way", [all_scores_then_slices, blocks_joined_before_the_softmax, all_pairs_multiplied_out])
def test_a_table_of_all_scores_is_seen_however_it_is_made(way, seed):
    found = verdict("online_softmax_attention", way, seed)
    assert (found.status, found.points) == ("failed", 0)
    assert found.misconception == "all-scores-at-once" or "as large as" in found.message or "dtype" in found.message


# --- wrong answers ------------------------------------------------------------------------------------------


def one_block_only(query, key, value, block_size):
    return F.softmax(query @ key[..., :block_size, :].mT / math.sqrt(query.shape[-1]), -1) @ value[..., :block_size, :]


def gradient_through_the_sum_alone(query, key, value, block_size):
    return catalogue.find("online_softmax_attention").alternatives[0](query.detach(), key, value, block_size)


def window_of_whole_chunks(query, key, value, window):
    chunks = [x.unflatten(-2, (-1, window)) for x in (query, key, value)]
    return F.softmax(chunks[0] @ chunks[1].mT, -1).matmul(chunks[2]).flatten(-3, -2)


def ignores_the_feature_map_of_the_caller(query, key, value, feature_map, causal=False):
    return catalogue.find("linear_attention").alternatives[0](query, key, value, torch.sigmoid, causal)


def causal_only_in_the_memory_of_the_first(query, key, value, feature_map, causal=False):
    q, k = feature_map(query), feature_map(key)
    shifted = torch.roll(k, 1, dims=-2)
    return q @ (shifted.mT @ value) / (q * k.sum(-2, keepdim=True)).sum(-1, keepdim=True)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("name", "sabotage"),
    [
        ("online_softmax_attention", one_block_only),
        ("online_softmax_attention", gradient_through_the_sum_alone),
        ("window_attention", window_of_whole_chunks),
        ("linear_attention", ignores_the_feature_map_of_the_caller),
        ("linear_attention", causal_only_in_the_memory_of_the_first),
        ("sliding_window_mask", lambda seq_len, window: torch.eye(seq_len, dtype=torch.bool)),
        ("attention_flops", lambda seq_len, d_model, d_ff: 24 * seq_len * d_model**2),
        ("attention_share", lambda seq_len, d_model, d_ff: 0.5),
        ("overtaking_length", 3000),
    ],
)
def test_a_wrong_answer_that_no_misconception_tells_of_does_not_pass(name, sabotage, seed):
    found = verdict(name, sabotage, seed)
    assert found.status in ("failed", "error") and found.points == 0


# --- right answers ------------------------------------------------------------------------------------------


def roll_kept_and_hidden(query, key, value, window):
    """As the solution has it, but in place on the scores."""
    query, key, value = (x.unflatten(-2, (-1, window)) for x in (query, key, value))
    key, value = (torch.cat([torch.roll(x, 1, dims=-3), x], dim=-2) for x in (key, value))
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    away = torch.arange(window)[:, None] + window - torch.arange(2 * window)
    scores = scores.masked_fill((away < 0) | (away >= window), -math.inf)
    scores[..., 0, :, :window] = -math.inf
    return (scores.softmax(dim=-1) @ value).flatten(-3, -2)


def by_einsum(query, key, value, feature_map, causal=False):
    q, k = feature_map(query), feature_map(key)
    if not causal:
        total = torch.einsum("...tf,...f->...t", q, k.sum(dim=-2))
        return torch.einsum("...tf,...fv->...tv", q, torch.einsum("...tf,...tv->...fv", k, value)) / total[..., None]
    memory = torch.einsum("...tf,...tv->...tfv", k, value).cumsum(dim=-3)
    total = torch.einsum("...tf,...tf->...t", q, k.cumsum(dim=-2))
    return torch.einsum("...tf,...tfv->...tv", q, memory) / total[..., None]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("window_attention", roll_kept_and_hidden),
        ("linear_attention", by_einsum),
        ("overtaking_length", 3072.0),
        (
            "attention_flops",
            lambda seq_len, d_model, d_ff: float(4 * seq_len * d_model * (2 * d_model + seq_len + d_ff)),
        ),
    ],
)
def test_other_right_answers_pass(name, right, seed):
    found = verdict(name, right, seed)
    assert found.status == "passed", found.message
