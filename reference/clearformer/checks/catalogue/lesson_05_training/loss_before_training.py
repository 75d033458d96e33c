"""loss_before_training: what an untrained model loses."""

import math

from clearformer.checks.exercise import prediction

EXERCISE = prediction(
    "loss_before_training",
    lesson="05_training",
    points=1,
    difficulty=1,
    minutes=4,
    asks="Which loss has a model that gives each of 8,000 words the same probability? One in a hundred more or less "
    "does not matter.",
    number=math.log(8000),
    close=0.01,
    wrong=(
        (
            "base-2",
            math.log2(8000),
            "That is the logarithm to the base 2, the loss in bits. torch takes the natural logarithm.",
        ),
        (
            "base-10",
            math.log10(8000),
            "That is the logarithm to the base 10. torch takes the natural logarithm.",
        ),
        (
            "negative",
            -math.log(8000),
            "The size is right. A logarithm of a probability is negative; the loss is its negative.",
        ),
        (
            "the-probability",
            1 / 8000,
            "1/8000 is the probability of the right word. The loss is minus its logarithm.",
        ),
        (
            "one-minus-the-probability",
            1 - 1 / 8000,
            "You took 1 − 1/8000, as if the loss were the chance of being wrong. It is minus the logarithm of the "
            "right word's probability.",
        ),
        (
            "the-perplexity",
            8000,
            "8000 is the perplexity, e to the power of the loss: the model is as unsure as if it had 8,000 equal "
            "choices.",
        ),
        (
            "zero",
            0,
            "A loss of 0 is that of a model that is always sure and always right.",
        ),
        (
            "one-bit",
            math.log(2),
            "That is the loss of a fair choice between two words. Here there are 8,000.",
        ),
    ),
    hints=(
        "The loss of a token is minus the logarithm of the probability that the model gave to the right word.",
        "The right word has the probability 1/8000, whichever it is. Label smoothing changes nothing here, because all "
        "words have the same.",
        "math.log(8000)",
    ),
)
