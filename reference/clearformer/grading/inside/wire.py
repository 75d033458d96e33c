"""Values as bytes, both ways between a judge and the process that runs student code.

A frame is a magic word, two lengths, a header and a body. The header is JSON in ASCII that says what each value is;
the body is the numbers of arrays and tensors, one after the other. In the header

    null, true, "text", 17, [...]      themselves; integers up to 63 bits
    {"i": "…"} {"f": "…"} {"c": "…"}   integer in hex; float and complex as the hex of their IEEE bytes
    {"t": [...]} {"d": [[k, v], …]}    tuple; dict
    {"s": [dtype, hex]}                NumPy scalar
    {"a": […]} {"T": […]}              array and tensor: dtype, shape and, where not contiguous, how they lie in memory
    {"r": n}                           the n-th array or tensor of this message once more
    {"e": [kind, size, shape]}         array whose contents do not cross (objects, texts)
    {"x": name}                        any other object: nothing of it but its class's name
    {"g": […]}                         a `Given`, see clearformer.checks.given

Nothing is unpickled, and nothing is believed: each length, depth, count, dtype and size is checked against `Limits`
before memory is taken. What is not allowed ends in WireError.
"""

from __future__ import annotations

import ctypes
import json
import math
import re
import select
import socket
import struct
import sys
import time
from dataclasses import dataclass

import numpy as np

MAGIC = b"\x00\x93CLEAR\n"
HEAD = struct.Struct(">8sII")  # magic, bytes of the header, bytes of the body
REST_LIMIT = 64 * 1024  # bytes kept of what is no frame
REST_SECONDS = 0.25  # a crash has written all its lines when none came for so long
CHUNK = 1 << 16  # less than what malloc asks the system for each time

ARRAYS = {
    name: np.dtype(name)
    for name in (
        *("bool", "float16", "float32", "float64", "complex64", "complex128"),
        *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)),
    )
}
TENSORS = ARRAYS | {"bfloat16": np.dtype("int16")}
NAMES = {dtype: name for name, dtype in ARRAYS.items()}
WITHOUT_CONTENTS = {"O": "object", "U": "str", "S": "bytes", "g": "longdouble", "G": "clongdouble"}
# A class of a learner may have any name. These would be taken for what they are not.
MISLEADING = {each.__name__ for each in (float, int, complex, bool, str, tuple, list, dict, type(None), np.ndarray)}
MISLEADING |= {"Tensor", "Parameter", "number", "None"}


class WireError(Exception):
    """Something came that is not allowed. The text says what."""


class TooLarge(Exception):
    """A value that may not be sent. The text says why, as the end of "the result is too large: …"."""


class Late(Exception):
    """Nothing came in time. rest: bytes that came and are no frame."""

    def __init__(self, rest=b""):
        super().__init__("no message came in time")
        self.rest = rest


class Closed(Exception):
    """No message will come any more. rest: bytes that came and are no frame, such as the lines of a crash."""

    def __init__(self, rest=b""):
        super().__init__("the connection is closed")
        self.rest = rest


@dataclass(frozen=True)
class Limits:
    """header, body: bytes; values: how many in one message; depth: of lists in lists; digits: hex digits of an
    integer; text: characters of one string; axes: of one array."""

    header: int = 1 << 20
    body: int = 8 << 20
    values: int = 100_000
    depth: int = 24
    digits: int = 256
    text: int = 200_000
    axes: int = 32


REPLIES = Limits()
REQUESTS = Limits(header=64 << 20, body=1 << 28, values=1 << 26, depth=40, text=64 << 20)  # a cell may be long


class Foreign:
    """What has crossed by its class's name only. Equal to nothing, itself included."""

    def __eq__(self, other):
        return False

    __hash__ = object.__hash__

    def __repr__(self):
        return f"<{type(self).__name__} object>"


def foreign(name):
    """An object of a class called `name`, as far as that name misleads nobody."""
    name = name[:80]
    plain = re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) and name not in MISLEADING
    return type(name if plain else "object", (Foreign,), {"__module__": "elsewhere"})()


# --- sending -------------------------------------------------------------------------------------------------

_to_json = json.JSONEncoder(ensure_ascii=True, check_circular=False, allow_nan=False, separators=(",", ":")).encode
_float_bytes = struct.Struct(">d")
_complex_bytes = struct.Struct(">dd")
_array_view = np.ndarray.view
_array = np.ndarray


class Encoder:
    """Turns one message into bytes.

    trusted: the sender is the judge. Arrays then keep how they lie in memory and that two of them are one, and an
    object of no known kind is a mistake (TypeError); otherwise it crosses as a `foreign`.
    given: function of a Given -> a value that stands for it.
    """

    def __init__(self, limits, trusted=False, given=None):
        self._limits, self._trusted, self._given = limits, trusted, given
        self._left, self._room = limits.values, limits.body
        self._buffers, self._seen = [], {}

    def message(self, message):
        """The frame of a dict; TooLarge."""
        try:
            header = _to_json(self._value(message, 0)).encode("ascii")
        except RecursionError:
            raise TooLarge("it is nested too deep") from None
        if len(header) > self._limits.header:
            raise TooLarge(f"{len(header):,} bytes of text")
        if _values_at_most(header) > 4 * self._limits.values:
            raise TooLarge("too many values")
        body = b"".join(self._buffers)
        return HEAD.pack(MAGIC, len(header), len(body)) + header + body

    def _value(self, value, depth):
        if value is None or value is True or value is False:
            return value
        self._left -= 1
        if self._left < 0:
            raise TooLarge(f"more than {self._limits.values:,} values")
        if depth > self._limits.depth:
            raise TooLarge("it is nested too deep")
        kind = type(value)
        if write := EXACT.get(kind):
            return write(self, value, depth)
        for base, write in WRITERS:
            # Not isinstance, which believes an object's __class__.
            if issubclass(kind, base):
                return write(self, value, depth)
        if self._given and getattr(kind, "is_given", False):
            return {"g": self._value(self._given(value), depth + 1)}
        torch = sys.modules.get("torch")
        if torch is not None and issubclass(kind, torch.Tensor):
            return self._tensor(value, torch)
        return self._other(kind)

    def _other(self, kind, name=None):
        if self._trusted:
            raise TypeError(f"a {kind.__name__} cannot be sent")
        name = name or type.__dict__["__name__"].__get__(kind)
        return {"x": self._text(str.__str__(name)[:80], 0)}

    def _text(self, value, depth):
        value = str.__str__(value)
        if len(value) > self._limits.text:
            raise TooLarge(f"a text of {len(value):,} characters")
        if value.isascii():
            return value
        try:
            value.encode()
        except UnicodeEncodeError:  # half of a surrogate pair, which no text holds
            value = value.encode("utf-8", "replace").decode()
        return value

    def _int(self, value, depth):
        value = int.__index__(value)
        if -(1 << 63) <= value < 1 << 63:
            return value
        if value.bit_length() > 4 * self._limits.digits:
            raise TooLarge(f"an integer of {value.bit_length():,} bits")
        return {"i": hex(value)}

    def _float(self, value, depth):
        return {"f": _float_bytes.pack(float.__float__(value)).hex()}

    def _complex(self, value, depth):
        return {"c": _complex_bytes.pack(complex.real.__get__(value), complex.imag.__get__(value)).hex()}

    def _scalar(self, value, depth):
        array = np.array(value)
        if array.dtype.kind == "U":
            return self._text(value, depth)
        if array.dtype not in NAMES:
            return self._other(type(value))
        return {"s": [NAMES[array.dtype], array.tobytes().hex()]}

    def _tuple(self, value, depth):
        self._room_for(tuple.__len__(value))
        return {"t": [self._value(item, depth + 1) for item in tuple.__iter__(value)]}

    def _list(self, value, depth):
        self._room_for(list.__len__(value))
        return [self._value(item, depth + 1) for item in list.copy(value)]

    def _dict(self, value, depth):
        self._room_for(dict.__len__(value))
        pairs = [*dict.items(value)]
        return {"d": [[self._value(key, depth + 1), self._value(item, depth + 1)] for key, item in pairs]}

    def _room_for(self, count):
        if count > self._left:
            raise TooLarge(f"{count:,} values")

    # Arrays and tensors

    def _again(self, value):
        """{"r": n} for what this message already holds; only the judge's own values are known by identity."""
        if not self._trusted:
            return None
        if id(value) in self._seen:
            return {"r": self._seen[id(value)][0]}
        self._seen[id(value)] = len(self._seen), value  # kept, so that the id stays its own
        return None

    def _take(self, shape, itemsize, bytes_of):
        if len(shape) > self._limits.axes:
            raise TooLarge(f"an array with {len(shape)} axes")
        wanted = math.prod(shape) * itemsize
        if max(wanted, math.prod(max(n, 1) for n in shape)) > self._room:
            raise TooLarge(f"an array of shape {tuple(shape)}, {wanted:,} bytes")
        self._append(bytes_of())

    def _append(self, content):
        self._buffers.append(content)
        self._room -= len(content)
        if self._room < 0:
            raise TooLarge(f"more than {self._limits.body:,} bytes of numbers")

    def _ndarray(self, value, depth):
        if again := self._again(value):
            return again
        plain = _array_view(value, _array)
        dtype, shape = plain.dtype.newbyteorder("="), plain.shape
        if dtype not in NAMES:
            return self._without_contents(dtype, shape)
        name = NAMES[dtype]
        if self._trusted and (not plain.flags.c_contiguous or not plain.flags.writeable) and plain.size:
            first = [0 if step >= 0 else n - 1 for n, step in zip(shape, plain.strides, strict=True)]
            low = int(np.dot(first, plain.strides)) if first else 0
            address, steps = plain.ctypes.data + low, plain.strides
            lies = self._lies(address, -low, shape, steps, dtype.itemsize)
            if lies:
                return {"a": [name, [*shape], *lies, bool(plain.flags.writeable)]}
        self._take(shape, dtype.itemsize, lambda: plain.astype(dtype, copy=False).tobytes())
        return {"a": [name, [*shape]]}

    def _lies(self, address, start, shape, steps, itemsize):
        """[offset, strides in bytes, bytes of memory], with that memory appended; None where it is mostly gaps."""
        span = itemsize + sum(abs(step) * (n - 1) for n, step in zip(shape, steps, strict=True))
        if span > max(4 * math.prod(shape) * itemsize, 4096) or span > self._room:
            return None
        self._append(ctypes.string_at(address, span))
        return [start, [*steps], span]

    def _without_contents(self, dtype, shape):
        if len(shape) > self._limits.axes or math.prod(max(n, 1) for n in shape) > self._limits.values:
            raise TooLarge(f"an array of shape {tuple(shape)}")
        kind = WITHOUT_CONTENTS.get(dtype.char, "object")
        return {"e": [kind, min(dtype.itemsize, 256), [*shape]]}

    def _tensor(self, value, torch):
        if again := self._again(value):
            return again
        with torch._C.DisableTorchFunctionSubclass(), torch.no_grad():
            plain = torch.Tensor.detach(value)
            shape, itemsize = tuple(plain.shape), plain.element_size()
            name = str(plain.dtype).removeprefix("torch.")
            if plain.layout != torch.strided or plain.is_meta or plain.is_quantized or name not in TENSORS:
                return self._other(type(value), "unusual_tensor")
            if self._trusted and not plain.is_contiguous() and plain.numel():
                steps = [step * itemsize for step in plain.stride()]
                lies = self._lies(plain.data_ptr(), 0, shape, steps, itemsize)
                if lies:
                    return {"T": [name, [*shape], *lies]}
            self._take(shape, itemsize, lambda: _tensor_bytes(plain, torch, name))
        return {"T": [name, [*shape]]}


def _tensor_bytes(plain, torch, name):
    plain = plain.cpu().resolve_conj().resolve_neg().contiguous()
    if name == "bfloat16":
        plain = plain.view(torch.int16)
    return plain.numpy().tobytes()


def _values_at_most(header):
    return header.count(b",") + header.count(b"[") + header.count(b"{")


WRITERS = (
    (np.generic, Encoder._scalar),  # before float, of which np.float64 is one
    (np.ndarray, Encoder._ndarray),
    (int, Encoder._int),
    (float, Encoder._float),
    (str, Encoder._text),
    (tuple, Encoder._tuple),
    (list, Encoder._list),
    (dict, Encoder._dict),
    (complex, Encoder._complex),
)
EXACT = {kind: write for kind, write in WRITERS if kind is not np.generic}


# --- receiving -----------------------------------------------------------------------------------------------


def _no_number(text):
    raise WireError("a number that is no integer")


class _Tagged:
    __slots__ = ("content", "tag")

    def __init__(self, pairs):
        if len(pairs) != 1:
            raise WireError("an object with several keys")
        self.tag, self.content = pairs[0]


_from_json = json.JSONDecoder(object_pairs_hook=_Tagged, parse_float=_no_number, parse_constant=_no_number).decode


def _need(condition, what):
    if not condition:
        raise WireError(f"not allowed: {what}")


class Decoder:
    """Turns one frame's header and body into the message; WireError.

    given: function of what stands for a Given; with_torch: whether a tensor may import torch. Without, and where
    nobody else has imported it, no tensor is expected, and one arrives as an object called so.
    """

    def __init__(self, header, body, limits, given=None, with_torch=True):
        self._header, self._body, self._limits, self._given = header, body, limits, given
        self._with_torch = with_torch
        self._left, self._at, self._seen = limits.values, 0, []

    def message(self):
        _need(_values_at_most(self._header) <= 4 * self._limits.values, "so many values")
        try:
            parsed = _from_json(self._header.decode("ascii"))
        except (ValueError, RecursionError) as error:
            raise WireError(f"no header: {type(error).__name__}") from None
        message = self._value(parsed, 0)
        _need(type(message) is dict, "a message that is no dict")
        _need(self._at == len(self._body), "a body longer than its arrays")
        return message

    def _value(self, value, depth):
        if value is None or value is True or value is False:
            return value
        self._left -= 1
        _need(self._left >= 0, "so many values")
        _need(depth <= self._limits.depth, "such depth")
        kind = type(value)
        if kind is int:
            _need(-(1 << 63) <= value < 1 << 63, "so large an integer")
            return value
        if kind is str:
            return self._text(value)
        if kind is list:
            return [self._value(item, depth + 1) for item in value]
        reader = READERS.get(value.tag)
        _need(reader, "an unknown tag")
        return reader(self, value.content, depth)

    def _text(self, value):
        _need(len(value) <= self._limits.text, "so long a text")
        if value.isascii():
            return value
        try:
            value.encode()
        except UnicodeEncodeError:
            raise WireError("half of a surrogate pair") from None
        return value

    def _int(self, content, depth):
        _need(type(content) is str and len(content) <= self._limits.digits + 3, "so large an integer")
        _need(re.fullmatch(r"-?0x[0-9a-f]+", content), "such an integer")
        return int(content, 16)

    def _float(self, content, depth):
        return _float_bytes.unpack(self._hex(content, 8))[0]

    def _complex(self, content, depth):
        return complex(*_complex_bytes.unpack(self._hex(content, 16)))

    def _hex(self, content, count):
        _need(type(content) is str and re.fullmatch(r"[0-9a-f]*", content), "such digits")
        _need(len(content) == 2 * count, "so many digits")
        return bytes.fromhex(content)

    def _scalar(self, content, depth):
        name, digits = self._items(content, 2)
        dtype = self._dtype(name, ARRAYS)
        return _numbers(self._hex(digits, dtype.itemsize), dtype)[0]

    def _tuple(self, content, depth):
        _need(type(content) is list, "such a tuple")
        return tuple([self._value(item, depth + 1) for item in content])

    def _dict(self, content, depth):
        _need(type(content) is list, "such a dict")
        found = {}
        for pair in content:
            key, value = self._items(pair, 2)
            key = self._value(key, depth + 1)
            _need(_may_be_key(key), "such a key")
            _need(key not in found, "a key given twice")
            found[key] = self._value(value, depth + 1)
        return found

    def _foreign(self, content, depth):
        _need(type(content) is str and len(content) <= 80, "such a name")
        return foreign(content)

    def _items(self, content, *counts):
        _need(type(content) is list and len(content) in counts, "such a list")
        return content

    def _dtype(self, name, allowed):
        _need(type(name) is str and name in allowed, "such a dtype")
        return allowed[name]

    def _shape(self, shape):
        _need(type(shape) is list and len(shape) <= self._limits.axes, "so many axes")
        _need(all(type(n) is int and 0 <= n < 1 << 40 for n in shape), "such a shape")
        _need(math.prod(max(n, 1) for n in shape) <= self._limits.body, "so large a shape")
        return tuple(shape)

    def _memory(self, count):
        _need(0 <= count <= len(self._body) - self._at, "more numbers than came")
        self._at += count
        return self._body[self._at - count : self._at]

    def _again(self, content, depth):
        _need(type(content) is int and 0 <= content < len(self._seen), "such a reference")
        return self._seen[content]

    def _ndarray(self, content, depth):
        name, shape, *lies = self._items(content, 2, 6)
        dtype, shape = self._dtype(name, ARRAYS), self._shape(shape)
        if lies:
            writeable = lies.pop()
            memory, start, steps = self._lies(shape, dtype.itemsize, lies)
            array = np.ndarray(shape, dtype, bytearray(memory), start, steps)
            array.flags.writeable = writeable is True
        else:
            array = _numbers(self._memory(math.prod(shape) * dtype.itemsize), dtype).reshape(shape)
        self._seen.append(array)
        return array

    def _lies(self, shape, itemsize, lies):
        """(memory, start, strides), such that every item lies inside the memory."""
        start, steps, span = lies
        _need(type(span) is int and type(start) is int and type(steps) is list, "such a layout")
        _need(len(steps) == len(shape) and all(type(step) is int for step in steps), "such strides")
        ends = [step * (n - 1) for n, step in zip(shape, steps, strict=True)]
        low, high = start + sum(min(end, 0) for end in ends), start + sum(max(end, 0) for end in ends)
        _need(all(shape) and low >= 0 and high + itemsize <= span, "a layout outside its memory")
        return self._memory(span), start, steps

    def _tensor(self, content, depth):
        name, shape, *lies = self._items(content, 2, 5)
        dtype, shape = self._dtype(name, TENSORS), self._shape(shape)
        if lies:
            memory, start, steps = self._lies(shape, dtype.itemsize, lies)
            _need(start == 0 and all(s >= 0 and s % dtype.itemsize == 0 for s in steps), "such strides of a tensor")
            _need(len(memory) % dtype.itemsize == 0, "such a layout")
            flat = _numbers(memory, dtype)
        else:
            flat = _numbers(self._memory(math.prod(shape) * dtype.itemsize), dtype)
            steps = None
        tensor = self._torch_tensor(name, flat, shape, steps and [step // dtype.itemsize for step in steps])
        self._seen.append(tensor)
        return tensor

    def _torch_tensor(self, name, flat, shape, steps):
        if not self._with_torch and "torch" not in sys.modules:
            return type("torch tensor", (Foreign,), {"__module__": "elsewhere"})()
        import torch

        tensor = torch.from_numpy(flat)
        if name == "bfloat16":
            tensor = tensor.view(torch.bfloat16)
        return tensor.reshape(shape) if steps is None else tensor.as_strided(shape, steps)

    def _empty(self, content, depth):
        kind, size, shape = self._items(content, 3)
        _need(kind in WITHOUT_CONTENTS.values() if type(kind) is str else False, "such an array")
        _need(type(size) is int and 0 <= size <= 256, "such a size")
        shape = self._shape(shape)
        _need(math.prod(shape) <= self._limits.values, "so large a shape")
        sized = {"str": f"U{size // 4}", "bytes": f"S{size}"}
        return np.empty(shape, sized.get(kind, kind)) if kind == "object" else np.zeros(shape, sized.get(kind, kind))

    def _given_one(self, content, depth):
        _need(self._given, "a given object")
        return self._given(self._value(content, depth + 1))


READERS = {
    "i": Decoder._int,
    "f": Decoder._float,
    "c": Decoder._complex,
    "s": Decoder._scalar,
    "t": Decoder._tuple,
    "d": Decoder._dict,
    "x": Decoder._foreign,
    "r": Decoder._again,
    "a": Decoder._ndarray,
    "T": Decoder._tensor,
    "e": Decoder._empty,
    "g": Decoder._given_one,
}


def _numbers(memory, dtype):
    """A new array of the numbers in `memory`; any bytes make allowed numbers."""
    if dtype.kind == "b":
        return np.frombuffer(memory, np.uint8) != 0 if len(memory) else np.zeros(0, bool)
    return np.frombuffer(memory, dtype).copy() if len(memory) else np.zeros(0, dtype)


def _may_be_key(key):
    if type(key) is tuple:
        return all(map(_may_be_key, key))
    return key is None or isinstance(key, (bool, int, float, str, np.generic, Foreign))


# --- the connection ------------------------------------------------------------------------------------------


class Connection:
    """Messages over a socket. accepts: Limits of what comes; sends: of what goes; trusted: see Encoder."""

    def __init__(self, sock, accepts=REPLIES, sends=REQUESTS, trusted=True):
        self._sock, self._accepts, self._sends, self._trusted = sock, accepts, sends, trusted
        self._pending = bytearray()
        self._broken = None
        # Taken now: student code may replace them later.
        self._receive, self._settimeout = sock.recv, sock.settimeout
        self._send, self._sendall = sock.send, sock.sendall
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        self._poll = poll.poll

    def send(self, message, seconds=None, given=None):
        """TooLarge, and nothing sent, where it is; Late or Closed where the other side takes no more."""
        self.send_frame(Encoder(self._sends, self._trusted, given).message(message), seconds)

    def send_frame(self, frame, seconds=None):
        try:
            if (sent := self._send_now(frame)) < len(frame):
                self._settimeout(seconds)
                try:
                    self._sendall(memoryview(frame)[sent:])
                finally:
                    self._settimeout(None)
        except TimeoutError:
            raise Late(bytes(self._pending[:REST_LIMIT])) from None
        except OSError:
            raise self._close(time.monotonic() + REST_SECONDS) from None

    def _send_now(self, frame):
        """How many bytes of it went without waiting: mostly all, and a system call or two are saved."""
        try:
            return self._send(frame, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0

    def receive(self, seconds=None, given=None):
        """The next message. WireError: it is not allowed, but others may follow; Late; Closed."""
        if self._broken:
            raise self._broken
        until = None if seconds is None else time.monotonic() + seconds
        self._fill(HEAD.size, until, MAGIC)
        _, header, body = HEAD.unpack_from(self._pending)
        if header > self._accepts.header or body > self._accepts.body:
            raise self._close(until)
        total = HEAD.size + header + body
        self._fill(total, until)
        frame = bytes(self._pending[HEAD.size : total])
        del self._pending[:total]
        body = memoryview(frame)[header:]
        return Decoder(frame[:header], body, self._accepts, given, with_torch=not self._trusted).message()

    def _fill(self, count, until, starts=b""):
        """Have at least `count` bytes."""
        while True:
            if starts and not starts.startswith(self._pending[: len(starts)]):
                raise self._close(until)
            if len(self._pending) >= count:
                return
            if not self._read(until):
                raise self._close(until)

    def _read(self, until):
        """False where nothing will come any more; Late."""
        left = None if until is None else until - time.monotonic()
        if left is not None and left <= 0:
            raise Late(bytes(self._pending[:REST_LIMIT]))
        try:
            part = self._receive(CHUNK, 0 if left is None else socket.MSG_DONTWAIT)
        except BlockingIOError:
            if not self._poll(1000 * left):
                raise Late(bytes(self._pending[:REST_LIMIT])) from None
            return True
        except OSError:
            return False
        self._pending += part
        return bool(part)

    def _close(self, until):
        """The Closed to be raised from now on, with what comes after what was no frame."""
        while len(self._pending) < REST_LIMIT:
            soon = time.monotonic() + REST_SECONDS
            try:
                if not self._read(soon if until is None else min(soon, until + REST_SECONDS)):
                    break
            except Late:
                break
        self._broken = Closed(bytes(self._pending[:REST_LIMIT]))
        return self._broken

    def close(self):
        self._sock.close()
