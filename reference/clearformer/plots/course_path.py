"""One picture of part I: from words to positions, to attention, to several heads."""

import numpy as np

from clearformer.numpy import positional_encoding, scaled_dot_product_attention, shift_matrix

WORDS = ["the", "cat", "sat", "on", "the", "mat"]


def _looks():
    """Attention weights made by hand: (one head that does two jobs, two heads that do one each)."""
    positions = positional_encoding(len(WORDS), 32, base=100)
    kinds = np.array([WORDS.index(word) for word in WORDS])
    meanings = np.random.default_rng(4).normal(size=(len(WORDS), 32))[kinds] * 1.3
    before = 12 * positions @ shift_matrix(-1, 32, base=100).T  # asks for the position one to the left

    def weights(query, key):
        return scaled_dot_product_attention(query, key, key)[1]

    together = weights(np.hstack([before, meanings]), np.hstack([positions, 0.4 * meanings]))
    return together, [weights(before, positions), weights(meanings, meanings)]


def course_path():
    """(figure, alt text): what lessons 01, 02 and 03 build, with numbers that they build."""
    from clearformer.plots import new_figure

    figure, axes = new_figure(1, 3, width=11.5, height=3.8)
    _map(
        axes[0],
        positional_encoding(len(WORDS), 16, base=100),
        "01  Where is each word?",
        "dimension (dark −1, light +1)",
        "cividis",
    )
    one, many = _looks()
    axes[0].set_xticks(range(0, 16, 5))
    _map(axes[1], one, "02  Who looks at whom?", "key: looked at (dark: more)", "Blues")
    for row, column in np.ndindex(one.shape):
        ink = "white" if one[row, column] > 0.6 * one.max() else "black"
        axes[1].text(column, row, f"{one[row, column]:.1f}", ha="center", va="center", color=ink, fontsize=8)
    axes[1].set_xticks(range(len(WORDS)), WORDS)
    both = np.concatenate([many[0], np.full((len(WORDS), 1), np.nan), many[1]], axis=1)
    _map(axes[2], both, "03  Two heads, two jobs", "key: looked at (dark: more)", "Blues")
    axes[2].set_xticks([2.5, 9.5], ["the word before", "the same word"])
    figure.suptitle("Part I: from words to many-headed attention")
    alt = (
        "Three grids with one row for each word of “the cat sat on the mat”. Lesson 01: each row is a position's "
        "pattern of 16 numbers between −1 and 1. Lesson 02: how much each word looks at each word, with the "
        "numbers printed. Lesson 03: two heads side by side; one looks at the word before, the other at the same word."
    )
    return figure, alt


def _map(axes, values, title, xlabel, colours):
    axes.imshow(values, cmap=colours, aspect="auto")
    axes.set_title(title)
    axes.set_xlabel(xlabel)
    axes.set_ylabel("query: the word that looks" if "key" in xlabel else "word")
    axes.set_yticks(range(len(WORDS)), WORDS)
    axes.grid(False)
