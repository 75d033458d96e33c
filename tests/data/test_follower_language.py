"""The made-up language is as unpredictable as it says, and no more."""

import math

import pytest
import torch

from clearformer.data.follower_language import FollowerLanguage

LANGUAGE = FollowerLanguage(64, seed=0)


def test_its_entropy_is_that_of_four_followers():
    probabilities = torch.tensor([0.5, 0.25, 0.15, 0.1], dtype=torch.float64)
    assert LANGUAGE.entropy == pytest.approx(torch.distributions.Categorical(probabilities).entropy().item())


def test_each_token_has_four_different_followers():
    assert LANGUAGE.followers.shape == (64, 4)
    assert all(len(set(four)) == 4 for four in LANGUAGE.followers.tolist())


def test_counts_in_a_sample_are_the_probabilities():
    tokens = LANGUAGE.sample(2000, 32, seed=1)
    which = (LANGUAGE.followers[tokens[:, :-1]] == tokens[:, 1:, None]).long()
    assert (which.sum(dim=-1) == 1).all()  # nothing else ever follows
    assert which.double().mean(dim=(0, 1)).tolist() == pytest.approx([0.5, 0.25, 0.15, 0.1], abs=0.01)


def test_who_knows_the_language_is_at_the_entropy_and_everybody_else_above():
    tokens = LANGUAGE.sample(50, 32, seed=2)
    followers = LANGUAGE.followers[tokens]
    knows = torch.zeros(50, 32, 64, dtype=torch.float64)
    knows.scatter_(-1, followers, LANGUAGE.probabilities.double().expand(followers.shape))
    assert LANGUAGE.expected_loss(knows.log(), tokens) == pytest.approx(LANGUAGE.entropy)
    assert LANGUAGE.expected_loss((0.9 * knows + 0.1 / 64).log(), tokens) > LANGUAGE.entropy + 0.05
    guesses = torch.full_like(knows, 1 / 64)
    assert LANGUAGE.expected_loss(guesses.log(), tokens) == pytest.approx(math.log(64))


def test_some_tokens_are_frequent_and_many_are_rare():
    counts = torch.bincount(LANGUAGE.sample(2000, 32, seed=3).flatten(), minlength=64).sort(descending=True).values
    assert counts[:6].sum() > 0.3 * counts.sum()  # the first tenth
    assert counts[32:].sum() < 0.2 * counts.sum()  # half of all tokens


def test_a_seed_is_a_language_and_a_sample():
    assert torch.equal(FollowerLanguage(64, seed=0).followers, LANGUAGE.followers)
    assert not torch.equal(FollowerLanguage(64, seed=1).followers, LANGUAGE.followers)
    assert torch.equal(LANGUAGE.sample(3, 8, seed=4), LANGUAGE.sample(3, 8, seed=4))
    assert not torch.equal(LANGUAGE.sample(3, 8, seed=4), LANGUAGE.sample(3, 8, seed=5))


@pytest.mark.parametrize("bad", [3, 0, 16.0, True, "16"])
def test_a_vocabulary_that_cannot_be_is_refused(bad):
    with pytest.raises(ValueError, match="vocab_size must be a whole number of at least 4"):
        FollowerLanguage(bad)
