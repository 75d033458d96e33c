"""EncoderLayer and Encoder: against torch's layer, by laws, and where a token may attend to nothing."""

import math

import pytest
import torch
from torch import nn

from clearformer.models import paired_parameters, to_torch
from clearformer.nn import DecoderOnlyCache, Encoder, EncoderLayer

EXACT = 1e-10  # the largest difference in float64
LENGTH = 5


def randomise(module, seed=0):
    """Every parameter its own random numbers, norms and biases too, so that each of them counts."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / math.sqrt(parameter.shape[-1]))
    return module


def randn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def make(norm="post", seed=0, **keywords):
    return randomise(EncoderLayer(8, 2, 16, norm=norm, **keywords).double(), seed)


def padding(*hidden):
    """(batch, 1, 1, LENGTH): which positions of each sequence are padding."""
    mask = torch.ones(len(hidden), 1, 1, LENGTH, dtype=torch.bool)
    for row, positions in enumerate(hidden):
        mask[row, ..., list(positions)] = False
    return mask


CAUSAL = torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril()
PADDINGS = {
    "no padding": padding((), (), ()),
    "padding at the end": padding((), (4,), (2, 3, 4)),
    "padding in front": padding((0,), (), (0, 1, 2)),
    "padding inside": padding((1,), (1, 3), ()),
    "a sequence of padding alone": padding((), range(LENGTH), (4,)),
}
# name: (our mask, what torch's layer is given). Causal with padding in front hides all keys of the first queries.
MASKS = {
    "none": (None, {}),
    "causal": (CAUSAL, {"src_mask": ~CAUSAL}),
    **{name: (mask, {"src_key_padding_mask": ~mask[:, 0, 0]}) for name, mask in PADDINGS.items()},
    **{
        f"causal, {name}": (mask & CAUSAL, {"src_mask": ~CAUSAL, "src_key_padding_mask": ~mask[:, 0, 0]})
        for name, mask in PADDINGS.items()
    },
}


def largest_difference(actual, expected):
    assert actual.shape == expected.shape
    return (actual.detach() - expected.detach()).abs().max().item() if actual.numel() else 0.0


@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("mask", MASKS)
def test_outputs_and_gradients_equal_torchs_layer(norm, mask):
    ours = make(norm)
    theirs = to_torch(ours)
    mask, keywords = MASKS[mask]
    our_x, their_x = randn(3, LENGTH, 8, seed=1).requires_grad_(), randn(3, LENGTH, 8, seed=1).requires_grad_()
    our_output, their_output = ours(our_x, mask), theirs(their_x, **keywords)
    assert largest_difference(our_output, their_output) <= EXACT
    grad_output = randn(3, LENGTH, 8, seed=2)
    our_output.backward(grad_output)
    their_output.backward(grad_output)
    assert largest_difference(our_x.grad, their_x.grad) <= EXACT
    pairs = list(paired_parameters(ours, theirs))
    assert sum(len(parts) for _, parts, _ in pairs) == len(list(ours.parameters()))
    for name, parts, whole in pairs:
        assert largest_difference(torch.cat([part.grad for part in parts]), whole.grad) <= EXACT, name


def test_gelu_equals_torchs_layer_too():
    ours = make(activation="gelu")
    x = randn(3, LENGTH, 8)
    assert largest_difference(ours(x), to_torch(ours)(x)) <= EXACT


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_a_stack_equals_torchs_stack_with_and_without_a_final_norm(norm):
    for final_norm in (None, True, False):
        ours = randomise(Encoder(3, 8, 2, 16, norm=norm, final_norm=final_norm).double())
        theirs = nn.TransformerEncoder(to_torch(ours.layers[0]), 3, enable_nested_tensor=False)
        theirs.layers = nn.ModuleList(to_torch(layer) for layer in ours.layers)
        theirs.norm = ours.final_norm
        x, mask = randn(3, LENGTH, 8), PADDINGS["padding inside"]
        assert largest_difference(ours(x, mask), theirs(x, src_key_padding_mask=~mask[:, 0, 0])) <= EXACT
        assert isinstance(ours.final_norm, nn.LayerNorm) == (norm == "pre" if final_norm is None else final_norm)


def test_the_layers_of_a_stack_have_weights_of_their_own():
    encoder = Encoder(3, 8, 2, 16)
    assert len({id(parameter) for parameter in encoder.parameters()}) == 3 * 16


# laws


def test_padding_does_not_matter_wherever_it_is():
    encoder, x = randomise(Encoder(2, 8, 2, 16).double()), randn(2, 3, 8)
    for real in ([0, 1, 2], [2, 3, 4], [0, 2, 4]):
        padded = 100 * randn(2, LENGTH, 8, seed=6)
        padded[:, real] = x
        mask = torch.zeros(2, 1, 1, LENGTH, dtype=torch.bool)
        mask[..., real] = True
        assert largest_difference(encoder(padded, mask)[:, real], encoder(x)) <= EXACT


def test_a_mask_that_hides_nothing_changes_nothing():
    layer, x = make(), randn(3, LENGTH, 8)
    assert torch.equal(layer(x, torch.ones(LENGTH, LENGTH, dtype=torch.bool)), layer(x))


def test_future_tokens_do_not_change_the_past_under_a_causal_mask():
    encoder, x = randomise(Encoder(2, 8, 2, 16).double()), randn(2, LENGTH, 8)
    changed = torch.cat([x[:, :3], 10 * randn(2, 2, 8, seed=5)], dim=1)
    assert largest_difference(encoder(changed, CAUSAL)[:, :3], encoder(x, CAUSAL)[:, :3]) <= EXACT
    assert largest_difference(encoder(changed, CAUSAL)[:, 3:], encoder(x, CAUSAL)[:, 3:]) > 1e-3


def test_without_positions_the_order_of_tokens_does_not_matter():
    encoder, x, order = randomise(Encoder(2, 8, 2, 16).double()), randn(2, LENGTH, 8), [3, 0, 4, 1, 2]
    assert largest_difference(encoder(x[:, order]), encoder(x)[:, order]) <= EXACT


def test_a_sequence_of_padding_alone_stays_finite_and_leaves_the_others_alone():
    encoder, x = randomise(Encoder(2, 8, 2, 16).double()), randn(3, LENGTH, 8).requires_grad_()
    output = encoder(x, padding((), range(LENGTH), ()))
    assert output.isfinite().all()
    assert largest_difference(output[[0, 2]], encoder(x[[0, 2]])) <= EXACT
    output.sum().backward()
    assert x.grad.isfinite().all()


def test_a_sentence_without_tokens_has_no_states():
    assert Encoder(2, 8, 2, 16)(torch.zeros(2, 0, 8)).shape == (2, 0, 8)


# training and evaluation


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_dropout_acts_in_training_only(norm):
    layer, x = make(norm, dropout=0.5), randn(3, LENGTH, 8)
    plain = make(norm)(x)
    assert torch.equal(layer.eval()(x), plain)
    torch.manual_seed(0)
    first, second = layer.train()(x), layer(x)
    assert largest_difference(first, plain) > 1e-3
    assert largest_difference(first, second) > 1e-3
    torch.manual_seed(0)
    assert torch.equal(layer(x), first)


def test_dropout_of_everything_leaves_the_residual_connections():
    """So it acts on the output of both sublayers: biases are gone too."""
    layer, x = make("pre", dropout=1.0), randn(3, LENGTH, 8)
    assert torch.equal(layer.train()(x), x)


@pytest.mark.parametrize("place", ["attention weights", "after the activation"])
def test_dropout_acts_inside_both_sublayers(place):
    layer = make(dropout=0.5)
    inside = layer.self_attention if place == "attention weights" else layer.feed_forward
    assert (inside.dropout if place == "attention weights" else inside.dropout.p) == 0.5


def test_inputs_and_mask_are_not_changed():
    x, mask = randn(3, LENGTH, 8), PADDINGS["padding in front"] & CAUSAL
    copies = x.clone(), mask.clone()
    make()(x, mask)
    assert torch.equal(x, copies[0])
    assert torch.equal(mask, copies[1])


def test_it_has_the_names_of_the_course():
    names = {name.rsplit(".", 1)[0] for name, _ in make().named_parameters()}
    projections = {f"self_attention.{name}_proj" for name in ("query", "key", "value", "output")}
    assert names == projections | {"feed_forward.linear1", "feed_forward.linear2", "norm1", "norm2"}
    assert "norm='pre'" in repr(make("pre"))


X = torch.ones(2, 3, 8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: EncoderLayer(8, 3, 16), r"num_heads must divide d_model; got d_model = 8, num_heads = 3"),
        (lambda: EncoderLayer(8, 2, 0), r"d_ff must be a whole number of at least 1; got 0"),
        (lambda: EncoderLayer(8, 2, 16, dropout=2), r"dropout must be from 0 to 1; got 2"),
        (lambda: Encoder(0, 8, 2, 16), r"num_layers must be a whole number of at least 1; got 0"),
        (lambda: Encoder(1, 8, 2, 16)(X[..., :7]), r"x must have shape .* d_model = 8; got \(2, 3, 7\)"),
        (lambda: EncoderLayer(8, 2, 16, norm="pre")(X[..., :7]), r"x must have shape .* d_model = 8; got \(2, 3, 7\)"),
        (lambda: Encoder(1, 8, 2, 16)(X.long()), r"x must be a tensor of floats; got torch.int64"),
        (lambda: Encoder(1, 8, 2, 16)(X, torch.ones(3, 3)), r"mask must be a bool tensor.* got torch.float32"),
        (lambda: Encoder(1, 8, 2, 16)(X, torch.ones(3, 2).bool()), r"mask .* \(2, 2, 3, 3\); got \(3, 2\)"),
        (lambda: EncoderLayer(8, 2, 16)(X, torch.ones(2, 3, 3).bool()[:, :2]), r"mask .* got \(2, 2, 3\)"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("norm", ["post", "pre"])
@torch.no_grad()
def test_with_a_causal_mask_and_a_cache_pieces_are_the_whole(norm):
    encoder, x = randomise(Encoder(3, 8, 2, 16, norm=norm).double()), randn(2, LENGTH, 8)
    cache, whole = DecoderOnlyCache(3), encoder(x, CAUSAL)
    pieces = [encoder(x[:, a:b], CAUSAL[a:b, :b], cache) for a, b in ((0, 2), (2, 3), (3, 5))]
    assert (torch.cat(pieces, dim=1) - whole).abs().max() <= EXACT
    assert cache.length == LENGTH
    with pytest.raises(ValueError, match="mask must be broadcastable"):
        encoder(x, CAUSAL, cache)
