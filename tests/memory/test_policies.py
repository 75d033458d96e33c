"""Policies on our models: the plain gradients under each, the predicted bytes, and nothing left of one that is gone."""

import copy
import itertools

import pytest
import torch

from clearformer.memory import POLICIES, Work, checkpoint, measure, predict_encoder, set_policy, torch_checkpoint
from clearformer.models import Transformer, TransformerConfig
from clearformer.nn import Decoder, Encoder

ALL = [*POLICIES, 1, 2, 3, 5]


def randn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def gradients(model, forward):
    model.zero_grad()
    torch.manual_seed(3)
    output = forward()
    output.square().sum().backward()
    return [output, *(parameter.grad for parameter in model.parameters())]


def near(found, wanted):
    pairs = [*zip(found, wanted, strict=True)]
    return all(float((a - b).abs().max()) <= 1e-12 * max(1.0, float(b.abs().max())) for a, b in pairs)


def same(found, wanted):
    return all(map(torch.equal, found, wanted))


def encoder(num_layers=5, dropout=0.2, norm="post"):
    torch.manual_seed(0)
    return Encoder(num_layers, 8, 2, 16, dropout, norm).double()


def transformer(**changes):
    torch.manual_seed(0)
    sizes = dict(num_encoder_layers=3, num_decoder_layers=3, d_model=8, num_heads=2, d_ff=16, dropout=0.2)
    return Transformer(TransformerConfig(13, **sizes | changes)).double()


SOURCE = torch.tensor([[5, 6, 7, 2], [8, 2, 0, 0]])
TARGET = torch.tensor([[1, 4, 5], [1, 6, 0]])


@pytest.mark.parametrize("using", [checkpoint, torch_checkpoint])
@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("policy", ALL)
def test_an_encoder_has_the_plain_gradients(policy, norm, using):
    """To the bit; "attention" adds up its three gradients of x in another order."""
    model = encoder(norm=norm)
    x, mask = randn(2, 4, 8), torch.tensor([[True] * 4, [True, True, False, False]])[:, None, None]
    wanted = gradients(model, lambda: model(x, mask))
    found = gradients(set_policy(model, policy, using), lambda: model(x, mask))
    assert (near if policy == "attention" else same)(found, wanted)


@pytest.mark.parametrize("using", [checkpoint, torch_checkpoint])
@pytest.mark.parametrize("policy", [*POLICIES, 2])
@pytest.mark.parametrize("changes", [{}, {"norm": "pre", "share_embeddings": False}])
def test_a_transformer_has_the_plain_gradients(changes, policy, using):
    model = transformer(**changes)
    wanted = gradients(model, lambda: model(SOURCE, TARGET))
    found = gradients(set_policy(model, policy, using), lambda: model(SOURCE, TARGET))
    assert torch.equal(found[0], wanted[0])
    assert near(found, wanted)


@pytest.mark.parametrize("policy", [*POLICIES, 2])
def test_weights_names_and_writing_stay_what_they_are(policy):
    model = transformer(dropout=0.0)
    names, before = list(model.state_dict()), model(SOURCE, TARGET).detach()
    set_policy(model, policy)
    assert list(model.state_dict()) == names
    with torch.no_grad():
        memory = model.eval().encode(SOURCE)
        assert torch.equal(model.decode(TARGET, memory, model.source_mask(SOURCE)), before)
    maps = model.attention_maps(SOURCE, TARGET)
    assert maps.cross.shape == (3, 2, 2, 3, 4)


@pytest.mark.parametrize("policy", [*POLICIES, 2])
def test_a_cache_is_not_filled_twice(policy):
    from clearformer.nn import DecoderCache

    model = set_policy(transformer(dropout=0.0), policy)
    memory, mask, cache = model.encode(SOURCE), model.source_mask(SOURCE), DecoderCache()
    parts = [model.decode(TARGET[:, i : i + 1], memory, mask, cache) for i in range(3)]
    whole = model.decode(TARGET, memory, mask)
    assert float((torch.cat(parts, 1) - whole).abs().max()) < 1e-12


@pytest.mark.parametrize("policy", [*POLICIES, 2])
def test_a_copy_of_a_model_computes_with_its_own_weights(policy):
    model = set_policy(encoder(), policy)
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.5)
    x = randn(2, 4, 8)
    other.zero_grad(), model.zero_grad()
    other(x).sum().backward()
    assert all(parameter.grad is None for parameter in model.parameters())
    set_policy(model, "plain").load_state_dict(other.state_dict())
    assert torch.equal(model.eval()(x), other.eval()(x))


def test_a_new_policy_takes_the_place_of_the_one_before():
    model, x = encoder(dropout=0.0), randn(2, 4, 8)
    plain = measure(lambda: model(x).sum(), model)
    for policy in ALL:
        set_policy(model, policy)
    assert measure(lambda: set_policy(model, "plain")(x).sum(), model) == plain


@pytest.mark.parametrize("policy", [0, 6, True, "all", None, 2.0])
def test_a_policy_that_is_none_is_named_and_changes_nothing(policy):
    model = set_policy(encoder(dropout=0.0), 2)
    with pytest.raises(ValueError, match=r"policy must be|num_segments must be from 1 to 5"):
        set_policy(model, policy)
    assert model.run_layers.keywords["num_segments"] == 2
    with pytest.raises(ValueError, match="holds no Encoder and no Decoder"):
        set_policy(torch.nn.Linear(2, 2), "plain")


def test_the_decoder_beside_an_encoder_keeps_its_last_segment_alone():
    model = set_policy(transformer(), 2)
    assert not model.encoder.run_layers.keywords["keep_last"]
    assert model.decoder.run_layers.keywords["keep_last"]


# --- predicted against measured ----------------------------------------------------------------------------------

FORMS = [*itertools.product(("post", "pre"), (0.0, 0.1), (None, "bfloat16"))]


def measured_and_predicted(policy, norm, dropout, autocast, num_layers=6, mask=None):
    work = Work(2, 6, 8, 2, 24, dropout=dropout, norm=norm, autocast=autocast, mask=None if mask is None else "causal")
    torch.manual_seed(0)
    model = set_policy(Encoder(num_layers, 8, 2, 24, dropout, norm), policy)
    x = torch.randn(2, 6, 8, requires_grad=True)

    def forward():
        with torch.autocast("cpu", torch.bfloat16, enabled=bool(autocast)):
            return model(x * 1.0, mask).sum()

    return measure(forward, model), predict_encoder(work, num_layers, policy)


@pytest.mark.parametrize(("norm", "dropout", "autocast"), FORMS)
def test_the_bytes_of_every_policy_are_predicted_exactly(norm, dropout, autocast):
    for policy in (*POLICIES, 1, 2, 3, 4, 5):
        found, predicted = measured_and_predicted(policy, norm, dropout, autocast)
        assert (found.kept, found.peak) == (predicted.kept, predicted.peak), policy


def test_a_mask_counts_too():
    for policy in ("plain", "scores", "attention", 2):
        found, predicted = measured_and_predicted(policy, "post", 0.0, None, mask=torch.ones(6, 6).tril().bool())
        assert (found.kept, found.peak) == (predicted.kept, predicted.peak), policy


@pytest.mark.parametrize(("norm", "dropout"), [*itertools.product(("post", "pre"), (0.0, 0.1))])
def test_what_is_allocated_at_the_most_is_predicted_to_ten_in_a_hundred(norm, dropout):
    """By following every tensor: what a GPU's allocator counts, on a CPU."""
    sizes = dict(d_model=32, num_heads=4, d_ff=128)
    work = Work(4, 48, **sizes, dropout=dropout, norm=norm)
    model = Encoder(12, *sizes.values(), dropout, norm)
    x = torch.randn(4, 48, 32)
    for policy in ("plain", "scores", "attention", 2, 3, 6, "layers"):
        set_policy(model, policy)
        found, predicted = measure(lambda: model(x.clone()).mean(), model), predict_encoder(work, 12, policy)
        assert abs(found.allocated / predicted.kept - 1) < 0.01, policy
        assert abs(found.allocated_peak / (predicted.peak + predicted.working) - 1) < 0.1, policy


def test_with_few_tokens_it_is_the_gradients_of_weights_that_are_allocated():
    """A segment hands them back all at once, which a long batch hides."""
    work, model = Work(1, 8, 32, 4, 128), Encoder(12, 32, 4, 128)
    x = torch.randn(1, 8, 32)
    for policy in (2, 3, 6, "layers"):
        set_policy(model, policy)
        found, predicted = measure(lambda: model(x.clone()).mean(), model), predict_encoder(work, 12, policy)
        assert abs(found.allocated_peak / (predicted.peak + predicted.working) - 1) < 0.1, policy


def test_twenty_four_layers_in_five_segments_keep_less_than_a_third():
    for dropout in (0.0, 0.1):
        work = Work(8, 128, 128, 4, 512, dropout=dropout)
        plain, root = (predict_encoder(work, 24, policy) for policy in ("plain", 5))
        assert root.peak < 0.35 * plain.peak


def test_a_decoder_alone_takes_a_policy_too():
    torch.manual_seed(0)
    model = Decoder(4, 8, 2, 16, 0.1).double()
    x, memory = randn(2, 3, 8), randn(2, 5, 8, seed=1).requires_grad_()
    wanted = [*gradients(model, lambda: model(x, memory)), memory.grad.clone()]
    memory.grad = None
    found = [*gradients(set_policy(model, 2), lambda: model(x, memory)), memory.grad]
    assert near(found, wanted)
