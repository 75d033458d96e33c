"""online_softmax_attention: attention that sees a block of keys at a time."""

import math

import torch

from clearformer.checks.catalogue.lesson_12_efficient_attention.watched import (
    output_alone,
    output_and_gradients,
    output_and_size,
)
from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception
from clearformer.checks.modules import tensor
from clearformer.nn.online_softmax import online_softmax_attention as reference


def drawn(block_size, *, leading=(), queries=3, keys=4, d_k=3, d_v=2, size=1.0, dtype=torch.float64):
    def draw(rng):
        query, key, value = (
            tensor(rng, *leading, *shape, size=scale)
            for shape, scale in (((queries, d_k), size), ((keys, d_k), size), ((keys, d_v), 1.0))
        )
        return Call(query.to(dtype), key.to(dtype), value.to(dtype), block_size)

    return draw


def with_scores(*scores, queries=((1.0,),)):
    """One number a key: the score of key j is its number, times the query's."""

    def draw(rng):
        key = torch.tensor(scores, dtype=torch.float64)[:, None]
        return Call(torch.tensor(queries, dtype=torch.float64), key, tensor(rng, len(scores), 2), 2)

    return draw


def block_sizes_make_no_difference(answer, rng):
    query, key, value, _ = drawn(1, keys=7, size=2.0)(rng).args
    whole = answer.call(query, key, value, 7)
    gaps = {size: float((answer.call(query, key, value, size) - whole).abs().max()) for size in (1, 2, 3, 5, 20)}
    return next((f"blocks of {size} give another output than one block of 7 keys, by {gap:.2g}"
                 for size, gap in gaps.items() if not gap < 1e-9), None)  # fmt: skip


def a_mean_of_equal_values_is_that_value(answer, rng):
    query, key, _, _ = drawn(1, keys=7)(rng).args
    found = answer.call(query, key, torch.full((7, 2), 3.0, dtype=torch.float64), 3)
    gap = float((found - 3).abs().max())
    return (
        None
        if gap < 1e-9
        else f"all values are 3, and the output is {gap:.2g} away from 3: the weights do not sum to 1"
    )


# Wrong answers: the right loop, with one step changed -----------------------------------------------------------------


def wide(x):
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def loop(
    *,
    scale=lambda query: math.sqrt(query.shape[-1]),
    blocks=lambda length, size: range(0, length, size),
    first=-math.inf,
    new_maximum=lambda before, scores: torch.maximum(before, scores.amax(dim=-1, keepdim=True)),
    rescale_total=lambda before, now: (before - now).exp(),
    rescale_mixed=lambda before, now: (before - now).exp(),
    each_block=lambda mixed, total: mixed,
    finish=lambda mixed, total, count: mixed / total,
    back=lambda output, dtype: output.to(dtype),
):
    def online_softmax_attention(query, key, value, block_size):
        q, k, v = wide(query), wide(key), wide(value)
        largest = torch.full_like(q[..., :1], first)
        total, mixed = torch.zeros_like(q[..., :1]), torch.zeros_like(q[..., :1] * v[..., :1, :])
        count = 0
        for start in blocks(key.shape[-2], block_size):
            keys, values = k[..., start : start + block_size, :], v[..., start : start + block_size, :]
            scores = q @ keys.transpose(-2, -1) / scale(q)
            before, largest = largest, new_maximum(largest, scores)
            powers = (scores - largest).exp()
            total = rescale_total(before, largest) * total + powers.sum(dim=-1, keepdim=True)
            mixed = each_block(rescale_mixed(before, largest) * mixed + powers @ values, total)
            count += 1
        return back(finish(mixed, total, count), query.dtype)

    return online_softmax_attention


def wrong(slug, says, **changes):
    return misconception(slug, says)(loop(**changes))


def one(before, now):
    return torch.ones_like(now)


nothing_rescaled = wrong(
    "nothing-rescaled",
    "You go on adding when the maximum changes. What was added up before was measured from the old maximum: multiply "
    "both, the sum and the mixed values, by exp(old maximum − new maximum) first.",
    rescale_total=one,
    rescale_mixed=one,
)
sum_not_rescaled = wrong(
    "sum-not-rescaled",
    "The mixed values are rescaled when the maximum changes, the sum is not. Both were measured from the old maximum: "
    "multiply both by exp(old maximum − new maximum).",
    rescale_total=one,
)
output_not_rescaled = wrong(
    "output-not-rescaled",
    "The sum is rescaled when the maximum changes, the mixed values are not. Both were measured from the old maximum: "
    "multiply both by exp(old maximum − new maximum).",
    rescale_mixed=one,
)
rescaled_the_other_way = wrong(
    "rescaled-the-other-way",
    "You rescale by exp(new maximum − old maximum). The maximum only grows, so this factor is above 1, and infinite at "
    "the start. It is the other way round: exp(old − new), at most 1.",
    rescale_total=lambda before, now: (now - before).exp(),
    rescale_mixed=lambda before, now: (now - before).exp(),
)
no_maximum = wrong(
    "no-maximum",
    "You take exp of the scores as they are. A score of 1000 makes that infinite. Subtract the largest score so far.",
    first=0.0,
    new_maximum=lambda before, scores: before,
)
maximum_from_zero = wrong(
    "maximum-from-zero",
    "Your maximum starts at 0. Where all scores lie far below, exp of all of them is 0, and 0 / 0 is NaN. "
    "Start at -inf.",
    first=0.0,
)
maximum_of_the_block = wrong(
    "maximum-of-the-block",
    "You subtract the maximum of the present block alone. Where an earlier block had a far larger score, "
    "exp(old − new) is infinite. Keep the largest score of all blocks so far: torch.maximum(old, of this block).",
    new_maximum=lambda before, scores: scores.amax(dim=-1, keepdim=True),
)
one_maximum_for_all = wrong(
    "one-maximum-for-all-queries",
    "You take one maximum for all queries. A query whose scores lie far below gets exp of all of them as 0, and 0 / 0 "
    "is NaN. Each query has its own: amax(dim=-1, keepdim=True).",
    new_maximum=lambda before, scores: torch.maximum(before, scores.amax()),
)
never_divided = wrong(
    "never-divided",
    "You return the mixed values before they are divided by the sum. The weights have to sum to 1.",
    finish=lambda mixed, total, count: mixed,
)
divided_in_each_block = wrong(
    "divided-in-each-block",
    "You divide by the sum after each block and go on adding to what is divided already. Divide once, at the end.",
    each_block=lambda mixed, total: mixed / total,
    finish=lambda mixed, total, count: mixed,
)
no_scale = wrong(
    "no-scale",
    "Your scores have no scale. Divide them by √d_k, as in lesson 02.",
    scale=lambda query: 1.0,
)
scale_twice = wrong(
    "divided-by-d",
    "You divide the scores by d_k. It is the root: √d_k.",
    scale=lambda query: query.shape[-1],
)
last_block_dropped = wrong(
    "last-block-dropped",
    "The keys of the last block are not seen when it is shorter than the others: range(T_k // block_size) leaves them "
    "out. range(0, T_k, block_size) does not, and slices end where the tensor ends.",
    blocks=lambda length, size: range(0, max(size, length // size * size), size),
)
widened = wrong(
    "wider-dtype-returned",
    "The numbers are right, but half precision came in and float32 went out. Go back at the end: .to(query.dtype).",
    back=lambda output, dtype: output,
)


@misconception(
    "blocks-averaged",
    "You take a softmax in each block by itself and the mean of the blocks' outputs. A block with large scores has to "
    "count more: by its sum of exp(score − maximum), with one maximum for all blocks.",
)
def blocks_averaged(query, key, value, block_size):
    outputs = []
    for keys, values in zip(key.split(block_size, dim=-2), value.split(block_size, dim=-2), strict=True):
        scores = query @ keys.transpose(-2, -1) / math.sqrt(query.shape[-1])
        outputs.append(scores.softmax(dim=-1) @ values)
    return sum(outputs) / len(outputs)


@misconception(
    "blocks-added",
    "You take a softmax in each block by itself and add the outputs. The weights then sum to the number of blocks. Sum "
    "and mixed values have to be carried from block to block, and divided once at the end.",
)
def blocks_added(query, key, value, block_size):
    return blocks_averaged.implementation(query, key, value, block_size) * len(key.split(block_size, dim=-2))


@misconception(
    "all-scores-at-once",
    "The numbers are right, but a tensor with all T_q × T_k scores exists along the way, and that is what this way of "
    "computing avoids. Take the block of keys first, then compute its scores alone.",
)
def all_scores_at_once(query, key, value, block_size):
    scores = wide(query) @ wide(key).transpose(-2, -1) / math.sqrt(query.shape[-1])
    return (scores.softmax(dim=-1) @ wide(value)).to(query.dtype)


@misconception(
    "blocks-of-queries",
    "You cut the queries into blocks, and each of them still needs its whole row of scores: where there are few "
    "queries, that is every score at once. This exercise cuts the keys.",
)
def blocks_of_queries(query, key, value, block_size):
    parts = [all_scores_at_once.implementation(part, key, value, 0) for part in query.split(block_size, dim=-2)]
    return torch.cat(parts, dim=-2)


@misconception(
    "no-gradient",
    "The numbers are right, but no gradient flows through your code. Leave out torch.no_grad, detach and NumPy: "
    "training needs the gradients of query, key and value.",
)
def no_gradient(query, key, value, block_size):
    return loop()(query, key, value, block_size).detach()


@misconception(
    "changes-its-input",
    "The result is right, but you scaled the query in place, and the caller's tensor changed. Write query / √d_k, not "
    "query /= √d_k.",
)
def changes_its_input(query, key, value, block_size):
    query.data /= math.sqrt(query.shape[-1])
    return loop(scale=lambda query: 1.0)(query, key, value, block_size)


def by_logarithms(query, key, value, block_size):
    """Another right answer: each block by itself, then the blocks by a softmax over their logarithms."""
    outputs, logs = [], []
    for keys, values in zip(key.split(block_size, dim=-2), value.split(block_size, dim=-2), strict=True):
        scores = torch.einsum("...qd,...kd->...qk", wide(query), wide(keys)) / query.shape[-1] ** 0.5
        outputs.append(scores.softmax(dim=-1) @ wide(values))
        logs.append(scores.logsumexp(dim=-1))
    shares = torch.stack(logs).softmax(dim=0)
    output = sum(share[..., None] * each for share, each in zip(shares, outputs, strict=True))
    return output.to(query.dtype)


def in_two_passes(query, key, value, block_size):
    """Another right answer: the maximum of all blocks first, without a gradient, then the sums."""
    blocks = [*zip(wide(key).split(block_size, dim=-2), wide(value).split(block_size, dim=-2), strict=True)]
    scaled = wide(query) / math.sqrt(query.shape[-1])
    with torch.no_grad():
        largest = torch.stack([(scaled @ k.transpose(-2, -1)).amax(dim=-1) for k, _ in blocks]).amax(dim=0)[..., None]
    powers = (((scaled @ k.transpose(-2, -1) - largest).exp(), v) for k, v in blocks)
    parts = [(p @ v, p.sum(dim=-1, keepdim=True)) for p, v in powers]
    return (sum(mixed for mixed, _ in parts) / sum(total for _, total in parts)).to(query.dtype)


def without_gradient_in_the_maximum(query, key, value, block_size):
    """Another right answer: the maximum cancels, so it may be a constant."""
    return loop(new_maximum=lambda before, scores: torch.maximum(before, scores.detach().amax(dim=-1, keepdim=True)))(
        query, key, value, block_size
    )


EXERCISE = Exercise(
    name="online_softmax_attention",
    lesson="12_efficient_attention",
    kind="write",
    points=3,
    difficulty=4,
    minutes=25,
    asks="Attention that sees block_size keys at a time, equal to the dense one, without a table of all scores.",
    reference=reference,
    returns=("output",),
    cases=(
        Case("one query, two keys, blocks of one", drawn(1, queries=1, keys=2), ask=output_alone),
        Case("a single key", drawn(3, keys=1), ask=output_alone),
        Case("three queries, four keys, blocks of two", drawn(2), ask=output_and_gradients),
        Case("one block for all keys", drawn(9), ask=output_alone),
        Case("five keys in blocks of two", drawn(2, keys=5), "the last block is shorter", ask=output_and_gradients),
        Case("heads and a batch", drawn(3, leading=(2, 3), keys=7), ask=output_alone),
        Case("scores that rise", with_scores(0.0, 1.0, 3.0, 7.0, 12.0), ask=output_alone),
        Case("the largest score comes first", with_scores(2000.0, 1.0, 0.0, 2.0), ask=output_alone),
        Case("large scores", with_scores(700.0, 800.0, 1000.0, 999.0), "exp of them is infinite", ask=output_alone),
        Case("all scores far below zero", with_scores(-2000.0, -2001.0, -1999.0, -2002.0), ask=output_alone),
        Case(
            "one query with scores far above the others",
            with_scores(1.0, 2.0, 3.0, 4.0, queries=((1.0,), (2000.0,), (-3.0,))),
            ask=output_alone,
        ),
        Case("many keys for each of twelve queries", drawn(4, queries=12, keys=40), ask=output_and_size),
        Case("many keys for three queries", drawn(4, queries=3, keys=60, d_k=2), ask=output_and_size),
        Case("single precision", drawn(3, keys=8, dtype=torch.float32), ask=output_alone),
        Case("half precision", drawn(3, keys=8, dtype=torch.float16), ask=output_alone),
    ),
    properties=(
        Property("the size of the blocks makes no difference", block_sizes_make_no_difference),
        Property("a mean of equal values is that value", a_mean_of_equal_values_is_that_value),
    ),
    misconceptions=(
        nothing_rescaled,
        sum_not_rescaled,
        output_not_rescaled,
        rescaled_the_other_way,
        no_maximum,
        maximum_from_zero,
        maximum_of_the_block,
        one_maximum_for_all,
        never_divided,
        divided_in_each_block,
        no_scale,
        scale_twice,
        last_block_dropped,
        widened,
        blocks_averaged,
        blocks_added,
        all_scores_at_once,
        blocks_of_queries,
        no_gradient,
        changes_its_input,
    ),
    alternatives=(loop(), by_logarithms, in_two_passes, without_gradient_in_the_maximum),
    forbidden=("torch.nn.functional.scaled_dot_product_attention",),
    hints=(
        "Three things are enough to know of each query between two blocks: the largest score so far, the sum of "
        "exp(score − largest), and the values weighted with the same.",
        "For each block: its scores; the new maximum; multiply sum and mixed values by exp(old maximum − new maximum); "
        "add the block's own. Divide at the end.",
        "mixed = (largest - new).exp() * mixed + (scores - new).exp() @ values",
    ),
)  # fmt: skip
