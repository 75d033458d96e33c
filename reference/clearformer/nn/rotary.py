"""Rotary positions: queries and keys are turned by an angle that grows with the position."""

import torch
from torch import nn

from clearformer.nn._arguments import require_choice

LAYOUTS = ("pairs", "halves")  # which two entries are turned together: neighbours, or i and i + d / 2


def rotary_embedding(x, positions, base=10000.0, layout="pairs"):
    """Turn pair i of a token at position p by the angle p · base^(-2i/d) (Su et al. 2021, section 3.2.2, eq. 15).

    x (..., T, d), floating, d even: queries or keys, never values. positions (T,), whole numbers. Two tokens' scalar
    product then depends on how far apart they stand, and no longer on where. Pair i is entries 2i and 2i + 1, as in the
    paper; with layout="halves" it is entries i and i + d/2, as in Hugging Face's models. Angles are computed in
    float64 for x in float64, otherwise in float32. Returns the shape and dtype of x. ValueError where an argument
    cannot be used.
    """
    require_choice("layout", layout, LAYOUTS)
    _require_turnable(x)
    positions = _require_positions(positions, x)
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    return turn(x, *rotary_angles(positions, x.shape[-1], base, dtype), layout)


def rotary_angles(positions, d, base=10000.0, dtype=torch.float32):
    """Cosine and sine of every position's angles, both (T, d/2), in dtype. positions (T,), d even."""
    _require_base(base)
    exponents = torch.arange(0, d, 2, dtype=dtype, device=positions.device) / d  # 2i/d
    angles = positions.to(dtype)[:, None] * (1.0 / base**exponents)  # (T, d/2)
    return angles.cos(), angles.sin()


def turn(x, cos, sin, layout="pairs"):
    """x (..., T, d), each pair turned by the angle with this cosine and sine, (T, d/2). In the dtype of x."""
    first, second = x.unflatten(-1, (-1, 2)).unbind(-1) if layout == "pairs" else x.chunk(2, dim=-1)  # (..., T, d/2)
    turned = (first * cos - second * sin).to(x.dtype), (first * sin + second * cos).to(x.dtype)
    return torch.stack(turned, dim=-1).flatten(-2) if layout == "pairs" else torch.cat(turned, dim=-1)


def pairs_to_halves(d):
    """The order (d,) in which the entries of the layout "pairs" make the layout "halves": 0, 2, 4, …, 1, 3, 5, …

    With order = pairs_to_halves(d), rotary_embedding(x[..., order], p, layout="halves") is
    rotary_embedding(x, p)[..., order]. order.argsort() leads back.
    """
    if d < 2 or d % 2:
        raise ValueError(f"d must be even and at least 2; got {d!r}")
    return torch.arange(d).view(-1, 2).T.flatten()


def change_layout(weight, num_heads, to):
    """A query or key projection's weight, or bias, for the other layout: the rows of each head change places.

    weight (num_heads · d_head, d_model) or (num_heads · d_head,), as nn.Linear keeps them; to: "halves" for one made
    for "pairs", or "pairs" for one made for "halves". With both the query's and the key's changed, all scores between
    queries and keys stay what they were. ValueError where d_head is not a whole even number.
    """
    require_choice("to", to, LAYOUTS)
    if num_heads < 1 or len(weight) % (2 * num_heads):
        raise ValueError(f"weight must have num_heads = {num_heads} times an even number of rows; got {len(weight)}")
    order = pairs_to_halves(len(weight) // num_heads).to(weight.device)
    order = order if to == "halves" else order.argsort()
    return weight.unflatten(0, (num_heads, -1))[:, order].flatten(0, 1)


class RotaryPositions(nn.Module):
    """rotary_embedding for tokens in a row, with its cosines and sines kept for the next call.

    d_head is the width of one head. There is nothing to learn, and nothing stands in the state_dict; several attentions
    may share one.
    """

    def __init__(self, d_head, base=10000.0, layout="pairs"):
        super().__init__()
        require_choice("layout", layout, LAYOUTS)
        _require_base(base)
        if d_head < 2 or d_head % 2:
            raise ValueError(f"d_head must be even and at least 2; got {d_head!r}")
        self.d_head, self.base, self.layout = d_head, base, layout
        self._table = None  # cos and sin, (positions, d_head/2)

    def forward(self, x, start=0):
        """x (..., T, d_head), queries or keys whose first token stands at position `start` ≥ 0 → turned."""
        if x.shape[-1] != self.d_head:
            raise ValueError(f"x must have shape (..., T, d_head) with d_head = {self.d_head}; got {tuple(x.shape)}")
        return turn(x, *self.angles(start, x.shape[-2], x.dtype, x.device), self.layout)

    def angles(self, start, length, dtype, device):
        """Cosines and sines of positions start to start + length - 1, both (length, d_head/2)."""
        if start < 0:
            raise ValueError(f"start must be a position of at least 0; got {start}")
        end, dtype = start + length, torch.float64 if dtype == torch.float64 else torch.float32
        table = self._table
        if table is None or len(table[0]) < end or table[0].dtype != dtype or table[0].device != device:
            # Outside of inference mode, so that a later training step may use this table too.
            with torch.inference_mode(False), torch.no_grad():
                positions = torch.arange(max(2 * end, 64), device=device)
                table = self._table = rotary_angles(positions, self.d_head, self.base, dtype)
        return table[0][start:end], table[1][start:end]

    def extra_repr(self):
        return f"d_head={self.d_head}, base={self.base}, layout={self.layout!r}"


def _require_turnable(x):
    if x.ndim < 2 or x.shape[-1] % 2 or not x.shape[-1] or not x.is_floating_point():
        raise ValueError(f"x must be floating in shape (..., T, d) with d even; got {x.dtype} {tuple(x.shape)}")


def _require_positions(positions, x):
    positions = torch.as_tensor(positions, device=x.device)
    if positions.shape != x.shape[-2:-1] or positions.is_floating_point() or positions.dtype == torch.bool:
        raise ValueError(
            f"positions must be whole numbers in shape (T,) = {tuple(x.shape[-2:-1])}; got {positions.dtype} "
            f"{tuple(positions.shape)}"
        )
    return positions


def _require_base(base):
    if not base > 0:
        raise ValueError(f"base must be above 0; got {base!r}")
