"""positional_encoding: a row of sines and cosines for each position."""

import numpy as np

from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception
from clearformer.numpy.positions import positional_encoding as reference


def rounding(encoding):
    """How far numbers up to 1 may be off in this dtype; single precision loses most in the angles."""
    return 1e-2 if encoding.dtype == np.float16 else 1e-4


def every_pair_lies_on_a_circle(answer, rng):
    encoding = answer.call(12, 8)
    limit = rounding(encoding)
    radius = np.hypot(encoding[:, 0::2], encoding[:, 1::2])
    worst = radius.flat[np.abs(radius - 1).argmax()]
    return None if abs(worst - 1) < limit else f"one pair (column 2i, column 2i+1) has length {worst:.4f}"


def a_longer_text_begins_with_the_shorter(answer, rng):
    longer, shorter = answer.call(16, 8)[:9], answer.call(9, 8)
    if longer.shape != shorter.shape:
        return f"the first 9 rows have shape {longer.shape} among 16 positions and {shorter.shape} in one of 9"
    gap = np.abs(longer - shorter).max()
    return (
        None
        if gap < rounding(longer)
        else f"the first 9 rows change by up to {gap:.4f} when there are 16 positions instead of 9"
    )


def similarity_depends_on_the_distance_alone(answer, rng):
    returned = answer.call(20, 8)
    encoding = returned.astype(np.float64)
    similarity = encoding @ encoding.T
    spread = max(np.ptp(np.diagonal(similarity, offset)) for offset in range(8))
    return (
        None
        if spread < 8 * rounding(returned)
        else f"at one and the same distance, PE[p] · PE[q] varies by {spread:.4f}"
    )


def from_exponents(seq_len, d_model, exponents, base=10000.0):
    """Sines in even columns, cosines in odd ones; the angle of column j is p / base^exponents[j]."""
    angles = np.arange(seq_len)[:, np.newaxis] / base ** np.asarray(exponents, dtype=float)
    return np.where(np.arange(d_model) % 2 == 0, np.sin(angles), np.cos(angles))


def columns_and_pairs(d_model):
    """Each column's number j, and the number i of its pair."""
    columns = np.arange(d_model)
    return columns, columns // 2


@misconception(
    "exponent-counts-pairs",
    "Your exponent is i/d_model, with i the number of the pair. The formula has 2i/d_model. Without the 2 no hand is "
    "slower than 1/100 of a radian a position, where the slowest should come near 1/10000. Put the 2 back: "
    "np.arange(0, d_model, 2) / d_model gives all exponents.",
)
def exponent_counts_pairs(seq_len, d_model):
    _, pairs = columns_and_pairs(d_model)
    return from_exponents(seq_len, d_model, pairs / d_model)


@misconception(
    "exponent-doubled",
    "Your exponent is twice too large: 4i/d_model for pair i. It comes from doubling a number that already counts "
    "columns in steps of two (i = 0, 2, 4, … and then 2·i, or 2·(j // 2)·2). Half of the hands then stand almost "
    "still. Double once: pair i has the exponent 2i/d_model.",
)
def exponent_doubled(seq_len, d_model):
    _, pairs = columns_and_pairs(d_model)
    return from_exponents(seq_len, d_model, 4 * pairs / d_model)


@misconception(
    "own-exponent-for-each-column",
    "Every column of yours has an exponent of its own, j/d_model for column j. A sine and its cosine have to share "
    "one angle, or the pair is no point on a circle. Columns 2i and 2i+1 both take the exponent 2i/d_model.",
)
def own_exponent_for_each_column(seq_len, d_model):
    columns, _ = columns_and_pairs(d_model)
    return from_exponents(seq_len, d_model, columns / d_model)


@misconception(
    "column-number-as-pair-number",
    "You put the column's number where the formula has the pair's: exponent 2j/d_model for column j. The i of the "
    "formula counts pairs, and columns 2i and 2i+1 share one angle. Use j // 2 for the pair's number.",
)
def column_number_as_pair_number(seq_len, d_model):
    columns, _ = columns_and_pairs(d_model)
    return from_exponents(seq_len, d_model, 2 * columns / d_model)


@misconception(
    "angles-grow",
    "Your angles are p · 10000^(2i/d_model): the hands turn faster and faster, by thousands of radians a step, and "
    "neighbours have nothing in common. The formula divides by the power. Divide, or give the exponent a minus sign.",
)
def angles_grow(seq_len, d_model):
    _, pairs = columns_and_pairs(d_model)
    return from_exponents(seq_len, d_model, -2 * pairs / d_model)


@misconception(
    "one-speed-for-all",
    "All your pairs turn at the same speed, one radian a position, so every pair says the same. The power 2i/d_model "
    "seems to be 0 everywhere: an integer division (//) does that. Each pair i has its own angle, "
    "p / 10000^(2i/d_model).",
)
def one_speed_for_all(seq_len, d_model):
    return from_exponents(seq_len, d_model, np.zeros(d_model))


@misconception(
    "halves-concatenated",
    "You put all sines first and all cosines after them. That layout is valid and in use: it holds the same numbers "
    "in other columns. This exercise asks for the interleaved one, sine and cosine side by side: sines in columns "
    "0, 2, 4, …, cosines in columns 1, 3, 5, …: encoding[:, 0::2] and encoding[:, 1::2].",
)
def halves_concatenated(seq_len, d_model):
    encoding = reference(seq_len, d_model)
    return np.concatenate([encoding[:, 0::2], encoding[:, 1::2]], axis=1)


@misconception(
    "sine-and-cosine-swapped",
    "Your even columns hold the cosines and your odd columns the sines. Position 0 should read 0, 1, 0, 1, …: the "
    "sine comes first. Swap them.",
)
def sine_and_cosine_swapped(seq_len, d_model):
    wider = reference(seq_len, d_model + d_model % 2)
    return wider.reshape(seq_len, -1, 2)[:, :, ::-1].reshape(seq_len, -1)[:, :d_model]


@misconception(
    "positions-from-one",
    "Your first row belongs to position 1. This exercise counts positions from 0, so the first row is all angles "
    "0: 0, 1, 0, 1, … Use np.arange(seq_len).",
)
def positions_from_one(seq_len, d_model):
    return reference(seq_len + 1, d_model)[1:]


@misconception(
    "decimal-logarithm",
    "You write the power as exp(… · log(10000)), and the logarithm is the decimal one. exp undoes the natural "
    "logarithm: use np.log, or write the power directly, 10000.0 ** exponent.",
)
def decimal_logarithm(seq_len, d_model):
    _, pairs = columns_and_pairs(d_model)
    return from_exponents(seq_len, d_model, 2 * pairs / d_model, base=np.exp(np.log10(10000.0)))


@misconception(
    "last-wavelength-exact",
    "You spread the speeds so that the last pair turns with exactly 10000, dividing by the number of pairs less one. "
    "That is a good encoding, and the authors' own code does it. This exercise asks for the formula of the paper: "
    "exponent 2i/d_model, which stops just short of 1.",
)
def last_wavelength_exact(seq_len, d_model):
    _, pairs = columns_and_pairs(d_model)
    return from_exponents(seq_len, d_model, pairs / max(d_model // 2 - 1, 1))


@misconception(
    "halves-and-last-wavelength-exact",
    "This is the encoding of the authors' own code: sines first, then cosines, and a last pair that turns with exactly "
    "10000. It works as well. This exercise asks for the formula of the paper: sines in even columns, cosines in "
    "odd ones, exponent 2i/d_model.",
)
def halves_and_last_wavelength_exact(seq_len, d_model):
    num_pairs = d_model // 2
    frequencies = 10000.0 ** -(np.arange(num_pairs) / max(num_pairs - 1, 1))
    angles = np.arange(seq_len)[:, np.newaxis] * frequencies
    encoding = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    return np.pad(encoding, [(0, 0), (0, d_model % 2)])


@misconception(
    "position-over-length",
    "You divide the position by the length of the text. The same position then gets another code in every text, and "
    "a step means less the longer the text is. Use p itself.",
)
def position_over_length(seq_len, d_model):
    angles = np.arange(seq_len)[:, np.newaxis] / seq_len / 10000.0 ** (2 * (np.arange(d_model) // 2) / d_model)
    return np.where(np.arange(d_model) % 2 == 0, np.sin(angles), np.cos(angles))


@misconception(
    "times-two-pi",
    "You multiply the angle by 2π, as if 10000^(2i/d_model) were the wavelength. In the paper's formula it is the "
    "wavelength divided by 2π: the first pair comes back after 2π positions, not after 1. Leave the 2π out.",
)
def times_two_pi(seq_len, d_model):
    _, pairs = columns_and_pairs(d_model)
    angles = 2 * np.pi * np.arange(seq_len)[:, np.newaxis] / 10000.0 ** (2 * pairs / d_model)
    return np.where(np.arange(d_model) % 2 == 0, np.sin(angles), np.cos(angles))


@misconception(
    "degrees",
    "Your angles are turned from degrees into radians. The formula's angles already are radians, as np.sin and "
    "np.cos want them. Leave the conversion out.",
)
def degrees(seq_len, d_model):
    _, pairs = columns_and_pairs(d_model)
    angles = np.radians(np.arange(seq_len)[:, np.newaxis] / 10000.0 ** (2 * pairs / d_model))
    return np.where(np.arange(d_model) % 2 == 0, np.sin(angles), np.cos(angles))


@misconception(
    "sines-only",
    "Your odd columns hold sines too. A sine alone cannot tell a rising wave from a falling one. "
    "Columns 1, 3, 5, … take the cosine of the same angle.",
)
def sines_only(seq_len, d_model):
    _, pairs = columns_and_pairs(d_model)
    return np.sin(np.arange(seq_len)[:, np.newaxis] / 10000.0 ** (2 * pairs / d_model))


@misconception(
    "transposed",
    "Your array has a column for each position. This exercise asks for a row for each position: "
    "shape (seq_len, d_model).",
)
def transposed(seq_len, d_model):
    return reference(seq_len, d_model).T


@misconception(
    "odd-width-exponent-less-one",
    "Even widths are right. For an odd d_model you divide the exponent by d_model − 1 (i / (d_model // 2) does that "
    "too). The exponent stays 2i/d_model for every width.",
)
def odd_width_exponent_less_one(seq_len, d_model):
    _, pairs = columns_and_pairs(d_model)
    return from_exponents(seq_len, d_model, 2 * pairs / np.float64(d_model - d_model % 2))


@misconception(
    "odd-width-exponent-plus-one",
    "Even widths are right. For an odd d_model you divide the exponent by d_model + 1, as if the missing cosine were "
    "there. The exponent stays 2i/d_model for every width: only the last column is cut off.",
)
def odd_width_exponent_plus_one(seq_len, d_model):
    return reference(seq_len, d_model + d_model % 2)[:, :d_model]


@misconception(
    "odd-width-ends-with-cosine",
    "Even widths are right. For an odd d_model your last column is a cosine. Column d_model − 1 is then an even "
    "column, so it takes the sine; its cosine is the one that has no room.",
)
def odd_width_ends_with_cosine(seq_len, d_model):
    encoding = reference(seq_len, d_model)
    if d_model % 2:
        encoding[:, -1] = np.cos(np.arange(seq_len) / 10000.0 ** ((d_model - 1) / d_model))
    return encoding


@misconception(
    "odd-width-ends-with-zeros",
    "Even widths are right. For an odd d_model nothing is written into your last column: d_model // 2 counts whole "
    "pairs only. The last column is a sine without its cosine.",
)
def odd_width_ends_with_zeros(seq_len, d_model):
    encoding = reference(seq_len, d_model)
    encoding[:, d_model - d_model % 2 :] = 0.0
    return encoding


@misconception(
    "odd-width-column-missing",
    "Even widths are right. For an odd d_model a column is missing: d_model // 2 counts whole pairs only. "
    "The last column is a sine without its cosine.",
)
def odd_width_column_missing(seq_len, d_model):
    return reference(seq_len, d_model)[:, : d_model - d_model % 2]


@misconception(
    "odd-width-column-too-many",
    "Even widths are right. For an odd d_model you return one column too many: the last sine brings its cosine "
    "along. Cut it off: encoding[:, :d_model].",
)
def odd_width_column_too_many(seq_len, d_model):
    _, pairs = columns_and_pairs(d_model + d_model % 2)
    return from_exponents(seq_len, len(pairs), 2 * pairs / d_model)


@misconception(
    "odd-width-does-not-fit",
    "Even widths are right. For an odd d_model there is one sine more than there are places for cosines, so the shapes "
    "do not fit. Give the odd columns only the first d_model // 2 angles: np.cos(angles[:, : d_model // 2]).",
)
def odd_width_does_not_fit(seq_len, d_model):
    angles = np.arange(seq_len)[:, np.newaxis] / 10000.0 ** (np.arange(0, d_model, 2) / d_model)
    encoding = np.zeros((seq_len, d_model))
    encoding[:, 0::2] = np.sin(angles)
    encoding[:, 1::2] = np.cos(angles)
    return encoding


@misconception(
    "odd-width-index-too-large",
    "Even widths are right. For an odd d_model your loop writes a cosine into column d_model, which does not exist. "
    "Write the cosine only where i + 1 < d_model.",
)
def odd_width_index_too_large(seq_len, d_model):
    encoding = np.zeros((seq_len, d_model))
    positions = np.arange(seq_len)
    for i in range(0, d_model, 2):
        encoding[:, i] = np.sin(positions / 10000.0 ** (i / d_model))
        encoding[:, i + 1] = np.cos(positions / 10000.0 ** (i / d_model))
    return encoding


def number_by_number(seq_len, d_model):
    """Another right answer: two loops, as the formula reads."""
    encoding = np.zeros((seq_len, d_model))
    for position in range(seq_len):
        for column in range(d_model):
            angle = position / 10000 ** (2 * (column // 2) / d_model)
            encoding[position, column] = np.cos(angle) if column % 2 else np.sin(angle)
    return encoding


def stored_in_half_precision(seq_len, d_model):
    """Another right answer: float64 inside, rounded to float16 at the end."""
    return number_by_number(seq_len, d_model).astype(np.float16)


def in_single_precision(seq_len, d_model):
    """Another right answer: float32 throughout, the power as exp and log."""
    exponents = np.arange(0, d_model, 2, dtype=np.float32) / np.float32(d_model)
    frequencies = np.exp(-exponents * np.log(np.float32(10000)))
    angles = np.outer(np.arange(seq_len, dtype=np.float32), frequencies)
    encoding = np.zeros((seq_len, d_model), dtype=np.float32)
    encoding[:, 0::2] = np.sin(angles)
    encoding[:, 1::2] = np.cos(angles[:, : d_model // 2])
    return encoding


def by_shifted_sines(seq_len, d_model):
    """Another right answer: a cosine is a sine a quarter turn ahead; the result is not contiguous."""
    columns = np.arange(d_model)[:, np.newaxis]
    angles = np.arange(seq_len) / 10000.0 ** ((columns - columns % 2) / d_model)
    return np.sin(angles + np.pi / 2 * (columns % 2)).T


def by_complex_numbers(seq_len, d_model):
    """Another right answer: points on the unit circle of the complex plane, read part by part."""
    frequencies = 10000.0 ** -(np.arange(0, d_model, 2) / d_model)
    points = np.exp(1j * np.arange(seq_len)[:, np.newaxis] * frequencies)
    return np.stack([points.imag, points.real], axis=-1).reshape(seq_len, 2 * len(frequencies))[:, :d_model]


EXERCISE = Exercise(
    name="positional_encoding",
    lesson="01_positional_encoding",
    kind="write",
    points=3,
    difficulty=2,
    minutes=15,
    asks="Give each position a row of sines and cosines: shape (seq_len, d_model).",
    reference=reference,
    returns=("encoding",),
    cases=(
        Case("one position, two columns", lambda rng: Call(1, 2), "at position 0 every angle is 0"),
        Case("three positions, two columns", lambda rng: Call(3, 2), "one pair, which turns 1 radian a position"),
        Case("three positions, four columns", lambda rng: Call(3, 4), "two pairs, the second 100 times slower"),
        Case("four positions, eight columns", lambda rng: Call(4, 8)),
        Case("as many columns as positions", lambda rng: Call(6, 6), "here rows and columns are easily mixed up"),
        Case("an odd width of three", lambda rng: Call(4, 3), "the last column is a sine"),
        Case("an odd width of seven", lambda rng: Call(5, 7), "the exponent stays 2i/d_model"),
        Case("an odd width of five", lambda rng: Call(7, 5)),
        Case("a single column", lambda rng: Call(4, 1), "a sine without its cosine"),
        Case("more columns than positions", lambda rng: Call(3, 64)),
        Case("a longer text", lambda rng: Call(48, 12)),
    ),
    properties=(
        Property("every pair lies on a circle of radius 1", every_pair_lies_on_a_circle),
        Property("a longer text begins with the rows of the shorter", a_longer_text_begins_with_the_shorter),
        Property("similarity depends on the distance alone", similarity_depends_on_the_distance_alone),
    ),
    misconceptions=(
        exponent_counts_pairs,
        exponent_doubled,
        own_exponent_for_each_column,
        column_number_as_pair_number,
        angles_grow,
        one_speed_for_all,
        halves_concatenated,
        sine_and_cosine_swapped,
        positions_from_one,
        decimal_logarithm,
        last_wavelength_exact,
        halves_and_last_wavelength_exact,
        position_over_length,
        times_two_pi,
        degrees,
        sines_only,
        transposed,
        odd_width_exponent_less_one,
        odd_width_exponent_plus_one,
        odd_width_ends_with_cosine,
        odd_width_ends_with_zeros,
        odd_width_column_missing,
        odd_width_column_too_many,
        odd_width_does_not_fit,
        odd_width_index_too_large,
    ),
    alternatives=(
        number_by_number,
        in_single_precision,
        stored_in_half_precision,
        by_shifted_sines,
        by_complex_numbers,
    ),
    hints=(
        "Each pair of columns is a clock hand. First find how far each hand turns from one position to the next, "
        "then where it points at each position.",
        "Three steps: the exponents 2i/d_model, one for each pair; the angles, positions as a column of shape "
        "(seq_len, 1) divided by the powers of 10000; then sines into the even columns and cosines into the odd ones. "
        "An odd width has one sine more than cosines.",
        "angles = np.arange(seq_len)[:, np.newaxis] / 10000.0 ** (np.arange(0, d_model, 2) / d_model)",
    ),
    any_float=True,
)
