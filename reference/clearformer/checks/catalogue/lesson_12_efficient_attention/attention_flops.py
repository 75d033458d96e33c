"""attention_flops: the operations of one encoder layer, counted."""

from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception
from clearformer.complexity import attention_flops as reference


def sizes(rng):
    return [int(rng.integers(3, 40)), int(rng.integers(3, 40)), int(rng.integers(50, 90))]


def the_square_of_the_length_is_attentions(answer, rng):
    """f(2T) - 2 f(T) is what grows with the square: 8 T² d."""
    seq_len, d_model, d_ff = sizes(rng)
    once, twice = (answer.call(length, d_model, d_ff) for length in (seq_len, 2 * seq_len))
    wanted = 8 * seq_len**2 * d_model
    return None if twice - 2 * once == wanted else (
        f"with twice the length, {twice - 2 * once:,} operations come on top of the double; "
        f"scores and mixing give {wanted:,}"
    )  # fmt: skip


def a_wider_feed_forward_costs_two_maps(answer, rng):
    seq_len, d_model, d_ff = sizes(rng)
    more = answer.call(seq_len, d_model, d_ff + 1) - answer.call(seq_len, d_model, d_ff)
    wanted = 4 * seq_len * d_model
    return None if more == wanted else f"one more number inside the feed-forward costs {more:,}, not {wanted:,}"


# Wrong answers: the right sum, with one of its terms changed ----------------------------------------------------------


def counted(*, projections=8, attention=4, feed_forward=4, fixed_d_ff=None, factor=1, count=None):
    def attention_flops(seq_len, d_model, d_ff):
        t, d = seq_len, d_model
        if count:
            return count(t, d, d_ff)
        inside = fixed_d_ff * d if fixed_d_ff else d_ff
        return factor * (projections * t * d * d + attention * t * t * d + feed_forward * t * d * inside)

    return attention_flops


def wrong(slug, says, **changes):
    return misconception(slug, says)(counted(**changes))


WRONG = (
    wrong(
        "multiply-adds-counted-once",
        "Your number is half of it. You counted a multiplication with its addition as one operation; this exercise "
        "counts two, as the papers on scaling do.",
        projections=4, attention=2, feed_forward=2,
    ),
    wrong(
        "three-projections",
        "You counted three projections: queries, keys and values. The output projection is the fourth: 8 T d².",
        projections=6,
    ),
    wrong(
        "no-projections",
        "The projections are missing: queries, keys, values and output, four maps of d_model to d_model.",
        projections=0,
    ),
    wrong(
        "one-product-of-length-squared",
        "You count 2 T² d for what grows with the square of the length. There are two such products, the scores and "
        "the mixing of the values, 2 T² d each. Perhaps you halved them for a causal mask: this exercise halves "
        "nothing.",
        attention=2,
    ),
    wrong(
        "no-scores-and-mixing",
        "Nothing in your count grows with the square of the length. Scores and mixing are missing: query @ key^T and "
        "weights @ value.",
        attention=0,
    ),
    wrong(
        "attention-linear-in-the-length",
        "Your scores and mixing cost 4 T d². Each of T queries meets each of T keys, over d numbers: 4 T² d.",
        count=lambda t, d, f: 12 * t * d * d + 4 * t * d * f,
    ),
    wrong(
        "one-map-in-the-feed-forward",
        "You counted one map in the feed-forward. There are two, to d_ff and back: 4 T d d_ff.",
        feed_forward=2,
    ),
    wrong(
        "three-maps-in-the-feed-forward",
        "You counted three maps in the feed-forward. A gated one (lesson 10) has three; the layer asked for here is "
        "that of 2017, with two.",
        feed_forward=6,
    ),
    wrong(
        "d-ff-taken-as-four-times-the-width",
        "You took d_ff to be 4 · d_model. That is usual, but the caller says what it is: use the argument.",
        fixed_d_ff=4,
    ),
    wrong(
        "feed-forward-squared-in-the-length",
        "Your feed-forward grows with the square of the length. It treats each token by itself: 4 T d d_ff.",
        count=lambda t, d, f: 8 * t * d * d + 4 * t * t * d + 4 * t * t * f,
    ),
    wrong(
        "no-feed-forward",
        "The feed-forward is missing. The layer has it too: two maps, 4 T d d_ff.",
        feed_forward=0,
    ),
    wrong(
        "a-training-step",
        "Your number is three times as large. A step of training costs about three forward passes; this exercise asks "
        "for the forward pass alone.",
        factor=3,
    ),
    wrong(
        "parameters",
        "You counted weights: the length is not in your number, and scores have no weights. Count the multiplications "
        "and additions for a sequence of seq_len tokens.",
        count=lambda t, d, f: 4 * d * d + 2 * d * f,
    ),
    wrong(
        "for-one-token",
        "That is the cost of one token. Multiply by the number of tokens, seq_len.",
        count=lambda t, d, f: 8 * d * d + 4 * t * d + 4 * d * f,
    ),
)  # fmt: skip


def by_its_products(seq_len, d_model, d_ff):
    """Another right answer: a list of matrix products, (rows, inner, columns) of each."""
    t, d = seq_len, d_model
    products = [(t, d, d)] * 4 + [(t, d, t), (t, t, d), (t, d, d_ff), (t, d_ff, d)]
    return sum(2 * rows * inner * columns for rows, inner, columns in products)


def as_a_float(seq_len, d_model, d_ff):
    """Another right answer, a float."""
    return 4.0 * seq_len * d_model * (2 * d_model + seq_len + d_ff)


EXERCISE = Exercise(
    name="attention_flops",
    lesson="12_efficient_attention",
    kind="write",
    points=1,
    difficulty=2,
    minutes=8,
    asks="Count the operations of one encoder layer's forward pass: projections, scores and mixing, feed-forward.",
    reference=reference,
    returns=("operations",),
    cases=(
        Case("3 tokens, d_model 2, d_ff 5", lambda rng: Call(3, 2, 5)),
        Case("one token", lambda rng: Call(1, 7, 11), "scores and mixing have one pair"),
        Case("d_ff of four times the width", lambda rng: Call(10, 16, 64)),
        Case("the layer of 2017, 100 tokens", lambda rng: Call(100, 512, 2048)),
        Case("a long input", lambda rng: Call(16384, 512, 2048)),
        Case("any sizes", lambda rng: Call(*sizes(rng))),
    ),
    properties=(
        Property("scores and mixing alone grow with the square of the length", the_square_of_the_length_is_attentions),
        Property("a wider feed-forward costs two maps", a_wider_feed_forward_costs_two_maps),
    ),
    misconceptions=WRONG,
    alternatives=(by_its_products, as_a_float),
    hints=(
        "A product of matrices (a, b) and (b, c) takes 2 · a · b · c operations: one multiplication and one addition "
        "for each of its terms. Which products does the layer compute?",
        "Four projections (T, d) @ (d, d). Scores (T, d) @ (d, T) and mixing (T, T) @ (T, d), over all heads together. "
        "Two maps of the feed-forward, (T, d) @ (d, d_ff) and back.",
        "8 * seq_len * d_model**2 + 4 * seq_len**2 * d_model + 4 * seq_len * d_model * d_ff",
    ),
)  # fmt: skip
