"""What people write for LoRALinear that is wrong: the plain right layer, with one part replaced."""

import torch
import torch.nn.functional as F
from torch import nn

from clearformer.checks.exercise import misconception


class Plain(nn.Module):
    """The right layer, in parts that a wrong answer replaces."""

    def __init__(self, base, rank, alpha):
        super().__init__()
        self.base = self.keep(base)
        self.scale = self.scale_of(rank, alpha)
        self.merged = False
        self.lora_a = nn.Parameter(self.start_a(base, rank))
        self.lora_b = nn.Parameter(self.start_b(base, rank))

    def keep(self, base):
        return base.requires_grad_(False)

    def scale_of(self, rank, alpha):
        return alpha / rank

    def start_a(self, base, rank):
        return torch.randn_like(base.weight[:1].expand(rank, -1)) / base.in_features**0.5

    def start_b(self, base, rank):
        return base.weight.new_zeros(base.out_features, rank)

    def change(self):
        return self.scale * (self.lora_b @ self.lora_a)  # (out, in)

    def forward(self, x):
        if self.merged:
            return self.base(x)
        return self.base(x) + self.scale * (x @ self.lora_a.T @ self.lora_b.T)

    @torch.no_grad()
    def merge(self):
        if not self.merged:
            self.base.weight += self.change()
            self.merged = True


# Scale -------------------------------------------------------------------------------------------------------------


@misconception(
    "scale-forgotten",
    "The change is added as it is, and alpha has no effect: the factor α/r is missing. With it a learning rate that "
    "was good for one rank is good for another. Multiply B A x by alpha / rank.",
)
class NoScale(Plain):
    def scale_of(self, rank, alpha):
        return 1.0


@misconception(
    "alpha-not-divided",
    "The change is multiplied by alpha alone. The paper divides it by the rank: α/r. Twice the rank then does not mean "
    "a change twice as large.",
)
class AlphaAlone(Plain):
    def scale_of(self, rank, alpha):
        return alpha


@misconception(
    "rank-over-alpha",
    "The factor is upside down: your change is multiplied by r/α, and it should be α/r, alpha / rank. A larger alpha "
    "makes the change larger.",
)
class UpsideDown(Plain):
    def scale_of(self, rank, alpha):
        return rank / alpha


@misconception(
    "scale-on-the-base-too",
    "α/r multiplies the whole sum, the base's output too. It belongs to B A x alone: base(x) + (α/r)·BAx. Your layer "
    "gives another output than its base before any training.",
)
class ScalesTheBase(Plain):
    def forward(self, x):
        if self.merged:
            return self.base(x)
        return self.scale * (self.base(x) + x @ self.lora_a.T @ self.lora_b.T)


# Start -------------------------------------------------------------------------------------------------------------


@misconception(
    "both-zero",
    "lora_a and lora_b are both zero. Then the gradient of each, which is a product with the other, is zero too, and "
    "the adapter never learns. Draw lora_a at random; lora_b alone is zero.",
)
class BothZero(Plain):
    def start_a(self, base, rank):
        return base.weight.new_zeros(rank, base.in_features)


@misconception(
    "both-random",
    "lora_a and lora_b are both random, so B A changes the output before any training: fine-tuning would begin at a "
    "damaged model. Start lora_b at zero.",
)
class BothRandom(Plain):
    def start_b(self, base, rank):
        return torch.randn_like(base.weight[:, :1].expand(-1, rank))


@misconception(
    "the-zero-is-in-a",
    "lora_a is zero and lora_b random. The output is the base's at first, and this would learn too, but this exercise "
    "asks for the paper's start: A random, B zero.",
)
class ZeroInA(Plain):
    def start_a(self, base, rank):
        return base.weight.new_zeros(rank, base.in_features)

    def start_b(self, base, rank):
        return torch.randn_like(base.weight[:, :1].expand(-1, rank))


@misconception(
    "a-is-constant",
    "Every number in lora_a is the same. Then all rows of A see the same thing, all columns of B get the same "
    "gradient, and rank r learns no more than rank 1. Draw lora_a at random.",
)
class ConstantA(Plain):
    def start_a(self, base, rank):
        return base.weight.new_ones(rank, base.in_features)


@misconception(
    "same-a-in-every-layer",
    "Each layer that you make has the very same lora_a: the random state is set inside __init__. Every layer of a "
    "model would start with the same A, and the reader's own seed would be lost. Draw without setting a seed.",
)
class SeedInside(Plain):
    def start_a(self, base, rank):
        torch.default_generator.manual_seed(0)
        return super().start_a(base, rank)


@misconception(
    "a-and-b-swapped",
    "lora_a and lora_b have each other's shapes. x meets A first: lora_a is (rank, in_features) and takes x down to "
    "`rank` numbers; lora_b is (out_features, rank) and takes these up to the output.",
)
class Swapped(Plain):
    def start_a(self, base, rank):
        return super().start_b(base, rank)

    def start_b(self, base, rank):
        return super().start_a(base, rank)

    def change(self):
        return self.scale * (self.lora_a @ self.lora_b)

    def forward(self, x):
        if self.merged:
            return self.base(x)
        return self.base(x) + self.scale * (x @ self.lora_b.T @ self.lora_a.T)


@misconception(
    "adapter-in-float32",
    "The adapter is in float32 whatever the base is. On a base in float64 the two cannot be multiplied with the same "
    "x, and on one in half precision neither. Make lora_a and lora_b with base.weight's dtype, and its device.",
)
class InFloat32(Plain):
    def start_a(self, base, rank):
        return torch.randn(rank, base.in_features)

    def start_b(self, base, rank):
        return torch.zeros(base.out_features, rank)


@misconception(
    "a-and-b-are-layers",
    "lora_a and lora_b are modules of their own, so that the parameters are called lora_a.weight and lora_b.weight. "
    "That works, and peft does it, but this exercise asks for two nn.Parameters with exactly the names lora_a and "
    "lora_b.",
)
class AsLayers(Plain):
    def __init__(self, base, rank, alpha):
        super().__init__(base, rank, alpha)
        del self.lora_a, self.lora_b
        self.lora_a = nn.Linear(base.in_features, rank, bias=False, dtype=base.weight.dtype)
        self.lora_b = nn.Linear(rank, base.out_features, bias=False, dtype=base.weight.dtype)
        nn.init.zeros_(self.lora_b.weight)

    def forward(self, x):
        return self.base(x) + (0.0 if self.merged else self.scale * self.lora_b(self.lora_a(x)))


@misconception(
    "no-parameters",
    "The module does not know lora_a and lora_b as its parameters: they are plain tensors, so no optimiser will find "
    "them. Wrap each in nn.Parameter.",
)
class NoParameters(Plain):
    def __init__(self, base, rank, alpha):
        super().__init__(base, rank, alpha)
        a, b = self.lora_a.detach(), self.lora_b.detach()
        del self.lora_a, self.lora_b
        self.lora_a, self.lora_b = a, b


# What learns -------------------------------------------------------------------------------------------------------


@misconception(
    "base-is-trained",
    "The base learns too: its weight and bias still ask for a gradient. Then the optimiser keeps its numbers for all "
    "of them, and nothing is saved. Freeze both with requires_grad_(False).",
)
class BaseTrained(Plain):
    def keep(self, base):
        return base


@misconception(
    "bias-is-trained",
    "The base's weight is frozen, its bias is not: it would be trained along, and a saved adapter would not hold it. "
    "Freeze all of the base: base.requires_grad_(False).",
)
class BiasTrained(Plain):
    def keep(self, base):
        base.weight.requires_grad_(False)
        return base


@misconception(
    "a-copy-of-the-base",
    "`.base` is a new nn.Linear with the weights of the one you were given. Whatever else holds the given one, such as "
    "a tied layer, would no longer share it, and the copy takes memory. Keep the object itself: self.base = base.",
)
class Copied(Plain):
    def keep(self, base):
        copy = nn.Linear(base.in_features, base.out_features, bias=base.bias is not None, dtype=base.weight.dtype)
        copy.load_state_dict(base.state_dict())
        return copy.requires_grad_(False)


@misconception(
    "adapter-gets-no-gradient",
    "The output is right, but no gradient reaches lora_a and lora_b: the product is taken of their .data, or under "
    "torch.no_grad(). Use the parameters themselves in forward.",
)
class NoGradient(Plain):
    def forward(self, x):
        if self.merged:
            return self.base(x)
        return self.base(x) + self.scale * (x @ self.lora_a.data.T @ self.lora_b.data.T)


@misconception(
    "bias-forgotten",
    "The base's bias is missing from the output. Call the base, self.base(x), which adds it, and add the change to "
    "that.",
)
class BiasForgotten(Plain):
    def forward(self, x):
        return F.linear(x, self.base.weight if self.merged else self.base.weight + self.change())


# Merging -----------------------------------------------------------------------------------------------------------


@misconception(
    "merged-twice",
    "Merging a second time adds the change a second time. Remember that it has been done, in self.merged for example, "
    "and do nothing the next time.",
)
class MergesAgain(Plain):
    @torch.no_grad()
    def merge(self):
        self.base.weight += self.change()
        self.merged = True


@misconception(
    "still-added-after-merging",
    "After merge() the change counts twice: it is in base.weight, and forward adds it once more. Once merged, forward "
    "returns self.base(x) alone.",
)
class StillAdds(Plain):
    def forward(self, x):
        return self.base(x) + self.scale * (x @ self.lora_a.T @ self.lora_b.T)


@misconception(
    "merged-without-scale",
    "merge() adds B A without α/r, so that the merged layer gives other outputs than the unmerged one. Add "
    "(alpha / rank) · B A.",
)
class MergesWithoutScale(Plain):
    @torch.no_grad()
    def merge(self):
        if not self.merged:
            self.base.weight += self.lora_b @ self.lora_a
            self.merged = True


@misconception(
    "merged-with-the-wrong-sign",
    "merge() takes the change away from base.weight. That is how a merge is undone. To merge, add it.",
)
class MergesWithMinus(Plain):
    @torch.no_grad()
    def merge(self):
        if not self.merged:
            self.base.weight -= self.change()
            self.merged = True


@misconception(
    "merged-transposed",
    "merge() adds Aᵀ Bᵀ, which is the change turned on its side. nn.Linear keeps its weight as (out_features, "
    "in_features), which is the shape of B A: lora_b @ lora_a.",
)
class MergesTransposed(Plain):
    @torch.no_grad()
    def merge(self):
        if not self.merged:
            self.base.weight += self.scale * (self.lora_a.T @ self.lora_b.T)
            self.merged = True


@misconception(
    "merging-unfreezes",
    "After merge() base.weight asks for a gradient: a new nn.Parameter does so by itself. Add to the weight in place, "
    "under torch.no_grad(), or make the new one with requires_grad=False.",
)
class MergingUnfreezes(Plain):
    def merge(self):
        if not self.merged:
            self.base.weight = nn.Parameter(self.base.weight + self.change())
            self.merged = True


@misconception(
    "merged-with-a-gradient",
    "merge() adds to base.weight while torch records the sum for a gradient, since lora_a and lora_b have one. The "
    "weight would then no longer be a parameter. Add under torch.no_grad().",
)
class MergesWithGradient(Plain):
    def merge(self):
        if not self.merged:
            self.base.weight += self.change()
            self.merged = True


@misconception(
    "merging-freezes-the-adapter",
    "After merge() lora_a and lora_b no longer ask for a gradient. This exercise asks that merging leaves "
    "requires_grad as it was, so that merging a copy to look at it does not end a training.",
)
class MergingFreezes(Plain):
    def merge(self):
        super().merge()
        self.requires_grad_(False)


@misconception(
    "merged-into-another-linear",
    "merge() puts a new nn.Linear in the place of the base. This exercise asks for merging in place: the weight of the "
    "object that was given changes, and `.base` stays that object.",
)
class MergesIntoAnother(Plain):
    def merge(self):
        if not self.merged:
            other = nn.Linear(self.base.in_features, self.base.out_features, self.base.bias is not None)
            other.to(self.base.weight.dtype).load_state_dict(self.base.state_dict())
            self.base = other.requires_grad_(False)
            super().merge()


WRONG_ADAPTERS = (
    NoScale,
    AlphaAlone,
    UpsideDown,
    ScalesTheBase,
    BothZero,
    BothRandom,
    ZeroInA,
    ConstantA,
    SeedInside,
    Swapped,
    InFloat32,
    AsLayers,
    NoParameters,
    BaseTrained,
    BiasTrained,
    Copied,
    NoGradient,
    BiasForgotten,
    MergesAgain,
    StillAdds,
    MergesWithoutScale,
    MergesWithMinus,
    MergesTransposed,
    MergingUnfreezes,
    MergesWithGradient,
    MergingFreezes,
    MergesIntoAnother,
)
