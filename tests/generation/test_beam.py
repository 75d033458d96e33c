"""Batched beam search: against exhaustive search, the plain one, greedy, the cache against none."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from models_to_search import (
    END,
    PAD,
    START,
    TableModel,
    every_hypothesis,
    next_token_logits,
    sources,
    transformer,
    trimmed,
)

from clearformer.generation import beam as beam_module
from clearformer.generation.beam import generate_beam, generate_beams
from clearformer.generation.greedy import generate_greedy
from clearformer.generation.one_sentence import beam_search

EXACT = 1e-10  # the largest difference in float64
property_test = settings(deadline=None, max_examples=25, derandomize=True, database=None)


def penalty(num_tokens, alpha):
    return ((5 + num_tokens) / 6) ** alpha


def forced_score(model, source, ids, alpha):
    """The score of a hypothesis, by reading the model along it."""
    next_logits = next_token_logits(model, source)
    total = sum(torch.log_softmax(next_logits(ids[:t]), -1)[ids[t]].item() for t in range(1, len(ids)))
    return total / penalty(len(ids) - 1, alpha)


@pytest.mark.parametrize("beam_size", [1, 2, 5])
@pytest.mark.parametrize("seed, end_bias", [(0, 0.0), (1, 2.0), (2, 3.0)])
def test_rows_of_any_length_give_what_each_gives_alone_in_plain_python(seed, end_bias, beam_size):
    model = transformer(seed=seed, end_bias=end_bias)
    source_ids = sources(7, 1, 4, 9, seed=seed, width=11)
    found = generate_beam(model, source_ids, 9, beam_size)
    plain = [beam_search(next_token_logits(model, row), START, END, 9, beam_size) for row in source_ids]
    assert [trimmed(row) for row in found.ids] == plain


@property_test
@given(
    seed=st.integers(0, 10**6), max_len=st.integers(1, 7), beam_size=st.integers(1, 6),
    lengths=st.lists(st.integers(1, 4), min_size=1, max_size=4),
)  # fmt: skip
def test_any_model_gives_what_the_plain_search_gives(seed, max_len, beam_size, lengths):
    model = TableModel(vocab_size=6, seed=seed, end_bias=1.0)
    source_ids = sources(*lengths, seed=seed)
    found = generate_beam(model, source_ids, max_len, beam_size, use_cache=False)
    plain = [beam_search(next_token_logits(model, row), START, END, max_len, beam_size) for row in source_ids]
    assert [trimmed(row) for row in found.ids] == plain


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0, 2.0])
@pytest.mark.parametrize("seed", range(3))
def test_a_beam_wide_enough_finds_the_best_of_all(seed, alpha):
    model, max_len = TableModel(vocab_size=4, seed=seed, end_bias=-0.5), 5
    source_ids = sources(2, 3)
    found = generate_beam(model, source_ids, max_len, beam_size=100, length_penalty=alpha, use_cache=False)
    for source, ids, score in zip(source_ids, *found, strict=True):
        everything = every_hypothesis(next_token_logits(model, source), (START, END, 3), max_len)
        best_score, best = max((total / penalty(len(ids) - 1, alpha), ids) for total, ids in everything)
        assert trimmed(ids) == best
        assert math.isclose(score.item(), best_score, rel_tol=1e-12)


def test_all_hypotheses_of_a_wide_beam_are_all_there_are_best_first():
    model = TableModel(vocab_size=4, seed=5)
    everything = sorted(every_hypothesis(next_token_logits(model, sources(2)[0]), (START, END, 3), 4), reverse=True)
    found = generate_beams(model, sources(2), 4, beam_size=len(everything) + 3, use_cache=False)
    assert [trimmed(row) for row in found.ids[0, :-3]] == [ids for _, ids in everything]
    expected = torch.tensor([score for score, _ in everything], dtype=torch.float64)
    assert (found.scores[0, :-3] - expected).abs().max() <= EXACT
    assert (found.scores[0, -3:] == -math.inf).all()  # places that no hypothesis could take


@pytest.mark.parametrize("seed", range(4))
def test_a_beam_of_1_is_greedy(seed):
    model = transformer(seed=seed, end_bias=1.5)
    source_ids = sources(7, 1, 4, 9, 2, seed=seed)
    assert torch.equal(generate_beam(model, source_ids, 20, 1).ids, generate_greedy(model, source_ids, 20))


@pytest.mark.parametrize("search", [generate_beam, generate_beams])
@pytest.mark.parametrize("alpha", [0.0, 0.6])
@pytest.mark.parametrize("seed", range(3))
def test_cached_and_uncached_give_the_same(seed, alpha, search):
    model = transformer(seed=seed, end_bias=1.5)
    source_ids = sources(7, 1, 4, 9, seed=seed)
    cached = search(model, source_ids, 20, 4, alpha)
    uncached = search(model, source_ids, 20, 4, alpha, use_cache=False)
    assert torch.equal(cached.ids, uncached.ids)
    assert (cached.scores - uncached.scores).abs().max() <= EXACT


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_batched_is_one_by_one(alpha):
    model = transformer(seed=4, end_bias=1.5)
    source_ids = sources(7, 1, 4, 9, 2)
    together = generate_beams(model, source_ids, 15, 4, alpha)
    for row, source in enumerate(source_ids):
        alone = generate_beams(model, source[source != PAD][None], 15, 4, alpha)
        width = alone.ids.shape[-1]
        assert torch.equal(together.ids[row, :, :width], alone.ids[0])
        assert (together.ids[row, :, width:] == PAD).all()
        assert (together.scores[row] - alone.scores[0]).abs().max() <= EXACT


@pytest.mark.parametrize("alpha", [0.0, 0.6, 2.0])
def test_leaving_early_does_not_change_the_best(alpha):
    early = late = 0
    for seed in range(12):
        model, source_ids = TableModel(vocab_size=6, seed=seed, end_bias=1.0), sources(1, 2, 3)
        best = generate_beam(model, source_ids, 12, 4, alpha, use_cache=False)
        early += sum(model.rows_asked)
        model.rows_asked.clear()
        beams = generate_beams(model, source_ids, 12, 4, alpha, use_cache=False)
        late += sum(model.rows_asked)
        width = best.ids.shape[-1]
        assert torch.equal(best.ids, beams.ids[:, 0, :width]) and (beams.ids[:, 0, width:] == PAD).all()
        assert torch.equal(best.scores, beams.scores[:, 0])
    assert early < late


@pytest.mark.parametrize("alpha", [0.0, 0.6])
def test_scores_are_those_of_reading_the_model_along_the_hypothesis(alpha):
    model, source_ids = transformer(seed=6, end_bias=1.5), sources(5, 2)
    found = generate_beams(model, source_ids, 12, 3, alpha)
    for source, beams, scores in zip(source_ids, *found, strict=True):
        assert scores.tolist() == sorted(scores.tolist(), reverse=True)
        for ids, score in zip(beams, scores, strict=True):
            assert math.isclose(forced_score(model, source, trimmed(ids), alpha), score.item(), rel_tol=1e-10)


@pytest.mark.parametrize("width", [3, 127, 128, 640, 1001, 2048])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_highest_of_many_logits_are_those_of_topk(width, count):
    """Also where they stand side by side, or in the last few, which fill no chunk."""
    if count > width:
        return
    generator = torch.Generator().manual_seed(width)
    logits = torch.randperm(4 * width, generator=generator).view(4, width).double()  # no two alike
    logits[1, -count:] += 1e6
    logits[2, width // 2 : width // 2 + count] += 1e6
    logits[3, 1:] = -math.inf
    expected, found = logits.topk(count), beam_module._highest(logits, count)
    assert torch.equal(found[0], expected.values)
    assert torch.equal(logits.gather(1, found[1]), expected.values)
    assert all(len(row.unique()) == count for row in found[1])


def test_hypotheses_in_a_beam_differ():
    for row in generate_beams(transformer(end_bias=1.5), sources(5, 2, 7), 12, 6).ids:
        assert len(row.unique(dim=0)) == 6


def test_a_length_penalty_makes_longer_sentences():
    lengths = []
    for alpha in (0.0, 2.0, 6.0):
        model = TableModel(6, seed=1, scale=1.0, end_bias=0.5)
        found = generate_beam(model, sources(*range(1, 9)), 12, 6, alpha, use_cache=False)
        lengths.append((found.ids != PAD).sum().item())
    assert lengths[0] < lengths[1] < lengths[2]


def test_a_model_that_never_ends_stops_at_max_len():
    found = generate_beam(transformer(end_bias=-1e9), sources(3, 5), 40)
    assert found.ids.shape == (2, 40) and END not in found.ids


def test_a_model_that_ends_at_once_writes_nothing():
    assert generate_beam(transformer(end_bias=1e3), sources(3, 5), 40).ids.tolist() == [[START, END]] * 2


def test_a_beam_wider_than_the_vocabulary_works():
    found = generate_beam(transformer(vocab_size=4), torch.tensor([[3, 3]]), 6, beam_size=50)
    assert found.scores.isfinite().all()


def test_max_len_1_is_the_start_alone_and_scores_0():
    found = generate_beam(transformer(), sources(3, 5), 1)
    assert found.ids.tolist() == [[START]] * 2 and found.scores.tolist() == [0.0, 0.0]


def test_no_sentences_give_no_rows():
    assert len(generate_beam(transformer(), torch.zeros(0, 4, dtype=torch.long), 9).ids) == 0


def test_a_sentence_without_tokens_gives_a_translation_like_one_of_padding():
    model = transformer(end_bias=1.0)
    empty = generate_beam(model, torch.zeros(2, 0, dtype=torch.long), 9)
    assert torch.equal(empty.ids, generate_beam(model, torch.zeros(2, 3, dtype=torch.long), 9).ids)


def test_padding_is_never_chosen():
    model = transformer()
    with torch.no_grad():
        model.output.bias[PAD] = 1e3
    found = generate_beams(model, sources(4, 2), 9)
    assert found.scores.isfinite().all()
    assert all(PAD not in trimmed(row) for row in found.ids.flatten(0, 1))


def test_what_it_returns_can_be_trained_on_and_the_mode_is_put_back():
    model = transformer(dropout=0.5).train()
    found = generate_beam(model, sources(4, 2), 9)
    assert model.training and torch.equal(found.ids, generate_beam(model, sources(4, 2), 9).ids)
    model(sources(4, 2), found.ids).sum().backward()


def test_half_precision_is_scored_wider():
    found = generate_beam(transformer(dtype=torch.bfloat16), sources(3, 5), 9)
    assert found.scores.dtype == torch.float64


@pytest.mark.parametrize(
    "options, says",
    [
        (dict(beam_size=0), "beam_size must be a whole number of at least 1; got 0"),
        (dict(beam_size=1.0), "beam_size must be a whole number"),
        (dict(length_penalty=-1.0), "length_penalty must be at least 0; got -1.0"),
        (dict(length_penalty=math.nan), "length_penalty must be at least 0; got nan"),
    ],
)
def test_wrong_arguments_are_named(options, says):
    with pytest.raises(ValueError, match=says):
        generate_beam(transformer(), sources(3), 9, **options)
