"""How long does a decoder-only model take to go on with a text, beside transformers' generate?

    python benchmarks/decoding_speed.py [--rounds 9] [--threads 2] [--out benchmarks/results/decoding_speed.json]

LLaMA's decoder: 8 layers of width 256, 8 query heads on 2 key-value heads, d_ff 688, vocabulary 8,000, random weights:
a LlamaForCausalLM of transformers, and ours with its weights. 128 new tokens after 16, for 1 row and for 16, greedy.
Both have to write the same tokens. float32, in inference mode, both with their cache, transformers with torch's fused
attention.

On the clock, and in seconds that the processor spent on this program, which other work on the machine changes less.
"""

import argparse
import json
import math
import time
from pathlib import Path

import torch
from measuring import interleaved, ratio, spread, surroundings

from clearformer.generation.continuation import generate_continuation
from clearformer.models import from_llama

VOCAB, PROMPT, NEW_TOKENS, ROWS = 8000, 16, 128, (1, 16)
OURS, THEIRS = "clearformer", "transformers"
CLOCKS = {"clock": time.perf_counter, "processor": time.process_time}


def llama():
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCAB, hidden_size=256, intermediate_size=688, num_hidden_layers=8, num_attention_heads=8,
        num_key_value_heads=2, bos_token_id=None, eos_token_id=None, pad_token_id=0, attn_implementation="sdpa",
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.copy_(torch.randn(parameter.shape) / math.sqrt(parameter.shape[-1]))
    return model


def continuations(theirs, ours, rows):
    """Both ways to go on with the same prompts, {name: function}."""
    prompts = torch.randint(1, VOCAB, (rows, PROMPT), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(prompts)

    @torch.inference_mode()
    def write():
        return theirs.generate(prompts, attention_mask=mask, max_new_tokens=NEW_TOKENS, do_sample=False)

    return {OURS: lambda: generate_continuation(ours, prompts, NEW_TOKENS), THEIRS: write}


def measure(calls, rows, rounds):
    """Figures for one size. RuntimeError where the tokens differ."""
    tokens = {who: write() for who, write in calls.items()}
    if tokens[OURS].shape != (rows, PROMPT + NEW_TOKENS) or not torch.equal(tokens[OURS], tokens[THEIRS]):
        raise RuntimeError(f"{rows} rows: the tokens differ")
    found = {"different_tokens": len(tokens[OURS].unique())}
    for name, clock in CLOCKS.items():
        seconds = interleaved(calls, rounds, clock=clock)
        found[name] = {
            "ms": {who: spread(times, 1000, 1) for who, times in seconds.items()},
            "clearformer_times": ratio(seconds[OURS], seconds[THEIRS]),
        }
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the figures as JSON, with the machine beside them")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    theirs = llama()
    ours = from_llama(theirs)
    report = surroundings(["torch", "transformers"], options.threads) | {
        "rounds": options.rounds,
        "rows": {},
        "targets": {},
    }
    for rows in ROWS:
        found = report["rows"][str(rows)] = measure(continuations(theirs, ours, rows), rows, options.rounds)
        for name in CLOCKS:
            times = found[name]["clearformer_times"]["median"]
            report["targets"][f"{rows} rows, by the {name}, transformers = 1, <= 0.6"] = times <= 0.6
            medians = (f"{who} {ms['median']:.0f} ms" for who, ms in found[name]["ms"].items())
            print(f"{rows:3} rows, by the {name:10}", *medians, f"{times:.3f}", sep="  ")
    if options.out:
        options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
