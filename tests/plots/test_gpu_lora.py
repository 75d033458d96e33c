import json

import pytest

from clearformer.plots.gpu_lora import gpu_lora

MS = {"median": 10.0, "min": 9.0, "max": 11.0}
FULL = {
    "precision": "bf16", "method": "full", "targets": None, "trainable_parameters": 60_000_000,
    "optimizer_bytes": 480_000_000, "peak_bytes": 2_000_000_000, "ms": MS, "times_full": MS | {"median": 1.0},
}  # fmt: skip
LORA = FULL | {"method": "lora", "targets": ["query_proj", "value_proj"], "trainable_parameters": 300_000,
               "optimizer_bytes": 2_400_000, "times_full": MS | {"median": 0.8}}  # fmt: skip


@pytest.fixture
def file(tmp_path):
    def write(rows, kind="cuda", reduced=False):
        section = {"model": {"preset": "base", "parameters": 60_000_000}, "rank": 8, "methods": rows,
                   "batch": {"sentences": 64, "length": 32}}  # fmt: skip
        figures = {"reduced": reduced, "device": {"kind": kind, "name": "GPU X"}, "sections": {"lora": section}}
        path = tmp_path / "gpu.json"
        path.write_text(json.dumps(figures), encoding="utf-8")
        return path

    return write


def test_measured_figures_are_shown_with_the_device_that_they_come_from(file):
    found = gpu_lora(file([FULL, LORA, {"precision": "bf16", "method": "lora", "skipped": "does not fit"}]))
    assert "GPU X" in found.caption and "rank 8" in found.caption
    assert found.cells[0] == ["bf16", "everything", "60,000,000", "480.0", "2,000", "10.0", "1.00"]
    assert found.cells[1][1:4] == ["LoRA on query, value", "300,000", "2.4"]
    assert len(found.cells) == 2


@pytest.mark.parametrize("of_what", [{"kind": "cpu"}, {"reduced": True}])
def test_a_trial_on_a_cpu_or_of_tiny_sizes_is_no_figure_of_a_gpu(file, of_what):
    assert "no figures of a GPU have been measured yet" in repr(gpu_lora(file([FULL, LORA], **of_what)))


def test_without_a_file_or_a_section_it_says_so(file, tmp_path):
    for path in (tmp_path / "no.json", file([])):
        assert "no figures of a GPU have been measured yet" in repr(gpu_lora(path))
