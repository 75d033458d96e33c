"""warmup_rate and its scheduler: against the paper's formula, PyTorch's LambdaLR, and by their laws."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim.lr_scheduler import LambdaLR

from clearformer.training.schedule import WarmupSchedule, warmup_rate

property_test = settings(deadline=None, max_examples=60, derandomize=True, database=None)


def optimizer(groups=1):
    return torch.optim.SGD([{"params": [torch.nn.Parameter(torch.zeros(1))]} for _ in range(groups)], lr=1.0)


def rates_used(steps, **arguments):
    """The rate of each update, read where the optimiser reads it."""
    updates = optimizer()
    schedule = WarmupSchedule(updates, **arguments)
    rates = []
    for _ in range(steps):
        rates.append(updates.param_groups[0]["lr"])
        updates.step()
        schedule.step()
    return rates


@property_test
@given(step=st.integers(1, 10**7), d_model=st.integers(1, 4096), warmup_steps=st.integers(1, 10**5))
def test_it_is_the_paper_s_formula(step, d_model, warmup_steps):
    expected = min(1 / math.sqrt(step), step / (warmup_steps * math.sqrt(warmup_steps))) / math.sqrt(d_model)
    assert math.isclose(warmup_rate(step, d_model, warmup_steps), expected, rel_tol=1e-13)


def test_known_values_of_the_base_model():
    # 512^-0.5 * 4000^-0.5 = 1 / sqrt(2,048,000)
    assert math.isclose(warmup_rate(4000, 512), 6.987712429686844e-4, rel_tol=1e-14)
    assert math.isclose(warmup_rate(1, 512), 6.987712429686844e-4 / 4000, rel_tol=1e-14)
    assert math.isclose(warmup_rate(16000, 512), 6.987712429686844e-4 / 2, rel_tol=1e-14)


def test_step_0_has_rate_0():
    assert warmup_rate(0, 512) == 0.0


@property_test
@given(d_model=st.integers(1, 2048), warmup_steps=st.integers(2, 500))
def test_it_rises_to_warmup_steps_and_falls_after(d_model, warmup_steps):
    rates = [warmup_rate(step, d_model, warmup_steps) for step in range(2 * warmup_steps)]
    assert rates[: warmup_steps + 1] == sorted(rates[: warmup_steps + 1])
    assert rates[warmup_steps:] == sorted(rates[warmup_steps:], reverse=True)
    assert rates[warmup_steps] == max(rates)


@pytest.mark.parametrize("arguments", [(-1, 512), (math.nan, 512), (1, 0), (1, 512, 0)])
def test_arguments_out_of_range_are_refused(arguments):
    with pytest.raises(ValueError, match="must be at least"):
        warmup_rate(*arguments)


def test_the_first_update_uses_the_rate_of_step_1():
    assert rates_used(6, d_model=64, warmup_steps=3) == [warmup_rate(step, 64, 3) for step in range(1, 7)]


def test_it_moves_as_a_lambda_schedule_does():
    updates = optimizer()
    theirs = LambdaLR(updates, lambda done: 2.0 * warmup_rate(done + 1, 64, 3))
    rates = []
    for _ in range(9):
        rates.append(updates.param_groups[0]["lr"])
        updates.step()
        theirs.step()
    assert rates_used(9, d_model=64, warmup_steps=3, scale=2.0) == rates


def test_peak_is_the_highest_rate_and_is_reached_at_the_end_of_the_warm_up():
    rates = rates_used(30, d_model=64, warmup_steps=10, peak=0.005)
    assert math.isclose(max(rates), 0.005, rel_tol=1e-14) and rates.index(max(rates)) == 9


def test_every_parameter_group_gets_the_rate():
    updates = optimizer(groups=2)
    WarmupSchedule(updates, 64, 10)
    assert [group["lr"] for group in updates.param_groups] == [warmup_rate(1, 64, 10)] * 2


def test_its_state_can_be_saved_and_loaded():
    first, second = optimizer(), optimizer()
    before, after = WarmupSchedule(first, 64, 3, peak=0.1), WarmupSchedule(second, 64, 3, peak=0.1)
    for _ in range(4):
        first.step()
        before.step()
    after.load_state_dict(before.state_dict())
    for updates, schedule in ((first, before), (second, after)):
        updates.step()
        schedule.step()
    assert second.param_groups[0]["lr"] == first.param_groups[0]["lr"]


@pytest.mark.parametrize("arguments", [dict(scale=1.0, peak=0.1), dict(peak=0.0), dict(scale=-1.0)])
def test_scale_and_peak_must_make_sense(arguments):
    with pytest.raises(ValueError, match=r"scale|peak"):
        WarmupSchedule(optimizer(), 64, 10, **arguments)
