"""decoder_mask, DecoderLayer and Decoder: against torch's layer, by laws, and where a token may attend to nothing."""

import math

import pytest
import torch
from torch import nn

from clearformer.models import paired_parameters, to_torch
from clearformer.nn import Decoder, DecoderCache, DecoderLayer, decoder_mask

EXACT = 1e-10  # the largest difference in float64
LENGTH, SOURCE = 5, 4


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
    return randomise(DecoderLayer(8, 2, 16, norm=norm, **keywords).double(), seed)


def padding(length, *hidden):
    """(batch, 1, 1, length): which positions of each sequence are padding."""
    mask = torch.ones(len(hidden), 1, 1, length, dtype=torch.bool)
    for row, positions in enumerate(hidden):
        mask[row, ..., list(positions)] = False
    return mask


CAUSAL = torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril()
# name: (our mask, torch's mask, torch's key padding mask)
TARGET_MASKS = {
    "none": (None, None, None),
    "causal": (CAUSAL, ~CAUSAL, None),
    **{
        f"causal, {name}": (mask & CAUSAL, ~CAUSAL, ~mask[:, 0, 0])
        for name, mask in {
            "padding at the end": padding(LENGTH, (), (4,), (2, 3, 4)),
            "padding in front": padding(LENGTH, (0,), (), (0, 1, 2)),
            "padding inside": padding(LENGTH, (1,), (1, 3), ()),
            "a target of padding alone": padding(LENGTH, (), range(LENGTH), (4,)),
        }.items()
    },
    "padding inside": (padding(LENGTH, (1,), (), (0, 4)), None, ~padding(LENGTH, (1,), (), (0, 4))[:, 0, 0]),
}
MEMORY_MASKS = {
    "none": None,
    "padding at the end": padding(SOURCE, (3,), (), (1, 2, 3)),
    "padding in front": padding(SOURCE, (), (0, 1), (0,)),
    "padding inside": padding(SOURCE, (1,), (2,), (1, 2)),
    "a source of padding alone": padding(SOURCE, (), (), range(SOURCE)),
}


def largest_difference(actual, expected):
    assert actual.shape == expected.shape
    return (actual.detach() - expected.detach()).abs().max().item() if actual.numel() else 0.0


# decoder_mask


@pytest.mark.parametrize("pad_id", [0, 7])
def test_a_token_may_look_at_itself_and_what_stands_before_it_but_not_at_padding(pad_id):
    ids = torch.tensor([[pad_id, 5, pad_id, 6], [5, 7 - pad_id, 6, pad_id]])
    mask = decoder_mask(ids, pad_id)
    assert mask.shape == (2, 1, 4, 4)
    assert mask.dtype == torch.bool
    for row in range(2):
        for query in range(4):
            for key in range(4):
                assert mask[row, 0, query, key] == (key <= query and ids[row, key] != pad_id)


def test_rows_of_padding_still_look_at_what_stands_before_them():
    assert decoder_mask(torch.tensor([[5, 6, 0]]))[0, 0, 2].tolist() == [True, True, False]


def test_from_a_start_on_the_mask_has_only_the_later_rows():
    ids = torch.tensor([[5, 0, 6, 7, 0]])
    for start in range(6):
        assert torch.equal(decoder_mask(ids, 0, start), decoder_mask(ids)[:, :, start:])


def test_without_a_pad_id_it_is_causal_alone():
    assert torch.equal(decoder_mask(torch.zeros(3, LENGTH, dtype=torch.long), None)[0, 0], CAUSAL)


def test_hides_nothing_of_an_empty_target():
    assert decoder_mask(torch.zeros(2, 0, dtype=torch.long)).shape == (2, 1, 0, 0)


@pytest.mark.parametrize(
    ("ids", "start", "message"),
    [
        (torch.tensor([1, 2]), 0, r"token_ids must be a tensor of whole numbers \(batch, T\); got torch.int64 \(2,\)"),
        (torch.ones(2, 3), 0, r"token_ids .* got torch.float32 \(2, 3\)"),
        ([[1]], 0, r"token_ids .* got <class 'list'>"),
        (torch.tensor([[1, 2]]), 3, r"start must be from 0 to T = 2; got 3"),
        (torch.tensor([[1, 2]]), -1, r"start must be from 0 to T = 2; got -1"),
    ],
)
def test_bad_ids_for_a_mask_are_named(ids, start, message):
    with pytest.raises(ValueError, match=message):
        decoder_mask(ids, 0, start)


# against torch's layer


@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("target", TARGET_MASKS)
@pytest.mark.parametrize("memory", MEMORY_MASKS)
def test_outputs_and_gradients_equal_torchs_layer(norm, target, memory):
    ours = make(norm)
    theirs = to_torch(ours)
    target_mask, their_mask, their_padding = TARGET_MASKS[target]
    memory_mask = MEMORY_MASKS[memory]
    hidden = None if memory_mask is None else ~memory_mask[:, 0, 0]
    our_inputs, their_inputs = (
        [randn(3, LENGTH, 8, seed=1).requires_grad_(), randn(3, SOURCE, 8, seed=2).requires_grad_()] for _ in range(2)
    )
    our_output = ours(*our_inputs, target_mask, memory_mask)
    their_output = theirs(
        *their_inputs, tgt_mask=their_mask, tgt_key_padding_mask=their_padding, memory_key_padding_mask=hidden
    )
    assert largest_difference(our_output, their_output) <= EXACT
    grad_output = randn(3, LENGTH, 8, seed=3)
    our_output.backward(grad_output)
    their_output.backward(grad_output)
    for mine, torchs in zip(our_inputs, their_inputs, strict=True):
        assert largest_difference(mine.grad, torchs.grad) <= EXACT
    pairs = list(paired_parameters(ours, theirs))
    assert sum(len(parts) for _, parts, _ in pairs) == len(list(ours.parameters()))
    for name, parts, whole in pairs:
        assert largest_difference(torch.cat([part.grad for part in parts]), whole.grad) <= EXACT, name


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_a_stack_equals_torchs_stack_with_and_without_a_final_norm(norm):
    for final_norm in (None, True, False):
        ours = randomise(Decoder(3, 8, 2, 16, norm=norm, final_norm=final_norm).double())
        theirs = nn.TransformerDecoder(to_torch(ours.layers[0]), 3)
        theirs.layers = nn.ModuleList(to_torch(layer) for layer in ours.layers)
        theirs.norm = ours.final_norm
        x, memory, mask = randn(3, LENGTH, 8), randn(3, SOURCE, 8, seed=1), MEMORY_MASKS["padding inside"]
        expected = theirs(x, memory, tgt_mask=~CAUSAL, memory_key_padding_mask=~mask[:, 0, 0])
        assert largest_difference(ours(x, memory, CAUSAL, mask), expected) <= EXACT
        assert isinstance(ours.final_norm, nn.LayerNorm) == (norm == "pre" if final_norm is None else final_norm)


# laws


def test_future_tokens_do_not_change_the_past():
    decoder, x, memory = randomise(Decoder(2, 8, 2, 16).double()), randn(2, LENGTH, 8), randn(2, SOURCE, 8, seed=1)
    changed = torch.cat([x[:, :3], 10 * randn(2, 2, 8, seed=5)], dim=1)
    before, after = decoder(x, memory, CAUSAL), decoder(changed, memory, CAUSAL)
    assert largest_difference(after[:, :3], before[:, :3]) <= EXACT
    assert largest_difference(after[:, 3:], before[:, 3:]) > 1e-3


def test_padding_of_the_source_does_not_matter_wherever_it_is():
    decoder, x, memory = randomise(Decoder(2, 8, 2, 16).double()), randn(2, LENGTH, 8), randn(2, 3, 8, seed=1)
    for real in ([0, 1, 2], [2, 3, 4], [0, 2, 4]):
        padded = 100 * randn(2, 5, 8, seed=6)
        padded[:, real] = memory
        mask = torch.zeros(2, 1, 1, 5, dtype=torch.bool)
        mask[..., real] = True
        assert largest_difference(decoder(x, padded, CAUSAL, mask), decoder(x, memory, CAUSAL)) <= EXACT


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_every_token_reads_the_memory(norm):
    layer, x, memory = make(norm), randn(1, LENGTH, 8), randn(1, SOURCE, 8, seed=1)
    changed = layer(x, memory + randn(1, SOURCE, 8, seed=2), CAUSAL) - layer(x, memory, CAUSAL)
    assert (changed.abs().amax(dim=-1) > 1e-3).all()


def test_a_source_of_padding_alone_stays_finite_and_leaves_the_others_alone():
    decoder, x, memory = randomise(Decoder(2, 8, 2, 16).double()), randn(3, LENGTH, 8), randn(3, SOURCE, 8, seed=1)
    output = decoder(x, memory, CAUSAL, MEMORY_MASKS["a source of padding alone"])
    assert output.isfinite().all()
    assert largest_difference(output[:2], decoder(x[:2], memory[:2], CAUSAL)) <= EXACT


def test_an_empty_source_counts_as_one_of_padding_alone():
    decoder, x = randomise(Decoder(2, 8, 2, 16).double()), randn(3, LENGTH, 8)
    hidden = torch.zeros(3, 1, 1, SOURCE, dtype=torch.bool)
    expected = decoder(x, randn(3, SOURCE, 8), CAUSAL, hidden)
    assert largest_difference(decoder(x, torch.zeros(3, 0, 8).double(), CAUSAL), expected) <= EXACT


# training and evaluation


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_dropout_acts_in_training_only(norm):
    layer, x, memory = make(norm, dropout=0.5), randn(3, LENGTH, 8), randn(3, SOURCE, 8, seed=1)
    plain = make(norm)(x, memory, CAUSAL)
    assert torch.equal(layer.eval()(x, memory, CAUSAL), plain)
    torch.manual_seed(0)
    first, second = layer.train()(x, memory, CAUSAL), layer(x, memory, CAUSAL)
    assert largest_difference(first, plain) > 1e-3
    assert largest_difference(first, second) > 1e-3


def test_dropout_of_everything_leaves_the_residual_connections():
    """So it acts on the output of all three sublayers: biases are gone too."""
    layer, x = make("pre", dropout=1.0), randn(3, LENGTH, 8)
    assert torch.equal(layer.train()(x, randn(3, SOURCE, 8)), x)


def test_it_has_the_names_of_the_course():
    names = {name.rsplit(".", 1)[0] for name, _ in make().named_parameters()}
    projections = {
        f"{attention}_attention.{name}_proj"
        for attention in ("self", "cross")
        for name in ("query", "key", "value", "output")
    }
    assert names == projections | {"feed_forward.linear1", "feed_forward.linear2", "norm1", "norm2", "norm3"}


X, MEMORY = torch.ones(2, 3, 8), torch.ones(2, 4, 8)


def decoder(*arguments, **keywords):
    return Decoder(1, 8, 2, 16)(*arguments, **keywords)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: DecoderLayer(8, 3, 16), r"num_heads must divide d_model; got d_model = 8, num_heads = 3"),
        (lambda: Decoder(True, 8, 2, 16), r"num_layers must be a whole number of at least 1; got True"),
        (lambda: decoder(X[..., :7], MEMORY), r"x must have shape .* d_model = 8; got \(2, 3, 7\)"),
        (lambda: decoder(X[0], MEMORY), r"x must have shape \(batch, T, d_model\); got \(3, 8\)"),
        (lambda: decoder(X, MEMORY[..., :7]), r"memory must have shape .* d_model = 8; got \(2, 4, 7\)"),
        (lambda: decoder(X, None), r"memory must be a tensor of floats; got NoneType"),
        (lambda: decoder(X, MEMORY[:1]), r"memory .* batch of x; got x \(2, 3, 8\), memory \(1, 4, 8\)"),
        (lambda: DecoderLayer(8, 2, 16)(X, MEMORY[:1]), r"same leading axes.* query \(2, 3, 8\), key \(1, 4, 8\)"),
        (lambda: decoder(X, MEMORY, torch.ones(3, 4).bool()), r"mask .* \(2, 2, 3, 3\); got \(3, 4\)"),
        (
            lambda: decoder(X, MEMORY, None, torch.ones(2, 1, 1, 3).bool()),
            r"mask .* \(2, 2, 3, 4\); got \(2, 1, 1, 3\)",
        ),
        (lambda: decoder(X, MEMORY, None, torch.ones(2, 4).long()), r"mask must be a bool tensor.* got torch.int64"),
        (
            lambda: decoder(X, MEMORY, None, torch.ones(3, 4).bool(), DecoderCache()),
            r"mask .* \(2, 2, 1, 4\); got \(3, 4\)",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
