"""Stored figures of LoRA on a GPU, if there are any."""

import json
from pathlib import Path

from clearformer.plots.table import table

COLUMNS = [
    "precision",
    "trained",
    "parameters",
    "optimiser, MB",
    "peak memory, MB",
    "a step, ms",
    "× everything's time",
]


def gpu_lora(path):
    """A Table of the LoRA section of the file that `make bench-gpu` writes.

    A file that is not there, was made with tiny sizes to try the command out, or has no such section gives a table
    that says so: there are no figures then.
    """
    path = Path(path)
    figures = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    section = figures.get("sections", {}).get("lora", {})
    rows = [row for row in section.get("methods", []) if "skipped" not in row and "ms" in row]
    if not rows or figures.get("reduced") or figures.get("device", {}).get("kind") != "cuda":
        return table(
            [("no figures of a GPU have been measured yet", "make bench-gpu measures them where there is one")],
            ["results", "how to get them"],
            "LoRA on a GPU",
        )
    cells = [
        (
            row["precision"],
            "everything" if row["method"] == "full" else f"LoRA on {_targets(row)}",
            f"{row['trainable_parameters']:,}",
            f"{row['optimizer_bytes'] / 1e6:,.1f}",
            f"{row['peak_bytes'] / 1e6:,.0f}" if row.get("peak_bytes") else "–",
            f"{row['ms']['median']:,.1f}",
            f"{row['times_full']['median']:.2f}" if row.get("times_full") else "–",
        )
        for row in rows
    ]
    model, batch = section["model"], section["batch"]
    caption = (
        f"Measured on {figures['device']['name']}: {model['preset']}, {model['parameters']:,} parameters, rank "
        f"{section['rank']}, {batch['sentences']} sentences of {batch['length']} tokens"
    )
    return table(cells, COLUMNS, caption)


def _targets(row):
    names = row["targets"]
    return ", ".join(name.removesuffix("_proj") for name in names) if len(names) < 4 else "all linear maps"
