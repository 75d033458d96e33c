"""cache_bytes: what the keys and values of one long text take."""

from clearformer.checks.exercise import prediction

RIGHT = 2 * 32 * 8 * 128 * 8192 * 2

EXERCISE = prediction(
    "cache_bytes",
    lesson="10_llama_block",
    points=1,
    difficulty=2,
    minutes=5,
    asks="How many bytes does the key-value cache of Llama 3 8B take for one text of 8,192 tokens in bfloat16?",
    number=RIGHT,
    wrong=(
        (
            "half",
            RIGHT // 2,
            "Half of it. Either you counted the keys and forgot the values, or you counted numbers: in bfloat16 each "
            "takes two bytes.",
        ),
        (
            "a-quarter",
            RIGHT // 4,
            "A quarter of it. There are keys and values, and each of their numbers takes two bytes: both factors of 2 "
            "are missing.",
        ),
        (
            "all-query-heads",
            4 * RIGHT,
            "That is the cache with a key-value head for each of the 32 query heads. This model has 8 of them: it "
            "stores a quarter of that.",
        ),
        (
            "one-layer",
            RIGHT // 32,
            "That is one layer. Each of the 32 layers has keys and values of its own.",
        ),
        (
            "one-token",
            RIGHT // 8192,
            "That is one token. The text has 8,192 of them.",
        ),
        (
            "float32",
            2 * RIGHT,
            "That would be float32, with four bytes a number. In bfloat16 a number takes two.",
        ),
        (
            "one-number-a-head",
            RIGHT // 128,
            "You counted one number for each head and token. A key is a vector of 128 numbers, and so is a value.",
        ),
        (
            "gibibytes",
            1,
            "Right in GiB. The question asks for bytes: 1 GiB is 2 to the power of 30 of them.",
        ),
    ),
    hints=(
        "What does one layer keep of one token? A key and a value for each key-value head.",
        "Multiply: 2 (key and value), layers, key-value heads, width of a head, tokens, bytes a number. The number of "
        "query heads does not come in.",
        "2 * 32 * 8 * 128 * 8192 * 2",
    ),
)
