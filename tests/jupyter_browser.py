"""Fixtures for tests that open notebooks in JupyterLab, in a real Chromium.

`lab_page(notebook)` opens a copy of a notebook, runs it all and returns a LabPage. Every request to a host
other than this machine is blocked and noted in `LabPage.outside_requests`.

Without Chromium these tests are skipped, and the end of the run says so; where CI is set they fail.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
NO_CHROMIUM = "no Chromium was found, so nothing was tried in a browser"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"]
QUIET += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True},
    # Without this, cells out of sight are not on the page and cannot be looked at.
    "notebook-extension/tracker": {"windowingMode": "none"},
}
TOKEN = "only-for-this-test"
OUTSIDE_CONNECTIONS = "outside-connections.txt"
# Runs at the start of every Python that the server starts, kernels too: notes connections to other machines.
WATCH_CONNECTIONS = """
import os, socket, sys

def note(event, arguments):
    if event == "socket.connect" and arguments[0].family in (socket.AF_INET, socket.AF_INET6):
        host = str(arguments[1][0])
        if arguments[0].type & socket.SOCK_STREAM and host not in ("127.0.0.1", "::1", "localhost"):
            with open(os.environ["OUTSIDE_CONNECTIONS"], "a") as file:
                file.write(repr(arguments[1]) + chr(10))

sys.addaudithook(note)
"""
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}

OPENED = """async () => {
    await window.jupyterapp.restored;
    const panel = window.jupyterapp.shell.currentWidget;
    await panel.context.ready;
    await panel.sessionContext.ready;
}"""


@dataclass
class LabPage:
    """A notebook open in JupyterLab: `page` is playwright's, the rest is what most tests want to know."""

    page: object
    outside_requests: list = field(default_factory=list)

    def run_all(self):
        """Run every cell and wait until the last is done. AssertionError where a cell failed."""
        self.page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
        if failed := self.errors():
            raise AssertionError(f"cells failed: {failed}")

    def set_theme(self, theme):
        """Change to the "light" or the "dark" theme."""
        name = THEMES[theme]
        self.page.evaluate("theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", name)
        self.page.wait_for_selector(f"body[data-jp-theme-name='{name}']", state="attached")

    def errors(self):
        """What the error outputs of the notebook say."""
        outputs = self.page.evaluate(
            "[...window.jupyterapp.shell.currentWidget.content.model.cells].flatMap(c => c.toJSON().outputs ?? [])"
        )
        return [f"{o['ename']}: {o['evalue']}" for o in outputs if o["output_type"] == "error"]

    def output(self, cell):
        """The outputs of one cell, counted from 0, as a playwright locator."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(cell).locator(".jp-OutputArea-output")

    def violations(self, *selectors):
        """What axe-core holds against the elements that match, if it is serious or critical."""
        import axe_playwright_python

        script = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
        self.page.evaluate(script)
        found = self.page.evaluate("s => axe.run({include: s.map((each) => [each])})", list(selectors))
        return [
            f"{each['impact']} {each['id']}: {node['html'][:200]} {node['failureSummary']}"
            for each in found["violations"]
            if each["impact"] in ("serious", "critical")
            for node in each["nodes"]
        ]


@pytest.fixture(scope="session")
def chromium():
    """A running Chromium: this machine's, or else the one that playwright installed."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
        path = next(filter(None, map(shutil.which, NAMES)), own if Path(own).exists() else None)
        if path is None:
            if os.environ.get("CI"):
                pytest.fail(f"{NO_CHROMIUM}; install Chromium, or unset CI to go without")
            pytest.skip(NO_CHROMIUM)
        browser = playwright.chromium.launch(executable_path=path, headless=True, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def lab_server(tmp_path_factory):
    """A JupyterLab of its own, with fresh settings: (its address, the folder it serves)."""
    home = tmp_path_factory.mktemp("lab")
    folders = {name: home / name for name in ("config", "runtime", "settings", "workspaces", "data", "notebooks")}
    for folder in folders.values():
        folder.mkdir()
    for name, content in SETTINGS.items():
        path = folders["settings"] / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    environment = os.environ | {
        "JUPYTER_CONFIG_DIR": str(folders["config"]),
        "JUPYTER_RUNTIME_DIR": str(folders["runtime"]),
        "JUPYTER_DATA_DIR": str(folders["data"]),
        "JUPYTERLAB_SETTINGS_DIR": str(folders["settings"]),
        "JUPYTERLAB_WORKSPACES_DIR": str(folders["workspaces"]),
        "JUPYTER_PREFER_ENV_PATH": "1",
        "IPYTHONDIR": str(home / "ipython"),
        "PYTHONPATH": str(home / "watch"),
        "OUTSIDE_CONNECTIONS": str(home / OUTSIDE_CONNECTIONS),
    }
    (home / "watch").mkdir()
    (home / "watch" / "sitecustomize.py").write_text(WATCH_CONNECTIONS)
    (home / OUTSIDE_CONNECTIONS).touch()
    options = ["--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0", f"--IdentityProvider.token={TOKEN}"]
    options += [f"--ServerApp.root_dir={folders['notebooks']}", "--LabApp.expose_app_in_browser=True"]
    log = home / "server.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options], env=environment, stdout=output, stderr=output
        )
        try:
            yield _wait_for_address(server, folders["runtime"], log), folders["notebooks"]
        finally:
            server.terminate()
            try:
                server.wait(timeout=20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _wait_for_address(server, runtime, log):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        for path in runtime.glob("jpserver-*.json"):
            try:
                return json.loads(path.read_text())["url"]
            except ValueError:  # still being written
                break
        time.sleep(0.1)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-4000:]}")


@pytest.fixture
def outside_connections(lab_server):
    """A function: the addresses of other machines that the server or a kernel has tried to reach in this test."""
    file = lab_server[1].with_name(OUTSIDE_CONNECTIONS)
    before = len(file.read_text().splitlines())
    return lambda: file.read_text().splitlines()[before:]


@pytest.fixture
def lab_page(chromium, lab_server):
    """Open notebooks: `lab_page(path, theme="light", run=True)` gives a LabPage for a copy of the notebook."""
    with _notebook_opener(chromium, *lab_server) as open_notebook:
        yield open_notebook


@pytest.fixture(scope="module")
def module_lab_page(chromium, lab_server):
    """As lab_page, for pages that the tests of one file share."""
    with _notebook_opener(chromium, *lab_server) as open_notebook:
        yield open_notebook


@contextmanager
def _notebook_opener(chromium, address, root):
    contexts = []

    def open_notebook(notebook, theme="light", run=True):
        folder = Path(tempfile.mkdtemp(dir=root))
        (folder / "notebooks").mkdir()
        shutil.copy(notebook, folder / "notebooks")
        shutil.copytree(RESULTS, folder / "benchmarks" / "results")  # lessons draw them
        context = chromium.new_context(viewport={"width": 1280, "height": 1000}, service_workers="block")
        contexts.append(context)
        lab = LabPage(context.new_page())
        lab.page.set_default_timeout(60_000)
        context.route(_is_outside, lambda route: _refuse(route, lab))
        lab.page.on("websocket", lambda socket: lab.outside_requests.extend(filter(_is_outside, [socket.url])))
        lab.page.goto(f"{address}doc/tree/{folder.name}/notebooks/{Path(notebook).name}?token={TOKEN}&reset")
        lab.page.wait_for_selector(".jp-Notebook")
        lab.page.evaluate(OPENED)
        lab.set_theme(theme)
        if run:
            lab.run_all()
        return lab

    yield open_notebook
    for context in contexts:
        for page in context.pages:
            page.evaluate("window.jupyterapp?.shell.currentWidget?.sessionContext?.shutdown()")
        context.close()


def _is_outside(url):
    parts = urlsplit(url)
    return parts.scheme in ("http", "https", "ws", "wss") and parts.hostname not in ("127.0.0.1", "localhost")


def _refuse(route, lab):
    lab.outside_requests.append(route.request.url)
    route.abort()


def pytest_terminal_summary(terminalreporter):
    """Say at the end of the run, in a line of its own, that the browser tests were not run."""
    skipped = [report for report in terminalreporter.stats.get("skipped", []) if NO_CHROMIUM in str(report.longrepr)]
    if skipped:
        terminalreporter.write_line("")
        terminalreporter.write_line(
            f"WARNING: {len(skipped)} browser tests were SKIPPED: {NO_CHROMIUM}. "
            "Install Chromium and run them before you trust what the lessons show.",
            yellow=True,
            bold=True,
        )
