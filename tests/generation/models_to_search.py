"""Models for the tests of greedy and beam search, and slow searches to compare with."""

import itertools
import math

import torch

from clearformer.models import Transformer, TransformerConfig

PAD, START, END = 0, 1, 2


def transformer(vocab_size=11, end_bias=0.0, seed=0, dropout=0.1, dtype=torch.float64, **changes):
    """A small random Transformer; end_bias makes it end sooner or later."""
    config = TransformerConfig.preset("toy", vocab_size, d_model=16, num_heads=2, d_ff=32, dropout=dropout,
                                      output_bias=True, **changes)  # fmt: skip
    model = Transformer(config, torch.Generator().manual_seed(seed)).to(dtype)
    with torch.no_grad():
        model.output.weight.mul_(3.0)  # so that one token is clearly likelier than another
        model.output.bias[END] = end_bias
    return model


class TableModel(torch.nn.Module):
    """Its logits are random numbers drawn from a seed, the row's source and its target so far. It has no cache."""

    class config:
        pad_id = PAD

    def __init__(self, vocab_size=5, seed=0, scale=2.0, end_bias=0.0):
        super().__init__()
        self.vocab_size, self.seed, self.scale, self.end_bias = vocab_size, seed, scale, end_bias
        self.rows_asked = []

    def encode(self, source_ids):
        return source_ids[:, :, None].double()

    def source_mask(self, source_ids):
        return (source_ids != PAD)[:, None, None, :]

    def decode(self, target_ids, memory, source_mask, cache=None):
        assert cache is None
        self.rows_asked.append(len(target_ids))
        return torch.stack([self._row(*row) for row in zip(target_ids, memory, source_mask, strict=True)])[:, None]

    def _row(self, ids, memory, mask):
        real = memory[mask[0, 0], 0].int().tolist()
        generator = torch.Generator().manual_seed(hash((self.seed, tuple(real), tuple(ids.tolist()))) % 2**63)
        logits = self.scale * torch.randn(self.vocab_size, generator=generator, dtype=torch.float64)
        logits[END] += self.end_bias
        return logits


def sources(*lengths, vocab_size=11, seed=0, width=None):
    """Random sources of these lengths, padded."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.zeros(len(lengths), width or max(lengths), dtype=torch.long)
    for row, length in zip(ids, lengths, strict=True):
        row[:length] = torch.randint(3, vocab_size, (length,), generator=generator)
    return ids


def next_token_logits(model, source, forbidden=(PAD,)):
    """For the exercises' searches: the model read without a cache, one sentence at a time, without padding."""
    source = source[source != PAD][None]
    model.eval()

    @torch.no_grad()
    def logits(ids):
        found = model.decode(torch.tensor([ids]), model.encode(source), model.source_mask(source))[0, -1].clone()
        found[list(forbidden)] = -math.inf
        return found

    return logits


def every_hypothesis(next_logits, vocab, max_len):
    """All (log-probability, ids) that end with END, or are cut at max_len."""
    for length in range(2, max_len + 1):
        for tokens in itertools.product(vocab, repeat=length - 1):
            if END in tokens[:-1] or (length < max_len and tokens[-1] != END):
                continue
            ids, total = [START], 0.0
            for token in tokens:
                total += torch.log_softmax(next_logits(ids), -1)[token].item()
                ids.append(token)
            yield total, ids


def trimmed(ids):
    """A row as a list, up to and with END."""
    ids = ids.tolist()
    return ids[: ids.index(END) + 1] if END in ids else ids
