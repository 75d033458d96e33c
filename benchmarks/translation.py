"""How well translators translate: the scores and learning curves of finished runs, in one file.

    clearformer train tiny_translation --seed 0 --into runs/tiny-0     (for seeds 0, 1, 2)
    clearformer train multi30k --into runs/multi30k
    python benchmarks/translation.py runs/* --device "2 cores" --out benchmarks/results/translation.json

Each run's translator is scored on the test sets of its data, greedy and by beam search, as `clearformer evaluate` does.
Its curve holds the losses of the run and, with --curve N, the BLEU (greedy, validation split) of about N of the
checkpoints that it kept.
"""

import argparse
import json
import sys
from pathlib import Path

import measuring
import torch

from clearformer.data.translation_pairs import read_pairs
from clearformer.evaluation import bleu
from clearformer.training.checkpoint import list_checkpoints, load_checkpoint
from clearformer.translator import Translator
from clearformer.translator.scores import all_test_sets, data_of, score


def measure(folder, device, curve):
    """One entry of the result."""
    translator = Translator.load(folder)
    data_set, text = data_of(translator)
    rows = [row for name in all_test_sets(translator) for row in score(translator, name, progress=True)[0]]
    history = json.loads((folder / "history.json").read_text())
    return {
        "data_set": data_set,
        "text": text,
        "seed": translator.about["seed"],
        "steps": translator.about["steps"],
        "minutes": translator.about["minutes"],
        "device": device,
        "parameters": sum(weight.numel() for weight in translator.model.parameters()),
        "scores": [row._asdict() | {"bleu": row.bleu._asdict(), "chrf": row.chrf._asdict()} for row in rows],
        "validation": [
            {name: round(record[name], 4) for name in ("step", "seconds", "loss", "validation_loss")}
            for record in history
            if "validation_loss" in record
        ],
        "validation_bleu": bleu_of_checkpoints(folder, translator, data_set, text, curve),
    }


def bleu_of_checkpoints(folder, translator, data_set, text, count):
    """Greedy BLEU on the validation split of about `count` checkpoints, spread over the run."""
    paths = list_checkpoints(folder / "checkpoints")
    if not count or not paths:
        return []
    step = max(1, len(paths) // count)
    pairs = read_pairs(data_set, "validation", text)
    points = []
    for path in paths[::-step][::-1]:
        checkpoint = load_checkpoint(path)
        with torch.no_grad():
            translator.model.load_state_dict(checkpoint.tensors["model"])
        found = bleu(translator.translate(pairs.sources, 1, 0.0), pairs.targets, text == "tokenised").score
        seconds = checkpoint.state["report"]["seconds"]
        points.append({"step": checkpoint.step, "seconds": round(seconds, 1), "bleu": round(found, 2)})
        print(points[-1], file=sys.stderr)
    return points


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="folders that `clearformer train` made")
    parser.add_argument("--device", required=True, help="what they were trained on, short: 2 cores")
    parser.add_argument("--curve", type=int, default=0, metavar="N", help="score about N checkpoints of each run")
    parser.add_argument("--keep", action="store_true", help="add to what the file holds already")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    runs = json.loads(arguments.out.read_text())["runs"] if arguments.keep and arguments.out.exists() else []
    runs += [measure(folder, arguments.device, arguments.curve) for folder in arguments.runs]
    for run in runs:
        for row in run["scores"]:
            print(
                run["data_set"], run["seed"], row["test_set"], row["text"], row["search"], f"{row['bleu']['score']:.2f}"
            )
    report = measuring.surroundings(["clearformer", "torch", "tokenizers", "sacrebleu", "sacremoses"]) | {"runs": runs}
    arguments.out.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
