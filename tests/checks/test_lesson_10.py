"""Answers to the exercises of lesson 10 that no misconception tells of, and right ones written in other ways."""

import math

import pytest
import torch
import torch.nn.functional as F

from clearformer.checks import catalogue, judge_here

SEEDS = (2017, 0, 1)


def verdict(name, target, seed=2017):
    return judge_here(catalogue.find(name), target, seed)


# --- rotary_embedding --------------------------------------------------------------------------------------------


def filled_in(x, positions, base=10000.0):
    """Angles in float32, and a result that is filled in place."""
    angle = positions[:, None] * base ** (-torch.arange(0, x.shape[-1], 2) / x.shape[-1])
    output = torch.zeros(x.shape)
    output[..., 0::2] = x[..., 0::2] * angle.cos() - x[..., 1::2] * angle.sin()
    output[..., 1::2] = x[..., 0::2] * angle.sin() + x[..., 1::2] * angle.cos()
    return output.to(x.dtype)


@pytest.mark.parametrize("seed", SEEDS)
def test_angles_in_single_precision_are_exact_enough(seed):
    found = verdict("rotary_embedding", filled_in, seed)
    assert found.status == "passed", found.message


def test_turning_x_itself_is_told_so():
    def in_place(x, positions, base=10000.0):
        x[...] = filled_in(x.clone(), positions, base)
        return x

    assert "x was changed in place" in verdict("rotary_embedding", in_place).message


def test_the_layout_of_hugging_face_is_called_the_other_one_not_a_wrong_one():
    def rotate_half(x, positions, base=10000.0):
        angle = torch.outer(positions.float(), 1.0 / base ** (torch.arange(0, x.shape[-1], 2).float() / x.shape[-1]))
        cos, sin = (torch.cat([each, each], dim=-1) for each in (angle.cos(), angle.sin()))
        first, second = x.chunk(2, dim=-1)
        return (x * cos + torch.cat([-second, first], dim=-1) * sin).to(x.dtype)

    found = verdict("rotary_embedding", rotate_half)
    assert found.misconception == "two-halves"
    assert "as good as the other" in found.message


# --- grouped_query_attention -------------------------------------------------------------------------------------


def test_pytorchs_attention_is_not_an_answer_with_groups_or_repeated():
    def with_groups(query, key, value, mask=None):
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, enable_gqa=True)

    def repeated(query, key, value, mask=None):
        key, value = (each.repeat_interleave(query.shape[1] // key.shape[1], dim=1) for each in (key, value))
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)

    for answer in (with_groups, repeated):
        assert verdict("grouped_query_attention", answer).misconception == "calls-the-answer"


# --- KeyValueCache -----------------------------------------------------------------------------------------------


class InTheClass:
    """Lists in the class's body, so that all caches share them."""

    keys, values = [], []

    def append(self, key, value):
        self.keys.append(key)
        self.values.append(value)
        return torch.cat(self.keys, dim=2), torch.cat(self.values, dim=2)


def test_a_shared_store_is_named_each_time_the_check_is_run():
    for seed in (*SEEDS, 2017):
        assert verdict("KeyValueCache", InTheClass, seed).misconception == "shared-by-all-caches"


def test_the_message_says_how_long_the_chunks_are_and_prints_no_tensors():
    class KeepsNothing:
        def append(self, key, value):
            return key * 2, value

    message = verdict("KeyValueCache", KeepsNothing).message
    assert "chunks of length (1, 1), batch=1" in message
    assert "tensor(" not in message


# --- attend_in_chunks --------------------------------------------------------------------------------------------


def test_turning_keys_back_by_their_distance_with_single_precision_angles_is_right_too():
    """Another right way: the query is left alone, and each key turned back by its distance."""

    def relative(chunks, w_query, w_key, w_value):
        x = torch.cat(list(chunks))
        query, key, value, outputs = x @ w_query, x @ w_key, x @ w_value, []
        for t in range(len(x)):
            distances = torch.arange(t + 1) - t  # 0 for itself, below 0 for those before
            scores = filled_in(key[: t + 1], distances) @ query[t] / math.sqrt(x.shape[1])
            outputs.append(scores.softmax(dim=0) @ value[: t + 1])
        return torch.stack(outputs)

    for seed in SEEDS:
        found = verdict("attend_in_chunks", relative, seed)
        assert found.status == "passed", found.message
