"""encode_then_decode: find the two mistakes in the masks, where all shapes fit."""

import math

import torch

from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception


def attend(query, key_value, mask):
    scores = query @ key_value.transpose(-2, -1) / math.sqrt(query.shape[-1])  # (batch, T_q, T_k)
    return scores.masked_fill(~mask, -torch.inf).softmax(dim=-1) @ key_value


def encode_then_decode(source, target, source_ids, pad_id=0):
    """The mended code."""
    source_mask = (source_ids != pad_id)[:, None, :]  # (batch, 1, S)
    no_future = torch.ones(target.shape[1], target.shape[1]).tril().bool()  # (T, T)
    memory = attend(source, source, source_mask)
    target = attend(target, target, no_future)
    return attend(target, memory, source_mask)


def output_and_gradients(answer, call):
    target = call.args[1]
    grad_output = torch.linspace(-1.0, 2.0, target.numel(), dtype=target.dtype).view_as(target)
    output, gradients = answer.call_with_gradients(call.args, grad_output)
    return {"output": output, "gradient of source": gradients[0], "gradient of target": gradients[1]}


def padding_changes_nothing(answer, rng):
    source, target = torch.from_numpy(rng.normal(size=(1, 4, 4))), torch.from_numpy(rng.normal(size=(1, 3, 4)))
    long = answer.call(source, target, torch.tensor([[5, 3, 0, 0]]))
    short = answer.call(source[:, :2], target, torch.tensor([[5, 3]]))
    gap = float((long - short).abs().max())
    return None if gap < 1e-9 else f"two padding tokens more in the source moved the output by {gap:.2g}"


def a_sentence_alone_and_in_a_batch_are_equal(answer, rng):
    source, target = torch.from_numpy(rng.normal(size=(3, 3, 4))), torch.from_numpy(rng.normal(size=(3, 2, 4)))
    source_ids = torch.tensor([[5, 3, 6], [4, 0, 0], [7, 2, 0]])
    together, alone = answer.call(source, target, source_ids), answer.call(source[1:2], target[1:2], source_ids[1:2])
    gap = float((together[1:2] - alone).abs().max())
    return None if gap < 1e-9 else f"a sentence alone and in a batch of three differ by {gap:.2g}"


def the_future_changes_nothing(answer, rng):
    source, target = torch.from_numpy(rng.normal(size=(1, 3, 4))), torch.from_numpy(rng.normal(size=(1, 3, 4)))
    later = target.clone()
    later[:, 2] += torch.from_numpy(rng.normal(size=(1, 4)))
    before, after = (answer.call(source, each, torch.tensor([[5, 3, 0]]))[:, :2] for each in (target, later))
    gap = float((before - after).abs().max())
    return None if gap < 1e-9 else f"changing target token 2 moved the output of the tokens before it by {gap:.2g}"


# Wrong answers: the code as it was found, half-mended, and mended at the cost of something else -----------------


def reshaped(source_ids, pad_id):
    batch, length = source_ids.shape
    return source_ids.T.ne(pad_id).reshape(batch, 1, length)


def right_mask(source_ids, pad_id):
    return (source_ids != pad_id)[:, None, :]


def every_key(source_ids, pad_id):
    return torch.ones(len(source_ids), 1, source_ids.shape[1], dtype=torch.bool)


def variant(encoder=right_mask, cross=right_mask, target_mask=lambda ids: torch.ones(ids, ids).tril().bool()):
    """The code with some of its masks in another form."""

    def encode_then_decode(source, target, source_ids, pad_id=0):
        memory = attend(source, source, encoder(source_ids, pad_id))
        target = attend(target, target, target_mask(target.shape[1]))
        return attend(target, memory, cross(source_ids, pad_id))

    return encode_then_decode


def wrong(slug, says, **changes):
    return misconception(slug, says)(variant(**changes))


def queries_hidden(source_ids, pad_id):
    return (source_ids != pad_id)[:, :, None]


def padding_shown(source_ids, pad_id):
    return ~right_mask(source_ids, pad_id)


def zero_is_padding(source_ids, pad_id):
    return right_mask(source_ids, 0)


as_found = wrong(
    "as-found",
    "This returns what the code returned before. Look at the two experiments above the exercise again: which mask "
    "mixes up the sentences of a batch, and which attention sees the padding?",
    encoder=reshaped,
    cross=every_key,
)

cross_attention_left = wrong(
    "cross-attention-left",
    "The encoder's mask is right now, and one mistake is left. Cross-attention looks at the padding of the source: its "
    "keys are the memory's tokens, so it needs the source's mask too.",
    cross=every_key,
)

reshape_left = wrong(
    "reshape-left",
    "Cross-attention now has the source's mask, and one mistake is left: that mask itself. reshape deals (S, batch) "
    "out as (batch, 1, S) without turning it, so the sentences get each other's padding. Leave source_ids as (batch, "
    "S), and add an axis.",
    encoder=reshaped,
    cross=reshaped,
)

reshape_left_in_the_encoder = wrong(
    "reshape-left-in-the-encoder",
    "Cross-attention is right now, and one mistake is left. The encoder's mask comes from source_ids.T by reshape, "
    "which deals the numbers out in another order: the sentences get each other's padding.",
    encoder=reshaped,
)

reshape_in_cross_attention = wrong(
    "reshape-in-cross-attention",
    "The encoder's mask is right, and cross-attention has the one that is mixed up. It needs the same as the encoder.",
    cross=reshaped,
)

no_mask_at_all = wrong(
    "no-mask-at-all",
    "Nobody hides the source's padding any more. Encoder and cross-attention both need the mask (batch, 1, S).",
    encoder=every_key,
    cross=every_key,
)

encoder_mask_lost = wrong(
    "encoder-mask-lost",
    "Cross-attention is right, but the encoder now looks at padding. Both need the mask (batch, 1, S).",
    encoder=every_key,
)

queries_hidden_in_the_encoder = wrong(
    "queries-hidden-not-keys",
    "You gave the mask the shape (batch, S, 1): it hides whole rows, the padded queries, and shows the padded keys. A "
    "row without any key becomes NaN here. The source's tokens are keys: (batch, 1, S).",
    encoder=queries_hidden,
)

future_visible = wrong(
    "future-visible",
    "The source's masks are right. The target now sees its own future: the causal mask was right, keep it.",
    target_mask=lambda length: torch.ones(length, length).bool(),
)

future_only = wrong(
    "causal-mask-transposed",
    "The source's masks are right. The causal mask is turned round now: each target token sees itself and what comes "
    "later. It was right before.",
    target_mask=lambda length: torch.ones(length, length).triu().bool(),
)

padding_shown_alone = wrong(
    "mask-inverted",
    "You hide the words and show the padding. True = may be attended: source_ids != pad_id.",
    encoder=padding_shown,
    cross=padding_shown,
)

pad_id_taken_for_zero = wrong(
    "pad-id-taken-for-zero",
    "You compare with 0, whatever pad_id is. Here padding has another number, and 0 is a real token.",
    encoder=zero_is_padding,
    cross=zero_is_padding,
)


@misconception(
    "causal-mask-in-cross-attention",
    "You hide the source's later tokens in cross-attention. The whole source is known while the target is written: "
    "hide its padding alone.",
)
def causal_mask_in_cross_attention(source, target, source_ids, pad_id=0):
    mask = right_mask(source_ids, pad_id)
    length = target.shape[1]
    memory, target = attend(source, source, mask), attend(target, target, torch.ones(length, length).tril().bool())
    return attend(target, memory, mask & torch.ones(length, source.shape[1]).tril().bool())


@misconception(
    "looks-at-the-source-itself",
    "Your target looks at source, the tokens as they came in. It has to look at memory, what the encoder made of them.",
)
def looks_at_the_source_itself(source, target, source_ids, pad_id=0):
    length = target.shape[1]
    target = attend(target, target, torch.ones(length, length).tril().bool())
    return attend(target, source, right_mask(source_ids, pad_id))


def masks_with_four_axes(source, target, source_ids, pad_id=0):
    """Another right answer: one head, so that masks are (batch, 1, 1, S); the library's attention."""
    seen = source_ids.ne(pad_id)[:, None, None]
    source, target = source[:, None], target[:, None]
    sdpa = torch.nn.functional.scaled_dot_product_attention
    memory = sdpa(source, source, source, attn_mask=seen)
    return sdpa(sdpa(target, target, target, is_causal=True), memory, memory, attn_mask=seen)[:, 0]


def sentence_by_sentence(source, target, source_ids, pad_id=0):
    """Another right answer: cuts the padding off and needs no mask for it."""
    outputs = []
    for words, asked, ids in zip(source, target, source_ids, strict=True):
        real = words[ids != pad_id]
        memory = (real @ real.T / real.shape[-1] ** 0.5).softmax(-1) @ real
        scores = asked @ asked.T / asked.shape[-1] ** 0.5
        later = torch.ones_like(scores).triu(1) > 0
        asked = torch.where(later, -torch.inf, scores).softmax(-1) @ asked
        outputs.append((asked @ memory.T / memory.shape[-1] ** 0.5).softmax(-1) @ memory)
    return torch.stack(outputs)


def drawn(*rows, length, width=4, pad_id=None, dtype=torch.float64):
    """A case's draw: source_ids are these rows; source and target are any numbers."""

    def draw(rng):
        source_ids = torch.tensor(rows)
        source, target = (
            torch.from_numpy(rng.normal(size=(len(rows), steps, width))).to(dtype) for steps in (len(rows[0]), length)
        )
        return Call(source, target, source_ids, *([] if pad_id is None else [pad_id]))

    return draw


EXERCISE = Exercise(
    name="encode_then_decode",
    lesson="04_encoder_decoder",
    kind="hunt",
    points=2,
    difficulty=3,
    minutes=15,
    asks="Mend both mistakes in the masks of the encoder-decoder.",
    reference=encode_then_decode,
    returns=("output",),
    cases=(
        Case("one sentence without padding", drawn([5, 3, 4], length=2), "this worked before"),
        Case("one sentence with padding", drawn([5, 3, 0, 0], length=2), ask=output_and_gradients),
        Case(
            "three sentences, without padding",
            drawn([5, 3], [4, 6], [2, 8], length=3),
            ask=output_and_gradients,
        ),
        Case(
            "two sentences of different lengths",
            drawn([5, 3, 6], [4, 8, 0], length=3),
            "each sentence has its own padding",
            ask=output_and_gradients,
        ),
        Case(
            "as many sentences as source and target tokens",
            drawn([5, 0, 0], [3, 2, 0], [4, 8, 1], length=3),
            "here every mask fits everywhere",
            ask=output_and_gradients,
        ),
        Case("padding in front", drawn([0, 0, 8, 5], [0, 6, 4, 1], length=2), ask=output_and_gradients),
        Case("another number for padding", drawn([0, 8, 3, 1], [2, 0, 1, 1], length=2, pad_id=1)),
        Case("single precision", drawn([5, 3, 6], [4, 8, 0], length=3, dtype=torch.float32)),
    ),
    properties=(
        Property("more padding in the source changes nothing", padding_changes_nothing),
        Property("a sentence alone and in a batch give the same", a_sentence_alone_and_in_a_batch_are_equal),
        Property("later target tokens change nothing", the_future_changes_nothing),
    ),
    misconceptions=(
        as_found,
        cross_attention_left,
        reshape_left,
        reshape_left_in_the_encoder,
        reshape_in_cross_attention,
        no_mask_at_all,
        encoder_mask_lost,
        queries_hidden_in_the_encoder,
        future_visible,
        future_only,
        padding_shown_alone,
        pad_id_taken_for_zero,
        causal_mask_in_cross_attention,
        looks_at_the_source_itself,
    ),
    alternatives=(masks_with_four_axes, sentence_by_sentence),
    hints=(
        "Both mistakes are about the source's padding. Print the source's mask for a batch of two sentences of "
        "different lengths, beside source_ids. Then ask of each of the three attentions whose tokens its keys are.",
        "A mask has the batch first and the keys last, and reshape does not swap axes: it deals the numbers out anew. "
        "And the keys of cross-attention are source tokens, padding included.",
        "source_mask = (source_ids != pad_id)[:, None, :] serves the encoder and cross-attention alike",
    ),
)
