"""Counting saved and allocated bytes: each storage once, parameters left out, and what is let go no more."""

import pytest
import torch
from torch import nn

from clearformer.memory import AllocatedBytes, SavedTensors, measure


def test_a_storage_counts_once_however_often_it_is_saved():
    x = torch.randn(10, requires_grad=True)
    with SavedTensors() as saved:
        y = x.sin() + x.cos() + x[2:].exp().sum()
    assert saved.now == x.nbytes + 8 * 4  # x once, and what exp has returned
    del y
    assert saved.now == 0


def test_the_peak_stays_when_the_graph_is_gone():
    x = torch.randn(100, requires_grad=True)
    with SavedTensors() as saved:
        x.sin().sin().sin().sum().backward()
    assert saved.now == 0
    assert saved.peak == 3 * x.nbytes


def test_parameters_are_left_out():
    layer, x = nn.Linear(5, 5), torch.randn(3, 5, requires_grad=True)
    with SavedTensors(layer.parameters()) as saved:
        layer(x).sum().backward()
    assert saved.peak == x.nbytes
    with SavedTensors() as saved:
        layer(x).sum().backward()
    assert saved.peak == x.nbytes + layer.weight.nbytes


def test_allocated_bytes_are_those_alive():
    with AllocatedBytes() as allocated:
        x = torch.ones(1000)
        view = x[:10]
        assert allocated.now == 4000
        y = x + 1
        x.add_(1)
        assert allocated.now == 8000
        del x
        assert allocated.now == 8000
        del view
        assert allocated.now == 4000
        del y
    assert (allocated.now, allocated.peak) == (0, 8000)


def test_what_was_there_before_is_not_counted():
    x = torch.ones(1000)
    with AllocatedBytes() as allocated:
        view = x.view(10, 100)
        view.add_(1)
    assert allocated.peak == 0


def test_measure_leaves_the_gradients_that_two_backward_passes_give():
    layer, x = nn.Linear(3, 3), torch.randn(2, 3)
    measure(lambda: layer(x).sum(), layer)
    assert layer.weight.grad is not None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_the_allocator_agrees_with_the_prediction():
    from clearformer.memory import Work, predict_encoder, set_policy
    from clearformer.nn import Encoder

    model = Encoder(12, 256, 8, 1024, 0.1, "pre").cuda()
    x = torch.randn(8, 256, 256, device="cuda")
    work = Work(8, 256, 256, 8, 1024, dropout=0.1, norm="pre", device="cuda")
    for policy in ("plain", "attention", 3, "layers"):
        set_policy(model, policy)
        found, predicted = measure(lambda: model(x.clone()).mean(), model), predict_encoder(work, 12, policy)
        assert abs(found.allocated / predicted.kept - 1) < 0.1, policy
        assert abs(found.allocated_peak / (predicted.peak + predicted.working) - 1) < 0.1, policy
