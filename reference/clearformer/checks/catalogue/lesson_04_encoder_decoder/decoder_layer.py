"""DecoderLayer: the encoder's layer with a second attention, which looks at the source."""

import torch
from torch import nn

from clearformer.checks.catalogue.lesson_04_encoder_decoder.feed_forward import ByEinsum as FeedForward
from clearformer.checks.catalogue.lesson_04_encoder_decoder.layer_calls import (
    dropped_by_a_layer,
    layer_weights,
    that_shows_dropout,
)
from clearformer.checks.catalogue.lesson_04_encoder_decoder.wrong_layers import WRONG_DECODERS, PlainDecoder
from clearformer.checks.exercise import Case, Exercise, Property
from clearformer.checks.modules import (
    ModuleCall,
    causal,
    made,
    output_alone,
    outputs_and_gradients,
    outputs_in_evaluation,
    same_and_other_seeds,
    tensor,
)
from clearformer.nn.attention import MultiHeadAttention
from clearformer.nn.decoder import DecoderLayer as reference

ATTENTIONS = ("self_attention", "cross_attention")

# What is asked and drawn --------------------------------------------------------------------------------------


def drawn(x, source, *, num_heads, d_ff, target_mask=None, memory_mask=None, dtype=torch.float64, size=1.0, **settings):
    """A case's draw: x of this shape, memory with `source` tokens, different weights for each part."""

    def draw(rng):
        batch, _, d_model = x
        weights = layer_weights(rng, d_model, d_ff, ATTENTIONS, 3, dtype)
        shown = {"d_model": d_model, "num_heads": num_heads, "d_ff": d_ff} | settings
        shown |= {"x": tensor(rng, *x, size=size, dtype=dtype)}
        shown |= {"memory": tensor(rng, batch, source, d_model, dtype=dtype)}
        masks = {"target_mask": target_mask, "memory_mask": memory_mask}
        shown |= {name: mask for name, mask in masks.items() if mask is not None}
        grad_output = tensor(rng, *x, dtype=dtype)
        return ModuleCall(weights, grad_output, inputs=("x", "memory"), options=tuple(masks), **shown)

    return draw


def tokens_of_equal_numbers(rng):
    """x is tiny and the sublayers give 0, so that each norm divides by little more than √ε."""
    call = drawn((1, 2, 4), 2, num_heads=1, d_ff=3, size=1e-3)(rng)
    for name in call.weights:
        if "output_proj" in name or "linear2" in name:
            call.weights[name] = 0.0 * call.weights[name]
    return call


def masks_by_position(answer, call):
    module = made(answer, call)
    masks = call.kwargs["target_mask"], call.kwargs["memory_mask"]
    return {"output": module.call(*call.inputs(), *masks), "output without masks": module.call(*call.inputs())}


def two_objects(answer, call):
    first, second = made(answer, call), made(answer, call, factor=-2.0)
    x, memory = call.inputs()
    return {
        "output of the first object with masks": first.call(x, memory, causal(x.shape[1]), LOOKS_BACK),
        "output of the first object with other masks": first.call(x, memory, causal(x.shape[1]).T, ~LOOKS_BACK),
        "output of the first object": first.call(x, memory),
        "output of the second object": second.call(x, memory),
        "output of the first object for another memory": first.call(x, memory.flip(1) + 1.0),
        "output of the first object for a shorter memory": first.call(x, memory[:, :1]),
    }


def the_future_changes_nothing(answer, rng):
    call = drawn((1, 4, 8), 3, num_heads=2, d_ff=6, target_mask=causal(4))(rng)
    module = made(answer, call)
    x, memory = call.inputs()
    later = x.clone()
    later[:, 2:] += torch.from_numpy(rng.normal(size=(1, 2, 8)))
    before, after = (module.call(each, memory, **call.options())[:, :2] for each in (x, later))
    gap = float((before - after).abs().max())
    return None if gap < 1e-9 else f"changing tokens 2 and 3 moved the output of tokens 0 and 1 by {gap:.2g}"


def more_padding_in_the_source_changes_nothing(answer, rng):
    call = drawn((1, 3, 8), 4, num_heads=2, d_ff=6)(rng)
    module = made(answer, call)
    x, memory = call.inputs()
    real = torch.tensor([[[[1, 1, 0, 0]]]]).bool()
    long = module.call(x, memory, memory_mask=real)
    short = module.call(x, memory[:, :2], memory_mask=real[..., :2])
    gap = float((long - short).abs().max())
    return None if gap < 1e-9 else f"two padding tokens more in the source moved the output by {gap:.2g}"


# Other right answers ------------------------------------------------------------------------------------------


class DropsAttentionWeightsToo(nn.Module):
    """Another right answer: dropout on the attention weights too, as nn.TransformerDecoderLayer has it."""

    def __init__(self, d_model, num_heads, d_ff, dropout=0.0):
        super().__init__()
        self.norm3, self.norm2, self.norm1 = (nn.LayerNorm(d_model) for _ in range(3))
        self.feed_forward = FeedForward(d_model, d_ff, dropout)
        self.cross_attention = MultiHeadAttention(d_model, num_heads, dropout)
        self.self_attention = MultiHeadAttention(d_model, num_heads, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, memory, target_mask=None, memory_mask=None):
        y = self.norm1(self.dropout(self.self_attention(query=x, key=x, value=x, mask=target_mask)) + x)
        z = self.norm2(self.dropout(self.cross_attention(query=y, key=memory, value=memory, mask=memory_mask)) + y)
        return self.norm3(self.dropout(self.feed_forward(z)) + z)


class SublayersInALoop(PlainDecoder):
    """Another right answer: a list of sublayers."""

    def forward(self, x, memory, target_mask=None, memory_mask=None):
        sublayers = (
            lambda x: self.self_attention(x, x, x, target_mask),
            lambda x: self.cross_attention(x, memory, memory, memory_mask),
            self.feed_forward,
        )
        for sublayer, norm in zip(sublayers, (self.norm1, self.norm2, self.norm3), strict=True):
            x = norm(x + self.drop(sublayer(x)))
        return x


SOURCE_PADDED = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]]).bool()[:, None, None]  # (batch, 1, 1, S)
TARGET_PADDED = torch.tensor([[1, 1, 1], [1, 0, 0]]).bool()[:, None, None] & causal(3)  # (batch, 1, T, T)
AS_LONG = torch.tensor([[1, 0, 1], [0, 1, 1]]).bool()[:, None, None]
LOOKS_BACK = torch.tensor([[1, 1, 0, 0], [1, 0, 0, 1]]).bool()[:, None, None]
NO_SOURCE = torch.tensor([[1, 1], [0, 0]]).bool()[:, None, None]

EXERCISE = Exercise(
    name="DecoderLayer",
    lesson="04_encoder_decoder",
    kind="write",
    points=4,
    difficulty=4,
    minutes=25,
    asks="Write the decoder layer of 2017: self-attention, cross-attention to memory, feed-forward, each as "
    "norm(x + dropout(sublayer(x))).",
    reference=reference,
    returns=("output",),
    cases=(
        Case(
            "two tokens, two source tokens, one head",
            drawn((1, 2, 4), 2, num_heads=1, d_ff=3),
            "every part has weights of its own",
            ask=outputs_and_gradients,
        ),
        Case(
            "three tokens, two heads, four source tokens",
            drawn((1, 3, 8), 4, num_heads=2, d_ff=6),
            "x and memory have different lengths",
            ask=outputs_and_gradients,
        ),
        Case(
            "no looking ahead",
            drawn((2, 3, 8), 4, num_heads=2, d_ff=6, target_mask=causal(3)),
            "target_mask is (T, T)",
            ask=outputs_and_gradients,
        ),
        Case(
            "padding in the source",
            drawn((2, 3, 8), 4, num_heads=2, d_ff=6, memory_mask=SOURCE_PADDED),
            "memory_mask is (batch, 1, 1, S)",
            ask=outputs_and_gradients,
        ),
        Case(
            "both masks, as decoder_mask and padding_mask make them",
            drawn((2, 3, 8), 4, num_heads=2, d_ff=6, target_mask=TARGET_PADDED, memory_mask=SOURCE_PADDED),
            ask=outputs_and_gradients,
        ),
        Case(
            "both masks, source as long as target",
            drawn((2, 3, 8), 3, num_heads=2, d_ff=6, target_mask=TARGET_PADDED, memory_mask=AS_LONG),
            "here each mask fits both attentions",
            ask=outputs_and_gradients,
        ),
        Case(
            "batch, heads and tokens alike",
            drawn((2, 2, 8), 2, num_heads=2, d_ff=8),
            "shapes fit that should not",
            ask=outputs_and_gradients,
        ),
        Case(
            "a source that is all padding",
            drawn((2, 2, 8), 2, num_heads=2, d_ff=6, memory_mask=NO_SOURCE),
            "the output is finite, and so are the gradients",
            ask=outputs_and_gradients,
        ),
        Case(
            "masks without their names",
            drawn((2, 3, 8), 4, num_heads=2, d_ff=6, target_mask=TARGET_PADDED, memory_mask=SOURCE_PADDED),
            "target_mask comes before memory_mask",
            ask=masks_by_position,
        ),
        Case("tokens of almost equal numbers", tokens_of_equal_numbers, "here the norm's ε shows", ask=output_alone),
        Case(
            "two objects at once",
            drawn((2, 3, 8), 4, num_heads=2, d_ff=6),
            "each has its own weights",
            ask=two_objects,
        ),
        Case(
            "dropout=0.25 on the self-attention's output",
            that_shows_dropout(ATTENTIONS, "self_attention"),
            "without dropout it is 1 here, in all columns but the first two",
            ask=dropped_by_a_layer,
        ),
        Case(
            "dropout=0.25 on the cross-attention's output",
            that_shows_dropout(ATTENTIONS, "cross_attention"),
            "without dropout it is 1 here, in all columns but the first two",
            ask=dropped_by_a_layer,
        ),
        Case(
            "dropout=0.25 on the feed-forward's output",
            that_shows_dropout(ATTENTIONS, "feed_forward"),
            "without dropout it is 1 here, in all columns but the first two",
            ask=dropped_by_a_layer,
        ),
        Case(
            "dropout=0.25 inside the feed-forward",
            that_shows_dropout(ATTENTIONS, "hidden"),
            "without dropout the hidden numbers are 1 here; what is left of them is then dropped once more",
            ask=dropped_by_a_layer,
        ),
        Case(
            "dropout=0.5: training and evaluation",
            drawn((2, 3, 8), 4, num_heads=2, d_ff=6, dropout=0.5),
            "training drops anew in each call, evaluation never",
            ask=same_and_other_seeds,
        ),
        Case(
            "dropout=0.5, in evaluation",
            drawn((2, 3, 8), 4, num_heads=2, d_ff=6, dropout=0.5),
            ask=outputs_in_evaluation,
        ),
        Case("single precision", drawn((2, 3, 8), 4, num_heads=2, d_ff=6, dtype=torch.float32), ask=output_alone),
    ),
    properties=(
        Property("later tokens change nothing where the mask hides them", the_future_changes_nothing),
        Property("more padding in the source changes nothing", more_padding_in_the_source_changes_nothing),
    ),
    misconceptions=WRONG_DECODERS,
    alternatives=(PlainDecoder, DropsAttentionWeightsToo, SublayersInALoop),
    parameters=("x", "memory"),
    hints=(
        "The layer is the encoder's with one sublayer more, in the middle. In it the target asks and the source is "
        "looked at.",
        "Three steps, each norm(x + dropout(sublayer)): self_attention with target_mask, cross_attention with "
        "memory_mask, feed_forward. In the second x is the query, and memory is key and value.",
        "x = self.norm2(x + self.dropout(self.cross_attention(x, memory, memory, memory_mask)))",
    ),
    forbidden=(
        "torch.nn.TransformerEncoderLayer",
        "torch.nn.TransformerDecoderLayer",
        "torch.nn.MultiheadAttention",
        "torch.nn.functional.multi_head_attention_forward",
    ),
)
