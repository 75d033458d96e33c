"""The scripts of benchmarks/gpu as modules, under the names that they have for one another."""

import importlib
from pathlib import Path

import pytest

GPU = Path(__file__).parents[2] / "benchmarks" / "gpu"


@pytest.fixture
def script(monkeypatch):
    """script("timing") is the module benchmarks/gpu/timing.py."""
    monkeypatch.syspath_prepend(str(GPU.parent))
    monkeypatch.syspath_prepend(str(GPU))
    return importlib.import_module
