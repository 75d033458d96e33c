"""For test_data_parallel: what each process does. Started by torchrun, each writes its results as rank-<n>.pt."""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))

from small_runs import batch, epoch_of_pairs, model, pairs, settings, weights

from clearformer.training.data_parallel import join_processes
from clearformer.training.loop import Trainer


def batches(number):
    """Every fourth has a single row: with two processes, one of them gets nothing."""
    return pairs([4], seed=number) if number % 4 == 1 else batch(number, rows=5)


def train(processes, this_model, folder=None, **changes):
    options = dict(validation=epoch_of_pairs(99, 2, rows=3), folder=folder, resume=folder is not None)
    with_all = dict(accumulation=2, clip_norm=0.5, evaluate_every=2, smoothing=0.1) | changes
    trainer = Trainer(this_model, batches, settings(**with_all), processes=processes, show_progress=False, **options)
    report = trainer.run()
    losses = [(r["step"], r["loss"], r.get("validation_loss")) for r in report.history]
    return {"weights": weights(this_model), "losses": losses, "stopped": report.stopped}


def all_runs(processes, folder):
    """{name of the run: its weights, losses and why it stopped}."""
    unused = model(seed=1)
    unused.left_out = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))  # never gets a gradient
    return {
        "plain": train(processes, unused),
        # weights that differ between processes are rank 0's from the start
        "shared": train(processes, model(seed=1 + processes.rank)),
        "undisturbed": train(processes, model(seed=2, dropout=0.3), folder / "one"),
        "stopped": train(processes, model(seed=2, dropout=0.3), folder / "two", max_steps=3),
        "resumed": train(processes, model(seed=3, dropout=0.3), folder / "two"),
        "minutes": train(processes, model(seed=1), minutes=0.005, max_steps=None),
    }


def main(folder):
    torch.set_num_threads(1)
    processes = join_processes()
    torch.save(all_runs(processes, folder), folder / f"rank-{processes.rank}.pt")
    processes.leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
