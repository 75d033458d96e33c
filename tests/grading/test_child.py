"""The process that runs cells: whatever a cell does, the parent gets its answer or hears how the child ended."""

import os
import subprocess
import sys
import time

import pytest

from clearformer.grading.child import Child, ChildFailed, ChildStopped

SOON = 10  # seconds, far more than anything here takes


@pytest.fixture
def child(tmp_path):
    with Child(tmp_path) as started:
        yield started


@pytest.fixture(scope="module")
def one_child(tmp_path_factory):
    """For what leaves a child as it was: starting one takes half a second."""
    with Child(tmp_path_factory.mktemp("notebook")) as started:
        yield started


def run(child, source, seconds=SOON, cell=3):
    return child.ask({"do": "run", "cell": cell, "source": source}, seconds)["error"]


def stopped(child, source, seconds=SOON):
    with pytest.raises(ChildStopped) as caught:
        run(child, source, seconds)
    return caught.value


def alive(process_id):
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{process_id}/stat") as file:
        return file.read().rsplit(")", 1)[1].split()[0] != "Z"


def gone_soon(process_id):
    until = time.monotonic() + SOON
    while alive(process_id) and time.monotonic() < until:
        time.sleep(0.02)
    return not alive(process_id)


needs_proc = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks at processes by /proc")


def test_what_works_in_a_notebook_works_here(one_child):
    for source in (
        "%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()",
        "import asyncio\nawait asyncio.sleep(0)",
        "%%time\nx = 1",
        "listing = !echo hello\nassert listing == ['hello']",
        "from IPython.display import HTML, display\ndisplay(HTML('<b>b</b>'))\nHTML('c')",
        "import ipywidgets\nipywidgets.interact(lambda x: x, x=(0, 3))",
        "1 + 1",
        "assert _ == 2",
        "import pickle\nclass Own: pass\nassert isinstance(pickle.loads(pickle.dumps(Own())), Own)",
    ):
        assert run(one_child, source) is None, source


def test_cells_run_in_the_notebooks_folder_and_import_from_it(child, tmp_path):
    (tmp_path / "helper_beside.py").write_text("value = 5")
    assert run(child, "import helper_beside, pathlib\nassert helper_beside.value == 5") is None
    assert run(child, f"assert pathlib.Path.cwd().samefile({str(tmp_path)!r})") is None


def test_a_module_of_the_same_name_beside_the_notebook_does_not_stop_the_start(tmp_path):
    for name in ("json", "numpy", "queue", "IPython"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('not me')")
    with Child(tmp_path, ["softmax"]) as child:
        assert run(child, "x = 1") is None


def test_an_error_comes_with_its_line_and_cell(child):
    assert run(child, "def f():\n    return 1 / 0", cell=2) is None
    error = run(child, "x = 1\nf()", cell=5)
    expected = {"kind": "ZeroDivisionError", "text": "division by zero", "cell": 2, "line": 2, "code": "return 1 / 0"}
    assert error == expected
    error = run(child, "x = 1\ndef g(:")
    assert (error["kind"], error["line"], error["code"]) == ("SyntaxError", 2, "def g(:")


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("import sys; sys.exit(0)", "SystemExit"),
        ("exit()", "SystemExit"),
        ("quit", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("def f(): f()\nf()", "RecursionError"),
        ("input('name? ')", "EOFError"),
        ("import sys; assert sys.stdin.read() == ''; raise LookupError", "LookupError"),
        ("%nosuchmagic", "UsageError"),
        ("x = '\0'", "SyntaxError"),
        ("x = '\ud800'", "UnicodeEncodeError"),
        ("class Odd(Exception):\n    def __str__(self): raise ValueError\nraise Odd", "Odd"),
        ("raise Exception('long' * 10**6)", "Exception"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGINT)", "KeyboardInterrupt"),
    ],
)
def test_an_error_does_not_end_the_child(one_child, source, kind):
    assert run(one_child, source)["kind"] == kind
    assert run(one_child, "1 + 1") is None


def test_numpy_set_to_raise_does_not_fail_a_right_answer(child):
    """Harmless underflow, in the reference too, would stop the check."""
    answer = (
        "import numpy as np\nnp.seterr(all='raise')\n"
        "def scaled_dot_product_attention(query, key, value, mask=None):\n"
        "    scores = query @ key.swapaxes(-2, -1) / np.sqrt(query.shape[-1]).astype(query.dtype)\n"
        "    scores = scores if mask is None else np.where(mask, scores, -np.inf)\n"
        "    top = scores.max(axis=-1, keepdims=True)\n"
        "    weights = np.exp(scores - np.where(np.isfinite(top), top, 0).astype(scores.dtype))\n"
        "    total = weights.sum(axis=-1, keepdims=True)\n"
        "    weights = weights / np.where(total == 0, 1, total).astype(scores.dtype)\n"
        "    return weights @ value, weights"
    )
    assert run(child, answer) is None
    verdict = child.ask({"do": "judge", "exercise": "scaled_dot_product_attention"}, SOON)
    assert verdict["status"] == "passed", verdict["message"]


@pytest.mark.parametrize(
    "source",
    [
        "print('{\"number\": 1}')",
        "import os; os.write(1, b'{\"number\": 2, \"error\": null}\\n' * 9); os.write(2, b'x')",
        "import sys; sys.stdout.close(); sys.stdin.close()",
        "import os; os.close(0); os.close(1); os.close(2)",
        "import sys; print('x' * 100_000_000); sys.__stdout__.write('y' * 1000)",
        "!echo '{\"number\": 2}'",
    ],
    ids=["print", "descriptors", "closed streams", "closed descriptors", "100 MB", "a command"],
)
def test_nothing_printed_reaches_the_replies(child, source):
    run(child, source)
    assert run(child, "print('still here')") is None
    assert run(child, "raise LookupError('this one')")["text"] == "this one"


def test_a_cell_that_never_ends_is_ended_and_its_line_known(child):
    began = time.monotonic()
    stop = stopped(child, "import time\nwhile True:\n    time.sleep(0.05)", seconds=0.5)
    assert (stop.late, stop.cell, stop.line) == (True, 3, 3)
    assert 0.4 < time.monotonic() - began < SOON / 2


def test_compiled_code_that_lets_no_other_thread_run_is_ended_and_its_line_known(child):
    stop = stopped(child, "import re\nre.match('(a+)+$', 'a' * 50 + 'b')", seconds=0.2)
    assert (stop.late, stop.cell, stop.line) == (True, 3, 2)


def test_a_cell_that_switches_off_the_clocks_is_ended_too(child):
    source = (
        "import faulthandler, threading\nfaulthandler.cancel_dump_traceback_later()\n"
        "for thread in threading.enumerate():\n    getattr(thread, 'cancel', int)()\nwhile True:\n    pass"
    )
    assert stopped(child, source, seconds=0.2).late


def test_endless_printing_is_ended(child):
    stop = stopped(child, "while True:\n    print('on and on')", seconds=0.5)
    assert stop.late and stop.line in (1, 2)


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_crash_is_told_with_its_line(child):
    stop = stopped(child, "import ctypes\nctypes.string_at(0)")
    assert (stop.late, stop.cell, stop.line) == (False, 3, 2)
    assert "crashed Python itself (SIGSEGV)" in stop.reason


def test_leaving_python_is_told(child):
    assert stopped(child, "import os\nos._exit(0)").reason == "ended Python itself (exit status 0), as os._exit does"


@needs_proc
def test_a_forked_process_does_not_speak_for_the_child_and_ends(child, tmp_path):
    source = "import os, time\nfork = os.fork()\nif fork == 0:\n    raise LookupError('from the fork')\ntime.sleep(0.5)"
    assert run(child, source) is None
    assert run(child, "open('pid', 'w').write(str(fork))\nraise LookupError('once')")["text"] == "once"
    assert gone_soon(int((tmp_path / "pid").read_text()))


@needs_proc
def test_a_process_left_behind_does_not_delay_the_news_of_the_end(child):
    began = time.monotonic()
    source = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(20)\n    os._exit(0)\nos._exit(5)"
    assert stopped(child, source).status == 5
    assert time.monotonic() - began < 15


@needs_proc
def test_what_a_cell_started_ends_with_the_child(child, tmp_path):
    assert run(child, "import subprocess\nother = subprocess.Popen(['sleep', '600'])") is None
    assert run(child, "open('pid', 'w').write(str(other.pid))") is None
    other = int((tmp_path / "pid").read_text())
    assert alive(other)
    child.close()
    assert gone_soon(other)


@needs_proc
def test_the_child_ends_with_its_parent(tmp_path):
    script = (
        "import sys, time\nfrom clearformer.grading.child import Child\n"
        f"child = Child({str(tmp_path)!r})\nprint(child._process.pid, flush=True)\n"
        "child.ask({'do': 'run', 'cell': 1, 'source': 'while True: pass'}, 600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    grandchild = int(parent.stdout.readline())
    assert alive(grandchild)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert gone_soon(grandchild)


def test_a_child_that_cannot_start_says_why(tmp_path, monkeypatch):
    with pytest.raises(ChildFailed, match=r"did not start.*There is no exercise called 'nobody'"):
        Child(tmp_path, ["nobody"])
    with pytest.raises(ChildFailed, match="did not start"):
        Child(tmp_path / "no such folder")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no python"))
    with pytest.raises(ChildFailed, match="did not start"):
        Child(tmp_path)


def test_nothing_is_left_in_the_temporary_folder(tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    with Child(tmp_path) as child:
        assert run(child, "x = 1") is None
        assert list(scratch.iterdir())
    assert not list(scratch.iterdir())
