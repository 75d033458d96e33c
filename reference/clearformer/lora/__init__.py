"""Low-rank adaptation (Hu et al. 2021): a large model learns a task through a few small matrices beside its own."""

from clearformer.lora.adapter_files import AdapterError, load_adapter, save_adapter
from clearformer.lora.linear import LoRALinear
from clearformer.lora.model import (
    apply_lora,
    count_trainable,
    lora_layers,
    merge_lora,
    optimizer_bytes,
    remove_lora,
)

__all__ = [
    "AdapterError",
    "LoRALinear",
    "apply_lora",
    "count_trainable",
    "load_adapter",
    "lora_layers",
    "merge_lora",
    "optimizer_bytes",
    "remove_lora",
    "save_adapter",
]
