"""generate_continuation against transformers' generate, and with models whose next token is known."""

import math
from types import SimpleNamespace

import pytest
import torch

from clearformer.generation.continuation import generate_continuation
from clearformer.models import Llama, LlamaConfig, from_llama

VOCAB = 13


def llama(seed=0):
    config = LlamaConfig(VOCAB, d_model=16, num_heads=4, num_kv_heads=2, num_layers=2)
    return Llama(config, torch.Generator().manual_seed(seed)).double()


class Counting(torch.nn.Module):
    """A decoder-only model after whose token t always comes t + 1; it keeps what it was called with."""

    def __init__(self):
        super().__init__()
        self.config, self.calls = SimpleNamespace(vocab_size=VOCAB), []
        self.nothing = torch.nn.Parameter(torch.zeros(()))

    def forward(self, token_ids, cache=None):
        self.calls.append((tuple(token_ids.shape), self.training, torch.is_grad_enabled()))
        if cache is not None:
            cache.length += token_ids.shape[1]
        return torch.nn.functional.one_hot((token_ids + 1) % VOCAB, VOCAB).double()

    def new_cache(self):
        return SimpleNamespace(length=0, keep=lambda rows: None)


@pytest.mark.parametrize("use_cache", [True, False])
@pytest.mark.parametrize("rows", [1, 3])
def test_the_same_tokens_as_transformers(rows, use_cache):
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        vocab_size=VOCAB, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, bos_token_id=None, eos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    torch.manual_seed(0)
    theirs = transformers.LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            if parameter.ndim > 1:
                parameter.copy_(torch.randn(parameter.shape) / math.sqrt(parameter.shape[-1]))
    prompts = torch.randint(0, VOCAB, (rows, 5))
    wanted = theirs.generate(
        prompts, attention_mask=torch.ones_like(prompts), max_new_tokens=20, do_sample=False, pad_token_id=0
    )
    found = generate_continuation(from_llama(theirs), prompts, 20, use_cache=use_cache)
    assert torch.equal(found, wanted) and len(found.unique()) > 3


@pytest.mark.parametrize("end_id", [None, 4])
def test_with_the_cache_and_without_the_same_tokens(end_id):
    prompts = torch.randint(0, VOCAB, (6, 3), generator=torch.Generator().manual_seed(1))
    found = [generate_continuation(llama(), prompts, 25, end_id, use_cache=cached) for cached in (True, False)]
    assert torch.equal(*found)


def test_prompts_of_different_lengths_are_continued_as_each_alone():
    prompts = [[3, 1, 4, 1, 5, 9], [2], [6, 5], [3, 5, 8, 9, 7, 9, 3, 2]]
    for end_id in (None, 4):
        together = generate_continuation(llama(), prompts, 10, end_id)
        alone = [generate_continuation(llama(), [prompt], 10, end_id)[0] for prompt in prompts]
        assert together == alone


@pytest.mark.parametrize("use_cache", [True, False])
def test_a_row_stops_at_its_end_and_is_filled_up(use_cache):
    found = generate_continuation(Counting(), torch.tensor([[1], [5], [9]]), 5, end_id=7, use_cache=use_cache)
    assert found.tolist() == [[1, 2, 3, 4, 5, 6], [5, 6, 7, 7, 7, 7], [9, 10, 11, 12, 0, 1]]
    lists = generate_continuation(Counting(), [[1], [5], [9]], 5, end_id=7, use_cache=use_cache)
    assert lists == [[1, 2, 3, 4, 5, 6], [5, 6, 7], [9, 10, 11, 12, 0, 1]]


def test_an_end_in_the_prompt_ends_nothing():
    assert generate_continuation(Counting(), [[7, 1], [5, 7, 7, 3]], 3, end_id=7) == [
        [7, 1, 2, 3, 4],
        [5, 7, 7, 3, 4, 5, 6],
    ]


def test_finished_rows_are_computed_no_more_and_all_finished_is_the_end():
    model = Counting()
    found = generate_continuation(model, torch.tensor([[6], [5], [5]]), 100, end_id=7)
    assert found.tolist() == [[6, 7, 7], [5, 6, 7], [5, 6, 7]]
    assert [shape for shape, _, _ in model.calls] == [(3, 1), (2, 1)]


def test_the_cache_leaves_one_token_a_step():
    model = Counting()
    generate_continuation(model, torch.zeros(2, 4, dtype=torch.int64), 3)
    assert [shape for shape, _, _ in model.calls] == [(2, 4), (2, 1), (2, 1)]


def test_choose_takes_the_place_of_the_likeliest():
    seen = []

    def second(logits):
        seen.append(tuple(logits.shape))
        return logits.topk(2).indices[:, 1]

    model, prompts = llama(), torch.tensor([[1, 2], [3, 4]])
    found = generate_continuation(model, prompts, 3, choose=second)
    assert seen == [(2, VOCAB)] * 3
    with torch.no_grad():
        for t in range(2, 5):
            assert torch.equal(found[:, t], second(model(found[:, :t])[:, -1]))


def test_the_model_runs_without_dropout_and_gradients_and_keeps_its_mode():
    model = Counting().train()
    found = generate_continuation(model, torch.zeros(1, 1, dtype=torch.int32), 2)
    assert model.training and {call[1:] for call in model.calls} == {(False, False)}
    assert found.dtype == torch.int64 and not found.is_inference()


def test_no_prompts_are_continued_to_none():
    assert generate_continuation(Counting(), [], 3) == []
    assert generate_continuation(Counting(), torch.zeros(0, 2, dtype=torch.int64), 3).shape == (0, 2)


ONE = torch.ones(1, 1, dtype=torch.int64)


@pytest.mark.parametrize(
    "arguments, says",
    [
        ((torch.ones(2, 0, dtype=torch.int64), 3), "at least one token"),
        ((torch.ones(2, dtype=torch.int64), 3), r"\(batch, T\)"),
        ((torch.ones(2, 2), 3), "prompt_ids must be token ids"),
        (([[1], []], 3), r"prompt_ids\[1\]"),
        (([1, 2], 3), r"prompt_ids\[0\]"),
        (([[1.5]], 3), "prompt_ids"),
        (([["a"]], 3), "prompt_ids"),
        ((3, 3), "prompt_ids"),
        ((torch.full((1, 1), VOCAB), 3), "prompt_ids holds the id 13"),
        (([[1], [2, -1]], 3), "prompt_ids holds the id -1"),
        ((ONE, 0), "max_new_tokens must be a whole number of at least 1"),
        ((ONE, 2.0), "max_new_tokens"),
        ((ONE, 3, None, lambda logits: 4), "choose must return token ids"),
        ((ONE, 3, None, lambda logits: logits), "choose must return token ids"),
    ],
)
def test_what_cannot_be_continued_is_named(arguments, says):
    with pytest.raises(ValueError, match=says):
        generate_continuation(Counting(), *arguments)
