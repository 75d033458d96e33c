"""positions_without_cache: what a decoder computes again and again."""

from clearformer.checks.exercise import prediction

EXERCISE = prediction(
    "positions_without_cache",
    lesson="06_translation",
    points=1,
    difficulty=1,
    minutes=4,
    asks="A decoder writes 47 tokens after start_id, and without a cache computes all positions anew for each. How "
    "many positions does it compute in all?",
    number=1128,
    wrong=(
        (
            "one-a-token",
            47,
            "47 is what a decoder with a cache computes: one position for each new token. Without one it computes "
            "those before it again, every time.",
        ),
        (
            "all-each-time",
            47 * 47,
            "You counted 47 positions for each token. At the first step there is only start_id: one position. Then "
            "two, then three.",
        ),
        (
            "start-forgotten",
            46 * 47 // 2,
            "You began with 0 positions. For the first token the decoder reads start_id, which is one position.",
        ),
        (
            "one-step-too-many",
            47 * 48 // 2 + 48,
            "You counted one step too many. The last token is written, and never read.",
        ),
        (
            "half-of-the-square",
            47 * 47 / 2,
            "Close: half of 47². 1 + 2 + … + 47 is a little more, 47 · 48 / 2.",
        ),
        (
            "how-many-times-as-many",
            24,
            "24 is how many times as many positions as with a cache. The question asks for their number.",
        ),
    ),
    hints=(
        "How many positions does the decoder read for the first token? For the second? For the last?",
        "It reads 1 for the first token, 2 for the second, 47 for the last. Add them up.",
        "sum(range(1, 48))",
    ),
)
