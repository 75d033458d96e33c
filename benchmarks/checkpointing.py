"""How much memory does each checkpointing policy save, and what time does it cost?

    python benchmarks/checkpointing.py [--rounds 9] [--threads 1] [--out benchmarks/results/checkpointing.json]

A stack of 24 encoder layers, d_model 128, 4 heads, d_ff 512, 8 sentences of 128 tokens, float32, without and with
dropout 0.1; forward and backward pass, gradients there beforehand, no optimiser. Bytes are those that autograd's hooks
for saved tensors see, each storage once, parameters left out: after the forward pass, and at the most, with what is
computed again. Beside them stands what clearformer.memory.predict_encoder says. In each round all policies take their
turn; times_plain is the ratio to the plain step of the same round. Time is the processor's, for this process alone.
The C library (glibc) is told to keep freed memory for the next step, as torch's allocator for CUDA does: otherwise each
step gets its memory page by page from the system, the plain one most of all, and pays for that in time.
Before anything is timed, the gradients of each policy have to be the plain ones, but for the order in which float32
adds up three of them.
"""

import argparse
import json
import math
import os
import sys
import time
from pathlib import Path

import torch
from measuring import interleaved, ratio, spread, surroundings

from clearformer.memory import Work, measure, predict_encoder, set_policy
from clearformer.nn import Encoder

LAYERS, D_MODEL, HEADS, D_FF = 24, 128, 4, 512
BATCH, LENGTH = 8, 128
DROPOUTS = (0.0, 0.1)
ROOT = round(math.sqrt(LAYERS))
POLICIES = ["plain", "scores", "attention", 2, 3, 4, ROOT, 6, 8, 12, "layers"]
MOST_BYTES, MOST_TIME, MOST_ERROR = 0.35, 1.4, 0.05
# glibc reads these when a process starts. Others ignore them.
KEEP_FREED_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**33), "MALLOC_TRIM_THRESHOLD_": str(2**34)}


class Stack:
    """The model and its step."""

    def __init__(self, dropout):
        generator = torch.Generator().manual_seed(0)
        torch.manual_seed(0)
        self.model = Encoder(LAYERS, D_MODEL, HEADS, D_FF, dropout)
        self.x = torch.randn(BATCH, LENGTH, D_MODEL, generator=generator)
        self.direction = torch.randn(BATCH, LENGTH, D_MODEL, generator=generator)
        self.work = Work(BATCH, LENGTH, D_MODEL, HEADS, D_FF, dropout=dropout)

    def forward(self):
        return (self.model(self.x) * self.direction).sum()

    def step(self, policy):
        set_policy(self.model, policy)
        self.forward().backward()

    def gradients(self, policy):
        self.model.zero_grad(set_to_none=True)
        torch.manual_seed(1)
        self.step(policy)
        found = [parameter.grad.clone() for parameter in self.model.parameters()]
        self.model.zero_grad(set_to_none=True)
        return found


def largest(tensors):
    return max(float(tensor.abs().max()) for tensor in tensors)


def bytes_of(stack, policy):
    set_policy(stack.model, policy)
    found = measure(lambda: stack.model(stack.x).sum(), stack.model)  # a loss that keeps nothing of its own
    predicted = predict_encoder(stack.work, LAYERS, policy)
    return {
        "kept_bytes": found.kept,
        "peak_bytes": found.peak,
        "predicted_bytes": predicted.kept,
        "predicted_peak_bytes": predicted.peak,
        "kept_over_predicted": round(found.kept / predicted.kept, 4),
        "peak_over_predicted": round(found.peak / predicted.peak, 4),
    }


def measure_policies(dropout, rounds):
    stack = Stack(dropout)
    plain = stack.gradients("plain")
    rows = {}
    for policy in POLICIES:
        if largest([a - b for a, b in zip(plain, stack.gradients(policy), strict=True)]) > 1e-5 * largest(plain):
            raise RuntimeError(f"the gradients under {policy!r} are not the plain ones")
        rows[policy] = {"policy": policy} | bytes_of(stack, policy)
    steps = {policy: lambda policy=policy: stack.step(policy) for policy in POLICIES}
    seconds = interleaved(steps, rounds, clock=time.process_time)
    for policy, times in seconds.items():
        rows[policy] |= {"ms": spread(times, 1000), "times_plain": ratio(times, seconds["plain"])}
        rows[policy]["peak_over_plain"] = round(rows[policy]["peak_bytes"] / rows["plain"]["peak_bytes"], 4)
    return list(rows.values())


def targets(rows):
    """(what, figure, target, is it met)"""
    root = next(row for row in rows if row["policy"] == ROOT)
    yield "√L segments: peak, plain = 1", root["peak_over_plain"], MOST_BYTES, root["peak_over_plain"] <= MOST_BYTES
    time = root["times_plain"]["median"]
    yield "√L segments: time, plain = 1", time, MOST_TIME, time <= MOST_TIME
    for name in ("kept", "peak"):
        worst = max(abs(row[f"{name}_over_predicted"] - 1) for row in rows)
        yield f"{name} against predicted, worst policy", round(worst, 4), MOST_ERROR, worst <= MOST_ERROR


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the figures as JSON, with the machine beside them")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    if any(name not in os.environ for name in KEEP_FREED_MEMORY):
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | KEEP_FREED_MEMORY)
    torch.set_num_threads(options.threads)
    report = surroundings(["torch"], options.threads) | {"rounds": options.rounds}
    report["model"] = dict(num_layers=LAYERS, d_model=D_MODEL, num_heads=HEADS, d_ff=D_FF, norm="post")
    report["batch"] = {"sentences": BATCH, "length": LENGTH}
    report["dropout"], report["targets"] = {}, {}
    for dropout in DROPOUTS:
        rows = report["dropout"][str(dropout)] = measure_policies(dropout, options.rounds)
        for row in rows:
            print(f"dropout {dropout}: {row['policy']!s:9} peak {row['peak_bytes'] / 2**20:7.2f} MiB, "
                  f"{row['peak_over_plain']:.3f} of plain, time {row['times_plain']['median']:.3f}")  # fmt: skip
        for what, figure, most, met in targets(rows):
            print(f"dropout {dropout}: {what:44} {figure:6.3f}  <= {most}  {'met' if met else 'MISSED'}")
            report["targets"][f"dropout {dropout}: {what} <= {most}"] = met
    if options.out:
        options.out.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
