"""LoRA against full fine-tuning: what a training step of the base model takes in memory and time."""

import functools

import torch
from base_step import LENGTH, VOCAB, Stepper, random_batch
from timing import attempt, interleaved, milliseconds, ratio

from clearformer.lora import apply_lora, count_trainable, optimizer_bytes
from clearformer.models import Transformer, TransformerConfig

RANK, ALPHA = 8, 16
TARGETS = {
    "query and value": ["query_proj", "value_proj"],  # as in Hu et al. 2021, section 4.2
    "all but the output": ["query_proj", "key_proj", "value_proj", "output_proj", "linear1", "linear2"],
}
SENTENCES = [(256, 28), (128, 16), (64, 10), (32, 7), (16, 5), (4, 0)]  # and the GiB of free memory they need
PRECISIONS = ("tf32", "bf16")


def measure(place, options, budget, found, say):
    config = TransformerConfig.preset("base", VOCAB)
    sentences, length = place.largest_fitting(SENTENCES), LENGTH
    if place.reduced:
        config, sentences, length = TransformerConfig.preset("toy", 50, dropout=0.1), 2, 5
    found["model"] = {
        "preset": "toy" if place.reduced else "base",
        "vocab_size": config.vocab_size,
        "dropout": config.dropout,
        "parameters": count_trainable(_model(config)),
    }
    found["batch"] = {"sentences": sentences, "length": length, "target_tokens": sentences * length}
    found["rank"], found["alpha"], found["methods"] = RANK, ALPHA, []
    batch = random_batch(config, sentences, length, place.device)
    # The models are moved one by one: only one of them is given a step's activations at a time.
    steppers = {"full": _stepper(config, None, batch, place)}
    steppers |= {name: _stepper(config, targets, batch, place) for name, targets in TARGETS.items()}
    for precision in [name for name in PRECISIONS if not place.lacks(name)] or ["float32"]:
        _measure_methods(steppers, precision, place, budget, found, say)


def _model(config):
    return Transformer(config, torch.Generator().manual_seed(0))


def _stepper(config, targets, batch, place):
    model = _model(config)
    if targets:  # on the CPU, where its generator is
        apply_lora(model, targets, RANK, ALPHA, generator=torch.Generator().manual_seed(1))
    return Stepper(model.to(place.device), batch)


def _measure_methods(steppers, precision, place, budget, found, say):
    calls, rows = {}, {}
    for name, stepper in steppers.items():
        row = rows[name] = {"precision": precision, "method": "full" if name == "full" else "lora"}
        row |= {"targets": TARGETS.get(name), "trainable_parameters": count_trainable(stepper.model)}
        found["methods"].append(row)
        _, why = attempt(lambda row=row, stepper=stepper: _look_at_memory(row, stepper, precision, place), place)
        if why:
            row["skipped"] = why
        else:
            calls[name] = functools.partial(stepper, precision)
        stepper.optimizer.zero_grad(set_to_none=True)
        found.save()
    seconds = interleaved(calls, place, budget, 1 if place.reduced else 9)
    for name, times in seconds.items():
        rows[name]["ms"] = milliseconds(times)
        rows[name]["times_full"] = ratio(times, seconds["full"]) if "full" in seconds else None
    for name, row in rows.items():
        figures = (
            row.get("skipped") or f"{row['ms']['median']:9.2f} ms, peak {(row['peak_bytes'] or 0) / 2**20:,.0f} MiB"
        )
        say(f"{precision} {name:19} {row['trainable_parameters']:>11,} parameters  {figures}")
    found.save()


def _look_at_memory(row, stepper, precision, place):
    stepper(precision)
    row["optimizer_bytes"] = optimizer_bytes(stepper.optimizer)
    gradients = [parameter.grad for parameter in stepper.model.parameters() if parameter.grad is not None]
    row["gradient_bytes"] = sum(gradient.numel() * gradient.element_size() for gradient in gradients)
    row["peak_bytes"] = place.bytes_or_none(stepper.peak_bytes(precision, place))


def _said(row):
    if "skipped" in row:
        return row["skipped"]
    return f"{row['ms']['median']:9.2f} ms, peak {(row['peak_bytes'] or 0) / 2**20:,.0f} MiB"
