"""The bill of what a layer keeps, beside what autograd's hooks see: tensor by tensor, on a CPU."""

import contextlib
from collections import Counter

import pytest
import torch

from clearformer.memory import SavedTensors, Work, decoder_layer_kept, encoder_layer_kept, total_bytes
from clearformer.memory.activations import kernel_of
from clearformer.nn import DecoderLayer, EncoderLayer

SIZES = dict(batch=2, seq_len=6, d_model=8, num_heads=2, d_ff=24)
FORMS = [
    dict(),
    dict(norm="pre"),
    dict(dropout=0.1),
    dict(dropout=0.1, norm="pre"),
    dict(activation="gelu"),
    dict(activation="silu", dropout=0.1),
    dict(dtype="float64"),
    dict(dtype="bfloat16", norm="pre"),
    dict(dtype="bfloat16", dropout=0.1),
    dict(autocast="bfloat16"),
    dict(autocast="bfloat16", dropout=0.1, norm="pre"),
    dict(mask="keys"),
    dict(mask="causal", dropout=0.1),
    dict(mask="causal", norm="pre"),
    dict(mask="queries and keys"),
]


def named(form):
    return "-".join(f"{name}={value}" for name, value in form.items()) or "plain"


def mask_of(kind):
    if kind is None:
        return None
    causal = torch.ones(1, 1, 6, 6).tril().bool()
    keys = torch.ones(2, 1, 1, 6).bool()
    keys[0, ..., 4:] = False
    return {"keys": keys, "causal": causal, "queries and keys": causal & keys}[kind]


def seen(layer, work, *args, **kwargs):
    """Sizes of the distinct storages that were saved, sorted."""
    narrow = torch.autocast("cpu", getattr(torch, work.autocast)) if work.autocast else contextlib.nullcontext()
    with SavedTensors(layer.parameters()) as saved, narrow:
        output = layer(*args, **kwargs)
    del output
    return sorted(size for _, _, size in saved.seen)


def state(work, length, seed=0):
    """As a layer below would make it: no leaf of the graph."""
    dtype = getattr(torch, work.dtype)
    return torch.randn(work.batch, length, work.d_model, dtype=dtype).requires_grad_() * 1.0


@pytest.mark.parametrize("form", FORMS, ids=named)
def test_the_bill_of_an_encoder_layer_is_what_the_hooks_see(form):
    work = Work(**SIZES, **form)
    layer = EncoderLayer(8, 2, 24, work.dropout, work.norm, work.activation).to(getattr(torch, work.dtype))
    found = seen(layer, work, state(work, 6), mask_of(work.mask))
    assert found == sorted(tensor.bytes for tensor in encoder_layer_kept(work))


@pytest.mark.parametrize(
    "form",
    [dict(), dict(norm="pre"), dict(dropout=0.1), dict(mask="causal", memory_mask="keys"), dict(dtype="bfloat16")],
    ids=named,
)
def test_the_bill_of_a_decoder_layer_is_what_the_hooks_see(form):
    work = Work(**SIZES, source_len=5, **form)
    layer = DecoderLayer(8, 2, 24, work.dropout, work.norm).to(getattr(torch, work.dtype))
    memory_mask = mask_of("keys")[..., 1:] if work.memory_mask else None
    found = seen(layer, work, state(work, 6), state(work, 5), mask_of(work.mask), memory_mask)
    assert found == sorted(tensor.bytes for tensor in decoder_layer_kept(work))


def test_all_decoder_layers_keep_the_same_memory():
    shared = [tensor for tensor in decoder_layer_kept(Work(**SIZES, source_len=5)) if tensor.shared]
    assert [tensor.shape for tensor in shared] == [(2, 5, 8)]


def test_the_layer_of_2017_without_dropout_keeps_eight_wide_tensors_and_one_wider():
    work = Work(16, 128)
    shapes = Counter(tensor.shape for tensor in encoder_layer_kept(work))
    assert shapes == {(16, 128, 512): 5, (16, 8, 128, 64): 3, (16, 128, 2048): 1, (16, 8, 128): 1, (16, 128, 1): 4}
    tokens = 16 * 128
    assert total_bytes(encoder_layer_kept(work)) == 4 * tokens * (8 * 512 + 2048 + 8 + 4)


def test_korthikantis_count_comes_out_with_their_choices():
    """34·s·b·h + 5·a·s²·b bytes (Korthikanti et al. 2022, eq. 1): 16-bit numbers, masks of 1 byte, scores kept, GELU.

    Ours on a GPU differs by what is listed here, and by nothing else.
    """
    b, s, h, a = 3, 32, 64, 4
    choices = dict(dropout=0.1, norm="pre", activation="gelu", dtype="float16", device="cuda", kernel="math")
    work = Work(b, s, h, a, 4 * h, **choices)
    names = {tensor.name: tensor for tensor in encoder_layer_kept(work)}
    ours = total_bytes(encoder_layer_kept(work))
    wide_attention = sum(tensor.bytes for name, tensor in names.items() if name in ("queries", "keys", "values")) // 2
    wider_scores = (names["attention weights"].bytes + names["weights after dropout"].bytes) // 2  # kept in 32 bits
    statistics = sum(tensor.bytes for name, tensor in names.items() if "mean" in name or "deviation" in name)
    dropout_inside = names["dropout mask inside"].bytes  # they have none inside of the feed-forward
    theirs = 34 * s * b * h + 5 * a * s * s * b
    assert ours - wide_attention - wider_scores - statistics - dropout_inside == theirs


@pytest.mark.parametrize(
    ("form", "kernel"),
    [
        (dict(), "cpu"),
        (dict(dropout=0.1), "math"),
        (dict(device="cuda"), "efficient"),
        (dict(device="cuda", dtype="bfloat16", dropout=0.1), "flash"),
        (dict(device="cuda", autocast="float16"), "flash"),
        (dict(device="cuda", autocast="float16", mask="causal"), "efficient"),
        (dict(device="cuda", dtype="float64"), "math"),
        (dict(device="cuda", kernel="math"), "math"),
    ],
)
def test_which_kernel_works(form, kernel):
    work = Work(**SIZES, **form)
    assert kernel_of(work, work.mask) == kernel


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (dict(batch=0), "batch must be a whole number"),
        (dict(num_heads=3), "num_heads must divide d_model"),
        (dict(dtype="int8"), "dtype must be one of"),
        (dict(mask="some"), "mask must be one of"),
        (dict(autocast="float32"), "autocast must be one of"),
        (dict(device="tpu"), "device must be one of"),
    ],
)
def test_work_that_cannot_be_is_named(form, message):
    with pytest.raises(ValueError, match=message):
        Work(**SIZES | form)
