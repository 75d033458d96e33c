"""`clearformer train`, without the reading of options."""

import sys
from pathlib import Path

from clearformer.data.download import DataError

DONE, STOPPED, NOT_POSSIBLE = 0, 130, 2


def train(config, into=None, minutes=None, max_steps=None, seed=None, resume=False, threads=None):
    """Train what a recipe says; returns the exit status."""
    import torch

    from clearformer.training.checkpoint import CheckpointError
    from clearformer.training.data_parallel import join_processes
    from clearformer.training.loop import TrainingDiverged
    from clearformer.training.recipe import load_recipe
    from clearformer.training.run_recipe import run_recipe

    if threads:
        torch.set_num_threads(threads)
    processes = join_processes()
    try:
        recipe = load_recipe(config)
        folder = Path(into) if into else Path("runs") / recipe.name
        if processes.rank == 0:
            _say(f"Training {recipe.name} into {folder}. Ctrl-C stops; the same command with --resume goes on.")
        translator, report = run_recipe(recipe, folder, minutes, max_steps, seed, resume, processes)
        if processes.rank == 0:
            _report(recipe, folder, translator, report)
        return DONE
    except (CheckpointError, DataError, TrainingDiverged, ValueError, OSError) as problem:
        if processes.rank == 0:
            _say(str(problem))
        return NOT_POSSIBLE
    except KeyboardInterrupt:
        if processes.rank == 0:
            _say(f"Stopped. What the last checkpoint in {folder} holds is kept: --resume goes on from there.")
        return STOPPED
    finally:
        processes.leave()


_REASONS = {
    "max_steps": "all steps are done",
    "minutes": "the time is over",
    "patience": "the validation loss fell no further",
    "callback": "it was asked to",
}


def _report(recipe, folder, translator, report):
    from clearformer.training.progress import duration

    print(f"{report.step:,} steps in {duration(report.seconds)}; it stopped because {_REASONS[report.stopped]}.")
    if report.best_loss is not None:
        print(f"Lowest validation loss: {report.best_loss:.3f} nats a token, at step {report.best_step:,}.")
    print(
        f"The translator, {translator.about['averaged_checkpoints']} checkpoints averaged, is in {folder}/translator."
    )
    example = recipe.pairs("validation").sources[0]
    print(f"  {example}\n  {translator.translate([example])[0]}")
    print(f'Next: clearformer evaluate --model {folder}, or clearformer translate --model {folder} "{example}"')


def _say(text):
    print(text, file=sys.stderr)
