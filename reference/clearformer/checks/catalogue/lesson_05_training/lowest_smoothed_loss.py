"""lowest_smoothed_loss: why the training loss never reaches 0."""

import math

from clearformer.checks.exercise import prediction

RIGHT, OTHER = 0.9 + 0.1 / 8000, 0.1 / 8000
LOWEST = -RIGHT * math.log(RIGHT) - 7999 * OTHER * math.log(OTHER)

EXERCISE = prediction(
    "lowest_smoothed_loss",
    lesson="05_training",
    points=1,
    difficulty=3,
    minutes=8,
    asks="What is the lowest loss that any model can reach with smoothing=0.1 and 8,000 words? One in a hundred more "
    "or less does not matter.",
    number=LOWEST,
    close=0.01,
    wrong=(
        (
            "zero",
            0,
            "Without smoothing that would be right. A smoothed label wants 0.1 spread over all words, and a model that "
            "gives the right word everything loses without end on the others.",
        ),
        (
            "the-right-word-alone",
            -math.log(0.9),
            "That is what the right word alone would lose with a probability of 0.9, and with the weight 1. The other "
            "words are part of the label too.",
        ),
        (
            "the-weighted-right-word",
            -0.9 * math.log(0.9),
            "That is the right word's part. The 0.1 that is spread over 8,000 words costs far more: each of them has a "
            "tiny probability, and its logarithm is large.",
        ),
        (
            "the-others-alone",
            -0.1 * math.log(0.1 / 8000),
            "That is the part of the 8,000 words that share 0.1. Add the right word's part, 0.9 times minus the "
            "logarithm of 0.9.",
        ),
        (
            "a-choice-of-two",
            -0.9 * math.log(0.9) - 0.1 * math.log(0.1),
            "You counted the 0.1 as one choice. It is spread over 8,000 words, so each has 0.1 / 8000.",
        ),
        (
            "a-tenth-of-the-untrained-loss",
            0.1 * math.log(8000),
            "That is 0.1 times the loss of an untrained model. It is most of it: add the loss of the choice between "
            "the right word and the rest, 0.9 and 0.1.",
        ),
        (
            "in-bits",
            LOWEST / math.log(2),
            "That is the right number in bits. torch takes the natural logarithm.",
        ),
        (
            "the-untrained-loss",
            math.log(8000),
            "That is the loss of a model that knows nothing. Which probabilities would be best?",
        ),
    ),
    hints=(
        "The loss is lowest where the model's probabilities equal the label. Which numbers does the label hold?",
        "The label holds 0.9 + 0.1/8000 once and 0.1/8000 otherwise. Its cross-entropy with itself is minus the sum of "
        "p times log p.",
        "-0.9 * math.log(0.9) - 0.1 * math.log(0.1 / 8000)",
    ),
)
