"""What the exercises of this lesson ask of an answer in torch: its values, and how large its tensors are."""

import torch

SMALL = "no tensor is as large as T_q × T_k"


def values(answer, call):
    """Output and gradients. Call's first three arguments are query, key and value."""
    query, value = call.args[0], call.args[2]
    shape = (*query.shape[:-1], value.shape[-1])
    grad_output = torch.linspace(-1.0, 2.0, torch.Size(shape).numel(), dtype=query.dtype).view(shape)
    seen = answer.call_watched(call.args, grad_output, call.kwargs)
    names = ("query", "key", "value")
    gradients = dict(zip((f"gradient of {name}" for name in names), seen["gradients"], strict=False))
    return {"output": seen["output"]} | gradients, seen


def output_and_gradients(answer, call):
    return values(answer, call)[0]


def output_alone(answer, call):
    return {"output": answer.call(*call.args, **call.kwargs)}


def output_and_size(answer, call):
    """For lengths that are large beside the widths and the block: did a table of all scores exist?"""
    found, seen = values(answer, call)
    query, key = call.args[:2]
    every_score = query.shape[:-1].numel() * key.shape[-2]
    largest = max([seen["largest"], *(torch.Size(shape).numel() for shape in seen["saved"])])
    return {"output": found["output"], SMALL: largest < every_score}
