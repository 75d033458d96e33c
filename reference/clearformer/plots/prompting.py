"""Stored measurements of prompting: accuracy by the number of examples, from several seeds."""

import json
import statistics
from pathlib import Path

from clearformer.plots.style import COLOURS, DASHES, FAINT, MARKERS


class Prompting:
    """What benchmarks/prompting.py stored in `path`. OSError where the file is not there."""

    def __init__(self, path):
        self.stored = json.loads(Path(path).read_text(encoding="utf-8"))

    @property
    def steps(self):
        """The lengths of training, shortest first."""
        return sorted({run["steps"] for run in self.stored["runs"]})

    def seeds(self, which, steps):
        """For each seed, the accuracies on texts of `which`, "seen" or "unseen", from no example on."""
        return [run[which] for run in self.stored["runs"] if run["steps"] == steps]

    def origin(self):
        """Where these figures come from, in two lines."""
        machine, versions = self.stored["machine"], self.stored["versions"]
        return (
            f"{self.stored['seeds']} seeds, measured by: {self.stored['command']}\n"
            f"on {machine['processor']}, {self.stored['threads']} thread, Python {versions['python']}, "
            f"torch {versions['torch']}"
        )

    def by_examples(self, which="seen"):
        """(figure, alt text): accuracy over the number of examples, for each length of training, and the best."""
        from clearformer.plots.figure import new_figure

        figure, axes = new_figure(width=7.6, height=4.4)
        examples, told = range(self.stored["pairs"]), []
        for number, steps in enumerate(self.steps):
            seeds = self.seeds(which, steps)
            lowest, middle, highest = (
                [pick(values) for values in zip(*seeds, strict=True)] for pick in (min, statistics.median, max)
            )
            look = dict(color=COLOURS[number], linestyle=DASHES[number], marker=MARKERS[number], markevery=1)
            axes.plot(examples, middle, label=f"after {steps:,} steps", **look)
            axes.fill_between(examples, lowest, highest, color=COLOURS[number], alpha=0.25, linewidth=0)
            told.append(
                f"after {steps:,} steps {middle[0]:.0%} without an example, {middle[1]:.0%} with one, {middle[3]:.0%} "
                f"with three, {middle[-1]:.0%} with seven"
            )
        what = {"seen": "The rules of the training", "unseen": "Four rules that were never seen"}[which]
        if which == "seen":
            best = self.stored["best"]
            axes.plot(examples, best, color=FAINT, linestyle=":", marker="", label="the best possible")
            told.append(f"the best possible {best[0]:.0%}, {best[1]:.0%}, {best[3]:.0%} and {best[-1]:.0%}")
        else:
            axes.axhline(0.1, color=FAINT, linestyle=":", marker="", label="chance")
        axes.set(title=f"{what}: what examples are worth", xlabel="examples in the prompt", ylabel="right answers")
        axes.set(ylim=(0, 1.02))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.legend(loc="lower right" if which == "seen" else "upper left")
        return figure, f"Share of right answers, median of the seeds with their range. {'; '.join(told)}."
