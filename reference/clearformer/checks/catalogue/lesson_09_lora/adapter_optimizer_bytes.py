"""adapter_optimizer_bytes: what Adam has to remember for an adapter."""

from clearformer.checks.exercise import prediction

PARAMETERS = 6 * 2 * (8 * 384 + 384 * 8)
WHOLE = 22_713_216  # of all-MiniLM-L6-v2, with its pooler

EXERCISE = prediction(
    "adapter_optimizer_bytes",
    lesson="09_lora",
    points=1,
    difficulty=2,
    minutes=5,
    asks="73,728 parameters are trained in float32, with Adam. How many bytes does the optimiser keep from one step to "
    "the next?",
    number=8 * PARAMETERS,
    close=0.001,  # with or without the counters of steps
    wrong=(
        (
            "one-number-each",
            4 * PARAMETERS,
            "That is one number of 4 bytes for each parameter: what SGD with momentum keeps, or the parameters "
            "themselves. Adam keeps two averages for each: of the gradient and of its square.",
        ),
        (
            "numbers-not-bytes",
            2 * PARAMETERS,
            "You counted numbers, two for each parameter. In float32 each of them takes 4 bytes.",
        ),
        (
            "with-gradients",
            12 * PARAMETERS,
            "You counted three numbers for each parameter. The third, the parameter or its gradient, is not the "
            "optimiser's: Adam keeps two averages.",
        ),
        (
            "with-parameters-and-gradients",
            16 * PARAMETERS,
            "You counted the parameters and their gradients too. They are there as well, but the optimiser's own are "
            "the two averages alone.",
        ),
        (
            "the-whole-model",
            8 * WHOLE,
            "That is for all parameters of the encoder. Adam keeps nothing for a parameter that is frozen: it never "
            "has a gradient.",
        ),
    ),
    hints=(
        "Adam divides an average of the gradients by the root of an average of their squares. Where do these averages "
        "live, and how many numbers are they?",
        "Two averages, each as large as the parameters. A float32 number takes 4 bytes.",
        "73,728 · 2 · 4",
    ),
)
