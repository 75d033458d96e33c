"""Answers: what a check may ask of somebody's code.

A check never touches the learner's object. It asks an *answer*, and cannot tell whether the code
runs in this process (a notebook) or in a child behind a pipe (grading). Every answer offers

    call(*args, **kwargs)             the returned value
    call_with_gradients(args, grad_output, kwargs)   the value, and the gradient of each array in args
    call_watched(args, grad_output, kwargs)          the same, and what happened on the way
    value()                           the variable itself, for predictions
    make(*args, **kwargs)             an answer of its own: the object that the call returns. It has all of these, and
                                      of a module also `parameters`, `trainable`, `load`, `train`, `eval`, `to`
    method(name, *args, **kwargs)     what a method of it returns
    attribute(name)                   a dotted attribute's value; part(name): the same as an answer of its own
    given(layer)                      an answer of its own: what `layer`, a Given, has become
    is_same(other)                    is it the very object that `other`, an answer or a Given, is?
    seed(number)                      set the random state that the answer's code sees
    ahead(calls)                      the calls (args, kwargs) to come next, in this order: an answer far away may begin

has is_here, whether its code runs in this process, and collects, over all that it was asked,

    changed       names or positions of arguments that were changed in place
    printed       what the code printed, cut to a few lines' worth

Code that raises comes back as `AnswerError`. Values are NumPy arrays, tensors, numbers, strings, None,
and tuples, lists and dicts of these. Arguments may also hold what clearformer.checks.given describes.
"""

from __future__ import annotations

import contextlib
import dis
import io
import traceback
import warnings

import numpy as np

from clearformer.checks.compare import is_tensor, kind_of
from clearformer.checks.given import CalledTooOften, Given, Workshop, labelled, plain, too_often
from clearformer.checks.guard import ForbiddenCall, Guard

PRINTED_LIMIT = 2000  # characters
NAME_LIMIT, TEXT_LIMIT = 100, 500  # characters of an exception's class name and of its text
OWN_FILES = ("/clearformer/checks/", "/clearformer/grading/")


class AnswerError(Exception):
    """The answer's own code failed.

    kind: the exception's class name, or ParameterNames, NoModule, NoTensor, TooManyCalls where nothing was raised and
    the check cannot go on; text: its message; where: the line of code, or "";
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
    if isinstance(value, list):
        return [*map(_copies, value)]
    return {key: _copies(item) for key, item in value.items()} if isinstance(value, dict) else value


def _same(before, after):
    """Is an argument still what it was? Only arrays, tensors, lists and dicts can change."""
    if isinstance(before, np.ndarray):
        return before.shape == after.shape and before.tobytes() == after.tobytes()  # NaN is what it was, too
    if is_tensor(before):
        equal = before.eq(after) | (before.ne(before) & after.ne(after)) if before.shape == after.shape else None
        return equal is not None and bool(equal.all())
    if isinstance(before, list):
        return len(before) == len(after) and all(map(_same, before, after))
    if isinstance(before, dict):
        return [*before] == [*after] and all(map(_same, before.values(), after.values()))
    return not isinstance(before, (int, float, str)) or before == after


def _put_back(before, value):
    """Make an argument again what it was: the next question shall not depend on what this one did to it."""
    if isinstance(value, np.ndarray) and value.shape == before.shape:
        value[...] = before
    elif is_tensor(value) and value.shape == before.shape:
        value.data.copy_(before)
    elif isinstance(value, list):
        value[:] = before
    elif isinstance(value, dict):
        value.clear()
        value.update(before)


def _line_of_code(error):
    """ "line 3: scores = query @ key", from the deepest frame outside the installed packages."""
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "site-packages" not in frame.filename
        and not any(own in frame.filename.replace("\\", "/") for own in OWN_FILES)
    ]
    return f"line {own[-1].lineno}: {own[-1].line}"[:TEXT_LIMIT] if own and own[-1].line else ""


def first_line(error):
    """The first line of an exception's text, cut to a length that can be shown."""
    try:
        return str(error)[: 10 * TEXT_LIMIT].strip().split("\n")[0][:TEXT_LIMIT]
    except BaseException:  # an exception whose own __str__ fails
        return ""


def _stub(error, target):
    """Name of what says that it is not written yet, or "" where a library says so of its own.

    A function, a method of `target`, or another class.
    """
    last = error.__traceback__
    while last.tb_next:
        last = last.tb_next
    code = last.tb_frame.f_code
    if code.co_name == "_forward_unimplemented":  # of a torch.nn.Module
        return "forward"
    by_hand = dis.opname[code.co_code[last.tb_lasti]] == "RAISE_VARARGS"  # not: an operation inside torch
    if not by_hand or "site-packages" in code.co_filename:
        return ""
    *_, owner, _ = ("<locals>", *code.co_qualname.split("."))
    own = getattr(target, "__name__", type(target).__name__)
    return code.co_name if owner in ("<locals>", own) else owner


class _InProcess:
    """What functions and modules in this process have in common: running the code, watched."""

    is_here = True

    def __init__(self, target, guard, log):
        self._target, self._guard, self._log = target, guard, log
        self._workshop, self._keep = log["workshop"], log["keep"]

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
                text = first_line(error)
                raise AnswerError(
                    "NotImplementedError", text, _line_of_code(error), unanswered=_stub(error, self._target)
                ) from None
            except ForbiddenCall as error:
                raise AnswerError("ForbiddenCall", "", forbidden=self._guard.called or error.name) from None
            except (Exception, SystemExit) as error:
                if not self._guard.called:
                    kind = type(error).__name__[:NAME_LIMIT]
                    raise AnswerError(kind, first_line(error), _line_of_code(error)) from None
            except CalledTooOften:
                pass
        if stopped := self._workshop.called_too_often:
            self._workshop.called_too_often = None
            raise AnswerError("TooManyCalls", too_often(*stopped))
        if self._guard.called:
            raise AnswerError("ForbiddenCall", "", forbidden=self._guard.called)

    def _call(self, function, args, kwargs):
        self._workshop.new_question()
        while self._log["spoilt"]:
            _put_back(*self._log["spoilt"].pop())
        args, kwargs = self._workshop.resolve(tuple(args)), self._workshop.resolve(kwargs)
        before = [_copies(value) for value in (*args, *kwargs.values())]
        result = None
        with self._running():
            result = function(*args, **kwargs)
        positions = [*range(len(args)), *kwargs]
        for position, old, new in zip(positions, before, (*args, *kwargs.values()), strict=True):
            if not _same(old, new):
                self.changed.add(position)
                self._log["spoilt"].append((old, new))  # not now: the result may be the argument itself
        return result

    def call(self, *args, **kwargs):
        return self._keep(self._call(self._target, args, kwargs))

    def ahead(self, calls):
        pass

    def make(self, *args, **kwargs):
        return self._part(self._call(self._target, args, kwargs))

    def method(self, name, *args, **kwargs):
        return self._keep(self._call(self._found(name), args, kwargs))

    def attribute(self, name):
        return self._keep(self._found(name))

    def part(self, name):
        return self._part(self._found(name))

    def given(self, layer):
        return self._part(self._workshop.resolve(layer))

    def is_same(self, other):
        return self._target is (self._workshop.resolve(other) if isinstance(other, Given) else other._target)

    def _found(self, name):
        found = self._target
        with self._running():
            for step in name.split("."):
                found = getattr(found, step)
        return found

    def _part(self, target):
        return InProcessModule(target, self._guard, self._log)

    def call_with_gradients(self, args, grad_output, kwargs=None):
        """(output, [gradient of each float tensor in args, else None]); output must be a tensor."""
        output, leaves = self._differentiated(args, grad_output, kwargs or {})
        return self._keep(output), self._gradients(leaves)

    def call_watched(self, args, grad_output, kwargs=None, without_gradient=()):
        """As call_with_gradients, with an eye on the labelled layers among the arguments; a dict:

        output, gradients: as there; without_gradient: positions of args that get none
        parameters  {label: {parameter's name: gradient}}
        calls       [(label, "forward" or "backward")], which part of the work a layer was called in, in this order
        saved       shapes of what was kept for the way back while the answer ran, parameters left out
        largest     how many numbers the largest tensor had that went in or that torch made in the forward pass
        """
        layers = self._labelled(args, kwargs or {})
        for layer in layers.values():
            layer.zero_grad()
        seen = _Seen(layers)
        with seen:
            output, leaves = self._differentiated(args, grad_output, kwargs or {}, without_gradient, seen)
        return {
            "output": self._keep(output),
            "gradients": self._gradients(leaves),
            "parameters": {
                label: {name: self._keep(value.grad) for name, value in layer.named_parameters()}
                for label, layer in layers.items()
            },
            "calls": seen.calls,
            "saved": seen.saved,
            "largest": seen.largest,
        }

    def _labelled(self, args, kwargs):
        """{label: layer} of what the question brings along."""
        self._workshop.resolve((tuple(args), kwargs))
        return {given.label: self._workshop.resolve(given) for given in labelled((tuple(args), kwargs))}

    def _gradients(self, leaves):
        return [None if leaf is None else self._keep(leaf.grad) for leaf in leaves]

    def _differentiated(self, args, grad_output, kwargs, without_gradient=(), seen=None):
        args = self._workshop.resolve(tuple(args))
        leaves = [
            value.detach().requires_grad_()
            if is_tensor(value) and value.is_floating_point() and position not in without_gradient
            else None
            for position, value in enumerate(args)
        ]
        given = [value if leaf is None else leaf for value, leaf in zip(args, leaves, strict=True)]
        with seen.going("forward") if seen else contextlib.nullcontext():
            output = self._call(self._target, given, kwargs)
        if not is_tensor(output):
            kind = kind_of(output)[:NAME_LIMIT]
            raise AnswerError("NoTensor", f"your code returned a {kind}, expected a torch tensor")
        if output.requires_grad and output.shape == grad_output.shape:  # another shape is for the check to name
            with seen.going("backward") if seen else contextlib.nullcontext(), self._running():
                (output * grad_output).sum().backward()  # backward(grad_output) imports sympy first: 0.7 s
        return output, leaves

    def seed(self, number):
        import torch

        torch.default_generator.manual_seed(number)  # torch.manual_seed looks for a GPU first: a millisecond


class _Seen:
    """Watches layers while an answer runs; a context manager. See `call_watched`."""

    def __init__(self, layers):
        self._layers, self._hooks, self._now = layers, [], "forward"
        self.calls, self.saved, self.largest = [], [], 0

    def __enter__(self):
        for label, layer in self._layers.items():
            self._hooks.append(layer.register_forward_pre_hook(lambda *_, label=label: self._called(label)))

    def __exit__(self, *error):
        for hook in self._hooks:
            hook.remove()

    def _called(self, label):
        self.calls.append((label, self._now))

    @contextlib.contextmanager
    def going(self, direction):
        import torch

        self._now = direction
        kept = torch.autograd.graph.saved_tensors_hooks(self._saved, lambda tensor: tensor)
        with contextlib.ExitStack() as watching:
            if direction == "forward":
                watching.enter_context(kept)
                watching.enter_context(_made_by_torch(self._made))
            yield

    def _made(self, result):
        for value in result if isinstance(result, (tuple, list)) else [result]:
            if is_tensor(value):
                self.largest = max(self.largest, value.numel())

    def _saved(self, tensor):
        if type(tensor).__name__ != "Parameter":
            self.saved.append(tuple(tensor.shape))
        return tensor


def _made_by_torch(see):
    """Context manager: `see` gets the result of every torch function and method that is called."""
    from torch.overrides import TorchFunctionMode

    class Watch(TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            see(result)
            return result

    return Watch()


class InProcessAnswer(_InProcess):
    """An answer that lives in this process: a function, a class, or a number.

    forbidden: dotted names of library calls that would answer the exercise; modules: names of modules
    whose functions would (both empty: everything is allowed).
    """

    def __init__(self, target, forbidden=(), modules=(), *, keep=plain, workshop=None):
        """keep: what makes a returned value safe from later calls; workshop: builds what arguments describe."""
        log = {"changed": set(), "printed": _Printed(), "spoilt": []}
        log |= {"keep": keep, "workshop": workshop or Workshop()}
        super().__init__(target, Guard(forbidden, modules), log)

    def value(self):
        if self._target is None or self._target is ...:
            raise AnswerError("NotImplementedError", "", unanswered="the variable")
        return self._keep(self._target)


class InProcessModule(_InProcess):
    """An object that an answer has made, mostly a module."""

    def parameters(self):
        """{dotted name: shape}"""
        return {name: tuple(value.shape) for name, value in self._module.named_parameters()}

    def trainable(self):
        """{dotted name: whether a gradient is asked for}"""
        return {name: bool(value.requires_grad) for name, value in self._module.named_parameters()}

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
        own = {name: self._keep(value.grad) for name, value in self._module.named_parameters()}
        return self._keep(output), self._gradients(leaves), own

    def train(self):
        module = self._module
        with self._running():
            module.train()

    def eval(self):
        module = self._module
        with self._running():
            module.eval()

    def to(self, dtype):
        """dtype: "float64", "float16", …"""
        import torch

        module = self._module
        with self._running():
            module.to(getattr(torch, dtype))
