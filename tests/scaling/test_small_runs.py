"""The small runs learn, and measure what they say."""

import pytest
import torch

from clearformer.data.follower_language import FollowerLanguage
from clearformer.scaling.small_runs import (
    SmallDecoder,
    excess_loss,
    next_token_loss,
    peak_rate,
    steps_until,
    train_small,
)

LANGUAGE = FollowerLanguage(6, seed=0)


def decoder(d_model=8, seed=0):
    torch.manual_seed(seed)
    return SmallDecoder(6, d_model)


def test_future_tokens_do_not_change_the_past():
    model, tokens = decoder(), torch.tensor([[1, 2, 3, 4, 5]])
    changed = tokens.clone()
    changed[0, 3] = 0
    assert torch.equal(model(tokens)[:, :3], model(changed)[:, :3])
    assert not torch.equal(model(tokens)[:, 3:], model(changed)[:, 3:])


def test_a_layer_has_about_the_parameters_of_the_formula():
    assert sum(p.numel() for p in decoder(64).layers.parameters()) == pytest.approx(12 * 64**2, rel=0.03)


class Knows(torch.nn.Module):
    def forward(self, tokens):
        followers = LANGUAGE.followers[tokens]
        rows = torch.full((*tokens.shape, 6), -40.0)
        return rows.scatter_(-1, followers, LANGUAGE.probabilities.log().expand(followers.shape))


def test_who_knows_the_language_has_no_excess():
    assert excess_loss(Knows(), LANGUAGE, LANGUAGE.sample(20, 32, seed=1)) == pytest.approx(0, abs=1e-6)


def test_the_training_loss_is_an_unbiased_view_of_the_same():
    tokens = LANGUAGE.sample(2000, 32, seed=1)
    assert next_token_loss(Knows(), tokens).item() == pytest.approx(LANGUAGE.entropy, abs=0.02)


def test_training_lowers_the_loss_and_is_read_where_asked():
    found = train_small(decoder(), LANGUAGE, 2**14, peak_rate(8), read_at=(2**10, 2**12))
    assert [tokens for tokens, _ in found] == [2**10, 2**12, 2**14]
    assert found[0][1] > found[1][1] > found[2][1] > 0


def test_the_rate_stays_where_it_is_until_the_fall_begins():
    # 32 steps: read after 16, before the last quarter
    readings = [train_small(decoder(), LANGUAGE, 2**14, 0.02, fall=fall, read_at=(2**13,)) for fall in (0, 0.25, None)]
    assert readings[0][0] == readings[1][0] != readings[2][0]
    assert readings[0][1] != readings[1][1]


def test_the_same_seed_gives_the_same_run():
    runs = [train_small(decoder(), LANGUAGE, 2**11, 0.02, seed=seed) for seed in (0, 0, 1)]
    assert runs[0] == runs[1] != runs[2]


def test_steps_until_stops_at_the_target_or_gives_up():
    steps = steps_until(decoder(), LANGUAGE, 0.1, 0.02, 16, 400)
    assert 16 < steps < 400
    assert steps_until(decoder(), LANGUAGE, 0.1, 0.02, 16, steps - 1) is None
