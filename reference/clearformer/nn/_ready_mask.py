"""A mask looked at once, for all the layers that share it."""

from typing import NamedTuple

import torch

from clearformer.nn._arguments import require_mask


class ReadyMask(NamedTuple):
    """What attention needs to know of a mask: what it may hand on, and which rows it has to put to zero.

    visible (..., T_q, T_k): the mask, but a query that may attend to nothing sees every key, because for such a
    query some versions and devices give NaN. has_key (..., T_q, 1): False at those queries; None where there are
    none of them.
    """

    visible: torch.Tensor
    has_key: torch.Tensor | None

    def keep(self, rows):
        """The mask of these sequences of the batch, in this order; rows is an int64 tensor (n,)."""
        return ReadyMask(_take(self.visible, rows), None if self.has_key is None else _take(self.has_key, rows))


def ready_mask(mask, shape):
    """The ReadyMask of a bool mask for scores of this shape, or None where nothing is hidden.

    A mask that is None or ready already comes back as it is. ValueError where it is not bool or does not fit.
    """
    if mask is None or isinstance(mask, ReadyMask):
        return mask
    require_mask(mask, shape)
    mask = torch.atleast_2d(mask)
    has_key = mask.any(dim=-1, keepdim=True)  # (..., T_q, 1)
    # To look at the mask's values a GPU would have to be waited for: there every mask counts as one with hidden rows.
    can_look = mask.device.type == "cpu" and not torch.compiler.is_compiling()
    if can_look and mask.all():
        return None
    if can_look and has_key.all():
        return ReadyMask(mask, None)
    return ReadyMask(mask | ~has_key, has_key)


def _take(mask, rows):
    """Rows of the batch axis, of a mask (batch, 1, T_q, T_k) or one that is the same for the whole batch."""
    return mask if mask.ndim < 4 or mask.shape[0] == 1 else mask.index_select(0, rows)
