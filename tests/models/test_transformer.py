"""The whole model: by laws, in chunks, with its weights shared or not, at the start, and with bad input."""

import copy
import itertools
import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

import clearformer.nn.attention
from clearformer.models import Transformer, TransformerConfig
from clearformer.nn import DecoderCache, _few_rows

EXACT = 1e-10  # the largest difference in float64
VOCAB = 11
property_test = settings(deadline=None, max_examples=15, derandomize=True, database=None)


def make(seed=0, **changes):
    """A small model in float64, without dropout, of which every parameter has its own random numbers."""
    sizes = dict(d_model=8, num_heads=2, d_ff=16, num_encoder_layers=2, num_decoder_layers=2, dropout=0.0)
    model = Transformer(TransformerConfig(**{"vocab_size": VOCAB, **sizes, **changes})).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / math.sqrt(parameter.shape[-1]))
    return model


def some_ids(*shape, seed=0, first=3, last=VOCAB):
    return torch.randint(first, last, shape, generator=torch.Generator().manual_seed(seed))


def largest_difference(actual, expected):
    assert actual.shape == expected.shape
    return (actual.detach() - expected.detach()).abs().max().item() if actual.numel() else 0.0


NORMS = pytest.mark.parametrize("norm", ["post", "pre"])

# laws


@NORMS
def test_future_tokens_do_not_change_the_past(norm):
    model, source, target = make(norm=norm), some_ids(2, 5), some_ids(2, 6, seed=1)
    changed = target.clone()
    changed[:, 4:] = 14 - changed[:, 4:]  # 3 … 10 → 11 … 4
    changed[changed == VOCAB] = 0
    before, after = model(source, target), model(source, changed)
    assert largest_difference(after[:, :4], before[:, :4]) <= EXACT
    assert largest_difference(after[:, 4:], before[:, 4:]) > 1e-3


@NORMS
@pytest.mark.parametrize("pad_id", [0, 5])
def test_padding_at_the_end_does_not_matter(norm, pad_id):
    """Sentences of different lengths in one batch: each gets what it gets alone."""
    model = make(norm=norm, pad_id=pad_id)
    lengths = [(3, 4), (5, 2), (1, 6)]
    source, target = torch.full((3, 5), pad_id), torch.full((3, 6), pad_id)
    alone = []
    for row, (source_length, target_length) in enumerate(lengths):
        sentence, translation = (
            some_ids(1, n, seed=row, first=6 if pad_id else 1) for n in (source_length, target_length)
        )
        source[row, :source_length], target[row, :target_length] = sentence[0], translation[0]
        alone.append(model(sentence, translation)[0])
    together = model(source, target)
    for row, (_, target_length) in enumerate(lengths):
        assert largest_difference(together[row, :target_length], alone[row]) <= EXACT


def test_what_stands_in_the_place_of_padding_does_not_matter():
    """Only the pad token's own vector can be changed: it must not reach any logit of a real token."""
    model = make(share_embeddings=False)
    source, target = torch.tensor([[0, 4, 0, 6, 0]]), torch.tensor([[1, 0, 5, 6, 0]])
    before = model(source, target)
    with torch.no_grad():
        model.source_embedding.weight[0] += 10.0
        model.target_embedding.weight[0] += 10.0
    real = [0, 2, 3]
    assert largest_difference(model(source, target)[:, real], before[:, real]) <= EXACT


def test_a_batch_is_so_many_sentences_alone():
    model, source, target = make(), some_ids(4, 5), some_ids(4, 6, seed=1)
    order = [2, 0, 3, 1]
    assert largest_difference(model(source[order], target[order]), model(source, target)[order]) <= EXACT
    assert largest_difference(model(source[1:2], target[1:2]), model(source, target)[1:2]) <= EXACT


@NORMS
def test_the_order_of_the_source_and_of_the_target_matters(norm):
    model, source, target = make(norm=norm), some_ids(1, 5), torch.tensor([[3, 4, 5, 6]])
    assert largest_difference(model(source.flip(1), target), model(source, target)) > 1e-3
    swapped = target[:, [1, 0, 2, 3]]
    assert largest_difference(model(source, swapped)[:, -1], model(source, target)[:, -1]) > 1e-3


def test_embeddings_are_scaled_before_positions_are_added():
    model, source = make(), some_ids(2, 5)
    expected = model.source_embedding.weight[source] * math.sqrt(8) + model.positions(torch.zeros(5, 8).double())
    seen = []
    model.encoder.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    model.encode(source)
    assert largest_difference(seen[0], expected) <= EXACT


def test_gradients_equal_finite_differences():
    model, source, target = make(), torch.tensor([[3, 4, 0]]), torch.tensor([[1, 5, 0]])
    loss = lambda: F.cross_entropy(model(source, target).flatten(0, 1), torch.tensor([5, 2, 0]), ignore_index=0)  # noqa: E731
    loss().backward()
    generator = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        values = []
        with torch.no_grad():
            for step in (1e-6, -2e-6):
                parameter += step * direction
                values.append(loss().item())
            parameter += 1e-6 * direction
        slope = (values[0] - values[1]) / 2e-6
        assert slope == pytest.approx((parameter.grad * direction).sum().item(), abs=1e-8), name


# in chunks, with a cache


@st.composite
def chunked_targets(draw):
    """A batch of targets with padding anywhere, and the borders of the chunks it is read in."""
    batch, length = draw(st.integers(1, 3)), draw(st.integers(1, 7))
    rows = draw(st.lists(st.lists(st.integers(0, 5), min_size=length, max_size=length), min_size=batch, max_size=batch))
    borders = [0, *sorted(draw(st.lists(st.integers(0, length), max_size=length))), length]
    return torch.tensor(rows), list(itertools.pairwise(borders))


@NORMS
@pytest.mark.parametrize("hide_target_padding", [True, False])
@pytest.mark.parametrize("mode", [torch.enable_grad, torch.inference_mode])
@property_test
@given(target=chunked_targets(), seed=st.integers(0, 2**31))
def test_chunks_of_any_length_give_the_logits_of_the_whole(norm, hide_target_padding, mode, target, seed):
    target, chunks = target
    model = make(norm=norm, hide_target_padding=hide_target_padding)
    source = some_ids(len(target), 5, seed=seed, first=0, last=4)
    expected = model(source, target)
    with mode():
        memory, mask, cache = model.encode(source), model.source_mask(source), DecoderCache()
        for begin, end in chunks:
            logits = model.decode(target[:, begin:end], memory, mask, cache)
            assert largest_difference(logits, expected[:, begin:end]) <= EXACT
            assert cache.length == end
        assert torch.equal(cache.token_ids, target)


@property_test
@given(
    seed=st.integers(0, 2**31),
    choices=st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=5), min_size=5, max_size=5),
)
def test_rows_kept_go_on_as_the_sentences_they_are(seed, choices):
    """Finished sentences leave, others change places; a token may be padding."""
    model, source = make(), some_ids(3, 5, seed=seed, first=0)
    memory, mask, cache = model.encode(source), model.source_mask(source), DecoderCache()
    target = torch.zeros(3, 0, dtype=torch.long)
    with torch.inference_mode():
        for number, choice in enumerate(choices):
            new = some_ids(len(source), 1, seed=seed + number, first=0, last=4)
            target = torch.cat([target, new], dim=1)
            logits = model.decode(new, memory, mask, cache)
            memory = mask = None
            assert largest_difference(logits, model(source, target)[:, -1:]) <= EXACT
            rows = [row % len(source) for row in choice]
            cache.keep(rows)
            source, target = source[rows], target[rows]


@property_test
@given(seed=st.integers(0, 2**31), beam_size=st.integers(1, 4))
def test_the_hypotheses_of_a_beam_share_their_source(seed, beam_size):
    model, source = make(), some_ids(3, 5, seed=seed, first=0)
    generator = torch.Generator().manual_seed(seed)
    target, cache = torch.zeros(3 * beam_size, 0, dtype=torch.long), DecoderCache()
    with torch.inference_mode():
        memory, mask = model.encode(source), model.source_mask(source)
        for _ in range(4):
            new = torch.randint(0, VOCAB, (len(target), 1), generator=generator)
            target = torch.cat([target, new], dim=1)
            logits = model.decode(new, memory, mask, cache)
            expected = model(source.repeat_interleave(beam_size, dim=0), target)
            assert largest_difference(logits, expected[:, -1:]) <= EXACT
            within = torch.randint(0, beam_size, (3, beam_size), generator=generator)
            rows = (within + torch.arange(3)[:, None] * beam_size).flatten()
            cache.keep(rows, sources=torch.arange(3))
            target = target[rows]


def test_a_long_target_in_single_tokens():
    """Longer than the room that a cache and a table of positions begin with."""
    model, source, target = make(), some_ids(1, 3), some_ids(1, 300)
    with torch.inference_mode():
        memory, cache = model.encode(source), DecoderCache()
        logits = [model.decode(target[:, t : t + 1], memory, None, cache) for t in range(300)]
        assert largest_difference(torch.cat(logits, dim=1), model(source, target)) <= EXACT


def single_tokens(model, source, target, cache):
    memory, mask = model.encode(source), model.source_mask(source)
    return torch.cat([model.decode(target[:, [t]], memory, mask, cache) for t in range(target.shape[1])], dim=1)


def is_close_in_single_precision(logits, model, source, target):
    """To what the modules compute in float64, relative to the largest logit."""
    expected = copy.deepcopy(model).double()(source, target)
    return largest_difference(logits.double(), expected) <= 1e-5 * expected.abs().max().item()


@pytest.mark.parametrize("packs", [True, False])
@pytest.mark.parametrize("output_bias", [True, False])
@pytest.mark.parametrize("rows", [1, 2, 7, 33])
@torch.inference_mode()
def test_in_single_precision_single_tokens_give_the_logits_of_the_modules(rows, output_bias, packs, monkeypatch):
    """Their output map is laid out anew for about so many rows; then some leave."""
    if not packs:
        monkeypatch.setattr(_few_rows, "_may_pack", lambda weight: False)
    model, cache = make(output_bias=output_bias).float().eval(), DecoderCache()
    source, target = some_ids(rows, 5), some_ids(rows, 12, seed=1)
    assert is_close_in_single_precision(
        single_tokens(model, source, target[:, :6], cache), model, source, target[:, :6]
    )
    assert cache.ready_output not in (None, model.output)
    for kept in ([0], [0, 0, 0], list(range(rows))[::-2]):
        other = copy.deepcopy(cache)
        other.keep(kept)
        logits = model.decode(target[kept, 6:7], cache=other)
        assert is_close_in_single_precision(
            torch.cat([model(source[kept], target[kept, :6]), logits], dim=1), model, source[kept], target[kept, :7]
        )


@torch.no_grad()
def test_a_new_cache_reads_the_weights_anew():
    model, source, target = make(output_bias=True).float().eval(), some_ids(3, 5), some_ids(3, 6, seed=1)
    before = single_tokens(model, source, target, DecoderCache())
    for parameter in model.output.parameters():
        parameter.mul_(-0.5)
    after = single_tokens(model, source, target, DecoderCache())
    assert is_close_in_single_precision(after, model, source, target)
    assert largest_difference(before, after) > 0.1


class DoubledLogits(torch.nn.Linear):
    """As an adapter may be: it looks like a linear map and computes something else."""

    def forward(self, x):
        return 2 * super().forward(x)


@torch.no_grad()
def test_an_output_that_only_its_module_can_compute_is_left_to_it():
    source, target, seen = some_ids(3, 5), some_ids(3, 6, seed=1), []
    model = make().float().eval()
    model.output.register_forward_hook(lambda *_: seen.append("hook"))
    single_tokens(model, source, target, DecoderCache())
    assert seen == ["hook"] * 6
    model = make().float().eval()
    plain, model.output = model.output, DoubledLogits(8, VOCAB, bias=False)
    model.output.load_state_dict(plain.state_dict())
    assert is_close_in_single_precision(single_tokens(model, source, target, DecoderCache()), model, source, target)
    for dtype in (torch.float64, torch.bfloat16):
        model = make().to(dtype).eval()
        single_tokens(model, source, target, cache := DecoderCache())
        assert cache.ready_output is model.output


@torch.inference_mode()
def test_mixed_precision_writes_too():
    model, source, target = make(output_bias=True).float().eval(), some_ids(3, 5), some_ids(3, 6, seed=1)
    expected = model(source, target)
    with torch.autocast("cpu", torch.bfloat16):
        assert largest_difference(single_tokens(model, source, target, DecoderCache()).float(), expected) <= 0.1


# attention


def test_attention_goes_through_torchs_own_function(monkeypatch):
    calls = []

    def counted(*arguments, **keywords):
        calls.append(arguments)
        return F.scaled_dot_product_attention(*arguments, **keywords)

    monkeypatch.setattr(clearformer.nn.attention, "F", SimpleNamespace(scaled_dot_product_attention=counted))
    make()(some_ids(2, 5), some_ids(2, 6))
    assert len(calls) == 2 + 2 * 2


@NORMS
def test_attention_maps_are_those_of_torchs_attention(norm):
    """torch's module gets what each of ours gets, and says where it looks."""
    model = make(norm=norm)
    source, target = torch.tensor([[3, 4, 5, 0], [6, 7, 0, 0]]), torch.tensor([[1, 5, 6], [1, 7, 0]])
    maps = model.attention_maps(source, target)
    assert [tuple(part.shape) for part in maps] == [(2, 2, 2, 4, 4), (2, 2, 2, 3, 3), (2, 2, 2, 3, 4)]
    inputs = {}
    for module in model.modules():
        if isinstance(module, clearformer.nn.attention.MultiHeadAttention):
            module.register_forward_pre_hook(lambda module, arguments: inputs.update({module: arguments}))
    model(source, target)
    causal = torch.ones(3, 3, dtype=torch.bool).triu(1)
    for part, stack, name, keywords in (
        (maps.encoder, model.encoder, "self_attention", dict(key_padding_mask=source == 0)),
        (maps.decoder, model.decoder, "self_attention", dict(key_padding_mask=target == 0, attn_mask=causal)),
        (maps.cross, model.decoder, "cross_attention", dict(key_padding_mask=source == 0)),
    ):
        for number, layer in enumerate(stack.layers):
            ours = getattr(layer, name)
            theirs = torch.nn.MultiheadAttention(8, 2, batch_first=True, dtype=torch.float64)
            projections = [ours.query_proj, ours.key_proj, ours.value_proj]
            with torch.no_grad():
                theirs.in_proj_weight.copy_(torch.cat([projection.weight for projection in projections]))
                theirs.in_proj_bias.copy_(torch.cat([projection.bias for projection in projections]))
            _, weights = theirs(*inputs[ours][:3], average_attn_weights=False, **keywords)
            assert largest_difference(part[number], weights) <= EXACT


def test_rows_of_attention_maps_sum_to_one_and_hidden_keys_get_nothing():
    model = make()
    source, target = torch.tensor([[3, 0, 5, 0]]), torch.tensor([[0, 1, 6]])
    maps = model.attention_maps(source, target)
    assert (maps.encoder[..., [1, 3]] == 0).all()
    assert (maps.cross[..., [1, 3]] == 0).all()
    assert (maps.decoder[0, 0, 0].triu(1) == 0).all()
    for part in (maps.encoder, maps.cross, maps.decoder[..., 1:, :]):
        assert largest_difference(part.sum(dim=-1), torch.ones(part.shape[:-1]).double()) <= EXACT
    assert (maps.decoder[..., 0, :] == 0).all()  # padding in front has nothing to look at


def test_looking_changes_nothing():
    model, source, target = make(dropout=0.5), some_ids(2, 4), some_ids(2, 3)
    model.train()
    model.encoder.eval()
    modes = [module.training for module in model.modules()]
    maps = model.attention_maps(source, target)
    assert [module.training for module in model.modules()] == modes
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert not maps.cross.requires_grad
    plain = make().attention_maps(source, target)
    assert all(torch.equal(shown, expected) for shown, expected in zip(maps, plain, strict=True))
    with pytest.raises(ValueError, match="source_ids holds the id 99"):
        model.attention_maps(source + 99 - source.max(), target)
    assert [module.training for module in model.modules()] == modes
    assert not any(module._forward_pre_hooks for module in model.modules())


# weights


def test_one_table_serves_both_embeddings_and_the_output():
    shared = make()
    assert shared.source_embedding.weight is shared.target_embedding.weight is shared.output.weight
    copied = copy.deepcopy(shared).float()
    assert copied.source_embedding.weight is copied.target_embedding.weight is copied.output.weight
    model = make(share_embeddings=False, target_vocab_size=7)
    tables = [model.source_embedding.weight, model.target_embedding.weight, model.output.weight]
    assert [tuple(table.shape) for table in tables] == [(VOCAB, 8), (7, 8), (7, 8)]
    assert len({table.data_ptr() for table in tables}) == 3
    assert model(some_ids(2, 5), some_ids(2, 4, last=7)).shape == (2, 4, 7)


def test_shared_or_not_the_same_tables_give_the_same_logits():
    shared, apart = make(), make(share_embeddings=False)
    apart.load_state_dict(shared.state_dict())
    source, target = some_ids(2, 5), some_ids(2, 6)
    assert torch.equal(apart(source, target), shared(source, target))


def test_a_state_loads_into_a_model_of_the_same_configuration():
    first, second = make(seed=1), make(seed=2)
    second.load_state_dict(first.state_dict())
    source, target = some_ids(2, 5), some_ids(2, 6)
    assert torch.equal(second(source, target), first(source, target))


def test_the_output_has_a_bias_only_where_asked():
    assert make().output.bias is None
    model, source, target = make(output_bias=True), some_ids(2, 5), some_ids(2, 6)
    before = model(source, target)
    with torch.no_grad():
        model.output.bias += torch.arange(VOCAB)
    assert largest_difference(model(source, target), before + torch.arange(VOCAB)) <= EXACT


def test_matrices_start_uniform_with_xaviers_variance_and_biases_at_zero():
    config = TransformerConfig.preset("base", vocab_size=1000, num_encoder_layers=1, num_decoder_layers=1)
    model = Transformer(config, torch.Generator().manual_seed(0))
    for name, parameter in model.named_parameters():
        if "norm" in name:
            assert (parameter == (1.0 if name.endswith("weight") else 0.0)).all(), name
        elif name.endswith("bias"):
            assert (parameter == 0).all(), name
        elif "embedding" in name:
            assert parameter.std().item() == pytest.approx(512**-0.5, rel=0.01)
        else:
            bound = math.sqrt(6 / sum(parameter.shape))
            assert 0.999 * bound < parameter.abs().max() <= bound, name
            assert parameter.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.01), name


@pytest.mark.parametrize("share_embeddings", [True, False])
def test_one_generator_draws_one_model(share_embeddings):
    config = TransformerConfig.preset("toy", vocab_size=20, share_embeddings=share_embeddings)
    first, second, third = (Transformer(config, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(first.output.weight, third.output.weight)


@NORMS
def test_at_the_start_logits_have_the_size_of_one(norm):
    few = dict(num_encoder_layers=2, num_decoder_layers=2)
    config = TransformerConfig.preset("base", vocab_size=1000, norm=norm, dropout=0.0, **few)
    model = Transformer(config, torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = model(some_ids(2, 9, last=1000), some_ids(2, 9, last=1000))
    assert 0.7 < logits.std() < 1.4


# training and evaluation


def test_dropout_acts_in_training_only():
    model, source, target = make(dropout=0.3), some_ids(2, 5), some_ids(2, 6)
    plain = make()(source, target)
    assert torch.equal(model.eval()(source, target), plain)
    torch.manual_seed(0)
    first, second = model.train()(source, target), model(source, target)
    assert largest_difference(first, plain) > 1e-3
    assert largest_difference(first, second) > 1e-3
    torch.manual_seed(0)
    assert torch.equal(model(source, target), first)


def test_dropout_acts_on_both_embeddings():
    assert make(dropout=0.3).positions.dropout.p == 0.3
    model = make(dropout=1.0, norm="pre").train()
    with torch.no_grad():
        model.decoder.final_norm.bias.zero_()
    assert (model(some_ids(2, 5), some_ids(2, 6)) == 0).all()


@NORMS
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.15), (torch.float32, 1e-5)], ids=str)
def test_keeps_the_dtype_and_is_exact_to_it(norm, dtype, tolerance):
    narrow, source, target = make(norm=norm).to(dtype), torch.tensor([[3, 4, 0]]), torch.tensor([[0, 1, 5]])
    wide = copy.deepcopy(narrow).double()
    logits = narrow(source, target)
    assert logits.dtype == dtype
    assert largest_difference(logits.double(), wide(source, target)) <= tolerance


def test_learns_to_name_the_first_token_of_the_source():
    """Gradients reach everything that has to change."""
    torch.manual_seed(0)
    model = Transformer(TransformerConfig.preset("toy", vocab_size=VOCAB, num_encoder_layers=1, num_decoder_layers=1))
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(80):
        source = some_ids(32, 5, seed=step)
        loss = F.cross_entropy(model(source, torch.ones(32, 1, dtype=torch.long))[:, 0], source[:, 0])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    source = some_ids(200, 5, seed=1000)
    predicted = model.eval()(source, torch.ones(200, 1, dtype=torch.long))[:, 0].argmax(dim=-1)
    assert (predicted == source[:, 0]).double().mean() > 0.95


# edges and bad input


def test_an_empty_source_and_an_empty_target():
    model, none = make(), torch.zeros(2, 0, dtype=torch.long)
    assert model(some_ids(2, 5), none).shape == (2, 0, VOCAB)
    logits = model(none, some_ids(2, 4))
    assert logits.isfinite().all()
    assert largest_difference(logits, model(torch.zeros(2, 3, dtype=torch.long), some_ids(2, 4))) <= EXACT


def test_a_sentence_of_two_thousand_tokens():
    model = make().float()
    with torch.inference_mode():
        assert model(some_ids(1, 2000), some_ids(1, 3)).isfinite().all()


def test_ids_are_not_changed():
    model, source, target = make(), some_ids(2, 5), some_ids(2, 6)
    copies = source.clone(), target.clone()
    model(source, target)
    assert torch.equal(source, copies[0])
    assert torch.equal(target, copies[1])


IDS = torch.ones(2, 3, dtype=torch.long)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m(IDS + 10, IDS), r"source_ids holds the id 11, which a vocabulary of 11 does not have.* 0 to 10"),
        (lambda m: m(IDS, IDS - 2), r"target_ids holds the id -1, which a vocabulary of 11 does not have"),
        (lambda m: m(IDS.float(), IDS), r"source_ids must be a tensor of token ids, .* got torch.float32"),
        (lambda m: m(IDS, [[1, 2]]), r"target_ids must be a tensor of token ids, .* got list"),
        (lambda m: m(IDS[0], IDS), r"source_ids must have shape \(batch, T\); got \(3,\)"),
        (lambda m: m(IDS, IDS[None]), r"target_ids must have shape \(batch, T\); got \(1, 2, 3\)"),
        (lambda m: m(IDS, IDS[:1]), r"same batch; got \(2, 3\) and \(1, 3\)"),
        (lambda m: m.encode(IDS * 99), r"source_ids holds the id 99"),
        (lambda m: m.source_mask(IDS[0]), r"source_ids must have shape \(batch, T\); got \(3,\)"),
        (lambda m: m.decode(IDS), r"memory must be a tensor of floats; got NoneType"),
        (lambda m: m.decode(IDS, m.encode(IDS)[:1]), r"memory must have shape .* with the batch of x"),
        (lambda m: m.decode(IDS, m.encode(IDS), m.source_mask(IDS[:, :2])), r"mask .* got \(2, 1, 1, 2\)"),
        (lambda m: m.decode(IDS, m.encode(IDS), IDS), r"mask must be a bool tensor"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(make())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, cache: m.decode(IDS[:1], cache=cache), r"target_ids must have the 2 rows of the cache; got 1"),
        (lambda m, cache: m.decode(IDS * 20, cache=cache), r"target_ids holds the id 20"),
        (
            lambda m, cache: m.decode(IDS, m.encode(IDS)[:, :2], cache=cache),
            r"memory must be None or the one that began",
        ),
    ],
)
def test_what_does_not_continue_a_cache_is_named_and_leaves_it_as_it_was(call, message):
    model, cache = make(), DecoderCache()
    model.decode(IDS, model.encode(IDS), model.source_mask(IDS), cache)
    with pytest.raises(ValueError, match=message):
        call(model, cache)
    assert (cache.length, tuple(cache.token_ids.shape)) == (3, (2, 3))


def test_a_cache_begun_without_ids_is_refused():
    model, cache = make(), DecoderCache()
    model.decoder(torch.zeros(2, 1, 8).double(), model.encode(IDS), cache=cache)
    with pytest.raises(ValueError, match="begin a new DecoderCache"):
        model.decode(IDS, cache=cache)
