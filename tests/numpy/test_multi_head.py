"""Several heads: splitting, merging, and equality with nn.MultiheadAttention."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from clearformer.numpy import (
    causal_mask,
    merge_heads,
    multi_head_attention,
    padding_mask,
    scaled_dot_product_attention,
    split_heads,
)

EXACT = 1e-10  # the largest difference from torch in float64
property_test = settings(deadline=None, max_examples=50, derandomize=True, database=None)
seeds = st.integers(0, 2**32 - 1)
small = st.integers(1, 4)
leading_axes = array_shapes(min_dims=0, max_dims=3, max_side=3)


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


def random_weights(seed, d_model, dtype=np.float64):
    return [w / np.sqrt(d_model).astype(dtype) for w in random_arrays(seed, *[(d_model, d_model)] * 4, dtype=dtype)]


def torch_module(weights, num_heads):
    """nn.MultiheadAttention with our weights; it keeps them transposed, query, key and value in one."""
    w_query, w_key, w_value, w_output = weights
    module = torch.nn.MultiheadAttention(len(w_query), num_heads, bias=False, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        module.in_proj_weight.copy_(torch.tensor(np.concatenate([w_query.T, w_key.T, w_value.T])))
        module.out_proj.weight.copy_(torch.tensor(w_output.T.copy()))
    return module


def by_torch_functions(x_query, x_key_value, weights, num_heads, mask):
    """The same from torch's linear map, chunks and attention."""
    w_query, w_key, w_value, w_output = map(torch.tensor, weights)

    def heads(x, weight):
        return torch.stack((torch.tensor(x) @ weight).chunk(num_heads, dim=-1), dim=-3)

    mask = None if mask is None else torch.tensor(mask)
    mixed = F.scaled_dot_product_attention(
        heads(x_query, w_query), heads(x_key_value, w_key), heads(x_key_value, w_value), attn_mask=mask
    )
    return (torch.cat(mixed.unbind(dim=-3), dim=-1) @ w_output).numpy()


# splitting and merging


@property_test
@given(leading=leading_axes, seq_len=st.integers(0, 4), num_heads=small, d_head=small, seed=seeds)
def test_head_h_reads_its_own_slice_of_the_width(leading, seq_len, num_heads, d_head, seed):
    (x,) = random_arrays(seed, (*leading, seq_len, num_heads * d_head))
    heads = split_heads(x, num_heads)
    assert heads.shape == (*leading, num_heads, seq_len, d_head)
    for h in range(num_heads):
        assert np.array_equal(heads[..., h, :, :], x[..., h * d_head : (h + 1) * d_head])


@property_test
@given(leading=leading_axes, seq_len=st.integers(0, 4), num_heads=small, d_head=small, seed=seeds)
def test_merging_undoes_splitting(leading, seq_len, num_heads, d_head, seed):
    x, heads = random_arrays(seed, (*leading, seq_len, num_heads * d_head), (*leading, num_heads, seq_len, d_head))
    assert np.array_equal(merge_heads(split_heads(x, num_heads)), x)
    assert np.array_equal(split_heads(merge_heads(heads), num_heads), heads)


def test_splitting_is_not_a_mere_reshape():
    x = np.arange(24.0).reshape(1, 3, 8)
    assert not np.array_equal(split_heads(x, 2), x.reshape(1, 2, 3, 4))
    assert split_heads(x, 2)[0, 1, 0].tolist() == [4.0, 5.0, 6.0, 7.0]


def test_changing_one_token_changes_only_that_token_in_each_head():
    (x,) = random_arrays(0, (2, 5, 6))
    changed = x.copy()
    changed[:, 3] += 1
    different = (split_heads(changed, 3) != split_heads(x, 3)).any(axis=-1)  # (batch, heads, T)
    assert different.tolist() == [[[False, False, False, True, False]] * 3] * 2


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64])
def test_splitting_and_merging_keep_the_dtype(dtype):
    x = np.ones((3, 4), dtype=dtype)
    assert split_heads(x, 2).dtype == dtype
    assert merge_heads(split_heads(x, 2)).dtype == dtype


def test_non_contiguous_input_is_split_and_merged_alike():
    (x,) = random_arrays(1, (6, 3, 2))
    assert np.array_equal(split_heads(x.T, 2), split_heads(x.T.copy(), 2))
    assert np.array_equal(merge_heads(x.T), merge_heads(x.T.copy()))


# multi-head attention


@pytest.mark.parametrize("num_heads", [1, 2, 3, 6])
@pytest.mark.parametrize("lengths", [(4, 4), (3, 5), (1, 1), (6, 6)])
@pytest.mark.parametrize("masked", [False, True])
def test_equals_torch_multihead_attention(num_heads, lengths, masked):
    length_q, length_k = lengths
    x_query, x_key_value = random_arrays(2, (4, length_q, 6), (4, length_k, 6))
    weights = random_weights(3, 6)
    mask = theirs = None
    if masked:
        mask = np.random.default_rng(4).random((4, 1, length_q, length_k)) < 0.6
        mask[..., 0] = True  # torch's module gives NaN for a hidden row
        # theirs: True = hidden, one mask for each head of each sequence
        theirs = torch.tensor(~mask).expand(-1, num_heads, -1, -1).flatten(0, 1)
    output = multi_head_attention(x_query, x_key_value, *weights, num_heads, mask)
    query, key_value = torch.tensor(x_query), torch.tensor(x_key_value)
    expected, _ = torch_module(weights, num_heads)(query, key_value, key_value, attn_mask=theirs)
    assert largest_difference(output, expected.detach()) <= EXACT


@property_test
@given(
    leading=leading_axes,
    length_q=small,
    length_k=small,
    num_heads=small,
    d_head=small,
    seed=seeds,
    share_visible=st.sampled_from([None, 0.0, 0.5, 1.0]),
)
def test_any_leading_axes_and_any_mask(leading, length_q, length_k, num_heads, d_head, seed, share_visible):
    d_model = num_heads * d_head
    x_query, x_key_value = random_arrays(seed, (*leading, length_q, d_model), (*leading, length_k, d_model))
    weights = random_weights(seed, d_model)
    mask = None
    if share_visible is not None:
        mask = np.random.default_rng(seed).random((*leading, num_heads, length_q, length_k)) < share_visible
    output = multi_head_attention(x_query, x_key_value, *weights, num_heads, mask)
    expected = by_torch_functions(x_query, x_key_value, weights, num_heads, mask)
    assert largest_difference(output, expected) <= EXACT


def test_one_head_is_plain_attention_between_projections():
    x_query, x_key_value = random_arrays(5, (2, 3, 4), (2, 5, 4))
    w_query, w_key, w_value, w_output = random_weights(6, 4)
    output, _ = scaled_dot_product_attention(x_query @ w_query, x_key_value @ w_key, x_key_value @ w_value)
    together = multi_head_attention(x_query, x_key_value, w_query, w_key, w_value, w_output, 1)
    assert largest_difference(together, output @ w_output) <= EXACT


def test_heads_do_not_read_each_other():
    """With an identity at the end, a head's columns of the weights move that head's columns alone."""
    (x,) = random_arrays(7, (2, 4, 6))
    w_query, w_key, w_value, _ = random_weights(8, 6)
    before = multi_head_attention(x, x, w_query, w_key, w_value, np.eye(6), 3)
    for position in range(3):
        changed = [w_query.copy(), w_key.copy(), w_value.copy()]
        changed[position][:, 2:4] += 0.5  # head 1
        after = multi_head_attention(x, x, *changed, np.eye(6), 3)
        moved = np.abs(after - before).max(axis=(0, 1)) > 1e-9
        assert moved.tolist() == [False, False, True, True, False, False]


def test_the_scale_is_that_of_one_head():
    """sqrt(d_head), not sqrt(d_model): a head of width 1 has scores that are plain products."""
    x = np.array([[1.0, 2.0, 3.0, 4.0], [2.0, 0.0, 1.0, 1.0]])
    output = multi_head_attention(x, x, *[np.eye(4)] * 4, 4)
    for h in range(4):
        column = x[:, h]
        weights = np.exp(np.outer(column, column))
        weights /= weights.sum(axis=1, keepdims=True)
        assert largest_difference(output[:, h], weights @ column) <= EXACT


def test_a_hidden_row_is_zero():
    (x,) = random_arrays(9, (2, 4, 6))
    mask = causal_mask(4).copy()
    mask[2] = False
    output = multi_head_attention(x, x, *random_weights(10, 6), 2, mask)
    assert (output[:, 2] == 0).all()
    assert np.isfinite(output).all()
    assert (output[:, [0, 1, 3]] != 0).any(axis=-1).all()


def test_future_tokens_do_not_change_the_past():
    x, other = random_arrays(11, (2, 6, 8), (2, 6, 8))
    weights = random_weights(12, 8)
    changed = np.concatenate([x[:, :4], 10 * other[:, 4:]], axis=1)
    before = multi_head_attention(x, x, *weights, 4, causal_mask(6))
    after = multi_head_attention(changed, changed, *weights, 4, causal_mask(6))
    assert largest_difference(after[:, :4], before[:, :4]) <= EXACT
    assert largest_difference(after[:, 4:], before[:, 4:]) > 1e-3


def test_padding_does_not_matter():
    x, garbage = random_arrays(13, (2, 3, 8), (2, 5, 8))
    weights = random_weights(14, 8)
    tokens = np.array([[0, 5, 6, 0, 7], [0, 5, 6, 0, 7]])
    padded = 100 * garbage
    padded[:, [1, 2, 4]] = x
    output = multi_head_attention(x, padded, *weights, 2, padding_mask(tokens))
    assert largest_difference(output, multi_head_attention(x, x, *weights, 2)) <= EXACT


def test_self_attention_follows_a_new_order_of_the_tokens():
    (x,) = random_arrays(15, (2, 5, 8))
    weights = random_weights(16, 8)
    order = [4, 2, 0, 1, 3]
    output = multi_head_attention(x, x, *weights, 2)
    assert largest_difference(multi_head_attention(x[:, order], x[:, order], *weights, 2), output[:, order]) <= EXACT


def test_one_memory_serves_a_batch_of_queries():
    x_query, memory = random_arrays(17, (3, 4, 6), (5, 6))
    weights = random_weights(18, 6)
    output = multi_head_attention(x_query, memory, *weights, 2)
    repeated = multi_head_attention(x_query, np.stack([memory] * 3), *weights, 2)
    assert largest_difference(output, repeated) <= EXACT


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float16, 1e-2), (np.float32, 1e-5)])
def test_keeps_the_dtype_and_is_exact_to_it(dtype, tolerance):
    (x,) = random_arrays(19, (2, 4, 6), dtype=dtype)
    weights = random_weights(20, 6, dtype=dtype)
    output = multi_head_attention(x, x, *weights, 2)
    assert output.dtype == dtype
    wide = x.astype(np.float64)
    expected = multi_head_attention(wide, wide, *(w.astype(np.float64) for w in weights), 2)
    assert largest_difference(output, expected) <= tolerance


def test_integers_count_as_float64():
    x = np.array([[1, 2], [3, 4]])
    output = multi_head_attention(x, x, *[np.eye(2, dtype=int)] * 4, 1)
    assert output.dtype == np.float64


X = np.ones((2, 3, 6))
W = np.eye(6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: split_heads(X, 4), r"num_heads must divide d_model = 6.*got 4"),
        (lambda: split_heads(X, 0), r"num_heads .* at least 1; got 0"),
        (lambda: split_heads(X, 2.0), r"num_heads must be a whole number .* got 2.0"),
        (lambda: split_heads(np.ones(6), 2), r"x must have shape \(\.\.\., T, d_model\).* got \(6,\)"),
        (lambda: merge_heads(np.ones((3, 6))), r"x must have shape \(\.\.\., heads, T, d_head\).* got \(3, 6\)"),
        (lambda: multi_head_attention(X, X, W, W, W, W, 4), r"num_heads must divide d_model = 6.*got 4"),
        (lambda: multi_head_attention(X, X, W, W[:5], W, W, 2), r"w_key must have shape .* \(6, 6\); got \(5, 6\)"),
        (lambda: multi_head_attention(X, X, W, W, W, W[0], 2), r"w_output must have shape .* got \(6,\)"),
        (lambda: multi_head_attention(X[0, 0], X, W, W, W, W, 2), r"x_query and x_key_value .* got x_query \(6,\)"),
        (lambda: multi_head_attention(X, X[..., :5], W, W, W, W, 2), r"same width d_model.* x_key_value \(2, 3, 5\)"),
        (
            lambda: multi_head_attention(X, np.ones((4, 3, 6)), W, W, W, W, 2),
            r"leading axes .* x_key_value \(4, 3, 6\)",
        ),
        (lambda: multi_head_attention(X, X, W, W, W, W, 2, np.ones((3, 3))), r"mask must be bool"),
        (
            lambda: multi_head_attention(X, X, W, W, W, W, 3, np.ones((2, 3, 3), dtype=bool)),
            r"mask .* \(2, 3, 3, 3\); got \(2, 3, 3\); is an axis missing",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
