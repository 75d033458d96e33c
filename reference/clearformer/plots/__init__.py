"""Figures, tables and widgets for the lessons, each with a text alternative.

Importing this package is cheap: matplotlib is loaded when the first figure is drawn.
"""

from clearformer.plots.attention_map import attention_map
from clearformer.plots.explorer import Choice, Slider, explore
from clearformer.plots.figure import Picture, heatmap, new_figure, picture, show
from clearformer.plots.table import table

__all__ = [
    "Choice",
    "Picture",
    "Slider",
    "attention_map",
    "explore",
    "heatmap",
    "new_figure",
    "picture",
    "show",
    "table",
]
