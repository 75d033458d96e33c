"""Arguments that cannot cross a process border: they are described here and built where the answer lives.

A question hands one over like any other argument, alone or inside a list, tuple or dict, and need not know whether
the answer runs in this process or behind a pipe:

    answer.call(tokens, rng=Generator(7))
    answer.call(Callback(logits_after, "next_token_logits"), 1, 2, 20)
    answer.make(with_weights(rng, Layer("Linear", 6, 4)), rank=2, alpha=4.0)

Which tool serves which question
    Generator    a NumPy Generator, by its seed: masking tokens at random
    Callback     a function of the judge, asked back for each call, counted and capped: next_token_logits, feature_map.
                 No gradient flows through it
    Layer        a layer of torch.nn, by its name and weights, nested as deep as you like: the base of a LoRA layer, the
                 model that apply_lora changes, the layers of a checkpointed forward pass, sublayer and norm.
                 `call_watched` tells how often and in which order layers with a label were called, and gives the
                 gradients of their weights; `answer.given(layer)` asks about the layer itself afterwards

One object of these stands for one object there: used twice, in one question or in several to the same answer, it is
the same generator with its state, the same layer with its weights.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping

import numpy as np

from clearformer.checks.compare import is_tensor

CALLS_LIMIT = 10_000  # of a callback, in one question
ACTIVATIONS = ("ReLU", "GELU", "SiLU", "Tanh", "Sigmoid", "Identity", "Dropout")
LAYERS = frozenset((*ACTIVATIONS, "Linear", "LayerNorm", "Embedding", "Sequential", "ModuleList", "ModuleDict"))
UNCHANGING = frozenset((int, float, str, bool, type(None)))
ERRORS = {error.__name__: error for error in (ValueError, TypeError, IndexError, KeyError, OverflowError)}


class CalledTooOften(BaseException):
    """A callback's cap is reached. Not an Exception, so that a bare ``except Exception`` does not go on."""


class Given:
    """What all descriptions have in common. `rebuilt(type(x).__name__, x.fields())` is one like x, elsewhere."""

    is_given = True

    def fields(self):
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    @classmethod
    def from_fields(cls, fields):
        return cls(**fields)


class Generator(Given):
    """np.random.default_rng(seed)"""

    def __init__(self, seed):
        self.seed = seed

    def __repr__(self):
        return f"default_rng({self.seed})"

    def build(self, workshop):
        return np.random.default_rng(self.seed)


class Callback(Given):
    """A function of the judge's. It is called with copies, and what it raises is raised in the answer's code too.

    name: for messages; limit: calls allowed in one question.
    """

    def __init__(self, function: Callable, name, limit=CALLS_LIMIT):
        self._function, self.name, self.limit = function, name, limit

    @classmethod
    def from_fields(cls, fields):
        return cls(None, **fields)

    def __repr__(self):
        return self.name

    def build(self, workshop):
        def function(*args, **kwargs):
            value, error = workshop.call_back(self, args, kwargs)
            if error:
                raise ERRORS.get(error[0], RuntimeError)(error[1])
            return value

        function.__name__ = function.__qualname__ = self.name
        return function

    def answered(self, args, kwargs):
        """(value, None) or (None, (name of an exception, its text)): a call, where the function lives."""
        try:
            return self._function(*args, **kwargs), None
        except Exception as error:
            return None, (type(error).__name__, str(error))


class Layer(Given):
    """A layer of torch.nn: ``Layer("Linear", 6, 4, weights={"weight": …, "bias": …})``.

    kind      one of LAYERS
    settings  its arguments, which may hold other Layers: ``Layer("Sequential", {"first": Layer("Linear", 2, 2)})``
    weights   {dotted name: tensor} for all parameters; `with_weights` draws them
    label     how `call_watched` calls it; "" is not watched
    dtype     "float64", …; frozen: its parameters get no gradient
    """

    def __init__(self, kind, *settings, weights=None, label="", dtype="float64", frozen=False, **named):
        if kind not in LAYERS:
            raise ValueError(f"kind: got {kind!r}, expected one of {', '.join(sorted(LAYERS))}")
        self.kind, self.settings, self.named = kind, settings, named
        self.weights, self.label, self.dtype, self.frozen = dict(weights or {}), label, dtype, frozen

    def __repr__(self):
        inside = ", ".join([*map(repr, self.settings), *(f"{name}={value!r}" for name, value in self.named.items())])
        return f"{self.kind}({inside})"

    @classmethod
    def from_fields(cls, fields):
        fields = dict(fields)
        return cls(fields.pop("kind"), *fields.pop("settings"), **fields.pop("named"), **fields)

    def build(self, workshop):
        import torch

        settings = workshop.resolve(self.settings)
        if self.kind == "Sequential" and settings and isinstance(settings[0], Mapping):
            settings = (OrderedDict(settings[0]),)
        state = torch.get_rng_state()  # drawing weights that are replaced at once must not be noticed
        layer = getattr(torch.nn, self.kind)(*settings, **workshop.resolve(self.named))
        torch.set_rng_state(state)
        layer.to(getattr(torch, self.dtype))
        with torch.no_grad():
            parameters = dict(layer.named_parameters())
            for name, weight in self.weights.items():
                parameters[name].copy_(weight)
        if self.frozen:
            layer.requires_grad_(False)
        return layer


def rebuilt(kind, fields):
    return {"Generator": Generator, "Callback": Callback, "Layer": Layer}[kind].from_fields(fields)


def with_weights(rng, layer, size=0.6):
    """`layer` with normal weights for each parameter, drawn by a NumPy Generator and `size` large."""
    import torch

    built = Workshop().resolve(layer)
    dtype = getattr(torch, layer.dtype)
    for name, parameter in built.named_parameters():
        layer.weights[name] = torch.from_numpy(size * rng.normal(size=tuple(parameter.shape))).to(dtype)
    return layer


class Workshop:
    """Builds what is given, each thing once, and keeps it as long as the answer lives.

    called_too_often: name and cap of the callback that stopped the question, or None.
    """

    def __init__(self):
        self._built, self._calls = {}, {}
        self.called_too_often = None

    def new_question(self):
        self._calls, self.called_too_often = {}, None

    def resolve(self, value):
        """`value` with every Given in it, in lists, tuples and dicts too, replaced by what it describes."""
        if isinstance(value, Given):
            if id(value) not in self._built:
                self._built[id(value)] = value.build(self), value  # kept, so that the id stays its own
            return self._built[id(value)][0]
        if not holds_given(value):
            return value
        if isinstance(value, dict):
            return {key: self.resolve(item) for key, item in value.items()}
        return type(value)(map(self.resolve, value))

    def call_back(self, callback, args, kwargs):
        """See Callback.answered. CalledTooOften where the question has no calls left."""
        self._calls[callback] = self._calls.get(callback, 0) + 1
        if self._calls[callback] > callback.limit:
            self.called_too_often = (callback.name, callback.limit)
            raise CalledTooOften(callback.name)
        return self.answer_back(callback, args, kwargs)

    def answer_back(self, callback, args, kwargs):
        value, error = callback.answered(plain(args), plain(kwargs))
        return plain(value), error


def _inside(value):
    return value.values() if type(value) is dict else value if type(value) in (list, tuple) else ()


def holds_given(value):
    return isinstance(value, Given) or any(map(holds_given, _inside(value)))


def labelled(value):
    """The Layers with a label in `value` and in one another."""
    if isinstance(value, Layer):
        yield from [value] if value.label else []
        value = (*value.settings, *value.named.values())
    for item in _inside(value):
        yield from labelled(item)


def plain(value):
    """A copy that later calls cannot change; gradients' history is left behind."""
    if type(value) in UNCHANGING:
        return value
    if isinstance(value, tuple):
        return tuple(plain(item) for item in value)
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return np.array(value)
    return value.detach().clone() if is_tensor(value) else value


def too_often(name, limit):
    """What is said where a callback was called more often than allowed."""
    return f"it called {name} more than {limit:,} times. Does it ever stop?"
