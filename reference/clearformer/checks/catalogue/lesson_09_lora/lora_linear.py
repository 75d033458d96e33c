"""LoRALinear: a frozen linear map, two small matrices beside it, and the sum of both put into one weight."""

import torch
import torch.nn.functional as F

from clearformer.checks.catalogue.lesson_09_lora.wrong_adapters import WRONG_ADAPTERS, Plain
from clearformer.checks.exercise import Case, Exercise, Property
from clearformer.checks.given import Layer, with_weights
from clearformer.checks.modules import ModuleCall, different_numbers, tensor
from clearformer.lora.linear import LoRALinear as reference

# What is asked and drawn --------------------------------------------------------------------------------------


def drawn(inputs, outputs, rank, alpha, x=(2,), bias=True, dtype="float32"):
    """A case's draw: a base with weights, an input (*x, inputs), and weights for lora_a and lora_b."""

    def draw(rng):
        base = with_weights(rng, Layer("Linear", inputs, outputs, dtype=dtype, bias=bias))
        kind = getattr(torch, dtype)
        weights = {f"base.{name}": weight for name, weight in base.weights.items()}
        weights |= {"lora_a": tensor(rng, rank, inputs, dtype=kind), "lora_b": tensor(rng, outputs, rank, dtype=kind)}
        shown = {"base": base, "rank": rank, "alpha": alpha, "x": tensor(rng, *x, inputs, dtype=kind)}
        return ModuleCall(weights, tensor(rng, *x, outputs, dtype=kind), inputs=("x",), **shown)

    return draw


def made(answer, call):
    return answer.make(call.kwargs["base"], call.kwargs["rank"], call.kwargs["alpha"])


def loaded(answer, call):
    module = made(answer, call)
    module.load(call.weights)
    return module


def that_learn(module):
    return sorted(name for name, learns in module.trainable().items() if learns)


def just_made(answer, call):
    answer.seed(1)  # whoever draws lora_b too then draws the same numbers wherever the answer lives
    module, other = made(answer, call), made(answer, call)
    shapes = {"shapes of the parameters": {name: str(shape) for name, shape in module.parameters().items()}}
    if not {"lora_a", "lora_b"} <= module.parameters().keys():
        return shapes
    lora_a, elsewhere = module.attribute("lora_a"), other.attribute("lora_a")
    return shapes | {
        "dtype of lora_a": str(lora_a.dtype),
        "lora_a is all zeros": not bool(lora_a.any()),
        "lora_a is random": len(different_numbers(lora_a)) > lora_a.numel() / 2,
        "lora_a of another layer is another one": not lora_a.equal(elsewhere),
        "lora_b": module.attribute("lora_b"),
        "parameters that learn": that_learn(module),
        "base is the object that was given": module.part("base").is_same(call.kwargs["base"]),
        "output": module.call(call.kwargs["x"]),
    }


def with_weights_in(answer, call):
    module = loaded(answer, call)
    output, (of_x,), of_parameters = module.call_with_gradients(call.inputs(), call.grad_output)
    named = {f"gradient of {name}": of_parameters[name] for name in ("lora_a", "lora_b", *call.weights)}
    return {"output": output, "gradient of x": of_x} | named


def merged_once(answer, call):
    module, x = loaded(answer, call), call.kwargs["x"]
    before = module.call(x)
    module.method("merge")
    return {
        "output before merging": before,
        "output after merging": module.call(x),
        "base.weight after merging": module.attribute("base.weight"),
        "parameters that learn after merging": that_learn(module),
        "base is still the object that was given": module.part("base").is_same(call.kwargs["base"]),
    }


def merged_twice(answer, call):
    module, x = loaded(answer, call), call.kwargs["x"]
    module.method("merge")
    module.method("merge")
    return {
        "output after merging twice": module.call(x),
        "base.weight after merging twice": module.attribute("base.weight"),
    }


def merged_with_zeros(answer, call):
    module, x = made(answer, call), call.kwargs["x"]
    module.method("merge")
    return {"output after merging": module.call(x), "base.weight after merging": module.attribute("base.weight")}


def two_objects(answer, call):
    base = Layer("Linear", *call.kwargs["base"].settings, dtype="float32", weights=call.kwargs["base"].weights)
    first, second = loaded(answer, call), answer.make(base, call.kwargs["rank"], 2 * call.kwargs["alpha"])
    second.load({name: -weight for name, weight in call.weights.items()})
    first.method("merge")
    x = call.kwargs["x"]
    return {
        "output of the merged layer": first.call(x),
        "output of the other layer": second.call(x),
        "base.weight of the other layer": second.attribute("base.weight"),
    }


def twice_the_alpha_is_twice_the_change(answer, rng):
    call = drawn(4, 3, rank=2, alpha=3)(rng)
    base, x = call.kwargs["base"], call.kwargs["x"]
    outputs = []
    for alpha in (3, 6):
        module = answer.make(base, 2, alpha)
        module.load(call.weights)
        outputs.append(module.call(x))
    change, twice = (output - answer.given(base).call(x) for output in outputs)
    gap = float((twice - 2 * change).abs().max())
    return None if gap < 1e-4 else f"with alpha=6 instead of 3 the change is {gap:.2g} away from twice as large"


def at_first_the_output_is_the_bases(answer, rng):
    call = drawn(5, 4, rank=3, alpha=6)(rng)
    base, x = call.kwargs["base"], call.kwargs["x"]
    gap = float((made(answer, call).call(x) - answer.given(base).call(x)).abs().max())
    return None if gap < 1e-5 else f"a layer just made gives another output than its base: they differ by {gap:.2g}"


# Other right answers ------------------------------------------------------------------------------------------


class OneWeight(Plain):
    """Another right answer: the sum of both weights first, then one linear map."""

    def forward(self, x):
        return F.linear(x, self.base.weight if self.merged else self.base.weight + self.change(), self.base.bias)

    def merge(self):
        if not self.merged:
            self.base.weight = torch.nn.Parameter((self.base.weight + self.change()).detach(), requires_grad=False)
            self.merged = True
        return self


class EmptiesB(Plain):
    """Another right answer: after merging there is nothing left to add, so nothing has to be remembered."""

    def start_a(self, base, rank):
        return torch.randn(rank, base.in_features, dtype=base.weight.dtype) / rank

    @torch.no_grad()
    def merge(self):
        self.base.weight += self.change()
        self.lora_b.zero_()


class ByEinsum(Plain):
    """Another right answer: alpha over rank kept with B, and the sums written out."""

    def forward(self, x):
        if self.merged:
            return self.base(x)
        return self.base(x) + torch.einsum("...i,ri,or->...o", x, self.lora_a, self.scale * self.lora_b)

    def merge(self):
        if not self.merged:
            self.base.weight.data.add_(self.lora_b.data @ self.lora_a.data, alpha=self.scale)
        self.merged = True


EXERCISE = Exercise(
    name="LoRALinear",
    lesson="09_lora",
    kind="write",
    points=4,
    difficulty=3,
    minutes=25,
    asks="Write the adapted linear map W₀x + b + (α/r)·BAx, with a frozen base, and merge(), which puts the change "
    "into the base's weight.",
    reference=reference,
    returns=("output",),
    cases=(
        Case("just made, rank 1", drawn(3, 2, rank=1, alpha=1), ask=just_made),
        Case("just made, rank 2", drawn(4, 3, rank=2, alpha=6), ask=just_made),
        Case(
            "rank 2, alpha 2",
            drawn(4, 3, rank=2, alpha=2),
            "here α/r is 1, and lora_b is no longer zero",
            ask=with_weights_in,
        ),
        Case("rank 2, alpha 6", drawn(4, 3, rank=2, alpha=6), "here α/r is 3", ask=with_weights_in),
        Case("rank 4, alpha 1", drawn(5, 6, rank=4, alpha=1), "here α/r is 0.25", ask=with_weights_in),
        Case(
            "inputs, outputs and rank alike",
            drawn(3, 3, rank=3, alpha=6),
            "shapes fit that should not",
            ask=with_weights_in,
        ),
        Case("a base without bias", drawn(4, 3, rank=2, alpha=1, bias=False), ask=with_weights_in),
        Case("sentences: x is (2, 3, 4)", drawn(4, 3, rank=2, alpha=1, x=(2, 3)), ask=with_weights_in),
        Case("one vector: x is (4,)", drawn(4, 3, rank=2, alpha=1, x=()), ask=with_weights_in),
        Case("merged", drawn(4, 3, rank=2, alpha=6), "merging changes no output", ask=merged_once),
        Case("merged, inputs and outputs alike", drawn(4, 4, rank=2, alpha=1), ask=merged_once),
        Case("merged twice", drawn(4, 3, rank=2, alpha=6), "the second time does nothing", ask=merged_twice),
        Case("merged before any training", drawn(4, 3, rank=2, alpha=6), "lora_b is zero", ask=merged_with_zeros),
        Case("two layers, one of them merged", drawn(4, 3, rank=2, alpha=6), ask=two_objects),
        Case(
            "just made, on a base in float64",
            drawn(4, 3, rank=2, alpha=6, dtype="float64"),
            "the adapter has its base's dtype",
            ask=just_made,
        ),
    ),
    properties=(
        Property("twice the alpha is twice the change", twice_the_alpha_is_twice_the_change),
        Property("at first the output is the base's", at_first_the_output_is_the_bases),
    ),
    misconceptions=WRONG_ADAPTERS,
    alternatives=(Plain, OneWeight, EmptiesB, ByEinsum),
    parameters=("base", "rank", "alpha"),
    hints=(
        "The base is used as it is, frozen. Beside it a second way leads from x to the output, through only `rank` "
        "numbers: first A, then B. Their product has the shape of the base's weight, so one weight can hold both.",
        "__init__ freezes the base's parameters with requires_grad_(False), keeps the base, and makes two "
        "nn.Parameters with the dtype and device of base.weight: lora_a random, lora_b zero. forward adds the two "
        "ways, the second times alpha / rank. merge adds scale · B A to base.weight under torch.no_grad(), and "
        "remembers that it did.",
        "return self.base(x) + self.scale * (x @ self.lora_a.T @ self.lora_b.T)",
    ),
    forbidden=("peft.get_peft_model", "peft.inject_adapter_in_model", "peft.tuners.lora.layer.Linear"),
)
