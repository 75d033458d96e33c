"""grouped_query_attention: several query heads share one head of keys and values."""

import math

import torch

from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception
from clearformer.checks.modules import causal, tensor
from clearformer.nn.grouped_query_attention import grouped_query_attention as reference

NAMES = ("query", "key", "value")


def output_and_gradients(answer, call):
    query, _, value = call.args[:3]
    shape = (*query.shape[:-1], value.shape[-1])
    grad_output = torch.linspace(-1.0, 2.0, math.prod(shape), dtype=query.dtype).view(shape)
    output, gradients = answer.call_with_gradients(call.args[:3], grad_output, call.kwargs)
    return {"output": output} | {f"gradient of {n}": g for n, g in zip(NAMES, gradients, strict=True)}


def a_group_reads_its_own_head_alone(answer, rng):
    query, key, value = drawn(heads=4, kv_heads=2)(rng).args
    other = value.clone()
    other[:, 1] += 1.0
    moved = (answer.call(query, key, value) - answer.call(query, key, other)).abs().amax(dim=(0, 2, 3)) > 1e-9
    return None if moved.tolist() == [False, False, True, True] else (
        "of 4 query heads, the last 2 read key-value head 1. Its values were changed, and these query heads moved: "
        f"{moved.nonzero().flatten().tolist()}"
    )  # fmt: skip


def future_tokens_do_not_change_the_past(answer, rng):
    query, key, value = drawn(heads=4, kv_heads=2, t_q=3, t_k=3)(rng).args
    others = [each.clone() for each in (key, value)]
    for other in others:
        other[..., 2, :] += 2.0
    first, second = (answer.call(query, k, v, mask=causal(3)) for k, v in ((key, value), others))
    gap = float((first - second)[..., :2, :].abs().max())
    return None if gap < 1e-9 else f"the last token was changed under a causal mask, an earlier one moved by {gap:.2g}"


# Wrong answers: the plain right one, with one part in another form ------------------------------------------------


def next_to_each_other(x, groups):
    return x.repeat_interleave(groups, dim=1)


def one_round_after_the_other(x, groups):
    return x.repeat(1, groups, 1, 1)


def softmaxed(scores):
    return scores.softmax(dim=-1).nan_to_num(0.0)


def hide(scores, mask):
    return scores if mask is None else scores.masked_fill(~mask, -math.inf)


def variant(
    *, keys=next_to_each_other, values=next_to_each_other, scale=lambda query, key: query.shape[-1] ** 0.5, hide=hide,
    softmax=softmaxed, finish=lambda output, query, key: output,
):  # fmt: skip
    def grouped_query_attention(query, key, value, mask=None):
        groups = query.shape[1] // key.shape[1]
        scores = query @ keys(key, groups).mT / scale(query, key)
        return finish(softmax(hide(scores, mask)) @ values(value, groups), query, key)

    return grouped_query_attention


def wrong(slug, says, **changes):
    return misconception(slug, says)(variant(**changes))


modulo = wrong(
    "heads-taken-in-turn",
    "Your query head h reads key-value head h mod kv_heads: neighbours read different heads. This exercise asks for "
    "h // (heads / kv_heads), as LLaMA has it: the first few query heads share head 0, the next few head 1. That is "
    "repeat_interleave, not repeat.",
    keys=one_round_after_the_other,
    values=one_round_after_the_other,
)
values_in_turn = wrong(
    "values-taken-in-turn",
    "Keys go to the right query heads, values do not: they are repeated in another order. Query head h needs keys and "
    "values of the same head, h // (heads / kv_heads).",
    values=one_round_after_the_other,
)
keys_in_turn = wrong(
    "keys-taken-in-turn",
    "Values go to the right query heads, keys do not: they are repeated in another order. Query head h needs keys and "
    "values of the same head, h // (heads / kv_heads).",
    keys=one_round_after_the_other,
)


def first_alone(x, groups):
    return x[:, :1].expand(-1, x.shape[1] * groups, -1, -1)


def averaged(x, groups):
    return x.mean(dim=1, keepdim=True).expand(-1, x.shape[1] * groups, -1, -1)


only_the_first = wrong(
    "first-head-for-all",
    "All query heads read key-value head 0. That is right where there is only one, which is called multi-query "
    "attention; here there may be several.",
    keys=first_alone,
    values=first_alone,
)
mean_head = wrong(
    "heads-averaged",
    "All query heads read the mean of the key-value heads. Each group of query heads has one of them for itself.",
    keys=averaged,
    values=averaged,
)
no_scale = wrong(
    "scale-forgotten",
    "The scores are not divided by the root of d, the width of a head.",
    scale=lambda query, key: 1.0,
)
scale_of_the_model = wrong(
    "scale-of-all-heads",
    "The scores are divided by the root of heads · d, the width of the model. A score is a sum over the d numbers of "
    "one head: divide by the root of d.",
    scale=lambda query, key: (query.shape[1] * query.shape[-1]) ** 0.5,
)
scale_of_the_groups = wrong(
    "scale-of-the-groups",
    "The scores are divided once more, by the root of heads / kv_heads. How many query heads share a key does not "
    "matter to a score: divide by the root of d alone.",
    scale=lambda query, key: (query.shape[-1] * query.shape[1] / key.shape[1]) ** 0.5,
)
mask_inverted = wrong(
    "mask-inverted",
    "Your mask works the other way round. In this course True means: may be attended.",
    hide=lambda scores, mask: scores if mask is None else scores.masked_fill(mask, -math.inf),
)
mask_ignored = wrong(
    "mask-ignored",
    "The mask is not used. Where it is False, a query may not look.",
    hide=lambda scores, mask: scores,
)
finite_stand_in = wrong(
    "finite-stand-in",
    "Hidden scores become a very low number. In a row with nothing to attend to, all are equally low, and it looks "
    "everywhere. Use -inf, and make such a row zeros: softmax(…).nan_to_num(0.0).",
    hide=lambda scores, mask: scores if mask is None else scores.masked_fill(~mask, -1e9),
)
nan_rows = wrong(
    "hidden-row-nan",
    "A row with nothing to attend to is NaN in your answer: softmax of -inf everywhere. It should be zeros; "
    "nan_to_num(0.0) after the softmax does it.",
    softmax=lambda scores: scores.softmax(dim=-1),
)
over_the_queries = wrong(
    "softmax-over-the-queries",
    "Your softmax runs over the queries. Each query shares out its attention over the keys: dim=-1.",
    softmax=lambda scores: scores.softmax(dim=-2).nan_to_num(0.0),
)
heads_reordered = wrong(
    "heads-come-out-in-another-order",
    "Every head is computed rightly, and then they come out in another order: the axes of groups and of key-value "
    "heads were merged the wrong way round. Head h of the output belongs to head h of the query.",
    finish=lambda output, query, key: output.unflatten(1, (key.shape[1], -1)).transpose(1, 2).flatten(1, 2),
)
summed_groups = wrong(
    "one-output-for-a-group",
    "Your output has one head for each key-value head. Queries that share keys still have results of their own: the "
    "output has as many heads as the query.",
    finish=lambda output, query, key: output.unflatten(1, (key.shape[1], -1)).sum(dim=2),
)


@misconception(
    "mask-on-the-wrong-axis",
    "With an axis for the groups, your scores have five axes: (batch, kv_heads, heads / kv_heads, T_q, T_k). A mask "
    "(batch, 1, T_q, T_k) is lined up from the right, so its batch axis meets kv_heads. Give the mask the fifth axis "
    "too, or repeat keys and values so that four are enough.",
)
def mask_on_the_wrong_axis(query, key, value, mask=None):
    scores = query.unflatten(1, (key.shape[1], -1)) @ key.unsqueeze(2).mT / query.shape[-1] ** 0.5
    return (softmaxed(hide(scores, mask)) @ value.unsqueeze(2)).flatten(1, 2)


def five_axes(query, key, value, mask=None):
    """Another right answer: queries in groups, nothing repeated."""
    batch, heads, t_q, d = query.shape
    kv_heads, t_k = key.shape[1:3]
    scores = torch.einsum("bhgqd,bhkd->bhgqk", query.reshape(batch, kv_heads, -1, t_q, d), key) / math.sqrt(d)
    scores = scores.reshape(batch, heads, t_q, t_k)
    weights = softmaxed(hide(scores, mask)).reshape(batch, kv_heads, -1, t_q, t_k)
    return torch.einsum("bhgqk,bhkd->bhgqd", weights, value).reshape(batch, heads, t_q, -1)


def head_by_head(query, key, value, mask=None):
    """Another right answer: a loop over the query heads."""
    groups = query.shape[1] // key.shape[1]
    mask = None if mask is None else mask.expand(query.shape[0], query.shape[1], query.shape[2], key.shape[2])
    outputs = []
    for head in range(query.shape[1]):
        scores = query[:, head] @ key[:, head // groups].transpose(1, 2) * query.shape[-1] ** -0.5
        if mask is not None:
            scores = torch.where(mask[:, head], scores, -torch.inf)
        outputs.append(softmaxed(scores) @ value[:, head // groups])
    return torch.stack(outputs, dim=1)


def drawn(heads, kv_heads, *, batch=2, t_q=2, t_k=3, d=4, d_v=4, mask=None, size=1.0, dtype=torch.float64):
    def draw(rng):
        query = tensor(rng, batch, heads, t_q, d, size=size, dtype=dtype)
        key = tensor(rng, batch, kv_heads, t_k, d, size=size, dtype=dtype)
        value = tensor(rng, batch, kv_heads, t_k, d_v, dtype=dtype)
        return Call(query, key, value, **({} if mask is None else {"mask": mask(rng)}))

    return draw


def padding(rng):
    """Another part is hidden in each sentence: (batch, 1, 1, T_k)."""
    return torch.tensor([[True, True, False], [False, True, True]])[:, None, None]


def one_for_each_head(rng):
    mask = torch.from_numpy(rng.random((2, 4, 2, 3)) < 0.6)
    mask[..., 1] = True
    return mask


def a_hidden_row(rng):
    return torch.tensor([[True, False, True], [False, False, False]])


def strided(rng):
    query, key, value = (tensor(rng, 2, t, heads, 4).transpose(1, 2) for t, heads in ((2, 4), (3, 2), (3, 2)))
    return Call(query, key, value)


EXERCISE = Exercise(
    name="grouped_query_attention",
    lesson="10_llama_block",
    kind="write",
    points=2,
    difficulty=3,
    minutes=15,
    asks="Attention in which heads / kv_heads neighbouring query heads share one head of keys and values.",
    reference=reference,
    returns=("output",),
    cases=(
        Case("four query heads, two key-value heads", drawn(4, 2, batch=1), ask=output_and_gradients),
        Case("six query heads, three key-value heads", drawn(6, 3), ask=output_and_gradients),
        Case("one key-value head for all", drawn(4, 1), "multi-query attention", ask=output_and_gradients),
        Case("as many as there are query heads", drawn(3, 3), "plain multi-head attention", ask=output_and_gradients),
        Case("causal", drawn(4, 2, t_q=3, mask=lambda rng: causal(3)), ask=output_and_gradients),
        Case(
            "padding, as many sentences as key-value heads",
            drawn(4, 2, mask=padding),
            "the mask is (batch, 1, 1, T_k)",
            ask=output_and_gradients,
        ),
        Case("a mask for each query head", drawn(4, 2, mask=one_for_each_head), ask=output_and_gradients),
        Case("a row that may attend to nothing", drawn(4, 2, mask=a_hidden_row), ask=output_and_gradients),
        Case("values of another width", drawn(4, 2, d=6, d_v=3), ask=output_and_gradients),
        Case("large scores", drawn(4, 2, size=20.0), ask=output_and_gradients),
        Case("not contiguous", strided, ask=output_and_gradients),
        Case("single precision", drawn(8, 2, dtype=torch.float32), ask=output_and_gradients),
    ),
    properties=(
        Property("a group reads its own head alone", a_group_reads_its_own_head_alone),
        Property("future tokens do not change the past", future_tokens_do_not_change_the_past),
    ),
    misconceptions=(
        modulo,
        values_in_turn,
        keys_in_turn,
        only_the_first,
        mean_head,
        no_scale,
        scale_of_the_model,
        scale_of_the_groups,
        mask_inverted,
        mask_ignored,
        finite_stand_in,
        nan_rows,
        over_the_queries,
        heads_reordered,
        summed_groups,
        mask_on_the_wrong_axis,
    ),
    alternatives=(five_axes, head_by_head),
    forbidden=(
        "torch.nn.functional.scaled_dot_product_attention",
        "torch.nn.functional.multi_head_attention_forward",
        "torch.nn.MultiheadAttention.forward",
    ),
    hints=(
        "It is the attention of lesson 02 once each query head has keys and values. Which head of keys does query head "
        "5 of 8 read, when there are 2?",
        "Repeat each key-value head heads / kv_heads times, next to each other, along axis 1. Then scores, mask, "
        "softmax, values, as before; rows that may attend to nothing become zeros.",
        "key.repeat_interleave(query.shape[1] // key.shape[1], dim=1), and the same for value",
    ),
)
