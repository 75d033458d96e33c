"""KeyValueCache: all keys and values so far, handed back each time some are added."""

import torch

from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception
from clearformer.checks.modules import tensor
from clearformer.nn.cache import KeyValueCache as reference

# What is asked and drawn --------------------------------------------------------------------------------------


def chunks(rng, *lengths, batch=2, kv_heads=3, d=4, dtype=torch.float64):
    """A list of pairs (key, value), one for each length."""
    return [[tensor(rng, batch, kv_heads, n, d, dtype=dtype) for _ in range(2)] for n in lengths]


class ChunksCall(Call):
    """A call with chunks. A message shows the keywords alone: how long the chunks are, and of which sizes."""

    def __init__(self, chunks):
        key = chunks[0][0]
        lengths = tuple(key.shape[2] for key, _ in chunks)
        super().__init__(**{"chunks of length": lengths}, batch=len(key), kv_heads=key.shape[1], d=key.shape[3])
        self.chunks = chunks


def drawn(*lengths, **sizes):
    return lambda rng: ChunksCall(chunks(rng, *lengths, **sizes))


def new_caches_know_something(answer):
    """Does a cache just made hold what another one was given? Always asked with chunks of one size, so that what a
    shared store still holds from the last time fits."""
    foreign, own = torch.full((1, 1, 1, 2), 7.0).double(), torch.ones(1, 1, 1, 2).double()
    answer.make().method("append", foreign, foreign)
    keys = answer.make().method("append", own, own)[0]
    return bool((keys == 7.0).any()) if torch.is_tensor(keys) else False


def after_each_chunk(answer, call):
    if new_caches_know_something(answer):
        return {"a new cache is empty": False}
    cache, found = answer.make(), {}
    for number, (key, value) in enumerate(call.chunks, start=1):
        found[f"keys and values after chunk {number}"] = cache.method("append", key, value)
    return {"a new cache is empty": True} | found


def two_by_turns(answer, call):
    """One cache for each layer: chunks go to the first and the second by turns."""
    if new_caches_know_something(answer):
        return {"a new cache is empty": False}
    caches, found = [answer.make(), answer.make()], {}
    for number, (key, value) in enumerate(call.chunks):
        name = "first" if number % 2 == 0 else "second"
        found[f"{name} cache, chunk {number // 2 + 1}"] = caches[number % 2].method("append", key, value)
    return {"a new cache is empty": True} | found


def any_chunking_ends_the_same(answer, rng):
    ((key, value),) = chunks(rng, 6)
    ends = []
    for lengths in ((6,), (1,) * 6, (2, 3, 1)):
        cache = answer.make()
        for k, v in zip(key.split(lengths, dim=2), value.split(lengths, dim=2), strict=True):
            found = cache.method("append", k, v)
        ends.append(found)
    for keys, values in ends[1:]:
        if keys.shape != ends[0][0].shape or values.shape != ends[0][1].shape:
            return f"six tokens end as {tuple(ends[0][0].shape)} in one chunk, as {tuple(keys.shape)} in several"
        gap = max(float((keys - ends[0][0]).abs().max()), float((values - ends[0][1]).abs().max()))
        if gap > 0:
            return f"six tokens in one chunk and in several end differently, by {gap:.2g}"
    return None


# Wrong answers --------------------------------------------------------------------------------------------------


class Plain:
    """The right answer, with its parts for the wrong ones to change."""

    def __init__(self):
        self.keys = self.values = None

    def append(self, key, value):
        first = self.keys is None
        self.keys = key if first else self.joined(self.keys, key)
        self.values = value if first else self.joined(self.values, value)
        return self.returned(key, value)

    def joined(self, old, new):
        return torch.cat([old, new], dim=2)

    def returned(self, key, value):
        return self.keys, self.values


@misconception(
    "joined-along-the-heads",
    "Your chunks are joined along axis 1, the heads. A new token has keys for all heads: join along the tokens, "
    "axis 2 of (batch, kv_heads, T, d).",
)
class AlongTheHeads(Plain):
    def joined(self, old, new):
        return torch.cat([old, new], dim=1) if old.shape[2] == new.shape[2] else torch.cat([old, new], dim=2)


@misconception(
    "joined-along-the-batch",
    "Your chunks are joined along axis 0, the batch. A new token belongs to the sentences that are there already: "
    "join along the tokens, axis 2 of (batch, kv_heads, T, d).",
)
class AlongTheBatch(Plain):
    def joined(self, old, new):
        return torch.cat([old, new], dim=0) if old.shape[2] == new.shape[2] else torch.cat([old, new], dim=2)


@misconception(
    "joined-along-the-width",
    "Your chunks are joined along the last axis: the keys get wider, not more. Join along the tokens, axis 2 of "
    "(batch, kv_heads, T, d).",
)
class AlongTheWidth(Plain):
    def joined(self, old, new):
        return torch.cat([old, new], dim=3) if old.shape[2] == new.shape[2] else torch.cat([old, new], dim=2)


@misconception(
    "shared-by-all-caches",
    "A cache just made already holds what another one was given: they share their lists. Every layer has a cache of "
    "its own, so make them in __init__, as attributes of self, not in the body of the class or as a default argument.",
)
class Shared:
    all_keys, all_values = [], []

    def append(self, key, value):
        self.all_keys.append(key)
        self.all_values.append(value)
        return torch.cat(self.all_keys, dim=2), torch.cat(self.all_values, dim=2)


@misconception(
    "only-the-new-ones",
    "You return the chunk that was just given. A new token attends to all tokens so far: return all keys and values.",
)
class OnlyTheNew(Plain):
    def returned(self, key, value):
        return key, value


@misconception(
    "all-but-the-new-ones",
    "What you return lacks the newest chunk. A token attends to itself too: add first, then return.",
)
class AllButTheNew(Plain):
    def append(self, key, value):
        empty = key[:, :, :0], value[:, :, :0]
        before = empty if self.keys is None else (self.keys, self.values)
        super().append(key, value)
        return before


@misconception(
    "newest-first",
    "Your newest tokens stand in front. Nothing fails then as long as there is no mask, but a mask and whoever counts "
    "tokens take it that they stand in the order in which they came.",
)
class NewestFirst(Plain):
    def joined(self, old, new):
        return torch.cat([new, old], dim=2)


@misconception(
    "values-first",
    "You return (values, keys). This exercise asks for (keys, values).",
)
class ValuesFirst(Plain):
    def returned(self, key, value):
        return self.values, self.keys


@misconception(
    "keys-in-both-places",
    "What you return as values are keys: one list holds both, or one name was typed twice.",
)
class KeysTwice(Plain):
    def returned(self, key, value):
        return self.keys, self.keys


@misconception(
    "values-not-kept",
    "Keys are kept, values are not: you return those of the last chunk alone. The weights that come from all keys "
    "need all values.",
)
class ValuesNotKept(Plain):
    def returned(self, key, value):
        return self.keys, value


@misconception(
    "two-chunks-at-most",
    "Your cache holds the last two chunks. It joins the new one with the one before, and forgets to keep the result.",
)
class TwoChunks(Plain):
    def append(self, key, value):
        first = self.keys is None
        found = (key, value) if first else (self.joined(self.keys, key), self.joined(self.values, value))
        self.keys, self.values = key, value
        return found


@misconception(
    "joined-and-thrown-away",
    "You return the first chunk each time. torch.cat makes a new tensor and leaves the old ones as they are: keep what "
    "it returns.",
)
class FirstChunk(Plain):
    def joined(self, old, new):
        return old


@misconception(
    "a-list-of-chunks",
    "You return the chunks as a list. Attention needs them as one tensor: join them along axis 2.",
)
class ListOfChunks:
    def __init__(self):
        self.keys, self.values = [], []

    def append(self, key, value):
        self.keys.append(key)
        self.values.append(value)
        return list(self.keys), list(self.values)


@misconception(
    "one-token-a-chunk",
    "You keep the last token of each chunk. When a text begins, its whole prompt comes as one chunk: keep all of it.",
)
class OneToken(Plain):
    def append(self, key, value):
        return super().append(key[:, :, -1:], value[:, :, -1:])


@misconception(
    "empty-room-returned",
    "You return the whole room that you have set aside, zeros and all. A zero key still gets a score, and takes "
    "attention away: return the part that is filled.",
)
class EmptyRoom:
    def __init__(self):
        self.length, self.room = 0, None

    def append(self, key, value):
        if self.room is None:
            self.room = [each.new_zeros(*each.shape[:2], 16, each.shape[3]) for each in (key, value)]
        end = self.length + key.shape[2]
        for room, new in zip(self.room, (key, value), strict=True):
            room[:, :, self.length : end] = new
        self.length = end
        return tuple(self.room)


@misconception(
    "another-dtype",
    "Your cache is float32 whatever comes in: new room is made with torch.zeros or torch.empty, which do not know the "
    "keys' dtype. key.new_zeros(…) does, and torch.cat keeps it.",
)
class Single(Plain):
    def append(self, key, value):
        return super().append(key.float(), value.float())


class Lists:
    """Another right answer: lists of chunks, joined when they are asked for."""

    def __init__(self):
        self.chunks = []

    def append(self, key, value):
        self.chunks.append((key, value))
        keys, values = zip(*self.chunks, strict=True)
        return torch.cat(keys, dim=-2), torch.cat(values, dim=-2)


class Room:
    """Another right answer: room for more tokens than there are, doubled when it is full."""

    def __init__(self):
        self.length, self.room = 0, None

    def append(self, key, value):
        end = self.length + key.shape[2]
        if self.room is None or end > self.room.shape[3]:
            larger = key.new_zeros(2, *key.shape[:2], 2 * end, key.shape[3])
            if self.room is not None:
                larger[..., : self.length, :] = self.room[..., : self.length, :]
            self.room = larger
        self.room[..., self.length : end, :] = torch.stack([key, value])
        self.length = end
        return self.room[0, :, :, :end], self.room[1, :, :, :end]


class Empty:
    """Another right answer: begins with tensors of no tokens."""

    def __init__(self):
        self.both = None

    def append(self, key, value):
        new = torch.stack([key, value])
        old = new[..., :0, :] if self.both is None else self.both
        self.both = torch.cat([old, new], dim=-2)
        return tuple(self.both.unbind())


EXERCISE = Exercise(
    name="KeyValueCache",
    lesson="10_llama_block",
    kind="write",
    points=2,
    difficulty=2,
    minutes=12,
    asks="Write the class whose append(key, value) keeps both and returns all keys and all values so far.",
    reference=reference,
    returns=("keys and values",),
    cases=(
        Case("two tokens, one after the other", drawn(1, 1, batch=1, kv_heads=1), ask=after_each_chunk),
        Case("one chunk of three tokens", drawn(3), "a prompt comes as one chunk", ask=after_each_chunk),
        Case("a prompt, then token by token", drawn(3, 1, 1, 1), ask=after_each_chunk),
        Case("chunks of any length", drawn(1, 4, 2), ask=after_each_chunk),
        Case("two sentences, two heads, two tokens at a time", drawn(2, 2, 2, kv_heads=2, d=2), ask=after_each_chunk),
        Case("two caches by turns", drawn(2, 1, 1, 3, 1, 1), "every layer has its own", ask=two_by_turns),
        Case("half precision", drawn(2, 1, dtype=torch.float16), ask=after_each_chunk),
    ),
    properties=(Property("any chunking ends the same", any_chunking_ends_the_same),),
    misconceptions=(
        AlongTheHeads,
        AlongTheBatch,
        AlongTheWidth,
        Shared,
        OnlyTheNew,
        AllButTheNew,
        NewestFirst,
        ValuesFirst,
        KeysTwice,
        ValuesNotKept,
        TwoChunks,
        FirstChunk,
        ListOfChunks,
        OneToken,
        EmptyRoom,
        Single,
    ),
    alternatives=(Lists, Room, Empty),
    hints=(
        "Two attributes of self, one for the keys and one for the values. What are they before the first chunk?",
        "In __init__ set both to None. In append: the first time, take the chunk as it is; later, join it to what is "
        "there with torch.cat, along the axis of the tokens.",
        "self.keys = key if self.keys is None else torch.cat([self.keys, key], dim=2)",
    ),
)
