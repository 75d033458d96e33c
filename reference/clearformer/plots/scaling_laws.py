"""Figures of lesson 13: stored small runs, laws with their bands, batches, and the split of a budget."""

import json
from pathlib import Path

import numpy as np

from clearformer.plots.figure import new_figure
from clearformer.plots.style import COLOURS, DASHES, INK, MARKERS
from clearformer.scaling import CHINCHILLA, PF_DAY, REFIT_2024, critical_batch_size, training_flops
from clearformer.scaling.kaplan import loss_by_compute, optimal_parameters

LAWS = ("2020, Kaplan", "2022, as printed", "2024, re-fit")
EXCESS = "loss above the limit, nats a token"
SURFACES = {"2022, as printed": CHINCHILLA, "2024, re-fit": REFIT_2024}


class ScalingRuns:
    """What benchmarks/scaling_runs.py stored in `path`; losses in nats a token above the entropy.

    parameters, tokens, excess: arrays, one entry for each size and number of tokens, the excess a mean over seeds.
    OSError where the file is not there.
    """

    def __init__(self, path):
        self.stored = json.loads(Path(path).read_text(encoding="utf-8"))
        self.entropy, self.seeds = self.stored["entropy"], self.stored["seeds"]
        self.by_run = {}
        for run in self.stored["grid"]:
            self.by_run.setdefault((run["parameters"], run["tokens"]), []).append(run["excess"])
        self.parameters, self.tokens = map(np.array, zip(*self.by_run, strict=True))
        self.excess = np.array([sum(found) / len(found) for found in self.by_run.values()])
        self.widths = {run["parameters"]: run["d_model"] for run in self.stored["grid"]}

    def origin(self):
        """Where these figures come from, in two lines."""
        machine, versions = self.stored["machine"], self.stored["versions"]
        return (
            f"{self.seeds} seeds, {self.stored['processor_seconds']:,} s of one core of {machine['processor']}, "
            f"torch {versions['torch']}:\n{self.stored['command']}"
        )

    def select(self, parameters=None, tokens=None):
        """Rows of `excess` with this size, or this number of tokens, as an array of True and False."""
        rows = np.ones(len(self.excess), dtype=bool)
        if parameters is not None:
            rows &= self.parameters == parameters
        if tokens is not None:
            rows &= self.tokens == tokens
        return rows

    def schedule(self):
        """{tokens: (excess where the rate came down at the end, excess read at a constant rate)} of one width."""
        found = {}
        for run in self.stored["schedule"]:
            for place, name in enumerate(("ended", "read")):
                for tokens, excess in run[name]:
                    found.setdefault(tokens, ([], []))[place].append(excess)
        return {tokens: tuple(sum(each) / len(each) for each in both) for tokens, both in sorted(found.items())}

    def steps_by_batch(self):
        """(batches in tokens, steps to the target), means over seeds, where every seed came to the target."""
        found = {}
        for run in self.stored["batches"]:
            found.setdefault(run["batch_tokens"], []).append(run["steps"])
        reached = {batch: steps for batch, steps in found.items() if None not in steps}
        return np.array(list(reached)), np.array([sum(steps) / len(steps) for steps in reached.values()])


def loss_by_budget(runs):
    """(figure, alt): the excess over the operations of training, a line for each size."""
    figure, axes = new_figure(width=8.4, height=4.8)
    best = {}
    for number, size in enumerate(np.unique(runs.parameters)):
        rows = runs.select(size)
        flops, excess = training_flops(float(size), 1.0) * runs.tokens[rows], runs.excess[rows]
        again = number // 6  # colours come round again, then with other dashes and markers
        look = dict(linestyle=DASHES[(number + 3 * again) % 6], marker=MARKERS[(number + 2 * again) % 6], markevery=1)
        axes.plot(flops, excess, color=COLOURS[number % 6], label=f"{size:,}", **look)
        best[int(size)] = (flops[-1], excess[-1])
    axes.set(xscale="log", yscale="log", xlabel="operations of training, 6ND", ylabel=EXCESS)
    axes.set_title("Which size is best depends on the budget")
    axes.legend(title="parameters N", loc="center left", bbox_to_anchor=(1.0, 0.5))
    told = ", ".join(f"{size:,} parameters: {excess:.2f} at {flops:.1e}" for size, (flops, excess) in best.items())
    alt = (
        "Loss above the limit over operations of training, both logarithmic, a falling line for each of "
        f"{len(best)} sizes. Small models lead at small budgets and then flatten; larger ones start later and go "
        f"lower. At the end of each line: {told}."
    )
    return figure, alt


def law_with_band(x, y, constant, exponent, band=None, *, fitted=None, names=("x", "y"), title="", reach=None):
    """(figure, alt): points, the law constant · x^exponent, and a band (95 %) where one is given.

    fitted: True for the points that the law was fitted to; the others are drawn as crosses. reach: (low, high) of x.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    fitted = np.ones(len(x), dtype=bool) if fitted is None else np.asarray(fitted)
    figure, axes = new_figure(width=7.6, height=4.4)
    line = np.geomspace(*(reach or (x.min() / 1.3, x.max() * 1.3)), 60)
    axes.plot(line, constant * line**exponent, color=INK, linestyle="-", marker="", linewidth=1.5, label="fitted law")
    told = ""
    if band is not None:
        low, high = band.at(line)
        axes.fill_between(line, low, high, color=COLOURS[0], alpha=0.25, label="95 % of resampled fits")
        told = " The band of 95 % has exponents from {:.3f} to {:.3f}.".format(*band.exponent())
    axes.plot(x[fitted], y[fitted], color=COLOURS[0], linestyle="", marker="o", markevery=1, label="fitted to these")
    if not fitted.all():
        axes.plot(x[~fitted], y[~fitted], color=COLOURS[2], linestyle="", marker="X", markersize=9, markevery=1,
                  label="kept back")  # fmt: skip
        off = constant * x[~fitted] ** exponent / y[~fitted]
        told += f" Points kept back: the law says {off.min():.2f} to {off.max():.2f} times what was measured."
    axes.set(xscale="log", yscale="log", xlabel=names[0], ylabel=names[1])
    axes.set_title(title)
    axes.legend()
    points = ", ".join(f"{a:,.0f}: {b:.3g}" for a, b in zip(x, y, strict=True))
    return figure, f"{title}. {names[1]} over {names[0]}: {points}. Fitted: {constant:.3g} · x^{exponent:.3f}.{told}"


def surface_fit(runs, surface, kept_back=None):
    """(figure, alt): measured excess over the size, a line of the fitted surface for each number of tokens."""
    figure, axes = new_figure(width=8.4, height=4.8)
    sizes = np.geomspace(runs.parameters.min(), runs.parameters.max(), 60)
    for number, tokens in enumerate(np.unique(runs.tokens)):
        rows = runs.select(tokens=tokens)
        look = dict(color=COLOURS[number % 6], marker=MARKERS[number % 6], markevery=1)
        note = ", kept back" if tokens == kept_back else ""
        axes.plot(runs.parameters[rows], runs.excess[rows], linestyle="", label=f"{tokens:,}{note}", **look)
        axes.plot(sizes, surface.loss(sizes, float(tokens)) - surface.floor, color=look["color"], marker="",
                  linestyle=DASHES[number % 6], linewidth=1.5)  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="parameters N, without the table", ylabel=EXCESS)
    axes.set_title("Points measured, lines from one fitted surface")
    axes.legend(title="tokens D", loc="center left", bbox_to_anchor=(1.0, 0.5))
    off = (surface.loss(runs.parameters, runs.tokens) - surface.floor) / runs.excess
    alt = (
        "Loss above the limit over parameters, both logarithmic: points for each number of tokens, and the fitted "
        f"surface as a line through each. The lines are {off.min():.2f} to {off.max():.2f} times the points; they "
        f"fall and flatten, later for more tokens."
    )
    return figure, alt


def schedule_curves(runs):
    """(figure, alt): runs with a schedule of their own, and the longest run read on its way."""
    found = runs.schedule()
    tokens, (own, early) = list(found), zip(*found.values(), strict=True)
    figure, axes = new_figure(width=7.6, height=4.2)
    axes.plot(
        tokens,
        early,
        color=COLOURS[1],
        linestyle=DASHES[1],
        marker="s",
        markevery=1,
        label="one long run, read on the way",
    )
    axes.plot(
        tokens, own, color=COLOURS[0], linestyle="-", marker="o", markevery=1, label="rate brought down at the end"
    )
    axes.set(xscale="log", yscale="log", xlabel="tokens D", ylabel=EXCESS)
    axes.set_xticks(tokens, [f"{each:,}" for each in tokens])
    axes.set_xticks([], minor=True)
    axes.set_title(f"The rate has to come down before one reads the loss (width {runs.stored['schedule_width']})")
    axes.legend()
    told = "; ".join(f"{t:,} tokens: {a:.3f} against {b:.3f}" for t, (a, b) in found.items())
    alt = (
        "Loss above the limit where the rate was brought down at the end, against one long run at a constant rate, "
        f"read on the way: {told}."
    )
    return figure, alt


def steps_and_batches(batches, steps, minimal_steps, critical):
    """(figure, alt): measured steps over the batch, and S_min · (1 + B_crit / B)."""
    figure, axes = new_figure(width=7.6, height=4.4)
    line = np.geomspace(min(batches) / 1.3, max(batches) * 1.3, 60)
    axes.plot(line, minimal_steps * (1 + critical / line), color=INK, linestyle="-", marker="", linewidth=1.5,
              label="S_min · (1 + B_crit / B)")  # fmt: skip
    axes.plot(batches, steps, color=COLOURS[0], linestyle="", marker="o", markevery=1, label="measured")
    axes.axhline(minimal_steps, color=COLOURS[4], linestyle="--", marker="", linewidth=1.3, label="S_min")
    axes.axvline(critical, color=COLOURS[2], linestyle=":", marker="", linewidth=2, label="B_crit")
    axes.set(xscale="log", yscale="log", xlabel="batch B, tokens", ylabel="steps S to the same loss")
    axes.set_title("A larger batch saves steps, up to a point")
    axes.legend()
    told = ", ".join(f"{b:,}: {s:,.0f}" for b, s in zip(batches, steps, strict=True))
    alt = (
        f"Steps to one loss over the batch in tokens, both logarithmic: {told}. The fitted curve flattens at S_min = "
        f"{minimal_steps:,.0f} steps; at B_crit = {critical:,.0f} tokens it is twice that."
    )
    return figure, alt


def plan(law, flops, rate, devices):
    """{what: number} of a budget by one of LAWS: parameters, tokens, loss, batch, steps, device hours, days.

    rate: operations a second that one device reaches. The batch is the critical one of Kaplan et al. 2020 at the loss.
    """
    if law in SURFACES:
        parameters, tokens = SURFACES[law].compute_optimal(flops)
        loss = SURFACES[law].loss(parameters, tokens)
    else:
        parameters = optimal_parameters(flops / PF_DAY)
        tokens, loss = flops / (6 * parameters), loss_by_compute(flops / PF_DAY)
    batch = min(critical_batch_size(loss), tokens)
    hours = flops / rate / 3600
    return {
        "parameters": parameters,
        "tokens": tokens,
        "tokens a parameter": tokens / parameters,
        "loss": loss,
        "batch": batch,
        "steps": tokens / batch,
        "device hours": hours,
        "days": hours / devices / 24,
    }


def budget_split(law, flops, rate, devices):
    """(figure, alt): the loss over the size at a budget, with the best size, and all that follows from it."""
    found = plan(law, flops, rate, devices)
    figure, (axes, facts) = new_figure(1, 2, width=9.4, height=4.4, gridspec_kw={"width_ratios": (3, 2)})
    for number, (name, surface) in enumerate(SURFACES.items()):
        best = surface.compute_optimal(flops)[0]
        sizes = np.geomspace(best / 100, best * 100, 80)
        axes.plot(sizes, surface.loss(sizes, flops / 6 / sizes), marker="", color=COLOURS[number],
                  linestyle=DASHES[number], label=name)  # fmt: skip
        axes.plot(best, surface.loss(best, flops / 6 / best), linestyle="", marker=MARKERS[number], markersize=9,
                  color=COLOURS[number])  # fmt: skip
    if law not in SURFACES:
        axes.axvline(
            found["parameters"], color=COLOURS[2], linestyle=DASHES[2], marker="", label="size by the law of 2020"
        )
    axes.set(xscale="log", xlabel="parameters N", ylabel="loss, nats a token")
    axes.set_title(f"One budget, shared in every way: {powers(flops)} operations", fontsize=11.5)
    axes.legend(loc="upper center", fontsize=9)
    lines = {
        "parameters": in_words(found["parameters"]),
        "tokens": in_words(found["tokens"]),
        "tokens a parameter": f"{found['tokens a parameter']:,.1f}",
        "expected loss": f"{found['loss']:.2f} nats a token",
        "critical batch": f"{in_words(found['batch'])} tokens",
        "steps of that batch": in_words(found["steps"]),
        "GPU hours": in_words(found["device hours"]),
        f"days on {devices:,} GPUs": in_words(found["days"]),
    }
    facts.set_axis_off()
    facts.set_title(law)
    for row, (name, text) in enumerate(lines.items()):
        facts.text(0, 0.93 - 0.125 * row, name, color=INK, fontsize=10.5, transform=facts.transAxes)
        facts.text(1, 0.93 - 0.125 * row, text, color=INK, fontsize=10.5, ha="right", fontweight="bold",
                   transform=facts.transAxes)  # fmt: skip
    told = "; ".join(f"{name}: {text}" for name, text in lines.items())
    return figure, f"{powers(flops)} operations ({flops / PF_DAY:.3g} PF-days) by the law {law}. {told}."


def in_words(number):
    """1.4e12 → "1.4 trillion": three digits, as one says it."""
    for size, name in ((1e12, " trillion"), (1e9, " billion"), (1e6, " million")):
        if number >= 0.9995 * size:
            return _three(number / size) + name
    return _three(number)


def _three(number):
    number = float(f"{number:.3g}")
    digits = 3 - len(f"{number:.0f}") if number >= 1 else 3
    return f"{round(number, digits):,.{max(digits, 0)}f}" if number >= 0.001 else f"{number:.1e}"


def powers(flops):
    """5.76e23 → "5.76 · 10²³"."""
    number, exponent = f"{flops:.3g}".split("e") if "e" in f"{flops:.3g}" else (f"{flops:.3g}", "0")
    small = str(int(exponent)).translate(str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"))
    return f"{number} · 10{small}"
