"""LoRALinear: against the formula in float64, against peft, and in the places where an adapter goes wrong."""

import copy
import itertools

import pytest
import torch
from torch import nn

from clearformer.lora import LoRALinear

FLOATS = [(torch.float64, 1e-12), (torch.float32, 1e-6)]


def made(inputs=6, outputs=5, rank=3, alpha=7.5, bias=True, dtype=torch.float64, trained=True, **more):
    generator = torch.Generator().manual_seed(0)
    base = nn.Linear(inputs, outputs, bias=bias, dtype=dtype)
    for parameter in base.parameters():
        nn.init.normal_(parameter, std=0.3, generator=generator)
    layer = LoRALinear(base, rank, alpha, generator=generator, **more)
    if trained:
        nn.init.normal_(layer.lora_b, std=0.3, generator=generator)
    return layer


def inputs(*shape, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=dtype)


def gap(one, other):
    return float((one - other).detach().abs().max())


@pytest.mark.parametrize("shape", [(4, 6), (2, 3, 6), (6,), (0, 6), (2, 0, 6)])
@pytest.mark.parametrize("bias", [True, False])
def test_it_is_the_formula_of_the_paper(shape, bias):
    layer, x = made(bias=bias), inputs(*shape)
    a, b, base = layer.lora_a, layer.lora_b, layer.base
    expected = x @ base.weight.T + (base.bias if bias else 0.0) + 7.5 / 3 * (x @ a.T) @ b.T
    torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-12)
    assert layer(x).shape == (*shape[:-1], 5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_just_made_it_computes_exactly_what_its_base_does(dtype):
    layer, x = made(dtype=dtype, trained=False), inputs(4, 6, dtype=dtype)
    assert layer(x).equal(layer.base(x))
    assert layer.lora_a.dtype == layer.lora_b.dtype == dtype
    assert not layer.lora_b.any() and layer.lora_a.unique().numel() > 9


@pytest.mark.parametrize(("dtype", "room"), FLOATS)
def test_merged_and_unmerged_give_the_same(dtype, room):
    layer, x = made(dtype=dtype), inputs(20, 6, dtype=dtype)
    before, weight = layer(x), layer.base.weight.clone()
    layer.merge()
    assert gap(layer(x), before) <= room and gap(layer.base.weight, weight) > 0.1
    layer.unmerge()
    assert gap(layer(x), before) <= room and gap(layer.base.weight, weight) <= room


def test_merging_twice_is_merging_once_and_unmerging_what_is_not_merged_does_nothing():
    layer = made()
    layer.unmerge()
    weight = layer.base.weight.clone()
    layer.merge()
    once = layer.base.weight.clone()
    layer.merge()
    assert layer.base.weight.equal(once) and not once.equal(weight)


def test_merging_changes_neither_what_learns_nor_the_base_object():
    layer = made()
    base, learns = layer.base, {name: p.requires_grad for name, p in layer.named_parameters()}
    assert learns == {"lora_a": True, "lora_b": True, "base.weight": False, "base.bias": False}
    layer.merge()
    assert {name: p.requires_grad for name, p in layer.named_parameters()} == learns
    layer.unmerge()
    assert {name: p.requires_grad for name, p in layer.named_parameters()} == learns
    assert layer.base is base


def test_merging_leaves_alone_what_shares_the_weight():
    layer = made(inputs=5)
    table = nn.Embedding(5, 5, dtype=torch.float64)
    table.weight = layer.base.weight
    before = table.weight.clone()
    layer.merge()
    assert table.weight.equal(before) and not layer.base.weight.equal(before)


def test_the_change_in_half_precision_is_rounded_once():
    layer = made(inputs=64, outputs=64, rank=16, dtype=torch.bfloat16)
    a, b, w = layer.lora_a.double(), layer.lora_b.double(), layer.base.weight.double()
    layer.merge()
    expected = (w + layer.scale * b @ a).to(torch.bfloat16)
    assert (layer.base.weight == expected).double().mean() > 0.999


def test_gradients_are_those_of_the_formula_and_the_frozen_get_none():
    layer, x = made(), inputs(2, 3, 6).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, a, b: torch.func.functional_call(layer, {"lora_a": a, "lora_b": b}, x),
                                    (x, layer.lora_a, layer.lora_b))  # fmt: skip
    layer(x).sum().backward()
    assert layer.base.weight.grad is None and layer.base.bias.grad is None
    assert layer.lora_a.grad.any() and layer.lora_b.grad.any() and x.grad.any()


def test_b_learns_from_the_first_step_and_a_from_the_second():
    layer = made(trained=False)
    layer(inputs(4, 6)).sum().backward()
    assert layer.lora_b.grad.any() and not layer.lora_a.grad.any()


@pytest.mark.parametrize("merged", [False, True])
def test_whoever_reads_the_weight_gets_what_is_computed(merged):
    layer, x = made(), inputs(4, 6)
    if merged:
        layer.merge()
    torch.testing.assert_close(nn.functional.linear(x, layer.weight, layer.bias), layer(x), rtol=0, atol=1e-12)
    assert (layer.in_features, layer.out_features) == (6, 5)


def test_dropout_acts_on_the_adapter_alone_and_in_training_alone():
    layer, x = made(dropout=0.5), inputs(50, 6)
    torch.manual_seed(0)
    first, second = layer(x), layer(x)
    assert not first.equal(second)
    layer.eval()
    assert layer(x).equal(layer(x))
    nn.init.zeros_(layer.lora_b)
    layer.train()
    assert layer(x).equal(layer.base(x))


def test_a_generator_decides_the_start_and_no_other_random_state_is_touched():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    base = torch.nn.Linear(4, 4)
    torch.set_rng_state(state)
    one, other = (LoRALinear(base, 2, 4, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert one.lora_a.equal(other.lora_a)
    assert torch.get_rng_state().equal(state)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("base", {"base": nn.LayerNorm(4)}),
        ("base", {"base": LoRALinear(nn.Linear(4, 4), 1, 1)}),
        *[("rank", {"rank": rank}) for rank in (0, -1, 1.5, True, "8")],
        *[("alpha", {"alpha": alpha}) for alpha in (0, -1, float("nan"), float("inf"), True, "8", None)],
        *[("dropout", {"dropout": dropout}) for dropout in (-0.1, 1.1, None)],
    ],
)
def test_an_argument_that_cannot_be_used_is_named_and_the_base_is_not_frozen(name, changes):
    base = nn.Linear(4, 4)
    with pytest.raises(ValueError, match=f"^{name} must be"):
        LoRALinear(**{"base": base, "rank": 2, "alpha": 4} | changes)
    assert base.weight.requires_grad


def test_the_weights_of_a_merged_layer_are_neither_saved_nor_loaded():
    layer = made()
    state = copy.deepcopy(layer.state_dict())
    layer.merge()
    with pytest.raises(RuntimeError, match="cannot be saved: unmerge it first"):
        nn.Sequential(layer).state_dict()
    with pytest.raises(RuntimeError, match="cannot be loaded"):
        layer.load_state_dict(state)
    layer.unmerge()
    assert set(layer.state_dict()) == {"base.weight", "base.bias", "lora_a", "lora_b"}


def test_a_copy_of_a_merged_layer_is_merged():
    layer, x = made(), inputs(3, 6)
    layer.merge()
    copied = copy.deepcopy(layer)
    copied.merge()
    assert copied(x).equal(layer(x))
    copied.unmerge()
    assert layer.merged and gap(copied(x), layer(x)) <= 1e-12


# Against peft ------------------------------------------------------------------------------------------------------


class Two(nn.Module):
    """Two linear maps with a bend between: enough for a gradient to pass an adapted layer."""

    def __init__(self, dtype):
        super().__init__()
        self.first, self.second = nn.Linear(6, 8, dtype=dtype), nn.Linear(8, 5, dtype=dtype)

    def forward(self, x):
        return self.second(torch.tanh(self.first(x)))


def pair(dtype):
    """Our layers and peft's around the same weights, the same adapters in both."""
    peft = pytest.importorskip("peft")
    torch.manual_seed(0)
    ours = Two(dtype)
    theirs = peft.get_peft_model(
        copy.deepcopy(ours),
        peft.LoraConfig(r=3, lora_alpha=12, target_modules=["first", "second"]),
        autocast_adapter_dtype=False,
    )
    ours.first, ours.second = (LoRALinear(each, 3, 12) for each in (ours.first, ours.second))
    inner = theirs.base_model.model
    for layer, other in ((ours.first, inner.first), (ours.second, inner.second)):
        nn.init.normal_(layer.lora_b, std=0.3)
        with torch.no_grad():
            other.lora_A["default"].weight.copy_(layer.lora_a)
            other.lora_B["default"].weight.copy_(layer.lora_b)
    return ours, theirs, inner


def adapters(ours, inner):
    for name, end in itertools.product(("first", "second"), ("a", "b")):
        yield (
            getattr(getattr(ours, name), f"lora_{end}"),
            getattr(inner, name).get_submodule(f"lora_{end.upper()}.default").weight,
        )


@pytest.mark.parametrize(("dtype", "room"), FLOATS)
def test_outputs_and_gradients_are_pefts(dtype, room):
    ours, theirs, inner = pair(dtype)
    x, other = (inputs(4, 6, dtype=dtype).requires_grad_() for _ in range(2))
    assert gap(ours(x), theirs(other)) <= room
    ours(x).square().mean().backward()
    theirs(other).square().mean().backward()
    assert gap(x.grad, other.grad) <= room
    for mine, their in adapters(ours, inner):
        assert gap(mine.grad, their.grad) <= room


@pytest.mark.parametrize(("dtype", "room"), FLOATS)
def test_after_steps_of_adam_the_weights_are_pefts(dtype, room):
    ours, theirs, inner = pair(dtype)
    for model in (ours, theirs):
        optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-2)
        for step in range(10):
            optimizer.zero_grad()
            (model(inputs(4, 6, dtype=dtype)) - step).square().mean().backward()
            optimizer.step()
    for mine, their in adapters(ours, inner):
        assert gap(mine, their) <= room


@pytest.mark.parametrize(("dtype", "room"), FLOATS)
def test_merged_weights_are_pefts(dtype, room):
    ours, theirs, inner = pair(dtype)
    theirs.merge_adapter()
    for name in ("first", "second"):
        getattr(ours, name).merge()
        assert gap(getattr(ours, name).base.weight, getattr(inner, name).base_layer.weight) <= room
