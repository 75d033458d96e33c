"""Attention by blocks of keys: equal to torch's, whatever the blocks, and small in memory."""

import tracemalloc

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from clearformer.numpy import online_softmax_attention, scaled_dot_product_attention
from clearformer.numpy.online_softmax import absorb, merge, online_softmax_steps, start

EXACT = 1e-10  # float64, against torch
property_test = settings(deadline=None, max_examples=60, derandomize=True, database=None)
seeds = st.integers(0, 2**32 - 1)


def triple(seed, leading=(), queries=3, keys=7, d_k=4, d_v=5, size=1.0):
    rng = np.random.default_rng(seed)
    shapes = (*leading, queries, d_k), (*leading, keys, d_k), (*leading, keys, d_v)
    arrays = [rng.normal(size=shape) * scale for shape, scale in zip(shapes, (size, size, 1.0), strict=True)]
    for array in arrays:
        array.flags.writeable = False
    return arrays


def by_torch(query, key, value):
    return F.scaled_dot_product_attention(*map(torch.tensor, (query, key, value))).numpy()


@property_test
@given(seeds, st.integers(1, 5), st.integers(1, 9), st.integers(1, 11), st.sampled_from([0.0, 1.0, 60.0, 1e4]))
def test_any_blocks_give_what_torch_gives(seed, queries, keys, block_size, size):
    arrays = triple(seed, (2,), queries, keys, size=size)
    assert np.abs(online_softmax_attention(*arrays, block_size) - by_torch(*arrays)).max() <= EXACT


@property_test
@given(seeds, st.permutations(range(7)), st.integers(1, 7))
def test_the_order_of_the_keys_does_not_matter(seed, order, block_size):
    query, key, value = triple(seed, size=3.0)
    first = online_softmax_attention(query, key, value, block_size)
    other = online_softmax_attention(query, key[list(order)], value[list(order)], block_size)
    assert np.abs(first - other).max() <= EXACT


def test_scores_that_rise_and_fall_by_thousands():
    """Each order in which the maximum may come: first, last, and rising in every block."""
    query, value = np.ones((1, 1)), np.arange(6.0)[:, None]
    for scores in ([5000, 0, 1, 2, 3, 4], [0, 1, 2, 3, 4, 5000], [-9000, -800, -70, 6, 500, 4000], [-1e4] * 6):
        key = np.array(scores, dtype=float)[:, None]
        found = online_softmax_attention(query, key, value, 2)
        assert np.abs(found - by_torch(query, key, value)).max() <= EXACT


@property_test
@given(seeds, st.integers(0, 7), st.integers(0, 7))
def test_parts_seen_for_themselves_are_merged_in_any_order(seed, cut, other_cut):
    query, key, value = triple(seed, size=5.0)
    low, high = sorted((cut, other_cut))
    parts = []
    for part in (slice(0, low), slice(low, high), slice(high, None)):
        keys, values = key[part], value[part]
        begun = start(query, keys, values)
        parts.append(absorb(begun, query, keys, values) if len(keys) else begun)
    one, two, three = parts
    for whole in (merge(merge(one, two), three), merge(one, merge(two, three)), merge(merge(three, one), two)):
        assert np.abs(whole.mixed / whole.total - by_torch(query, key, value)).max() <= EXACT


def test_after_each_block_it_is_the_attention_over_the_keys_so_far():
    query, key, value = triple(3, size=4.0)
    for number, running in enumerate(online_softmax_steps(query, key, value, 2)):
        if number:
            seen = slice(0, 2 * number)
            wanted = scaled_dot_product_attention(query, key[seen], value[seen])[0]
            assert np.abs(running.mixed / running.total - wanted).max() <= EXACT


def peak_bytes(function, *args):
    tracemalloc.start()
    try:
        function(*args)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_grows_with_the_length_and_not_with_its_square():
    small, large = (triple(0, queries=length, keys=length, d_k=8, d_v=8) for length in (400, 1600))
    by_block = [peak_bytes(online_softmax_attention, *arrays, 16) for arrays in (small, large)]
    dense = [peak_bytes(scaled_dot_product_attention, *arrays) for arrays in (small, large)]
    assert by_block[1] < 4.5 * by_block[0]
    assert dense[1] > 14 * dense[0]
    assert by_block[1] < 1600 * 1600 * 8 / 8  # an eighth of the scores alone


@pytest.mark.parametrize(("dtype", "close"), [(np.float32, 1e-6), (np.float16, 2e-3)])
def test_the_output_has_the_dtype_of_the_inputs(dtype, close):
    arrays = [array.astype(dtype) for array in triple(1)]
    found = online_softmax_attention(*arrays, 3)
    assert found.dtype == dtype
    assert np.abs(found - by_torch(*(array.astype(float) for array in arrays))).max() < close


def test_leading_axes_are_broadcast_and_no_key_gives_zeros():
    query, key, value = triple(0, (2, 3))
    found = online_softmax_attention(query, key[:1], value[:, :1], 3)
    wanted = scaled_dot_product_attention(query, key[:1], value[:, :1])[0]
    assert np.abs(found - wanted).max() <= EXACT
    assert not online_softmax_attention(query, key[..., :0, :], value[..., :0, :], 3).any()


@pytest.mark.parametrize("block_size", [0, -1, 1.5, "2"])
def test_a_block_needs_at_least_one_key(block_size):
    with pytest.raises(ValueError, match="block_size"):
        online_softmax_attention(*triple(0), block_size)


def test_shapes_that_cannot_go_together_are_named():
    query, key, value = triple(0)
    for wrong in ((query[:, :3], key, value), (query, key[:3], value), (query[0], key, value)):
        with pytest.raises(ValueError, match="query"):
            online_softmax_attention(*wrong, 2)
