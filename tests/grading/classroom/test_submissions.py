"""Finding submissions in the ways in which people keep them, whatever is in a name and whatever lies there."""

import hashlib
import os
import socket
import stat
import sys
import tempfile
from pathlib import Path

import pytest

from clearformer.grading.classroom import submissions
from clearformer.grading.classroom.submissions import NoSubmissions, Submission, find, not_graded, shown
from clearformer.grading.notebook import NotebookError


def put(root, *paths, content="{}"):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
    return root


def found(root):
    """(student, path) of each."""
    return [(each.student, each.path) for each in find(root)]


def why_not(root, student):
    [submission] = [each for each in find(root) if each.student == student]
    with pytest.raises(NotebookError) as caught:
        submission.content()
    return str(caught.value)


# --- ways to keep submissions --------------------------------------------------------------------------------


def test_one_notebook_is_its_students(tmp_path):
    put(tmp_path, "ada.ipynb", "bob.ipynb")
    assert found(tmp_path / "ada.ipynb") == [("ada", "ada.ipynb")]


def test_a_folder_of_notebooks_is_one_a_student(tmp_path):
    put(tmp_path, "bob.ipynb", "Ada Lovelace.ipynb", "class.csv", "images/plot.png", ".ipynb_checkpoints/bob.ipynb")
    assert found(tmp_path) == [("Ada Lovelace", "Ada Lovelace.ipynb"), ("bob", "bob.ipynb")]


def test_a_folder_for_each_student_at_any_depth(tmp_path):
    put(tmp_path, "ada/02.ipynb", "ada/old/01.ipynb", "bob/a/b/c/02.ipynb", "bob/notes.txt", "bob/.hidden/x.ipynb")
    put(tmp_path, "ada/.ipynb_checkpoints/02-checkpoint.ipynb", "ada/__MACOSX/02.ipynb", "ada/._02.ipynb")
    assert found(tmp_path) == [("ada", "ada/02.ipynb"), ("ada", "ada/old/01.ipynb"), ("bob", "bob/a/b/c/02.ipynb")]


@pytest.mark.parametrize("beside", ["nbgrader_config.py", "gradebook.db", None])
def test_nbgraders_course_folder_holds_what_was_submitted(tmp_path, beside):
    put(tmp_path, "submitted/ada/hw/02.ipynb", "submitted/bob/hw/02.ipynb")
    if beside:
        put(tmp_path, beside, "source/hw/02.ipynb", "release/hw/02.ipynb", "autograded/ada/hw/02.ipynb")
        put(tmp_path, "feedback/ada/hw/02.html", "header.ipynb")
    assert found(tmp_path) == [("ada", "submitted/ada/hw/02.ipynb"), ("bob", "submitted/bob/hw/02.ipynb")]
    assert found(tmp_path / "submitted") == [("ada", "ada/hw/02.ipynb"), ("bob", "bob/hw/02.ipynb")]


def test_nbgraders_own_notebooks_are_nobodys_submissions(tmp_path):
    put(tmp_path, "source/hw/02.ipynb", "release/hw/02.ipynb")
    with pytest.raises(NoSubmissions, match="nothing is collected"):
        find(tmp_path)
    put(tmp_path, "class/ada/nbgrader_config.py", "class/ada/source/02.ipynb", "class/ada/submitted/ada/hw/02.ipynb")
    assert found(tmp_path / "class") == [("ada", "ada/submitted/ada/hw/02.ipynb")]


def test_a_student_may_have_any_name(tmp_path):
    put(tmp_path, "submitted/02.ipynb", "source/02.ipynb", "ada/release/02.ipynb")
    assert {student for student, _ in found(tmp_path)} == {"submitted", "source", "ada"}


def test_of_a_repository_only_the_exercises_count(tmp_path):
    for student in ("class-ada", "class-bob/downloaded"):
        for folder in ("notebooks", "exercises", "solutions", "exercises/more"):
            put(tmp_path, f"{student}/{folder}/02.ipynb", f"{student}/README.ipynb", f"{student}/.git/x.ipynb")
    assert found(tmp_path) == [
        ("class-ada", "class-ada/exercises/02.ipynb"),
        ("class-ada", "class-ada/exercises/more/02.ipynb"),
        ("class-bob", "class-bob/downloaded/exercises/02.ipynb"),
        ("class-bob", "class-bob/downloaded/exercises/more/02.ipynb"),
    ]


def test_who_deletes_the_exercises_does_not_hand_in_the_solutions(tmp_path):
    put(tmp_path, "ada/solutions/02.ipynb", "bob/solutions/02.ipynb")
    (tmp_path / "ada/exercises").mkdir()
    (tmp_path / "bob/exercises").symlink_to("solutions")
    assert found(tmp_path) == [("ada", "ada"), ("bob", "bob/exercises")]
    assert "exercises" in why_not(tmp_path, "ada")
    assert "link" in why_not(tmp_path, "bob")


def test_a_student_without_a_notebook_is_in_the_list(tmp_path):
    put(tmp_path, "ada/02.ipynb", "bob/essay.docx")
    (tmp_path / "carl").mkdir()
    assert found(tmp_path) == [("ada", "ada/02.ipynb"), ("bob", "bob"), ("carl", "carl")]
    assert why_not(tmp_path, "bob") == "There is no notebook in this student's folder."


def test_a_student_with_very_many_notebooks_costs_nobody_elses_time(tmp_path, monkeypatch):
    monkeypatch.setattr(submissions, "NOTEBOOK_LIMIT", 3)
    put(tmp_path, *(f"ada/{number}.ipynb" for number in range(3)), *(f"bob/{number}.ipynb" for number in range(4)))
    assert [student for student, _ in found(tmp_path)] == ["ada", "ada", "ada", "bob"]
    assert "over 3" in why_not(tmp_path, "bob")


@pytest.mark.parametrize("name", ["nowhere", "a\0b", "empty", "file/below"])
def test_where_there_is_nothing_to_grade_a_sentence_says_so(tmp_path, name):
    (tmp_path / "empty").mkdir()
    put(tmp_path, "empty/.hidden/x.ipynb", "empty/notes.txt", "file")
    with pytest.raises(NoSubmissions) as caught:
        find(tmp_path / name)
    assert str(caught.value).endswith(".") and shown(name) in str(caught.value)


# --- what lies there -----------------------------------------------------------------------------------------


def test_what_is_no_regular_file_is_not_read(tmp_path, monkeypatch):
    outside = put(tmp_path, "outside/secret.ipynb") / "outside"
    root = put(tmp_path, "class/eve/02.ipynb") / "class"
    (root / "link").mkdir()
    (root / "link/02.ipynb").symlink_to(root / "eve/02.ipynb")
    (root / "secret").mkdir()
    (root / "secret/02.ipynb").symlink_to("/etc/passwd")
    (root / "broken").mkdir()
    (root / "broken/02.ipynb").symlink_to("nowhere")
    (root / "linked").symlink_to(outside)
    (root / "fifo").mkdir()
    os.mkfifo(root / "fifo/02.ipynb")
    (root / "folder/02.ipynb").mkdir(parents=True)
    put(root, "folder/02.ipynb/inside.ipynb")
    (root / "socket").mkdir()
    monkeypatch.chdir(root / "socket")  # a socket's path is to be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("02.ipynb")
    assert len(find(root)) == 8
    assert all("link" in why_not(root, student) for student in ("link", "secret", "broken", "linked"))
    assert "folder" in why_not(root, "folder")
    assert "pipe" in why_not(root, "fifo") and "socket" in why_not(root, "socket")


def test_a_link_between_folders_does_not_add_anybodys_notebook(tmp_path):
    put(tmp_path, "ada/02.ipynb", "eve/own/01.ipynb")
    (tmp_path / "eve/hers").symlink_to(tmp_path / "ada")
    (tmp_path / "eve/round").symlink_to(tmp_path / "eve")
    assert found(tmp_path) == [("ada", "ada/02.ipynb"), ("eve", "eve/own/01.ipynb")]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can make a device")
def test_a_device_is_never_opened(tmp_path):
    os.mknod(put(tmp_path, "ada/note") / "ada/02.ipynb", stat.S_IFCHR | 0o666, os.makedev(1, 5))  # endless zeros
    assert "device" in why_not(tmp_path, "ada")


def test_what_takes_the_place_of_a_file_later_is_not_read_either(tmp_path):
    [submission] = find(put(tmp_path, "ada/02.ipynb"))
    assert submission.content() == b"{}"
    submission.file.unlink()
    assert submission.sha256() == ""
    os.mkfifo(submission.file)
    assert submission.sha256() == submission.lesson() == ""
    submission.file.unlink()
    submission.file.symlink_to("/etc/passwd")
    with pytest.raises(NotebookError, match="link"):
        submission.content()


def test_nor_is_what_takes_its_place_between_two_looks(tmp_path, monkeypatch):
    [submission] = find(put(tmp_path, "ada/02.ipynb"))
    seen = os.lstat(submission.file)
    monkeypatch.setattr(os, "lstat", lambda path: seen)
    submission.file.unlink()
    os.mkfifo(submission.file)
    assert submission.sha256() == ""  # and nobody waits for a writer
    submission.file.unlink()
    submission.file.symlink_to("/etc/passwd")
    assert submission.sha256() == ""


def test_what_opening_may_wake_is_not_opened(tmp_path, monkeypatch):
    [submission] = find(put(tmp_path, "ada/02.ipynb"))
    submission.file.unlink()
    os.mkfifo(submission.file)
    monkeypatch.setattr(os, "open", lambda *arguments: pytest.fail("it was opened"))
    assert submission.sha256() == ""


def test_a_file_may_not_be_too_large(tmp_path):
    put(tmp_path, "ada/02.ipynb", "bob/02.ipynb")
    os.truncate(tmp_path / "ada/02.ipynb", submissions.SIZE_LIMIT)
    os.truncate(tmp_path / "bob/02.ipynb", submissions.SIZE_LIMIT + 1)
    assert len(find(tmp_path)[0].content()) == submissions.SIZE_LIMIT
    assert "over 32 MiB" in why_not(tmp_path, "bob")


def test_a_file_that_says_it_is_small_is_not_read_without_end(monkeypatch):
    monkeypatch.setattr(submissions, "SIZE_LIMIT", 100)
    status = Path("/proc/self/status")  # its size is said to be 0
    with pytest.raises(NotebookError, match="over"):
        Submission("ada", "status", status).content()


@pytest.fixture
def not_root():
    if os.geteuid() == 0:
        os.seteuid(65534)
        yield
        os.seteuid(0)
    else:
        yield


def test_an_unreadable_file_or_folder_is_said(not_root):
    with tempfile.TemporaryDirectory() as folder:
        root = put(Path(folder), "ada/02.ipynb", "bob/02.ipynb", "carl/02.ipynb")
        (root / "ada/02.ipynb").chmod(0)
        (root / "bob").chmod(0)
        try:
            assert "Permission denied" in why_not(root, "ada") and "Permission denied" in why_not(root, "bob")
            assert find(root)[2].content() == b"{}"
            root.chmod(0)
            with pytest.raises(NoSubmissions, match="Permission denied"):
                find(root)
        finally:
            root.chmod(0o700)
            (root / "bob").chmod(0o700)


# --- names ---------------------------------------------------------------------------------------------------

HOSTILE = [
    "new\nline",
    "new\\nline",
    "\x1b[31mred\x07",
    "<script>alert(1)",
    "-rf",
    "…‮gpj.evil",
    "ada..",
    "x" * 249,
    "not utf-8 \udcff",
    "tab\there",
    "back\\slash",
    "back\\\\slash",
    "=HYPERLINK(1)",
    "ﷺ",
    "c1 \x85",
    "\udc85",
    "🧑‍🎓",
    "[bold]x[]",
    "null\u2028",
]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have fewer names")
def test_hostile_names_are_kept_apart_and_steer_nothing(tmp_path):
    for name in HOSTILE:
        put(tmp_path, f"{name}/02.ipynb")
    students = [student for student, _ in found(tmp_path)]
    assert len(set(students)) == len(HOSTILE) == len(students)
    assert all(student.isprintable() for student in students)
    assert "new\\nline" in students and "…\\u202egpj.evil" in students
    for each in find(tmp_path):
        assert each.content() == b"{}"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems take these for the same")
def test_names_that_look_alike_are_kept_apart(tmp_path):
    put(tmp_path, "Ada/1.ipynb", "ada/1.ipynb", "zo\u00eb/1.ipynb", "zoe\u0308/1.ipynb", "andre\u0301/1.ipynb")
    students = [student for student, _ in found(tmp_path)]
    assert sorted(students) == sorted(["Ada", "ada", "zo\u00eb", "zoe\\u0308", "andre\u0301"])


def test_the_order_does_not_depend_on_the_disk(tmp_path, monkeypatch):
    put(tmp_path, *(f"s{number}/{name}.ipynb" for number in ("1", "2", "1-a", "1 b") for name in "bac"), "s1/a/1.ipynb")
    straight, scandir = find(tmp_path), os.scandir

    class Backwards:
        def __init__(self, folder):
            with scandir(folder) as entries:
                self._entries = sorted(entries, key=lambda entry: entry.name, reverse=True)

        def __enter__(self):
            return iter(self._entries)

        def __exit__(self, *error):
            pass

    monkeypatch.setattr(os, "scandir", Backwards)
    assert find(tmp_path) == straight == sorted(straight, key=lambda each: (each.student, each.path))


# --- what else is known of one -------------------------------------------------------------------------------


def test_the_lesson_is_read_from_the_end_of_the_file(tmp_path):
    ours = '"metadata": {"clearformer": {"lesson": "02_attention"}, "kernelspec": {}}, "nbformat": 4}'
    put(tmp_path, "ada/02.ipynb", content='{"cells": [' + " " * 100_000 + "], " + ours)
    put(tmp_path, "bob/02.ipynb", content='{"lesson": "02_attention"}')
    put(tmp_path, "carl/02.ipynb", content="")
    assert [each.lesson() for each in find(tmp_path)] == ["02_attention", "", ""]
    for lesson in ("00_start_here", "03_multi_head_attention"):
        file = Path(__file__).parents[3] / "exercises" / f"{lesson}.ipynb"
        assert find(file)[0].lesson() == lesson


def test_a_record_without_grades_says_what_is_known(tmp_path):
    [submission] = find(put(tmp_path, "ada/02.ipynb"))
    record = not_graded(submission, "Because.")
    assert record["error"] == "Because." and record["exercises"] == [] and record["points"] == 0
    assert record["sha256"] == hashlib.sha256(b"{}").hexdigest()
    assert (record["student"], record["path"]) == ("ada", "ada/02.ipynb")
