"""training_flops: what training costs, in floating-point operations."""

from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception
from clearformer.scaling.kaplan import PF_DAY
from clearformer.scaling.kaplan import training_flops as reference


def both_count_alike(answer, rng):
    parameters, tokens = sizes(rng).args
    one, other = answer.call(2 * parameters, tokens), answer.call(parameters, 2 * tokens)
    if abs(one - other) <= 1e-9 * abs(one):
        return None
    return f"twice the parameters give {one:.4g}, twice the tokens {other:.4g}; both should cost the same"


def wrong(slug, says, cost):
    def training_flops(num_parameters, num_tokens):
        return cost(num_parameters, num_tokens)

    return misconception(slug, says)(training_flops)


forward_only = wrong(
    "forward-only",
    "Your result is 2ND: the forward pass alone. The backward pass costs twice as much again, because each weight "
    "takes part in two products there: for its own gradient, and for that of its input.",
    lambda n, d: 2 * n * d,
)
backward_only = wrong(
    "backward-only",
    "Your result is 4ND: the backward pass alone. The forward pass adds 2 for each parameter and token.",
    lambda n, d: 4 * n * d,
)
multiply_adds = wrong(
    "multiply-adds",
    "Your result is 3ND: you counted a multiply-add as one. It is a multiplication and an addition, 2 operations.",
    lambda n, d: 3 * n * d,
)
recomputed = wrong(
    "recomputed",
    "Your result is 8ND: that is training with gradient checkpointing of everything, where the forward pass is "
    "computed twice. This exercise asks for plain training.",
    lambda n, d: 8 * n * d,
)
in_pf_days = wrong(
    "in-pf-days",
    "You divided by 8.64e19: your result is in PF-days. This exercise asks for the number of operations.",
    lambda n, d: 6 * n * d / PF_DAY,
)
per_token = wrong(
    "for-one-token",
    "Your result does not depend on the number of tokens: 6N is what one token costs.",
    lambda n, d: 6 * n,
)
added = wrong(
    "added",
    "You added parameters and tokens. Every token passes every parameter, so they multiply.",
    lambda n, d: 6 * (n + d),
)
no_factor = wrong(
    "factor-forgotten",
    "Your result is ND: one operation for each parameter and token. There are 6: 2 forward, 4 backward.",
    lambda n, d: n * d,
)


def in_two_passes(num_parameters, num_tokens):
    """Another right answer: forward, and twice as much backward."""
    forward = 2.0 * num_parameters * num_tokens
    return forward + 2 * forward


def sizes(rng):
    return Call(float(10 ** rng.uniform(6, 11)), float(10 ** rng.uniform(7, 12)))


EXERCISE = Exercise(
    name="training_flops",
    lesson="13_scaling_laws",
    kind="write",
    points=1,
    difficulty=1,
    minutes=5,
    asks="Count the floating-point operations of training N parameters once on D tokens.",
    reference=reference,
    returns=("operations",),
    cases=(
        Case("2 parameters, 5 tokens", lambda rng: Call(2, 5), "small enough for counting on paper", scale=0.0),
        Case("any sizes", sizes, scale=0.0),
        Case("numbers with a fraction", lambda rng: Call(1.5e9, 3.2e10), scale=0.0),
        Case("Chinchilla", lambda rng: Call(70e9, 1.4e12), "70 billion parameters, 1.4 trillion tokens", scale=0.0),
    ),
    properties=(Property("twice the parameters cost as much as twice the tokens", both_count_alike),),
    misconceptions=(
        forward_only,
        backward_only,
        multiply_adds,
        recomputed,
        in_pf_days,
        per_token,
        added,
        no_factor,
    ),
    alternatives=(in_two_passes,),
    hints=(
        "In a linear map each weight is multiplied once with a number of the token, and the product is added to a sum. "
        "How many operations is that, and how often does it happen in the backward pass?",
        "2 operations for each parameter and token in the forward pass. Backward it is twice that: one product for the "
        "gradient of the weight, one for that of the input.",
        "return (2 + 4) * num_parameters * num_tokens",
    ),
    any_float=True,
)
