"""What all tests share: the fixtures of jupyter_browser.py."""

import importlib.util
from pathlib import Path


def pytest_configure(config):
    # By its file, because tests/ must not be on the path: tests/numpy could then stand in for numpy.
    path = Path(__file__).with_name("jupyter_browser.py")
    spec = importlib.util.spec_from_file_location("jupyter_browser", path)
    plugin = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(plugin)
    config.pluginmanager.register(plugin, "jupyter_browser")
