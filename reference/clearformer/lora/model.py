"""A whole model with adapters: put in, counted, merged, taken out."""

import torch
from torch import nn

from clearformer.lora.linear import LoRALinear


def apply_lora(model, targets, rank, alpha, dropout=0.0, generator=None):
    """Adapt every nn.Linear whose name ends in one of `targets`, freeze all else, and return the model.

    targets: names as they stand behind the last dot, for example ["query_proj", "value_proj"]; one alone may be a
    string. The model itself is changed: each such layer, at any depth, becomes a LoRALinear around it. A layer that the
    model has in two places stays one layer in two places.

    ValueError, and nothing is changed, where a target names no nn.Linear or the model has adapters already.
    """
    if there := [*lora_layers(model)]:
        raise ValueError(f"the model has adapters already, in {there[0]}: merge or remove them first")
    targets = [targets] if isinstance(targets, str) else [*targets]
    linear = linear_maps(model)
    found = {name: each for name, each in linear.items() if last_name(name) in targets}
    missing = [target for target in targets if target not in map(last_name, found)]
    if missing or not targets:
        there = ", ".join(sorted({last_name(name) for name in linear if name})) or "none"
        asked = " or ".join(map(repr, missing)) or "no name at all"
        raise ValueError(f"targets: the model has no nn.Linear called {asked}. Its nn.Linears are called: {there}")
    adapt(model, found, rank, alpha, dropout, generator)
    return model


def adapt(model, found, rank, alpha, dropout=0.0, generator=None):
    """Put a LoRALinear around each of `found`, {dotted name: nn.Linear}, and freeze all else."""
    layers = {each: LoRALinear(each, rank, alpha, dropout, generator) for each in dict.fromkeys(found.values())}
    model.requires_grad_(False)  # the adapters are not in it yet
    for name, each in found.items():
        layers[each].train(each.training)
        _replace(model, name, layers[each])


def lora_layers(model):
    """{dotted name: LoRALinear}; one that is in several places has the name of the first."""
    return {name: module for name, module in model.named_modules() if isinstance(module, LoRALinear)}


def merge_lora(model):
    """Merge every adapter and put the plain nn.Linears back in their places; returns the model.

    The same outputs, at the cost and under the names of the model without adapters. Nothing is unfrozen.
    """
    for layer in lora_layers(model).values():
        layer.merge()
    return _with_bases_back(model)


def remove_lora(model):
    """Take every adapter out, unmerged: the model that was there before; returns it. Nothing is unfrozen."""
    for layer in lora_layers(model).values():
        layer.unmerge()
    return _with_bases_back(model)


def count_trainable(model):
    """How many numbers an optimiser would change: those of all parameters that take a gradient."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def optimizer_bytes(optimizer):
    """Bytes of what an optimiser remembers between steps: after its first, two numbers a parameter for Adam.

    Only what is as large as its parameter counts, not the counters of steps.
    """
    return sum(
        value.nbytes
        for parameter, state in optimizer.state.items()
        for value in state.values()
        if isinstance(value, torch.Tensor) and value.shape == parameter.shape
    )


def linear_maps(model):
    """{dotted name: nn.Linear}, in every place where the model has one."""
    every = model.named_modules(remove_duplicate=False)
    return {name: module for name, module in every if isinstance(module, nn.Linear)}


def last_name(name):
    return name.rpartition(".")[2]


def _with_bases_back(model):
    places = [*model.named_modules(remove_duplicate=False)]
    for name, module in places:
        if isinstance(module, LoRALinear) and name:
            _replace(model, name, module.base)
    return model


def _replace(model, name, module):
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, module)
