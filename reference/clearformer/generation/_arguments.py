"""What greedy and beam search take, and what they say about anything else."""

from numbers import Integral

import torch


def prepare(model, source_ids, max_len, forbidden_ids):
    """(memory, source_mask, forbidden ids as a tensor or None) for a batch of sources."""
    if not isinstance(source_ids, torch.Tensor) or source_ids.ndim != 2:
        got = tuple(source_ids.shape) if isinstance(source_ids, torch.Tensor) else type(source_ids).__name__
        raise ValueError(f"source_ids must be a tensor of token ids (batch, S); got {got}")
    require_whole("max_len", max_len)
    if forbidden_ids is None:
        forbidden_ids = [pad_id_of(model)]
    if not source_ids.shape[1]:  # sentences without a token: let there be one of padding
        source_ids = source_ids.new_full((len(source_ids), 1), pad_id_of(model))
    forbidden = torch.tensor(list(forbidden_ids), dtype=torch.long, device=source_ids.device)
    return model.encode(source_ids), model.source_mask(source_ids), forbidden if len(forbidden) else None


def pad_id_of(model):
    return getattr(getattr(model, "config", None), "pad_id", 0)


def require_whole(name, number):
    if not isinstance(number, Integral) or isinstance(number, bool) or number < 1:
        raise ValueError(f"{name} must be a whole number of at least 1; got {number!r}")


class evaluating:
    """Inference without dropout and gradients; the model's modes are put back."""

    def __init__(self, model):
        self._model = model
        self._inference = torch.inference_mode()

    def __enter__(self):
        self._were_training = [module for module in self._model.modules() if module.training]
        self._model.eval()
        self._inference.__enter__()

    def __exit__(self, *error):
        self._inference.__exit__(*error)
        for module in self._were_training:
            module.training = True
