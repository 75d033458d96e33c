"""linear_attention: feature maps in place of the softmax, so that no table of weights is needed."""

import torch

from clearformer.checks.catalogue.lesson_12_efficient_attention.watched import (
    output_alone,
    output_and_gradients,
    output_and_size,
)
from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception
from clearformer.checks.given import Callback, Layer
from clearformer.checks.modules import tensor
from clearformer.nn.linear_attention import linear_attention as reference


def elu_plus_one(x):
    return torch.nn.functional.elu(x) + 1


def twice_as_wide(x):
    return torch.cat([elu_plus_one(x), elu_plus_one(-x)], dim=-1)


ELU, WIDER = Callback(elu_plus_one, "feature_map"), Callback(twice_as_wide, "feature_map")


def drawn(*, leading=(), queries=4, keys=None, d_k=3, d_v=2, by=ELU, causal=None, size=1.0, dtype=torch.float64):
    def draw(rng):
        shapes = (queries, d_k), (keys or queries, d_k), (keys or queries, d_v)
        arrays = [tensor(rng, *leading, *shape, size=size).to(dtype) for shape in shapes]
        return Call(*arrays, by, **({} if causal is None else {"causal": causal}))

    return draw


def weights_sum_to_one(answer, rng):
    query, key, _, by = drawn(queries=5)(rng).args
    for causal in (False, True):
        found = answer.call(query, key, torch.full((5, 2), 3.0, dtype=torch.float64), by, causal=causal)
        gap = float((found - 3).abs().max())
        if not gap < 1e-9:
            return f"causal={causal}: all values are 3, and the output is {gap:.2g} away from 3"
    return None


def tokens_to_come_do_not_change_the_past(answer, rng):
    query, key, value, by = drawn(queries=6)(rng).args
    changed = [x.clone() for x in (query, key, value)]
    for x in changed:
        x[4:] += tensor(rng, *x[4:].shape)
    before, after = (answer.call(*each, by, causal=True) for each in ((query, key, value), changed))
    gap = float((before - after)[:4].abs().max())
    return (
        None
        if gap < 1e-9
        else f"tokens 4 and 5 were changed, and with causal=True an earlier output moved by {gap:.2g}"
    )


def the_order_of_the_keys_does_not_matter(answer, rng):
    query, key, value, by = drawn(queries=5)(rng).args
    order = torch.from_numpy(rng.permutation(5))
    gap = float((answer.call(query, key, value, by) - answer.call(query, key[order], value[order], by)).abs().max())
    return (
        None if gap < 1e-9 else f"the same keys and values in another order moved the output by {gap:.2g}, causal=False"
    )


# Wrong answers: the right one, with a step changed --------------------------------------------------------------------


def sums(key, value, causal):
    """Σ φ(k)ᵀ v and Σ φ(k): of all keys, or for each query of those so far."""
    if not causal:
        return key.transpose(-2, -1) @ value, key.sum(dim=-2, keepdim=True)
    return (key[..., :, None] * value[..., None, :]).cumsum(dim=-3), key.cumsum(dim=-2)


def read(query, memory, normaliser, causal):
    mixed = (query[..., None, :] @ memory)[..., 0, :] if causal else query @ memory
    return mixed, (query * normaliser).sum(dim=-1, keepdim=True)


def parallel(
    *,
    features=lambda query, key, value, feature_map: (feature_map(query), feature_map(key), value),
    looks_back=lambda causal: causal,
    normaliser=lambda key, own, causal: own,
    finish=lambda mixed, total, count: mixed / total,
):
    def linear_attention(query, key, value, feature_map, causal=False):
        query, key, value = features(query, key, value, feature_map)
        causal = looks_back(causal)
        memory, total = sums(key, value, causal)
        mixed, total = read(query, memory, normaliser(key, total, causal), causal)
        return finish(mixed, total, key.shape[-2])

    return linear_attention


def wrong(slug, says, **changes):
    return misconception(slug, says)(parallel(**changes))


whole_sum = wrong(
    "causal-normalised-with-the-whole-sum",
    "With causal=True you mix only the values so far, but divide by the sum over all keys: the weights of early tokens "
    "sum to less than 1, and tokens to come change the past. Cumulate the normaliser too.",
    normaliser=lambda key, own, causal: key.sum(dim=-2, keepdim=True),
)
never_causal = wrong(
    "causal-ignored",
    "With causal=True your tokens still see those that come later. Query i may see keys 0 to i: sums over the keys "
    "become running sums, cumsum.",
    looks_back=lambda causal: False,
)
not_divided = wrong(
    "not-divided",
    "You do not divide by the sum of the weights. Σ φ(q)·φ(k) over the keys that the query sees belongs below.",
    finish=lambda mixed, total, count: mixed,
)
divided_by_the_count = wrong(
    "divided-by-the-number-of-keys",
    "You divide by the number of keys. The weights have to sum to 1: divide by Σ φ(q)·φ(k).",
    finish=lambda mixed, total, count: mixed / count,
)
epsilon_added = wrong(
    "epsilon-added",
    "You add a small number to the sum of the weights. Some libraries do; this exercise divides by the sum itself, "
    "which is positive for the feature maps asked for.",
    finish=lambda mixed, total, count: mixed / (total + 1e-6),
)
scaled = wrong(
    "scaled-by-root-d",
    "You divide the query by √d_k before the feature map. Linear attention as asked for here has no scale.",
    features=lambda query, key, value, feature_map: (
        feature_map(query / query.shape[-1] ** 0.5), feature_map(key), value,
    ),
)  # fmt: skip
map_on_the_query = wrong(
    "keys-not-mapped",
    "The keys went in without the feature map. Both query and key go through it; else weights may be negative.",
    features=lambda query, key, value, feature_map: (
        feature_map(query)[..., : key.shape[-1]], key, value,
    ),
)  # fmt: skip
map_on_the_key = wrong(
    "queries-not-mapped",
    "The queries went in without the feature map. Both query and key go through it; else weights may be negative.",
    features=lambda query, key, value, feature_map: (
        query, feature_map(key)[..., : query.shape[-1]], value,
    ),
)  # fmt: skip
map_on_the_value = wrong(
    "values-mapped-too",
    "The values went through the feature map as well. It belongs to query and key; values are mixed as they are.",
    features=lambda query, key, value, feature_map: (
        feature_map(query), feature_map(key), feature_map(value)[..., : value.shape[-1]],
    ),
)  # fmt: skip
no_map = wrong(
    "no-feature-map",
    "The feature map is not used at all. The weight of a key is φ(q)·φ(k), not q·k.",
    features=lambda query, key, value, feature_map: (query, key, value),
)


@misconception(
    "always-causal",
    "Without causal=True, too, your queries see only the keys up to their own place. Then every query sees every key, "
    "and there may be more keys than queries.",
)
def always_causal(query, key, value, feature_map, causal=False):
    count = min(query.shape[-2], key.shape[-2])
    key, value = key[..., :count, :], value[..., :count, :]
    return parallel()(query[..., :count, :], key, value, feature_map, causal=True)


@misconception(
    "own-key-left-out",
    "With causal=True your tokens do not see themselves, and the first one divides 0 by 0. Take the token's own key "
    "and value in before you read.",
)
def own_key_left_out(query, key, value, feature_map, causal=False):
    if not causal:
        return parallel()(query, key, value, feature_map)
    query, key = feature_map(query), feature_map(key)
    memory, normaliser = sums(key, value, True)
    shifted = memory - key[..., :, None] * value[..., None, :], normaliser - key
    mixed, total = read(query, *shifted, True)
    return torch.where(total.abs() < 1e-12, torch.nan, mixed / total)


@misconception(
    "table-of-all-weights",
    "The numbers are right, but a table of T_q × T_k weights exists along the way, so the cost still grows with the "
    "square of the length. Change the order of the products: φ(K)ᵀ V first, then the queries.",
)
def table_of_all_weights(query, key, value, feature_map, causal=False):
    weights = feature_map(query) @ feature_map(key).transpose(-2, -1)
    weights = weights.tril() if causal else weights
    return weights @ value / weights.sum(dim=-1, keepdim=True)


@misconception(
    "softmax-of-the-products",
    "You take a softmax of φ(q)·φ(k). The weights are the products themselves, divided by their sum: it is leaving out "
    "the exponential of each pair that makes it linear.",
)
def softmax_of_the_products(query, key, value, feature_map, causal=False):
    scores = feature_map(query) @ feature_map(key).transpose(-2, -1)
    if causal:
        scores = scores.masked_fill(torch.ones_like(scores, dtype=torch.bool).triu(1), -torch.inf)
    return scores.softmax(dim=-1) @ value


@misconception(
    "normalised-over-the-queries",
    "You divide by a sum over the queries. The weights of one query sum to 1 over the keys: the normaliser is Σ φ(k), "
    "read by the query.",
)
def normalised_over_the_queries(query, key, value, feature_map, causal=False):
    query, key = feature_map(query), feature_map(key)
    return read(query / query.sum(dim=-2, keepdim=True), *sums(key, value, causal), causal)[0]


def by_recurrence(query, key, value, feature_map, causal=False):
    """Another right answer: a state that takes in one token after the other."""
    query, key = feature_map(query), feature_map(key)
    if not causal:
        memory, normaliser = torch.einsum("...tf,...tv->...fv", key, value), key.sum(-2)
        return (query @ memory) / (query @ normaliser[..., None])
    memory, normaliser, outputs = 0.0, 0.0, []
    for t in range(key.shape[-2]):
        memory = memory + key[..., t, :, None] * value[..., t, None, :]
        normaliser = normaliser + key[..., t, :]
        read = (query[..., t, :, None] * memory).sum(-2)
        outputs.append(read / (query[..., t, :] * normaliser).sum(-1, keepdim=True))
    return torch.stack(outputs, dim=-2)


def with_a_column_of_ones(query, key, value, feature_map, causal=False):
    """Another right answer: the normaliser as one more value."""
    query, key = feature_map(query), feature_map(key)
    value = torch.cat([value, torch.ones_like(value[..., :1])], dim=-1)
    both = read(query, *sums(key, value, causal), causal)[0]
    return both[..., :-1] / both[..., -1:]


EXERCISE = Exercise(
    name="linear_attention",
    lesson="12_efficient_attention",
    kind="write",
    points=3,
    difficulty=3,
    minutes=20,
    asks="Attention with the weights φ(q)·φ(k) in place of the softmax, without a table of all weights.",
    reference=reference,
    returns=("output",),
    cases=(
        Case("two tokens", drawn(queries=2), ask=output_alone),
        Case("a single key", drawn(queries=3, keys=1), "its value comes out", ask=output_alone),
        Case("four tokens", drawn(by=Layer("Sigmoid")), ask=output_and_gradients),
        Case("more keys than queries", drawn(queries=3, keys=5), ask=output_alone),
        Case("four tokens, causal", drawn(by=Layer("Sigmoid"), causal=True), ask=output_and_gradients),
        Case("a single token, causal", drawn(queries=1, causal=True), ask=output_alone),
        Case("heads and a batch", drawn(leading=(2, 3)), ask=output_alone),
        Case("heads and a batch, causal", drawn(leading=(2, 3), causal=True), ask=output_alone),
        Case("a feature map that makes twice as many numbers", drawn(by=WIDER, d_v=4), ask=output_alone),
        Case("the same, causal", drawn(by=WIDER, d_v=4, causal=True), ask=output_alone),
        Case("130 tokens", drawn(queries=130, d_k=2), ask=output_and_size),
        Case("130 tokens, causal", drawn(queries=130, d_k=2, causal=True), ask=output_and_size),
        Case("single precision", drawn(dtype=torch.float32), ask=output_alone),
    ),
    properties=(
        Property("the weights of a query sum to 1", weights_sum_to_one),
        Property("with causal=True, tokens to come do not change the past", tokens_to_come_do_not_change_the_past),
        Property("without it, the order of the keys does not matter", the_order_of_the_keys_does_not_matter),
    ),
    misconceptions=(
        whole_sum,
        never_causal,
        always_causal,
        not_divided,
        divided_by_the_count,
        epsilon_added,
        scaled,
        map_on_the_query,
        map_on_the_key,
        map_on_the_value,
        no_map,
        own_key_left_out,
        table_of_all_weights,
        softmax_of_the_products,
        normalised_over_the_queries,
    ),
    alternatives=(parallel(), by_recurrence, with_a_column_of_ones),
    hints=(
        "Σ_j (φ(q)·φ(k_j)) v_j has φ(q) in every term. What is left when you take it out of the sum, and does it "
        "depend on the query?",
        "Without causal: memory = φ(K)ᵀ V and normaliser = Σ φ(k), then φ(Q) memory, divided by φ(Q)·normaliser. With "
        "causal: the same two as running sums over the tokens.",
        "memory = (key[..., :, None] * value[..., None, :]).cumsum(dim=-3); normaliser = key.cumsum(dim=-2)",
    ),
)
