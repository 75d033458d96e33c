"""compute_optimal: how to share a budget between parameters and tokens."""

import math

from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception
from clearformer.scaling.chinchilla import compute_optimal as reference
from clearformer.scaling.kaplan import PF_DAY, optimal_parameters

A, B, ALPHA, BETA = 406.4, 410.7, 0.34, 0.28


def the_budget_is_spent(answer, rng):
    flops = any_budget(rng).args[0]
    parameters, tokens = answer.call(flops)
    spent = 6 * parameters * tokens / flops
    return None if abs(spent - 1) < 1e-6 else f"6ND comes to {spent:.4g} times the budget"


def no_other_split_is_better(answer, rng):
    flops = any_budget(rng).args[0]
    parameters, tokens = map(float, answer.call(flops))
    if parameters <= 0 or tokens <= 0:
        return f"parameters and tokens must be positive; got {parameters:.4g} and {tokens:.4g}"
    here = law(parameters, tokens)
    for factor in (0.8, 1.25):
        if law(factor * parameters, tokens / factor) < here:
            return f"{factor} times the parameters and {1 / factor:g} times the tokens have a lower loss at {flops:.3g}"
    return None


def law(parameters, tokens):
    return A / parameters**ALPHA + B / tokens**BETA


# Wrong answers: the closed form with one part changed -------------------------------------------------------------


def split(a=A, b=B, alpha=ALPHA, beta=BETA, budget=lambda flops: flops / 6, balance=None, swap=False):
    def compute_optimal(flops):
        both, product = alpha + beta, budget(flops)
        factor = (alpha * a / (beta * b)) ** (1 / both) if balance is None else balance
        powers = (alpha / both, beta / both) if swap else (beta / both, alpha / both)
        return factor * product ** powers[0], product ** powers[1] / factor

    return compute_optimal


def wrong(slug, says, **changes):
    return misconception(slug, says)(split(**changes))


exponents_swapped = wrong(
    "exponents-swapped",
    "You swapped the two powers of C/6. Parameters grow with the exponent of the tokens' term, β/(α + β) = 0.45, and "
    "tokens with α/(α + β) = 0.55: the term that falls more slowly needs more of its own.",
    swap=True,
)
without_the_six = wrong(
    "without-the-six",
    "Your parameters times your tokens give the whole budget. Each of these pairs costs 6 operations: divide by 6 "
    "first.",
    budget=lambda flops: flops,
)
forward_only = wrong(
    "forward-only",
    "Your split spends the budget at 2 operations for each parameter and token: the forward pass. Training takes 6.",
    budget=lambda flops: flops / 2,
)
derivative_forgotten = wrong(
    "both-terms-equal",
    "You made both terms equal, A/N^α = B/D^β. At the minimum their derivatives are: αA/N^α = βB/D^β.",
    balance=(A / B) ** (1 / (ALPHA + BETA)),
)
constants_swapped = wrong(
    "constants-swapped",
    "You swapped A and B. 406.4 belongs to the parameters, with 0.34; 410.7 to the tokens, with 0.28.",
    a=B,
    b=A,
)
balance_inverted = wrong(
    "balance-upside-down",
    "The factor αA/(βB) raised to 1/(α + β) multiplies the parameters and divides the tokens. Yours does the reverse.",
    balance=(BETA * B / (ALPHA * A)) ** (1 / (ALPHA + BETA)),
)
no_balance = wrong(
    "without-the-factor",
    "Your powers of C/6 are right. The factor is missing, which says how the two terms compare: αA/(βB), raised to "
    "1/(α + β), times the parameters, and the tokens divided by it.",
    balance=1.0,
)
power_of_the_balance = wrong(
    "root-of-the-factor-forgotten",
    "You multiplied by αA/(βB) itself. It is raised to 1/(α + β).",
    balance=ALPHA * A / (BETA * B),
)
refit = wrong(
    "the-refit-of-2024",
    "These are the constants of the re-fit of 2024. They are the better ones; this exercise asks for those of 2022.",
    a=482.01,
    b=2085.43,
    alpha=0.3478,
    beta=0.3658,
)
in_pf_days = wrong(
    "in-pf-days",
    "You turned the budget into PF-days. The constants of 2022 go with operations.",
    budget=lambda flops: flops / PF_DAY / 6,
)
rounded_exponents = misconception(
    "exponents-rounded",
    "You took exponents of 0.46 and 0.54, which the paper gives in its table 2. They come from constants that were not "
    "rounded. This exercise asks for the closed form: 0.28 / 0.62 and 0.34 / 0.62.",
)(
    lambda flops: (
        (ALPHA * A / (BETA * B)) ** (1 / (ALPHA + BETA)) * (flops / 6) ** 0.46,
        (flops / 6) ** 0.54 / (ALPHA * A / (BETA * B)) ** (1 / (ALPHA + BETA)),
    )
)


@misconception(
    "twenty-tokens-a-parameter",
    "You used the rule of 20 tokens a parameter. That comes from the paper's first two methods; the printed "
    "constants of the third, which this exercise asks for, give more tokens, and ever more as the budget grows.",
)
def twenty_tokens(flops):
    parameters = math.sqrt(flops / 120)
    return parameters, 20 * parameters


@misconception(
    "swapped",
    "You returned tokens first. This exercise asks for (parameters, tokens).",
)
def swapped(flops):
    return reference(flops)[::-1]


@misconception(
    "kaplan",
    "This is Kaplan's law of 2020: the parameters grow with the budget to the power of 0.73. This exercise asks for "
    "the law of 2022, in which parameters and tokens grow about alike.",
)
def kaplan(flops):
    parameters = optimal_parameters(flops / PF_DAY)
    return parameters, flops / (6 * parameters)


@misconception(
    "kaplan-in-flops",
    "This is Kaplan's law of 2020, and with operations where it wants PF-days. This exercise asks for the law of 2022.",
)
def kaplan_in_flops(flops):
    parameters = optimal_parameters(flops)
    return parameters, flops / (6 * parameters)


@misconception(
    "in-equal-shares",
    "You gave both the square root of C/6. They would be equal only if both terms of the loss were alike.",
)
def equal_shares(flops):
    return math.sqrt(flops / 6), math.sqrt(flops / 6)


def tokens_from_the_budget(flops):
    """Another right answer: the parameters by the closed form, the tokens from what is left."""
    factor = (ALPHA * A / (BETA * B)) ** (1 / (ALPHA + BETA))
    parameters = factor * (flops / 6) ** (BETA / (ALPHA + BETA))
    return parameters, flops / (6 * parameters)


def by_bisection(flops):
    """Another right answer: the zero of the derivative, searched for."""
    low, high = -50.0, 50.0  # logarithms of the parameters
    for _ in range(200):
        middle = (low + high) / 2
        parameters = math.exp(middle)
        if ALPHA * A / parameters**ALPHA > BETA * B / (flops / 6 / parameters) ** BETA:
            low = middle
        else:
            high = middle
    return math.exp(low), flops / 6 / math.exp(low)


def any_budget(rng):
    return Call(float(10 ** rng.uniform(17, 25)))


EXERCISE = Exercise(
    name="compute_optimal",
    lesson="13_scaling_laws",
    kind="write",
    points=3,
    difficulty=4,
    minutes=25,
    asks="Return the parameters and tokens with the lowest loss for a budget, by the law of Hoffmann et al. 2022.",
    reference=reference,
    returns=("parameters", "tokens"),
    cases=(
        Case("6 operations", lambda rng: Call(6.0), "C/6 is 1, so only the factor is left", scale=0.0),
        Case("1e18 operations", lambda rng: Call(1e18), scale=0.0),
        Case("any budget", any_budget, scale=0.0),
        Case("the budget of Chinchilla", lambda rng: Call(5.76e23), scale=0.0),
    ),
    properties=(
        Property("the whole budget is spent", the_budget_is_spent),
        Property("no other split has a lower loss", no_other_split_is_better),
    ),
    misconceptions=(
        exponents_swapped,
        without_the_six,
        forward_only,
        derivative_forgotten,
        constants_swapped,
        balance_inverted,
        no_balance,
        power_of_the_balance,
        refit,
        in_pf_days,
        rounded_exponents,
        twenty_tokens,
        swapped,
        kaplan,
        kaplan_in_flops,
        equal_shares,
    ),
    alternatives=(tokens_from_the_budget, by_bisection),
    hints=(
        "The budget fixes D once N is chosen: D = C / 6N. Put that into the loss: it depends on N alone, and has a "
        "minimum where its derivative is zero.",
        "The derivative is zero where αA/N^α = βB/D^β. With D = C/6N, solve for N: a factor times C/6 to the power of "
        "β/(α + β). The tokens follow from the budget.",
        "parameters = (alpha * A / (beta * B)) ** (1 / (alpha + beta)) * (flops / 6) ** (beta / (alpha + beta))",
    ),
    forbidden=("clearformer.scaling.chinchilla.LossSurface",),
    any_float=True,
)
