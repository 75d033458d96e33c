"""critical_batch_size: up to which batch more examples save steps."""

import math

from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception
from clearformer.scaling.kaplan import critical_batch_size as reference


def it_grows_as_the_loss_falls(answer, rng):
    loss = rng.uniform(2.0, 4.0)
    early, late = answer.call(loss), answer.call(0.8 * loss)
    if late > early:
        return None
    return f"at loss {loss:.3f} it is {early:.4g}, and at {0.8 * loss:.3f} not more: {late:.4g}"


def a_known_ratio(answer, rng):
    loss = rng.uniform(2.0, 4.0)
    times = answer.call(loss / 2) / answer.call(loss)
    wanted = 2 ** (1 / 0.21)
    if abs(times / wanted - 1) < 1e-6:
        return None
    return f"half the loss gives {times:.4g} times the batch, not {wanted:.4g}"


def wrong(slug, says, size):
    def critical_batch_size(loss):
        return size(loss)

    return misconception(slug, says)(critical_batch_size)


rising = wrong(
    "rises-with-the-loss",
    "Your batch grows with the loss. It is the other way round: late in training, when the loss is low, the "
    "gradients of single examples agree less, and a larger batch is worth its price. The exponent is negative.",
    lambda loss: 2e8 * loss ** (1 / 0.21),
)
not_inverted = wrong(
    "exponent-not-inverted",
    "You raised the loss to −0.21. The law is written as B = B* / L^(1/0.21): the exponent is −1/0.21, about −4.76.",
    lambda loss: 2e8 * loss**-0.21,
)
rising_not_inverted = wrong(
    "exponent-not-inverted-and-rising",
    "You raised the loss to 0.21. The exponent is −1/0.21, about −4.76: the batch falls fast where the loss is high.",
    lambda loss: 2e8 * loss**0.21,
)
quotient = wrong(
    "constant-inside-the-power",
    "You took the power of the whole quotient, (2e8 / L)^(1/0.21), as in the laws for the loss. Here the constant "
    "stands outside: it is the batch at a loss of 1.",
    lambda loss: (2e8 / loss) ** (1 / 0.21),
)
in_sequences = wrong(
    "in-sequences",
    "You divided by 1,024: your batch is in sequences of Kaplan's models. This exercise asks for tokens, as the law "
    "has it.",
    lambda loss: 2e8 * loss ** (-1 / 0.21) / 1024,
)
other_constant = wrong(
    "constant-of-the-other-law",
    "Your constant is 2e6. That one belongs to the law in compute, B = 2.0e6 · C^0.24. In the loss it is 2e8.",
    lambda loss: 2e6 * loss ** (-1 / 0.21),
)
loss_in_bits = wrong(
    "loss-in-bits",
    "You turned the loss into bits. The law takes it in nats, as cross_entropy gives it.",
    lambda loss: 2e8 * (loss / math.log(2)) ** (-1 / 0.21),
)
perplexity = wrong(
    "perplexity",
    "You put the perplexity, exp(L), into the law. It takes the loss itself.",
    lambda loss: 2e8 * math.exp(loss) ** (-1 / 0.21),
)
linear = wrong(
    "without-a-power",
    "You divided by the loss. The law has a steep power: half the loss makes the batch 27 times as large.",
    lambda loss: 2e8 / loss,
)
wrong_size_of_exponent = wrong(
    "exponent-minus-2.1",
    "Your exponent is −2.1. The law has 1 divided by 0.21, with a minus sign: about −4.76.",
    lambda loss: 2e8 * loss**-2.1,
)
rounded_exponent = wrong(
    "exponent-rounded",
    "Your exponent is −4.76, that is −1/0.21 rounded. It comes close; keep the division, −1 / 0.21.",
    lambda loss: 2e8 * loss**-4.76,
)
whole_tokens = wrong(
    "cut-to-whole-tokens",
    "You cut the number to whole tokens. This exercise asks for what the law gives, not rounded.",
    lambda loss: int(2e8 * loss ** (-1 / 0.21)),
)


def as_printed(loss):
    """Another right answer: as the paper writes it."""
    return 2e8 / loss ** (1 / 0.21)


def by_logarithms(loss):
    """Another right answer."""
    return math.exp(math.log(2e8) - math.log(loss) / 0.21)


EXERCISE = Exercise(
    name="critical_batch_size",
    lesson="13_scaling_laws",
    kind="write",
    points=1,
    difficulty=2,
    minutes=8,
    asks="Return the critical batch size in tokens for a loss in nats, by Kaplan's law.",
    reference=reference,
    returns=("tokens",),
    cases=(
        Case("a loss of 1", lambda rng: Call(1.0), "there the power is 1: the constant alone is left", scale=0.0),
        Case("a loss of 2", lambda rng: Call(2), scale=0.0),
        Case("any loss", lambda rng: Call(float(rng.uniform(1.8, 6.0))), scale=0.0),
        Case("at the beginning", lambda rng: Call(10.8), "about the loss before any training", scale=0.0),
    ),
    properties=(
        Property("it grows as the loss falls", it_grows_as_the_loss_falls),
        Property("half the loss, 27 times the batch", a_known_ratio),
    ),
    misconceptions=(
        rising,
        not_inverted,
        rising_not_inverted,
        quotient,
        in_sequences,
        other_constant,
        loss_in_bits,
        perplexity,
        linear,
        wrong_size_of_exponent,
        rounded_exponent,
        whole_tokens,
    ),
    alternatives=(as_printed, by_logarithms),
    hints=(
        "As the model learns, what all examples have in common is learned first; what is left differs from one to the "
        "next. Does it then take more or fewer examples to see the direction?",
        "B_crit = 2e8 / L^(1/0.21), in tokens. Mind that 0.21 divides.",
        "return 2e8 * loss ** (-1 / 0.21)",
    ),
    any_float=True,
)
