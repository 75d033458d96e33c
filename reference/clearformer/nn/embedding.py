"""From token ids to vectors."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from clearformer.nn._arguments import require_count, require_token_ids


class TokenEmbedding(nn.Module):
    """A row of a table for each token, times √d_model (Vaswani et al. 2017, section 3.4); scale=False: the row itself.

    weight (vocab_size, d_model) starts as N(0, 1/d_model), a standard deviation of d_model^-0.5. Times √d_model an
    entry then has variance 1, of the size of the positions that are added to it. And where the same table turns
    states of variance 1 into logits, these have variance 1 too.
    """

    def __init__(self, vocab_size, d_model, scale=True):
        super().__init__()
        require_count("vocab_size", vocab_size)
        require_count("d_model", d_model)
        self.factor = math.sqrt(d_model) if scale else 1.0
        self.weight = nn.Parameter(torch.empty(vocab_size, d_model))
        self.reset_parameters()

    def reset_parameters(self, generator=None):
        with torch.no_grad():
            self.weight.normal_(std=self.weight.shape[1] ** -0.5, generator=generator)

    def forward(self, token_ids, name="token_ids"):
        """token_ids (...), int64 or int32 → (..., d_model).

        ValueError, with `name` for the argument, where the ids are not whole numbers or not in the vocabulary.
        """
        require_token_ids(name, token_ids, self.weight.shape[0])
        return F.embedding(token_ids, self.weight) * self.factor

    def extra_repr(self):
        vocab_size, d_model = self.weight.shape
        return f"vocab_size={vocab_size}, d_model={d_model}"
