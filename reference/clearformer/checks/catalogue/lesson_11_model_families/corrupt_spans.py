"""corrupt_spans: take spans out of a text, and ask for them."""

from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception
from clearformer.training.span_corruption import corrupt_spans as reference

SENTINELS = [99, 98, 97, 96, 95, 94]


def nothing_is_lost(answer, rng):
    """Each sentinel of the inputs, replaced by what follows it in the targets, gives the text again."""
    ids, spans, sentinels = any_spans(rng).args
    inputs, targets = answer.call(ids, spans, sentinels)
    found, current = {}, []
    for token in targets:
        if token in sentinels:
            current = found.setdefault(token, [])
        else:
            current.append(token)
    text = [token for each in inputs for token in (found.get(each, []) if each in sentinels else [each])]
    return None if text == ids else f"inputs and targets together give back {text}, and the text was {ids}"


def each_token_stands_once(answer, rng):
    ids, spans, sentinels = any_spans(rng).args
    inputs, targets = answer.call(ids, spans, sentinels)
    tokens = [token for token in [*inputs, *targets] if token not in sentinels]
    return None if sorted(tokens) == sorted(ids) else f"{len(ids)} tokens were given, and {len(tokens)} are left"


# Wrong answers: the plain right one, with one part in another form ------------------------------------------------


def variant(
    *,
    hole=lambda sentinel, start, end: [sentinel],
    told=lambda sentinel, tokens: [sentinel, *tokens],
    last=lambda spans, sentinels: [sentinels[len(spans)]],
    number=lambda which, sentinels: sentinels[which],
    spans_of=lambda spans: spans,
    whole=None,
):
    """hole: what the inputs get for a span; told: what the targets get; number: the sentinel of a span."""

    def corrupt_spans(token_ids, spans, sentinel_ids):
        inputs, targets, at = [], [], 0
        spans = spans_of(spans)
        for which, (start, end) in enumerate(spans):
            sentinel = number(which, sentinel_ids)
            inputs += token_ids[at:start] + hole(sentinel, start, end)
            targets += told(sentinel, token_ids[start:end])
            at = end
        inputs += token_ids[at:]
        targets += last(spans, sentinel_ids)
        return inputs, list(token_ids) if whole else targets

    return corrupt_spans


def wrong(slug, says, **changes):
    return misconception(slug, says)(variant(**changes))


def merged(spans):
    joined = []
    for start, end in spans:
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


no_last_sentinel = wrong(
    "no-last-sentinel",
    "The last sentinel is missing in your targets. It tells that the last span is over: end with "
    "sentinel_ids[len(spans)].",
    last=lambda spans, sentinels: [],
)
nothing_where_no_span = wrong(
    "nothing-where-no-span",
    "Without spans your targets are empty. The sentinel that ends them stands there all the same: sentinel_ids[0].",
    last=lambda spans, sentinels: [sentinels[len(spans)]] if spans else [],
)
last_of_the_list = wrong(
    "last-of-the-list",
    "Your targets end with the last sentinel of the list. They end with the next one that is not used yet, "
    "sentinel_ids[len(spans)].",
    last=lambda spans, sentinels: [sentinels[-1]],
)
first_again = wrong(
    "first-again",
    "Your targets end with a sentinel that was used already. The one that ends them has to be new: "
    "sentinel_ids[len(spans)].",
    last=lambda spans, sentinels: [sentinels[0]],
)
last_span_again = wrong(
    "last-span-again",
    "Your targets end with the sentinel of the last span a second time. The next one, sentinel_ids[len(spans)], ends "
    "them.",
    last=lambda spans, sentinels: [sentinels[max(len(spans) - 1, 0)]],
)
one_sentinel_for_all = wrong(
    "one-sentinel-for-all",
    "All your spans have the same sentinel. Nobody can tell then which answer belongs to which hole: span number i "
    "gets sentinel_ids[i].",
    number=lambda which, sentinels: sentinels[0],
)
one_later = wrong(
    "one-later",
    "You begin with the second sentinel. Span number 0 gets sentinel_ids[0].",
    number=lambda which, sentinels: sentinels[which + 1],
)
a_sentinel_for_each_token = wrong(
    "a-sentinel-for-each-token",
    "Your inputs hold a sentinel for every token of a span, as BERT's masks do. That tells how many are missing. This "
    "exercise asks for one sentinel a span, however long it is.",
    hole=lambda sentinel, start, end: [sentinel] * (end - start),
)
no_sentinel_in_the_inputs = wrong(
    "no-sentinel-in-the-inputs",
    "Your inputs close over the hole: nothing tells where the span was. Put its sentinel there.",
    hole=lambda sentinel, start, end: [],
)
spans_left_in_the_inputs = wrong(
    "sentinel-before-the-span",
    "Your inputs have the sentinel and still the span behind it. So the answer can be copied. The sentinel takes the "
    "place of the span.",
    hole=lambda sentinel, start, end: [sentinel, *range(start, end)],
)
spans_without_sentinels = wrong(
    "spans-without-sentinels",
    "Your targets hold the spans one behind the other, and nothing tells where one ends. Each begins with a sentinel.",
    told=lambda sentinel, tokens: tokens,
)
sentinel_behind = wrong(
    "sentinel-behind-its-span",
    "Your targets have each sentinel behind its span. It stands in front, so that a decoder first says which hole it "
    "is about to fill.",
    told=lambda sentinel, tokens: [*tokens, sentinel],
)
end_taken_too = wrong(
    "end-taken-too",
    "Your spans are one token too long. (2, 4) means the tokens 2 and 3: the end is not included.",
    spans_of=lambda spans: [(start, end + 1) for start, end in spans],
)
touching_spans_merged = wrong(
    "touching-spans-merged",
    "You made one span of two that touch. T5's own code does that too. This exercise asks for a sentinel for each span "
    "that is given.",
    spans_of=merged,
)
whole_text = wrong(
    "whole-text",
    "Your targets are the whole text. BART's decoder writes that. This exercise asks for T5's targets, which hold "
    "only what is missing.",
    whole=True,
)


@misconception(
    "each-token-a-span",
    "Each of your missing tokens has a sentinel of its own, in the inputs and in the targets. A span has one sentinel, "
    "however long it is.",
)
def each_token_a_span(token_ids, spans, sentinel_ids):
    alone = [(place, place + 1) for start, end in spans for place in range(start, end)]
    return variant()(token_ids, alone, (sentinel_ids * 4)[: len(alone) + 1])


@misconception(
    "the-kept-tokens-asked-for",
    "You turned it round: your targets hold what was kept, and your inputs what was to be taken out.",
)
def kept_tokens_asked_for(token_ids, spans, sentinel_ids):
    ends = [0, *(place for span in spans for place in span), len(token_ids)]
    kept = [*zip(ends[::2], ends[1::2], strict=True)]
    return variant()(
        token_ids, [(start, end) for start, end in kept if start < end], [*sentinel_ids, *range(90, 80, -1)]
    )


@misconception(
    "places-have-moved",
    "The first span is right, and the next ones are taken from the wrong places: when a span of two becomes one "
    "sentinel, all that follows moves. Count places in the text as it was given.",
)
def places_have_moved(token_ids, spans, sentinel_ids):
    inputs, targets = list(token_ids), []
    for (start, end), sentinel in zip(spans, sentinel_ids, strict=False):
        targets += [sentinel, *inputs[start:end]]
        inputs[start:end] = [sentinel]
    return inputs, [*targets, sentinel_ids[len(spans)]]


@misconception(
    "changes-its-input",
    "The result is right, but you changed token_ids itself. Whoever called you still needs the text: work on a copy.",
)
def changes_its_input(token_ids, spans, sentinel_ids):
    result = variant()(token_ids, spans, sentinel_ids)
    token_ids[:] = result[0]
    return list(token_ids), result[1]


@misconception(
    "returned-the-other-way-round",
    "You return (targets, inputs). This exercise asks for (inputs, targets).",
)
def other_way_round(token_ids, spans, sentinel_ids):
    return variant()(token_ids, spans, sentinel_ids)[::-1]


plain = variant()


def from_behind(token_ids, spans, sentinel_ids):
    """Another right answer: spans are cut out from the last to the first, so that no place moves."""
    inputs, targets = list(token_ids), [sentinel_ids[len(spans)]]
    for which in reversed(range(len(spans))):
        start, end = spans[which]
        targets = [sentinel_ids[which], *inputs[start:end], *targets]
        inputs[start:end] = [sentinel_ids[which]]
    return inputs, targets


def token_by_token(token_ids, spans, sentinel_ids):
    """Another right answer: for each place, the number of its span."""
    span_at = {place: which for which, (start, end) in enumerate(spans) for place in range(start, end)}
    inputs, targets, before = [], [], None
    for place, token in enumerate(token_ids):
        which = span_at.get(place)
        if which is None:
            inputs.append(token)
        else:
            if which != before:
                inputs.append(sentinel_ids[which])
                targets.append(sentinel_ids[which])
            targets.append(token)
        before = which
    targets.append(sentinel_ids[len(spans)])
    return inputs, targets


def given(ids, spans, sentinels=SENTINELS):
    return lambda rng: Call(list(ids), list(spans), list(sentinels))


def any_spans(rng):
    """A text in which tokens repeat, and up to four spans in it."""
    length = int(rng.integers(10, 16))
    places = sorted(int(place) for place in rng.choice(length + 1, 8, replace=False))
    return Call(
        [int(token) for token in rng.integers(5, 12, length)], [*zip(places[::2], places[1::2], strict=True)], SENTINELS
    )


EXERCISE = Exercise(
    name="corrupt_spans",
    lesson="11_model_families",
    kind="write",
    points=2,
    difficulty=3,
    minutes=15,
    asks="Replace each span by its sentinel, and put the spans behind their sentinels into the targets.",
    reference=reference,
    returns=("inputs", "targets"),
    cases=(
        Case("one span of one token", given([11, 12, 13, 14], [(1, 2)])),
        Case("one span of three", given([11, 12, 13, 14, 15, 16], [(1, 4)]), "one sentinel, however long it is"),
        Case("two spans", given([11, 12, 13, 14, 15, 16, 17, 18], [(1, 3), (5, 7)])),
        Case("at the beginning and at the end", given([11, 12, 13, 14, 15, 16], [(0, 2), (5, 6)])),
        Case("two spans that touch", given([11, 12, 13, 14, 15, 16], [(1, 3), (3, 5)]), "they stay two"),
        Case("no span", given([11, 12, 13], []), "a sentinel ends the targets all the same"),
        Case("all of the text", given([11, 12, 13], [(0, 3)])),
        Case("just enough sentinels", given([11, 12, 13, 14], [(0, 1), (2, 3)], [50, 60, 70])),
        Case("four spans", given(range(20, 40), [(0, 1), (3, 7), (10, 12), (15, 20)])),
        Case("any spans", any_spans, "tokens repeat"),
    ),
    properties=(
        Property("inputs and targets together hold the text", nothing_is_lost),
        Property("each token stands in one of them, once", each_token_stands_once),
    ),
    misconceptions=(
        no_last_sentinel,
        nothing_where_no_span,
        last_of_the_list,
        first_again,
        last_span_again,
        one_sentinel_for_all,
        one_later,
        a_sentinel_for_each_token,
        no_sentinel_in_the_inputs,
        spans_left_in_the_inputs,
        spans_without_sentinels,
        sentinel_behind,
        end_taken_too,
        touching_spans_merged,
        whole_text,
        each_token_a_span,
        kept_tokens_asked_for,
        places_have_moved,
        changes_its_input,
        other_way_round,
    ),
    alternatives=(plain, from_behind, token_by_token),
    hints=(
        "Walk through the text once, from left to right, and remember where you are. Which tokens go where between two "
        "spans, and which inside one?",
        "Keep two lists. For each span: the tokens before it and its sentinel go to inputs; its sentinel and its "
        "tokens go to targets. Afterwards the rest of the text goes to inputs, and one more sentinel to targets.",
        "inputs += token_ids[at:start] + [sentinel_ids[i]]",
    ),
)
