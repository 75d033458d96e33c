"""Downloads from a server on this machine: cut off, resumed, wrong, missing. Nothing half-written passes for whole."""

import errno
import hashlib
import random
import socket

import pytest

from clearformer.data import download
from clearformer.data.download import DataError, fetch, file_hash, put

CONTENT = random.Random(0).randbytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def get(file_server, tmp_path):
    """A download of CONTENT to tmp_path/data/file.gz; keeps count of what the progress bar was told."""
    file_server.files["/file.gz"] = CONTENT

    def run(path="/file.gz"):
        run.told = 0

        def advance(count):
            run.told += count
            assert 0 <= run.told <= len(CONTENT)

        fetch(file_server.url + path, run.path, len(CONTENT), SHA256, advance)

    run.path = tmp_path / "data" / "file.gz"
    run.partial = tmp_path / "data" / "file.gz.partial"
    return run


def leave_partial(get, content):
    get.partial.parent.mkdir(exist_ok=True)
    get.partial.write_bytes(content)


def test_a_file_is_fetched(get, file_server):
    get()
    assert get.path.read_bytes() == CONTENT
    assert not get.partial.exists()
    assert get.told == len(CONTENT)
    assert file_server.requests == [("/file.gz", None)]


def test_what_an_earlier_try_left_is_not_loaded_again(get, file_server):
    leave_partial(get, CONTENT[:200_000])
    get()
    assert get.path.read_bytes() == CONTENT
    assert file_server.requests == [("/file.gz", "bytes=200000-")]
    assert file_server.sent == 100_000
    assert get.told == len(CONTENT)


def test_a_connection_that_breaks_is_taken_up_again(get, file_server):
    file_server.cut = [100_000, 50_000]
    get()
    assert get.path.read_bytes() == CONTENT
    assert [asked for _, asked in file_server.requests] == [None, "bytes=100000-", "bytes=150000-"]
    assert file_server.sent == len(CONTENT)
    assert get.told == len(CONTENT)


def test_a_server_that_sends_no_parts_is_asked_for_the_whole(get, file_server):
    file_server.parts = False
    leave_partial(get, b"x" * 200_000)
    get()
    assert get.path.read_bytes() == CONTENT
    assert get.told == len(CONTENT)


def test_a_server_that_sends_another_part_is_not_believed(get, file_server):
    file_server.wrong_part = True
    leave_partial(get, CONTENT[:1000])
    get()
    assert get.path.read_bytes() == CONTENT
    assert [asked for _, asked in file_server.requests] == ["bytes=1000-", None]


def test_a_connection_that_always_breaks_keeps_what_came_and_says_so(get, file_server):
    file_server.cut = [1000] * download.TRIES
    with pytest.raises(
        DataError, match=r"file\.gz could not be downloaded .*ended after 4,000 of 300,000 bytes.*goes on"
    ):
        get()
    assert not get.path.exists()
    assert get.partial.read_bytes() == CONTENT[:4000]
    assert get.told == 0
    get()
    assert get.path.read_bytes() == CONTENT


def test_a_download_that_is_interrupted_leaves_nothing_under_the_files_name(get, file_server):
    def stop(count):
        if count > 0 and get.partial.exists() and get.partial.stat().st_size > 100_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(file_server.url + "/file.gz", get.path, len(CONTENT), SHA256, stop)
    assert not get.path.exists()
    assert 0 < get.partial.stat().st_size < len(CONTENT)
    get()
    assert get.path.read_bytes() == CONTENT
    assert file_server.sent < 2 * len(CONTENT) and file_server.requests[-1][1]


def test_a_file_with_the_wrong_hash_is_deleted_and_named(get, file_server):
    file_server.files["/file.gz"] = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    with pytest.raises(DataError, match=rf"file\.gz .* is not the file.*it should be {SHA256}\. It was deleted"):
        get()
    assert list(get.path.parent.iterdir()) == []
    assert get.told == 0


def test_a_rest_that_does_not_fit_its_beginning_is_loaded_anew(get, file_server):
    leave_partial(get, b"another file" * 1000)
    get()
    assert get.path.read_bytes() == CONTENT
    assert [asked for _, asked in file_server.requests] == ["bytes=12000-", None]
    assert get.told == len(CONTENT)


def test_a_whole_file_under_the_partial_name_needs_no_server(get, file_server):
    leave_partial(get, CONTENT)
    get()
    assert get.path.read_bytes() == CONTENT and file_server.requests == []


def test_a_partial_file_that_is_too_long_is_thrown_away(get, file_server):
    leave_partial(get, CONTENT + b"more")
    get()
    assert get.path.read_bytes() == CONTENT


def test_a_shorter_file_at_the_source_is_never_taken_for_the_whole(get, file_server):
    file_server.files["/file.gz"] = CONTENT[:-10]
    with pytest.raises(DataError, match=r"file\.gz could not be downloaded"):
        get()
    assert not get.path.exists()


def test_a_longer_file_at_the_source_is_refused(get, file_server):
    file_server.files["/file.gz"] = CONTENT + b"more"
    with pytest.raises(DataError, match=r"file\.gz at .* is longer than 300,000 bytes"):
        get()
    assert list(get.path.parent.iterdir()) == []


def test_a_file_that_is_not_there_is_named_with_the_answer_and_what_to_do(get, file_server):
    with pytest.raises(DataError, match=r"file\.gz is not at .*/other: the server answered 404 Not Found.*--from"):
        get("/other")
    assert len(file_server.requests) == 1  # asking again would not help


def test_a_server_that_is_busy_is_asked_again(get, file_server):
    file_server.statuses = [503, 429]
    get()
    assert get.path.read_bytes() == CONTENT and len(file_server.requests) == 3


def test_without_a_network_the_file_is_named(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/file.gz"
        with pytest.raises(DataError, match=r"file\.gz could not be downloaded .*refused.*Is this machine online\?"):
            fetch(url, tmp_path / "file.gz", 10, "0" * 64)
    with pytest.raises(DataError, match=r"file\.gz could not be downloaded"):
        fetch("http://no-such-host.invalid/file.gz", tmp_path / "file.gz", 10, "0" * 64)
    assert list(tmp_path.iterdir()) == []


def full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_named_and_what_fitted_is_kept(get, monkeypatch):
    written, whole = [], download._write

    def fills(file, block):
        whole(file, block) if len(written) < 2 else full()
        written.append(block)

    monkeypatch.setattr(download, "_write", fills)
    with pytest.raises(DataError, match=r"^file\.gz could not be written to .*The disk is full: make room.*--into"):
        get()
    assert not get.path.exists() and get.partial.stat().st_size == sum(map(len, written))
    monkeypatch.setattr(download, "_write", whole)
    get()
    assert get.path.read_bytes() == CONTENT


def test_a_folder_that_cannot_be_written_is_named(get, tmp_path):
    (tmp_path / "data").write_text("a file stands where the folder should be")
    with pytest.raises(DataError, match=r"^file\.gz could not be written to .*data \(File exists\).*--into"):
        get()


def test_put_writes_the_whole_or_nothing(tmp_path, monkeypatch):
    put(b"old", tmp_path / "a" / "file")
    monkeypatch.setattr(download, "_write", full)
    with pytest.raises(DataError, match="The disk is full"):
        put(b"new content", tmp_path / "a" / "file")
    assert (tmp_path / "a" / "file").read_bytes() == b"old"
    assert len(list((tmp_path / "a").iterdir())) == 1


def test_the_hash_is_sha256(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")  # the example of the standard, FIPS 180-2
    assert file_hash(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
