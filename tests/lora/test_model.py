"""A whole model with adapters: which layers get one, what learns, and what is left when they are merged or removed."""

import copy

import pytest
import torch
from torch import nn

from clearformer.generation.greedy import generate_greedy
from clearformer.lora import apply_lora, count_trainable, lora_layers, merge_lora, optimizer_bytes, remove_lora
from clearformer.models import Transformer, TransformerConfig
from clearformer.nn import DecoderCache, DecoderLayer, Encoder, MultiHeadAttention
from clearformer.nn._one_token import ready_layers

ATTENTION = ["query_proj", "key_proj", "value_proj", "output_proj"]


def translator(**changes):
    config = TransformerConfig.preset("toy", 20, **changes)
    return Transformer(config, torch.Generator().manual_seed(0)).eval()


def train(model):
    """Adapters that change something, as if they had been trained."""
    generator = torch.Generator().manual_seed(1)
    for layer in lora_layers(model).values():
        nn.init.normal_(layer.lora_b, std=0.1, generator=generator)
    return model


def ids(rows=2, length=5):
    return torch.randint(3, 20, (rows, length), generator=torch.Generator().manual_seed(2))


def test_every_layer_of_that_name_is_adapted_at_any_depth_and_no_other():
    model = translator()
    assert apply_lora(model, ["query_proj", "value_proj"], 4, 8) is model
    expected = {name for name, module in translator().named_modules() if name.endswith(("query_proj", "value_proj"))}
    assert set(lora_layers(model)) == expected and len(expected) == 2 * (2 + 2 * 2)
    assert {name for name, p in model.named_parameters() if p.requires_grad} == {
        f"{name}.{end}" for name in expected for end in ("lora_a", "lora_b")
    }
    assert {(layer.rank, layer.alpha) for layer in lora_layers(model).values()} == {(4, 8)}


def test_the_layers_that_were_there_are_inside():
    attention = MultiHeadAttention(8, 2)
    query, key = attention.query_proj, attention.key_proj
    apply_lora(attention, "query_proj", 2, 4)
    assert attention.query_proj.base is query and attention.key_proj is key


def test_the_whole_last_name_counts():
    model = nn.ModuleDict({name: nn.Linear(2, 2) for name in ("proj", "projector", "query_proj", "pro")})
    apply_lora(model, ["proj"], 1, 1)
    assert [*lora_layers(model)] == ["proj"]


def test_only_an_nn_linear_is_adapted():
    inner, matching, norm = ({"inner": nn.Linear(2, 2)}, {"proj": nn.Linear(2, 2)}, {"proj": nn.LayerNorm(2)})
    model = nn.ModuleDict({"proj": nn.ModuleDict(inner), "a": nn.ModuleDict(matching), "b": nn.ModuleDict(norm)})
    apply_lora(model, ["proj"], 1, 1)
    assert [*lora_layers(model)] == ["a.proj"]


@pytest.mark.parametrize("targets", [["qeury_proj"], ["query_proj", "qeury_proj"], [], "norm1", ["base"], ["lora_a"]])
def test_a_target_that_is_no_linear_map_is_named_and_nothing_is_changed(targets):
    model = translator()
    before = {name: p.requires_grad for name, p in model.named_parameters()}
    with pytest.raises(ValueError, match=r"no nn\.Linear called .*key_proj"):
        apply_lora(model, targets, 2, 4)
    assert {name: p.requires_grad for name, p in model.named_parameters()} == before


@pytest.mark.parametrize("bad", [{"rank": 0}, {"alpha": -1}, {"dropout": 2}])
def test_with_a_rank_or_alpha_that_cannot_be_used_nothing_is_changed(bad):
    model = translator()
    with pytest.raises(ValueError, match=next(iter(bad))):
        apply_lora(model, ATTENTION, **{"rank": 2, "alpha": 4} | bad)
    assert not lora_layers(model) and all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("again", ["query_proj", "value_proj", "base", "nothing"])
def test_a_model_with_adapters_takes_no_more_and_says_so(again):
    model = train(apply_lora(translator(), ["query_proj"], 2, 4))
    with pytest.raises(ValueError, match=r"has adapters already, in encoder\.layers\.0\.self_attention\.query_proj"):
        apply_lora(model, [again], 2, 4)
    assert count_trainable(model) == 6 * 2 * (2 * 64)


def test_a_layer_called_base_is_adapted_once():
    model = nn.ModuleDict({"query_proj": nn.Linear(2, 2), "base": nn.Linear(2, 2)})
    apply_lora(model, ["query_proj", "base"], 1, 1)
    assert [*lora_layers(model)] == ["query_proj", "base"]


def test_a_layer_in_two_places_stays_one_layer_in_both():
    shared = nn.Linear(4, 4)
    model = nn.ModuleDict({"first": nn.ModuleDict({"proj": shared}), "second": nn.ModuleDict({"proj": shared})})
    apply_lora(model, ["proj"], 2, 4)
    assert model["first"]["proj"] is model["second"]["proj"] and count_trainable(model) == 16
    x = torch.randn(3, 4)
    expected = train(model)["second"]["proj"](x)
    merge_lora(model)
    assert model["first"]["proj"] is model["second"]["proj"] is shared
    torch.testing.assert_close(shared(x), expected)


def test_a_shared_block_is_adapted_once_and_merged_once():
    block = MultiHeadAttention(8, 2)
    model = train(apply_lora(nn.ModuleList([block, block, block]), ATTENTION, 2, 4))
    assert len(lora_layers(model)) == 4
    x = torch.randn(2, 3, 8)
    before = model[2](x, x, x)
    merge_lora(model)
    torch.testing.assert_close(model[2](x, x, x), before)


def test_an_adapted_output_leaves_the_tied_embedding_alone():
    model = translator()
    assert model.output.weight is model.source_embedding.weight
    table, source, target = model.source_embedding.weight.clone(), ids(), ids()
    train(apply_lora(model, ["output"], 2, 4))
    before = model(source, target)
    merge_lora(model)
    assert model.source_embedding.weight.equal(table) and not model.output.weight.equal(table)
    torch.testing.assert_close(model(source, target), before)


def test_training_mode_stays_what_it_was():
    model = apply_lora(translator(), ATTENTION, 2, 4, dropout=0.5)
    assert not any(module.training for module in model.modules())


def test_a_generator_decides_where_every_adapter_starts():
    def started(seed):
        model = apply_lora(translator(), ATTENTION, 2, 4, generator=torch.Generator().manual_seed(seed))
        return torch.cat([layer.lora_a for layer in lora_layers(model).values()])

    assert started(0).equal(started(0)) and not started(0).equal(started(1))
    assert len(started(0).unique(dim=0)) == len(started(0))


@pytest.mark.parametrize(("dtype", "room"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_just_put_in_merged_and_taken_out_an_encoder_computes_the_same(dtype, room):
    torch.manual_seed(0)
    encoder = Encoder(2, 16, 4, 32).to(dtype).eval()
    names = [*encoder.state_dict()]
    x = torch.randn(2, 5, 16, dtype=dtype)
    with torch.no_grad():
        base = encoder(x)
        apply_lora(encoder, [*ATTENTION, "linear1", "linear2"], 2, 4)
        assert encoder(x).equal(base)
        unmerged = train(encoder)(x)
        assert (unmerged - base).abs().max() > 0.01
        merged = merge_lora(copy.deepcopy(encoder))
        assert (merged(x) - unmerged).abs().max() <= room
        assert [*merged.state_dict()] == names and not lora_layers(merged)
        assert remove_lora(encoder)(x).equal(base)
        assert [*encoder.state_dict()] == names


def test_taken_out_after_merging_the_base_is_what_it_was():
    model = translator()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    train(apply_lora(model, ATTENTION, 2, 4))
    for layer in lora_layers(model).values():
        layer.merge()
    after = remove_lora(model).state_dict()
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, rtol=0, atol=1e-6)


@torch.no_grad()
def token_by_token(model, source, target):
    """Logits of a decoder that remembers, and of what it writes by itself."""
    cache, memory, mask = DecoderCache(), model.encode(source), model.source_mask(source)
    steps = [model.decode(target[:, [step]], memory, mask, cache) for step in range(target.shape[1])]
    return torch.cat(steps, dim=1), generate_greedy(model, source, 12)


@pytest.mark.parametrize(
    "targets", [["query_proj"], ["key_proj", "value_proj"], ["output_proj"], ["linear1", "linear2"]]
)
def test_generation_with_an_adapter_is_generation_with_it_merged(targets):
    """One token at a time, for which the decoder has a faster way where its layers are plain."""
    base, source, target = translator(share_embeddings=False), ids(4, 6), ids(4, 8)
    model = train(apply_lora(copy.deepcopy(base), targets, 4, 8))
    logits, written = token_by_token(model, source, target)
    assert (logits - model(source, target)).abs().max() < 1e-5
    assert (logits - token_by_token(base, source, target)[0]).abs().max() > 0.01
    merged = merge_lora(copy.deepcopy(model))
    for layer in lora_layers(model).values():
        layer.merge()
    for each in (model, merged):
        found, also_written = token_by_token(each, source, target)
        assert (found - logits).abs().max() < 1e-5 and also_written.equal(written)


def test_only_a_model_merged_into_plain_layers_takes_the_decoders_faster_way():
    model = train(apply_lora(translator(), ["query_proj"], 2, 4))
    assert ready_layers(model.decoder.layers, DecoderLayer) == ()
    assert len(ready_layers(merge_lora(model).decoder.layers, DecoderLayer)) == 2


def test_adapters_on_torchs_own_layers_work_where_these_read_the_weight():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    model, x = train(apply_lora(layer, ["out_proj", "linear1", "linear2"], 2, 4)), torch.randn(2, 3, 8)
    trained = model(x)
    trained.sum().backward()
    assert all(p.grad.any() for p in model.parameters() if p.requires_grad)
    with torch.no_grad():
        torch.testing.assert_close(model.eval()(x), trained.detach())
        torch.testing.assert_close(merge_lora(model)(x), trained.detach())


def test_what_is_trained_is_counted_and_so_is_what_adam_keeps():
    encoder = apply_lora(Encoder(6, 384, 12, 32), ["query_proj", "value_proj"], 8, 16)
    assert count_trainable(encoder) == 73_728
    optimizer = torch.optim.Adam([p for p in encoder.parameters() if p.requires_grad])
    assert optimizer_bytes(optimizer) == 0
    encoder(torch.randn(1, 2, 384)).sum().backward()
    optimizer.step()
    assert optimizer_bytes(optimizer) == 8 * 73_728


def test_a_step_of_training_moves_the_adapters_alone():
    model = apply_lora(translator(), ["query_proj", "value_proj"], 2, 4)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        model(ids(), ids()).square().mean().backward()
        optimizer.step()
    moved = {name for name, value in model.state_dict().items() if not value.equal(before[name])}
    assert moved == {name for name in before if "lora_" in name}
