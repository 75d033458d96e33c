"""count_parameters: by formula as by counting."""

import pytest
import torch

from clearformer.models import Transformer, TransformerConfig, count_parameters


def counted(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_base_model_has_63_082_496_parameters():
    with torch.device("meta"):  # sizes without numbers
        model = Transformer(TransformerConfig.preset("base", vocab_size=37000))
    assert counted(model) == count_parameters(6, 512, 2048, 37000) == 63_082_496
    parts = [counted(part) for part in (model.encoder, model.decoder, model.source_embedding)]
    assert parts == [18_914_304, 25_224_192, 18_944_000]


@pytest.mark.parametrize("sizes", [(1, 4, 6, 3), (2, 8, 5, 11), (3, 12, 30, 7)])
def test_other_sizes_are_counted_alike(sizes):
    num_layers, d_model, d_ff, vocab_size = sizes
    config = TransformerConfig(
        vocab_size,
        d_model=d_model,
        num_heads=2,
        d_ff=d_ff,
        num_encoder_layers=num_layers,
        num_decoder_layers=num_layers,
    )
    assert counted(Transformer(config)) == count_parameters(*sizes)
