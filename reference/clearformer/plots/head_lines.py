"""Several heads side by side: for each, lines from the words that look to the words they look at."""

import numpy as np

from clearformer.plots.style import COLOURS, FAINT, INK

WORDS = ["the", "cat", "drank", "the", "milk", "because", "it", "was", "thirsty"]
FEATURES = ["article", "noun", "verb", "conjunction", "pronoun", "adjective", "living", "thing"]
_IS = {
    "the": ["article"],
    "cat": ["noun", "living"],
    "drank": ["verb"],
    "milk": ["noun", "thing"],
    "because": ["conjunction"],
    "it": ["pronoun"],
    "was": ["verb"],
    "thirsty": ["adjective"],
}

# What each word is, made by hand: one row a word of WORDS, one column a feature.
IS = np.array([[float(feature in _IS[word]) for feature in FEATURES] for word in WORDS])


def three_heads():
    """(figure, alt text): three heads with different jobs look at one sentence. Lesson 03 builds them step by step."""
    alt = (
        f"“{' '.join(WORDS)}” three times, each with lines from words to words, thick for large weights. Head 1: every "
        "word looks at the word before it, the first at itself. Head 2: “it” looks at “cat”, the others look all "
        "over a little. Head 3: words look at words of their kind; “cat” and “milk” look at each other and themselves."
    )
    names = ["Head 1: the word before", "Head 2: who “it” is", "Head 3: words of its kind"]
    weights = hand_made_weights()
    return head_lines(weights, WORDS, WORDS, names, "One sentence, three heads, three ways of looking"), alt


def hand_made_weights():
    """The weights (3, T, T) of the three heads, from projections made by hand as in lesson 03, section 2."""
    from clearformer.numpy import positional_encoding, scaled_dot_product_attention, shift_matrix

    hands = positional_encoding(len(WORDS), 16)[:, :8]
    asks_who, is_somebody = np.zeros((2, len(FEATURES), 8))
    asks_who[FEATURES.index("pronoun"), 0] = is_somebody[FEATURES.index("living"), 0] = 12
    kind = IS * (np.arange(len(FEATURES)) < 6)  # without living and thing
    queries = 20 * hands @ shift_matrix(-1, 16)[:8, :8].T, IS @ asks_who, 12 * kind
    keys = hands, IS @ is_somebody, kind
    return scaled_dot_product_attention(np.stack(queries), np.stack(keys), np.stack(keys))[1]


def head_lines(weights, query_words, key_words, names, title):
    """A figure with one panel a head: queries on the left, keys on the right, a line for each weight.

    weights (heads, T_q, T_k), each from 0 to 1; names: one title a panel. A line is as thick as its weight is large;
    weights below 0.02 are left out.
    """
    from clearformer.plots.figure import new_figure

    tall = max(len(query_words), len(key_words))
    figure, axes = new_figure(1, len(names), width=3.5 * len(names), height=0.9 + 0.34 * tall, squeeze=False)
    for panel, head, name, colour in zip(axes[0], weights, names, COLOURS, strict=False):
        _panel(panel, np.asarray(head), query_words, key_words, colour)
        panel.set_title(name)
    figure.suptitle(title, x=0.02, ha="left")
    return figure


def _panel(axes, weights, query_words, key_words, colour):
    left, right = _heights(query_words), _heights(key_words)
    for i, j in zip(*np.nonzero(weights >= 0.02), strict=True):
        strong = weights[i, j] >= 0.3
        line = {"color": colour if strong else FAINT, "linewidth": 0.3 + 4.5 * weights[i, j]}
        axes.plot([0, 1], [left[i], right[j]], marker="", linestyle="-", alpha=0.9 if strong else 0.45, **line)
    _column(axes, query_words, left, -0.04, "right", "looks")
    _column(axes, key_words, right, 1.04, "left", "is seen")
    axes.set(xlim=(-0.75, 1.75), ylim=(min(left[-1], right[-1]) - 0.6, 1.5))
    axes.axis("off")


def _column(axes, words, heights, place, side, head):
    axes.text(place, 1.0, head, ha=side, va="center", color=FAINT, style="italic")
    for word, height in zip(words, heights, strict=True):
        axes.text(place, height, word, ha=side, va="center", color=INK)


def _heights(words):
    return [-float(i) for i in range(len(words))]
