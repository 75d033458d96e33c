import json

import pytest

from clearformer.plots.figure import picture
from clearformer.plots.fine_tuning_results import method_table, rank_cost, rank_curve, stored


def run(method, seed, quality, rank=None, trained=1000):
    return {
        "method": method, "rank": rank, "seed": seed, "trained_parameters": trained, "optimizer_bytes": 8 * trained,
        "new_bleu": quality, "old_bleu": 50.0, "new_right": quality, "old_right": 60.0, "old_correlation": 0.5,
    }  # fmt: skip


def task(*runs, parameters=100_000):
    before = {"new_bleu": 1.0, "old_bleu": 85.0, "new_right": 33.0, "old_right": 97.5, "old_correlation": 1.0}
    step = {"median": 12.0, "min": 11.0, "max": 13.0}
    return {
        "parameters": parameters,
        "before": before,
        "step_ms": {"full": step, "lora 8": step, "head": step},
        "runs": [*runs],
    }


@pytest.fixture
def file(tmp_path):
    def write(**tasks):
        path = tmp_path / "fine_tuning.json"
        path.write_text(json.dumps({"tasks": tasks}), encoding="utf-8")
        return path

    return write


RUNS = [
    run("full", 0, 98.0, trained=100_000),
    run("full", 1, 99.0, trained=100_000),
    run("lora", 0, 97.0, rank=8),
    run("lora", 1, 98.0, rank=8),
    run("lora", 0, 80.0, rank=1, trained=200),
    run("head", 0, 70.0, trained=300),
]


def test_each_method_is_a_row_with_the_mean_and_the_spread_of_its_seeds(file):
    cells = method_table(file(translator=task(*RUNS)), "translator").cells
    assert [row[0] for row in cells] == ["nothing", "everything", "LoRA, r = 8", "the head alone"]
    assert cells[0][4:] == ["1.0", "85.0"]
    assert cells[1][1:5] == ["100,000 (100.00%)", "0.80", "12", "98.5 (98.0 to 99.0)"]
    assert cells[2][1:5] == ["1,000 (1.00%)", "0.01", "12", "97.5 (97.0 to 98.0)"]
    assert cells[3][4] == "70.0"


def test_where_nothing_is_stored_the_table_says_so(file, tmp_path):
    for path in (tmp_path / "no.json", file(encoder=task(*RUNS))):
        assert stored(path, "translator") is None
        assert "knows nothing of it" in repr(method_table(path, "translator"))


def test_the_curve_names_every_rank_with_its_mean(file):
    figure, alt = rank_curve(file(translator=task(*RUNS), encoder=task(*RUNS)))
    picture(figure, alt)
    assert "rank 1: 80.0, rank 8: 97.5, everything: 98.5, the head alone: 70.0" in alt
    assert alt.count("rank 8") == 2


def test_one_task_alone_makes_one_panel(file):
    figure, alt = rank_curve(file(encoder=task(*RUNS)))
    assert len(figure.axes) == 1 and "Translator" not in alt


def test_the_cost_of_a_rank_is_that_of_its_adapters_and_the_new_head(file):
    path = file(translator=task(*RUNS))
    figure, alt = rank_cost(path, "translator", 8, {(128, 256): 2, (256, 128): 1})
    picture(figure, alt)
    adapters = 8 * 3 * (128 + 256)
    assert f"{adapters + 300:,} of 100,000 parameters trained" in alt  # the head is small, so it is a new one
    assert "requests, BLEU: 97.5 (97.0 to 98.0); everything trained: 98.5 (98.0 to 99.0)" in alt


def test_a_rank_that_was_not_measured_has_a_cost_and_no_quality(file):
    _, alt = rank_cost(file(translator=task(*RUNS)), "translator", 64, {(128, 128): 1})
    assert "no quality is stored for this rank" in alt


def test_with_nothing_stored_the_cost_is_still_drawn(tmp_path):
    figure, alt = rank_cost(tmp_path / "no.json", "encoder", 8, {(384, 384): 12}, everything=22_565_376)
    picture(figure, alt)
    assert "73,728 of 22,565,376" in alt and "no quality is stored" in alt
