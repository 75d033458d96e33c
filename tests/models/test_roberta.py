"""RoBERTa, and the heads that name masked tokens, against Hugging Face's classes with the same weights."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clearformer.models import Bert, BertConfig, MaskedLanguageModel, from_bert, from_masked_lm, from_roberta

transformers = pytest.importorskip("transformers")

EXACT = 1e-10  # the largest difference in float64
VOCAB, PAD, MAX_LEN = 31, 3, 20  # positions for 16 tokens: those up to PAD are no token's


def their_config(kind="Roberta", **changes):
    fields = dict(
        vocab_size=VOCAB, hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=40,
        max_position_embeddings=MAX_LEN, type_vocab_size=1, pad_token_id=PAD, attn_implementation="eager",
    )  # fmt: skip
    return getattr(transformers, f"{kind}Config")(**{**fields, **changes})


@pytest.fixture(scope="module")
def theirs(randomise):
    return randomise(transformers.RobertaModel(their_config()))


def batch(rows=5, length=9, seed=1):
    """Token ids of different lengths, padded at the end; no padding inside."""
    ids = torch.randint(PAD + 1, VOCAB, (rows, length), generator=torch.Generator().manual_seed(seed))
    for row in range(rows):
        ids[row, length - row :] = PAD
    return ids


def scattered(rows=6, length=22, seed=2):
    """Rows with padding in front and between, longer than there are positions."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(PAD + 1, VOCAB, (rows, length), generator=generator)
    return ids.masked_fill(torch.rand(ids.shape, generator=generator) < 0.5, PAD)


@pytest.mark.parametrize("ids", [batch(), scattered(), batch(1, 16)], ids=["padded", "scattered", "as long as can be"])
@torch.no_grad()
def test_the_same_states_as_hugging_face(theirs, ids):
    real = ids != PAD
    wanted = theirs(ids, attention_mask=real.long())
    ours = from_roberta(theirs)
    assert (ours(ids) - wanted.last_hidden_state)[real].abs().max() <= EXACT
    if real[:, 0].all():
        assert (ours.pooled(ours(ids)) - wanted.pooler_output).abs().max() <= EXACT
    narrow = from_roberta(theirs.float())(ids)
    theirs.double()
    assert (narrow - wanted.last_hidden_state)[real].abs().max() <= 1e-5


@torch.no_grad()
def test_token_types_and_masks_of_ones_own_mean_the_same(randomise):
    model, ids = randomise(transformers.RobertaModel(their_config(type_vocab_size=3))), batch()
    generator = torch.Generator().manual_seed(3)
    types = torch.randint(0, 3, ids.shape, generator=generator)
    mask = torch.rand(ids.shape, generator=generator) < 0.7
    mask[:, 0] = True
    wanted = model(ids, attention_mask=mask.long(), token_type_ids=types).last_hidden_state
    assert (from_roberta(model)(ids, types, mask) - wanted)[mask].abs().max() <= EXACT


@torch.no_grad()
def test_padding_in_front_moves_no_token(theirs):
    ours, ids = from_roberta(theirs), batch(1, 8)
    front = torch.cat([torch.full((1, 5), PAD), ids], dim=1)
    assert (ours(front)[:, 5:] - ours(ids)).abs().max() <= EXACT


HEADS = {
    "RoBERTa": ("Roberta", {}),
    "RoBERTa with relu, but gelu in the head": ("Roberta", {"hidden_act": "relu"}),
    "RoBERTa with an output of its own": ("Roberta", {"tie_word_embeddings": False}),
    "BERT": ("Bert", {}),
    "BERT with relu, in the head too": ("Bert", {"hidden_act": "relu"}),
    "BERT with an output of its own and a large ε": ("Bert", {"tie_word_embeddings": False, "layer_norm_eps": 1e-2}),
}


@pytest.mark.parametrize("kind, changes", HEADS.values(), ids=HEADS.keys())
@torch.no_grad()
def test_masked_tokens_get_the_logits_of_hugging_face(randomise, kind, changes):
    model = randomise(getattr(transformers, f"{kind}ForMaskedLM")(their_config(kind, **changes)))
    ours, ids = from_masked_lm(model), batch()
    real = ids != PAD
    wanted = model(ids, attention_mask=real.long()).logits
    assert (ours(ids) - wanted)[real].abs().max() <= EXACT
    assert (ours.output.weight is ours.bert.embedding.tokens.weight) == ("tie_word_embeddings" not in changes)
    assert (from_masked_lm(model.float())(ids) - wanted)[real].abs().max() <= 1e-5


@settings(deadline=None, max_examples=15, derandomize=True, database=None)
@given(
    kind=st.sampled_from(["Roberta", "Bert", "XLMRoberta"]),
    hidden_act=st.sampled_from(["gelu", "silu", "gelu_new", "tanh"]),
    is_decoder=st.booleans(),
    pad_token_id=st.integers(0, 4),
    type_vocab_size=st.integers(1, 2),
)
@torch.no_grad()
def test_a_configuration_is_either_refused_or_right(randomise, kind, **changes):
    model = randomise(getattr(transformers, f"{kind}ForMaskedLM")(their_config(kind, **changes)))
    ids = batch(2).masked_fill(batch(2) == PAD, changes["pad_token_id"])
    real = ids != changes["pad_token_id"]
    try:
        found = from_masked_lm(model)(ids)
    except ValueError as error:
        assert "is not one of ours" in str(error)
    else:
        assert (found - model(ids, attention_mask=real.long()).logits)[real].abs().max() <= EXACT


def test_each_reader_refuses_the_other_family(theirs):
    with pytest.raises(ValueError, match="model_type is 'roberta'"):
        from_bert(theirs)
    with pytest.raises(ValueError, match="model_type is 'bert'"):
        from_roberta(transformers.BertModel(their_config("Bert")))
    with pytest.raises(ValueError, match="model_type must be one of bert, roberta; got 'gpt2'"):
        from_masked_lm(
            transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=9, n_embd=4, n_head=1, n_layer=1))
        )
    with pytest.raises(ValueError, match=r"roberta\.embeddings\.word_embeddings\.weight is missing"):
        from_masked_lm(theirs)


def test_only_real_tokens_need_a_position():
    model = Bert(BertConfig(VOCAB, 8, 2, 16, 1, max_len=8, pad_id=PAD, count_padding=False)).eval()
    ids = torch.full((1, 9), PAD)
    ids[0, :4] = 7
    assert model(ids).shape == (1, 9, 8)
    ids[0, 4] = 7
    with pytest.raises(ValueError, match="at most 4 long, as there are no more positions; got 5 tokens"):
        model(ids)
    assert model(ids[:0]).shape == (0, 9, 8)


def test_a_head_is_drawn_from_its_generator_and_has_no_pooler():
    config = BertConfig(VOCAB, 8, 2, 16, 1, max_len=8)
    first, second = (MaskedLanguageModel(config, torch.Generator().manual_seed(5)) for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(first.parameters(), second.parameters(), strict=True))
    assert first.bert.pooler is None
    logits = first(torch.randint(1, VOCAB, (2, 5)))
    logits.square().sum().backward()
    assert logits.shape == (2, 5, VOCAB)
    assert all(parameter.grad is not None for parameter in first.parameters())
    with pytest.raises(ValueError, match="head_activation must be one of"):
        MaskedLanguageModel(config, head_activation="tanh")
