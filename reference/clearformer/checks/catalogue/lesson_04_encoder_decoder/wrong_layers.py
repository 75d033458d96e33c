"""What people write for EncoderLayer and DecoderLayer that is wrong: the plain right layer, with one part replaced."""

import torch
import torch.nn.functional as F
from torch import nn

from clearformer.checks.catalogue.lesson_04_encoder_decoder.feed_forward import Plain as FeedForward
from clearformer.checks.exercise import misconception
from clearformer.nn.attention import MultiHeadAttention


class Plain(nn.Module):
    """What both layers have in common, in parts that a wrong answer replaces."""

    attentions = ("self_attention",)

    def __init__(self, d_model, num_heads, d_ff, dropout=0.0):
        super().__init__()
        self.d_model, self.dropout = d_model, dropout
        for name in self.attentions:
            setattr(self, name, self.attention(num_heads))
        self.feed_forward = FeedForward(d_model, d_ff, dropout)
        for number in range(len(self.attentions) + 1):
            setattr(self, f"norm{number + 1}", self.norm())

    def attention(self, num_heads):
        return MultiHeadAttention(self.d_model, num_heads)

    def norm(self):
        return nn.LayerNorm(self.d_model)

    def drop(self, x):
        return F.dropout(x, self.dropout, self.training)

    def add(self, x, change, norm):
        return norm(x + self.drop(change))

    def attend(self, x, mask):
        return self.self_attention(x, x, x, mask)


class PlainEncoder(Plain):
    def forward(self, x, mask=None):
        x = self.add(x, self.attend(x, mask), self.norm1)
        return self.add(x, self.feed_forward(x), self.norm2)


class PlainDecoder(Plain):
    attentions = ("self_attention", "cross_attention")

    def cross(self, x, memory, mask):
        return self.cross_attention(x, memory, memory, mask)

    def forward(self, x, memory, target_mask=None, memory_mask=None):
        x = self.add(x, self.attend(x, target_mask), self.norm1)
        x = self.add(x, self.cross(x, memory, memory_mask), self.norm2)
        return self.add(x, self.feed_forward(x), self.norm3)


# Mistakes that are made in both layers -----------------------------------------------------------------------------


class NoResidual(Plain):
    def add(self, x, change, norm):
        return norm(self.drop(change))


class NormBeforeTheSum(Plain):
    def add(self, x, change, norm):
        return x + norm(self.drop(change))


class NoNorm(Plain):
    def add(self, x, change, norm):
        return x + self.drop(change)


class OneNorm(Plain):
    def add(self, x, change, norm):
        return super().add(x, change, self.norm1)


class OtherEpsilon(Plain):
    def norm(self):
        return nn.LayerNorm(self.d_model, eps=1e-6)


class NormByHand(nn.LayerNorm):
    def forward(self, x):
        deviation = x.std(dim=-1, keepdim=True)  # unbiased
        return self.weight * (x - x.mean(dim=-1, keepdim=True)) / (deviation + self.eps) + self.bias


class UnbiasedDeviation(Plain):
    def norm(self):
        return NormByHand(self.d_model)


class NormWithoutGain(Plain):
    def norm(self):
        return nn.LayerNorm(self.d_model, elementwise_affine=False)


class NoDropout(Plain):
    def drop(self, x):
        return x


class DropoutOnTheSum(Plain):
    def add(self, x, change, norm):
        return norm(self.drop(x + change))


class DropoutAfterTheNorm(Plain):
    def add(self, x, change, norm):
        return self.drop(norm(x + change))


class DropoutInEvaluationToo(Plain):
    def drop(self, x):
        return F.dropout(x, self.dropout)


class NoDropoutInside(Plain):
    def __init__(self, d_model, num_heads, d_ff, dropout=0.0):
        super().__init__(d_model, num_heads, d_ff, dropout)
        self.feed_forward.dropout = 0.0


class NoDropoutAtAll(NoDropout, NoDropoutInside):
    pass


class OneHead(Plain):
    def attention(self, num_heads):
        return MultiHeadAttention(self.d_model, 1)


class ResidualCutOff(Plain):
    def add(self, x, change, norm):
        return norm(x.detach() + self.drop(change))


class NormsInOneObject(Plain):
    def __init__(self, d_model, num_heads, d_ff, dropout=0.0):
        super().__init__(d_model, num_heads, d_ff, dropout)
        for number in range(len(self.attentions)):
            setattr(self, f"norm{number + 2}", self.norm1)


class ChangesItsInput(Plain):
    def add(self, x, change, norm):
        x += self.drop(change)
        return norm(x)


class MaskIgnored(Plain):
    def attend(self, x, mask):
        return super().attend(x, None)


class MaskInverted(Plain):
    def attend(self, x, mask):
        return super().attend(x, None if mask is None else ~mask)


class BatchSecond(Plain):
    def attend(self, x, mask):
        return super().attend(x.transpose(0, 1), mask).transpose(0, 1)


COMMON = (
    (
        NoResidual,
        "no-residual",
        "Each sublayer's output replaces the token instead of being added to it. The layer computes norm(x + "
        "sublayer(x)): the sum lets information and gradients pass by.",
    ),
    (
        NormBeforeTheSum,
        "norm-before-the-sum",
        "You normalise the sublayer's output and then add x. In the layer of 2017 the sum comes first: norm(x + "
        "sublayer(x)).",
    ),
    (
        NoNorm,
        "no-norm",
        "You add each sublayer's output to x, and there it ends. A norm follows each sum: norm(x + sublayer(x)).",
    ),
    (
        OneNorm,
        "one-norm-for-all",
        "You use norm1 after every sublayer. Each has a norm of its own, with its own weights: norm1, norm2, in this "
        "order.",
    ),
    (
        OtherEpsilon,
        "another-epsilon",
        "Your norms use another ε. It shows where a token's numbers lie close together. This exercise asks for "
        "nn.LayerNorm with its default, 1e-5.",
    ),
    (
        UnbiasedDeviation,
        "unbiased-deviation",
        "Your norm divides by x.std() + ε, as some tutorials do. x.std() divides by d_model − 1, and ε belongs inside "
        "the root. This exercise asks for nn.LayerNorm.",
    ),
    (
        NormWithoutGain,
        "norm-without-weights",
        "Your norms have no weight and no bias. This exercise asks for nn.LayerNorm(d_model) as it comes.",
    ),
    (
        NoDropout,
        "dropout-inside-only",
        "You drop inside the feed-forward only. Each sublayer's output is dropped too, before it is added to x.",
    ),
    (
        NoDropoutInside,
        "dropout-not-handed-on",
        "Your FeedForward drops nothing. It has a dropout of its own, after the ReLU: hand it on, FeedForward(d_model, "
        "d_ff, dropout).",
    ),
    (
        NoDropoutAtAll,
        "dropout-left-out",
        "dropout makes no difference in your layer. It acts on each sublayer's output, before the sum, and inside the "
        "feed-forward, after the ReLU.",
    ),
    (
        DropoutOnTheSum,
        "dropout-on-the-sum",
        "You drop numbers of the sum, x included. The way past the sublayer stays whole: norm(x + "
        "dropout(sublayer(x))).",
    ),
    (
        DropoutAfterTheNorm,
        "dropout-after-the-norm",
        "You drop after the norm, so that tokens lose numbers for good. The sublayer's output is dropped, before it is "
        "added: norm(x + dropout(sublayer(x))).",
    ),
    (
        DropoutInEvaluationToo,
        "dropout-in-evaluation-too",
        "Your layer drops in evaluation too. Make nn.Dropout once in __init__: eval() then switches it off. F.dropout "
        "needs training=self.training.",
    ),
    (
        OneHead,
        "one-head",
        "Your attention always has one head. Hand num_heads on: MultiHeadAttention(d_model, num_heads).",
    ),
    (
        ResidualCutOff,
        "residual-cut-off",
        "Your outputs are right, but no gradient flows along the residual connection: x was cut off (detach, .data or "
        "a copy). Easing that flow is what the connection is for. Add x itself.",
    ),
    (
        NormsInOneObject,
        "norms-are-one-object",
        "Your norms are the same nn.LayerNorm object, so they share their weights. Make a new one for each sublayer.",
    ),
    (
        ChangesItsInput,
        "changes-its-input",
        "`x += …` works on the caller's tensor, which autograd does not allow for an input and nobody else expects. "
        "Write x = x + … instead.",
    ),
)


def misconceptions_of(layer, only):
    """The common ones for `layer`, with those in `only` (which are classes already) after them."""
    common = [misconception(slug, says)(type(part.__name__, (part, layer), {})) for part, slug, says in COMMON]
    return (*common, *only)


# Mistakes of the encoder layer ---------------------------------------------------------------------------------------


@misconception(
    "pre-norm",
    "You normalise before each sublayer: x + sublayer(norm(x)). That is pre-norm, which came later; lesson 07 compares "
    "the two. This exercise asks for the layer of 2017, norm(x + sublayer(x)).",
)
class PreNormEncoder(PlainEncoder):
    def forward(self, x, mask=None):
        x = x + self.drop(self.attend(self.norm1(x), mask))
        return x + self.drop(self.feed_forward(self.norm2(x)))


@misconception(
    "no-residual-around-attention",
    "The attention's output replaces x. Add it: norm1(x + attention(x)).",
)
class NoResidualAroundAttention(PlainEncoder):
    def forward(self, x, mask=None):
        x = self.norm1(self.drop(self.attend(x, mask)))
        return self.add(x, self.feed_forward(x), self.norm2)


@misconception(
    "no-residual-around-feed-forward",
    "The feed-forward's output replaces its input. Add it: norm2(x + feed_forward(x)).",
)
class NoResidualAroundFeedForward(PlainEncoder):
    def forward(self, x, mask=None):
        x = self.add(x, self.attend(x, mask), self.norm1)
        return self.norm2(self.drop(self.feed_forward(x)))


@misconception(
    "adds-the-layers-input-twice",
    "To the feed-forward's output you add the input of the whole layer. What is added is the input of the same "
    "sublayer: the output of norm1.",
)
class AddsTheLayersInputTwice(PlainEncoder):
    def forward(self, x, mask=None):
        attended = self.add(x, self.attend(x, mask), self.norm1)
        return self.add(x, self.feed_forward(attended), self.norm2)


@misconception(
    "attention-and-feed-forward-side-by-side",
    "Your feed-forward reads the layer's input. It comes after the attention and reads the output of norm1.",
)
class SideBySide(PlainEncoder):
    def forward(self, x, mask=None):
        attended = self.add(x, self.attend(x, mask), self.norm1)
        return self.add(attended, self.feed_forward(x), self.norm2)


@misconception(
    "feed-forward-first",
    "Your feed-forward comes before the attention. Attention first, with norm1, then the feed-forward, with norm2.",
)
class FeedForwardFirst(PlainEncoder):
    def forward(self, x, mask=None):
        x = self.add(x, self.feed_forward(x), self.norm1)
        return self.add(x, self.attend(x, mask), self.norm2)


@misconception(
    "norms-swapped",
    "You use norm2 after the attention and norm1 after the feed-forward. It is the other way round.",
)
class NormsSwapped(PlainEncoder):
    def add(self, x, change, norm):
        return super().add(x, change, self.norm2 if norm is self.norm1 else self.norm1)


@misconception(
    "no-norm-in-the-middle",
    "There is no norm between attention and feed-forward. Each sublayer ends with one: norm1 after the attention, "
    "norm2 after the feed-forward.",
)
class NoNormInTheMiddle(PlainEncoder):
    def forward(self, x, mask=None):
        x = x + self.drop(self.attend(x, mask))
        return self.add(x, self.feed_forward(x), self.norm2)


@misconception(
    "no-norm-at-the-end",
    "Your layer ends with a sum. A norm follows the feed-forward too: norm2.",
)
class NoNormAtTheEnd(PlainEncoder):
    def forward(self, x, mask=None):
        x = self.add(x, self.attend(x, mask), self.norm1)
        return x + self.drop(self.feed_forward(x))


@misconception(
    "no-feed-forward",
    "Your layer ends after the attention. The feed-forward comes next, with a residual connection and norm2.",
)
class NoFeedForward(PlainEncoder):
    def forward(self, x, mask=None):
        return self.add(x, self.attend(x, mask), self.norm1)


@misconception("mask-ignored", "Your output does not change with the mask. Hand it on to self_attention.")
class EncoderMaskIgnored(MaskIgnored, PlainEncoder):
    pass


@misconception(
    "mask-inverted",
    "You turn the mask round before you hand it on. It already says what MultiHeadAttention wants to know: True = may "
    "be attended.",
)
class EncoderMaskInverted(MaskInverted, PlainEncoder):
    pass


@misconception(
    "heads-axis-added-to-every-mask",
    "You give the mask one more axis, always. It comes ready: (batch, 1, 1, T) or (T, T). Hand it on as it is.",
)
class HeadsAxisAdded(PlainEncoder):
    def attend(self, x, mask):
        return super().attend(x, None if mask is None else mask.unsqueeze(1))


@misconception(
    "batch-second",
    "Your attention runs over the sentences of the batch: the first axis was taken for the tokens, as "
    "nn.MultiheadAttention does unless told batch_first=True. In this course the batch comes first.",
)
class EncoderBatchSecond(BatchSecond, PlainEncoder):
    pass


@misconception(
    "attention-named-self-attn",
    "Your attention has another name. So that anybody's weights can be loaded, this exercise asks for the attributes "
    "self_attention, feed_forward, norm1 and norm2.",
)
class NamedSelfAttn(PlainEncoder):
    def __init__(self, d_model, num_heads, d_ff, dropout=0.0):
        super().__init__(d_model, num_heads, d_ff, dropout)
        self.self_attn = self.self_attention
        del self.self_attention


@misconception(
    "feed-forward-without-a-module",
    "Your layer holds linear1 and linear2 itself, as nn.TransformerEncoderLayer does. This exercise asks for a "
    "FeedForward in the attribute feed_forward.",
)
class FeedForwardWithoutAModule(PlainEncoder):
    def __init__(self, d_model, num_heads, d_ff, dropout=0.0):
        super().__init__(d_model, num_heads, d_ff, dropout)
        del self.feed_forward
        self.linear1, self.linear2 = nn.Linear(d_model, d_ff), nn.Linear(d_ff, d_model)


@misconception(
    "mask-returned-too",
    "You return the output and the mask, so that layers can be put into an nn.Sequential. This exercise asks for the "
    "output alone.",
)
class MaskReturnedToo(PlainEncoder):
    def forward(self, x, mask=None):
        return super().forward(x, mask), mask


WRONG_ENCODERS = misconceptions_of(
    PlainEncoder,
    (
        PreNormEncoder,
        NoResidualAroundAttention,
        NoResidualAroundFeedForward,
        AddsTheLayersInputTwice,
        SideBySide,
        FeedForwardFirst,
        NormsSwapped,
        NoNormInTheMiddle,
        NoNormAtTheEnd,
        NoFeedForward,
        EncoderMaskIgnored,
        EncoderMaskInverted,
        HeadsAxisAdded,
        EncoderBatchSecond,
        NamedSelfAttn,
        FeedForwardWithoutAModule,
        MaskReturnedToo,
    ),
)

# Mistakes of the decoder layer ---------------------------------------------------------------------------------------


@misconception(
    "pre-norm",
    "You normalise before each sublayer: x + sublayer(norm(x)). That is pre-norm, which came later; lesson 07 compares "
    "the two. This exercise asks for the layer of 2017, norm(x + sublayer(x)).",
)
class PreNormDecoder(PlainDecoder):
    def forward(self, x, memory, target_mask=None, memory_mask=None):
        x = x + self.drop(self.attend(self.norm1(x), target_mask))
        x = x + self.drop(self.cross(self.norm2(x), memory, memory_mask))
        return x + self.drop(self.feed_forward(self.norm3(x)))


@misconception(
    "memory-mask-forgotten",
    "Your cross-attention looks at the padding of the source: memory_mask goes nowhere. A translation then depends on "
    "how long the other sentences of the batch are. Hand memory_mask on to cross_attention.",
)
class MemoryMaskForgotten(PlainDecoder):
    def cross(self, x, memory, mask):
        return super().cross(x, memory, None)


@misconception(
    "target-mask-forgotten",
    "Your self-attention sees the future and the padding: target_mask goes nowhere. Hand it on to self_attention.",
)
class TargetMaskForgotten(MaskIgnored, PlainDecoder):
    pass


@misconception(
    "both-masks-forgotten",
    "Your output does not change with the masks. target_mask belongs to self_attention, memory_mask to "
    "cross_attention.",
)
class BothMasksForgotten(TargetMaskForgotten.implementation, MemoryMaskForgotten.implementation):
    pass


@misconception(
    "masks-swapped",
    "You gave each attention the other's mask. target_mask says which target tokens may be seen: self_attention. "
    "memory_mask says the same of the source: cross_attention.",
)
class MasksSwapped(PlainDecoder):
    def forward(self, x, memory, target_mask=None, memory_mask=None):
        return super().forward(x, memory, memory_mask, target_mask)


@misconception(
    "target-mask-in-both",
    "Both your attentions use target_mask. The keys of cross_attention are the source's tokens: their mask is "
    "memory_mask.",
)
class TargetMaskInBoth(PlainDecoder):
    def forward(self, x, memory, target_mask=None, memory_mask=None):
        return super().forward(x, memory, target_mask, target_mask)


@misconception(
    "memory-mask-in-both",
    "Both your attentions use memory_mask. The keys of self_attention are the target's own tokens: their mask is "
    "target_mask.",
)
class MemoryMaskInBoth(PlainDecoder):
    def forward(self, x, memory, target_mask=None, memory_mask=None):
        return super().forward(x, memory, memory_mask, memory_mask)


@misconception(
    "masks-inverted",
    "You turn the masks round before you hand them on. They already say what MultiHeadAttention wants to know: True = "
    "may be attended.",
)
class MasksInverted(PlainDecoder):
    def forward(self, x, memory, target_mask=None, memory_mask=None):
        turned = (None if mask is None else ~mask for mask in (target_mask, memory_mask))
        return super().forward(x, memory, *turned)


@misconception(
    "its-own-causal-mask",
    "You hide the future even where no mask is given. The layer does what target_mask says, and hides nothing where it "
    "is None: the caller makes the mask, with decoder_mask.",
)
class ItsOwnCausalMask(PlainDecoder):
    def attend(self, x, mask):
        no_future = torch.ones(x.shape[1], x.shape[1]).tril().bool()
        return super().attend(x, no_future if mask is None else mask & no_future)


@misconception(
    "causal-mask-in-cross-attention",
    "You hide the source's later tokens from the target's earlier ones. The whole source is known: cross-attention "
    "sees all of it but the padding.",
)
class CausalMaskInCrossAttention(PlainDecoder):
    def cross(self, x, memory, mask):
        no_future = torch.ones(x.shape[1], memory.shape[1]).tril().bool()
        return super().cross(x, memory, no_future if mask is None else mask & no_future)


@misconception(
    "memory-asks",
    "In your cross-attention the memory asks and the target is looked at. It is the target that asks: x is the query, "
    "memory is key and value.",
)
class MemoryAsks(PlainDecoder):
    def cross(self, x, memory, mask):
        return self.cross_attention(memory, x, x, mask)


@misconception(
    "memory-never-looked-at",
    "Your cross-attention looks at the target again, so the source makes no difference. memory is its key and value.",
)
class MemoryNeverLookedAt(PlainDecoder):
    def cross(self, x, memory, mask):
        return self.cross_attention(x, x, x, mask if mask is None or mask.shape[-1] == x.shape[1] else None)


@misconception(
    "values-from-the-target",
    "Your cross-attention takes its keys from memory and its values from x. What a token is found by and what it hands "
    "over both come from the source.",
)
class ValuesFromTheTarget(PlainDecoder):
    def cross(self, x, memory, mask):
        return self.cross_attention(x, memory, x, mask)


@misconception(
    "cross-attention-first",
    "You look at the source first and at the target second. self_attention comes first, with norm1, then "
    "cross_attention, with norm2.",
)
class CrossAttentionFirst(PlainDecoder):
    def forward(self, x, memory, target_mask=None, memory_mask=None):
        x = self.add(x, self.cross(x, memory, memory_mask), self.norm1)
        x = self.add(x, self.attend(x, target_mask), self.norm2)
        return self.add(x, self.feed_forward(x), self.norm3)


@misconception(
    "one-attention-for-both",
    "You call self_attention twice, the second time for the source. Cross-attention has weights of its own: "
    "cross_attention.",
)
class OneAttentionForBoth(PlainDecoder):
    def cross(self, x, memory, mask):
        return self.self_attention(x, memory, memory, mask)


@misconception(
    "no-cross-attention",
    "Your layer never looks at memory. Between self-attention and feed-forward comes cross_attention, with norm2.",
)
class NoCrossAttention(PlainDecoder):
    def forward(self, x, memory, target_mask=None, memory_mask=None):
        x = self.add(x, self.attend(x, target_mask), self.norm1)
        return self.add(x, self.feed_forward(x), self.norm3)


@misconception(
    "queries-from-the-layers-input",
    "The queries of your cross-attention are the input of the layer, as it was before self-attention. They are the "
    "output of norm1.",
)
class QueriesFromTheLayersInput(PlainDecoder):
    def forward(self, x, memory, target_mask=None, memory_mask=None):
        attended = self.add(x, self.attend(x, target_mask), self.norm1)
        attended = self.add(attended, self.cross(x, memory, memory_mask), self.norm2)
        return self.add(attended, self.feed_forward(attended), self.norm3)


@misconception(
    "adds-the-layers-input-each-time",
    "After each sublayer you add the input of the whole layer. What is added is the input of the same sublayer.",
)
class AddsTheLayersInputEachTime(PlainDecoder):
    def forward(self, x, memory, target_mask=None, memory_mask=None):
        attended = self.add(x, self.attend(x, target_mask), self.norm1)
        crossed = self.add(x, self.cross(attended, memory, memory_mask), self.norm2)
        return self.add(x, self.feed_forward(crossed), self.norm3)


@misconception(
    "no-residual-around-cross-attention",
    "The output of your cross-attention replaces the token, and what the token knew of its own sentence is lost. Add "
    "it: norm2(x + cross_attention(x, memory, memory)).",
)
class NoResidualAroundCrossAttention(PlainDecoder):
    def forward(self, x, memory, target_mask=None, memory_mask=None):
        x = self.add(x, self.attend(x, target_mask), self.norm1)
        x = self.norm2(self.drop(self.cross(x, memory, memory_mask)))
        return self.add(x, self.feed_forward(x), self.norm3)


@misconception(
    "both-attentions-side-by-side",
    "You add up the outputs of both attentions and normalise once. They come one after the other, each with its own "
    "residual connection and norm.",
)
class BothAttentionsSideBySide(PlainDecoder):
    def forward(self, x, memory, target_mask=None, memory_mask=None):
        x = self.add(x, self.attend(x, target_mask) + self.cross(x, memory, memory_mask), self.norm1)
        return self.add(x, self.feed_forward(x), self.norm3)


@misconception(
    "last-norms-swapped",
    "You use norm3 after cross-attention and norm2 after the feed-forward. The norms are used in their order.",
)
class LastNormsSwapped(PlainDecoder):
    def add(self, x, change, norm):
        return super().add(x, change, {self.norm2: self.norm3, self.norm3: self.norm2}.get(norm, norm))


@misconception(
    "no-norm-after-cross-attention",
    "There is no norm after your cross-attention. Each of the three sublayers ends with one.",
)
class NoNormAfterCrossAttention(PlainDecoder):
    def forward(self, x, memory, target_mask=None, memory_mask=None):
        x = self.add(x, self.attend(x, target_mask), self.norm1)
        x = x + self.drop(self.cross(x, memory, memory_mask))
        return self.add(x, self.feed_forward(x), self.norm3)


@misconception(
    "memory-normalised",
    "You normalise memory before you look at it. The encoder's last layer has done that already: take memory as it is.",
)
class MemoryNormalised(PlainDecoder):
    def cross(self, x, memory, mask):
        return super().cross(x, self.norm2(memory), mask)


@misconception(
    "memory-cut-off",
    "Your outputs are right, but no gradient reaches memory: it was cut off (detach, .data or no_grad). The encoder "
    "would never learn from the translation.",
)
class MemoryCutOff(PlainDecoder):
    def cross(self, x, memory, mask):
        return super().cross(x, memory.detach(), mask)


@misconception(
    "no-feed-forward",
    "Your layer ends after cross-attention. The feed-forward comes next, with a residual connection and norm3.",
)
class DecoderWithoutFeedForward(PlainDecoder):
    def forward(self, x, memory, target_mask=None, memory_mask=None):
        x = self.add(x, self.attend(x, target_mask), self.norm1)
        return self.add(x, self.cross(x, memory, memory_mask), self.norm2)


@misconception(
    "named-encoder-attn",
    "Your second attention has another name. So that anybody's weights can be loaded, this exercise asks for the "
    "attributes self_attention, cross_attention, feed_forward, norm1, norm2 and norm3.",
)
class NamedEncoderAttn(PlainDecoder):
    def __init__(self, d_model, num_heads, d_ff, dropout=0.0):
        super().__init__(d_model, num_heads, d_ff, dropout)
        self.encoder_attn = self.cross_attention
        del self.cross_attention


@misconception(
    "memory-returned-too",
    "You return the output and memory. This exercise asks for the output alone.",
)
class MemoryReturnedToo(PlainDecoder):
    def forward(self, x, memory, target_mask=None, memory_mask=None):
        return super().forward(x, memory, target_mask, memory_mask), memory


WRONG_DECODERS = misconceptions_of(
    PlainDecoder,
    (
        PreNormDecoder,
        MemoryMaskForgotten,
        TargetMaskForgotten,
        BothMasksForgotten,
        MasksSwapped,
        TargetMaskInBoth,
        MemoryMaskInBoth,
        MasksInverted,
        ItsOwnCausalMask,
        CausalMaskInCrossAttention,
        MemoryAsks,
        MemoryNeverLookedAt,
        ValuesFromTheTarget,
        CrossAttentionFirst,
        OneAttentionForBoth,
        NoCrossAttention,
        QueriesFromTheLayersInput,
        AddsTheLayersInputEachTime,
        NoResidualAroundCrossAttention,
        BothAttentionsSideBySide,
        LastNormsSwapped,
        NoNormAfterCrossAttention,
        MemoryNormalised,
        MemoryCutOff,
        DecoderWithoutFeedForward,
        NamedEncoderAttn,
        MemoryReturnedToo,
    ),
)
