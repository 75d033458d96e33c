"""The formula counts what torch counts."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from clearformer.models import Transformer, TransformerConfig


@pytest.mark.parametrize(("sentences", "source", "target"), [(2, 5, 7), (3, 8, 4)])
def test_operations_of_forward_and_backward(script, sentences, source, target):
    config = TransformerConfig(
        vocab_size=50, d_model=16, num_heads=2, d_ff=24, num_encoder_layers=3, num_decoder_layers=2, dropout=0.0
    )
    model = Transformer(config)
    ids = torch.randint(4, 50, (sentences, source)), torch.randint(4, 50, (sentences, target))
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        model(*ids).sum().backward()
    assert script("flop").step_flop(config, sentences, source, target) == counter.get_total_flops()
