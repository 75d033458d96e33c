"""Sparse attention in pictures: who sees whom in one layer, and from where something can have come after several."""

import numpy as np

from clearformer.plots.style import COLOURS, FAINT, HATCH, HIDDEN


def patterns(masks, title, what="seen"):
    """(figure, alt text): one square for each of {name: mask (T, T), bool}, filled where True, hatched elsewhere.

    Above each square stands which share of the pairs is filled.
    """
    from clearformer.plots.figure import new_figure

    width, height = (2.75 * len(masks) + 0.4, 3.75) if len(masks) > 1 else (5.2, 5.4)
    figure, axes = new_figure(cols=len(masks), width=width, height=height, squeeze=False)
    told = []
    for panel, (name, mask) in zip(axes[0], masks.items(), strict=True):
        mask = np.asarray(mask, dtype=bool)
        _square(panel, mask)
        panel.set_title(f"{name}\n{mask.mean():.0%} of the pairs", fontsize=11)
        panel.set(xlabel="key (position)", ylabel="query (position)")
        fewest, most = mask.sum(-1).min(), mask.sum(-1).max()
        told.append(f"{name}: {mask.mean():.0%} of the pairs {what}, {fewest} to {most} keys a query")
    figure.suptitle(title, x=0.02, ha="left")
    return figure, f"{title}. {'; '.join(told)}."


def _square(panel, mask):
    from matplotlib.colors import ListedColormap

    shown = np.where(mask, 1.0, np.nan)
    panel.patch.set(facecolor=HIDDEN, edgecolor=HATCH, hatch="///", linewidth=0)
    panel.imshow(shown, cmap=ListedColormap([COLOURS[0]]).with_extremes(bad=(0, 0, 0, 0)), interpolation="nearest")
    if len(mask) <= 40:
        edges = np.arange(len(mask) + 1) - 0.5
        panel.vlines(edges, -0.5, len(mask) - 0.5, color="white", linewidth=0.8)
        panel.hlines(edges, -0.5, len(mask) - 0.5, color="white", linewidth=0.8)
    panel.tick_params(length=0, labelcolor=FAINT)
    panel.grid(False)
    panel.spines[:].set_visible(False)
