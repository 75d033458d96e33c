"""The file of figures: what is in it, and how it is written.

    import json; figures = json.load(open("benchmarks/results/gpu.json"))

command, reduced     the last command that wrote it; reduced true: tiny sizes, to try the command out, no figures
device               kind ("cuda" or "cpu"), name, memory_bytes, capability ("9.0"), processors, driver
machine, versions    processor, cores, system; python, torch, cuda, cudnn, triton, numpy, safetensors (null: not there)
sections             {name: section}; one that was never asked for is not there

Each section has command, status, seconds and, unless status is "done", why: one sentence. status is "done", "cut short"
(its time was up: what it holds is right, but some is missing), "failed" or "skipped". A reader takes what is there:

    rows = figures["sections"].get("checkpointing", {}).get("policies", [])

A spread is {median, min, max} over the rounds, in which all rows take turns. A row that could not be measured has
`skipped`, one sentence ("does not fit into the memory", say), in place of its figures; one for which there was no time
lacks ms. `precision` is "float32", "tf32" (float32, its matrix products in tf32) or "bf16" (autocast). Bytes of memory
are what torch had allocated.

training: the base model's step: forward, smoothed loss, backward, Adam
    model             preset, vocab_size, dropout, parameters
    batch             sentences, length (of source and of target), target_tokens
    step_flop         floating-point operations of a step, by the formula in flop.py
    products          {precision: {size, tflop_per_second: spread}}: the rate of matrix products of size x size alone
    steps             rows: precision, compiled (true: each layer by torch.compile), ms: spread, tokens_per_second
                      (target tokens, at the median), share_of_products (of that precision's median rate), peak_bytes
                      (weights, optimiser and the most that a step adds; null on a CPU), compile_seconds (null where
                      not compiled)

checkpointing: a stack of encoder layers, the mean of its output as loss; no optimiser, gradients there beforehand
    model             num_layers, d_model, num_heads, d_ff, dropout, norm, parameters
    batch             sentences, length
    policies          rows: precision, policy (as in clearformer.memory.set_policy: "plain", "scores", "attention",
                      "layers" or a number of segments), kept_bytes (allocated after the forward pass, above what was
                      before it), saved_bytes (what autograd saves, by hooks), predicted_bytes, kept_over_predicted,
                      peak_bytes (the most in forward and backward, above what was before), predicted_peak_bytes,
                      peak_over_predicted, ms: spread, times_plain: spread (of the ratio to "plain" in each round)
    fits              rows: precision, policy, budget_bytes, length, sentences (the most, to about an eighth, with which
                      forward and backward fit into the budget, weights and gradients included; null: no time)

lora: full fine-tuning of the base model against LoRA
    model, batch      as in training
    rank, alpha
    methods           rows: precision, method ("full", "lora"), targets (null for full), trainable_parameters,
                      optimizer_bytes, gradient_bytes, peak_bytes (as in training), ms: spread, times_full: spread

translation: the shipped translator, float32, on sentences of the built-in corpus; nothing but the search is timed
    model             parameters, d_model, num_layers
    rows              search ("greedy" or "beam 5"), sentences (in a batch), tokens (written, with their ends, for the
                      batch), sentences_per_second: spread, tokens_per_second: spread

multi30k: training from nothing, then BLEU
    data              about (data_set, text, vocab_size), pairs, sha256 (of the prepared file)
    recipe            model, settings, batch_tokens, average, tf32
    parameters, updates, seconds_of_training, stopped ("max_steps" or "minutes"), averaged (sets of weights)
    history           rows: step, seconds, loss, validation_loss (nats a token)
    scores            rows: test_set, search, bleu (words between spaces, no smoothing), sentences, seconds
    published         41.02: Wu et al. 2021, test_2016_flickr, beam of 5
"""

import json
import os
import tempfile
from pathlib import Path


def write(path, figures):
    """Write figures as JSON: the whole file, or the old one stays."""
    path = Path(path)
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".partial")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            os.chmod(partial, 0o644)  # mkstemp makes a file that nobody else may read
            file.write(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")
        os.replace(partial, path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


def read(path):
    """What write wrote, or None where there is nothing that can be read."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def continued(path, header):
    """(figures to begin with, names of sections dropped): header, and the sections in the file if they belong to it.

    They do where device, versions and `reduced` are the same: figures of two machines never stand in one file.
    """
    before = read(path) or {}
    kept = before.get("sections", {})
    same = all(before.get(name) == header[name] for name in ("reduced", "device", "versions"))
    return header | {"sections": kept if same else {}}, [] if same else sorted(kept)


class Found(dict):
    """What a section has found so far, in a file of its own after every `save`."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def save(self, **more):
        self.update(more)
        write(self.path, self)
