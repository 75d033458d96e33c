"""Running the cells of a notebook in one IPython shell, where nobody watches."""

from __future__ import annotations

import ast
import builtins
import operator
import os
import sys
import traceback
import types

import numpy as np
from IPython.core.compilerop import CachingCompiler
from IPython.core.interactiveshell import InteractiveShell
from traitlets import Type
from traitlets.config import Config

TEXT_LIMIT = 500  # characters of an error's text
NAME_LIMIT = 100
_all, _map, _is = all, map, operator.is_  # taken before a cell can replace them
WATCHED = (builtins, np, np.linalg, np.random)  # modules that asking an answer itself computes with


class _CellCompiler(CachingCompiler):
    """Compiles a cell under the file name "<cell 5>", by which tracebacks then know it."""

    cell = 0

    def get_code_name(self, raw_code, transformed_code, number):
        return f"<cell {self.cell}>"


class _Shell(InteractiveShell):
    """A shell for code that nobody watches: no tracebacks, no windows, and exit() is an error."""

    compiler_class = Type(_CellCompiler)

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._usual = self._transforms()

    def _transforms(self):
        manager = self.input_transformer_manager
        lists = (manager.cleanup_transforms, manager.line_transforms, manager.token_transformers)
        return [*map(list, lists), list(self.input_transformers_post)]

    def transform_cell(self, raw_cell):
        """What is Python as it stands needs no transforming, which takes longer than running most cells."""
        if self._transforms() == self._usual and _is_python(raw_cell):
            return raw_cell if raw_cell.endswith("\n") else raw_cell + "\n"
        return super().transform_cell(raw_cell)

    def should_run_async(self, raw_cell, **kwargs):
        """Only code with one of these words can be a coroutine: the others need not be compiled to find out."""
        return ("await" in raw_cell or "async" in raw_cell) and super().should_run_async(raw_cell, **kwargs)

    def showtraceback(self, *args, **kwargs):
        pass

    def showsyntaxerror(self, *args, **kwargs):
        pass

    def ask_exit(self):
        raise SystemExit

    def enable_gui(self, gui=None):
        pass

    def enable_matplotlib(self, gui=None):
        return gui, "agg"


def _is_python(source):
    """Is it certain that IPython would change nothing? It does in some valid Python: a lone exit, In [1]: in front."""
    if source[:1].isspace() or source.startswith("In [") or "\n" not in source.strip():
        return False
    try:
        compile(source, "<cell>", "exec", ast.PyCF_ONLY_AST)
    except Exception:
        return False
    return True


def _no_input(prompt=""):
    raise EOFError("input() asks the reader something, and nobody is there to answer")


class Cells:
    """The shell. namespace: what the cells have defined. There is one in a process."""

    def __init__(self):
        config = Config()
        config.HistoryManager.enabled = False
        self._shell = _Shell.instance(config=config)
        self.namespace = self._shell.user_ns
        builtins.input = _no_input
        self._untouched = {
            module: {
                name: value
                for name, value in vars(module).items()
                if not name.startswith("_") and not isinstance(value, types.ModuleType)
            }
            for module in WATCHED
        }
        self._own_builtins = {}

    def run(self, cell, source):
        """Run the cell with this number; None, or what went wrong: see `described_error`."""
        self._shell.compile.cell = cell
        vars(builtins).update(self._own_builtins)
        try:
            result = self._shell.run_cell(source)
        finally:
            self._own_builtins = self.repair_builtins()
        error = result.error_before_exec or result.error_in_exec
        if isinstance(error, SyntaxError) and error.msg == "incomplete input":  # IPython's words; Python's say more
            error = _syntax_error(self._shell.transform_cell(source)) or error
        return described_error(error) if error else None

    def unfit(self, exercise, kind):
        """Why what the cells have left behind cannot be asked about this exercise, in a sentence, or ""."""
        if exercise not in self.namespace:
            return f"The answer cell does not define {exercise}. Keep that name."
        target = self.namespace[exercise]
        if kind != "predict" and not callable(target):
            return f"{exercise} is {_described(target)} here, not a function or a class."
        if replaced := self._replaced():
            return (
                f"The notebook has replaced {replaced}, which the check needs as it was. Choose another name for yours."
            )
        return ""

    def repair_builtins(self):
        """Make the built-in functions what they were; what they had been replaced by.

        Calls none of them: whoever calls this cannot rely on any.
        """
        before, now = self._untouched[builtins], builtins.__dict__
        if _all(_map(_is, _map(now.get, before), before.values())):
            return {}
        replaced = {name: now.get(name) for name, value in before.items() if now.get(name) is not value}
        now.update(before)
        return replaced

    def _replaced(self):
        """The name of something that a cell has replaced in a module that asking needs, or "".

        Catches accidents, not tricks.
        """
        for name in self._own_builtins:
            return f"builtins.{name}"
        for module, before in self._untouched.items():
            now = vars(module)
            for name, value in before.items():
                if now.get(name) is not value:
                    return f"{module.__name__}.{name}"
        return ""


def new_streams():
    """Nothing to read, and what is printed goes nowhere, whatever a cell did to the streams before."""
    sys.stdin = open(os.devnull)  # noqa: SIM115
    sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8", errors="replace")  # noqa: SIM115


def lead_nowhere(*descriptors):
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in descriptors:
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _syntax_error(source):
    try:
        compile(source, "<cell>", "exec")
    except SyntaxError as error:
        return error


def _described(value):
    kind = type(value).__name__[:NAME_LIMIT]
    return "None" if value is None else f"{'an' if kind[:1] in 'aeio' else 'a'} {kind}"


def described_error(error):
    """What went wrong and in which line of which cell: {kind, text, cell, line, code}, for JSON."""
    try:
        text = str(error)
    except BaseException:  # an exception whose own __str__ fails
        text = ""
    cell, line, code = 0, 0, ""
    if isinstance(error, SyntaxError):
        text, line, code = str(error.msg), error.lineno or 0, error.text or ""
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename.startswith("<cell "):
            cell, line, code = int(frame.filename[6:-1]), frame.lineno or 0, frame.line or ""
    return {
        "kind": type(error).__name__[:NAME_LIMIT],
        "text": text.strip()[:TEXT_LIMIT],
        "cell": cell,
        "line": line,
        "code": str(code).strip()[:TEXT_LIMIT],
    }
