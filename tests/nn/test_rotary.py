"""Rotary positions against Hugging Face's and complex numbers, and by laws."""

import cmath

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clearformer.nn import RotaryPositions, change_layout, pairs_to_halves, rotary_embedding

EXACT = 1e-10  # the largest difference in float64
LAYOUTS = ["pairs", "halves"]
property_test = settings(deadline=None, max_examples=25, derandomize=True, database=None)


def randn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_complex_numbers(x, positions, base):
    """Each pair one complex number, times e^(i · angle), in Python's own numbers; x (T, d)."""
    d, turned = x.shape[-1], x.clone()
    for row, position in enumerate(positions.tolist()):
        for i in range(d // 2):
            z = complex(x[row, 2 * i], x[row, 2 * i + 1]) * cmath.exp(1j * position * base ** (-2 * i / d))
            turned[row, 2 * i], turned[row, 2 * i + 1] = z.real, z.imag
    return turned


@pytest.mark.parametrize("base", [10000.0, 3.0])
@pytest.mark.parametrize("d", [2, 6, 16])
def test_a_pair_is_a_complex_number_turned(d, base):
    x, positions = randn(5, d), torch.tensor([0, 1, 7, 4000, 2])
    torch.testing.assert_close(
        rotary_embedding(x, positions, base), by_complex_numbers(x, positions, base), atol=EXACT, rtol=0
    )


@pytest.mark.parametrize("start", [0, 37])
def test_two_halves_are_what_hugging_face_turns(start):
    llama = pytest.importorskip("transformers.models.llama.modeling_llama")
    positions, x = torch.arange(start, start + 6), randn(2, 3, 6, 8)
    angles = positions.double()[:, None] * 500.0 ** (-torch.arange(0, 8, 2).double() / 8)
    cos, sin = (torch.cat([f(angles)] * 2, dim=-1)[None] for f in (torch.cos, torch.sin))
    wanted, _ = llama.apply_rotary_pos_emb(x, x, cos, sin)
    torch.testing.assert_close(rotary_embedding(x, positions, 500.0, "halves"), wanted, atol=EXACT, rtol=0)


@property_test
@given(
    first=st.integers(0, 100_000),
    second=st.integers(0, 100_000),
    shift=st.integers(0, 100_000),
    layout=st.sampled_from(LAYOUTS),
)
def test_scores_depend_on_the_distance_only(first, second, shift, layout):
    def score(p, q):
        turned = [
            rotary_embedding(randn(1, 8, seed=s), torch.tensor([at]), layout=layout) for s, at in ((1, p), (2, q))
        ]
        return (turned[0] * turned[1]).sum().item()

    # an angle of 2e5 is known to 3e-11
    assert abs(score(first, second) - score(first + shift, second + shift)) <= 1e-8


@pytest.mark.parametrize("layout", LAYOUTS)
def test_lengths_are_kept_and_position_0_turns_nothing(layout):
    x = randn(3, 9, 8)
    turned = rotary_embedding(x, torch.arange(9), layout=layout)
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1), atol=EXACT, rtol=0)
    assert torch.equal(turned[:, 0], x[:, 0]) and not torch.allclose(turned[:, 1], x[:, 1])


@pytest.mark.parametrize("d", [2, 4, 10])
def test_the_order_of_entries_leads_from_one_layout_to_the_other(d):
    x, positions, order = randn(4, d), torch.tensor([3, 0, 90, 5]), pairs_to_halves(d)
    turned = rotary_embedding(x, positions)
    torch.testing.assert_close(rotary_embedding(x[:, order], positions, layout="halves"), turned[:, order])
    assert torch.equal(x[:, order][:, order.argsort()], x)


def test_a_projection_for_one_layout_becomes_one_for_the_other():
    x, weights, positions = randn(5, 12), randn(2, 12, 12, seed=1), torch.arange(5) + 11

    def scores(weights, layout):
        query, key = (
            rotary_embedding((x @ weight.T).unflatten(-1, (3, 4)).transpose(0, 1), positions, layout=layout)
            for weight in weights
        )
        return query @ key.mT  # (3, 5, 5)

    changed = [change_layout(weight, 3, to="halves") for weight in weights]
    torch.testing.assert_close(scores(changed, "halves"), scores(weights, "pairs"), atol=EXACT, rtol=0)
    assert not torch.allclose(scores(weights, "halves"), scores(weights, "pairs"))
    for before, weight in zip(weights, changed, strict=True):
        assert torch.equal(change_layout(weight, 3, to="pairs"), before)
        assert torch.equal(change_layout(before[:, 0], 3, to="halves"), weight[:, 0])  # a bias


@pytest.mark.parametrize("layout", LAYOUTS)
def test_tokens_in_a_row_and_in_pieces_are_turned_alike(layout):
    rotary, x = RotaryPositions(8, base=50.0, layout=layout), randn(2, 3, 200, 8)
    wanted = rotary_embedding(x, torch.arange(200), 50.0, layout)
    for begin, end in [(0, 3), (3, 3), (3, 150), (150, 200), (0, 200), (17, 18)]:
        torch.testing.assert_close(rotary(x[..., begin:end, :], begin), wanted[..., begin:end, :], atol=EXACT, rtol=0)


def test_angles_are_of_float32_at_least():
    positions, x = torch.tensor([4095, 4097]), randn(2, 8)
    wanted = rotary_embedding(x, positions)
    assert (rotary_embedding(x.float(), positions).double() - wanted).abs().max() <= 1e-3
    for dtype in (torch.float16, torch.bfloat16):  # in which 4095 and 4097 are one number
        turned = rotary_embedding(x.to(dtype), positions)
        assert turned.dtype == dtype
        assert (turned.double() - wanted).abs().max() <= 0.03


def test_the_table_serves_other_types_and_training_after_inference():
    rotary = RotaryPositions(4)
    with torch.inference_mode():
        rotary(randn(3, 4).float())
    x = randn(3, 4).requires_grad_()
    rotary(x).sum().backward()
    torch.testing.assert_close(rotary(x), rotary_embedding(x, torch.arange(3)), atol=EXACT, rtol=0)
    assert torch.equal(rotary(randn(3, 4).float()), rotary_embedding(randn(3, 4).float(), torch.arange(3)))
    assert not rotary.state_dict()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_gradients(layout):
    x = randn(3, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: rotary_embedding(x, torch.tensor([5, 0, 9]), layout=layout), x)


def test_x_that_is_not_contiguous():
    x = randn(8, 5).T
    assert torch.equal(rotary_embedding(x, torch.arange(5)), rotary_embedding(x.contiguous(), torch.arange(5)))


ARANGE = torch.arange(3)


@pytest.mark.parametrize(
    "x, positions, options, says",
    [
        (torch.ones(3, 5), ARANGE, {}, "d even"),
        (torch.ones(4), ARANGE, {}, r"\(\.\.\., T, d\)"),
        (torch.ones(3, 4, dtype=torch.int64), ARANGE, {}, "floating"),
        (torch.ones(3, 4), torch.arange(4), {}, r"shape \(T,\) = \(3,\)"),
        (torch.ones(1, 3, 4), torch.arange(3)[None], {}, r"shape \(T,\)"),
        (torch.ones(3, 4), ARANGE.float(), {}, "whole numbers"),
        (torch.ones(3, 4), ARANGE, {"base": 0.0}, "base must be above 0"),
        (torch.ones(3, 4), ARANGE, {"layout": "thirds"}, "layout must be one of"),
    ],
)
def test_what_cannot_be_turned_is_named(x, positions, options, says):
    with pytest.raises(ValueError, match=says):
        rotary_embedding(x, positions, **options)


def test_other_arguments_that_cannot_be_used_are_named():
    for make in (lambda: RotaryPositions(5), lambda: RotaryPositions(0), lambda: pairs_to_halves(3)):
        with pytest.raises(ValueError, match="must be even"):
            make()
    with pytest.raises(ValueError, match="even number of rows"):
        change_layout(torch.ones(9, 2), 3, to="pairs")
    with pytest.raises(ValueError, match="to must be one of"):
        change_layout(torch.ones(8, 2), 2, to="other")
    with pytest.raises(ValueError, match="start must be"):
        RotaryPositions(4)(torch.ones(2, 4), start=-1)
    with pytest.raises(ValueError, match="d_head = 4"):
        RotaryPositions(4)(torch.ones(2, 6))
