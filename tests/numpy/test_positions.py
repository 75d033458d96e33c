"""Sinusoidal positions: the paper's formula, and shifts as rotations."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearformer.numpy import positional_encoding, shift_matrix

EXACT = 1e-10  # float64
property_test = settings(deadline=None, max_examples=50, derandomize=True, database=None)
even_widths = st.integers(1, 8).map(lambda pairs: 2 * pairs)
offsets = st.integers(-300, 300)
bases = st.sampled_from([1.0, 2.0, 100.0, 10000.0])


def paper_formula(seq_len, d_model, base=10000.0):
    """PE one number at a time, from section 3.5."""

    def number(position, column):
        angle = position / base ** (2 * (column // 2) / d_model)
        return math.cos(angle) if column % 2 else math.sin(angle)

    return np.array([[number(p, c) for c in range(d_model)] for p in range(seq_len)])


@pytest.mark.parametrize("seq_len", [1, 2, 50])
@pytest.mark.parametrize("d_model", [1, 2, 3, 7, 8, 64])
def test_every_number_is_the_papers(seq_len, d_model):
    encoding = positional_encoding(seq_len, d_model)
    assert encoding.shape == (seq_len, d_model)
    assert encoding.dtype == np.float64
    assert np.abs(encoding - paper_formula(seq_len, d_model)).max() <= EXACT


def test_known_numbers():
    encoding = positional_encoding(3, 4)
    assert encoding[0].tolist() == [0.0, 1.0, 0.0, 1.0]
    assert encoding[1] == pytest.approx([0.8414709848, 0.5403023059, 0.0099998333, 0.9999500004], abs=1e-10)
    assert encoding[2, 2] == pytest.approx(0.0199986667, abs=1e-10)


def test_an_odd_width_ends_with_a_sine_and_keeps_the_exponent():
    encoding = positional_encoding(40, 5)
    last_angle = np.arange(40) / 10000 ** (4 / 5)
    assert np.abs(encoding[:, 4] - np.sin(last_angle)).max() <= EXACT
    # the exponent divides by 5: column 2 is not that of width 4 or 6
    for other in (4, 6):
        assert np.abs(encoding[:, 2] - positional_encoding(40, other)[:, 2]).max() > 1e-3


def test_a_longer_encoding_begins_with_the_shorter():
    assert np.array_equal(positional_encoding(100, 12)[:30], positional_encoding(30, 12))


def test_no_two_positions_are_alike():
    encoding = positional_encoding(200, 16)
    distance = np.linalg.norm(encoding[:, None] - encoding[None, :], axis=-1)
    assert distance[~np.eye(200, dtype=bool)].min() > 0.1


@property_test
@given(d_model=even_widths, base=bases)
def test_each_pair_lies_on_the_unit_circle(d_model, base):
    encoding = positional_encoding(20, d_model, base=base)
    radius = np.hypot(encoding[:, 0::2], encoding[:, 1::2])
    assert np.abs(radius - 1).max() <= EXACT


def test_the_base_can_be_chosen():
    encoding = positional_encoding(30, 9, base=50.0)
    assert np.abs(encoding - paper_formula(30, 9, base=50.0)).max() <= EXACT
    assert np.abs(encoding - positional_encoding(30, 9)).max() > 0.1


def test_an_empty_sequence_has_no_rows():
    assert positional_encoding(0, 6).shape == (0, 6)


@property_test
@given(d_model=even_widths, offset=st.integers(-40, 40), base=bases)
def test_the_shift_moves_every_position_by_the_offset(d_model, offset, base):
    encoding = positional_encoding(80, d_model, base=base)
    matrix = shift_matrix(offset, d_model, base=base)
    assert matrix.shape == (d_model, d_model)
    assert matrix.dtype == np.float64
    start = range(max(0, -offset), min(80, 80 - offset))
    for position in start:
        assert np.abs(matrix @ encoding[position] - encoding[position + offset]).max() <= EXACT


@property_test
@given(d_model=even_widths, first=offsets, second=offsets)
def test_two_shifts_are_one_shift_by_their_sum(d_model, first, second):
    product = shift_matrix(first, d_model) @ shift_matrix(second, d_model)
    assert np.abs(product - shift_matrix(first + second, d_model)).max() <= EXACT


@property_test
@given(d_model=even_widths, offset=offsets)
def test_a_shift_is_a_rotation(d_model, offset):
    matrix = shift_matrix(offset, d_model)
    assert np.abs(matrix.T @ matrix - np.eye(d_model)).max() <= EXACT
    assert np.linalg.det(matrix) == pytest.approx(1.0, abs=EXACT)


def test_a_shift_by_nothing_is_the_identity():
    assert np.array_equal(shift_matrix(0, 8), np.eye(8))


def test_a_shift_back_is_the_transpose():
    assert np.abs(shift_matrix(-7, 8) - shift_matrix(7, 8).T).max() <= EXACT


def test_numpy_integers_count_as_integers():
    assert np.array_equal(positional_encoding(np.int64(4), np.int32(6)), positional_encoding(4, 6))
    assert np.array_equal(shift_matrix(np.int64(-3), np.int32(6)), shift_matrix(-3, 6))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: positional_encoding(-1, 4), r"seq_len .* at least 0; got -1"),
        (lambda: positional_encoding(2.5, 4), r"seq_len must be a whole number .* got 2.5"),
        (lambda: positional_encoding(3, 0), r"d_model .* at least 1; got 0"),
        (lambda: positional_encoding(3, -2), r"d_model .* at least 1; got -2"),
        (lambda: positional_encoding(3, 4, base=0.0), r"base must be greater than 0; got 0.0"),
        (lambda: positional_encoding(3, 4, base=math.nan), r"base must be greater than 0; got nan"),
        (lambda: shift_matrix(1, 5), r"d_model must be even.*got 5"),
        (lambda: shift_matrix(1, 0), r"d_model .* at least 1; got 0"),
        (lambda: shift_matrix(0.5, 4), r"offset must be a whole number; got 0.5"),
        (lambda: shift_matrix(1, 4, base=-1.0), r"base must be greater than 0; got -1.0"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
