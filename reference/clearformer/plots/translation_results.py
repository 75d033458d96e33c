"""Stored scores of translators, one row for each way of training, test and search, with the spread over seeds."""

import json
from pathlib import Path

from clearformer.plots.table import table

TESTS = {
    "test": "unseen combinations",
    "test_2016_flickr": "Flickr 2016",
    "test_2017_flickr": "Flickr 2017",
    "test_2017_mscoco": "MSCOCO 2017",
}
COLUMNS = ["test", "text", "search", "trained on", "minutes", "seeds", "BLEU", "chrF"]


def translation_results(path, data_set):
    """A Table of the runs on "tiny_translation" or "multi30k" that a JSON file holds.

    The file: {"runs": [{"data_set", "text", "seed", "minutes", "device", "scores": as `clearformer evaluate` writes
    them}]}. Runs that differ in their seed alone make one row: the mean, and in brackets the lowest and the highest. A
    file that is not there, or that knows nothing of this data, gives a table that says so.
    """
    path = Path(path)
    runs = json.loads(path.read_text(encoding="utf-8"))["runs"] if path.exists() else []
    groups = {}
    for run in runs:
        if run["data_set"] == data_set:
            for score in run["scores"]:
                way = score["test_set"], score["text"], score["search"], run["text"], run["device"]
                groups.setdefault(way, []).append((run["minutes"], score["bleu"]["score"], score["chrf"]["score"]))
    if not groups:
        return table(
            [("nothing is stored here", f"{path.name} holds no run on {data_set}")], ["results", "why"], data_set
        )
    rows = []
    for (test, text, search, learned, device), found in groups.items():
        trained = device if learned == "plain" else f"{device}, {learned} text"
        minutes, bleu, chrf = zip(*found, strict=True)
        counts = f"{sum(minutes) / len(minutes):.0f}", len(found)
        rows.append((TESTS.get(test, test), text, search, trained, *counts, _spread(bleu), _spread(chrf)))
    return table(rows, COLUMNS, f"{data_set}: mean over seeds (lowest to highest)")


def _spread(values):
    mean = f"{sum(values) / len(values):.1f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.1f} to {max(values):.1f})"
