"""sliding_window_mask: each position sees itself and the few before."""

import torch

from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception
from clearformer.nn.sparse_attention import sliding_window_mask as reference


def distance(seq_len):
    position = torch.arange(seq_len)
    return position[:, None] - position


def no_row_sees_more_than_the_window(answer, rng):
    seq_len, window = int(rng.integers(8, 14)), int(rng.integers(2, 6))
    counts = answer.call(seq_len, window).sum(dim=-1)
    wanted = torch.arange(1, seq_len + 1).clamp(max=window)
    wrong = (counts != wanted).nonzero()
    return None if not len(wrong) else (
        f"with window {window}, query {int(wrong[0])} sees {int(counts[wrong[0]])} keys, "
        f"expected {int(wanted[wrong[0]])}"
    )  # fmt: skip


def no_position_sees_a_later_one(answer, rng):
    mask = answer.call(int(rng.integers(5, 12)), int(rng.integers(2, 5)))
    later = mask.triu(1).nonzero()
    return None if not len(later) else f"query {int(later[0][0])} sees the later key {int(later[0][1])}"


def masked(rule):
    def sliding_window_mask(seq_len, window):
        return rule(distance(seq_len), window)

    return sliding_window_mask


def wrong(slug, says, rule):
    return misconception(slug, says)(masked(rule))


WRONG = (
    wrong(
        "one-too-many",
        "Each query sees one key too many. The window counts the query's own position: 0 ≤ i − j < window, without "
        "equal at the end.",
        lambda away, window: (away >= 0) & (away <= window),
    ),
    wrong(
        "not-itself",
        "Your positions do not see themselves, and the first one sees nothing. The window ends with the position "
        "itself: i − j may be 0.",
        lambda away, window: (away > 0) & (away < window),
    ),
    wrong(
        "shifted-into-the-past",
        "Your window has the right size, but ends before the position itself. i − j starts at 0.",
        lambda away, window: (away > 0) & (away <= window),
    ),
    wrong(
        "both-sides",
        "Your window reaches to both sides. This one is causal: nobody sees what comes later.",
        lambda away, window: away.abs() < window,
    ),
    wrong(
        "centred",
        "Your window stands around the position, half of it in the future. This one is causal: it ends with the "
        "position itself.",
        lambda away, window: away.abs() <= window // 2,
    ),
    wrong(
        "future-visible",
        "The past has its limit, but everything that comes later is visible. Both conditions are needed: 0 ≤ i − j and "
        "i − j < window.",
        lambda away, window: away < window,
    ),
    wrong(
        "no-limit",
        "This is the causal mask: the past has no limit. Add i − j < window.",
        lambda away, window: away >= 0,
    ),
    wrong(
        "turned-round",
        "Your mask shows what comes next, not what came before. Rows are queries i, columns are keys j; visible is "
        "0 ≤ i − j.",
        lambda away, window: (away <= 0) & (-away < window),
    ),
    wrong(
        "true-means-hidden",
        "Your mask says True where a key is hidden. In this course True = may be attended.",
        lambda away, window: ~((away >= 0) & (away < window)),
    ),
    wrong(
        "numbers-not-bools",
        "The places are right, but your mask holds numbers. This exercise asks for bool: leave out .float() or .int(), "
        "or add .bool().",
        lambda away, window: ((away >= 0) & (away < window)).float(),
    ),
    wrong(
        "chunks",
        "You cut the sequence into chunks of `window`, and each position sees only its own chunk. A window moves "
        "along: each position has `window` keys of its own.",
        lambda away, window: (
            (away >= 0) & (torch.arange(len(away))[:, None] // window == torch.arange(len(away)) // window)
        ),
    ),
)


def from_triangles(seq_len, window):
    """Another right answer: a lower triangle without a smaller one."""
    ones = torch.ones(seq_len, seq_len, dtype=torch.bool)
    return ones.tril() & ~ones.tril(-window)


def row_by_row(seq_len, window):
    """Another right answer: one slice of each row."""
    mask = torch.zeros(seq_len, seq_len, dtype=torch.bool)
    for i in range(seq_len):
        mask[i, max(0, i - window + 1) : i + 1] = True
    return mask


EXERCISE = Exercise(
    name="sliding_window_mask",
    lesson="12_efficient_attention",
    kind="write",
    points=1,
    difficulty=2,
    minutes=6,
    asks="Let each position see the `window` positions that end with itself.",
    reference=reference,
    returns=("mask",),
    cases=(
        Case("three positions, window 2", lambda rng: Call(3, 2)),
        Case("one position", lambda rng: Call(1, 1)),
        Case("window 1", lambda rng: Call(4, 1), "everybody sees itself alone"),
        Case("six positions, window 3", lambda rng: Call(6, 3)),
        Case("seven positions, window 4", lambda rng: Call(7, 4), "an even window, an odd length"),
        Case("a window as long as the sequence", lambda rng: Call(5, 5)),
        Case("a window longer than the sequence", lambda rng: Call(4, 9), "then it is the causal mask"),
    ),
    properties=(
        Property("each row sees as many keys as the window has", no_row_sees_more_than_the_window),
        Property("no position sees a later one", no_position_sees_a_later_one),
    ),
    misconceptions=WRONG,
    alternatives=(from_triangles, row_by_row),
    hints=(
        "Whether query i may see key j depends on one number alone: how far j lies behind i.",
        "Make a table of i − j with torch.arange and broadcasting. Visible is where it is at least 0 and less than "
        "window.",
        "distance = position[:, None] - position; return (distance >= 0) & (distance < window)",
    ),
)
