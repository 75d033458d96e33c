"""The other two parts of a Transformer layer: layer norm and the feed-forward network."""

import numpy as np

from clearformer.numpy._arguments import as_floats, require_shape


def layer_norm(x, weight, bias, eps=1e-5):
    """Give each token mean 0 and variance 1 over its width, then scale and shift (Ba et al. 2016, section 3).

    x (..., d_model), weight and bias (d_model,). The variance divides by d_model, not by d_model - 1, and eps
    is added to it inside the root, as in torch. Returns the shape of x. ValueError where the shapes do not
    fit or eps is negative.
    """
    x, weight, bias, dtype = as_floats(x=x, weight=weight, bias=bias)
    if x.ndim < 1 or x.shape[-1] == 0:
        raise ValueError(f"x must have shape (..., d_model), with d_model above 0; got {x.shape}")
    require_shape("weight", weight, x.shape[-1:], "(d_model,)")
    require_shape("bias", bias, x.shape[-1:], "(d_model,)")
    if not eps >= 0:
        raise ValueError(f"eps must be 0 or greater; got {eps!r}")
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = np.square(centred).mean(axis=-1, keepdims=True)  # (..., 1)
    return (centred / np.sqrt(variance + eps) * weight + bias).astype(dtype, copy=False)


def feed_forward(x, w_1, b_1, w_2, b_2):
    """Two linear maps with a ReLU between, the same for every token (Vaswani et al. 2017, eq. 2).

    x (..., d_model), w_1 (d_model, d_ff), b_1 (d_ff,), w_2 (d_ff, d_model), b_2 (d_model,). Returns the shape
    of x. ValueError where the shapes do not fit.
    """
    x, w_1, b_1, w_2, b_2, dtype = as_floats(x=x, w_1=w_1, b_1=b_1, w_2=w_2, b_2=b_2)
    if x.ndim < 1:
        raise ValueError(f"x must have shape (..., d_model); got {x.shape}")
    d_model = x.shape[-1]
    if w_1.ndim != 2 or w_1.shape[0] != d_model:
        raise ValueError(f"w_1 must have shape (d_model, d_ff) with d_model = {d_model}, as in x; got {w_1.shape}")
    d_ff = w_1.shape[1]
    require_shape("b_1", b_1, (d_ff,), "(d_ff,)")
    require_shape("w_2", w_2, (d_ff, d_model), "(d_ff, d_model)")
    require_shape("b_2", b_2, (d_model,), "(d_model,)")
    hidden = np.maximum(x @ w_1 + b_1, 0.0)  # (..., d_ff)
    return (hidden @ w_2 + b_2).astype(dtype, copy=False)
