"""For every test, of code and of notebooks: nothing is written into the home of whoever runs them."""

import os
import tempfile

import pytest

_scratch = pytest.StashKey()


def pytest_configure(config):
    folder = tempfile.TemporaryDirectory(prefix="clearformer-tests-")
    config.stash[_scratch] = folder
    os.environ["CLEARFORMER_HOME"] = os.path.join(folder.name, "clearformer")
    os.environ["IPYTHONDIR"] = os.path.join(folder.name, "ipython")
    if config.getoption("nbval", False) or config.getoption("nbval_lax", False):
        _honour_trailing_semicolons()


def pytest_unconfigure(config):
    if _scratch in config.stash:
        config.stash[_scratch].cleanup()


def _honour_trailing_semicolons():
    """IPython looks for the `;` that hides a result in its history, which nbval does not keep."""
    from nbval.kernel import RunningKernel

    def execute_cell_input(self, cell_input, allow_stdin=None):
        return self.kc.execute(cell_input, store_history=True, allow_stdin=allow_stdin, stop_on_error=False)

    RunningKernel.execute_cell_input = execute_cell_input
