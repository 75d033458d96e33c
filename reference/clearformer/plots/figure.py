"""Pictures for the lessons: drawn by matplotlib, shown as one HTML image that carries its alt text."""

import base64
import io
import math
import struct
import sys
from html import escape

from clearformer.plots.style import HATCH, HIDDEN, ink_on, use_style

PIXELS_PER_INCH = 100
SHARPNESS = 2  # image pixels for each CSS pixel, so that it is crisp on dense screens


class Picture:
    """A finished picture: PNG bytes, the text that stands in for it, and its size in CSS pixels."""

    def __init__(self, png, alt, width=None):
        self.png, self.alt = png, alt
        pixels_across, pixels_down = struct.unpack(">II", png[16:24])
        self.width = round(pixels_across / SHARPNESS) if width is None else round(width)
        self.height = round(self.width * pixels_down / pixels_across)

    @property
    def source(self):
        """The PNG as a data: address."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode()

    def _repr_html_(self):
        return (
            f'<img alt="{escape(self.alt)}" src="{self.source}" width="{self.width}" height="{self.height}" '
            'style="max-width: 100%; height: auto; background-color: white; border-radius: 8px">'
        )

    def __repr__(self):
        return self.alt


def new_figure(rows=1, cols=1, width=7.2, height=4.2, **subplots):
    """Make a figure in the course's style, outside pyplot's list of open figures.

    width and height in inches (100 CSS pixels each); `subplots` goes to matplotlib's Figure.subplots.
    Returns (figure, axes): one Axes for 1 × 1, else an array of them as matplotlib gives it.
    """
    from matplotlib.figure import Figure

    use_style()
    figure = Figure(figsize=(width, height), dpi=PIXELS_PER_INCH, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.14, h_pad=0.14, wspace=0.04, hspace=0.06)
    return figure, figure.subplots(rows, cols, **subplots)


def show(figure, alt="", width=None):
    """Display the figure with its text alternative, and close it.

    alt: what a person who cannot see the figure needs to know; width in CSS pixels (its own if None).
    ValueError where the alt text, the title or the name of an axis is missing.
    """
    from IPython.display import display

    display(picture(figure, alt, width))


def picture(figure, alt="", width=None):
    """Turn the figure into a Picture, as `show` does, without displaying it."""
    if not isinstance(alt, str) or not alt.strip():
        raise ValueError("alt is missing: say in a sentence what the figure shows, for people who cannot see it")
    if width is not None and not width > 0:
        raise ValueError(f"width must be a positive number of CSS pixels, but is {width!r}")
    check_names(figure)
    png = _render(figure)
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close(figure)
    return Picture(png, alt.strip(), width)


def _render(figure):
    """PNG bytes, without a date or a version: the same figure gives the same bytes."""
    from PIL import Image

    drawn, packed = io.BytesIO(), io.BytesIO()
    figure.savefig(
        drawn, format="png", dpi=SHARPNESS * PIXELS_PER_INCH, facecolor="white", pil_kwargs={"compress_level": 1}
    )
    # 256 colours keep every channel within about 10 of 255, and a notebook's figures at a third of the size.
    image = Image.open(drawn).convert("RGB").quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    image.save(packed, format="png")
    return packed.getvalue()


def check_names(figure):
    """ValueError where the figure has no title, or a drawn axis has no name."""
    panels = [axes for axes in figure.axes if axes.axison and axes.get_label() != "<colorbar>"]
    titles = [figure.get_suptitle()] + [axes.get_title(loc) for axes in panels for loc in ("left", "center", "right")]
    missing = [] if any(title.strip() for title in titles) else ["a title (axes.set_title)"]
    for number, axes in enumerate(panels, 1):
        which = f" of panel {number}" if len(panels) > 1 else ""
        if not _named(axes, "xlabel", axes.get_shared_x_axes(), figure.get_supxlabel()):
            missing.append(f"a name for the x axis{which} (axes.set_xlabel)")
        if not _named(axes, "ylabel", axes.get_shared_y_axes(), figure.get_supylabel()):
            missing.append(f"a name for the y axis{which} (axes.set_ylabel)")
    for bar in figure.axes:
        if bar.get_label() == "<colorbar>" and not (bar.get_xlabel() or bar.get_ylabel()):
            missing.append("a name for the colour bar (label=…)")
    if missing:
        raise ValueError("the figure lacks " + ", ".join(missing))


def _named(axes, which, shared, of_figure):
    # Panels that share an axis write its name once.
    names = [of_figure] + [getattr(other, f"get_{which}")() for other in shared.get_siblings(axes)]
    return any(name.strip() for name in names)


def heatmap(
    axes,
    values,
    title="",
    xlabel="",
    ylabel="",
    value_name="",
    x_words=None,
    y_words=None,
    diverging=False,
    limits=None,
    number_format=".2f",
):
    """Draw values (rows, columns) as shaded cells with a named colour bar, and return matplotlib's image.

    The numbers are printed where the cells are large enough; cells that are not finite are hatched.
    x_words, y_words: one name for each column or row. diverging: orange below 0, purple above; both ends are
    dark, so use it where the numbers are printed. limits (low, high) of the shading. ValueError where a title
    or name is missing or the sizes do not fit.
    """
    values = _matrix(values)
    names = {"title": title, "xlabel": xlabel, "ylabel": ylabel, "value_name": value_name}
    blank = [name for name, text in names.items() if not text.strip()]
    if blank:
        raise ValueError(f"heatmap needs {', '.join(blank)}: a figure says what it shows, with units")
    low, high = limits or _limits(values, diverging)
    image = axes.imshow(
        values, cmap=_colour_map(diverging), vmin=low, vmax=high, aspect="auto", interpolation="nearest"
    )
    # The background is seen through cells that have no number.
    axes.patch.set(facecolor=HIDDEN, edgecolor=HATCH, hatch="////", linewidth=0)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.set_title(title)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    _name_cells(axes.xaxis, x_words, values.shape[1], "x_words")
    _name_cells(axes.yaxis, y_words, values.shape[0], "y_words")
    bar = axes.get_figure().colorbar(image, ax=axes, label=value_name, fraction=0.05, pad=0.02)
    bar.outline.set_visible(False)
    _print_numbers(axes, image, values, number_format)
    return image


def _matrix(values):
    import numpy as np

    if hasattr(values, "detach"):  # a torch tensor
        values = values.detach().cpu().double().numpy()
    values = np.array(values, dtype=float)
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(f"values must have shape (rows, columns), both at least 1, but has {values.shape}")
    return values


def _limits(values, diverging):
    import numpy as np

    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return 0.0, 1.0
    if diverging:
        furthest = abs(finite).max() or 1.0
        return -furthest, furthest
    return finite.min(), finite.max()


def _colour_map(diverging):
    import matplotlib

    return matplotlib.colormaps["PuOr" if diverging else "cividis"].with_extremes(bad=(0, 0, 0, 0))


def _name_cells(axis, words, count, argument):
    from matplotlib.ticker import MaxNLocator

    axis.set_tick_params(length=0)
    if words is None:
        axis.set_major_locator(MaxNLocator(integer=True))
        return
    words = [str(word) for word in words]
    if len(words) != count:
        raise ValueError(f"{argument} has {len(words)} names for {count} cells")
    axis.set_ticks(range(count), words)
    if axis.axis_name == "x" and sum(map(len, words)) + 2 * count > 70:
        axis.set_tick_params(rotation=90)


def _print_numbers(axes, image, values, number_format):
    rows, columns = values.shape
    texts = [[_cell_text(value, number_format) for value in row] for row in values]
    box, (across, down) = axes.get_position(), axes.get_figure().get_size_inches()
    cell_width, cell_height = 72 * 0.85 * box.width * across / columns, 72 * box.height * down / rows
    longest = max(len(text) for row in texts for text in row)
    size = min(10.5, cell_width * 0.8 / (0.65 * longest), cell_height * 0.55)
    if size < 6.5:
        return
    for line in range(1, columns):
        axes.axvline(line - 0.5, color="white", linewidth=2, linestyle="-", marker="")
    for line in range(1, rows):
        axes.axhline(line - 0.5, color="white", linewidth=2, linestyle="-", marker="")
    for i, row in enumerate(texts):
        for j, text in enumerate(row):
            finite = math.isfinite(values[i, j])
            ink = ink_on(image.cmap(image.norm(values[i, j]))) if finite else "#000000"
            box_style = None if finite else {"facecolor": HIDDEN, "edgecolor": "none", "pad": 1.5}
            axes.text(j, i, text, ha="center", va="center", fontsize=size, color=ink, bbox=box_style)


def _cell_text(value, number_format):
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return format(value, number_format).replace("-", "−")
