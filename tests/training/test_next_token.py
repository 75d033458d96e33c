"""The loss of a causal model against Hugging Face's, and where it looks."""

import pytest
import torch
import torch.nn.functional as F

from clearformer.training.next_token import causal_lm_loss


def drawn(batch=3, length=7, vocab=11, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(batch, length, vocab, generator=generator, dtype=dtype)
    return logits, torch.randint(1, vocab, (batch, length), generator=generator)


def test_it_is_the_loss_of_hugging_faces_causal_models():
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(
        vocab_size=11, n_positions=8, n_embd=8, n_layer=1, n_head=2, bos_token_id=1, eos_token_id=2
    )
    model = transformers.GPT2LMHeadModel(config).double().eval()
    _, ids = drawn()
    ids[1, 5:] = ids[2, 3:] = 0
    with torch.no_grad():
        theirs = model(ids, labels=ids.masked_fill(ids == 0, -100))
    theirs_loss = theirs.loss.double()  # which they compute in float32
    torch.testing.assert_close(causal_lm_loss(theirs.logits, ids), theirs_loss, rtol=0, atol=1e-6)


@pytest.mark.parametrize("pad_id", [0, 3, 10])
def test_loss_and_gradient_are_those_of_cross_entropy_one_place_on(pad_id):
    logits, ids = drawn()
    ids[0, 4:] = pad_id
    pairs = []
    for loss in (
        causal_lm_loss,
        lambda x, y, p: F.cross_entropy(x[:, :-1].flatten(0, 1), y[:, 1:].flatten(), ignore_index=p),
    ):
        leaf = logits.clone().requires_grad_()
        value = loss(leaf, ids, pad_id)
        value.backward()
        pairs.append((value.detach(), leaf.grad))
    torch.testing.assert_close(*pairs, rtol=0, atol=1e-12)


def test_a_model_that_repeats_what_it_reads_has_a_large_loss():
    ids = torch.tensor([[1, 2, 3, 4, 5]])
    assert causal_lm_loss(50.0 * F.one_hot(ids, 6).double(), ids) > 40


def test_last_logits_and_first_token_count_for_nothing():
    logits, ids = drawn()
    other_logits, other_ids = logits.clone(), ids.clone()
    other_logits[:, -1] += 5
    other_ids[:, 0] = 1
    assert causal_lm_loss(other_logits, other_ids) == causal_lm_loss(logits, ids)


def test_every_real_token_of_the_batch_counts_alike():
    logits, ids = drawn(2)
    ids[1, 3:] = 0
    apart = [causal_lm_loss(logits[[row]], ids[[row]]) * count for row, count in ((0, 6), (1, 2))]
    torch.testing.assert_close(sum(apart) / 8, causal_lm_loss(logits, ids), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("shape", "ids"), [((2, 5, 7), (2, 4)), ((2, 5), (2, 5)), ((5, 7), (5,))])
def test_shapes_that_do_not_fit_are_named(shape, ids):
    with pytest.raises(ValueError, match="logits must have shape"):
        causal_lm_loss(torch.zeros(shape), torch.ones(ids, dtype=torch.int64))


def test_an_id_out_of_range_is_named():
    with pytest.raises(ValueError, match="targets"):
        causal_lm_loss(torch.zeros(1, 3, 4), torch.tensor([[1, 2, 4]]))
