"""The whole encoder-decoder in one picture, with shapes and with the parameters of the base model."""

from clearformer.plots.style import COLOURS, FAINT, INK

_BASE = dict(d_model=512, d_ff=2048, vocab_size=37_000)
_KINDS = {  # what a box does: (its edge, its ground)
    "words": (COLOURS[3], "#f6edf5"),
    "attention": (COLOURS[0], "#e8effe"),
    "feed-forward": (COLOURS[1], "#fdf1e0"),
    "norm": ("#8c959f", "#ffffff"),
}
_WIDTH, _TALL, _FLAT = 6.5, 0.78, 0.46


def encoder_decoder():
    """(figure, alt text): encoder and decoder of 2017 from top to bottom. Lesson 04 builds each box."""
    from clearformer.plots.figure import new_figure

    figure, axes = new_figure(width=9.6, height=7.0)
    millions = {name: f"{count / 1e6:.2f} million" for name, count in _counts(**_BASE).items()}
    _column(axes, 4.7, "source", "S", millions, cross=False)
    _column(axes, 15.6, "target", "T", millions, cross=True)
    _memory_line(axes)
    axes.set(xlim=(0, 20.6), ylim=(-12.0, 0.4))
    figure.suptitle("The encoder-decoder, with the parameters of the base model of 2017", x=0.02, ha="left")
    axes.axis("off")
    attention, feed_forward = millions["attention"], millions["feed-forward"]
    alt = (
        "Two columns of boxes, from top to bottom. Left: source ids (batch, S), embedding and positions, then the "
        "encoder layer, six times: self-attention over the source without padding, add and norm, feed-forward, add and "
        "norm. It ends in the memory (batch, S, d_model). Right: target ids (batch, T), embedding and positions, then "
        "the decoder layer, six times: self-attention over what came before, cross-attention to the memory, "
        "feed-forward, each followed by add and norm. It ends in logits (batch, T, vocabulary), made with the table of "
        f"the embeddings. Each attention has {attention} parameters, each feed-forward {feed_forward}, the table "
        f"{millions['table']}. Side lines lead each input around its box to the sum behind it."
    )
    return figure, alt


def _counts(d_model, d_ff, vocab_size):
    return {
        "attention": 4 * (d_model**2 + d_model),
        "feed-forward": 2 * d_model * d_ff + d_ff + d_model,
        "table": vocab_size * d_model,
    }


def _column(axes, x, side, letter, millions, cross):
    """One side of the model around the middle x."""
    _words(axes, x, 0.0, f"{side} ids  (batch, {letter})")
    _box(axes, x, -1.25, _TALL, "words", "embedding × √d_model, + positions", f"one table: {millions['table']}")
    _arrow(axes, x, -0.25, -0.86)
    sublayers = [("attention", "self-attention", "sees what came before" if cross else "sees all but padding")]
    if cross:
        sublayers.append(("attention", "cross-attention", "sees the memory"))
    sublayers.append(("feed-forward", "feed-forward", "each token by itself"))
    y = top = -2.9
    _arrow(axes, x, -1.64, top - 0.36)
    for kind, name, note in sublayers:
        if y < top:
            _arrow(axes, x, y + 0.26, y - 0.36)
        _box(axes, x, y - 0.75, _TALL, kind, f"{name}: {note}", millions[kind])
        _arrow(axes, x, y - 1.14, y - 1.43)
        _box(axes, x, y - 1.66, _FLAT, "norm", "add, then norm")
        _around(axes, x, y - 0.1, y - 1.66)
        y -= 2.15
    _frame(axes, x, top + 0.1, y + 0.02, f"{'decoder' if cross else 'encoder'} layer, six times")
    if not cross:
        _arrow(axes, x, y + 0.02, y - 0.75)
        _words(axes, x, y - 1.0, "memory  (batch, S, d_model)")
        return
    _arrow(axes, x, y + 0.02, y - 0.46)
    _box(axes, x, y - 0.85, _TALL, "words", "× the table of the embeddings", "no new parameters")
    _arrow(axes, x, y - 1.24, y - 1.75)
    _words(axes, x, y - 2.0, "logits  (batch, T, vocabulary)")


def _words(axes, x, y, text):
    axes.text(x, y, text, ha="center", va="center", color=INK, fontweight="bold")


def _box(axes, x, y, height, kind, text, note=""):
    from matplotlib.patches import FancyBboxPatch

    edge, ground = _KINDS[kind]
    corner = (x - _WIDTH / 2, y - height / 2)
    style = "round,pad=0,rounding_size=0.14"
    axes.add_patch(FancyBboxPatch(corner, _WIDTH, height, style, facecolor=ground, edgecolor=edge, linewidth=1.5))
    axes.text(x, y + (0.17 if note else 0), text, ha="center", va="center", color=INK, fontsize=9.5)
    if note:
        axes.text(x, y - 0.18, note, ha="center", va="center", color=FAINT, fontsize=9)


def _arrow(axes, x, start, end):
    axes.annotate("", (x, end), (x, start), arrowprops={"arrowstyle": "-|>", "color": FAINT, "linewidth": 1.2})


def _around(axes, x, start, end):
    """The residual connection: from above a box around it to the sum."""
    side = x - _WIDTH / 2 - 0.5
    line = {"color": FAINT, "linewidth": 1.2, "marker": "", "linestyle": "-"}
    axes.plot([x, side, side], [start, start, end], **line)
    arrow = {"arrowstyle": "-|>", "color": FAINT, "linewidth": 1.2}
    axes.annotate("", (x - _WIDTH / 2, end), (side, end), arrowprops=arrow)


def _frame(axes, x, top, bottom, name):
    from matplotlib.patches import FancyBboxPatch

    left, right = x - _WIDTH / 2 - 0.95, x + _WIDTH / 2 + 0.5
    style = "round,pad=0,rounding_size=0.3"
    frame = FancyBboxPatch(
        (left, bottom), right - left, top - bottom, style, fill=False, edgecolor=FAINT, linestyle=(0, (4, 3))
    )
    axes.add_patch(frame)
    axes.text(x + 0.3, top + 0.4, name, ha="left", va="center", color=INK, style="italic")


def _memory_line(axes):
    """From the memory to the cross-attention."""
    end, start, turn = -5.8, -8.2, 10.3
    line = {"color": COLOURS[0], "linewidth": 1.6, "marker": "", "linestyle": "-"}
    axes.plot([7.4, turn, turn], [start, start, end], **line)
    arrow = {"arrowstyle": "-|>", "color": COLOURS[0], "linewidth": 1.6}
    axes.annotate("", (15.6 - _WIDTH / 2, end), (turn, end), arrowprops=arrow)
    axes.text(turn - 0.2, start + 0.35, "keys and values", ha="right", va="center", color=FAINT, fontsize=9)
