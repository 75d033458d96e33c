"""Asking in a law: what comes back has the form of the right answer's result, or the law stops there.

A law computes with what an answer returns, before anything has been compared with it. A column and a row where two
matrices are expected would be broadcast: they agree where matrices would not, and from small numbers they make an
array as large as the memory. So a law asks a `FormChecked` answer, and computes only with values of the right form.
"""

from __future__ import annotations

import contextlib
import sys

import numpy as np

from clearformer.checks.answer import AnswerError
from clearformer.checks.compare import form_difference

NEW_ANSWERS = ("make", "part", "given")
# Of what `call_watched` tells, the values. How often a layer is called and what is saved may differ.
VALUES_WATCHED = ("output", "gradients", "parameters")


class WrongForm(Exception):
    """A value of another form than the right answer's. Not an AnswerError: a law may expect one of these."""


class FormChecked:
    """`answer`, which promises what clearformer.checks.answer says, beside the right answer `reference`.

    Everything is asked of both, of the reference first. WrongForm where a value has another kind, shape or dtype
    than the reference's, or is not finite where that is. Where the reference raises and `answer` does not, the value
    is None. label, any_float: as in `compare.form_difference`.
    """

    def __init__(self, answer, reference, label="result", any_float=False):
        self._answer, self._reference = answer, reference
        self._label, self._any_float = label, any_float

    @property
    def is_here(self):
        return self._answer.is_here

    @property
    def changed(self):
        return self._answer.changed

    @property
    def printed(self):
        return self._answer.printed

    def __getattr__(self, question):
        if question.startswith("_") or not callable(getattr(self._answer, question, None)):
            raise AttributeError(question)
        return lambda *args, **kwargs: self._ask(question, args, kwargs)

    def is_same(self, other):
        return self._answer.is_same(getattr(other, "_answer", other))

    def _ask(self, question, args, kwargs):
        raised = False
        with _random_states_kept() if self._answer.is_here else contextlib.nullcontext():
            try:
                wanted = getattr(self._reference, question)(*args, **kwargs)
            except AnswerError:
                raised = True
        found = getattr(self._answer, question)(*args, **kwargs)
        if raised:
            return None
        if question in NEW_ANSWERS:
            return FormChecked(found, wanted, self._label, self._any_float)
        if text := self._difference(question, wanted, found):
            raise WrongForm(text)
        return found

    def _difference(self, question, wanted, found):
        if question == "call_watched":
            wanted, found = ({name: value[name] for name in VALUES_WATCHED} for value in (wanted, found))
        return form_difference(wanted, found, self._label, any_float=self._any_float)


@contextlib.contextmanager
def _random_states_kept():
    """What the reference draws must not change what the answer draws."""
    torch = sys.modules.get("torch")
    numpy_state, torch_state = np.random.get_state(), torch and torch.get_rng_state()
    try:
        yield
    finally:
        np.random.set_state(numpy_state)
        if torch:
            torch.set_rng_state(torch_state)
