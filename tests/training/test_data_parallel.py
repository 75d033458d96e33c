"""Training on two processes: the losses and weights of one, on every process, and the same bits when resumed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from run_on_processes import all_runs
from small_runs import largest_difference, same_bits

from clearformer.training.data_parallel import OneProcess, join_processes

EXACT = 1e-10  # the largest difference in float64: sums in another order
SCRIPT = Path(__file__).with_name("run_on_processes.py")


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The runs of this process, without torchrun."""
    return all_runs(OneProcess(), tmp_path_factory.mktemp("alone"))


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """The runs of two processes that talk over gloo."""
    folder = tmp_path_factory.mktemp("together")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*torchrun, str(SCRIPT), str(folder)], capture_output=True, text=True, timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return [torch.load(path) for path in sorted(folder.glob("rank-*.pt"))]


def test_there_were_two(together):
    assert len(together) == 2


def test_losses_and_weights_are_those_of_one_process(alone, together):
    for rank in together:
        for (step, loss, validation), (its_step, its_loss, its_validation) in zip(
            alone["plain"]["losses"], rank["plain"]["losses"], strict=True
        ):
            assert step == its_step and abs(loss - its_loss) <= EXACT
            assert (validation is None) == (its_validation is None)
            assert validation is None or abs(validation - its_validation) <= EXACT
        assert largest_difference(alone["plain"]["weights"], rank["plain"]["weights"]) <= EXACT


def test_a_weight_that_no_process_uses_stays_as_it_is(together):
    assert torch.equal(together[0]["plain"]["weights"]["left_out"], torch.ones(3).double())


def test_all_processes_begin_with_the_weights_of_the_first(alone, together):
    assert same_bits(together[0]["shared"]["weights"], together[1]["shared"]["weights"])
    assert largest_difference(alone["shared"]["weights"], together[1]["shared"]["weights"]) <= EXACT


@pytest.mark.parametrize("run", ["plain", "undisturbed", "resumed", "minutes"])
def test_all_processes_end_at_the_same_step_with_the_same_bits(together, run):
    assert same_bits(together[0][run]["weights"], together[1][run]["weights"])
    assert together[0][run]["losses"] == together[1][run]["losses"]
    assert together[0][run]["stopped"] == together[1][run]["stopped"] != ""


def test_stopped_and_resumed_gives_the_same_bits(alone, together):
    for result in (alone, *together):
        assert same_bits(result["undisturbed"]["weights"], result["resumed"]["weights"])
        assert not same_bits(result["undisturbed"]["weights"], result["stopped"]["weights"])


def test_each_process_draws_its_own_dropout(alone, together):
    # with the same masks on both, or none, the weights would be those of one process
    difference = largest_difference(alone["undisturbed"]["weights"], together[0]["undisturbed"]["weights"])
    assert difference > 1e-4


def test_without_torchrun_there_is_one_process(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    processes = join_processes()
    assert isinstance(processes, OneProcess) and (processes.rank, processes.count) == (0, 1)
