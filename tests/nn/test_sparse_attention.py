"""Sparse patterns and the ways to compute them, against dense attention under the same mask in float64."""

import warnings

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from clearformer.memory import AllocatedBytes
from clearformer.nn import (
    big_bird_mask,
    block_attention,
    global_mask,
    mask_of_layout,
    neighbour_mask,
    random_mask,
    receptive_field,
    sliding_window_attention,
    sliding_window_mask,
    strided_mask,
)

EXACT = 1e-10
property_test = settings(deadline=None, max_examples=40, derandomize=True, database=None)
lengths, windows = st.integers(1, 30), st.integers(1, 12)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def triple(seed, length, leading=(2, 3), d_k=4, d_v=5, size=1.0):
    return [
        size * torch.randn(*leading, length, d, generator=seeded(seed), dtype=torch.float64) for d in (d_k, d_k, d_v)
    ]


def dense(query, key, value, mask):
    """Rows without a key as zeros: torch gives NaN or zeros there, by version."""
    output = F.scaled_dot_product_attention(query, key, value, attn_mask=mask | ~mask.any(-1, keepdim=True))
    return output.masked_fill(~mask.any(-1, keepdim=True), 0.0)


# Patterns -------------------------------------------------------------------------------------------------------------


@property_test
@given(lengths, windows)
def test_each_pattern_is_its_rule_at_every_pair(length, size):
    rules = {
        "window": (sliding_window_mask(length, size), lambda i, j: 0 <= i - j < size),
        "neighbours": (neighbour_mask(length, size), lambda i, j: abs(i - j) <= size),
        "strided": (strided_mask(length, size), lambda i, j: j <= i and (i - j < size or (i - j) % size == 0)),
        "global": (global_mask(length, [0, length - 1]), lambda i, j: {i, j} & {0, length - 1} != set()),
    }
    for name, (mask, rule) in rules.items():
        assert mask.dtype == torch.bool
        assert mask.tolist() == [[rule(i, j) for j in range(length)] for i in range(length)], name


def test_random_keys_are_as_many_as_asked_for_differ_and_come_again():
    mask = random_mask(20, 6, seeded(1))
    assert mask.sum(-1).tolist() == [6] * 20
    assert torch.equal(mask, random_mask(20, 6, seeded(1))) and not torch.equal(mask, random_mask(20, 6, seeded(2)))
    assert len({tuple(row) for row in mask.tolist()}) > 10


def test_big_bird_is_the_three_patterns_together():
    parts = neighbour_mask(12, 1) | global_mask(12, [0, 1]) | random_mask(12, 2, seeded(5))
    assert torch.equal(big_bird_mask(12, 1, 2, 2, seeded(5)), parts)


@property_test
@given(lengths, st.integers(1, 6), st.integers(1, 6), st.integers(0, 99))
def test_the_receptive_field_is_what_moves_the_output(length, window, layers, seed):
    """Layers of attention with a residual, run: where does a changed token show?"""
    mask = sliding_window_mask(length, window) | random_mask(length, 1, seeded(seed))
    x = torch.eye(length, dtype=torch.float64)  # position j alone carries feature j
    for _ in range(layers):
        x = x + dense(torch.zeros_like(x), torch.zeros_like(x), x, mask)
    assert torch.equal(x > 0, receptive_field(mask, layers))


def test_a_window_reaches_one_less_than_itself_with_each_layer():
    field = receptive_field(sliding_window_mask(60, 5), 7)
    assert field[-1].nonzero()[0].item() == 59 - 7 * (5 - 1)


# Ways to compute ------------------------------------------------------------------------------------------------------


@property_test
@given(st.integers(0, 999), lengths, windows, st.sampled_from([0.0, 1.0, 50.0]))
def test_a_window_by_chunks_is_the_dense_one(seed, length, window, size):
    query, key, value = triple(seed, length, size=size)
    found = sliding_window_attention(query, key, value, window)
    assert (found - dense(query, key, value, sliding_window_mask(length, window))).abs().max() <= EXACT * max(1.0, size)


def test_gradients_of_a_window_are_the_dense_ones():
    inputs = [x.requires_grad_() for x in triple(0, 11, (2,))]
    direction = triple(1, 11, (2,))[2]
    found = torch.autograd.grad(sliding_window_attention(*inputs, 4), inputs, direction)
    oracle = torch.autograd.grad(dense(*inputs, sliding_window_mask(11, 4)), inputs, direction)
    assert max(float((a - b).abs().max()) for a, b in zip(found, oracle, strict=True)) <= EXACT


@property_test
@given(st.integers(0, 999), lengths, st.integers(1, 20), st.integers(1, 7), st.floats(0, 1))
def test_blocks_are_the_dense_attention_under_their_layout(seed, length_q, length_k, block_size, share):
    query = triple(seed, length_q)[0]
    _, key, value = triple(seed + 1, length_k)
    shape = -(-length_q // block_size), -(-length_k // block_size)
    layout = torch.rand(shape, generator=seeded(seed)) < share
    mask = mask_of_layout(layout, block_size, length_q, length_k)
    assert (
        block_attention(query, key, value, layout, block_size) - dense(query, key, value, mask)
    ).abs().max() <= EXACT


def test_window_global_and_random_blocks_are_the_dense_attention():
    query, key, value = triple(0, 61)
    layout = big_bird_mask(16, 1, 1, 2, seeded(3))
    mask = mask_of_layout(layout, 4, 61, 61)
    assert 0.2 < mask.double().mean() < 0.6
    assert (block_attention(query, key, value, layout, 4) - dense(query, key, value, mask)).abs().max() <= EXACT


def test_flex_attention_agrees():
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    query, key, value = triple(0, 24, (1, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it is slow without torch.compile
        blocks = create_block_mask(lambda b, h, i, j: (i >= j) & (i - j < 5), None, None, 24, 24, "cpu", BLOCK_SIZE=8)
        found = flex_attention(query, key, value, block_mask=blocks)
    assert (found - sliding_window_attention(query, key, value, 5)).abs().max() <= EXACT


def test_what_a_window_allocates_grows_with_the_length():
    peaks = []
    for length in (512, 2048):
        inputs = triple(0, length, (1,), 8, 8)
        with AllocatedBytes() as allocated:
            sliding_window_attention(*inputs, 16)
        peaks.append(allocated.peak)
    assert peaks[1] < 4.5 * peaks[0]
    assert peaks[1] < 2048 * 2048 * 8 / 8


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: sliding_window_mask(4, 0),
        lambda: sliding_window_mask(0, 3),
        lambda: random_mask(4, 5, seeded(0)),
        lambda: sliding_window_attention(*triple(0, 4), 0),
        lambda: sliding_window_attention(triple(0, 3)[0], *triple(0, 4)[1:], 2),
        lambda: block_attention(*triple(0, 4), torch.ones(2, 2), 2),
        lambda: block_attention(*triple(0, 4), torch.ones(2, 3, dtype=torch.bool), 2),
    ],
)
def test_what_does_not_fit_is_named(wrong):
    with pytest.raises(ValueError, match="must"):
        wrong()
