"""projection_parameters: how many numbers multi-head attention learns."""

from clearformer.checks.exercise import prediction

EXERCISE = prediction(
    "projection_parameters",
    lesson="03_multi_head_attention",
    points=1,
    difficulty=1,
    minutes=3,
    asks="How many parameters, weights and biases together, does MultiHeadAttention(512, 8) have?",
    number=1_050_624,
    wrong=(
        (
            "times-the-heads",
            8_404_992,
            "You gave every head four full matrices of its own, 8 times too much. The eight heads share the width: "
            "each has 64 of the 512 columns. Count the four nn.Linear that the module holds.",
        ),
        (
            "divided-by-the-heads",
            131_328,
            "You counted one head: four maps from 512 to 64. There are eight heads, and together they fill all 512 "
            "columns.",
        ),
        (
            "heads-read-their-part-only",
            133_120,
            "You let each head map its own 64 numbers to 64, 8 × 4 × (64·64 + 64). A head reads the whole token: "
            "its maps go from 512 to 64.",
        ),
        (
            "without-biases",
            1_048_576,
            "That is 4 · 512², the weights alone. Each nn.Linear(512, 512) also has a bias of 512 numbers.",
        ),
        (
            "output-projection-forgotten",
            787_968,
            "You counted three projections: query, key and value. The output projection, which mixes the merged "
            "heads, makes four.",
        ),
        (
            "output-projection-and-biases-forgotten",
            786_432,
            "That is 3 · 512². Two things are missing: the output projection makes four matrices, and each "
            "nn.Linear has a bias.",
        ),
        (
            "bias-of-the-output-forgotten",
            1_050_112,
            "You counted four matrices and three biases. output_proj is an nn.Linear like the others: it has a bias "
            "too.",
        ),
        ("one-projection", 262_656, "That is one nn.Linear(512, 512). The module holds four of them."),
    ),
    hints=(
        "Parameters sit in the four nn.Linear only. Splitting into heads is a reshape: it has none.",
        "nn.Linear(n, m) has n·m weights and m biases. How large are n and m for each of the four?",
        "4 * (512 * 512 + 512)",
    ),
)
