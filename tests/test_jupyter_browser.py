"""Browser tests are never left out in silence."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def run_without_chromium(tmp_path, **environment):
    test = tmp_path / "test_it.py"
    test.write_text("def test_in_a_browser(lab_page):\n    assert lab_page\n")
    (tmp_path / "conftest.py").write_text((HERE / "conftest.py").read_text())
    (tmp_path / "jupyter_browser.py").write_text((HERE / "jupyter_browser.py").read_text())
    clean = {name: value for name, value in os.environ.items() if name != "CI"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(test)],
        env=clean | {"PATH": "", "PLAYWRIGHT_BROWSERS_PATH": str(tmp_path)} | environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )


def test_without_chromium_they_are_skipped_and_the_end_of_the_run_says_so(tmp_path):
    ran = run_without_chromium(tmp_path)
    assert ran.returncode == 0, ran.stdout
    assert "WARNING: 1 browser tests were SKIPPED: no Chromium was found" in ran.stdout


def test_without_chromium_they_fail_where_ci_is_set(tmp_path):
    ran = run_without_chromium(tmp_path, CI="true")
    assert ran.returncode == 1, ran.stdout
    assert "install Chromium, or unset CI" in ran.stdout
