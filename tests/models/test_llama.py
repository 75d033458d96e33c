"""Llama against Hugging Face's LlamaForCausalLM with the same weights, and by laws."""

import dataclasses
import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clearformer.models import Llama, LlamaBlock, LlamaConfig, from_llama
from clearformer.models.llama import AS_IN_2017, causal_rows
from clearformer.models.llama_weights import llama_config, llama_weights

transformers = pytest.importorskip("transformers")

EXACT = 1e-10  # the largest difference in float64
SINGLE = 1e-5  # and in float32, of logits of about 3
VOCAB, BASE = 31, 500.0
property_test = settings(deadline=None, max_examples=15, derandomize=True, database=None)


class RotaryInDouble(torch.nn.Module):
    """LlamaRotaryEmbedding, whose own angles are float32 whatever the model's dtype."""

    def __init__(self, base, d_head):
        super().__init__()
        self.frequencies = base ** (-torch.arange(0, d_head, 2, dtype=torch.float64) / d_head)

    def forward(self, x, position_ids):
        angles = position_ids[..., None].double() * self.frequencies
        angles = torch.cat([angles, angles], dim=-1)
        return angles.cos(), angles.sin()


def in_double(model):
    """A LlamaForCausalLM that computes in float64 throughout.

    .double() alone does not do that: its norms and rotary angles go through float32. torch's RMSNorm takes the place of
    the norms, with their weights. Attention is torch's ("sdpa"), because the softmax of "eager" is in float32 too.
    """
    model = model.double()
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if type(child).__name__ == "LlamaRMSNorm":
                norm = torch.nn.RMSNorm(len(child.weight), eps=child.variance_epsilon)
                norm.weight = child.weight
                setattr(module, name, norm)
    config = model.config
    model.model.rotary_emb = RotaryInDouble(config.rope_parameters["rope_theta"], config.head_dim)
    return model


def theirs(double=True, seed=0, **changes):
    """A small LlamaForCausalLM with random weights, norms and biases too."""
    fields = dict(
        vocab_size=VOCAB,
        hidden_size=16,
        intermediate_size=40,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        rope_parameters={"rope_type": "default", "rope_theta": BASE},
        rms_norm_eps=1e-5,
        attn_implementation="sdpa",
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
    )
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**{**fields, **changes})).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / math.sqrt(parameter.shape[-1]))
            if parameter.ndim == 1:
                parameter.add_(1.0)
    return in_double(model) if double else model


def batch(rows=2, length=9, seed=1):
    return torch.randint(0, VOCAB, (rows, length), generator=torch.Generator().manual_seed(seed))


def largest_difference(ours, theirs):
    assert ours.shape == theirs.shape
    return (ours - theirs).abs().max().item()


VARIANTS = {
    "grouped queries": {},
    "multi-query": {"num_key_value_heads": 1},
    "every head its own": {"num_key_value_heads": 4},
    "one table": {"tie_word_embeddings": True},
    "slow rotation": {"rope_parameters": {"rope_type": "default", "rope_theta": 500000.0}},
    "a large ε": {"rms_norm_eps": 1e-2},
    "biases": {"attention_bias": True, "mlp_bias": True},
    "one layer": {"num_hidden_layers": 1},
}


@pytest.mark.parametrize("layout", ["pairs", "halves"])
@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS.keys())
@torch.no_grad()
def test_the_same_logits_as_hugging_face(changes, layout):
    for double, tolerance in ((True, EXACT), (False, SINGLE)):
        model = theirs(double, **changes)
        assert largest_difference(from_llama(model, layout)(batch()), model(batch()).logits) <= tolerance


@torch.no_grad()
def test_the_same_logits_far_from_the_start():
    model, ids = theirs(), batch(1, 300)
    assert largest_difference(from_llama(model)(ids), model(ids).logits) <= EXACT


@torch.no_grad()
def test_weights_for_the_other_layout_without_their_permutation_give_other_logits():
    model = theirs()
    ours = from_llama(model, "halves")
    wrong = Llama(dataclasses.replace(ours.config, rope_layout="pairs")).double()
    wrong.load_state_dict(ours.state_dict())
    assert largest_difference(wrong(batch()), model(batch()).logits) > 0.1


def test_gradients_are_theirs():
    model, ids = theirs(), batch()
    ours = from_llama(model)
    upstream = torch.randn(2, 9, VOCAB, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    (ours(ids) * upstream).sum().backward()
    (model(ids).logits * upstream).sum().backward()
    renamed = llama_weights({name: parameter.grad for name, parameter in model.named_parameters()}, ours.config)
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, renamed[name], atol=EXACT, rtol=1e-9, msg=name)


REFUSED = [
    ({"hidden_act": "gelu"}, "hidden_act"),
    ({"head_dim": 8}, "head_dim is 8"),
    ({"attention_dropout": 0.1}, "attention_dropout"),
    ({"attention_bias": True}, "attention_bias is True and mlp_bias False"),
    ({"model_type": "mistral"}, "model_type"),
    ({"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}}, "rope_type is 'linear'"),
    ({"rope_parameters": None, "rope_scaling": {"type": "dynamic", "factor": 2.0}}, "rope_type is 'dynamic'"),
]


@pytest.mark.parametrize("changes, says", REFUSED)
def test_a_configuration_that_ours_cannot_be_is_refused(changes, says):
    fields = transformers.LlamaConfig(hidden_size=16, num_attention_heads=4).to_dict() | changes
    with pytest.raises(ValueError, match=says):
        llama_config(fields)


def test_a_configuration_from_before_transformers_5_is_read():
    fields = transformers.LlamaConfig(hidden_size=16, num_attention_heads=4).to_dict()
    del fields["rope_parameters"], fields["head_dim"]
    assert llama_config(fields | {"rope_theta": 777.0, "rope_scaling": None}).rope_base == 777.0


def test_a_missing_weight_is_named():
    state = theirs().state_dict()
    del state["model.layers.1.mlp.up_proj.weight"]
    with pytest.raises(ValueError, match=r"layers\.1\.mlp\.up_proj\.weight"):
        llama_weights(state, llama_config(theirs().config.to_dict()))


# the cache

SMALL = LlamaConfig(VOCAB, d_model=16, num_heads=4, num_kv_heads=2, num_layers=2, rope_base=BASE)


def ours(seed=0, **changes):
    return Llama(dataclasses.replace(SMALL, **changes), torch.Generator().manual_seed(seed)).double().eval()


def in_chunks(model, ids, borders, cache=None):
    cache = model.new_cache() if cache is None else cache
    return torch.cat([model(ids[:, begin:end], cache) for begin, end in itertools.pairwise(borders)], dim=1)


SWITCHES = [{}, {"rope_layout": "halves"}, {"num_kv_heads": 1}, {"positions": "sinusoidal"}, AS_IN_2017]


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
@property_test
@given(changes=st.sampled_from(SWITCHES), inner=st.lists(st.integers(0, 8), max_size=8))
def test_cached_is_uncached_for_any_chunks(mode, changes, inner):
    model, ids = ours(**changes), batch(length=8)
    with mode():
        found = in_chunks(model, ids, [0, *sorted(inner), 8])
        assert largest_difference(found, model(ids)) <= EXACT


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, EXACT), (torch.float32, SINGLE)])
@torch.inference_mode()
def test_token_by_token_is_all_at_once(rows, dtype, tolerance):
    model, ids = ours(norm_eps=1e-2).to(dtype), batch(rows, 70)
    for block in model.blocks:  # so that the norms' weights show
        block.norm1.weight.copy_(torch.linspace(0.5, 2.0, 16))
        block.norm2.weight.copy_(torch.linspace(2.0, 0.5, 16))
    cache = model.new_cache()
    found = in_chunks(model, ids, [0, *range(3, 71)], cache)
    assert cache.one_token  # the weights were laid out for one token at a time
    assert largest_difference(found, model(ids)) <= tolerance


@torch.inference_mode()
def test_what_only_the_modules_can_compute_is_left_to_them():
    model, ids, seen = ours(), batch(length=4), []
    hook = model.blocks[1].feed_forward.register_forward_hook(lambda *_: seen.append(1))
    cache = model.new_cache()
    assert largest_difference(in_chunks(model, ids, [0, 2, 3, 4], cache), model(ids)) <= EXACT
    assert not cache.one_token and len(seen) == 4
    hook.remove()
    halves = ours().bfloat16()
    in_chunks(halves, ids, [0, 3, 4], cache := halves.new_cache())
    assert not cache.one_token


@torch.inference_mode()
def test_rows_that_leave_and_rows_that_double():
    model, ids, cache = ours(), batch(3, 8), ours().new_cache()
    model(ids[:, :5], cache)
    rows = torch.tensor([2, 0, 2])
    cache.keep(rows)
    assert (cache.length, cache.num_rows) == (5, 3)
    assert largest_difference(in_chunks(model, ids[rows], [5, 6, 8], cache), model(ids[rows])[:, 5:]) <= EXACT


@torch.no_grad()
def test_future_tokens_do_not_change_the_past():
    model, ids = ours(), batch(length=8)
    other = ids.clone()
    other[:, 5:] = (other[:, 5:] + 1) % VOCAB
    assert torch.equal(model(ids)[:, :5], model(other)[:, :5])
    assert not torch.allclose(model(ids)[:, 5:], model(other)[:, 5:])


# the switches back to 2017


@pytest.mark.parametrize("placement", ["post", "pre"])
@torch.no_grad()
def test_with_all_switches_at_2017_the_block_is_torchs_encoder_layer_under_a_causal_mask(placement):
    config = dataclasses.replace(SMALL, **{**AS_IN_2017, "norm_placement": placement, "norm_eps": 1e-5, "d_ff": 24})
    block = LlamaBlock(config).double()
    theirs = torch.nn.TransformerEncoderLayer(
        16, 4, 24, 0.0, batch_first=True, norm_first=placement == "pre", dtype=torch.float64
    )
    attention, weights = (
        block.attention,
        (block.attention.query_proj, block.attention.key_proj, block.attention.value_proj),
    )
    theirs.self_attn.in_proj_weight.copy_(torch.cat([p.weight for p in weights]))
    theirs.self_attn.in_proj_bias.copy_(torch.cat([p.bias for p in weights]))
    theirs.self_attn.out_proj.load_state_dict(attention.output_proj.state_dict())
    theirs.linear1.load_state_dict(block.feed_forward.linear1.state_dict())
    theirs.linear2.load_state_dict(block.feed_forward.linear2.state_dict())
    x = torch.randn(2, 5, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    seen = causal_rows(5, 0)
    assert largest_difference(block(x, seen), theirs(x, src_mask=~seen)) <= EXACT


STEPS = [
    {"norm_placement": "pre"},
    {"norm": "rms"},
    {"positions": "rotary"},
    {"feed_forward": "swiglu"},
    {"bias": False},
    {"num_kv_heads": 2},
]


def test_every_switch_alone_makes_another_model_that_runs_and_learns():
    config = dataclasses.replace(SMALL, **AS_IN_2017)
    found = [config, *(dataclasses.replace(config, **step) for step in STEPS)]
    for one, other in itertools.combinations(found, 2):
        assert one != other
    for each in found:
        model = Llama(each, torch.Generator().manual_seed(0))
        model(batch()).square().mean().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_all_switches_together_lead_from_2017_to_llama():
    config = dataclasses.replace(SMALL, **AS_IN_2017)
    for step in STEPS:
        config = dataclasses.replace(config, **step)
    assert config == SMALL


def test_the_width_that_keeps_the_weights():
    assert LlamaConfig(VOCAB, d_model=48).ff_width == 128
    assert LlamaConfig(VOCAB, d_model=48, feed_forward="relu").ff_width == 192
    assert LlamaConfig(VOCAB, d_model=48, d_ff=100).ff_width == 100


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"vocab_size": 0}, "vocab_size"),
        ({"num_heads": 3}, "num_heads must divide d_model"),
        ({"num_kv_heads": 3}, "num_kv_heads must divide num_heads = 4"),
        ({"num_kv_heads": 0}, "num_kv_heads"),
        ({"d_model": 12}, "even width"),
        ({"d_ff": 1.5}, "d_ff"),
        ({"rope_base": 0}, "rope_base"),
        ({"rope_layout": "both"}, "rope_layout"),
        ({"norm_eps": -1.0}, "norm_eps"),
        ({"norm": "batch"}, "norm must be"),
        ({"norm_placement": "mid"}, "norm_placement"),
        ({"positions": "none"}, "positions"),
        ({"feed_forward": "gelu"}, "feed_forward"),
        ({"bias": 1}, "bias"),
    ],
)
def test_a_field_that_cannot_be_used_is_named(changes, says):
    with pytest.raises(ValueError, match=says):
        dataclasses.replace(SMALL, **changes)


def test_what_cannot_be_read_is_named():
    model, cache = ours(), ours().new_cache()
    model(batch(2, 3), cache)
    for ids, given_cache, says in (
        (torch.full((1, 2), VOCAB), None, "token_ids holds the id 31"),
        (torch.ones(2, dtype=torch.int64), None, r"\(batch, T\)"),
        (torch.ones(1, 2), None, "token_ids"),
        (batch(3, 1), cache, "the 2 rows of the cache"),
    ):
        with pytest.raises(ValueError, match=says):
            model(ids, given_cache)


def test_the_same_generator_gives_the_same_weights():
    for one, other in zip(ours(5).parameters(), ours(5).parameters(), strict=True):
        assert torch.equal(one, other)
    tied = ours(share_embeddings=True)
    assert tied.output.weight is tied.embedding.weight
