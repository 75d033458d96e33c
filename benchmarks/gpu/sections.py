"""The sections by name, and how the time is shared out among them."""

import importlib
from pathlib import Path

MODULES = {  # in the order in which they run
    "translation": "translation_speed",
    "checkpointing": "checkpoint_policies",
    "lora": "lora_step",
    "training": "base_step",
    "multi30k": "multi30k_bleu",
}
MINUTES = 7.5
SHARES = {"translation": 60, "checkpointing": 75, "lora": 45, "training": 130}  # seconds of 7.5 minutes
LEAST = 2  # seconds


def measure(name, place, options, budget, found, say):
    """Measure one section. Its module is imported here: if something is missing, that is this section's error."""
    importlib.import_module(MODULES[name]).measure(place, options, budget, found, say)


def seconds_for(name, chosen, minutes, left):
    """How long a section may take, when `left` seconds are left to it and those of `chosen` after it.

    The last one may take all. The others have shares, which grow with the minutes; what one does not use is there for
    the last.
    """
    if name == chosen[-1]:
        return max(left, LEAST)
    return max(min(SHARES.get(name, left) * minutes / MINUTES, left), LEAST)


def why_not(name, options):
    """Why a section cannot be measured at all, or None."""
    if name == "multi30k" and not Path(options.multi30k).exists():
        return f"the data is not there: benchmarks/gpu/prepare.py writes {Path(options.multi30k).name} where it is"
    return None
