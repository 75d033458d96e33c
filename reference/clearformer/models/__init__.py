"""Whole models, their configurations, and weights from elsewhere."""

from clearformer.models.bart_weights import from_bart
from clearformer.models.bert import Bert, BertConfig, MaskedLanguageModel, mean_pooling
from clearformer.models.bert_weights import from_bert, from_masked_lm, from_roberta
from clearformer.models.gpt2 import GPT2, GPT2Config
from clearformer.models.gpt2_weights import from_gpt2
from clearformer.models.llama import Llama, LlamaBlock, LlamaConfig
from clearformer.models.llama_weights import from_llama
from clearformer.models.marian_weights import from_marian
from clearformer.models.parameters import count_parameters
from clearformer.models.t5 import T5, T5Config, relative_position_bucket
from clearformer.models.t5_weights import from_t5
from clearformer.models.torch_weights import from_torch, paired_parameters, to_torch
from clearformer.models.transformer import AttentionMaps, Transformer, TransformerConfig

__all__ = [
    "GPT2",
    "T5",
    "AttentionMaps",
    "Bert",
    "BertConfig",
    "GPT2Config",
    "Llama",
    "LlamaBlock",
    "LlamaConfig",
    "MaskedLanguageModel",
    "T5Config",
    "Transformer",
    "TransformerConfig",
    "count_parameters",
    "from_bart",
    "from_bert",
    "from_gpt2",
    "from_llama",
    "from_marian",
    "from_masked_lm",
    "from_roberta",
    "from_t5",
    "from_torch",
    "mean_pooling",
    "paired_parameters",
    "relative_position_bucket",
    "to_torch",
]
