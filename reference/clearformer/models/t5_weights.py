"""Weights from Hugging Face's T5, of both versions."""

from clearformer.models._hugging_face import (
    is_one_table,
    read_weight,
    require_activation,
    require_form,
    with_weights,
)
from clearformer.models.t5 import T5, T5Config

KIND = "T5"
PROJECTIONS = {"query_proj": "q", "key_proj": "k", "value_proj": "v", "output_proj": "o"}
PLAIN = {"linear1": "wi", "linear2": "wo"}
GATED = {"gate": "wi_0", "linear1": "wi_1", "linear2": "wo"}
DISTANCES = "block.0.layer.0.SelfAttention.relative_attention_bias"  # the first layer's are for all


def from_t5(theirs):
    """A T5 that gives the logits of this transformers.T5ForConditionalGeneration, in its dtype, on its device.

    ValueError for a configuration that ours cannot be.
    """
    state = theirs.state_dict()
    same = is_one_table(KIND, state, "shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
    require_form(KIND, same, "encoder and decoder must have one table of embeddings")
    config = t5_config(theirs.config, is_one_table(KIND, state, "shared.weight", "lm_head.weight"))
    return with_weights(T5(config), theirs, t5_weights(state, config))


def t5_config(theirs, share_embeddings=True):
    """Our T5Config, from a transformers.T5Config."""
    require_form(KIND, theirs.model_type == "t5", f"model_type is {theirs.model_type!r}")
    return T5Config(
        vocab_size=theirs.vocab_size,
        d_model=theirs.d_model,
        num_heads=theirs.num_heads,
        d_head=theirs.d_kv,
        d_ff=theirs.d_ff,
        num_encoder_layers=theirs.num_layers,
        num_decoder_layers=theirs.num_decoder_layers,
        num_buckets=theirs.relative_attention_num_buckets,
        max_distance=theirs.relative_attention_max_distance,
        dropout=theirs.dropout_rate,
        activation=require_activation(KIND, "the activation in feed_forward_proj", theirs.dense_act_fn),
        gated=theirs.is_gated_act,
        norm_eps=theirs.layer_norm_epsilon,
        share_embeddings=share_embeddings,
        # Which version it is, older releases of transformers say by tie_word_embeddings.
        scale_output=getattr(theirs, "scale_decoder_outputs", theirs.tie_word_embeddings),
        pad_id=theirs.pad_token_id,
    )


def t5_weights(theirs, config):
    """Our state_dict, from that of a T5ForConditionalGeneration. ValueError names a weight that is missing."""
    names = {"embedding": "shared", "output": "lm_head"}
    for side, num_layers in (("encoder", config.num_encoder_layers), ("decoder", config.num_decoder_layers)):
        names[f"{side}_distances"] = f"{side}.{DISTANCES}"
        names[f"{side}.final_norm"] = f"{side}.final_layer_norm"
        for number in range(num_layers):
            for ours, others in _layer_names(side, config.gated):
                names[f"{side}.layers.{number}.{ours}"] = f"{side}.block.{number}.layer.{others}"
    return {f"{ours}.weight": read_weight(KIND, theirs, f"{other}.weight") for ours, other in names.items()}


def _layer_names(side, gated):
    """Our name and theirs, which begins with the number of the sublayer, for all weights of one layer."""
    sublayers = [("self_attention", "SelfAttention", PROJECTIONS), ("cross_attention", "EncDecAttention", PROJECTIONS)]
    if side == "encoder":
        sublayers.pop()
    sublayers.append(("feed_forward", "DenseReluDense", GATED if gated else PLAIN))
    for number, (ours, theirs, parts) in enumerate(sublayers):
        yield f"norm{number + 1}", f"{number}.layer_norm"
        for our_part, their_part in parts.items():
            yield f"{ours}.{our_part}", f"{number}.{theirs}.{their_part}"
