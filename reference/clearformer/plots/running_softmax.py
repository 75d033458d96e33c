"""One query's softmax as it is put together block by block."""

import math

from clearformer.plots.style import COLOURS, HATCH, HIDDEN, INK


def running_softmax(scores, block_size, blocks_seen):
    """(figure, alt text): the scores of one query, and what its running softmax knows after some blocks of keys.

    scores: a list of numbers, one a key; blocks_seen: from 0 to the number of blocks. Upper panel: the scores, a bar
    for each key, with the largest so far. Lower panel: exp(score − largest so far) of the seen keys, which add up to
    the running sum.
    """
    from clearformer.plots.figure import new_figure

    seen = min(len(scores), block_size * blocks_seen)
    old = scores[: min(seen, block_size * max(0, blocks_seen - 1))]
    largest, before = (max(part, default=-math.inf) for part in (scores[:seen], old))
    powers = [math.exp(score - largest) for score in scores[:seen]]
    rescale = math.exp(before - largest) if seen else 1.0
    figure, (upper, lower) = new_figure(rows=2, width=8, height=5.2, sharex=True)
    for number, score in enumerate(scores):
        _bar(upper, number, score, number < seen, fresh=len(old) <= number < seen)
        _bar(lower, number, powers[number] if number < seen else 0, number < seen, fresh=len(old) <= number < seen)
    for edge in range(block_size, len(scores), block_size):
        for panel in (upper, lower):
            panel.axvline(edge - 0.5, color=INK, linewidth=0.8, linestyle=":")
    if seen:
        upper.hlines(largest, -0.6, len(scores) - 0.5, color=COLOURS[2], linewidth=1.6, linestyle="--")
        upper.text(len(scores) - 0.4, largest, f"largest {largest:.2f}", color=INK, va="center", fontsize=10)
    lower.text(len(scores) - 0.4, 0.5, f"sum {sum(powers):.3f}\n\nold parts\nwere times\n{rescale:.3f}", va="center")
    upper.set(ylabel="score", title=f"After {seen} of {len(scores)} keys", xlim=(-0.6, len(scores) + 1.6))
    lower.set(ylabel="exp(score − largest)", xlabel="key (dotted: ends of blocks)", ylim=(0, 1.05))
    lower.set_xticks(range(len(scores)))
    for panel in (upper, lower):
        panel.grid(False, axis="x")
    known = f"the largest score is {largest:.2f}, the sum {sum(powers):.3f}" if seen else "nothing is known yet"
    return figure, (
        f"After {seen} of {len(scores)} keys, {known}. What was added up before was multiplied by {rescale:.3f}."
    )


def _bar(panel, place, height, seen, fresh):
    """Filled: seen; filled with a heavy edge: of the newest block; hatched: still to come."""
    look = dict(color=COLOURS[0], edgecolor=INK if fresh else "white", linewidth=1.8 if fresh else 0)
    if not seen:
        look = dict(color=HIDDEN, edgecolor=HATCH, hatch="////", linewidth=0)
    panel.bar(place, height, 0.8, **look)
