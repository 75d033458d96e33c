"""What grows how fast: curves over the length in log-log, each with its exponent."""

import math


def exponent(lengths, values):
    """Slope of the line through the points in log-log, by least squares: 2 where twice the length costs four times.

    ValueError where there are not two different positive lengths, or a number is not positive.
    """
    points = [*zip(lengths, values, strict=True)]
    if len({length for length, _ in points}) < 2 or not all(x > 0 and y > 0 for x, y in points):
        raise ValueError(f"a slope needs two different lengths and positive numbers; got {points}")
    across, up = ([math.log(point[axis]) for point in points] for axis in (0, 1))
    middle, level = (sum(values) / len(values) for values in (across, up))
    above = sum((x - middle) * (y - level) for x, y in zip(across, up, strict=True))
    return above / sum((x - middle) ** 2 for x in across)


def growth(panels, title):
    """(figure, alt text): one log-log panel for each of {name of the y axis: {curve: (lengths, values)}}.

    The legend gives every curve's exponent. A curve is drawn in the same colour, dash and marker in all panels.
    """
    from clearformer.plots.figure import new_figure
    from clearformer.plots.style import COLOURS, DASHES, MARKERS

    names = [*dict.fromkeys(name for curves in panels.values() for name in curves)]
    look = {
        name: dict(color=COLOURS[i % 6], linestyle=DASHES[i % 6], marker=MARKERS[i % 6], markevery=1)
        for i, name in enumerate(names)
    }
    figure, axes = new_figure(cols=len(panels), width=4.9 * len(panels), height=4.9, squeeze=False)
    told = []
    for panel, (what, curves) in zip(axes[0], panels.items(), strict=True):
        for name, (lengths, values) in curves.items():
            slope = exponent(lengths, values)
            panel.plot(lengths, values, label=f"{name}: {slope:.2f}", **look[name])
            told.append(
                f"{what}, {name}: from {values[0]:,.4g} at {lengths[0]:,} to {values[-1]:,.4g} at {lengths[-1]:,}, "
                f"exponent {slope:.2f}"
            )
        panel.set(xscale="log", yscale="log", xlabel="length (tokens)", ylabel=what)
        panel.set_xticks(*_ticks(curves))
        panel.minorticks_off()
        panel.legend(title="exponent", loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, handlelength=2.6)
    figure.suptitle(title, x=0.02, ha="left")
    return figure, f"{title}. {'; '.join(told)}."


def _ticks(curves):
    """About six lengths, each as often twice the one before as it takes."""
    lengths = [length for measured, _ in curves.values() for length in measured]
    low, high = math.ceil(math.log2(min(lengths))), math.floor(math.log2(max(lengths)))
    step = max(1, math.ceil((high - low) / 4))
    places = [2**power for power in range(low, high + 1, step)]
    return places, [f"{place:,}" for place in places]
