"""Measure on a GPU what the course says about GPUs, and write one JSON file.

    make bench-gpu                                        all of it, in less than 8 minutes
    python3 benchmarks/gpu --only checkpointing           one section; the others' figures in the file stay
    python3 benchmarks/gpu --only multi30k --minutes 20 --updates 20000
    python3 benchmarks/gpu --reduced --out try.json       without a GPU: tiny sizes, to see that everything runs

It needs Python 3.11 or newer with torch, numpy and safetensors, and a CUDA device; it installs nothing and asks no
outside host for anything. The sections, in this order:

    translation     sentences a second of the shipped translator, greedy and beam search, several batch sizes
    checkpointing   bytes and time of each policy of gradient checkpointing, against the prediction
    lora            LoRA against full fine-tuning: memory and time of a training step
    training        the base model's step in float32, tf32 and bf16, with and without torch.compile, against the rate
                    of matrix products alone
    multi30k        training from nothing to BLEU. It needs the data as token ids: one file, which
                    benchmarks/gpu/prepare.py writes on a machine with the course's environment

Each runs in a process of its own. One that fails is in the file by its error, and the others go on; one whose time is
up keeps what it has. Sizes follow the memory of the device. The file is written after each section, and says which
device, versions and command its figures are from. What its fields mean stands in benchmarks/gpu/report.py.
"""

import argparse
import functools
import sys
import time
from pathlib import Path

import report
import sections
from apart import GRACE, ask_apart, run_apart, sayer
from measuring import machine
from place import describe

HERE = Path(__file__).resolve().parent
NOT_POSSIBLE, STOPPED = 2, 130
DATA = HERE / "multi30k.safetensors"
OUT = HERE.parent / "results" / "gpu.json"


def main(arguments=None):
    """Measure and write; returns the exit status: 0, 1 where a section failed, 2 where nothing could be measured."""
    options, command = read_options(arguments)
    began, deadline = time.time(), time.monotonic() + 60 * options.minutes
    say = sayer("bench-gpu", began)
    described = ask_apart(describe, options.reduced)
    if described is None:
        print("CUDA could not be asked for its device; the lines above say why.", file=sys.stderr)
        return NOT_POSSIBLE
    device, versions = described
    if device is None:
        print(
            "No CUDA device is there, so nothing was measured; --reduced tries the command out on the CPU.",
            file=sys.stderr,
        )
        return NOT_POSSIBLE
    header = dict(command=command, reduced=options.reduced, device=device, machine=machine(), versions=versions)
    figures, dropped = report.continued(options.out, header)
    if not options.only:
        figures["sections"] = {}
    elif dropped:
        say(f"{options.out} is of another device or other versions: {', '.join(dropped)} in it will be written over")
    say(f"{device['name']}, torch {versions['torch']}, at most {options.minutes:g} minutes")
    chosen = [name for name in sections.MODULES if not options.only or name in options.only]
    try:
        for name in chosen:
            left = deadline - time.monotonic() - GRACE
            seconds = sections.seconds_for(name, chosen, options.minutes, left)
            found = measure(name, options, seconds, began)
            figures["sections"][name] = {"command": command} | found
            report.write(options.out, figures)
            say(f"{name} {found['status']}, {found['seconds']} s{': ' + found['why'] if 'why' in found else ''}")
    except KeyboardInterrupt:
        say(f"stopped; {options.out} has the sections that were measured")
        return STOPPED
    say(f"written to {options.out}")
    return int(any(figures["sections"][name]["status"] == "failed" for name in chosen))


def measure(name, options, seconds, began):
    """One section of the file."""
    why = sections.why_not(name, options)
    if why:
        return {"status": "skipped", "why": why, "seconds": 0.0}
    return run_apart(name, functools.partial(sections.measure, name), options, seconds, began)


def read_options(arguments):
    """(options, the command as it would be typed)"""
    parser = argparse.ArgumentParser(
        prog="python3 benchmarks/gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=OUT, help="the JSON file (benchmarks/results/gpu.json)")
    parser.add_argument(
        "--only", action="append", choices=sections.MODULES, help="this section alone; may be given several times"
    )
    parser.add_argument("--minutes", type=_positive, default=sections.MINUTES, help="at most, in all (7.5)")
    parser.add_argument("--multi30k", type=Path, default=DATA, metavar="FILE", help="what prepare.py wrote")
    parser.add_argument("--updates", type=int, default=8000, help="of Multi30k's training, at most (8000)")
    parser.add_argument("--reduced", action="store_true", help="tiny sizes on the CPU: no figures, only a trial")
    options = parser.parse_args(arguments)
    if not options.out.parent.is_dir():
        parser.error(f"argument --out: there is no folder {options.out.parent}")
    if options.reduced and options.out.resolve() == OUT:
        parser.error("argument --reduced: these are no figures of a GPU; give them a file of their own by --out")
    given = sys.argv[1:] if arguments is None else arguments
    return options, " ".join(["python benchmarks/gpu", *given])


def _positive(text):
    number = float(text)
    if not 0 < number < 1e6:
        raise ValueError
    return number
