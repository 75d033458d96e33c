"""The feed-forward sublayer with a gate."""

import torch.nn.functional as F
from torch import nn

from clearformer.nn._arguments import require_count, require_states


def swiglu(x, w_gate, w_up, w_down):
    """(silu(x @ w_gate) * (x @ w_up)) @ w_down, with silu(z) = z · sigmoid(z) (Shazeer 2020, eq. 6).

    x (..., d_model), w_gate and w_up (d_model, d_ff), w_down (d_ff, d_model) → (..., d_model). ValueError where the
    shapes cannot go together.
    """
    d_model = x.shape[-1] if x.ndim else None
    if w_gate.ndim != 2 or w_gate.shape[0] != d_model or w_up.shape != w_gate.shape:
        raise ValueError(
            f"w_gate and w_up must both have shape (d_model, d_ff), with the d_model of x; got {tuple(w_gate.shape)} "
            f"and {tuple(w_up.shape)} for x {tuple(x.shape)}"
        )
    if w_down.shape != w_gate.shape[::-1]:
        raise ValueError(
            f"w_down must have shape (d_ff, d_model) = {tuple(w_gate.shape[::-1])}; got {tuple(w_down.shape)}"
        )
    return (F.silu(x @ w_gate) * (x @ w_up)) @ w_down


class SwiGLU(nn.Module):
    """A feed-forward whose hidden units are scaled by a gate that sees the same token (Shazeer 2020).

    Three linear maps where FeedForward has two: with d_ff = 8/3 · d_model it has as many weights as that with
    4 · d_model. No biases, unless bias=True.
    """

    def __init__(self, d_model, d_ff, bias=False):
        super().__init__()
        require_count("d_model", d_model)
        require_count("d_ff", d_ff)
        self.gate_proj = nn.Linear(d_model, d_ff, bias=bias)
        self.up_proj = nn.Linear(d_model, d_ff, bias=bias)
        self.down_proj = nn.Linear(d_ff, d_model, bias=bias)

    def forward(self, x):
        """x (..., T, d_model) → (..., T, d_model)."""
        require_states("x", x, self.gate_proj.in_features)
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))
