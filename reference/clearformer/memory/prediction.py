"""What a stack of layers keeps under a policy: after the forward pass, and at the most."""

from typing import NamedTuple

from clearformer.memory.activations import (
    Kept,
    attention_kept,
    behind,
    encoder_layer_parts,
    kernel_of,
    mixing_kept,
    norm_kept,
    total_bytes,
)
from clearformer.memory.checkpoint import segment_bounds
from clearformer.memory.policies import require_policy


class Predicted(NamedTuple):
    """Bytes, to stand beside those of Measured.

    kept      saved when the forward pass of the stack has ended
    peak      saved at the most, with what is computed again
    working   what else is allocated at the most: gradients on their way, weights' gradients before they are added. So
              allocated_peak is about peak + working. An estimate: it follows the largest steps of a backward pass
    """

    kept: int
    peak: int
    working: int


def predict_encoder(work, num_layers, policy="plain"):
    """Predicted of an Encoder of num_layers layers for this Work, under a policy of `set_policy`.

    x, the input of the stack, counts: a layer below has made it. The output does not. ValueError for a policy that is
    none, or has too many segments.
    """
    require_policy(policy, num_layers)
    if policy == "layers":
        policy = num_layers
    look = _of_segments if isinstance(policy, int) else _of_layers
    moments = look(work, num_layers, policy)
    peak = max(moment.saved for moment in moments)
    allocated = max(moment.saved + moment.working for moment in moments)
    return Predicted(moments[0].saved, peak, allocated - peak)


class _Moment(NamedTuple):
    """A moment at which much is alive: bytes that are saved, and bytes that are worked with."""

    saved: int
    working: int


def _of_segments(work, num_layers, num_segments):
    """The moments: the end of the forward pass, then those of each segment.

    Working on segment j of k, the inputs of segments 1 to j are there, and all that the layers of j keep.
    """
    bounds, x = segment_bounds(num_layers, num_segments), _x_bytes(work)
    layer = sum(map(total_bytes, encoder_layer_parts(work)))
    beside = 0 if _keeps_its_input(work) else x  # a segment's own input, where its first layer has no use for it
    last_size = bounds[-1][1] - bounds[-1][0]
    in_front = (num_segments - 1) * x
    moments = _after_forward(work, in_front + last_size * layer) + _in_a_layer(work, in_front + last_size * layer)
    for number, (first, end) in enumerate(bounds[:-1]):
        inside = beside + (end - first) * layer
        # Beside that, the segment's output; and the gradients of its weights, which are handed back all at once when
        # its first layer is through, the last that is worked on.
        moments += _in_a_layer(work, number * x + inside, x, hands_back=True)
        weights = (end - first - 1) * _weight_bytes(work)
        moments += _in_a_layer(work, number * x + beside + layer, x + weights, hands_back=True)
    return moments


def _of_layers(work, num_layers, policy):
    """The moments where all layers keep the same, and the attention of each may run again when its turn comes."""
    before, attention, after = map(total_bytes, encoder_layer_parts(work))
    instead, again, result = attention, attention, 0
    if policy == "attention":
        instead, again = _attention_again(work)
        result = _x_bytes(work)
    if policy == "scores":
        instead, again = _scores_again(work)
        result = total_bytes([_mixed(work)])
    kept = num_layers * (before + instead + after)
    in_attention = kept - instead - after + again  # of the last layer, the first to be worked on
    return [*_after_forward(work, kept), *_in_a_layer(work, kept)[:2],
            _Moment(in_attention, result + _work_in_attention(work))]  # fmt: skip


def _attention_again(work):
    """(kept instead of what the attention keeps, there when it has run again)"""
    read = _x_bytes(work)
    return read, total_bytes(attention_kept(work)) + (read if work.autocast else 0)  # else the linear maps keep it


def _scores_again(work):
    mixing = mixing_kept(work)
    handed_in = [Kept(name, work.x_shape, work.inner_item) for name in ("queries", "keys", "values")]
    result = [_mixed(work)]
    around = total_bytes(attention_kept(work)) - total_bytes(mixing)
    again = total_bytes(mixing) - total_bytes(result)
    if kernel_of(work, work.mask) != "math":  # a fused kernel keeps what it was handed, and its result
        again += total_bytes(result) - total_bytes(handed_in)
    return around + total_bytes([*handed_in, *result]), around + total_bytes(handed_in) + again


# --- what a backward pass works with ------------------------------------------------------------------------------


def _after_forward(work, saved):
    """The end of the forward pass, the final norm's tensors among what is saved; then that norm's backward step."""
    saved += total_bytes(_final_norm(work))
    return [_Moment(saved, 0), _Moment(saved, 2 * _x_bytes(work) if work.norm == "pre" else _x_bytes(work))]


def _in_a_layer(work, saved, beside=0, hands_back=False):
    """The backward pass of a layer, the last of those that `saved` holds: in norm, feed-forward, attention, at its end.

    beside: bytes that are there all the while; hands_back: whether the gradients of weights stay until the end.
    """
    parts = encoder_layer_parts(work)
    after = total_bytes(parts.after)
    norm = 2 * _x_bytes(work) if work.norm == "post" else 0
    feed_forward, attention = (_weight_bytes(work, part) if hands_back else 0 for part in ("feed-forward", "attention"))
    rest = saved - sum(map(total_bytes, parts))
    return [
        _Moment(saved, beside + norm),
        _Moment(saved, beside + _work_in_feed_forward(work)),
        _Moment(saved - after, beside + feed_forward + _work_in_attention(work)),
        _Moment(rest, beside + feed_forward + attention + 2 * _x_bytes(work)),
    ]


def _work_in_feed_forward(work):
    """In linear2's step: the gradients of the sublayer's output and of its inside, and of the weight.

    What stands behind linear2 is done with, and no longer saved.
    """
    x, x_inside = _x_bytes(work), total_bytes([_mixed(work)])
    hidden = work.batch * work.seq_len * work.d_ff * work.inner_item
    weight = work.d_model * work.d_ff * (work.inner_item + (work.item if work.autocast else 0))
    done = total_bytes(behind(work, 2))
    grads = x + (x_inside if work.dropout or work.autocast else 0)
    return grads + hidden + (weight if work.dropout else max(weight, hidden)) - done


def _work_in_attention(work):
    """In the fused kernel's step: gradients of the layer's and the attention's output, of queries, keys and values."""
    x, x_inside = _x_bytes(work), total_bytes([_mixed(work)])
    scores = 0
    if kernel_of(work, work.mask) == "math":
        scores = work.batch * work.num_heads * work.seq_len**2 * max(4, work.inner_item)
    return x + 4 * x_inside + scores


def _weight_bytes(work, part="layer"):
    sizes = {"attention": 4 * work.d_model**2, "feed-forward": 2 * work.d_model * work.d_ff}
    return work.item * (sum(sizes.values()) if part == "layer" else sizes[part])


# --- small ones --------------------------------------------------------------------------------------------------


def _final_norm(work):
    return norm_kept(work, "the final norm") if work.norm == "pre" else []


def _x_bytes(work):
    return total_bytes([Kept("x", work.x_shape, work.item)])


def _mixed(work):
    return Kept("mixed values", work.x_shape, work.inner_item)


def _keeps_its_input(work):
    """Does a layer keep x itself? Not where it keeps only what autocast has made of it."""
    return work.norm == "pre" or not work.autocast
