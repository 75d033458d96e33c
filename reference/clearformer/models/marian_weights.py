"""Weights from Hugging Face's Marian models, the translators of OPUS-MT."""

import torch

from clearformer.models.transformer import Transformer, TransformerConfig

ATTENTIONS = {"self_attention": "self_attn", "cross_attention": "encoder_attn"}  # our names: Marian's
PROJECTIONS = {"query_proj": "q_proj", "key_proj": "k_proj", "value_proj": "v_proj", "output_proj": "out_proj"}
ACTIVATIONS = {"relu": "relu", "gelu": "gelu", "silu": "silu", "swish": "silu"}  # Marian's: ours


def from_marian(marian):
    """A Transformer that gives the logits of this transformers.MarianMTModel, in its dtype, on its device.

    Marian is the model of 2017 with post-norm, embeddings times √d_model and a bias on the logits, but its positions
    have all sines in the first half of d_model and all cosines in the second. Ours alternate. That is the same model
    with the columns of every state in another order, so the weights are re-ordered here, once. A target begins with
    the pad token, so padding is not hidden in targets. ValueError for a configuration that ours cannot be.
    """
    config = _config(marian.config)
    example = next(marian.parameters())
    with torch.no_grad():
        ours = Transformer(config).to(example.device, example.dtype).train(marian.training)
        ours.load_state_dict(_weights(marian, config))
    return ours


def _config(theirs):
    _require(theirs.scale_embedding, "scale_embedding must be True")
    _require(
        theirs.encoder_attention_heads == theirs.decoder_attention_heads
        and theirs.encoder_ffn_dim == theirs.decoder_ffn_dim,
        "encoder and decoder must have as many heads and be as wide as each other",
    )
    _require(
        theirs.activation_function in ACTIVATIONS,
        f"activation_function must be one of {', '.join(ACTIVATIONS)}; got {theirs.activation_function!r}",
    )
    shared = bool(theirs.share_encoder_decoder_embeddings and theirs.tie_word_embeddings)
    return TransformerConfig(
        vocab_size=theirs.vocab_size,
        target_vocab_size=None if shared else theirs.decoder_vocab_size,
        d_model=theirs.d_model,
        num_heads=theirs.encoder_attention_heads,
        d_ff=theirs.encoder_ffn_dim,
        num_encoder_layers=theirs.encoder_layers,
        num_decoder_layers=theirs.decoder_layers,
        dropout=theirs.dropout,
        share_embeddings=shared,
        pad_id=theirs.pad_token_id,
        activation=ACTIVATIONS[theirs.activation_function],
        output_bias=True,
        hide_target_padding=False,
    )


def _weights(marian, config):
    """Our state_dict, from theirs."""
    theirs = marian.state_dict()
    order = _alternating(config.d_model).to(next(marian.parameters()).device)
    ours = {
        "source_embedding.weight": theirs["model.encoder.embed_tokens.weight"][:, order],
        "target_embedding.weight": theirs["model.decoder.embed_tokens.weight"][:, order],
        "output.weight": marian.lm_head.weight[:, order],
        "output.bias": marian.final_logits_bias[0],
    }
    for our_name, their_name, does in modules_of_layers(config):
        weight, bias = theirs[f"model.{their_name}.weight"], theirs[f"model.{their_name}.bias"]
        if does == "reads states":
            ours[f"{our_name}.weight"], ours[f"{our_name}.bias"] = weight[:, order], bias
        else:  # a linear map that writes states, or a norm
            ours[f"{our_name}.weight"], ours[f"{our_name}.bias"] = weight[order], bias[order]
    return ours


def modules_of_layers(config):
    """Our name, Marian's (and BART's), and what it does with the columns of the states, for all with weights."""
    for side, num_layers in (("encoder", config.num_encoder_layers), ("decoder", config.num_decoder_layers)):
        attentions = ATTENTIONS if side == "decoder" else {"self_attention": ATTENTIONS["self_attention"]}
        norms = [f"{name}_layer_norm" for name in attentions.values()] + ["final_layer_norm"]
        for layer in (f"{side}.layers.{number}" for number in range(num_layers)):
            for attention, their_attention in attentions.items():
                for name, their_name in PROJECTIONS.items():
                    does = "writes states" if name == "output_proj" else "reads states"
                    yield f"{layer}.{attention}.{name}", f"{layer}.{their_attention}.{their_name}", does
            yield f"{layer}.feed_forward.linear1", f"{layer}.fc1", "reads states"
            yield f"{layer}.feed_forward.linear2", f"{layer}.fc2", "writes states"
            for number, their_name in enumerate(norms, start=1):
                yield f"{layer}.norm{number}", f"{layer}.{their_name}", "norms states"


def _alternating(d_model):
    """Which of Marian's columns, sines then cosines, stands where in ours: sine, cosine, sine, cosine, …"""
    num_sines = (d_model + 1) // 2
    return torch.tensor([column // 2 + (num_sines if column % 2 else 0) for column in range(d_model)])


def _require(holds, message):
    if not holds:
        raise ValueError(f"this Marian configuration is not one of ours: {message}")
