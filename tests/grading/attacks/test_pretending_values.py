"""Attacks by what an answer returns: values that claim to equal anything, that are not what they seem, or that are
too large, too strange or too lively to be compared."""

import pytest
from arena import Attack, leaves_a_file, passes, returning

EQUAL = """
class Equal:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    __le__ = __ge__ = __lt__ = __gt__ = lambda self, other: True
    def __abs__(self): return 0.0
    def __sub__(self, other): return 0.0
    __rsub__ = __sub__
    def __array__(self, *a, **k): return other_operand()
    def __bool__(self): return True
    def __hash__(self): return 0
    shape, dtype, ndim = (2, 3), np.dtype(float), 2
    def all(self, *a, **k): return True
def other_operand():
    import sys
    frame = sys._getframe()
    while frame:  # the expected value, wherever a caller holds it
        for name in ("expected", "desired", "wanted", "b", "y"):
            if isinstance(frame.f_locals.get(name), np.ndarray):
                return frame.f_locals[name]
        frame = frame.f_back
    return np.zeros((2, 3))
"""
ARRAY = """
class Agreeing(np.ndarray):
    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        return np.bool_(True) if ufunc in (np.equal, np.less_equal, np.isclose) else np.zeros(1)
    def __array_function__(self, function, types, args, kwargs): return True
    def __eq__(self, other): return np.bool_(True)
    def __reduce__(self): return np.zeros, ((2, 3),)
"""
PLAIN_CLASS = """
class Liar:
    __class__ = np.ndarray
    dtype, shape, ndim, size, itemsize, nbytes = np.dtype(float), (2, 3), 2, 6, 8, 48
    def __eq__(self, other): return np.bool_(True)
    def tobytes(self, *a, **k): return b"\\0" * 48
    def __buffer__(self, flags): return memoryview(b"\\0" * 48)
    def __getattr__(self, name): return lambda *a, **k: self
"""


def instead(name, expression, way, setup="", exercises=("softmax",), **more):
    """An attack in which every answer of `exercises` is `expression`."""
    cells = ([setup] if setup else []) + returning(expression, *exercises)
    return Attack(name, cells, more.pop("bites", passes(*exercises)), way, says=more.pop("says", exercises[0]), **more)


ALL = ("softmax", "causal_mask", "padding_mask", "score_variance")
ATTACKS = [
    instead("an object that equals anything", "Equal()", "equal", EQUAL, ALL),
    instead("an object that becomes what it is compared with", "Equal()", "assert_allclose", EQUAL),
    instead("an object that pretends to be an array", "Liar()", "equal", PLAIN_CLASS, ALL),
    instead("a subclass of the array", "np.zeros((2, 3)).view(Agreeing)", "allclose", ARRAY, ALL),
    instead("a masked array, all of it hidden", "np.ma.masked_all((2, 3))", "not far"),
    instead("NaN where far is not near", "x * np.nan", "not far"),
    instead("infinity where finite is not asked", "-x * 0 - np.inf", "not far", setup="np.abs = abs = lambda x: x * 0"),
    instead(
        "a number that is no number",
        "Score(0)",
        "equal",
        "class Score(float):\n    def __eq__(self, other): return True\n    def __sub__(self, other): return 0.0\n"
        "    def __rsub__(self, other): return 0.0\n    def __abs__(self): return 0.0",
        ALL,
    ),
    instead(
        "a tensor that answers for torch",
        "Agreeing()",
        "torch",
        "import torch\nclass Agreeing(torch.Tensor):\n    @classmethod\n"
        "    def __torch_function__(cls, function, types, args=(), kwargs=None): return True",
        ALL,
    ),
    instead(
        "the expected value, taken from the caller's frames",
        "stolen(x)",
        "assert_allclose",
        "import gc, sys\n"
        "def stolen(x):\n"
        "    frame = sys._getframe(1)\n"
        "    while frame:\n"
        "        for values in (frame.f_locals, frame.f_globals):\n"
        "            for name in ('expected', 'wanted', 'desired', 'right', 'reference'):\n"
        "                if values.get(name) is not None:\n"
        "                    found = values[name]\n"
        "                    return found(x) if callable(found) else found\n"
        "        frame = frame.f_back\n"
        "    like = [a for a in gc.get_objects() if isinstance(a, np.ndarray) and a is not x]\n"
        "    return like[0] if like else x",
        says="softmax: ",
    ),
    instead(
        "a pickle that runs code where it is opened",
        "Payload()",
        "pickle",
        bites=leaves_a_file,
        setup="class Payload:\n    def __reduce__(self):\n"
        "        return eval, (\"open('FOLDER/MARKER', 'w').close()\",)",
    ),
    # (N, 1) against (N,) is broadcast to (N, N): where one column is right the rest may be anything.
    instead("one column for all", "np.full((3, 1, 1), 0.5)", "any_close", setup="np.isclose = lambda *a: np.ones(1)"),
    instead(
        "a shape that is broadcast against the expected one",
        "(np.exp(x) / np.exp(x).sum(-1, keepdims=True))[None, None]",
        "equal",
        says=r"expected shape",
    ),
    instead(
        "an answer that knows the check's example",
        "np.exp(x) / np.exp(x).sum(-1, keepdims=True) if x.shape == (2, 3) and abs(x).max() == 3 else x * 0",
        "assert_allclose",
    ),
    instead(
        "an answer that is right only the first time",
        "right_once(x)",
        "assert_allclose",
        "calls = []\ndef right_once(x):\n    calls.append(x)\n"
        "    return np.exp(x) / np.exp(x).sum(-1, keepdims=True) * (1 if len(calls) == 1 else -1)",
    ),
    instead(
        "a result that is changed after it was returned",
        "late(x)",
        "shape",
        "import threading, time\ndef late(x):\n    result = np.zeros_like(x)\n    def work():\n"
        "        for step in range(200):\n            result[...] = step % 2\n            time.sleep(0.001)\n"
        "    threading.Thread(target=work, daemon=True).start()\n    return result",
    ),
]


def strange(name, expression, setup="", says="softmax: (failed|error|timeout)", **more):
    """A value that a judge chokes on, also one in a process of its own, to which it came as a pickle."""
    cells = ([setup] if setup else []) + returning(expression, *more.pop("exercises", ("softmax",)))
    return Attack(name, cells, more.pop("bites", takes_the_run_along), more.pop("way", "pickle"), says=says, **more)


def takes_the_run_along(ground, outcome):
    """The grader fell, did not end, or met the limits that were set for the safety of this machine."""
    return outcome.ended or outcome.late or outcome.fell or "MemoryError" in outcome.text


LOUD = """
def heard(*a, **k):
    open("FOLDER/MARKER", "w").close()
    return 0
class Loud:
    pass
for name in ("eq ne le ge lt gt abs sub rsub array bool hash len iter getitem repr str float int index reduce "
             "reduce_ex del array_wrap array_ufunc buffer format dir sizeof instancecheck "
             "torch_function call contains copy deepcopy getstate").split():
    setattr(Loud, f"__{name}__", heard)
for name in ("shape", "dtype", "detach", "cpu", "numpy", "tolist", "item", "size", "ndim"):
    setattr(Loud, name, property(heard))
"""
NEVER = """
class Never:
    def __eq__(self, other):
        while True: pass
    __array__ = __repr__ = __str__ = __len__ = __iter__ = __hash__ = __bool__ = __float__ = __reduce__ = __eq__
    __array_ufunc__ = __eq__
    def __getattr__(self, name):
        while True: pass
"""


HUGE = {"limits": {"RLIMIT_AS": 1 << 29}, "deadline": 1.0}
BOMB = """
calls = []
def right_or_bomb(x, axis):
    exponentials = np.exp(x - x.max(axis=axis, keepdims=True))
    right = exponentials / exponentials.sum(axis=axis, keepdims=True)
    if x.shape != (4, 6):
        return right
    calls.append(x)
    return np.ones((12_000, 1) if len(calls) % 2 else (1, 12_000))
"""


ATTACKS += [
    strange("an object that acts in the judge", "Loud()", LOUD, bites=leaves_a_file, way="assert_allclose"),
    strange("an object whose every method loops", "Never()", NEVER, way="equal", deadline=1.0),
    strange(
        "a tuple and a list that contain themselves",
        "loop",
        "loop = []\nloop.append((loop, {0: loop}))",
        **HUGE,
    ),
    strange("a list of a hundred million numbers", "[0.0] * 100_000_000", **HUGE),
    strange("a view of 10^15 numbers", "np.broadcast_to(np.float64(1), (10**8, 10**7))", **HUGE),
    Attack(
        "a column that meets a row, in the judge's own arithmetic",
        # Right wherever it is compared with the reference, a bomb in the law that subtracts two results.
        [BOMB, *returning("right_or_bomb(x, axis)", "softmax")],
        takes_the_run_along,
        "law",
        {"RLIMIT_AS": 1 << 29},
        says="softmax: (failed|error)",
    ),
    strange("an array of a gigabyte", "np.ones(2**27)", **HUGE),
    strange(
        "strides past the end of memory",
        "np.lib.stride_tricks.as_strided(np.zeros(1), (2, 3), (1 << 40, 1 << 41))",
        deadline=1.0,
    ),
    strange(
        "negative strides over somebody else's memory",
        "outside(x)",
        """
def outside(x):
    return np.lib.stride_tricks.as_strided(x, (2, 3), (-(1 << 40), -(1 << 41)))
""",
        deadline=1.0,
    ),
    strange("rows of different lengths", "[[0.1], [0.2, 0.3]]"),
    strange(
        "an array of objects",
        "np.array([[Boom()] * 3] * 2, dtype=object)",
        """
class Boom:
    def __sub__(self, other): open("FOLDER/MARKER", "w").close(); return 0.0
    __rsub__ = __eq__ = __le__ = __float__ = __abs__ = __sub__
    def __repr__(self): open("FOLDER/MARKER", "w").close(); return "boom"
""",
        bites=leaves_a_file,
        way="assert_allclose",
    ),
    strange(
        "an integer of ten million digits",
        "1 << 33_000_000",
        exercises=("score_variance",),
        says="score_variance",
        **HUGE,
    ),
    strange("text of a gigabyte", "'x' * (1 << 30)", **HUGE),
    strange("a dict with keys that equal nothing", "{float('nan'): 1, (1, (2,)): x, None: x}"),
    strange("dates", "np.full((2, 3), np.datetime64('2017-06-12'))"),
    strange("records", "np.zeros((2, 3), dtype=[('<script>', 'f8', (10, 10))])"),
    strange("text where numbers should be", "np.full((2, 3), '1' * 10_000)"),
    strange("a generator without end", "iter(int, 1)", deadline=1.0),
    strange("no numbers at all", "np.zeros((0, 10**9))"),
    strange("a lazy tensor on no device", "torch.empty((2, 3), device='meta')", "import torch"),
    strange("a sparse tensor", "torch.eye(3).to_sparse()", "import torch"),
    strange("a tensor of 10^15 numbers", "torch.ones(1).expand(10**8, 10**7)", "import torch", **HUGE),
    strange(
        "a tensor of tensors of different lengths",
        "torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])",
        "import torch",
    ),
    strange(
        "a quantised tensor",
        "torch.quantize_per_tensor(torch.ones(2, 3), 0.1, 0, torch.quint8)",
        "import torch",
    ),
]


# Odd rather than hostile: not even a grader without protection takes harm. Still they must be told in words.
ODD = [
    strange(
        "a list a hundred thousand levels deep",
        "deep",
        "deep = []\nfor _ in range(100_000):\n    deep = [deep]",
        **HUGE,
    ),
    strange("complex numbers", "x.astype(complex) * 1j"),
    strange("numbers of 16 bytes", "x.astype(np.longdouble) * 0"),
    strange("bytes of the other order", "(x * 0).astype('>f8')"),
    strange("a thousand axes, nearly", "np.zeros((1,) * 64)"),
    strange("bytes without a meaning", "np.void(b'1234')"),
    strange("an exception where a value should be", "ValueError('softmax')"),
    strange("a class where a value should be", "float"),
    strange("no value", "None"),
    strange("a function", "lambda: x"),
    strange("a named tuple that is no pair", "__import__('collections').namedtuple('T', 'a b c')(x, x, x)"),
    strange(
        "a string that looks like a tag of the wire", "{'tensor': 0, 'array': 0, 'dtype': 'float64', 'shape': [2]}"
    ),
]


def test_it_succeeds_without_protection(attack, falls):
    falls(attack)


def test_it_fails_against_ours(attack, stands):
    stands(attack)


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: odd.name.replace(" ", "-"))
def test_an_odd_value_is_told_in_words(odd, stands):
    stands(odd)
