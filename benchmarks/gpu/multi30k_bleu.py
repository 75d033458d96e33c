"""Multi30k from nothing to its BLEU: the recipe of Wu et al. 2021, for a GPU.

"Good for Misconceived Reasons", section 4: 8,000 updates of two times 4,096 tokens, here one batch of 8,192; peak rate
0.005 after 2,000 updates, dropout 0.3, the mean of the weights of the last 10 epochs, a beam of 5. With pre-norm, as in
the course's own recipe: at a rate this high it is the safer one. Matrix products in tf32, not autocast: a model this
small waits for its kernels to be started, and autocast starts more of them.
"""

import time
from collections import deque

import token_ids
import torch
from place import products_in

from clearformer.data.batches import Batches
from clearformer.evaluation import corpus_bleu
from clearformer.models import Transformer, TransformerConfig
from clearformer.training.loop import Trainer
from clearformer.training.settings import TrainingSettings
from clearformer.translator import Translator

BATCH_TOKENS, AVERAGE, LENGTH_PENALTY, PUBLISHED = 8192, 10, 1.0, 41.02
SEARCHES = {"greedy": (1, 0.0), "beam 5": (5, LENGTH_PENALTY)}
DECODING_SECONDS = 40  # kept back for the test sets
SAY_EVERY = 15  # seconds


def measure(place, options, budget, found, say):
    prepared = token_ids.read(options.multi30k)
    sources, targets = prepared.splits["train"]
    found["data"] = {"about": prepared.about, "pairs": len(sources), "sha256": prepared.sha256}
    config = TransformerConfig.preset("tiny", len(prepared.pieces), norm="pre")
    batch_tokens, steps = BATCH_TOKENS, options.updates
    if place.reduced:
        config = TransformerConfig.preset("toy", len(prepared.pieces), norm="pre", dropout=0.1)
        batch_tokens, steps = 256, 8
    batches = Batches(sources, targets, batch_tokens, seed=0)
    validation = list(Batches(*prepared.splits["validation"], batch_tokens).epoch(0))
    every = 2 if place.reduced else len(batches)  # an epoch
    settings = TrainingSettings(
        max_steps=steps, minutes=max(budget.left() - DECODING_SECONDS, 1) / 60, warmup_steps=2000, peak=0.005,
        log_every=every, evaluate_every=every,
    )  # fmt: skip
    model = Transformer(config, torch.Generator().manual_seed(0)).to(place.device)
    found["recipe"] = {"model": config.to_dict(), "settings": settings.to_dict(), "batch_tokens": batch_tokens}
    found["recipe"] |= {"average": AVERAGE, "tf32": True}
    found["parameters"] = sum(parameter.numel() for parameter in model.parameters())
    found["published"] = PUBLISHED
    kept = _train(model, batches, settings, validation, found, say)
    if found["stopped"] == "minutes":
        budget.short = True
    put_mean(model, kept)
    found["averaged"] = len(kept)
    translator = Translator(model, token_ids.Pieces(prepared.pieces))
    found["scores"] = []
    for test_set, references in prepared.references.items():
        for search in SEARCHES:
            if budget.allows(3):
                found["scores"].append(_score(translator, prepared, test_set, references, search, say))
                found.save()


def _train(model, batches, settings, validation, found, say):
    """The weights at the end of the last epochs, oldest first; what the training was like goes into found."""
    kept, history = deque(maxlen=AVERAGE), found.setdefault("history", [])
    said = [-SAY_EVERY]

    def on_record(record):
        kept.append({name: weight.detach().clone() for name, weight in model.named_parameters()})
        names = ("step", "seconds", "loss", "validation_loss")
        history.append({name: round(record[name], 4) for name in names})
        if record["seconds"] - said[0] >= SAY_EVERY:
            said[0] = record["seconds"]
            say(
                "update {step}: loss {loss}, validation {validation_loss}, {seconds:.0f} s of training".format(
                    **history[-1]
                )
            )
            found.save()

    with products_in("tf32"):
        trainer = Trainer(
            model, batches.batch, settings, validation=validation, on_record=on_record, show_progress=False
        )
        report = trainer.run()
    if not kept:  # not even one epoch
        kept.append({name: weight.detach().clone() for name, weight in model.named_parameters()})
    found["updates"], found["stopped"] = report.step, report.stopped
    found["seconds_of_training"] = round(report.seconds, 1)
    say(f"{report.step} updates in {report.seconds:.0f} s, stopped by {report.stopped}")
    found.save()
    return list(kept)


@torch.no_grad()
def put_mean(model, kept):
    """Load the mean of the sets of weights, {name: tensor}, into the model. Summed in float64."""
    for name, parameter in model.named_parameters():
        parameter.copy_(sum(weights[name].double() for weights in kept) / len(kept))


def _score(translator, prepared, test_set, references, search, say):
    beam_size, length_penalty = SEARCHES[search]
    sources = prepared.splits[test_set][0]
    began = time.monotonic()
    with products_in("float32"):
        lines = translator.translate(sources, beam_size, length_penalty)
    row = {
        "test_set": test_set,
        "search": search,
        "bleu": round(bleu_of_lines(lines, references), 2),
        "sentences": len(lines),
        "seconds": round(time.monotonic() - began, 1),
    }
    say(f"{test_set}, {search}: BLEU {row['bleu']:.2f} ({row['seconds']} s)")
    return row


def bleu_of_lines(lines, references):
    """BLEU over words between spaces, as `clearformer evaluate` gives it for tokenised text."""
    return corpus_bleu([line.split() for line in lines], [line.split() for line in references])
