"""Weights from Hugging Face's GPT-2."""

from clearformer.models._hugging_face import (
    is_one_table,
    read_weight,
    require_activation,
    require_form,
    with_weights,
)
from clearformer.models.gpt2 import GPT2, GPT2Config

KIND = "GPT-2"
NORMS = {"norm1": "ln_1", "norm2": "ln_2"}
LINEARS = {
    "self_attention.output_proj": "attn.c_proj",
    "feed_forward.linear1": "mlp.c_fc",
    "feed_forward.linear2": "mlp.c_proj",
}
PROJECTIONS = ("query_proj", "key_proj", "value_proj")  # side by side in attn.c_attn


def from_gpt2(theirs):
    """A GPT2 that gives the logits of this transformers.GPT2LMHeadModel, in its dtype, on its device.

    Their linear maps are stored as (in, out), ours as (out, in), and their three projections as one. In training the
    two differ in one place: ours drops out after the activation too. ValueError for a configuration that ours cannot
    be.
    """
    state = theirs.state_dict()
    config = gpt2_config(theirs.config, is_one_table(KIND, state, "transformer.wte.weight", "lm_head.weight"))
    return with_weights(GPT2(config), theirs, gpt2_weights(state, config))


def gpt2_config(theirs, share_embeddings=True):
    """Our GPT2Config, from a transformers.GPT2Config."""
    require_form(KIND, theirs.model_type == "gpt2", f"model_type is {theirs.model_type!r}")
    dropouts = theirs.resid_pdrop, theirs.embd_pdrop, theirs.attn_pdrop
    same = len(set(dropouts)) == 1
    require_form(KIND, same, f"resid_pdrop, embd_pdrop and attn_pdrop must be the same; got {dropouts}")
    require_form(KIND, theirs.scale_attn_weights, "scale_attn_weights must be True")
    for name in ("scale_attn_by_inverse_layer_idx", "add_cross_attention"):
        require_form(KIND, not getattr(theirs, name), f"{name} must be False")
    return GPT2Config(
        vocab_size=theirs.vocab_size,
        d_model=theirs.n_embd,
        num_heads=theirs.n_head,
        d_ff=4 * theirs.n_embd if theirs.n_inner is None else theirs.n_inner,
        num_layers=theirs.n_layer,
        max_len=theirs.n_positions,
        dropout=theirs.resid_pdrop,
        activation=require_activation(KIND, "activation_function", theirs.activation_function),
        norm_eps=theirs.layer_norm_epsilon,
        share_embeddings=share_embeddings,
    )


def gpt2_weights(theirs, config):
    """Our state_dict, from the state_dict of a GPT2LMHeadModel. ValueError names a weight that is missing."""

    def get(name):
        return read_weight(KIND, theirs, name)

    def turned(name):
        return get(name).T if name.endswith("weight") else get(name)

    ours = {
        "embedding.weight": get("transformer.wte.weight"),
        "positions.weight": get("transformer.wpe.weight"),
        "output.weight": get("lm_head.weight"),
    }
    for kind in ("weight", "bias"):
        ours[f"decoder.final_norm.{kind}"] = get(f"transformer.ln_f.{kind}")
        for number in range(config.num_layers):
            layer, their_layer = f"decoder.layers.{number}", f"transformer.h.{number}"
            for name, their_name in NORMS.items():
                ours[f"{layer}.{name}.{kind}"] = get(f"{their_layer}.{their_name}.{kind}")
            for name, their_name in LINEARS.items():
                ours[f"{layer}.{name}.{kind}"] = turned(f"{their_layer}.{their_name}.{kind}")
            thirds = turned(f"{their_layer}.attn.c_attn.{kind}").chunk(len(PROJECTIONS))
            for name, third in zip(PROJECTIONS, thirds, strict=True):
                ours[f"{layer}.self_attention.{name}.{kind}"] = third
    return ours
