"""plan_training: the hunt. A plan by Kaplan's laws, with three mistakes that circulate."""

import math

from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception

PF_DAY = 8.64e19


def plan_training(flops, num_layers):
    """The right answer: (parameters, d_model, loss, batch)."""
    pf_days = flops / PF_DAY
    parameters = 1.3e9 * pf_days**0.73
    d_model = math.sqrt(parameters / (12 * num_layers))
    loss = (3.1e8 / pf_days) ** 0.050
    return parameters, d_model, loss, 2e8 * loss ** (-1 / 0.21)


def the_width_gives_the_parameters_back(answer, rng):
    flops, num_layers = any_plan(rng).args
    parameters, d_model, _, _ = answer.call(flops, num_layers)
    found = 12 * num_layers * d_model**2 / parameters
    return None if abs(found - 1) < 1e-9 else f"12 · {num_layers} · d_model² is {found:.4g} times the parameters"


def a_larger_budget_wants_a_larger_batch(answer, rng):
    flops, num_layers = any_plan(rng).args
    small, large = answer.call(flops, num_layers)[3], answer.call(100 * flops, num_layers)[3]
    return None if large > small else f"100 times the budget takes the batch from {small:.4g} to {large:.4g} tokens"


def the_batch_agrees_with_the_law_in_compute(answer, rng):
    flops, num_layers = any_plan(rng).args
    batch, wanted = answer.call(flops, num_layers)[3], 2.0e6 * (flops / PF_DAY) ** 0.24
    if 0.8 < batch / wanted < 1.25:
        return None
    return f"at {flops:.3g} operations the batch is {batch:.4g} tokens; B = 2.0e6 · C^0.24 has {wanted:.4g}"


# Wrong answers: some of the mistakes left, others mended -------------------------------------------------------------


def variant(
    pf_days=lambda flops: flops / PF_DAY,
    d_model=lambda parameters, num_layers: math.sqrt(parameters / (12 * num_layers)),
    exponent=-1 / 0.21,
    constant=2e8,
    outer=0.050,
):
    def plan_training(flops, num_layers):
        budget = pf_days(flops)
        parameters = 1.3e9 * budget**0.73
        loss = (3.1e8 / budget) ** outer
        return parameters, d_model(parameters, num_layers), loss, constant * loss**exponent

    return plan_training


def one_layer(parameters, num_layers):
    return math.sqrt(parameters / 12)


UNITS = {"pf_days": lambda flops: flops}
WIDTH = {"d_model": one_layer}
BATCH = {"exponent": 1 / 0.21}

OF_UNITS = (
    "The budget comes in operations, and Kaplan's constants want PF-days: divide by 8.64e19 first. Without it even a "
    "small budget gets more parameters than any model ever had, and a loss far below 1."
)
OF_WIDTH = (
    "12 · num_layers · d_model² is the number of parameters of all layers. √(N/12) is the width of a model with a "
    "single one: divide by num_layers too."
)
OF_BATCH = (
    "The critical batch grows as the loss falls: the exponent is −1/0.21. Here a larger budget, with its lower loss, "
    "should want a larger batch."
)


def wrong(slug, says, *changes, **more):
    merged = {name: change for each in changes for name, change in each.items()} | more
    return misconception(slug, says)(variant(**merged))


as_found = wrong(
    "as-found", "This is the plan as it was found, with all three mistakes. Begin with the units: " + OF_UNITS,
    UNITS, WIDTH, BATCH,
)  # fmt: skip
units_mended = wrong(
    "units-mended",
    "The budget is in PF-days now. Two mistakes are left, in the width and in the batch. The width: " + OF_WIDTH,
    WIDTH, BATCH,
)  # fmt: skip
width_mended = wrong(
    "width-mended",
    "The width is right now for its parameters. Two mistakes are left, in the units and in the batch. The units: "
    + OF_UNITS,
    UNITS, BATCH,
)  # fmt: skip
batch_mended = wrong(
    "batch-mended",
    "The exponent of the batch is right now. Two mistakes are left, in the units and in the width. The units: "
    + OF_UNITS,
    UNITS, WIDTH,
)  # fmt: skip
units_left = wrong("units-left", "One mistake is left, in the units. " + OF_UNITS, UNITS)
width_left = wrong("width-left", "One mistake is left, in the width. " + OF_WIDTH, WIDTH)
batch_left = wrong("batch-left", "One mistake is left, in the batch. " + OF_BATCH, BATCH)
layers_outside = wrong(
    "layers-outside-the-root",
    "You divided √(N/12) by num_layers. The layers share the parameters, so num_layers stands under the root.",
    d_model=lambda parameters, num_layers: math.sqrt(parameters / 12) / num_layers,
)
petaflops = wrong(
    "petaflops-not-days",
    "You divided by 1e15. That makes petaflop-seconds; a PF-day is 86,400 of them, 8.64e19 operations.",
    pf_days=lambda flops: flops / 1e15,
)
units_multiplied = wrong(
    "units-multiplied",
    "You multiplied by 8.64e19. A PF-day is many operations, so a budget in PF-days is a small number: divide.",
    pf_days=lambda flops: flops * PF_DAY,
)
exponent_not_inverted = wrong(
    "exponent-not-inverted",
    "Your batch has the loss to the power of −0.21. The exponent is −1/0.21.",
    exponent=-0.21,
)
width_rounded = wrong(
    "width-rounded-to-heads",
    "You rounded the width to a multiple of 64, as one does before building a model. This exercise asks for the "
    "number of the law, not rounded.",
    d_model=lambda parameters, num_layers: float(64 * max(1, round(math.sqrt(parameters / (12 * num_layers)) / 64))),
)


@misconception(
    "batch-by-the-law-in-compute",
    "Your batch is 2.0e6 · C^0.24, Kaplan's other law for it. Both agree within their rounding. This exercise asks for "
    "the one in the loss, 2e8 / L^(1/0.21).",
)
def batch_by_compute(flops, num_layers):
    *others, _ = plan_training(flops, num_layers)
    return *others, 2.0e6 * (flops / PF_DAY) ** 0.24


def through_the_batch_in_two_steps(flops, num_layers):
    """Another right answer: the same with divisions instead of negative powers."""
    days = flops / 1e15 / 86_400
    parameters = 1.3e9 * days**0.73
    loss = (3.1e8 / days) ** (1 / 20)
    return parameters, (parameters / num_layers / 12) ** 0.5, loss, 2e8 / loss ** (1 / 0.21)


def any_plan(rng):
    return Call(float(10 ** rng.uniform(18, 24)), int(rng.integers(4, 60)))


EXERCISE = Exercise(
    name="plan_training",
    lesson="13_scaling_laws",
    kind="hunt",
    points=2,
    difficulty=3,
    minutes=15,
    asks="Mend a plan by Kaplan's laws: its units, its width and its batch.",
    reference=plan_training,
    returns=("parameters", "d_model", "loss", "batch"),
    cases=(
        Case(
            "one PF-day, 24 layers",
            lambda rng: Call(PF_DAY, 24),
            "with C = 1 the first law gives its constant, 1.3e9 parameters",
            scale=0.0,
        ),
        Case("a budget and a depth", any_plan, scale=0.0),
        Case("one layer", lambda rng: Call(1e20, 1), scale=0.0),
        Case("a tiny budget", lambda rng: Call(1e15, 6), scale=0.0),
    ),
    properties=(
        Property("12 · num_layers · d_model² gives the parameters back", the_width_gives_the_parameters_back),
        Property("a larger budget wants a larger batch", a_larger_budget_wants_a_larger_batch),
        Property("the batch agrees with Kaplan's law in compute", the_batch_agrees_with_the_law_in_compute),
    ),
    misconceptions=(
        as_found,
        units_mended,
        width_mended,
        batch_mended,
        units_left,
        width_left,
        batch_left,
        layers_outside,
        petaflops,
        units_multiplied,
        exponent_not_inverted,
        width_rounded,
        batch_by_compute,
    ),
    alternatives=(through_the_batch_in_two_steps,),
    hints=(
        "Look at the symptoms one by one. Which number is absurd for a budget of one day? Which does not change with "
        "the number of layers? Which moves the wrong way as the budget grows?",
        "The laws want PF-days. All layers together have 12 · num_layers · d_model² parameters. The exponent of the "
        "critical batch is negative.",
        "pf_days = flops / 8.64e19; d_model = math.sqrt(parameters / (12 * num_layers)); 2e8 * loss ** (-1 / 0.21)",
    ),
    any_float=True,
)
