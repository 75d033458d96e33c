"""The objective of T5: replace spans by sentinels, and ask for the spans (Raffel et al. 2020, section 3.1.4)."""

from itertools import pairwise


def corrupt_spans(token_ids, spans, sentinel_ids):
    """Take spans out of a text. Returns (inputs, targets), two lists of ids.

    token_ids: a list of ids; spans: pairs (start, end), the end not included, none empty, in order, without overlap;
    they may touch. sentinel_ids: ids that stand for nothing else, at least one more than there are spans. In inputs
    sentinel number i stands for span number i. targets hold, for each span, its sentinel and its tokens; one more
    sentinel ends them, with no spans too. No end-of-sentence is added. ValueError where spans or sentinels do not fit.
    """
    _require(token_ids, spans, sentinel_ids)
    inputs, targets, at = [], [], 0
    for (start, end), sentinel in zip(spans, sentinel_ids, strict=False):
        inputs += [*token_ids[at:start], sentinel]
        targets += [sentinel, *token_ids[start:end]]
        at = end
    return [*inputs, *token_ids[at:]], [*targets, sentinel_ids[len(spans)]]


def draw_spans(length, rng, rate=0.15, mean_length=3.0):
    """Spans to take out of a text of `length` tokens: a list of pairs (start, end), in order, that never touch.

    About rate · length tokens are taken, at least 1 and never all, in spans of mean_length on average, with rng, a
    numpy Generator, deciding how long each is and where it stands. T5 takes 15 in 100, in spans of 3 on average.
    ValueError where the text has fewer than 2 tokens, or the other numbers are out of range.
    """
    if length < 2 or not 0.0 <= rate <= 1.0 or mean_length < 1.0:
        raise ValueError(
            "draw_spans needs length at least 2, rate from 0 to 1 and mean_length at least 1; "
            f"got {length}, {rate} and {mean_length}"
        )
    taken = min(max(round(rate * length), 1), length - 1)
    count = min(max(round(taken / mean_length), 1), length - taken + 1)
    borders = sorted(1 + rng.choice(taken - 1, count - 1, replace=False)) if count > 1 else []
    sizes = [int(end - start) for start, end in pairwise([0, *borders, taken])]
    kept_before = sorted(rng.choice(length - taken + 1, count, replace=False))  # two alike would touch
    return [
        (int(kept) + sum(sizes[:number]), int(kept) + sum(sizes[: number + 1]))
        for number, kept in enumerate(kept_before)
    ]


def restore_spans(inputs, targets, sentinel_ids):
    """The text again, a list of ids: each sentinel of `inputs` makes way for what follows it in `targets`.

    The way back of corrupt_spans, for what a model wrote, too: a sentinel that it left out stands for nothing, one
    that it wrote twice counts the first time, and what it wrote before any sentinel is dropped.
    """
    sentinels, spans, current = set(sentinel_ids), {}, None
    for token in targets:
        if token in sentinels:
            current = spans.setdefault(token, []) if token not in spans else []
        elif current is not None:
            current.append(token)
    return [token for each in inputs for token in (spans.get(each, []) if each in sentinels else [each])]


def _require(token_ids, spans, sentinel_ids):
    ends = [0, *(place for span in spans for place in span), len(token_ids)]
    empty = any(start >= end for start, end in spans)
    if empty or any(before > after for before, after in pairwise(ends)):
        raise ValueError(
            f"spans must be pairs (start, end) in order, none empty, without overlap, from 0 to {len(token_ids)}; "
            f"got {spans}"
        )
    if len(sentinel_ids) <= len(spans):
        raise ValueError(
            f"sentinel_ids must hold one more than there are spans, {len(spans) + 1}; got {len(sentinel_ids)}"
        )
