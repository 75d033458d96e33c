"""How do time and memory of attention grow with the length, and with which exponent?

    python benchmarks/attention_length.py [--rounds 5] [--threads 1] [--out benchmarks/results/attention_length.json]

One sentence, one head of width 64, float32, forward pass, no gradients. Beside each other: dense attention that writes
its scores out; the online softmax over blocks of 256 keys; torch's fused attention; a sliding window of 128 by chunks;
linear attention with elu + 1, over all keys and causal. Each runs over five lengths, each twice the one before; the
linear ones over longer ones, for what costs little has to be long to be seen over what costs always the same. Time is
the processor's, the smallest of the rounds, in which all lengths of a method take their turn. Memory is the peak of all
tensors that the operations make, which is exact; what a fused kernel keeps for itself is not seen.

On Linux the memory that a tensor gives back stays with the process (glibc's mallopt). Else every tensor above 32 MiB
would be new memory, whose pages the system has to clear first: a cost of long inputs alone, which is not attention's.

The exponent is the slope of a line through all lengths, in log-log. Before anything is timed, each method has to give
what a dense oracle gives in float64, at length 300, within 1e-10.
"""

import argparse
import ctypes
import functools
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from measuring import interleaved, spread, surroundings

from clearformer.memory import AllocatedBytes
from clearformer.nn import (
    elu_plus_one,
    linear_attention,
    online_softmax_attention,
    sliding_window_attention,
    sliding_window_mask,
)

WIDTH, WINDOW, BLOCK = 64, 128, 256
SHORT, LONG = (512, 1024, 2048, 4096, 8192), (4096, 8192, 16384, 32768, 65536)
MOST_GAP, NEAR = 1e-10, 0.15


def dense(query, key, value):
    weights = (query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])).softmax(dim=-1)
    return weights @ value


def windowed_oracle(query, key, value):
    mask = sliding_window_mask(query.shape[-2], WINDOW)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)


def linear_oracle(query, key, value, causal=False):
    weights = elu_plus_one(query) @ elu_plus_one(key).transpose(-2, -1)
    weights = weights.tril() if causal else weights
    return weights / weights.sum(dim=-1, keepdim=True) @ value


linear = functools.partial(linear_attention, feature_map=elu_plus_one)
causal = functools.partial(linear, causal=True)
# name: (function, dense oracle, lengths, exponent of time, exponent of memory)
METHODS = {
    "dense": (dense, F.scaled_dot_product_attention, SHORT, 2, 2),
    "online softmax": (functools.partial(online_softmax_attention, block_size=BLOCK), dense, SHORT, 2, 1),
    "fused": (F.scaled_dot_product_attention, dense, SHORT, 2, 1),
    "window": (functools.partial(sliding_window_attention, window=WINDOW), windowed_oracle, LONG, 1, 1),
    "linear": (linear, linear_oracle, LONG, 1, 1),
    "linear, causal": (causal, functools.partial(linear_oracle, causal=True), LONG, 1, 1),
}


def inputs(length, dtype=torch.float32):
    generator = torch.Generator().manual_seed(length)
    return [torch.randn(1, 1, length, WIDTH, generator=generator, dtype=dtype) for _ in range(3)]


def gap(function, oracle):
    """Largest difference from the oracle, float64."""
    arrays = inputs(300, torch.float64)
    return float((function(*arrays) - oracle(*arrays)).abs().max())


def peak_bytes(function, length):
    arrays = inputs(length)
    with AllocatedBytes() as allocated:
        function(*arrays)
    return allocated.peak


def exponent(lengths, values):
    """Slope of the line through log(value) against log(length)."""
    return round(float(np.polyfit(np.log(lengths), np.log(values), 1)[0]), 3)


def measure(name, rounds):
    function, oracle, lengths, time_power, memory_power = METHODS[name]
    distance = gap(function, oracle)
    if distance > MOST_GAP:
        raise RuntimeError(f"{name} is not the same as its dense oracle: {distance:.2g}")
    arrays = {length: inputs(length) for length in lengths}
    calls = {length: functools.partial(function, *arrays[length]) for length in lengths}
    seconds = interleaved(calls, rounds, clock=time.process_time)
    peaks = [peak_bytes(function, length) for length in lengths]
    return {
        "gap_to_dense": distance,
        "lengths": list(lengths),
        "ms": [spread(seconds[length], 1000, digits=3) for length in lengths],
        "peak_bytes": peaks,
        "time_exponent": exponent(lengths, [min(seconds[length]) for length in lengths]),
        "memory_exponent": exponent(lengths, peaks),
        "theory": {"time": time_power, "memory": memory_power},
    }


def targets(found):
    """(what, figure, theory, is it met)"""
    for name, row in found.items():
        for what in ("time", "memory"):
            figure, theory = row[f"{what}_exponent"], row["theory"][what]
            yield f"{name}: exponent of {what}", figure, theory, abs(figure - theory) <= NEAR


def keep_memory():
    """Let malloc keep what is freed, and take nothing by mmap. Returns whether that worked (glibc alone)."""
    trim_threshold, mmap_max = -1, -4  # as malloc.h numbers them
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(mmap_max, 0) and mallopt(trim_threshold, 2**31 - 1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the figures as JSON, with the machine beside them")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    memory_kept = keep_memory()
    report = surroundings(["torch"], options.threads) | {"rounds": options.rounds}
    report |= {"width": WIDTH, "window": WINDOW, "block": BLOCK, "memory_kept": memory_kept}
    with torch.no_grad():
        report["methods"] = {name: measure(name, options.rounds) for name in METHODS}
    report["targets"] = {}
    for what, figure, theory, met in targets(report["methods"]):
        print(f"{what:38} {figure:6.3f}, theory {theory}  {'met' if met else 'MISSED'}")
        report["targets"][f"{what} within {NEAR} of {theory}"] = met
    if options.out:
        options.out.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
