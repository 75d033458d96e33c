"""Answers: what a check may ask of somebody's code.

A check never touches the learner's object. It asks an *answer*, and cannot tell whether the code
runs in this process (a notebook) or in a child behind a pipe (grading). Every answer offers

    call(*args, **kwargs)             the returned value
    call_with_gradients(args, grad_output, kwargs)   the value, and the gradient of each array in args
    value()                           the variable itself, for predictions
    make(*args, **kwargs)             a module answer: `parameters`, `load`, `call`,
                                      `call_with_gradients` (also the parameters'), `train`, `eval`, `to`
    seed(number)                      set the random state that the answer's code sees

and collects, over all that it was asked,

    changed       names or positions of arguments that were changed in place
    printed       what the code printed, cut to a few lines' worth

Code that raises comes back as `AnswerError`. Values are NumPy arrays, tensors, numbers, strings, None,
and tuples, lists and dicts of these.
"""

from __future__ import annotations

import contextlib
import copy
import dis
import io
import traceback
import warnings

import numpy as np

from clearformer.checks.compare import is_tensor, kind_of
from clearformer.checks.guard import ForbiddenCall, Guard

PRINTED_LIMIT = 2000  # characters


class AnswerError(Exception):
    """The answer's own code failed.

    kind: the exception's class name, or ParameterNames, NoModule, NoTensor where nothing was raised and the
    check cannot go on; text: its message; where: the line of code, or "";
    unanswered: name of the function that is still a stub, or ""; forbidden: a call that answers the
    exercise and was used, or "".
    """

    def __init__(self, kind, text, where="", unanswered="", forbidden=""):
        super().__init__(f"{kind}: {text}")
        self.kind, self.text, self.where = kind, text, where
        self.unanswered, self.forbidden = unanswered, forbidden


class _Printed(io.TextIOBase):
    """Keeps the first characters and drops the rest, so that endless printing fills no memory."""

    def __init__(self):
        self.kept = ""
        self.dropped = False

    def writable(self):
        return True

    def write(self, text):
        room = PRINTED_LIMIT - len(self.kept)
        self.kept += text[:room]
        self.dropped = self.dropped or len(text) > room
        return len(text)


def _copies(value):
    if isinstance(value, np.ndarray):
        return np.array(value)
    if is_tensor(value):
        return value.detach().clone()
    return copy.deepcopy(value) if isinstance(value, (list, dict)) else value


def _same(before, after):
    """Is an argument still what it was? Only arrays, tensors, lists and dicts can change."""
    if isinstance(before, np.ndarray):
        nan = before.dtype.kind == "f"
        return before.shape == after.shape and np.array_equal(before, after, equal_nan=nan)
    if is_tensor(before):
        equal = before.eq(after) | (before.ne(before) & after.ne(after)) if before.shape == after.shape else None
        return equal is not None and bool(equal.all())
    if isinstance(before, list):
        return len(before) == len(after) and all(map(_same, before, after))
    if isinstance(before, dict):
        return [*before] == [*after] and all(map(_same, before.values(), after.values()))
    return not isinstance(before, (int, float, str)) or before == after


def _plain(value):
    """A copy that later calls cannot change; gradients' history is left behind."""
    if isinstance(value, tuple):
        return tuple(_plain(item) for item in value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return _copies(value)


def _line_of_code(error):
    """ "line 3: scores = query @ key", from the deepest frame outside the installed packages."""
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "site-packages" not in frame.filename and "/clearformer/checks/" not in frame.filename.replace("\\", "/")
    ]
    return f"line {own[-1].lineno}: {own[-1].line}" if own and own[-1].line else ""


def _stub(error):
    """Name of the function that says it is not written yet, or "" where a library says so of its own."""
    last = error.__traceback__
    while last.tb_next:
        last = last.tb_next
    code = last.tb_frame.f_code
    if code.co_name == "_forward_unimplemented":  # of a torch.nn.Module
        return "forward"
    by_hand = dis.opname[code.co_code[last.tb_lasti]] == "RAISE_VARARGS"  # not: an operation inside torch
    return code.co_name if by_hand and "site-packages" not in code.co_filename else ""


class _InProcess:
    """What functions and modules in this process have in common: running the code, watched."""

    def __init__(self, target, guard, log):
        self._target, self._guard, self._log = target, guard, log

    @property
    def changed(self):
        return self._log["changed"]

    @property
    def printed(self):
        sink = self._log["printed"]
        return sink.kept + ("\n… (more was printed)" if sink.dropped else "")

    @contextlib.contextmanager
    def _running(self):
        with warnings.catch_warnings(), contextlib.redirect_stdout(self._log["printed"]):
            warnings.simplefilter("ignore")
            try:
                with self._guard:
                    yield
            except NotImplementedError as error:
                text = str(error).strip().split("\n")[0]
                raise AnswerError("NotImplementedError", text, _line_of_code(error), unanswered=_stub(error)) from None
            except ForbiddenCall as error:
                raise AnswerError("ForbiddenCall", "", forbidden=self._guard.called or error.name) from None
            except (Exception, SystemExit) as error:
                if not self._guard.called:
                    text = str(error).strip().split("\n")[0]
                    raise AnswerError(type(error).__name__, text, _line_of_code(error)) from None
        if self._guard.called:
            raise AnswerError("ForbiddenCall", "", forbidden=self._guard.called)

    def _call(self, function, args, kwargs):
        before = [_copies(value) for value in (*args, *kwargs.values())]
        result = None
        with self._running():
            result = function(*args, **kwargs)
        positions = [*range(len(args)), *kwargs]
        pairs = zip(positions, before, (*args, *kwargs.values()), strict=True)
        self.changed.update(position for position, old, new in pairs if not _same(old, new))
        return result

    def call(self, *args, **kwargs):
        return _plain(self._call(self._target, args, kwargs))

    def call_with_gradients(self, args, grad_output, kwargs=None):
        """(output, [gradient of each float tensor in args, else None]); output must be a tensor."""
        output, leaves = self._differentiated(args, grad_output, kwargs or {})
        return output, [None if leaf is None else _plain(leaf.grad) for leaf in leaves]

    def _differentiated(self, args, grad_output, kwargs):
        leaves = [
            value.detach().requires_grad_() if is_tensor(value) and value.is_floating_point() else None
            for value in args
        ]
        given = [value if leaf is None else leaf for value, leaf in zip(args, leaves, strict=True)]
        output = self._call(self._target, given, kwargs)
        if not is_tensor(output):
            raise AnswerError("NoTensor", f"your code returned a {kind_of(output)}, expected a torch tensor")
        if output.requires_grad and output.shape == grad_output.shape:  # another shape is for the check to name
            with self._running():
                (output * grad_output).sum().backward()  # backward(grad_output) imports sympy first: 0.7 s
        return _plain(output), leaves

    def seed(self, number):
        import torch

        torch.manual_seed(number)


class InProcessAnswer(_InProcess):
    """An answer that lives in this process: a function, a class, or a number.

    forbidden: dotted names of library calls that would answer the exercise; modules: names of modules
    whose functions would (both empty: everything is allowed).
    """

    def __init__(self, target, forbidden=(), modules=()):
        super().__init__(target, Guard(forbidden, modules), {"changed": set(), "printed": _Printed()})

    def value(self):
        if self._target is None or self._target is ...:
            raise AnswerError("NotImplementedError", "", unanswered="the variable")
        return _plain(self._target)

    def make(self, *args, **kwargs):
        return InProcessModule(self._call(self._target, args, kwargs), self._guard, self._log)


class InProcessModule(_InProcess):
    """A module that an answer has made."""

    def parameters(self):
        """{dotted name: shape}"""
        return {name: tuple(value.shape) for name, value in self._module.named_parameters()}

    @property
    def _module(self):
        if not hasattr(self._target, "_parameters"):
            raise AnswerError("NoModule", "the class has to be a torch.nn.Module (and call super().__init__())")
        return self._target

    def load(self, weights):
        """Copy {dotted name: tensor} into the parameters; names and shapes must be exactly these."""
        import torch

        wanted, found = {name: tuple(value.shape) for name, value in weights.items()}, self.parameters()
        if wanted != found:
            missing = [f"{name} {wanted[name]}" for name in wanted if found.get(name) != wanted[name]]
            extra = [f"{name} {found[name]}" for name in found if wanted.get(name) != found[name]]
            text = "; ".join(
                part
                for part in (
                    f"it has no parameter {', '.join(missing)}" if missing else "",
                    f"it has {', '.join(extra)}, which nobody asked for" if extra else "",
                )
                if part
            )
            raise AnswerError("ParameterNames", text)
        with torch.no_grad():
            for name, parameter in self._module.named_parameters():
                parameter.copy_(weights[name])

    def call_with_gradients(self, args, grad_output, kwargs=None):
        """(output, [gradients of args], {parameter's name: gradient})."""
        self._module.zero_grad()
        output, leaves = self._differentiated(args, grad_output, kwargs or {})
        inputs = [None if leaf is None else _plain(leaf.grad) for leaf in leaves]
        return output, inputs, {name: _plain(value.grad) for name, value in self._module.named_parameters()}

    def train(self):
        self._module.train()

    def eval(self):
        self._module.eval()

    def to(self, dtype):
        """dtype: "float64", "float16", …"""
        import torch

        self._module.to(getattr(torch, dtype))
