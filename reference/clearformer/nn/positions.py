"""Positions that are added to embeddings: the sines of 2017, or vectors that are learned."""

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


class LearnedPositions(nn.Module):
    """Adds a learned vector for where each token stands (Gehring et al. 2017, section 3.1), then drops out.

    weight (max_len, d_model): there is no vector for a position from max_len on. norm=True norms the sum before the
    dropout, as BART does. ValueError where an argument cannot be used.
    """

    def __init__(self, max_len, d_model, dropout=0.0, norm=False):
        super().__init__()
        require_count("max_len", max_len)
        require_count("d_model", d_model)
        require_dropout(dropout)
        self.weight = nn.Parameter(torch.empty(max_len, d_model))
        self.norm = nn.LayerNorm(d_model) if norm else nn.Identity()
        self.dropout = Dropout(dropout)
        self.reset_parameters()

    def reset_parameters(self, generator=None):
        """From N(0, 0.02²), as in BERT."""
        with torch.no_grad():
            self.weight.normal_(std=0.02, generator=generator)

    def forward(self, x, start=0):
        """x (..., T, d_model), whose first token stands at position `start` ≥ 0 → x + weight[start : start + T].

        ValueError where the last token stands at max_len or later.
        """
        max_len, d_model = self.weight.shape
        require_states("x", x, d_model)
        end = start + x.shape[-2]
        if start < 0 or end > max_len:
            raise ValueError(f"there are positions for max_len = {max_len} tokens; got tokens {start} to {end - 1}")
        return self.dropout(self.norm(x + self.weight[start:end]))

    def extra_repr(self):
        max_len, d_model = self.weight.shape
        return f"max_len={max_len}, d_model={d_model}"
