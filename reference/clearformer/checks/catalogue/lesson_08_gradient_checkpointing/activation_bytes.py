"""activation_bytes: what one encoder layer keeps for the backward pass, counted before it is measured."""

from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception
from clearformer.memory.activations import Work, encoder_layer_kept, total_bytes


def activation_bytes(batch, seq_len, d_model, num_heads, d_ff, keeps_weights=False):
    kernel = "math" if keeps_weights else "cpu"
    return total_bytes(encoder_layer_kept(Work(batch, seq_len, d_model, num_heads, d_ff, kernel=kernel)))


def sizes(rng):
    heads = int(rng.integers(2, 5))
    return [int(rng.integers(2, 6)), int(rng.integers(5, 30)), heads * int(rng.integers(2, 9)), heads, 8 * heads]


def a_larger_batch_keeps_as_much_more(answer, rng):
    batch, *rest = sizes(rng)
    once, thrice = (answer.call(number, *rest) for number in (batch, 3 * batch))
    return None if thrice == 3 * once else f"three times the batch keeps {thrice / once:.3g} times the bytes, not 3"


def without_weights_length_counts_once(answer, rng):
    batch, seq_len, *rest = sizes(rng)
    once, twice = (answer.call(batch, number, *rest) for number in (seq_len, 2 * seq_len))
    return None if twice == 2 * once else (
        f"without attention weights, twice the length keeps {twice / once:.3g} times the bytes, not 2: no tensor in "
        "the list has the length in it twice"
    )  # fmt: skip


def more_heads_keep_their_sums(answer, rng):
    batch, seq_len, width, heads, d_ff = sizes(rng)
    more = answer.call(batch, seq_len, 2 * width, 2 * heads, d_ff) - answer.call(batch, seq_len, 2 * width, heads, d_ff)
    wanted = 4 * batch * heads * seq_len
    return None if more == wanted else (
        f"twice as many heads, with d_model as it was, keep {more} bytes more; the logarithms alone make {wanted}"
    )  # fmt: skip


# Wrong answers: the bill, with one item changed ----------------------------------------------------------------------


def counted(
    *,
    wide=8,
    hidden=1,
    logs=1,
    weights=1,
    statistics=4,
    item=4,
    once_per="head",
    always=False,
    logs_too=False,
    extra=None,
):
    """A wrong count; wide, hidden: how many tensors (batch, T, d_model) and (batch, T, d_ff)."""

    def activation_bytes(batch, seq_len, d_model, num_heads, d_ff, keeps_weights=False):
        tokens = batch * seq_len
        count = tokens * (wide * d_model + hidden * d_ff + statistics)
        rows = tokens * (num_heads if once_per == "head" else 1)
        with_weights = keeps_weights or always
        count += weights * rows * seq_len if with_weights else logs * rows
        count += rows if logs_too and with_weights else 0
        if extra:
            count += extra(batch, seq_len, d_model, num_heads, d_ff)
        return item * count

    return activation_bytes


def wrong(slug, says, **changes):
    return misconception(slug, says)(counted(**changes))


numbers_for_bytes = wrong(
    "numbers-not-bytes",
    "You counted numbers. Each of them is a float32 and takes 4 bytes.",
    item=1,
)

projections_left_out = wrong(
    "queries-keys-values-left-out",
    "Queries, keys and values are missing: three tensors of (batch, seq_len, d_model). The gradient of a product needs "
    "both of its factors, so attention keeps what it multiplied.",
    wide=5,
)

heads_times_width = wrong(
    "whole-width-for-each-head",
    "You counted queries, keys and values with d_model numbers for each head. The heads share the width: together they "
    "have d_model numbers a token.",
    wide=5,
    extra=lambda batch, seq_len, d_model, num_heads, d_ff: 3 * batch * seq_len * d_model * num_heads,
)

weights_once = wrong(
    "one-head-of-weights",
    "You counted what attention keeps for one head. Each head has weights of its own, seq_len · seq_len of them, or, "
    "where the weights are not kept, one logarithm for each query.",
    once_per="token",
)

weights_always = wrong(
    "weights-always-kept",
    "You count the attention weights, seq_len · seq_len a head, in every case. With keeps_weights=False they are "
    "computed again in the backward pass; one logarithm for each query and head is kept instead.",
    always=True,
)

weights_never = wrong(
    "weights-never-kept",
    "With keeps_weights=True the attention weights are kept, seq_len · seq_len numbers a head, instead of the "
    "logarithms. Your count does not have them.",
    weights=0,
)

logs_left_out = wrong(
    "logarithms-left-out",
    "Nearly. Where the weights are not kept, attention keeps the logarithm of each softmax's sum: one number for each "
    "query of each head.",
    logs=0,
)

statistics_left_out = wrong(
    "norm-statistics-left-out",
    "Nearly. Each of the two norms also keeps two numbers for each token, its mean and 1/deviation.",
    statistics=0,
)

relu_twice = wrong(
    "relu-counted-twice",
    "You counted the inside of the feed-forward twice. ReLU's gradient can be told from its output, and that is the "
    "very tensor that linear2 keeps as its input: one tensor of (batch, seq_len, d_ff).",
    hidden=2,
)

output_counted = wrong(
    "output-counted",
    "You counted the layer's output. It is the input of the next layer, which keeps it and counts it. Eight tensors of "
    "(batch, seq_len, d_model) are this layer's own.",
    wide=9,
)

one_wide_tensor_left_out = wrong(
    "one-wide-tensor-left-out",
    "Nearly: one tensor of (batch, seq_len, d_model) is missing. There are eight: x, queries, keys, values, mixed "
    "values, the input and the output of norm1, the input of norm2.",
    wide=7,
)

logs_beside_weights = wrong(
    "logarithms-beside-weights",
    "With keeps_weights=True you counted the logarithms as well. The weights are kept instead of them: from the "
    "weights, everything the backward pass needs can be told.",
    logs_too=True,
)

norm_inputs_left_out = wrong(
    "norm-inputs-left-out",
    "The inputs of the two norms are missing. What a norm gives out and what it was given are two tensors, and its "
    "gradient needs the one it was given.",
    wide=6,
)

parameters_counted = wrong(
    "parameters-counted",
    "You counted the layer's matrices too. They are there whether anything is kept or not, and do not grow with the "
    "batch: activations are what this exercise counts.",
    extra=lambda batch, seq_len, d_model, num_heads, d_ff: 4 * d_model**2 + 2 * d_model * d_ff,
)

batch_left_out = wrong(
    "batch-left-out",
    "You counted one sentence. Every tensor in the list has the batch as its first axis.",
    extra=lambda batch, seq_len, d_model, num_heads, d_ff: (1 - batch) * seq_len * (8 * d_model + d_ff + 4 + num_heads),
)


def tensor_by_tensor(batch, seq_len, d_model, num_heads, d_ff, keeps_weights=False):
    """Another right answer: a list of shapes."""
    wide, per_token = (batch, seq_len, d_model), (batch, seq_len, 1)
    shapes = 8 * [wide] + [(batch, seq_len, d_ff)] + 4 * [per_token]
    shapes.append((batch, num_heads, seq_len, seq_len) if keeps_weights else (batch, num_heads, seq_len))
    total = 0
    for shape in shapes:
        size = 4
        for axis in shape:
            size *= axis
        total += size
    return total


def in_one_line(batch, seq_len, d_model, num_heads, d_ff, keeps_weights=False):
    each = num_heads * (seq_len if keeps_weights else 1)
    return 4.0 * batch * seq_len * (8 * d_model + d_ff + each + 4)


EXERCISE = Exercise(
    name="activation_bytes",
    lesson="08_gradient_checkpointing",
    kind="write",
    points=2,
    difficulty=3,
    minutes=15,
    asks="Count the bytes that one encoder layer keeps for the backward pass.",
    reference=activation_bytes,
    returns=("bytes",),
    cases=(
        Case("one sentence of three tokens", lambda rng: Call(1, 3, 4, 1, 8)),
        Case("two heads", lambda rng: Call(1, 3, 4, 2, 8)),
        Case("a batch", lambda rng: Call(*sizes(rng))),
        Case("one token", lambda rng: Call(2, 1, 6, 3, 5), "there T and T² are the same"),
        Case("weights kept", lambda rng: Call(2, 7, 6, 3, 10, keeps_weights=True)),
        Case("the layer of 2017", lambda rng: Call(16, 128, 512, 8, 2048)),
        Case("the layer of 2017, a long text, weights kept", lambda rng: Call(1, 4096, 512, 8, 2048, True)),
    ),
    properties=(
        Property("three times the batch keeps three times as much", a_larger_batch_keeps_as_much_more),
        Property("without weights, twice the length keeps twice as much", without_weights_length_counts_once),
        Property("more heads of the same width keep one number more a query", more_heads_keep_their_sums),
    ),
    misconceptions=(
        numbers_for_bytes,
        projections_left_out,
        heads_times_width,
        weights_once,
        weights_always,
        weights_never,
        logs_left_out,
        statistics_left_out,
        relu_twice,
        output_counted,
        one_wide_tensor_left_out,
        logs_beside_weights,
        norm_inputs_left_out,
        parameters_counted,
        batch_left_out,
    ),
    alternatives=(tensor_by_tensor, in_one_line),
    hints=(
        "Go through the list in the docstring and write the shape of each tensor. How many have the shape (batch, "
        "seq_len, d_model)?",
        "A token has 8 · d_model numbers in the wide tensors, d_ff in the feed-forward, 4 in the norms, and in "
        "attention num_heads logarithms or num_heads · seq_len weights.",
        "4 * batch * seq_len * (8 * d_model + d_ff + 4 + num_heads * (seq_len if keeps_weights else 1))",
    ),
)
