"""One token more: what a Llama computes when it writes, in fewer and larger steps than its modules take.

For one token a row, reading the weights from memory is most of the work. So they are laid out as they are read fastest,
projections of the same states stand in one matrix, and a norm's weight stands in the matrix after it. The numbers are
those of Llama.forward, but for rounding.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from clearformer.nn import GroupedQueryAttention, RMSNorm, RotaryPositions, SwiGLU
from clearformer.nn._few_rows import few_rows
from clearformer.nn.dropout import Dropout

PARTS = (GroupedQueryAttention, RMSNorm, RotaryPositions, SwiGLU, Dropout, nn.Linear, nn.Embedding, nn.ModuleList)
LLAMA = dict(
    norm_placement="pre", norm="rms", positions="rotary", feed_forward="swiglu", bias=False, rope_layout="pairs"
)


def one_token_model(model, num_rows):
    """The OneToken of a Llama, or None where the model holds something that only its modules can compute.

    Such as the parts of 2017, half precision, a linear map with an adapter around it, or a hook that watches.
    """
    if any(getattr(model.config, name) != value for name, value in LLAMA.items()):
        return None
    if model.embedding.weight.dtype not in (torch.float32, torch.float64):
        return None
    known = (*PARTS, type(model), type(model.blocks[0]))
    for module in model.modules():
        if type(module) not in known or module.training or module._forward_hooks or module._forward_pre_hooks:
            return None
    return OneToken(model, num_rows)


class OneToken:
    """A Llama's weights, laid out for one more token in each of about num_rows rows."""

    def __init__(self, model, num_rows):
        self._embedding = model.embedding.weight
        self._rotary = model.blocks[0].attention.rotary
        self._blocks = [_Block(block, num_rows) for block in model.blocks]
        self._output = _after_norm(model.final_norm, [model.output], num_rows)

    def __call__(self, token_ids, cache):
        """token_ids (rows, 1), which continue a DecoderOnlyCache that is not empty → logits (rows, 1, vocab)."""
        x = F.embedding(token_ids[:, 0], self._embedding)  # (rows, d_model)
        # A pair is a complex number, and turning it is one product.
        turn = torch.complex(*self._rotary.angles(cache.length, 1, x.dtype, x.device))  # (1, d_head/2)
        for block, kept in zip(self._blocks, cache.layers, strict=True):
            x = block(x, turn, kept)
        return self._output(x).unsqueeze(1)


class _Block:
    def __init__(self, block, num_rows):
        attention, feed_forward = block.attention, block.feed_forward
        into = [attention.query_proj, attention.key_proj, attention.value_proj]
        self._into = _after_norm(block.norm1, into, num_rows)
        self._out = few_rows(attention.output_proj.weight, None, num_rows)
        self._wide = _after_norm(block.norm2, [feed_forward.gate_proj, feed_forward.up_proj], num_rows)
        self._back = few_rows(feed_forward.down_proj.weight, None, num_rows)
        self._heads, self._kv_heads, self._d_head = attention.num_heads, attention.num_kv_heads, attention.d_head

    def __call__(self, x, turn, cache):
        """x (rows, d_model), turn (1, d_head/2) complex, cache a KeyValueCache → (rows, d_model)."""
        x = x + self._look_back(x, turn, cache)
        gate, up = self._wide(x).chunk(2, dim=-1)  # (rows, d_ff)
        return x + self._back(F.silu(gate) * up)

    def _look_back(self, x, turn, cache):
        rows, heads, kv_heads = len(x), self._heads, self._kv_heads
        projected = self._into(x).view(rows, -1, self._d_head)  # (rows, heads + 2 * kv_heads, d_head)
        pairs = torch.view_as_complex(projected[:, : heads + kv_heads].unflatten(-1, (-1, 2)))
        turned = torch.view_as_real(pairs * turn).flatten(-2)  # (rows, heads + kv_heads, d_head)
        new_keys, new_values = turned[:, heads:, None], projected[:, heads + kv_heads :, None]
        keys, values = cache.append(new_keys, new_values)  # (rows, kv_heads, T, d_head)
        query = turned[:, :heads].reshape(rows, kv_heads, -1, self._d_head)  # a group of heads is so many queries
        return self._out(F.scaled_dot_product_attention(query, keys, values).reshape(x.shape))


def _after_norm(norm, linears, num_rows):
    """norm, then the linear maps side by side: x (rows, d_model) → (rows, all their outputs)."""
    d_model = len(norm.weight)
    weight = torch.cat([linear.weight for linear in linears]) * (norm.weight * math.sqrt(d_model))
    linear, smallest = few_rows(weight, None, num_rows), norm.weight.new_tensor(math.sqrt(d_model * norm.eps))
    # √(mean of x² + ε) · √d = √(|x|² + dε)
    return lambda x: linear(x / torch.hypot(torch.linalg.vector_norm(x, dim=-1, keepdim=True), smallest))
