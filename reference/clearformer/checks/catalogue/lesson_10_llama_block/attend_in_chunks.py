"""attend_in_chunks: find the three mistakes in an attention with rotary positions and a cache."""

import torch

from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception
from clearformer.checks.modules import tensor

ROOM = 1e-4  # the reader's own rotary_embedding may have its angles in float32


def turn(x, positions, base=10000.0):
    """Rotary positions, adjacent pairs; x (T, d)."""
    angle = positions[:, None] * base ** -(torch.arange(0, x.shape[-1], 2, dtype=torch.float64) / x.shape[-1])
    cos, sin, first, second = angle.cos(), angle.sin(), x[:, 0::2], x[:, 1::2]
    found = torch.stack([first * cos - second * sin, first * sin + second * cos], dim=-1).flatten(-2)
    return found.to(x.dtype)


def attend(query, key, value, seen):
    scores = (query @ key.T / query.shape[-1] ** 0.5).masked_fill(~seen, -torch.inf)
    return scores.softmax(dim=-1) @ value


def attend_in_chunks(chunks, w_query, w_key, w_value):
    """The mended code."""
    keys, values, outputs = [], [], []
    for x in chunks:
        start = sum(map(len, keys))
        positions = start + torch.arange(len(x))
        keys.append(turn(x @ w_key, positions))
        values.append(x @ w_value)
        key, value = torch.cat(keys), torch.cat(values)
        seen = torch.arange(len(key)) <= positions[:, None]  # (T_new, T)
        outputs.append(attend(turn(x @ w_query, positions), key, value, seen))
    return torch.cat(outputs)


# Wrong answers: the code as it was found, half-mended, and mended at the cost of something else -----------------


def variant(
    *, start="counted", query_start=None, turned_twice=False, old_turned_again=False, turn_values=False,
    turn_query=True, turn_key=True, mask="aligned", cached=True, step=0,
):  # fmt: skip
    """The code with some of its lines in another form."""

    def attend_in_chunks(chunks, w_query, w_key, w_value):
        keys, values, outputs = chunks[0][:0] @ w_key, chunks[0][:0] @ w_value, []
        before = last = 0
        for number, x in enumerate(chunks):
            places = torch.arange(len(x))
            begins = {"counted": before, "forgotten": 0, "chunks": number, "last": last}
            positions = begins[start] + places + step * (number > 0)
            at = positions if query_start is None else begins[query_start] + places
            query, key, value = x @ w_query, x @ w_key, x @ w_value
            if turn_query:
                query = turn(query, at)
            key = turn(key, positions) if turn_key else key
            value = turn(value, positions) if turn_values else value
            if not cached:
                keys, values = keys[:0], values[:0]
            if old_turned_again:
                keys = turn(keys, torch.arange(len(keys)))
            keys, values = torch.cat([keys, key]), torch.cat([values, value])
            read = turn(keys, torch.arange(len(keys))) if turned_twice else keys
            rows = {"aligned": len(keys) - len(x) + places, "from the left": places, "none": places + len(keys)}[mask]
            outputs.append(attend(query, read, values, torch.arange(len(keys)) <= rows[:, None]))
            before, last = before + len(x), len(x)
        return torch.cat(outputs)

    return attend_in_chunks


def wrong(slug, says, **changes):
    return misconception(slug, says)(variant(**changes))


START = {"start": "forgotten"}
TWICE = {"turned_twice": True}
VALUES = {"turn_values": True}

as_found = wrong(
    "as-found",
    "This returns what the code returned before. Look at the experiments above the exercise again. Three questions: at "
    "which position is the first token of the second chunk? How often is a key turned on its way to a score? And is "
    "there anything to be turned in a value?",
    **START,
    **TWICE,
    **VALUES,
)
start_left = wrong(
    "start-position-left-out",
    "One mistake is left: positions begin at 0 in every chunk. The first token of a chunk stands after all that came "
    "before it: its position is the number of tokens in the cache.",
    **START,
)
twice_left = wrong(
    "keys-turned-twice",
    "One mistake is left: keys are turned when they go into the cache, and again when they come out. Then a score "
    "depends on the query's place minus twice the key's. Turn each key once.",
    **TWICE,
)
values_left = wrong(
    "values-turned",
    "One mistake is left: the values are turned. Turning makes a score depend on a distance, and values have no part "
    "in scores. A turned value is a mixture whose meaning changes with its place.",
    **VALUES,
)
only_values_mended = wrong(
    "values-mended-alone",
    "Values are left as they are now. Two mistakes remain, both about keys and positions: where does a chunk begin, "
    "and how often is a key turned?",
    **START,
    **TWICE,
)
only_twice_mended = wrong(
    "keys-mended-alone",
    "Each key is turned once now. Two mistakes remain: where does a chunk begin, and what is done to the values?",
    **START,
    **VALUES,
)
only_start_mended = wrong(
    "start-mended-alone",
    "Chunks begin where the last one ended now. Two mistakes remain: how often is a key turned, and what is done to "
    "the values?",
    **TWICE,
    **VALUES,
)
start_for_keys_only = wrong(
    "queries-start-at-0",
    "Keys have the right positions, queries begin at 0 in every chunk. Both need the start: it is the difference of "
    "the two places that counts.",
    query_start="forgotten",
)
number_of_the_chunk = wrong(
    "chunks-counted",
    "Your positions begin with the number of the chunk. They begin with the number of tokens in all chunks before it. "
    "With one token a chunk both are the same.",
    start="chunks",
)
length_of_the_last = wrong(
    "length-of-the-last-chunk",
    "Your positions begin with the length of the chunk before. They begin with the number of tokens in all chunks "
    "before: add the lengths up.",
    start="last",
)
one_too_far = wrong(
    "one-too-far",
    "From the second chunk on, your positions are one too high: between two chunks a place is left empty. The number "
    "of tokens so far is the position of the next one, since the first is at 0.",
    step=1,
)
old_again = wrong(
    "old-keys-turned-with-each-chunk",
    "Each time a chunk comes, the keys that are in the cache are turned once more, and the result is kept: the oldest "
    "are turned most often. A key is turned once, when it goes in.",
    old_turned_again=True,
)
queries_not_turned = wrong(
    "queries-not-turned",
    "Queries are not turned any more. Scores then depend on the place of the key alone. Query and key are turned, each "
    "by its own position; the value is not.",
    turn_query=False,
)
keys_not_turned = wrong(
    "keys-not-turned",
    "Keys are not turned at all any more. Scores then depend on the place of the query alone. Each key is turned once.",
    turn_key=False,
)
mask_from_the_left = wrong(
    "mask-from-the-left",
    "Your causal mask begins at the first key for the first token of each chunk, so tokens of a later chunk do not see "
    "all that came before. Row number r of a chunk may see all keys up to start + r.",
    mask="from the left",
)
no_mask = wrong(
    "no-mask",
    "Inside a chunk, tokens see later ones: the causal mask is gone. It is not needed where a chunk is one token, but "
    "a prompt comes as one chunk.",
    mask="none",
)
forgets = wrong(
    "earlier-chunks-forgotten",
    "Each chunk attends to itself alone. The keys and values of all chunks so far take part: that is what they are "
    "kept for.",
    cached=False,
)


def all_at_once(chunks, w_query, w_key, w_value):
    """Another right answer: without any cache."""
    x = torch.cat(list(chunks))
    positions = torch.arange(len(x))
    query, key = turn(x @ w_query, positions), turn(x @ w_key, positions)
    return attend(query, key, x @ w_value, torch.ones(len(x), len(x)).tril().bool())


def turned_when_read(chunks, w_query, w_key, w_value):
    """Another right answer: keeps keys as they are, and turns all of them each time."""
    keys, values, outputs = [], [], []
    for x in chunks:
        keys.append(x @ w_key)
        values.append(x @ w_value)
        key, value = torch.cat(keys), torch.cat(values)
        positions = torch.arange(len(key))
        seen = positions <= positions[-len(x) :, None]
        outputs.append(attend(turn(x @ w_query, positions[-len(x) :]), turn(key, positions), value, seen))
    return torch.cat(outputs)


def a_chunk_cut_in_two_gives_the_same(answer, rng):
    chunks, *weights = drawn(4)(rng).args_of_answer
    whole = answer.call(chunks, *weights)
    cut = answer.call([*chunks[0].split((1, 3))], *weights)
    gap = float((whole - cut).abs().max())
    return None if gap < ROOM else f"four tokens as one chunk and as two differ by {gap:.2g}"


def equal_tokens_get_their_value(answer, rng):
    """Where all tokens are alike, so are all values, and any mixture of them is that value."""
    chunks, *weights = drawn(1)(rng).args_of_answer
    token = chunks[0]
    outputs = answer.call([token.repeat(2, 1), token, token], *weights)
    gap = float((outputs - token @ weights[2]).abs().max())
    return None if gap < ROOM else f"all tokens are alike, so each output is their value; it is off by {gap:.2g}"


class ChunksCall(Call):
    """A call with chunks and three weights. A message shows the keywords alone."""

    def __init__(self, chunks, *weights):
        super().__init__(**{"chunks of length": tuple(map(len, chunks))}, d=chunks[0].shape[1])
        self.args_of_answer = (chunks, *weights)


def ask(answer, call):
    return {"output": answer.call(*call.args_of_answer)}


def drawn(*lengths, d=4, dtype=torch.float32):
    def draw(rng):
        chunks = [tensor(rng, n, d, size=1.5, dtype=dtype) for n in lengths]
        return ChunksCall(chunks, *(tensor(rng, d, d, dtype=dtype) for _ in range(3)))

    return draw


EXERCISE = Exercise(
    name="attend_in_chunks",
    lesson="10_llama_block",
    kind="hunt",
    points=2,
    difficulty=3,
    minutes=15,
    asks="Mend the three mistakes in an attention with rotary positions and a cache.",
    reference=attend_in_chunks,
    returns=("output",),
    cases=(
        Case("two tokens, one after the other", drawn(1, 1), ask=ask, close=ROOM),
        Case("one chunk", drawn(3), ask=ask, close=ROOM),
        Case("a prompt, then token by token", drawn(3, 1, 1), ask=ask, close=ROOM),
        Case("chunks of any length", drawn(2, 3, 1, 4), "a chunk begins where the last one ended", ask=ask, close=ROOM),
        Case("two pairs more", drawn(2, 2, d=8), ask=ask, close=ROOM),
        Case("many single tokens", drawn(1, 1, 1, 1, 1, 1), ask=ask, close=ROOM),
        Case("double precision", drawn(3, 2, dtype=torch.float64), ask=ask, close=ROOM),
    ),
    properties=(
        Property("a chunk cut in two gives the same", a_chunk_cut_in_two_gives_the_same),
        Property("among equal tokens the output is their value", equal_tokens_get_their_value),
    ),
    misconceptions=(
        as_found,
        start_left,
        twice_left,
        values_left,
        only_values_mended,
        only_twice_mended,
        only_start_mended,
        start_for_keys_only,
        number_of_the_chunk,
        length_of_the_last,
        one_too_far,
        old_again,
        queries_not_turned,
        keys_not_turned,
        mask_from_the_left,
        no_mask,
        forgets,
    ),
    alternatives=(all_at_once, turned_when_read),
    hints=(
        "Turning makes a score depend on the distance of two tokens. For each of query, key and value ask: has it part "
        "in a score, by which position should it be turned, and how often?",
        "Values: never. Keys: once, when they go into the cache, by their place in the whole text. Queries: by their "
        "place in the whole text too. A chunk's places begin with the number of tokens that came before it.",
        "positions = sum(map(len, keys)) + torch.arange(len(x)), taken before the chunk's keys are appended",
    ),
)
