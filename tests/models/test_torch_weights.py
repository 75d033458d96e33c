"""Weights from and to torch.nn.Transformer: the same outputs and gradients, for every mask, and there and back."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from clearformer.models import Transformer, TransformerConfig, from_torch, paired_parameters, to_torch
from clearformer.nn import DecoderLayer, EncoderLayer

EXACT = 1e-10  # the largest difference in float64
VOCAB = 11
# torch.nn.Transformer says at its making that one of its short cuts will not be taken.
pytestmark = pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")


def config(**changes):
    sizes = dict(d_model=8, num_heads=2, d_ff=16, num_encoder_layers=2, num_decoder_layers=3, dropout=0.0)
    return TransformerConfig(**{"vocab_size": VOCAB, **sizes, **changes})


def randomise(module, seed=0):
    """Every parameter its own random numbers, norms and biases too, so that each of them counts."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / math.sqrt(parameter.shape[-1]))
    return module


def largest_difference(actual, expected):
    assert actual.shape == expected.shape
    return (actual.detach() - expected.detach()).abs().max().item()


def ids(*rows):
    return torch.tensor(rows)


# 0 is padding. In front of a target it leaves the first tokens nothing to attend to.
SOURCES = {
    "no padding": ids([3, 4, 5, 6], [7, 8, 9, 10], [3, 3, 5, 4]),
    "padding at the end": ids([3, 4, 0, 0], [7, 8, 9, 10], [3, 0, 0, 0]),
    "padding in front": ids([0, 0, 5, 6], [7, 8, 9, 10], [0, 3, 5, 4]),
    "padding inside": ids([3, 0, 5, 6], [7, 0, 0, 10], [3, 3, 0, 4]),
    "padding alone": ids([3, 4, 5, 6], [0, 0, 0, 0], [3, 3, 5, 0]),
}
TARGETS = {
    "no padding": ids([1, 4, 5, 6, 7], [1, 8, 9, 10, 3], [1, 3, 5, 4, 3]),
    "padding at the end": ids([1, 4, 5, 0, 0], [1, 8, 9, 10, 3], [1, 0, 0, 0, 0]),
    "padding in front": ids([0, 0, 1, 6, 7], [1, 8, 9, 10, 3], [0, 1, 5, 4, 3]),
    "padding inside": ids([1, 0, 5, 6, 7], [1, 8, 0, 0, 3], [1, 3, 5, 0, 3]),
    "padding alone": ids([1, 4, 5, 6, 7], [0, 0, 0, 0, 0], [1, 3, 5, 4, 3]),
}


def with_torchs_stacks(ours, theirs, source_ids, target_ids):
    """Our embeddings and output, torch's encoder and decoder between them."""
    length = target_ids.shape[1]
    states = theirs(
        ours.positions(ours.source_embedding(source_ids)),
        ours.positions(ours.target_embedding(target_ids)),
        tgt_mask=torch.ones(length, length, dtype=torch.bool).triu(1),
        src_key_padding_mask=source_ids == 0,
        tgt_key_padding_mask=target_ids == 0,
        memory_key_padding_mask=source_ids == 0,
    )
    return ours.output(states)


@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("target", TARGETS)
def test_outputs_and_gradients_equal_torch_nn_transformer(norm, source, target):
    ours = randomise(Transformer(config(norm=norm)).double())
    theirs = to_torch(ours)
    logits = ours(SOURCES[source], TARGETS[target])
    weights = torch.randn(logits.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    (logits * weights).sum().backward()
    outside = (ours.source_embedding.weight,)  # both embeddings and the output
    our_gradients = [parameter.grad.clone() for parameter in outside]
    for parameter in outside:
        parameter.grad = None
    their_logits = with_torchs_stacks(ours, theirs, SOURCES[source], TARGETS[target])
    (their_logits * weights).sum().backward()
    assert largest_difference(logits, their_logits) <= EXACT
    for mine, parameter in zip(our_gradients, outside, strict=True):
        assert largest_difference(mine, parameter.grad) <= EXACT
    pairs = list(paired_parameters(ours, theirs))
    assert sum(len(parts) for _, parts, _ in pairs) == len(list(ours.parameters())) - len(outside)
    assert len(pairs) == len(list(theirs.parameters()))
    for name, parts, whole in pairs:
        assert largest_difference(torch.cat([part.grad for part in parts]), whole.grad) <= EXACT, name


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu", nn.ReLU(), F.gelu])
def test_torchs_own_transformer_can_be_read_as_it_comes(norm_first, activation):
    """It has a norm after the last layer, with post-norm too."""
    theirs = nn.Transformer(
        8, 2, 3, 2, 16, 0.0, activation, batch_first=True, norm_first=norm_first, dtype=torch.float64
    )
    randomise(theirs)
    ours = from_torch(theirs, VOCAB)
    assert (ours.config.num_encoder_layers, ours.config.num_decoder_layers, ours.config.final_norm) == (3, 2, True)
    source_ids, target_ids = SOURCES["padding at the end"], TARGETS["padding inside"]
    expected = with_torchs_stacks(ours, theirs, source_ids, target_ids)
    assert largest_difference(ours(source_ids, target_ids), expected) <= EXACT


@pytest.mark.parametrize("changes", [{}, {"norm": "pre"}, {"final_norm": True}, {"activation": "gelu", "dropout": 0.2}])
def test_there_and_back_gives_the_same_weights(changes):
    ours = randomise(Transformer(config(**changes)))
    back = from_torch(to_torch(ours), VOCAB)
    assert back.config == TransformerConfig.from_dict({**ours.config.to_dict(), "final_norm": back.config.final_norm})
    assert back.config.has_final_norm == ours.config.has_final_norm
    for side in ("encoder", "decoder"):
        mine, theirs = getattr(ours, side).state_dict(), getattr(back, side).state_dict()
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[name], theirs[name]) for name in mine)


@pytest.mark.parametrize("kind", [EncoderLayer, DecoderLayer])
@pytest.mark.parametrize("norm", ["post", "pre"])
def test_one_layer_there_and_back(kind, norm):
    ours = randomise(kind(8, 2, 16, 0.3, norm, "gelu").double()).eval()
    back = from_torch(to_torch(ours))
    assert not back.training
    assert (back.norm_placement, back.dropout.p, back.self_attention.dropout) == (norm, 0.3, 0.3)
    assert back.feed_forward.activation == "gelu"
    assert all(torch.equal(back.state_dict()[name], weight) for name, weight in ours.state_dict().items())


def test_it_is_a_copy():
    ours = Transformer(config())
    theirs = to_torch(ours)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.zero_()
    assert all((layer.self_attention.query_proj.weight != 0).any() for layer in ours.encoder.layers)


def test_what_torch_does_not_know_can_be_said():
    ours = from_torch(
        nn.Transformer(8, 2, 1, 1, 16), VOCAB, torch.Generator().manual_seed(0), pad_id=3, share_embeddings=False
    )
    again = from_torch(to_torch(ours), VOCAB, torch.Generator().manual_seed(0), pad_id=3, share_embeddings=False)
    assert ours.config.pad_id == 3
    assert torch.equal(ours.output.weight, again.output.weight)


def transformer(**keywords):
    return nn.Transformer(8, 2, 1, 1, 16, **keywords)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: from_torch(transformer()), r"vocab_size is missing"),
        (lambda: from_torch(transformer(bias=False), VOCAB), r"must have biases"),
        (lambda: from_torch(transformer(layer_norm_eps=1e-6), VOCAB), r"ε = 1e-5 .* got LayerNorm.*eps=1e-06"),
        (lambda: from_torch(transformer(activation=F.silu), VOCAB), r"'relu' and 'gelu'; got <function silu"),
        (lambda: from_torch(transformer(activation=nn.GELU("tanh")), VOCAB), r"'relu' and 'gelu'; got GELU"),
        (lambda: from_torch(transformer(custom_encoder=nn.Identity()), VOCAB), r"not custom ones"),
        (lambda: from_torch(transformer(), VOCAB, d_model=8), r"theirs says already what these are: d_model"),
        (lambda: from_torch(transformer(), VOCAB, layers=8), r"unknown in a TransformerConfig: layers"),
        (lambda: from_torch(nn.TransformerEncoderLayer(8, 2), VOCAB), r"belong to a torch.nn.Transformer"),
        (lambda: from_torch(nn.Linear(2, 2)), r"theirs must be a torch.nn.Transformer .* got Linear"),
        (lambda: to_torch(nn.Linear(2, 2)), r"ours must be a Transformer, .* got Linear"),
        (lambda: to_torch(Transformer(config(activation="silu"))), r"'relu' and 'gelu'; got 'silu'"),
        (lambda: to_torch(EncoderLayer(8, 2, 16, activation="silu")), r"'relu' and 'gelu'; got 'silu'"),
    ],
)
def test_what_cannot_be_copied_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_layers_that_differ_are_refused():
    theirs = nn.Transformer(8, 2, 2, 2, 16)
    theirs.encoder.layers[1].norm_first = True
    with pytest.raises(ValueError, match=r"the layers of theirs must be alike"):
        from_torch(theirs, VOCAB)
    theirs = nn.Transformer(8, 2, 2, 2, 16)
    theirs.encoder.norm = None
    with pytest.raises(ValueError, match=r"encoder and decoder end alike"):
        from_torch(theirs, VOCAB)
