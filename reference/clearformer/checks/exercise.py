"""An exercise is data: everything the course knows about one task, in one object."""

from __future__ import annotations

import inspect
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np


class Call:
    """The arguments of one call: ``Call(x, axis=0)``."""

    def __init__(self, *args, **kwargs):
        self.args = args
        self.kwargs = kwargs

    def named(self, names):
        """Pairs (parameter name, value); `names` are the positional parameters' names in order."""
        positional = [names[i] if i < len(names) else f"argument {i + 1}" for i in range(len(self.args))]
        return [*zip(positional, self.args, strict=True), *self.kwargs.items()]


def call_once(answer, call):
    """What most cases ask: call the answer once and look at what it returns."""
    return {"result": answer.call(*call.args, **call.kwargs)}


@dataclass(frozen=True)
class Case:
    """One named input and what to ask of an answer with it.

    name     short, in the learner's words: "a row that may attend to nothing"
    draw     numpy Generator -> Call; the same seed draws the same inputs
    because  what this case tells apart, shown when it fails (may be empty)
    ask      (answer, call) -> {label: value}; may ask several things, and may return what it derived from one value.
             Their shapes are not checked yet: two of them that are computed with together could be broadcast
    raises   the exception that the right answer raises here, if any
    scale    the smallest size of number that rounding errors are measured against
    close    relative tolerance that replaces the one following from the dtype (for predictions)
    """

    name: str
    draw: Callable[[np.random.Generator], Call]
    because: str = ""
    ask: Callable[[Any, Call], dict] = call_once
    raises: type[Exception] | None = None
    scale: float = 0.1
    close: float | None = None

    def inputs(self, seed):
        """The inputs for `seed`: equal on every machine, and independent of the other cases."""
        return self.draw(np.random.default_rng([seed, zlib.crc32(self.name.encode())]))


@dataclass(frozen=True)
class Property:
    """A law that needs no right answer to compare with.

    law: (answer, numpy Generator) -> None where it holds, else a sentence that says how it is broken.
    It sees only values of the form that the right answer's have: kinds, shapes, dtypes, finite numbers.
    """

    name: str
    law: Callable[[Any, np.random.Generator], str | None]

    def broken_by(self, answer, seed):
        return self.law(answer, np.random.default_rng([seed, zlib.crc32(self.name.encode())]))


@dataclass(frozen=True)
class Misconception:
    """A plausible wrong answer that runs, and what to say to the person who wrote it."""

    slug: str
    implementation: Any
    says: str


def misconception(slug, says):
    """Decorator: the function or class below is a wrong answer, known by `slug`."""
    return lambda implementation: Misconception(slug, implementation, says)


@dataclass(frozen=True, eq=False)
class Exercise:
    """See the module's docstring of `clearformer.checks` for what is made from this.

    name           the function, class or variable to write; the id in notebooks, reports and tests
    lesson         "02_attention"
    kind           "write", "predict" or "hunt"
    points, difficulty (1 to 5), minutes
    asks           one sentence: what to write
    reference      the right answer
    returns        names of what is returned, for messages
    cases          smallest first: the first failing one is shown
    properties, misconceptions, alternatives (other right answers)
    hints          three steps: an idea, a plan, the line that matters
    forbidden      dotted names of calls that would answer it and may not be used
    any_float      True where any float dtype is a right dtype for the output
    """

    name: str
    lesson: str
    kind: str
    points: int
    difficulty: int
    minutes: int
    asks: str
    reference: Any
    cases: tuple[Case, ...]
    hints: tuple[str, str, str]
    returns: tuple[str, ...] = ("result",)
    properties: tuple[Property, ...] = ()
    misconceptions: tuple[Misconception, ...] = ()
    alternatives: tuple[Any, ...] = ()
    forbidden: tuple[str, ...] = ()
    any_float: bool = False
    parameters: tuple[str, ...] = field(default=())

    def __post_init__(self):
        if self.kind not in ("write", "predict", "hunt"):
            raise ValueError(f"kind: got {self.kind!r}, expected write, predict or hunt")
        if len(self.hints) != 3:
            raise ValueError(f"hints: got {len(self.hints)} for {self.name}, expected 3")
        for what, names in (
            ("case", [case.name for case in self.cases]),
            ("misconception", [wrong.slug for wrong in self.misconceptions]),
        ):
            if len(set(names)) != len(names):
                raise ValueError(f"{self.name}: two {what}s share a name: {sorted(names)}")
        if not self.parameters and callable(self.reference):
            object.__setattr__(self, "parameters", tuple(inspect.signature(self.reference).parameters))


def prediction(name, *, number, close=0.0, wrong=(), **facts):
    """A *predict* exercise: the answer is a number held by the variable `name`.

    number: the right number; close: relative distance that still counts (0: exact but for rounding);
    wrong: (slug, number, what to say) for each wrong number that has a story.
    """
    case = Case(
        "your number",
        draw=lambda rng: Call(),
        ask=lambda answer, call: {"number": answer.value()},
        close=close or 1e-9,
        scale=0.0,
    )
    return Exercise(
        name=name,
        kind="predict",
        reference=number,
        returns=("number",),
        cases=(case,),
        misconceptions=tuple(Misconception(*story) for story in wrong),
        any_float=True,
        **facts,
    )
