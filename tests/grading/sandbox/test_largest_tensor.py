"""The size of the tensors that an answer makes, told through the pipe."""

import pytest

from clearformer.checks import catalogue
from clearformer.checks.judge import SEED, judge
from clearformer.grading.sandbox.piped_answer import PipedAnswer, run_cell

RIGHT = """
import math
import torch

def online_softmax_attention(query, key, value, block_size):
    largest, total, mixed = torch.full_like(query[..., :1], -math.inf), 0.0, 0.0
    for keys, values in zip(key.split(block_size, dim=-2), value.split(block_size, dim=-2)):
        scores = query @ keys.transpose(-2, -1) / math.sqrt(query.shape[-1])
        new = torch.maximum(largest, scores.amax(dim=-1, keepdim=True))
        rescale, powers = (largest - new).exp(), (scores - new).exp()
        total = rescale * total + powers.sum(dim=-1, keepdim=True)
        mixed = rescale * mixed + powers @ values
        largest = new
    return mixed / total

def linear_attention(query, key, value, feature_map, causal=False):
    query, key = feature_map(query), feature_map(key)
    if not causal:
        return query @ (key.mT @ value) / (query * key.sum(-2, keepdim=True)).sum(-1, keepdim=True)
    memory = (key[..., :, None] * value[..., None, :]).cumsum(-3)
    return (query[..., None, :] @ memory).squeeze(-2) / (query * key.cumsum(-2)).sum(-1, keepdim=True)
"""
DENSE = """
def online_softmax_attention(query, key, value, block_size):
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    return scores.softmax(dim=-1) @ value
"""
LIES = """
from clearformer.checks import answer as beside
beside._Seen.largest = property(lambda self: {told}, lambda self, value: None)
"""


def asked(process, name):
    exercise = catalogue.find(name)
    return judge(exercise, PipedAnswer(process, exercise, 60, SEED), SEED)


@pytest.mark.parametrize("name", ["online_softmax_attention", "linear_attention"])
def test_a_right_answer_passes_behind_the_pipe(name, forked):
    process = forked()
    assert run_cell(process, 1, RIGHT, 20) is None
    verdict = asked(process, name)
    assert verdict.status == "passed", verdict.message


def test_a_table_of_all_scores_is_known_behind_the_pipe(forked):
    process = forked()
    assert run_cell(process, 1, RIGHT + DENSE, 20) is None
    assert asked(process, "online_softmax_attention").points == 0


@pytest.mark.parametrize("told", ["'small'", "-1", "True", "2.5", "None"])
def test_a_size_that_makes_no_sense_is_a_wrong_answer_and_no_crash(told, forked):
    process = forked()
    assert run_cell(process, 1, RIGHT + LIES.format(told=told), 20) is None
    verdict = asked(process, "online_softmax_attention")
    assert verdict.status in ("failed", "error") and verdict.points == 0
    assert run_cell(process, 2, "still = 'here'", 20) is None
