"""Draw what was measured beside other libraries as one figure, for the README.

    python benchmarks/draw.py [--results benchmarks/results] [--out benchmarks/results/speed.svg]

Reads training_step.json, generation_speed.json and decoding_speed.json. One bar for each comparison: the time
Clearformer takes, in times of the other's; left of the line it is faster. The same figures are printed.
"""

import argparse
import json
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
DROPOUT = "0.1"  # as the paper trains


def comparisons(training, generation, decoding):
    """(what, with whom, median, smallest, largest, target, our ms, their ms)."""
    step = training["dropout"][DROPOUT]
    for name, times in step["clearformer_times"].items():
        ours, theirs = (step["step_ms"][who]["median"] for who in ("clearformer", name))
        yield "training step", name, times, 1.0, ours, theirs
    for search, found in generation["beside_transformers"].items():
        ours, theirs = (found["ms"][who]["median"] for who in ("clearformer", "transformers"))
        yield search, "transformers", found["clearformer_times"], 0.6, ours, theirs
    for rows, found in decoding["rows"].items():
        ours, theirs = (found["clock"]["ms"][who]["median"] for who in ("clearformer", "transformers"))
        what = f"LLaMA's decoder, {rows} row{'s' if rows != '1' else ''}"
        yield what, "transformers", found["clock"]["clearformer_times"], 0.6, ours, theirs


def draw(rows, where, title):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"svg.hashsalt": "clearformer", "svg.fonttype": "path", "font.size": 10})
    # The figure brings its own light ground, so that it reads alike on light and on dark pages.
    figure, axes = plt.subplots(figsize=(8.4, 0.62 * len(rows) + 1.5), layout="constrained", facecolor="white")
    farthest = max(1.0, *(times["max"] for _, _, times, *_ in rows))
    for place, (_, _, times, target, ours, theirs) in enumerate(rows):
        median = times["median"]
        axes.barh(place, median, height=0.55, color="#2c6fbb")
        axes.plot([times["min"], times["max"]], [place, place], color="black", linewidth=1.2)
        axes.plot([target, target], [place - 0.38, place + 0.38], color="#b3261e", linewidth=2)
        axes.text(1.03 * farthest, place, f"{median:.2f}   {ours:,.0f} ms, theirs {theirs:,.0f} ms", va="center")
    axes.axvline(1.0, color="black", linewidth=1, linestyle="--")
    axes.set_yticks(range(len(rows)), [f"{what}\nagainst {whom}" for what, whom, *_ in rows])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.6 * farthest)
    axes.set_xticks([tick / 5 for tick in range(int(5 * farthest) + 1)])
    axes.set_xlabel("time of Clearformer, in times of the other's (dashed: as long; red: what was aimed at)")
    axes.set_title(title, loc="left", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(where, metadata={"Date": None} if where.suffix == ".svg" else None, dpi=160)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--out", type=Path, default=RESULTS / "speed.svg")
    options = parser.parse_args()
    measured = [
        json.loads((options.results / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("training_step", "generation_speed", "decoding_speed")
    ]
    training, rows = measured[0], list(comparisons(*measured))
    processor, threads = training["machine"]["processor"], training["threads"]
    draw(rows, options.out, f"Clearformer beside other libraries, {processor}, {threads} threads")
    for what, whom, times, target, ours, theirs in rows:
        print(f"{what}, {whom}: {times['median']:.2f} of its time (aim {target}), {ours:,.0f} ms and {theirs:,.0f} ms")


if __name__ == "__main__":
    main()
