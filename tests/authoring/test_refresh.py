"""Running notebooks: what is refused, and what stays as it was."""

import os
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from clearformer.authoring import refresh
from clearformer.authoring.notebook import NotebookProblem, read
from clearformer.checks import progress

FAILS = {"tags": ["raises-exception"]}


def saved(path, *sources):
    """Write a notebook of code cells; a source may be a pair (source, metadata)."""
    pairs = [source if isinstance(source, tuple) else (source, {}) for source in sources]
    cells = [new_code_cell(source, metadata=metadata) for source, metadata in pairs]
    path.write_text(nbformat.writes(new_notebook(cells=cells)), encoding="utf-8")
    return path


def outputs(path):
    return [cell.outputs for cell in read(path).cells]


def test_a_notebook_is_run_in_its_own_folder_and_a_second_run_writes_the_same_bytes(tmp_path):
    (tmp_path / "words.txt").write_text("Größe")
    path = saved(
        tmp_path / "a.ipynb",
        "text = open('words.txt', encoding='utf-8').read()\nprint(text)\nlen(text)",
        "len(text);",
        ("1 / 0", FAILS),
        ("raise ValueError('wrong')", {"tags": ["nbval-raises-exception"]}),
        "print('still running')",
    )
    assert refresh.main([str(path)]) == 0
    first = path.read_bytes()
    shown, hidden, error, left, after = outputs(path)
    assert (shown[0].text, shown[1].data["text/plain"]) == ("Größe\n", "5")
    assert hidden == []
    assert error[0].ename == "ZeroDivisionError" and left[0].ename == "ValueError"
    assert after[0].text == "still running\n"
    assert [cell.execution_count for cell in read(path).cells] == [1, 2, 3, 4, 5]
    assert refresh.main(["--check", str(path)]) == 0
    assert refresh.main([str(path)]) == 0
    assert path.read_bytes() == first


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("raise ValueError('mask has the wrong shape')", "ValueError: mask has the wrong shape"),
        (("2 + 2", FAILS), "tagged as meant to fail, but it did not"),
        ("import os\nos._exit(1)", "the kernel died"),
        ("import warnings\nwarnings.warn('careful')", "different on every machine"),
    ],
)
def test_a_notebook_that_cannot_be_kept_is_left_as_it_was(tmp_path, capsys, cell, message):
    path = saved(tmp_path / "lesson.ipynb", "x = 1", cell)
    before = path.read_bytes()
    assert refresh.main([str(path)]) == 1
    said = capsys.readouterr().err
    assert message in said
    assert f"{path}, cell 2 (" in said
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_a_cell_that_does_not_end_is_stopped_and_named(tmp_path):
    path = saved(tmp_path / "a.ipynb", "while True:\n    pass")
    with pytest.raises(NotebookProblem, match=r"cell 1 \(while True:\): took longer than 1 s"):
        refresh.run(read(path), path, seconds=1)


def test_running_a_notebook_leaves_no_progress_and_reads_none_of_the_authors(tmp_path, monkeypatch):
    monkeypatch.setenv("CLEARFORMER_HOME", str(tmp_path / "author"))
    startup = tmp_path / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "mine.py").write_text("from_my_profile = True")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    progress.record("softmax")
    path = saved(
        tmp_path / "a.ipynb",
        "from clearformer.checks import progress\nprint(progress.read().passed)",
        "progress.record('causal_mask')",
        "'from_my_profile' in globals()",
    )
    refresh.refresh(path)
    nothing, _, foreign = outputs(path)
    assert nothing[0].text == "{}\n" and foreign[0].data["text/plain"] == "False"
    assert list(progress.read().passed) == ["softmax"]


def test_the_kernel_is_this_interpreter_whatever_is_installed_as_python3(tmp_path, monkeypatch):
    spec = tmp_path / "jupyter" / "kernels" / "python3"
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text('{"argv": ["/bin/false"], "display_name": "mine", "language": "python"}')
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    path = saved(tmp_path / "a.ipynb", f"import sys\nsys.prefix == {os.sys.prefix!r}")
    refresh.refresh(path)
    assert outputs(path)[0][0].data["text/plain"] == "True"


def test_check_changes_nothing_and_says_which_file_is_not_normal(tmp_path, capsys):
    path = saved(tmp_path / "a.ipynb", "1 ")
    before = path.read_bytes()
    assert refresh.main(["--check", str(path)]) == 1
    assert path.read_bytes() == before and f"{path}: not in normal form" in capsys.readouterr().err
    assert refresh.main(["--no-run", str(path)]) == 0
    assert refresh.main(["--check", str(path)]) == 0
    assert path.read_bytes() != before and read(path).cells[0].execution_count is None


def test_a_folder_stands_for_its_notebooks_and_one_bad_file_does_not_stop_the_rest(tmp_path, capsys):
    (tmp_path / "deep" / ".ipynb_checkpoints").mkdir(parents=True)
    saved(tmp_path / "deep" / ".ipynb_checkpoints" / "old.ipynb", "1")
    bad, good = tmp_path / "a.ipynb", saved(tmp_path / "deep" / "b.ipynb", "1")
    bad.write_text("{")
    assert refresh.main(["--no-run", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert f"{bad}: not a notebook" in said.err
    assert said.out.startswith(f"{good}  ") and "old.ipynb" not in said.out + said.err
    assert refresh.is_normal(good)


def test_a_path_that_is_not_there_is_said(capsys):
    assert refresh.main(["--no-run", str(Path("no", "such.ipynb"))]) == 1
    assert "no such file or folder" in capsys.readouterr().err
