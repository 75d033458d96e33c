"""Full fine-tuning, LoRA and a trained head alone, on two tasks: what each learns, trains, keeps and forgets.

    python benchmarks/fine_tuning.py [--seeds 3] [--tasks encoder translator] [--out FILE]

translator: the one that ships, made for captions of photographs, learns polite requests (2,000 pairs of our own).
Measured on 400 requests with unseen pairs of a verb and its object, and on 40 captions of our own, its old task.
encoder: all-MiniLM-L6-v2 in our Bert learns what a remark about a restaurant says of the food (900 remarks of our own).
Measured on 450 remarks with unseen pairs of a dish and an opinion; its old task is to find, among 40 sentences, the
one that says the same as another one.

Methods: "full" trains every parameter; "lora r" trains adapters of rank r, with α = 2r, and on the encoder the new
head too; "head" trains the last linear map alone: on the translator a copy of its table of outputs, on the encoder the
new head, on vectors that are computed once. All use AdamW without weight decay, a rate that falls in a line to zero,
the same batches and as many epochs, and no dropout. The rate of each method is the best of a few that were
tried with seed 100. Seeds 0, 1, … draw the order of the batches, the adapters and the new head; the data stay.
"""

import argparse
import copy
import json
import random
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from measuring import interleaved, spread, surroundings
from torch import nn

from clearformer.data import paraphrases, photo_captions, polite_requests, restaurant_remarks
from clearformer.data.batches import Batches, pad_sources, pad_targets
from clearformer.evaluation import bleu
from clearformer.lora import apply_lora, optimizer_bytes
from clearformer.models import mean_pooling
from clearformer.models.minilm import MiniLM
from clearformer.training.loss import label_smoothed_loss
from clearformer.translator import Translator

RANKS = (1, 4, 8, 32)
RATES = {
    "translator": {"full": 1e-3, "lora": 1e-2, "head": 5e-3},
    "encoder": {"full": 1e-4, "lora": 2e-3, "head": 1e-2},
}


class Task:
    """What both tasks share: a model, its methods, and steps of training."""

    def prepared(self, method, seed):
        """A new copy of the model, and its parameters to train."""
        torch.manual_seed(seed)
        model = self.fresh()
        if method == "head":
            model.requires_grad_(False)
        elif method.startswith("lora"):
            rank = int(method.split()[1])
            apply_lora(model, self.LORA_TARGETS, rank, alpha=2 * rank)
        self.add_head(model, method)
        return model, [parameter for parameter in model.parameters() if parameter.requires_grad]

    def trained(self, method, seed, rate=None, epochs=None):
        model, parameters = self.prepared(method, seed)
        rate, epochs = rate or RATES[self.name][method.split()[0]], epochs or self.EPOCHS
        optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.0)
        batches = self.batches(seed)
        steps = epochs * len(batches)
        model.eval()  # without dropout
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = rate * (1 - step / steps) * min(1.0, (step + 1) / 20)
            optimizer.zero_grad(set_to_none=True)
            loss = self.loss(model, batches[step])
            loss.backward()
            optimizer.step()
        return model, {
            "trained_parameters": sum(parameter.numel() for parameter in parameters),
            "optimizer_bytes": optimizer_bytes(optimizer),
            "steps": steps,
            "last_loss": round(loss.item(), 4),
        }


class TranslatorTask(Task):
    name = "translator"
    LORA_TARGETS = ("query_proj", "key_proj", "value_proj", "output_proj", "linear1", "linear2")
    EPOCHS, BATCH_TOKENS = 6, 512

    def __init__(self):
        self.translator = Translator.load()
        encode = self.translator.tokenizer.encode_batch
        self.train_ids = [encode(side) for side in zip(*polite_requests.load("train"), strict=True)]
        self.captions, self.test = photo_captions.load(), polite_requests.load("test")

    def fresh(self):
        return copy.deepcopy(self.translator.model)

    def add_head(self, model, method):
        if method == "head":  # no longer shared with the embeddings, so that they stay as they are
            model.output.weight = nn.Parameter(model.output.weight.detach().clone())

    def batches(self, seed):
        inner = Batches(*self.train_ids, self.BATCH_TOKENS, seed)
        return _Endless(inner.batch, len(inner))

    def loss(self, model, batch):
        return label_smoothed_loss(model(batch.source_ids, batch.target_ids[:, :-1]), batch.target_ids[:, 1:])

    @torch.no_grad()
    def score(self, model):
        translator = Translator(model, self.translator.tokenizer, beam_size=1, length_penalty=0.0)
        found = {}
        for name, pairs in (("new", self.test), ("old", self.captions)):
            english, german = ([*side] for side in zip(*pairs, strict=True))
            said = translator.translate(english)
            found[f"{name}_bleu"] = bleu(said, german).score
            found[f"{name}_right"] = 100 * sum(map(str.__eq__, said, german)) / len(pairs)
            found[f"{name}_loss"] = self.loss_on(model, english, german)
        return found

    def loss_on(self, model, english, german):
        encode = self.translator.tokenizer.encode_batch
        source, target = pad_sources(encode(english)), pad_targets(encode(german))
        return label_smoothed_loss(model(source, target[:, :-1]), target[:, 1:], smoothing=0.0).item()


class EncoderTask(Task):
    name = "encoder"
    LORA_TARGETS = ("query_proj", "value_proj")
    EPOCHS, BATCH = 2, 8

    def __init__(self):
        self.minilm = MiniLM.load()
        self.data = {split: self.read(restaurant_remarks.load(split)) for split in ("train", "test")}
        self.before = self.cosines(self.minilm.model)

    def read(self, remarks):
        texts, labels = zip(*remarks, strict=True)
        return self.minilm.tokenise(texts), torch.tensor(labels)

    def fresh(self):
        return Classifier(copy.deepcopy(self.minilm.model), len(restaurant_remarks.LABELS))

    def add_head(self, model, method):
        model.head.requires_grad_(True)

    def batches(self, seed):
        ids, labels = self.data["train"]
        order = random.Random(f"batches {seed}")
        count = -(-len(ids) // self.BATCH)

        def batch(step, plans={}):  # noqa: B006
            epoch, place = divmod(step, count)
            if epoch not in plans:
                plans[epoch] = torch.tensor(order.sample(range(len(ids)), len(ids)))
            rows = plans[epoch][place * self.BATCH : (place + 1) * self.BATCH]
            longest = int((ids[rows] != 0).sum(dim=1).max())
            return ids[rows, :longest], labels[rows]

        return _Endless(batch, count)

    def loss(self, model, batch):
        return F.cross_entropy(model(batch[0]), batch[1])

    def trained(self, method, seed, rate=None, epochs=None):
        if method != "head":
            return super().trained(method, seed, rate, epochs)
        model, parameters = self.prepared(method, seed)  # vectors are computed once, so many epochs cost little
        model.eval()
        ids, labels = self.data["train"]
        with torch.no_grad():
            vectors = torch.cat([model.vectors(part) for part in ids.split(50)])
        optimizer = torch.optim.AdamW(parameters, lr=rate or RATES[self.name]["head"], weight_decay=0.0)
        for _ in range(steps := 1000):
            optimizer.zero_grad(set_to_none=True)
            loss = F.cross_entropy(model.head(vectors), labels)
            loss.backward()
            optimizer.step()
        return model, {
            "trained_parameters": sum(parameter.numel() for parameter in parameters),
            "optimizer_bytes": optimizer_bytes(optimizer),
            "steps": steps,
            "last_loss": round(loss.item(), 4),
        }

    @torch.no_grad()
    def score(self, model):
        ids, labels = self.data["test"]
        said = torch.cat([model(part).argmax(dim=-1) for part in ids.split(50)])
        after = self.cosines(model.encoder)
        right = after.argmax(dim=1) == torch.arange(len(after))
        off = ~torch.eye(len(after), dtype=torch.bool)
        both = torch.stack([self.before[off], after[off]])
        return {
            "new_right": 100 * (said == labels).double().mean().item(),
            "old_right": 100 * right.double().mean().item(),
            "old_correlation": torch.corrcoef(both)[0, 1].item(),
            "old_change": (self.before - after).abs().mean().item(),
        }

    def cosines(self, encoder):
        """How like each first sentence of the paraphrases is to each second one, (40, 40)."""
        first, second = zip(*paraphrases.load(), strict=True)
        held = self.minilm.model
        self.minilm.model = encoder
        found = self.minilm.embed(first) @ self.minilm.embed(second).T
        self.minilm.model = held
        return found


class Classifier(nn.Module):
    """An encoder, the mean of its states, and a new linear map to the labels."""

    def __init__(self, encoder, num_labels):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.config.d_model, num_labels)

    def vectors(self, token_ids):
        return mean_pooling(self.encoder(token_ids), self.encoder.padding_mask(token_ids))

    def forward(self, token_ids):
        return self.head(self.vectors(token_ids))


class _Endless:
    """batches[step], and how many are in an epoch."""

    def __init__(self, batch, count):
        self.batch, self.count = batch, count

    def __len__(self):
        return self.count

    def __getitem__(self, step):
        return self.batch(step)


TASKS = {task.name: task for task in (TranslatorTask, EncoderTask)}


def runs_of(task, methods, say):
    """One run for each (method, seed), with the scores of what it gave."""
    for method, seed in methods:
        began = time.process_time()
        model, about = task.trained(method, seed)
        row = {"method": method.split()[0], "rank": _rank(method), "seed": seed, **about}
        row |= {"seconds": round(time.process_time() - began, 1), **_rounded(task.score(model))}
        say(task.name, row)
        yield row


def planned(seeds, ranks, done):
    """The (method, seed) to run: all seeds of the three methods first, then the other ranks; not what is done."""
    first = [(method, seed) for seed in range(seeds) for method in ("full", "head", "lora 8")]
    others = [(f"lora {rank}", seed) for seed in range(seeds) for rank in ranks if rank != 8]
    known = {(row["method"], row["rank"], row["seed"]) for row in done}
    return [(method, seed) for method, seed in first + others if (method.split()[0], _rank(method), seed) not in known]


def step_ms(task, rounds):
    """Milliseconds of one core for a step of each method, forward, backward and optimiser, on the same batch."""
    steps = {}
    for method in ("full", "lora 8", "head"):
        model, parameters = task.prepared(method, 0)
        optimizer = torch.optim.AdamW(parameters, lr=1e-9, weight_decay=0.0)
        steps[method] = _stepper(task, model.eval(), optimizer, task.batches(0)[0])
    return {
        method: spread(times, 1000) for method, times in interleaved(steps, rounds, clock=time.process_time).items()
    }


def _stepper(task, model, optimizer, batch):
    def step():
        optimizer.zero_grad(set_to_none=True)
        task.loss(model, batch).backward()
        optimizer.step()

    return step


def _rank(method):
    return int(method.split()[1]) if " " in method else None


def _rounded(scores):
    return {name: round(value, 4) for name, value in scores.items()}


def described(task, model):
    """What the model is and how it was trained, to stand beside the figures."""
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "lora_targets": [*task.LORA_TARGETS],
        "rates": RATES[task.name],
        "epochs": task.EPOCHS,
    }


def _read(path):
    return json.loads(path.read_text(encoding="utf-8"))["tasks"] if path and path.exists() else {}


def _write(path, report):
    """The report, with the figures of other tasks that the file holds already."""
    path.write_text(json.dumps(report | {"tasks": _read(path) | report["tasks"]}, indent=1) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the figures as JSON, with the machine beside them")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--ranks", type=int, nargs="*", default=RANKS)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=["encoder", "translator"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    report = surroundings(["torch", "tokenizers", "sacrebleu"], options.threads) | {"seeds": options.seeds, "tasks": {}}

    def say(name, row):
        print(name, json.dumps(row), flush=True)

    for name in options.tasks:
        task = TASKS[name]()
        found = report["tasks"][name] = described(task, task.prepared("full", 0)[0])
        found["before"] = _rounded(task.score(task.fresh().eval()))  # another model has other scores, and starts anew
        before = _read(options.out).get(name, {})
        going_on = all(before.get(key) == value for key, value in found.items())
        found["step_ms"] = before["step_ms"] if going_on else step_ms(task, options.rounds)
        found["runs"] = before["runs"] if going_on else []
        for row in runs_of(task, planned(options.seeds, options.ranks, found["runs"]), say):
            found["runs"].append(row)
            if options.out:  # after each run; one that is stopped goes on from here
                _write(options.out, report)


if __name__ == "__main__":
    main()
