"""How long does writing a translation take, beside transformers' generate? And without the cache?

    python benchmarks/generation_speed.py [--rounds 9] [--threads 2] [--out benchmarks/results/generation_speed.json]

A model of the tiny preset (4 + 4 layers, d_model 128, 4 heads, d_ff 256, vocabulary 8,000) with random weights: a
MarianMTModel of transformers, and ours with its weights copied. Sources of 4 to 24 tokens, padded. The end is made
impossible by its bias, so each row gets 47 new tokens. Greedy for 1 and for 32 sentences, a beam of 5 for 32. Both have
to write the same tokens. float32, in inference mode, transformers with its own cache and torch's fused attention.

Then ours with its cache and without, 256 tokens, for 1 and for 4 sentences.
"""

import argparse
import json
import math
from pathlib import Path

import torch
from measuring import interleaved, ratio, spread, surroundings

from clearformer.generation.beam import generate_beam
from clearformer.generation.greedy import generate_greedy
from clearformer.models import from_marian

VOCAB, PAD, END, NEW_TOKENS, LONG = 8000, 0, 2, 47, 256
SEARCHES = {"greedy, 1 sentence": (1, 1), "greedy, 32 sentences": (32, 1), "beam of 5, 32 sentences": (32, 5)}
OURS, THEIRS = "clearformer", "transformers"


def marian():
    from transformers import MarianConfig, MarianMTModel

    torch.manual_seed(0)
    config = MarianConfig(
        vocab_size=VOCAB, d_model=128, encoder_layers=4, decoder_layers=4, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=256, decoder_ffn_dim=256, activation_function="relu",
        scale_embedding=True, pad_token_id=PAD, eos_token_id=END, decoder_start_token_id=PAD,
        forced_eos_token_id=None, max_position_embeddings=LONG + 1,
    )  # fmt: skip
    model = MarianMTModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.copy_(torch.randn(parameter.shape) / math.sqrt(parameter.shape[-1]))
        model.final_logits_bias[0, END] = -1e4
    return model


def sources(batch):
    generator = torch.Generator().manual_seed(1)
    lengths = torch.randint(4, 25, (batch, 1), generator=generator)
    lengths[0] = 24
    ids = torch.randint(3, VOCAB, (batch, 24), generator=generator)
    return ids.masked_fill(torch.arange(24) >= lengths, PAD)


def their_search(model, source_ids, beam_size):
    mask = (source_ids != PAD).long()

    @torch.inference_mode()
    def write():
        return model.generate(
            input_ids=source_ids, attention_mask=mask, max_new_tokens=NEW_TOKENS, do_sample=False, num_beams=beam_size
        )

    return write


def our_search(model, source_ids, beam_size):
    options = dict(start_id=PAD, end_id=END, forbidden_ids=[])
    if beam_size == 1:
        return lambda: generate_greedy(model, source_ids, NEW_TOKENS + 1, **options)
    return lambda: generate_beam(model, source_ids, NEW_TOKENS + 1, beam_size, **options).ids


def beside_transformers(theirs, ours, rounds):
    """{search: figures}. RuntimeError where the tokens differ."""
    found = {}
    for name, (batch, beam_size) in SEARCHES.items():
        calls = {
            OURS: our_search(ours, sources(batch), beam_size),
            THEIRS: their_search(theirs, sources(batch), beam_size),
        }
        tokens = {who: write() for who, write in calls.items()}
        if tokens[OURS].shape != (batch, NEW_TOKENS + 1) or not torch.equal(tokens[OURS], tokens[THEIRS]):
            raise RuntimeError(f"{name}: the tokens differ")
        seconds = interleaved(calls, rounds)
        found[name] = {
            "ms": {who: spread(times, 1000, 1) for who, times in seconds.items()},
            "clearformer_times": ratio(seconds[OURS], seconds[THEIRS]),
            "different_tokens": len(tokens[OURS].unique()),
        }
    return found


def cache_against_none(ours, rounds):
    """{sentences: figures}."""
    found = {}
    for batch in (1, 4):

        def write(use_cache, source_ids=sources(batch)):  # noqa: B008 (each batch its own)
            return generate_greedy(ours, source_ids, LONG + 1, PAD, END, [], use_cache)

        if not torch.equal(write(True), write(False)):
            raise RuntimeError("with the cache and without it the tokens differ")
        calls = {"cache": lambda: write(True), "none": lambda: write(False)}
        seconds = interleaved(calls, rounds)
        found[str(batch)] = {
            "ms": {how: spread(times, 1000, 1) for how, times in seconds.items()},
            "times_faster": ratio(seconds["none"], seconds["cache"]),
        }
    return found


def rows(report):
    """(what, figure, target, is it met)."""
    for name, found in report["beside_transformers"].items():
        times = found["clearformer_times"]["median"]
        yield f"time of {name}, transformers = 1", times, "<= 0.6", times <= 0.6
    for batch, found in report["cache_at_256_tokens"].items():
        faster = found["times_faster"]["median"]
        yield f"times faster with a cache, 256 tokens, batch {batch}", faster, ">= 5", faster >= 5


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the figures as JSON, with the machine beside them")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    theirs = marian()
    ours = from_marian(theirs)
    report = surroundings(["torch", "transformers"], options.threads) | {"rounds": options.rounds}
    report["beside_transformers"] = beside_transformers(theirs, ours, options.rounds)
    report["cache_at_256_tokens"] = cache_against_none(ours, max(3, options.rounds // 3))
    report["targets"] = {f"{what} {target}": met for what, _, target, met in rows(report)}
    for name, found in report["beside_transformers"].items():
        print(f"{name:26}", *(f"{who} {times['median']:.0f} ms " for who, times in found["ms"].items()))
    for what, figure, target, met in rows(report):
        print(f"{what:52} {figure:7.3f}  {target:7} {'met' if met else 'MISSED'}")
    if options.out:
        options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
