"""The random states of torch, NumPy and Python: taken and put back, all three go on with the same numbers."""

import random

import numpy as np
import pytest
import torch

from clearformer.training.checkpoint import decode_tensors, encode_tensors
from clearformer.training.randomness import random_state, restore_random_state, set_seeds


def some_numbers():
    return [torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random(), np.random.randn(), random.gauss(0, 1)]


@pytest.mark.parametrize("drawn_before", range(4))  # a normal number may be kept for the next call
def test_all_go_on_with_the_same_numbers(drawn_before):
    set_seeds(3)
    for _ in range(drawn_before):
        np.random.randn(), random.gauss(0, 1), torch.randn(1)
    saved = encode_tensors(random_state())
    first = [some_numbers() for _ in range(3)]
    set_seeds(99)
    restore_random_state(decode_tensors(saved))
    assert [some_numbers() for _ in range(3)] == first


def test_its_tensors_have_the_same_shapes_every_time():
    shapes = []
    for draws in range(3):
        set_seeds(draws)
        for _ in range(draws):
            np.random.randn(), random.gauss(0, 1)
        shapes.append({name: (tensor.dtype, tensor.shape) for name, tensor in random_state().items()})
    assert shapes[0] == shapes[1] == shapes[2]


def test_a_seed_gives_the_same_numbers_and_each_process_its_own():
    def numbers(*arguments):
        set_seeds(*arguments)
        return some_numbers()

    assert numbers(5) == numbers(5, 0)
    assert all(a != b for a, b in zip(numbers(5, 0), numbers(5, 1), strict=True))
    assert all(a != b for a, b in zip(numbers(5, 1), numbers(6, 0), strict=True))  # not seed + process
