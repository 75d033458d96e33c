"""Gradient checkpointing in pictures: memory against time, and what is alive at the worst moment."""

from clearformer.plots.style import COLOURS, FAINT, INK, ink_on

MEBI = 2**20
# Where a label stands, seen from its point, in points of 1/72 inch: (right, up) and how it is aligned.
BESIDE = {"plain": (10, 0, "left"), "scores": (10, 8, "left"), "attention": (10, 4, "left")}


def memory_against_time(points, title):
    """(figure, alt text) for points {policy: (time, memory in bytes)}, both with those of "plain" among them.

    policy: "plain", "scores", "attention", or a number of segments, which are joined by a line. Times may be in any
    unit: they are drawn as multiples of the plain one.
    """
    from matplotlib.ticker import FuncFormatter, NullFormatter

    from clearformer.plots.figure import new_figure

    plain_time, plain_bytes = points["plain"]
    places = {policy: (time / plain_time, size / plain_bytes) for policy, (time, size) in points.items()}
    figure, axes = new_figure(width=8, height=4.6)
    numbers = sorted(policy for policy in places if isinstance(policy, int))
    axes.plot(*zip(*(places[number] for number in numbers), strict=True), marker="o", markevery=1, label="k segments")
    for policy, marker, colour in (("plain", "s", INK), ("scores", "^", COLOURS[2]), ("attention", "D", COLOURS[3])):
        if policy in places:
            axes.plot(*places[policy], linestyle="", marker=marker, markevery=1, color=colour, markersize=8)
    for policy, place in places.items():
        across, up, side = BESIDE.get(policy, (8, 7, "left"))
        said = _named(policy, numbers[-1])
        how = dict(textcoords="offset points", ha=side, va="center", fontsize=9.5, color=INK)
        axes.annotate(said, place, (across, up), **how)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:.0%}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_yticks([0.02, 0.05, 0.1, 0.2, 0.5, 1.0])
    slowest, lowest = max(time for time, _ in places.values()), min(share for _, share in places.values())
    axes.set(xlim=(min(0.97, *(time for time, _ in places.values())) - 0.01, slowest + 0.13), ylim=(0.75 * lowest, 1.3))
    axes.set(title=title, xlabel="time of a training step (plain = 1)", ylabel="activations at the worst moment")
    axes.legend(loc="upper right")
    words = [f"{_named(policy, numbers[-1])}: {share:.0%} of the bytes at {time:.2f} times the time"
             for policy, (time, share) in places.items()]  # fmt: skip
    return figure, f"{title}. {'; '.join(words)}."


def _named(policy, most):
    if policy == "plain":
        return "plain"
    if isinstance(policy, str):
        return f"recompute {policy}"
    return f"k = {policy}" + (", every layer" if policy == most else "")


def worst_moment(rows, title):
    """(figure, alt text) for rows {name: (bytes of segments' inputs, bytes inside of one segment)}: a bar for each."""
    from clearformer.plots.figure import new_figure

    pieces = ("inputs of segments", "inside of one segment")
    longest = max(map(sum, rows.values()))
    figure, axes = new_figure(width=8, height=1.9 + 0.55 * len(rows))
    for row, sizes in enumerate(rows.values()):
        left = 0
        for name, size, colour in zip(pieces, sizes, COLOURS, strict=False):
            hatch = {"hatch": "//"} if name == pieces[0] else {}
            axes.barh(row, size / MEBI, 0.62, left / MEBI, color=colour, edgecolor="white",
                      label=name if not row else None, **hatch)  # fmt: skip
            if size > 0.1 * longest:
                middle = (left + size / 2) / MEBI
                ink = ink_on(colour)
                around = dict(facecolor=colour, edgecolor="none", pad=1.5)
                axes.text(middle, row, f"{size / MEBI:.1f}", ha="center", va="center", color=ink, bbox=around)
            left += size
        axes.text(left / MEBI, row, f" {left / MEBI:.1f}", ha="left", va="center", color=INK, fontweight="bold")
    axes.axvline(sum(next(iter(rows.values()))) / MEBI, color=FAINT, linestyle="--", linewidth=1)
    axes.set_yticks(range(len(rows)), list(rows))
    axes.invert_yaxis()
    axes.set(title=title, xlim=(0, 1.12 * longest / MEBI), xlabel="saved bytes (MiB)", ylabel="policy")
    axes.grid(False, axis="y")
    axes.legend(loc="lower right", handlelength=1.4)
    words = [f"{name}: {inputs / MEBI:.1f} MiB of inputs and {inside / MEBI:.1f} MiB in a segment"
             for name, (inputs, inside) in rows.items()]  # fmt: skip
    return figure, f"{title}. {'; '.join(words)}."
