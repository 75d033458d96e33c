"""Linear attention: against the weights written out, and its forms against one another, in float64."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clearformer.memory import AllocatedBytes
from clearformer.nn import elu_plus_one, linear_attention, linear_attention_step, recurrent_linear_attention
from clearformer.nn.linear_attention import CHUNK

EXACT = 1e-10
property_test = settings(deadline=None, max_examples=40, derandomize=True, database=None)


def wider(x):
    """Another map, of another width: never negative, and often all zero."""
    return torch.cat([x.relu(), (-x).relu(), (x - 1).relu()], dim=-1)


MAPS = st.sampled_from([elu_plus_one, torch.exp, wider])


def triple(seed, queries, keys=None, leading=(2,), d_k=3, d_v=4):
    generator = torch.Generator().manual_seed(seed)
    shapes = (queries, d_k), (keys or queries, d_k), (keys or queries, d_v)
    return [torch.randn(*leading, *shape, generator=generator, dtype=torch.float64) for shape in shapes]


def written_out(query, key, value, feature_map, causal=False):
    """One query and one key after the other."""
    outputs = []
    for i in range(query.shape[-2]):
        last = i + 1 if causal else key.shape[-2]
        weights = (feature_map(query[..., i, None, :]) * feature_map(key[..., :last, :])).sum(-1)
        total = weights.sum(-1, keepdim=True)
        shares = torch.where(total == 0, 0.0, weights / total)
        outputs.append((shares[..., None] * value[..., :last, :]).sum(-2))
    return torch.stack(outputs, dim=-2)


@property_test
@given(st.integers(0, 999), st.integers(1, 9), st.integers(1, 9), MAPS)
def test_all_keys_give_the_weights_written_out(seed, queries, keys, feature_map):
    inputs = triple(seed, queries, keys)
    found = linear_attention(*inputs, feature_map)
    assert (found - written_out(*inputs, feature_map)).abs().max() <= EXACT


@property_test
@given(st.integers(0, 999), st.integers(1, 9), MAPS)
def test_causal_gives_the_weights_written_out(seed, length, feature_map):
    inputs = triple(seed, length)
    found = linear_attention(*inputs, feature_map, causal=True)
    assert (found - written_out(*inputs, feature_map, causal=True)).abs().max() <= EXACT


@pytest.mark.parametrize("length", [CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 9])
def test_parallel_and_recurrent_form_are_equal_across_the_chunks(length):
    inputs = triple(0, length)
    parallel = linear_attention(*inputs, elu_plus_one, causal=True)
    assert (parallel - recurrent_linear_attention(*inputs, elu_plus_one)).abs().max() <= EXACT


@property_test
@given(st.integers(0, 999), st.lists(st.integers(1, 40), min_size=1, max_size=5))
def test_a_state_that_is_carried_on_gives_the_whole(seed, pieces):
    inputs = triple(seed, sum(pieces))
    state, outputs = None, []
    for parts in zip(*(x.split(pieces, dim=-2) for x in inputs), strict=True):
        output, state = linear_attention_step(*parts, elu_plus_one, state)
        outputs.append(output)
    whole = linear_attention(*inputs, elu_plus_one, causal=True)
    assert (torch.cat(outputs, dim=-2) - whole).abs().max() <= EXACT
    assert state.memory.shape == (2, 3, 4) and state.normaliser.shape == (2, 3)


def test_two_states_from_one_beginning_do_not_share():
    first, second, other = (triple(seed, 3) for seed in (0, 1, 2))
    _, state = linear_attention_step(*first, elu_plus_one)
    before = [part.clone() for part in state]
    one, _ = linear_attention_step(*second, elu_plus_one, state)
    linear_attention_step(*other, elu_plus_one, state)
    again, _ = linear_attention_step(*second, elu_plus_one, state)
    assert torch.equal(one, again) and all(map(torch.equal, before, state))


def test_future_tokens_do_not_change_the_past():
    query, key, value = triple(0, CHUNK + 20)
    changed = [x.clone() for x in (query, key, value)]
    for x in changed:
        x[..., 70:, :] += 1.0
    before, after = (linear_attention(*each, elu_plus_one, causal=True) for each in ((query, key, value), changed))
    assert torch.equal(before[..., :70, :], after[..., :70, :])
    assert not torch.equal(before[..., 70:, :], after[..., 70:, :])


def test_each_output_is_a_mean_of_values():
    query, key, _ = triple(0, 90)
    ones = torch.ones(2, 90, 1, dtype=torch.float64)
    for causal in (False, True):
        assert (linear_attention(query, key, ones, elu_plus_one, causal) - 1).abs().max() <= EXACT


@pytest.mark.parametrize("causal", [False, True])
def test_memory_grows_with_the_length_and_not_with_its_square(causal):
    peaks = []
    for length in (1024, 4096):
        inputs = triple(0, length, leading=(1,), d_k=8, d_v=8)
        with AllocatedBytes() as allocated:
            linear_attention(*inputs, elu_plus_one, causal)
        peaks.append(allocated.peak)
    assert peaks[1] < 4.5 * peaks[0]
    assert peaks[1] < 4096 * 4096 * 8 / 16


@pytest.mark.parametrize("causal", [False, True])
def test_gradients_are_those_of_the_weights_written_out(causal):
    inputs = [x.requires_grad_() for x in triple(0, 7)]
    found, oracle = (
        torch.autograd.grad(form(*inputs, elu_plus_one, causal).square().sum(), inputs)
        for form in (linear_attention, written_out)
    )
    assert max(float((a - b).abs().max()) for a, b in zip(found, oracle, strict=True)) <= EXACT


def test_causal_needs_one_key_for_each_query():
    with pytest.raises(ValueError, match="T_q = T_k"):
        linear_attention(*triple(0, 3, 4), elu_plus_one, causal=True)
