"""MultiHeadAttention: the same in PyTorch, as a module that learns."""

import functools
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception
from clearformer.nn.attention import MultiHeadAttention as reference

PROJECTIONS = ("query_proj", "key_proj", "value_proj", "output_proj")


# What is asked ------------------------------------------------------------------------------------------------


class ModuleCall(Call):
    """A call of a module. The keywords are what a message shows; weights and grad_output stay out of it."""

    def __init__(self, weights, grad_output, **shown):
        super().__init__(**shown)
        self.weights, self.grad_output = weights, grad_output

    def settings(self):
        return {name: self.kwargs[name] for name in ("d_model", "num_heads", "dropout") if name in self.kwargs}

    def inputs(self):
        return [self.kwargs[name] for name in ("query", "key", "value")]

    def mask(self):
        return {"mask": self.kwargs["mask"]} if "mask" in self.kwargs else {}


def made(answer, call, factor=1.0):
    """The answer's module in the dtype of the call's weights, with `factor` times these weights in it."""
    module = answer.make(**call.settings())
    module.to(str(call.grad_output.dtype).removeprefix("torch."))
    module.load({name: factor * weight for name, weight in call.weights.items()})
    return module


def outputs_and_gradients(answer, call, evaluation=False):
    """What most cases compare: the output, and how a loss changes with each input and each parameter."""
    module = made(answer, call)
    if evaluation:
        module.eval()
    output, of_inputs, of_parameters = module.call_with_gradients(call.inputs(), call.grad_output, call.mask())
    names = ("query", "key", "value")
    seen = {f"gradient of {name}": gradient for name, gradient in zip(names, of_inputs, strict=True)}
    return {"output": output} | seen | {f"gradient of {name}": of_parameters[name] for name in call.weights}


def outputs_in_evaluation(answer, call):
    return outputs_and_gradients(answer, call, evaluation=True)


def output_alone(answer, call):
    module = made(answer, call)
    return {"output": module.call(*call.inputs(), **call.mask())}


def made_alone(answer, call):
    answer.make(**call.settings())
    return {}


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


def different_numbers(tensor):
    return np.unique(np.round(tensor.double().numpy(), 6))


def same_and_other_seeds(answer, call):
    module = made(answer, call)

    def with_seed(number):
        answer.seed(number)
        return module.call(*call.inputs())

    first, again, other = with_seed(1), with_seed(1), with_seed(2)
    module.eval()
    quiet, still_quiet = with_seed(1), with_seed(2)
    module.train()
    loud = with_seed(1)
    return {
        "training: the same seed gives the same output": bool(first.equal(again)),
        "training: another seed gives another output": not first.equal(other),
        "evaluation: two calls give the same output": bool(quiet.equal(still_quiet)),
        "training again after evaluation: dropout is back": not loud.equal(quiet),
    }


# Laws ---------------------------------------------------------------------------------------------------------


def hidden_tokens_change_nothing(answer, rng):
    call = drawn((1, 4, 4), num_heads=2, mask=causal(4))(rng)
    module = made(answer, call)
    x = call.kwargs["query"]
    later = x.clone()
    later[:, 2:] += 1.0
    before, after = (module.call(each, each, each, **call.mask())[:, :2] for each in (x, later))
    gap = float((before - after).abs().max())
    return None if gap < 1e-9 else f"changing tokens 2 and 3 moved the output of tokens 0 and 1 by {gap:.2g}"


def sentences_do_not_mix(answer, rng):
    call = drawn((3, 2, 4), num_heads=2)(rng)
    module = made(answer, call)
    together = module.call(*call.inputs())
    alone = module.call(*(x[1:2] for x in call.inputs()))
    gap = float((together[1:2] - alone).abs().max())
    return None if gap < 1e-9 else f"a sentence alone and in a batch of three differ by {gap:.2g}"


# What is drawn ------------------------------------------------------------------------------------------------


def causal(seq_len):
    return torch.ones(seq_len, seq_len).tril().bool()


def tensor(rng, *shape, size=1.0, dtype=torch.float64):
    return torch.from_numpy(size * rng.normal(size=shape)).to(dtype)


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
            weights[f"{name}.weight"] = tensor(rng, d_model, d_model, size=0.6, dtype=dtype)
            weights[f"{name}.bias"] = tensor(rng, d_model, size=0.6, dtype=dtype)
        more = settings | ({} if mask is None else {"mask": mask})
        grad_output = tensor(rng, *query, dtype=dtype)
        return ModuleCall(weights, grad_output, d_model=d_model, num_heads=num_heads, **inputs, **more)

    return draw


def one_mask_a_sentence(rng):
    mask = torch.tensor([[[1, 0, 1], [1, 1, 0]], [[0, 1, 1], [1, 0, 1]]]).bool()
    return drawn((2, 2, 4), (2, 3, 4), num_heads=2, mask=mask[:, None])(rng)


def a_hidden_row(rng):
    mask = torch.tensor([[1, 0, 1], [0, 0, 0]]).bool()
    return drawn((1, 2, 4), (1, 3, 4), num_heads=2, mask=mask)(rng)


def a_hidden_key_with_a_large_score(rng):
    call = drawn((1, 2, 4), (1, 3, 4), num_heads=2, mask=torch.tensor([1, 1, 0]).bool().expand(2, 3))(rng)
    call.kwargs["key"][:, 2] *= 1000.0
    return call


def not_contiguous(rng):
    call = drawn((2, 3, 4), num_heads=2)(rng)
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


# Wrong answers ------------------------------------------------------------------------------------------------


class Plain(nn.Module):
    """The plain right answer, in parts that a wrong answer replaces."""

    def __init__(self, d_model, num_heads, dropout=0.0):
        super().__init__()
        if d_model % num_heads:
            raise ValueError("num_heads must divide d_model")
        self.d_model, self.num_heads, self.d_head = d_model, num_heads, d_model // num_heads
        self.dropout = dropout
        self.build()

    def build(self):
        for name in PROJECTIONS:
            setattr(self, name, nn.Linear(self.d_model, self.d_model))

    def project(self, query, key, value):
        return self.query_proj(query), self.key_proj(key), self.value_proj(value)

    def split(self, x):
        return x.view(x.shape[0], x.shape[1], self.num_heads, self.d_head).transpose(1, 2)

    def scores(self, query, key):
        return query @ key.transpose(-2, -1) / math.sqrt(self.d_head)

    def weights(self, scores, mask):
        if mask is None:
            return scores.softmax(dim=-1)
        return scores.masked_fill(~mask, -torch.inf).softmax(dim=-1).nan_to_num(0.0)

    def drop(self, weights):
        return F.dropout(weights, self.dropout, self.training)

    def merge(self, heads):
        return heads.transpose(1, 2).reshape(heads.shape[0], heads.shape[2], self.d_model)

    def finish(self, merged):
        return self.output_proj(merged)

    def forward(self, query, key, value, mask=None):
        query, key, value = (self.split(x) for x in self.project(query, key, value))
        weights = self.drop(self.weights(self.scores(query, key), mask))
        return self.finish(self.merge(weights @ value))


class ViewedWithoutTranspose(Plain):
    def split(self, x):
        return x.view(x.shape[0], self.num_heads, x.shape[1], self.d_head)


class MergedWithoutTranspose(Plain):
    def merge(self, heads):
        return heads.reshape(heads.shape[0], heads.shape[2], self.d_model)


@misconception(
    "view-without-transpose",
    "Your heads hold pieces of the wrong tokens: `view` went straight to (batch, heads, T, d_head). View as "
    "(batch, T, heads, d_head) first, so that each token is cut by itself, then transpose(1, 2).",
)
class ViewWithoutTranspose(ViewedWithoutTranspose):
    pass


@misconception(
    "merged-without-transposing-back",
    "Up to the merging all is right. Then you made (batch, T, d_model) of (batch, heads, T, d_head) at once, so a row "
    "got several tokens of one head. transpose(1, 2) first, then reshape.",
)
class MergedAtOnce(MergedWithoutTranspose):
    pass


@misconception(
    "split-and-merged-without-transpose",
    "You view straight as (batch, heads, T, d_head) and straight back. The shapes fit, but a head now sees pieces of "
    "several tokens as one. Both ways need transpose(1, 2).",
)
class SplitAndMergedAtOnce(ViewedWithoutTranspose, MergedWithoutTranspose):
    pass


@misconception(
    "view-after-transpose",
    "After transpose(1, 2) the numbers of one row do not lie side by side in memory, and `view` refuses to merge them. "
    "Use reshape, which copies where it must, or contiguous() before view.",
)
class ViewAfterTranspose(Plain):
    def merge(self, heads):
        return heads.transpose(1, 2).view(heads.shape[0], heads.shape[2], self.d_model)


@misconception(
    "columns-interleaved",
    "Your head h reads every num_heads-th column. This exercise asks for neighbouring columns: head h reads columns "
    "h·d_head to (h+1)·d_head of each projection.",
)
class ColumnsInterleaved(Plain):
    def split(self, x):
        return x.unflatten(-1, (self.d_head, self.num_heads)).movedim(-1, 1)

    def merge(self, heads):
        return heads.movedim(1, -1).flatten(-2)


@misconception(
    "scaled-by-d-model",
    "You divide the scores by √d_model. A score here is a sum over one head, d_head = d_model / num_heads terms: "
    "divide by √d_head.",
)
class ScaledByDModel(Plain):
    def scores(self, query, key):
        return query @ key.transpose(-2, -1) / math.sqrt(self.d_model)


@misconception("not-scaled", "Your scores are not scaled. Divide them by √d_head before the softmax.")
class NotScaled(Plain):
    def scores(self, query, key):
        return query @ key.transpose(-2, -1)


@misconception(
    "no-output-projection",
    "You made output_proj and do not use it. The merged heads go through it last: it lets the heads mix.",
)
class NoOutputProjection(Plain):
    def finish(self, merged):
        return merged


@misconception(
    "same-projection-for-key-and-value",
    "Your values go through key_proj. What a token is found by and what it hands over are two things: the values "
    "go through value_proj.",
)
class SameProjectionForKeyAndValue(Plain):
    def project(self, query, key, value):
        return self.query_proj(query), self.key_proj(key), self.key_proj(value)


@misconception(
    "query-and-key-projections-swapped",
    "You swapped query_proj and key_proj. query goes through query_proj, key through key_proj.",
)
class QueryAndKeyProjectionsSwapped(Plain):
    def project(self, query, key, value):
        return self.key_proj(query), self.query_proj(key), self.value_proj(value)


@misconception(
    "key-and-value-swapped",
    "You swapped the inputs key and value: key goes through key_proj into the scores, value through value_proj "
    "into the mixture. While both are the same tensor, nobody notices.",
)
class KeyAndValueSwapped(Plain):
    def project(self, query, key, value):
        return self.query_proj(query), self.key_proj(value), self.value_proj(key)


@misconception(
    "attends-to-itself-only",
    "You project query three times. Keys come from the input key and values from the input value; only in "
    "self-attention are they the same tensor.",
)
class AttendsToItselfOnly(Plain):
    def project(self, query, key, value):
        return self.query_proj(query), self.key_proj(query), self.value_proj(query)


@misconception(
    "softmax-over-queries",
    "Your softmax ran over the queries: each key's weights sum to 1. Each query has a sum of 1 to hand out, over the "
    "keys: dim=-1.",
)
class SoftmaxOverQueries(Plain):
    def weights(self, scores, mask):
        hidden = scores if mask is None else scores.masked_fill(~mask, -torch.inf)
        return hidden.softmax(dim=-2).nan_to_num(0.0)


@misconception(
    "softmax-over-heads",
    "Your softmax ran over the heads: dim=1 is the heads axis now. The keys are the last axis, dim=-1.",
)
class SoftmaxOverHeads(Plain):
    def weights(self, scores, mask):
        hidden = scores if mask is None else scores.masked_fill(~mask, -torch.inf)
        return hidden.softmax(dim=1).nan_to_num(0.0)


@misconception("mask-inverted", "You hide what may be seen. In this course True means: may be attended.")
class MaskInverted(Plain):
    def weights(self, scores, mask):
        return super().weights(scores, None if mask is None else ~mask)


@misconception(
    "mask-ignored",
    "Your result does not change with the mask. Set the scores of hidden keys to −inf before the softmax.",
)
class MaskIgnored(Plain):
    def weights(self, scores, mask):
        return super().weights(scores, None)


@misconception(
    "masked-after-the-softmax",
    "You set hidden weights to 0 after the softmax. The hidden keys have had their share by then, and what is left "
    "of a row sums to less than 1. Hide the scores before the softmax.",
)
class MaskedAfterTheSoftmax(Plain):
    def weights(self, scores, mask):
        weights = super().weights(scores, None)
        return weights if mask is None else weights.masked_fill(~mask, 0.0)


@misconception(
    "finite-stand-in-for-minus-infinity",
    "You hide scores with a large negative number. A query that may attend to nothing then looks at all keys alike, "
    "and in half precision −1e9 does not exist. Use −inf, and set the row of such a query to zero.",
)
class FiniteStandIn(Plain):
    def weights(self, scores, mask):
        return (scores if mask is None else scores.masked_fill(~mask, -1e9)).softmax(dim=-1)


@misconception(
    "nan-in-a-hidden-row",
    "A query that may attend to nothing gets NaN: the softmax of a row of −inf is 0/0. Its weights have to be zero, so "
    "that its output is the bias of output_proj: nan_to_num(0.0) after the softmax does it.",
)
class NanInAHiddenRow(Plain):
    def weights(self, scores, mask):
        return (scores if mask is None else scores.masked_fill(~mask, -torch.inf)).softmax(dim=-1)


@misconception(
    "nan-in-the-gradients",
    "Your outputs are right, but a query that may attend to nothing has NaN gradients, and they spread to every "
    "parameter: you added −inf to the scores, and the NaN of 0/0 flows back through the sum. masked_fill(~mask, −inf) "
    "stops it: hidden scores get gradient 0.",
)
class NanInTheGradients(Plain):
    def weights(self, scores, mask):
        if mask is not None:
            scores = scores + torch.zeros_like(mask, dtype=scores.dtype).masked_fill(~mask, -torch.inf)
        return scores.softmax(dim=-1).nan_to_num(0.0)


@misconception(
    "hidden-row-without-the-bias",
    "You set the row of a query that may attend to nothing to zero after the output projection. This exercise asks for "
    "zeros before it, so that such a row is the bias of output_proj.",
)
class HiddenRowWithoutTheBias(Plain):
    def forward(self, query, key, value, mask=None):
        output = super().forward(query, key, value, mask)
        if mask is None:
            return output
        has_key = mask.any(dim=-1, keepdim=True)
        return output.masked_fill(~(has_key[:, 0] if mask.ndim == 4 else has_key), 0.0)


@misconception(
    "heads-axis-added-to-every-mask",
    "You give the mask one more axis, always. This exercise asks for masks that already fit (batch, heads, T_q, T_k) "
    "as torch lines shapes up: (T_q, T_k) and (batch, 1, T_q, T_k) both do. Use the mask as it is.",
)
class HeadsAxisAdded(Plain):
    def weights(self, scores, mask):
        return super().weights(scores, None if mask is None else mask.unsqueeze(1))


@misconception(
    "mask-without-heads-axis",
    "You took the heads axis out of the mask. Without it, (batch, T_q, T_k) lines up its batch with the heads of the "
    "scores, (batch, heads, T_q, T_k). Leave the axis of length 1 where it is: it serves every head.",
)
class MaskWithoutHeadsAxis(Plain):
    def weights(self, scores, mask):
        return super().weights(scores, mask[:, 0] if mask is not None and mask.ndim == 4 else mask)


@misconception(
    "batch-second",
    "You read the first axis as the tokens and the second as the batch, as nn.MultiheadAttention does unless told "
    "batch_first=True. In this course the batch comes first: (batch, T, d_model).",
)
class BatchSecond(Plain):
    def forward(self, query, key, value, mask=None):
        turned = (x.transpose(0, 1) for x in (query, key, value))
        return super().forward(*turned, mask).transpose(0, 1)


@misconception(
    "dropout-left-out",
    "dropout makes no difference in your module. In training, a share `dropout` of the attention weights is set to "
    "zero: nn.Dropout on the weights, after the softmax.",
)
class DropoutLeftOut(Plain):
    def drop(self, weights):
        return weights


@misconception(
    "dropout-on-the-output",
    "You drop single numbers of the merged heads or of the output. This exercise asks for dropout on the attention "
    "weights, after the softmax and before they meet the values: then a query misses a whole key.",
)
class DropoutOnTheOutput(DropoutLeftOut.implementation):
    def finish(self, merged):
        return F.dropout(self.output_proj(merged), self.dropout, self.training)


@misconception(
    "dropout-on-the-values",
    "You drop numbers of the values, the same for all queries. This exercise asks for dropout on the attention "
    "weights, after the softmax: each query misses keys of its own.",
)
class DropoutOnTheValues(DropoutLeftOut.implementation):
    def project(self, query, key, value):
        query, key, value = super().project(query, key, value)
        return query, key, F.dropout(value, self.dropout, self.training)


@misconception(
    "dropout-on-the-scores",
    "You drop scores before the softmax. A score of zero is still a score: its key keeps its weight. Drop the weights, "
    "after the softmax.",
)
class DropoutOnTheScores(DropoutLeftOut.implementation):
    def scores(self, query, key):
        return F.dropout(super().scores(query, key), self.dropout, self.training)


@misconception(
    "dropout-in-evaluation-too",
    "Your module drops weights in evaluation too. F.dropout does that unless it gets training=self.training, and so "
    "does an nn.Dropout that forward makes anew each time. Make nn.Dropout once in __init__: eval() then switches it "
    "off.",
)
class DropoutInEvaluationToo(Plain):
    def drop(self, weights):
        return F.dropout(weights, self.dropout)


@misconception(
    "dropout-not-scaled-up",
    "The weights you keep stay as they are, so a row sums to less than 1 on average, and training and evaluation "
    "differ in size. The kept ones are divided by 1 − dropout; nn.Dropout does that.",
)
class DropoutNotScaledUp(Plain):
    def drop(self, weights):
        return super().drop(weights) * (1 - self.dropout) if self.training else weights


@misconception(
    "dropout-is-the-share-kept",
    "You keep the share `dropout` and drop the rest. dropout=0.25 drops a quarter of the weights.",
)
class DropoutIsTheShareKept(Plain):
    def drop(self, weights):
        return F.dropout(weights, 1 - self.dropout if self.dropout else 0.0, self.training)


@misconception(
    "biases-left-out",
    "Your projections have no bias. This exercise asks for nn.Linear(d_model, d_model) with its bias, all four.",
)
class BiasesLeftOut(Plain):
    def build(self):
        for name in PROJECTIONS:
            setattr(self, name, nn.Linear(self.d_model, self.d_model, bias=False))


@misconception(
    "named-w-q",
    "Your projections have other names. So that anybody's weights can be loaded, this exercise asks for the attributes "
    "query_proj, key_proj, value_proj and output_proj.",
)
class NamedWQ(Plain):
    def build(self):
        self.w_q, self.w_k, self.w_v, self.w_o = (nn.Linear(self.d_model, self.d_model) for _ in PROJECTIONS)


@misconception(
    "named-q-proj",
    "Your projections have short names. So that anybody's weights can be loaded, this exercise asks for the attributes "
    "query_proj, key_proj, value_proj and output_proj, written out.",
)
class NamedQProj(Plain):
    def build(self):
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (
            nn.Linear(self.d_model, self.d_model) for _ in PROJECTIONS
        )


@misconception(
    "one-layer-for-all",
    "Two or more of your projections are the same nn.Linear object, so they share their weights. Make a new "
    "nn.Linear for each of the four.",
)
class OneLayerForAll(Plain):
    def build(self):
        self.query_proj = self.key_proj = self.value_proj = nn.Linear(self.d_model, self.d_model)
        self.output_proj = nn.Linear(self.d_model, self.d_model)


@misconception(
    "projections-of-one-head",
    "Your projections are d_head wide, enough for one head. All heads share one wide matrix: nn.Linear(d_model, "
    "d_model), which you split afterwards.",
)
class ProjectionsOfOneHead(Plain):
    def build(self):
        self.query_proj, self.key_proj, self.value_proj = (nn.Linear(self.d_model, self.d_head) for _ in range(3))
        self.output_proj = nn.Linear(self.d_model, self.d_model)


@misconception(
    "kept-in-a-plain-list",
    "Your module has no parameters that torch knows of: layers in a plain Python list or dict are not registered. Give "
    "each its attribute: self.query_proj = nn.Linear(d_model, d_model).",
)
class KeptInAPlainList(Plain):
    def build(self):
        self.layers = {name: nn.Linear(self.d_model, self.d_model) for name in PROJECTIONS}


@misconception(
    "super-init-forgotten",
    "nn.Module has to be set up before anything is assigned: call super().__init__() as the first line of __init__.",
)
class SuperInitForgotten(nn.Module):
    def __init__(self, d_model, num_heads, dropout=0.0):
        if d_model % num_heads:
            raise ValueError("num_heads must divide d_model")
        self.query_proj = nn.Linear(d_model, d_model)


@functools.cache
def _one_layer(name, d_model):
    return nn.Linear(d_model, d_model)


@misconception(
    "shared-between-objects",
    "Two modules that you make hold the same layers: weights loaded into the second changed the first. Make new "
    "nn.Linear objects in __init__, each time.",
)
class SharedBetweenObjects(Plain):
    def build(self):
        for name in PROJECTIONS:
            setattr(self, name, _one_layer(name, self.d_model).double())


@misconception(
    "gradient-cut-off",
    "Your outputs are right, but no gradient reaches query and key: the weights are cut off (detach, .data, no_grad "
    "or a detour by NumPy). Without it query_proj and key_proj never learn.",
)
class GradientCutOff(Plain):
    def weights(self, scores, mask):
        return super().weights(scores, mask).detach()


@misconception(
    "weights-returned-too",
    "You return output and weights. This exercise asks for the output alone.",
)
class WeightsReturnedToo(Plain):
    def forward(self, query, key, value, mask=None):
        return super().forward(query, key, value, mask), None


@misconception(
    "rest-thrown-away",
    "When num_heads does not divide d_model, nobody is told until something does not fit. This exercise asks for a "
    "ValueError when the module is made.",
)
class RestThrownAway(Plain):
    def __init__(self, d_model, num_heads, dropout=0.0):
        super().__init__(d_model, 1, dropout)
        self.num_heads, self.d_head = num_heads, d_model // num_heads


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
        Case("two heads, three tokens", drawn((1, 3, 4), num_heads=2), ask=outputs_and_gradients),
        Case(
            "query, key and value are three tensors, T_q ≠ T_k",
            drawn((2, 2, 6), (2, 4, 6), num_heads=3),
            ask=outputs_and_gradients,
        ),
        Case(
            "batch, heads and tokens alike",
            drawn((2, 2, 4), (2, 2, 4), num_heads=2),
            "shapes fit that should not",
            ask=outputs_and_gradients,
        ),
        Case(
            "a mask (T_q, T_k): no looking ahead",
            drawn((1, 3, 4), num_heads=2, mask=causal(3)),
            ask=outputs_and_gradients,
        ),
        Case(
            "a mask (batch, 1, 1, T_k): padding",
            drawn((2, 4, 6), num_heads=3, mask=PADDED),
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
        Case("two objects at once", drawn((2, 3, 4), num_heads=2), "each has its own weights", ask=two_objects),
        Case(
            "dropout=0.25: what happens to the weights",
            that_shows_its_weights,
            "without dropout every weight is 1/4 here; value and output projections let you see them",
            ask=dropped_weights,
        ),
        Case(
            "dropout=0.5: training and evaluation",
            drawn((2, 3, 4), num_heads=2, dropout=0.5),
            "training drops anew in each call, evaluation never",
            ask=same_and_other_seeds,
        ),
        Case(
            "dropout=0.5, in evaluation",
            drawn((2, 3, 4), num_heads=2, dropout=0.5),
            ask=outputs_in_evaluation,
        ),
        Case(
            "half precision",
            drawn((1, 3, 4), num_heads=2, mask=causal(3), dtype=torch.float16),
            ask=output_alone,
        ),
        Case("single precision", drawn((2, 3, 4), num_heads=2, dtype=torch.float32), ask=output_alone),
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
    misconceptions=(
        ViewWithoutTranspose,
        MergedAtOnce,
        SplitAndMergedAtOnce,
        ViewAfterTranspose,
        ColumnsInterleaved,
        ScaledByDModel,
        NotScaled,
        NoOutputProjection,
        SameProjectionForKeyAndValue,
        QueryAndKeyProjectionsSwapped,
        KeyAndValueSwapped,
        AttendsToItselfOnly,
        SoftmaxOverQueries,
        SoftmaxOverHeads,
        MaskInverted,
        MaskIgnored,
        MaskedAfterTheSoftmax,
        FiniteStandIn,
        NanInAHiddenRow,
        NanInTheGradients,
        HiddenRowWithoutTheBias,
        HeadsAxisAdded,
        MaskWithoutHeadsAxis,
        BatchSecond,
        DropoutLeftOut,
        DropoutOnTheOutput,
        DropoutOnTheValues,
        DropoutOnTheScores,
        DropoutInEvaluationToo,
        DropoutNotScaledUp,
        DropoutIsTheShareKept,
        BiasesLeftOut,
        NamedWQ,
        NamedQProj,
        OneLayerForAll,
        ProjectionsOfOneHead,
        KeptInAPlainList,
        SuperInitForgotten,
        SharedBetweenObjects,
        GradientCutOff,
        WeightsReturnedToo,
        RestThrownAway,
    ),
    alternatives=(Plain, HeadByHead, ByEinsum),
    hints=(
        "The steps are those of multi_head_attention, in the same order. The weights now sit in four nn.Linear, which "
        "__init__ makes; forward uses them.",
        "A tensor (batch, T, d_model) splits by .view(batch, T, num_heads, d_head).transpose(1, 2) and merges by "
        ".transpose(1, 2).reshape(batch, T, d_model). Hidden scores become -inf by masked_fill, and the row of a query "
        "that sees nothing becomes zero by nan_to_num(0.0) after the softmax. nn.Dropout stands right after that.",
        "weights = self.dropout(scores.masked_fill(~mask, -torch.inf).softmax(dim=-1).nan_to_num(0.0))",
    ),
    library=(
        "torch.nn.MultiheadAttention",
        "torch.nn.functional.multi_head_attention_forward",
        "torch.nn.functional.scaled_dot_product_attention",
    ),
)
