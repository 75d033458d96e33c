"""One look for every figure: colours that colour-blind people can tell apart, and ink that stands out."""

from pathlib import Path

INK = "#1f2328"
FAINT = "#57606a"
HAIRLINE = "#e4e7eb"
HIDDEN = "#f1f3f5"
HATCH = "#a3abb4"

# Petroff 2021, "Accessible Color Sequences for Data Visualization", six colours.
COLOURS = ["#5790fc", "#f89c20", "#e42536", "#964a8b", "#9c9ca1", "#7a21dd"]
DASHES = ["-", (0, (6, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)), (0, (10, 3)), (0, (3, 1.5, 1.5, 1.5, 1.5, 1.5))]
MARKERS = ["o", "s", "^", "D", "v", "X"]

# One hue from the page's background to its opposite, so that lightness alone tells the value.
LIGHT_RAMP = ["#f3f6fa", "#cfe0f3", "#86b5e5", "#3878c0", "#124685", "#082a57"]
DARK_RAMP = ["#222a33", "#1f4168", "#2668a6", "#559fe0", "#a9d2f7", "#edf6ff"]


def browser_half(*names):
    """The text of these files of this folder, one after the other: a widget's script or style sheet."""
    return "\n".join(Path(__file__).with_name(name).read_text(encoding="utf-8") for name in names)


def use_style():
    """Give matplotlib the course's look, for every figure made from now on in this process."""
    import matplotlib
    from matplotlib import cycler

    # Each line starts its markers a little further on, so that lines which cross keep theirs apart.
    spacing = [(0.02 * i, 0.12) for i in range(len(COLOURS))]
    cycle = cycler(color=COLOURS, linestyle=DASHES, marker=MARKERS, markevery=spacing)
    matplotlib.rcParams.update(
        {
            "figure.dpi": 100,
            "figure.facecolor": "white",
            "figure.titlesize": 13.5,
            "figure.titleweight": "bold",
            "font.family": "DejaVu Sans",
            "font.size": 10.5,
            "text.color": INK,
            "axes.facecolor": "white",
            "axes.titlesize": 12.5,
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "axes.titlepad": 12,
            "axes.labelsize": 10.5,
            "axes.labelcolor": INK,
            "axes.labelpad": 6,
            "axes.edgecolor": "#8c959f",
            "axes.linewidth": 0.8,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "axes.prop_cycle": cycle,
            "grid.color": HAIRLINE,
            "grid.linewidth": 0.8,
            "xtick.color": FAINT,
            "ytick.color": FAINT,
            "xtick.labelsize": 10,
            "ytick.labelsize": 10,
            "xtick.major.size": 4,
            "ytick.major.size": 4,
            "lines.linewidth": 2,
            "lines.markersize": 6,
            "legend.framealpha": 0.9,
            "legend.edgecolor": "none",
            "legend.fontsize": 10,
            "legend.handlelength": 3.4,
            "image.cmap": "cividis",
            "hatch.linewidth": 0.7,
        }
    )


def luminance(colour):
    """Relative luminance of "#rrggbb" or (r, g, b) in 0 to 1 (WCAG 2.2, relative luminance)."""
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in _channels(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first, second):
    """Contrast ratio of two colours, 1 to 21 (WCAG 2.2, contrast ratio)."""
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def ink_on(colour):
    """Black or white, whichever stands out more: at least 4.58 to 1 on any colour."""
    return max(("#000000", "#ffffff"), key=lambda ink: contrast(colour, ink))


def shades(ramp, steps=101):
    """The ramp in equal steps: a list of (background, ink) pairs of "#rrggbb"."""
    return [(colour, ink_on(colour)) for colour in (_along(ramp, i / (steps - 1)) for i in range(steps))]


def _along(ramp, fraction):
    place = fraction * (len(ramp) - 1)
    left = min(int(place), len(ramp) - 2)
    ends = zip(_channels(ramp[left]), _channels(ramp[left + 1]), strict=True)
    mixed = (a + (b - a) * (place - left) for a, b in ends)
    return "#" + "".join(f"{round(255 * c):02x}" for c in mixed)


def _channels(colour):
    if isinstance(colour, str):
        return [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return list(colour[:3])
