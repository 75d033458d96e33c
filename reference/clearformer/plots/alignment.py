"""Which words of the source a translation looked at: two rows of words, and lines between them."""

from clearformer.plots.style import COLOURS, FAINT, INK

LEAST = 0.1  # lighter weights are not drawn
TOP, BOTTOM = 1.0, 0.0


def alignment(weights, source_words, target_words, title):
    """(figure, alt text): each target word with lines to the source words it looks at, the thicker the more.

    weights (T, S), NumPy or torch: row t is what word t of the target gives to each word of the source. Its largest
    weight is drawn in full, others of at least 0.1 broken. ValueError where the sizes do not fit.
    """
    from clearformer.plots.figure import new_figure

    weights = _as_lists(weights)
    if [len(row) for row in weights] != [len(source_words)] * len(target_words):
        shape = len(weights), len(weights[0]) if weights else 0
        raise ValueError(
            f"{len(target_words)} target words and {len(source_words)} source words need weights of shape "
            f"({len(target_words)}, {len(source_words)}); got {shape}"
        )
    above, below = _places(source_words), _places(target_words)
    width = max(above[-1] + len(source_words[-1]) / 2, below[-1] + len(target_words[-1]) / 2)
    shift_above, shift_below = _centred(above, source_words, width), _centred(below, target_words, width)
    figure, axes = new_figure(width=min(9.6, max(6.0, 0.135 * width + 1.6)), height=3.2)
    for row, place in zip(weights, below, strict=True):
        strongest = max(range(len(row)), key=row.__getitem__)
        for column, weight in enumerate(row):
            if weight >= LEAST or column == strongest:
                ends = [above[column] + shift_above, place + shift_below], [TOP - 0.09, BOTTOM + 0.09]
                look = {"color": COLOURS[0], "linestyle": "-"} if column == strongest else {
                    "color": FAINT, "linestyle": (0, (4, 2))}  # fmt: skip
                axes.plot(*ends, linewidth=0.6 + 4.5 * weight, marker="", solid_capstyle="round", **look)
    for words, places, shift, y in (
        (source_words, above, shift_above, TOP),
        (target_words, below, shift_below, BOTTOM),
    ):
        for word, place in zip(words, places, strict=True):
            axes.text(place + shift, y, word, ha="center", va="center", color=INK, fontsize=12)
    for name, y in (("source", TOP), ("written", BOTTOM)):
        axes.text(-4, y, name, ha="right", va="center", color=FAINT, style="italic")
    axes.set(xlim=(-13, width + 2), ylim=(BOTTOM - 0.16, TOP + 0.16))
    axes.axis("off")
    figure.suptitle(title, x=0.02, ha="left")
    return figure, f"{title}. {_in_words(weights, source_words, target_words)}"


def _as_lists(weights):
    return [[float(weight) for weight in row] for row in weights]


def _places(words):
    """The middle of each word, in characters from the left, with a gap of three between words."""
    places, edge = [], 0.0
    for word in words:
        places.append(edge + len(word) / 2)
        edge += len(word) + 3
    return places


def _centred(places, words, width):
    return (width - places[-1] - len(words[-1]) / 2) / 2


def _in_words(weights, source_words, target_words):
    parts = []
    for word, row in zip(target_words, weights, strict=True):
        seen = sorted((column for column, weight in enumerate(row) if weight >= LEAST), key=lambda c: -row[c])
        seen = seen or [max(range(len(row)), key=row.__getitem__)]
        parts.append(f"{word}: {', '.join(f'{source_words[column]} {row[column]:.2f}' for column in seen)}")
    return f"What each written word looked at: {'; '.join(parts)}."
