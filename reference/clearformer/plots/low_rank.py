"""The opening picture of LoRA: a weight that stays, and two thin matrices beside it, drawn to scale."""

from clearformer.plots.style import COLOURS, HATCH, HIDDEN, INK, ink_on


def low_rank(out_features, in_features, rank, title):
    """(figure, alt text): W₀ (out × in) hatched, because it stays; B (out × rank) and A (rank × in) filled.

    The three are to scale with each other, so a small rank gives thin strips.
    """
    from clearformer.plots.figure import new_figure

    figure, axes = new_figure(width=8.2, height=4.3)
    unit = 1 / max(out_features, in_features)
    tall, wide, thin = out_features * unit, in_features * unit, rank * unit
    left = wide + 0.42
    places = {  # name: left, bottom, width, height, is it trained
        "W₀": (0.0, 0.0, wide, tall, False),
        "B": (left, 0.0, thin, tall, True),
        "A": (left + thin + 0.3, tall / 2 - thin / 2, wide, thin, True),
    }
    for name, (x, y, across, up, trained) in places.items():
        _box(axes, x, y, across, up, trained)
        sizes = {"W₀": (out_features, in_features), "B": (out_features, rank), "A": (rank, in_features)}[name]
        below = f"{name}\n{sizes[0]} × {sizes[1]}\n{sizes[0] * sizes[1]:,} numbers"
        axes.text(x + across / 2, y - 0.05, below, ha="center", va="top", color=INK, fontsize=11)
    axes.text(wide / 2, tall / 2, "stays as it is", ha="center", va="center", color=INK, fontsize=12,
              bbox={"facecolor": HIDDEN, "edgecolor": "none", "pad": 5})  # fmt: skip
    axes.text(wide + 0.21, tall / 2, "+ α/r ·", ha="center", va="center", color=INK, fontsize=15)
    axes.text(left + thin + 0.15, tall / 2, "·", ha="center", va="center", color=INK, fontsize=22)
    axes.text(left + thin + 0.3 + wide / 2, tall / 2 + thin / 2 + 0.05, "B and A are trained", ha="center", va="bottom",
              color=INK, fontsize=12)  # fmt: skip
    axes.set(xlim=(-0.05, left + thin + 0.3 + wide + 0.05), ylim=(-0.34, tall + 0.06), aspect="equal")
    figure.suptitle(title, x=0.02, ha="left")
    axes.set_axis_off()
    full, low = out_features * in_features, rank * (out_features + in_features)
    alt = (
        f"{title}. A square of {out_features} × {in_features} = {full:,} numbers, W₀, that stays as it is. Beside it, "
        f"plus α/r times, a thin column B of {out_features} × {rank} and a flat row A of {rank} × {in_features}: "
        f"together {low:,} numbers, {low / full:.1%} of the square. Only these two are trained."
    )
    return figure, alt


def _box(axes, x, y, across, up, trained):
    from matplotlib.patches import Rectangle

    look = dict(facecolor=COLOURS[0]) if trained else dict(facecolor=HIDDEN, hatch="//")
    edge = ink_on(COLOURS[0]) if trained else HATCH
    axes.add_patch(Rectangle((x, y), across, up, edgecolor=edge, linewidth=1.0, **look))
