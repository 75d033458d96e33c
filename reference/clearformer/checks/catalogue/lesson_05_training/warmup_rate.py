"""warmup_rate: the learning rate of the 2017 paper."""

import math

import numpy as np

from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception
from clearformer.training.schedule import warmup_rate as reference


def the_peak_is_at_the_end_of_the_warm_up(answer, rng):
    d_model, warmup_steps = int(rng.integers(16, 600)), int(rng.integers(5, 60))
    rates = [answer.call(step, d_model, warmup_steps) for step in range(1, 3 * warmup_steps)]
    peak = 1 + max(range(len(rates)), key=rates.__getitem__)
    return None if peak == warmup_steps else f"with warmup_steps={warmup_steps} the highest rate is that of step {peak}"


def the_warm_up_is_a_straight_line(answer, rng):
    d_model, warmup_steps = int(rng.integers(16, 600)), int(rng.integers(50, 90))
    first, tenth = answer.call(4, d_model, warmup_steps), answer.call(40, d_model, warmup_steps)
    times = tenth / first
    return None if abs(times - 10) < 1e-9 else f"within the warm-up, step 40 has {times:.3f} times the rate of step 4"


def four_times_the_steps_halve_the_rate(answer, rng):
    d_model, warmup_steps = int(rng.integers(16, 600)), int(rng.integers(50, 90))
    early, late = answer.call(1000, d_model, warmup_steps), answer.call(4000, d_model, warmup_steps)
    times = late / early
    return (
        None if abs(times - 0.5) < 1e-9 else f"after the warm-up, step 4000 has {times:.3f} times the rate of step 1000"
    )


# Wrong answers: the formula with one part in another form -----------------------------------------------------


def variant(
    up=lambda step, warmup: step * warmup**-1.5,
    down=lambda step, warmup: step**-0.5,
    join=min,
    width=lambda d_model: d_model**-0.5,
    first=0.0,
):
    def warmup_rate(step, d_model, warmup_steps=4000):
        if step == 0:
            return first
        return width(d_model) * join(up(step, warmup_steps), down(step, warmup_steps))

    return warmup_rate


def wrong(slug, says, **changes):
    return misconception(slug, says)(variant(**changes))


@misconception(
    "step-0-divides-by-zero",
    "Step 0 stops your code: 0 to the power of −0.5 is a division by zero. This exercise asks for 0.0 there.",
)
def step_0_divides_by_zero(step, d_model, warmup_steps=4000):
    return d_model**-0.5 * min(step**-0.5, step * warmup_steps**-1.5)


@misconception(
    "step-0-taken-for-step-1",
    "Step 0 gets the rate of step 1. Some tutorials do that to avoid a division by zero. This exercise asks for 0.0.",
)
def step_0_taken_for_step_1(step, d_model, warmup_steps=4000):
    return reference(max(step, 1), d_model, warmup_steps)


@misconception(
    "counted-from-0",
    "Your rates come one step early: you added 1 to the step. Steps count from 1 here already, so that step 1 is the "
    "first one.",
)
def counted_from_0(step, d_model, warmup_steps=4000):
    return reference(step + 1, d_model, warmup_steps)


@misconception(
    "warmup-steps-fixed",
    "Your warm-up always takes 4000 steps. That is the default; the caller may give another number.",
)
def warmup_steps_fixed(step, d_model, warmup_steps=4000):
    return reference(step, d_model)


@misconception(
    "decay-counted-from-the-peak",
    "Your rate jumps after the warm-up: you count the steps anew from there. The decay is one over the root of the "
    "step since the start.",
)
def decay_counted_from_the_peak(step, d_model, warmup_steps=4000):
    if step <= warmup_steps:
        return reference(step, d_model, warmup_steps)
    return d_model**-0.5 * (step - warmup_steps) ** -0.5


maximum = wrong(
    "maximum",
    "You take the larger of the two. During the warm-up that is the falling curve, which begins far too high. Take the "
    "smaller: min.",
    join=max,
)
width_forgotten = wrong(
    "width-forgotten",
    "The shape of the curve is right, and its height does not depend on d_model. Wide models take smaller steps: the "
    "whole is multiplied by d_model to the power of −0.5.",
    width=lambda d_model: 1.0,
)
width_upside_down = wrong(
    "width-upside-down",
    "Your rate grows with d_model: you multiply by its root. Divide by it: d_model to the power of −0.5.",
    width=math.sqrt,
)
width_without_root = wrong(
    "width-without-root",
    "You divide by d_model. Divide by its root: d_model to the power of −0.5.",
    width=lambda d_model: 1 / d_model,
)
no_warm_up = wrong(
    "no-warm-up",
    "Your rate is highest at step 1 and falls from there: the warm-up is missing. For the first warmup_steps it grows "
    "in a straight line.",
    join=lambda up, down: down,
)
no_decay = wrong(
    "no-decay",
    "Your rate grows without end. After the warm-up it falls as one over the root of the step: take the smaller of the "
    "two.",
    join=lambda up, down: up,
)
constant_after_the_warm_up = wrong(
    "constant-after-the-warm-up",
    "After the warm-up your rate stays where it is. In the paper it falls from there, as one over the root of the "
    "step.",
    down=lambda step, warmup: warmup**-0.5,
)
decay_too_fast = wrong(
    "decay-without-root",
    "After the warm-up your rate falls as 1/step. It falls as one over the root of the step, which is much slower.",
    down=lambda step, warmup: warmup**0.5 / step,
)
decay_without_root_and_jump = wrong(
    "one-over-the-step",
    "Your falling part is 1/step, so that it does not even meet the end of the warm-up. It is the step to the power of "
    "−0.5.",
    down=lambda step, warmup: 1 / step,
)
warm_up_with_the_wrong_power = wrong(
    "warm-up-divided-by-the-steps",
    "Your warm-up is step / warmup_steps: it ends at 1, far above the curve that it should meet. It ends at the root "
    "of 1/warmup_steps, and that makes the power of warmup_steps −1.5.",
    up=lambda step, warmup: step / warmup,
)
warm_up_with_power_minus_a_half = wrong(
    "warm-up-with-power-minus-a-half",
    "Your warm-up multiplies the step by warmup_steps to the power of −0.5. The power is −1.5: only then does the line "
    "meet the falling curve at warmup_steps.",
    up=lambda step, warmup: step * warmup**-0.5,
)
signs_of_the_powers = wrong(
    "sign-of-the-power",
    "After a few steps your rate grows with the root of the step. The power of the step is negative: −0.5.",
    down=lambda step, warmup: step**0.5,
)


def in_two_parts(step, d_model, warmup_steps=4000):
    """Another right answer: up to the peak, then down from it."""
    peak = 1 / math.sqrt(d_model * warmup_steps)
    if step < warmup_steps:
        return peak * step / warmup_steps
    return peak * math.sqrt(warmup_steps / step)


def by_numpy(step, d_model, warmup_steps=4000):
    """Another right answer: NumPy numbers, where 0 to the power of −0.5 is infinite and min takes the other."""
    step = np.float64(step)
    with np.errstate(divide="ignore"):
        return np.minimum(step**-0.5, step * warmup_steps**-1.5) / np.sqrt(d_model)


def at(step, d_model, warmup_steps=None):
    return lambda rng: Call(step, d_model, *([] if warmup_steps is None else [warmup_steps]))


def number(name, draw, because=""):
    """Rates are small numbers: rounding is measured against the rate itself."""
    return Case(name, draw, because, scale=0.0)


EXERCISE = Exercise(
    name="warmup_rate",
    lesson="05_training",
    kind="write",
    points=1,
    difficulty=2,
    minutes=8,
    asks="Return the learning rate of one step: up in a straight line, then down as one over the root of the step.",
    reference=reference,
    returns=("rate",),
    cases=(
        number("step 1 of a warm-up of 4", at(1, 4, 4), "d_model=4: small enough for doing it on paper"),
        number("step 2 of a warm-up of 4", at(2, 4, 4)),
        number("the last step of the warm-up", at(4, 4, 4), "both parts meet here"),
        number("the step after the warm-up", at(5, 4, 4)),
        number("step 0", at(0, 4, 4), "it gives 0.0"),
        number("long after the warm-up", at(100, 4, 4)),
        number("the base model at step 4000", at(4000, 512), "the highest rate of the paper"),
        number("the base model at step 100,000", at(100_000, 512), "the last one of the paper"),
        number(
            "any step",
            lambda rng: Call(int(rng.integers(2, 400)), int(rng.integers(16, 600)), int(rng.integers(20, 300))),
        ),
        number("a warm-up of 1", at(3, 8, 1), "the rate falls from the first step on"),
    ),
    properties=(
        Property("the highest rate is that of step warmup_steps", the_peak_is_at_the_end_of_the_warm_up),
        Property("the warm-up is a straight line", the_warm_up_is_a_straight_line),
        Property("after it, four times the steps halve the rate", four_times_the_steps_halve_the_rate),
    ),
    misconceptions=(
        step_0_divides_by_zero,
        step_0_taken_for_step_1,
        counted_from_0,
        warmup_steps_fixed,
        decay_counted_from_the_peak,
        maximum,
        width_forgotten,
        width_upside_down,
        width_without_root,
        no_warm_up,
        no_decay,
        constant_after_the_warm_up,
        decay_too_fast,
        decay_without_root_and_jump,
        warm_up_with_the_wrong_power,
        warm_up_with_power_minus_a_half,
        signs_of_the_powers,
    ),
    alternatives=(in_two_parts, by_numpy),
    hints=(
        "Two curves, one that rises with the step and one that falls with it. They meet at warmup_steps. Which of them "
        "is the smaller one before, which after?",
        "The rising line is step times warmup_steps to the power of −1.5, the falling curve is step to the power of "
        "−0.5. Take the smaller and multiply by d_model to the power of −0.5. Step 0 comes first, by itself.",
        "return d_model**-0.5 * min(step**-0.5, step * warmup_steps**-1.5)",
    ),
    forbidden=("clearformer.training.schedule.WarmupSchedule",),
    any_float=True,
)
