"""One word looks for another: the sentence of lesson 02, and attention's three steps in one picture."""

import numpy as np

from clearformer.plots.style import COLOURS, FAINT, INK

WORDS = ["the", "cat", "drank", "milk", "because", "it", "was", "thirsty"]
FEATURES = ["living", "thing", "action", "state"]

# Made by hand; a trained model finds such numbers itself. One row a word, one column a feature.
QUERIES = np.array(  # what the word looks for
    [[1, 1, 0, 0], [0, 0, 2, 1], [2, 1, 0, 0], [0, 0, 2, 0], [0, 0, 1, 1], [2, 0, 0, 0], [1, 0, 0, 2], [2, 0, 0, 0]],
    dtype=float,
)
KEYS = np.array(  # what the word is
    [[0, 0, 0, 0], [3, 1, 0, 0], [0, 0, 3, 0], [0, 3, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 3]],
    dtype=float,
)
VALUES = np.array(  # what the word hands on: how furry, how wet
    [[0, 0], [3, 0], [0.5, 2], [0, 3], [0, 0.4], [0.6, 0.9], [0.9, 0.1], [1.2, 1.5]]
)


def attention_story(word="it"):
    """(figure, alt text): scores, weights and output of one word of the sentence."""
    from clearformer.numpy import scaled_dot_product_attention
    from clearformer.plots.figure import new_figure

    here = WORDS.index(word)
    scores = KEYS @ QUERIES[here] / np.sqrt(QUERIES.shape[-1])
    output, weights = scaled_dot_product_attention(QUERIES[here : here + 1], KEYS, VALUES)
    figure, axes = new_figure(1, 3, width=10.5, height=3.9, width_ratios=[1, 1, 1.15])
    _bars(axes[0], scores, f"1. Who fits what\n“{word}” looks for?", "score: query · key / √4", "{:.1f}")
    _bars(axes[1], weights[0], "2. Share one unit\nof attention", "weight: softmax of the scores", "{:.2f}")
    axes[1].tick_params(labelleft=False)
    _plane(axes[2], output[0], word)
    best = int(weights[0].argmax())
    nearest = WORDS[int(np.linalg.norm(VALUES - output[0], axis=-1).argmin())]
    alt = (
        f"Three panels for the word “{word}” in “{' '.join(WORDS)}”. Scores: "
        + ", ".join(f"{name} {score:.1f}" for name, score in zip(WORDS, scores, strict=True))
        + f". Weights: {WORDS[best]} {weights[0, best]:.2f}, the other seven share the rest. Output: the mix of all "
        f"values lies at furry {output[0, 0]:.1f}, wet {output[0, 1]:.1f}, nearest to the value of “{nearest}”."
    )
    return figure, alt


def _bars(axes, numbers, title, xlabel, form):
    rows = range(len(WORDS))
    bars = axes.barh(rows, numbers, color=COLOURS[0])
    axes.bar_label(bars, [form.format(number) for number in numbers], padding=4)
    axes.set_yticks(rows, WORDS)
    axes.invert_yaxis()
    axes.grid(False)
    axes.set(xlabel=xlabel, ylabel="key: the word looked at", xlim=(0, 1.2 * max(numbers)))
    axes.set_title(title)


def _plane(axes, output, word):
    axes.scatter(*VALUES.T, color=FAINT, s=28, zorder=3)
    for name, place in zip(WORDS, VALUES, strict=True):
        axes.annotate(name, place, xytext=(6, 5), textcoords="offset points", color=FAINT)
    arrow = {"arrowstyle": "->", "color": FAINT, "linestyle": "--", "shrinkA": 6, "shrinkB": 9}
    axes.annotate("", xy=output, xytext=VALUES[WORDS.index(word)], arrowprops=arrow)
    axes.scatter(*output, marker="X", s=130, color=COLOURS[2], edgecolor="white", zorder=4)
    axes.annotate(
        f"output for\n“{word}”",
        output,
        xytext=(0, 14),
        textcoords="offset points",
        ha="center",
        weight="bold",
        color=INK,
    )
    axes.set(xlabel="value: furry", ylabel="value: wet", xlim=(-0.3, 3.8), ylim=(-0.3, 3.6))
    axes.set_title("3. Mix the values\nin these shares")
