"""What an attack is, where it takes place, and what has to be true before and after it.

Each attack is run twice: against a grader without protection, where it has to succeed, so that it is known to bite;
and against ours, where it has to earn nothing, leave the machine as it was, and not disturb who is graded after it.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, writes

LESSON = "02_attention"
IMPORTS = "import numpy as np\nfrom clearformer import check, hint"
SETTLES_SECONDS = 3.0  # for processes that were killed to be gone from the process table
LARGEST_RECORD = 100_000  # bytes of JSON for one submission, whatever it says and prints
PLACES = ("/tmp", "/var/tmp", "/dev/shm", "~", ".")  # where a notebook might leave a file

RIGHT = {
    "softmax": (
        "def softmax(x, axis=-1):\n"
        "    exponentials = np.exp(x - x.max(axis=axis, keepdims=True))\n"
        "    return exponentials / exponentials.sum(axis=axis, keepdims=True)"
    ),
    "causal_mask": "def causal_mask(seq_len):\n    return np.tri(seq_len, dtype=bool)",
    "padding_mask": "def padding_mask(token_ids, pad_id=0):\n    return (token_ids != pad_id)[:, None, None, :]",
    "score_variance": "score_variance = 64",
}
WRONG_SOFTMAX = ("softmax", "def softmax(x, axis=-1):\n    return x * 0 - 1")


def returning(expression, *exercises):
    """Answer cells that give back `expression`, which may use x, the first argument; of all in RIGHT by default."""
    cells = {
        "softmax": f"def softmax(x, axis=-1):\n    return {expression}",
        "causal_mask": f"def causal_mask(x):\n    return {expression}",
        "padding_mask": f"def padding_mask(x, pad_id=0):\n    return {expression}",
        "score_variance": f"x = np.zeros((2, 3))\nscore_variance = {expression}",
    }
    return [(name, cells[name]) for name in exercises or cells]


@dataclass(frozen=True)
class Check:
    """A check cell as the notebook has it: edited, or put where it should not be."""

    exercise: str
    source: str


@dataclass(frozen=True)
class Attack:
    """cells: source; (exercise, source) for an answer cell; Check; a dict for a raw cell. In the source, the words of
    Ground.words stand for what a run has to know.
    bites: (ground, outcome) -> did it succeed, unprotected; way: one of unprotected.WAYS, "check" or "own";
    limits: of the unprotected run, so that this machine is safe; level_none: the run without protection is our own
    with the sandbox off; earned: exercises that are answered rightly;
    says: what the record must say of it, a regular expression over messages and trouble; holds: (ground, record),
    further assertions; deadline: seconds, for attacks that are ended by it."""

    name: str
    cells: tuple | list
    bites: Callable
    way: str = "assert_allclose"
    limits: dict = field(default_factory=dict)
    level_none: bool = False
    earned: tuple = ()
    says: str = ""
    holds: Callable = lambda ground, record: None
    deadline: float = 10.0
    lesson: str = LESSON

    def __str__(self):
        return self.name


def passes(*exercises):
    """Bites: the exercises get their points."""
    return lambda ground, outcome: outcome.passed >= frozenset(exercises or ("softmax",))


def brings_the_grader_down(ground, outcome):
    return outcome.fell


def ends_the_run(ground, outcome):
    """Bites: there is no result, of this exercise or of any other."""
    return outcome.fell or outcome.ended


def never_ends(ground, outcome):
    return outcome.late


def leaves_a_file(ground, outcome):
    return bool(ground.marked_files())


def leaves_a_process(ground, outcome):
    return bool(ground.marked_processes())


SECRET = re.compile("secret[0-9a-f]{16}")


def tells_the_secret(ground, outcome):
    return ground.secret in outcome.text


class Ground:
    """The place of one attack: a folder with its submission and others', secrets, and a word that marks what it leaves.

    words: {placeholder: what stands for it in the cells}
    """

    def __init__(self, folder, secret, **words):
        self.folder, self.secret = folder, secret
        self.marker = f"left{secrets.token_hex(4)}"  # short enough for a process's name
        mine = folder / "submitted" / "mallory"
        mine.mkdir(parents=True)
        self.file = mine / f"{LESSON}.ipynb"
        self.words = {
            "MARKER": self.marker,
            "FOLDER": str(folder),
            "REPOSITORY": str(Path(__file__).parents[3]),
            "PIDNS": str(os.stat("/proc/self/ns/pid").st_ino),
            **words,
        }

    def fill(self, source):
        for word, meaning in self.words.items():
            source = source.replace(word, str(meaning))
        return source

    def write(self, attack):
        """The notebook of the attack, at self.file."""
        notebook = new_notebook(metadata={"clearformer": {"lesson": attack.lesson}})
        notebook.cells = [new_markdown_cell("# Exercises"), new_code_cell(IMPORTS)]
        for cell in attack.cells:
            notebook.cells += self._cells(cell)
        self.file.write_text(writes(notebook), encoding="utf-8")
        return self.file

    def _cells(self, cell):
        if isinstance(cell, Check):
            return [check_cell(cell.exercise, self.fill(cell.source))]
        if isinstance(cell, tuple):
            return [answer_cell(cell[0], self.fill(cell[1])), check_cell(cell[0], f"check({cell[0]})")]
        return [new_code_cell(self.fill(cell))]

    def plain_cells(self, attack):
        """(exercise or "", source) of the cells, for the usual grader."""
        pairs = [("", IMPORTS)]
        for cell in attack.cells:
            if isinstance(cell, Check):
                pairs.append((f"own {cell.exercise}", self.fill(cell.source)))
            else:
                name, source = cell if isinstance(cell, tuple) else ("", cell)
                pairs.append((name, self.fill(source)))
        return pairs

    def marked_files(self):
        """Files with the marker in their names, where a notebook might leave them."""
        places = [Path(place).expanduser() for place in PLACES] + [self.folder]
        found = [path for place in places for path in place.glob(f"*{self.marker}*")]
        return found + list(self.folder.rglob(f"*{self.marker}*"))

    def marked_processes(self):
        return [pid for pid, (name, command, _) in processes().items() if self.marker in name + command]

    def clear(self):
        """Take away what an unprotected run left."""
        for pid in self.marked_processes():
            os.kill(pid, signal.SIGKILL)
        for path in self.marked_files():
            path.unlink(missing_ok=True)


def answer_cell(exercise, source):
    marks = {"grade_id": exercise, "solution": True, "grade": False, "locked": False, "schema_version": 3}
    return new_code_cell(source, metadata={"nbgrader": marks})


def check_cell(exercise, source):
    marks = {"grade_id": f"check_{exercise}", "solution": False, "grade": True, "locked": True, "schema_version": 3}
    return new_code_cell(source, metadata={"nbgrader": {**marks, "points": 1}})


# --- the machine -----------------------------------------------------------------------------------------------


def processes():
    """{pid: (name, command line, parent's pid)} of all processes that are not zombies."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            name = (folder / "comm").read_text(errors="replace").strip()
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            state, parent = (folder / "stat").read_text(errors="replace").rsplit(")", 1)[1].split()[:2]
        except OSError:  # it ended meanwhile
            continue
        if state != "Z":
            found[int(folder.name)] = (name, command, int(parent))
    return found


def descendants():
    """Counter of the names of all processes that come from this one."""
    known = processes()
    mine, more = set(), {os.getpid()}
    while more:
        more = {pid for pid, (_, _, parent) in known.items() if parent in more} - mine
        mine |= more
    return Counter(known[pid][0] for pid in mine)


@dataclass(frozen=True)
class Machine:
    """What an attack must leave as it was: processes, mounts, shared memory and its like, open descriptors here."""

    processes: Counter
    mounts: str
    shared: tuple
    descriptors: int

    @classmethod
    def now(cls):
        shared = tuple(path.read_text() for path in sorted(Path("/proc/sysvipc").glob("*")))
        mounts = Path("/proc/self/mounts").read_text()
        return cls(descendants(), mounts, shared, len(os.listdir("/proc/self/fd")))

    def unchanged(self):
        """Is the machine as it was, after a moment in which killed processes disappear? "" or what differs."""
        until = time.monotonic() + SETTLES_SECONDS
        while difference := self._difference(Machine.now()):
            if time.monotonic() > until:
                return difference
            time.sleep(0.02)
        return ""

    def _difference(self, now):
        told = {"processes": now.processes - self.processes, "descriptors": max(now.descriptors - self.descriptors, 0)}
        told["mounts"] = now.mounts != self.mounts
        told["shared memory"] = now.shared != self.shared
        return ", ".join(f"{what}: {how}" for what, how in told.items() if how)


# --- grading ---------------------------------------------------------------------------------------------------


def grade(grader, file, student="mallory"):
    """The record of one submission."""
    from clearformer.grading.classroom.submissions import Submission

    return grader.grade(Submission(student, f"{student}/{file.name}", file))


# --- what a record says ----------------------------------------------------------------------------------------


def earned(record):
    """Names of the exercises that have points, which are those with status passed."""
    for each in record["exercises"]:
        assert each["points"] == (each["max_points"] if each["status"] == "passed" else 0), each
    assert record["points"] == sum(each["points"] for each in record["exercises"])
    return {each["id"] for each in record["exercises"] if each["points"]}


def said(record):
    """All that people will read of it, about what is there."""
    parts = [record.get("error", ""), *record.get("trouble", [])]
    parts += [
        f"{each['id']}: {each['status']}: {each['message']}"
        for each in record["exercises"]
        if each["status"] != "missing"
    ]
    return "\n".join(filter(None, parts))


def check_shape(record):
    """Is it a record as its readers expect it, of a bearable size, and plain JSON?"""
    text = json.dumps(record, allow_nan=False)
    assert len(text.encode()) <= LARGEST_RECORD, f"a record of {len(text)} bytes"
    assert record.get("error") or record["exercises"]
    statuses = {"passed", "failed", "error", "unanswered", "missing", "timeout"}
    for each in record["exercises"]:
        assert each["status"] in statuses
        assert each["status"] == "passed" or each["message"].strip(), f"nothing is said about {each['id']}"
    assert re.search(r"[\ud800-\udfff]", text) is None
    return text
