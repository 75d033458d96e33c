"""The loop that runs cells and answers requests: what it replies, whatever the cells have done."""

import signal
import time

import numpy as np
import pytest
import torch  # noqa: F401 - a fork that has to import it takes seconds

from clearformer.checks import catalogue
from clearformer.checks.answer import AnswerError
from clearformer.grading.child import ChildStopped
from clearformer.grading.sandbox.piped_answer import PipedAnswer, run_cell

EXERCISE = catalogue.find("normalise_rows")
NAME = EXERCISE.name


def answer_of(process, source, seconds=5.0):
    """The answer that a cell with this source is."""
    assert run_cell(process, 2, source, 5.0) is None
    answer = PipedAnswer(process, EXERCISE, seconds)
    assert answer.problem == ""
    return answer


def returning(expression, before=""):
    return f"import numpy as np\n{before}\ndef {NAME}(x=None):\n    return {expression}"


def error_of(answer, *args):
    with pytest.raises(AnswerError) as caught:
        answer.call(*args)
    return caught.value


# --- cells -----------------------------------------------------------------------------------------------------


def test_a_cell_runs_and_leaves_its_names(forked):
    process = forked()
    assert run_cell(process, 1, "import numpy as np\nprint('seen by nobody')\nhalf = 0.5", 5.0) is None
    assert answer_of(process, f"def {NAME}(x):\n    return half * x").call(np.ones(2)).tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("a = 1\nb = a / 0", {"kind": "ZeroDivisionError", "line": 2, "code": "b = a / 0"}),
        ("def f(:\n    pass", {"kind": "SyntaxError", "line": 1}),
        ("exit()", {"kind": "SystemExit"}),
        ("input('name?')", {"kind": "EOFError"}),
        ("raise KeyboardInterrupt", {"kind": "KeyboardInterrupt"}),
        ("class E(Exception):\n    def __str__(self):\n        1 / 0\nraise E", {"kind": "E", "text": ""}),
        ("raise type('x' * 10**7, (Exception,), {})('y' * 10**7)", {"line": 1}),
    ],
)
def test_a_cell_that_fails_is_described(forked, source, error):
    described = run_cell(forked(), 4, source, 5.0)
    assert error.items() <= described.items()
    assert all(len(str(value)) <= 500 for value in described.values())


def test_a_name_that_is_missing_or_no_function_is_told(forked):
    process = forked()
    assert "does not define" in PipedAnswer(process, EXERCISE, 5.0).problem
    run_cell(process, 1, f"{NAME} = 3", 5.0)
    assert "is an int here, not a function" in PipedAnswer(process, EXERCISE, 5.0).problem


def test_random_numbers_do_not_depend_on_the_cells_before(forked):
    source = returning("np.random.rand(), __import__('random').random()", "np.random.seed({})\n{}")
    one, other = (answer_of(forked(), source.format(seed, "")) for seed in (1, 2))
    assert one.call() == other.call()


# --- values ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "expression",
    [
        "np.broadcast_to(1.0, 10**9)",
        "np.empty((0, 10**12))",
        "[0] * 10**7",
        "'x' * 10**8",
        "1 << 10**7",
        "(a := [], a.append(a))[0]",
        "dict.fromkeys(range(10**6))",
        "np.zeros(10**7)",
    ],
)
def test_a_result_that_is_too_large_is_told(forked, expression):
    answer = answer_of(forked(), returning(expression))
    assert error_of(answer).text.startswith("the result is too large: ")
    assert error_of(answer).kind == "TooLarge"


HOSTILE = """
class Hostile(dict):
    def __iter__(self): raise SystemExit
    __len__ = __eq__ = __repr__ = __str__ = __bool__ = __hash__ = __iter__
    items = keys = values = __contains__ = __getitem__ = __array__ = __float__ = __iter__
    __class__ = property(__iter__)
class Liar:
    __class__ = float
    def __getattr__(self, name): raise BaseException(name)
class Worse(BaseException):
    def __str__(self): raise BaseException
    __repr__ = __str__
class Text(str):
    def __str__(self): raise BaseException
    __len__ = __getitem__ = encode = __str__
class Array(np.ndarray):
    def __getattribute__(self, name): raise BaseException(name)
    def __array_finalize__(self, other): raise BaseException
def fail(error):
    raise error
def loop():
    return loop()
"""


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("Hostile(a=1)", {"a": 1}),
        ("Text('abc')", "abc"),
        ("[Text('abc'), Hostile()]", ["abc", {}]),
        ("{Text('a'): 1}", {"a": 1}),
        ("(1, [2], {'a': None})", (1, [2], {"a": None})),
    ],
)
def test_objects_that_do_not_want_to_be_looked_at_cross_all_the_same(forked, expression, result):
    assert answer_of(forked(), returning(expression, HOSTILE)).call() == result


@pytest.mark.parametrize(
    ("expression", "name"),
    [
        ("Liar()", "Liar"),
        ("type('x' * 10**7, (), {})()", "x" * 80),
        ("object", "type"),
        ("(i for i in ())", "generator"),
        ("{1, 2}", "set"),
        ("memoryview(b'')", "memoryview"),
    ],
)
def test_other_objects_are_a_name_to_the_judge(forked, expression, name):
    assert type(answer_of(forked(), returning(expression, HOSTILE)).call()).__name__ == name


@pytest.mark.parametrize(
    ("expression", "kind"),
    [
        ("fail(Worse())", "Worse"),
        ("fail(BaseException('no'))", "BaseException"),
        ("fail(KeyboardInterrupt)", "KeyboardInterrupt"),
        ("fail(GeneratorExit)", "GeneratorExit"),
        ("exit()", "SystemExit"),
        ("loop()", "RecursionError"),
        ("fail(type('x' * 10**7, (Exception,), {})('y' * 10**7))", "x" * 100),
        ("np.ones(10**13)", "MemoryError"),
        ("input()", "EOFError"),
        ("fail(MemoryError)", "MemoryError"),
    ],
)
def test_whatever_is_raised_is_an_error_of_the_answer(forked, expression, kind):
    answer = answer_of(forked(), returning(f"{expression}", HOSTILE))
    assert error_of(answer).kind == kind
    assert error_of(answer).kind == kind  # and the process lives on


VANDALISM = {
    "json": "import json\njson.dumps = json.loads = json.JSONEncoder.encode = None",
    "streams": "import sys\nsys.stdout.close()\nsys.stdin = sys.stderr = sys.stdout = None",
    "sockets": "import socket\nsocket.socket.send = socket.socket.sendall = socket.socket.recv = None",
    "time": "import time\ntime.monotonic = time.perf_counter = time.sleep = None",
    "tracing": "import sys\nsys.settrace(lambda *a: 1 / 0)",
    "profiling": "import sys\ndef p(*a):\n    raise BaseException\nsys.setprofile(p)",
    "recursion": "import sys\nsys.setrecursionlimit(80)",
    "threads": "import threading\nthreading.Lock = threading.Thread = None",
    "signals": "import signal\nsignal.signal = signal.setitimer = None",
    "warnings as errors": "import warnings\nwarnings.simplefilter('error')\nwarnings.warn = None",
    "errors of numpy": "import numpy\nnumpy.seterr(all='raise')",
    "descriptors": "import os\nos.close(0)\nos.close(1)\nos.close(2)",
    "modules": "import sys\nfor name in [*sys.modules]:\n    if 'clearformer' in name:\n        del sys.modules[name]",
    "garbage": "import gc\ngc.disable()",
    "a thread left behind": "import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()",
    "torch": "import torch\ntorch.set_grad_enabled(False)\ntorch.allclose = torch.equal = torch.Tensor.clone = None",
    "folder": "import os\nos.chdir('/')",
}


@pytest.mark.parametrize("damage", VANDALISM)
def test_a_process_whose_library_was_damaged_answers_still(forked, damage):
    process = forked()
    run_cell(process, 1, VANDALISM[damage], 5.0)
    answer = answer_of(process, returning("2 * x"))
    assert answer.call(np.ones(2)).tolist() == [2.0, 2.0]
    assert error_of(answer, "x", "y").kind == "TypeError"


@pytest.mark.parametrize("name", ["builtins.len", "builtins.isinstance", "numpy.array", "numpy.linalg.norm"])
def test_what_asking_needs_and_was_replaced_is_named(forked, name):
    process = forked()
    module = name.rpartition(".")[0]
    run_cell(process, 1, f"import {module}\n{name} = lambda *a, **k: 1\ndef {NAME}(x):\n    return x", 5.0)
    try:
        told = PipedAnswer(process, EXERCISE, 5.0).problem
    except ChildStopped:
        pytest.fail("the process has ended")
    assert told.startswith(f"The notebook has replaced {name}")


@pytest.mark.parametrize("name", ["len", "isinstance", "map", "type", "zip", "tuple", "vars", "getattr", "str"])
def test_what_is_replaced_only_while_it_is_asked_does_no_lasting_harm(forked, name):
    process = forked()
    answer = answer_of(
        process,
        f"""
import builtins
def {NAME}(x):
    if x.sum():
        builtins.{name} = lambda *args, **kwargs: 1
    return x
""",
    )
    try:
        assert answer.call(np.ones(2)).tolist() == [1.0, 1.0]
    except AnswerError as error:
        assert error.kind
    assert answer.call(np.zeros(2)).tolist() == [0.0, 0.0]


# --- the clock, and the end ------------------------------------------------------------------------------------------

ENDLESS = {
    "a loop": "while True:\n    pass",
    "a loop that catches all": "while 1:\n  try:\n    while 1:\n      pass\n  except BaseException:\n    pass",
    "sleep": "import time\ntime.sleep(100)",
    "compiled code": "x = 1\nsum(range(10**13))",
    "recursion": "def f():\n    try:\n        f()\n    finally:\n        f()\nf()",
}


@pytest.mark.parametrize("name", ENDLESS)
def test_a_cell_without_end_is_ended_and_its_line_known(forked, name):
    process = forked()
    began = time.monotonic()
    with pytest.raises(ChildStopped) as caught:
        run_cell(process, 7, ENDLESS[name], 0.4)
    assert 0.3 < time.monotonic() - began < 10
    lines = ENDLESS[name].count("\n") + 1
    assert caught.value.late and caught.value.cell == 7 and 0 < caught.value.line <= lines


def test_an_answer_without_end_is_ended_and_asks_no_more(forked):
    answer = answer_of(forked(), f"def {NAME}(x):\n    while x:\n        pass\n    return x", seconds=0.4)
    assert answer.call(0) == 0
    for _ in range(2):
        with pytest.raises(ChildStopped) as caught:
            answer.call(1)
        assert caught.value.late and (caught.value.cell, caught.value.line) in {(2, 2), (2, 3)}


def test_many_quick_questions_share_one_deadline(forked):
    answer = answer_of(forked(), returning("__import__('time').sleep(0.05)"), seconds=0.5)
    with pytest.raises(ChildStopped) as caught:
        for _ in range(100):
            answer.call()
    assert caught.value.late


def test_whoever_switches_off_the_clock_is_late_all_the_same(forked):
    process = forked()
    began = time.monotonic()
    source = "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\nwhile True:\n    pass"
    with pytest.raises(ChildStopped) as caught:
        run_cell(process, 1, source, 0.3)
    assert caught.value.late and time.monotonic() - began < 10


def test_an_alarm_of_the_notebook_does_no_harm(forked):
    process = forked()
    source = "import signal\nsignal.signal(signal.SIGALRM, lambda *a: 1 / 0)\nsignal.alarm(1)"
    assert run_cell(process, 1, source, 5.0) is None
    with pytest.raises(ChildStopped) as caught:
        run_cell(process, 2, "while True:\n    pass", 0.3)
    assert caught.value.late and caught.value.cell == 2


@pytest.mark.parametrize(
    ("source", "status", "line"),
    [
        ("import os\nos._exit(0)", 0, 0),
        ("import os\nos._exit(3)", 3, 0),
        ("import ctypes\nctypes.string_at(0)", -signal.SIGSEGV, 2),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL, 0),
        ("import os\nos.abort()", -signal.SIGABRT, 2),
        ("import os\nos.closerange(3, 1000)", None, 0),
    ],
)
def test_a_process_that_ends_is_told_with_status_and_line(forked, source, status, line):
    with pytest.raises(ChildStopped) as caught:
        run_cell(forked(), 5, source, 3.0)
    assert not caught.value.late
    assert caught.value.line == line and caught.value.cell == (5 if line else 0)
    assert status is None or caught.value.status == status


def test_a_copy_that_a_cell_forked_does_not_reply_as_well(forked):
    process = forked()
    assert run_cell(process, 1, "import os\nparent = os.getpid()\nos.fork()", 5.0) is None
    answer = answer_of(process, returning("parent == __import__('os').getpid()"))
    assert all(answer.call() for _ in range(20))
