"""GPT2 against Hugging Face's GPT2LMHeadModel with the same weights, and by laws."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clearformer.generation.continuation import generate_continuation
from clearformer.models import GPT2, GPT2Config, from_gpt2
from clearformer.models.gpt2_weights import gpt2_config

transformers = pytest.importorskip("transformers")

EXACT = 1e-10  # the largest difference in float64
VOCAB, MAX_LEN = 31, 24


def their_config(**changes):
    fields = dict(
        vocab_size=VOCAB, n_embd=16, n_head=4, n_layer=3, n_positions=MAX_LEN, attn_implementation="eager",
        bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    return transformers.GPT2Config(**{**fields, **changes})


@pytest.fixture(scope="module")
def theirs(randomise):
    return randomise(transformers.GPT2LMHeadModel(their_config()))


@pytest.fixture(scope="module")
def ours(theirs):
    return from_gpt2(theirs)


def batch(rows=5, length=9, seed=1):
    return torch.randint(0, VOCAB, (rows, length), generator=torch.Generator().manual_seed(seed))


VARIANTS = {
    "as it comes": {},
    "gelu without tanh": {"activation_function": "gelu"},
    "relu": {"activation_function": "relu"},
    "a narrow feed-forward": {"n_inner": 20},
    "a large ε": {"layer_norm_epsilon": 1e-2},
    "one head, one layer": {"n_head": 1, "n_layer": 1},
    "an output of its own": {"tie_word_embeddings": False},
}


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS.keys())
@torch.no_grad()
def test_the_same_logits_as_hugging_face(randomise, changes):
    model = randomise(transformers.GPT2LMHeadModel(their_config(**changes)))
    ids = batch(length=MAX_LEN)
    assert (from_gpt2(model)(ids) - model(ids).logits).abs().max() <= EXACT
    model = model.float()
    assert (from_gpt2(model)(ids) - model(ids).logits).abs().max() <= 1e-5


@settings(deadline=None, max_examples=15, derandomize=True, database=None)
@given(
    n_head=st.sampled_from([1, 2, 4]),
    n_inner=st.sampled_from([None, 7]),
    activation_function=st.sampled_from(["gelu_new", "gelu_pytorch_tanh", "gelu_fast", "quick_gelu", "silu", "tanh"]),
    scale_attn_weights=st.booleans(),
    scale_attn_by_inverse_layer_idx=st.booleans(),
    add_cross_attention=st.booleans(),
    tie_word_embeddings=st.booleans(),
)
@torch.no_grad()
def test_a_configuration_is_either_refused_or_right(randomise, **changes):
    model = randomise(transformers.GPT2LMHeadModel(their_config(n_layer=2, **changes)))
    try:
        found = from_gpt2(model)(batch(2))
    except ValueError as error:
        assert "this GPT-2 configuration is not one of ours" in str(error)
    else:
        assert (found - model(batch(2)).logits).abs().max() <= EXACT


@settings(deadline=None, max_examples=15, derandomize=True, database=None)
@given(cuts=st.sets(st.integers(1, 15), max_size=6))
@torch.no_grad()
def test_a_text_in_pieces_has_the_logits_of_the_whole(ours, cuts):
    ids, cache, ends = batch(3, 16), ours.new_cache(), [*sorted(cuts), 16]
    pieces = [ours(ids[:, start:end], cache) for start, end in zip([0, *ends], ends, strict=False)]
    assert cache.length == 16
    assert (torch.cat(pieces, dim=1) - ours(ids)).abs().max() <= EXACT


def test_greedy_continuations_are_theirs(randomise):
    # With one table for embeddings and output, or with large biases, a model of random weights repeats one token.
    theirs = randomise(transformers.GPT2LMHeadModel(their_config(tie_word_embeddings=False)))
    prompts = batch(4, 5, seed=3)
    with torch.no_grad():
        theirs.transformer.wte.weight.mul_(4)
        for name, parameter in theirs.named_parameters():
            parameter.mul_(0.1 if name.endswith("bias") else 1)
    wanted = theirs.generate(
        prompts, attention_mask=torch.ones_like(prompts), max_new_tokens=12, do_sample=False, pad_token_id=0
    )
    for use_cache in (True, False):
        assert torch.equal(generate_continuation(from_gpt2(theirs), prompts, 12, use_cache=use_cache), wanted)
    assert wanted[:, 5:].unique().numel() >= 6


@torch.no_grad()
def test_future_tokens_do_not_change_the_past(ours):
    ids = batch(3, 12)
    other = ids.clone()
    other[:, 7:] = batch(3, 5, seed=9)
    assert torch.equal(ours(other)[:, :7], ours(ids)[:, :7])
    assert (ours(other)[:, 7:] - ours(ids)[:, 7:]).abs().max() > 1e-3
    assert (ours(ids)[:, :5] - ours(ids[:, :5])).abs().max() <= EXACT


@torch.no_grad()
def test_rows_may_leave_a_cache(ours):
    ids, cache = batch(4, 8), ours.new_cache()
    ours(ids[:, :6], cache)
    cache.keep([3, 0])
    assert (ours(ids[[3, 0], 6:], cache) - ours(ids[[3, 0]])[:, 6:]).abs().max() <= EXACT


def test_what_is_shared_there_is_shared_here_and_nothing_else(theirs, ours):
    assert ours.output.weight is ours.embedding.weight
    theirs_of_its_own = transformers.GPT2LMHeadModel(their_config(tie_word_embeddings=False))
    assert from_gpt2(theirs_of_its_own).output.weight is not from_gpt2(theirs_of_its_own).embedding.weight
    addresses = {parameter.data_ptr() for parameter in theirs.parameters()}
    assert not any(parameter.data_ptr() in addresses for parameter in ours.parameters())


def test_weights_start_as_in_the_paper():
    model = GPT2(GPT2Config(400, d_model=64, num_heads=2, d_ff=256, num_layers=8, max_len=50), torch.Generator())
    layer = model.decoder.layers[3]
    for weight in (model.embedding.weight, model.positions.weight, layer.feed_forward.linear1.weight):
        assert weight.std().item() == pytest.approx(0.02, rel=0.05)
    for writer in (layer.self_attention.output_proj, layer.feed_forward.linear2):
        assert writer.weight.std().item() == pytest.approx(0.02 / 4, rel=0.05)  # 16 of them, √16 = 4
        assert not writer.bias.any()
    again = GPT2(model.config, torch.Generator())
    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), again.parameters(), strict=True))


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"activation_function": "tanh"}, "activation_function must be one of relu, .*; got 'tanh'"),
        ({"attn_pdrop": 0.3}, r"attn_pdrop must be the same; got \(0.1, 0.1, 0.3\)"),
        ({"scale_attn_weights": False}, "scale_attn_weights must be True"),
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx must be False"),
        ({"add_cross_attention": True}, "add_cross_attention must be False"),
    ],
)
def test_a_configuration_that_ours_cannot_be_is_named(changes, says):
    with pytest.raises(ValueError, match=says):
        gpt2_config(their_config(**changes))


def test_another_model_is_named():
    with pytest.raises(ValueError, match=r"such a GPT-2 model: transformer\.wte\.weight is missing"):
        from_gpt2(transformers.GPT2Model(their_config()))
    with pytest.raises(ValueError, match="model_type is 'bert'"):
        gpt2_config(transformers.BertConfig())


SMALL = GPT2Config(VOCAB, d_model=8, num_heads=2, d_ff=16, num_layers=1, max_len=6)


@pytest.mark.parametrize(
    "ids, says",
    [
        (torch.zeros(1, 7, dtype=torch.int64), "max_len = 6 tokens; got tokens 0 to 6"),
        (torch.full((1, 2), VOCAB), "token_ids holds the id 31"),
        (torch.zeros(2, dtype=torch.int64), r"token_ids must have shape \(batch, T\)"),
        (torch.zeros(1, 2), "token_ids must be a tensor of token ids"),
    ],
)
def test_what_cannot_be_read_is_named(ids, says):
    with pytest.raises(ValueError, match=says):
        GPT2(SMALL)(ids)


def test_what_does_not_continue_a_cache_is_named():
    model = GPT2(SMALL).eval()
    cache = model.new_cache()
    model(torch.zeros(2, 4, dtype=torch.int64), cache)
    with pytest.raises(ValueError, match="the 2 rows of the cache; got 3"):
        model(torch.zeros(3, 1, dtype=torch.int64), cache)
    with pytest.raises(ValueError, match="max_len = 6 tokens; got tokens 4 to 6"):
        model(torch.zeros(2, 3, dtype=torch.int64), cache)


@pytest.mark.parametrize("field", ["vocab_size", "d_ff", "num_layers", "max_len"])
def test_a_size_that_cannot_be_used_is_named(field):
    with pytest.raises(ValueError, match=f"{field} must be a whole number of at least 1; got 0"):
        GPT2Config(**{"vocab_size": 9, field: 0})
