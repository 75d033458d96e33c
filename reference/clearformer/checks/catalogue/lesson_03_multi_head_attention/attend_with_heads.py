"""attend_with_heads: find the two mistakes in code whose shapes all fit."""

import math

import torch

from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception


def attend_with_heads(query, key, value, num_heads, mask=None):
    """The mended code."""
    batch, _, d_model = query.shape
    d_head = d_model // num_heads
    query, key, value = (x.view(batch, -1, num_heads, d_head).transpose(1, 2) for x in (query, key, value))
    scores = query @ key.transpose(-2, -1) / math.sqrt(d_head)  # (batch, heads, T_q, T_k)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    output = scores.softmax(dim=-1) @ value
    return output.transpose(1, 2).reshape(batch, -1, d_model)


def output_and_gradients(answer, call):
    """The output, and how a loss changes with query, key and value."""
    grad_output = torch.linspace(-1.0, 2.0, call.args[0].numel(), dtype=torch.float64).view_as(call.args[0])
    output, gradients = answer.call_with_gradients(call.args, grad_output, call.kwargs)
    named = zip(("query", "key", "value"), gradients, strict=False)
    return {"output": output} | {f"gradient of {name}": gradient for name, gradient in named}


def the_future_changes_nothing(answer, rng):
    x = torch.from_numpy(rng.normal(size=(1, 4, 4)))
    later = x.clone()
    later[:, 3] += 1.0
    mask = torch.ones(4, 4).tril().bool()
    before, after = (answer.call(each, each, each, 2, mask)[:, :3] for each in (x, later))
    gap = float((before - after).abs().max())
    return None if gap < 1e-9 else f"changing token 3 moved the output of the tokens before it by {gap:.2g}"


def each_head_has_its_own_columns(answer, rng):
    query, key, value = torch.from_numpy(rng.normal(size=(3, 1, 3, 4)))
    other = value.clone()
    other[..., 2:] += torch.from_numpy(rng.normal(size=(1, 3, 2)))
    before, after = (answer.call(query, key, each, 2)[..., :2] for each in (value, other))
    gap = float((before - after).abs().max())
    return None if gap < 1e-9 else f"changing the columns of head 1 moved the output of head 0 by {gap:.2g}"


# Wrong answers: the code as it was found, half-mended, and mended at the cost of something else -----------------


def variant(*, viewed="tokens", scale="d_head", merged="transposed", softmax_dim=-1, hides=lambda mask: ~mask):
    """The code with some of its lines in another form."""

    def attend_with_heads(query, key, value, num_heads, mask=None):
        batch, _, d_model = query.shape
        d_head = d_model // num_heads

        def split(x):
            if viewed == "heads":
                return x.view(batch, num_heads, -1, d_head)
            if viewed == "not transposed":
                return x.view(batch, -1, num_heads, d_head)
            if viewed == "interleaved":
                return x.view(batch, -1, d_head, num_heads).permute(0, 3, 1, 2)
            return x.view(batch, -1, num_heads, d_head).transpose(1, 2)

        query, key, value = split(query), split(key), split(value)
        divisors = {"d_head": d_head, "d_head twice": d_head**2, "d_model": d_model, "num_heads": num_heads, "none": 1}
        scores = query @ key.transpose(-2, -1) / math.sqrt(divisors[scale])
        if mask is not None:
            scores = scores.masked_fill(hides(mask), -torch.inf)
        output = scores.softmax(dim=softmax_dim) @ value
        if merged == "viewed":
            return output.transpose(1, 2).view(batch, -1, d_model)
        if merged == "at once":
            return output.reshape(batch, -1, d_model)
        return output.transpose(1, 2).reshape(batch, -1, d_model)

    return attend_with_heads


as_found = misconception(
    "as-found",
    "This returns what the code returned before. With several heads it mixes up the tokens, and its scores are too "
    "small. Run the two small experiments above the exercise again: which line cuts tokens apart, and which one "
    "depends on d_model?",
)(variant(viewed="heads", scale="d_model"))

scale_left = misconception(
    "scale-left",
    "The heads are right now, and one mistake is left. A score is a sum over one head, d_head terms, but it is divided "
    "by √d_model: all scores are √num_heads times too small, and the weights too much alike.",
)(variant(scale="d_model"))

view_left = misconception(
    "view-left",
    "The scale is right now, and one mistake is left. `view(batch, num_heads, -1, d_head)` gives head 0 the first "
    "tokens whole, cut into pieces. View as (batch, T, num_heads, d_head), then transpose(1, 2).",
)(variant(viewed="heads"))

viewed_back = misconception(
    "viewed-back",
    "You mended the scale, and you made the way back equal to the way in: no transpose, twice. Now the last token "
    "cannot see the first one. It is the way in that needs a transpose.",
)(variant(viewed="heads", merged="at once"))

viewed_back_with_the_scale_left = misconception(
    "viewed-back-with-the-scale-left",
    "You made the way back equal to the way in: no transpose, twice. Now the last token cannot see the first one. It "
    "is the way in that needs a transpose. A second mistake is in the scale.",
)(variant(viewed="heads", merged="at once", scale="d_model"))

merged_at_once = misconception(
    "merged-at-once",
    "You split rightly and lost the transpose on the way back: a row of your result holds several tokens of one head. "
    "Keep transpose(1, 2) before the reshape.",
)(variant(merged="at once"))

view_after_transpose = misconception(
    "view-after-transpose",
    "After transpose(1, 2) the numbers of one row do not lie side by side in memory, and `view` refuses to merge them. "
    "Use reshape, or contiguous() before view.",
)(variant(merged="viewed"))

interleaved = misconception(
    "columns-interleaved",
    "Your head h reads every num_heads-th column. The code is meant to give head h the columns h·d_head to "
    "(h+1)·d_head: view as (batch, T, num_heads, d_head), heads before d_head.",
)(variant(viewed="interleaved"))

scaled_by_the_number_of_heads = misconception(
    "scaled-by-the-number-of-heads",
    "You divide the scores by √num_heads. A score is a sum of d_head terms: divide by √d_head.",
)(variant(scale="num_heads"))

scaled_by_d_head = misconception(
    "scaled-by-d-head",
    "You divide the scores by d_head, or by √d_head twice. Divide by √d_head once.",
)(variant(scale="d_head twice"))

not_transposed = misconception(
    "not-transposed",
    "Each token is cut rightly now, into (batch, T, heads, d_head). What is missing is transpose(1, 2): attention "
    "works on the last two axes, so these have to be T and d_head.",
)(variant(viewed="not transposed"))

not_scaled = misconception(
    "not-scaled",
    "You took the scale away. It belongs there: divide the scores by √d_head.",
)(variant(scale="none"))

softmax_over_queries = misconception(
    "softmax-over-queries",
    "The softmax was right and runs over the queries now. Each query shares out its weights over the keys: dim=-1.",
)(variant(softmax_dim=-2))

mask_inverted = misconception(
    "mask-inverted",
    "The mask was right: True = may be attended, so the scores to hide are those where it is False, ~mask.",
)(variant(hides=lambda mask: mask))


def head_by_head(query, key, value, num_heads, mask=None):
    """Another right answer: a loop over the heads."""
    outputs = []
    parts = zip(*(x.chunk(num_heads, dim=-1) for x in (query, key, value)), strict=True)
    for head, (q, k, v) in enumerate(parts):
        scores = q @ k.mT / q.shape[-1] ** 0.5
        if mask is not None:
            seen = mask[:, head % mask.shape[1]] if mask.ndim == 4 else mask
            scores = scores + torch.zeros_like(scores).masked_fill(~seen, float("-inf"))
        outputs.append(torch.softmax(scores, dim=-1) @ v)
    return torch.cat(outputs, dim=-1)


def by_einsum(query, key, value, num_heads, mask=None):
    """Another right answer: einsum on (batch, T, heads, d_head), never transposed."""
    query, key, value = (x.unflatten(-1, (num_heads, -1)) for x in (query, key, value))
    scores = torch.einsum("bqhd,bkhd->bhqk", query, key) * query.shape[-1] ** -0.5
    if mask is not None:
        scores = torch.where(mask, scores, -torch.inf)
    return torch.einsum("bhqk,bkhd->bqhd", scores.softmax(-1), value).flatten(-2)


def scale_in_a_tensor(query, key, value, num_heads, mask=None):
    """Another right answer: √d_head as a float32 tensor. Exact, because no case has a d_head whose root is not."""
    query, key, value = (x.unflatten(-1, (num_heads, -1)).transpose(1, 2) for x in (query, key, value))
    scores = query @ key.mT / torch.sqrt(torch.tensor(query.shape[-1]))
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    return (torch.softmax(scores, dim=-1) @ value).transpose(1, 2).flatten(-2)


def drawn(query, key=None, *, num_heads, mask=None, dtype=torch.float64):
    """A case's draw: three different tensors; `key` is the shape of key and value where it is another."""

    def draw(rng):
        shapes = (query, key or query, key or query)
        inputs = [torch.from_numpy(rng.normal(size=shape)).to(dtype) for shape in shapes]
        return Call(*inputs, num_heads, **({} if mask is None else {"mask": mask}))

    return draw


CAUSAL = torch.ones(4, 4).tril().bool()
PADDED = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]]).bool()[:, None, None]

EXERCISE = Exercise(
    name="attend_with_heads",
    lesson="03_multi_head_attention",
    kind="hunt",
    points=2,
    difficulty=3,
    minutes=15,
    asks="Mend both mistakes of the attention with heads.",
    reference=attend_with_heads,
    returns=("output",),
    cases=(
        Case("one head", drawn((1, 3, 4), num_heads=1), "this worked before", ask=output_and_gradients),
        Case("two heads, three tokens", drawn((1, 3, 8), num_heads=2), ask=output_and_gradients),
        Case("two tokens look at four", drawn((2, 2, 12), (2, 4, 12), num_heads=3), ask=output_and_gradients),
        Case(
            "batch, heads and tokens alike",
            drawn((2, 2, 8), num_heads=2),
            "shapes fit that should not",
            ask=output_and_gradients,
        ),
        Case("no looking ahead", drawn((1, 4, 8), num_heads=2, mask=CAUSAL), ask=output_and_gradients),
        Case(
            "padding, one mask for all heads",
            drawn((2, 4, 12), num_heads=3, mask=PADDED),
            "the mask is (batch, 1, 1, T_k)",
            ask=output_and_gradients,
        ),
        Case("single precision", drawn((2, 3, 8), num_heads=2, dtype=torch.float32)),
    ),
    properties=(
        Property("later tokens change nothing where the mask hides them", the_future_changes_nothing),
        Property("each head has its own columns", each_head_has_its_own_columns),
    ),
    misconceptions=(
        as_found,
        scale_left,
        view_left,
        viewed_back,
        viewed_back_with_the_scale_left,
        merged_at_once,
        view_after_transpose,
        interleaved,
        scaled_by_the_number_of_heads,
        scaled_by_d_head,
        not_transposed,
        not_scaled,
        softmax_over_queries,
        mask_inverted,
    ),
    alternatives=(head_by_head, by_einsum, scale_in_a_tensor),
    hints=(
        "With one head there is nothing to see, so look at the lines where num_heads matters. Put a small tensor of "
        "integers through each of them and print it.",
        "One mistake puts the numbers of several tokens into one row of a head. The other divides by the square root "
        "of a number that is not the width of what was multiplied.",
        "x.view(batch, -1, num_heads, d_head).transpose(1, 2), and math.sqrt(d_head)",
    ),
    forbidden=(
        "torch.nn.MultiheadAttention",
        "torch.nn.functional.multi_head_attention_forward",
        "torch.nn.functional.scaled_dot_product_attention",
    ),
)
