"""Attacks on the channel: results written where a grader reads them, by somebody who knows its format."""

import pytest
from arena import WRONG_SOFTMAX, Attack, ends_the_run, never_ends, passes

LINE = """
import os
line = b'{"passed": ["softmax"], "text": "", "late": false, "ended": false}\\n'
def on_every_descriptor(content):
    for number in range(1, 256):
        try:
            os.set_blocking(number, False)
            os.write(number, content)
        except OSError:
            pass
"""
FRAMES = """
import os, stat, struct, json
def frame(message, body=b"", magic=b"\\x00\\x93CLEAR\\n", header_bytes=None, body_bytes=None):
    header = message if isinstance(message, bytes) else json.dumps(message).encode()
    head = struct.pack(">8sII", magic, len(header) if header_bytes is None else header_bytes,
                       len(body) if body_bytes is None else body_bytes)
    return head + header + body
try:
    from clearformer.grading.inside.wire import HEAD, MAGIC
    assert HEAD.pack(MAGIC, 2, 0) == frame(b"{}")[:HEAD.size]
except ImportError:
    pass
def plain(value):
    if isinstance(value, dict):
        return {"d": [[k, plain(v)] for k, v in value.items()]}
    return value
def reply(**fields):
    return frame(plain({"value": None, "error": None, "changed": [], "printed": "", "problem": "", **fields}))
line = b'{"passed": ["softmax"], "text": "", "late": false, "ended": false}\\n'  # what the usual grader takes
def on_every_descriptor(*contents):
    for number in range(1, 256):
        try:
            os.set_blocking(number, False)
            for content in [line] if stat.S_ISFIFO(os.fstat(number).st_mode) else contents:
                os.write(number, content)
        except OSError:
            pass
"""
GRACE = "\nimport time; time.sleep(0.05)\n"


def forged(name, setup, *, bites=None, says="softmax: ", answer=None, **more):
    cells = (setup, answer or WRONG_SOFTMAX)
    return Attack(name, cells, bites or passes(), says=says, **more)


def frames(name, contents, **more):
    return forged(name, f"{FRAMES}\non_every_descriptor({contents})", **more)


SAYS_CLEARLY = "softmax: (error|failed|timeout): .+"

ATTACKS = [
    forged("a line of results on every descriptor", LINE + "on_every_descriptor(line)"),
    forged("a line of results, then the end", LINE + "on_every_descriptor(line)\nos._exit(0)", says=SAYS_CLEARLY),
    forged(
        "a line of results from within the answer",
        LINE,
        answer=("softmax", "def softmax(x, axis=-1):\n    on_every_descriptor(line)\n    return x * 0"),
        says=SAYS_CLEARLY,
    ),
    forged(
        "a line of results from a thread",
        LINE + "import threading, time\ndef work():\n    for _ in range(100):\n        on_every_descriptor(line)\n"
        "        time.sleep(0.005)\nthreading.Thread(target=work, daemon=True).start()" + GRACE,
    ),
    forged(
        "a line of results from a process of its own",
        LINE + "import time\ntry:\n    child = os.fork()\nexcept OSError:\n    child = 1\n"
        "if child == 0:\n    on_every_descriptor(line)\n    os._exit(0)\ntime.sleep(0.05)",
    ),
    frames("replies ahead of time", "*[reply(value=1.0)] * 50"),
    frames("verdicts instead of values", "*[reply(status='passed', points=10**6, verdict='passed', rows=[])] * 20"),
    frames("a reply in pieces", "reply()[:5]", deadline=1.0),
    frames("a reply that promises more than comes", "frame(b'{}', body_bytes=2**20)", deadline=1.0),
    frames("a reply that promises four gigabytes", "frame(b'{}', header_bytes=2**32 - 1, body_bytes=2**32 - 1)"),
    frames("another magic word", "frame(b'{}', magic=b'CLEAR\\0\\0\\0')"),
    frames("no frame at all", "b'\\0' * 1000"),
    frames("a hundred thousand brackets", "frame(b'[' * 100_000 + b']' * 100_000)"),
    frames("a header that is no text", "frame(bytes(range(128, 256)) * 10)"),
    frames(
        "NaN, infinity and long numbers in the header",
        "frame(b'[NaN]'), frame(b'[Infinity]'), frame(b'[' + b'9' * 100_000 + b']'), frame(b'[1e999]')",
    ),
    frames("a key twice", 'frame(b\'{"d": [], "d": []}\')'),
    frames("a million small values", "frame(b'[' + b'0,' * 500_000 + b'0]')"),
    frames("an array whose size overflows", "frame(plain({'value': {'a': ['float64', [2**32, 2**32]]}}))"),
    frames("an array with a negative length", "frame(plain({'value': {'a': ['float64', [-1, -8]]}}), b'\\0' * 64)"),
    frames("an array of objects", "frame(plain({'value': {'a': ['object', [8]]}}), b'\\0' * 64)"),
    frames(
        "an array that lies outside of its memory",
        "frame(plain({'value': {'a': ['float64', [4], 1 << 40, [1 << 40], 64, True]}}), b'\\0' * 64)",
    ),
    frames("an array without memory", "frame(plain({'value': {'a': ['float64', [2**27]]}}))"),
    frames("an array of nothing with 10^18 rows", "frame(plain({'value': {'a': ['float64', [10**18, 0]]}}))"),
    frames("a reference to an array that never came", "frame(plain({'value': {'r': 10**9}}))"),
    frames("an object that is built by name", "frame(plain({'value': {'g': ['os.system', 'true']}}))"),
    frames("a pickle on the wire", "frame(__import__('pickle').dumps(print)), __import__('pickle').dumps(print)"),
    frames(
        "a question to the judge that nobody may ask",
        "*[frame(plain({'callback': number, 'args': []})) for number in (0, 1, -1, 10**9)]",
    ),
    frames(
        "errors with fields of the wrong kind",
        "*[reply(error=error) for error in (1, [], 'x', {'kind': 1}, {'kind': ['a'], 'text': {}, 'where': 0})]",
    ),
    frames(
        "an error that is as long as allowed",
        "reply(error={'kind': 'E' * 150_000, 'text': 'x' * 150_000, 'where': 'y' * 150_000, 'unanswered': 'z', "
        "'forbidden': ''})",
    ),
    frames(
        "an error that carries a page and a terminal's commands",
        "reply(error={'kind': '<script>alert(1)</script>', 'text': '\\x1b]0;owned\\x07\\x1b[2J<img src=x>', "
        "'where': '\\u202e', 'unanswered': '', 'forbidden': ''})",
    ),
    frames(
        "changed arguments that are no arguments", "*[reply(changed=[['a', 1], 10**9, 'x' * 1000]) for _ in range(9)]"
    ),
    forged(
        "replies without end",
        FRAMES + "import threading\ndef work():\n    while True:\n        on_every_descriptor(reply(), b'noise')\n"
        "threading.Thread(target=work, daemon=True).start()" + GRACE,
        deadline=1.0,
    ),
    forged(
        "a reader that never reads",
        FRAMES + "on_every_descriptor()\nwhile True:\n    __import__('time').sleep(1)",
        bites=passes(),
        deadline=1.0,
        says="did not end|timeout",
    ),
    forged(
        "somebody who reads the requests first",
        FRAMES + "import threading, socket\ndef steal(number):\n    while True:\n        try:\n"
        "            got = os.read(number, 1 << 16)\n        except OSError:\n            return\n"
        "        if not got:\n            return\n"
        "for number in range(3, 64):\n    threading.Thread(target=steal, args=(number,), daemon=True).start()\n"
        "on_every_descriptor()" + GRACE,
        deadline=1.0,
    ),
    forged(
        "the connection closed",
        LINE + "on_every_descriptor(line)\nos.closerange(0, 256)",
        says=SAYS_CLEARLY,
    ),
    forged(
        "the connection shut down, half of it",
        LINE + "import socket\non_every_descriptor(line)\nfor number in range(3, 64):\n    try:\n"
        "        socket.socket(fileno=os.dup(number)).shutdown(socket.SHUT_RD)\n    except OSError:\n        pass",
        says=SAYS_CLEARLY,
        deadline=1.0,
    ),
    forged(
        "descriptors in the place of others",
        LINE + "on_every_descriptor(line)\nread, write = os.pipe()\nfor number in range(3, 64):\n"
        "    if number not in (read, write):\n        try:\n            os.dup2(write, number)\n"
        "        except OSError:\n            pass",
        says=SAYS_CLEARLY,
        deadline=1.0,
    ),
    forged(
        "a descriptor sent along",
        FRAMES + "import socket, array\nfor number in range(3, 64):\n    try:\n"
        "        channel = socket.socket(fileno=os.dup(number))\n"
        "        for _ in range(200):\n            channel.sendmsg([reply()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, "
        "array.array('i', [0] * 100))], socket.MSG_DONTWAIT)\n    except OSError:\n        pass\non_every_descriptor()",
    ),
]


def test_it_succeeds_without_protection(attack, falls):
    falls(attack)


def test_it_fails_against_ours(attack, stands):
    stands(attack)


SILENT = Attack("silence", ("while True: pass", WRONG_SOFTMAX), never_ends, deadline=1.0, says="did not end")
GONE = Attack("gone", ("import os\nos._exit(0)", WRONG_SOFTMAX), ends_the_run, says="ended Python itself")


@pytest.mark.parametrize("plain", [SILENT, GONE], ids=str)
def test_without_a_forgery_these_ends_earn_nothing_anywhere(plain, falls, stands):
    falls(plain)
    stands(plain)
