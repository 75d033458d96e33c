"""Tasks that a small model learns in a minute: copy, reverse and sort a row of symbols."""

import random
from dataclasses import dataclass

from clearformer.data.batches import Batch, pad_sources, pad_targets
from clearformer.data.tokenizer import SPECIAL_TOKENS

ANSWERS = {"copy": list, "reverse": lambda symbols: symbols[::-1], "sort": sorted}


@dataclass(frozen=True)
class ToyTask:
    """name: "copy", "reverse" or "sort". Rows of min_length to max_length symbols, each length equally likely.

    The symbols are the ids after the special ones: from 4 to vocab_size - 1.
    """

    name: str
    num_symbols: int = 20
    min_length: int = 1
    max_length: int = 12

    def __post_init__(self):
        if self.name not in ANSWERS:
            raise ValueError(f"name must be one of {', '.join(ANSWERS)}; got {self.name!r}")
        if self.num_symbols < 1:
            raise ValueError(f"num_symbols must be at least 1; got {self.num_symbols}")
        if not 0 <= self.min_length <= self.max_length:
            raise ValueError(f"0 <= min_length <= max_length is needed; got {self.min_length} and {self.max_length}")

    @property
    def vocab_size(self):
        return len(SPECIAL_TOKENS) + self.num_symbols

    def answer(self, symbols):
        """What the model has to say: a list of ids, without start and end."""
        return ANSWERS[self.name](list(symbols))

    def batch(self, batch_size, seed=0, number=0):
        """A Batch of new rows; the same one for the same seed and number. Other seeds give other rows."""
        draw = random.Random(f"toy {seed} {number}")
        first = len(SPECIAL_TOKENS)
        sources = [
            draw.choices(range(first, self.vocab_size), k=draw.randint(self.min_length, self.max_length))
            for _ in range(batch_size)
        ]
        return Batch(pad_sources(sources), pad_targets([self.answer(source) for source in sources]))

    def batches(self, batch_size, seed=0, start=0):
        """Batches without end, from number `start` on."""
        number = start
        while True:
            yield self.batch(batch_size, seed, number)
            number += 1
