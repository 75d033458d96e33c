"""The exercises of lesson 05 against torch, and against wrong answers that no misconception tells of."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from clearformer.checks import catalogue, judge_here
from clearformer.checks.answer import InProcessAnswer
from clearformer.checks.catalogue.lesson_05_training import batch_by_tokens as batching
from clearformer.checks.exercise import Call
from clearformer.checks.judge import observe

property_test = settings(deadline=None, max_examples=50, derandomize=True, database=None)
LOSS, BATCHES = catalogue.find("label_smoothed_loss"), catalogue.find("batch_by_tokens")


@pytest.mark.parametrize("number", range(len(LOSS.alternatives)))
def test_the_right_losses_are_those_of_torch(number):
    for case in LOSS.cases:
        call = case.inputs(3)
        options = {"smoothing": 0.1, "pad_id": 0} | call.kwargs
        logits, targets = call.args
        expected = F.cross_entropy(
            logits.flatten(0, -2),
            targets.flatten(),
            label_smoothing=options["smoothing"],
            ignore_index=options["pad_id"],
        )
        torch.testing.assert_close(LOSS.alternatives[number](*call.args, **call.kwargs), expected, rtol=2e-6, atol=1e-9)


def test_the_predicted_losses_are_those_of_torch():
    logits, target = torch.zeros(1, 8000, dtype=torch.float64), torch.tensor([5])
    untrained = F.cross_entropy(logits, target, label_smoothing=0.1).item()
    assert untrained == pytest.approx(catalogue.find("loss_before_training").reference, rel=1e-12)
    label = torch.full((1, 8000), 0.1 / 8000, dtype=torch.float64)
    label[0, 5] += 0.9
    best = F.cross_entropy(label.log(), target, label_smoothing=0.1).item()
    assert best == pytest.approx(catalogue.find("lowest_smoothed_loss").reference, rel=1e-12)
    for moved in (0.9, 1.1):
        assert F.cross_entropy(moved * label.log(), target, label_smoothing=0.1).item() > best


def view(answer, lengths, max_tokens):
    case = BATCHES.cases[0]
    call = Call(lengths, max_tokens)
    return observe(case, InProcessAnswer(answer), 0, call).values


@property_test
@given(st.lists(st.integers(1, 12), max_size=25), st.integers(12, 40))
def test_all_right_batchings_look_alike(lengths, max_tokens):
    views = [view(answer, lengths, max_tokens) for answer in (BATCHES.reference, *BATCHES.alternatives)]
    assert all(each == views[0] for each in views)


@property_test
@given(st.lists(st.integers(1, 6), min_size=1, max_size=6), st.integers(6, 14))
def test_no_batching_has_fewer_batches_than_the_greedy_one(lengths, max_tokens):
    """So the check may ask for as few. By trying all divisions of up to six sentences."""

    def fewest(rest, batches):
        if not rest:
            return len(batches)
        first, *others = rest
        joined = [
            fewest(others, [*batches[:at], [*batch, first], *batches[at + 1 :]])
            for at, batch in enumerate(batches)
            if (len(batch) + 1) * max(*batch, first) <= max_tokens
        ]
        return min([*joined, fewest(others, [*batches, [first]])])

    assert len(BATCHES.reference(lengths, max_tokens)) == fewest(lengths, [])


@pytest.mark.parametrize("strange", [None, "01", 3, [0, 1], [[0, "1"]], [[0.5]], [(0, 1), [2, 2]], [[-1, 0, 1, 2]], {}])
def test_strange_batches_are_told_and_do_not_break_the_check(strange):
    assert judge_here(BATCHES, lambda lengths, max_tokens: strange).status == "failed"


def test_an_error_may_name_the_sentence_by_its_length_or_by_its_index():
    for text in ("sentence 1 is too long", "a sentence of 17 tokens", "lengths[1] = 17 > 12"):

        def answer(lengths, max_tokens, text=text):
            if max(lengths, default=0) > max_tokens:
                raise ValueError(text)
            return batching.plain(lengths, max_tokens)

        assert judge_here(BATCHES, answer).status == "passed"


def test_the_rate_of_the_base_model_is_the_papers():
    """Vaswani et al. 2017, eq. 3: the highest rate, at step 4000, is the root of 1 / (512 * 4000)."""
    exercise = catalogue.find("warmup_rate")
    assert exercise.reference(4000, 512) == pytest.approx(math.sqrt(1 / (512 * 4000)), rel=1e-12)


def count_wrongly_as_int(step, d_model, warmup_steps=4000):
    return int(1e6 * catalogue.find("warmup_rate").alternatives[0](step, d_model, warmup_steps)) / 1e6


def padding_by_the_first_column(logits, targets, smoothing=0.1, pad_id=0):
    return LOSS.alternatives[0](logits, targets.masked_fill(targets == targets[..., :1], pad_id), smoothing, pad_id)


def smoothing_forgotten_in_the_default(logits, targets, smoothing=0.0, pad_id=0):
    return LOSS.alternatives[0](logits, targets, smoothing, pad_id)


def gradient_twice(logits, targets, smoothing=0.1, pad_id=0):
    return LOSS.alternatives[0](2 * logits - logits.detach(), targets, smoothing, pad_id)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("warmup_rate", count_wrongly_as_int),
        ("label_smoothed_loss", padding_by_the_first_column),
        ("label_smoothed_loss", smoothing_forgotten_in_the_default),
        ("label_smoothed_loss", gradient_twice),
    ],
)
def test_wrong_answers_that_no_misconception_tells_of_do_not_pass(name, answer):
    for seed in (2017, 0, 1):
        assert judge_here(catalogue.find(name), answer, seed).status in ("failed", "error")
