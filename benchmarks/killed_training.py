"""Does training that is killed at random moments end with the same bits?

    python benchmarks/killed_training.py [--kills 20] [--steps 200] [--out benchmarks/results/killed_training.json]

Trains a small model with dropout on reversing sequences, once undisturbed, and once in processes that are killed with
SIGKILL at random moments, each of which goes on where the one before left off. Then compares all tensors of the last
checkpoints: the weights, the optimiser's state and the states of the random number generators. Exit code 1 where a bit
differs.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from measuring import surroundings

from clearformer.training.checkpoint import load_checkpoint, newest_checkpoint

VOCABULARY = 20
SAVE_EVERY = 2


def train_here(folder, max_steps, on_step=lambda step: None):
    """What the killed process does; the last checkpoint."""
    from clearformer.models import Transformer, TransformerConfig
    from clearformer.training.loop import train
    from clearformer.training.settings import TrainingSettings

    torch.set_num_threads(1)
    config = TransformerConfig.preset("toy", VOCABULARY, dropout=0.2)
    model = Transformer(config, torch.Generator().manual_seed(0))
    settings = TrainingSettings(
        max_steps=max_steps, peak=0.002, warmup_steps=50, accumulation=2, log_every=1, save_every=SAVE_EVERY,
        evaluate_every=10, keep_last=2,
    )  # fmt: skip
    validation = [batch(number) for number in range(100_000, 100_004)]
    train(model, batch, settings, validation=validation, folder=folder, resume=True, show_progress=False,
          on_record=lambda record: on_step(record["step"]))  # fmt: skip
    return load_checkpoint(folder / f"step-{max_steps:08d}")


def batch(number):
    """Sequences of 3 to 9 tokens, to be turned round, the same ones each time."""
    generator = torch.Generator().manual_seed(number)
    length = int(torch.randint(3, 10, (), generator=generator))
    source_ids = torch.randint(3, VOCABULARY, (16, length), generator=generator)
    start, end = torch.full((16, 1), 1), torch.full((16, 1), 2)
    return source_ids, torch.cat([start, source_ids.flip(1), end], dim=1)


def start(folder, max_steps):
    command = [sys.executable, __file__, "--train", str(folder), "--steps", str(max_steps)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def train_killed(folder, max_steps, kills, chance):
    """Kill the training at rising steps, each time a random moment later; what was found after each kill."""
    found = []
    for step in sorted(chance.sample(range(2 * SAVE_EVERY, max_steps - 5), kills)):
        process = start(folder, max_steps)
        for line in process.stdout:
            if int(line) >= step:
                break
        time.sleep(chance.uniform(0, 0.05))
        process.kill()
        if process.wait() != -9:
            raise RuntimeError(f"the process that was to be killed ended by itself, with {process.returncode}")
        process.stdout.close()
        whole = newest_checkpoint(folder)
        found.append({
            "reported_step": int(line), "newest_checkpoint": whole.step if whole else None,
            "while_saving": any(folder.glob(".partial-*")),
        })  # fmt: skip
    return found


def same_bits(one, other):
    return one.keys() == other.keys() and all(
        one[group].keys() == other[group].keys()
        and all(torch.equal(one[group][name], other[group][name]) for name in one[group])
        for group in one
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train:
        train_here(arguments.train, arguments.steps, on_step=lambda step: print(step, flush=True))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        found = train_killed(Path(folder) / "killed", arguments.steps, arguments.kills, random.Random(arguments.seed))
        killed = train_here(Path(folder) / "killed", arguments.steps)
        seconds = time.monotonic() - began
        undisturbed = train_here(Path(folder) / "undisturbed", arguments.steps)
    result = surroundings(["torch", "safetensors"], threads=1) | {
        "same_bits": same_bits(undisturbed.tensors, killed.tensors),
        "steps": arguments.steps,
        "seconds": round(seconds, 1),
        "kills": found,
    }
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    saving = sum(kill["while_saving"] for kill in found)
    print(f"killed {len(found)} times, {saving} of them while saving; resumed each time, in {seconds:.0f} s altogether")
    print("weights, optimiser and random states:", "the same bits" if result["same_bits"] else "DIFFERENT")
    return 0 if result["same_bits"] else 1


if __name__ == "__main__":
    sys.exit(main())
