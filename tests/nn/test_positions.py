"""SinusoidalPositions: the NumPy reference's numbers, added. LearnedPositions: rows of a table, added."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clearformer.nn import LearnedPositions, SinusoidalPositions
from clearformer.numpy import positional_encoding

property_test = settings(deadline=None, max_examples=40, derandomize=True, database=None)


@property_test
@given(
    d_model=st.integers(1, 9),
    calls=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 40)), min_size=1, max_size=4),
)
def test_adds_the_numbers_of_the_numpy_reference_from_any_start(d_model, calls):
    positions = SinusoidalPositions(d_model).double()
    for start, length in calls:
        x = torch.randn(2, length, d_model, dtype=torch.float64)
        expected = x + torch.tensor(positional_encoding(start + length, d_model)[start:])
        assert torch.equal(positions(x, start), expected)


def test_a_long_sentence_after_a_short_one():
    positions = SinusoidalPositions(6).double()
    positions(torch.zeros(1, 3, 6).double())
    assert torch.equal(positions(torch.zeros(10_000, 6).double()), torch.tensor(positional_encoding(10_000, 6)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
def test_numbers_are_rounded_once_from_float64(dtype):
    """Also after the module has been in half precision: 32 tokens, then 5,000 more."""
    positions = SinusoidalPositions(6)
    positions(torch.zeros(32, 6, dtype=torch.float16))
    exact = torch.tensor(positional_encoding(5032, 6))
    assert torch.equal(positions(torch.zeros(5000, 6, dtype=dtype), start=32), exact[32:].to(dtype))


def test_nothing_of_it_is_in_the_state():
    positions = SinusoidalPositions(4)
    positions(torch.zeros(1, 9, 4))
    assert positions.state_dict() == {}
    assert list(positions.parameters()) == []
    assert copy.deepcopy(positions)(torch.zeros(1, 2, 4)).shape == (1, 2, 4)


def test_a_table_made_in_inference_mode_serves_training_too():
    positions = SinusoidalPositions(4)
    with torch.inference_mode():
        positions(torch.zeros(1, 3, 4))
    x = torch.zeros(1, 3, 4, requires_grad=True)
    positions(x).sin().sum().backward()
    assert x.grad.shape == x.shape


def test_dropout_acts_on_the_sum_in_training_only():
    torch.manual_seed(0)
    positions, x = SinusoidalPositions(50, dropout=0.2), torch.ones(8, 40, 50)
    plain = SinusoidalPositions(50)(x)
    assert torch.equal(positions.eval()(x), plain)
    dropped = positions.train()(x)
    kept = dropped != 0
    assert torch.allclose(dropped[kept], plain[kept] / 0.8)
    assert kept.float().mean().item() == pytest.approx(0.8, abs=0.02)


def test_learned_positions_add_the_rows_from_the_start_on():
    positions, x = LearnedPositions(9, 4).double(), torch.randn(2, 3, 4, dtype=torch.float64)
    assert torch.equal(positions(x, start=6), x + positions.weight[6:])
    assert torch.equal(positions(x), x + positions.weight[:3])
    assert positions(x[:, :0]).shape == (2, 0, 4)


def test_learned_positions_are_normed_where_asked_to_and_dropped_out_last():
    torch.manual_seed(0)
    positions, x = LearnedPositions(40, 50, dropout=0.2, norm=True), torch.randn(8, 40, 50)
    normed = torch.nn.functional.layer_norm(x + positions.weight, (50,))
    assert torch.equal(positions.eval()(x), normed)
    dropped = positions.train()(x)
    kept = dropped != 0
    assert torch.allclose(dropped[kept], normed[kept] / 0.8)
    assert kept.float().mean().item() == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SinusoidalPositions(4)(torch.zeros(2, 3)), r"x must have shape .* d_model = 4; got \(2, 3\)"),
        (
            lambda: SinusoidalPositions(4)(torch.zeros(2, 4), start=-1),
            r"start must be a position of at least 0; got -1",
        ),
        (lambda: SinusoidalPositions(4)(torch.zeros(2, 4).long()), r"x must be a tensor of floats; got torch.int64"),
        (lambda: SinusoidalPositions(0), r"d_model must be a whole number of at least 1; got 0"),
        (lambda: SinusoidalPositions(4, 1.5), r"dropout must be from 0 to 1; got 1.5"),
        (lambda: LearnedPositions(0, 4), r"max_len must be a whole number of at least 1; got 0"),
        (lambda: LearnedPositions(5, 4, 1.5), r"dropout must be from 0 to 1; got 1.5"),
        (lambda: LearnedPositions(5, 4)(torch.zeros(6, 4)), r"for max_len = 5 tokens; got tokens 0 to 5"),
        (lambda: LearnedPositions(5, 4)(torch.zeros(2, 4), start=4), r"for max_len = 5 tokens; got tokens 4 to 5"),
        (lambda: LearnedPositions(5, 4)(torch.zeros(2, 4), start=-1), r"got tokens -1 to 0"),
        (lambda: LearnedPositions(5, 4)(torch.zeros(2, 3)), r"x must have shape .* d_model = 4; got \(2, 3\)"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
