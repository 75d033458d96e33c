"""What a decoder reads and what it has to say, place by place, when it is trained on one pair."""

from clearformer.plots.style import COLOURS, FAINT, HATCH, HIDDEN, INK

SEEN, WANTED = "#dbe7fd", "#fde3bf"
BOX = 0.8  # width of a token's box; places are 1 apart


def teacher_forcing(source, target):
    """(figure, alt text): one row for each token that has to be said, with what the decoder may read for it.

    source, target: lists of words, the target from its start to its end token.
    """
    from clearformer.plots.figure import new_figure

    questions = len(target) - 1
    figure, axes = new_figure(width=1.0 * questions + 4.4, height=0.62 * questions + 1.5)
    axes.text(questions / 2 - 0.5, 0.85, "the decoder reads", ha="center", va="center", color=FAINT, style="italic")
    axes.text(questions + 1, 0.85, "and has to say", ha="center", va="center", color=FAINT, style="italic")
    axes.text(-1.0, 0.85, "source", ha="right", va="center", color=FAINT, style="italic")
    axes.text(-1.0, -(questions - 1) / 2, " ".join(source), ha="right", va="center", color=INK, fontsize=13)
    for row in range(questions):
        for place, word in enumerate(target[:-1]):
            _box(axes, place, -row, word if place <= row else "", SEEN if place <= row else HIDDEN, place > row)
        arrow = {"arrowstyle": "-|>", "color": COLOURS[0], "linewidth": 1.6}
        axes.annotate("", (questions + 0.5, -row), (questions - 0.5, -row), arrowprops=arrow)
        _box(axes, questions + 1, -row, target[row + 1], WANTED)
    axes.set(xlim=(-2.6, questions + 1.6), ylim=(-questions + 0.4, 1.2))
    axes.axis("off")
    figure.suptitle(f"One pair is {questions} questions, all asked at once", x=0.02, ha="left")
    asked = "; ".join(f"“{' '.join(target[: row + 1])}”, says “{target[row + 1]}”" for row in range(questions))
    return figure, f"Source “{' '.join(source)}”. A staircase of {questions} rows. The decoder reads {asked}."


def _box(axes, x, y, word, colour, hidden=False):
    from matplotlib.patches import Rectangle

    look = {"hatch": "////", "edgecolor": HATCH} if hidden else {"edgecolor": FAINT}
    corner = (x - BOX / 2, y - 0.36)
    axes.add_patch(Rectangle(corner, BOX, 0.72, facecolor=colour, linewidth=0.8, **look))
    axes.text(x, y, word, ha="center", va="center", color=INK, fontsize=12)
