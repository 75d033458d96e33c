"""Training killed with SIGKILL at random moments ends with the same bits as undisturbed training."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "killed_training.py"


@pytest.mark.slow
def test_killed_twice_it_ends_with_the_same_bits(tmp_path):
    """benchmarks/results/killed_training.json holds what came of twenty times."""
    out = tmp_path / "result.json"
    command = [sys.executable, str(SCRIPT), "--kills", "2", "--steps", "18", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(out.read_text())
    assert result["same_bits"] and len(result["kills"]) == 2
    resumed_from = [kill["newest_checkpoint"] for kill in result["kills"]]
    assert all(0 < step < 18 for step in resumed_from)  # it was in the middle, and something was there
