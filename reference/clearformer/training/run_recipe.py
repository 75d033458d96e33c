"""From a recipe to a translator in a folder: train, stop and go on, average the last checkpoints, save."""

import json
import platform
from dataclasses import asdict
from pathlib import Path

import torch

from clearformer.data.tokenizer import Tokenizer
from clearformer.models import Transformer
from clearformer.training.averaging import load_average
from clearformer.training.checkpoint import CheckpointError, list_checkpoints
from clearformer.training.data_parallel import OneProcess
from clearformer.training.loop import Trainer
from clearformer.training.recipe import prepare
from clearformer.translator import Translator

CHECKPOINTS, TOKENIZER, TRANSLATOR, HISTORY = "checkpoints", "tokenizer.json", "translator", "history.json"


def run_recipe(recipe, folder, minutes=None, max_steps=None, seed=None, resume=False, processes=None, on_record=None,
               show_progress=True):  # fmt: skip
    """Train what a recipe says, keep everything in a folder, and return (Translator, TrainingReport).

    minutes, max_steps and seed take the place of the recipe's. The folder then holds checkpoints, tokenizer.json,
    history.json (the records of TrainingReport) and the translator, the average of the last checkpoints. With resume a
    run that was stopped goes on; without it a folder that holds checkpoints is refused (CheckpointError).
    """
    folder, processes = Path(folder), processes or OneProcess()
    settings = recipe.settings(minutes=minutes, max_steps=max_steps, seed=seed)
    _require_fresh(folder, resume)
    prepared = prepare(recipe, settings.seed, _known_tokenizer(folder) if resume else None)
    if processes.rank == 0:
        folder.mkdir(parents=True, exist_ok=True)
        prepared.tokenizer.save(folder / TOKENIZER)
    trainer = Trainer(
        prepared.model.to(processes.device),
        prepared.batches.batch,
        settings,
        validation=prepared.validation,
        folder=folder / CHECKPOINTS,
        resume=resume,
        processes=processes,
        on_record=on_record,
        show_progress=show_progress,
    )
    report = trainer.run()
    translator = None
    if processes.rank == 0:
        _write_history(folder, report)
        translator = save_translator(recipe, folder, report, settings.seed)
    return translator, report


def save_translator(recipe, folder, report, seed):
    """Average the last checkpoints of a run's folder into folder/translator, and return the Translator."""
    tokenizer = Tokenizer.load(folder / TOKENIZER)
    model = Transformer(recipe.config(tokenizer.vocab_size))
    translator = Translator(model, tokenizer, recipe.beam_size, recipe.length_penalty, about=_about(recipe))
    averaged = load_average(translator.model, folder / CHECKPOINTS, recipe.average)
    translator.about |= {
        "seed": seed,
        "steps": report.step,
        "minutes": round(report.seconds / 60, 1),
        "averaged_checkpoints": len(averaged),
    }
    translator.save(folder / TRANSLATOR)
    return Translator.load(folder / TRANSLATOR)  # what was saved, with its rounding


def _about(recipe):
    return {
        "recipe": asdict(recipe),
        "torch": torch.__version__.split("+")[0],
        "machine": platform.machine(),
    }


def _require_fresh(folder, resume):
    if not resume and list_checkpoints(folder / CHECKPOINTS):
        raise CheckpointError(f"{folder} holds a run already: go on with it by --resume, or give another folder")


def _known_tokenizer(folder):
    path = folder / TOKENIZER
    return Tokenizer.load(path) if path.exists() else None


def _write_history(folder, report):
    text = json.dumps(report.history, indent=1) + "\n"
    partial = folder / f"{HISTORY}.partial"
    partial.write_text(text, encoding="utf-8")
    partial.replace(folder / HISTORY)
