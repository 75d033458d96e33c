"""count_parameters: how many numbers the whole model learns, and where they sit."""

from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception
from clearformer.models.parameters import count_parameters as reference


def a_larger_vocabulary_adds_rows_of_one_table(answer, rng):
    num_layers, d_model, d_ff, vocab_size = sizes(rng).args
    more = answer.call(num_layers, d_model, d_ff, vocab_size + 1) - answer.call(num_layers, d_model, d_ff, vocab_size)
    return None if more == d_model else f"one word more adds {more} parameters, expected a row of d_model = {d_model}"


def each_layer_adds_the_same(answer, rng):
    _, d_model, d_ff, vocab_size = sizes(rng).args
    one, two, three = (answer.call(number, d_model, d_ff, vocab_size) for number in (1, 2, 3))
    return None if three - two == two - one else "the third layer adds another number of parameters than the second"


def without_layers_there_is_the_table(answer, rng):
    _, d_model, d_ff, vocab_size = sizes(rng).args
    rest = answer.call(0, d_model, d_ff, vocab_size) - vocab_size * d_model
    return None if rest == 0 else f"without any layer there are {rest} parameters beside the table of the vocabulary"


# Wrong answers: the count, with one item of the bill changed -------------------------------------------------------


def counted(
    *,
    encoder_attentions=1,
    decoder_attentions=2,
    matrices=4,
    attention_biases=4,
    feed_forward=lambda d_model, d_ff: 2 * d_model * d_ff + d_ff + d_model,
    norms=5,
    norm=2,
    tables=1,
    rest=lambda d_model, vocab_size: 0,
):
    def count_parameters(num_layers, d_model, d_ff, vocab_size):
        attention = matrices * d_model**2 + attention_biases * d_model
        layers = (encoder_attentions + decoder_attentions) * attention + norms * norm * d_model
        layers += (bool(encoder_attentions) + bool(decoder_attentions)) * feed_forward(d_model, d_ff)
        return num_layers * layers + tables * vocab_size * d_model + rest(d_model, vocab_size)

    return count_parameters


def wrong(slug, says, **changes):
    return misconception(slug, says)(counted(**changes))


biases_left_out = wrong(
    "biases-left-out",
    "You counted the matrices alone. Each linear map also has a bias, with as many numbers as its output.",
    attention_biases=0,
    feed_forward=lambda d_model, d_ff: 2 * d_model * d_ff,
)

attention_biases_left_out = wrong(
    "attention-biases-left-out",
    "The four projections of each attention have biases too: d_model numbers each.",
    attention_biases=0,
)

feed_forward_biases_left_out = wrong(
    "feed-forward-biases-left-out",
    "The two maps of the feed-forward have biases too: d_ff numbers after the first, d_model after the second.",
    feed_forward=lambda d_model, d_ff: 2 * d_model * d_ff,
)

feed_forward_biases_alike = wrong(
    "feed-forward-biases-alike",
    "You gave both maps of the feed-forward a bias of d_model numbers. The first map ends in the wide layer: its bias "
    "has d_ff numbers.",
    feed_forward=lambda d_model, d_ff: 2 * d_model * d_ff + 2 * d_model,
)

one_map_in_the_feed_forward = wrong(
    "one-map-in-the-feed-forward",
    "You counted one map of the feed-forward. There are two: out to d_ff, and back to d_model.",
    feed_forward=lambda d_model, d_ff: d_model * d_ff + d_ff,
)

norms_left_out = wrong(
    "norms-left-out",
    "The norms are missing. Each of them has a weight and a bias of d_model numbers: 2 norms in an encoder layer, 3 in "
    "a decoder layer.",
    norms=0,
)

norms_and_biases_left_out = wrong(
    "norms-and-biases-left-out",
    "You counted the large matrices alone, 12·d_model² and so on. That comes close. This exercise asks for the exact "
    "number: biases of all linear maps, and two times d_model numbers for each norm.",
    norms=0,
    attention_biases=0,
    feed_forward=lambda d_model, d_ff: 2 * d_model * d_ff,
)

norms_without_bias = wrong(
    "norms-without-bias",
    "You gave each norm d_model numbers. nn.LayerNorm has a weight and a bias: 2·d_model.",
    norm=1,
)

two_norms_in_the_decoder = wrong(
    "two-norms-in-the-decoder",
    "You gave the decoder layer two norms, as the encoder layer has. It has three sublayers, and a norm after each.",
    norms=4,
)

norms_at_the_end = wrong(
    "norms-at-the-end",
    "You counted a norm after the last layer of the encoder and of the decoder. nn.Transformer has these, and so has "
    "every pre-norm model. The post-norm model of 2017 has none, and this exercise counts that one.",
    rest=lambda d_model, vocab_size: 4 * d_model,
)

no_cross_attention = wrong(
    "no-cross-attention",
    "Your decoder layer has one attention. It has two: over its own tokens, and over the encoder's output.",
    decoder_attentions=1,
)

encoder_only = wrong(
    "encoder-only",
    "You counted num_layers encoder layers and no decoder. num_layers counts each side: as many decoder layers come on "
    "top.",
    decoder_attentions=0,
    norms=2,
)

decoder_only = wrong(
    "decoder-only",
    "You counted num_layers decoder layers and no encoder. num_layers counts each side.",
    encoder_attentions=0,
    norms=3,
)

half_the_layers = misconception(
    "half-the-layers",
    "You shared num_layers out over encoder and decoder. It counts each side: num_layers encoder layers, and as many "
    "decoder layers.",
)(lambda num_layers, d_model, d_ff, vocab_size: reference(num_layers // 2, d_model, d_ff, vocab_size))

output_projection_forgotten = wrong(
    "no-output-projection",
    "Your attention has three projections: query, key, value. The output projection makes four.",
    matrices=3,
    attention_biases=3,
)

heads_counted_as_one = wrong(
    "one-projection-in-attention",
    "You counted one matrix for each attention. There are four: query, key, value and output.",
    matrices=1,
    attention_biases=1,
)

three_tables = wrong(
    "three-tables",
    "You counted a table for each embedding and a third for the output. They are one and the same here: count "
    "V·d_model once.",
    tables=3,
)

two_tables = wrong(
    "two-tables",
    "You counted V·d_model twice. Both embeddings and the output share one table.",
    tables=2,
)

no_table = wrong(
    "no-table",
    "The table of the vocabulary is missing: V rows of d_model numbers, used by both embeddings and the output.",
    tables=0,
)

output_bias = wrong(
    "output-bias",
    "You gave the output a bias, one number a word. This exercise counts none: the output is the shared table alone.",
    rest=lambda d_model, vocab_size: vocab_size,
)


def one_part_after_the_other(num_layers, d_model, d_ff, vocab_size):
    """Another right answer: a loop over everything that is made."""
    total = 0
    linear = [(d_model, d_model)] * 4
    wide = [(d_model, d_ff), (d_ff, d_model)]
    for attentions, norms in ((1, 2), (2, 3)):
        for _ in range(num_layers):
            total += sum(n * m + m for n, m in [*linear * attentions, *wide])
            total += sum((d_model, d_model) * norms)
    return total + vocab_size * d_model


def in_one_formula(num_layers, d_model, d_ff, vocab_size):
    """Another right answer: all terms collected."""
    a_pair_of_layers = 12 * d_model**2 + 4 * d_model * d_ff + 24 * d_model + 2 * d_ff
    return vocab_size * d_model + num_layers * a_pair_of_layers


def sizes(rng):
    """Sizes far enough apart that two mistakes do not come to the same."""
    return Call(*(int(rng.integers(*between)) for between in ((2, 9), (20, 60), (100, 400), (900, 2000))))


EXERCISE = Exercise(
    name="count_parameters",
    lesson="04_encoder_decoder",
    kind="write",
    points=2,
    difficulty=2,
    minutes=12,
    asks="Count the parameters of an encoder-decoder by hand: layers on both sides, and one table for the vocabulary.",
    reference=reference,
    returns=("parameters",),
    cases=(
        Case("one layer of width 2", lambda rng: Call(1, 2, 3, 5), "small enough for counting on paper"),
        Case("two layers", lambda rng: Call(2, 4, 6, 10)),
        Case("any sizes", sizes),
        Case("the base model", lambda rng: Call(6, 512, 2048, 37000), "the paper says 65 million"),
        Case("the translator of lesson 06", lambda rng: Call(4, 128, 256, 10000)),
    ),
    properties=(
        Property("a larger vocabulary adds rows of one table", a_larger_vocabulary_adds_rows_of_one_table),
        Property("each layer adds the same", each_layer_adds_the_same),
        Property("without layers there is the table alone", without_layers_there_is_the_table),
    ),
    misconceptions=(
        biases_left_out,
        attention_biases_left_out,
        feed_forward_biases_left_out,
        feed_forward_biases_alike,
        one_map_in_the_feed_forward,
        norms_left_out,
        norms_and_biases_left_out,
        norms_without_bias,
        two_norms_in_the_decoder,
        norms_at_the_end,
        no_cross_attention,
        encoder_only,
        decoder_only,
        half_the_layers,
        output_projection_forgotten,
        heads_counted_as_one,
        three_tables,
        two_tables,
        no_table,
        output_bias,
    ),
    alternatives=(one_part_after_the_other, in_one_formula),
    hints=(
        "Write a bill: one line for each kind of part, with how many numbers it has and how often it occurs.",
        "Attention: four linear maps from d_model to d_model. Feed-forward: out to d_ff and back. Norm: 2·d_model. An "
        "encoder layer has one attention, one feed-forward, two norms; a decoder layer two, one, three.",
        "attention = 4 * (d_model * d_model + d_model)",
    ),
)
