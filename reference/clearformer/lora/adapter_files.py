"""Adapters on disk, in the layout of the library peft: adapter_config.json and adapter_model.safetensors.

Either of the two opens what the other has saved. What peft can and this package cannot do is refused by name.
"""

import json
import os
from numbers import Real
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from clearformer.lora.linear import LoRALinear
from clearformer.lora.model import adapt, last_name, linear_maps, lora_layers

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."  # how peft's names begin: its two wrappers around the model
ENDS = {"lora_A.weight": "lora_a", "lora_B.weight": "lora_b"}

# Of the settings that peft writes, these may have any value: they are read here, or say nothing about what is computed.
READ = {"peft_type", "r", "lora_alpha", "lora_dropout", "target_modules", "init_lora_weights"}
SAY_NOTHING = {
    "auto_mapping", "base_model_name_or_path", "eva_config", "exclude_modules", "inference_mode", "layers_pattern",
    "layers_to_transform", "loftq_config", "megatron_config", "megatron_core", "peft_version", "qalora_group_size",
    "revision", "runtime_config", "task_type", "velora_config",
}  # fmt: skip
STARTS = (True, False, None, "gaussian", "eva", "orthogonal")  # the others change the base's weights too


class AdapterError(ValueError):
    """An adapter that cannot be saved or used; the message says what is wrong, and with which file."""


def save_adapter(model, folder):
    """Write the adapters of `model` to `folder`, as peft's PeftModel.from_pretrained reads them.

    AdapterError where the model has none, has merged ones, or some of another rank, alpha or dropout than the others.
    """
    layers = lora_layers(model)
    if not layers:
        raise AdapterError("the model has no adapters to save")
    settings = {(layer.rank, layer.alpha, layer.dropout.p) for layer in layers.values()}
    if len(settings) > 1:
        raise AdapterError(f"the adapters differ in (rank, alpha, dropout), and one file holds one: {sorted(settings)}")
    if merged := [name for name, layer in layers.items() if layer.merged]:
        raise AdapterError(f"{merged[0]} is merged: unmerge it before it is saved")
    tensors = {
        f"{PREFIX}{name}.{end}": getattr(layer, attribute).detach().cpu().contiguous()
        for name, layer in layers.items()
        for end, attribute in ENDS.items()
    }
    config = _config(*settings.pop(), _targets(model, layers))
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / WEIGHTS, save(tensors, metadata={"format": "pt"} | _stamp(config)))
    _write(folder / CONFIG, (json.dumps(config, indent=2, sort_keys=True) + "\n").encode())


def _config(rank, alpha, dropout, targets):
    return {
        "peft_type": "LORA",
        "r": rank,
        "lora_alpha": int(alpha) if float(alpha).is_integer() else float(alpha),
        "lora_dropout": float(dropout),
        "target_modules": targets,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "modules_to_save": None,
        "task_type": None,
        "use_dora": False,
        "use_rslora": False,
    }


def _stamp(config):
    """What stands in both files, so that two of different ages are told apart."""
    return {"rank": str(config["r"]), "alpha": repr(float(config["lora_alpha"]))}


def _targets(model, layers):
    """The last names, where these mean exactly these layers; else the whole names."""
    short = sorted({last_name(name) for name in layers})
    others = [name for name, module in model.named_modules() if not isinstance(module, LoRALinear)]
    return sorted(layers) if any(last_name(name) in short for name in others) else short


def _write(path, data):
    """A crash leaves the old file or the new one, never a part."""
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        partial.write_bytes(data)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def load_adapter(model, folder):
    """Put the adapters that save_adapter or peft wrote into `model`, and return it; all else is frozen.

    The model: one without adapters, or with adapters in the same places, of the same rank, alpha and dropout, whose
    weights are then replaced. AdapterError, and nothing is changed, where the files are damaged, are of another model
    or another rank, or use what this package does not have.
    """
    folder = Path(folder)
    config = _read_config(folder / CONFIG)
    weights = _read_weights(folder / WEIGHTS, config)
    layers = lora_layers(model)
    if layers:
        _require_same(layers, weights, config, folder)
        model.requires_grad_(False)
    else:
        found = _places(model, weights, config, folder / WEIGHTS)
        adapt(model, found, config["r"], config["lora_alpha"], config.get("lora_dropout") or 0.0)
        layers = lora_layers(model)
    for name, layer in layers.items():
        layer.unmerge()
        for attribute, tensor in weights[name].items():
            parameter = getattr(layer, attribute).requires_grad_(True)
            with torch.no_grad():
                parameter.copy_(tensor)
    return model


def _read_config(path):
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise AdapterError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise AdapterError(f"{path} is damaged: {error}") from error
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        got = config.get("peft_type") if isinstance(config, dict) else type(config).__name__
        raise AdapterError(f"{path}: peft_type must be 'LORA'; got {got!r}")
    for name, value in config.items():
        if name not in READ | SAY_NOTHING and value not in (None, False, "none", [], {}):
            raise AdapterError(f"{path}: {name} = {value!r} is not supported here")
    if config.get("init_lora_weights", True) not in STARTS:
        raise AdapterError(
            f"{path}: init_lora_weights = {config['init_lora_weights']!r} is not supported here: it changes the model "
            "too, not the adapters alone"
        )
    rank, alpha, dropout = config.get("r"), config.get("lora_alpha"), config.get("lora_dropout") or 0.0
    if type(rank) is not int or rank < 1:
        raise AdapterError(f"{path}: r must be a whole number of at least 1; got {rank!r}")
    if not isinstance(alpha, Real) or isinstance(alpha, bool) or not 0 < alpha < float("inf"):
        raise AdapterError(f"{path}: lora_alpha must be a number above 0; got {alpha!r}")
    if not isinstance(dropout, Real) or not 0 <= dropout <= 1:
        raise AdapterError(f"{path}: lora_dropout must be from 0 to 1; got {dropout!r}")
    return config


def _read_weights(path, config):
    """{layer's name: {"lora_a": tensor, "lora_b": tensor}}, each pair complete and of the rank in config."""
    try:
        with safe_open(path, framework="pt") as file:
            stamp, tensors = file.metadata() or {}, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except OSError as error:
        raise AdapterError(f"{path} cannot be read: {error}") from error
    except SafetensorError as error:
        raise AdapterError(f"{path} is damaged: {error}") from error
    for name, value in _stamp(config).items():
        if stamp.get(name, value) != value:
            raise AdapterError(f"{path} was not saved with the {CONFIG} beside it: {name} {stamp[name]}, not {value}")
    weights = {}
    for key, tensor in tensors.items():
        name, attribute = _parts(key)
        if not attribute:
            raise AdapterError(f"{path} holds {key}, which is no lora_A or lora_B of a linear map")
        weights.setdefault(name, {})[attribute] = tensor
    if not weights:
        raise AdapterError(f"{path} holds no adapters")
    for name, pair in weights.items():
        if missing := [end for end, attribute in ENDS.items() if attribute not in pair]:
            raise AdapterError(f"{path} has no {PREFIX}{name}.{missing[0]}")
        a, b = pair["lora_a"], pair["lora_b"]
        if (a.ndim, b.ndim) != (2, 2) or (len(a), b.shape[1]) != (config["r"], config["r"]):
            raise AdapterError(
                f"{path}: with r = {config['r']}, {name} needs lora_A ({config['r']}, in) and lora_B (out, "
                f"{config['r']}); got {tuple(a.shape)} and {tuple(b.shape)}"
            )
    return weights


def _parts(key):
    """("layers.0.query_proj", "lora_a") of peft's name for it; ("", "") of any other key."""
    for end, attribute in ENDS.items():
        if key.startswith(PREFIX) and key.endswith("." + end):
            return key[len(PREFIX) : -len(end) - 1], attribute
    return "", ""


def _places(model, weights, config, path):
    """{dotted name: nn.Linear} for all of `weights`, under every name that the model has for them."""
    linear = linear_maps(model)
    for name, pair in weights.items():
        if name not in linear:
            raise AdapterError(f"{path} is of another model: this one has no nn.Linear called {name}")
        wanted = (pair["lora_b"].shape[0], pair["lora_a"].shape[1])
        if (got := tuple(linear[name].weight.shape)) != wanted:
            raise AdapterError(f"{path} is of another model: {name}.weight is {wanted} there and {got} here")
    chosen = {linear[name] for name in weights}
    targets = config.get("target_modules")
    if isinstance(targets, list) and not (config.get("exclude_modules") or config.get("layers_to_transform")):
        for name, each in linear.items():
            if each not in chosen and any(f".{name}".endswith(f".{target}") for target in targets):
                raise AdapterError(f"{path} has no adapter for {name}, which is among the target_modules {targets}")
    return {name: each for name, each in linear.items() if each in chosen}


def _require_same(layers, weights, config, folder):
    """AdapterError unless the model's adapters are in the places, of the sizes and settings, of those in the files."""
    wanted = config["r"], config["lora_alpha"], config.get("lora_dropout") or 0.0
    for name, layer in layers.items():
        if name not in weights:
            raise AdapterError(f"{folder} has no adapter for {name}, and the model has one there")
        if (got := (layer.rank, layer.alpha, layer.dropout.p)) != wanted:
            raise AdapterError(f"{folder} has (rank, alpha, dropout) = {wanted}, and {name} has {got}")
        for attribute, tensor in weights[name].items():
            if tensor.shape != (here := getattr(layer, attribute)).shape:
                shapes = f"{tuple(tensor.shape)} there and {tuple(here.shape)} here"
                raise AdapterError(f"{folder} is of another model: {attribute} of {name} is {shapes}")
    if more := [name for name in weights if name not in layers]:
        raise AdapterError(f"{folder} has an adapter for {more[0]}, and the model has none there")
