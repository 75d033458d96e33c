"""Greedy and beam search against the generate of transformers, on Marian models with the same weights."""

import pytest
import torch
from models_to_search import trimmed

from clearformer.generation.beam import generate_beam, generate_beams
from clearformer.generation.greedy import generate_greedy
from clearformer.models import from_marian

PAD, END = 0, 2
NEW_TOKENS = 14


@pytest.fixture(scope="module", params=[0, 1, 2])
def pair(request):
    """The same small model twice: theirs, ours. As in Marian, pad_id begins a target."""
    transformers = pytest.importorskip("transformers")
    config = transformers.MarianConfig(
        vocab_size=30, d_model=16, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, activation_function="relu",
        scale_embedding=True, pad_token_id=PAD, eos_token_id=END, decoder_start_token_id=PAD, forced_eos_token_id=None,
        max_position_embeddings=64, init_std=0.3,
    )  # fmt: skip
    torch.manual_seed(request.param)
    theirs = transformers.MarianMTModel(config).double().eval()
    with torch.no_grad():
        theirs.final_logits_bias[0, END] = 1.5
    return theirs, from_marian(theirs)


def sentences():
    generator = torch.Generator().manual_seed(5)
    ids = torch.zeros(24, 9, dtype=torch.long)
    for row, length in zip(ids, 3 * (8, 1, 4, 6, 2, 5, 7, 3), strict=True):
        row[:length] = torch.randint(3, 30, (length,), generator=generator)
        row[length] = END
    return ids


def their_generate(theirs, source_ids, **options):
    return theirs.generate(
        input_ids=source_ids, attention_mask=(source_ids != PAD).long(), max_new_tokens=NEW_TOKENS, do_sample=False,
        **options,
    )  # fmt: skip


def ours(search, model, *arguments):
    return search(model, sentences(), NEW_TOKENS + 1, *arguments, start_id=PAD, end_id=END, forbidden_ids=[])


def same_tokens(mine, theirs):
    return [trimmed(row) for row in mine] == [trimmed(row) for row in theirs]


def test_greedy_gives_the_same_tokens(pair):
    theirs, model = pair
    found = ours(generate_greedy, model)
    assert same_tokens(found, their_generate(theirs, sentences(), num_beams=1))
    assert len({len(trimmed(row)) for row in found}) > 1  # some rows end earlier than others


def test_beams_that_never_end_are_the_same_all_of_them_with_the_same_scores(pair):
    theirs, model = pair
    with torch.no_grad():
        kept = [bias[..., END].clone() for bias in (theirs.final_logits_bias, model.output.bias)]
        for bias in (theirs.final_logits_bias, model.output.bias):
            bias[..., END] = -1e4
    try:
        expected = their_generate(
            theirs, sentences(), num_beams=4, num_return_sequences=4, length_penalty=0.0, return_dict_in_generate=True,
            output_scores=True,
        )  # fmt: skip
        found = ours(generate_beams, model, 4)
        assert torch.equal(found.ids.flatten(0, 1), expected.sequences)
        assert (found.scores.flatten() - expected.sequences_scores).abs().max() <= 1e-5  # theirs are float32
    finally:
        with torch.no_grad():
            for bias, value in zip((theirs.final_logits_bias, model.output.bias), kept, strict=True):
                bias[..., END] = value


def test_a_beam_of_1_gives_their_greedy_tokens(pair):
    theirs, model = pair
    assert same_tokens(ours(generate_beam, model, 1).ids, their_generate(theirs, sentences(), num_beams=1))


@pytest.mark.parametrize("beam_size", [2, 4, 12])
def test_the_best_of_a_beam_is_nearly_always_theirs(pair, beam_size):
    """Not always: they go on with beam_size unfinished hypotheses, while in ours finished ones hold a place."""
    theirs, model = pair
    expected = their_generate(
        theirs, sentences(), num_beams=beam_size, length_penalty=0.0, early_stopping="never",
        return_dict_in_generate=True, output_scores=True,
    )  # fmt: skip
    found = ours(generate_beam, model, beam_size)
    pairs = zip(*found, expected.sequences, expected.sequences_scores, strict=True)
    same = [
        abs(score - their_score) for ids, score, their_ids, their_score in pairs if trimmed(ids) == trimmed(their_ids)
    ]
    assert len(same) >= 23  # of 24
    assert max(same) <= 1e-5
