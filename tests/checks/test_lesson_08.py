"""Wrong answers to the exercises of lesson 08 that no misconception tells of, and right ones written in other ways."""

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from clearformer.checks import catalogue, judge_here
from clearformer.checks.catalogue.lesson_08_gradient_checkpointing.checkpointed_forward import bounds, run
from clearformer.memory import Work, encoder_layer_kept, predict_encoder, total_bytes

SEEDS = (2017, 0, 1)


def verdict(name, target, seed=2017):
    return judge_here(catalogue.find(name), target, seed)


def again(layers, x):
    return checkpoint(lambda x: run(layers, x), x, use_reentrant=False)


# --- checkpointed_forward ----------------------------------------------------------------------------------------


def keeps_a_graph_and_runs_again(layers, x, num_segments):
    """Right gradients and the right calls, but all that the layers keep is kept as well."""
    for start, end in bounds(len(layers), num_segments):
        with torch.enable_grad():
            beside = run(layers[start:end], x)
        x = again(layers[start:end], x) + 0 * beside
    return x


def keeps_every_input(layers, x, num_segments):
    inputs = []
    for start, end in bounds(len(layers), num_segments):
        for _ in layers[start:end]:
            inputs.append(x * 1.0 * (x * 1.0))
        x = again(layers[start:end], x) + 0 * sum(inputs)
    return x


def the_wrong_way_round(layers, x, num_segments):
    return run(layers[::-1], x)


def the_first_segment_plain(layers, x, num_segments):
    for start, end in bounds(len(layers), num_segments):
        x = again(layers[start:end], x) if start else run(layers[:end], x)
    return x


def half_of_x(layers, x, num_segments):
    """The gradient of x comes out half as large as it is."""
    for start, end in bounds(len(layers), num_segments):
        x = again(layers[start:end], x / 2 + (x / 2).detach())
    return x


def loses_the_gradients_of_biases(layers, x, num_segments):
    for start, end in bounds(len(layers), num_segments):
        part = nn.Sequential(*layers[start:end])
        frozen = {name: value.detach() for name, value in part.named_parameters() if name.endswith("bias")}
        rest = {name: value for name, value in part.named_parameters() if not name.endswith("bias")}
        x = checkpoint(
            lambda x, p=part, a=frozen | rest: torch.func.functional_call(p, a, (x,)), x, use_reentrant=False
        )
    return x


def in_evaluation(layers, x, num_segments):
    for layer in layers:
        layer.eval()
    for start, end in bounds(len(layers), num_segments):
        x = again(layers[start:end], x)
    return x


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "sabotage",
    [
        keeps_a_graph_and_runs_again,
        keeps_every_input,
        the_wrong_way_round,
        the_first_segment_plain,
        half_of_x,
        loses_the_gradients_of_biases,
        in_evaluation,
    ],
)
def test_a_wrong_checkpointed_forward_that_no_misconception_tells_of_does_not_pass(sabotage, seed):
    found = verdict("checkpointed_forward", sabotage, seed)
    assert (found.status, found.points) == ("failed", 0)


def segments_of_one_and_the_rest(layers, x, num_segments):
    """The remainder as uneven as can be."""
    for start in range(num_segments - 1):
        x = again(layers[start : start + 1], x)
    return again(layers[num_segments - 1 :], x)


def the_reentrant_form_with_something_that_asks_for_a_gradient(layers, x, num_segments):
    asks = torch.zeros((), dtype=x.dtype, requires_grad=True)
    for start, end in bounds(len(layers), num_segments):
        segment = layers[start:end]
        x = checkpoint(lambda x, asks, segment=segment: run(segment, x + asks), x, asks, use_reentrant=True)
    return x


def by_recursion(layers, x, num_segments):
    layers = [*layers]
    if num_segments == 1:
        return run(layers, x)
    size = len(layers) // num_segments
    return by_recursion(layers[size:], again(layers[:size], x), num_segments - 1)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "right",
    [segments_of_one_and_the_rest, the_reentrant_form_with_something_that_asks_for_a_gradient, by_recursion],
)
def test_other_ways_to_cut_pass(right, seed):
    found = verdict("checkpointed_forward", right, seed)
    assert found.status == "passed", found.message


# --- checkpoint_layer --------------------------------------------------------------------------------------------


def keeps_what_it_throws_away(layer, x):
    return checkpoint(layer, x, use_reentrant=False) + 0 * layer(x)


def runs_twice_each_time(layer, x):
    return checkpoint(lambda x: layer(x) + 0 * layer(x), x, use_reentrant=False)


def without_dropout(layer, x):
    layer.eval()
    return checkpoint(layer, x, use_reentrant=False)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("sabotage", [keeps_what_it_throws_away, runs_twice_each_time, without_dropout])
def test_a_wrong_checkpoint_layer_that_no_misconception_tells_of_does_not_pass(sabotage, seed):
    assert verdict("checkpoint_layer", sabotage, seed).status == "failed"


# --- the numbers -------------------------------------------------------------------------------------------------


def test_the_bill_of_the_exercise_is_that_of_the_package():
    count = catalogue.find("activation_bytes").reference
    assert count(2, 6, 8, 2, 24) == total_bytes(encoder_layer_kept(Work(2, 6, 8, 2, 24)))
    more = count(2, 6, 8, 2, 24, True) - count(2, 6, 8, 2, 24)
    assert more == 4 * 2 * 2 * 6 * (6 - 1)


def test_the_best_number_of_equal_segments_is_what_trying_them_all_gives():
    units = {k: k - 1 + 24 // k * 10 for k in (1, 2, 3, 4, 6, 8, 12, 24)}
    assert min(units, key=units.get) == catalogue.find("best_segments").reference
    assert sorted(units.values()).count(min(units.values())) == 1


def test_the_predicted_peak_has_the_same_best_number_for_a_layer_that_keeps_ten_inputs():
    work = Work(4, 4096, 64, 1, 128)  # long: logarithms and norms are small beside the rest
    peaks = {k: predict_encoder(work, 24, k).peak for k in (1, 2, 3, 4, 6, 8, 12, 24)}
    assert min(peaks, key=peaks.get) == 12


def test_layer_calls_are_counted_as_they_happen():
    calls = []

    class Counted(nn.Linear):
        def forward(self, x):
            calls.append(self)
            return super().forward(x)

    layers = [Counted(2, 2) for _ in range(24)]
    x = torch.randn(1, 2)
    for start in range(0, 24, 4):
        x = run(layers[start : start + 4], x) if start == 20 else again(layers[start : start + 4], x)
    x.sum().backward()
    assert len(calls) == catalogue.find("layer_calls_in_a_step").reference
