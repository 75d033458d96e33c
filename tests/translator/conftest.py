"""A translator that is small enough to be made anew, and need not be good."""

import pytest
import torch

from clearformer.data.tokenizer import Tokenizer
from clearformer.models import Transformer, TransformerConfig
from clearformer.translator import Translator

LINES = ["A dog runs.", "Two dogs run on the beach.", "Ein Hund läuft.", "Zwei Hunde laufen am Strand."] * 3


@pytest.fixture(scope="session")
def tokenizer():
    return Tokenizer.train(LINES, 60)


@pytest.fixture
def translator(tokenizer):
    config = TransformerConfig.preset("toy", tokenizer.vocab_size, d_model=16, num_heads=2, d_ff=32)
    model = Transformer(config, torch.Generator().manual_seed(0))
    with torch.no_grad():  # as a saved one, so that saving changes nothing
        for weight in model.parameters():
            weight.copy_(weight.half())
    about = {"recipe": {"data_set": "tiny_translation", "text": "plain"}}
    return Translator(model, tokenizer, beam_size=3, length_penalty=0.5, about=about)
