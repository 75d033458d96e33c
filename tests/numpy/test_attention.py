"""Softmax, masks and attention: against torch in float64, by their laws, and on hostile input."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, mutually_broadcastable_shapes

from clearformer.numpy import (
    attention_backward,
    causal_mask,
    masked_softmax,
    padding_mask,
    scaled_dot_product_attention,
    softmax,
)

EXACT = 1e-10  # the largest difference from torch in float64
property_test = settings(deadline=None, max_examples=60, derandomize=True, database=None)
seeds = st.integers(0, 2**32 - 1)
lengths = st.integers(1, 5)
scales = st.sampled_from([0.0, 0.1, 1.0, 1e4])  # 0: equal scores; 1e4: scores whose exp overflows


def largest_difference(actual, expected):
    actual, expected = np.asarray(actual, dtype=float), np.asarray(expected, dtype=float)
    assert actual.shape == expected.shape
    return np.abs(actual - expected).max(initial=0.0)


def random_arrays(seed, *shapes, scale=1.0, dtype=np.float64):
    """Arrays that cannot be written to, so that a change in place is an error."""
    rng = np.random.default_rng(seed)
    arrays = [(scale * rng.standard_normal(shape)).astype(dtype) for shape in shapes]
    for array in arrays:
        array.flags.writeable = False
    return arrays


def expand_mask(mask, query, key, leading):
    """The mask against every score, in the leading axes of the output."""
    scores = (*np.broadcast_shapes(query.shape[:-2], key.shape[:-2]), query.shape[-2], key.shape[-2])
    full = (*leading, query.shape[-2], key.shape[-2])
    return np.broadcast_to(np.broadcast_to(mask, scores), full).copy()


def torch_attention(query, key, value, mask=None, grad_output=None):
    """The same by torch: (output, gradients or None). Leading axes are stretched by expand."""
    leading = np.broadcast_shapes(query.shape[:-2], key.shape[:-2], value.shape[:-2])
    leaves = [torch.tensor(array, requires_grad=True) for array in (query, key, value)]
    stretched = [leaf.expand(*leading, *leaf.shape[-2:]) for leaf in leaves]
    if mask is not None:
        mask = torch.tensor(expand_mask(mask, query, key, leading))
    output = F.scaled_dot_product_attention(*stretched, attn_mask=mask)
    if grad_output is None:
        return output.detach().numpy(), None
    output.backward(torch.tensor(grad_output))
    return output.detach().numpy(), [leaf.grad.numpy() for leaf in leaves]


def torch_weights(query, key, mask):
    scores = torch.tensor(query) @ torch.tensor(key).transpose(-2, -1) / math.sqrt(query.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~torch.tensor(mask), -torch.inf)
    return scores.softmax(dim=-1).nan_to_num(0.0).numpy()


@st.composite
def masks(draw, scores_shape):
    """None, or a mask of any shape that broadcasts to the scores; hidden rows are common."""
    if draw(st.booleans()) and draw(st.booleans()):
        return None
    shape = [draw(st.sampled_from([1, length])) for length in scores_shape]
    shape = shape[draw(st.integers(0, len(shape))) :]
    share_visible = draw(st.sampled_from([0.0, 0.3, 0.7, 1.0]))
    mask = np.asarray(np.random.default_rng(draw(seeds)).random(shape) < share_visible)
    if mask.ndim >= 2 and draw(st.booleans()):
        mask[..., 0, :] = False
    mask.flags.writeable = False
    return mask


@st.composite
def attention_inputs(draw):
    leading = draw(mutually_broadcastable_shapes(num_shapes=3, max_dims=3, max_side=3)).input_shapes
    length_q, length_k, width, width_v = (draw(lengths) for _ in range(4))
    query, key, value = random_arrays(
        draw(seeds),
        (*leading[0], length_q, width),
        (*leading[1], length_k, width),
        (*leading[2], length_k, width_v),
    )
    query = query * draw(scales)
    query.flags.writeable = False
    scores_shape = (*np.broadcast_shapes(leading[0], leading[1]), length_q, length_k)
    return query, key, value, draw(masks(scores_shape))


# softmax


@property_test
@given(shape=array_shapes(max_dims=4, max_side=4), seed=seeds, scale=scales, data=st.data())
def test_softmax_equals_torch_along_every_axis(shape, seed, scale, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    (x,) = random_arrays(seed, shape, scale=scale)
    assert largest_difference(softmax(x, axis=axis), torch.tensor(x).softmax(dim=axis)) <= EXACT


@property_test
@given(shape=array_shapes(max_dims=4, max_side=4), seed=seeds, scale=scales, data=st.data())
def test_softmax_is_positive_and_sums_to_one(shape, seed, scale, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    (x,) = random_arrays(seed, shape, scale=scale)
    weights = softmax(x, axis=axis)
    assert (weights >= 0).all()
    assert largest_difference(weights.sum(axis=axis), np.ones_like(weights.sum(axis=axis))) <= EXACT


def test_softmax_runs_over_the_last_axis_unless_told():
    (x,) = random_arrays(0, (3, 4))
    assert np.array_equal(softmax(x), softmax(x, axis=1))
    assert not np.allclose(softmax(x), softmax(x, axis=0))


def test_softmax_ignores_a_constant_that_differs_from_row_to_row():
    """One maximum for the whole array would turn the lower row into 0 / 0."""
    (x,) = random_arrays(1, (2, 5))
    shifted = x + np.array([[1e4], [-1e4]])
    assert largest_difference(softmax(shifted), softmax(x)) <= EXACT


def test_softmax_hides_minus_infinity():
    assert softmax(np.array([0.0, -np.inf, 0.0])).tolist() == [0.5, 0.0, 0.5]


def test_softmax_of_integers_is_float64():
    weights = softmax([1, 2, 3])
    assert weights.dtype == np.float64
    assert largest_difference(weights, torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64).softmax(0)) <= EXACT


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float16, 1e-3), (np.float32, 1e-6)])
@pytest.mark.parametrize("function", [softmax, lambda x: masked_softmax(x, np.ones(40, dtype=bool))])
def test_softmax_keeps_the_dtype_and_is_exact_to_it(function, dtype, tolerance):
    (x,) = random_arrays(2, (3, 40), scale=5.0, dtype=dtype)
    weights = function(x)
    assert weights.dtype == dtype
    assert largest_difference(weights, softmax(x.astype(np.float64))) <= tolerance


# masks


@pytest.mark.parametrize("seq_len", [0, 1, 2, 7])
def test_a_causal_mask_shows_each_position_itself_and_the_past(seq_len):
    mask = causal_mask(seq_len)
    assert mask.dtype == bool
    assert mask.tolist() == [[k <= q for k in range(seq_len)] for q in range(seq_len)]


def test_a_padding_mask_shows_every_real_token_wherever_the_padding_is():
    tokens = np.array([[0, 0, 5, 9], [7, 0, 3, 0], [0, 0, 0, 0]])
    mask = padding_mask(tokens)
    assert mask.dtype == bool
    assert mask.shape == (3, 1, 1, 4)
    assert mask[:, 0, 0].tolist() == [
        [False, False, True, True],
        [True, False, True, False],
        [False, False, False, False],
    ]


def test_with_another_pad_id_a_token_0_is_real():
    assert padding_mask([[0, 4, 0, 9]], pad_id=9).tolist() == [[[[True, True, True, False]]]]


def test_masks_combine_by_and_and_broadcast_over_heads():
    both = padding_mask(np.array([[3, 4, 0], [0, 5, 6]])) & causal_mask(3)
    assert both.shape == (2, 1, 3, 3)
    scores = np.zeros((2, 4, 3, 3))
    weights = masked_softmax(scores, both)
    assert weights[1, 2].tolist() == [[0, 0, 0], [0, 1, 0], [0, 0.5, 0.5]]


# masked softmax


def test_a_hidden_score_far_above_the_others_changes_nothing():
    """With a maximum taken over hidden keys too, every visible weight would underflow."""
    mask = np.array([True, True, False])
    for hidden in (0.0, 1e4, 1e300, np.inf, np.nan):
        weights = masked_softmax(np.array([1.0, 1.0, hidden]), mask)
        assert weights.tolist() == [0.5, 0.5, 0.0]


def test_a_visible_score_of_minus_1e9_is_not_taken_for_hidden():
    weights = masked_softmax(np.array([-1e9, 0.0]), np.array([True, False]))
    assert weights.tolist() == [1.0, 0.0]


def test_a_visible_score_of_zero_is_not_taken_for_hidden():
    assert masked_softmax(np.zeros((2, 2)), causal_mask(2)).tolist() == [[1.0, 0.0], [0.5, 0.5]]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_hidden_row_is_exactly_zero_and_warns_of_nothing(dtype):
    (scores,) = random_arrays(3, (2, 3, 4), scale=100.0, dtype=dtype)
    mask = np.ones((3, 4), dtype=bool)
    mask[1] = False
    with np.errstate(all="raise", under="ignore"):
        weights = masked_softmax(scores, mask)
    assert (weights[:, 1] == 0).all()
    assert np.allclose(weights[:, [0, 2]].sum(axis=-1, dtype=float), 1, atol=2e-3)


def test_without_a_mask_every_key_is_visible():
    (scores,) = random_arrays(4, (2, 3, 4))
    assert np.array_equal(masked_softmax(scores, None), softmax(scores))


# attention, forward


@property_test
@given(inputs=attention_inputs())
def test_attention_equals_torch(inputs):
    query, key, value, mask = inputs
    output, weights = scaled_dot_product_attention(query, key, value, mask)
    assert largest_difference(output, torch_attention(query, key, value, mask)[0]) <= EXACT
    assert largest_difference(weights, torch_weights(query, key, mask)) <= EXACT


@property_test
@given(inputs=attention_inputs())
def test_each_row_of_weights_sums_to_one_over_visible_keys_or_is_zero(inputs):
    query, key, value, mask = inputs
    output, weights = scaled_dot_product_attention(query, key, value, mask)
    visible = np.broadcast_to(True if mask is None else mask, weights.shape)
    assert (weights[~visible] == 0).all()
    has_key = visible.any(axis=-1)
    assert largest_difference(weights.sum(axis=-1), has_key) <= EXACT
    hidden = np.broadcast_to(~has_key, output.shape[:-1])
    assert (output[hidden] == 0).all()


@property_test
@given(inputs=attention_inputs(), seed=seeds)
def test_the_order_of_the_keys_does_not_matter(inputs, seed):
    query, key, value, mask = inputs
    order = np.random.default_rng(seed).permutation(key.shape[-2])
    output, weights = scaled_dot_product_attention(query, key, value, mask)
    shuffled_mask = None if mask is None else np.broadcast_to(mask, weights.shape)[..., order]
    shuffled, shuffled_weights = scaled_dot_product_attention(
        query, key[..., order, :], value[..., order, :], shuffled_mask
    )
    assert largest_difference(shuffled, output) <= EXACT
    assert largest_difference(shuffled_weights, weights[..., order]) <= EXACT


def test_queries_in_another_order_give_the_same_rows_in_that_order():
    query, key, value = random_arrays(5, (2, 6, 4), (2, 5, 4), (2, 5, 3))
    order = [3, 1, 5, 0, 2, 4]
    output, weights = scaled_dot_product_attention(query, key, value)
    shuffled, shuffled_weights = scaled_dot_product_attention(query[:, order], key, value)
    assert largest_difference(shuffled, output[:, order]) <= EXACT
    assert largest_difference(shuffled_weights, weights[:, order]) <= EXACT


@property_test
@given(seed=seeds, seq_len=st.integers(2, 6), data=st.data())
def test_future_tokens_do_not_change_the_past(seed, seq_len, data):
    present = data.draw(st.integers(0, seq_len - 2))
    x, other = random_arrays(seed, (2, seq_len, 4), (2, seq_len, 4))
    changed = np.where(np.arange(seq_len)[:, None] > present, 100 * other, x)
    before, _ = scaled_dot_product_attention(x, x, x, causal_mask(seq_len))
    after, _ = scaled_dot_product_attention(changed, changed, changed, causal_mask(seq_len))
    assert largest_difference(after[:, : present + 1], before[:, : present + 1]) <= EXACT
    assert largest_difference(after[:, present + 1 :], before[:, present + 1 :]) > 1e-3


@pytest.mark.parametrize("tokens", [[4, 5, 6, 0, 0], [0, 0, 4, 5, 6], [4, 0, 5, 0, 6]])
def test_padding_does_not_matter_wherever_it_is(tokens):
    tokens = np.array([tokens])
    x, garbage = random_arrays(6, (1, 1, 3, 4), (1, 1, 5, 4))
    real = tokens[0] != 0
    padded = 1e3 * garbage
    padded[:, :, real] = x
    output, _ = scaled_dot_product_attention(padded, padded, padded, padding_mask(tokens))
    alone, _ = scaled_dot_product_attention(x, x, x)
    assert largest_difference(output[:, :, real], alone) <= EXACT


def test_equal_scores_give_the_mean_of_the_visible_values():
    (value,) = random_arrays(7, (4, 3))
    zeros = np.zeros((4, 2))
    output, _ = scaled_dot_product_attention(zeros, zeros, value, causal_mask(4))
    expected = [value[: t + 1].mean(axis=0) for t in range(4)]
    assert largest_difference(output, expected) <= EXACT


def test_large_scores_pick_the_best_key():
    query = np.array([[1e4, 0.0]])
    key = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.0]])
    value = np.array([[1.0], [2.0], [3.0]])
    with np.errstate(all="raise", under="ignore"):
        output, weights = scaled_dot_product_attention(query, key, value)
    assert output.tolist() == [[1.0]]
    assert weights.tolist() == [[1.0, 0.0, 0.0]]


def test_a_single_key_gives_its_value():
    query, key, value = random_arrays(8, (1, 3), (1, 3), (1, 2))
    output, weights = scaled_dot_product_attention(query, key, value)
    assert np.array_equal(output, value)
    assert weights.tolist() == [[1.0]]


def test_with_no_keys_at_all_the_output_is_zero():
    query, key, value = np.ones((2, 3, 4)), np.ones((2, 0, 4)), np.ones((2, 0, 5))
    for mask in (None, np.ones((3, 0), dtype=bool)):
        output, weights = scaled_dot_product_attention(query, key, value, mask)
        assert output.tolist() == np.zeros((2, 3, 5)).tolist()
        assert weights.shape == (2, 3, 0)
        gradients = attention_backward(np.ones((2, 3, 5)), query, key, value, mask)
        assert [g.shape for g in gradients] == [query.shape, key.shape, value.shape]
        assert (gradients[0] == 0).all()


def test_with_no_queries_the_output_is_empty():
    output, weights = scaled_dot_product_attention(np.ones((2, 0, 4)), np.ones((2, 3, 4)), np.ones((2, 3, 5)))
    assert output.shape == (2, 0, 5)
    assert weights.shape == (2, 0, 3)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float16, 2e-3), (np.float32, 1e-5)])
def test_attention_keeps_the_dtype_and_is_exact_to_it(dtype, tolerance):
    query, key, value = random_arrays(9, (2, 5, 8), (2, 6, 8), (2, 6, 3), dtype=dtype)
    mask = np.ones((5, 6), dtype=bool)
    mask[2] = False
    mask[:, 4] = False
    output, weights = scaled_dot_product_attention(query, key, value, mask)
    assert (output.dtype, weights.dtype) == (dtype, dtype)
    expected, _ = torch_attention(*(x.astype(np.float64) for x in (query, key, value)), mask)
    assert largest_difference(output, expected) <= tolerance
    assert (output[:, 2] == 0).all()


def test_half_precision_does_not_overflow_inside():
    """query @ key^T is 102,400 here before the scale, more than float16 can hold."""
    query = np.full((2, 64), 40, dtype=np.float16)
    value = np.array([[1.0], [3.0]], dtype=np.float16)
    output, weights = scaled_dot_product_attention(query, query, value)
    assert weights.tolist() == [[0.5, 0.5]] * 2
    assert output.tolist() == [[2.0]] * 2
    assert all(np.isfinite(g).all() for g in attention_backward(np.ones_like(output), query, query, value))


def test_integers_count_as_float64():
    query, key, value = [[1, 0]], [[1, 2], [3, 4]], [[1, 0], [0, 1]]
    output, weights = scaled_dot_product_attention(query, key, value)
    assert (output.dtype, weights.dtype) == (np.float64, np.float64)
    expected, _ = torch_attention(*(np.array(x, dtype=float) for x in (query, key, value)))
    assert largest_difference(output, expected) <= EXACT
    assert all(g.dtype == np.float64 for g in attention_backward([[1, 1]], query, key, value))


def test_non_contiguous_input_gives_the_same():
    query, key, value = random_arrays(10, (4, 2, 5), (4, 2, 6), (3, 2, 6))
    views = query.T, key.T, value.T  # (5, 2, 4), (6, 2, 4), (6, 2, 3), none contiguous
    views = [x.swapaxes(0, 1) for x in views]
    copies = [x.copy() for x in views]
    for actual, expected in zip(
        scaled_dot_product_attention(*views), scaled_dot_product_attention(*copies), strict=True
    ):
        assert largest_difference(actual, expected) <= EXACT


# attention, backward


@property_test
@given(inputs=attention_inputs(), seed=seeds)
def test_gradients_equal_torch_autograd(inputs, seed):
    query, key, value, mask = inputs
    leading = np.broadcast_shapes(query.shape[:-2], key.shape[:-2], value.shape[:-2])
    (grad_output,) = random_arrays(seed, (*leading, query.shape[-2], value.shape[-1]))
    gradients = attention_backward(grad_output, query, key, value, mask)
    _, expected = torch_attention(query, key, value, mask, grad_output)
    size = max(1.0, *(np.abs(g).max() for g in expected))  # queries of size 1e4 give gradients as large
    for actual, from_torch in zip(gradients, expected, strict=True):
        assert largest_difference(actual, from_torch) <= EXACT * size


@pytest.mark.parametrize("which", [0, 1, 2])
def test_gradients_equal_finite_differences(which):
    inputs = random_arrays(11, (2, 3, 4), (2, 5, 4), (2, 5, 2))
    mask = np.random.default_rng(12).random((3, 5)) < 0.6
    mask[1] = False
    direction, grad_output = random_arrays(13, inputs[which].shape, (2, 3, 2))
    step = 1e-5

    def loss(distance):
        moved = [x + distance * direction if i == which else x for i, x in enumerate(inputs)]
        return (scaled_dot_product_attention(*moved, mask)[0] * grad_output).sum()

    slope = (loss(step) - loss(-step)) / (2 * step)
    gradient = attention_backward(grad_output, *inputs, mask)[which]
    # the difference has an error of about step^2 = 1e-10, times a third derivative of size 1
    assert abs(slope - (gradient * direction).sum()) <= 1e-8


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_hidden_row_has_zero_gradients_and_gives_none(dtype):
    query, key, value, grad_output = random_arrays(14, (2, 3, 4), (2, 5, 4), (2, 5, 2), (2, 3, 2), dtype=dtype)
    mask = np.ones((3, 5), dtype=bool)
    mask[1] = False
    gradients = attention_backward(grad_output, query, key, value, mask)
    assert all(g.dtype == dtype for g in gradients)
    assert all(np.isfinite(g).all() for g in gradients)
    assert (gradients[0][:, 1] == 0).all()
    rest = [0, 2]
    without = attention_backward(grad_output[:, rest], query[:, rest], key, value, mask[rest])
    tolerance = {np.float16: 4e-3, np.float32: 1e-5, np.float64: EXACT}[dtype]
    assert largest_difference(gradients[1], without[1]) <= tolerance
    assert largest_difference(gradients[2], without[2]) <= tolerance


def test_if_everything_is_hidden_all_gradients_are_zero():
    query, key, value, grad_output = random_arrays(15, (3, 4), (5, 4), (5, 2), (3, 2))
    with np.errstate(all="raise", under="ignore"):
        gradients = attention_backward(grad_output, query, key, value, np.zeros((3, 5), dtype=bool))
    assert all((g == 0).all() for g in gradients)


def test_hidden_keys_get_no_gradient():
    query, key, value, grad_output = random_arrays(16, (3, 4), (5, 4), (5, 2), (3, 2))
    mask = np.array([True, True, False, True, False])
    _, grad_key, grad_value = attention_backward(grad_output, query, key, value, mask)
    assert (grad_key[~mask] == 0).all()
    assert (grad_value[~mask] == 0).all()
    assert (grad_key[mask] != 0).any(axis=-1).all()


@property_test
@given(inputs=attention_inputs(), seed=seeds)
def test_moving_all_keys_together_changes_nothing(inputs, seed):
    """It adds the same to each score of a row, which softmax ignores: the keys' gradients cancel."""
    query, key, value, mask = inputs
    leading = np.broadcast_shapes(query.shape[:-2], key.shape[:-2], value.shape[:-2])
    (grad_output,) = random_arrays(seed, (*leading, query.shape[-2], value.shape[-1]))
    _, grad_key, _ = attention_backward(grad_output, query, key, value, mask)
    assert np.abs(grad_key.sum(axis=-2)).max() <= EXACT * max(1.0, np.abs(query).max())


# bad input


@pytest.fixture(scope="module")
def qkv():
    return random_arrays(17, (2, 3, 4), (2, 5, 4), (2, 5, 6))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"query": np.ones((2, 3, 7))}, r"query and key .* same width d_k.* got query \(2, 3, 7\), key \(2, 5, 4\)"),
        ({"query": np.ones(4)}, r"query, key and value must have shape .* got query \(4,\)"),
        ({"value": np.ones((2, 4, 6))}, r"key and value .* same length T_k.* value \(2, 4, 6\)"),
        ({"value": np.ones((3, 5, 6))}, r"leading axes .* must broadcast.* value \(3, 5, 6\)"),
        ({"query": np.ones((2, 3, 0)), "key": np.ones((2, 5, 0))}, r"d_k.* above 0"),
        ({"key": [[1, 2], [3]]}, r"key must be an array of numbers"),
        ({"value": np.ones((2, 5, 6), dtype=complex)}, r"value must hold real numbers; got dtype complex128"),
        ({"value": np.ones((2, 5, 6), dtype=bool)}, r"value must hold real numbers; got dtype bool"),
        ({"query": "query"}, r"query must hold real numbers"),
        ({"mask": np.ones((3, 5))}, r"mask must be bool.* got dtype float64 in shape \(3, 5\)"),
        ({"mask": np.ones((3, 5), dtype=int)}, r"mask must be bool.* got dtype int64"),
        ({"mask": np.ones((5, 3), dtype=bool)}, r"mask .* broadcastable .* \(2, 3, 5\); got \(5, 3\)"),
        ({"mask": np.ones((2, 1, 3, 5), dtype=bool)}, r"mask .* broadcastable .* \(2, 3, 5\); got \(2, 1, 3, 5\)"),
    ],
)
@pytest.mark.parametrize("backward", [False, True])
def test_bad_input_is_named(qkv, change, message, backward):
    inputs = dict(zip(["query", "key", "value"], qkv, strict=True)) | change
    with pytest.raises(ValueError, match=message):
        if backward:
            attention_backward(np.ones((2, 3, 6)), **inputs)
        else:
            scaled_dot_product_attention(**inputs)


def test_grad_output_must_have_the_shape_of_the_output(qkv):
    with pytest.raises(ValueError, match=r"grad_output must have shape .* = \(2, 3, 6\); got \(3, 6\)"):
        attention_backward(np.ones((3, 6)), *qkv)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: softmax(np.ones((2, 3)), axis=2), r"axis must be an axis of x.* \(2, 3\); got 2"),
        (lambda: softmax(np.ones((2, 3)), axis=None), r"axis must be a whole number; got None"),
        (lambda: softmax(3.0), r"axis must be an axis of x.* \(\); got -1"),
        (lambda: softmax(["a", "b"]), r"x must hold real numbers"),
        (lambda: masked_softmax(np.ones((2, 3)), np.ones((2, 3))), r"mask must be bool"),
        (lambda: masked_softmax(np.ones((2, 3)), np.ones((4, 2, 3), dtype=bool)), r"mask .* \(2, 3\)"),
        (lambda: causal_mask(-1), r"seq_len .* at least 0; got -1"),
        (lambda: causal_mask(3.0), r"seq_len must be a whole number .* got 3.0"),
        (lambda: padding_mask(np.array([1, 2])), r"token_ids .* \(batch, seq_len\).* got dtype int64 in shape \(2,\)"),
        (lambda: padding_mask(np.ones((2, 3))), r"token_ids must be integers.* got dtype float64"),
        (lambda: padding_mask(np.ones((2, 3), dtype=int), pad_id=None), r"pad_id must be a whole number"),
    ],
)
def test_bad_input_to_softmax_and_masks_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
