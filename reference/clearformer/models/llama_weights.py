"""Weights from Hugging Face's LlamaForCausalLM."""

from clearformer.models.llama import Llama, LlamaConfig
from clearformer.nn.rotary import change_layout

BLOCK = {
    "attention.query_proj": "self_attn.q_proj",
    "attention.key_proj": "self_attn.k_proj",
    "attention.value_proj": "self_attn.v_proj",
    "attention.output_proj": "self_attn.o_proj",
    "feed_forward.gate_proj": "mlp.gate_proj",
    "feed_forward.up_proj": "mlp.up_proj",
    "feed_forward.down_proj": "mlp.down_proj",
    "norm1": "input_layernorm",
    "norm2": "post_attention_layernorm",
}


def from_llama(theirs, rope_layout="pairs"):
    """A Llama that gives the logits of this transformers.LlamaForCausalLM, in its dtype, on its device.

    Theirs turns two halves of a head. rope_layout="pairs" changes the order of the rows of the query's and key's
    weights, so that neighbours are turned instead; "halves" leaves the weights as they are. The logits are the same.
    ValueError for a configuration that ours cannot be: scaled rotary positions, another activation, dropout, heads of
    another width than d_model / num_heads, biases in one sublayer only.
    """
    example = next(theirs.parameters())
    config = llama_config(theirs.config.to_dict(), rope_layout)
    ours = Llama(config).to(example.device, example.dtype).train(theirs.training)
    ours.load_state_dict(llama_weights(theirs.state_dict(), config))
    return ours


def llama_config(fields, rope_layout="pairs"):
    """The LlamaConfig of what stands in a config.json of Hugging Face's LLaMA, a dict."""
    _require(fields.get("model_type", "llama") == "llama", f"model_type is {fields.get('model_type')!r}")
    _require(fields["hidden_act"] in ("silu", "swish"), f"hidden_act must be 'silu'; got {fields['hidden_act']!r}")
    d_model, heads = fields["hidden_size"], fields["num_attention_heads"]
    d_head = fields.get("head_dim") or d_model // heads
    _require(d_head * heads == d_model, f"head_dim is {d_head}, not hidden_size / num_attention_heads")
    _require(not fields.get("attention_dropout"), f"attention_dropout is {fields.get('attention_dropout')}")
    biases = bool(fields.get("attention_bias")), bool(fields.get("mlp_bias"))
    _require(biases[0] == biases[1], f"attention_bias is {biases[0]} and mlp_bias {biases[1]}")
    return LlamaConfig(
        vocab_size=fields["vocab_size"],
        d_model=d_model,
        num_heads=heads,
        num_kv_heads=fields.get("num_key_value_heads"),
        d_ff=fields["intermediate_size"],
        num_layers=fields["num_hidden_layers"],
        rope_base=_rope_base(fields),
        rope_layout=rope_layout,
        norm_eps=fields["rms_norm_eps"],
        share_embeddings=bool(fields.get("tie_word_embeddings")),
        bias=biases[0],
    )


def llama_weights(theirs, config):
    """Our state_dict, from the state_dict of a LlamaForCausalLM. ValueError names a weight that is missing."""
    ours = {}
    for our_name, their_name in _named_weights(config):
        if their_name not in theirs:
            raise ValueError(f"these are not the weights of such a LlamaForCausalLM: {their_name} is missing")
        ours[our_name] = theirs[their_name]
        turned = {"query_proj": config.num_heads, "key_proj": config.kv_heads}.get(our_name.split(".")[-2])
        if turned and config.rope_layout == "pairs":
            ours[our_name] = change_layout(ours[our_name], turned, to="pairs")
    return ours


def _named_weights(config):
    """Our name and Hugging Face's of every weight."""
    yield "embedding.weight", "model.embed_tokens.weight"
    for number in range(config.num_layers):
        for our_name, their_name in BLOCK.items():
            has_bias = config.bias and not our_name.startswith("norm")
            for kind in ("weight", "bias") if has_bias else ("weight",):
                yield f"blocks.{number}.{our_name}.{kind}", f"model.layers.{number}.{their_name}.{kind}"
    yield "final_norm.weight", "model.norm.weight"
    yield "output.weight", "model.embed_tokens.weight" if config.share_embeddings else "lm_head.weight"


def _rope_base(fields):
    """transformers 5 keeps the base among rope_parameters; before, it was rope_theta, and scaling stood beside it."""
    rope = fields.get("rope_parameters") or fields.get("rope_scaling") or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    _require(kind == "default", f"its rotary positions are scaled: rope_type is {kind!r}")
    return rope.get("rope_theta") or fields.get("rope_theta") or 10000.0


def _require(holds, message):
    if not holds:
        raise ValueError(f"this LLaMA configuration is not one of ours: {message}")
