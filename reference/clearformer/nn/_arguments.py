"""What the layers accept, and what they say about anything else."""

from numbers import Integral, Real

import torch

ID_DTYPES = (torch.int64, torch.int32)


def require_count(name, number):
    if not isinstance(number, Integral) or isinstance(number, bool) or number < 1:
        raise ValueError(f"{name} must be a whole number of at least 1; got {number!r}")


def require_choice(name, value, choices):
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}; got {value!r}")


def require_dropout(dropout):
    if not isinstance(dropout, Real) or not 0.0 <= dropout <= 1.0:
        raise ValueError(f"dropout must be from 0 to 1; got {dropout!r}")


def require_sizes(d_model, num_heads, dropout):
    require_count("d_model", d_model)
    require_count("num_heads", num_heads)
    if d_model % num_heads:
        raise ValueError(f"num_heads must divide d_model; got d_model = {d_model}, num_heads = {num_heads}")
    require_dropout(dropout)


def require_states(name, x, d_model):
    """ValueError unless x is a float tensor (..., T, d_model)."""
    if not isinstance(x, torch.Tensor) or not x.is_floating_point():
        got = x.dtype if isinstance(x, torch.Tensor) else type(x).__name__
        raise ValueError(f"{name} must be a tensor of floats; got {got}")
    if x.ndim < 2 or x.shape[-1] != d_model:
        raise ValueError(f"{name} must have shape (..., T, d_model) with d_model = {d_model}; got {tuple(x.shape)}")


def require_token_ids(name, ids, vocab_size):
    """ValueError unless ids is a tensor of whole numbers from 0 to vocab_size - 1."""
    if not isinstance(ids, torch.Tensor) or ids.dtype not in ID_DTYPES:
        got = ids.dtype if isinstance(ids, torch.Tensor) else type(ids).__name__
        raise ValueError(f"{name} must be a tensor of token ids, int64 or int32; got {got}")
    if ids.numel() == 0 or torch.compiler.is_compiling():
        return
    # A wrong id on a GPU would end the whole process's use of it, so it is looked for there too.
    smallest, largest = torch.stack(ids.aminmax()).tolist()
    if smallest < 0 or largest >= vocab_size:
        wrong = smallest if smallest < 0 else largest
        raise ValueError(
            f"{name} holds the id {wrong}, which a vocabulary of {vocab_size} does not have: ids go from 0 to "
            f"{vocab_size - 1}"
        )


def require_mask(mask, shape):
    """ValueError unless the mask is bool and broadcastable to the scores, (..., heads, T_q, T_k) = shape."""
    if not isinstance(mask, torch.Tensor) or mask.dtype != torch.bool:
        got = mask.dtype if isinstance(mask, torch.Tensor) else type(mask).__name__
        raise ValueError(f"mask must be a bool tensor, True = may be attended; got {got}")
    # from the last axis back, a mask's axis is 1 or the scores' own
    fits = mask.ndim <= len(shape) and all(
        length in (1, wanted) for length, wanted in zip(reversed(mask.shape), reversed(shape), strict=False)
    )
    if not fits:
        hint = "; is an axis missing, as in (batch, 1, T_q, T_k)?" if 2 < mask.ndim < len(shape) else ""
        raise ValueError(
            f"mask must be broadcastable to the scores, (..., heads, T_q, T_k) = {shape}; got {tuple(mask.shape)}{hint}"
        )
