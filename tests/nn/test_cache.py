"""What a decoder keeps: cached = uncached for any chunking, and rows that leave or change places."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clearformer.nn import Decoder, DecoderCache, KeyValueCache, MultiHeadAttention

EXACT = 1e-10  # the largest difference in float64
property_test = settings(deadline=None, max_examples=20, derandomize=True, database=None)
LENGTH, SOURCE = 6, 4
CAUSAL = torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril()


def randn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def make(kind, *sizes, **keywords):
    """A module of which every parameter has its own random numbers."""
    module, generator = kind(*sizes, **keywords).double(), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / math.sqrt(parameter.shape[-1]))
    return module


def largest_difference(actual, expected):
    assert actual.shape == expected.shape
    return (actual.detach() - expected.detach()).abs().max().item() if actual.numel() else 0.0


@st.composite
def chunks(draw, length=LENGTH):
    """Borders of chunks that make up a sequence: 0, …, length. A chunk may be empty."""
    inner = draw(st.lists(st.integers(0, length), max_size=length))
    borders = [0, *sorted(inner), length]
    return list(itertools.pairwise(borders))


GRADIENTS = [torch.enable_grad, torch.no_grad, torch.inference_mode]


# keys and values


@pytest.mark.parametrize("mode", GRADIENTS)
@property_test
@given(chunks=chunks(length=200))
def test_chunks_of_any_length_join_to_the_whole(mode, chunks):
    key, value, cache = randn(2, 3, 200, 4), randn(2, 3, 200, 5, seed=1), KeyValueCache()
    with mode():
        for begin, end in chunks:
            keys, values = cache.append(key[:, :, begin:end], value[:, :, begin:end])
            assert cache.length == end
            assert torch.equal(keys, key[:, :, :end])
            assert torch.equal(values, value[:, :, :end])
            assert torch.equal(cache.keys, keys)


def test_what_was_returned_before_stays_as_it_was():
    key, cache = randn(2, 3, 80, 4), KeyValueCache()
    with torch.no_grad():
        returned = [cache.append(key[:, :, t : t + 1], key[:, :, t : t + 1])[0] for t in range(80)]
    assert all(torch.equal(keys, key[:, :, : t + 1]) for t, keys in enumerate(returned))


def test_what_was_given_is_not_changed():
    key, cache = randn(2, 3, 2, 4), KeyValueCache()
    copy = key.clone()
    with torch.no_grad():
        for _ in range(3):
            cache.append(key, key)
            cache.keep([1, 1])
            cache.keep([1, 0])
    assert torch.equal(key, copy)


def test_two_caches_share_nothing():
    first, second = KeyValueCache(), KeyValueCache()
    first.append(randn(1, 1, 2, 3), randn(1, 1, 2, 3))
    assert (second.length, second.keys, second.values) == (0, None, None)


@pytest.mark.parametrize("mode", GRADIENTS)
def test_rows_leave_come_twice_and_change_places(mode):
    key, value, cache = randn(4, 2, 7, 3), randn(4, 2, 7, 3, seed=1), KeyValueCache()
    with mode():
        cache.keep([5])  # nothing to keep yet
        cache.append(key[:, :, :3], value[:, :, :3])
        cache.append(key[:, :, 3:5], value[:, :, 3:5])
        for rows in ([2, 0, 3], torch.tensor([1, 1, 0, 2]), torch.tensor([True, False, True, True]), []):
            cache.keep(rows)
            key, value = key[rows], value[rows]
            assert torch.equal(cache.keys, key[:, :, :5])
            assert torch.equal(cache.values, value[:, :, :5])
        assert cache.append(key[:, :, 5:], value[:, :, 5:])[0].shape == (0, 2, 7, 3)


def test_gradients_flow_through_what_was_kept():
    key = randn(2, 1, 3, 2).requires_grad_()
    cache = KeyValueCache()
    cache.append(key[:, :, :2], key[:, :, :2])
    cache.keep([1])
    cache.append(key[1:, :, 2:], key[1:, :, 2:])[0].sum().backward()
    assert torch.equal(key.grad, torch.tensor([0.0, 1.0])[:, None, None, None].expand(2, 1, 3, 2).double())


def test_a_cache_filled_in_inference_mode_goes_on_outside_of_it():
    key, cache = randn(2, 1, 4, 2), KeyValueCache()
    with torch.inference_mode():
        cache.append(key[:, :, :1], key[:, :, :1])
        cache.append(key[:, :, 1:2], key[:, :, 1:2])
    with torch.no_grad():
        cache.append(key[:, :, 2:], key[:, :, 2:])
        assert torch.equal(cache.keys, key)
        cache.keep([1, 0])
    assert torch.equal(cache.values, key[[1, 0]])


KEY = torch.ones(2, 3, 4, 5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda cache: cache.append(KEY[0, 0, 0], KEY[0, 0, 0]), r"key and value must have shape .* got \(5,\)"),
        (lambda cache: cache.append(KEY, KEY[:, :, 1:]), r"key and value .* \(2, 3, 4, 5\) and \(2, 3, 3, 5\)"),
        (lambda cache: cache.append(KEY[:1], KEY[:1]), r"key must continue .* \(2, 3, 4, 5\), .* got \(1, 3, 4, 5\)"),
        (lambda cache: cache.append(KEY, KEY[..., :2]), r"value must continue .* got \(2, 3, 4, 2\)"),
        (lambda cache: cache.keep([0, 2]), r"rows must be from 0 to 1; got 2"),
        (lambda cache: cache.keep([-1]), r"rows must be from 0 to 1; got -1"),
        (
            lambda cache: cache.keep([0.5]),
            r"rows must be a list of row numbers or a bool tensor \(2,\); got torch.float32",
        ),
        (lambda cache: cache.keep(torch.tensor([True])), r"bool tensor \(2,\); got torch.bool in shape \(1,\)"),
    ],
)
def test_what_does_not_continue_the_cache_is_named(call, message):
    cache = KeyValueCache()
    cache.append(KEY, KEY)
    with pytest.raises(ValueError, match=message):
        call(cache)
    assert cache.length == 4


# attention


@property_test
@given(chunks=chunks())
def test_attention_in_chunks_equals_attention_at_once(chunks):
    module, x, cache = make(MultiHeadAttention, 8, 2), randn(3, LENGTH, 8), KeyValueCache()
    expected = module(x, x, x, CAUSAL)
    for begin, end in chunks:
        new = x[:, begin:end]
        output = module(new, new, new, CAUSAL[begin:end, :end], cache)
        assert largest_difference(output, expected[:, begin:end]) <= EXACT


def test_a_mask_that_does_not_count_the_cached_keys_leaves_the_cache_as_it_was():
    module, x, cache = make(MultiHeadAttention, 8, 2), randn(3, LENGTH, 8), KeyValueCache()
    module(x[:, :4], x[:, :4], x[:, :4], None, cache)
    with pytest.raises(ValueError, match=r"mask .* \(3, 2, 2, 6\); got \(2, 2\)"):
        module(x[:, 4:], x[:, 4:], x[:, 4:], torch.ones(2, 2, dtype=torch.bool), cache)
    assert cache.length == 4


# decoder


def visible_memory():
    mask = torch.ones(3, 1, 1, SOURCE, dtype=torch.bool)
    mask[0, ..., 3:] = False
    mask[1] = False  # a source of padding alone
    return mask


@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("mode", GRADIENTS)
@property_test
@given(chunks=chunks())
def test_a_decoder_in_chunks_equals_the_decoder_at_once(norm, mode, chunks):
    decoder = make(Decoder, 2, 8, 2, 16, norm=norm)
    x, memory, mask = randn(3, LENGTH, 8), randn(3, SOURCE, 8, seed=1), visible_memory()
    expected, cache = decoder(x, memory, CAUSAL, mask), DecoderCache()
    with mode():
        for begin, end in chunks:
            first = cache.length == 0 and not cache.layers
            output = decoder(
                x[:, begin:end],
                memory if first else None,
                CAUSAL[begin:end, :end],
                mask if first else None,
                cache,
            )
            assert cache.length == end
            assert largest_difference(output, expected[:, begin:end]) <= EXACT


@property_test
@given(
    seed=st.integers(0, 2**31),
    choices=st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=5), min_size=LENGTH, max_size=LENGTH),
)
def test_rows_kept_go_on_as_if_they_had_been_alone(seed, choices):
    """After each token some rows leave, come twice or change places; each goes on with the sentence it then is."""
    decoder, memory, mask = make(Decoder, 2, 8, 2, 16), randn(3, SOURCE, 8, seed=1), visible_memory()
    x, cache = randn(3, 0, 8), DecoderCache()
    with torch.no_grad():
        for number, choice in enumerate(choices):
            new = randn(len(x), 1, 8, seed=seed + number)
            x = torch.cat([x, new], dim=1)
            output = decoder(new, memory, None, mask, cache)
            expected = decoder(x, memory, CAUSAL[: number + 1, : number + 1], mask)
            assert largest_difference(output, expected[:, -1:]) <= EXACT
            rows = [row % len(x) for row in choice]
            cache.keep(rows)
            x, memory, mask = x[rows], memory[rows], mask[rows]
            assert (cache.num_rows, cache.num_sources) == (len(rows), len(rows))


@property_test
@given(seed=st.integers(0, 2**31), rows_a_source=st.integers(1, 3), data=st.data())
def test_rows_that_share_a_source_read_it_as_if_each_had_its_own(seed, rows_a_source, data):
    """The hypotheses of a beam: they change places within their sentence, and whole sentences leave."""
    decoder, memory, mask = make(Decoder, 2, 8, 2, 16), randn(3, SOURCE, 8, seed=1), visible_memory()
    x, cache = randn(3 * rows_a_source, 0, 8), DecoderCache()
    with torch.no_grad():
        for number in range(4):
            new = randn(len(x), 1, 8, seed=seed + number)
            x = torch.cat([x, new], dim=1)
            output = decoder(new, memory, None, mask, cache)
            own = [tensor.repeat_interleave(rows_a_source, dim=0) for tensor in (memory, mask)]
            expected = decoder(x, own[0], CAUSAL[: number + 1, : number + 1], own[1])
            assert largest_difference(output, expected[:, -1:]) <= EXACT
            left = data.draw(st.lists(st.integers(0, len(memory) - 1), min_size=1, max_size=3, unique=True))
            within = st.lists(st.integers(0, rows_a_source - 1), min_size=rows_a_source, max_size=rows_a_source)
            rows = [source * rows_a_source + row for source in left for row in data.draw(within)]
            if len(left) == len(memory) and left == sorted(left) and rows_a_source > 1:
                cache.keep(rows)
            else:
                cache.keep(rows, sources=left)
            x, memory, mask = x[rows], memory[left], mask[left]
            assert (cache.num_rows, cache.num_sources) == (len(rows), len(left))


@pytest.mark.parametrize("beginning", [1, 7, 8, 63, 70])
@torch.inference_mode()
def test_rows_that_change_at_every_step_of_a_long_beam(beginning):
    """Each time the kept keys are laid out anew, in memory that holds those of two steps ago."""
    generator, cache = torch.Generator().manual_seed(beginning), KeyValueCache()
    wanted = randn(6, 2, beginning, 3)
    cache.append(wanted, -wanted)
    for step in range(150):
        count = 6 + step % 5 - (step > 100) * 4  # more rows than before, and fewer
        rows = torch.randint(0, len(wanted), (count,), generator=generator)
        cache.keep(rows)
        new = randn(count, 2, 1 + step % 3, 3, seed=step)
        wanted = torch.cat([wanted[rows], new], dim=2)
        keys, values = cache.append(new, -new)
        assert torch.equal(keys, wanted) and torch.equal(values, -wanted)


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_single_tokens_take_the_short_way_to_the_same_numbers(norm, monkeypatch):
    """Watched by a hook, a decoder calls all its modules; else it need not."""
    plain, watched = (make(Decoder, 2, 8, 2, 16, norm=norm, activation="gelu").eval() for _ in range(2))
    calls = []
    watched.layers[1].norm3.register_forward_hook(lambda *_: calls.append("norm3"))
    x, memory, mask = randn(6, LENGTH, 8), randn(3, SOURCE, 8, seed=1), visible_memory()
    hidden = CAUSAL.clone()
    hidden[3] = False  # a token that may attend to nothing
    caches = DecoderCache(), DecoderCache()
    with torch.no_grad():
        for cache, decoder in zip(caches, (plain, watched), strict=True):
            decoder(x[:, :1], memory, None, mask, cache)  # the long way, to fill the cache
        monkeypatch.setattr(plain.layers[1].norm3, "forward", lambda x: calls.append("the long way") or x)
        for t in range(1, LENGTH):
            outputs = [
                decoder(x[:, t : t + 1], None, hidden[t : t + 1, : t + 1], None, cache)
                for cache, decoder in zip(caches, (plain, watched), strict=True)
            ]
            assert largest_difference(*outputs) <= EXACT
    assert calls == ["norm3"] * LENGTH


class Doubled(torch.nn.Linear):
    """As an adapter may be: it looks like a linear map and computes something else."""

    def forward(self, x):
        return 2 * super().forward(x)


def test_a_projection_of_another_kind_is_called_for_single_tokens_too():
    decoder, x, memory = make(Decoder, 2, 8, 2, 16).eval(), randn(2, 3, 8), randn(2, SOURCE, 8, seed=1)
    doubled = Doubled(8, 8).double().eval()
    doubled.load_state_dict(decoder.layers[0].self_attention.query_proj.state_dict())
    decoder.layers[0].self_attention.query_proj = doubled
    cache = DecoderCache()
    with torch.no_grad():
        outputs = [decoder(x[:, t : t + 1], memory, None, None, cache) for t in range(3)]
    assert largest_difference(torch.cat(outputs, dim=1), decoder(x, memory, CAUSAL[:3, :3])) <= EXACT


@pytest.mark.parametrize("all_of_it", [True, False])
def test_dropout_acts_on_single_tokens_in_training_too(all_of_it):
    decoder, x, memory, cache = make(Decoder, 1, 8, 2, 16, dropout=0.5), randn(2, 2, 8), randn(2, 4, 8), DecoderCache()
    with torch.no_grad():
        decoder.eval()(x[:, :1], memory, None, None, cache)
        (decoder if all_of_it else decoder.layers).train()
        torch.manual_seed(0)
        output = decoder(x[:, 1:], memory, None, None, cache)
        cache.layers[0].self_attention.length -= 1
        assert largest_difference(decoder(x[:, 1:], memory, None, None, cache), output) > 1e-3


def test_one_row_a_source_can_become_several():
    """A beam begins with one row for each sentence."""
    decoder, memory, x, cache = make(Decoder, 2, 8, 2, 16), randn(2, SOURCE, 8), randn(6, 2, 8), DecoderCache()
    x[:, 0] = x[[0, 0, 0, 3, 3, 3], 0]
    with torch.no_grad():
        decoder(x[[0, 3], :1], memory, None, None, cache)
        cache.keep([0, 0, 0, 1, 1, 1], sources=[0, 1])
        output = decoder(x[:, 1:], memory, None, None, cache)
    expected = decoder(x, memory.repeat_interleave(3, dim=0), CAUSAL[:2, :2])
    assert largest_difference(output, expected[:, 1:]) <= EXACT


def test_the_memory_is_projected_once(monkeypatch):
    decoder, memory, x, cache = make(Decoder, 2, 8, 2, 16), randn(2, SOURCE, 8), randn(2, LENGTH, 8), DecoderCache()
    calls = []
    for layer in decoder.layers:
        layer.cross_attention.key_proj.register_forward_hook(lambda *_: calls.append("key"))
        layer.cross_attention.value_proj.register_forward_hook(lambda *_: calls.append("value"))
    for t in range(LENGTH):
        decoder(x[:, t : t + 1], memory, None, None, cache)
    assert sorted(calls) == ["key"] * 2 + ["value"] * 2


def test_a_batch_with_no_rows_left_has_no_states():
    decoder, cache = make(Decoder, 2, 8, 2, 16), DecoderCache()
    decoder(randn(2, 1, 8), randn(2, SOURCE, 8), None, visible_memory()[:2], cache)
    cache.keep(torch.tensor([False, False]))
    assert (cache.num_rows, cache.num_sources, cache.length) == (0, 0, 1)
    assert decoder(randn(0, 1, 8), None, None, None, cache).shape == (0, 1, 8)
    with torch.no_grad():
        assert decoder.eval()(randn(0, 1, 8), None, None, None, cache).shape == (0, 1, 8)


def test_a_new_cache_is_empty():
    cache = DecoderCache()
    cache.keep([0])
    assert (cache.length, cache.num_rows, cache.num_sources, cache.token_ids) == (0, None, None, None)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda decoder, cache: decoder(randn(4, 1, 8), None, cache=cache),
            r"x must have the 6 rows of the cache; got 4",
        ),
        (
            lambda decoder, cache: decoder(randn(6, 1, 8), randn(3, SOURCE, 8), cache=cache),
            r"memory must be None or the one that began the cache, \(2, 4, 8\); got \(3, 4, 8\)",
        ),
        (
            lambda decoder, cache: Decoder(3, 8, 2, 16).double()(randn(6, 1, 8), None, cache=cache),
            r"the cache belongs to a decoder of 2 layers, not 3",
        ),
        (
            lambda decoder, cache: decoder(randn(5, 1, 8), randn(2, SOURCE, 8), cache=DecoderCache()),
            r"memory must have shape .* got x \(5, 1, 8\), memory \(2, 4, 8\)",
        ),
        (
            lambda decoder, cache: cache.keep([0, 1, 2]),
            r"rows must be a multiple of the sources; got 3 rows for 2 sources",
        ),
        (lambda decoder, cache: cache.keep([0, 6]), r"rows must be from 0 to 5; got 6"),
        (lambda decoder, cache: cache.keep([0, 1], sources=[2]), r"sources must be from 0 to 1; got 2"),
        (lambda decoder, cache: cache.keep([0], sources=[]), r"rows must be a multiple .* got 1 rows for 0 sources"),
    ],
)
def test_what_does_not_continue_a_decoders_cache_is_named(call, message):
    decoder, cache = make(Decoder, 2, 8, 2, 16), DecoderCache()
    decoder(randn(6, 2, 8), randn(2, SOURCE, 8), None, None, cache)
    with pytest.raises(ValueError, match=message):
        call(decoder, cache)
    assert (cache.length, cache.num_rows, cache.num_sources) == (2, 6, 2)
