"""The decoder layer of 2017 above the one of LLaMA: the same two sublayers, and a number at each thing that changed."""

from clearformer.plots.style import COLOURS, INK, ink_on

CHANGED, KEPT = COLOURS[1], "#dbe7fd"
CHANGES = (
    "the norm stands before the sublayer",
    "RMSNorm: no mean, no shift",
    "positions turn queries and keys",
    "SwiGLU: a gate, three matrices",
    "no biases",
    "several query heads share keys and values",
)
ALT = (
    "Two decoder layers drawn from left to right. 2017: embedding plus sines and cosines, then attention, plus x, "
    "layer norm, feed-forward with ReLU, plus x, layer norm. LLaMA: the embedding goes straight through two sums to "
    "the end; on side ways stand RMSNorm and attention with rotary positions and grouped queries, then RMSNorm and "
    "SwiGLU; one more RMSNorm follows the last layer. What changed carries a number: "
    + "; ".join(f"{number}, {text}" for number, text in enumerate(CHANGES, start=1))
    + "."
)


def two_blocks():
    """(figure, alt text)"""
    from clearformer.plots.figure import new_figure

    figure, (above, below, words) = new_figure(rows=3, width=9.0, height=5.6, height_ratios=(1.0, 1.25, 0.62))
    _as_in_2017(above)
    _as_in_llama(below)
    for axes in (above, below):
        axes.set(xlim=(-1.3, 11.2), ylim=(-0.75, 1.5))
        axes.axis("off")
    above.set_title("2017, without cross-attention")
    below.set_title("LLaMA, 2023")
    words.set(xlim=(0, 1), ylim=(0, 1))
    words.axis("off")
    for number, text in enumerate(CHANGES, start=1):
        across, up = 0.02 + 0.48 * ((number - 1) // 3), 0.92 - 0.4 * ((number - 1) % 3)
        _badge(words, across, up, number)
        words.text(across + 0.025, up, text, va="center", fontsize=10.5)
    figure.suptitle("From one block to the other: six switches", x=0.01, ha="left")
    return figure, ALT


def _as_in_2017(axes):
    _box(axes, -0.35, 0, "embedding\n+ sines", KEPT)
    _arrow(axes, (-0.3, 0), (11.0, 0))
    for start, sublayer in ((1.0, "attention"), (5.9, "ReLU\nfeed-forward")):
        _around(axes, start, start + 2.85)
        _box(axes, start + 1.4, 0, sublayer, KEPT)
        _sum(axes, start + 2.85)
        _box(axes, start + 4.0, 0, "LayerNorm", KEPT)


def _as_in_llama(axes):
    _box(axes, -0.35, 0, "embedding", KEPT)
    _arrow(axes, (-0.3, 0), (11.0, 0))
    for start, sublayer, numbers in ((0.75, "attention", (3, 5, 6)), (5.1, "SwiGLU", (4, 5))):
        _around(axes, start, start + 4.0)
        _box(axes, start + 1.05, 1, "RMSNorm", CHANGED)
        _badge(axes, start + 0.75, 1.52, 1)
        _badge(axes, start + 1.25, 1.52, 2)
        _box(axes, start + 2.8, 1, sublayer, CHANGED)
        for place, number in enumerate(numbers):
            _badge(axes, start + 2.8 + 0.5 * (place - (len(numbers) - 1) / 2), 1.52, number)
        _sum(axes, start + 4.0)
    _box(axes, 10.0, 0, "RMSNorm", CHANGED)
    axes.text(10.0, -0.5, "after the last layer", ha="center", va="top", fontsize=9.5)


def _arrow(axes, start, end):
    axes.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": INK, "linewidth": 1.7}, zorder=1)


def _around(axes, left, right):
    axes.plot([left, left, right], [0, 1, 1], color=INK, linewidth=1.4, linestyle="-", marker="", zorder=1)
    _arrow(axes, (right, 1), (right, 0.2))


def _box(axes, x, y, text, colour):
    style = {"boxstyle": "round,pad=0.42", "facecolor": colour, "edgecolor": INK, "linewidth": 1.0}
    axes.text(x, y, text, ha="center", va="center", fontsize=9.5, color=ink_on(colour), bbox=style, zorder=3)


def _sum(axes, x):
    style = {"boxstyle": "circle,pad=0.2", "facecolor": "white", "edgecolor": INK, "linewidth": 1.0}
    axes.text(x, 0, "+", ha="center", va="center", fontsize=11, color=INK, bbox=style, zorder=3)


def _badge(axes, x, y, number):
    style = {"boxstyle": "circle,pad=0.22", "facecolor": INK, "edgecolor": "none"}
    look = {"fontsize": 8.5, "fontweight": "bold", "color": "white"}
    axes.text(x, y, str(number), ha="center", va="center", bbox=style, zorder=4, **look)
