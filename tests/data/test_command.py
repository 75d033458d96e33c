"""`clearformer data multi30k`: what it prints, where it puts the data, how it ends."""

import gzip
import hashlib

import pytest
from typer.testing import CliRunner

from clearformer.data import multi30k
from clearformer.data.command import app
from clearformer.data.multi30k import File, load


@pytest.fixture
def copy(monkeypatch, tmp_path):
    """A folder with one small file, which is all there is."""
    content = gzip.compress(b"ein Hund\n", mtime=0)
    file = File("val", "de", False, len(content), hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(multi30k, "FILES", (file,))
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy/val.de.gz").write_bytes(content)
    return tmp_path / "copy"


@pytest.fixture
def source(copy, file_server, monkeypatch):
    monkeypatch.setattr(multi30k.download, "__defaults__", (None, file_server.url, True))
    file_server.files = {f"/{multi30k.FILES[0].address}": (copy / "val.de.gz").read_bytes()}
    return file_server


def run(*arguments):
    return CliRunner().invoke(app, ["multi30k", *map(str, arguments)])


def test_it_downloads_into_the_data_folder(source, tmp_path):
    result = run()
    assert result.exit_code == 0, result.output
    assert f"Multi30k is in {tmp_path / 'home/data/multi30k'}: 1 file" in result.stdout.replace("\n", "")
    assert load("val", "de") == ["ein Hund"]


def test_it_downloads_into_a_folder_of_ones_choice(source, tmp_path):
    assert run("--into", tmp_path / "there").exit_code == 0
    assert load("val", "de", folder=tmp_path / "there") == ["ein Hund"]


def test_it_takes_a_copy_and_asks_no_server(copy, source):
    assert run("--from", copy).exit_code == 0
    assert load("val", "de") == ["ein Hund"] and source.requests == []


def test_it_takes_the_copy_that_the_variable_names(copy, source, monkeypatch, tmp_path):
    monkeypatch.setenv("CLEARFORMER_DATA", str(copy))
    assert run("--into", tmp_path / "there").exit_code == 0
    assert source.requests == []
    assert load("val", "de", folder=tmp_path / "there") == ["ein Hund"]


def test_what_goes_wrong_is_one_message_and_exit_status_2(copy, source):
    (copy / "val.de.gz").write_bytes(b"short")
    result = run("--from", copy)
    assert result.exit_code == 2
    assert "val.de.gz is too short: 5 of" in result.stderr and "Traceback" not in result.output
    source.files.clear()
    result = run()
    assert result.exit_code == 2 and "the server answered 404" in result.stderr
