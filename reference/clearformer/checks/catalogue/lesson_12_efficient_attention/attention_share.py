"""attention_share: a hunt. The widely printed reverse: short inputs are attention's, long ones the feed-forward's."""

from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception
from clearformer.complexity import layer_parts


def attention_share(seq_len, d_model, d_ff):
    parts = layer_parts(seq_len, d_model, d_ff)
    return parts.attention / sum(parts)


def longer_inputs_give_attention_more(answer, rng):
    d_model = int(rng.integers(8, 40))
    short, long = (answer.call(seq_len, d_model, 4 * d_model) for seq_len in (d_model, 40 * d_model))
    return None if 0 <= short < long <= 1 else (
        f"the share is {short:.3f} for {d_model} tokens and {long:.3f} for {40 * d_model}: it has to grow"
    )  # fmt: skip


def far_beyond_the_crossing_attention_is_nearly_all(answer, rng):
    d_model = int(rng.integers(8, 40))
    share = answer.call(4000 * d_model, d_model, 4 * d_model)
    return None if 0.99 < share <= 1 else f"with a length of 4000 · d_model the share is {share:.3f}: it should near 1"


def share(*, attention=None, feed_forward=None, of=None):
    """A wrong share: one of its terms, or the fraction, is another."""

    def attention_share(seq_len, d_model, d_ff):
        t, d, f = seq_len, d_model, d_ff
        parts = [8 * t * d * d]
        parts += [attention(t, d) if attention else 4 * t * t * d]
        parts += [feed_forward(t, d, f) if feed_forward else 4 * t * d * f]
        return of(*parts) if of else parts[1] / sum(parts)

    return attention_share


def wrong(slug, says, **changes):
    return misconception(slug, says)(share(**changes))


WRONG = (
    wrong(
        "as-it-was",
        "This is the function as it was, with both its mistakes. Which of the two parts compares tokens with tokens? "
        "That one has the square of the length.",
        attention=lambda t, d: 4 * t * d * d,
        feed_forward=lambda t, d, f: 4 * t * t * f,
    ),
    wrong(
        "feed-forward-still-squared",
        "Scores and mixing are right now, but the feed-forward still grows with the square of the length. It treats "
        "each token by itself, through d_model · d_ff weights, twice: 4 T d d_ff.",
        feed_forward=lambda t, d, f: 4 * t * t * f,
    ),
    wrong(
        "attention-still-linear",
        "The feed-forward is right now, but your scores and mixing still grow with the length alone, and the share "
        "never changes. Each of T queries meets each of T keys: 4 T² d.",
        attention=lambda t, d: 4 * t * d * d,
    ),
    wrong(
        "both-squared",
        "Both parts grow with the square of the length in your count. The feed-forward treats each token by itself: "
        "4 T d d_ff.",
        feed_forward=lambda t, d, f: 4 * t * t * d * f,
    ),
    wrong(
        "scores-without-mixing",
        "You count 2 T² d. Scores and mixing are two products of that size: 4 T² d.",
        attention=lambda t, d: 2 * t * t * d,
    ),
    wrong(
        "the-feed-forwards-share",
        "That is the share of the feed-forward. The exercise asks for that of scores and mixing.",
        of=lambda projections, attention, feed_forward: feed_forward / (projections + attention + feed_forward),
    ),
    wrong(
        "projections-counted-to-attention",
        "You count the projections to attention. They treat each token by itself and do not grow with the square of "
        "the length; this exercise asks for scores and mixing alone.",
        of=lambda projections, attention, feed_forward: (
            (projections + attention) / (projections + attention + feed_forward)
        ),
    ),
    wrong(
        "projections-left-out",
        "Your whole is too small: the projections belong to the layer as well.",
        of=lambda projections, attention, feed_forward: attention / (attention + feed_forward),
    ),
    wrong(
        "times-the-feed-forward",
        "That is how many times the feed-forward it is. The exercise asks for the share of the whole layer.",
        of=lambda projections, attention, feed_forward: attention / feed_forward,
    ),
    wrong(
        "in-percent",
        "Right, in percent. This exercise asks for a share, a number from 0 to 1.",
        of=lambda projections, attention, feed_forward: 100 * attention / (projections + attention + feed_forward),
    ),
)


def in_units_of_td(seq_len, d_model, d_ff):
    """Another right answer: 4 T d taken out of everything."""
    return seq_len / (2 * d_model + seq_len + d_ff)


def by_calling_the_count(seq_len, d_model, d_ff):
    """Another right answer: from the whole, with and without."""
    everything = 8 * seq_len * d_model**2 + 4 * seq_len**2 * d_model + 4 * seq_len * d_model * d_ff
    return 1 - (8 * seq_len * d_model**2 + 4 * seq_len * d_model * d_ff) / everything


EXERCISE = Exercise(
    name="attention_share",
    lesson="12_efficient_attention",
    kind="hunt",
    points=1,
    difficulty=2,
    minutes=6,
    asks="Mend the function that says which share of a layer's operations scores and mixing take.",
    reference=attention_share,
    returns=("share",),
    cases=(
        Case("3 tokens, d_model 2, d_ff 5", lambda rng: Call(3, 2, 5)),
        Case("one token", lambda rng: Call(1, 8, 32)),
        Case("100 tokens through the layer of 2017", lambda rng: Call(100, 512, 2048), "a sentence or two"),
        Case("2,048 tokens through the layer of 2017", lambda rng: Call(2048, 512, 2048)),
        Case("50,000 tokens through the layer of 2017", lambda rng: Call(50_000, 512, 2048), "a book"),
        Case("a narrow feed-forward", lambda rng: Call(40, 64, 16)),
    ),
    properties=(
        Property("longer inputs give attention a larger share", longer_inputs_give_attention_more),
        Property("of very long inputs attention is nearly everything", far_beyond_the_crossing_attention_is_nearly_all),
    ),
    misconceptions=WRONG,
    alternatives=(in_units_of_td, by_calling_the_count),
    hints=(
        "Ask of each part: if the text were twice as long, how many times would this part have to work? Does it look "
        "at tokens one by one, or at pairs of tokens?",
        "Projections and feed-forward see tokens one by one: T times something. Scores and mixing see pairs: T² times "
        "something. Two terms in the function have these exchanged.",
        "scores_and_mixing = 4 * seq_len**2 * d_model; feed_forward = 4 * seq_len * d_model * d_ff",
    ),
)
