"""adapter_parameters: how small an adapter is."""

from clearformer.checks.exercise import prediction

RIGHT = 6 * 2 * (8 * 384 + 384 * 8)

EXERCISE = prediction(
    "adapter_parameters",
    lesson="09_lora",
    points=1,
    difficulty=2,
    minutes=5,
    asks="An encoder has 6 layers of width 384. LoRA with rank 8 goes on query_proj and value_proj of every layer. How "
    "many parameters are trained?",
    number=RIGHT,
    wrong=(
        (
            "one-matrix-of-the-two",
            RIGHT // 2,
            "That is half of it. Either you counted only one of the two matrices, A and B, or only one of the two "
            "layers, query_proj and value_proj.",
        ),
        (
            "all-four-projections",
            2 * RIGHT,
            "You counted all four projections of each attention. Only query_proj and value_proj are adapted.",
        ),
        (
            "one-layer",
            RIGHT // 6,
            "That is one layer of the encoder. It has 6.",
        ),
        (
            "rank-forgotten",
            RIGHT // 8,
            "That would be rank 1. With rank 8, A has 8 rows and B has 8 columns.",
        ),
        (
            "the-whole-matrices",
            6 * 2 * 384 * 384,
            "That is what full fine-tuning of these matrices trains: 384 · 384 each. LoRA trains A, 8 · 384, and B, "
            "384 · 8, beside each.",
        ),
        (
            "with-biases",
            RIGHT + 6 * 2 * 384,
            "You counted the biases of the adapted layers. They belong to the base and are frozen.",
        ),
        (
            "a-square-in-between",
            6 * 2 * (2 * 8 * 384 + 8 * 8),
            "You put a matrix of 8 · 8 between A and B. There is none: B A is a product of two.",
        ),
    ),
    hints=(
        "Count one adapter first: what are the shapes of A and B beside a matrix of 384 · 384?",
        "A is (8, 384) and B is (384, 8). There are 2 adapters in a layer, and 6 layers.",
        "6 · 2 · (8 · 384 + 384 · 8)",
    ),
)
