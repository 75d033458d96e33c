"""How do loss, size, tokens and batch go together? Small decoders on a language whose entropy is known.

    python benchmarks/scaling_runs.py [--seeds 3] [--out benchmarks/results/scaling_runs.json]

The model and the language are those of lesson 13: one pre-norm layer, FollowerLanguage of 256 tokens. Every token is
read once. Every loss is the excess over the language's entropy, in nats a token, on sequences that no run has read.

grid      every width for every number of tokens; the learning rate falls to zero at the end of each run; all seeds
schedule  one width; a long run at a constant rate, read at each number of tokens on the way, and for each number of
          tokens a run whose rate is brought down to zero in its last fifth
batches   one width; steps until an excess of 0.5 is reached, at a constant rate, for each batch: the fewest over
          several rates; two seeds
"""

import argparse
import json
import time
from pathlib import Path

import torch
from measuring import surroundings

from clearformer.data.follower_language import FollowerLanguage
from clearformer.scaling.small_runs import LENGTH, SmallDecoder, peak_rate, steps_until, train_small

VOCAB_SIZE = 256
WIDTHS = (4, 6, 8, 12, 16, 24, 32, 48)
TOKENS = tuple(2**power for power in range(14, 19))
SCHEDULE_WIDTH = 16
BATCHES = (2, 4, 8, 16, 32, 64, 128)
BATCH_WIDTH, BATCH_TARGET, BATCH_RATES = 16, 0.5, (0.005, 0.0125, 0.03)
BATCH_SEEDS = 2  # small batches take thousands of steps


def new_model(d_model, seed):
    torch.manual_seed(seed)
    return SmallDecoder(VOCAB_SIZE, d_model)


def size(model):
    """Parameters without the table of tokens."""
    return sum(parameter.numel() for parameter in model.layers.parameters())


def grid(language, seeds):
    for d_model in WIDTHS:
        for num_tokens in TOKENS:
            for seed in range(seeds):
                model = new_model(d_model, seed)
                ((_, excess),) = train_small(model, language, num_tokens, peak_rate(d_model), seed)
                yield {"d_model": d_model, "parameters": size(model), "tokens": num_tokens, "seed": seed,
                       "excess": rounded(excess)}  # fmt: skip


def schedule(language, seeds):
    """For each seed, what one long run shows on the way, and what its shorter sisters come to."""
    rate = peak_rate(SCHEDULE_WIDTH)
    for seed in range(seeds):
        read = train_small(new_model(SCHEDULE_WIDTH, seed), language, TOKENS[-1], rate, seed, fall=0, read_at=TOKENS)
        ended = [
            train_small(new_model(SCHEDULE_WIDTH, seed), language, tokens, rate, seed, fall=0.2)[-1]
            for tokens in TOKENS
        ]
        yield {"seed": seed, "read": rounded_pairs(read), "ended": rounded_pairs(ended)}


def batches(language, seeds):
    for batch in BATCHES:
        for seed in range(min(seeds, BATCH_SEEDS)):
            steps = {}
            for rate in BATCH_RATES:
                most = min(4000, 2**17 // batch, min(steps.values(), default=4000))
                found = steps_until(new_model(BATCH_WIDTH, seed), language, BATCH_TARGET, rate, batch, most, seed)
                if found is not None:
                    steps[rate] = found
            best = min(steps, key=steps.get, default=None)
            yield {"batch_tokens": batch * LENGTH, "seed": seed, "steps": steps.get(best), "rate": best}


def rounded_pairs(found):
    return [[tokens, rounded(excess)] for tokens, excess in found]


def rounded(value):
    return float(f"{value:.4g}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    language, began = FollowerLanguage(VOCAB_SIZE), time.process_time()
    report = surroundings(["torch", "numpy"], threads=1) | {
        "seeds": options.seeds,
        "vocab_size": VOCAB_SIZE,
        "entropy": rounded(language.entropy),
        "schedule_width": SCHEDULE_WIDTH,
        "batch_width": BATCH_WIDTH,
        "batch_target": BATCH_TARGET,
    }
    for name, runs in (("grid", grid), ("schedule", schedule), ("batches", batches)):
        report[name] = []
        for run in runs(language, options.seeds):
            print(name, run, flush=True)
            report[name].append(run)
    report["processor_seconds"] = round(time.process_time() - began)
    if options.out:
        options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
