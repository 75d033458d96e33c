"""fine_tune: find the three mistakes in a fine-tuning with LoRA."""

import torch
import torch.nn.functional as F

from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception


def fine_tune(weight, bias, lora_a, x, targets, alpha, steps, learning_rate):
    """The mended code."""
    return trained(weight, bias, lora_a, x, targets, alpha, steps, learning_rate)


# The loop, with a switch for each thing that goes wrong in it ---------------------------------------------------


def trained(
    weight, bias, lora_a, x, targets, alpha, steps, learning_rate, *, learns=("a", "b"), start=lambda b: b,
    forward_scale=None, merge_scale=None, merges=1, adds_after_merging=False, sign=1.0,
):  # fmt: skip
    rank = lora_a.shape[0]
    scale = alpha / rank
    forward_scale = scale if forward_scale is None else forward_scale(alpha, rank)
    merge_scale = scale if merge_scale is None else merge_scale(alpha, rank)
    names = ("weight", "bias", "a", "b")
    first = (weight.clone(), bias.clone(), lora_a.clone(), start(weight.new_zeros(len(weight), rank)))
    values = {name: value.requires_grad_(name in learns) for name, value in zip(names, first, strict=True)}

    def output(base, adapter):
        found = F.linear(x, values["weight"], values["bias"]) if base else 0.0
        return found + forward_scale * F.linear(F.linear(x, values["a"]), values["b"]) if adapter else found

    losses = []
    for _ in range(steps):
        loss = F.mse_loss(output(base=True, adapter=True), targets)
        losses.append(loss.detach())
        used = [name for name in learns if values[name].requires_grad]
        gradients = torch.autograd.grad(loss, [values[name] for name in used])
        with torch.no_grad():
            for name, gradient in zip(used, gradients, strict=True):
                values[name] -= learning_rate * gradient
    with torch.no_grad():
        for _ in range(merges):
            values["weight"] += sign * merge_scale * values["b"] @ values["a"]
        losses.append(F.mse_loss(output(base=True, adapter=adds_after_merging), targets))
    return torch.stack(losses), values["weight"].detach(), values["bias"].detach()


def with_changes(**changes):
    def fine_tune(weight, bias, lora_a, x, targets, alpha, steps, learning_rate):
        return trained(weight, bias, lora_a, x, targets, alpha, steps, learning_rate, **changes)

    return fine_tune


def one(alpha, rank):
    return 1.0


BIAS = {"learns": ("bias", "a", "b")}
UNSCALED = {"forward_scale": one}
TWICE = {"adds_after_merging": True}

WRONG = (
    (
        "as-found",
        BIAS | UNSCALED | TWICE,
        "This is the code as it was found. Three things to look at: which tensors are moved; whether the same "
        "change is added while training as in merging; and how often it counts after merging.",
    ),
    (
        "bias-still-trained",
        BIAS,
        "One mistake is left: the bias that you return is not the one that was given. It belongs to the frozen base, "
        "so it is not moved.",
    ),
    (
        "scale-still-forgotten",
        UNSCALED,
        "One mistake is left: while training, the change is B A x, and merging adds (α/r)·B A. They have to be the "
        "same change: multiply by alpha / rank in the loop too.",
    ),
    (
        "still-added-after-merging",
        TWICE,
        "One mistake is left: the last loss is not that of the merged layer, because the change counts twice there. It "
        "is in the merged weight already, and is added once more.",
    ),
    (
        "only-the-scale-mended",
        BIAS | TWICE,
        "The scale is right now. Two mistakes are left: one moves the bias, the other makes the loss after merging "
        "that of a change counted twice.",
    ),
    (
        "only-the-bias-mended",
        UNSCALED | TWICE,
        "The bias stays now. Two mistakes are left, and both show where the merged weight is used: is the change that "
        "was trained the one that is merged, and how often is it counted?",
    ),
    (
        "only-the-merging-mended",
        BIAS | UNSCALED,
        "After merging the change is counted once now. Two mistakes are left: the bias moves, and the change in the "
        "loop is not the one that is merged.",
    ),
    (
        "no-scale-at-all",
        UNSCALED | {"merge_scale": one},
        "Loop and merging agree now, but neither has α/r: alpha has no effect. Multiply by alpha / rank in both.",
    ),
    (
        "scale-upside-down",
        {"forward_scale": lambda alpha, rank: rank / alpha, "merge_scale": lambda alpha, rank: rank / alpha},
        "The scale is r/α in your code. It is α/r: alpha / rank.",
    ),
    (
        "both-matrices-random",
        {"start": lambda b: b + 0.5},
        "The first loss is not the base's: B does not start at zero. Then fine-tuning begins with a model that has "
        "already been changed.",
    ),
    (
        "base-trained",
        {"learns": ("weight", "a", "b")},
        "The base's weight is trained too. It has to stay as it was until the merge; only A and B are moved.",
    ),
    (
        "only-b-trained",
        {"learns": ("b",)},
        "A never changes: only B is moved. Both are trained, A from the second step on, since its gradient "
        "is zero while B is.",
    ),
    (
        "merged-twice",
        {"merges": 2},
        "The weight that you return holds the change twice: it is merged more than once.",
    ),
    (
        "not-merged",
        {"merges": 0, "adds_after_merging": True},
        "The weight that you return is the base's: the change was not merged. The last loss is right only because it "
        "is still added beside.",
    ),
)


def as_misconception(slug, changes, says):
    return misconception(slug, says)(with_changes(**changes))


@misconception(
    "both-matrices-zero",
    "Nothing was learned: the loss is the same after every step. With A and B both zero, the gradient of each is zero "
    "too. A starts at lora_a, which is random.",
)
def both_zero(weight, bias, lora_a, x, targets, alpha, steps, learning_rate):
    return trained(weight, bias, torch.zeros_like(lora_a), x, targets, alpha, steps, learning_rate)


# What is asked and drawn ------------------------------------------------------------------------------------------


def drawn(inputs=4, outputs=3, rank=2, alpha=6.0, samples=5, steps=3, dtype=torch.float64):
    """A case's draw: a base, the start of A, inputs, and targets that the base does not reach."""

    def draw(rng):
        shapes = (outputs, inputs), (outputs,), (rank, inputs), (samples, inputs), (samples, outputs)
        drawn = [torch.from_numpy(rng.normal(size=shape)).to(dtype) for shape in shapes]
        return Call(*drawn, alpha, steps, 0.05)

    return draw


def merging_changes_no_loss(answer, rng):
    """The last loss, computed once more from the weight and the bias that came back."""
    call = drawn(steps=4)(rng)
    losses, weight, _ = answer.call(*call.args)
    _, bias, _, x, targets = call.args[:5]
    gap = abs(float(losses[-1] - F.mse_loss(F.linear(x, weight, bias), targets)))
    return None if gap < 1e-9 else f"the last loss is {gap:.2g} away from that of the merged weight and the given bias"


def at_first_the_loss_is_the_bases(answer, rng):
    call = drawn(steps=2)(rng)
    losses, _, _ = answer.call(*call.args)
    weight, bias, _, x, targets = call.args[:5]
    gap = abs(float(losses[0] - F.mse_loss(F.linear(x, weight, bias), targets)))
    return None if gap < 1e-9 else f"the first loss is {gap:.2g} away from the base's"


def one_weight(weight, bias, lora_a, x, targets, alpha, steps, learning_rate):
    """Another right answer: the merged weight in every step, and gradients asked for one by one."""

    def merged(a, b):
        return weight + alpha / len(lora_a) * b @ a

    def loss(weight):
        return ((x @ weight.T + bias - targets) ** 2).mean()

    a, b, losses = lora_a, torch.zeros_like(weight[:, :1]).repeat(1, len(lora_a)), []
    for _ in range(steps):
        a, b = a.detach().requires_grad_(), b.detach().requires_grad_()
        now = loss(merged(a, b))
        of_a, of_b = torch.autograd.grad(now, (a, b))
        a, b = a - learning_rate * of_a, b - learning_rate * of_b
        losses.append(now.item())
    final = merged(a, b).detach()
    return torch.tensor([*losses, loss(final)], dtype=weight.dtype), final, bias


EXERCISE = Exercise(
    name="fine_tune",
    lesson="09_lora",
    kind="hunt",
    points=2,
    difficulty=3,
    minutes=15,
    asks="Mend the three mistakes in the fine-tuning with LoRA.",
    reference=fine_tune,
    returns=("losses", "weight", "bias"),
    cases=(
        Case("one step", drawn(steps=1), "B is zero before it"),
        Case("three steps, α/r is 3", drawn()),
        Case("α/r is 1", drawn(alpha=2.0), "here the scale does not show"),
        Case("α/r is 0.25", drawn(rank=4, alpha=1.0)),
        Case("rank 1, eight steps", drawn(rank=1, alpha=2.0, steps=8)),
        Case("no step at all", drawn(steps=0), "the merged weight is the base's"),
        Case("inputs, outputs, rank and samples alike", drawn(3, 3, 3, 6.0, 3), "shapes fit that should not"),
        Case("single precision", drawn(dtype=torch.float32)),
    ),
    properties=(
        Property("the last loss is that of the merged layer", merging_changes_no_loss),
        Property("the first loss is the base's", at_first_the_loss_is_the_bases),
    ),
    misconceptions=(*(as_misconception(*each) for each in WRONG), both_zero),
    alternatives=(one_weight,),
    hints=(
        "Compare three things before and after: the bias that goes in and the one that comes out; the last loss in the "
        "loop and the one after merging; and, with steps=0, everything.",
        "Only A and B are moved. The change in the loop and the change that is merged have to "
        "be the same one, (α/r)·BA. And once it is in the weight, it is not added again.",
        "output = F.linear(x, weight, bias) + alpha / rank * (x @ a.T @ b.T) in the loop; after merging "
        "F.linear(x, weight, bias) alone",
    ),
)
