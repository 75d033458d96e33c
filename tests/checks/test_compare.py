import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from clearformer.checks.compare import difference

FLOATS = st.floats(-1e6, 1e6)


@given(hnp.arrays(np.float64, hnp.array_shapes(max_dims=3, max_side=4), elements=FLOATS))
def test_an_array_equals_its_copy(array):
    assert difference(array, array.copy()) is None


@given(hnp.arrays(np.float64, hnp.array_shapes(max_dims=3, max_side=4), elements=FLOATS), st.data())
def test_one_changed_number_is_found_and_located(array, data):
    index = tuple(data.draw(st.integers(0, side - 1)) for side in array.shape)
    changed = array.copy()
    changed[index] += max(np.abs(array).max(), 0.1) * 1e-6
    text = difference(array, changed)
    assert text is not None
    assert f"first at {list(index)}" in text or array.size == 1


@pytest.mark.parametrize(
    ("expected", "got", "says"),
    [
        (np.zeros((2, 3)), np.zeros((3, 2)), "expected shape (2, 3), got (3, 2)"),
        (np.zeros(3), np.zeros(3, np.float32), "expected dtype float64, got float32"),
        (np.zeros(3), torch.zeros(3), "expected a NumPy array, got a torch tensor"),
        (torch.zeros(3), np.zeros(3), "expected a torch tensor, got a NumPy array"),
        (np.zeros(3), [0.0, 0.0, 0.0], "expected a NumPy array, got a list"),
        (np.zeros(3), None, "expected a NumPy array, got None"),
        (np.array([True, False]), np.array([1, 0]), "expected dtype bool, got int64"),
        (np.zeros(2), np.array([0.0, np.nan]), "there is a NaN at [1]"),
        (np.zeros(2), np.array([0.0, np.inf]), "first at [1]"),
        (np.zeros(2), np.zeros(2, complex), "expected dtype float64, got complex128"),
        (np.zeros(2), np.array([0.0, None]), "expected dtype float64, got object"),
        ((1, 2), [1, 2], "expected a tuple of 2, got a list"),
        ((1, 2), (1,), "expected 2 items, got 1"),
        ([1, [2, 3]], [1, [2, 4]], "result[1][1]"),
        ({"a": 1}, {"b": 1}, "keys"),
        ({"a": 1}, {"a": 2}, "result['a']"),
        (3, "3", "expected a number, got a str"),
        (3, 4, "expected 3, got 4"),
        (True, 1, "expected a bool, got a number"),
        ("x", "y", "expected 'x', got 'y'"),
    ],
)
def test_what_is_wrong_is_said(expected, got, says):
    assert says in difference(expected, got)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_another_order_of_summation_is_accepted_and_another_formula_is_not(dtype):
    x = np.random.default_rng(0).normal(size=200).astype(dtype)
    forward, backward = x.cumsum(dtype=dtype)[-1], x[::-1].cumsum(dtype=dtype)[-1]
    assert difference(np.array([forward]), np.array([backward])) is None
    assert difference(np.array([forward]), np.array([backward * dtype(1.05)]))


def test_float64_tolerance_tells_the_two_epsilons_of_layer_norm_apart():
    """The check must not accept an epsilon outside the root for one inside."""
    x = np.random.default_rng(0).normal(size=64)
    centred = x - x.mean()
    inside = centred / np.sqrt(x.var() + 1e-5)
    assert difference(inside, centred / (np.sqrt(x.var()) + 1e-5))
    assert difference(inside, centred / np.sqrt(x.var() + 1e-6))


def test_tolerance_follows_the_size_of_the_numbers():
    assert difference(np.array([1e8]), np.array([1e8 + 1e-3])) is None
    assert difference(np.array([1.0]), np.array([1.0 + 1e-3]))
    assert difference(np.array([1e-12]), np.array([2e-12])) is None  # below the scale of 0.1
    assert difference(np.array([1e-12]), np.array([2e-12]), scale=1e-12)


def test_scalars_of_python_and_numpy_count_alike():
    for got in (2.5, np.float64(2.5), np.float32(2.5), np.array(2.5)):
        assert difference(2.5, got) is None
        assert difference(np.float64(2.5), got) is None


def test_any_float_accepts_float32_with_its_own_room_but_no_integers():
    exact = np.sin(np.arange(5.0))
    assert difference(exact, exact.astype(np.float32), any_float=True) is None
    assert difference(exact, (exact + 1e-3).astype(np.float32), any_float=True)
    assert difference(np.zeros(2), np.zeros(2, int), any_float=True)


def test_whole_numbers_of_any_size_are_compared():
    assert difference(6e20, 6 * 10**20) is None
    assert "expected 6" in difference(6e20, 6 * 10**20 + 10**15)
    assert "expected 6, got 9.2" in difference(6, 2**63)
    assert "expected numbers" in difference(6.0, 10**400)  # more than a float holds


def test_minus_infinity_equals_itself_only():
    hidden = np.array([0.0, -np.inf])
    assert difference(hidden, hidden.copy()) is None
    assert difference(hidden, np.array([0.0, -1e9]))


def test_bfloat16_tensors_are_compared():
    one = torch.ones(3, dtype=torch.bfloat16)
    assert difference(one, one.clone()) is None
    assert difference(one, one * 2)
    assert "bfloat16" in difference(one, torch.ones(3))


def test_small_differences_are_printed_with_enough_digits():
    text = difference(np.array([1.0]), np.array([1.00001]))
    assert "1.00001" in text
