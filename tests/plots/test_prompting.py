"""The figure of the stored prompts: medians and ranges are those of the runs."""

import json

import pytest

from clearformer.plots.figure import picture
from clearformer.plots.prompting import Prompting


@pytest.fixture
def stored(tmp_path):
    def run(steps, seed, height):
        rising = [round(height + 0.05 * place, 3) for place in range(8)]
        return {"steps": steps, "seed": seed, "seen": rising, "unseen": [each / 2 for each in rising]}

    report = {
        "seeds": 3, "pairs": 8, "command": "python x.py", "threads": 1, "best": [0.3, *[0.9] * 7],
        "machine": {"processor": "P"}, "versions": {"python": "3", "torch": "2"},
        "runs": [run(steps, seed, 0.1 * seed + steps / 10_000) for steps in (600, 2400) for seed in range(3)],
    }  # fmt: skip
    path = tmp_path / "prompting.json"
    path.write_text(json.dumps(report))
    return Prompting(path)


def test_line_and_band_are_median_and_range(stored):
    figure, alt = stored.by_examples()
    lines = {line.get_label(): line.get_ydata() for line in figure.axes[0].get_lines()}
    assert stored.steps == [600, 2400]
    assert list(lines["after 600 steps"]) == pytest.approx([0.16 + 0.05 * place for place in range(8)])
    band = figure.axes[0].collections[0].get_paths()[0].vertices[:, 1]
    assert band.min() == pytest.approx(0.06) and band.max() == pytest.approx(0.61)
    assert "after 600 steps 16% without an example" in alt and "the best possible 30%" in alt
    assert picture(figure, alt).alt == alt


def test_rules_never_seen_stand_beside_chance(stored):
    figure, alt = stored.by_examples("unseen")
    assert "chance" in [line.get_label() for line in figure.axes[0].get_lines()]
    assert "after 2,400 steps 17% without" in alt
    assert picture(figure, alt)


def test_origin_names_command_and_machine(stored):
    assert stored.origin() == "3 seeds, measured by: python x.py\non P, 1 thread, Python 3, torch 2"
