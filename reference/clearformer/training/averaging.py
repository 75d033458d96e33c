"""The average of the last checkpoints translates a little better than the last one (Vaswani et al. 2017, 6.1)."""

import torch

from clearformer.training.checkpoint import (
    CheckpointError,
    list_checkpoints,
    load_checkpoint,
    require_same,
    require_same_tensors,
)


def average_checkpoints(paths):
    """The mean of the models' weights, {name: tensor}, each in its own dtype; whole numbers are the last one's.

    paths: checkpoints of one run, oldest first. The sums are in float64. CheckpointError where one is damaged or
    belongs to another model; ValueError where there are none.
    """
    paths = list(paths)
    if not paths:
        raise ValueError("paths must name at least one checkpoint; got none")
    sums, configuration = None, None
    for path in paths:
        checkpoint = load_checkpoint(path)
        weights = checkpoint.tensors["model"]
        if sums is None:
            sums, configuration, first = {}, checkpoint.state.get("model"), weights
        require_same({"model": configuration}, {"model": checkpoint.state.get("model")}, path)
        require_same_tensors(first, weights, path)
        for name, tensor in weights.items():
            if tensor.is_floating_point():
                sums[name] = sums[name] + tensor.double() if name in sums else tensor.double()
    return {name: (sums[name] / len(paths)).to(t.dtype) if name in sums else t for name, t in weights.items()}


def load_average(model, folder, last=10):
    """Load into the model the average of the newest `last` checkpoints of a folder, and return their paths.

    Fewer, where there are not so many. Errors as in average_checkpoints, and CheckpointError where there are none.
    """
    if last < 1:
        raise ValueError(f"last must be at least 1; got {last!r}")
    paths = list_checkpoints(folder)[-last:]
    if not paths:
        raise CheckpointError(f"{folder} holds no checkpoint")
    average = average_checkpoints(paths)
    require_same_tensors(average, model.state_dict(), folder)
    with torch.no_grad():
        model.load_state_dict(average)
    return paths
