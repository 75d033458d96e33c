"""What goes in comes out; and whatever else comes, nothing but the errors of the wire."""

import contextlib
import json
import math
import os
import socket
import struct
import threading
import time
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from clearformer.grading.inside import wire
from clearformer.grading.inside.wire import (
    HEAD,
    MAGIC,
    REPLIES,
    REQUESTS,
    Closed,
    Connection,
    Decoder,
    Encoder,
    Late,
    Limits,
    TooLarge,
    WireError,
)

QUICK = settings(deadline=None, derandomize=True, max_examples=60, suppress_health_check=list(HealthCheck))
DTYPES = [*wire.ARRAYS.values()]
TORCH_DTYPES = [getattr(torch, name) for name in wire.TENSORS]


def frame(value, trusted=True, limits=REPLIES, **options):
    return Encoder(limits, trusted, **options).message({"value": value})


def decoded(content, limits=REPLIES, **options):
    magic, header, body = HEAD.unpack_from(content)
    assert magic == MAGIC and len(content) == HEAD.size + header + body
    rest = content[HEAD.size :]
    return Decoder(rest[:header], memoryview(rest)[header:], limits, **options).message()


def crossed(value, **options):
    return decoded(frame(value, **options))["value"]


def same(a, b):
    """Equal, and of one type through and through; NaNs are equal, zeros have signs."""
    if type(a) is not type(b):
        return False
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return [*map(repr, a)] == [*map(repr, b)] and all(map(same, a.values(), b.values()))
    if isinstance(a, (np.ndarray, np.generic)):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, torch.Tensor):
        bits = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64, 16: torch.float64}
        whole = a.dtype == b.dtype and a.shape == b.shape
        if whole and a.is_complex():
            return a.numpy().tobytes() == b.numpy().tobytes()
        return whole and torch.equal(a.contiguous().view(bits[a.element_size()]), b.view(bits[a.element_size()]))
    if isinstance(a, (float, complex)):
        return struct.pack(">dd", a.real, a.imag) == struct.pack(">dd", b.real, b.imag)
    return a == b


@st.composite
def tensors(draw):
    dtype = draw(st.sampled_from(TORCH_DTYPES))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    if dtype.is_complex:
        return torch.from_numpy(draw(hnp.arrays(np.complex64, shape))).to(dtype)
    if dtype == torch.bool:
        return torch.from_numpy(draw(hnp.arrays(bool, shape)))
    of_size = {1: np.uint8, 2: np.int16, 4: np.int32, 8: np.int64}
    bits = draw(hnp.arrays(of_size[torch.empty((), dtype=dtype).element_size()], shape))
    return torch.from_numpy(bits).view(dtype)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
arrays = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
)
scalars = st.one_of(
    *(st.none(), st.booleans(), st.integers(-(1 << 70), 1 << 70), st.floats(), texts),
    st.complex_numbers().map(complex),
    st.sampled_from(DTYPES).flatmap(lambda dtype: hnp.arrays(dtype, ())).map(lambda array: array[()]),
)
keys = st.one_of(st.integers(), texts, st.tuples(texts, texts))
values = st.recursive(
    st.one_of(scalars, arrays, tensors()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(keys, inner, max_size=4),
    ),
    max_leaves=12,
)


@QUICK
@given(values, st.booleans())
def test_every_allowed_value_arrives_as_it_was(value, trusted):
    assert same(value, crossed(value, trusted=trusted))


@QUICK
@given(st.floats())
def test_floats_keep_every_bit(value):
    assert struct.pack(">d", crossed(value)) == struct.pack(">d", value)


def base():
    return np.arange(24.0).reshape(4, 6)


LAYOUTS = {
    "turned": lambda: base().T,
    "backwards": lambda: base()[::-1, ::-1],
    "every other": lambda: base()[:, ::2],
    "from the end in twos": lambda: base()[::-2, 4::-2],
    "one row again and again": lambda: np.broadcast_to(base()[0], (5, 6)),
    "one number": lambda: np.broadcast_to(np.float32(3), (2, 3)),
    "read only": lambda: (lambda array: (array.setflags(write=False), array)[1])(base()),
    "overlapping": lambda: np.lib.stride_tricks.sliding_window_view(base()[0], 3),
    "not aligned to its size": lambda: base()[1:3, 1:2],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_judges_arrays_keep_how_they_lie_in_memory(layout):
    array = LAYOUTS[layout]()
    other = crossed(array)
    assert same(np.ascontiguousarray(array), np.ascontiguousarray(other))
    assert (other.strides, other.flags.writeable) == (array.strides, array.flags.writeable)
    replied = crossed(array, trusted=False)
    assert same(np.ascontiguousarray(array), replied) and replied.flags.c_contiguous and replied.flags.writeable


@pytest.mark.parametrize(
    "tensor",
    [torch.randn(3, 4).T, torch.randn(4, 6)[:, ::2], torch.randn(1, 3).expand(4, 3), torch.randn(2, 3).bfloat16().T],
)
def test_the_judges_tensors_keep_their_strides(tensor):
    other = crossed(tensor)
    assert other.equal(tensor) and other.stride() == tensor.stride()
    assert crossed(tensor, trusted=False).equal(tensor)


def test_a_few_numbers_far_apart_do_not_bring_along_what_lies_between():
    array = np.zeros((2000, 1000))[:, 0]
    assert len(frame(array)) < 20_000
    assert same(crossed(array), np.zeros(2000))


def test_what_is_one_object_arrives_as_one():
    array, tensor = base(), torch.randn(2)
    first, tensors_, again, copy = crossed((array, [tensor, tensor], array, array.copy()))
    assert first is again and first is not copy
    assert tensors_[0] is tensors_[1]
    first, again = crossed((array, array), trusted=False)
    assert first is not again


class OwnFloat(float):
    pass


class OwnList(list):
    def __iter__(self):
        raise RuntimeError

    __len__ = __getitem__ = __eq__ = __repr__ = __iter__


class OwnDict(dict):
    def items(self):
        raise RuntimeError

    __iter__ = __len__ = __getitem__ = keys = __eq__ = items


class OwnArray(np.ndarray):
    def __getattribute__(self, name):
        raise RuntimeError(name)


class OwnTensor(torch.Tensor):
    @classmethod
    def __torch_function__(cls, *args, **kwargs):
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (OwnFloat(2.5), 2.5),
        (OwnList([1, 2]), [1, 2]),
        (OwnDict(a=1), {"a": 1}),
        (base().view(OwnArray), base()),
        (torch.ones(2).as_subclass(OwnTensor), torch.ones(2)),
        (torch.nn.Parameter(torch.ones(2)), torch.ones(2)),
        (np.str_("text"), "text"),
        (np.arange(3, dtype=">i4"), np.arange(3, dtype="int32")),
        (np.ma.masked_array([1.0, 2.0], [True, False]), np.array([1.0, 2.0])),
    ],
    ids=lambda value: type(value).__name__,
)
def test_subclasses_cross_as_what_they_are_based_on(value, plain):
    assert same(crossed(value, trusted=False), plain)


class Always:
    def __eq__(self, other):
        return True

    __hash__ = None
    __ne__ = __lt__ = __eq__

    def __array__(self, *args, **kwargs):
        return np.ones(3)

    __class__ = float


def test_other_objects_cross_by_name_and_equal_nothing():
    found = crossed(Always(), trusted=False)
    assert type(found).__name__ == "Always"
    assert found != found and found != 1.0 and not found == Always  # noqa: SIM201
    assert not isinstance(found, float) and not hasattr(found, "__array__")


@pytest.mark.parametrize(
    "name", ["ndarray", "Tensor", "float", "number", "torch tensor", "NumPy array", "", "NoneType"]
)
def test_names_that_mislead_are_not_believed(name):
    assert type(crossed(type(name, (), {})(), trusted=False)).__name__ == "object"


def test_arrays_of_anything_cross_without_what_they_hold():
    ragged = np.array([[1], [1, 2]], dtype=object)
    assert crossed(ragged, trusted=False).tolist() == [None, None]
    names = crossed(np.array([["abc", "d"]]), trusted=False)
    assert names.shape == (1, 2) and names.dtype == "<U3"
    assert crossed(np.zeros(2, [("a", "f8")]), trusted=False).dtype == object


def test_half_a_surrogate_pair_is_replaced():
    assert crossed("a\udc80b") == "a?b"


def test_what_the_judge_cannot_send_is_a_mistake():
    with pytest.raises(TypeError):
        frame(object())


def recursive_list():
    items = []
    items.append(items)
    return items


def recursive_dict():
    items = {}
    items["a"] = items
    return items


@pytest.mark.parametrize(
    "value",
    [
        np.broadcast_to(1.0, (10**9,)),
        np.broadcast_to(np.float64(1), (10**6, 10**6)),
        np.empty((0, 10**12)),
        torch.ones(1).expand(10**9),
        np.zeros((1,) * 40),
        np.broadcast_to(np.array(None), 10**9),
        recursive_list(),
        recursive_dict(),
        [[]] * 200_000,
        [[0] * 1000] * 1000,
        dict.fromkeys(range(200_000)),
        1 << 10**6,
        "x" * 10**7,
        [np.zeros(10**5)] * 100,
        {"x" * 10**6: 1},
        ["é" * 150_000] * 10,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_too_large_is_told_and_takes_no_memory(value):
    tracemalloc.start()
    with pytest.raises(TooLarge):
        frame(value, trusted=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 << 20


def test_a_class_name_of_ten_megabytes_is_cut():
    assert len(frame(type("x" * 10**7, (), {})(), trusted=False)) < 300


# --- what is not allowed -----------------------------------------------------------------------------------------


def header(content, body=b""):
    """A message whose value is this piece of JSON."""
    text = content if isinstance(content, str) else json.dumps(content)
    return f'{{"d":[["value",{text}]]}}'.encode("utf-8", "surrogatepass"), memoryview(body)


HOSTILE = {
    "not JSON": "{",
    "a float": "1.5",
    "NaN": "NaN",
    "infinity": "-Infinity",
    "an exponent": "1e999999999",
    "a long integer": "1" * 10**5,
    "an integer beyond 63 bits": str(1 << 63),
    "no tag": "{}",
    "a key twice": '{"t":[],"t":[]}',
    "two tags": '{"t":[],"f":""}',
    "an unknown tag": '{"pickle":"gASVAA=="}',
    "a nested tag": '{"t":{"t":[]}}',
    "half a surrogate pair": '"\\ud800"',
    "not ASCII": '"é"',
    "deep lists": "[" * 10**5 + "]" * 10**5,
    "deep tuples": '{"t":[' * 10**4 + "]}" * 10**4,
    "many values": "[" + ",".join(["[]"] * 150_000) + "]",
    "short hex of a float": {"f": "00"},
    "no hex in a float": {"f": "zz" * 8},
    "a number in a float": {"f": 0},
    "hex with spaces": {"f": "00 00 00 00 00 00"},
    "a huge integer": {"i": "0x" + "f" * 10**5},
    "a strange integer": {"i": "0x_1"},
    "a unicode digit": '{"i":"0x\\u0661"}',
    "a dict of no pairs": {"d": [1, 2]},
    "a dict with a list as key": {"d": [[[], 1]]},
    "a dict with a key twice": {"d": [[1, 2], [1, 3]]},
    "a dict with an array as key": {"d": [[{"a": ["bool", [0]]}, 1]]},
    "an object array": {"a": ["object", [1]]},
    "a structured array": {"a": ["f8,f8", [1]]},
    "a dtype that is no text": {"a": [["float64"], [1]]},
    "a negative shape": {"a": ["float64", [-1]]},
    "a bool in a shape": {"a": ["float64", [True]]},
    "a huge shape": {"a": ["float64", [1 << 62, 1 << 62]]},
    "a huge empty shape": {"a": ["float64", [0, 1 << 39]]},
    "many axes": {"a": ["float64", [1] * 60]},
    "more numbers than came": {"a": ["float64", [3]]},
    "a layout outside": {"a": ["float64", [2], 0, [8], 8, True]},
    "a layout before": {"a": ["float64", [1], -8, [8], 8, True]},
    "a layout of none": {"a": ["float64", [0], 0, [8], 8, True]},
    "a huge layout": {"a": ["float64", [2], 0, [1 << 70], 8, True]},
    "strides of a tensor": {"T": ["float64", [2], 0, [-8], 8]},
    "a reference to nothing": {"r": 0},
    "a negative reference": {"r": -1},
    "a bool as reference": {"r": False},
    "a long name": {"x": "x" * 1000},
    "a given thing": {"g": {"d": []}},
    "an array of texts that is too large": {"e": ["str", 256, [10**6]]},
    "an array of texts of a strange size": {"e": ["str", -4, [1]]},
    "an array of a strange kind": {"e": ["f8", 8, [1]]},
    "a scalar of a strange kind": {"s": ["object", "00" * 8]},
    "a long scalar": {"s": ["int8", "00" * 8]},
    "too long a text": '"' + "x" * 300_000 + '"',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_not_allowed_is_a_wire_error_and_takes_little_memory(name):
    content = header(HOSTILE[name], b"\0" * 8)
    tracemalloc.start()
    with pytest.raises(WireError):
        Decoder(*content, REPLIES).message()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60 << 20


def test_bytes_that_no_array_describes_are_not_allowed():
    Decoder(*header({"a": ["float64", [1]]}, b"\0" * 8), REPLIES).message()
    with pytest.raises(WireError, match="longer"):
        Decoder(*header("1", b"\0" * 8), REPLIES).message()


def test_a_bool_is_one_of_two_whatever_the_byte():
    found = Decoder(*header({"a": ["bool", [3]]}, b"\x00\x01\xff"), REPLIES).message()["value"]
    assert found.tobytes() == b"\x00\x01\x01"


@QUICK
@given(values, st.data())
def test_a_changed_message_is_a_message_or_a_wire_error(value, data):
    content = bytearray(frame(value))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    _, size, _ = HEAD.unpack_from(frame(value))
    rest = bytes(content[HEAD.size :])
    with contextlib.suppress(WireError):
        Decoder(rest[:size], memoryview(rest)[size:], REPLIES).message()


json_like = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), texts, st.sampled_from([*wire.ARRAYS, "0" * 16, "0x1"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=6), st.dictionaries(st.sampled_from([*wire.READERS]), inner, min_size=1, max_size=1)
    ),
    max_leaves=20,
)


@settings(QUICK, max_examples=300)
@given(json_like, st.binary(max_size=64))
def test_any_json_is_a_message_or_a_wire_error(value, body):
    with contextlib.suppress(WireError):
        Decoder(*header(value, body), REPLIES).message()


# --- the connection ----------------------------------------------------------------------------------------------


@pytest.fixture
def pair():
    here, there = socket.socketpair()
    yield Connection(here), there
    here.close()
    there.close()


def test_messages_arrive_one_by_one_however_they_are_cut(pair):
    connection, there = pair
    content = b"".join(frame(i) for i in range(5))
    for i in range(0, len(content), 7):
        there.sendall(content[i : i + 7])
    assert [connection.receive(1.0)["value"] for _ in range(5)] == [0, 1, 2, 3, 4]


def test_large_messages_arrive_while_they_are_sent(pair):
    connection, there = pair
    array = np.arange(400_000.0)
    threading.Thread(target=Connection(there, trusted=False).send, args=({"value": array},)).start()
    assert same(connection.receive(5.0)["value"], array)


def test_a_message_that_does_not_come_is_late(pair):
    connection, there = pair
    began = time.monotonic()
    with pytest.raises(Late):
        connection.receive(0.1)
    there.sendall(frame(1)[:-1])
    with pytest.raises(Late):
        connection.receive(0.1)
    assert time.monotonic() - began < 5
    there.sendall(frame(1)[-1:])
    assert connection.receive(1.0)["value"] == 1


def test_sending_to_somebody_who_does_not_read_is_late(pair):
    with pytest.raises(Late):
        pair[0].send({"value": np.zeros(10**6)}, 0.1)


def test_an_end_is_told_from_then_on(pair):
    connection, there = pair
    there.sendall(frame(1))
    there.close()
    assert connection.receive(1.0)["value"] == 1
    for _ in range(2):
        with pytest.raises(Closed):
            connection.receive(1.0)
    with pytest.raises(Closed):
        connection.send({})


def test_what_is_no_frame_is_kept_for_whoever_asks_why(pair):
    connection, there = pair
    there.sendall(frame(1) + b'Fatal Python error: Segmentation fault\n\n  File "<cell 3>", line 2 in f\n')
    there.close()
    connection.receive(1.0)
    with pytest.raises(Closed) as caught:
        connection.receive(1.0)
    assert b"<cell 3>" in caught.value.rest


def test_what_is_no_frame_is_told_soon_although_the_other_side_lives_on(pair):
    connection, there = pair
    there.sendall(b'  File "<cell 3>", line 2 in f\n')
    began = time.monotonic()
    with pytest.raises(Closed) as caught:
        connection.receive(30.0)
    assert time.monotonic() - began < 15
    assert b"line 2" in caught.value.rest


@pytest.mark.parametrize("lengths", [(2**32 - 1, 0), (0, 2**32 - 1), (REPLIES.header + 1, 0)])
def test_a_length_beyond_the_limit_is_not_waited_for(pair, lengths):
    connection, there = pair
    there.sendall(HEAD.pack(MAGIC, *lengths) + b"x" * 100)
    with pytest.raises(Closed):
        connection.receive(30.0)


def test_a_flood_of_no_frames_ends_and_is_cut(pair):
    connection, there = pair
    stop = threading.Event()

    def flood():
        try:
            while not stop.is_set():
                there.sendall(b"x" * 65536)
        except OSError:
            pass

    thread = threading.Thread(target=flood)
    thread.start()
    with pytest.raises(Closed) as caught:
        connection.receive(5.0)
    stop.set()
    connection.close()
    thread.join()
    assert len(caught.value.rest) <= wire.REST_LIMIT


def test_a_message_that_is_not_allowed_does_not_end_the_connection(pair):
    connection, there = pair
    bad = b"[1]"
    there.sendall(HEAD.pack(MAGIC, len(bad), 0) + bad + frame(2))
    with pytest.raises(WireError):
        connection.receive(1.0)
    assert connection.receive(1.0)["value"] == 2


@settings(QUICK, max_examples=150)
@given(st.binary(max_size=200), st.booleans(), st.booleans())
def test_any_bytes_end_in_an_error_of_the_wire(content, with_magic, with_end):
    here, there = socket.socketpair()
    wire.REST_SECONDS, kept = 0.01, wire.REST_SECONDS
    there.sendall((MAGIC if with_magic else b"") + content)
    if with_end:
        there.close()
    try:
        with pytest.raises((Closed, Late, WireError)):
            Connection(here).receive(0.01)
    finally:
        wire.REST_SECONDS = kept
        here.close()
        there.close()


def test_descriptors_sent_along_are_not_kept(pair):
    connection, there = pair
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    descriptor = os.open(os.devnull, os.O_RDONLY)
    socket.send_fds(there, [frame(1)], [descriptor])
    os.close(descriptor)
    assert connection.receive(1.0)["value"] == 1
    if before is not None:
        assert len(os.listdir("/proc/self/fd")) == before


def test_requests_may_be_larger_than_replies():
    source = "x = '" + "é" * 10**6 + "'"
    assert decoded(frame(source, limits=REQUESTS), limits=REQUESTS)["value"] == source
    with pytest.raises(TooLarge):
        frame(source, trusted=False)


def test_without_torch_a_tensor_arrives_as_an_object_called_so(monkeypatch):
    content = frame(torch.ones(2), trusted=False)
    monkeypatch.delitem(wire.sys.modules, "torch")
    from clearformer.checks.compare import difference

    found = decoded(content, with_torch=False)["value"]
    assert difference(np.ones(2), found) == "result: expected a NumPy array, got a torch tensor"


def test_limits_are_those_of_the_receiver():
    content = frame([[[1]]])
    with pytest.raises(WireError, match="depth"):
        decoded(content, limits=Limits(depth=3))
    assert math.isnan(decoded(frame(math.nan))["value"])
