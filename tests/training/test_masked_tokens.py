"""Masking against Hugging Face's collator, counted in many tokens, and what holds without chance."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clearformer.training.masked_tokens import mask_tokens

MASK, VOCAB, SPECIAL = 4, 200, [0, 1, 2, 3, 4]


def text(shape=(300, 400), seed=0, lowest=0):
    return np.random.default_rng(seed).integers(lowest, VOCAB, shape)


def counted(ids, inputs, labels):
    """Shares: graded of the ordinary tokens; of the graded masked, another token, left."""
    graded = labels != -100
    masked, left = graded & (inputs == MASK), graded & (inputs == ids)
    total = graded.sum()
    ordinary = (~np.isin(ids, SPECIAL)).sum()
    return np.array(
        [total / ordinary, masked.sum() / total, (graded & ~masked & ~left).sum() / total, left.sum() / total]
    )


@pytest.fixture(scope="module")
def collator(tmp_path_factory):
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models

    pieces = {name: number for number, name in enumerate(["[PAD]", "[S]", "[E]", "[U]", "[MASK]"])}
    pieces |= {f"w{number}": number for number in range(5, VOCAB)}
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(pieces, unk_token="[U]")),
        pad_token="[PAD]", bos_token="[S]", eos_token="[E]", unk_token="[U]", mask_token="[MASK]",
    )  # fmt: skip
    return transformers.DataCollatorForLanguageModeling(tokenizer, mlm=True, mlm_probability=0.15, seed=1)


def test_shares_are_those_of_hugging_face(collator):
    ids = text()
    theirs = collator([{"input_ids": row.tolist()} for row in ids])
    found = counted(ids, *mask_tokens(ids, MASK, VOCAB, SPECIAL, np.random.default_rng(1)))
    theirs = counted(ids, theirs["input_ids"].numpy(), theirs["labels"].numpy())
    assert np.abs(found - theirs).max() < 0.02  # five standard deviations of the difference
    assert np.abs(found - [0.15, 0.8, 0.1, 0.1]).max() < 0.02


@given(st.integers(0, 2**30), st.sampled_from([(7,), (3, 5), (2, 3, 4), (0,)]), st.sampled_from([0.0, 0.15, 0.6, 1.0]))
@settings(max_examples=40, deadline=None)
def test_what_holds_whatever_chance_does(seed, shape, rate):
    ids = text(shape, seed)
    before = ids.copy()
    inputs, labels = mask_tokens(ids, MASK, VOCAB, SPECIAL, np.random.default_rng(seed), rate)
    graded, special = labels != -100, np.isin(ids, SPECIAL)
    assert inputs.shape == labels.shape == shape and labels.dtype == np.int64 and inputs.dtype == ids.dtype
    assert (labels[graded] == ids[graded]).all()
    assert (inputs[~graded] == ids[~graded]).all()
    assert not (graded & special).any()
    assert not np.isin(inputs[(inputs != ids) & (inputs != MASK)], SPECIAL).any()
    assert rate > 0 or not graded.any()
    assert rate < 1 or (graded | special).all()
    assert (ids == before).all()


def test_each_token_is_chosen_by_itself():
    labels = mask_tokens(text(lowest=5), MASK, VOCAB, SPECIAL, np.random.default_rng(3))[1]
    graded = (labels != -100).astype(float)
    for axis in (0, 1):
        count = graded.shape[axis]
        assert graded.sum(axis).std() == pytest.approx(np.sqrt(count * 0.15 * 0.85), rel=0.2)


def test_the_generator_decides_and_nothing_else():
    ids = text((20, 20))
    first, again, other = (mask_tokens(ids, MASK, VOCAB, SPECIAL, np.random.default_rng(seed))[0] for seed in (7, 7, 8))
    assert (first == again).all() and (first != other).any()


def test_small_numbers_have_room_for_the_ignored_label():
    ids = text((50, 50)).astype(np.uint8)
    inputs, labels = mask_tokens(ids, MASK, VOCAB, SPECIAL, np.random.default_rng(0))
    assert inputs.dtype == np.uint8 and labels.min() == -100


def test_the_ignored_label_is_the_one_that_torch_leaves_out():
    logits, labels = torch.randn(4, 6), torch.tensor([2, -100, 5, -100])
    kept = torch.nn.functional.cross_entropy(logits[[0, 2]], labels[[0, 2]])
    assert torch.nn.functional.cross_entropy(logits, labels) == kept


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"token_ids": np.array([1.0])}, "whole numbers"),
        ({"token_ids": np.array([VOCAB])}, "from 0 to 199"),
        ({"token_ids": np.array([-1])}, "from 0 to 199"),
        ({"mask_id": VOCAB}, "mask_id"),
        ({"rate": 1.5}, "rate"),
        ({"rate": float("nan")}, "rate"),
        ({"special_ids": range(VOCAB)}, "special_ids"),
    ],
)
def test_bad_arguments_are_named(changes, says):
    arguments = {
        "token_ids": np.array([5, 6]), "mask_id": MASK, "vocab_size": VOCAB, "special_ids": SPECIAL,
        "rng": np.random.default_rng(0),
    }  # fmt: skip
    with pytest.raises(ValueError, match=says):
        mask_tokens(**arguments | changes)
