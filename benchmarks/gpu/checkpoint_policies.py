"""Gradient checkpointing: bytes and time of each policy, against the prediction, and what fits into a budget."""

import math

import torch
from place import GIB, autocast, products_in
from timing import DOES_NOT_FIT, attempt, interleaved, milliseconds, ratio

from clearformer.memory import Work, predict_encoder, set_policy
from clearformer.memory import measure as measure_memory
from clearformer.nn import Encoder

SIZES = dict(num_layers=24, d_model=512, num_heads=8, d_ff=2048, dropout=0.1, norm="pre")
SMALL = dict(num_layers=4, d_model=16, num_heads=2, d_ff=32, dropout=0.1, norm="pre")
LENGTH = 512
SENTENCES = [(16, 30), (8, 16), (4, 9), (2, 5), (1, 3)]  # and the GiB of free memory they need
PRECISIONS = ("tf32", "bf16")
LARGEST_BUDGET = 8 * GIB  # of what is to fit: on a large device the search would take long
MOST_SENTENCES = 2048


def measure(place, options, budget, found, say):
    sizes = SMALL if place.reduced else SIZES
    torch.manual_seed(0)
    model = Encoder(*(sizes[name] for name in ("num_layers", "d_model", "num_heads", "d_ff", "dropout", "norm")))
    model = model.to(place.device).train()
    found["model"] = sizes | {"parameters": sum(parameter.numel() for parameter in model.parameters())}
    sentences, length = (2, 6) if place.reduced else (place.largest_fitting(SENTENCES), LENGTH)
    found["batch"] = {"sentences": sentences, "length": length}
    found["policies"], found["fits"] = [], []
    precisions = [name for name in PRECISIONS if not place.lacks(name)] or ["float32"]
    for precision in precisions:
        _measure_policies(model, precision, place, budget, found, say)
    _find_what_fits(model, precisions, place, budget, found, say)


def policies(num_layers):
    """As set_policy takes them. √L segments are in the middle of the numbers."""
    return ["plain", "scores", "attention", *sorted({2, round(math.sqrt(num_layers)), num_layers // 2}), "layers"]


def passes(model, precision, sentences, length, device):
    """(forward, forward and backward), two functions; forward returns the loss. The input is made within: it counts."""
    given = torch.randn(sentences, length, model.d_model, device=device)

    def forward():
        with autocast(device, precision):
            return model(given.clone()).mean()

    def both():
        with products_in(precision):
            forward().backward()

    return forward, both


def _measure_policies(model, precision, place, budget, found, say):
    forward, both = passes(model, precision, **found["batch"], device=place.device)
    rows, calls = {}, {}
    for policy in policies(found["model"]["num_layers"]):
        row = rows[policy] = {"precision": precision, "policy": policy}
        found["policies"].append(row)
        set_policy(model, policy)
        with products_in(precision):
            measured, why = attempt(lambda: measure_memory(forward, model), place)
        if why:
            row["skipped"] = why
        else:
            row |= _beside_prediction(measured, precision, policy, place, found)
            calls[policy] = both
        say(f"{precision} {policy!s:9} {_said(row)}")
        found.save()
    seconds = interleaved(
        calls, place, budget, 1 if place.reduced else 9, prepare=lambda policy: set_policy(model, policy)
    )
    for policy, times in seconds.items():
        rows[policy]["ms"] = milliseconds(times)
        rows[policy]["times_plain"] = ratio(times, seconds["plain"]) if "plain" in seconds else None
        say(f"{precision} {policy!s:9} {rows[policy]['ms']['median']:9.2f} ms")
    set_policy(model, "plain")
    found.save()


def _beside_prediction(measured, precision, policy, place, found):
    sizes = found["model"]
    work = Work(
        found["batch"]["sentences"], found["batch"]["length"], sizes["d_model"], sizes["num_heads"], sizes["d_ff"],
        dropout=sizes["dropout"], norm=sizes["norm"], autocast="bfloat16" if precision == "bf16" else None,
        device=place.device.type,
    )  # fmt: skip
    predicted = predict_encoder(work, sizes["num_layers"], policy)
    predicted_peak = predicted.peak + predicted.working
    return {
        "kept_bytes": measured.allocated,
        "saved_bytes": measured.kept,
        "predicted_bytes": predicted.kept,
        "kept_over_predicted": round(measured.allocated / predicted.kept, 4),
        "peak_bytes": measured.allocated_peak,
        "predicted_peak_bytes": predicted_peak,
        "peak_over_predicted": round(measured.allocated_peak / predicted_peak, 4),
    }


def _said(row):
    if "skipped" in row:
        return row["skipped"]
    kept, peak = row["kept_bytes"] / 2**20, row["peak_bytes"] / 2**20
    return (
        f"keeps {kept:9,.1f} MiB ({row['kept_over_predicted']:.3f} of what was predicted), "
        f"peak {peak:9,.1f} MiB ({row['peak_over_predicted']:.3f})"
    )


def _find_what_fits(model, precisions, place, budget, found, say):
    """The most sentences under each of three policies, with torch's memory held down to the budget."""
    place.give_back()
    most, limit = (3, None) if place.reduced else (MOST_SENTENCES, min(LARGEST_BUDGET, place.free_bytes() // 2))
    if limit:
        torch.cuda.set_per_process_memory_fraction(limit / place.memory_bytes, place.device)
    length = found["batch"]["length"]
    for precision in precisions:
        for policy in ("plain", round(math.sqrt(found["model"]["num_layers"])), "layers"):
            if not budget.allows(5):
                break
            set_policy(model, policy)
            row = {"precision": precision, "policy": policy, "budget_bytes": limit, "length": length}
            row["sentences"] = largest(_fits(model, precision, length, place), most, budget)
            found["fits"].append(row)
            say(f"{precision} {policy!s:9} fits {row['sentences']} sentences of {length} tokens")
            found.save()
    if limit:
        torch.cuda.set_per_process_memory_fraction(1.0, place.device)
    set_policy(model, "plain")


def _fits(model, precision, length, place):
    """A function that says whether forward and backward of so many sentences fit. RuntimeError for other trouble."""

    def fits(sentences):
        place.give_back()

        def once():
            passes(model, precision, sentences, length, place.device)[1]()
            place.wait()

        _, why = attempt(once, place)
        if why not in (None, DOES_NOT_FIT):
            raise RuntimeError(why)
        return why is None

    return fits


def largest(fits, most, budget):
    """The largest number from 1 to most that fits, to about an eighth; 0 where not even 1 does.

    fits(number) says whether it does. Doubling first, then halving what is between. None: the time was up.
    """
    good, bad = 0, 1
    while bad <= most and fits(bad):
        good, bad = bad, 2 * bad
        if not budget.allows(1):
            return None
    bad = min(bad, most + 1)
    while bad - good > max(1, good // 8):
        if not budget.allows(1):
            return None
        middle = (good + bad) // 2
        good, bad = (middle, bad) if fits(middle) else (good, middle)
    return good
