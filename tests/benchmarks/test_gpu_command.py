"""`make bench-gpu` runs with torch, numpy and safetensors alone, and its file says what is a figure and what is not."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


COMMAND = ROOT / "benchmarks" / "gpu"
ONLY_TORCH = Path(__file__).parent / "only_torch.py"


def run(*arguments, before=()):
    """Without a CUDA device, wherever this is."""
    environment = os.environ | {
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": str(ROOT / "reference"),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, *map(str, before), str(COMMAND), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The built-in corpus as prepare.py writes it."""
    path = tmp_path_factory.mktemp("ids") / "ids.safetensors"
    prepare = [sys.executable, str(COMMAND / "prepare.py"), "--data-set", "tiny_translation", "--limit", "40"]
    done = subprocess.run([*prepare, "--vocab-size", "300", "--out", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture(scope="module")
def reduced(data, tmp_path_factory):
    """(what a reduced run printed, its file)"""
    out = tmp_path_factory.mktemp("figures") / "gpu.json"
    done = run("--reduced", "--out", out, "--multi30k", data, before=[ONLY_TORCH])
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, json.loads(out.read_text())


pytestmark = pytest.mark.slow
SECTIONS = ("translation", "checkpointing", "lora", "training", "multi30k")


@pytest.mark.parametrize("name", SECTIONS)
def test_every_section_runs_to_its_end_with_torch_numpy_and_safetensors_alone(reduced, name):
    section = reduced[1]["sections"][name]
    assert section["status"] == "done", section
    assert section["command"].startswith("python benchmarks/gpu --reduced")


def test_a_reduced_run_is_marked_as_one_and_names_no_gpu(reduced):
    figures = reduced[1]
    assert figures["reduced"] is True
    assert (figures["device"]["kind"], figures["device"]["name"]) == ("cpu", "cpu")
    assert figures["versions"]["torch"] and figures["machine"]["cores"]


def test_progress_is_printed_with_the_seconds_since_the_start(reduced):
    lines = reduced[0].splitlines()
    assert all(re.match(r"\[ *\d+ s\] [a-z0-9-]+: ", line) for line in lines), lines
    assert {re.search(r"\] ([a-z0-9-]+):", line).group(1) for line in lines} == {"bench-gpu", *SECTIONS}


def test_every_row_of_the_training_step_has_its_figures(reduced):
    section = reduced[1]["sections"]["training"]
    rows = {(row["precision"], row["compiled"]): row for row in section["steps"]}
    assert set(rows) == {(precision, way) for precision in ("float32", "tf32", "bf16") for way in (False, True)}
    for (precision, _), row in rows.items():
        assert "skipped" not in row, row
        assert row["ms"]["min"] <= row["ms"]["median"] <= row["ms"]["max"]
        rate = section["products"][precision]["tflop_per_second"]["median"]
        if rate > 0.05:  # otherwise its rounding to three digits shows
            share = section["step_flop"] / 1e9 / row["ms"]["median"] / rate
            assert row["share_of_products"] == pytest.approx(share, rel=0.05, abs=1e-4)


def test_every_policy_has_measured_and_predicted_bytes(reduced):
    rows = reduced[1]["sections"]["checkpointing"]["policies"]
    assert {row["precision"] for row in rows} == {"tf32", "bf16"}
    assert [row["policy"] for row in rows[: len(rows) // 2]] == ["plain", "scores", "attention", 2, "layers"]
    for row in rows:
        assert row["kept_bytes"] > 0 and row["predicted_bytes"] > 0 and row["ms"]["median"] > 0, row


def test_lora_trains_less_and_remembers_less_than_full_fine_tuning(reduced):
    rows = reduced[1]["sections"]["lora"]["methods"]
    full = next(row for row in rows if row["method"] == "full")
    adapted = [row for row in rows if row["method"] == "lora"]
    assert adapted and all(row["optimizer_bytes"] < full["optimizer_bytes"] for row in adapted)
    assert all(row["optimizer_bytes"] == 2 * 4 * row["trainable_parameters"] for row in rows)


def test_multi30k_ends_with_a_score_for_each_test_set_and_search(reduced):
    section = reduced[1]["sections"]["multi30k"]
    assert {(row["test_set"], row["search"]) for row in section["scores"]} == {("test", "greedy"), ("test", "beam 5")}
    assert all(0 <= row["bleu"] <= 100 for row in section["scores"])
    assert section["updates"] == 8 and section["averaged"] == 4 == len(section["history"])


def test_without_a_device_it_says_so_and_writes_nothing(tmp_path):
    done = run("--out", tmp_path / "gpu.json")
    assert done.returncode == 2
    assert "No CUDA device" in done.stderr and done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_without_torch_it_names_what_is_missing():
    done = subprocess.run([sys.executable, "-I", "-S", COMMAND], capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout.startswith("torch and numpy and safetensors missing")


def test_a_trial_cannot_take_the_place_of_the_figures(script, capsys):
    with pytest.raises(SystemExit) as ended:
        script("command").main(["--reduced"])
    assert ended.value.code == 2 and "--out" in capsys.readouterr().err


def test_a_section_without_its_data_is_skipped_and_says_where_to_get_it(tmp_path):
    out = tmp_path / "gpu.json"
    done = run("--reduced", "--only", "multi30k", "--multi30k", tmp_path / "none", "--out", out)
    section = json.loads(out.read_text())["sections"]["multi30k"]
    assert done.returncode == 0 and section["status"] == "skipped" and "prepare.py" in section["why"]


def test_help_names_every_section(script, capsys):
    with pytest.raises(SystemExit) as ended:
        script("command").main(["--help"])
    said = capsys.readouterr().out
    assert ended.value.code == 0 and all(name in said for name in SECTIONS)


def test_make_uses_the_python_it_is_given_and_makes_no_environment(tmp_path):
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$PYTHONPATH $@"\n')
    python.chmod(0o755)
    command = ["make", "-s", "-C", str(ROOT), "bench-gpu", f"PYTHON={python}", "BENCH_GPU_ARGS=--minutes 3"]
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MAKEFLAGS")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.stdout.split() == ["reference", "benchmarks/gpu", "--minutes", "3"], done
