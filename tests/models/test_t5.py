"""T5 against Hugging Face's T5ForConditionalGeneration with the same weights, and by laws."""

import importlib

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clearformer.generation.beam import generate_beam
from clearformer.generation.greedy import generate_greedy
from clearformer.models import T5, T5Config, from_t5, relative_position_bucket
from clearformer.models.t5_weights import t5_config
from clearformer.nn import DecoderCache

transformers = pytest.importorskip("transformers")

EXACT = 1e-10  # the largest difference in float64
VOCAB, PAD = 31, 0


def their_config(**changes):
    fields = dict(
        vocab_size=VOCAB, d_model=15, d_kv=6, num_heads=4, d_ff=20, num_layers=2, num_decoder_layers=3,
        relative_attention_num_buckets=8, relative_attention_max_distance=12, decoder_start_token_id=PAD,
        eos_token_id=1, attn_implementation="eager",
    )  # fmt: skip
    return transformers.T5Config(**{**fields, **changes})


@pytest.fixture(scope="module")
def make(randomise):
    """A function that makes one of theirs, with torch's RMSNorm in the place of its own.

    Its own takes the mean of the squares in float32, whatever the dtype of the model.
    """

    def make(own_norm=False, **changes):
        model = transformers.T5ForConditionalGeneration(their_config(**changes))
        if changes.get("tie_word_embeddings") is False:  # these releases tie them nevertheless
            model.lm_head.weight = torch.nn.Parameter(torch.empty(VOCAB, model.config.d_model))
        for module in [] if own_norm else list(model.modules()):
            for name, child in list(module.named_children()):
                if type(child).__name__ == "T5LayerNorm":
                    setattr(module, name, torch.nn.RMSNorm(len(child.weight), eps=child.variance_epsilon))
        return randomise(model)

    return make


@pytest.fixture(scope="module")
def ours(make):
    return from_t5(make())


def batch(rows=5, source_length=25, target_length=22, seed=1):
    """Sources of different lengths, padded at the end, and targets that begin with the pad token."""
    generator = torch.Generator().manual_seed(seed)
    source = torch.randint(1, VOCAB, (rows, source_length), generator=generator)
    for row in range(rows):
        source[row, source_length - 2 * row :] = PAD
    target = torch.randint(0, VOCAB, (rows, target_length), generator=generator)
    target[:, 0] = PAD
    return source, target


def their_logits(model, source, target):
    return model(input_ids=source, attention_mask=(source != PAD).long(), decoder_input_ids=target).logits


VARIANTS = {
    "T5": {},
    "T5 1.1": {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
    "a gate with silu": {"feed_forward_proj": "gated-silu"},
    "gelu without a gate": {"feed_forward_proj": "gelu"},
    "a large ε": {"layer_norm_epsilon": 1e-2},
    "other distances": {"relative_attention_num_buckets": 6, "relative_attention_max_distance": 20},
    "the sizes of T5's own": {"relative_attention_num_buckets": 32, "relative_attention_max_distance": 128},
}


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS.keys())
@torch.no_grad()
def test_the_same_logits_as_hugging_face(make, changes):
    model, ids = make(**changes), batch()
    assert (from_t5(model)(*ids) - their_logits(model, *ids)).abs().max() <= EXACT


@torch.no_grad()
def test_the_same_logits_with_their_norm_and_in_float32(make):
    model, ids = make(own_norm=True), batch()
    assert (from_t5(model)(*ids) - their_logits(model, *ids)).abs().max() <= 1e-5
    model = model.float()
    assert (from_t5(model)(*ids) - their_logits(model, *ids)).abs().max() <= 1e-5


@torch.no_grad()
def test_the_second_version_has_an_output_of_its_own_that_is_not_scaled(make):
    first, second = from_t5(make()), from_t5(make(tie_word_embeddings=False))
    assert first.output.weight is first.embedding.weight
    assert second.output.weight is not second.embedding.weight
    assert (first.config.output_factor, second.config.output_factor) == (15**-0.5, 1.0)


@settings(deadline=None, max_examples=12, derandomize=True, database=None)
@given(
    feed_forward_proj=st.sampled_from(["relu", "gated-gelu", "gated-gelu_fast", "gelu_10", "gated-relu"]),
    num_decoder_layers=st.sampled_from([None, 1]),
    relative_attention_num_buckets=st.integers(4, 7),
    relative_attention_max_distance=st.integers(4, 9),
)
@torch.no_grad()
def test_a_configuration_is_either_refused_or_right(make, **changes):
    ids, model = batch(2, 12, 12), make(**changes)
    try:
        found = from_t5(model)(*ids)
    except ValueError as error:
        assert "is not one of ours" in str(error) or "num_buckets must be" in str(error)
    else:
        assert (found - their_logits(model, *ids)).abs().max() <= EXACT


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("sizes", [(32, 128), (8, 12), (6, 20), (4, 3), (64, 1000)])
def test_buckets_are_those_of_hugging_face(sizes, bidirectional):
    theirs = importlib.import_module("transformers.models.t5.modeling_t5").T5Attention._relative_position_bucket
    offset = torch.arange(-1500, 1500).reshape(3, -1)
    wanted = theirs(offset, bidirectional, *sizes)
    found = relative_position_bucket(offset, *sizes, bidirectional=bidirectional)
    assert torch.equal(found, wanted)
    assert found.dtype == torch.int64
    assert found.unique().numel() == sizes[0] - bidirectional  # distance 0 has no bucket among the keys behind


def test_buckets_worked_by_hand():
    """8 buckets, 4 of them for one distance each; 4, 8, 16 and 32 are powers of two: each bucket twice as wide."""
    found = relative_position_bucket(-torch.arange(40), 8, 64, bidirectional=False)
    wanted = [0, 1, 2, 3] + 4 * [4] + 8 * [5] + 16 * [6] + 8 * [7]
    assert found.tolist() == wanted
    both = relative_position_bucket(torch.tensor([-64, -2, -1, 0, 1, 2, 64]), 8, 64)
    assert both.tolist() == [3, 2, 1, 0, 5, 6, 7]


@torch.no_grad()
def test_only_distances_count_and_those_from_the_last_on_are_one(ours):
    bias = ours.encoder_distances(0, 40)  # (heads, 40, 40)
    assert torch.equal(bias[:, 1:, 1:], bias[:, :-1, :-1])
    assert torch.equal(bias[:, 0, 12:], bias[:, 0, 12:13].expand(-1, 28))
    assert torch.equal(ours.decoder_distances(30, 40), ours.decoder_distances(0, 40)[:, 30:])
    assert not torch.equal(bias[:, 0, 1], bias[:, 1, 0])


@settings(deadline=None, max_examples=12, derandomize=True, database=None)
@given(cuts=st.sets(st.integers(1, 21), max_size=6))
@torch.no_grad()
def test_a_target_in_pieces_has_the_logits_of_the_whole(ours, cuts):
    (source, target), cache, ends = batch(), DecoderCache(), [*sorted(cuts), 22]
    memory, mask = ours.encode(source), ours.source_mask(source)
    pieces = [ours.decode(target[:, a:b], memory, mask, cache) for a, b in zip([0, *ends], ends, strict=False)]
    assert (torch.cat(pieces, dim=1) - ours(source, target)).abs().max() <= EXACT


def test_greedy_tokens_are_theirs_and_a_beam_keeps_its_rows_together(make):
    # With one table for embeddings and output a model of random weights repeats one token. As many layers on both
    # sides: their cache fails otherwise.
    model = make(tie_word_embeddings=False, num_decoder_layers=2)
    ours, (source, _) = from_t5(model), batch(8)
    wanted = model.generate(
        input_ids=source, attention_mask=(source != PAD).long(), max_new_tokens=12, do_sample=False, num_beams=1
    )
    options = dict(start_id=PAD, end_id=1, forbidden_ids=[])
    assert torch.equal(generate_greedy(ours, source, 13, **options), wanted)
    assert wanted[:, 1:].unique().numel() >= 5
    with_cache, without = (generate_beam(ours, source, 13, 3, use_cache=cached, **options) for cached in (True, False))
    assert torch.equal(with_cache.ids, without.ids)
    assert (with_cache.scores - without.scores).abs().max() <= EXACT


@torch.no_grad()
def test_padding_and_the_future_change_nothing(ours):
    source, target = batch()
    longer = torch.cat([source, torch.full((5, 6), PAD)], dim=1)
    assert (ours(longer, target) - ours(source, target)).abs().max() <= EXACT
    other = target.clone()
    other[:, 9:] = 5
    assert (ours(source, other) - ours(source, target))[:, :9].abs().max() <= EXACT
    hidden = torch.full_like(source, PAD)
    assert ours(hidden, target).isfinite().all()


@torch.no_grad()
def test_attention_weights_are_those_it_mixes_by(ours):
    """The layer's mixed values, by hand: weights from scores that are not divided, times the values."""
    torch.manual_seed(0)
    attention, x = ours.encoder.layers[0].self_attention, torch.randn(2, 7, 15, dtype=torch.float64)
    mask = ours.encoder_distances.added_to(None, 0, 7)
    query, key, value = (
        projection(x).unflatten(-1, (4, 6)).transpose(1, 2)
        for projection in (attention.query_proj, attention.key_proj, attention.value_proj)
    )
    weights = (query @ key.mT + ours.encoder_distances(0, 7)).softmax(dim=-1)
    assert (attention.attention_weights(x, x, mask) - weights).abs().max() <= EXACT
    mixed = attention.output_proj((weights @ value).transpose(1, 2).flatten(-2))
    assert (attention(x, x, x, mask) - mixed).abs().max() <= EXACT


def test_at_the_start_scores_and_logits_are_of_size_one():
    config = T5Config(300, d_model=64, num_heads=4, d_head=16, d_ff=128, num_encoder_layers=2, num_decoder_layers=2)
    model = T5(config, torch.Generator().manual_seed(0)).eval()
    attention = model.encoder.layers[0].self_attention
    assert attention.query_proj.weight.std().item() == pytest.approx((64 * 16) ** -0.5, rel=0.05)
    assert attention.key_proj.weight.std().item() == pytest.approx(1 / 8, rel=0.05)
    assert model.embedding.weight.std().item() == pytest.approx(1.0, rel=0.05)
    with torch.no_grad():
        logits = model(torch.randint(1, 300, (4, 10)), torch.randint(1, 300, (4, 10)))
    assert 0.5 < logits.std().item() < 2.0
    again = T5(config, torch.Generator().manual_seed(0))
    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), again.parameters(), strict=True))


def test_every_weight_learns():
    model = T5(T5Config(9, 8, 2, 5, 12, 2, 2, num_buckets=4, max_distance=4, gated=True, share_embeddings=False))
    model(torch.randint(1, 9, (3, 6)), torch.randint(1, 9, (3, 6))).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


@pytest.mark.parametrize(
    "call, says",
    [
        (lambda: t5_config(their_config(feed_forward_proj="tanh")), "feed_forward_proj must be one of .* got 'tanh'"),
        (lambda: t5_config(transformers.MT5Config()), "model_type is 'mt5'"),
        (lambda: from_t5(transformers.T5Model(their_config())), r"lm_head\.weight is missing"),
        (lambda: relative_position_bucket(torch.arange(3), 5), "num_buckets must be at least 4, and even; got 5"),
        (lambda: relative_position_bucket(torch.arange(3), 8, 2), "max_distance must be above 2"),
        (lambda: T5Config(9, num_buckets=2), "num_buckets must be at least 4"),
        (lambda: T5Config(9, max_distance=16), "max_distance must be above 16"),
        (lambda: T5Config(9, d_head=0), "d_head must be a whole number"),
        (lambda: T5Config(9, activation="tanh"), "activation must be one of"),
        (lambda: T5Config(9, pad_id=None), "pad_id must be a token, 0 to 8; got None"),
    ],
)
def test_what_cannot_be_used_is_named(call, says):
    with pytest.raises(ValueError, match=says):
        call()


@pytest.mark.parametrize(
    "source, target, says",
    [
        (torch.full((1, 2), VOCAB), torch.zeros(1, 2).long(), "source_ids holds the id 31"),
        (torch.zeros(1, 2), torch.zeros(1, 2).long(), "source_ids must be a tensor of token ids"),
        (torch.ones(1, 2).long(), torch.full((1, 2), VOCAB), "target_ids holds the id 31"),
        (torch.ones(1, 2).long(), torch.zeros(2).long(), r"target_ids must have shape \(batch, T\)"),
        (torch.ones(1, 2).long(), torch.zeros(3, 2).long(), "memory must have shape"),
    ],
)
def test_what_cannot_be_read_is_named(ours, source, target, says):
    with pytest.raises(ValueError, match=says):
        ours(source, target)


def test_scores_are_not_divided_by_the_root_of_the_heads_width():
    """T5's weights would be spread otherwise: at d_head 16 all scores would be a quarter."""
    torch.manual_seed(0)
    query, key = torch.randn(1, 1, 3, 16).double(), torch.randn(1, 1, 4, 16).double()
    identity = torch.eye(4).double().expand(1, 1, 4, 4)
    found = T5(T5Config(9, 16, 1, 16, 8, 1, 1)).encoder.layers[0].self_attention.mix(query, key, identity, None, 0.0)
    assert (found - (query @ key.mT).softmax(dim=-1)).abs().max() <= EXACT
