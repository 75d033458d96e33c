"""The loss of the 2017 paper: cross-entropy with smoothed labels, averaged over real tokens only."""

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

# Rows are taken in pieces of about this many numbers, so that what is computed on the way stays in the cache.
PIECE_CPU = 1 << 18
PIECE_GPU = 1 << 25


def label_smoothed_loss(logits, targets, smoothing=0.1, pad_id=0):
    """Cross-entropy against smoothed labels, the mean over real tokens (Szegedy et al. 2016; Vaswani et al. 2017, 5.4).

    logits (..., V), floating; targets (...), whole numbers below V. The label of a token with id y is
    1 - smoothing on y plus smoothing / V on each of the V ids. Targets equal to pad_id count for nothing. Returns
    one number, in the dtype of logits (float32 under autocast): what F.cross_entropy gives with label_smoothing
    and ignore_index, in about half its memory. No real token at all gives NaN, as there. It can be differentiated
    once. ValueError where the shapes cannot go together, a target is no id, or smoothing is not from 0 to 1.
    """
    total, real_tokens = summed_loss(logits, targets, smoothing, pad_id)
    mean = total / real_tokens
    return mean if torch.is_autocast_enabled(logits.device.type) else mean.to(logits.dtype)


def summed_loss(logits, targets, smoothing=0.1, pad_id=0):
    """The same, summed and not yet divided: (sum over real tokens, number of real tokens), both tensors.

    Arguments and errors as in label_smoothed_loss. The sum is in float32 at least. Sums of parts of a batch add up;
    means do not, because parts hold different numbers of real tokens.
    """
    _require(logits, targets, smoothing, pad_id)
    total = _SmoothedSum.apply(logits.flatten(0, -2), targets.flatten(), float(smoothing), int(pad_id))
    return total, (targets != pad_id).sum()


class _SmoothedSum(torch.autograd.Function):
    """With p = softmax(logits): loss = -(1 - s) log p[y] - s / V * sum(log p), gradient = p - s / V - (1 - s) [y].

    Kept for the backward pass are the logits and nothing as large; autograd's own way keeps log p too and makes
    several gradients of that size.
    """

    @staticmethod
    def forward(ctx, logits, targets, smoothing, pad_id):
        ctx.save_for_backward(logits, targets)
        ctx.smoothing, ctx.pad_id = smoothing, pad_id
        sums = []
        for rows in _pieces(logits):
            log_probs = F.log_softmax(logits[rows], dim=-1, dtype=_wide(logits.dtype))  # (rows, V)
            real = targets[rows] != pad_id
            loss = torch.zeros_like(log_probs[:, 0])
            if smoothing < 1:  # 0 times a logit of -inf would be NaN
                loss -= (1 - smoothing) * log_probs.gather(-1, _inside(targets[rows], real)).squeeze(-1)
            if smoothing > 0:
                loss -= smoothing * log_probs.mean(-1)
            sums.append(loss.masked_fill_(~real, 0.0).sum())
        return torch.stack(sums).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_total):
        logits, targets = ctx.saved_tensors
        grad = torch.empty_like(logits)
        for rows in _pieces(logits):
            real = targets[rows] != ctx.pad_id
            piece = F.softmax(logits[rows], dim=-1, dtype=_wide(logits.dtype))  # (rows, V)
            piece -= ctx.smoothing / logits.shape[-1]
            label = torch.full_like(piece[:, :1], ctx.smoothing - 1)
            piece.scatter_add_(-1, _inside(targets[rows], real), label)
            piece *= grad_total
            grad[rows] = piece.masked_fill_(~real[:, None], 0.0)
        return grad, None, None, None


def _pieces(logits):
    rows, width = logits.shape
    step = max(1, (PIECE_CPU if logits.device.type == "cpu" else PIECE_GPU) // width)
    return [slice(start, start + step) for start in range(0, max(rows, 1), step)]


def _inside(targets, real):
    """The ids to look up, (rows, 1): a pad_id need not be one of the V."""
    return targets.masked_fill(~real, 0)[:, None].long()


def _wide(dtype):
    return torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype


def _require(logits, targets, smoothing, pad_id):
    if logits.ndim < 1 or logits.shape[:-1] != targets.shape or logits.shape[-1] == 0:
        raise ValueError(
            "logits must have shape (..., V) and targets (...), with V at least 1; "
            f"got logits {tuple(logits.shape)} and targets {tuple(targets.shape)}"
        )
    if not logits.is_floating_point():
        raise ValueError(f"logits must be floating point; got {logits.dtype}")
    if targets.is_floating_point() or targets.is_complex() or targets.dtype == torch.bool:
        raise ValueError(f"targets must be whole numbers; got {targets.dtype}")
    if not 0.0 <= smoothing <= 1.0:
        raise ValueError(f"smoothing must be from 0 to 1; got {smoothing!r}")
    if targets.device.type == "cpu" and targets.numel():  # elsewhere looking would make the device wait
        wrong = targets[(targets != pad_id) & ((targets < 0) | (targets >= logits.shape[-1]))]
        if wrong.numel():
            raise ValueError(
                f"targets must be ids from 0 to {logits.shape[-1] - 1} or pad_id = {pad_id}; got {wrong[0].item()}"
            )
