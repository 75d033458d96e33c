"""The average of checkpoints: against the mean by hand, and which ones are taken."""

import pytest
import torch

from clearformer.training.averaging import average_checkpoints, load_average
from clearformer.training.checkpoint import CheckpointError, list_checkpoints, save_checkpoint


def linear(seed):
    torch.manual_seed(seed)
    return torch.nn.Linear(3, 2)


def save(folder, step, model=None, config=None, **more):
    state = (model or linear(step)).state_dict() | more
    return save_checkpoint(folder, step, {"model": state}, {"model": config})


def test_it_is_the_mean_of_the_last_ones(tmp_path):
    for step in range(1, 8):
        save(tmp_path, step)
    model = linear(99)
    paths = load_average(model, tmp_path, last=3)
    assert [path.name for path in paths] == ["step-00000005", "step-00000006", "step-00000007"]
    for name, tensor in model.state_dict().items():
        mean = torch.stack([linear(step).state_dict()[name].double() for step in (5, 6, 7)]).mean(0)
        assert torch.equal(tensor, mean.float())


def test_one_alone_is_itself_and_fewer_than_asked_for_are_enough(tmp_path):
    save(tmp_path, 4)
    model = linear(99)
    assert len(load_average(model, tmp_path, last=10)) == 1
    assert torch.equal(model.weight, linear(4).weight)


def test_whole_numbers_are_the_last_one_s_and_dtypes_stay(tmp_path):
    for step in (1, 3):
        save(tmp_path, step, count=torch.tensor(step), half=torch.tensor([step]).half())
    average = average_checkpoints(list_checkpoints(tmp_path))
    assert average["count"] == 3 and average["count"].dtype == torch.int64
    assert average["half"] == 2 and average["half"].dtype == torch.float16


def test_small_dtypes_are_added_up_in_a_wide_one(tmp_path):
    for step in range(1, 9):
        save(tmp_path, step, half=torch.tensor([30000.0]).half())  # the sum is not a half
    assert average_checkpoints(list_checkpoints(tmp_path))["half"] == 30000


def test_another_model_s_checkpoint_is_refused(tmp_path):
    first = save(tmp_path, 1, config={"d_model": 3})
    with pytest.raises(CheckpointError, match=r"model\.d_model is \d there and \d here"):
        average_checkpoints([first, save(tmp_path, 2, config={"d_model": 4})])
    with pytest.raises(CheckpointError, match="weight is"):
        average_checkpoints([first, save(tmp_path, 3, torch.nn.Linear(4, 2), config={"d_model": 3})])
    with pytest.raises(CheckpointError, match="weight is"):
        load_average(torch.nn.Linear(5, 5), tmp_path, last=1)


def test_none_at_all_is_an_error(tmp_path):
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        load_average(linear(0), tmp_path)
    with pytest.raises(ValueError, match="at least one"):
        average_checkpoints([])
    with pytest.raises(ValueError, match="last must be at least 1; got 0"):
        load_average(linear(0), tmp_path, last=0)
