"""Rotary positions in a picture: one pair of a query and of a key, each turned by its own position."""

import math

import numpy as np

from clearformer.plots.figure import new_figure
from clearformer.plots.style import COLOURS, FAINT, INK

PAIRS = {"query": (1.0, 0.35), "key": (0.55, 0.8)}  # before they are turned
SHADES = {"query": COLOURS[0], "key": COLOURS[2]}


def turned(pair, position, speed):
    """The pair turned by position · speed radians, counter-clockwise."""
    cos, sin = math.cos(position * speed), math.sin(position * speed)
    return np.array([pair[0] * cos - pair[1] * sin, pair[0] * sin + pair[1] * cos])


def turned_pair(query_position, key_position, speed, furthest=30):
    """(figure, alt text): both arrows before and after turning, and their score against the distance.

    On the left the dashed arrows are the pair as the projections made it, the solid ones what the positions have made
    of it. On the right is the score of such a pair for every distance from -furthest to furthest.
    """
    figure, (dial, curve) = new_figure(cols=2, width=8.8, height=4.1, width_ratios=(1.0, 1.25))
    places = {"query": query_position, "key": key_position}
    now = {name: turned(PAIRS[name], places[name], speed) for name in PAIRS}
    score, distance = float(now["query"] @ now["key"]), query_position - key_position
    _arrows(dial, places, now)
    _scores(curve, speed, distance, score, furthest)
    angles = " and ".join(f"the {name} by {math.degrees(places[name] * speed):.0f} degrees" for name in PAIRS)
    figure.suptitle(f"Distance {distance}: score {score:.2f}", x=0.02, ha="left")
    alt = (
        f"Query at {query_position}, key at {key_position}, speed {speed:g} radians a position: {angles} turned. "
        f"Their distance is {distance}, their score {score:.2f}. Beside it, the score against the distance: a cosine "
        f"wave that repeats after {2 * math.pi / speed:.1f} positions, with a dot at {distance}."
    )
    return figure, alt


def _arrows(axes, places, now):
    axes.set(aspect="equal", xlim=(-1.7, 1.7), ylim=(-1.7, 1.7), title="One pair of numbers")
    axes.set(xlabel="first number of the pair", ylabel="second number")
    for name, pair in PAIRS.items():
        _arrow(axes, pair, {"color": FAINT, "linestyle": (0, (3, 2)), "linewidth": 1.4})
        _arrow(axes, now[name], {"color": SHADES[name], "linewidth": 2.6})
        outside = 1.32 * now[name] / np.linalg.norm(now[name])
        label = f"{name}, {places[name]}"
        axes.text(*outside, label, ha="center", va="center", color=INK, fontsize=10, zorder=5,
                  bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1})  # fmt: skip


def _arrow(axes, end, look):
    axes.annotate("", end, (0, 0), arrowprops={"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0} | look, zorder=3)


def _scores(axes, speed, distance, score, furthest):
    distances = np.linspace(-furthest, furthest, 601)
    query, key = np.array(PAIRS["query"]), np.array(PAIRS["key"])
    across = query[0] * key[1] - query[1] * key[0]
    values = query @ key * np.cos(distances * speed) + across * np.sin(distances * speed)
    axes.plot(distances, values, marker="")
    axes.plot([distance], [score], marker="o", markersize=9, markevery=1, color=INK, linestyle="")
    axes.set(title="What it adds to the score", xlabel="distance, query's position minus key's", ylabel="score")
    axes.set_ylim(-1.25, 1.25)
