"""score_variance: how far apart scores lie before they are scaled."""

from clearformer.checks.exercise import prediction

EXERCISE = prediction(
    "score_variance",
    number=64,
    wrong=(
        (
            "the-standard-deviation",
            8,
            "8 is the standard deviation, the square root of the variance. It is what attention divides by. "
            "The question asks for the variance.",
        ),
        (
            "already-scaled",
            1,
            "1 is the variance after dividing by √64, and the variance of one single product. "
            "Here 64 such products are added up, and nothing is divided.",
        ),
        (
            "the-mean",
            0,
            "0 is the mean of the scores: positive and negative ones balance. The variance says how far they "
            "lie from that mean, and a sum of 64 random numbers does not stand still.",
        ),
        (
            "squared-too-often",
            4096,
            "4096 is 64². A sum grows like that when all its terms move together. These terms are independent, "
            "so their variances simply add up.",
        ),
        (
            "query-and-key-added",
            128,
            "128 counts the numbers in the query and in the key. They are multiplied in pairs, so there are "
            "64 products, one for each pair.",
        ),
        (
            "the-square-of-the-scale",
            1 / 64,
            "1/64 is what the variance is multiplied by when the scores are divided by √64. "
            "The question asks for the variance before that.",
        ),
        (
            "the-scale",
            1 / 8,
            "1/8 is the factor 1/√64 that attention multiplies the scores with. The question asks how much the "
            "scores vary before that.",
        ),
    ),
    lesson="02_attention",
    points=1,
    difficulty=2,
    minutes=5,
    asks="Set score_variance to the variance of the dot product of two random vectors of width 64: the exact number, "
    "not a measured one.",
    hints=(
        "The dot product is a sum of 64 products. What is the variance of one of them?",
        "A product of two independent numbers with mean 0 and variance 1 has mean 0 and variance 1·1. "
        "The 64 products are independent of each other. What happens to variances in a sum?",
        "Variances of independent terms add up: 64 terms, each of variance 1.",
    ),
)
