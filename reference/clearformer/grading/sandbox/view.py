"""The package `clearformer` that student code may import: what stood before the lesson whose exercises it answers.

A folder of copies, to be mounted where the code runs. It holds no check, no exercise, no reference of the lesson or
of a later one, and not even their source text: in the place of each of those modules stands one that says "write
this one yourself".
"""

from __future__ import annotations

import functools
from pathlib import Path

import clearformer
from clearformer.checks import catalogue

PACKAGE = Path(clearformer.__file__).parent
STAND_INS = PACKAGE / "grading" / "inside" / "stand_ins"

# What an answer is asked through. The rest of these folders and files stays outside.
ANSWERING = ("checks/answer.py", "checks/guard.py", "checks/compare.py", "checks/given.py", "grading/inside/*.py")
OUTSIDE = {"checks", "grading", "authoring", "cli.py", "lab.py", "doctor.py"}
ALWAYS = {"plots"}  # figures teach, and answer nothing


def view(lesson, into):
    """Write what an answer of `lesson` ("02_attention") may import into the folder `into`, to be put on its path."""
    for name, content in _contents(lesson).items():
        file = Path(into, "clearformer", name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def _contents(lesson):
    """{path inside the package: what stands there}"""
    allowed = catalogue.modules_built_before(lesson)
    found = {}
    for path in _files():
        name = path.relative_to(PACKAGE).as_posix()
        if name.split("/")[0] not in OUTSIDE:
            found[name] = path.read_bytes() if _may_be_seen(name, allowed) else _stand_in("not_yet")
    for pattern in ANSWERING:
        found |= {path.relative_to(PACKAGE).as_posix(): path.read_bytes() for path in PACKAGE.glob(pattern)}
    version = _stand_in("clearformer").replace(b"{version}", clearformer.__version__.encode())
    return found | {
        "__init__.py": version,
        "checks/__init__.py": _stand_in("checks"),
        "checks/progress.py": _stand_in("progress"),
        "grading/__init__.py": b"",
    }


@functools.cache
def _files():
    return sorted(path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix != ".pyc")


def _stand_in(name):
    return (STAND_INS / f"{name}.py").read_bytes()


def _may_be_seen(name, allowed):
    """Figures, what earlier lessons have built, and what is no lesson's subject: packages and private helpers."""
    module = "clearformer." + name.removesuffix(".py").replace("/", ".")
    is_helper = Path(name).name.startswith("_")
    return name.split("/")[0] in ALWAYS or not name.endswith(".py") or is_helper or module in allowed
