"""Hugging Face's Marian with the same weights: the same logits and the same greedy tokens."""

import math

import pytest
import torch

from clearformer.models import from_marian
from clearformer.nn import DecoderCache

transformers = pytest.importorskip("transformers")

PAD, END = 30, 0
VOCAB = 31


def marian(seed=0, **changes):
    """A small Marian of random weights, biases and norms too."""
    torch.manual_seed(seed)
    settings = dict(
        vocab_size=VOCAB,
        d_model=16,
        encoder_layers=2,
        decoder_layers=3,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        activation_function="relu",
        scale_embedding=True,
        max_position_embeddings=64,
        pad_token_id=PAD,
        eos_token_id=END,
        decoder_start_token_id=PAD,
        forced_eos_token_id=None,
        attn_implementation="eager",
    )
    model = transformers.MarianMTModel(transformers.MarianConfig(**{**settings, **changes})).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.copy_(torch.randn(parameter.shape) / math.sqrt(parameter.shape[-1]))
        model.final_logits_bias.copy_(torch.randn(1, model.final_logits_bias.shape[-1]))
    return model


def batch(rows=5, length=9, seed=1):
    """Source ids of different lengths, padded at the end, and targets that begin with the pad token."""
    generator = torch.Generator().manual_seed(seed)
    source = torch.randint(1, PAD, (rows, length), generator=generator)
    for row in range(rows):
        source[row, length - row :] = PAD
    target = torch.randint(1, PAD, (rows, 7), generator=generator)
    target[:, 0] = PAD
    return source, target


VARIANTS = {
    "as it comes": {},
    "swish, as OPUS-MT has it": {"activation_function": "swish"},
    "gelu": {"activation_function": "gelu"},
    "an odd width": {"d_model": 15, "encoder_attention_heads": 3, "decoder_attention_heads": 3},
    "two vocabularies": {"share_encoder_decoder_embeddings": False, "decoder_vocab_size": 37},
    "nothing shared": {"tie_word_embeddings": False, "share_encoder_decoder_embeddings": False},
}


@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_logits_are_those_of_marian(variant):
    theirs = marian(**VARIANTS[variant])
    ours = from_marian(theirs)
    source, target = batch()
    expected = theirs(input_ids=source, attention_mask=(source != PAD).long(), decoder_input_ids=target).logits
    assert (ours(source, target) - expected).abs().max() <= 1e-5
    wide, wide_expected = (
        ours.double()(source, target),
        theirs.double()(input_ids=source, attention_mask=(source != PAD).long(), decoder_input_ids=target).logits,
    )
    assert (wide - wide_expected).abs().max() <= 1e-6  # Marian keeps its positions in float32


@pytest.fixture(scope="module")
def trained():
    """A Marian that has begun to copy its source: random weights repeat one token, and never end."""
    model = marian(d_model=32, dropout=0.0).train()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.fill_(1.0 if name.endswith("weight") else 0.0)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(150):
        source = torch.randint(1, PAD, (32, 6), generator=generator)
        lengths = torch.randint(1, 7, (32, 1), generator=generator)
        source = source.masked_fill(torch.arange(6) >= lengths, PAD)
        wanted = torch.cat([source, torch.full((32, 1), PAD)], dim=1).scatter(1, lengths, END)
        given = torch.cat([torch.full((32, 1), PAD), wanted[:, :-1]], dim=1)
        logits = model(input_ids=source, attention_mask=(source != PAD).long(), decoder_input_ids=given).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), wanted.flatten(), ignore_index=PAD)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval()


@pytest.mark.parametrize("seed", range(3))
@torch.inference_mode()
def test_greedy_tokens_are_those_of_marian(trained, seed):
    ours = from_marian(trained)
    source, _ = batch(length=6, seed=seed)
    expected = trained.generate(
        input_ids=source, attention_mask=(source != PAD).long(), num_beams=1, do_sample=False, max_new_tokens=12
    )
    memory, cache = ours.encode(source), DecoderCache()
    tokens, finished = [torch.full((len(source), 1), PAD)], torch.zeros(len(source), dtype=torch.bool)
    while len(tokens) < expected.shape[1]:
        logits = ours.decode(tokens[-1], memory, ours.source_mask(source), cache)
        new = logits[:, -1].argmax(dim=-1).masked_fill(finished, PAD)
        finished |= new == END
        tokens.append(new[:, None])
    tokens = torch.cat(tokens, dim=1)
    assert torch.equal(tokens, expected)
    assert tokens.unique().numel() >= 8
    assert (tokens == END).any()


def test_what_is_shared_there_is_shared_here():
    ours = from_marian(marian())
    assert ours.source_embedding.weight is ours.target_embedding.weight is ours.output.weight
    assert not from_marian(marian(tie_word_embeddings=False)).config.share_embeddings


def test_it_is_a_copy():
    theirs = marian()
    ours = from_marian(theirs)
    before = ours.output.weight.clone()
    with torch.no_grad():
        theirs.lm_head.weight.zero_()
        theirs.final_logits_bias.zero_()
    assert torch.equal(ours.output.weight, before)
    assert (ours.output.bias != 0).any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(scale_embedding=False), r"scale_embedding must be True"),
        (dict(decoder_attention_heads=2), r"as many heads"),
        (dict(decoder_ffn_dim=48), r"as wide as each other"),
        (dict(activation_function="tanh"), r"activation_function must be one of relu, gelu, silu, swish; got 'tanh'"),
    ],
)
def test_a_configuration_that_is_not_ours_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        from_marian(marian(**changes))
