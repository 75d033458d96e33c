"""bleu_without_the_last_word: what a missing word costs."""

import math

from clearformer.checks.exercise import prediction

EXERCISE = prediction(
    "bleu_without_the_last_word",
    lesson="06_translation",
    points=1,
    difficulty=2,
    minutes=6,
    asks="A translation of 10 words is right but for its last word, which is missing. What is its BLEU? One in a "
    "thousand more or less does not matter.",
    number=100 * math.exp(1 - 10 / 9),
    close=0.001,
    wrong=(
        (
            "100",
            100,
            "All n-grams of the translation are in the reference: every precision is 1. But the translation is too "
            "short, and the brevity penalty says so.",
        ),
        (
            "90",
            90,
            "9 of 10 words are there: that would be recall. BLEU asks how much of the translation is right, which is "
            "all of it, and then multiplies by the brevity penalty, exp(1 − r/h).",
        ),
        (
            "as-a-share",
            math.exp(1 - 10 / 9),
            "Right, as a share of 1. BLEU is written from 0 to 100.",
        ),
        (
            "lengths-the-wrong-way-round",
            100 * math.exp(1 - 9 / 10),
            "Your penalty is larger than 1. It is exp(1 − r/h), with r = 10 words in the reference and h = 9 in the "
            "translation.",
        ),
        (
            "lengths-upside-down",
            100 * math.exp(9 / 10 - 1),
            "Nearly. You took h/r − 1, −0.1; it is 1 − r/h, a little further from 0.",
        ),
        (
            "recall-of-the-ngrams",
            100 * (9 / 10 * 8 / 9 * 7 / 8 * 6 / 7) ** 0.25,
            "You divided by the n-grams of the reference. BLEU divides by those of the translation: 9 of 9, 8 of 8, 7 "
            "of 7, 6 of 6.",
        ),
        (
            "recall-and-penalty",
            90 * math.exp(1 - 10 / 9),
            "You took 9/10 for the precision and then the penalty too. The precision is 9 of 9: every word of the "
            "translation is right.",
        ),
        ("0", 0, "It would be 0 if no four words in a row were right. Here all of them are."),
    ),
    hints=(
        "First the four precisions: which share of the translation's words, pairs, triples and quadruples stands in "
        "the reference?",
        "All four are 1, so the score is 100 times the brevity penalty, exp(1 − r/h), with the two lengths.",
        "100 * math.exp(1 - 10 / 9)",
    ),
)
