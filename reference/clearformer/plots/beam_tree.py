"""Beam search as a tree: which beginnings were kept at each step, and what came of them."""

from itertools import pairwise

from clearformer.plots.style import COLOURS, FAINT, INK

BOX_WIDTH, BOX_HEIGHT = 0.84, 0.66  # columns and rows are 1 apart
MOST_IN_WORDS = 60  # hypotheses that the text alternative names one by one


def beam_tree(beams, word_of, title="Beam search"):
    """(figure, alt text) for the beams of one search, step by step.

    beams: one list for each step, best hypothesis first, each (score, ids); a score sums log-probabilities.
    The first step holds the start alone. A hypothesis comes from the one of the step before that it continues, or
    that it equals where it is finished. word_of(id): what stands in a box. The best of the last step is the result.
    ValueError where a hypothesis continues none of the step before.
    """
    from clearformer.plots.figure import new_figure

    parents = [[None] * len(beams[0])]
    parents += [[_parent(ids, before) for _, ids in beam] for before, beam in pairwise(beams)]
    winning = _line_of_the_winner(parents)
    rows = max(map(len, beams))
    figure, axes = new_figure(width=max(6.0, 1.02 * len(beams) + 1.0), height=0.66 * rows + 1.5)
    for step, beam in enumerate(beams):
        for rank, (score, ids) in enumerate(beam):
            parent = parents[step][rank]
            waits = step > 0 and len(ids) == len(beams[step - 1][parent][1])
            dies = step + 1 < len(beams) and rank not in parents[step + 1]
            wins = winning[step] == rank
            if step:
                _line(axes, step, parent, rank, wins, waits)
            _box(axes, step, rank, "as it is" if waits else word_of(ids[-1]), score, wins, dies, waits)
    axes.set(xlim=(-0.55, len(beams) - 0.45), ylim=(rows - 0.5, -0.55))
    axes.set_xticks(range(len(beams)), [str(step) for step in range(len(beams))])
    axes.set_yticks(range(rows), [str(rank) for rank in range(1, rows + 1)])
    axes.set(xlabel="step", ylabel="place in the beam")
    axes.set_title(title)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return figure, _in_words(title, beams, word_of)


def _parent(ids, before):
    for rank, (_, beginning) in enumerate(before):
        if list(ids[:-1]) == list(beginning) or list(ids) == list(beginning):
            return rank
    raise ValueError(f"{list(ids)} continues no hypothesis of the step before: {[list(ids) for _, ids in before]}")


def _line_of_the_winner(parents):
    """The place of the result's ancestor in each step."""
    ranks = [0]
    for step in range(len(parents) - 1, 0, -1):
        ranks.append(parents[step][ranks[-1]])
    return ranks[::-1]


def _line(axes, step, parent, rank, wins, waits):
    ends = [step - 1 + BOX_WIDTH / 2, step - BOX_WIDTH / 2], [parent, rank]
    if wins:
        axes.plot(*ends, color=COLOURS[0], linewidth=3, linestyle="-", marker="")
    else:
        axes.plot(*ends, color=FAINT, linewidth=1, linestyle=":" if waits else "-", marker="")


def _box(axes, step, rank, word, score, wins, dies, waits):
    from matplotlib.patches import FancyBboxPatch

    corner = (step - BOX_WIDTH / 2, rank - BOX_HEIGHT / 2)
    look = {"edgecolor": COLOURS[0], "linewidth": 2.4} if wins else {"edgecolor": FAINT, "linewidth": 0.9}
    if dies:
        look["linestyle"] = (0, (3, 2))
    style = "round,pad=0,rounding_size=0.08"
    ground = "#e8effe" if wins else "#ffffff"
    axes.add_patch(FancyBboxPatch(corner, BOX_WIDTH, BOX_HEIGHT, style, facecolor=ground, zorder=2, **look))
    ink = FAINT if dies or waits else INK
    text = {"ha": "center", "va": "center", "color": ink, "zorder": 3}
    size = min(10.0, 78 / max(len(word), 1))
    weight = "bold" if wins else "normal"
    axes.text(step, rank - 0.13, word, fontsize=size, fontweight=weight, style="italic" if waits else "normal", **text)
    axes.text(step, rank + 0.19, f"{score:.2f}".replace("-", "−"), fontsize=8, **text)


def _in_words(title, beams, word_of):
    score, ids = beams[-1][0]
    sentence = " ".join(word_of(token) for token in ids[1:])
    steps = len(beams) - 1
    text = f"{title}. {steps} step{'' if steps == 1 else 's'}, a column each, the best on top."
    if sum(map(len, beams)) <= MOST_IN_WORDS:
        for step, beam in enumerate(beams[1:], 1):
            kept = ", ".join(f"{' '.join(word_of(token) for token in ids[1:])} {total:.2f}" for total, ids in beam)
            text += f" Step {step}: {kept}."
    return f"{text} The result: {sentence}, score {score:.2f}.".replace(" -", " −")
