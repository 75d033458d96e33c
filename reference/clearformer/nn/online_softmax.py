"""Attention over blocks of keys, forward and backward: what is kept grows with the length, not with its square."""

import math

import torch

from clearformer.nn._arguments import require_count


def online_softmax_attention(query, key, value, block_size):
    """Scaled dot-product attention that sees block_size keys at a time, equal to the dense one.

    query (..., T_q, d_k), key (..., T_k, d_k), value (..., T_k, d_v), the same leading axes; the last block may be
    shorter. Returns the output (..., T_q, d_v), zeros where there is no key. For the backward pass it keeps the inputs,
    the output, and one logarithm a query, and computes each block's weights again (Dao et al. 2022, section 3.1).
    First derivatives only. Half precision is computed in float32. ValueError where the shapes cannot go together.
    """
    require_count("block_size", block_size)
    _require_shapes(query, key, value)
    return _Online.apply(query, key, value, block_size)


class _Online(torch.autograd.Function):
    @staticmethod
    def forward(ctx, query, key, value, block_size):
        wide = _wide(query.dtype)
        scaled = query.to(wide) / math.sqrt(query.shape[-1])
        largest = scaled.new_full((*query.shape[:-1], 1), -math.inf)
        total = torch.zeros_like(largest)
        mixed = scaled.new_zeros((*query.shape[:-1], value.shape[-1]))
        for keys, values in _blocks(key, value, block_size):
            scores = scaled @ keys.to(wide).transpose(-2, -1)  # (..., T_q, block)
            before, largest = largest, torch.maximum(largest, scores.amax(dim=-1, keepdim=True))
            powers = scores.sub_(largest).exp_()
            # What was added up before was measured from the old maximum.
            rescale = (before - largest).exp()
            total = rescale * total + powers.sum(dim=-1, keepdim=True)
            mixed = rescale * mixed + powers @ values.to(wide)
        output = (mixed / total.masked_fill(total == 0, 1.0)).to(query.dtype)
        ctx.block_size = block_size
        ctx.save_for_backward(query, key, value, output, largest + total.log())
        return output

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_output):
        query, key, value, output, log_total = ctx.saved_tensors
        wide, scale = _wide(query.dtype), 1 / math.sqrt(query.shape[-1])
        scaled, grad = query.to(wide) * scale, grad_output.to(wide)
        row_mean = (grad * output.to(wide)).sum(dim=-1, keepdim=True)  # (..., T_q, 1)
        grad_query = torch.zeros_like(scaled)
        grad_keys, grad_values = [], []
        for keys, values in _blocks(key, value, ctx.block_size):
            keys, values = keys.to(wide), values.to(wide)
            weights = (scaled @ keys.transpose(-2, -1)).sub_(log_total).exp_()  # (..., T_q, block), as they were
            grad_scores = weights * (grad @ values.transpose(-2, -1) - row_mean)
            grad_query += grad_scores @ keys * scale
            grad_keys.append(grad_scores.transpose(-2, -1) @ scaled)
            grad_values.append(weights.transpose(-2, -1) @ grad)
        return grad_query.to(query.dtype), _joined(grad_keys, key), _joined(grad_values, value), None


def _blocks(key, value, block_size):
    if not key.shape[-2]:
        return ()
    return zip(key.split(block_size, dim=-2), value.split(block_size, dim=-2), strict=True)


def _joined(parts, like):
    return torch.cat(parts, dim=-2).to(like.dtype) if parts else torch.zeros_like(like)


def _wide(dtype):
    return torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype


def _require_shapes(query, key, value):
    shapes = f"got query {tuple(query.shape)}, key {tuple(key.shape)}, value {tuple(value.shape)}"
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise ValueError(f"query, key and value must have shape (..., T, d), two axes or more; {shapes}")
    if query.shape[-1] != key.shape[-1] or query.shape[-1] == 0:
        raise ValueError(f"query and key must have the same width d_k, their last axis, above 0; {shapes}")
    if key.shape[-2] != value.shape[-2]:
        raise ValueError(f"key and value must have the same length T_k, their axis -2; {shapes}")
    if not query.shape[:-2] == key.shape[:-2] == value.shape[:-2]:
        raise ValueError(f"query, key and value must have the same leading axes (...); {shapes}")
