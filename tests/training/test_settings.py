"""TrainingSettings: what makes no sense is refused by name."""

import json
import math

import pytest

from clearformer.training.settings import TrainingSettings


def test_they_survive_json():
    settings = TrainingSettings(max_steps=5, peak=0.005, betas=[0.9, 0.99], clip_norm=1.0)
    assert TrainingSettings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings


def test_adam_is_that_of_the_paper():
    settings = TrainingSettings(max_steps=1)
    assert settings.betas == (0.9, 0.98) and settings.eps == 1e-9
    assert settings.smoothing == 0.1 and settings.warmup_steps == 4000


@pytest.mark.parametrize(
    "changes, says",
    [
        (dict(max_steps=None), "give max_steps or minutes"),
        (dict(max_steps=0), "max_steps must be a whole number of at least 1 or None; got 0"),
        (dict(max_steps=2.0), "max_steps"),
        (dict(minutes=-1), "minutes must be a number above 0 or None; got -1"),
        (dict(minutes=math.nan), "minutes"),
        (dict(accumulation=0), "accumulation must be a whole number of at least 1; got 0"),
        (dict(accumulation=True), "accumulation"),
        (dict(log_every=None), "log_every must be a whole number of at least 1; got None"),
        (dict(peak=0.1, scale=1.0), "give peak or scale"),
        (dict(betas=(0.9,)), "betas must be two numbers"),
        (dict(betas=(0.9, 1.0)), "betas"),
        (dict(smoothing=1.5), "smoothing must be a number from 0 to 1; got 1.5"),
        (dict(seed=-1), "seed"),
        (dict(precision="half"), "precision must be 'float32' or 'bfloat16' or 'float16'; got 'half'"),
        (dict(clip_norm="1"), "clip_norm must be a number above 0 or None; got '1'"),
        (dict(patience=3), "patience needs evaluate_every"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(changes, says):
    with pytest.raises(ValueError, match=says):
        TrainingSettings(**{"max_steps": 5, **changes})


def test_an_unknown_setting_is_named_with_those_there_are():
    with pytest.raises(ValueError, match="unknown settings: max_step; there are max_steps, minutes"):
        TrainingSettings.from_dict({"max_step": 5})
