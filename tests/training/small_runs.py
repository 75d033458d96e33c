"""Small models and batches for the tests of training."""

from functools import cache

import torch

from clearformer.models import Transformer, TransformerConfig
from clearformer.training.settings import TrainingSettings

PAD, START, END = 0, 1, 2


def model(seed=0, dtype=torch.float64, dropout=0.0, **changes):
    config = TransformerConfig.preset("toy", 12, d_model=16, num_heads=2, d_ff=32, num_encoder_layers=1,
                                      num_decoder_layers=1, dropout=dropout, **changes)  # fmt: skip
    return Transformer(config, torch.Generator().manual_seed(seed)).to(dtype)


def pairs(lengths, seed=0):
    """A batch whose targets are its sources, turned round: (source_ids, target_ids), padded."""
    generator = torch.Generator().manual_seed(seed)
    source_ids = torch.full((len(lengths), max(lengths)), PAD)
    target_ids = torch.full((len(lengths), max(lengths) + 2), PAD)
    for source, target, length in zip(source_ids, target_ids, lengths, strict=True):
        source[:length] = torch.randint(3, 12, (length,), generator=generator)
        target[: length + 2] = torch.tensor([START, *source[:length].flip(0).tolist(), END])
    return source_ids, target_ids


@cache
def epoch_of_pairs(epoch, batches=5, rows=6):
    """Batches of an epoch, each with rows of many lengths."""
    generator = torch.Generator().manual_seed(1000 + epoch)
    return [
        pairs(torch.randint(1, 7, (rows,), generator=generator).tolist(), seed=100 * epoch + number)
        for number in range(batches)
    ]


def settings(**changes):
    return TrainingSettings(**{"max_steps": 6, "peak": 0.01, "warmup_steps": 4, "log_every": 1, **changes})


def weights(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def largest_difference(one, other):
    assert one.keys() == other.keys()
    return max((one[name] - other[name]).abs().max().item() for name in one)


def same_bits(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def batch(number, batches=5, rows=6):
    """Batch `number` since training began, of epochs of 5."""
    return epoch_of_pairs(number // batches, batches, rows)[number % batches]


def always(*one_epoch):
    """The batches given, again and again."""
    return lambda number: one_epoch[number % len(one_epoch)]
