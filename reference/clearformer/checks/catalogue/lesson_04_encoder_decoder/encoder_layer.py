"""EncoderLayer: attention and feed-forward, each with its residual connection and its norm."""

import torch
import torch.nn.functional as F
from torch import nn

from clearformer.checks.catalogue.lesson_04_encoder_decoder.feed_forward import AllInline as FeedForward
from clearformer.checks.catalogue.lesson_04_encoder_decoder.layer_calls import (
    dropped_by_a_layer,
    layer_weights,
    that_shows_dropout,
)
from clearformer.checks.catalogue.lesson_04_encoder_decoder.wrong_layers import WRONG_ENCODERS, PlainEncoder
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
from clearformer.nn.encoder import EncoderLayer as reference

# What is asked and drawn --------------------------------------------------------------------------------------


def drawn(*shape, num_heads, d_ff, mask=None, size=1.0, dtype=torch.float64, **settings):
    """A case's draw: x of this shape and `size` large, different weights for each part."""

    def draw(rng):
        d_model = shape[-1]
        weights = layer_weights(rng, d_model, d_ff, ("self_attention",), 2, dtype)
        shown = {"d_model": d_model, "num_heads": num_heads, "d_ff": d_ff} | settings
        shown |= {"x": tensor(rng, *shape, size=size, dtype=dtype)} | ({} if mask is None else {"mask": mask})
        return ModuleCall(weights, tensor(rng, *shape, dtype=dtype), inputs=("x",), **shown)

    return draw


def tokens_of_equal_numbers(rng):
    """x is tiny and both sublayers give 0, so that each norm divides by little more than √ε."""
    call = drawn(1, 2, 4, num_heads=1, d_ff=3, size=1e-3)(rng)
    for name in call.weights:
        if "output_proj" in name or "linear2" in name:
            call.weights[name] = 0.0 * call.weights[name]
    return call


def two_objects(answer, call):
    first, second = made(answer, call), made(answer, call, factor=-2.0)
    x = call.kwargs["x"]
    return {
        "output of the first object with a mask": first.call(x, mask=causal(x.shape[1])),
        "output of the first object with another mask": first.call(x, mask=causal(x.shape[1]).T),
        "output of the first object": first.call(x),
        "output of the second object": second.call(x),
    }


def hidden_tokens_change_nothing(answer, rng):
    call = drawn(1, 4, 8, num_heads=2, d_ff=6, mask=causal(4))(rng)
    module = made(answer, call)
    x = call.kwargs["x"]
    later = x.clone()
    later[:, 2:] += torch.from_numpy(rng.normal(size=(1, 2, 8)))
    before, after = (module.call(each, **call.options())[:, :2] for each in (x, later))
    gap = float((before - after).abs().max())
    return None if gap < 1e-9 else f"changing tokens 2 and 3 moved the output of tokens 0 and 1 by {gap:.2g}"


def sentences_do_not_mix(answer, rng):
    call = drawn(3, 2, 8, num_heads=2, d_ff=6)(rng)
    module = made(answer, call)
    together, alone = module.call(call.kwargs["x"]), module.call(call.kwargs["x"][1:2])
    gap = float((together[1:2] - alone).abs().max())
    return None if gap < 1e-9 else f"a sentence alone and in a batch of three differ by {gap:.2g}"


# Other right answers ------------------------------------------------------------------------------------------


class DropsAttentionWeightsToo(nn.Module):
    """Another right answer: dropout on the attention weights too, as nn.TransformerEncoderLayer has it."""

    def __init__(self, d_model, num_heads, d_ff, dropout=0.0):
        super().__init__()
        self.norm2, self.norm1 = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.feed_forward = FeedForward(d_model, d_ff, dropout)
        self.self_attention = MultiHeadAttention(d_model, num_heads, dropout)
        self.dropout1, self.dropout2 = nn.Dropout(dropout), nn.Dropout(dropout)

    def forward(self, x, mask=None):
        attended = self.dropout1(self.self_attention(query=x, key=x, value=x, mask=mask))
        x = self.norm1(attended + x)
        return self.norm2(self.dropout2(self.feed_forward(x)) + x)


class NormsByFormula(PlainEncoder):
    """Another right answer: the norm by F.layer_norm, dropout by a module that both sublayers share."""

    def __init__(self, d_model, num_heads, d_ff, dropout=0.0):
        super().__init__(d_model, num_heads, d_ff, dropout)
        self.shared = nn.Dropout(dropout)

    def add(self, x, change, norm):
        return F.layer_norm(self.shared(change) + x, (self.d_model,), norm.weight, norm.bias, 1e-5)


PADDED = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]]).bool()[:, None, None]
A_HIDDEN_ROW = torch.tensor([[1, 0, 1], [0, 0, 0], [1, 1, 0]]).bool()

EXERCISE = Exercise(
    name="EncoderLayer",
    lesson="04_encoder_decoder",
    kind="write",
    points=3,
    difficulty=3,
    minutes=20,
    asks="Write the encoder layer of 2017: self-attention and feed-forward, each as norm(x + dropout(sublayer(x))).",
    reference=reference,
    returns=("output",),
    cases=(
        Case(
            "two tokens, one head",
            drawn(1, 2, 4, num_heads=1, d_ff=3),
            "every part has weights of its own",
            ask=outputs_and_gradients,
        ),
        Case("three tokens, two heads", drawn(1, 3, 8, num_heads=2, d_ff=6), ask=outputs_and_gradients),
        Case(
            "batch, heads and tokens alike",
            drawn(2, 2, 8, num_heads=2, d_ff=8),
            "shapes fit that should not",
            ask=outputs_and_gradients,
        ),
        Case(
            "a mask (batch, 1, 1, T): padding",
            drawn(2, 4, 8, num_heads=2, d_ff=6, mask=PADDED),
            "nobody looks at the padding",
            ask=outputs_and_gradients,
        ),
        Case("a mask (T, T)", drawn(2, 3, 8, num_heads=2, d_ff=6, mask=causal(3)), ask=outputs_and_gradients),
        Case(
            "a token that may attend to nothing",
            drawn(1, 3, 8, num_heads=2, d_ff=6, mask=A_HIDDEN_ROW),
            "its gradients are finite",
            ask=outputs_and_gradients,
        ),
        Case("tokens of almost equal numbers", tokens_of_equal_numbers, "here the norm's ε shows", ask=output_alone),
        Case("two objects at once", drawn(2, 3, 8, num_heads=2, d_ff=6), "each has its own weights", ask=two_objects),
        Case(
            "dropout=0.25 on the attention's output",
            that_shows_dropout(("self_attention",), "self_attention"),
            "without dropout it is 1 here, in all columns but the first two",
            ask=dropped_by_a_layer,
        ),
        Case(
            "dropout=0.25 on the feed-forward's output",
            that_shows_dropout(("self_attention",), "feed_forward"),
            "without dropout it is 1 here, in all columns but the first two",
            ask=dropped_by_a_layer,
        ),
        Case(
            "dropout=0.25 inside the feed-forward",
            that_shows_dropout(("self_attention",), "hidden"),
            "without dropout the hidden numbers are 1 here; what is left of them is then dropped once more",
            ask=dropped_by_a_layer,
        ),
        Case(
            "dropout=0.5: training and evaluation",
            drawn(2, 3, 8, num_heads=2, d_ff=6, dropout=0.5),
            "training drops anew in each call, evaluation never",
            ask=same_and_other_seeds,
        ),
        Case(
            "dropout=0.5, in evaluation",
            drawn(2, 3, 8, num_heads=2, d_ff=6, dropout=0.5),
            ask=outputs_in_evaluation,
        ),
        Case("single precision", drawn(2, 3, 8, num_heads=2, d_ff=6, dtype=torch.float32), ask=output_alone),
    ),
    properties=(
        Property("what the mask hides changes nothing", hidden_tokens_change_nothing),
        Property("the sentences of a batch do not mix", sentences_do_not_mix),
    ),
    misconceptions=WRONG_ENCODERS,
    alternatives=(PlainEncoder, DropsAttentionWeightsToo, NormsByFormula),
    parameters=("x",),
    hints=(
        "Two sublayers, one after the other, and around each of them the same three things: dropout on its output, a "
        "sum with its input, a norm.",
        "__init__ makes self_attention, feed_forward, norm1, norm2 and an nn.Dropout. forward replaces x twice: by "
        "norm1 of x plus the dropped attention of x to itself, then by norm2 of x plus the dropped feed-forward of x.",
        "x = self.norm1(x + self.dropout(self.self_attention(x, x, x, mask)))",
    ),
    forbidden=(
        "torch.nn.TransformerEncoderLayer",
        "torch.nn.TransformerDecoderLayer",
        "torch.nn.MultiheadAttention",
        "torch.nn.functional.multi_head_attention_forward",
    ),
)
