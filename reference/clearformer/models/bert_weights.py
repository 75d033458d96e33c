"""Weights from Hugging Face's BERT and RoBERTa, or from a file that its BertModel wrote."""

import torch

from clearformer.models._hugging_face import is_one_table, read_weight, with_weights
from clearformer.models.bert import Bert, BertConfig, MaskedLanguageModel

ACTIVATIONS = {"gelu": "gelu", "relu": "relu", "silu": "silu", "swish": "silu"}  # BERT's: ours
EMBEDDINGS = {
    "tokens": "word_embeddings",
    "positions": "position_embeddings",
    "token_types": "token_type_embeddings",
    "norm": "LayerNorm",
}
LAYER = {
    "self_attention.query_proj": "attention.self.query",
    "self_attention.key_proj": "attention.self.key",
    "self_attention.value_proj": "attention.self.value",
    "self_attention.output_proj": "attention.output.dense",
    "norm1": "attention.output.LayerNorm",
    "feed_forward.linear1": "intermediate.dense",
    "feed_forward.linear2": "output.dense",
    "norm2": "output.LayerNorm",
}


TABLES = ("embedding.tokens", "embedding.positions", "embedding.token_types")  # without a bias
HEADS = {
    "bert": {
        "linear": "cls.predictions.transform.dense",
        "norm": "cls.predictions.transform.LayerNorm",
        "output": "cls.predictions.decoder",
    },
    "roberta": {"linear": "lm_head.dense", "norm": "lm_head.layer_norm", "output": "lm_head.decoder"},
}


def from_bert(theirs):
    """A Bert that gives the states of this transformers.BertModel, in its dtype, on its device.

    In training the two differ in one place: ours drops out after the activation too. ValueError for a configuration
    that ours cannot be: a decoder, cross-attention, another activation, two different rates of dropout.
    """
    return _from_model(theirs, "bert")


def from_roberta(theirs):
    """A Bert that gives the states of this transformers.RobertaModel (Liu et al. 2019); otherwise as from_bert."""
    return _from_model(theirs, "roberta")


def from_masked_lm(theirs):
    """A MaskedLanguageModel that gives the logits of this transformers.BertForMaskedLM or RobertaForMaskedLM.

    In its dtype, on its device. In training the two differ as in from_bert. ValueError for what ours cannot be.
    """
    fields, state = theirs.config.to_dict(), theirs.state_dict()
    kind = fields.get("model_type")
    _require(kind in HEADS, f"model_type must be one of {', '.join(HEADS)}; got {kind!r}")
    config = bert_config(fields, pooler=False, model_type=kind)
    tables = f"{kind}.embeddings.word_embeddings.weight", f"{HEADS[kind]['output']}.weight"
    ours = MaskedLanguageModel(
        config,
        share_embeddings=is_one_table(kind, state, *tables),
        head_activation="gelu" if kind == "roberta" else None,
    )
    weights = {f"bert.{name}": weight for name, weight in bert_weights(state, config, prefix=f"{kind}.").items()}
    weights |= _renamed(state, HEADS[kind].items())
    return with_weights(ours, theirs, weights)


def bert_config(fields, pooler=True, model_type="bert"):
    """The BertConfig of what stands in a config.json of Hugging Face's BERT, or of its RoBERTa, a dict."""
    _require(fields.get("model_type", "bert") == model_type, f"model_type is {fields.get('model_type')!r}")
    _require(not fields.get("is_decoder") and not fields.get("add_cross_attention"), "it is a decoder")
    positions = fields.get("position_embedding_type") or "absolute"
    _require(positions == "absolute", f"position_embedding_type is {positions!r}")
    _require(
        fields["hidden_act"] in ACTIVATIONS,
        f"hidden_act must be one of {', '.join(ACTIVATIONS)}; got {fields['hidden_act']!r}",
    )
    dropouts = fields["hidden_dropout_prob"], fields["attention_probs_dropout_prob"]
    _require(dropouts[0] == dropouts[1], f"states and attention weights drop out at two rates, {dropouts}")
    return BertConfig(
        vocab_size=fields["vocab_size"],
        d_model=fields["hidden_size"],
        num_heads=fields["num_attention_heads"],
        d_ff=fields["intermediate_size"],
        num_layers=fields["num_hidden_layers"],
        max_len=fields["max_position_embeddings"],
        num_token_types=fields["type_vocab_size"],
        dropout=dropouts[0],
        activation=ACTIVATIONS[fields["hidden_act"]],
        norm_eps=fields["layer_norm_eps"],
        pad_id=fields["pad_token_id"],
        pooler=pooler,
        count_padding=model_type != "roberta",
    )


def bert_weights(theirs, config, prefix=""):
    """Our state_dict, from the state_dict of a BertModel, {name: tensor}, in which names begin with `prefix`.

    ValueError names a weight that is missing.
    """
    return _renamed(theirs, ((ours, prefix + name) for ours, name in _named_modules(config)))


def read_bert(config_fields, weights_file, pooler=True, dtype=torch.float32):
    """A Bert, in evaluation mode, from what stands in a config.json and the path of a model.safetensors."""
    import safetensors.torch

    config = bert_config(config_fields, pooler)
    ours = Bert(config).to(dtype).eval()
    ours.load_state_dict(bert_weights(safetensors.torch.load_file(weights_file), config))
    return ours


def _from_model(theirs, model_type):
    state = theirs.state_dict()
    config = bert_config(theirs.config.to_dict(), "pooler.dense.weight" in state, model_type)
    return with_weights(Bert(config), theirs, bert_weights(state, config))


def _renamed(theirs, names):
    """Weights and biases of these modules, (our name, Hugging Face's), under our names."""
    ours = {}
    for our_name, their_name in names:
        kinds = ("weight",) if our_name in TABLES else ("weight", "bias")
        for kind in kinds:
            ours[f"{our_name}.{kind}"] = read_weight("BERT", theirs, f"{their_name}.{kind}")
    return ours


def _named_modules(config):
    """Our name and Hugging Face's of all modules that have weights."""
    for our_name, their_name in EMBEDDINGS.items():
        yield f"embedding.{our_name}", f"embeddings.{their_name}"
    for number in range(config.num_layers):
        for our_name, their_name in LAYER.items():
            yield f"encoder.layers.{number}.{our_name}", f"encoder.layer.{number}.{their_name}"
    if config.pooler:
        yield "pooler", "pooler.dense"


def _require(holds, message):
    if not holds:
        raise ValueError(f"this BERT configuration is not one of ours: {message}")
