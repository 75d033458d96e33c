"""TokenEmbedding: rows of a table, times √d_model."""

import pytest
import torch

from clearformer.nn import TokenEmbedding


def test_a_token_gets_its_row_times_the_root_of_d_model():
    embedding = TokenEmbedding(7, 16).double()
    ids = torch.tensor([[3, 0, 6], [3, 3, 1]])
    assert torch.equal(embedding(ids), 4.0 * embedding.weight[ids])
    assert embedding(ids.int()).shape == (2, 3, 16)


def test_without_scale_a_token_gets_its_row():
    embedding, ids = TokenEmbedding(7, 16, scale=False), torch.tensor([[3, 0, 6]])
    assert torch.equal(embedding(ids), embedding.weight[ids])


def test_gradients_reach_the_rows_that_were_read_and_no_others():
    embedding = TokenEmbedding(5, 4).double()
    embedding(torch.tensor([[1, 1, 3]])).sum().backward()
    assert torch.equal(embedding.weight.grad, torch.tensor([[0.0], [4.0], [0.0], [2.0], [0.0]]).double().expand(5, 4))


def test_at_the_start_what_comes_out_has_variance_one():
    torch.manual_seed(0)
    embedding = TokenEmbedding(2000, 64)
    assert embedding(torch.arange(2000)).std().item() == pytest.approx(1.0, abs=0.01)
    assert embedding.weight.std().item() == pytest.approx(64**-0.5, rel=0.01)


def test_one_generator_draws_one_table():
    first, second = TokenEmbedding(5, 4), TokenEmbedding(5, 4)
    first.reset_parameters(torch.Generator().manual_seed(1))
    assert not torch.equal(first.weight, second.weight)
    second.reset_parameters(torch.Generator().manual_seed(1))
    assert torch.equal(first.weight, second.weight)


def test_the_state_holds_the_table_alone():
    assert {name: tuple(p.shape) for name, p in TokenEmbedding(5, 4).state_dict().items()} == {"weight": (5, 4)}
    assert "vocab_size=5, d_model=4" in repr(TokenEmbedding(5, 4))


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (
            torch.tensor([[1, 5]]),
            r"token_ids holds the id 5, which a vocabulary of 5 does not have: ids go from 0 to 4",
        ),
        (torch.tensor([[-1, 2]]), r"token_ids holds the id -1, .* vocabulary of 5"),
        (torch.tensor([[1.0]]), r"token_ids must be a tensor of token ids, int64 or int32; got torch.float32"),
        (torch.tensor([[True]]), r"got torch.bool"),
        ([[1, 2]], r"got list"),
    ],
)
def test_ids_that_cannot_be_looked_up_are_named(ids, message):
    with pytest.raises(ValueError, match=message):
        TokenEmbedding(5, 4)(ids)


def test_the_argument_can_be_given_its_name():
    with pytest.raises(ValueError, match=r"^source_ids holds the id 9"):
        TokenEmbedding(5, 4)(torch.tensor([9]), "source_ids")


def test_no_tokens_give_no_vectors():
    assert TokenEmbedding(5, 4)(torch.zeros(2, 0, dtype=torch.long)).shape == (2, 0, 4)


@pytest.mark.parametrize("sizes", [(0, 4), (5, 0), (5.0, 4), (True, 4)])
def test_sizes_that_cannot_be_used_are_named(sizes):
    with pytest.raises(ValueError, match=r"(vocab_size|d_model) must be a whole number of at least 1"):
        TokenEmbedding(*sizes)
