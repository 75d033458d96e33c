"""A norm without a mean: every token divided by the root of its mean square."""

import torch
from torch import nn

from clearformer.nn._arguments import require_count
from clearformer.nn.norm import HALF


def rms_norm(x, weight, eps=1e-6):
    """x / √(mean of x² + eps) · weight, over the width of each token (Zhang and Sennrich 2019, eq. 4).

    x (..., d_model), weight (d_model,), floating. The mean square divides by d_model, and eps is added to it inside the
    root. No mean is taken away and nothing is added. Half precision is computed in float32 inside. Returns the shape
    and dtype of x. ValueError where the shapes do not fit or eps is negative.
    """
    if x.ndim < 1 or x.shape[-1] == 0 or not x.is_floating_point():
        raise ValueError(
            f"x must be floating in shape (..., d_model), with d_model above 0; got {x.dtype} {tuple(x.shape)}"
        )
    if weight.shape != x.shape[-1:]:
        raise ValueError(f"weight must have shape (d_model,) = {tuple(x.shape[-1:])}; got {tuple(weight.shape)}")
    if not eps >= 0:
        raise ValueError(f"eps must be 0 or greater; got {eps!r}")
    wide = x.float() if x.dtype in HALF else x  # the squares of a half would overflow from 256 on
    mean_square = wide.square().mean(dim=-1, keepdim=True)  # (..., 1)
    return (wide * (mean_square + eps).rsqrt() * weight).to(x.dtype)


class RMSNorm(nn.Module):
    """rms_norm with a weight (d_model,) that is learned and starts at 1."""

    def __init__(self, d_model, eps=1e-6):
        super().__init__()
        require_count("d_model", d_model)
        if not eps >= 0:
            raise ValueError(f"eps must be 0 or greater; got {eps!r}")
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(d_model))

    def reset_parameters(self):
        nn.init.ones_(self.weight)

    def forward(self, x):
        """x (..., d_model) → the same shape and dtype."""
        return rms_norm(x, self.weight, self.eps)

    def extra_repr(self):
        return f"d_model={len(self.weight)}, eps={self.eps}"
