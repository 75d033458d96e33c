"""Weights from and to torch.nn.Transformer and its layers."""

import warnings

import torch
import torch.nn.functional as F
from torch import nn

from clearformer.models.transformer import Transformer, TransformerConfig
from clearformer.nn import DecoderLayer, EncoderLayer

ATTENTIONS = {"self_attention": "self_attn", "cross_attention": "multihead_attn"}  # our names: torch's
IN_PROJECTIONS = ("query_proj", "key_proj", "value_proj")


def to_torch(ours):
    """torch's module with a copy of the weights of an EncoderLayer, a DecoderLayer or a Transformer.

    A Transformer becomes a torch.nn.Transformer, which is its encoder and decoder: embeddings, positions and output
    have no place in it. It takes the batch first. Its masks are the other way round: True = hidden. ValueError for any
    other module, and for an activation that torch's layers do not have.
    """
    if isinstance(ours, Transformer):
        theirs = _transformer_to_torch(ours.config)
    elif isinstance(ours, EncoderLayer | DecoderLayer):
        kind = nn.TransformerEncoderLayer if isinstance(ours, EncoderLayer) else nn.TransformerDecoderLayer
        attention, feed_forward = ours.self_attention, ours.feed_forward
        _require_activation(feed_forward.activation)
        theirs = kind(
            attention.d_model,
            attention.num_heads,
            feed_forward.linear1.out_features,
            attention.dropout,
            feed_forward.activation,
            batch_first=True,
            norm_first=ours.norm_placement == "pre",
        )
    else:
        raise ValueError(f"ours must be a Transformer, an EncoderLayer or a DecoderLayer; got {type(ours).__name__}")
    example = next(ours.parameters())
    theirs = theirs.to(example.device, example.dtype).train(ours.training)
    with torch.no_grad():
        for _, parts, whole in paired_parameters(ours, theirs):
            whole.copy_(torch.cat(parts))
    return theirs


def from_torch(theirs, vocab_size=None, generator=None, **changes):
    """Our module with a copy of the weights of torch's.

    theirs is a torch.nn.TransformerEncoderLayer or -DecoderLayer, or a torch.nn.Transformer. The last needs a
    vocab_size, and becomes a Transformer with new embeddings and output, drawn from `generator`; changes are fields of
    its TransformerConfig that torch's module says nothing about (target_vocab_size, share_embeddings, pad_id, …).
    ValueError for what ours cannot be: no biases, another activation than relu and gelu, another ε in a norm.
    """
    if isinstance(theirs, nn.Transformer):
        if vocab_size is None:
            raise ValueError("vocab_size is missing: torch.nn.Transformer has no embeddings to read it from")
        ours = Transformer(_config_from_torch(theirs, vocab_size, changes), generator)
    elif isinstance(theirs, nn.TransformerEncoderLayer | nn.TransformerDecoderLayer):
        if vocab_size is not None or changes:
            raise ValueError("vocab_size and other fields belong to a torch.nn.Transformer, not to one layer")
        form = _layer_form(theirs)
        kind = EncoderLayer if isinstance(theirs, nn.TransformerEncoderLayer) else DecoderLayer
        ours = kind(form.pop("d_model"), form.pop("num_heads"), form.pop("d_ff"), **form)
    else:
        raise ValueError(f"theirs must be a torch.nn.Transformer or one of its layers; got {type(theirs).__name__}")
    example = next(theirs.parameters())
    ours = ours.to(example.device, example.dtype).train(theirs.training)
    with torch.no_grad():
        for _, parts, whole in paired_parameters(ours, theirs):
            for part, piece in zip(parts, whole.split([len(part) for part in parts]), strict=True):
                part.copy_(piece)
    return ours


def paired_parameters(ours, theirs):
    """Which of our parameters are which of torch's: (our name, our parts, torch's parameter), one after the other.

    torch keeps the projections of query, key and value in one matrix, so that there are three parts; elsewhere one.
    """
    if isinstance(ours, Transformer):
        for side in ("encoder", "decoder"):
            our_stack, their_stack = getattr(ours, side), getattr(theirs, side)
            for number, pair in enumerate(zip(our_stack.layers, their_stack.layers, strict=True)):
                yield from _named(f"{side}.layers.{number}", paired_parameters(*pair))
            if their_stack.norm is not None:
                yield from _alike(f"{side}.final_norm", our_stack.final_norm, their_stack.norm)
        return
    for our_name, their_name in ATTENTIONS.items():
        if hasattr(ours, our_name):
            yield from _named(our_name, _attention_pairs(getattr(ours, our_name), getattr(theirs, their_name)))
    for name in ("linear1", "linear2"):
        yield from _alike(f"feed_forward.{name}", getattr(ours.feed_forward, name), getattr(theirs, name))
    for name in ("norm1", "norm2", "norm3"):
        if hasattr(ours, name):
            yield from _alike(name, getattr(ours, name), getattr(theirs, name))


def _attention_pairs(ours, theirs):
    for kind in ("weight", "bias"):
        parts = tuple(getattr(ours.get_submodule(name), kind) for name in IN_PROJECTIONS)
        yield f"in_proj.{kind}", parts, getattr(theirs, f"in_proj_{kind}")
    yield from _alike("output_proj", ours.output_proj, theirs.out_proj)


def _alike(name, ours, theirs):
    for kind in ("weight", "bias"):
        yield f"{name}.{kind}", (getattr(ours, kind),), getattr(theirs, kind)


def _named(prefix, pairs):
    for name, parts, whole in pairs:
        yield f"{prefix}.{name}", parts, whole


def _transformer_to_torch(config):
    _require_activation(config.activation)
    with warnings.catch_warnings():  # torch says that with pre-norm one of its short cuts is not taken
        warnings.filterwarnings("ignore", message="enable_nested_tensor is True")
        theirs = nn.Transformer(
            config.d_model,
            config.num_heads,
            config.num_encoder_layers,
            config.num_decoder_layers,
            config.d_ff,
            config.dropout,
            config.activation,
            batch_first=True,
            norm_first=config.norm == "pre",
        )
    if not config.has_final_norm:
        theirs.encoder.norm = theirs.decoder.norm = None
    return theirs


def _config_from_torch(theirs, vocab_size, changes):
    stacks = (theirs.encoder, theirs.decoder)
    if not isinstance(stacks[0], nn.TransformerEncoder) or not isinstance(stacks[1], nn.TransformerDecoder):
        raise ValueError("theirs must have torch's own encoder and decoder, not custom ones")
    forms = [_layer_form(layer) for stack in stacks for layer in stack.layers]
    final_norms = [stack.norm is not None for stack in stacks]
    if any(form != forms[0] for form in forms) or final_norms[0] != final_norms[1]:
        raise ValueError(
            "the layers of theirs must be alike, and encoder and decoder end alike, with a norm or without"
        )
    for stack in stacks:
        if stack.norm is not None:
            _require_norm(stack.norm)
    form = {
        "vocab_size": vocab_size,
        "num_encoder_layers": len(theirs.encoder.layers),
        "num_decoder_layers": len(theirs.decoder.layers),
        "final_norm": final_norms[0],
        **forms[0],
    }
    told_twice = sorted(set(changes) & set(form))
    if told_twice:
        raise ValueError(f"theirs says already what these are: {', '.join(told_twice)}")
    return TransformerConfig.from_dict({**form, **changes})


def _layer_form(layer):
    """What a layer of torch's says about the configuration."""
    activation = {F.relu: "relu", F.gelu: "gelu"}.get(layer.activation)
    if isinstance(layer.activation, nn.ReLU):
        activation = "relu"
    elif isinstance(layer.activation, nn.GELU) and layer.activation.approximate == "none":
        activation = "gelu"
    _require_activation(activation or layer.activation)
    if layer.linear1.bias is None:
        raise ValueError("the layers of theirs must have biases")
    for name in ("norm1", "norm2", "norm3"):
        if hasattr(layer, name):
            _require_norm(getattr(layer, name))
    return dict(
        d_model=layer.linear1.in_features,
        num_heads=layer.self_attn.num_heads,
        d_ff=layer.linear1.out_features,
        dropout=layer.dropout.p,
        norm="pre" if layer.norm_first else "post",
        activation=activation,
    )


def _require_activation(activation):
    if activation not in ("relu", "gelu"):
        raise ValueError(f"torch's layers and ours share the activations 'relu' and 'gelu'; got {activation!r}")


def _require_norm(norm):
    if not isinstance(norm, nn.LayerNorm) or norm.eps != 1e-5 or norm.bias is None:
        raise ValueError(f"norms must be nn.LayerNorm with ε = 1e-5 and a bias; got {norm}")
