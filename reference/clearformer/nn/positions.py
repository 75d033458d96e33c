"""Sinusoidal positions, added to embeddings."""

import torch
from torch import nn

from clearformer.nn._arguments import require_count, require_dropout, require_states
from clearformer.nn.dropout import Dropout
from clearformer.numpy.positions import positional_encoding


class SinusoidalPositions(nn.Module):
    """Adds to each token where it stands (Vaswani et al. 2017, section 3.5), then drops out.

    The numbers are those of clearformer.numpy.positional_encoding, for any length. They are computed when they are
    first needed and are no part of the weights: nothing of them is in the state_dict.
    """

    def __init__(self, d_model, dropout=0.0):
        super().__init__()
        require_count("d_model", d_model)
        require_dropout(dropout)
        self.d_model = d_model
        self.dropout = Dropout(dropout)
        self._table = None

    def forward(self, x, start=0):
        """x (..., T, d_model), whose first token stands at position `start` ≥ 0 → x + PE[start : start + T]."""
        require_states("x", x, self.d_model)
        if start < 0:
            raise ValueError(f"start must be a position of at least 0; got {start}")
        end = start + x.shape[-2]
        return self.dropout(x + self._rows(end, x.dtype, x.device)[start:end])

    def _rows(self, length, dtype, device):
        """A table of at least `length` rows, kept for the next call."""
        table = self._table
        if table is None or len(table) < length or table.dtype != dtype or table.device != device:
            rows = max(length, 64 if table is None else 2 * len(table) if len(table) < length else len(table))
            # Outside of inference mode, so that a later training step may use this table too.
            with torch.inference_mode(False):
                table = torch.tensor(positional_encoding(rows, self.d_model), dtype=dtype, device=device)
            self._table = table
        return table

    def extra_repr(self):
        return f"d_model={self.d_model}"
