"""MultiHeadAttention: the same in PyTorch, as a module that learns."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from clearformer.checks.catalogue.lesson_03_multi_head_attention.wrong_modules import PROJECTIONS, WRONG_MODULES, Plain
from clearformer.checks.exercise import Case, Exercise, Property
from clearformer.checks.modules import (
    ModuleCall,
    causal,
    different_numbers,
    linear_weights,
    made,
    made_alone,
    output_alone,
    outputs_and_gradients,
    outputs_in_evaluation,
    same_and_other_seeds,
    tensor,
)
from clearformer.nn.attention import MultiHeadAttention as reference

# What is asked ------------------------------------------------------------------------------------------------


def two_objects(answer, call):
    first, second = made(answer, call), made(answer, call, factor=-2.0)
    query, key, value = call.inputs()
    backwards = causal(query.shape[1]).T
    return {
        "output of the first object": first.call(query, key, value),
        "output of the second object": second.call(query, key, value),
        "output of the first object for a shorter query": first.call(query[:, :1], key, value),
        "output of the first object with a mask": first.call(query, key, value, mask=backwards.T),
        "output of the first object with another mask": first.call(query, key, value, mask=backwards),
    }


def dropped_weights(answer, call):
    """Value and output projections are the identity here, so that the output shows the weights themselves."""
    module = made(answer, call)
    answer.seed(1)
    query, key, value = call.inputs()
    shown = module.call(query, key, value)  # (batch, T_q, heads * T_k): the weights, head beside head
    summed = module.call(query, key, torch.ones_like(value))  # each head's weights, added up, in all its columns
    module.eval()
    quiet = module.call(query, key, value)
    heads = call.kwargs["num_heads"]
    dropped = (shown == 0).unflatten(-1, (heads, -1))  # (batch, T_q, heads, T_k)
    by_head = summed.unflatten(-1, (heads, -1))
    return {
        "weights that occur in training": different_numbers(shown),
        "about a quarter of the weights is dropped": 0.12 < float(dropped.double().mean()) < 0.38,
        "a dropped weight is missing in every column of the value": bool((by_head == by_head[..., :1]).all()),
        "sentences drop different keys": bool((dropped != dropped[:1]).any()),
        "queries drop different keys": bool((dropped != dropped[:, :1]).any()),
        "heads drop different keys": bool((dropped != dropped[:, :, :1]).any()),
        "a query loses some keys and keeps others": bool((dropped != dropped[..., :1]).any()),
        "weights that occur in evaluation": different_numbers(quiet),
    }


# Laws ---------------------------------------------------------------------------------------------------------


def hidden_tokens_change_nothing(answer, rng):
    call = drawn((1, 4, 8), num_heads=2, mask=causal(4))(rng)
    module = made(answer, call)
    x = call.kwargs["query"]
    later = x.clone()
    later[:, 2:] += 1.0
    before, after = (module.call(each, each, each, **call.options())[:, :2] for each in (x, later))
    gap = float((before - after).abs().max())
    return None if gap < 1e-9 else f"changing tokens 2 and 3 moved the output of tokens 0 and 1 by {gap:.2g}"


def sentences_do_not_mix(answer, rng):
    call = drawn((3, 2, 8), num_heads=2)(rng)
    module = made(answer, call)
    together = module.call(*call.inputs())
    alone = module.call(*(x[1:2] for x in call.inputs()))
    gap = float((together[1:2] - alone).abs().max())
    return None if gap < 1e-9 else f"a sentence alone and in a batch of three differ by {gap:.2g}"


# What is drawn ------------------------------------------------------------------------------------------------


def drawn(query, key=None, *, num_heads, mask=None, dtype=torch.float64, **settings):
    """A case's draw: sequences of these shapes (one shape: self-attention), different weights for each projection."""

    def draw(rng):
        asking = tensor(rng, *query, dtype=dtype)
        inputs = {"query": asking, "key": asking, "value": asking}
        if key is not None:
            inputs |= {"key": tensor(rng, *key, dtype=dtype), "value": tensor(rng, *key, dtype=dtype)}
        d_model = query[-1]
        weights = {}
        for name in PROJECTIONS:
            weights |= linear_weights(rng, name, d_model, d_model, dtype)
        more = settings | ({} if mask is None else {"mask": mask})
        grad_output = tensor(rng, *query, dtype=dtype)
        shown = {"d_model": d_model, "num_heads": num_heads} | inputs | more
        return ModuleCall(weights, grad_output, inputs=("query", "key", "value"), **shown)

    return draw


def one_mask_a_sentence(rng):
    mask = torch.tensor([[[1, 0, 1], [1, 1, 0]], [[0, 1, 1], [1, 0, 1]]]).bool()
    return drawn((2, 2, 8), (2, 3, 8), num_heads=2, mask=mask[:, None])(rng)


def a_hidden_row(rng):
    mask = torch.tensor([[1, 0, 1], [0, 0, 0]]).bool()
    return drawn((1, 2, 8), (1, 3, 8), num_heads=2, mask=mask)(rng)


def a_hidden_key_with_a_large_score(rng):
    call = drawn((1, 2, 8), (1, 3, 8), num_heads=2, mask=torch.tensor([1, 1, 0]).bool().expand(2, 3))(rng)
    call.kwargs["key"][:, 2] *= 1000.0
    return call


def not_contiguous(rng):
    call = drawn((2, 3, 8), num_heads=2)(rng)
    view = call.kwargs["query"].transpose(1, 2).contiguous().transpose(1, 2)
    call.kwargs |= {"query": view, "key": view, "value": view}
    return call


def that_shows_its_weights(rng):
    """Equal scores, so that every weight is 1/4; the values of each head are the four unit vectors."""
    call = drawn((2, 16, 8), (2, 4, 8), num_heads=2, dropout=0.25)(rng)
    identity = torch.eye(8, dtype=torch.float64)
    for name in call.weights:
        call.weights[name] = identity if name in ("value_proj.weight", "output_proj.weight") else identity[0] * 0
    for name in ("query_proj", "key_proj"):
        call.weights[f"{name}.weight"] = identity * 0
    call.kwargs["value"] = torch.eye(4, dtype=torch.float64).repeat(2, 1, 2)
    return call


# Other right answers ------------------------------------------------------------------------------------------


class HeadByHead(nn.Module):
    """Another right answer: a loop over the heads, nn.Dropout, and a mask by torch.where."""

    def __init__(self, d_model, num_heads, dropout=0.0):
        super().__init__()
        if d_model % num_heads != 0:
            raise ValueError("num_heads must divide d_model")
        self.num_heads = num_heads
        self.drop = nn.Dropout(dropout)
        self.output_proj = nn.Linear(d_model, d_model)
        self.value_proj = nn.Linear(d_model, d_model)
        self.key_proj = nn.Linear(d_model, d_model)
        self.query_proj = nn.Linear(d_model, d_model)

    def forward(self, query, key, value, mask=None):
        queries, keys, values = (
            layer(x).chunk(self.num_heads, dim=-1)
            for layer, x in ((self.query_proj, query), (self.key_proj, key), (self.value_proj, value))
        )
        seen = mask if mask is None or mask.ndim < 4 else mask[:, 0]
        heads = []
        for q, k, v in zip(queries, keys, values, strict=True):
            scores = q @ k.mT * q.shape[-1] ** -0.5
            if seen is not None:
                scores = torch.where(seen, scores, -torch.inf)
            heads.append(self.drop(torch.softmax(scores, -1).nan_to_num(0.0)) @ v)
        return self.output_proj(torch.cat(heads, dim=-1))


class ByEinsum(nn.Module):
    """Another right answer: einsum throughout, computed in single precision at least."""

    def __init__(self, d_model, num_heads, dropout=0.0):
        super().__init__()
        if d_model % num_heads:
            raise ValueError("num_heads must divide d_model")
        self.num_heads = num_heads
        self.dropout = nn.Dropout(p=dropout)
        for name in PROJECTIONS:
            self.add_module(name, nn.Linear(d_model, d_model))

    def forward(self, query, key, value, mask=None):
        q, k, v = (
            layer(x).unflatten(-1, (self.num_heads, -1))
            for layer, x in ((self.query_proj, query), (self.key_proj, key), (self.value_proj, value))
        )
        wide = torch.promote_types(q.dtype, torch.float32)
        scores = torch.einsum("bqhd,bkhd->bhqk", q.to(wide), k.to(wide)) / math.sqrt(q.shape[-1])
        if mask is not None:
            has_key = mask.any(-1, keepdim=True)
            scores = scores.masked_fill(~(mask | ~has_key), float("-inf"))
        weights = F.softmax(scores, dim=-1)
        if mask is not None:
            weights = weights * has_key
        mixed = torch.einsum("bhqk,bkhd->bqhd", self.dropout(weights), v.to(wide))
        return self.output_proj(mixed.flatten(-2).to(q.dtype))


PADDED = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]]).bool()[:, None, None]

EXERCISE = Exercise(
    name="MultiHeadAttention",
    lesson="03_multi_head_attention",
    kind="write",
    points=4,
    difficulty=4,
    minutes=30,
    asks="Write multi-head attention as a torch.nn.Module with four nn.Linear and dropout on the attention weights.",
    reference=reference,
    returns=("output",),
    cases=(
        Case(
            "one head, three tokens",
            drawn((1, 3, 4), num_heads=1),
            "every projection has weights of its own",
            ask=outputs_and_gradients,
        ),
        Case("two heads, three tokens", drawn((1, 3, 8), num_heads=2), ask=outputs_and_gradients),
        Case(
            "query, key and value are three tensors, T_q ≠ T_k",
            drawn((2, 2, 12), (2, 4, 12), num_heads=3),
            ask=outputs_and_gradients,
        ),
        Case(
            "batch, heads and tokens alike",
            drawn((2, 2, 8), (2, 2, 8), num_heads=2),
            "shapes fit that should not",
            ask=outputs_and_gradients,
        ),
        Case(
            "a mask (T_q, T_k): no looking ahead",
            drawn((1, 3, 8), num_heads=2, mask=causal(3)),
            ask=outputs_and_gradients,
        ),
        Case(
            "a mask (batch, 1, 1, T_k): padding",
            drawn((2, 4, 12), num_heads=3, mask=PADDED),
            "one axis of the mask stands for all heads",
            ask=outputs_and_gradients,
        ),
        Case(
            "a mask (batch, 1, T_q, T_k), as many sentences as heads",
            one_mask_a_sentence,
            "the batch must not be taken for the heads",
            ask=outputs_and_gradients,
        ),
        Case(
            "a row that may attend to nothing",
            a_hidden_row,
            "its output is the bias of output_proj, and its gradients are finite",
            ask=outputs_and_gradients,
        ),
        Case("a hidden key with a large score", a_hidden_key_with_a_large_score, ask=outputs_and_gradients),
        Case("two objects at once", drawn((2, 3, 8), num_heads=2), "each has its own weights", ask=two_objects),
        Case(
            "dropout=0.25: what happens to the weights",
            that_shows_its_weights,
            "without dropout every weight is 1/4 here; value and output projections let you see them",
            ask=dropped_weights,
        ),
        Case(
            "dropout=0.5: training and evaluation",
            drawn((2, 3, 8), num_heads=2, dropout=0.5),
            "training drops anew in each call, evaluation never",
            ask=same_and_other_seeds,
        ),
        Case(
            "dropout=0.5, in evaluation",
            drawn((2, 3, 8), num_heads=2, dropout=0.5),
            ask=outputs_in_evaluation,
        ),
        Case(
            "half precision",
            drawn((1, 3, 8), num_heads=2, mask=causal(3), dtype=torch.float16),
            ask=output_alone,
        ),
        Case("single precision", drawn((2, 3, 8), num_heads=2, dtype=torch.float32), ask=output_alone),
        Case("a transposed view", not_contiguous, "not contiguous in memory", ask=output_alone),
        Case(
            "three heads for a width of 4",
            drawn((1, 2, 4), num_heads=3),
            "3 does not divide 4",
            ask=made_alone,
            raises=ValueError,
        ),
    ),
    properties=(
        Property("what the mask hides changes nothing", hidden_tokens_change_nothing),
        Property("the sentences of a batch do not mix", sentences_do_not_mix),
    ),
    misconceptions=WRONG_MODULES,
    alternatives=(Plain, HeadByHead, ByEinsum),
    parameters=("query", "key", "value"),
    hints=(
        "The steps are those of multi_head_attention, in the same order. The weights now sit in four nn.Linear, which "
        "__init__ makes; forward uses them.",
        "A tensor (batch, T, d_model) splits by .view(batch, T, num_heads, d_head).transpose(1, 2) and merges by "
        ".transpose(1, 2).reshape(batch, T, d_model). Hidden scores become -inf by masked_fill, and the row of a query "
        "that sees nothing becomes zero by nan_to_num(0.0) after the softmax. nn.Dropout stands right after that.",
        "weights = self.dropout(scores.masked_fill(~mask, -torch.inf).softmax(dim=-1).nan_to_num(0.0))",
    ),
    forbidden=(
        "torch.nn.MultiheadAttention",
        "torch.nn.functional.multi_head_attention_forward",
        "torch.nn.functional.scaled_dot_product_attention",
    ),
)
