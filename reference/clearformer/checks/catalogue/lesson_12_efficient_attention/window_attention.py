"""window_attention: a hunt. A sliding window by chunks, whose first chunk sees the last one, and which sees too far."""

import math

import torch
import torch.nn.functional as F

from clearformer.checks.catalogue.lesson_12_efficient_attention.watched import (
    output_alone,
    output_and_gradients,
    output_and_size,
)
from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception
from clearformer.checks.modules import tensor
from clearformer.nn.sparse_attention import sliding_window_attention, sliding_window_mask


def window_attention(query, key, value, window):
    """Attention under sliding_window_mask, by chunks of `window`."""
    return sliding_window_attention(query, key, value, window)


def drawn(window, length, *, leading=(), d_k=3, d_v=2, size=1.0, dtype=torch.float64):
    def draw(rng):
        widths = (d_k, size), (d_k, size), (d_v, 1.0)
        return Call(*(tensor(rng, *leading, length, d, size=s).to(dtype) for d, s in widths), window)

    return draw


def future_tokens_do_not_change_the_past(answer, rng):
    query, key, value, window = drawn(3, 12)(rng).args
    changed = [x.clone() for x in (query, key, value)]
    for x in changed:
        x[9:] += tensor(rng, *x[9:].shape)
    before, after = (answer.call(*each, window) for each in ((query, key, value), changed))
    moved = (before - after)[:9].abs().amax(dim=-1)
    return None if float(moved.max()) < 1e-9 else (
        f"tokens 9 to 11 were changed, and the output at token {int(moved.argmax())} moved by {float(moved.max()):.2g}"
    )  # fmt: skip


def what_lies_behind_the_window_does_not_matter(answer, rng):
    query, key, value, window = drawn(3, 12)(rng).args
    other_key, other_value = key.clone(), value.clone()
    other_key[:4], other_value[:4] = tensor(rng, 4, 3), tensor(rng, 4, 2)
    moved = (answer.call(query, key, value, window) - answer.call(query, other_key, other_value, window))[6:]
    gap = float(moved.abs().max())
    return (
        None
        if gap < 1e-9
        else f"keys 0 to 3 were changed, and with window 3 an output from token 6 on moved by {gap:.2g}"
    )


# Wrong answers: the right one by chunks, with a step changed ----------------------------------------------------------


def wide(x):
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def before_with_zeros(x):
    return torch.cat([torch.zeros_like(x[..., :1, :, :]), x[..., :-1, :, :]], dim=-3)


def rolled(x):
    return torch.roll(x, 1, dims=-3)


def with_itself(x):
    return torch.cat([x[..., :1, :, :], x[..., :-1, :, :]], dim=-3)


def rolled_back(x):
    return torch.roll(x, -1, dims=-3)


def in_the_window(away, window):
    return (away >= 0) & (away < window)


def by_chunks(*, before=before_with_zeros, visible=in_the_window, first_hidden=True, scale=True, hide=None):
    def window_attention(query, key, value, window):
        q, k, v = (wide(x).unflatten(-2, (-1, window)) for x in (query, key, value))
        k, v = (torch.cat([before(x), x], dim=-2) for x in (k, v))
        scores = q @ k.transpose(-2, -1) / (math.sqrt(query.shape[-1]) if scale else 1.0)
        away = torch.arange(window)[:, None] + window - torch.arange(2 * window)
        seen = visible(away, window).expand(scores.shape[-3:]).clone()
        if first_hidden:
            seen[0, :, :window] = False
        if hide:
            return hide(scores, seen, v).flatten(-3, -2).to(query.dtype)
        weights = scores.masked_fill(~seen, -torch.inf).softmax(dim=-1)
        return (weights @ v).flatten(-3, -2).to(query.dtype)

    return window_attention


def wrong(slug, says, **changes):
    return misconception(slug, says)(by_chunks(**changes))


WRONG = (
    wrong(
        "as-it-was",
        "This is the function as it was, with both its mistakes. Whose keys does torch.roll put before the first "
        "chunk? And how far back may the last query of a chunk see, how far the first?",
        before=rolled,
        visible=lambda away, window: away >= 0,
        first_hidden=False,
    ),
    wrong(
        "first-chunk-sees-the-last",
        "The window has the right length now, but torch.roll goes round in a circle: before the first chunk it puts "
        "the last one, so the first tokens see the end of the text. Hide the first half of the keys for the first "
        "chunk.",
        before=rolled,
        first_hidden=False,
    ),
    wrong(
        "sees-too-far-back",
        "The first chunk is right now, but queries see all of the chunk before, up to 2 · window − 1 keys back. "
        "Visible is 0 ≤ i − j < window.",
        visible=lambda away, window: away >= 0,
    ),
    wrong(
        "zeros-are-seen",
        "You put zeros before the first chunk, and the first tokens see them: a key of zeros has the score 0, and "
        "exp(0) is 1. Hide them, for the first chunk alone.",
        first_hidden=False,
    ),
    wrong(
        "first-chunk-sees-itself-twice",
        "You put the first chunk before itself. Its tokens then see keys of their own chunk that come later, in the "
        "places of earlier ones. Nothing lies before the first chunk: hide that half.",
        before=with_itself,
        first_hidden=False,
    ),
    wrong(
        "rolled-the-other-way",
        "In front of each chunk you put the one that comes after it. torch.roll with 1 moves each chunk one place on, "
        "so that the one before stands there; −1 moves it back.",
        before=rolled_back,
    ),
    wrong(
        "one-too-many",
        "Each query sees one key too many. The window counts the query's own position: 0 ≤ i − j < window.",
        visible=lambda away, window: (away >= 0) & (away <= window),
    ),
    wrong(
        "own-chunk-alone",
        "Your queries see only their own chunk. The first query of a chunk has to see the window − 1 keys before it, "
        "which lie in the chunk before.",
        visible=lambda away, window: (away >= 0) & (torch.arange(2 * window) >= window),
    ),
    wrong(
        "later-keys-of-the-chunk",
        "Your queries see later keys of their own chunk. Keep i − j ≥ 0.",
        visible=lambda away, window: away < window,
    ),
    wrong(
        "no-scale",
        "The mask is right now, but the scores have lost their scale. Divide them by √d_k.",
        scale=False,
    ),
    wrong(
        "hidden-scores-zero",
        "You set hidden scores to 0. exp(0) is 1, so they still get weight. The score that gives weight 0 is -inf.",
        hide=lambda scores, seen, v: (scores * seen).softmax(dim=-1) @ v,
    ),
    wrong(
        "hidden-after-the-softmax",
        "You hide after the softmax. By then hidden keys have taken their share, and the weights no longer sum to 1.",
        hide=lambda scores, seen, v: (scores.softmax(dim=-1) * seen) @ v,
    ),
)


@misconception(
    "all-scores-computed",
    "The numbers are right, but all T × T scores are computed and most are thrown away: then the window saves nothing. "
    "Keep the chunks, and mend which keys each of them sees.",
)
def all_scores_computed(query, key, value, window):
    scores = wide(query) @ wide(key).transpose(-2, -1) / math.sqrt(query.shape[-1])
    hidden = ~sliding_window_mask(query.shape[-2], window)
    return (scores.masked_fill(hidden, -torch.inf).softmax(dim=-1) @ wide(value)).to(query.dtype)


def by_unfolding(query, key, value, window):
    """Another right answer: the window − 1 keys before each position, by unfold."""

    def windows(x):  # (..., T, d, window)
        return F.pad(wide(x), (0, 0, window - 1, 0)).unfold(-2, window, 1)

    scores = torch.einsum("...td,...tdw->...tw", wide(query), windows(key)) / math.sqrt(query.shape[-1])
    exists = torch.arange(query.shape[-2])[:, None] >= torch.arange(window - 1, -1, -1)
    weights = scores.masked_fill(~exists, -torch.inf).softmax(dim=-1)
    return torch.einsum("...tw,...tdw->...td", weights, windows(value)).to(query.dtype)


def query_by_query(query, key, value, window):
    """Another right answer: a slice for each query."""
    outputs = []
    for t in range(query.shape[-2]):
        seen = slice(max(0, t - window + 1), t + 1)
        scores = wide(query)[..., t : t + 1, :] @ wide(key)[..., seen, :].transpose(-2, -1)
        outputs.append((scores / query.shape[-1] ** 0.5).softmax(dim=-1) @ wide(value)[..., seen, :])
    return torch.cat(outputs, dim=-2).to(query.dtype)


EXERCISE = Exercise(
    name="window_attention",
    lesson="12_efficient_attention",
    kind="hunt",
    points=2,
    difficulty=4,
    minutes=15,
    asks="Mend the sliding window by chunks, so that each query sees itself and the window − 1 keys before it.",
    reference=window_attention,
    returns=("output",),
    cases=(
        Case("four tokens, window 2", drawn(2, 4), ask=output_alone),
        Case("one chunk", drawn(3, 3), "nothing lies before it", ask=output_alone),
        Case("window 1", drawn(1, 3), "each token sees itself alone", ask=output_alone),
        Case("twelve tokens, window 3", drawn(3, 12), ask=output_and_gradients),
        Case("heads and a batch", drawn(4, 8, leading=(2, 3)), ask=output_alone),
        Case("as many sentences as chunks", drawn(2, 6, leading=(3,)), ask=output_alone),
        Case("large scores", drawn(3, 9, size=40.0), ask=output_alone),
        Case("forty tokens, window 2", drawn(2, 40, d_k=2), ask=output_and_size),
        Case("single precision", drawn(3, 9, dtype=torch.float32), ask=output_alone),
    ),
    properties=(
        Property("tokens to come do not change the past", future_tokens_do_not_change_the_past),
        Property("what lies behind the window does not matter", what_lies_behind_the_window_does_not_matter),
    ),
    misconceptions=(*WRONG, all_scores_computed),
    alternatives=(by_chunks(), by_unfolding, query_by_query),
    forbidden=("torch.nn.functional.scaled_dot_product_attention",),
    hints=(
        "Change the last token and look at which outputs move: there should be only one. Then change the first, and "
        "see how far it is felt.",
        "Two conditions are missing. One concerns the first chunk alone: which keys stand before it? The other is the "
        "far end of the window: the mask has to ask how far back a key lies, i − j, not only whether it lies back.",
        "visible = (distance >= 0) & (distance < window), and for chunk 0 nothing of the first `window` keys",
    ),
)
