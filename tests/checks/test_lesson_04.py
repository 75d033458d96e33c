"""Wrong answers to the exercises of lesson 04 that no misconception tells of, and right ones written in other ways."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from clearformer.checks import catalogue, judge_here
from clearformer.checks.catalogue.lesson_04_encoder_decoder.feed_forward import Plain as PlainFeedForward
from clearformer.checks.catalogue.lesson_04_encoder_decoder.wrong_layers import PlainDecoder, PlainEncoder
from clearformer.models import Transformer, TransformerConfig, count_parameters

SEEDS = (2017, 0, 1)


def status(name, target, seed=2017):
    return judge_here(catalogue.find(name), target, seed).status


class DropsTheSameForAllTokens(PlainFeedForward):
    def drop(self, hidden):
        return hidden * F.dropout(torch.ones_like(hidden[:, :1]), self.dropout, self.training)


class DropsTheSameForAllSentences(PlainFeedForward):
    def drop(self, hidden):
        return hidden * F.dropout(torch.ones_like(hidden[:1]), self.dropout, self.training)


class DropsWholeTokens(PlainFeedForward):
    def drop(self, hidden):
        return hidden * F.dropout(torch.ones_like(hidden[..., :1]), self.dropout, self.training)


class DropsOnceAnObject(PlainFeedForward):
    def drop(self, hidden):
        if not self.training:
            return hidden
        if getattr(self, "kept", None) is None or self.kept.shape != hidden.shape:
            self.kept = F.dropout(torch.ones_like(hidden), self.dropout)
        return hidden * self.kept


class LeakyRelu(PlainFeedForward):
    def activate(self, hidden):
        return F.leaky_relu(hidden, 1e-6)


class WithoutGradientOfX(PlainFeedForward):
    def forward(self, x):
        return super().forward(x.detach())


class InSinglePrecision(PlainFeedForward):
    def activate(self, hidden):
        return F.relu(hidden.float()).to(hidden.dtype)


@pytest.mark.parametrize(
    "sabotage",
    [
        DropsTheSameForAllTokens,
        DropsTheSameForAllSentences,
        DropsWholeTokens,
        DropsOnceAnObject,
        LeakyRelu,
        WithoutGradientOfX,
        InSinglePrecision,
    ],
)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_wrong_feed_forward_that_no_misconception_tells_of_does_not_pass(sabotage, seed):
    assert status("FeedForward", sabotage, seed) == "failed"


def changed(layer, **parts):
    return type("Changed", (layer,), parts)


def drops(shape):
    def drop(self, x):
        return x * F.dropout(torch.ones_like(x[shape]), self.dropout, self.training)

    return drop


def remembers_the_first_mask(name):
    """The attention called `name` keeps the first mask that it was given, for as long as that fits."""

    def attend(self, query, key, value, mask):
        first = self.__dict__.setdefault(f"first {name}", mask)
        fits = mask is not None and first is not None and first.shape == mask.shape
        return getattr(self, name)(query, key, value, first if fits else mask)

    return attend


def self_attention_remembers(self, x, mask):
    return remembers_the_first_mask("self_attention")(self, x, x, x, mask)


def cross_attention_remembers(self, x, memory, mask):
    return remembers_the_first_mask("cross_attention")(self, x, memory, memory, mask)


LAYERS = [("EncoderLayer", PlainEncoder), ("DecoderLayer", PlainDecoder)]
SABOTAGE = {
    "drops the same for all tokens": {"drop": drops((slice(None), slice(0, 1)))},
    "drops the same for all sentences": {"drop": drops((slice(0, 1),))},
    "drops whole tokens": {"drop": drops((..., slice(0, 1)))},
    "drops twice": {
        "drop": lambda self, x: F.dropout(F.dropout(x, self.dropout, self.training), self.dropout, self.training)
    },
    "drops too little": {"drop": lambda self, x: F.dropout(x, 0.5 * self.dropout, self.training)},
    "drops in evaluation alone": {"drop": lambda self, x: F.dropout(x, self.dropout, not self.training)},
    "norm in half the digits": {"add": lambda self, x, change, norm: norm(x + self.drop(change).float().double())},
    "half of the residual": {"add": lambda self, x, change, norm: norm(0.5 * x + self.drop(change))},
    "gradient of a sublayer lost": {"add": lambda self, x, change, norm: norm(x + self.drop(change.detach()))},
    "always causal": {
        "attend": lambda self, x, mask: self.self_attention(x, x, x, torch.ones(x.shape[1], x.shape[1]).tril().bool())
    },
}


@pytest.mark.parametrize("sabotage", SABOTAGE)
@pytest.mark.parametrize(("name", "layer"), LAYERS)
def test_a_wrong_layer_that_no_misconception_tells_of_does_not_pass(name, layer, sabotage):
    for seed in SEEDS:
        assert status(name, changed(layer, **SABOTAGE[sabotage]), seed) in ("failed", "error")


def test_a_layer_that_remembers_its_first_mask_does_not_pass():
    assert status("EncoderLayer", changed(PlainEncoder, attend=self_attention_remembers)) == "failed"
    assert status("DecoderLayer", changed(PlainDecoder, attend=self_attention_remembers)) == "failed"
    assert status("DecoderLayer", changed(PlainDecoder, cross=cross_attention_remembers)) == "failed"


@pytest.mark.parametrize(("name", "layer"), LAYERS)
def test_a_layer_of_ones_own_parts_passes(name, layer):
    """A learner may use the attention of lesson 03 as written there, with nn.Linear and softmax."""
    from clearformer.checks.catalogue.lesson_03_multi_head_attention.wrong_modules import Plain as OwnAttention

    own = changed(layer, attention=lambda self, num_heads: OwnAttention(self.d_model, num_heads, self.dropout))
    assert status(name, own) == "passed"


@pytest.mark.parametrize("library", [nn.TransformerEncoderLayer, nn.MultiheadAttention])
def test_the_librarys_own_layer_is_not_an_answer(library):
    def layer(d_model, num_heads, d_ff, dropout=0.0):
        return library(d_model, num_heads)

    verdict = judge_here(catalogue.find("EncoderLayer"), layer)
    assert (verdict.status, verdict.misconception) == ("failed", "calls-the-answer")


@pytest.mark.parametrize("sizes", [(1, 8, 6, 11), (3, 16, 20, 50)])
def test_the_count_by_hand_is_that_of_the_model(sizes):
    num_layers, d_model, d_ff, vocab_size = sizes
    model = Transformer(
        TransformerConfig(
            vocab_size=vocab_size,
            d_model=d_model,
            num_heads=2,
            d_ff=d_ff,
            num_encoder_layers=num_layers,
            num_decoder_layers=num_layers,
        )
    )
    assert count_parameters(*sizes) == sum(parameter.numel() for parameter in model.parameters())


def test_the_count_is_that_of_torchs_transformer_but_for_its_two_last_norms():
    library = nn.Transformer(16, 2, 3, 3, 20, batch_first=True)
    table, last_norms = 50 * 16, 2 * 2 * 16
    assert count_parameters(3, 16, 20, 50) == sum(p.numel() for p in library.parameters()) - last_norms + table


def test_the_base_model_has_the_papers_size():
    """Vaswani et al. 2017, table 3: 65 million, with a vocabulary of about 37,000."""
    assert count_parameters(6, 512, 2048, 37_000) == 63_082_496


def test_the_share_of_the_feed_forward_is_that_of_the_layer():
    from clearformer.nn import EncoderLayer

    layer = EncoderLayer(512, 8, 2048)
    share = sum(p.numel() for p in layer.feed_forward.parameters()) / sum(p.numel() for p in layer.parameters())
    assert share == catalogue.find("feed_forward_share").reference
