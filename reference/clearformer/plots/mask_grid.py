"""A mask as a grid of words: who may look at whom."""

import numpy as np

from clearformer.plots.style import COLOURS, FAINT, HATCH, HIDDEN, ink_on


def mask_grid(axes, mask, query_words, key_words, title):
    """Draw mask (T_q, T_k), bool, True = may be attended: a dot on blue where it is True, hatched where not.

    ValueError where the words do not fit the mask.
    """
    mask = np.asarray(mask, dtype=bool)
    if mask.shape != (len(query_words), len(key_words)):
        raise ValueError(f"mask has shape {mask.shape} for {len(query_words)} queries and {len(key_words)} keys")
    for (row, column), seen in np.ndenumerate(mask):
        ground = {"facecolor": COLOURS[0], "edgecolor": "white"}
        if not seen:
            ground = {"facecolor": HIDDEN, "edgecolor": HATCH, "hatch": "////"}
        axes.add_patch(_cell(row, column, ground))
        if seen:
            axes.text(column, row, "●", ha="center", va="center", color=ink_on(COLOURS[0]), fontsize=9)
    axes.set(xlim=(-0.55, mask.shape[1] - 0.45), ylim=(mask.shape[0] - 0.45, -0.55))
    axes.set_xticks(range(len(key_words)), key_words)
    axes.set_yticks(range(len(query_words)), query_words)
    axes.tick_params(length=0, labelcolor=FAINT)
    if len(key_words) > 6:
        axes.tick_params(axis="x", rotation=35)
    axes.set(xlabel="key: may be seen (dot) or not (hatched)", ylabel="query: the token that looks")
    axes.set_title(title)
    axes.grid(False)
    axes.spines[:].set_visible(False)


def _cell(row, column, ground):
    from matplotlib.patches import Rectangle

    return Rectangle((column - 0.47, row - 0.47), 0.94, 0.94, linewidth=0, **ground)
