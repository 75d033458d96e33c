"""A linear map that learns through two small matrices beside its own weight, which stays as it is."""

import math
from numbers import Real

import torch
import torch.nn.functional as F
from torch import nn

from clearformer.nn._arguments import require_count, require_dropout
from clearformer.nn.dropout import Dropout


class LoRALinear(nn.Module):
    """W₀x + b + (α/r)·BAx in place of W₀x + b (Hu et al. 2021, section 4.1).

    base     the nn.Linear to adapt. It is kept as `.base`, the object itself, and frozen, its bias too
    rank     r: lora_a is A, (rank, in_features), drawn at random; lora_b is B, (out_features, rank), zero. So the
             output is at first the base's. Both have the base's dtype and device
    alpha    α: the change is scaled by α/r, so that another rank needs no other learning rate
    dropout  share of x's numbers that A does not see in training

    A is drawn from `generator`, or from torch's own. ValueError where an argument cannot be used.
    """

    def __init__(self, base, rank, alpha, dropout=0.0, generator=None):
        super().__init__()
        if not isinstance(base, nn.Linear):
            raise ValueError(f"base must be an nn.Linear; got {type(base).__name__}")
        require_count("rank", rank)
        if not isinstance(alpha, Real) or isinstance(alpha, bool) or not (math.isfinite(alpha) and alpha > 0):
            raise ValueError(f"alpha must be a number above 0; got {alpha!r}")
        require_dropout(dropout)
        self.base = base.requires_grad_(False)
        self.rank, self.alpha, self.merged = rank, alpha, False
        self.lora_a = nn.Parameter(base.weight.new_empty(rank, base.in_features))
        self.lora_b = nn.Parameter(base.weight.new_zeros(base.out_features, rank))
        self.dropout = Dropout(dropout)
        # The paper draws A from a normal distribution and does not say how wide; its code, and peft, draw it like this.
        nn.init.kaiming_uniform_(self.lora_a, a=math.sqrt(5), generator=generator)

    @property
    def scale(self):
        """α/r"""
        return self.alpha / self.rank

    @property
    def in_features(self):
        return self.base.in_features

    @property
    def out_features(self):
        return self.base.out_features

    @property
    def weight(self):
        """What x is multiplied by, merged or not: W₀ + (α/r)·BA, (out_features, in_features).

        For code that reads a linear map's weight instead of calling it. Gradients reach A and B through it.
        """
        return self.base.weight if self.merged else self._weight_plus(self.scale)

    @property
    def bias(self):
        return self.base.bias

    def forward(self, x):
        """x (..., in_features) → (..., out_features)."""
        output = self.base(x)
        if self.merged:
            return output
        low = F.linear(self.dropout(x), self.lora_a).reshape(-1, self.rank)  # (tokens, rank)
        # Multiplied, scaled and added in one go: nothing as large as the output is made twice.
        adapted = torch.addmm(output.reshape(-1, self.out_features), low, self.lora_b.T, alpha=self.scale)
        return adapted.view(output.shape)

    def merge(self):
        """Put the change into the base's weight: the same outputs, at the base's cost. Twice is the same as once.

        base.weight becomes a new parameter, so that whatever else shares the old one keeps it as it was. The change
        reaches a merged layer's outputs no more: train it unmerged.
        """
        if not self.merged:
            self._set_weight(self.scale)
            self.merged = True

    def unmerge(self):
        """Take the change out of the base's weight, which is then what it was but for rounding."""
        if self.merged:
            self._set_weight(-self.scale)
            self.merged = False

    @torch.no_grad()
    def _set_weight(self, scale):
        self.base.weight = nn.Parameter(self._weight_plus(scale), requires_grad=self.base.weight.requires_grad)

    def _weight_plus(self, scale):
        # In half precision the sum is rounded once, at the end.
        wide = torch.promote_types(self.lora_a.dtype, torch.float32)
        change = scale * (self.lora_b.to(wide) @ self.lora_a.to(wide))  # (out_features, in_features)
        return (self.base.weight + change).to(self.base.weight.dtype)

    def _save_to_state_dict(self, *args, **kwargs):
        self._require_unmerged("saved")
        super()._save_to_state_dict(*args, **kwargs)

    def _load_from_state_dict(self, *args, **kwargs):
        self._require_unmerged("loaded")
        super()._load_from_state_dict(*args, **kwargs)

    def _require_unmerged(self, done):
        # What was saved would hold the change twice: in base.weight, and in A and B.
        if self.merged:
            raise RuntimeError(
                f"the weights of a merged LoRALinear cannot be {done}: unmerge it first, or put plain linear maps back "
                "with merge_lora(model)"
            )

    def extra_repr(self):
        return f"rank={self.rank}, alpha={self.alpha}" + (", merged" if self.merged else "")
