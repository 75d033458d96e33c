"""Whole models, their configurations, and weights from elsewhere."""

from clearformer.models.bert import Bert, BertConfig, mean_pooling
from clearformer.models.bert_weights import from_bert
from clearformer.models.marian_weights import from_marian
from clearformer.models.parameters import count_parameters
from clearformer.models.torch_weights import from_torch, paired_parameters, to_torch
from clearformer.models.transformer import AttentionMaps, Transformer, TransformerConfig

__all__ = [
    "AttentionMaps",
    "Bert",
    "BertConfig",
    "Transformer",
    "TransformerConfig",
    "count_parameters",
    "from_bert",
    "from_marian",
    "from_torch",
    "mean_pooling",
    "paired_parameters",
    "to_torch",
]
