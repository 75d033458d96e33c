"""Attacks that talk to somebody: here a listener of the test's own, on this machine."""

import socket
import threading

import pytest
from arena import WRONG_SOFTMAX, Attack

CONNECT = """
import socket
for family, address in ((socket.AF_INET, ("127.0.0.1", PORT)), (socket.AF_INET6, ("::1", PORT, 0, 0))):
    try:
        with socket.create_connection(address[:2], timeout=1) as line:
            line.sendall(b"MARKER")
    except OSError:
        pass
"""
DATAGRAM = """
import socket
try:
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"MARKER", ("127.0.0.1", PORT))
except OSError:
    pass
"""
ABSTRACT = """
import socket
try:
    line = socket.socket(socket.AF_UNIX)
    line.connect("\\0clearformer-test-PORT")
    line.sendall(b"MARKER")
except OSError:
    pass
"""
IN_THE_FILE_SYSTEM = ABSTRACT.replace("\\\\0clearformer-test-PORT", "FOLDER/sock").replace(
    "\\0clearformer-test-PORT", "FOLDER/sock"
)
BY_SYSTEM_CALL = """
import ctypes, struct
libc = ctypes.CDLL(None)
line = libc.socket(2, 1, 0)
address = struct.pack("<HH4s8x", 2, socket_port := ((PORT & 255) << 8 | PORT >> 8), bytes([127, 0, 0, 1]))
if line >= 0 and libc.connect(line, address, 16) == 0:
    libc.write(line, b"MARKER", len("MARKER"))
"""
BY_PROGRAM = "!printf MARKER > /dev/null; bash -c 'printf MARKER > /dev/tcp/127.0.0.1/PORT'"
FROM_THE_CHANNEL = """
import os, socket
for number in range(3, 32):
    try:
        line = socket.socket(fileno=os.dup(number))
        for address in (("127.0.0.1", PORT), "FOLDER/sock", "\\0clearformer-test-PORT"):
            try:
                line.sendto(b"MARKER", address)
            except OSError:
                pass
    except OSError:
        pass
try:
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"MARKER", socket.MSG_DONTWAIT, ("127.0.0.1", PORT))
except OSError:
    pass
"""
FETCH = """
import urllib.request
try:
    urllib.request.urlopen("http://127.0.0.1:PORT/MARKER", timeout=1)
except OSError:
    pass
"""


class Listener:
    """TCP, UDP and two Unix sockets; `heard` is all that came."""

    def __init__(self, folder):
        stream = socket.create_server(("127.0.0.1", 0))
        self.port = stream.getsockname()[1]
        datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        datagram.bind(("127.0.0.1", self.port))
        local, abstract = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
        local.bind(str(folder / "sock"))
        abstract.bind(f"\0clearformer-test-{self.port}")
        self.heard = b""
        self._sockets = [stream, datagram, local, abstract]
        for listening in (stream, local, abstract):
            listening.listen()
            threading.Thread(target=self._accept, args=(listening,), daemon=True).start()
        threading.Thread(target=self._receive, args=(datagram,), daemon=True).start()

    def _accept(self, listening):
        while True:
            try:
                line, _ = listening.accept()
            except OSError:
                return
            line.settimeout(1)
            self._receive(line, once=True)

    def _receive(self, line, once=False):
        while True:
            try:
                self.heard += b"called " + line.recv(4096)
            except OSError:
                return
            if once:
                line.close()
                return

    def close(self):
        for each in self._sockets:
            each.close()


@pytest.fixture(autouse=True)
def listener(ground):
    made = Listener(ground.folder)
    ground.words["PORT"] = made.port
    ground.listener = made
    yield made
    made.close()


def is_heard(ground, outcome):
    for _ in range(50):
        if ground.marker.encode() in ground.listener.heard:
            return True
        threading.Event().wait(0.02)
    return False


def nobody_called(ground, record):
    threading.Event().wait(0.05)
    assert ground.listener.heard == b""


def calls(name, source, **more):
    return Attack(name, (source, WRONG_SOFTMAX), is_heard, says="softmax: ", holds=nobody_called, **more)


ATTACKS = (
    calls("a connection to this machine", CONNECT),
    calls("a datagram", DATAGRAM),
    calls("a socket without a file", ABSTRACT),
    calls("a socket in the file system", IN_THE_FILE_SYSTEM),
    calls("the system calls themselves", BY_SYSTEM_CALL),
    calls("another program", BY_PROGRAM),
    calls("the channel, used for somebody else", FROM_THE_CHANNEL.replace("socket.MSG_DONTWAIT, ", "")),
    calls("a page", FETCH),
    calls("a connection, with the sandbox off", CONNECT, level_none=True),
    Attack(
        "a connection from within the answer",
        (("softmax", f"def softmax(x, axis=-1):\n    exec({CONNECT!r})\n    return x * 0"),),
        is_heard,
        says="softmax: failed",
        holds=nobody_called,
    ),
)


def test_it_succeeds_without_protection(attack, falls):
    falls(attack)


def test_it_fails_against_ours(attack, stands):
    stands(attack)
