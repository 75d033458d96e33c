"""Weights from Hugging Face's BART."""

from clearformer.models._hugging_face import (
    is_one_table,
    read_weight,
    require_activation,
    require_form,
    with_weights,
)
from clearformer.models.marian_weights import modules_of_layers
from clearformer.models.transformer import Transformer, TransformerConfig

KIND = "BART"
TABLES = {
    "source_embedding.weight": "model.encoder.embed_tokens.weight",
    "target_embedding.weight": "model.decoder.embed_tokens.weight",
    "output.weight": "lm_head.weight",
}
POSITIONS = {
    "positions.weight": "model.encoder.embed_positions.weight",
    "target_positions.weight": "model.decoder.embed_positions.weight",
}
UNUSED_POSITIONS = 2  # rows at the head of each of these
NORMS = {"positions.norm": "encoder.layernorm_embedding", "target_positions.norm": "decoder.layernorm_embedding"}


def from_bart(theirs):
    """A Transformer that gives the logits of this transformers.BartForConditionalGeneration (Lewis et al. 2020).

    In its dtype, on its device. BART is the model of 2017 with gelu, learned positions, a norm after these, and
    embeddings that are not multiplied by √d_model. A target may begin with any token, so padding is not hidden in
    targets. In training the two differ: ours drops out attention weights and activations too, at the rate of all else.
    ValueError for a configuration that ours cannot be.
    """
    state = theirs.state_dict()
    config = bart_config(theirs.config, is_one_table(KIND, state, *TABLES.values()))
    return with_weights(Transformer(config), theirs, bart_weights(state, config))


def bart_config(theirs, share_embeddings=True):
    """Our TransformerConfig, from a transformers.BartConfig."""
    require_form(KIND, theirs.model_type == "bart", f"model_type is {theirs.model_type!r}")
    heads = theirs.encoder_attention_heads, theirs.decoder_attention_heads
    widths = theirs.encoder_ffn_dim, theirs.decoder_ffn_dim
    alike = heads[0] == heads[1] and widths[0] == widths[1]
    require_form(KIND, alike, "encoder and decoder must have as many heads and be as wide as each other")
    skipped = theirs.encoder_layerdrop, theirs.decoder_layerdrop
    require_form(KIND, not any(skipped), f"encoder_layerdrop and decoder_layerdrop must be 0; got {skipped}")
    return TransformerConfig(
        vocab_size=theirs.vocab_size,
        d_model=theirs.d_model,
        num_heads=theirs.encoder_attention_heads,
        d_ff=theirs.encoder_ffn_dim,
        num_encoder_layers=theirs.encoder_layers,
        num_decoder_layers=theirs.decoder_layers,
        dropout=theirs.dropout,
        share_embeddings=share_embeddings,
        pad_id=theirs.pad_token_id,
        activation=require_activation(KIND, "activation_function", theirs.activation_function),
        output_bias=True,
        hide_target_padding=False,
        scale_embeddings=theirs.scale_embedding,
        max_len=theirs.max_position_embeddings,
        embedding_norm=True,
    )


def bart_weights(theirs, config):
    """Our state_dict, from that of a BartForConditionalGeneration. ValueError names a weight that is missing."""

    def get(name):
        return read_weight(KIND, theirs, name)

    ours = {name: get(their_name) for name, their_name in TABLES.items()}
    ours |= {name: get(their_name)[UNUSED_POSITIONS:] for name, their_name in POSITIONS.items()}
    ours["output.bias"] = get("final_logits_bias")[0]
    layers = {name: their_name for name, their_name, _ in modules_of_layers(config)}
    for name, their_name in {**NORMS, **layers}.items():
        for kind in ("weight", "bias"):
            ours[f"{name}.{kind}"] = get(f"model.{their_name}.{kind}")
    return ours
