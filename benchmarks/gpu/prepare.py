"""Write Multi30k as token ids, for a GPU machine that has no tokenizer.

    python benchmarks/gpu/prepare.py [--data FOLDER] [--out benchmarks/gpu/multi30k.safetensors]

Run it where the course's environment is and the data (`clearformer data multi30k`, or a folder with a copy); then copy
the one file to the GPU machine, beside this script, where `make bench-gpu` looks for it. It holds the training,
validation and test sets as ids of a joint byte-pair vocabulary that is learnt from the training split alone, the
vocabulary, and the test sets' reference lines. The text is the lower-cased, tokenised one that published figures are
for, so words are what stands between spaces. Multi30k's terms allow research and education: do not pass the file on.
"""

import argparse
import os
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "reference"))  # where it is not installed

import token_ids

from clearformer.data.download import DataError
from clearformer.data.tokenizer import Tokenizer
from clearformer.data.translation_pairs import read_pairs, test_sets

OUT = Path(__file__).parent / "multi30k.safetensors"


def prepare(data_set, text, vocab_size, path, limit=None):
    """Write the file and return {split: pairs in it}. limit: at most this many pairs of each split."""
    tests = test_sets(data_set)
    pairs = {split: read_pairs(data_set, split, text) for split in ("train", "validation", *tests)}
    pairs = {split: [side[:limit] for side in sides] for split, sides in pairs.items()}
    tokenizer = Tokenizer.train(pairs["train"][0] + pairs["train"][1], vocab_size)
    splits = {split: tuple(map(tokenizer.encode_batch, sides)) for split, sides in pairs.items()}
    about = {"data_set": data_set, "text": text, "vocab_size": tokenizer.vocab_size}
    token_ids.write(path, about, tokenizer.pieces, splits, {split: pairs[split][1] for split in tests})
    return {split: len(sides[0]) for split, sides in pairs.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", metavar="FOLDER", help="a copy of Multi30k; else where `clearformer data` put it")
    parser.add_argument("--vocab-size", type=int, default=10000, help="pieces of the joint vocabulary (10000)")
    parser.add_argument(
        "--text", choices=("tokenised", "plain"), default="tokenised", help="published figures are for tokenised text"
    )
    parser.add_argument(
        "--data-set",
        choices=("multi30k", "tiny_translation"),
        default="multi30k",
        help="tiny_translation, the built-in corpus (plain text), is for trying things out",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="at most N pairs of each split, for trying things out")
    parser.add_argument("--out", type=Path, default=OUT, help="the file to write")
    options = parser.parse_args()
    if options.data:
        os.environ["CLEARFORMER_DATA"] = options.data
    text = "plain" if options.data_set == "tiny_translation" else options.text
    try:
        counts = prepare(options.data_set, text, options.vocab_size, options.out, options.limit)
    except (DataError, ValueError, OSError) as problem:
        print(problem, file=sys.stderr)
        return 2
    print(f"{options.out}: {', '.join(f'{count:,} pairs of {split}' for split, count in counts.items())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
