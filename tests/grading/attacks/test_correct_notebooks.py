"""The counterpart of the attacks: right notebooks, however they are written, get full marks."""

import pytest
from arena import RIGHT, Attack, check_shape, earned

ROWS = (("softmax", RIGHT["softmax"]), ("causal_mask", RIGHT["causal_mask"]))
EXPONENTIALS = "exponentials / exponentials.sum(axis=axis, keepdims=True)"
WITH = {  # name: cells before the right answers
    "warnings in every cell": ("import warnings\nwarnings.warn('careful')\nnp.log(np.array([0.0]))",),
    "much printing": ("for number in range(20_000):\n    print('number', number, 'x' * 100)",),
    "printing past Python": ("import os, sys\nos.write(1, b'hello' * 1000)\nsys.stderr.write('oh\\n' * 1000)",),
    "figures": (
        "%matplotlib inline\nimport matplotlib.pyplot as plt",
        "figure, axes = plt.subplots()\naxes.plot(np.arange(10))\naxes.set_title('a')\nplt.show()",
        "plt.figure(); plt.imshow(np.eye(5)); plt.colorbar(); plt.tight_layout(); plt.show()",
    ),
    "figures that are saved": (
        "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.savefig('figure.png')\nopen('figure.png', 'rb').read()",
    ),
    "widgets": (
        "import ipywidgets\nslider = ipywidgets.IntSlider()\nipywidgets.interact(lambda n: n, n=(1, 5))\nslider",
        "from IPython.display import display, HTML, Markdown, clear_output\ndisplay(HTML('<b>x</b>'), Markdown('x'))",
    ),
    "figures of the course": (
        "from clearformer.plots import show, new_figure, heatmap, attention_map, table",
        "figure, axes = new_figure()\naxes.plot([1, 2])\nshow(figure, 'a line')",
        "table([[1, 2]], ['a', 'b'], 'numbers')",
    ),
    "helpers and classes": (
        "from dataclasses import dataclass\nfrom functools import partial, lru_cache\nimport enum, typing",
        "@dataclass\nclass Shape:\n    rows: int\n    def size(self): return self.rows ** 2\nShape(3).size()",
        "class Colour(enum.Enum):\n    RED = 1\n@lru_cache\ndef slow(n: int) -> int: return n\nslow(3)",
    ),
    "magics": (
        "%timeit -n 1 -r 1 sum(range(10))\n%whos\n%env",
        "%%time\nsum(range(10))",
        "%load_ext autoreload\n%autoreload 2",
    ),
    "questions to IPython": ("np.exp?", "?np.exp", "np.linalg.norm??", "_ = 3\n_", "In[0], Out"),
    "lines for a shell": (
        "!ls",
        "!pip install something",
        "files = !ls\nfiles",
        "%pip install x",
        "%%bash\necho hello",
    ),
    "top-level await": (
        "import asyncio\nawait asyncio.sleep(0.001)",
        "async def work(): return 1\nassert await work() == 1",
    ),
    "torch and its threads": (
        "import torch\ntorch.set_num_threads(4)\ntorch.manual_seed(0)\n(torch.ones(50, 50) @ torch.ones(50, 50)).sum()",
        "torch.nn.Linear(3, 4)(torch.ones(2, 3)).sum().backward()",
    ),
    "torch with settings of its own": (
        "import torch\ntorch.set_default_dtype(torch.float64)\ntorch.set_grad_enabled(False)\n"
        "torch.set_printoptions(precision=2)",
    ),
    "a pool of threads": (
        "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(8) as pool:\n"
        "    assert sum(pool.map(lambda n: n, range(100))) == 4950",
    ),
    "a thread that goes on": ("import threading, time\nthreading.Thread(target=lambda: time.sleep(30)).start()",),
    "a pool of processes, if there can be one": (
        "try:\n    from concurrent.futures import ProcessPoolExecutor\n    with ProcessPoolExecutor(2) as pool:\n"
        "        list(pool.map(abs, [1, 2]))\nexcept (OSError, PermissionError):\n    pass",
    ),
    "packages that are missing": (
        "try:\n    import pandas\nexcept ImportError:\n    pandas = None",
        "import no_such_package",
        "from scipy.special import softmax as theirs",
    ),
    "check and hint wherever": (
        "hint('softmax')",
        "from clearformer import check, hint\nimport clearformer\nclearformer.__version__",
    ),
    "generators seeded anew": ("np.random.seed(3)\nimport random\nrandom.seed(3)\nrng = np.random.default_rng(3)",),
    "NumPy that stops at underflow": ("np.seterr(all='raise')",),
    "warnings that are errors": ("import warnings\nwarnings.simplefilter('error')",),
    "NumPy printing its own way": ("np.set_printoptions(precision=2, suppress=True, threshold=5, linewidth=20)",),
    "logging": ("import logging\nlogging.basicConfig(level='DEBUG')\nlogging.debug('x')\nlogging.error('y')",),
    "files of its own": (
        "open('notes.txt', 'w').write('x')\nassert open('notes.txt').read() == 'x'\nnp.save('a.npy', np.ones(3))",
    ),
    "a temporary folder": (
        "import tempfile\nwith tempfile.TemporaryDirectory() as folder:\n    open(folder + '/x', 'w').close()",
    ),
    "errors in cells of its own": ("1 / 0", "raise ValueError('on purpose')", "x ==", "assert False"),
    "names of its own that are Python's": ("list = [1]\nsum = 3\nid = max = min = 4\ninput = 'text'\nfile = dir = 5",),
    "a great deal of memory, for a moment": ("x = np.ones((4000, 4000))\nx = x @ x[:, :10]\ndel x",),
    "time": ("import time\ntime.sleep(0.3)",),
    "a lower recursion limit": ("import sys\nsys.setrecursionlimit(500)",),
    "signals of its own": (
        "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nsignal.signal(signal.SIGTERM, print)",
    ),
    "the working folder changed": ("import os\nos.makedirs('a/b')\nos.chdir('a/b')",),
    "tracing": ("import sys, tracemalloc, cProfile\ntracemalloc.start()\ncProfile.run('sum(range(3))')",),
    "streams replaced": ("import io, sys\nsys.stdout = io.StringIO()\nprint('x')", "sys.stderr.close()"),
    "input that nobody gives": ("name = input('your name')",),
    "help and documentation": ("help(np.exp)\nimport inspect\ninspect.getsource(np.mean)[:10]",),
    "type hints and new syntax": (
        "match 3:\n    case int(n) if n > 2: pass\ntype_of = lambda x, /, *, y=1: x\n(n := 3)",
    ),
    "text of the whole world": ("größe = 'naïve café — 日本語 🙂'\nprint(größe)\nπ = np.pi",),
    "weakrefs, finalizers and exits": (
        "import weakref, atexit, gc\nclass A: pass\na = A()\nweakref.finalize(a, print, 'gone')\n"
        "atexit.register(print)\ndel a\ngc.collect()",
    ),
    "subprocess, politely refused": (
        "import subprocess\ntry:\n    subprocess.run(['ls'])\nexcept OSError as error:\n    print(error)",
    ),
    "the network, politely refused": (
        "import urllib.request\ntry:\n    urllib.request.urlopen('http://example.invalid', timeout=1)\n"
        "except OSError as error:\n    print(error)",
    ),
}
ANSWERS = {  # name: source of softmax
    "as it is meant": RIGHT["softmax"],
    "a lambda": "softmax = lambda x, axis=-1: np.exp(x - x.max(axis, keepdims=True)) / "
    "np.exp(x - x.max(axis, keepdims=True)).sum(axis, keepdims=True)",
    "a partial": "from functools import partial\ndef shared(power, x, axis=-1):\n"
    "    exponentials = power(x - x.max(axis=axis, keepdims=True))\n    return "
    + EXPONENTIALS
    + "\nsoftmax = partial(shared, np.exp)",
    "an object that can be called": "class Softmax:\n    def __call__(self, x, axis=-1):\n"
    "        exponentials = np.exp(x - x.max(axis=axis, keepdims=True))\n        return "
    + EXPONENTIALS
    + "\nsoftmax = Softmax()",
    "a method": "class Functions:\n    def softmax(self, x, axis=-1):\n"
    "        exponentials = np.exp(x - x.max(axis=axis, keepdims=True))\n        return "
    + EXPONENTIALS
    + "\nsoftmax = Functions().softmax",
    "a decorated function": "import functools, time\ndef timed(function):\n    @functools.wraps(function)\n"
    "    def inner(*args, **kwargs):\n        began = time.time()\n        try:\n"
    "            return function(*args, **kwargs)\n        finally:\n            print(time.time() - began)\n"
    "    return inner\n@timed\n" + RIGHT["softmax"],
    "a function with other names for its arguments": "def softmax(scores, axis=-1):\n    x = np.asarray(scores)\n"
    "    exponentials = np.exp(x - x.max(axis=axis, keepdims=True))\n    return " + EXPONENTIALS,
    "a recursive one": "def softmax(x, axis=-1):\n    if axis not in (-1, x.ndim - 1):\n"
    "        return np.moveaxis(softmax(np.moveaxis(x, axis, -1)), -1, axis)\n"
    "    exponentials = np.exp(x - x.max(axis=axis, keepdims=True))\n    return " + EXPONENTIALS,
    "one that prints a great deal": "def softmax(x, axis=-1):\n    print('x' * 100_000)\n"
    "    exponentials = np.exp(x - x.max(axis=axis, keepdims=True))\n    print(exponentials)\n    return "
    + EXPONENTIALS,
    "one that warns": "import warnings\ndef softmax(x, axis=-1):\n    warnings.warn('careful')\n"
    "    exponentials = np.exp(x - x.max(axis=axis, keepdims=True))\n    return " + EXPONENTIALS,
    "one that plots": "import matplotlib.pyplot as plt\ndef softmax(x, axis=-1):\n"
    "    exponentials = np.exp(x - x.max(axis=axis, keepdims=True))\n    plt.plot([1]); plt.close('all')\n    return "
    + EXPONENTIALS,
    "one that ends with its own check": RIGHT["softmax"] + "\ncheck(softmax)\nhint('softmax')",
    "one with a helper of its own": "def stable(x, axis):\n    return np.exp(x - x.max(axis=axis, keepdims=True))\n"
    "def softmax(x, axis=-1):\n    exponentials = stable(x, axis)\n    return " + EXPONENTIALS,
    "one that works in threads": "from concurrent.futures import ThreadPoolExecutor\ndef softmax(x, axis=-1):\n"
    "    with ThreadPoolExecutor(2) as pool:\n"
    "        exponentials = pool.submit(lambda: np.exp(x - x.max(axis=axis, keepdims=True))).result()\n    return "
    + EXPONENTIALS,
    "one that returns a subclass of the array": "class Array(np.ndarray):\n    pass\ndef softmax(x, axis=-1):\n"
    "    exponentials = np.exp(x - x.max(axis=axis, keepdims=True))\n    return (" + EXPONENTIALS + ").view(Array)",
    "one that returns a view the other way round": "def softmax(x, axis=-1):\n"
    "    exponentials = np.exp(x - x.max(axis=axis, keepdims=True))\n    return np.flip(np.flip(" + EXPONENTIALS + "))",
    "one whose result others cannot write into": "def softmax(x, axis=-1):\n"
    "    exponentials = np.exp(x - x.max(axis=axis, keepdims=True))\n    result = "
    + EXPONENTIALS
    + "\n    result.flags.writeable = False\n    return result",
    "one that remembers what it was asked": "import functools\nremembered = {}\ndef softmax(x, axis=-1):\n"
    "    key = (x.tobytes(), x.shape, x.dtype, axis)\n    if key not in remembered:\n"
    "        exponentials = np.exp(x - x.max(axis=axis, keepdims=True))\n        remembered[key] = "
    + EXPONENTIALS
    + "\n    return remembered[key]",
    "one with keyword arguments only where it can": "def softmax(x, *, axis=-1):\n"
    "    exponentials = np.exp(x - x.max(axis=axis, keepdims=True))\n    return " + EXPONENTIALS,
}


@pytest.fixture
def full_marks(ground, grade_file):
    def check(*cells, of):
        record = grade_file(ground.write(Attack("", cells, None)))
        check_shape(record)
        told = {each["id"]: (each["status"], each["message"]) for each in record["exercises"] if each["id"] in of}
        assert earned(record) == set(of), (told, record["trouble"])
        return record

    return check


@pytest.mark.parametrize("name", WITH)
def test_a_right_notebook_passes_with(name, full_marks):
    full_marks(*WITH[name], *ROWS, of=("softmax", "causal_mask"))


@pytest.mark.parametrize("name", ANSWERS)
def test_a_right_answer_passes_written_as(name, full_marks):
    full_marks(("softmax", ANSWERS[name]), of=("softmax",))


CLOSING_OVER = """
def scaled_dot_product_attention(query, key, value, mask=None):
    scores = query @ key.swapaxes(-2, -1) / np.sqrt(query.shape[-1]).astype(query.dtype)
    if mask is not None:
        scores = np.where(mask, scores, -np.inf)
        seen = np.broadcast_to(mask, scores.shape).any(-1, keepdims=True)
        weights = np.where(seen, softmax(np.where(seen, scores, 0)), 0).astype(query.dtype)
    else:
        weights = softmax(scores)
    return weights @ value, weights
"""


def test_an_answer_may_use_an_earlier_one(full_marks):
    full_marks(
        *ROWS,
        ("scaled_dot_product_attention", CLOSING_OVER),
        of=("softmax", "causal_mask", "scaled_dot_product_attention"),
    )


def test_a_number_counts_as_what_it_is(full_marks):
    for number in ("64", "64.0", "np.float32(64)", "np.array(64)", "np.int8(64)", "8 ** 2", "int('64')"):
        full_marks(("score_variance", f"score_variance = {number}"), of=("score_variance",))


def test_cells_that_fail_are_named_and_cost_nothing(full_marks):
    record = full_marks("1 / 0", "!ls", "import no_such_package", *ROWS, of=("softmax", "causal_mask"))
    assert any("ZeroDivisionError" in text for text in record["trouble"])
    assert any("no_such_package" in text for text in record["trouble"])


TORCH_CELLS = (
    "import torch\ntorch.set_num_threads(8)\ntorch.set_default_dtype(torch.float64)\ntorch.set_grad_enabled(False)",
    "torch.manual_seed(1)\nx = torch.randn(3, requires_grad=True)",
)


def test_a_module_passes_in_spite_of_torchs_settings(graders, grade_file, ground):
    import json
    from pathlib import Path

    solutions = json.loads((Path(ground.words["REPOSITORY"]) / "solutions/03_multi_head_attention.ipynb").read_text())
    first = next(i for i, cell in enumerate(solutions["cells"]) if cell["cell_type"] == "code")
    for source in TORCH_CELLS:
        # A cell of one's own, after the imports.
        cell = {
            "cell_type": "code",
            "metadata": {},
            "source": source,
            "outputs": [],
            "execution_count": None,
            "id": source[:9],
        }
        solutions["cells"].insert(first + 1, cell)
    ground.file.write_text(json.dumps(solutions))
    record = grade_file(ground.file)
    assert record["points"] == record["max_points"] > 0, record["exercises"]
