"""apply_lora: adapters around some layers of a model, and everything else frozen."""

import copy

import torch
from torch import nn

from clearformer.checks.catalogue.lesson_09_lora.wrong_adapters import Plain as LoRALinear
from clearformer.checks.exercise import Case, Exercise, Property, misconception
from clearformer.checks.given import Layer, with_weights
from clearformer.checks.modules import ModuleCall, tensor
from clearformer.lora.model import apply_lora as reference

# What is asked and drawn --------------------------------------------------------------------------------------


def linear(bias=True, dtype="float32"):
    return Layer("Linear", 4, 4, bias=bias, dtype=dtype)


def norm():
    return Layer("LayerNorm", 4)


def stack(**parts):
    return Layer("Sequential", parts, dtype="float32")


def two_layers():
    return stack(query_proj=linear(), key_proj=linear())


def two_blocks():
    block = ("query_proj", "key_proj", "value_proj")
    return stack(**{number: stack(**{name: linear() for name in block}, norm=norm()) for number in "01"})


def drawn(model, targets, rank=2, alpha=6, x=(2, 4)):
    """A case's draw: model() with weights, and an input of shape x."""

    def draw(rng):
        made = with_weights(rng, model())
        given = tensor(rng, *x, dtype=torch.float32) if x[-1] == 4 else torch.from_numpy(rng.integers(0, 7, size=x))
        shown = {"model": made, "targets": [*targets], "rank": rank, "alpha": alpha, "x": given}
        return ModuleCall({}, tensor(rng, *given.shape[:1], 4, dtype=torch.float32), inputs=("x",), **shown)

    return draw


def applied(answer, call):
    return answer.make(*(call.kwargs[name] for name in ("model", "targets", "rank", "alpha")))


def what_became_of_it(answer, call):
    model = applied(answer, call)
    shapes, learn = model.parameters(), model.trainable()
    return {
        "what is returned is the model that was given": model.is_same(call.kwargs["model"]),
        "layers with an adapter": sorted(name.removesuffix(".lora_a") for name in shapes if name.endswith(".lora_a")),
        "parameters that learn": sorted(name for name in learn if learn[name]),
        "shapes of the parameters": {name: str(shape) for name, shape in shapes.items()},
        "output": model.call(call.kwargs["x"]),
    }


def output_with_weights_in(answer, call):
    """The output for adapters with weights that follow from their names and sizes."""
    model = applied(answer, call)
    weights = {name.replace(".base.", "."): weight for name, weight in call.kwargs["model"].weights.items()}
    every = {}
    for name, shape in model.parameters().items():
        is_adapter = name.endswith((".lora_a", ".lora_b"))
        every[name] = _waves(name, shape) if is_adapter else weights[name.replace(".base.", ".")]
    model.load(every)
    output, _, gradients = model.call_with_gradients(call.inputs(), call.grad_output)
    return {"output": output} | {f"gradient of {name}": value for name, value in sorted(gradients.items())}


def _waves(name, shape):
    start = sum(map(ord, name))
    return torch.sin(start + torch.arange(1.0, 1 + torch.Size(shape).numel())).reshape(shape)


def the_given_layers_are_inside(answer, call):
    model = applied(answer, call)
    first = call.kwargs["model"].settings[0]["query_proj"]
    return {"query_proj.base is the layer that was there": model.part("query_proj.base").is_same(first)}


def nothing_matches(answer, call):
    applied(answer, call)
    return {}


def at_first_the_model_computes_what_it_did(answer, rng):
    call = drawn(two_blocks, ["query_proj", "value_proj"])(rng)
    model, x = call.kwargs["model"], call.kwargs["x"]
    before = answer.given(model).call(x)
    gap = float((applied(answer, call).call(x) - before).abs().max())
    return None if gap < 1e-5 else f"before any training the output moved by {gap:.2g}"


# Right and wrong answers --------------------------------------------------------------------------------------


def matches(name, module, targets):
    return isinstance(module, nn.Linear) and name.split(".")[-1] in targets


def put(model, name, module):
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, module)


def no_layer(targets):
    raise ValueError(f"no nn.Linear is called {targets}")


def usual(model, targets, rank, alpha, *, matches=matches, put=put, freeze=True, missing=no_layer):
    """The plain right way, in parts that a wrong answer replaces."""
    found = [(name, module) for name, module in model.named_modules() if matches(name, module, targets)]
    if not found:
        missing(targets)
    if freeze:
        model.requires_grad_(False)
    for name, module in found:
        put(model, name, LoRALinear(module, rank, alpha))
    return model


def plain(model, targets, rank, alpha):
    return usual(model, targets, rank, alpha)


def downwards(model, targets, rank, alpha):
    """Another right answer: each module looks at its own children, and goes down into the others."""

    def go_down(module):
        count = 0
        for name, child in [*module.named_children()]:
            if isinstance(child, nn.Linear):
                if name in targets:
                    setattr(module, name, LoRALinear(child, rank, alpha))
                    count += 1
            else:
                count += go_down(child)
        return count

    for parameter in model.parameters():
        parameter.requires_grad = False
    if go_down(model) == 0:
        raise ValueError(f"none of {targets}")
    return model


def frozen_by_name(model, targets, rank, alpha):
    """Another right answer: adapters first, then everything that is none is frozen by its name."""
    names = [name for name, module in model.named_modules() if matches(name, module, targets)]
    if len(names) == 0:
        raise ValueError("targets")
    for name in names:
        put(model, name, LoRALinear(model.get_submodule(name), rank, alpha))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name)
    return model


@misconception(
    "matches-a-part-of-the-name",
    "A layer is adapted as soon as a target stands somewhere in its name: with the target “proj”, “projector” too. "
    'Compare the whole last part of the name: name.split(".")[-1] in targets.',
)
def substring(model, targets, rank, alpha):
    def matches(name, module, targets):
        return isinstance(module, nn.Linear) and any(target in name for target in targets)

    return usual(model, targets, rank, alpha, matches=matches)


@misconception(
    "matches-the-end-of-the-name",
    "A layer is adapted where its name merely ends like a target: with the target “proj”, “query_proj” too. Compare "
    "the whole last part of the name, behind the last dot.",
)
def name_ends(model, targets, rank, alpha):
    def matches(name, module, targets):
        return isinstance(module, nn.Linear) and name.endswith(tuple(targets))

    return usual(model, targets, rank, alpha, matches=matches)


@misconception(
    "compares-the-dotted-name",
    "You compare a target with the whole dotted name. “0.query_proj” is then not found, though its last part is "
    "“query_proj”. Compare what stands behind the last dot.",
)
def whole_name(model, targets, rank, alpha):
    def matches(name, module, targets):
        return isinstance(module, nn.Linear) and name in targets

    return usual(model, targets, rank, alpha, matches=matches)


@misconception(
    "top-level-only",
    "Only the model's own children are looked at. The layers of a Transformer are several levels deep: named_modules() "
    "goes through all levels.",
)
def children_only(model, targets, rank, alpha):
    found = [(name, child) for name, child in model.named_children() if matches(name, child, targets)]
    model.requires_grad_(False)
    for name, child in found:
        setattr(model, name, LoRALinear(child, rank, alpha))
    return model


@misconception(
    "every-linear-layer",
    "Every nn.Linear got an adapter. Only those whose name is one of the targets should have one.",
)
def all_linear(model, targets, rank, alpha):
    def matches(name, module, targets):
        return isinstance(module, nn.Linear)

    return usual(model, targets, rank, alpha, matches=matches)


@misconception(
    "first-match-only",
    "Only the first layer that matches got an adapter. Every layer of that name should have one, in all blocks of the "
    "model.",
)
def first_only(model, targets, rank, alpha):
    seen = []

    def matches_once(name, module, targets):
        if matches(name, module, targets):
            seen.append(name)
        return len(seen) == 1 and name == seen[0]

    return usual(model, targets, rank, alpha, matches=matches_once)


@misconception(
    "the-rest-still-learns",
    "The adapted layers are frozen, and all others still learn: embeddings, norms, the other linear maps. Freeze the "
    "whole model, model.requires_grad_(False), before the adapters are put in.",
)
def rest_learns(model, targets, rank, alpha):
    return usual(model, targets, rank, alpha, freeze=False)


@misconception(
    "norms-still-learn",
    "Every nn.Linear is frozen, but norms and embeddings still learn. Everything but the adapters should be frozen, "
    "whatever kind of module it is in: model.requires_grad_(False).",
)
def norms_learn(model, targets, rank, alpha):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.requires_grad_(False)
    return usual(model, targets, rank, alpha, freeze=False)


@misconception(
    "biases-still-learn",
    "The weights are frozen, but every bias still learns: those are missing from what you freeze. Everything but "
    "lora_a and lora_b should be frozen.",
)
def biases_learn(model, targets, rank, alpha):
    usual(model, targets, rank, alpha)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.requires_grad_(True)
    return model


@misconception(
    "adapters-frozen-too",
    "Nothing learns: the adapters were put in first, and then the whole model was frozen, they included. Freeze first, "
    "then put the adapters in.",
)
def frozen_too(model, targets, rank, alpha):
    return usual(model, targets, rank, alpha).requires_grad_(False)


@misconception(
    "wrong-parent",
    "The adapter is set on the model itself instead of the module that holds the layer. The old layer stays where it "
    "was, and the adapter is never called, or called in the wrong place. The parent is model.get_submodule of the name "
    "up to its last dot.",
)
def wrong_parent(model, targets, rank, alpha):
    return usual(
        model, targets, rank, alpha, put=lambda model, name, module: setattr(model, name.split(".")[-1], module)
    )


@misconception(
    "dotted-name-as-attribute",
    "setattr gets the whole dotted name. No attribute can be called “0.query_proj”: find the module that holds the "
    'layer, model.get_submodule("0"), and set its attribute “query_proj”.',
)
def dotted(model, targets, rank, alpha):
    return usual(model, targets, rank, alpha, put=setattr)


@misconception(
    "lora-inside-lora",
    "There is an adapter inside an adapter: the model was searched again after some layers had been replaced, and the "
    "layer inside a LoRALinear is called “base”. Make the list of all matches first, then replace them.",
)
def target_by_target(model, targets, rank, alpha):
    model.requires_grad_(False)
    count = 0
    for target in targets:
        for name, module in [*model.named_modules()]:
            if matches(name, module, [target]):
                put(model, name, LoRALinear(module, rank, alpha))
                count += 1
    return model if count else no_layer(targets)


@misconception(
    "any-kind-of-module",
    "A module of another kind that happens to have the target's name was wrapped too, or tried to. Only an nn.Linear "
    "can be: ask with isinstance(module, nn.Linear).",
)
def any_kind(model, targets, rank, alpha):
    def matches(name, module, targets):
        return name.split(".")[-1] in targets

    return usual(model, targets, rank, alpha, matches=matches)


@misconception(
    "works-on-a-copy",
    "The model that you return is a copy, and the one that was given has no adapters. This exercise asks to change the "
    "model itself and to return it: a copy of a large model takes its memory again.",
)
def copied(model, targets, rank, alpha):
    return usual(copy.deepcopy(model), targets, rank, alpha)


@misconception(
    "returns-nothing",
    "Your function returns None. It changes the model in place, and should return it as well.",
)
def no_return(model, targets, rank, alpha):
    usual(model, targets, rank, alpha)


@misconception(
    "no-match-is-silent",
    "Where no layer has the name, nothing happens: the model would be trained without any adapter, all frozen, and the "
    "misspelt target never noticed. Raise a ValueError.",
)
def silent(model, targets, rank, alpha):
    return usual(model, targets, rank, alpha, missing=lambda targets: None)


@misconception(
    "rank-and-alpha-swapped",
    "rank and alpha have changed places on their way to LoRALinear(base, rank, alpha): the adapters have the rank that "
    "was meant for alpha.",
)
def swapped(model, targets, rank, alpha):
    return usual(model, targets, alpha, rank)


@misconception(
    "alpha-left-at-the-rank",
    "alpha does not arrive: your adapters have α/r = 1 whatever alpha is. Hand it on: LoRALinear(module, rank, alpha).",
)
def alpha_lost(model, targets, rank, alpha):
    return usual(model, targets, rank, rank)


EXERCISE = Exercise(
    name="apply_lora",
    lesson="09_lora",
    kind="write",
    points=3,
    difficulty=3,
    minutes=20,
    asks="Put a LoRALinear around every nn.Linear with one of these names, freeze all else, and return the model.",
    reference=reference,
    returns=("model",),
    cases=(
        Case("one of two layers", drawn(two_layers, ["query_proj"]), ask=what_became_of_it),
        Case(
            "a layer without bias, and rank 1",
            drawn(lambda: stack(query_proj=linear(bias=False), key_proj=linear()), ["query_proj"], rank=1),
            ask=what_became_of_it,
        ),
        Case(
            "two blocks, two targets",
            drawn(two_blocks, ["query_proj", "value_proj"]),
            "each block has layers of these names, and a norm",
            ask=what_became_of_it,
        ),
        Case(
            "a model with an embedding and a norm",
            drawn(
                lambda: stack(embedding=Layer("Embedding", 7, 4), inner=stack(norm=norm(), value_proj=linear())),
                ["value_proj"],
                x=(3,),
            ),
            "they are no linear maps, and are frozen as well",
            ask=what_became_of_it,
        ),
        Case(
            "the target “proj”, beside “projector” and “query_proj”",
            drawn(lambda: stack(query_proj=linear(), proj=linear(), projector=linear()), ["proj"]),
            "the whole last name counts",
            ask=what_became_of_it,
        ),
        Case(
            "the target stands in the middle of a name too",
            drawn(lambda: stack(proj=stack(first=linear(), second=linear()), end=stack(proj=linear())), ["proj"]),
            "proj.first is called first, and proj itself is no nn.Linear",
            ask=what_became_of_it,
        ),
        Case(
            "the same name at two depths",
            drawn(lambda: stack(query_proj=linear(), inner=stack(query_proj=linear(), out=linear())), ["query_proj"]),
            ask=what_became_of_it,
        ),
        Case(
            "a layer that is called “base”",
            drawn(lambda: stack(query_proj=linear(), base=linear()), ["query_proj", "base"]),
            "so is the layer inside a LoRALinear",
            ask=what_became_of_it,
        ),
        Case("rank 2, alpha 6, trained", drawn(two_layers, ["key_proj"]), "α/r is 3", ask=output_with_weights_in),
        Case(
            "two blocks, trained",
            drawn(two_blocks, ["key_proj"], rank=1, alpha=2),
            "every adapter has weights of its own",
            ask=output_with_weights_in,
        ),
        Case("the layers themselves", drawn(two_layers, ["query_proj"]), ask=the_given_layers_are_inside),
        Case(
            "no layer has this name",
            drawn(two_layers, ["qeury_proj"]),
            "a misspelt target should not go unnoticed",
            ask=nothing_matches,
            raises=ValueError,
        ),
    ),
    properties=(Property("at first the model computes what it did", at_first_the_model_computes_what_it_did),),
    misconceptions=(
        substring,
        name_ends,
        whole_name,
        children_only,
        all_linear,
        first_only,
        rest_learns,
        norms_learn,
        biases_learn,
        frozen_too,
        wrong_parent,
        dotted,
        target_by_target,
        any_kind,
        copied,
        no_return,
        silent,
        swapped,
        alpha_lost,
    ),
    alternatives=(plain, downwards, frozen_by_name),
    parameters=("model", "targets", "rank", "alpha"),
    hints=(
        "Three steps, in this order: find, freeze, replace. What you find has to be a list before the first layer is "
        "replaced, since replacing changes the model that you walk through.",
        "model.named_modules() gives (dotted name, module) for every level. Keep those that are nn.Linear and whose "
        "last name is a target; raise ValueError where there are none. model.requires_grad_(False) freezes. To replace "
        '“a.b.query_proj”, set the attribute “query_proj” of model.get_submodule("a.b").',
        'parent, _, child = name.rpartition("."), then '
        "setattr(model.get_submodule(parent), child, LoRALinear(module, rank, alpha))",
    ),
    forbidden=("peft.get_peft_model", "peft.inject_adapter_in_model"),
)
