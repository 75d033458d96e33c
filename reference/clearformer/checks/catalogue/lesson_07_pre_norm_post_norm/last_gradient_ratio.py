"""last_gradient_ratio: what four times the depth does to the last layer's gradient."""

from clearformer.checks.exercise import prediction

EXERCISE = prediction(
    "last_gradient_ratio",
    lesson="07_pre_norm_post_norm",
    points=1,
    difficulty=2,
    minutes=5,
    asks="By which factor does the bound on the last layer's gradient change in pre-norm, from 6 layers to 24?",
    number=0.5,
    close=0.01,
    wrong=(
        (
            "one-over-the-depth",
            0.25,
            "That would be 1/L. The stream's variance grows with the depth L, its deviation with the root of L, and "
            "what the final norm divides by is the deviation.",
        ),
        (
            "post-norm",
            1,
            "That is post-norm, where the last layer's gradient does not depend on the depth. In pre-norm it becomes "
            "smaller.",
        ),
        (
            "the-wrong-way-round",
            2,
            "The root is right, the direction is not: with more layers, the last one counts for less.",
        ),
        (
            "grows-with-the-depth",
            4,
            "The gradient does not grow: with more layers, the last one is a smaller part of the sum. And it is the "
            "root of the depth that counts.",
        ),
        (
            "one-over-the-square",
            0.0625,
            "That would be 1/L². The bound falls with the root of the depth.",
        ),
        (
            "one-over-root-of-24",
            24**-0.5,
            "That is 1/√L for L = 24 alone. Asked for is how it compares with L = 6: divide one by the other.",
        ),
        (
            "a-difference-of-depths",
            18**-0.5,
            "You took the root of the difference, 18 layers. A law of the form 1/√L is about factors: 24 is 4 times 6.",
        ),
    ),
    hints=(
        "Xiong and others 2020, theorem 1: in pre-norm the bound is proportional to 1/√L, with L for the number of "
        "layers.",
        "Write the bound for 24 layers, divide by that for 6: everything but √6 and √24 cancels out.",
        "√6 / √24 = √(1/4)",
    ),
)
