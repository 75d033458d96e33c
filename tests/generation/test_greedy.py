"""Batched greedy search: against the plain one, the cache against none, and against transformers' generate."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from models_to_search import END, PAD, START, TableModel, next_token_logits, sources, transformer, trimmed

from clearformer.generation.greedy import generate_greedy
from clearformer.generation.one_sentence import greedy_decode

EXACT = 1e-10  # the largest difference in float64
property_test = settings(deadline=None, max_examples=25, derandomize=True, database=None)


def recorded_logits(model, monkeypatch):
    """A list to which the model will add the last logits of every call of decode."""
    logits, decode = [], model.decode

    def record(*arguments, **options):
        found = decode(*arguments, **options)
        logits.append(found[:, -1].clone())
        return found

    monkeypatch.setattr(model, "decode", record)
    return logits


def plain(model, source_ids, max_len):
    return [greedy_decode(next_token_logits(model, row), START, END, max_len) for row in source_ids]


@pytest.mark.parametrize("seed, end_bias", [(0, 0.0), (1, 2.0), (2, 3.0), (3, 1.0)])
def test_rows_of_any_length_give_what_each_gives_alone_in_plain_python(seed, end_bias):
    model = transformer(seed=seed, end_bias=end_bias)
    source_ids = sources(7, 1, 4, 9, 2, 5, seed=seed, width=11)
    assert [trimmed(row) for row in generate_greedy(model, source_ids, 20)] == plain(model, source_ids, 20)


@property_test
@given(
    seed=st.integers(0, 10**6), max_len=st.integers(1, 9), lengths=st.lists(st.integers(1, 5), min_size=1, max_size=5)
)
def test_any_model_gives_what_the_plain_search_gives(seed, max_len, lengths):
    model = TableModel(vocab_size=6, seed=seed, end_bias=1.0)
    source_ids = sources(*lengths, seed=seed)
    found = generate_greedy(model, source_ids, max_len, use_cache=False)
    assert [trimmed(row) for row in found] == plain(model, source_ids, max_len)


@pytest.mark.parametrize("seed", range(4))
def test_cached_and_uncached_give_the_same_tokens_and_logits(seed, monkeypatch):
    model = transformer(seed=seed, end_bias=1.0)
    logits = recorded_logits(model, monkeypatch)
    source_ids = sources(7, 1, 4, 9, seed=seed)
    cached = generate_greedy(model, source_ids, 30)
    steps = len(logits)
    assert torch.equal(cached, generate_greedy(model, source_ids, 30, use_cache=False))
    assert len(logits) == 2 * steps
    for with_cache, without in zip(logits[:steps], logits[steps:], strict=True):
        with_cache, without = (x.masked_fill(x == -torch.inf, 0.0) for x in (with_cache, without))
        assert (with_cache - without).abs().max() <= EXACT


def test_the_order_of_rows_does_not_matter():
    model, order = transformer(end_bias=1.5), torch.tensor([3, 0, 4, 1, 2])
    source_ids = sources(7, 1, 4, 9, 2)
    assert torch.equal(generate_greedy(model, source_ids, 20)[order], generate_greedy(model, source_ids[order], 20))


def test_finished_rows_leave_the_batch():
    model = TableModel(vocab_size=6, seed=3, end_bias=1.0)
    found = generate_greedy(model, sources(*range(1, 17)), 30, use_cache=False)
    lengths = [len(trimmed(row)) for row in found]
    assert model.rows_asked == sorted(model.rows_asked, reverse=True)
    assert len(model.rows_asked) == max(lengths) - 1  # and nothing is asked once all are finished
    for step, rows in enumerate(model.rows_asked):
        running = sum(length > step + 1 for length in lengths)
        assert running <= rows < running / 0.75 + 1  # at most a quarter is along for nothing


def test_behind_the_end_is_padding_and_before_it_none():
    found = generate_greedy(transformer(end_bias=2.0), sources(7, 1, 4, 9, 2, 3), 20)
    for row in found.tolist():
        end = row.index(END) if END in row else len(row)
        assert PAD not in row[:end] and set(row[end + 1 :]) <= {PAD}


def test_a_model_that_never_ends_stops_at_max_len():
    found = generate_greedy(transformer(end_bias=-1e9), sources(3, 5), 40)
    assert found.shape == (2, 40) and END not in found


def test_a_model_that_ends_at_once_writes_nothing():
    assert generate_greedy(transformer(end_bias=1e9), sources(3, 5), 40).tolist() == [[START, END]] * 2


def test_max_len_1_is_the_start_alone():
    assert generate_greedy(transformer(), sources(3, 5), 1).tolist() == [[START]] * 2


def test_no_sentences_give_no_rows():
    assert generate_greedy(transformer(), torch.zeros(0, 4, dtype=torch.long), 9).shape[0] == 0


def test_a_sentence_without_tokens_gives_a_translation_like_one_of_padding():
    model = transformer(end_bias=1.0)
    empty = generate_greedy(model, torch.zeros(2, 0, dtype=torch.long), 9)
    padded = generate_greedy(model, torch.zeros(2, 3, dtype=torch.long), 9)
    assert torch.equal(empty, padded)
    beside = generate_greedy(model, sources(4, 0, 2), 9)
    assert trimmed(beside[1]) == trimmed(empty[0])


def test_padding_is_never_chosen_and_forbidden_ids_neither():
    model = transformer()
    with torch.no_grad():
        model.output.bias[PAD], model.output.bias[5] = 1e6, 1e5
    assert set(generate_greedy(model, sources(4, 2), 9)[:, 1:].unique().tolist()) == {5}
    others = generate_greedy(model, sources(4, 2), 9, forbidden_ids=[PAD, 5])
    assert not {PAD, 5} & set(others[:, 1:].unique().tolist())
    assert PAD in generate_greedy(model, sources(4, 2), 9, forbidden_ids=[])


def test_dropout_is_off_and_the_mode_put_back():
    model = transformer(dropout=0.5)
    model.train()
    model.decoder.eval()
    before = [module.training for module in model.modules()]
    assert torch.equal(generate_greedy(model, sources(4, 2), 9), generate_greedy(model, sources(4, 2), 9))
    assert [module.training for module in model.modules()] == before
    with pytest.raises(ValueError):
        generate_greedy(model, sources(4) + 100, 9)
    assert [module.training for module in model.modules()] == before


def test_what_it_returns_can_be_trained_on():
    model = transformer()
    found = generate_greedy(model, sources(4, 2), 9)
    model(sources(4, 2), found).sum().backward()


@pytest.mark.parametrize(
    "source_ids, max_len, says",
    [
        (torch.tensor([3, 4]), 9, r"source_ids must be a tensor of token ids \(batch, S\); got \(2,\)"),
        ([[3, 4]], 9, "source_ids must be a tensor of token ids"),
        (sources(3), 0, "max_len must be a whole number of at least 1; got 0"),
        (sources(3), 2.5, "max_len must be a whole number"),
        (sources(3) + 100, 9, "source_ids"),
    ],
)
def test_wrong_arguments_are_named(source_ids, max_len, says):
    with pytest.raises(ValueError, match=says):
        generate_greedy(transformer(), source_ids, max_len)


def test_half_precision_runs():
    assert generate_greedy(transformer(dtype=torch.bfloat16), sources(3, 5), 9).shape == (2, 9)
