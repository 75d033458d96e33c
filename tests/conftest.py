"""What all tests share: the fixtures of jupyter_browser.py."""

import importlib.util
import os
from pathlib import Path

# Tests run side by side: with a thread for each core in each of them they would wait for one another. Before torch.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_configure(config):
    # By its file, because tests/ must not be on the path: tests/numpy could then stand in for numpy.
    path = Path(__file__).with_name("jupyter_browser.py")
    spec = importlib.util.spec_from_file_location("jupyter_browser", path)
    plugin = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(plugin)
    config.pluginmanager.register(plugin, "jupyter_browser")
