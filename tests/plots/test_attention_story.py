"""The picture of lesson 02 says what its sentence's numbers give."""

import re

import numpy as np
import pytest
import torch

from clearformer.plots.attention_story import KEYS, QUERIES, VALUES, WORDS, attention_story
from clearformer.plots.figure import picture


def attended(word):
    """Output and weights of one word, from PyTorch."""
    query, key, value = (torch.from_numpy(array) for array in (QUERIES, KEYS, VALUES))
    weights = torch.softmax(query @ key.T / query.shape[-1] ** 0.5, dim=-1)[WORDS.index(word)]
    return (weights @ value).numpy(), weights.numpy()


def test_it_finds_the_cat():
    output, weights = attended("it")
    assert WORDS[weights.argmax()] == "cat"
    assert WORDS[np.linalg.norm(VALUES - output, axis=-1).argmin()] == "cat"


@pytest.mark.parametrize("word", WORDS)
def test_the_text_says_the_numbers_of_the_picture(word):
    output, weights = attended(word)
    figure, alt = attention_story(word)
    drawn = [bar.get_width() for bar in figure.axes[1].patches]
    np.testing.assert_allclose(drawn, weights, atol=1e-12)
    assert f"{WORDS[weights.argmax()]} {weights.max():.2f}, the other seven" in alt
    furry, wet = re.search(r"furry (\S+), wet (\S+),", alt).groups()
    np.testing.assert_allclose([float(furry), float(wet)], output, atol=0.051)


def test_it_can_be_shown():
    figure, alt = attention_story()
    assert picture(figure, alt).png.startswith(b"\x89PNG")
