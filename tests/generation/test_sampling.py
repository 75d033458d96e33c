"""Sampling against the logits processors of transformers, by laws, and by counting what is drawn."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clearformer.generation.continuation import generate_continuation
from clearformer.generation.sampling import apply_temperature, keep_top_k, keep_top_p, sampler
from clearformer.models import GPT2, GPT2Config

EXACT = 1e-12  # the largest difference between probabilities in float64


@pytest.fixture(scope="module")
def processors():
    return pytest.importorskip("transformers").generation.logits_process


def some_logits(rows=6, vocab=40, seed=0, scale=2.0):
    return scale * torch.randn(rows, vocab, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def same_distribution(found, wanted):
    assert torch.equal(found == -torch.inf, wanted == -torch.inf)
    assert (found.softmax(-1) - wanted.softmax(-1)).abs().max() <= EXACT


@pytest.mark.parametrize("temperature", [0.1, 0.7, 1.0, 1.5, 20.0])
def test_temperature_is_that_of_transformers(processors, temperature):
    logits = some_logits()
    same_distribution(
        apply_temperature(logits, temperature), processors.TemperatureLogitsWarper(temperature)(None, logits)
    )


@pytest.mark.parametrize("top_k", [1, 2, 7, 39, 40, 1000])
def test_top_k_is_that_of_transformers_with_ties_too(processors, top_k):
    for logits in (some_logits(), some_logits().round(), torch.zeros(2, 40).double()):
        assert torch.equal(keep_top_k(logits, top_k), processors.TopKLogitsWarper(top_k)(None, logits))


@pytest.mark.parametrize("top_p", [1e-9, 0.1, 0.5, 0.9, 0.999, 1.0])
@pytest.mark.parametrize("scale", [0.1, 2.0, 20.0])
def test_top_p_is_that_of_transformers(processors, top_p, scale):
    logits = some_logits(rows=20, scale=scale)
    same_distribution(keep_top_p(logits, top_p), processors.TopPLogitsWarper(top_p)(None, logits))


def test_they_come_in_the_order_of_transformers(processors):
    """Temperature, top-k, top-p: each sees what the one before has left. Top-p last keeps fewer of what top-k left."""
    logits = some_logits(rows=20)
    wanted = logits
    for warper in (
        processors.TemperatureLogitsWarper(0.7), processors.TopKLogitsWarper(9), processors.TopPLogitsWarper(0.8)
    ):  # fmt: skip
        wanted = warper(None, wanted)
    counts = count_draws(sampler(0.7, 9, 0.8, torch.Generator().manual_seed(0)), logits, 4000)
    for count, probabilities in zip(counts, wanted.softmax(-1), strict=True):
        assert_drawn_from(count, probabilities)


def count_draws(choose, logits, number):
    """How often each token was drawn: (rows, vocab)."""
    ids = choose(logits.expand(number, *logits.shape))  # (number, rows)
    return torch.nn.functional.one_hot(ids, logits.shape[-1]).sum(dim=0)


def assert_drawn_from(counts, probabilities):
    """Nothing that is impossible, and a χ² below the point that one in 10,000 exceeds.

    That point by Wilson and Hilferty's cube, 3.719 standard deviations up. Tokens expected less than 5 times are put
    together.
    """
    expected = probabilities * counts.sum()
    assert not counts[probabilities == 0].any()
    rare = expected < 5
    bins = torch.cat([torch.stack([expected[~rare], counts[~rare].double()]),
                      torch.stack([expected[rare].sum(), counts[rare].sum().double()])[:, None]], dim=1)  # fmt: skip
    expected, counts = bins[:, bins[0] >= 1]
    freedom = max(len(expected) - 1, 1)
    limit = freedom * (1 - 2 / (9 * freedom) + 3.719 * math.sqrt(2 / (9 * freedom))) ** 3
    assert ((counts - expected).square() / expected).sum() <= limit


@pytest.mark.parametrize(
    "arguments", [{}, {"temperature": 0.5}, {"temperature": 3.0}, {"top_k": 3}, {"top_p": 0.6}], ids=str
)
def test_tokens_are_drawn_as_often_as_they_are_likely(arguments):
    logits = some_logits(rows=2, vocab=9)
    kept = logits / arguments.get("temperature", 1.0)
    for row in kept:  # by the definitions, token by token
        order, probabilities, before = row.argsort(descending=True).tolist(), row.softmax(-1).tolist(), 0.0
        for rank, token in enumerate(order):
            if rank >= arguments.get("top_k", 9) or before >= arguments.get("top_p", 2):
                row[token] = -torch.inf
            before += probabilities[token]
    choose = sampler(**arguments, generator=torch.Generator().manual_seed(1))
    for counts, probabilities in zip(count_draws(choose, logits, 20_000), kept.softmax(-1), strict=True):
        assert_drawn_from(counts, probabilities)


@settings(deadline=None, max_examples=60, derandomize=True, database=None)
@given(
    logits=st.lists(st.floats(-8, 8), min_size=1, max_size=12),
    top_p=st.floats(0.01, 0.999),
)
def test_the_nucleus_is_the_smallest_set_that_reaches_p(logits, top_p):
    probabilities = torch.tensor(logits, dtype=torch.float64).softmax(-1)
    kept = keep_top_p(probabilities.log(), top_p) > -torch.inf
    inside = probabilities[kept]
    assert inside.sum() >= top_p - EXACT
    assert inside.sum() - inside.min() < top_p + EXACT
    if not kept.all():
        assert probabilities[~kept].max() <= inside.min()


def test_the_token_that_crosses_p_is_kept():
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).double().log()
    for top_p, number in ((0.01, 1), (0.49, 1), (0.51, 2), (0.79, 2), (0.81, 3), (0.96, 4), (1.0, 4)):
        assert (keep_top_p(logits, top_p) > -torch.inf).sum() == number, top_p
    exact = torch.tensor([0.5, 0.25, 0.25]).double().log()  # 0.5 is reached by one token, not crossed
    assert (keep_top_p(exact, 0.5) > -torch.inf).tolist() == [True, False, False]


def test_of_equally_likely_tokens_top_k_keeps_all_and_top_p_the_first():
    logits = torch.tensor([[0.0, 1.0, 1.0, 1.0], [1.0, 1.0, 0.0, 1.0]])
    assert (keep_top_k(logits, 1) > -torch.inf).tolist() == [[False, True, True, True], [True, True, False, True]]
    assert (keep_top_p(logits, 0.5) > -torch.inf).tolist() == [[False, True, True, False], [True, True, False, False]]


@pytest.mark.parametrize("temperature", [0, 0.0, 1e-300, 1e-40, 1e-6])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16], ids=str)
def test_towards_temperature_0_the_likeliest_is_certain(temperature, dtype):
    logits = some_logits(rows=50, scale=30.0).to(dtype)
    assert torch.equal(sampler(temperature)(logits), logits.argmax(-1))


def test_a_high_temperature_makes_all_tokens_alike():
    probabilities = apply_temperature(some_logits(), 1e9).softmax(-1)
    assert (probabilities - 1 / 40).abs().max() <= 1e-9


@pytest.mark.parametrize("arguments", [{}, {"top_k": 5}, {"top_p": 0.9}, {"temperature": 0.0}], ids=str)
def test_a_forbidden_token_is_never_drawn(arguments):
    logits = torch.full((3, 6), -torch.inf)
    logits[:, 2], logits[:, 4] = 0.0, -1.0
    assert set(sampler(**arguments)(logits.expand(200, 3, 6)).unique().tolist()) <= {2, 4}


def test_rows_are_drawn_one_by_one_and_shapes_stay():
    choose, logits = sampler(generator=torch.Generator().manual_seed(0)), torch.zeros(1, 50)
    assert choose(logits.expand(30, -1)).unique().numel() > 10
    assert choose(logits[0]).shape == ()
    ids = choose(logits.expand(2, 3, 50).bfloat16())
    assert (ids.shape, ids.dtype) == ((2, 3), torch.int64)


def test_logits_are_left_as_they_came():
    logits = some_logits()
    kept = logits.clone()
    sampler(0.5, 3, 0.5)(logits)
    assert torch.equal(logits, kept)


def test_the_same_seed_writes_the_same_text_and_another_seed_another():
    model = GPT2(GPT2Config(20, d_model=8, num_heads=2, d_ff=16, num_layers=1, max_len=30), torch.Generator())
    prompts = torch.tensor([[3, 4], [5, 6]])

    def text(**arguments):
        return generate_continuation(model, prompts, 20, choose=sampler(**arguments))

    first, again, other = (text(generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(text(temperature=0), generate_continuation(model, prompts, 20))
    assert torch.equal(text(top_k=1), generate_continuation(model, prompts, 20))


@pytest.mark.parametrize(
    "arguments, says",
    [
        ({"temperature": -1}, "temperature must be a number of at least 0; got -1"),
        ({"temperature": math.nan}, "temperature .* got nan"),
        ({"temperature": math.inf}, "temperature .* got inf"),
        ({"temperature": "hot"}, "temperature .* got 'hot'"),
        ({"top_k": 0}, "top_k must be a whole number of at least 1, or None; got 0"),
        ({"top_k": 2.0}, "top_k .* got 2.0"),
        ({"top_k": True}, "top_k .* got True"),
        ({"top_p": 0}, "top_p must be above 0 and at most 1, or None; got 0"),
        ({"top_p": 1.1}, "top_p .* got 1.1"),
        ({"top_p": math.nan}, "top_p .* got nan"),
    ],
)
def test_an_argument_that_cannot_be_used_is_named(arguments, says):
    with pytest.raises(ValueError, match=says):
        sampler(**arguments)


@pytest.mark.parametrize(
    "logits, says",
    [
        (torch.tensor([[1, 2]]), "logits must be a tensor of floats; got torch.int64"),
        ([[1.0, 2.0]], "logits must be a tensor of floats; got list"),
        (torch.zeros(2, 0), r"vocab above 0; got \(2, 0\)"),
        (torch.tensor([[0.0, math.nan]]), "no NaN"),
        (torch.tensor([[0.0, math.inf]]), "finite"),
        (torch.tensor([[0.0, 0.0], [-math.inf, -math.inf]]), "finite"),
    ],
)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_logits_that_are_no_distribution_are_named(logits, says, temperature):
    with pytest.raises(ValueError, match=says):
        sampler(temperature)(logits)


def test_dividing_by_temperature_0_is_refused():
    with pytest.raises(ValueError, match="temperature must be above 0 to divide by"):
        apply_temperature(torch.zeros(2, 3), 0)
