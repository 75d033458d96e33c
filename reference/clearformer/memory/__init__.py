"""Counting what layers keep for the backward pass, and keeping less of it: gradient checkpointing."""

from clearformer.memory.activations import Kept, Work, decoder_layer_kept, encoder_layer_kept, total_bytes
from clearformer.memory.checkpoint import checkpoint, checkpointed_forward, torch_checkpoint
from clearformer.memory.measuring import AllocatedBytes, Measured, SavedTensors, measure
from clearformer.memory.policies import POLICIES, set_policy
from clearformer.memory.prediction import Predicted, predict_encoder

__all__ = [
    "POLICIES",
    "AllocatedBytes",
    "Kept",
    "Measured",
    "Predicted",
    "SavedTensors",
    "Work",
    "checkpoint",
    "checkpointed_forward",
    "decoder_layer_kept",
    "encoder_layer_kept",
    "measure",
    "predict_encoder",
    "set_policy",
    "torch_checkpoint",
    "total_bytes",
]
