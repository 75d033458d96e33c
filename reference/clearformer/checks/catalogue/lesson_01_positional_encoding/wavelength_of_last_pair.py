"""wavelength_of_last_pair: after how many positions is the slowest hand back?"""

import math

from clearformer.checks.exercise import prediction

PAIR, D_MODEL = 3, 8  # the last of four pairs, counted from 0
PER_RADIAN = 10000 ** (2 * PAIR / D_MODEL)  # positions in which the hand turns one radian: 1000

EXERCISE = prediction(
    "wavelength_of_last_pair",
    lesson="01_positional_encoding",
    points=1,
    difficulty=2,
    minutes=5,
    asks="Give the number of positions after which the last pair of an encoding with d_model = 8 is back at its start.",
    number=2 * math.pi * PER_RADIAN,
    close=0.01,
    wrong=(
        (
            "two-pi-forgotten",
            PER_RADIAN,
            "After 1000 positions the hand has turned by one radian, about a sixth of the way round. "
            "It is back at its start after a full turn, 2π radians.",
        ),
        (
            "the-limit",
            2 * math.pi * 10000,
            "10000 · 2π is the limit that wide encodings come near; none reaches it. Pairs are counted from 0, so the "
            "last one has i = d_model/2 − 1. What is 2i/d_model then, for d_model = 8?",
        ),
        (
            "the-base",
            10000.0,
            "10000 is the base, and the base only. The last pair, i = 3 of d_model = 8, divides the position by "
            "10000^(6/8). And a full turn is 2π radians, not 1.",
        ),
        (
            "frequency-instead",
            1 / PER_RADIAN,
            "Your number is a frequency: how far the hand turns from one position to the next. The wavelength is the "
            "other way round: how many positions one full turn takes.",
        ),
        (
            "exponent-counts-pairs",
            2 * math.pi * 10000 ** (PAIR / D_MODEL),
            "You took the exponent i/d_model = 3/8. The formula has 2i/d_model, which is 6/8 for the last pair.",
        ),
        (
            "exponent-of-the-last-column",
            2 * math.pi * 10000 ** ((D_MODEL - 1) / D_MODEL),
            "You took the exponent 7/8, from the last column's own number. Columns 6 and 7 are one pair and share the "
            "exponent 6/8.",
        ),
        (
            "column-number-as-pair-number",
            2 * math.pi * 10000 ** (2 * (D_MODEL - 1) / D_MODEL),
            "You put the column's number, 7, where the formula has the pair's. Columns 6 and 7 are pair i = 3, and its "
            "exponent is 2i/d_model = 6/8.",
        ),
        (
            "first-pair",
            2 * math.pi,
            "2π is the wavelength of the first pair, the fastest. The question is about the last pair, the slowest.",
        ),
        (
            "half-a-turn",
            math.pi * PER_RADIAN,
            "After that many positions the hand points the opposite way: the sine is 0 again, but it is falling. "
            "A full turn is 2π radians.",
        ),
        (
            "in-degrees",
            360 * PER_RADIAN,
            "You count a full turn as 360. The angles of the encoding are in radians, and a full turn is 2π of them.",
        ),
    ),
    hints=(
        "A wavelength is a full turn divided by the turn of one step. How far does the last hand turn in one step?",
        "Columns 6 and 7 are the last pair, i = 3. It turns by 1 / 10000^(2i/8) radians a position. "
        "A full turn is 2π radians.",
        "wavelength_of_last_pair = 2 * math.pi * 10000 ** (6 / 8)",
    ),
)
