"""Multi30k: fetched, copied, checked and read. On small files of our own, and on the real ones where they are."""

import gzip
import hashlib
import re

import pytest

from clearformer.data import multi30k
from clearformer.data.download import DataError
from clearformer.data.multi30k import FILES, LANGUAGES, SENTENCES, SPLITS, File, download, load, take

WORDS = {"en": "A dog number {} sleeps . \xa0", "de": "Ein Hund Nummer {} schläft . \u2028"}


@pytest.fixture
def small(monkeypatch):
    """Files of ten lines in place of the real ones; {name: what the source sends}."""
    contents, files = {}, []
    for file in FILES:
        lines = [f"{file.name} " + WORDS[file.language].format(number) for number in range(10)]
        content = "".join(line + "\n" for line in lines).encode()
        content = content if file.tokenised else gzip.compress(content, mtime=0)
        contents[file.name] = content
        sha256 = hashlib.sha256(content).hexdigest()
        files.append(File(file.split, file.language, file.tokenised, len(content), sha256))
    monkeypatch.setattr(multi30k, "FILES", tuple(files))
    return contents


@pytest.fixture
def source(small, file_server):
    """A server that has the small files where the real ones are."""
    file_server.files = {f"/{file.address}": small[file.name] for file in multi30k.FILES}
    return file_server


def lay(folder, contents):
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


# --- the list of files ---------------------------------------------------------------------------------------


def test_the_list_has_every_split_in_both_languages_raw_and_tokenised():
    assert len(FILES) == 20
    assert {(it.split, it.language, it.tokenised) for it in FILES} == {
        (split, language, tokenised) for split in SPLITS for language in LANGUAGES for tokenised in (False, True)
    }
    assert len({it.sha256 for it in FILES}) == 20
    assert all(re.fullmatch("[0-9a-f]{64}", it.sha256) and it.size > 8000 for it in FILES)


def test_the_addresses_are_those_of_the_data_sets_repository_at_a_fixed_state():
    addresses = {it.address for it in FILES}
    raw, tokenised = multi30k.RAW_STATE, multi30k.TOKENISED_STATE
    assert f"{raw}/data/task1/raw/test_2017_mscoco.en.gz" in addresses
    assert f"{tokenised}/data/task1/tok/train.lc.norm.tok.de" in addresses
    assert all(re.match("[0-9a-f]{40}/data/task1/", address) for address in addresses)
    assert multi30k.BASE_URL == "https://raw.githubusercontent.com/multi30k/dataset"


# --- download ------------------------------------------------------------------------------------------------


def test_everything_is_downloaded_and_can_be_read(source, tmp_path):
    assert download(tmp_path / "m", source.url, progress=False) == tmp_path / "m"
    for file in multi30k.FILES:
        lines = load(file.split, file.language, file.tokenised, tmp_path / "m")
        assert lines == [f"{file.name} " + WORDS[file.language].format(number) for number in range(10)]
    assert not list((tmp_path / "m").rglob("*.partial"))


def test_what_is_there_is_not_fetched_again_and_what_is_damaged_is(source, small, tmp_path):
    download(tmp_path, source.url, progress=False)
    source.requests.clear()
    download(tmp_path, source.url, progress=False)
    assert source.requests == []
    (tmp_path / "raw/val.de.gz").write_bytes(small["raw/val.de.gz"][:-1])
    (tmp_path / "tok/val.lc.norm.tok.de").write_bytes(b"!" + small["tok/val.lc.norm.tok.de"][1:])
    download(tmp_path, source.url, progress=False)
    assert len(source.requests) == 2
    assert (tmp_path / "raw/val.de.gz").read_bytes() == small["raw/val.de.gz"]
    assert (tmp_path / "tok/val.lc.norm.tok.de").read_bytes() == small["tok/val.lc.norm.tok.de"]


def test_a_download_that_was_cut_off_goes_on(source, small, tmp_path):
    source.cut = [20] * 4  # the first file's four tries
    with pytest.raises(DataError, match=r"train\.en\.gz could not be downloaded"):
        download(tmp_path, source.url, progress=False)
    assert not (tmp_path / "raw/train.en.gz").exists()
    source.requests.clear()
    download(tmp_path, source.url, progress=False)
    assert source.requests[0][1] == "bytes=80-"
    assert (tmp_path / "raw/train.en.gz").read_bytes() == small["raw/train.en.gz"]


def test_a_file_that_changed_at_its_source_is_refused_by_name(source, tmp_path):
    address = next(it.address for it in multi30k.FILES if it.name == "raw/val.en.gz")
    content = source.files[f"/{address}"]
    source.files[f"/{address}"] = content[:-1] + bytes([content[-1] ^ 1])
    with pytest.raises(DataError, match=r"val\.en\.gz from http://.* is not the file this course was made with"):
        download(tmp_path, source.url, progress=False)
    assert not (tmp_path / "raw/val.en.gz").exists()
    assert not list(tmp_path.rglob("*.partial"))


def test_progress_is_drawn_on_standard_error(source, tmp_path, capsys):
    download(tmp_path, source.url)
    printed = capsys.readouterr()
    assert "Multi30k" in printed.err and printed.out == ""


# --- a copy --------------------------------------------------------------------------------------------------

LAYOUTS = {
    "as in the repository": lambda name, content: (name, content),
    "a clone of the repository": lambda name, content: (f"data/task1/{name}", content),
    "all in one folder": lambda name, content: (name.split("/")[1], content),
    "under a folder multi30k": lambda name, content: (f"multi30k/{name}", content),
    "tokenised files compressed": lambda name, content: (
        (f"{name}.gz", gzip.compress(content)) if name.startswith("tok") else (name.split("/")[1], content)
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_copy_is_found_in_each_usual_layout(layout, small, tmp_path):
    copy = lay(tmp_path / "copy", dict(LAYOUTS[layout](*item) for item in small.items()))
    take(copy, tmp_path / "mine", progress=False)
    assert {name: (tmp_path / "mine" / name).read_bytes() for name in small} == small
    assert load("val", "de", folder=copy) == load("val", "de", folder=tmp_path / "mine")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:-1], "is too short"),
        (lambda content: b"", "is too short: 0 of"),
        (lambda content: content[:-1] + bytes([content[-1] ^ 1]), "is not Multi30k's file .* its SHA-256 is"),
        (lambda content: content + b"x", "is not Multi30k's file"),
    ],
)
@pytest.mark.parametrize("name", ["raw/val.en.gz", "tok/test_2017_mscoco.lc.norm.tok.de"])
def test_a_damaged_copy_is_refused_by_name_and_nothing_is_copied(damage, message, name, small, tmp_path):
    copy = lay(tmp_path / "copy", {**small, name: damage(small[name])})
    with pytest.raises(DataError, match=f"{re.escape(name)} {message}.*clearformer data multi30k"):
        take(copy, tmp_path / "mine", progress=False)
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize(
    "damage", [lambda packed: packed[:-20], lambda packed: b"not packed", lambda packed: packed[:30]]
)
def test_a_compressed_copy_that_cannot_be_unpacked_is_refused_by_name(damage, small, tmp_path):
    name = "tok/val.lc.norm.tok.en"
    packed = {**small, f"{name}.gz": damage(gzip.compress(small[name]))}
    del packed[name]
    with pytest.raises(DataError, match=r"val\.lc\.norm\.tok\.en\.gz is damaged"):
        take(lay(tmp_path / "copy", packed), tmp_path / "mine", progress=False)


def test_a_copy_that_lacks_a_file_is_refused_by_name(small, tmp_path):
    del small["raw/test_2017_flickr.de.gz"]
    with pytest.raises(DataError, match=r"raw/test_2017_flickr\.de\.gz is not in .*copy"):
        take(lay(tmp_path / "copy", small), tmp_path / "mine", progress=False)


# --- reading -------------------------------------------------------------------------------------------------


def test_without_data_the_message_says_where_it_looked_and_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("CLEARFORMER_DATA", str(tmp_path / "nothing"))
    with pytest.raises(DataError, match=r"raw/train\.en\.gz is not in .*nothing nor in .*home.data.multi30k") as caught:
        load("train", "en")
    assert "clearformer data multi30k" in str(caught.value) and "CLEARFORMER_DATA" in str(caught.value)


def test_the_variable_comes_before_the_data_folder_and_a_folder_before_both(small, tmp_path, monkeypatch):
    lay(tmp_path / "home/data/multi30k", small)
    assert len(load("val", "en")) == 10
    broken = {**small, "raw/val.en.gz": b"broken"}
    monkeypatch.setenv("CLEARFORMER_DATA", str(lay(tmp_path / "named", broken)))
    with pytest.raises(DataError, match=r"named/raw/val\.en\.gz is too short"):  # found there, and not passed over
        load("val", "en")
    assert len(load("val", "en", folder=tmp_path / "home/data/multi30k")) == 10


def test_what_the_variable_lacks_is_read_from_the_data_folder(small, tmp_path, monkeypatch):
    lay(tmp_path / "home/data/multi30k", small)
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("CLEARFORMER_DATA", str(tmp_path / "empty"))
    assert len(load("val", "en")) == 10


def test_lines_end_at_newlines_and_nowhere_else(small, tmp_path):
    assert load("val", "en", folder=lay(tmp_path, small))[0].endswith("\xa0")
    assert load("val", "de", folder=tmp_path)[0].endswith("\u2028")


def test_unknown_splits_and_languages_are_refused_by_name():
    with pytest.raises(ValueError, match="test_2017_mscoco; got 'test'"):
        load("test", "en")
    with pytest.raises(ValueError, match="en, de; got 'fr'"):
        load("val", "fr")


# --- the real files ------------------------------------------------------------------------------------------


def test_the_real_files_are_right_and_parallel(real_multi30k, tmp_path):
    for split in SPLITS:
        for tokenised in (False, True):
            sides = [load(split, language, tokenised, real_multi30k) for language in LANGUAGES]
            assert [len(side) for side in sides] == [SENTENCES[split]] * 2
            assert all(line.strip() for side in sides for line in side)
    assert load("train", "en", folder=real_multi30k)[0] == "Two young, White males are outside near many bushes."
    assert load("train", "de", True, real_multi30k)[0].endswith("in der nähe vieler büsche .")


def test_the_real_files_can_be_taken(real_multi30k, tmp_path):
    take(real_multi30k, tmp_path / "mine", progress=False)
    assert len(load("val", "en", True, tmp_path / "mine")) == 1014


def test_an_english_and_german_tokenizer_gives_the_real_text_back(real_multi30k):
    from clearformer.data.tokenizer import Tokenizer

    lines = [line for language in LANGUAGES for line in load("val", language, True, real_multi30k)]
    tokenizer = Tokenizer.train(lines, 2000)
    assert tokenizer.decode_batch(tokenizer.encode_batch(lines)) == [tokenizer.normalise(line) for line in lines]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("split", SPLITS[2:])
def test_plain_text_becomes_the_tokenised_text_of_the_data_set(real_multi30k, split, language):
    from clearformer.translator.moses import tokenised

    plain, tokens = (load(split, language, kind, real_multi30k) for kind in (False, True))
    assert tokenised(plain, language) == [line.strip() for line in tokens]
