"""Which part of a model is computed again in the backward pass: a policy, set on a model as it stands."""

import functools

from clearformer.memory.checkpoint import checkpoint, run_segments, segment_bounds
from clearformer.nn import Decoder, Encoder, MultiHeadAttention

POLICIES = ("plain", "scores", "attention", "layers")


def set_policy(model, policy, using=checkpoint):
    """Make the encoders and decoders inside `model` checkpoint by this policy from now on; returns model.

    policy: "plain"       nothing is computed again
            "scores"      in each attention: scores, softmax, dropout and mixing; queries, keys and values are kept
                          (the selective recomputation of Korthikanti et al. 2022, section 5)
            "attention"   each attention as a whole, with its projections
            k, a number   each stack of layers in k segments (Chen et al. 2016), k at most its number of layers
            "layers"      as many segments as layers
    model: an Encoder, a Decoder, a Transformer, or any module that holds some of them; one that has a policy gets the
    new one instead. Weights, names in the state_dict and results stay what they are. The last segment of a stack is
    kept, but that of an encoder which stands in front of a decoder: it would be kept all the while that one works.
    using: checkpoint (our own) or torch_checkpoint. ValueError for a policy that is none, or has too many segments.
    """
    stacks = [module for module in model.modules() if isinstance(module, (Encoder, Decoder))]
    if not stacks:
        raise ValueError("model holds no Encoder and no Decoder: there is nothing to set a policy on")
    for stack in stacks:
        require_policy(policy, len(stack.layers))
    has_decoder = any(isinstance(stack, Decoder) for stack in stacks)
    for stack in stacks:
        stack.__dict__.pop("run_layers", None)
        num_segments = len(stack.layers) if policy == "layers" else policy
        if isinstance(num_segments, int):
            keep_last = isinstance(stack, Decoder) or not has_decoder
            stack.run_layers = functools.partial(
                run_segments, num_segments=num_segments, keep_last=keep_last, using=using
            )
    for attention in (module for module in model.modules() if isinstance(module, MultiHeadAttention)):
        attention.__dict__.pop("mix", None)
        attention.__dict__.pop("forward", None)
        if policy == "scores":
            attention.mix = functools.partial(using, attention.mix)
        if policy == "attention":
            attention.forward = _Again(attention, using)
    return model


class _Again:
    """A module's forward, computed again in the backward pass. Not where a cache grows: that would grow twice."""

    def __init__(self, module, using):
        self.module, self.using = module, using

    def __call__(self, query, key, value, mask=None, cache=None):
        forward = functools.partial(type(self.module).forward, self.module)
        if cache is not None:
            return forward(query, key, value, mask, cache)
        return self.using(forward, query, key, value, mask, parameters=tuple(self.module.parameters()))


def require_policy(policy, num_layers):
    """ValueError unless it is a policy for a stack of so many layers."""
    if isinstance(policy, bool) or not (isinstance(policy, int) or policy in POLICIES):
        raise ValueError(f"policy must be a number of segments or one of {', '.join(POLICIES)}; got {policy!r}")
    if isinstance(policy, int):
        segment_bounds(num_layers, policy)
