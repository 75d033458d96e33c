"""Span corruption against the paper's own example, and back again."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearformer.training.span_corruption import corrupt_spans, draw_spans, restore_spans


def test_the_example_of_the_paper():
    """Raffel et al. 2020, figure 2: two spans of the same sentence, X, Y and Z for the sentinels."""
    words = ["Thank", "you", "for", "inviting", "me", "to", "your", "party", "last", "week", "."]
    inputs, targets = corrupt_spans(words, [(2, 4), (8, 9)], ["<X>", "<Y>", "<Z>"])
    assert " ".join(inputs) == "Thank you <X> me to your party <Y> week ."
    assert " ".join(targets) == "<X> for inviting <Y> last <Z>"


@st.composite
def texts(draw):
    ids = draw(st.lists(st.integers(0, 9), max_size=15))
    places = sorted(draw(st.lists(st.integers(0, len(ids)), max_size=8)))
    spans = [(start, end) for start, end in zip(places[::2], places[1::2], strict=False) if start < end]
    return ids, spans


@given(texts())
@settings(max_examples=150, deadline=None)
def test_there_and_back(text):
    ids, spans = text
    sentinels = [*range(100, 100 + len(spans) + 1)]
    inputs, targets = corrupt_spans(ids, spans, sentinels)
    assert restore_spans(inputs, targets, sentinels) == ids
    assert [token for token in inputs if token >= 100] == sentinels[:-1]
    assert [token for token in targets if token >= 100] == sentinels
    assert len(inputs) + len(targets) == len(ids) + 2 * len(spans) + 1


def test_what_a_model_wrote_wrongly_is_put_in_as_far_as_it_goes():
    inputs = [1, 90, 2, 91, 3]
    for written, text in (
        ([], [1, 2, 3]),
        ([91, 7], [1, 2, 7, 3]),
        ([5, 90, 6], [1, 6, 2, 3]),
        ([90, 6, 90, 7, 91, 8], [1, 6, 2, 8, 3]),
        ([90, 6, 92, 7], [1, 6, 2, 3]),
    ):
        assert restore_spans(inputs, written, [90, 91, 92]) == text


@given(st.integers(2, 60), st.floats(0, 1), st.floats(1, 6), st.integers(0, 2**30))
@settings(max_examples=150, deadline=None)
def test_drawn_spans_fit_and_never_touch(length, rate, mean_length, seed):
    spans = draw_spans(length, np.random.default_rng(seed), rate, mean_length)
    assert spans and spans == draw_spans(length, np.random.default_rng(seed), rate, mean_length)
    ends = [-1, *(place for span in spans for place in span), length + 1]
    assert all(before < after for before, after in pairwise(ends))
    taken = sum(end - start for start, end in spans)
    assert taken == min(max(round(rate * length), 1), length - 1)


def test_as_much_is_taken_as_in_t5():
    """15 in 100 tokens, in spans of 3 on average; every place as likely as another, but for the ends."""
    rng = np.random.default_rng(0)
    drawn = [draw_spans(200, rng) for _ in range(400)]
    taken = np.zeros(200)
    for spans in drawn:
        for start, end in spans:
            taken[start:end] += 1
    assert taken.sum() / 400 / 200 == 0.15
    assert {len(spans) for spans in drawn} == {10}
    assert 0.12 < taken[20:180].mean() / 400 < 0.18
    assert taken[20:180].max() / 400 < 0.3


@pytest.mark.parametrize(
    ("spans", "sentinels", "says"),
    [
        ([(2, 4), (3, 5)], [90, 91, 92], "without overlap"),
        ([(3, 5), (0, 1)], [90, 91, 92], "in order"),
        ([(2, 2)], [90, 91], "none empty"),
        ([(4, 8)], [90, 91], "from 0 to 6"),
        ([(-1, 2)], [90, 91], "from 0 to 6"),
        ([(0, 1), (3, 4)], [90, 91], "3; got 2"),
        ([], [], "1; got 0"),
    ],
)
def test_what_does_not_fit_is_named(spans, sentinels, says):
    with pytest.raises(ValueError, match=says):
        corrupt_spans([1, 2, 3, 4, 5, 6], spans, sentinels)


@pytest.mark.parametrize("arguments", [(1, 0.5, 2.0), (5, -0.1, 2.0), (5, 0.5, 0.5)])
def test_spans_that_cannot_be_drawn_are_named(arguments):
    length, rate, mean_length = arguments
    with pytest.raises(ValueError, match="draw_spans needs"):
        draw_spans(length, np.random.default_rng(0), rate, mean_length)
