"""shift_matrix: the rotation that moves an encoding along."""

import numpy as np

from clearformer.checks.catalogue.lesson_01_positional_encoding.positional_encoding import rounding
from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception
from clearformer.numpy.positions import positional_encoding
from clearformer.numpy.positions import shift_matrix as reference


def it_moves_every_position(answer, rng):
    encoding = positional_encoding(40, 8)
    for offset in (3, -5):
        positions = np.arange(max(0, -offset), 40 - max(0, offset))
        matrix = answer.call(offset, 8)
        moved = encoding[positions] @ matrix.T
        gaps = np.abs(moved - encoding[positions + offset]).max(axis=1)
        if gaps.max() > rounding(matrix):
            p = positions[gaps.argmax()]
            return f"for offset {offset}, M @ PE[{p}] differs from PE[{p + offset}] by {gaps.max():.4f}"
    return None


def two_moves_are_one(answer, rng):
    first, second = int(rng.integers(2, 20)), -int(rng.integers(2, 20))
    with np.errstate(invalid="ignore"):  # a wrong answer may hold infinities
        product = answer.call(first, 6) @ answer.call(second, 6)
    gap = np.abs(product - answer.call(first + second, 6)).max()
    return (
        None if gap < rounding(product) else f"M({first}) @ M({second}) differs from M({first + second}) by {gap:.4f}"
    )


def it_only_turns(answer, rng):
    matrix = answer.call(int(rng.integers(2, 20)), 6)
    gap = np.abs(matrix.T @ matrix - np.eye(6)).max()
    return None if gap < rounding(matrix) else f"M.T @ M differs from the identity by {gap:.4f}, so M changes lengths"


def from_angles(angles):
    """One 2×2 block for each angle, along the diagonal."""
    sine, cosine = np.arange(0, 2 * len(angles), 2), np.arange(1, 2 * len(angles), 2)
    matrix = np.zeros((2 * len(angles), 2 * len(angles)))
    matrix[sine, sine] = matrix[cosine, cosine] = np.cos(angles)
    matrix[sine, cosine] = np.sin(angles)
    matrix[cosine, sine] = -np.sin(angles)
    return matrix


def angle_of_each_pair(offset, d_model):
    return offset / 10000.0 ** (np.arange(0, d_model, 2) / d_model)


@misconception(
    "turns-backwards",
    "Your matrix takes PE[p] to PE[p − offset]. It is the rotation of the textbooks, which turns a point "
    "(cos, sin) counter-clockwise. Here a pair is (sin, cos): a clock hand, which turns the other way. The sign of "
    "the two sines has to change: +sin in the sine's row, −sin in the cosine's.",
)
def turns_backwards(offset, d_model):
    return reference(-offset, d_model)


@misconception(
    "one-angle-for-all-pairs",
    "You turn every pair by the same angle, offset. That fits the first pair alone. Pair i turns "
    "by offset / 10000^(2i/d_model).",
)
def one_angle_for_all_pairs(offset, d_model):
    return from_angles(np.full(d_model // 2, float(offset)))


@misconception(
    "sign-of-the-offset-lost",
    "Your matrix is the same for an offset and its negative. A negative offset moves back: "
    "sin(−a) = −sin(a). Keep the sign of the offset in the angle.",
)
def sign_of_the_offset_lost(offset, d_model):
    return reference(abs(offset), d_model)


@misconception(
    "offset-ignored",
    "Your matrix moves by one position, whatever the offset is. The angle of pair i is offset / 10000^(2i/d_model).",
)
def offset_ignored(offset, d_model):
    return reference(1, d_model)


@misconception(
    "elementwise-power",
    "You raised each number of the one-step matrix to the power of the offset. A matrix times itself is not its "
    "numbers squared: ** works number by number, np.linalg.matrix_power multiplies matrices. "
    "Shorter still: multiply the angle by the offset.",
)
def elementwise_power(offset, d_model):
    return reference(1, d_model) ** float(offset)


@misconception(
    "step-times-offset",
    "You multiplied the matrix of one step by the offset. That makes every vector longer. Moving twice is "
    "multiplying by the matrix twice; shorter: multiply the angle by the offset.",
)
def step_times_offset(offset, d_model):
    return offset * reference(1, d_model)


@misconception(
    "columns-rolled",
    "Your matrix moves the columns of a vector along, as np.roll does. The shift here is one of position: "
    "all columns stay where they are, and each pair of them is turned.",
)
def columns_rolled(offset, d_model):
    return np.roll(np.eye(d_model), offset, axis=0)


@misconception(
    "both-sines-positive",
    "Both sines of your blocks have the same sign. Then the block is no rotation. "
    "cos(a + b) = cos(b) cos(a) − sin(b) sin(a): the cosine's row has −sin.",
)
def both_sines_positive(offset, d_model):
    matrix = reference(offset, d_model)
    matrix[1::2, 0::2] *= -1
    return matrix


@misconception(
    "reflection",
    "Your blocks have cos and −cos on the diagonal: they are reflections, and a shift by 0 would change the encoding. "
    "Both numbers on a block's diagonal are +cos.",
)
def reflection(offset, d_model):
    matrix = reference(offset, d_model)
    matrix[1::2] *= -1
    return matrix


@misconception(
    "sine-and-cosine-swapped",
    "Your blocks have sines on the diagonal and cosines beside it. A shift by 0 has to be the identity, and cos(0) is "
    "1: the cosines belong on the diagonal.",
)
def sine_and_cosine_swapped(offset, d_model):
    return from_angles(np.pi / 2 - angle_of_each_pair(offset, d_model))


@misconception(
    "blocks-for-halves",
    "Your matrix fits an encoding with all sines first and all cosines after them: column i goes with column "
    "i + d_model/2. This exercise asks for the interleaved layout, where column 2i goes with column 2i + 1: blocks of "
    "2×2 along the diagonal.",
)
def blocks_for_halves(offset, d_model):
    order = [*range(0, d_model, 2), *range(1, d_model, 2)]
    return reference(offset, d_model)[np.ix_(order, order)]


@misconception(
    "exponent-counts-pairs",
    "Your exponent is i/d_model, with i the number of the pair. It has to be that of the encoding, 2i/d_model: "
    "np.arange(0, d_model, 2) / d_model.",
)
def exponent_counts_pairs(offset, d_model):
    return from_angles(offset / 10000.0 ** (np.arange(d_model // 2) / d_model))


@misconception(
    "exponent-doubled",
    "Your exponent is 4i/d_model for pair i: doubled once too often. It has to be that of the encoding, 2i/d_model.",
)
def exponent_doubled(offset, d_model):
    return from_angles(offset / 10000.0 ** (4 * np.arange(d_model // 2) / d_model))


@misconception(
    "angles-grow",
    "You multiply the offset by 10000^(2i/d_model). The hands of the encoding turn slower from pair to pair, "
    "not faster: divide by the power.",
)
def angles_grow(offset, d_model):
    return from_angles(offset * 10000.0 ** (np.arange(0, d_model, 2) / d_model))


@misconception(
    "degrees",
    "You convert the angles from degrees. offset / 10000^(2i/d_model) already is in radians, as np.sin and np.cos "
    "want it.",
)
def degrees(offset, d_model):
    return from_angles(np.radians(angle_of_each_pair(offset, d_model)))


@misconception(
    "first-pair-only",
    "Your matrix turns the first pair and leaves the others as they are. Every pair has its own block: "
    "loop over all d_model // 2 of them.",
)
def first_pair_only(offset, d_model):
    matrix = np.eye(d_model)
    matrix[:2, :2] = reference(offset, d_model)[:2, :2]
    return matrix


@misconception(
    "no-off-diagonal",
    "Your matrix has cosines on its diagonal and nothing beside them. That shrinks each pair and does not turn it. "
    "The new sine needs the old cosine too: sin(a + b) = cos(b) sin(a) + sin(b) cos(a).",
)
def no_off_diagonal(offset, d_model):
    return np.diag(np.repeat(np.cos(angle_of_each_pair(offset, d_model)), 2))


def block_by_block(offset, d_model):
    """Another right answer: a loop over the pairs."""
    matrix = np.zeros((d_model, d_model))
    for i in range(0, d_model, 2):
        angle = offset / 10000 ** (i / d_model)
        c, s = np.cos(angle), np.sin(angle)
        matrix[i : i + 2, i : i + 2] = [[c, s], [-s, c]]
    return matrix


def by_matrix_power(offset, d_model):
    """Another right answer: one step, multiplied by itself; a step back is the transpose."""
    step = block_by_block(1, d_model)
    return np.linalg.matrix_power(step if offset >= 0 else step.T, abs(offset))


def by_generator(offset, d_model):
    """Another right answer: cosines on the diagonal, and one skew-symmetric matrix for all the sines."""
    angles = np.repeat(offset * 10000.0 ** -(np.arange(0, d_model, 2) / d_model), 2)
    quarter_turn = np.kron(np.eye(d_model // 2), [[0.0, 1.0], [-1.0, 0.0]])
    return np.diag(np.cos(angles)) + np.diag(np.sin(angles)) @ quarter_turn


def stored_in_half_precision(offset, d_model):
    """Another right answer: float64 inside, rounded to float16 at the end."""
    return block_by_block(offset, d_model).astype(np.float16)


def in_single_precision(offset, d_model):
    """Another right answer: float32 throughout; the result is a transposed view."""
    angles = np.float32(offset) * np.float32(10000) ** (-np.arange(0, d_model, 2, dtype=np.float32) / d_model)
    backwards = np.zeros((d_model, d_model), dtype=np.float32)
    sine, cosine = slice(0, None, 2), slice(1, None, 2)
    backwards[sine, sine] = backwards[cosine, cosine] = np.diag(np.cos(angles))
    backwards[cosine, sine] = np.diag(np.sin(angles))
    backwards[sine, cosine] = -np.diag(np.sin(angles))
    return backwards.T


EXERCISE = Exercise(
    name="shift_matrix",
    lesson="01_positional_encoding",
    kind="write",
    points=3,
    difficulty=3,
    minutes=15,
    asks="Build the matrix M with PE[p + offset] = M @ PE[p] for every position p.",
    reference=reference,
    returns=("matrix",),
    cases=(
        Case("one step, one pair", lambda rng: Call(1, 2)),
        Case("one step, two pairs", lambda rng: Call(1, 4)),
        Case("no step at all", lambda rng: Call(0, 4), "a shift by 0 changes nothing"),
        Case("three steps, two pairs", lambda rng: Call(3, 4)),
        Case("two steps back", lambda rng: Call(-2, 4), "a negative offset turns the other way"),
        Case("five steps, four pairs", lambda rng: Call(5, 8)),
        Case("forty steps back, three pairs", lambda rng: Call(-40, 6)),
    ),
    properties=(
        Property("it moves every position by the offset", it_moves_every_position),
        Property("two moves are one move by their sum", two_moves_are_one),
        Property("it turns and never stretches", it_only_turns),
    ),
    misconceptions=(
        turns_backwards,
        one_angle_for_all_pairs,
        sign_of_the_offset_lost,
        offset_ignored,
        elementwise_power,
        step_times_offset,
        columns_rolled,
        both_sines_positive,
        reflection,
        sine_and_cosine_swapped,
        blocks_for_halves,
        exponent_counts_pairs,
        exponent_doubled,
        angles_grow,
        degrees,
        first_pair_only,
        no_off_diagonal,
    ),
    alternatives=(block_by_block, by_matrix_power, by_generator, in_single_precision, stored_in_half_precision),
    hints=(
        "Write down sin(a + b) and cos(a + b) with the addition theorems. Both are sums of sin(a) and cos(a): the "
        "factors are the numbers of a 2×2 block.",
        "Pair i lives in rows and columns 2i and 2i + 1 and turns by offset / 10000^(2i/d_model). Start from zeros "
        "and write one 2×2 block for each pair on the diagonal.",
        "matrix[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = [[c, s], [-s, c]]  # c, s: cosine and sine of pair i's angle",
    ),
    any_float=True,
)
