"""Layer norm and feed-forward, against torch."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from clearformer.numpy import feed_forward, layer_norm

EXACT = 1e-10  # the largest difference from torch in float64
property_test = settings(deadline=None, max_examples=50, derandomize=True, database=None)
seeds = st.integers(0, 2**32 - 1)


def largest_difference(actual, expected):
    actual, expected = np.asarray(actual, dtype=float), np.asarray(expected, dtype=float)
    assert actual.shape == expected.shape
    return np.abs(actual - expected).max(initial=0.0)


def random_arrays(seed, *shapes, dtype=np.float64):
    """Arrays that cannot be written to, so that a change in place is an error."""
    rng = np.random.default_rng(seed)
    arrays = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    for array in arrays:
        array.flags.writeable = False
    return arrays


def torch_feed_forward(x, w_1, b_1, w_2, b_2):
    x, w_1, b_1, w_2, b_2 = (torch.tensor(array) for array in (x, w_1, b_1, w_2, b_2))
    return F.linear(F.relu(F.linear(x, w_1.T, b_1)), w_2.T, b_2)


# layer norm


@property_test
@given(
    shape=array_shapes(max_dims=4, max_side=6),
    seed=seeds,
    eps=st.sampled_from([1e-12, 1e-6, 1e-5, 1e-3, 1.0]),
    size=st.sampled_from([1e-3, 1.0, 1e3]),
)
def test_layer_norm_equals_torch(shape, seed, eps, size):
    x, weight, bias = random_arrays(seed, shape, shape[-1:], shape[-1:])
    x = size * x
    expected = F.layer_norm(torch.tensor(x), shape[-1:], torch.tensor(weight), torch.tensor(bias), eps)
    assert largest_difference(layer_norm(x, weight, bias, eps), expected) <= EXACT


def test_the_default_eps_is_that_of_torch():
    x, weight, bias = random_arrays(0, (3, 5), (5,), (5,))
    x = 1e-3 * x  # a variance of 1e-6, so that eps matters
    expected = F.layer_norm(torch.tensor(x), (5,), torch.tensor(weight), torch.tensor(bias))
    assert largest_difference(layer_norm(x, weight, bias), expected) <= EXACT


def test_each_token_gets_mean_0_and_variance_1():
    (x,) = random_arrays(1, (2, 3, 50))
    normed = layer_norm(7 * x + 3, np.ones(50), np.zeros(50), eps=0.0)
    assert np.abs(normed.mean(axis=-1)).max() <= EXACT
    assert np.abs(normed.var(axis=-1) - 1).max() <= EXACT


def test_a_constant_token_becomes_the_bias():
    weight, bias = random_arrays(2, (4,), (4,))
    assert np.array_equal(layer_norm(np.full((2, 4), 5.0), weight, bias), np.stack([bias, bias]))


def test_a_large_mean_does_not_spoil_the_variance():
    """The mean of squares minus the square of the mean would lose every digit here."""
    (x,) = random_arrays(3, (4, 8))
    plain = layer_norm(x, np.ones(8), np.zeros(8))
    # x + 1e8 itself is rounded to 1.5e-8, and the result with it
    assert largest_difference(layer_norm(x + 1e8, np.ones(8), np.zeros(8)), plain) <= 1e-6


def test_tokens_do_not_touch_each_other():
    x, weight, bias = random_arrays(4, (2, 5, 6), (6,), (6,))
    changed = x.copy()
    changed[:, 2] += 10.0 * np.arange(6)
    different = (layer_norm(changed, weight, bias) != layer_norm(x, weight, bias)).any(axis=-1)
    assert different.tolist() == [[False, False, True, False, False]] * 2


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float16, 4e-3), (np.float32, 1e-5)])
def test_layer_norm_keeps_the_dtype_and_is_exact_to_it(dtype, tolerance):
    x, weight, bias = random_arrays(5, (3, 16), (16,), (16,), dtype=dtype)
    normed = layer_norm(x, weight, bias)
    assert normed.dtype == dtype
    wide = layer_norm(*(array.astype(np.float64) for array in (x, weight, bias)))
    assert largest_difference(normed, wide) <= tolerance


def test_layer_norm_in_half_precision_does_not_overflow_inside():
    """The squares here are larger than float16 can hold."""
    x = np.array([[1000.0, -1000.0, 1000.0, -1000.0]], dtype=np.float16)
    normed = layer_norm(x, np.ones(4, dtype=np.float16), np.zeros(4, dtype=np.float16))
    assert normed.tolist() == [[1.0, -1.0, 1.0, -1.0]]


# feed-forward


@property_test
@given(
    leading=array_shapes(min_dims=0, max_dims=3, max_side=4),
    d_model=st.integers(1, 6),
    d_ff=st.integers(1, 9),
    seed=seeds,
)
def test_feed_forward_equals_torch(leading, d_model, d_ff, seed):
    arrays = random_arrays(seed, (*leading, d_model), (d_model, d_ff), (d_ff,), (d_ff, d_model), (d_model,))
    assert largest_difference(feed_forward(*arrays), torch_feed_forward(*arrays)) <= EXACT


def test_where_no_hidden_unit_fires_only_the_second_bias_is_left():
    x, w_1, w_2, b_2 = random_arrays(6, (3, 4), (4, 7), (7, 4), (4,))
    output = feed_forward(x, w_1, np.full(7, -1e3), w_2, b_2)
    assert np.array_equal(output, np.stack([b_2] * 3))


def test_each_position_is_treated_alike_and_alone():
    x, *weights = random_arrays(7, (2, 5, 4), (4, 8), (8,), (8, 4), (4,))
    output = feed_forward(x, *weights)
    order = [3, 0, 4, 1, 2]
    assert largest_difference(feed_forward(x[:, order], *weights), output[:, order]) <= EXACT
    assert largest_difference(feed_forward(x[1, 2], *weights), output[1, 2]) <= EXACT


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float16, 3e-2), (np.float32, 1e-5)])
def test_feed_forward_keeps_the_dtype_and_is_exact_to_it(dtype, tolerance):
    arrays = random_arrays(8, (3, 4), (4, 8), (8,), (8, 4), (4,), dtype=dtype)
    output = feed_forward(*arrays)
    assert output.dtype == dtype
    assert largest_difference(output, feed_forward(*(x.astype(np.float64) for x in arrays))) <= tolerance


def test_integers_count_as_float64():
    x = np.array([[1, 2], [3, 5]])
    assert layer_norm(x, [1, 1], [0, 0]).dtype == np.float64
    assert feed_forward(x, [[1, 0], [0, -1]], [0, 3], [[1, 0], [0, 1]], [0, 0]).tolist() == [[1.0, 1.0], [3.0, 0.0]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: layer_norm(1.0, np.ones(1), np.ones(1)), r"x must have shape \(\.\.\., d_model\).* got \(\)"),
        (lambda: layer_norm(np.ones((2, 0)), np.ones(0), np.ones(0)), r"d_model above 0; got \(2, 0\)"),
        (lambda: layer_norm(np.ones((2, 3)), np.ones(2), np.ones(3)), r"weight must have shape .* \(3,\); got \(2,\)"),
        (
            lambda: layer_norm(np.ones((2, 3)), np.ones(3), np.ones((2, 3))),
            r"bias must have shape .* \(3,\); got \(2, 3\)",
        ),
        (
            lambda: layer_norm(np.ones((2, 3)), np.ones(3), np.ones(3), eps=-1e-5),
            r"eps must be 0 or greater; got -1e-05",
        ),
        (lambda: feed_forward(1.0, np.ones((1, 2)), np.ones(2), np.ones((2, 1)), np.ones(1)), r"x must have shape"),
        (
            lambda: feed_forward(np.ones((2, 3)), np.ones((2, 4)), np.ones(4), np.ones((4, 3)), np.ones(3)),
            r"w_1 .* got \(2, 4\)",
        ),
        (
            lambda: feed_forward(np.ones((2, 3)), np.ones((3, 4)), np.ones(3), np.ones((4, 3)), np.ones(3)),
            r"b_1 .* got \(3,\)",
        ),
        (
            lambda: feed_forward(np.ones((2, 3)), np.ones((3, 4)), np.ones(4), np.ones((3, 4)), np.ones(3)),
            r"w_2 .* got \(3, 4\)",
        ),
        (
            lambda: feed_forward(np.ones((2, 3)), np.ones((3, 4)), np.ones(4), np.ones((4, 3)), np.ones(4)),
            r"b_2 .* got \(4,\)",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
