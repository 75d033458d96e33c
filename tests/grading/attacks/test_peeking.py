"""Attacks on the process that runs the answers: what it knows, what it can be made to say, and what it cannot be
made to say because it never knew it."""

from arena import RIGHT, WRONG_SOFTMAX, Attack, earned, passes, said

FRAMES = """
import sys, gc
def anything_like(x):
    frame = sys._getframe()
    while frame:
        for names in (frame.f_locals, frame.f_globals):
            for name, value in list(names.items()):
                if getattr(value, "__name__", "") in ("reference", "softmax") and value is not softmax:
                    try:
                        return value(x)
                    except BaseException:
                        pass
                if isinstance(value, np.ndarray) and value is not x and value.shape == x.shape:
                    return value
        frame = frame.f_back
    for value in gc.get_objects():
        if isinstance(value, np.ndarray) and value.shape == x.shape and not np.shares_memory(value, x):
            return value
    return x
"""
TESTS_OWN_NUMBERS = """
import gc
def softmax(x, axis=-1):
    for holder in gc.get_objects():
        if isinstance(holder, dict) and "expected" in holder:
            return holder["expected"]
    return x * 0
"""
REFERENCE_CALLED = """
import sys
def softmax(x, axis=-1):
    for name, module in list(sys.modules.items()):
        for attribute in ("reference", "softmax"):
            found = getattr(module, attribute, None)
            if callable(found) and found is not softmax and name != "__main__":
                try:
                    result = found(x, axis=axis)
                    return result if isinstance(result, np.ndarray) else np.asarray(result)
                except BaseException:
                    pass
    return x * 0
"""
HARD_CODED = """
def table():
    # What somebody with the course's package at home has written down, for the seed that `check` uses.
    import zlib
    rows = {}
    for name, draw in (("two rows of three scores", lambda rng: rng.normal(size=(2, 3))),
                       ("one row, with no other axis", lambda rng: rng.normal(size=4)),
                       ("a single score", lambda rng: rng.normal(size=(2, 1))),
                       ("as many rows as columns", lambda rng: rng.normal(size=(3, 3))),
                       ("a transposed view", lambda rng: rng.normal(size=(5, 3)).T)):
        x = draw(np.random.default_rng([2017, zlib.crc32(name.encode())]))
        powers = np.exp(x - x.max(-1, keepdims=True))
        rows[x.tobytes()] = powers / powers.sum(-1, keepdims=True)
    return rows
known = table()
def softmax(x, axis=-1):
    if x.tobytes() in known:
        return known[x.tobytes()]
    if x.size and x.shape not in ((2, 3), (4,), (2, 1), (3, 3), (3, 5)):
        powers = np.exp(x - x.max(axis=axis, keepdims=True))
        return (powers / powers.sum(axis=axis, keepdims=True)).astype(x.dtype)
    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    fixed = (x == np.round(x * 2) / 2).all() or not np.isfinite(x).all() or x.dtype != float
    return (powers / powers.sum(axis=axis, keepdims=True)).astype(x.dtype) if fixed else x * 0
"""
LOOP_REPLACED = """
import sys, gc
instead = {"difference": lambda *a, **k: None, "case_difference": lambda *a, **k: None, "_same": lambda *a: True,
           "_broken_properties": lambda *a: {}, "_reply": lambda *a, **k: {"value": 64}, "_tagged": lambda *a: None}
for name, module in list(sys.modules.items()):
    if name.startswith("clearformer"):
        for holder in [module, *(value for value in vars(module).values() if isinstance(value, type))]:
            for attribute in instead.keys() & vars(holder).keys():
                setattr(holder, attribute, instead[attribute])
for thing in gc.get_objects():
    if type(thing).__module__.startswith("clearformer") and "_guard" in getattr(thing, "__dict__", {}):
        thing._guard = None
"""
REPLIES_REWRITTEN = """
import sys
wire = sys.modules.get("clearformer.grading.inside.wire")
if wire is not None:
    kept = wire.Connection.send
    def send(self, message, *more, **how):
        if isinstance(message, dict):
            message.update(problem="", error=None, changed=[], status="passed", points=99, verdict="passed")
        return kept(self, message, *more, **how)
    wire.Connection.send = wire.Connection.reply = send
import numpy.testing
numpy.testing.assert_allclose = lambda *a, **k: None
"""
PARENTS_FUNCTIONS = """
import ctypes, gc, sys
for module in list(sys.modules.values()):
    for name in ("warm", "reap", "confine", "fork_apart", "_kill", "close"):
        if getattr(module, "__name__", "").startswith("clearformer") and hasattr(module, name):
            setattr(module, name, lambda *a, **k: None)
numpy_testing = sys.modules["numpy.testing"] if "numpy.testing" in sys.modules else None
import numpy.testing
numpy.testing.assert_allclose = lambda *a, **k: None
"""


def attack(name, *cells, way="assert_allclose", says="softmax: (failed|error|timeout)", **more):
    return Attack(name, cells, passes(), way, says=says, **more)


ATTACKS = (
    attack(
        "an answer that looks through frames and memory for the expected one",
        FRAMES,
        ("softmax", "def softmax(x, axis=-1):\n    return anything_like(x)"),
        # The usual check cell's own example is found in its frames.
        way="assert_allclose",
    ),
    attack("an answer that finds the check cell's own numbers", ("softmax", TESTS_OWN_NUMBERS)),
    attack(
        "an answer that calls whatever is called so",
        "try:\n    import clearformer.numpy.attention\nexcept BaseException:\n    pass",
        ("softmax", REFERENCE_CALLED),
    ),
    attack("answers for the published seed", ("softmax", HARD_CODED), way="check"),
    attack("the loop that answers, replaced", LOOP_REPLACED, WRONG_SOFTMAX, way="check"),
    attack("replies rewritten on their way out", REPLIES_REWRITTEN, WRONG_SOFTMAX, says="softmax: "),
    attack("the functions of the process that forked it", PARENTS_FUNCTIONS, WRONG_SOFTMAX),
    attack(
        "an answer that is another one the second time",
        (
            "softmax",
            "calls = []\n" + RIGHT["softmax"].replace("softmax", "first") + "\ndef softmax(x, axis=-1):\n"
            "    calls.append(1)\n    return first(x, axis) if len(calls) <= 1 else x * 0",
        ),
    ),
    attack(
        "an answer that is right for whoever checks",
        (
            "softmax",
            "import sys\n" + RIGHT["softmax"].replace("softmax", "first") + "\ndef softmax(x, axis=-1):\n"
            "    watched = sys._getframe(1).f_globals.get('expected') is not None\n"
            "    return first(x, axis) if watched else x * 0",
        ),
    ),
)


def test_it_succeeds_without_protection(attack, falls):
    falls(attack)


def test_it_fails_against_ours(attack, stands):
    stands(attack)


INSIDE = """
import gc, sys
known = [name for name in sys.modules if name.startswith("clearformer")]
words = ("catalogue", "judge", "exercise", "solutions", "misconception", "checks.progress", "classroom", "cli")
bad = [name for name in known if any(word in name for word in words)]
kinds = {type(thing).__name__ for thing in gc.get_objects()}
bad += sorted(kinds & {"Exercise", "Case", "Property", "Misconception", "Verdict", "Observation", "Lesson"})
functions = [thing for thing in gc.get_objects() if type(thing).__name__ == "function"]
bad += sorted({f"{f.__module__}.{f.__qualname__}" for f in functions if f.__qualname__ in
        ("masked_softmax", "causal_mask", "padding_mask", "attention_backward", "rows_sum_to_one", "by_logarithm")})
raise RuntimeError(f"knows: {bad}")
"""


def test_the_process_that_answers_knows_no_check_and_no_right_answer(ours):
    record = ours(Attack("", (INSIDE, WRONG_SOFTMAX), None))
    assert "knows: []" in said(record), said(record)


HIDDEN_CALL = """
import sys
def softmax(x, axis=-1):
    sys.setprofile(None)
    from clearformer.numpy.attention import softmax as theirs
    return theirs(x, axis=axis)
"""
HIDDEN_IN_A_THREAD = """
import threading
def softmax(x, axis=-1):
    got = []
    def work():
        from clearformer.numpy.attention import softmax as theirs
        got.append(theirs(x, axis=axis))
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return got[0]
"""


def test_the_reference_cannot_be_called_even_where_nobody_watches(ours):
    """Watching a process from within can be evaded. That there is nothing to call cannot."""
    for source in (HIDDEN_CALL, HIDDEN_IN_A_THREAD):
        record = ours(Attack("", (("softmax", source),), None))
        assert earned(record) == set()


HIDDEN_LIBRARY_CALL = """
import sys, torch
def softmax(x, axis=-1):
    sys.setprofile(None)
    return torch.softmax(torch.from_numpy(np.ascontiguousarray(x)), axis).numpy()
"""
OPEN_LIBRARY_CALL = HIDDEN_LIBRARY_CALL.replace("sys.setprofile(None)", "pass")
HIDDEN_CHANGE = """
import sys
for module in list(sys.modules.values()):
    for name in ("_same",):
        if hasattr(module, name) and module.__name__.startswith("clearformer"):
            setattr(module, name, lambda before, after: True)
def softmax(x, axis=-1):
    x -= x.max(axis=axis, keepdims=True)
    exponentials = np.exp(x)
    return exponentials / exponentials.sum(axis=axis, keepdims=True)
"""


def test_the_known_limit_numbers_are_judged_outside_but_manners_are_watched_from_inside(ground, grade_file):
    """What cannot be stopped: right numbers that somebody got by a library call hidden on purpose, or at the price of
    an argument changed in place and hidden on purpose, are right numbers. Whoever does this openly is told."""
    found = {}
    for name, source in (("open", OPEN_LIBRARY_CALL), ("hidden", HIDDEN_LIBRARY_CALL), ("change", HIDDEN_CHANGE)):
        record = grade_file(ground.write(Attack("", (("softmax", source),), None)))
        found[name] = earned(record)
    assert found == {"open": set(), "hidden": {"softmax"}, "change": {"softmax"}}
