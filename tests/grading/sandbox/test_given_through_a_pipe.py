"""Questions of later lessons, with arguments that cannot cross a border: one verdict on either side of it."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from clearformer.checks import catalogue
from clearformer.checks.answer import InProcessAnswer
from clearformer.checks.exercise import Call, Case, Exercise
from clearformer.checks.given import Callback, Generator, Layer, with_weights
from clearformer.checks.judge import SEED, judge
from clearformer.grading.child import ChildStopped
from clearformer.grading.sandbox.piped_answer import PipedAnswer, run_cell


def exercise(reference, *cases, name=None):
    return Exercise(
        name=name or reference.__name__,
        lesson="02_attention",
        kind="write",
        points=1,
        difficulty=1,
        minutes=1,
        asks="Write it.",
        reference=reference,
        cases=cases,
        hints=("", "", ""),
    )


# --- a callback: greedy decoding --------------------------------------------------------------------------------


def greedy_decode(next_token_logits, start_id, end_id, max_len):
    ids = [start_id]
    while len(ids) < max_len and (len(ids) == 1 or ids[-1] != end_id):
        ids.append(int(np.argmax(next_token_logits(ids))))
    return ids


def never_stops(next_token_logits, start_id, end_id, max_len):
    ids = [start_id]
    while True:
        try:
            ids.append(int(np.argmax(next_token_logits([start_id]))))
        except Exception:
            ids.clear()


def keeps_numpy_integers(next_token_logits, start_id, end_id, max_len):
    ids = [start_id]
    while len(ids) < max_len and (len(ids) == 1 or ids[-1] != end_id):
        ids.append(np.argmax(next_token_logits(ids=ids)))
    return ids


def forgets_the_end(next_token_logits, start_id, end_id, max_len):
    return greedy_decode(next_token_logits, start_id, -1, max_len)


def asks_for_nothing(next_token_logits, start_id, end_id, max_len):
    return greedy_decode(lambda ids: next_token_logits([]), start_id, end_id, max_len)


def a_language_model(rng):
    table = rng.normal(size=(7, 7))

    def next_token_logits(ids):
        if not ids:
            raise ValueError("ids is empty")
        return table[ids[-1]] + 3.0 * (np.arange(7) == (ids[-1] + 1) % 7)

    return Call(Callback(next_token_logits, "next_token_logits", limit=50), 1, 5, 12)


DECODING = exercise(greedy_decode, Case("a small model", a_language_model))


# --- a layer, kept by what is made from it: LoRA ----------------------------------------------------------------


class LoRALinear(nn.Module):
    def __init__(self, base, rank, alpha):
        super().__init__()
        self.base = base
        self.base.requires_grad_(False)
        like = {"dtype": base.weight.dtype}
        self.lora_a = nn.Parameter(torch.randn(rank, base.in_features, **like))
        self.lora_b = nn.Parameter(torch.zeros(base.out_features, rank, **like))
        self.scale, self.merged = alpha / rank, False

    def forward(self, x):
        output = self.base(x)
        return output if self.merged else output + self.scale * (x @ self.lora_a.T @ self.lora_b.T)

    def merge(self):
        if not self.merged:
            self.base.weight.data += self.scale * self.lora_b.data @ self.lora_a.data
        self.merged = True


class MergesTwice(LoRALinear):
    def merge(self):
        self.merged = False
        super().merge()


class CopiesTheBase(LoRALinear):
    def __init__(self, base, rank, alpha):
        import copy

        super().__init__(copy.deepcopy(base), rank, alpha)


class LeavesTheBiasFree(LoRALinear):
    def __init__(self, base, rank, alpha):
        super().__init__(base, rank, alpha)
        self.base.bias.requires_grad_(True)


class HasNoMerge(LoRALinear):
    merge = property(lambda self: self.not_there)


def adapted(answer, call):
    base, weights, x, grad_output = call.args
    module = answer.make(base, 2, 6.0)
    started = {"b at first": module.attribute("lora_b"), "shape of a": module.attribute("lora_a").shape}
    module.load(weights)
    output, inputs, parameters = module.call_with_gradients([x], grad_output)
    module.method("merge")
    merged = module.call(x)
    module.method("merge")
    return started | {
        "output": output,
        "gradient of x": inputs[0],
        "gradient of a": parameters["lora_a"],
        "gradient of the base": parameters["base.weight"],
        "merged": merged,
        "merged twice": module.call(x),
        "the layer itself has changed": answer.given(base).attribute("weight"),
        "it is the layer given": module.part("base").is_same(base),
        "trainable": module.trainable(),
    }


def a_linear_layer(rng):
    base = with_weights(rng, Layer("Linear", 6, 4))
    shapes = {"base.weight": (4, 6), "base.bias": (4,), "lora_a": (2, 6), "lora_b": (4, 2)}
    weights = {name: torch.from_numpy(rng.normal(size=shape)) for name, shape in shapes.items()}
    return Call(base, weights, torch.from_numpy(rng.normal(size=(3, 6))), torch.ones(3, 4, dtype=torch.float64))


ADAPTING = exercise(LoRALinear, Case("one layer", a_linear_layer, ask=adapted))


def apply_lora(model, targets, rank, alpha):
    model.requires_grad_(False)
    for module in list(model.modules()):
        for child, layer in list(module.named_children()):
            if child in targets and isinstance(layer, nn.Linear):
                setattr(module, child, LoRALinear(layer, rank, alpha))
    return model


def works_on_a_copy(model, targets, rank, alpha):
    import copy

    return apply_lora(copy.deepcopy(model), targets, rank, alpha)


def model_changed(answer, call):
    model = call.args[0]
    made = answer.make(*call.args)
    return {
        "the model itself": made.is_same(model),
        "parameters": answer.given(model).parameters(),
        "trainable": answer.given(model).trainable(),
        "output": made.call(call.x),
    }


def a_deep_model(rng):
    block = Layer("Sequential", {"query": Layer("Linear", 4, 4), "act": Layer("ReLU"), "value": Layer("Linear", 4, 4)})
    model = Layer("Sequential", with_weights(rng, block), with_weights(rng, Layer("LayerNorm", 4)), Layer("Identity"))
    call = Call(model, ["query"], 2, 4.0)
    call.x = torch.from_numpy(rng.normal(size=(2, 4)))
    return call


APPLYING = exercise(apply_lora, Case("two blocks", a_deep_model, ask=model_changed))


# --- objects that keep something: the cache -----------------------------------------------------------------------


class KeyValueCache:
    def __init__(self):
        self.key = self.value = None

    def append(self, key, value):
        first = self.key is None
        self.key = key if first else torch.cat([self.key, key], dim=-2)
        self.value = value if first else torch.cat([self.value, value], dim=-2)
        return self.key, self.value


class SharedByAll(KeyValueCache):
    kept = []  # noqa: RUF012

    def append(self, key, value):
        type(self).kept = [*self.kept, (key, value)]
        return tuple(torch.cat(parts, dim=-2) for parts in zip(*self.kept, strict=True))


class ReturnsAList(KeyValueCache):
    def append(self, key, value):
        return [*super().append(key, value)]


def two_caches(answer, call):
    one, other = answer.make(), answer.make()
    return {f"{i}": each.method("append", *call.args) for i, each in enumerate((one, other, one))}


CACHING = exercise(
    KeyValueCache,
    Case("two", lambda rng: Call(*torch.from_numpy(rng.normal(size=(2, 1, 2, 3, 4)))), ask=two_caches),
)


# --- a generator: masking at random ----------------------------------------------------------------------------


def mask_tokens(token_ids, mask_id, rng):
    hidden = rng.random(token_ids.shape) < 0.15
    return np.where(hidden, mask_id, token_ids), np.where(hidden, token_ids, -100)


def has_its_own_randomness(token_ids, mask_id, rng):
    return mask_tokens(token_ids, mask_id, np.random.default_rng(0))


def spoils_the_generator(token_ids, mask_id, rng):
    rng.integers(10)
    return mask_tokens(token_ids, mask_id, rng)


def changes_its_input(token_ids, mask_id, rng):
    hidden = rng.random(token_ids.shape) < 0.15
    labels = np.where(hidden, token_ids, -100)
    token_ids[hidden] = mask_id
    return token_ids, labels


def twice_with_one_generator(answer, call):
    return {"first": answer.call(*call.args), "second": answer.call(*call.args)}


MASKING = exercise(
    mask_tokens,
    Case("tokens", lambda rng: Call(rng.integers(5, 99, size=(4, 30)), 3, Generator(11)), ask=twice_with_one_generator),
)


# --- layers that are watched -----------------------------------------------------------------------------------


def checkpointed_forward(layers, x, num_segments):
    length = -(-len(layers) // num_segments)
    for start in range(0, len(layers), length):
        x = checkpoint(nn.Sequential(*layers[start : start + length]), x, use_reentrant=False)
    return x


def not_checkpointed(layers, x, num_segments):
    return nn.Sequential(*layers)(x)


def stops_the_gradient(layers, x, num_segments):
    return layers[-1](nn.Sequential(*layers[:-1])(x).detach())


def order_and_memory(answer, call):
    seen = answer.call_watched(call.args, torch.ones(2, 4, dtype=torch.float64), without_gradient=call.without)
    return seen | {"saved": sum(np.prod(shape) for shape in seen["saved"]), "calls": [*map(list, seen["calls"])]}


def four_layers(without, box):
    def draw(rng):
        layers = [with_weights(rng, Layer("Linear", 4, 4, label=f"layer {i}")) for i in range(3)]
        layers = box([*layers[:2], Layer("Tanh", label="tanh"), layers[2]])
        call = Call(layers, torch.from_numpy(rng.normal(size=(2, 4))), 2)
        call.without = without
        return call

    return draw


CHECKPOINTING = exercise(
    checkpointed_forward,
    Case("a list", four_layers((), list), ask=order_and_memory),
    Case("a ModuleList", four_layers((1,), lambda layers: Layer("ModuleList", layers)), ask=order_and_memory),
)


def pre_norm(x, sublayer, norm):
    return x + sublayer(norm(x))


def pre_norm_twice(x, sublayer, norm):
    return x + 0.5 * sublayer(norm(x)) + 0.5 * sublayer(norm(x))


def around_a_sublayer(rng):
    sublayer = with_weights(rng, Layer("Linear", 4, 4, label="sublayer"))
    norm = with_weights(rng, Layer("LayerNorm", 4, label="norm"))
    call = Call(torch.from_numpy(rng.normal(size=(2, 4))), sublayer, norm)
    call.without = ()
    return call


NORMALISING = exercise(pre_norm, Case("a linear layer", around_a_sublayer, ask=order_and_memory))


ANSWERS = [
    (DECODING, greedy_decode, "passed", ""),
    (DECODING, keeps_numpy_integers, "passed", ""),
    (DECODING, never_stops, "error", "called next_token_logits more than 50 times"),
    (DECODING, forgets_the_end, "failed", "expected"),
    (DECODING, asks_for_nothing, "error", "ValueError: ids is empty"),
    (ADAPTING, LoRALinear, "passed", ""),
    (ADAPTING, MergesTwice, "failed", "merged twice"),
    (ADAPTING, CopiesTheBase, "failed", "the layer itself has changed"),
    (ADAPTING, LeavesTheBiasFree, "failed", "trainable"),
    (ADAPTING, HasNoMerge, "error", "no attribute 'merge'"),
    (APPLYING, apply_lora, "passed", ""),
    (APPLYING, works_on_a_copy, "failed", "the model itself"),
    (CACHING, KeyValueCache, "passed", ""),
    (CACHING, SharedByAll, "failed", "expected shape"),
    (CACHING, ReturnsAList, "failed", "expected a tuple"),
    (MASKING, mask_tokens, "passed", ""),
    (MASKING, has_its_own_randomness, "failed", "differ"),
    (MASKING, spoils_the_generator, "failed", "differ"),
    (MASKING, changes_its_input, "failed", "token_ids was changed in place"),
    (CHECKPOINTING, checkpointed_forward, "passed", ""),
    (CHECKPOINTING, not_checkpointed, "failed", "expected"),
    (CHECKPOINTING, stops_the_gradient, "failed", "expected"),
    (NORMALISING, pre_norm, "passed", ""),
    (NORMALISING, pre_norm_twice, "failed", "calls: expected 2 items, got 4"),
]


@pytest.mark.parametrize(("asked", "answer", "status", "told"), ANSWERS, ids=[each[1].__name__ for each in ANSWERS])
def test_one_question_has_one_verdict_here_and_behind_a_pipe(asked, answer, status, told, forked, monkeypatch):
    monkeypatch.setattr(catalogue, "modules_not_yet_built", lambda lesson: ())
    process = forked(namespace={asked.name: answer})
    here = judge(asked, InProcessAnswer(answer), SEED)
    assert here.status == status and told in here.message, here.message
    there = judge(asked, PipedAnswer(process, asked, 20, SEED), SEED)
    assert dataclasses.replace(there, seconds=0) == dataclasses.replace(here, seconds=0)


# --- the course's own decoders, which ask the judge for every token -----------------------------------------------

STOPS_FOR_NOTHING = """
def decoder(next_token_logits, start_id, *arguments):
    while True:
        try:
            next_token_logits([start_id] if isinstance(start_id, int) else [start_id[:1]])
        except {caught}:
            pass
"""


@pytest.mark.parametrize("name", ["greedy_decode", "beam_search", "decode_batch"])
def test_a_decoder_that_asks_for_ever_is_stopped_and_told(name, forked):
    process, found = forked(), catalogue.find(name)
    exercise = dataclasses.replace(found, cases=found.cases[:3])
    source = STOPS_FOR_NOTHING.format(caught="Exception").replace("decoder", name)
    assert run_cell(process, 1, source, 10) is None
    verdict = judge(exercise, PipedAnswer(process, exercise, 20, SEED), SEED)
    assert (verdict.status, verdict.points) == ("error", 0)
    assert "your code was stopped: it called next_token_logits more than" in verdict.message
    assert process.status(0) is None, "it goes on answering"


def test_a_decoder_that_nothing_stops_ends_at_its_deadline(forked):
    process, exercise = forked(), catalogue.find("greedy_decode")
    source = STOPS_FOR_NOTHING.format(caught="BaseException").replace("decoder", "greedy_decode")
    assert run_cell(process, 1, source, 10) is None
    with pytest.raises(ChildStopped) as stopped:
        judge(exercise, PipedAnswer(process, exercise, 0.5, SEED), SEED)
    assert stopped.value.late
