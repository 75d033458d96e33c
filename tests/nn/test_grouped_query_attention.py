"""Grouped queries against torch's attention and our own multi-head attention, and by laws."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from clearformer.nn import (
    GroupedQueryAttention,
    KeyValueCache,
    MultiHeadAttention,
    RotaryPositions,
    grouped_query_attention,
    rotary_embedding,
)

EXACT = 1e-10  # the largest difference in float64
HEADS = [(4, 4), (4, 2), (4, 1), (6, 3), (1, 1)]
property_test = settings(deadline=None, max_examples=15, derandomize=True, database=None)


def randn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def inputs(heads, kv_heads, leading=(2,), length_q=3, length_k=5):
    return (
        randn(*leading, heads, length_q, 4),
        randn(*leading, kv_heads, length_k, 4, seed=1),
        randn(*leading, kv_heads, length_k, 6, seed=2),
    )


def with_every_head_its_own(query, key, value, mask):
    """torch's attention after key-value head k has been repeated for query heads k · group to (k + 1) · group - 1."""
    group = query.shape[-3] // key.shape[-3]
    key, value = (x.repeat_interleave(group, dim=-3) for x in (key, value))
    mask = None if mask is None else torch.atleast_2d(mask)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)


def random_mask(*shape, seed=5):
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.6
    mask[..., 0] = True  # every query sees one key at least
    return mask


@pytest.mark.parametrize(
    "mask_shape", [None, (3, 5), (5,), (1, 5), (2, 1, 1, 5), (2, 1, 3, 5), ("heads", 3, 5), (2, "heads", 3, 5)]
)
@pytest.mark.parametrize("heads, kv_heads", HEADS)
def test_each_group_reads_its_key_value_head(heads, kv_heads, mask_shape):
    mask = mask_shape and random_mask(*(heads if size == "heads" else size for size in mask_shape))
    arguments = inputs(heads, kv_heads)
    torch.testing.assert_close(
        grouped_query_attention(*arguments, mask), with_every_head_its_own(*arguments, mask), atol=EXACT, rtol=0
    )


@pytest.mark.parametrize("leading", [(), (1,), (2, 3), (0,)])
@pytest.mark.parametrize("length_q, length_k", [(1, 1), (1, 7), (4, 2)])
def test_any_leading_axes_and_lengths(leading, length_q, length_k):
    arguments = inputs(4, 2, leading, length_q, length_k)
    torch.testing.assert_close(
        grouped_query_attention(*arguments), with_every_head_its_own(*arguments, None), atol=EXACT, rtol=0
    )


@pytest.mark.parametrize("per_head", [False, True])
def test_a_query_that_sees_nothing_gets_zeros_and_no_gradient(per_head):
    arguments = [x.requires_grad_() for x in inputs(4, 2)]
    mask = torch.ones((4, 3, 5) if per_head else (3, 5), dtype=torch.bool)
    hidden = (1, 2) if per_head else (slice(None), 2)
    mask[(1, 2) if per_head else 2] = False
    out = grouped_query_attention(*arguments, mask)
    assert (out[(slice(None), *hidden)] == 0).all()
    out.sum().backward()
    assert all(x.grad.isfinite().all() for x in arguments)
    assert (arguments[0].grad[(slice(None), *hidden)] == 0).all()
    seen = mask.any(-1).expand(2, 4, 3)
    torch.testing.assert_close(out[seen], grouped_query_attention(*arguments)[seen], atol=EXACT, rtol=0)


def test_what_is_not_contiguous():
    query, key, value = (x.transpose(-2, -3).contiguous().transpose(-2, -3) for x in inputs(4, 2))
    assert not query.is_contiguous()
    wanted = grouped_query_attention(*inputs(4, 2))
    torch.testing.assert_close(grouped_query_attention(query, key, value), wanted, atol=EXACT, rtol=0)


@pytest.mark.parametrize(
    "shapes, mask, says",
    [
        (((4, 3, 8), (3, 5, 8), (3, 5, 8)), None, "kv_heads must divide heads"),
        (((2, 3, 8), (4, 5, 8), (4, 5, 8)), None, "kv_heads must divide heads"),
        (((4, 3, 8), (0, 5, 8), (0, 5, 8)), None, "kv_heads must divide heads"),
        (((4, 3, 8), (2, 5, 6), (2, 5, 8)), None, "query must be"),
        (((3, 8), (5, 8), (5, 8)), None, "query must be"),
        (((4, 3, 8), (2, 5, 8), (2, 4, 8)), None, "key and value must be"),
        (((2, 4, 3, 8), (1, 2, 5, 8), (1, 2, 5, 8)), None, "leading axes"),
        (((4, 3, 8), (2, 5, 8), (2, 5, 8)), torch.ones(3, 5), "mask must be a bool"),
        (((4, 3, 8), (2, 5, 8), (2, 5, 8)), torch.ones(5, 3).bool(), "mask must be broadcastable"),
        (((4, 3, 8), (2, 5, 8), (2, 5, 8)), torch.ones(2, 3, 5).bool(), "mask must be broadcastable"),
    ],
)
def test_what_cannot_go_together_is_named(shapes, mask, says):
    with pytest.raises(ValueError, match=says):
        grouped_query_attention(*(torch.ones(shape) for shape in shapes), mask)


# the module


def module(num_kv_heads=2, rotary=True, bias=False, layout="pairs"):
    made = GroupedQueryAttention(
        16, 4, num_kv_heads, RotaryPositions(4, 50.0, layout) if rotary else None, bias
    ).double()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / math.sqrt(parameter.shape[-1]))
    return made


def causal(length):
    return torch.ones(length, length, dtype=torch.bool).tril()


def test_without_rotary_and_with_all_heads_it_is_multi_head_attention():
    ours, theirs, x = module(None, rotary=False, bias=True), MultiHeadAttention(16, 4).double(), randn(2, 5, 16)
    theirs.load_state_dict(ours.state_dict())
    torch.testing.assert_close(ours(x, causal(5)), theirs(x, x, x, causal(5)), atol=EXACT, rtol=0)


@torch.no_grad()
def test_queries_and_keys_are_turned_and_values_are_not():
    attention, x = module(), randn(2, 5, 16)
    query, key, value = (
        proj(x).unflatten(-1, (-1, 4)).transpose(1, 2)
        for proj in (attention.query_proj, attention.key_proj, attention.value_proj)
    )
    query, key = (rotary_embedding(x, torch.arange(5), 50.0) for x in (query, key))
    mixed = with_every_head_its_own(query, key, value, causal(5))
    wanted = attention.output_proj(mixed.transpose(1, 2).flatten(-2))
    torch.testing.assert_close(attention(x, causal(5)), wanted, atol=EXACT, rtol=0)


@torch.no_grad()
def test_a_lone_token_comes_out_the_same_wherever_it_stands():
    """Its only key is its own: what could differ is its value, if that were turned."""
    attention, x, mask = module(), randn(1, 6, 16), torch.eye(6, dtype=torch.bool)
    alone = torch.cat([attention(x[:, t : t + 1]) for t in range(6)], dim=1)
    torch.testing.assert_close(attention(x, mask), alone, atol=EXACT, rtol=0)


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
@property_test
@given(
    num_kv_heads=st.sampled_from([1, 2, 4]),
    layout=st.sampled_from(["pairs", "halves"]),
    inner=st.lists(st.integers(0, 9), max_size=5),
)
def test_cached_is_uncached_for_any_chunks(mode, num_kv_heads, layout, inner):
    attention, x, mask, cache = module(num_kv_heads, layout=layout), randn(2, 9, 16), causal(9), KeyValueCache()
    with mode():
        pieces = [
            attention(x[:, begin:end], mask[begin:end, :end], cache)
            for begin, end in itertools.pairwise([0, *sorted(inner), 9])
        ]
        torch.testing.assert_close(torch.cat(pieces, dim=1), attention(x, mask), atol=EXACT, rtol=0)
    assert cache.keys.shape == (2, num_kv_heads, 9, 4)


@pytest.mark.parametrize(
    "arguments, says",
    [
        ((16, 3), "num_heads must divide d_model"),
        ((16, 4, 3), "num_kv_heads must divide num_heads = 4"),
        ((16, 4, 0), "num_kv_heads"),
        ((16, 4, 8), "num_kv_heads must divide"),
        ((16, 4, 2, RotaryPositions(8)), "width 4"),
    ],
)
def test_a_module_that_cannot_be_made_says_so(arguments, says):
    with pytest.raises(ValueError, match=says):
        GroupedQueryAttention(*arguments)


def test_a_module_says_what_it_cannot_take():
    with pytest.raises(ValueError, match="d_model = 16"):
        module()(randn(2, 5, 8))
    with pytest.raises(ValueError, match="mask must be broadcastable"):
        module()(randn(2, 5, 16), causal(4))
