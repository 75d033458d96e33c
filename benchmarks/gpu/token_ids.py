"""Sentence pairs as token ids in one file, for a machine that has no tokenizer; and words from ids again.

The file is safetensors: of each split the ids of all sentences end to end, and their lengths. Its metadata hold, as
JSON, the vocabulary's pieces, the reference lines of the test sets, and where it all came from.
"""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import torch

from clearformer.data.tokenizer import END_ID, PAD_ID, SPACE, START_ID, UNKNOWN_ID, UNKNOWN_MARK


class Prepared(NamedTuple):
    """about: a dict. pieces: a list. splits: {name: (sources, targets)}, lists of lists of ids without start and end,
    "train", "validation" and the test sets. references: {test set: lines}. sha256: of the file."""

    about: dict
    pieces: list
    splits: dict
    references: dict
    sha256: str


def write(path, about, pieces, splits, references):
    """Arguments as the fields of Prepared."""
    from safetensors.torch import save

    tensors = {}
    for split, sides in splits.items():
        for side, rows in zip(("source", "target"), sides, strict=True):
            tensors[f"{split}/{side}/ids"] = torch.tensor([number for row in rows for number in row], dtype=torch.int32)
            tensors[f"{split}/{side}/lengths"] = torch.tensor([len(row) for row in rows], dtype=torch.int32)
    texts = dict(about=about, pieces=pieces, references=references)
    metadata = {name: json.dumps(value, ensure_ascii=False) for name, value in texts.items()}
    Path(path).write_bytes(save(tensors, metadata))


def read(path):
    """The Prepared of a file that write wrote; ValueError where it is another."""
    from safetensors import safe_open

    splits = {}
    with safe_open(path, "pt") as file:
        metadata = file.metadata() or {}
        if not {"about", "pieces", "references"} <= set(metadata):
            raise ValueError(f"{path} is no file of token ids: make one with benchmarks/gpu/prepare.py")
        for name in dict.fromkeys(key.split("/")[0] for key in file.keys()):  # noqa: SIM118 (it is no dict)
            splits[name] = tuple(_rows(file, f"{name}/{side}") for side in ("source", "target"))
    texts = {name: json.loads(metadata[name]) for name in ("about", "pieces", "references")}
    return Prepared(**texts, splits=splits, sha256=hashlib.sha256(Path(path).read_bytes()).hexdigest())


def _rows(file, name):
    ids, lengths = file.get_tensor(f"{name}/ids"), file.get_tensor(f"{name}/lengths")
    return [row.tolist() for row in ids.split(lengths.tolist())]


class Pieces:
    """Stands in for the Tokenizer of a Translator whose texts are lists of ids already."""

    def __init__(self, pieces):
        self.pieces = pieces

    @property
    def vocab_size(self):
        return len(self.pieces)

    def encode_batch(self, rows):
        return [list(row) for row in rows]

    def decode(self, ids):
        """What Tokenizer.decode gives: the text up to the first end."""
        found = []
        for number in map(int, ids):
            if number == END_ID:
                break
            if number not in (PAD_ID, START_ID):
                found.append(UNKNOWN_MARK if number == UNKNOWN_ID else self.pieces[number])
        if found:
            found[0] = found[0].replace(SPACE, "")
        return "".join(found).replace(SPACE, " ")
