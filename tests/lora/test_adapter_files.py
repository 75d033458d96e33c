"""Adapters on disk: peft opens ours, we open peft's, and what is damaged, foreign or unknown is refused by name."""

import copy
import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from clearformer.lora import AdapterError, apply_lora, load_adapter, lora_layers, merge_lora, remove_lora, save_adapter
from clearformer.nn import Encoder

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
QUERY = "layers.0.self_attention.query_proj"


def encoder(num_layers=2, width=8, seed=0):
    torch.manual_seed(seed)
    return Encoder(num_layers, width, 2, 12).eval()


def adapted(targets=("query_proj", "value_proj"), rank=3, alpha=12, **more):
    model = apply_lora(encoder(), targets, rank, alpha, **more).eval()
    for layer in lora_layers(model).values():
        nn.init.normal_(layer.lora_b, std=0.3)
    return model


def x():
    return torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(4))


@pytest.fixture
def saved(tmp_path):
    """(the model, its folder)"""
    model = adapted()
    save_adapter(model, tmp_path / "adapter")
    return model, tmp_path / "adapter"


def change_config(folder, **changes):
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(config | changes))


def change_weights(folder, change, metadata=None):
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS, metadata=metadata)


def refuses(model, folder, match):
    """load_adapter says so, and the model is as before."""
    names, learns = [*model.state_dict()], [p.requires_grad for p in model.parameters()]
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(AdapterError, match=match):
        load_adapter(model, folder)
    assert ([*model.state_dict()], [p.requires_grad for p in model.parameters()]) == (names, learns)
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())


# Ours and ours ------------------------------------------------------------------------------------------------------


def test_what_was_saved_is_loaded_into_a_plain_model(saved):
    model, folder = saved
    loaded = load_adapter(encoder(), folder)
    assert loaded(x()).equal(model(x()))
    assert [p.requires_grad for p in loaded.parameters()] == [p.requires_grad for p in model.parameters()]
    assert {(layer.rank, layer.alpha) for layer in lora_layers(loaded).values()} == {(3, 12)}
    assert sorted(each.name for each in folder.iterdir()) == [CONFIG, WEIGHTS]


def test_another_adapter_of_the_same_form_takes_the_place_of_one_that_is_there(saved):
    model, folder = saved
    other = adapted()
    for layer in lora_layers(other).values():
        layer.merge()
    layers = [*lora_layers(other).values()]
    assert load_adapter(other, folder) is other
    torch.testing.assert_close(other(x()), model(x()))
    assert [*lora_layers(other).values()] == layers and not any(layer.merged for layer in layers)


def test_two_tasks_share_one_base(saved, tmp_path):
    first, folder = saved
    second = adapted(("linear1",), rank=1, alpha=2)
    save_adapter(second, tmp_path / "second")
    base = encoder()
    plain = base(x())
    for model, place in ((first, folder), (second, tmp_path / "second"), (first, folder)):
        assert load_adapter(base, place)(x()).equal(model(x()))
        remove_lora(base)
    assert base(x()).equal(plain)


def test_saving_again_replaces_what_was_there(saved):
    _, folder = saved
    other = adapted(("linear1",), rank=2, alpha=5)
    save_adapter(other, folder)
    assert load_adapter(encoder(), folder)(x()).equal(other(x()))


def test_an_alpha_that_is_no_whole_number_and_a_dropout_come_back(tmp_path):
    save_adapter(adapted(alpha=2.5, dropout=0.25), tmp_path)
    layer = lora_layers(load_adapter(encoder(), tmp_path))[QUERY]
    assert (layer.alpha, layer.dropout.p, layer.training) == (2.5, 0.25, False)


def test_a_file_in_another_precision_is_read_into_the_bases(saved):
    model, folder = saved
    loaded = load_adapter(encoder().double(), folder)
    assert lora_layers(loaded)[QUERY].lora_a.dtype == torch.float64
    torch.testing.assert_close(loaded(x().double()).float(), model(x()))


def test_layers_of_other_names_are_saved_by_their_whole_names(tmp_path):
    """An adapter on some of the layers of a name must not mean all of them to whoever reads the file."""
    model = encoder()
    one = apply_lora(model.layers[1], ["query_proj"], 2, 4)
    nn.init.normal_(one.self_attention.query_proj.lora_b)
    save_adapter(model, tmp_path)
    name = "layers.1.self_attention.query_proj"
    assert json.loads((tmp_path / CONFIG).read_text())["target_modules"] == [name]
    loaded = load_adapter(encoder(), tmp_path)
    assert [*lora_layers(loaded)] == [name] and loaded(x()).equal(model(x()))


def test_a_layer_in_two_places_is_saved_once_and_loaded_into_both(tmp_path):
    def shared():
        torch.manual_seed(0)
        proj = nn.Linear(8, 8)
        return nn.ModuleList([nn.ModuleDict({"proj": proj}), nn.ModuleDict({"proj": proj})])

    model = apply_lora(shared(), ["proj"], 2, 4)
    nn.init.normal_(model[0]["proj"].lora_b)
    save_adapter(model, tmp_path)
    assert len(load_file(tmp_path / WEIGHTS)) == 2
    loaded = load_adapter(shared(), tmp_path)
    assert loaded[1]["proj"] is loaded[0]["proj"]
    assert loaded[1]["proj"](x()).equal(model[0]["proj"](x()))


# What cannot be saved -----------------------------------------------------------------------------------------------


def test_a_model_without_adapters_has_none_to_save(tmp_path):
    with pytest.raises(AdapterError, match="no adapters to save"):
        save_adapter(encoder(), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_merged_adapter_is_not_saved(tmp_path):
    model = adapted()
    lora_layers(model)[QUERY].merge()
    with pytest.raises(AdapterError, match=rf"{QUERY} is merged"):
        save_adapter(model, tmp_path)


def test_adapters_of_two_ranks_do_not_fit_one_file(tmp_path):
    model = encoder()
    apply_lora(model.layers[0], ["query_proj"], 2, 4)
    apply_lora(model.layers[1], ["query_proj"], 3, 4)
    with pytest.raises(AdapterError, match=r"differ in \(rank, alpha, dropout\)"):
        save_adapter(model, tmp_path)


def test_a_write_that_fails_leaves_the_old_adapter(saved, monkeypatch):
    model, folder = saved

    def full(path, data):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.write_bytes", full)
        with pytest.raises(OSError, match="No space left"):
            save_adapter(adapted(), folder)
    assert load_adapter(encoder(), folder)(x()).equal(model(x()))
    assert sorted(each.name for each in folder.iterdir()) == [CONFIG, WEIGHTS]


# What cannot be loaded ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", [CONFIG, WEIGHTS])
def test_a_file_that_is_not_there_is_named(saved, missing):
    (saved[1] / missing).unlink()
    refuses(encoder(), saved[1], rf"{missing} cannot be read")


@pytest.mark.parametrize("keep", [0, 7, 100, -1])
@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_a_half_written_file_is_damaged(saved, name, keep):
    data = (saved[1] / name).read_bytes()
    (saved[1] / name).write_bytes(data[: keep if keep >= 0 or name == WEIGHTS else -3])
    refuses(encoder(), saved[1], rf"{name} is damaged")


def test_two_files_of_different_ages_are_told_apart(saved, tmp_path):
    save_adapter(adapted(alpha=6), tmp_path / "other")
    (tmp_path / "other" / CONFIG).replace(saved[1] / CONFIG)
    refuses(encoder(), saved[1], "was not saved with the adapter_config.json beside it: alpha 12.0, not 6.0")


@pytest.mark.parametrize(
    ("model", "match"),
    [
        (lambda: encoder(width=16), r"of another model: .*query_proj\.weight is \(8, 8\) there and \(16, 16\) here"),
        (lambda: encoder(1), r"of another model: this one has no nn\.Linear called layers\.1"),
        (lambda: encoder(3), r"has no adapter for layers\.2\.self_attention\.query_proj"),
        (lambda: nn.Linear(8, 8), "of another model"),
        (lambda: adapted(rank=2), r"has \(rank, alpha, dropout\) = \(3, 12, 0\.0\), and .*query_proj has \(2, 12"),
        (lambda: adapted(alpha=3), r"= \(3, 12, 0\.0\), and .*query_proj has \(3, 3"),
        (lambda: adapted(("query_proj",)), r"has an adapter for .*value_proj, and the model has none"),
        (lambda: adapted(("query_proj", "value_proj", "key_proj")), r"has no adapter for .*key_proj, and the model"),
    ],
)
def test_an_adapter_of_another_model_is_refused(saved, model, match):
    refuses(model(), saved[1], match)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("use_dora", True),
        ("use_rslora", True),
        ("bias", "all"),
        ("bias", "lora_only"),
        ("lora_bias", True),
        ("fan_in_fan_out", True),
        ("modules_to_save", ["classifier"]),
        ("rank_pattern", {"value_proj": 2}),
        ("alpha_pattern", {"value_proj": 2}),
        ("layer_replication", [[0, 2]]),
        ("trainable_token_indices", [1]),
        ("init_lora_weights", "pissa"),
        ("peft_type", "IA3"),
        ("something_of_next_year", True),
        ("r", 0),
        ("r", None),
        ("r", "3"),
        ("lora_alpha", -1),
        ("lora_alpha", float("nan")),
        ("lora_dropout", 2),
    ],
)
def test_a_setting_that_is_not_had_here_is_refused_by_name(saved, name, value):
    change_config(saved[1], **{name: value})
    refuses(encoder(), saved[1], name)


def test_a_config_that_is_no_dict_is_refused(saved):
    (saved[1] / CONFIG).write_text("[]")
    refuses(encoder(), saved[1], "peft_type must be 'LORA'; got 'list'")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda t: t.clear(), "holds no adapters"),
        (
            lambda t: t.pop(f"base_model.model.{QUERY}.lora_B.weight"),
            rf"has no base_model\.model\.{QUERY}\.lora_B\.weight",
        ),
        (
            lambda t: [t.pop(f"base_model.model.{QUERY}.lora_{end}.weight") for end in "AB"],
            rf"has no adapter for {QUERY}, which is among the target_modules",
        ),
        (
            lambda t: t.update({f"base_model.model.{QUERY}.lora_magnitude_vector": torch.ones(8)}),
            r"lora_magnitude_vector, which is no lora_A or lora_B",
        ),
        (lambda t: t.update({f"{QUERY}.lora_A.weight": torch.ones(3, 8)}), r"which is no lora_A or lora_B"),
        (
            lambda t: t.update({f"base_model.model.{QUERY}.lora_A.weight": torch.ones(2, 8)}),
            rf"with r = 3, {QUERY} needs lora_A \(3, in\) .* got \(2, 8\)",
        ),
        (lambda t: t.update({f"base_model.model.{QUERY}.lora_A.weight": torch.ones(24)}), r"got \(24,\)"),
    ],
)
def test_weights_that_are_not_a_whole_adapter_are_refused(saved, change, match):
    change_weights(saved[1], change)
    refuses(encoder(), saved[1], match)


# Ours and peft's ----------------------------------------------------------------------------------------------------


def pefts(model, **settings):
    peft = pytest.importorskip("peft")
    settings = {"r": 3, "lora_alpha": 12, "target_modules": ["query_proj", "value_proj"]} | settings
    wrapped = peft.get_peft_model(model, peft.LoraConfig(**settings)).eval()
    for name, parameter in wrapped.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.3)
    return wrapped


def test_peft_opens_ours(saved):
    peft = pytest.importorskip("peft")
    model, folder = saved
    theirs = peft.PeftModel.from_pretrained(encoder(), folder).eval()
    torch.testing.assert_close(theirs(x()), model(x()), rtol=0, atol=1e-6)
    torch.testing.assert_close(theirs.merge_and_unload()(x()), merge_lora(model)(x()), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"lora_dropout": 0.1, "init_lora_weights": "gaussian"},
        {"target_modules": r".*\.(query|value)_proj"},
        {"layers_to_transform": [1], "layers_pattern": "layers"},
        {"target_modules": "all-linear", "r": 1, "lora_alpha": 3},
    ],
    ids=["as usual", "dropout", "by pattern", "one layer", "every linear map"],
)
def test_we_open_pefts(tmp_path, settings):
    theirs = pefts(encoder(), **settings)
    theirs.save_pretrained(tmp_path)
    ours = load_adapter(encoder(), tmp_path)
    torch.testing.assert_close(ours(x()), theirs(x()), rtol=0, atol=1e-6)


def test_from_peft_to_ours_and_back_the_weights_are_the_same_bits(tmp_path):
    pefts(encoder()).save_pretrained(tmp_path / "theirs")
    save_adapter(load_adapter(encoder(), tmp_path / "theirs"), tmp_path / "ours")
    theirs, ours = (load_file(tmp_path / name / WEIGHTS) for name in ("theirs", "ours"))
    assert theirs.keys() == ours.keys() and all(theirs[name].equal(ours[name]) for name in theirs)


@pytest.mark.parametrize(
    "settings",
    [
        {"use_dora": True},
        {"use_rslora": True},
        {"bias": "all"},
        {"lora_bias": True},
        {"modules_to_save": ["linear1"]},
        {"rank_pattern": {"value_proj": 2}},
        {"init_lora_weights": "olora"},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_what_peft_can_and_we_cannot_is_refused_by_name(tmp_path, settings):
    pefts(encoder(), **settings).save_pretrained(tmp_path)
    refuses(encoder(), tmp_path, next(iter(settings)))
