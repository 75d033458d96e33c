"""batch_by_tokens: sentences of like length together, as many as fit."""

import re

from clearformer.checks.answer import AnswerError
from clearformer.checks.compare import kind_of
from clearformer.checks.exercise import Call, Case, Exercise, misconception
from clearformer.data.batches import batch_by_tokens as reference

# Many divisions are right. So the check looks at what each right one has in common ------------------------------


def cost(batch, lengths):
    return len(batch) * max(lengths[index] for index in batch)


def what_batches_hold(answer, call):
    """What is the same for every right answer; where something is wrong, the words say what."""
    lengths, max_tokens = call.args
    batches = answer.call([*lengths], max_tokens)
    kinds = _kinds(batches)
    if kinds != "lists of indices":
        return {"batches": kinds}
    indices = sorted(index for batch in batches for index in batch)
    strange = sorted({index for index in indices if not 0 <= index < len(lengths)})
    if strange:
        return {"batches": kinds, "indices": f"{strange} are no indices of the {len(lengths)} sentences"}
    fewest = len(reference(lengths, max_tokens))
    return {
        "batches": kinds,
        "indices": _each_once(indices, len(lengths)),
        "the largest batch": _fits(max((cost(batch, lengths) for batch in batches if batch), default=0), max_tokens),
        "empty batches": sum(not batch for batch in batches),
        "number of batches": len(batches) if len(batches) > fewest else f"at most {fewest}",
    }


def _kinds(batches):
    if not isinstance(batches, list):
        return kind_of(batches)
    if not all(isinstance(batch, (list, tuple)) for batch in batches):
        return "a list that holds something else than lists"
    whole = all(hasattr(index, "__index__") for batch in batches for index in batch)
    return "lists of indices" if whole else "lists of something else than whole numbers"


def _each_once(indices, count):
    if indices == list(range(count)):
        return "each once"
    missing = sorted(set(range(count)) - set(indices))
    twice = sorted({index for index in indices if indices.count(index) > 1})
    return " and ".join(
        part
        for part in (
            f"{missing} in no batch" if missing else "",
            f"{twice} more than once" if twice else "",
        )
        if part
    )


def _fits(largest, max_tokens):
    return f"costs at most {max_tokens}" if largest <= max_tokens else f"costs {largest}, more than {max_tokens}"


def the_error_names_the_sentence(answer, call):
    """A ValueError that says which sentence is too long, by its index or its length."""
    lengths, max_tokens = call.args
    try:
        batches = answer.call([*lengths], max_tokens)
    except AnswerError as error:
        if error.kind != "ValueError":
            raise
        longest = max(lengths)
        named = {str(longest), str(lengths.index(longest))} & set(re.findall(r"\d+", error.text))
        return {"error": "ValueError", "the text of the error": "names the sentence" if named else error.text}
    held = _kinds(batches) == "lists of indices" and any(lengths.index(max(lengths)) in batch for batch in batches)
    return {"error": f"none: the sentence is in {'a' if held else 'no'} batch"}


def and_what_they_cost(answer, call):
    """The same, and how much is padding. Many divisions are right; of two heaps of lengths, all of them pad little."""
    lengths, max_tokens = call.args
    seen = what_batches_hold(answer, call)
    if seen.get("indices") != "each once":
        return seen
    tokens = sum(cost(batch, lengths) for batch in answer.call([*lengths], max_tokens) if batch)
    enough = sum(lengths) + max_tokens
    return seen | {"all batches together": f"cost {tokens}" if tokens > enough else f"cost at most {enough}"}


# Wrong answers: filling one batch after the other, with one part in another form ---------------------------------


def filled(
    *,
    order=lambda lengths: sorted(range(len(lengths)), key=lengths.__getitem__),
    too_much=lambda batch, length, max_tokens: (len(batch) + 1) * length > max_tokens,
    entry=lambda index, place, lengths: index,
    keeps_last=True,
    starts_with_it=True,
    too_long="raise",
):
    """too_much sees the lengths of the batch so far, the next length, and max_tokens."""

    def batch_by_tokens(lengths, max_tokens):
        batches, batch, so_far = [], [], []
        for place, index in enumerate(order(lengths)):
            length = lengths[index]
            if length > max_tokens and too_long != "alone":
                if too_long == "skip":
                    continue
                raise ValueError(f"sentence {index} has {length} tokens" if too_long == "raise" else "too long")
            if batch and too_much(so_far, length, max_tokens):
                batches.append(batch)
                batch, so_far = [], []
                if not starts_with_it:
                    continue
            batch.append(entry(index, place, lengths))
            so_far.append(length)
        return [*batches, batch] if batch and keeps_last else batches

    return batch_by_tokens


def wrong(slug, says, **changes):
    return misconception(slug, says)(filled(**changes))


as_they_come = wrong(
    "as-they-come",
    "You fill the batches in the order in which the sentences come, so that short ones stand beside long ones and are "
    "padded to their length: more batches than are needed. Sort the indices by length first.",
    order=lambda lengths: range(len(lengths)),
    too_much=lambda batch, length, max_tokens: (len(batch) + 1) * max([*batch, length]) > max_tokens,
)
sum_of_lengths = wrong(
    "sum-of-lengths",
    "You add up the lengths. A batch is a rectangle: each sentence is padded to the longest, so it costs sentences "
    "times the longest length.",
    too_much=lambda batch, length, max_tokens: sum(batch) + length > max_tokens,
)
sum_as_they_come = wrong(
    "sum-of-lengths-as-they-come",
    "You fill the batches in the order in which the sentences come, and add up their lengths. A batch is a rectangle: "
    "it costs sentences times the longest length. Sort the indices by length first, then short ones pad little.",
    order=lambda lengths: range(len(lengths)),
    too_much=lambda batch, length, max_tokens: sum(batch) + length > max_tokens,
)
shortest_instead_of_longest = wrong(
    "shortest-instead-of-longest",
    "You count with the length of the batch's first sentence. Sorted by length it is the shortest; the batch costs "
    "sentences times the longest.",
    too_much=lambda batch, length, max_tokens: (len(batch) + 1) * batch[0] > max_tokens,
)
longest_so_far = wrong(
    "the-new-sentence-left-out",
    "You count the batch as it is before the new sentence joins, so that it ends up too large. Count it with the new "
    "one: one sentence more, and perhaps a larger length.",
    too_much=lambda batch, length, max_tokens: len(batch) * batch[-1] >= max_tokens,
)
one_too_few = wrong(
    "exactly-full-not-allowed",
    "You close a batch that would be exactly full. max_tokens itself is allowed: only what is larger is too much.",
    too_much=lambda batch, length, max_tokens: (len(batch) + 1) * length >= max_tokens,
)
last_batch_lost = wrong(
    "last-batch-lost",
    "The last batch is missing. When the loop ends, the batch that is not yet full still has to be kept.",
    keeps_last=False,
)
opener_lost = wrong(
    "sentence-between-batches-lost",
    "The sentence that does not fit any more gets lost: you close the batch and go on with the next one. It is the "
    "first of the new batch.",
    starts_with_it=False,
)
lengths_returned = wrong(
    "lengths-returned",
    "Your batches hold lengths. This exercise asks for indices into `lengths`, so that one can fetch the sentences.",
    entry=lambda index, place, lengths: lengths[index],
)
places_returned = wrong(
    "places-in-the-sorted-list",
    "Your batches hold places in the sorted list. What is asked for are indices into `lengths` as it was given: sort "
    "the indices, not the lengths.",
    entry=lambda index, place, lengths: place,
)
pairs_returned = wrong(
    "pairs-returned",
    "Your batches hold pairs of length and index. This exercise asks for the indices alone.",
    entry=lambda index, place, lengths: (lengths[index], index),
)
too_long_skipped = wrong(
    "too-long-skipped",
    "A sentence longer than max_tokens disappears without a word. This exercise asks for a ValueError that names it.",
    too_long="skip",
)
too_long_alone = wrong(
    "too-long-in-a-batch-of-its-own",
    "A sentence longer than max_tokens gets a batch of its own, which is too large. This exercise asks for a "
    "ValueError that names it.",
    too_long="alone",
)
too_long_not_named = wrong(
    "error-without-a-name",
    "The ValueError is there, but it does not say which sentence is too long. Whoever reads it has thousands of them: "
    "give the index or the length.",
    too_long="raise without a name",
)
one_sentence_a_batch = wrong(
    "one-sentence-a-batch",
    "Each of your batches holds one sentence. As long as a batch costs no more than max_tokens, sentences can join.",
    too_much=lambda batch, length, max_tokens: True,
)


@misconception(
    "as-many-as-fit-the-longest",
    "Your batches all hold as many sentences as would fit if each were as long as the longest of all. Short sentences "
    "need less room: more of them fit.",
)
def as_many_as_fit_the_longest(lengths, max_tokens):
    if lengths and max(lengths) > max_tokens:
        raise ValueError(f"a sentence has {max(lengths)} tokens")
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    size = max_tokens // max(lengths) if lengths else 1
    return [order[start : start + size] for start in range(0, len(order), size)]


@misconception(
    "empty-batch-at-the-start",
    "Where there is no sentence, or at the very start, you return a batch with nothing in it. A batch is kept when it "
    "holds something.",
)
def empty_batch_at_the_start(lengths, max_tokens):
    return [[], *reference(lengths, max_tokens)]


@misconception(
    "lengths-sorted-in-place",
    "You sort `lengths` itself, so that its indices no longer belong to the sentences. Sort a list of indices instead.",
)
def lengths_sorted_in_place(lengths, max_tokens):
    lengths.sort()
    return reference(lengths, max_tokens)


plain = filled()


def longest_first(lengths, max_tokens):
    """Another right answer: from the longest to the shortest, so that the first of a batch decides its cost."""
    rest = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    if rest and lengths[rest[0]] > max_tokens:
        raise ValueError(f"sentence {rest[0]} is too long")
    batches = []
    while rest:
        size = max_tokens // lengths[rest[0]]
        batches.append(rest[:size])
        rest = rest[size:]
    return batches[::-1]


def shuffled(lengths, max_tokens):
    """Another right answer: the same batches in another order, the sentences in each turned round."""
    return [batch[::-1] for batch in plain(lengths, max_tokens)][::-1]


def mixed(rng):
    lengths = [int(length) for length in rng.integers(3, 25, size=30)]
    return Call(lengths, 60)


def two_heaps(rng):
    return Call([int(length) for length in rng.permutation([3] * 40 + [30] * 10)], 60)


def shorter_and_longer(rng):
    return Call([int(length) for length in rng.permutation([2, 2, 2, 2, 2, 2, 9, 9])], 18)


EXERCISE = Exercise(
    name="batch_by_tokens",
    lesson="05_training",
    kind="write",
    points=2,
    difficulty=3,
    minutes=15,
    asks="Put sentences of like length into batches that cost at most max_tokens, sentences times the longest.",
    reference=reference,
    returns=("batches",),
    cases=(
        Case("three sentences that fit together", lambda rng: Call([2, 3, 3], 9), ask=what_batches_hold),
        Case("one sentence", lambda rng: Call([5], 5), "it fills its batch exactly", ask=what_batches_hold),
        Case(
            "a batch that is exactly full",
            lambda rng: Call([4, 4, 4, 4, 4, 4], 12),
            "three sentences of 4 cost 12, which is allowed",
            ask=what_batches_hold,
        ),
        Case("short and long in turn", lambda rng: Call([2, 9, 2, 9, 2, 9], 18), ask=what_batches_hold),
        Case("many short and two long", shorter_and_longer, ask=what_batches_hold),
        Case(
            "each longer than the one before",
            lambda rng: Call([1, 2, 3, 4, 5, 6, 7, 8], 12),
            "a batch costs what its longest makes it cost",
            ask=what_batches_hold,
        ),
        Case("any lengths", mixed, ask=what_batches_hold),
        Case("two heaps of lengths", two_heaps, "who mixes them pads a lot", ask=and_what_they_cost),
        Case("no sentences", lambda rng: Call([], 10), "there are no batches", ask=what_batches_hold),
        Case(
            "a sentence that is too long",
            lambda rng: Call([3, 17, 5, 6, 2], 12),
            "a ValueError names it",
            ask=the_error_names_the_sentence,
        ),
    ),
    misconceptions=(
        as_they_come,
        sum_of_lengths,
        sum_as_they_come,
        shortest_instead_of_longest,
        longest_so_far,
        one_too_few,
        last_batch_lost,
        opener_lost,
        lengths_returned,
        places_returned,
        pairs_returned,
        too_long_skipped,
        too_long_alone,
        too_long_not_named,
        one_sentence_a_batch,
        as_many_as_fit_the_longest,
        empty_batch_at_the_start,
        lengths_sorted_in_place,
    ),
    alternatives=(plain, longest_first, shuffled),
    hints=(
        "Padding is wasted where lengths differ. In which order do neighbours have like lengths? Then go through them "
        "once and close a batch when the next sentence would make it too expensive.",
        "Sort the indices by length. Keep a batch; for each index, work out what the batch would cost with it: one "
        "sentence more, times its length, since it is the longest so far. Too much: keep the batch, begin a new one "
        "with this index. At the end, keep the last one.",
        "if (len(batch) + 1) * lengths[index] > max_tokens:",
    ),
)
