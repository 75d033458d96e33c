"""The norm of a token, and where it stands around a sublayer: after it, as in 2017, or before it."""

import torch

HALF = (torch.float16, torch.bfloat16)


def post_norm(x, sublayer, norm):
    """norm(x + sublayer(x)), as in Vaswani et al. 2017, section 3.1."""
    return norm(x + sublayer(x))


def pre_norm(x, sublayer, norm):
    """x + sublayer(norm(x)), as in Xiong et al. 2020. A stack of these needs one more norm after its last layer."""
    return x + sublayer(norm(x))


def layer_norm(x, weight, bias, eps=1e-5):
    """Give each token mean 0 and variance 1 over its width, then scale and shift (Ba et al. 2016, section 3).

    x (..., d_model), weight and bias (d_model,), floating. The variance divides by d_model, not by d_model - 1, and
    eps is added to it inside the root, as in torch.nn.LayerNorm. Half precision is computed in float32 inside. Returns
    the shape and dtype of x. ValueError where the shapes do not fit or eps is negative.
    """
    if x.ndim < 1 or x.shape[-1] == 0:
        raise ValueError(f"x must have shape (..., d_model), with d_model above 0; got {tuple(x.shape)}")
    for name, values in dict(weight=weight, bias=bias).items():
        if values.shape != x.shape[-1:]:
            raise ValueError(f"{name} must have shape (d_model,) = {tuple(x.shape[-1:])}; got {tuple(values.shape)}")
    if not eps >= 0:
        raise ValueError(f"eps must be 0 or greater; got {eps!r}")
    wide = x.float() if x.dtype in HALF else x  # the squares of a half would overflow from 256 on
    centred = wide - wide.mean(dim=-1, keepdim=True)
    variance = centred.square().mean(dim=-1, keepdim=True)  # (..., 1)
    return (centred / (variance + eps).sqrt() * weight + bias).to(x.dtype)
