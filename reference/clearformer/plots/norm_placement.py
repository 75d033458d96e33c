"""Stored measurements of post- and pre-norm, from several seeds: the median as a line, lowest to highest as a band."""

import json
import math
import statistics
from pathlib import Path

from clearformer.plots.style import COLOURS, DASHES, FAINT, MARKERS

NAMES = {"post": "post-norm", "pre": "pre-norm"}
LOOKS = {
    name: dict(color=COLOURS[i], linestyle=DASHES[i], marker=MARKERS[i])
    for name, i in {"post": 1, "pre": 0, "pre, no final norm": 3}.items()
}


class NormPlacement:
    """What benchmarks/norm_placement.py stored in `path`. OSError where the file is not there."""

    def __init__(self, path):
        self.stored = json.loads(Path(path).read_text(encoding="utf-8"))
        self.chance = math.log(10)  # ten symbols, all alike

    def origin(self):
        """Where these figures come from, in two lines."""
        machine, versions = self.stored["machine"], self.stored["versions"]
        return (
            f"{self.stored['seeds']} seeds, measured by: {self.stored['command']}\n"
            f"on {machine['processor']}, {self.stored['threads']} thread, Python {versions['python']}, "
            f"torch {versions['torch']}"
        )

    def last_losses(self, norm, peak, warm_up):
        """The mean loss of the last ten steps, for each seed."""
        return [curve[-1] for curve in self.curves(norm, peak, warm_up)]

    def curves(self, norm, peak, warm_up):
        """For each seed, the mean loss of every ten steps."""
        (found,) = (
            run["curves"]
            for run in self.stored["training"]
            if (run["norm"], run["peak"], run["warmup_steps"] > 0) == (norm, peak, warm_up)
        )
        return found

    @property
    def peaks(self):
        return sorted({run["peak"] for run in self.stored["training"]})

    def last_gradients(self, norm, depth, matrix="feed-forward"):
        """The gradient's norm in the last layer, for each seed."""
        return [seed[matrix][-1] for seed in self.stored["gradients"][norm][str(depth)]]

    def loss_by_peak(self, norms=("post", "pre")):
        """(figure, alt text): the last loss over the highest rate, without and with warm-up."""
        from clearformer.plots.figure import new_figure

        figure, panels = new_figure(cols=2, width=9.2, height=4.3, sharey=True)
        told = []
        for axes, warm_up in zip(panels, (False, True), strict=True):
            title = f"{'with' if warm_up else 'without'} warm-up"
            for norm in norms:
                by_peak = [self.last_losses(norm, peak, warm_up) for peak in self.peaks]
                draw_band(axes, self.peaks, by_peak, norm)
                told.append(f"{NAMES.get(norm, norm)} {title}: {_told(self.peaks, by_peak)}")
            axes.axhline(self.chance, color=FAINT, linewidth=1, linestyle=":", marker="")
            axes.text(self.peaks[0], self.chance + 0.03, "nothing learned", fontsize=9.5, color=FAINT)
            axes.set_xscale("log", base=2)
            axes.set_xticks(self.peaks, [f"{peak:g}" for peak in self.peaks], minor=False)
            axes.set(title=title, xlabel="highest learning rate", ylim=(0, 2.6))
        panels[0].set_ylabel(f"loss after {self.stored['steps']} steps (nats)")
        figure.suptitle("Which rates does a model of 6 layers survive?", x=0.01, ha="left")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower right", ncols=2)
        return figure, "Loss after training over the highest rate, lowest to highest of the seeds. " + " ".join(told)

    def learning_curves(self, peak, norms=("post", "pre")):
        """(figure, alt text): the loss over the steps at one rate, without and with warm-up."""
        from clearformer.plots.figure import new_figure

        figure, panels = new_figure(cols=2, width=9.2, height=4.1, sharey=True)
        told = []
        for axes, warm_up in zip(panels, (False, True), strict=True):
            title = f"{'with' if warm_up else 'without'} warm-up"
            for norm in norms:
                by_step = [*zip(*self.curves(norm, peak, warm_up), strict=True)]
                draw_band(axes, [10 * number for number in range(1, len(by_step) + 1)], by_step, norm)
                told.append(
                    f"{NAMES.get(norm, norm)} {title} ends at {min(by_step[-1]):.2f} to {max(by_step[-1]):.2f}."
                )
            axes.axhline(self.chance, color=FAINT, linewidth=1, linestyle=":", marker="")
            axes.set(title=title, xlabel="step", ylim=(0, 2.8))
        panels[0].set_ylabel("loss (nats)")
        figure.suptitle(
            f"Learning at a highest rate of {peak:g}: 6 layers, {self.stored['seeds']} seeds each", x=0.01, ha="left"
        )
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower right", ncols=2)
        return figure, f"Loss over the steps, {self.stored['seeds']} seeds. " + " ".join(told)

    def gradients_by_layer(self, matrix="feed-forward"):
        """(figure, alt text): a panel for each depth, the gradient's norm from the first layer to the last."""
        from clearformer.plots.figure import new_figure

        depths = sorted(map(int, self.stored["gradients"]["post"]))
        figure, panels = new_figure(cols=len(depths), width=9.6, height=4.1, sharey=True)
        told = []
        for axes, depth in zip(panels, depths, strict=True):
            for norm in ("post", "pre"):
                by_layer = [*zip(*(seed[matrix] for seed in self.stored["gradients"][norm][str(depth)]), strict=True)]
                draw_band(axes, range(1, depth + 1), by_layer, norm)
                first, last = (statistics.median(by_layer[end]) for end in (0, -1))
                told.append(f"{NAMES[norm]}, {depth} layers: {first:.2g} in the first, {last:.2g} in the last.")
            axes.set_yscale("log")
            axes.set(title=f"{depth} layers", xlabel="layer")
            axes.set_xticks([1, depth // 2, depth])
        plain_ticks(panels[0])
        panels[0].set_ylabel("size of the gradient")
        figure.suptitle(f"Before training: the gradient of the {matrix} matrix, by layer", x=0.01, ha="left")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower right", ncols=2)
        return figure, f"Gradient of the {matrix} matrix by layer, medians of the seeds. " + " ".join(told)


def draw_band(axes, places, values, norm):
    """values: for each place, one number for each seed. The median as a line, lowest to highest as a band."""
    look = LOOKS[norm]
    medians = [statistics.median(each) for each in values]
    lowest, highest = [*map(min, values)], [*map(max, values)]
    edge = dict(edgecolor=(look["color"], 0.8), linestyle=look["linestyle"], linewidth=0.7)
    axes.fill_between(places, lowest, highest, facecolor=(look["color"], 0.2), **edge)
    every = 1 if len(medians) <= 8 else 0.12
    axes.plot(places, medians, label=NAMES.get(norm, norm), markevery=every, **look)


def _told(peaks, by_peak):
    return ", ".join(
        f"{min(each):.2f} to {max(each):.2f} at {peak:g}" for peak, each in zip(peaks, by_peak, strict=True)
    ) + "."  # fmt: skip


def plain_ticks(axes):
    """Numbers such as 0.5 on a logarithmic y axis, also where it is shorter than a power of ten."""
    from matplotlib.ticker import LogLocator, NullFormatter

    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
