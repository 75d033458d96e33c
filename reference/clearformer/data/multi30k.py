"""Multi30k: 31,014 captions of photographs in English and German, and three test sets (Elliott et al. 2016, 2017).

The data is not part of this course. It is fetched from its authors' repository, or read from a copy that you have;
each file is held against the SHA-256 that is written down here, whenever it is used.
"""

import gzip
import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path

from clearformer.data.download import DataError, fetch, put
from clearformer.data.folder import copy_folder, data_folder

SPLITS = ("train", "val", "test_2016_flickr", "test_2017_flickr", "test_2017_mscoco")
LANGUAGES = ("en", "de")
SENTENCES = {"train": 29000, "val": 1014, "test_2016_flickr": 1000, "test_2017_flickr": 1000, "test_2017_mscoco": 461}
BASE_URL = "https://raw.githubusercontent.com/multi30k/dataset"
# The English training set was edited at its source in later years. These are the states that published figures are for.
RAW_STATE = "c9be912dc05a3ebf9ae5bb5f7f58c1791cda43ab"
TOKENISED_STATE = "7bee46bc74186b4b6254603143610f730d40bf66"


@dataclass(frozen=True)
class File:
    """One file of the data set. Raw ones come compressed, tokenised ones do not.

    size in bytes and sha256 are those of the file as its source sends it.
    """

    split: str
    language: str
    tokenised: bool
    size: int
    sha256: str

    @property
    def name(self):
        """The file's path in the data set's folder data/task1."""
        if self.tokenised:
            return f"tok/{self.split}.lc.norm.tok.{self.language}"
        return f"raw/{self.split}.{self.language}.gz"

    @property
    def address(self):
        """What follows the base URL."""
        return f"{TOKENISED_STATE if self.tokenised else RAW_STATE}/data/task1/{self.name}"


# split, language, kind, bytes, SHA-256
_TABLE = """
train en raw 568929 d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f
train en tok 1837696 08925f8e0572bcd5a006702fc5fe20e2d77c6917d4eebd576fc20de6693c2119
train de raw 637044 726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6
train de tok 2150008 cb5a23529b65ec2061f1dc446192a9c37382b63cc75f81a0be59d34894b3a505
val en raw 21650 14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28
val en tok 64608 46573ce391ae227f1c72f873392436a20ef18e0a6d518098cfbd70b77c8572ec
val de raw 24681 f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a
val de tok 77273 97232bd273eceb7207f689527386a97e4be2616b18ada47576bdaf96c8ae1f00
test_2016_flickr en raw 21077 611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9
test_2016_flickr en tok 63307 5b7f32627cf99eced828311b955dae9800bb52bc8b91cf8b6526829e605b29d2
test_2016_flickr de raw 22890 9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8
test_2016_flickr de tok 71917 c6a33d39d48f9f510de147651316cd9d918e09ad0219df734a2f16b6baccacc4
test_2017_flickr en raw 19138 76a444ee25172e72695cddb13ae4a3bda59430617be88e0bb46b60504f054074
test_2017_flickr en tok 56123 c9d1dfd7a26add989382e534af235af9f0f658b2a30e7eb0efdaf142496ee54f
test_2017_flickr de raw 21471 a2c89666db00c495cd8513b9d708d5a3acc205d7de312ef2bf5fb7ebc1540aee
test_2017_flickr de tok 65228 02067e4a9402786a4fcb8c1b6f4307e4a5073ced64800abead5273b54f5f31f6
test_2017_mscoco en raw 8844 aab300bfb4427697987e02cd0aacd44bfe8aa50456231b6474c08038bbed2b58
test_2017_mscoco en tok 25380 fe69ae004d71c42ead0301e70c57de5b1b6b5fb7f52210d42b22801e98e656f3
test_2017_mscoco de raw 10230 799e4854c25d601cb6cb6be29eabe5667734c61ace2f495e03e429031a0bc338
test_2017_mscoco de tok 30464 e2825990b8a4e5289d2cdba801d57c187810bab9b4f5d87a30c35800a0d871b6
"""


def _file(row):
    split, language, kind, size, sha256 = row.split()
    return File(split, language, kind == "tok", int(size), sha256)


FILES = tuple(_file(row) for row in _TABLE.strip().splitlines())


def download(into=None, base_url=BASE_URL, progress=True):
    """Fetch what is missing from the data set's repository into a folder; returns the folder.

    into: the data folder of this course without it. Files that are there and right are kept; a broken one is fetched
    again; a download that was cut off goes on. DataError names the file that could not be had, and what to do.
    """
    into = _folder(into)
    missing = [file for file in FILES if not _is_whole(into, file)]
    with _bar(sum(file.size for file in missing), progress) as advance:
        for file in missing:
            fetch(f"{base_url}/{file.address}", into / file.name, file.size, file.sha256, advance)
    return into


def take(source, into=None, progress=True):
    """Copy the data set from a folder that holds it, checked, into a folder; returns the folder.

    source: a folder with the files, or above them. Nothing is copied before all files have been found right.
    """
    into = _folder(into)
    contents = {file: _read(_find(file, Path(source).expanduser()), file) for file in FILES}
    with _bar(sum(file.size for file in FILES), progress) as advance:
        for file, content in contents.items():
            put(content, into / file.name)
            advance(file.size)
    return into


def load(split, language, tokenised=False, folder=None):
    """The lines of one file as a list of str, after its SHA-256 was found right.

    split: "train", "val", "test_2016_flickr", "test_2017_flickr" or "test_2017_mscoco". language: "en" or "de".
    tokenised: the lower-cased, normalised text with spaces between tokens. folder: where to look; without it, where
    CLEARFORMER_DATA points to, then in the data folder of this course. DataError where the file is not there, is
    damaged or short.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}; got {split!r}")
    if language not in LANGUAGES:
        raise ValueError(f"language must be one of {', '.join(LANGUAGES)}; got {language!r}")
    file = next(it for it in FILES if (it.split, it.language, it.tokenised) == (split, language, bool(tokenised)))
    content = _read(_find(file, *_places(folder)), file)
    text = content if file.tokenised else gzip.decompress(content)
    return text.decode("utf-8").removesuffix("\n").split("\n")


def _places(folder):
    if folder is not None:
        return [Path(folder).expanduser()]
    return [place for place in (copy_folder(), _folder(None)) if place is not None]


def _folder(into):
    return Path(into).expanduser() if into is not None else data_folder() / "multi30k"


def _candidates(file, folder):
    """Where a copy may have the file: as in the repository, flat, and compressed although the original is not."""
    flat = Path(file.name).name
    for base in (folder, folder / "multi30k", folder / "data/task1", folder / "task1"):
        for name in (file.name, flat):
            yield base / name
            if file.tokenised:
                yield base / f"{name}.gz"


def _find(file, *folders):
    """The file's path in the first folder that has it. DataError where none has."""
    for folder in folders:
        for path in _candidates(file, folder):
            if path.is_file():
                return path
    places = " nor in ".join(str(folder) for folder in folders)
    raise DataError(
        f"Multi30k's file {file.name} is not in {places}. Get it with `clearformer data multi30k`, or let the "
        "variable CLEARFORMER_DATA name a folder with a copy."
    )


def _read(path, file):
    """The file as its source sends it. DataError where it is not that."""
    try:
        content = path.read_bytes()
        if file.tokenised and path.suffix == ".gz":
            content = gzip.decompress(content)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is damaged: it cannot be unpacked ({error}). {_ADVICE}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}).") from None
    if len(content) < file.size:
        raise DataError(f"{path} is too short: {len(content):,} of {file.size:,} bytes. {_ADVICE}")
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        raise DataError(
            f"{path} is not Multi30k's file as this course uses it: its SHA-256 is {found}, it should be "
            f"{file.sha256}. {_ADVICE}"
        )
    return content


_ADVICE = "Delete it and run `clearformer data multi30k`."


def _is_whole(into, file):
    try:
        _read(into / file.name, file)
    except DataError:
        return False
    return True


def _bar(total, shown):
    """A progress bar as a context; it gives a function to be told how many bytes came."""
    from clearformer.data.progress_bar import bytes_bar

    return bytes_bar("Multi30k", total, shown)
