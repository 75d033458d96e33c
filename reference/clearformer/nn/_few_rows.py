"""A linear map for a few rows at a time, as in writing: most of the work is to read the weights, not to multiply."""

import torch


def few_rows(weight, bias, num_rows):
    """x (rows, in) → x @ weight.T + bias, for a weight (out, in) that is read many times; bias (out,) or None.

    The weight is copied, in the layout that is read fastest for about num_rows rows; any other number gives the same.
    """
    if num_rows > 1 and _may_pack(weight):
        packed = torch.ops.mkldnn._reorder_linear_weight(weight, num_rows)
        return lambda x: torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], "")
    transposed = weight.t().contiguous()
    if bias is None:
        return lambda x: torch.mm(x, transposed)
    return lambda x: torch.addmm(bias, x, transposed)


def _may_pack(weight):
    """oneDNN, which comes with torch for most processors, has a layout of its own for float32."""
    if weight.dtype != torch.float32 or weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    return all(hasattr(torch.ops.mkldnn, name) for name in ("_reorder_linear_weight", "_linear_pointwise"))
