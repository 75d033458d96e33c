"""How many examples does a prompt need? A small decoder that has learned many rules on digits, and rules it never saw.

    python benchmarks/prompting.py [--seeds 5] [--steps 600 2400] [--out benchmarks/results/prompting.json]

The model is that of lesson 11: a GPT2 of two layers of width 48. A text is question, answer, question, answer, … of one
rule, eight pairs with different questions; the loss counts the answers. Accuracy is that of the likeliest digit on
2,000 new texts, by the number of examples that stand before the question. `seen` are texts of the 16
rules of the training, `unseen` of the 4 other ones; `best` is what somebody reaches on the texts of `seen` who knows
the 16 rules and makes no mistake.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from measuring import surroundings

from clearformer.data.number_rules import RULES, UNSEEN, best_possible, draw_prompts
from clearformer.models import GPT2, GPT2Config

WIDTH, LAYERS, HEADS, PAIRS, BATCH, PEAK = 48, 2, 4, 8, 64, 0.004
TESTED = 2000


def new_model(seed):
    config = GPT2Config(10, WIDTH, HEADS, 4 * WIDTH, LAYERS, max_len=2 * PAIRS, dropout=0.0)
    return GPT2(config, torch.Generator().manual_seed(seed))


def train(model, steps, seed):
    """Train in place. The rate rises for 50 steps and falls to 0 in the second half."""
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.Adam(model.parameters(), betas=(0.9, 0.98), fused=True)
    for step in range(1, steps + 1):
        optimizer.param_groups[0]["lr"] = PEAK * min(1.0, step / 50, 2 * (steps + 1 - step) / steps)
        prompts = torch.from_numpy(draw_prompts(BATCH, rng))
        logits = model(prompts)[:, 0::2]  # behind each question
        loss = F.cross_entropy(logits.flatten(0, 1), prompts[:, 1::2].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@torch.no_grad()
def accuracy(model, prompts):
    """By the number of examples before the question, from none on."""
    right = model(torch.from_numpy(prompts))[:, 0::2].argmax(-1).numpy() == prompts[:, 1::2]
    return [round(float(each), 4) for each in right.mean(axis=0)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the figures as JSON, with the machine beside them")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, nargs="+", default=[600, 2400])
    options = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(2020)
    tests = {"seen": draw_prompts(TESTED, rng), "unseen": draw_prompts(TESTED, rng, UNSEEN)}
    report = surroundings(["torch", "numpy"], threads=1) | {"seeds": options.seeds, "tested": TESTED, "pairs": PAIRS}
    report["rules"] = {"seen": [*RULES], "unseen": [*UNSEEN]}
    report["model"] = {"d_model": WIDTH, "num_layers": LAYERS, "num_heads": HEADS, "batch": BATCH, "peak": PEAK}
    report["best"] = [round(each, 4) for each in best_possible(tests["seen"])]
    report["runs"] = []
    for steps in options.steps:
        for seed in range(options.seeds):
            model, began = new_model(seed), time.process_time()
            train(model, steps, seed)
            run = {"steps": steps, "seed": seed, "seconds": round(time.process_time() - began, 1)}
            run |= {name: accuracy(model, prompts) for name, prompts in tests.items()}
            print(run, flush=True)
            report["runs"].append(run)
            if options.out:
                options.out.write_text(json.dumps(report) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
