"""The counts of a layer's cost: against torch's own counter, against layers that are run, and by their laws."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from clearformer import complexity
from clearformer.nn import EncoderLayer

sizes = st.integers(1, 60)
property_test = settings(deadline=None, max_examples=40, derandomize=True, database=None)


def counted(function, *args):
    """Operations that torch counts while it runs: two for a multiplication with an addition."""
    with FlopCounterMode(display=False) as counter:
        function(*args)
    return counter.get_total_flops()


@pytest.mark.parametrize(("seq_len", "d_model", "heads", "d_ff"), [(7, 8, 2, 24), (33, 16, 4, 64), (5, 12, 1, 12)])
def test_a_layer_costs_what_torch_counts(seq_len, d_model, heads, d_ff):
    layer, x = EncoderLayer(d_model, heads, d_ff), torch.randn(1, seq_len, d_model)
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):  # so that its two products are seen
        assert counted(layer, x) == complexity.attention_flops(seq_len, d_model, d_ff)


def test_the_formula_of_the_brief_is_the_sum_of_the_parts():
    t, d, d_ff = 11, 6, 20
    assert complexity.layer_parts(t, d, d_ff) == (8 * t * d**2, 4 * t**2 * d, 4 * t * d * d_ff)


@property_test
@given(sizes, st.integers(1, 8))
def test_attention_overtakes_the_feed_forward_at_four_times_the_width_and_not_before(d_model, step):
    crossing = complexity.crossing_length(4 * d_model)
    assert crossing == 4 * d_model
    for seq_len in (max(1, crossing - step), crossing, crossing + step):
        parts = complexity.layer_parts(seq_len, d_model, 4 * d_model)
        assert (parts.attention > parts.feed_forward) == (seq_len > crossing)
        assert (parts.attention == parts.feed_forward) == (seq_len == crossing)


def test_long_inputs_are_attentions_and_short_ones_the_feed_forwards():
    """The reverse is widely printed."""
    short, long = (complexity.layer_parts(seq_len, 512, 2048) for seq_len in (64, 16384))
    assert short.feed_forward > 10 * short.attention
    assert long.attention > 7 * long.feed_forward


# Beside other layers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seq_len", [1, 2, 13])
def test_the_other_layers_cost_what_torch_counts(seq_len):
    d, kernel = 6, 3
    x = torch.randn(1, seq_len, d)
    cell = nn.RNNCell(d, d)

    def recurrent(x):
        state = torch.zeros(1, d)
        for t in range(seq_len):
            state = cell(x[:, t], state)

    assert counted(recurrent, x) == complexity.recurrent_cost(seq_len, d).operations
    padded = torch.randn(1, d, seq_len + kernel - 1)
    convolution = complexity.convolutional_cost(seq_len, d, kernel).operations
    assert counted(nn.Conv1d(d, d, kernel), padded) == convolution
    connected = complexity.fully_connected_cost(seq_len, d).operations
    assert counted(nn.Linear(seq_len * d, seq_len * d), x.flatten(1)) == connected
    attention = complexity.self_attention_cost(seq_len, d).operations
    assert counted(lambda x: (x @ x.transpose(1, 2)) @ x, x) == attention


@pytest.mark.parametrize(("seq_len", "kernel"), [(2, 2), (9, 3), (10, 3), (64, 2), (65, 2), (1, 5)])
def test_a_dilated_stack_reaches_as_far_as_its_path_says(seq_len, kernel):
    """The last output depends on the first input after path_length layers, and not after one fewer."""
    path = complexity.convolutional_cost(seq_len, 1, kernel).path_length

    def first_matters(layers):
        x = torch.zeros(1, 1, seq_len, requires_grad=True)
        y = x
        for number in range(layers):
            y = nn.functional.pad(y, ((kernel - 1) * kernel**number, 0))
            y = nn.functional.conv1d(y, torch.ones(1, 1, kernel), dilation=kernel**number)
        y[0, 0, -1].backward()
        return bool(x.grad[0, 0, 0])

    assert first_matters(path)
    assert path == 1 or not first_matters(path - 1)


@property_test
@given(st.integers(1, 40), st.integers(2, 10))
def test_a_windows_path_is_as_long_as_the_mask_says(seq_len, window):
    from clearformer.nn import receptive_field, sliding_window_mask

    cost, mask = complexity.window_attention_cost(seq_len, 5, window), sliding_window_mask(seq_len, window)
    assert cost.operations == 4 * 5 * int(mask.sum())
    assert receptive_field(mask, cost.path_length)[-1, 0]
    assert cost.path_length == 1 or not receptive_field(mask, cost.path_length - 1)[-1, 0]


def test_only_a_recurrence_has_to_wait():
    steps = {
        "attention": complexity.self_attention_cost(50, 8),
        "window": complexity.window_attention_cost(50, 8, 4),
        "convolution": complexity.convolutional_cost(50, 8, 3),
        "connected": complexity.fully_connected_cost(50, 8),
        "recurrence": complexity.recurrent_cost(50, 8),
    }
    assert {name: cost.sequential_steps for name, cost in steps.items() if cost.sequential_steps > 1} == {
        "recurrence": 50
    }
    assert steps["recurrence"].path_length == 50 and steps["attention"].path_length == 1


# Bytes ----------------------------------------------------------------------------------------------------------------


def test_scores_are_as_large_as_torch_makes_them():
    x = torch.randn(3, 2, 17, 4)
    assert complexity.score_bytes(17, 2, batch=3) == (x @ x.transpose(-2, -1)).nbytes
    assert complexity.score_bytes(17, 2, batch=3, item=2) == (x.half() @ x.half().transpose(-2, -1)).nbytes


@property_test
@given(sizes, sizes, sizes)
def test_blocks_move_less_the_larger_they_are(seq_len, d_head, block):
    by_block = complexity.block_traffic(seq_len, d_head, block)
    assert by_block >= complexity.block_traffic(seq_len, d_head, block + 1)
    assert complexity.block_traffic(seq_len, d_head, seq_len) == 4 * seq_len * d_head  # everything once
    assert complexity.dense_traffic(seq_len, d_head) == 4 * seq_len * d_head + 4 * seq_len**2


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (complexity.attention_flops, (0, 4, 4)),
        (complexity.attention_flops, (4, 4.5, 4)),
        (complexity.attention_flops, (4, 4, True)),
        (complexity.convolutional_cost, (4, 4, 1)),
        (complexity.window_attention_cost, (4, 4, 1)),
        (complexity.score_bytes, (4, -1)),
    ],
)
def test_sizes_that_make_no_sense_are_named(function, arguments):
    with pytest.raises(ValueError, match="must be"):
        function(*arguments)


def test_one_position_has_nothing_to_cross():
    assert complexity.convolutional_cost(1, 3, 1).path_length == 1
    assert complexity.window_attention_cost(1, 3, 1).path_length == 1
    assert math.isclose(complexity.self_attention_cost(1, 3).operations, 12)
