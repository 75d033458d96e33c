"""Post-norm and pre-norm side by side: which way x takes through a layer, and where the norms stand."""

from clearformer.plots.style import COLOURS, INK, ink_on

NORM, SUBLAYER, FINAL = COLOURS[1], "#dbe7fd", "#ffffff"
TITLES = {"post": "post-norm (2017): norm(x + f(x))", "pre": "pre-norm: x + f(norm(x))"}
ALT = (
    "Two layers drawn from left to right. Post-norm: attention, plus x, norm, feed-forward, plus x, norm; each norm "
    "lies on the main line, so everything passes through it. Pre-norm: the main line runs straight from x to the end "
    "and holds nothing but two sums; norm and attention, then norm and feed-forward, lie on side ways that begin and "
    "end at it. After the last layer one more norm stands on the main line."
)


def norm_wiring():
    """(figure, alt text)"""
    from clearformer.plots.figure import new_figure

    figure, panels = new_figure(rows=2, width=8.6, height=4.6)
    for axes, (name, draw) in zip(panels, {"post": _post, "pre": _pre}.items(), strict=True):
        draw(axes)
        axes.set(xlim=(-0.6, 10.4), ylim=(-0.7, 1.35))
        axes.set_title(TITLES[name])
        axes.axis("off")
    figure.suptitle("One layer, two places for its norms", x=0.01, ha="left")
    return figure, ALT


def _post(axes):
    _line(axes, -0.3, 10.1)
    for start in (0.3, 4.8):
        _around(axes, start, start + 2.45)
        _box(axes, start + 1.2, 0, "attention" if start < 4 else "feed-forward", SUBLAYER)
        _sum(axes, start + 2.45)
        _box(axes, start + 3.6, 0, "norm", NORM)
    axes.text(-0.35, 0, "x", ha="right", va="center", fontweight="bold")


def _pre(axes):
    _line(axes, -0.3, 10.1)
    for start in (0.2, 4.3):
        _around(axes, start, start + 3.5)
        _box(axes, start + 0.85, 1, "norm", NORM)
        _box(axes, start + 2.35, 1, "attention" if start < 4 else "feed-forward", SUBLAYER)
        _sum(axes, start + 3.5)
    _box(axes, 9.0, 0, "norm", NORM, dashed=True)
    axes.text(9.0, -0.42, "after the last layer", ha="center", va="top", fontsize=9.5)
    axes.text(-0.35, 0, "x", ha="right", va="center", fontweight="bold")


def _line(axes, left, right):
    axes.annotate("", (right, 0), (left, 0), arrowprops={"arrowstyle": "->", "color": INK, "linewidth": 1.8}, zorder=1)


def _around(axes, left, right):
    """The other way, above the main line: up, across, down."""
    axes.plot([left, left, right], [0, 1, 1], color=INK, linewidth=1.4, linestyle="-", marker="", zorder=1)
    axes.annotate("", (right, 0.17), (right, 1), arrowprops={"arrowstyle": "->", "color": INK, "linewidth": 1.4})


def _box(axes, x, y, text, colour, dashed=False):
    style = {"boxstyle": "round,pad=0.45", "facecolor": colour, "edgecolor": INK, "linewidth": 1.0}
    style["linestyle"] = "--" if dashed else "-"
    axes.text(x, y, text, ha="center", va="center", fontsize=10, color=ink_on(colour), bbox=style, zorder=3)


def _sum(axes, x):
    style = {"boxstyle": "circle,pad=0.2", "facecolor": FINAL, "edgecolor": INK, "linewidth": 1.0}
    axes.text(x, 0, "+", ha="center", va="center", fontsize=11, color=INK, bbox=style, zorder=3)
