"""Checkpointing by hand: the plain gradients to the bit, whatever the second run could forget; beside torch's own."""

import functools

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint_sequential

from clearformer.memory import SavedTensors, checkpoint, checkpointed_forward, torch_checkpoint
from clearformer.memory.checkpoint import run_segments, segment_bounds
from clearformer.nn import EncoderLayer


def stack(num_layers=5, dropout=0.3, dtype=torch.float64):
    torch.manual_seed(0)
    return nn.ModuleList(EncoderLayer(8, 2, 16, dropout) for _ in range(num_layers)).to(dtype)


def randn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def plain(layers, x):
    for layer in layers:
        x = layer(x)
    return x


def results(layers, run, x=None, needs_gradient=True, autocast=False):
    """Output, gradient of x or None, gradients of all parameters, and the random number that is drawn next."""
    x = (randn(2, 4, 8) if x is None else x).clone().requires_grad_(needs_gradient)
    layers.zero_grad()
    torch.manual_seed(5)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        output = run(layers, x)
    (output * randn(*output.shape, seed=1).to(output.dtype)).sum().backward()
    return [output, x.grad, *(parameter.grad for parameter in layers.parameters()), torch.rand(())]


def same(found, wanted):
    return all(a is b is None or torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


def in_one(layers, x):
    return checkpoint(lambda x: plain(layers, x), x, parameters=layers.parameters())


def layer_by_layer_by_torch(layers, x):
    for layer in layers:
        x = torch.utils.checkpoint.checkpoint(layer, x, use_reentrant=False)
    return x


@pytest.mark.parametrize("needs_gradient", [True, False])
@pytest.mark.parametrize("num_segments", [1, 2, 3, 5])
def test_with_dropout_every_bit_is_that_of_the_plain_pass(num_segments, needs_gradient):
    layers = stack()
    wanted = results(layers, plain, needs_gradient=needs_gradient)
    run = functools.partial(checkpointed_forward, num_segments=num_segments)
    found = results(layers, run, needs_gradient=needs_gradient)
    assert all(gradient is not None for gradient in wanted[2:])
    assert same(found, wanted)


@pytest.mark.parametrize("num_segments", [1, 2, 5])
def test_it_is_torchs_own_to_the_bit(num_segments):
    layers = stack()
    by_torch = results(layers, lambda layers, x: checkpoint_sequential([*layers], num_segments, x, use_reentrant=False))
    assert same(results(layers, lambda layers, x: checkpointed_forward(layers, x, num_segments)), by_torch)
    assert same(results(layers, in_one), results(layers, layer_by_layer_by_torch))


@pytest.mark.parametrize("needs_gradient", [True, False])
@pytest.mark.parametrize("num_segments", [1, 2, 5])
def test_under_autocast_every_bit_is_that_of_the_plain_pass(num_segments, needs_gradient):
    layers = stack(dtype=torch.float32)
    how = dict(x=randn(2, 4, 8, dtype=torch.float32), needs_gradient=needs_gradient, autocast=True)
    wanted = results(layers, plain, **how)
    assert same(results(layers, lambda layers, x: checkpointed_forward(layers, x, num_segments), **how), wanted)
    assert not same(results(layers, plain, **how | {"autocast": False}), wanted)


def test_weights_that_autocast_has_converted_without_a_gradient_are_not_used_where_one_is_needed():
    layer = nn.Linear(4, 4)
    x = randn(3, 4, dtype=torch.float32)

    def gradient(run):
        layer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            run(x).float().sum().backward()
        return layer.weight.grad

    def twice(x):
        return layer(checkpoint(layer, x, parameters=layer.parameters()))

    wanted = gradient(lambda x: layer(layer(x)))
    assert float((gradient(twice) - wanted).abs().max()) < 0.02 * float(wanted.abs().max())


def test_what_is_set_outside_of_autocast_holds_in_the_backward_pass():
    layer = nn.Linear(4, 4)
    x = randn(3, 4, dtype=torch.float32)
    seen = []

    def watched(x):
        seen.append(layer(x).dtype)
        return layer(x)

    output = checkpoint(watched, x, parameters=layer.parameters())
    with torch.autocast("cpu", torch.bfloat16):
        output.sum().backward()
        output = checkpoint(watched, x, parameters=layer.parameters())
    output.float().sum().backward()
    assert seen == [torch.float32, torch.float32, torch.bfloat16, torch.bfloat16]


def test_the_backward_pass_leaves_the_random_state_as_it_is():
    layers, x = stack(2), randn(2, 4, 8)
    output = checkpointed_forward(layers, x, 2)
    torch.manual_seed(9)
    wanted = torch.rand(3)
    torch.manual_seed(9)
    output.sum().backward()
    assert torch.equal(torch.rand(3), wanted)


def test_numbers_drawn_between_the_passes_do_not_reach_the_second_run():
    layers, x = stack(3), randn(2, 4, 8)
    wanted = results(layers, plain)[2:-1]
    layers.zero_grad()
    torch.manual_seed(5)
    output = checkpointed_forward(layers, x, 3)
    torch.rand(100)
    (output * randn(*output.shape, seed=1)).sum().backward()
    assert same([parameter.grad for parameter in layers.parameters()], wanted)


def test_gradients_come_by_autograd_grad_as_well_and_add_up_over_steps():
    layers, x = stack(2, dropout=0.0), randn(2, 4, 8)
    parameters = [*layers.parameters()]
    wanted = torch.autograd.grad(plain(layers, x).square().sum(), parameters)
    found = torch.autograd.grad(checkpointed_forward(layers, x, 2).square().sum(), parameters)
    assert same(found, wanted)
    layers.zero_grad()
    for _ in range(2):
        checkpointed_forward(layers, x, 2).square().sum().backward()
    assert same([parameter.grad for parameter in parameters], [2 * gradient for gradient in wanted])


def test_a_layer_that_stands_twice_gets_the_gradients_of_both_places():
    layers = stack(1)
    twice = [layers[0], layers[0]]
    wanted = results(layers, lambda layers, x: plain(twice, x))
    found = results(layers, lambda layers, x: checkpointed_forward(twice, x, 2))
    assert max(float((a - b).detach().abs().max()) for a, b in zip(found, wanted, strict=True)) < 1e-12
    again = results(layers, lambda layers, x: run_segments(twice, x, num_segments=1, keep_last=False))
    assert max(float((a - b).detach().abs().max()) for a, b in zip(again, wanted, strict=True)) < 1e-12


def test_frozen_weights_and_inputs_that_nothing_uses_get_none():
    layers = stack(2, dropout=0.0)
    layers[0].requires_grad_(False)
    results(layers, lambda layers, x: checkpointed_forward(layers, x, 2))
    assert all(parameter.grad is None for parameter in layers[0].parameters())
    assert all(parameter.grad is not None for parameter in layers[1].parameters())
    used, unused = (randn(3, seed=seed).requires_grad_() for seed in (0, 1))
    checkpoint(lambda a, b: a.sin(), used, unused).sum().backward()
    assert torch.equal(used.grad, used.detach().cos())
    assert unused.grad is None


def test_finite_differences_agree():
    layer = nn.Linear(3, 3).double()
    x = randn(2, 3).requires_grad_()
    weights = tuple(parameter.detach().requires_grad_() for parameter in layer.parameters())

    def function(x, weight, bias):
        return checkpoint(lambda x, weight, bias: torch.tanh(x @ weight.T + bias), x, weight, bias)

    assert torch.autograd.gradcheck(function, (x, *weights))


def test_the_forward_pass_keeps_the_inputs_alone():
    layers, x = stack(4), randn(2, 4, 8)
    with SavedTensors(layers.parameters()) as saved:
        output = run_segments(layers, x, num_segments=2, keep_last=False)
    assert [shape for shape, _, _ in saved.seen] == [(2, 4, 8), (2, 4, 8)]
    assert saved.now == 2 * x.nbytes
    output.sum().backward()
    del output
    assert saved.now == 0


def test_the_second_run_calls_whole_segments_the_last_one_first():
    calls = []

    class Named(nn.Linear):
        def forward(self, x):
            calls.append((self.name, torch.is_grad_enabled()))
            return super().forward(x)

    layers = [Named(2, 2) for _ in range(5)]
    for number, layer in enumerate(layers):
        layer.name = number
    output = checkpointed_forward(layers, torch.randn(1, 2), 3)
    assert calls == [(0, False), (1, False), (2, False), (3, False), (4, True)]
    calls.clear()
    output.sum().backward()
    assert calls == [(2, True), (3, True), (0, True), (1, True)]


def test_without_gradients_it_is_a_plain_call():
    calls = []
    with torch.no_grad():
        checkpoint(lambda x: calls.append(x) or x, torch.ones(2, requires_grad=True))
        torch_checkpoint(lambda x: calls.append(x) or x, torch.ones(2, requires_grad=True))
    assert len(calls) == 2


def test_a_second_backward_pass_through_the_gradient_is_refused():
    x = randn(3).requires_grad_()
    gradient = torch.autograd.grad(checkpoint(torch.sin, x).square().sum(), x, create_graph=True)[0]
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_a_weight_that_was_changed_between_the_passes_is_noticed():
    layer = nn.Linear(3, 3)
    output = checkpoint(layer, torch.randn(2, 3), parameters=layer.parameters())
    with torch.no_grad():
        layer.weight.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()


def test_a_function_that_returns_no_tensor_is_named():
    with pytest.raises(TypeError, match="must return one tensor; got tuple"):
        checkpoint(lambda x: (x, x), torch.ones(2, requires_grad=True))


@pytest.mark.parametrize(("num_layers", "num_segments"), [(1, 1), (7, 3), (24, 5), (24, 24), (6, 4)])
def test_segments_are_neighbours_as_many_as_asked_for_and_alike_in_length(num_layers, num_segments):
    bounds = segment_bounds(num_layers, num_segments)
    assert len(bounds) == num_segments
    assert [layer for first, end in bounds for layer in range(first, end)] == [*range(num_layers)]
    lengths = [end - first for first, end in bounds]
    assert max(lengths) - min(lengths) <= 1
    assert lengths == sorted(lengths, reverse=True)


@pytest.mark.parametrize("num_segments", [0, 4, -1, 1.0, None])
def test_a_number_of_segments_that_cannot_be_is_named(num_segments):
    with pytest.raises(ValueError, match="num_segments must be from 1 to 3"):
        checkpointed_forward([nn.Identity()] * 3, torch.ones(1), num_segments)
