"""Where a model's parameters sit: a bar for each part, cut into what it is made of."""

from clearformer.plots.style import COLOURS, INK, ink_on


def parameter_bars(parts, title):
    """(figure, alt text) for parts {name of a bar: {name of a piece: number of parameters}}.

    Pieces of one name look alike in all bars. Names and numbers, in millions, stand in the pieces where there is room.
    """
    from clearformer.plots.figure import new_figure

    names = list(dict.fromkeys(piece for pieces in parts.values() for piece in pieces))
    total = sum(sum(pieces.values()) for pieces in parts.values())
    longest = max(sum(pieces.values()) for pieces in parts.values())
    figure, axes = new_figure(width=8.6, height=1.9 + 0.62 * len(parts))
    for row, pieces in enumerate(parts.values()):
        left = 0.0
        for name, count in pieces.items():
            colour = COLOURS[names.index(name) % len(COLOURS)]
            label = name if name not in axes.get_legend_handles_labels()[1] else None
            axes.barh(row, count / 1e6, 0.62, left / 1e6, color=colour, edgecolor="white", label=label)
            if count > 0.07 * longest:
                middle = (left + count / 2) / 1e6
                words = f"{name}\n{_millions(count)}" if count > 0.2 * longest else _millions(count)
                axes.text(middle, row, words, ha="center", va="center", color=ink_on(colour), fontsize=9.5)
            left += count
        text = f" {_millions(left)} ({left / total:.0%})"
        axes.text(left / 1e6, row, text, ha="left", va="center", color=INK, fontsize=10, fontweight="bold")
    axes.set_yticks(range(len(parts)), list(parts))
    axes.invert_yaxis()
    axes.set(xlim=(0, 1.22 * longest / 1e6), xlabel="parameters (millions)", ylabel="part of the model")
    axes.set_title(title)
    axes.grid(False, axis="y")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.28), ncols=len(names), handlelength=1.2, columnspacing=1.2)
    return figure, f"{title}. {' '.join(_in_words(name, pieces, total) for name, pieces in parts.items())}"


def _millions(count):
    return f"{count / 1e6:.1f}" if count >= 1e6 else f"{count / 1e6:.2f}"


def _in_words(name, pieces, total):
    share = sum(pieces.values()) / total
    counts = ", ".join(f"{piece} {_millions(count)}" for piece, count in pieces.items())
    return f"{name[0].upper()}{name[1:]}: {share:.0%}, in millions: {counts}."
