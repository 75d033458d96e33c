"""Notices when code calls something it was asked to write itself."""

from __future__ import annotations

import importlib
import sys


class ForbiddenCall(BaseException):
    """Not an Exception, so that an ``except Exception`` in an answer does not hide it. name: what was called."""

    def __init__(self, name):
        super().__init__(f"{name}: write this one yourself")
        self.name = name


class NotYet:
    """Stands for something that an answer may not use. It can be imported and passed around; its use is told."""

    def __init__(self, name):
        self._name = name

    def __call__(self, *args, **kwargs):
        raise ForbiddenCall(self._name)

    def __mro_entries__(self, bases):
        raise ForbiddenCall(self._name)

    def __getattr__(self, attribute):
        raise AttributeError(attribute) if attribute.startswith("__") else ForbiddenCall(self._name)


def _resolve(name):
    """The object behind a dotted name, or None where its package is not loaded or has no such thing."""
    parts = name.split(".")
    if parts[0] not in sys.modules:
        return None
    for cut in range(len(parts) - 1, 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
        except ImportError:
            continue
        for part in parts[cut:]:
            found = getattr(found, part, None)
        return found
    return None


class Guard:
    """Context manager; `called` holds the name of the first forbidden call, or "".

    names: dotted names of functions, methods ("torch.Tensor.softmax") and classes; modules: every
    Python function of these modules is forbidden. Works by profiling, so it also sees a function
    that was imported under another name before.
    """

    def __init__(self, names=(), modules=()):
        self._names, self._modules = tuple(names), frozenset(modules)
        self._not_found = [*names]
        self._codes, self._builtins, self._methods, self._kept = {}, {}, {}, []
        self.called = ""

    def _look_up(self):
        """Find what is loaded by now; the rest is looked for again before the next question."""
        for name in [*self._not_found]:
            found = _resolve(name)
            if found is None:
                continue
            self._not_found.remove(name)
            if isinstance(found, type):
                found = found.__init__
            self._kept.append(found)  # so that the ids below stay its own
            if hasattr(found, "__code__"):
                self._codes[id(found.__code__)] = name  # by id: the hash of code is computed anew for each call
            elif type(found).__name__ == "method_descriptor":
                self._methods[found.__objclass__, found.__name__] = name
            else:
                self._builtins[id(found)] = name

    def _watch(self, frame, event, argument):
        name = None
        if event == "call":
            name = self._codes.get(id(frame.f_code))
            if name is None and frame.f_globals.get("__name__") in self._modules:
                if frame.f_code.co_name == "<module>":  # importing is allowed, calling is not
                    return
                name = f"{frame.f_globals['__name__']}.{frame.f_code.co_qualname}".removesuffix(".__init__")
        elif event == "c_call":
            name = self._builtins.get(id(argument))
            if name is None and self._methods:
                owner = getattr(argument, "__self__", None)
                name = next(
                    (
                        self._methods[key]
                        for key in self._methods
                        if key[1] == argument.__name__ and isinstance(owner, key[0])
                    ),
                    None,
                )
        if name:
            self.called = self.called or name
            raise ForbiddenCall(name)

    def __enter__(self):
        self._previous = sys.getprofile()
        if self._names or self._modules:
            self._look_up()
            sys.setprofile(self._watch)
        return self

    def __exit__(self, *error):
        if self._names or self._modules:
            sys.setprofile(self._previous)
