"""tokens_written: how much T5's decoder has to write."""

from clearformer.checks.exercise import prediction

EXERCISE = prediction(
    "tokens_written",
    lesson="11_model_families",
    points=1,
    difficulty=2,
    minutes=4,
    asks="A text of 400 tokens, 20 spans of 3 tokens are taken out. How many ids are in T5's targets?",
    number=20 * 3 + 20 + 1,
    wrong=(
        (
            "the-missing-tokens",
            60,
            "60 tokens are missing, and the targets hold more than these: what tells which span is which?",
        ),
        (
            "without-the-last-sentinel",
            80,
            "That is the spans with their 20 sentinels. One more sentinel ends the targets.",
        ),
        (
            "the-inputs",
            400 - 60 + 20,
            "360 ids are in the inputs, which the encoder reads. The targets are what the decoder writes.",
        ),
        (
            "the-whole-text",
            400,
            "400 tokens is the whole text. BART's decoder writes that; T5's writes only what is missing.",
        ),
        (
            "what-is-left",
            340,
            "340 tokens are left in the text. The targets hold what was taken out, with sentinels.",
        ),
        (
            "a-sentinel-for-each-token",
            60 + 60 + 1,
            "That has a sentinel for each missing token. Each span has one, however long it is.",
        ),
        (
            "sentinels-alone",
            21,
            "There are 21 sentinels. Behind 20 of them stand the tokens of a span.",
        ),
    ),
    hints=(
        "Write the targets of a text with two spans. What stands there besides the missing tokens?",
        "Each span gives one sentinel and its tokens. One sentinel ends them all.",
        "20 * (1 + 3) + 1",
    ),
)
