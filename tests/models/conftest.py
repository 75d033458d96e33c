"""Hugging Face's models with random weights."""

import math

import pytest
import torch


@pytest.fixture(scope="session")
def randomise():
    """A function that draws every number of a model anew, in float64: biases, norms and buffers too."""

    def draw(model, seed=0):
        generator = torch.Generator().manual_seed(seed)
        model = model.double().eval()
        buffers = [buffer for buffer in model.buffers() if buffer.is_floating_point()]
        with torch.no_grad():
            for numbers in (*model.parameters(), *buffers):
                noise = torch.randn(numbers.shape, generator=generator, dtype=torch.float64)
                numbers.copy_(noise / math.sqrt(numbers.shape[-1]) if numbers.ndim > 1 else noise)
        return model

    return draw
