"""How many sentences a second the shipped translator translates, from token ids to token ids."""

import json
from pathlib import Path

import torch
from place import products_in
from timing import DOES_NOT_FIT, attempt, interleaved, spread

import clearformer
from clearformer.generation.beam import generate_beam
from clearformer.generation.greedy import generate_greedy
from clearformer.models import Transformer, TransformerConfig

SHIPPED = Path(clearformer.__file__).parent / "pretrained" / "multi30k_en_de"
SENTENCES_FILE = Path(__file__).parent / "sentences.json"
PAD, START, END, UNKNOWN = range(4)
LENGTH_PENALTY = 1.0
BATCHES = (1, 32, 256, 1024)
BEAMS = (1, 5)


def measure(place, options, budget, found, say):
    model = shipped_model().to(place.device).eval()
    found["model"] = {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "d_model": model.config.d_model,
        "num_layers": model.config.num_encoder_layers,
    }
    found["rows"] = rows = []
    calls = {}
    for beam in BEAMS:
        for sentences in (1, 4) if place.reduced else BATCHES:
            row = {"search": "greedy" if beam == 1 else f"beam {beam}", "sentences": sentences}
            rows.append(row)
            search = _search(model, source_ids(sentences).to(place.device), beam)
            written, why = None, "there was no time left"
            if budget.allows(5):
                written, why = attempt(lambda search=search: count_tokens(search()), place)
            if why:
                row["skipped"] = why
                say(f"{row['search']}, {sentences} sentences: {why}")
                if why == DOES_NOT_FIT:
                    break
                continue
            row["tokens"] = written
            calls[len(rows) - 1] = search
    seconds = interleaved(calls, place, budget, 1 if place.reduced else 5, warm=1)
    for number, times in seconds.items():
        row = rows[number]
        row["sentences_per_second"] = spread([row["sentences"] / time for time in times], 1)
        row["tokens_per_second"] = spread([row["tokens"] / time for time in times], 1)
        say(f"{row['search']}, {row['sentences']} at a time: {row['sentences_per_second']['median']:,.1f} sentences/s")


def shipped_model():
    """The shipped translator's model, without its tokenizer."""
    from safetensors.torch import load_file

    model = Transformer(TransformerConfig.from_dict(json.loads((SHIPPED / "config.json").read_text())["model"]))
    saved = load_file(SHIPPED / "model.safetensors")
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_(saved[name])
    return model


def source_ids(sentences):
    """(sentences, S) from the file of sentences, over and over, each with its end."""
    rows = json.loads(SENTENCES_FILE.read_text())["ids"]
    chosen = [[*rows[number % len(rows)], END] for number in range(sentences)]
    longest = max(map(len, chosen))
    return torch.tensor([row + [PAD] * (longest - len(row)) for row in chosen])


def count_tokens(ids):
    """Those after the start, with the end."""
    return int((ids[:, 1:] != PAD).sum())


def _search(model, ids, beam):
    """As Translator.translate does it, for one batch."""
    longest = 2 * (ids.shape[1] - 1) + 20
    options = dict(start_id=START, end_id=END, forbidden_ids=[PAD, START, UNKNOWN])

    def search():
        with products_in("float32"):
            if beam == 1:
                return generate_greedy(model, ids, longest, **options)
            return generate_beam(model, ids, longest, beam, LENGTH_PENALTY, **options).ids

    return search
