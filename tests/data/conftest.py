"""A server for tests of downloads, and the real data where somebody has it."""

import os
import warnings
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

_spec = spec_from_file_location("clearformer_file_server", Path(__file__).with_name("file_server.py"))
_file_server = module_from_spec(_spec)
_spec.loader.exec_module(_file_server)

REAL_DATA = os.environ.get("CLEARFORMER_DATA")


@pytest.fixture
def file_server():
    with _file_server.serving({}) as server:
        yield server


@pytest.fixture(autouse=True)
def no_data_but_the_tests_own(monkeypatch, tmp_path):
    """Neither the user's data folder nor CLEARFORMER_DATA is looked at; nothing waits; no proxy stands in between."""
    monkeypatch.delenv("CLEARFORMER_DATA", raising=False)
    monkeypatch.setenv("CLEARFORMER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("clearformer.data.download.PAUSE", 0.0)


@pytest.fixture
def real_multi30k():
    """The folder with Multi30k's real files. Without one the test is not run, which the warnings at the end say."""
    if not REAL_DATA:
        message = "NOT RUN: tests on Multi30k itself. Let CLEARFORMER_DATA name a folder with a copy to run them."
        warnings.warn(message, stacklevel=1)
        pytest.skip(message)
    return Path(REAL_DATA)
