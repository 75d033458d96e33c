"""What is watched where the answer runs, and told to the judge: a lie about oneself gains nothing else."""

import pytest

from clearformer.checks import catalogue
from clearformer.checks.judge import SEED, judge
from clearformer.grading.sandbox.piped_answer import PipedAnswer, run_cell

RIGHT = """
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

def checkpointed_forward(layers, x, num_segments):
    for number in range(num_segments):
        start, end = (len(layers) * edge // num_segments for edge in (number, number + 1))
        segment = nn.Sequential(*layers[start:end])
        x = segment(x) if end == len(layers) else checkpoint(segment, x, use_reentrant=False)
    return x

def checkpoint_layer(layer, x):
    return checkpoint(layer, x, use_reentrant=False)
"""
PLAIN = """
def checkpointed_forward(layers, x, num_segments):
    for layer in layers:
        x = layer(x)
    return x
"""
HALF = """
def checkpointed_forward(layers, x, num_segments):
    for layer in layers:
        x = layer(x) / 2 + (layer(x) / 2).detach()
    return x
"""
# Puts another watcher in the place of the one that runs beside the answer. TOLD is what it tells.
LIES = """
from clearformer.checks import answer as beside

class Liar(beside._Seen):
    @property
    def calls(self):
        return TOLD["calls"](list(self._layers))

    @calls.setter
    def calls(self, value):
        pass

    @property
    def saved(self):
        return TOLD["saved"]

    @saved.setter
    def saved(self, value):
        pass

beside._Seen = Liar
TOLD = {"calls": lambda labels: [(label, "forward") for label in labels], "saved": []}
"""
WRONG_COUNT = "def activation_bytes(*sizes, **more):\n    return 4"


def asked(process, name, seconds=60):
    exercise = catalogue.find(name)
    return judge(exercise, PipedAnswer(process, exercise, seconds, SEED), SEED)


@pytest.mark.parametrize("name", ["checkpointed_forward", "checkpoint_layer"])
def test_a_right_answer_passes_behind_the_pipe(name, forked):
    process = forked()
    assert run_cell(process, 1, RIGHT, 20) is None
    verdict = asked(process, name)
    assert verdict.status == "passed", verdict.message


def test_a_plain_pass_is_known_behind_the_pipe(forked):
    process = forked()
    assert run_cell(process, 1, PLAIN, 20) is None
    assert asked(process, "checkpointed_forward").misconception == "nothing-checkpointed"


def test_whoever_lies_about_the_calls_still_needs_the_right_numbers(forked):
    process = forked()
    told = "TOLD['calls'] = lambda labels: [(each, 'forward') for each in labels] + [(labels[0], 'backward')]"
    assert run_cell(process, 1, f"{LIES}\n{told}\n{HALF}", 20) is None
    verdict = asked(process, "checkpointed_forward")
    assert (verdict.status, verdict.points) == ("failed", 0)
    assert "gradient of" in verdict.message


def test_a_lie_in_one_exercise_changes_no_other(forked):
    process = forked()
    assert run_cell(process, 1, f"{RIGHT}\n{LIES}\n{PLAIN}\n{WRONG_COUNT}", 20) is None
    assert asked(process, "activation_bytes").points == 0
    assert asked(process, "checkpointed_forward").points == 0
    assert asked(forked(namespace={"activation_bytes": catalogue.find("activation_bytes").alternatives[0]}),
                 "activation_bytes").status == "passed"  # fmt: skip


@pytest.mark.parametrize(
    "told",
    [
        "TOLD['calls'] = lambda labels: 7",
        "TOLD['calls'] = lambda labels: [('layer 1', 3)]",
        "TOLD['calls'] = lambda labels: [('no layer at all', 'backward')]",
        "TOLD['calls'] = lambda labels: [('layer 1', 'backward')] * 10**7",
        "TOLD['saved'] = 'nothing'",
        "TOLD['saved'] = [(-1,)]",
        "TOLD['saved'] = [(11, 2**62, 2**62)]",
        "TOLD['saved'] = [object()]",
    ],
)
def test_what_makes_no_sense_is_a_wrong_answer_and_no_crash(told, forked):
    process = forked()
    assert run_cell(process, 1, f"{LIES}\n{RIGHT}\n{told}", 20) is None
    verdict = asked(process, "checkpointed_forward")
    assert verdict.status in ("failed", "error") and verdict.points == 0
    assert run_cell(process, 2, "still = 'here'", 20) is None
