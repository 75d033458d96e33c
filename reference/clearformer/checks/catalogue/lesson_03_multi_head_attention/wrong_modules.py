"""What people write for MultiHeadAttention that is wrong: the plain right module, with one part replaced."""

import functools
import math

import torch
import torch.nn.functional as F
from torch import nn

from clearformer.checks.exercise import misconception

PROJECTIONS = ("query_proj", "key_proj", "value_proj", "output_proj")


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


@misconception(
    "scaled-by-d-head",
    "You divide the scores by d_head, or by √d_head twice. Divide by √d_head once.",
)
class ScaledByDHead(Plain):
    def scores(self, query, key):
        return query @ key.transpose(-2, -1) / self.d_head


@misconception(
    "not-transposed",
    "Each token is cut rightly, into (batch, T, heads, d_head). What is missing is transpose(1, 2): attention works on "
    "the last two axes, so these have to be T and d_head.",
)
class NotTransposed(Plain):
    def split(self, x):
        return x.view(x.shape[0], x.shape[1], self.num_heads, self.d_head)


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
    "nan-removed-after-the-mix",
    "Your outputs are right, but by then the NaN weights have met the values, and the gradient of value is NaN. "
    "nan_to_num(0.0) belongs right after the softmax.",
)
class NanRemovedAfterTheMix(Plain):
    def weights(self, scores, mask):
        return (scores if mask is None else scores.masked_fill(~mask, -torch.inf)).softmax(dim=-1)

    def merge(self, heads):
        return super().merge(heads.nan_to_num(0.0))


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


WRONG_MODULES = (
    ViewWithoutTranspose,
    MergedAtOnce,
    SplitAndMergedAtOnce,
    ViewAfterTranspose,
    ColumnsInterleaved,
    ScaledByDModel,
    ScaledByDHead,
    NotTransposed,
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
    NanRemovedAfterTheMix,
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
)
