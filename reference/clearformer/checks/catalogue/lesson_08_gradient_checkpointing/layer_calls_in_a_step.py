"""layer_calls_in_a_step: what checkpointing costs, in calls of layers."""

from clearformer.checks.exercise import prediction

EXERCISE = prediction(
    "layer_calls_in_a_step",
    lesson="08_gradient_checkpointing",
    points=1,
    difficulty=2,
    minutes=4,
    asks="24 layers in 6 segments of 4, of which the last is not checkpointed: how many times is a layer called in one "
    "training step, forward and backward pass together?",
    number=44,
    wrong=(
        (
            "the-last-segment-too",
            48,
            "That is each layer twice. The last segment is not checkpointed: its tensors are still there when the "
            "backward pass begins, so its 4 layers are called once.",
        ),
        (
            "forward-only",
            24,
            "That is the forward pass. In the backward pass, the layers of a checkpointed segment are called again.",
        ),
        (
            "the-recomputed-alone",
            20,
            "That is what the backward pass adds. The question asks for both passes together.",
        ),
        (
            "segments-counted",
            30,
            "You added one call for each segment. A segment that runs again calls each of its 4 layers again.",
        ),
        (
            "from-the-start-each-time",
            84,
            "You ran everything from the first layer on again for each segment. A segment starts from its own input, "
            "which was kept for that: its 4 layers are enough.",
        ),
    ),
    hints=(
        "In the forward pass every layer is called once. Which are called again?",
        "All layers of 5 of the 6 segments.",
        "24 + 5 * 4",
    ),
)
