"""A Transformer with BART's options against Hugging Face's BART with the same weights."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clearformer.generation.greedy import generate_greedy
from clearformer.models import Transformer, TransformerConfig, from_bart
from clearformer.models.bart_weights import bart_config, bart_weights
from clearformer.nn import DecoderCache

transformers = pytest.importorskip("transformers")

EXACT = 1e-10  # the largest difference in float64
VOCAB, PAD, END, MAX_LEN = 31, 1, 2, 20


def their_config(**changes):
    fields = dict(
        vocab_size=VOCAB, d_model=16, encoder_layers=2, decoder_layers=3, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=20, decoder_ffn_dim=20, max_position_embeddings=MAX_LEN,
        pad_token_id=PAD, eos_token_id=END, forced_eos_token_id=None, attn_implementation="eager",
    )  # fmt: skip
    return transformers.BartConfig(**{**fields, **changes})


def batch(rows=5, source_length=MAX_LEN, target_length=MAX_LEN, seed=1):
    """Sources of different lengths, padded at the end; targets with padding inside, which hides nothing there."""
    generator = torch.Generator().manual_seed(seed)
    source = torch.randint(2, VOCAB, (rows, source_length), generator=generator)
    for row in range(rows):
        source[row, source_length - 2 * row :] = PAD
    target = torch.randint(0, VOCAB, (rows, target_length), generator=generator)
    target[:, 0] = END
    return source, target


def their_logits(model, source, target):
    return model(input_ids=source, attention_mask=(source != PAD).long(), decoder_input_ids=target).logits


@pytest.fixture(scope="module")
def theirs(randomise):
    return randomise(transformers.BartForConditionalGeneration(their_config()))


@pytest.fixture(scope="module")
def ours(theirs):
    return from_bart(theirs)


VARIANTS = {
    "as it comes": {},
    "relu": {"activation_function": "relu"},
    "embeddings times √d_model": {"scale_embedding": True},
    "an output of its own": {"tie_word_embeddings": False},
    "one head, other depths": {"encoder_attention_heads": 1, "decoder_attention_heads": 1, "encoder_layers": 1},
}


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS.keys())
@torch.no_grad()
def test_the_same_logits_as_hugging_face(randomise, changes):
    model, ids = randomise(transformers.BartForConditionalGeneration(their_config(**changes))), batch()
    ours = from_bart(model)
    wanted = their_logits(model, *ids)
    assert (ours(*ids) - wanted).abs().max() <= EXACT
    assert (from_bart(model.float())(*ids) - wanted).abs().max() <= 1e-5
    assert (ours.output.weight is ours.source_embedding.weight) == ("tie_word_embeddings" not in changes)


@settings(deadline=None, max_examples=12, derandomize=True, database=None)
@given(
    activation_function=st.sampled_from(["gelu", "gelu_new", "quick_gelu", "silu"]),
    decoder_attention_heads=st.sampled_from([2, 4]),
    decoder_ffn_dim=st.sampled_from([20, 24]),
    scale_embedding=st.booleans(),
    decoder_layerdrop=st.sampled_from([0.0, 0.1]),
    pad_token_id=st.integers(0, 3),
)
@torch.no_grad()
def test_a_configuration_is_either_refused_or_right(randomise, **changes):
    model = randomise(transformers.BartForConditionalGeneration(their_config(**changes)))
    source, target = batch(2)
    source = source.masked_fill(source == PAD, changes["pad_token_id"])
    mask = (source != changes["pad_token_id"]).long()
    try:
        found = from_bart(model)(source, target)
    except ValueError as error:
        assert "this BART configuration is not one of ours" in str(error)
    else:
        wanted = model(input_ids=source, attention_mask=mask, decoder_input_ids=target).logits
        assert (found - wanted).abs().max() <= EXACT


@settings(deadline=None, max_examples=10, derandomize=True, database=None)
@given(cuts=st.sets(st.integers(1, MAX_LEN - 1), max_size=6))
@torch.no_grad()
def test_a_target_in_pieces_has_the_logits_of_the_whole(ours, cuts):
    (source, target), cache, ends = batch(), DecoderCache(), [*sorted(cuts), MAX_LEN]
    memory, mask = ours.encode(source), ours.source_mask(source)
    pieces = [ours.decode(target[:, a:b], memory, mask, cache) for a, b in zip([0, *ends], ends, strict=False)]
    assert (torch.cat(pieces, dim=1) - ours(source, target)).abs().max() <= EXACT


def test_greedy_tokens_are_theirs(randomise):
    # With one table for embeddings and output, or with large biases, a model of random weights repeats one token.
    model = randomise(transformers.BartForConditionalGeneration(their_config(tie_word_embeddings=False)))
    with torch.no_grad():
        model.final_logits_bias.zero_()
        model.model.decoder.embed_tokens.weight.mul_(4)
        for name, parameter in model.named_parameters():
            parameter.mul_(0.1 if name.endswith("bias") else 1)
    source, _ = batch(8)
    wanted = model.generate(
        input_ids=source, attention_mask=(source != PAD).long(), max_new_tokens=12, do_sample=False, num_beams=1
    )
    found = generate_greedy(from_bart(model), source, 13, start_id=END, end_id=END, forbidden_ids=[])
    # theirs fills rows up with the pad token, and so does ours
    assert torch.equal(found, wanted)
    assert wanted[:, 1:].unique().numel() >= 5


def test_it_is_a_copy(theirs, ours):
    addresses = {numbers.data_ptr() for numbers in theirs.state_dict().values()}
    assert not any(parameter.data_ptr() in addresses for parameter in ours.parameters())


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"decoder_attention_heads": 2}, "as many heads"),
        ({"decoder_ffn_dim": 24}, "as wide as each other"),
        ({"activation_function": "tanh"}, "activation_function must be one of relu, .* got 'tanh'"),
        ({"encoder_layerdrop": 0.1}, r"decoder_layerdrop must be 0; got \(0.1, 0.0\)"),
    ],
)
def test_a_configuration_that_ours_cannot_be_is_named(changes, says):
    with pytest.raises(ValueError, match=says):
        bart_config(their_config(**changes))


def test_another_model_is_named(theirs, ours):
    with pytest.raises(ValueError, match="model_type is 'mbart'"):
        bart_config(transformers.MBartConfig())
    with pytest.raises(ValueError, match=r"model\.encoder\.embed_tokens\.weight is missing"):
        from_bart(transformers.BartModel(their_config()))
    state = theirs.state_dict()
    del state["model.decoder.layernorm_embedding.bias"]
    with pytest.raises(ValueError, match=r"decoder\.layernorm_embedding\.bias is missing"):
        bart_weights(state, ours.config)


SMALL = dict(d_model=8, num_heads=2, d_ff=16, num_encoder_layers=1, num_decoder_layers=1, dropout=0.0)


def test_learned_positions_are_two_tables_that_are_drawn_and_learn():
    config = TransformerConfig(9, **SMALL, max_len=6, embedding_norm=True, scale_embeddings=False)
    first, second = (Transformer(config, torch.Generator().manual_seed(3)) for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(first.positions.weight, first.target_positions.weight)
    ids = torch.randint(1, 9, (2, 6))
    first(ids, ids).square().sum().backward()
    assert first.positions.weight.grad.any() and first.target_positions.weight.grad.any()
    assert first.target_positions.norm.weight.grad.any()
    assert TransformerConfig.from_dict(config.to_dict()) == config


def test_sines_are_still_no_weights():
    model = Transformer(TransformerConfig(9, **SMALL))
    assert not [name for name in model.state_dict() if "positions" in name]
    assert model.target_positions is model.positions


@pytest.mark.parametrize(
    "call, says",
    [
        (lambda: TransformerConfig(9, max_len=0), "max_len must be a whole number of at least 1; got 0"),
        (lambda: TransformerConfig(9, embedding_norm=True), "embedding_norm .* needs a max_len"),
        (lambda: TransformerConfig(9, scale_embeddings="no"), "scale_embeddings must be True or False; got 'no'"),
        (
            lambda: Transformer(TransformerConfig(9, **SMALL, max_len=4)).encode(torch.ones(1, 5).long()),
            "max_len = 4 tokens; got tokens 0 to 4",
        ),
    ],
)
def test_what_cannot_be_used_is_named(call, says):
    with pytest.raises(ValueError, match=says):
        call()
