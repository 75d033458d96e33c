"""decoder_mask: no padding, and no looking ahead."""

import torch

from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception
from clearformer.nn.decoder import decoder_mask as reference


def nobody_sees_the_future(answer, rng):
    seen = answer.call(torch.from_numpy(rng.integers(1, 9, size=(2, 5))))
    ahead = [(query, key) for *_, query, key in seen.nonzero().tolist() if key > query]
    return f"query {ahead[0][0]} may attend to key {ahead[0][1]}, which comes later" if ahead else None


def nobody_sees_padding(answer, rng):
    seen = answer.call(torch.tensor([[5, 0, 7, 0], [0, 3, 0, 0]]))
    visible = [key for *_, key in seen[0].nonzero().tolist() if key in (1, 3)]
    return f"key {visible[0]} of the first sentence is padding, and somebody may attend to it" if visible else None


def a_sentence_does_not_depend_on_the_others(answer, rng):
    token_ids = torch.from_numpy(rng.integers(0, 3, size=(4, 5)))
    alone, together = answer.call(token_ids[2:3]), answer.call(token_ids)
    if together.shape[:1] == (4,) and torch.equal(alone, together[2:3]):
        return None
    return "the mask of a sentence alone is another one than in a batch of four"


def padding(token_ids, pad_id):
    return (token_ids != pad_id)[:, None, None, :]


def triangle(token_ids, **how):
    return torch.ones(token_ids.shape[1], token_ids.shape[1]).tril(**how).bool()


@misconception(
    "causal-only",
    "You hide the future and show the padding. Both have to hold for a key that may be attended: it is a real token, "
    "and it does not come later. Join the two masks with &.",
)
def causal_only(token_ids, pad_id=0):
    return triangle(token_ids).expand(len(token_ids), 1, -1, -1)


@misconception(
    "padding-only",
    "You hide padding and show the future. In training the whole target lies in front of the decoder, so each position "
    "would see the token it has to predict. Join the padding mask with a lower triangle: &.",
)
def padding_only(token_ids, pad_id=0):
    return padding(token_ids, pad_id).repeat(1, 1, token_ids.shape[1], 1)


@misconception(
    "padding-only-not-spread",
    "You return the padding mask, (batch, 1, 1, T). The decoder's mask also differs from query to query: none may see "
    "what comes later. Join it with a lower triangle: &.",
)
def padding_only_not_spread(token_ids, pad_id=0):
    return padding(token_ids, pad_id)


@misconception(
    "or-instead-of-and",
    "You joined the two masks with |: a key may be attended if it is real or if it is not in the future. Both have to "
    "hold: &.",
)
def or_instead_of_and(token_ids, pad_id=0):
    return padding(token_ids, pad_id) | triangle(token_ids)


@misconception(
    "true-means-hidden",
    "Your mask is True where a key is hidden. That is the convention of some libraries. This exercise asks for True = "
    "may be attended.",
)
def true_means_hidden(token_ids, pad_id=0):
    return ~reference(token_ids, pad_id)


@misconception(
    "one-mask-inverted",
    "Your triangle is True above the diagonal: each query sees what comes later and nothing else. True = may be "
    "attended, in both parts: keep the lower triangle, diagonal included.",
)
def one_mask_inverted(token_ids, pad_id=0):
    return padding(token_ids, pad_id) & ~triangle(token_ids)


@misconception(
    "padding-inverted",
    "Your mask shows padding and hides the words. True = may be attended, in both parts: token_ids != pad_id.",
)
def padding_inverted(token_ids, pad_id=0):
    return ~padding(token_ids, pad_id) & triangle(token_ids)


@misconception(
    "transposed",
    "You show the upper triangle: each query sees itself and what comes after it. Rows are queries, columns are keys: "
    "the lower triangle is what may be seen.",
)
def transposed(token_ids, pad_id=0):
    return padding(token_ids, pad_id) & triangle(token_ids).T


@misconception(
    "not-itself",
    "Your queries may not attend to their own position, and the first one is left with nothing. The decoder's input is "
    "already shifted by one, so a position may see itself: keep the diagonal.",
)
def not_itself(token_ids, pad_id=0):
    return padding(token_ids, pad_id) & triangle(token_ids, diagonal=-1)


@misconception(
    "one-step-ahead",
    "Each query also sees the token right after it, the one that it should predict. Everything above the diagonal must "
    "be False.",
)
def one_step_ahead(token_ids, pad_id=0):
    return padding(token_ids, pad_id) & triangle(token_ids, diagonal=1)


@misconception(
    "padded-queries-hidden-too",
    "You also hide everything from queries that are padding. Nobody reads their output, and this exercise hides keys "
    "alone.",
)
def padded_queries_hidden_too(token_ids, pad_id=0):
    return reference(token_ids, pad_id) & padding(token_ids, pad_id).transpose(-2, -1)


@misconception(
    "padded-queries-instead-of-keys",
    "Your padding lies along the query axis: rows of padding are hidden, and padded keys are seen by all. Padding must "
    "not be looked at, so its place is the last axis.",
)
def padded_queries_instead_of_keys(token_ids, pad_id=0):
    return padding(token_ids, pad_id).transpose(-2, -1) & triangle(token_ids)


@misconception(
    "pad-id-taken-for-zero",
    "You compare with 0, whatever pad_id is. Here padding has another number, and 0 is a real token.",
)
def pad_id_taken_for_zero(token_ids, pad_id=0):
    return reference(token_ids, 0)


@misconception(
    "larger-than-the-padding",
    "You count a token as real when its number is larger than pad_id. Real tokens may have smaller numbers: test for "
    "being different.",
)
def larger_than_the_padding(token_ids, pad_id=0):
    return (token_ids > pad_id)[:, None, None, :] & triangle(token_ids)


@misconception(
    "no-axis-for-the-heads",
    "Your mask is (batch, T, T). Against scores (batch, heads, T, T) its batch would meet the heads. This exercise "
    "asks for (batch, 1, T, T).",
)
def no_axis_for_the_heads(token_ids, pad_id=0):
    return reference(token_ids, pad_id)[:, 0]


@misconception(
    "length-first",
    "You read token_ids as (T, batch), length first, as some libraries have it. Here the batch comes first: each row "
    "is a sentence.",
)
def length_first(token_ids, pad_id=0):
    return reference(token_ids.T, pad_id)


@misconception(
    "batch-and-length-mixed-up",
    "Your padding mask has the shape (T, batch) and is then lined up as if it were (batch, T). It fits where both are "
    "equal, and hides the wrong tokens. Leave token_ids as they are, and add axes: [:, None, None, :].",
)
def batch_and_length_mixed_up(token_ids, pad_id=0):
    batch, seq_len = token_ids.shape
    return token_ids.T.ne(pad_id).reshape(batch, 1, 1, seq_len) & triangle(token_ids)


@misconception(
    "ones-and-zeros",
    "Your mask holds the numbers 1.0 and 0.0. This exercise asks for bool: nothing then has to guess whether 1 means "
    "visible or hidden.",
)
def ones_and_zeros(token_ids, pad_id=0):
    return reference(token_ids, pad_id).float()


@misconception(
    "integers",
    "Your mask holds the integers 1 and 0. This exercise asks for bool. With integers, ~ does not turn a mask round: "
    "~1 is -2.",
)
def integers(token_ids, pad_id=0):
    return reference(token_ids, pad_id).long()


@misconception(
    "ready-to-add",
    "You return 0 for visible and -inf for hidden, a mask to be added to the scores. This exercise asks for a bool "
    "mask, True = may be attended.",
)
def ready_to_add(token_ids, pad_id=0):
    return torch.zeros(()).masked_fill(~reference(token_ids, pad_id), -torch.inf)


def by_comparing_positions(token_ids, pad_id=0):
    """Another right answer: key position at most the query's."""
    batch, seq_len = token_ids.shape
    position = torch.arange(seq_len)
    return (position <= position[:, None]) & ~(token_ids == pad_id).reshape(batch, 1, 1, seq_len)


def by_hiding(token_ids, pad_id=0):
    """Another right answer, not contiguous in memory: all but the upper triangle and the padding."""
    batch, seq_len = token_ids.shape
    hidden = torch.ones(batch, seq_len, seq_len).triu(1).bool() | token_ids.eq(pad_id).unsqueeze(1)
    return hidden.logical_not().transpose(0, 1).contiguous().transpose(0, 1).unsqueeze(1)


def by_loops(token_ids, pad_id=0):
    """Another right answer: one cell at a time."""
    rows = token_ids.tolist()
    cells = [[[[k <= q and row[k] != pad_id for k in range(len(row))] for q in range(len(row))]] for row in rows]
    return torch.tensor(cells)


def ids(*rows, pad_id=None):
    return lambda rng: Call(torch.tensor(rows), **({} if pad_id is None else {"pad_id": pad_id}))


EXERCISE = Exercise(
    name="decoder_mask",
    lesson="04_encoder_decoder",
    kind="write",
    points=2,
    difficulty=2,
    minutes=8,
    asks="Return a bool mask, (batch, 1, T, T), that is True where a key is a real token and does not come later.",
    reference=reference,
    returns=("mask",),
    cases=(
        Case("one sentence of three tokens", ids([4, 7, 5])),
        Case("a single token", ids([6]), "it may attend to itself"),
        Case("padding at the end", ids([4, 7, 5, 0], [8, 0, 0, 0]), "padded queries still see the words before them"),
        Case("as many sentences as tokens", ids([5, 3, 4], [3, 0, 0], [4, 8, 0]), "here a swapped axis fits too"),
        Case("more sentences than tokens", ids([5, 3], [4, 0], [8, 1])),
        Case("padding in front and inside", ids([0, 8, 0, 5], [6, 0, 4, 1]), "the first row sees nothing at all"),
        Case("another number for padding", ids([0, 8, 3, 1], [2, 0, 1, 1], pad_id=1), "here 0 is a real token"),
        Case("a large number for padding", ids([12, 0, 99, 99], [3, 100, 7, 99], pad_id=99)),
        Case("a sentence that is all padding", ids([2, 3], [0, 0])),
        Case("any tokens", lambda rng: Call(torch.from_numpy(rng.integers(0, 3, size=(3, 5))))),
    ),
    properties=(
        Property("nobody sees the future", nobody_sees_the_future),
        Property("nobody sees padding", nobody_sees_padding),
        Property("a sentence's mask does not depend on the other sentences", a_sentence_does_not_depend_on_the_others),
    ),
    misconceptions=(
        causal_only,
        padding_only,
        padding_only_not_spread,
        or_instead_of_and,
        true_means_hidden,
        one_mask_inverted,
        padding_inverted,
        transposed,
        not_itself,
        one_step_ahead,
        padded_queries_hidden_too,
        padded_queries_instead_of_keys,
        pad_id_taken_for_zero,
        larger_than_the_padding,
        no_axis_for_the_heads,
        length_first,
        batch_and_length_mixed_up,
        ones_and_zeros,
        integers,
        ready_to_add,
    ),
    alternatives=(by_comparing_positions, by_hiding, by_loops),
    hints=(
        "You know both parts from lesson 02, the padding mask and the causal one. A key may be attended where both "
        "say so.",
        "Make the padding mask (batch, 1, 1, T) and the lower triangle (T, T). Broadcasting brings them together to "
        "(batch, 1, T, T).",
        "return (token_ids != pad_id)[:, None, None, :] & triangle",
    ),
)
