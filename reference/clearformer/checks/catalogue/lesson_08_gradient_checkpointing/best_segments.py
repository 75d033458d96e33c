"""best_segments: into how many equal segments a deep stack should be cut."""

from clearformer.checks.exercise import prediction

EXERCISE = prediction(
    "best_segments",
    lesson="08_gradient_checkpointing",
    points=1,
    difficulty=3,
    minutes=8,
    asks="24 layers in segments of equal size: with how many segments is the least memory needed at the worst moment?",
    number=12,
    wrong=(
        (
            "about-the-root-of-24",
            5,
            "√24 is about 5, but a segment's input and what a layer keeps are of different size here: 1 and 10. The "
            "root of L is best where they are alike. And 5 does not divide 24.",
        ),
        (
            "four-segments",
            4,
            "With 4 segments, 3 inputs and a segment of 6 layers are there at once: 3 + 60 = 63 units. More segments "
            "make the segment smaller.",
        ),
        (
            "six-segments",
            6,
            "With 6 segments, 5 inputs and a segment of 4 layers are there at once: 5 + 40 = 45 units. More segments "
            "make the segment smaller.",
        ),
        (
            "eight-segments",
            8,
            "With 8 segments, 7 inputs and a segment of 3 layers are there at once: 7 + 30 = 37 units. It can be less.",
        ),
        (
            "every-layer",
            24,
            "Every layer by itself: 23 inputs and one layer, 23 + 10 = 33 units. That is close. With fewer segments "
            "fewer inputs are kept, and one more layer in a segment costs 10: look at the next smaller number that "
            "divides 24.",
        ),
        (
            "root-of-240",
            15.5,
            "√(24 · 10) ≈ 15.5 is where the derivative is zero. 24 layers cut into equal segments need a whole number "
            "that divides 24: try those on both sides.",
        ),
        (
            "one-segment",
            1,
            "One segment keeps every layer's tensors at once: 24 · 10 = 240 units, as without checkpointing.",
        ),
        (
            "layers-in-a-segment",
            2,
            "2 is the number of layers in each of the best segments. How many segments are that?",
        ),
    ),
    hints=(
        "At the worst moment the inputs of all k segments are there, and everything that the layers of one segment "
        "keep. The one segment's own input is among both: count it once.",
        "k - 1 inputs of 1 unit, and 24 / k layers of 10 units. Try each k that divides 24.",
        "min((1, 2, 3, 4, 6, 8, 12, 24), key=lambda k: k - 1 + 24 // k * 10)",
    ),
)
