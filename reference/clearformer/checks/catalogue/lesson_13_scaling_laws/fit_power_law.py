"""fit_power_law: the straight line between logarithms."""

import math

import numpy as np

from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception
from clearformer.scaling.fitting import fit_power_law as reference


def the_unit_of_x_changes_the_constant_alone(answer, rng):
    x, y = noisy(rng).args
    constant, exponent = answer.call(x, y)
    other_constant, other_exponent = answer.call(1000 * x, y)
    if not math.isclose(exponent, other_exponent, abs_tol=1e-8):
        return f"x in thousandths changes the exponent from {exponent:.4g} to {other_exponent:.4g}"
    wanted = constant * 1000**-exponent
    if math.isclose(other_constant, wanted, rel_tol=1e-7):
        return None
    return f"x in thousandths changes the constant from {constant:.4g} to {other_constant:.4g}, expected {wanted:.4g}"


def the_order_of_the_points_does_not_matter(answer, rng):
    x, y = noisy(rng).args
    order = rng.permutation(len(x))
    here, there = answer.call(x, y), answer.call(x[order], y[order])
    alike = all(math.isclose(one, other, rel_tol=1e-7) for one, other in zip(here, there, strict=True))
    return None if alike else f"the same points in another order give {there[0]:.4g}, {there[1]:.4g}, not {here}"


# Wrong answers ----------------------------------------------------------------------------------------------


def line(x, y):
    """(value at x = 0, slope) by least squares."""
    offset = x - np.mean(x)
    slope = float(offset @ (y - np.mean(y)) / (offset @ offset))
    return float(np.mean(y) - slope * np.mean(x)), slope


def logarithms(x, y):
    return np.log(np.asarray(x, dtype=float)), np.log(np.asarray(y, dtype=float))


@misconception(
    "constant-still-a-logarithm",
    "Your constant is its logarithm: the line's height where log x is zero. Turn it back: exp of it.",
)
def constant_still_a_logarithm(x, y):
    return line(*logarithms(x, y))


@misconception(
    "constant-a-decimal-logarithm",
    "Your constant is its decimal logarithm: the line's height where log10 x is zero. Turn it back: 10 to the power "
    "of it.",
)
def constant_a_decimal_logarithm(x, y):
    height, slope = line(*logarithms(x, y))
    return height / math.log(10), slope


@misconception(
    "two-bases",
    "Your line is one between decimal logarithms, and you turned its height back with exp. Raise 10 to it, or take "
    "natural logarithms from the start.",
)
def two_bases(x, y):
    height, slope = line(*logarithms(x, y))
    return math.exp(height / math.log(10)), slope


@misconception(
    "swapped",
    "You returned the exponent first. This exercise asks for (constant, exponent); np.polyfit gives the slope first.",
)
def swapped(x, y):
    return reference(x, y)[::-1]


@misconception(
    "sign-of-the-exponent",
    "Your exponent has the other sign. In y = constant · x^exponent it is negative where y falls. (Papers often write "
    "x^−α with a positive α.)",
)
def sign_of_the_exponent(x, y):
    constant, exponent = reference(x, y)
    return constant, -exponent


@misconception(
    "logarithm-of-y-alone",
    "You took the logarithm of y alone: that fits an exponential, y = constant · exp(b · x). A power law is straight "
    "where both are logarithms.",
)
def logarithm_of_y_alone(x, y):
    height, slope = line(np.asarray(x, dtype=float), logarithms(x, y)[1])
    return math.exp(height), slope


@misconception(
    "logarithm-of-x-alone",
    "You took the logarithm of x alone. A power law is straight where both are logarithms.",
)
def logarithm_of_x_alone(x, y):
    return line(logarithms(x, y)[0], np.asarray(y, dtype=float))


@misconception(
    "without-logarithms",
    "You fitted a straight line to x and y themselves. A power law is straight where both are logarithms.",
)
def without_logarithms(x, y):
    return line(np.asarray(x, dtype=float), np.asarray(y, dtype=float))


@misconception(
    "first-and-last-point",
    "You drew the line through the first and the last point. On noisy points that keeps the noise of those two and "
    "leaves the others out: use least squares over all of them.",
)
def first_and_last_point(x, y):
    log_x, log_y = logarithms(x, y)
    slope = (log_y[-1] - log_y[0]) / (log_x[-1] - log_x[0])
    return math.exp(log_y[0] - slope * log_x[0]), float(slope)


@misconception(
    "mean-of-the-slopes",
    "You took the mean of the slopes between neighbours. Neighbours that are close together have wild slopes, and "
    "count as much as the others. Use least squares over all points.",
)
def mean_of_the_slopes(x, y):
    log_x, log_y = logarithms(x, y)
    slope = float(np.mean(np.diff(log_y) / np.diff(log_x)))
    return math.exp(np.mean(log_y) - slope * np.mean(log_x)), slope


@misconception(
    "x-from-y",
    "Your line gives log x from log y, turned round. Least squares then makes the distances in x small, and on noisy "
    "points that is a steeper line. The errors are in y here.",
)
def x_from_y(x, y):
    log_x, log_y = logarithms(x, y)
    slope = 1 / line(log_y, log_x)[1]
    return math.exp(np.mean(log_y) - slope * np.mean(log_x)), slope


@misconception(
    "through-the-origin",
    "Your line goes through (0, 0) between the logarithms: that fits y = x^exponent, with a constant of 1.",
)
def through_the_origin(x, y):
    log_x, log_y = logarithms(x, y)
    return 1.0, float(log_x @ log_y / (log_x @ log_x))


@misconception(
    "constant-is-the-first-y",
    "Your exponent is right, and your constant is the first y. The constant is what the law says at x = 1, which may "
    "lie far from your points.",
)
def constant_is_the_first_y(x, y):
    return float(np.asarray(y, dtype=float)[0]), reference(x, y)[1]


# Other right answers ----------------------------------------------------------------------------------------


def by_polyfit(x, y):
    slope, height = np.polyfit(np.log10(x), np.log10(y), 1)
    return 10**height, slope


def by_normal_equations(x, y):
    log_x, log_y = np.log(x), np.log(y)
    columns = np.stack([np.ones_like(log_x), log_x], axis=1)
    (height, slope), *_ = np.linalg.lstsq(columns, log_y, rcond=None)
    return float(np.exp(height)), float(slope)


def by_covariance(x, y):
    log_x, log_y = np.log(x), np.log(y)
    slope = np.cov(log_x, log_y, bias=True)[0, 1] / np.var(log_x)
    return math.exp(np.mean(log_y) - slope * np.mean(log_x)), slope


# Cases ------------------------------------------------------------------------------------------------------


def noisy(rng, noise=0.15, low=3.0, high=7.0, count=9, exponent=None):
    x = 10 ** np.sort(rng.uniform(low, high, count))
    exponent = -rng.uniform(0.05, 0.6) if exponent is None else exponent
    return Call(x, rng.uniform(2, 30) * x**exponent * np.exp(noise * rng.normal(size=count)))


EXERCISE = Exercise(
    name="fit_power_law",
    lesson="13_scaling_laws",
    kind="write",
    points=2,
    difficulty=2,
    minutes=15,
    asks="Fit y = constant · x^exponent by least squares between the logarithms.",
    reference=reference,
    returns=("constant", "exponent"),
    cases=(
        Case(
            "three points without noise",
            lambda rng: Call(np.array([1.0, 4.0, 16.0]), np.array([6.0, 3.0, 1.5])),
            "a factor of 4 in x halves y: 6 · x^−0.5",
            scale=0.0,
        ),
        Case("noisy points", noisy, scale=0.0),
        Case("a slope that rises", lambda rng: noisy(rng, exponent=0.73), scale=0.0),
        Case("two points", lambda rng: noisy(rng, count=2), scale=0.0),
        Case("small x", lambda rng: noisy(rng, low=-6.0, high=-2.0), scale=0.0),
    ),
    properties=(
        Property("the unit of x changes the constant alone", the_unit_of_x_changes_the_constant_alone),
        Property("the order of the points does not matter", the_order_of_the_points_does_not_matter),
    ),
    misconceptions=(
        constant_still_a_logarithm,
        constant_a_decimal_logarithm,
        two_bases,
        swapped,
        sign_of_the_exponent,
        logarithm_of_y_alone,
        logarithm_of_x_alone,
        without_logarithms,
        first_and_last_point,
        mean_of_the_slopes,
        x_from_y,
        through_the_origin,
        constant_is_the_first_y,
    ),
    alternatives=(by_polyfit, by_normal_equations, by_covariance),
    hints=(
        "Take the logarithm of both sides of y = constant · x^exponent. What kind of curve is that in log x and log y?",
        "A straight line: log y = log constant + exponent · log x. Fit slope and height by least squares, and turn the "
        "height back by exp.",
        "exponent, height = np.polyfit(np.log(x), np.log(y), 1)",
    ),
    any_float=True,
)
