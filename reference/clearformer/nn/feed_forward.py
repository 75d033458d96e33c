"""The feed-forward sublayer: every token by itself."""

from functools import partial

import torch.nn.functional as F
from torch import nn

from clearformer.nn._arguments import require_choice, require_count, require_dropout, require_states
from clearformer.nn.dropout import Dropout

ACTIVATIONS = {"relu": F.relu, "gelu": F.gelu, "silu": F.silu, "gelu_tanh": partial(F.gelu, approximate="tanh")}


class FeedForward(nn.Module):
    """Wider, an activation, back: linear2(dropout(relu(linear1(x)))) (Vaswani et al. 2017, eq. 2).

    activation is "relu", as in 2017, or "gelu", "silu" or "gelu_tanh", which weights from elsewhere may need. The last
    is GPT-2's: a formula with tanh that comes near gelu (Hendrycks and Gimpel 2016, section 2).
    """

    def __init__(self, d_model, d_ff, dropout=0.0, activation="relu"):
        super().__init__()
        require_count("d_model", d_model)
        require_count("d_ff", d_ff)
        require_dropout(dropout)
        require_choice("activation", activation, ACTIVATIONS)
        self.linear1 = nn.Linear(d_model, d_ff)
        self.linear2 = nn.Linear(d_ff, d_model)
        self.dropout = Dropout(dropout)
        self.activation = activation

    def forward(self, x):
        """x (..., T, d_model) → (..., T, d_model)."""
        require_states("x", x, self.linear1.in_features)
        hidden = ACTIVATIONS[self.activation](self.linear1(x))  # (..., T, d_ff)
        return self.linear2(self.dropout(hidden))

    def extra_repr(self):
        return f"activation={self.activation!r}"
