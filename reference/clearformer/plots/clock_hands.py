"""Pairs (sine, cosine) drawn as clock hands: the sine goes across and the cosine up, so that an angle of 0 points
up and growing angles turn clockwise."""

import math

import numpy as np

from clearformer.plots.figure import new_figure
from clearformer.plots.style import FAINT

FACE, RIM, HAND, TRAIL = "#f6f8fa", "#8c959f", "#1f66b8", "#b35900"


def clock(axes, sine, cosine, label="", turn=0.0):
    """Draw one pair of numbers as the hand of a dial.

    turn: radians by which the hand has just turned. Where it came from is dashed, and a spiral shows
    the way, once round for each full turn; its arrow points to where the hand is now.
    """
    from matplotlib.patches import Circle

    axes.axis("off")
    axes.set(aspect="equal", xlim=(-1.15, 1.15), ylim=(-1.15, 1.15))
    axes.set_title(label, fontsize=10, fontweight="normal", loc="center", pad=4)
    axes.add_patch(Circle((0, 0), 1, facecolor=FACE, edgecolor=RIM))
    for hour in range(12):
        angle, ends = hour * math.pi / 6, np.array([0.92 if hour % 3 else 0.84, 1.0])
        _line(axes, ends * math.sin(angle), ends * math.cos(angle), color=RIM, linewidth=1)
    if turn:
        _trail(axes, math.atan2(sine, cosine), turn)
    _line(axes, [0, sine], [0, cosine], color=HAND, linewidth=2.6, zorder=4)
    axes.add_patch(Circle((sine, cosine), 0.1, color=HAND, zorder=4, clip_on=False))


def _line(axes, across, up, **look):
    axes.plot(across, up, **({"linestyle": "-", "marker": ""} | look))


def _trail(axes, angle, turn):
    start = angle - turn
    _line(axes, [0, math.sin(start)], [0, math.cos(start)], color=FAINT, linestyle=(0, (3, 2)), linewidth=1.6)
    way = np.linspace(start, angle, 40 + int(40 * abs(turn)))
    radius = np.linspace(0.35, min(0.75, 0.45 + 0.05 * abs(turn)), len(way))
    across, up = radius * np.sin(way), radius * np.cos(way)
    _line(axes, across, up, color=TRAIL, linewidth=1.6)
    if abs(turn) > 0.6:  # a shorter way has no room for an arrow
        arrow = {"arrowstyle": "-|>", "color": TRAIL, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", (across[-1], up[-1]), (across[-4], up[-4]), arrowprops=arrow, zorder=5)


def clock_rows(rows, row_names, pair_names, title, turns=None):
    """A figure with a row of dials for each row of numbers (sine, cosine, sine, cosine, …).

    rows (number of rows, d), d even; row_names: what stands before each row; pair_names: what stands over each of the
    d/2 columns of dials; turns: radians by which the hands have just turned, (number of rows, d/2), as in `clock`.
    Returns the figure. ValueError where the sizes do not fit.
    """
    rows = np.asarray(rows, dtype=float)
    if rows.ndim != 2 or 0 in rows.shape or rows.shape[1] % 2:
        raise ValueError(f"rows must have shape (number of rows, even number of columns); got {rows.shape}")
    pairs = rows.reshape(len(rows), -1, 2)
    turns = np.zeros(pairs.shape[:2]) if turns is None else np.asarray(turns)
    if (len(row_names), len(pair_names)) != pairs.shape[:2] or turns.shape != pairs.shape[:2]:
        sizes = f"{len(row_names)} row names, {len(pair_names)} pair names and turns {turns.shape}"
        raise ValueError(f"{sizes} do not fit {pairs.shape[0]} rows of {pairs.shape[1]} pairs")
    width, height = 1.1 * pairs.shape[1] + 1.2, 1.12 * len(rows) + 0.95
    figure, dials = new_figure(*pairs.shape[:2], width=width, height=height, squeeze=False)
    figure.get_layout_engine().set(w_pad=0.05, h_pad=0.05, wspace=0.02, hspace=0.02)
    for r, name in enumerate(row_names):
        for i, (sine, cosine) in enumerate(pairs[r]):
            clock(dials[r, i], sine, cosine, pair_names[i] if r == 0 else "", turns[r, i])
        dials[r, 0].text(-1.4, 0, name, ha="right", va="center")
    figure.suptitle(title, ha="left", x=0.02)
    return figure
