"""`clearformer lab`, and `jupyter lab` in the same environment: what opens, and that no outside host is asked."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
import webbrowser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from clearformer import lab
from clearformer.cli import app

ROOT = Path(__file__).parents[1]


@pytest.fixture
def course(tmp_path):
    folder = tmp_path / "a course"
    first = folder / lab.FIRST_NOTEBOOK
    first.parent.mkdir(parents=True)
    first.write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    (folder / "exercises" / "deep").mkdir(parents=True)
    return folder


@pytest.fixture
def desktop(monkeypatch):
    """A Linux desktop with a browser."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(webbrowser, "get", lambda *_: object())
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DISPLAY", ":0")


# --- where the course is -------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [".", "notebooks", "exercises/deep"])
def test_the_course_is_found_from_every_folder_in_it(course, place):
    assert lab.find_course(course / place) == course


def test_elsewhere_the_course_is_the_one_the_package_lies_in(tmp_path):
    assert lab.find_course(tmp_path) == ROOT


def test_without_lessons_a_sentence_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(lab, "__file__", str(tmp_path / "site-packages" / "clearformer" / "lab.py"))
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["lab"])
    assert result.exit_code == 2
    assert "Change to the course's folder, then run the same command again." in result.stderr


# --- what JupyterLab is asked for ----------------------------------------------------------------------------


def test_what_the_caller_asks_for_comes_last_and_so_wins(course):
    assert lab.lab_options(course, ["--port", "9999"])[-2:] == ["--port", "9999"]


def test_a_browser_is_opened_on_a_desktop(course, desktop):
    assert "--no-browser" not in lab.lab_options(course)


def test_no_browser_is_opened_without_a_display(course, desktop, monkeypatch):
    monkeypatch.delenv("DISPLAY")
    assert "--no-browser" in lab.lab_options(course)


def test_a_browser_named_by_the_user_needs_no_display(course, desktop, monkeypatch):
    monkeypatch.delenv("DISPLAY")
    monkeypatch.setenv("BROWSER", "my-browser")
    assert "--no-browser" not in lab.lab_options(course)


def test_no_browser_is_opened_where_none_is_installed(course, desktop, monkeypatch):
    def nothing(*_):
        raise webbrowser.Error("could not locate runnable browser")

    monkeypatch.setattr(webbrowser, "get", nothing)
    assert "--no-browser" in lab.lab_options(course)


@pytest.mark.parametrize(("user", "allowed"), [(0, True), (1000, False)])
def test_only_root_is_allowed_as_root(course, monkeypatch, user, allowed):
    monkeypatch.setattr(os, "geteuid", lambda: user)
    assert ("--allow-root" in lab.lab_options(course)) == allowed


# --- a real server -------------------------------------------------------------------------------------------

# Python runs this file first: it writes down every host that the server, or anything it loads, turns to.
LISTENER = """
import sys

def listen(event, arguments):
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    with open({log!r}, "a") as file:
        file.write(f"{{host}}\\n")

sys.addaudithook(listen)
"""
COMMANDS = {
    "clearformer lab": ["-m", "clearformer.cli", "lab"],
    "jupyter lab": ["-m", "jupyterlab", "--allow-root"],
}


class Server:
    """JupyterLab on a free port, and the hosts it turns to."""

    def __init__(self, command, course, folder):
        self.log = folder / "hosts"
        (folder / "sitecustomize.py").write_text(LISTENER.format(log=str(self.log)))
        names = ("CONFIG_DIR", "RUNTIME_DIR", "DATA_DIR")
        variables = {f"JUPYTER_{name}": str(folder / name) for name in names}
        variables |= {f"JUPYTERLAB_{name}_DIR": str(folder / name) for name in ("SETTINGS", "WORKSPACES")}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.process = subprocess.Popen(
            [sys.executable, *COMMANDS[command], "--no-browser", f"--port={port}"],
            cwd=course,
            env=os.environ | variables | {"PYTHONPATH": str(folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.printed = ""
        for line in self.process.stdout:
            self.printed += line
            if found := re.search(r"(http://\S+?)(/lab\S*?)\?token=(\w+)", line):
                self.host, self.page, self.token = found.groups()
                self.wait_until_it_listens(port)  # jupyter lab prints its address before it can be reached
                return
        pytest.fail(f"JupyterLab did not start: {self.printed}")

    def wait_until_it_listens(self, port):
        for _ in range(200):
            try:
                return socket.create_connection(("127.0.0.1", port)).close()
            except ConnectionRefusedError:
                time.sleep(0.1)
        pytest.fail(f"JupyterLab does not listen: {self.printed}")

    def get(self, path):
        """(status, text) of what the server answers."""
        request = urllib.request.Request(self.host + path, headers={"Authorization": f"token {self.token}"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def hosts(self):
        return set(self.log.read_text().split()) if self.log.exists() else set()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        rest = self.process.communicate(timeout=20)[0]
        return self.printed + rest


@pytest.fixture(scope="module", params=COMMANDS)
def server(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    course = folder / "a course"
    (course / "notebooks").mkdir(parents=True)
    (course / lab.FIRST_NOTEBOOK).write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    running = Server(request.param, course, folder)
    running.name = request.param
    yield running
    running.stop()


def test_the_address_it_prints_opens_the_first_notebook(server):
    if server.name == "clearformer lab":
        assert server.page == f"/lab/tree/{lab.FIRST_NOTEBOOK}"
        assert "Go to this address:" in server.printed
    assert server.get(server.page)[0] == 200
    assert server.get(f"/api/contents/{lab.FIRST_NOTEBOOK}?content=0")[0] == 200


def test_no_outside_host_is_asked_for_anything(server):
    # The server asks for news, updates and extensions when the page asks it to: do what the page does.
    for path in (server.page, "/lab/api/news", "/lab/api/update", "/lab/api/extensions?refresh=1&query=widgets"):
        server.get(path)
    assert server.hosts() <= {"None", "localhost", "127.0.0.1", "::1", "0.0.0.0", socket.gethostname()}


def test_the_page_does_not_ask_whether_news_are_wanted(server):
    _, page = server.get(server.page)
    assert re.search(r'"news":\s*{"disabled":\s*true}', page)
    status, text = server.get("/lab/api/settings/@jupyterlab/apputils-extension:notification")
    properties = json.loads(text)["schema"]["properties"]
    assert status == 200
    assert properties["fetchNews"]["default"] == "false"
    assert properties["checkForUpdates"]["default"] is False


def test_a_quiet_lab_is_part_of_what_the_package_installs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    installed = project["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    assert {Path(source).parent for source in installed} == {Path("reference/jupyter")}
    for source, target in installed.items():
        assert json.loads((ROOT / source).read_text()) == json.loads((Path(sys.prefix) / target).read_text())
