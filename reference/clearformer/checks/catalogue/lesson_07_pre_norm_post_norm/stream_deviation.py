"""stream_deviation: how wide the stream of a pre-norm stack becomes."""

from clearformer.checks.exercise import prediction

EXERCISE = prediction(
    "stream_deviation",
    lesson="07_pre_norm_post_norm",
    points=1,
    difficulty=2,
    minutes=6,
    asks="What is the standard deviation of the numbers after the last of the 24 layers, without a final norm?",
    number=5.0,
    close=0.01,
    wrong=(
        (
            "the-variance",
            25,
            "That is the variance. The deviation is its root.",
        ),
        (
            "one-sublayer-a-layer",
            13**0.5,
            "You counted one sublayer in each layer. There are two, attention and feed-forward, so 48 in all.",
        ),
        (
            "variance-with-one-sublayer",
            13,
            "You counted one sublayer in each layer, and that number is the variance: there are 48 sublayers, and the "
            "deviation is the root of the variance.",
        ),
        (
            "start-forgotten",
            24**0.5,
            "That is what the 48 sublayers add. The stream does not begin with nothing: it starts with variance 1.",
        ),
        (
            "the-variance-without-the-start",
            24,
            "That is the variance of what the sublayers add. Add that of the start, and take the root.",
        ),
        (
            "deviations-added",
            1 + 48 * 0.5**0.5,
            "You added deviations. Numbers that know nothing of each other partly cancel: their variances add up, and "
            "the deviation is the root of the sum.",
        ),
        (
            "normed-at-each-layer",
            1,
            "That would be post-norm, where the sum itself is normed. In pre-norm the norm stands beside the stream, "
            "and nobody makes the sum smaller.",
        ),
        (
            "multiplied",
            1.5**24,
            "You multiplied the variance by 1.5 in each sublayer. What is added always has variance 0.5: the norm in "
            "front of a sublayer sees to it, however large the stream is. So it grows by adding.",
        ),
    ),
    hints=(
        "What is added to the stream, how often, and what happens to the variances of independent numbers in a sum?",
        "Variances add up: 1 at the start, and 0.5 for each of the sublayers. How many sublayers have 24 layers?",
        "The root of 1 + 48 · 0.5.",
    ),
)
