"""graded_among_visible: can a masked model know which of the words it sees it will be asked for?"""

from clearformer.checks.exercise import prediction

EXERCISE = prediction(
    "graded_among_visible",
    lesson="11_model_families",
    points=1,
    difficulty=3,
    minutes=8,
    asks="15 in 100 tokens are chosen, 80/10/10. Of the tokens that are not masked in the input, what share is graded?",
    number=0.15 * 0.2 / (1 - 0.15 * 0.8),
    close=0.01,
    wrong=(
        (
            "none",
            0.0,
            "Then a model could ignore all words that it sees, as it would never be asked for them. The 10 in 100 that "
            "are left as they are and the 10 that become other words are graded too.",
        ),
        (
            "rate",
            0.15,
            "15 in 100 of all tokens are graded. Most of them are masked, and the question is about the others.",
        ),
        (
            "of-all-tokens",
            0.03,
            "3 in 100 of all tokens are graded and not masked. The question asks for their share among those that are "
            "not masked, which are fewer than all: 88 in 100.",
        ),
        (
            "of-the-chosen",
            0.2,
            "20 in 100 of the chosen tokens are not masked. The question asks it the other way round: of those that "
            "are not masked, how many were chosen?",
        ),
        (
            "kept-alone",
            0.15 * 0.1 / 0.88,
            "You counted the tokens that stay as they are. Those that became another word are not masked either, and "
            "they are graded too.",
        ),
        (
            "kept-alone-of-all",
            0.015,
            "You counted the tokens that stay as they are, as a share of all tokens. Those that became another word "
            "count too, and the share is among the tokens that are not masked.",
        ),
        (
            "over-the-unchosen",
            0.03 / 0.85,
            "You divided by the tokens that were not chosen, 85 in 100. Those chosen and not masked are visible too: "
            "88 in 100.",
        ),
        (
            "in-percent",
            3.0 / 0.88,
            "The size is right, in percent. This exercise asks for a share, from 0 to 1.",
        ),
    ),
    hints=(
        "Take 1,000 tokens and count: how many are chosen, how many of these are masked, how many are not?",
        "Of 1,000 tokens 150 are chosen, 120 of these masked. 880 are visible. How many of the 880 were chosen?",
        "0.15 * 0.2 / (1 - 0.15 * 0.8)",
    ),
)
