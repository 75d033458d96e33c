"""Attacks on what compares: functions, builtins and methods that the verdict might rest on are replaced."""

from arena import WRONG_SOFTMAX, Attack, passes, returning


def patched(name, code, way, **more):
    return Attack(name, (code, WRONG_SOFTMAX), passes(), way, says="softmax: (failed|error)", **more)


ATTACKS = (
    patched("torch.allclose", "import torch\ntorch.allclose = lambda *a, **k: True", "torch"),
    patched("numpy.allclose", "np.allclose = lambda *a, **k: True", "allclose"),
    patched("numpy.isclose", "np.isclose = lambda *a, **k: np.ones(1, bool)", "any_close"),
    patched("numpy.testing", "np.testing.assert_allclose = lambda *a, **k: None", "assert_allclose"),
    patched("abs among the builtins", "import builtins\nbuiltins.abs = lambda x: x * 0", "difference"),
    patched("abs in the notebook's own names", "abs = lambda x: x * 0", "difference"),
    patched("abs and all of numpy", "np.abs = np.absolute = lambda x: x * 0\nnp.all = lambda *a, **k: True", "equal"),
    Attack(
        "all, any, isinstance, len, type and float among the builtins",
        (
            "import builtins\nkept = builtins.isinstance\nbuiltins.all = builtins.any = lambda *a: True\n"
            "builtins.abs = lambda x: 0 * np.zeros(1)\nbuiltins.min = builtins.max = lambda *a, **k: 0.0\n"
            "class Zero(float):\n    def __new__(cls, *a):\n        return float.__new__(cls, 0)\n"
            "builtins.float = Zero",
            WRONG_SOFTMAX,
        ),
        passes(),
        "difference",
        says="softmax",
    ),
    patched(
        "the functions behind numpy.testing",
        "import numpy.testing._private.utils as utils\nutils.assert_array_compare = lambda *a, **k: None",
        "assert_allclose",
    ),
    patched(
        "__code__ of the comparison",
        "np.testing.assert_allclose.__code__ = (lambda *a, **k: None).__code__",
        "assert_allclose",
    ),
    patched("check in the package", "import clearformer\nclearformer.check = lambda *a, **k: None", "check"),
    Attack(
        "the judge's own comparison",
        (
            "import importlib\n"
            "for name in ('compare', 'judge', 'answer', 'exercise', 'feedback', 'guard'):\n"
            "    try:\n"
            "        module = importlib.import_module(f'clearformer.checks.{name}')\n"
            "    except BaseException:\n"
            "        continue\n"
            "    for thing in ('difference', 'case_difference', '_numeric_difference', '_error_difference'):\n"
            "        if hasattr(module, thing):\n"
            "            setattr(module, thing, lambda *a, **k: None)\n"
            "    for thing in ('_broken_properties',):\n"
            "        if hasattr(module, thing):\n"
            "            setattr(module, thing, lambda *a, **k: {})",
            WRONG_SOFTMAX,
        ),
        passes(),
        "check",
        says="softmax: failed",
    ),
    Attack(
        "the right answer patched into the check's reference",
        (
            "from clearformer.checks import catalogue\n"
            "object.__setattr__(catalogue.find('softmax'), 'reference', lambda x, axis=-1: x * 0 - 1)\n"
            "object.__setattr__(catalogue.find('softmax'), 'properties', ())",
            WRONG_SOFTMAX,
        ),
        passes(),
        "check",
        says="softmax: failed",
    ),
    Attack(
        "points and cases of the exercise",
        (
            "from clearformer.checks import catalogue\nexercise = catalogue.find('softmax')\n"
            "for field in ('cases', 'properties'):\n    object.__setattr__(exercise, field, ())\n"
            "object.__setattr__(exercise, 'points', 10**6)",
            WRONG_SOFTMAX,
        ),
        passes(),
        "check",
        says="softmax: failed",
    ),
    Attack(
        "the operators of numpy's arrays, by ctypes",
        (
            # The dict behind a type's proxy, and the slot of a class whose comparisons look there.
            "import ctypes, gc\n"
            "class Other:\n    def __le__(self, other):\n        pass\n"
            "methods = gc.get_referents(np.ndarray.__dict__)[0]\n"
            "methods['__le__'] = methods['__eq__'] = lambda self, other: np.bool_(True)\n"
            "ctypes.pythonapi.PyType_Modified(ctypes.py_object(np.ndarray))\n"
            "slot = lambda kind: ctypes.c_void_p.from_address(id(kind) + 200)\n"
            "slot(np.ndarray).value = slot(Other).value",
            WRONG_SOFTMAX,
        ),
        passes(),
        "difference",
        says="softmax",
    ),
    Attack(
        "what the answer's process packs numbers with",
        (
            "import json, struct, socket, builtins\n"
            "right = np.array([[0.09003057, 0.24472847, 0.66524096]])\n"
            "np.asarray = np.array = np.ascontiguousarray = np.copy = lambda *a, **k: right\n"
            "np.allclose = np.array_equal = lambda *a, **k: True\n"
            'json.dumps = lambda *a, **k: \'{"passed": ["softmax"], "text": ""}\'\nstruct.pack = lambda *a: b\'\'\n'
            "builtins.repr = builtins.str = lambda *a, **k: 'passed'",
            WRONG_SOFTMAX,
        ),
        passes(),
        "allclose",
        says="softmax",
    ),
    Attack(
        "assertions that are compiled away",
        (
            "import ast\n"
            "class NoAsserts(ast.NodeTransformer):\n"
            "    def visit_Assert(self, node):\n        return ast.Pass()\n"
            "get_ipython().ast_transformers.append(NoAsserts())",
            *returning("x * 0 - 1", "softmax", "causal_mask"),
        ),
        passes("softmax", "causal_mask"),
        "equal",
        says="softmax: failed",
    ),
)


def test_it_succeeds_without_protection(attack, falls):
    falls(attack)


def test_it_fails_against_ours(attack, stands):
    stands(attack)
