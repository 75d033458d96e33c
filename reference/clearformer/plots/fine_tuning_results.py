"""Stored figures of full fine-tuning, LoRA and a trained head: tables, rank against quality, and what a rank costs."""

import json
from pathlib import Path

from clearformer.plots.table import table

METHODS = {"full": "everything", "lora": "LoRA", "head": "the head alone"}
# the columns of each task's table: what is stored under which name, how it is written
COLUMNS = {
    "translator": {"new_bleu": ("requests, BLEU", ".1f"), "old_bleu": ("captions, BLEU", ".1f")},
    "encoder": {"new_right": ("remarks, % right", ".1f"), "old_right": ("paraphrases found, %", ".1f"),
                "old_correlation": ("cosines alike", ".2f")},
}  # fmt: skip
MAIN_RANK = 8


def stored(path, task):
    """What a JSON file of benchmarks/fine_tuning.py holds on "translator" or "encoder", or None."""
    path = Path(path)
    if not path.exists():
        return None
    return json.loads(path.read_text(encoding="utf-8"))["tasks"].get(task)


def method_table(path, task, rank=MAIN_RANK):
    """A Table: what each method trains, keeps in the optimiser, takes for a step, learns, and has left of the old task.

    Means over the seeds with the lowest and the highest. A file that is not there, or that knows nothing of this task,
    gives a table that says so.
    """
    found = stored(path, task)
    if not found or not found["runs"]:
        return table([("nothing is stored here", f"{Path(path).name} knows nothing of it")], ["results", "why"], task)
    scores = COLUMNS[task]
    before = [_number(found["before"][name], form) for name, (_, form) in scores.items()]
    rows = [("nothing", "0", "0", "–", *before)]
    for method, name in METHODS.items():
        runs = _runs(found, method, rank)
        if not runs:
            continue
        trained = runs[0]["trained_parameters"]
        step = found["step_ms"].get(method if method != "lora" else f"lora {MAIN_RANK}")
        rows.append(
            (
                f"{name}, r = {rank}" if method == "lora" else name,
                f"{trained:,} ({trained / found['parameters']:.2%})",
                f"{runs[0]['optimizer_bytes'] / 1e6:,.2f}",
                f"{step['median']:.0f}" if step else "–",
                *(_spread([run[each] for run in runs], form) for each, (_, form) in scores.items()),
            )
        )
    columns = [
        "trained",
        "parameters trained",
        "optimiser, MB",
        "a step, ms of a core",
        *(name for name, _ in scores.values()),
    ]
    seeds = len(_runs(found, "full"))
    note = f"mean of {seeds} seeds (lowest to highest)" if seeds > 1 else "one seed"
    return table(rows, columns, f"Measured beforehand, {note}")


def rank_curve(path):
    """(figure, alt text): quality on the new task against the rank, with the seeds' spread.

    A panel for each task that has been measured at two ranks or more. ValueError where there is none.
    """
    from clearformer.plots.figure import new_figure

    tasks = {name: found for name in COLUMNS if (found := stored(path, name)) and len(_ranks(found)) > 1}
    if not tasks:
        raise ValueError(f"{path} holds no runs with two ranks or more")
    figure, panels = new_figure(1, len(tasks), width=4.4 * len(tasks), height=3.9, squeeze=False)
    told = []
    for axes, (name, found) in zip(panels[0], tasks.items(), strict=True):
        told.append(_draw_ranks(axes, name, found))
    figure.suptitle("How much rank is enough?")
    return figure, "Quality against rank. " + " ".join(told)


def rank_cost(path, task, rank, layers, everything=None):
    """(figure, alt text) for one rank: bars of what is trained and kept, beside all of the model, and its quality.

    layers: {(in_features, out_features): how many adapted}; everything: the parameters of the model, where no file says
    it. The quality is what is stored for this rank, if anything.
    """
    from clearformer.plots.figure import new_figure
    from clearformer.plots.style import COLOURS, INK

    found = stored(path, task) or {"parameters": everything, "runs": []}
    everything = found["parameters"]
    count = sum(rank * sum(size) * many for size, many in layers.items())
    head = _head_size(found)
    rows = {
        "parameters trained, thousands": (everything / 1e3, (count + head) / 1e3),
        "optimiser (AdamW), kB": (8 * everything / 1e3, 8 * (count + head) / 1e3),
        "file to keep, kB": (4 * everything / 1e3, 4 * count / 1e3),
    }
    figure, axes = new_figure(width=8.4, height=3.9)
    for place, (full, low) in enumerate(rows.values()):
        for offset, value, colour, hatch in ((-0.19, full, COLOURS[4], "//"), (0.19, low, COLOURS[0], None)):
            label = ("everything" if offset < 0 else f"LoRA, r = {rank}") if place == 0 else None
            axes.barh(place + offset, value, 0.36, color=colour, hatch=hatch, edgecolor="white", label=label)
            axes.text(value * 1.15, place + offset, f"{value:,.0f}", va="center", color=INK, fontsize=10)
    axes.set_yticks(range(len(rows)), list(rows))
    axes.invert_yaxis()
    axes.set(xscale="log", xlabel="how much (logarithmic)", ylabel="what")
    axes.set_xlim(right=axes.get_xlim()[1] * 6)
    axes.legend(loc="upper center", bbox_to_anchor=(0.4, -0.26), ncols=2)
    quality = _quality(found, task, rank)
    share = f"{task.capitalize()}, rank {rank}: {(count + head) / everything:.2%} trained"
    figure.suptitle(share, x=0.02, ha="left")
    axes.set_title(quality.replace("; ", "\n"), fontsize=10.5, fontweight="normal")
    alt = f"Rank {rank} on the {task}: {count + head:,} of {everything:,} parameters trained. " + "; ".join(
        f"{name}: {low:,.0f} instead of {full:,.0f}" for name, (full, low) in rows.items()
    )
    return figure, f"{alt}. {quality}."


def _head_size(found):
    """Parameters of the new head: what "head" trained, where LoRA trained it too."""
    lora, head = _runs(found, "lora", MAIN_RANK), _runs(found, "head")
    return head[0]["trained_parameters"] if head and lora and head[0]["trained_parameters"] < 10_000 else 0


def _quality(found, task, rank):
    name, (what, form) = next(iter(COLUMNS[task].items()))
    full, low = ([run[name] for run in _runs(found, *which)] for which in (("full",), ("lora", rank)))
    if not low:
        return "no quality is stored for this rank"
    return f"{what}: {_spread(low, form)}; everything trained: {_spread(full, form)}"


def _draw_ranks(axes, task, found):
    name, (what, form) = next(iter(COLUMNS[task].items()))
    ranks = _ranks(found)
    values = [[run[name] for run in _runs(found, "lora", rank)] for rank in ranks]
    means = [sum(each) / len(each) for each in values]
    low, high = ([abs(edge(each) - mean) for each, mean in zip(values, means, strict=True)] for edge in (min, max))
    axes.errorbar(ranks, means, yerr=[low, high], marker="o", markevery=1, capsize=4, label="LoRA")
    told = [f"rank {rank}: {_number(mean, form)}" for rank, mean in zip(ranks, means, strict=True)]
    for method, dash in (("full", "--"), ("head", ":")):
        runs = [run[name] for run in _runs(found, method)]
        if runs:
            mean = sum(runs) / len(runs)
            axes.axhline(mean, color="black", linestyle=dash, linewidth=1.3, marker="", label=METHODS[method])
            told.append(f"{METHODS[method]}: {_number(mean, form)}")
    axes.set_xscale("log", base=2)
    axes.set_xticks(ranks, ranks)
    axes.set(title=task.capitalize(), xlabel="rank r", ylabel=what)
    axes.legend(loc="center right")
    return f"{task.capitalize()}, {what}: " + ", ".join(told) + "."


def _ranks(found):
    return sorted({run["rank"] for run in found["runs"] if run["method"] == "lora"})


def _runs(found, method, rank=None):
    return [run for run in found["runs"] if run["method"] == method and (method != "lora" or run["rank"] == rank)]


def _spread(values, form):
    mean = _number(sum(values) / len(values), form)
    return mean if len(values) == 1 else f"{mean} ({_number(min(values), form)} to {_number(max(values), form)})"


def _number(value, form):
    return format(value, form).replace("-", "−")
