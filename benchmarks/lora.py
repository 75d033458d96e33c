"""How long does a training step with LoRA take, beside peft and beside full fine-tuning?

    python benchmarks/lora.py [--rounds 15] [--threads 1] [--out benchmarks/results/lora.json]

A step: forward, mean squared error, backward, Adam. An encoder of the size of all-MiniLM-L6-v2, 6 layers of d_model
384, 12 heads, d_ff 1,536, batch 16 of 32 states, float32, no dropout. "LoRA" and "peft" have adapters of rank 8 with
alpha 16 in the same places, around the same weights, and the same fused Adam on the adapters alone; before anything is
timed, their loss after three steps has to be the same. Two choices of places: query and value, as in the paper, and
every linear map. "full" trains all parameters of the same encoder.

Beside the time on the clock stands what the processor spent on this program: other programs change that much less. What
Adam keeps is counted in its state after a step, the file is what save_adapter writes.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import torch
from measuring import interleaved, ratio, spread, surroundings

from clearformer.lora import apply_lora, count_trainable, optimizer_bytes, save_adapter
from clearformer.nn import Encoder

LAYERS, D_MODEL, HEADS, D_FF = 6, 384, 12, 1536
BATCH, LENGTH, RANK, ALPHA = 16, 32, 8, 16
PLACES = {
    "query and value": ["query_proj", "value_proj"],
    "every linear map": ["query_proj", "key_proj", "value_proj", "output_proj", "linear1", "linear2"],
}


def encoder():
    torch.manual_seed(0)
    return Encoder(LAYERS, D_MODEL, HEADS, D_FF, activation="gelu")


def models(targets):
    """The same encoder with our adapters, with peft's, and with nothing frozen."""
    import peft

    ours = apply_lora(encoder(), targets, RANK, ALPHA)
    theirs = peft.get_peft_model(
        encoder(), peft.LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=targets, lora_dropout=0.0)
    )
    inner = theirs.base_model.model
    with torch.no_grad():
        for name, layer in ours.named_modules():
            if hasattr(layer, "lora_a"):
                inner.get_submodule(name).lora_A["default"].weight.copy_(layer.lora_a)
    return {"clearformer": ours, "peft": theirs, "full fine-tuning": encoder()}


def stepper(model):
    """A function that makes one step and returns the loss; its optimiser."""
    generator = torch.Generator().manual_seed(1)
    x, wanted = (torch.randn(BATCH, LENGTH, D_MODEL, generator=generator) for _ in range(2))
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-3, fused=True)
    model.train()

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.mse_loss(model(x), wanted)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step, optimizer


def require_same(found):
    """What is timed has to be the same computation."""
    for _ in range(3):
        losses = {name: found[name][0]() for name in ("clearformer", "peft")}
    if abs(losses["clearformer"] - losses["peft"]) > 1e-5:
        raise RuntimeError(f"these are not the same model: their losses are {losses}")


def bytes_of_file(model):
    with tempfile.TemporaryDirectory() as folder:
        save_adapter(model, folder)
        return sum(path.stat().st_size for path in Path(folder).iterdir())


def measure(targets, rounds):
    made = models(targets)
    found = {name: stepper(model) for name, model in made.items()}
    require_same(found)
    steps = {name: step for name, (step, _) in found.items()}
    seconds, spent = interleaved(steps, rounds), interleaved(steps, rounds, clock=time.process_time)
    return {
        "targets": targets,
        "step_ms": {name: spread(times, 1000) for name, times in seconds.items()},
        "clearformer_times": against_others(seconds),
        "processor_ms": {name: spread(times, 1000) for name, times in spent.items()},
        "clearformer_times_of_processor": against_others(spent),
        "trained_parameters": {name: count_trainable(model) for name, model in made.items()},
        "optimizer_bytes": {name: optimizer_bytes(optimizer) for name, (_, optimizer) in found.items()},
        "adapter_file_bytes": bytes_of_file(made["clearformer"]),
    }


def against_others(seconds):
    ours = seconds["clearformer"]
    return {name: ratio(ours, times) for name, times in seconds.items() if name != "clearformer"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the figures as JSON, with the machine beside them")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    report = surroundings(["torch", "peft"], options.threads) | {"rounds": options.rounds}
    report |= {"rank": RANK, "alpha": ALPHA, "places": {}, "targets": {}}
    for where, targets in PLACES.items():
        found = report["places"][where] = measure(targets, options.rounds)
        for name, times in found["step_ms"].items():
            print(f"{where}: {name:18} {times['median']:7.1f} ms ({times['min']} to {times['max']})")
        against = found["clearformer_times"]["peft"]
        met = report["targets"][f"{where}: time of a step, peft = 1 <= 1.0"] = against["median"] <= 1.0
        print(f"{where}: time of a step, peft = 1: {against}  <= 1.0  {'met' if met else 'MISSED'}")
        print(f"{where}: of the processor, peft = 1: {found['clearformer_times_of_processor']['peft']}")
    if options.out:
        options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
