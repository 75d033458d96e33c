"""Bert against Hugging Face's BertModel with the same weights, and by laws."""

import math

import pytest
import torch

from clearformer.models import Bert, BertConfig, from_bert, mean_pooling
from clearformer.models.bert_weights import bert_config, bert_weights

transformers = pytest.importorskip("transformers")

EXACT = 1e-10  # the largest difference in float64
VOCAB, PAD = 31, 0


def theirs(seed=0, **changes):
    """A small BertModel in float64, every weight random: biases, norms and the row of the padding token too."""
    fields = dict(
        vocab_size=VOCAB,
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=40,
        max_position_embeddings=20,
        type_vocab_size=3,
        attn_implementation="eager",
    )
    model = transformers.BertModel(transformers.BertConfig(**{**fields, **changes})).double().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.copy_(noise / math.sqrt(parameter.shape[-1]))
    return model


def batch(rows=5, length=9, seed=1):
    """Token ids of different lengths, padded at the end."""
    ids = torch.randint(1, VOCAB, (rows, length), generator=torch.Generator().manual_seed(seed))
    for row in range(rows):
        ids[row, length - row :] = PAD
    return ids


def difference(model, ids, **arguments):
    """The largest, over the states of real tokens."""
    mask = arguments.get("mask", ids != PAD)
    wanted = model(ids, attention_mask=mask.long(), token_type_ids=arguments.get("token_types")).last_hidden_state
    return (from_bert(model)(ids, **arguments) - wanted)[mask].abs().max().item()


VARIANTS = {
    "as it comes": {},
    "relu": {"hidden_act": "relu"},
    "swish": {"hidden_act": "swish"},
    "a large ε": {"layer_norm_eps": 1e-2},
    "one head": {"num_attention_heads": 1},
    "one layer": {"num_hidden_layers": 1},
}


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS.keys())
@torch.no_grad()
def test_the_same_states_as_hugging_face_in_float64(changes):
    assert difference(theirs(**changes), batch()) <= EXACT


@pytest.mark.parametrize("rows, length", [(1, 1), (1, 20), (7, 3)])
@torch.no_grad()
def test_the_same_states_for_any_length_and_batch(rows, length):
    ids = torch.randint(1, VOCAB, (rows, length), generator=torch.Generator().manual_seed(2))
    assert difference(theirs(), ids) <= EXACT


@torch.no_grad()
def test_token_types_and_masks_of_ones_own_mean_the_same():
    ids = batch()
    generator = torch.Generator().manual_seed(3)
    token_types = torch.randint(0, 3, ids.shape, generator=generator)
    mask = torch.rand(ids.shape, generator=generator) < 0.6  # hidden in front and inside too
    mask[:, 4] = True
    assert difference(theirs(), ids, token_types=token_types, mask=mask) <= EXACT


@torch.no_grad()
def test_the_pooler_gives_what_theirs_gives():
    model, ids = theirs(), batch()
    wanted = model(ids, attention_mask=(ids != PAD).long()).pooler_output
    ours = from_bert(model)
    torch.testing.assert_close(ours.pooled(ours(ids)), wanted, atol=EXACT, rtol=0)


@torch.no_grad()
def test_a_model_without_pooler_is_read_and_says_so():
    config = theirs().config
    ours = from_bert(transformers.BertModel(config, add_pooling_layer=False))
    assert not ours.config.pooler
    with pytest.raises(ValueError, match="no pooler"):
        ours.pooled(ours(batch()))


def test_gradients_are_theirs():
    model, ids = theirs(), batch()
    ours = from_bert(model)
    mask = ids != PAD
    weights = torch.randn(5, 9, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    (ours(ids)[mask] * weights[mask]).sum().backward()
    (model(ids, attention_mask=mask.long()).last_hidden_state[mask] * weights[mask]).sum().backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
    renamed = bert_weights(gradients, BertConfig(**{**vars(ours.config), "pooler": False}))
    for name, parameter in ours.named_parameters():
        if not name.startswith("pooler"):
            # theirs has no gradient at the row of the padding token: it is told to be padding there
            rows = slice(1, None) if name == "embedding.tokens.weight" else slice(None)
            torch.testing.assert_close(parameter.grad[rows], renamed[name][rows], atol=EXACT, rtol=1e-9, msg=name)


@torch.no_grad()
def test_what_stands_at_padding_changes_no_real_token():
    ours, ids = from_bert(theirs()), batch()
    mask, other = ids != PAD, ids.clone()
    other[~mask] = 7
    assert torch.equal(ours(ids)[mask], ours(other, mask=mask)[mask])
    longer = torch.cat([ids, torch.zeros_like(ids[:, :4])], dim=1)
    torch.testing.assert_close(ours(longer)[:, :9][mask], ours(ids)[mask], atol=EXACT, rtol=0)


@torch.no_grad()
def test_mean_pooling_counts_real_tokens_only():
    states = torch.randn(3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[1, 1, 1, 1], [0, 1, 1, 0], [0, 0, 0, 0]]).bool()
    found = mean_pooling(states, mask)
    torch.testing.assert_close(found[0], states[0].mean(dim=0))
    torch.testing.assert_close(found[1], states[1, 1:3].mean(dim=0))
    assert torch.equal(found[2], torch.zeros(5, dtype=torch.float64))


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"hidden_act": "gelu_new"}, "hidden_act"),
        ({"is_decoder": True}, "decoder"),
        ({"hidden_dropout_prob": 0.3}, "two rates"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type"),
        ({"model_type": "roberta"}, "model_type"),
    ],
)
def test_a_configuration_that_ours_cannot_be_is_refused(changes, says):
    fields = transformers.BertConfig().to_dict() | changes
    with pytest.raises(ValueError, match=says):
        bert_config(fields)


def test_a_missing_weight_is_named():
    state = theirs().state_dict()
    del state["encoder.layer.1.output.dense.bias"]
    with pytest.raises(ValueError, match=r"encoder\.layer\.1\.output\.dense\.bias"):
        bert_weights(state, bert_config(theirs().config.to_dict()))


SMALL = BertConfig(VOCAB, d_model=8, num_heads=2, d_ff=16, num_layers=1, max_len=6)


@pytest.mark.parametrize(
    "ids, arguments, says",
    [
        (torch.ones(1, 7, dtype=torch.int64), {}, "at most 6 long"),
        (torch.full((1, 2), VOCAB), {}, "token_ids holds the id 31"),
        (torch.ones(2, dtype=torch.int64), {}, r"\(batch, T\)"),
        (torch.ones(1, 2), {}, "token_ids"),
        (torch.ones(1, 2, dtype=torch.int64), {"mask": torch.ones(1, 2)}, "mask must be bool"),
        (torch.ones(1, 2, dtype=torch.int64), {"token_types": torch.ones(1, 3, dtype=torch.int64)}, "token_types"),
        (torch.ones(1, 2, dtype=torch.int64), {"token_types": torch.full((1, 2), 2)}, "token_types holds the id 2"),
    ],
)
def test_what_cannot_be_read_is_named(ids, arguments, says):
    with pytest.raises(ValueError, match=says):
        Bert(SMALL)(ids, **arguments)


def test_the_same_generator_gives_the_same_weights():
    first, second = (Bert(SMALL, torch.Generator().manual_seed(5)) for _ in range(2))
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)
