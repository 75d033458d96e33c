"""MultiHeadAttention in PyTorch: against torch's own, by its laws, and where a query may attend to nothing."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

import clearformer.nn.attention
from clearformer.nn import MultiHeadAttention
from clearformer.numpy import multi_head_attention

EXACT = 1e-10  # the largest difference in float64
property_test = settings(deadline=None, max_examples=40, derandomize=True, database=None)
PROJECTIONS = ["query_proj", "key_proj", "value_proj", "output_proj"]
HALF_AND_MORE = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


def largest_difference(actual, expected):
    assert actual.shape == expected.shape
    return (actual.detach() - expected.detach()).abs().max().item() if actual.numel() else 0.0


def make(d_model=8, num_heads=2, dropout=0.0, dtype=torch.float64, seed=0):
    """A module with biases that are not zero, from a seed."""
    generator = torch.Generator().manual_seed(seed)
    module = MultiHeadAttention(d_model, num_heads, dropout).to(dtype)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / math.sqrt(d_model))
    return module


def randn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def torch_module(ours, dropout=0.0):
    """nn.MultiheadAttention with the same weights; it keeps query, key and value projections in one."""
    theirs = torch.nn.MultiheadAttention(
        ours.d_model, ours.num_heads, dropout=dropout, batch_first=True, dtype=torch.float64
    )
    into = [ours.query_proj, ours.key_proj, ours.value_proj]
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([linear.weight for linear in into]))
        theirs.in_proj_bias.copy_(torch.cat([linear.bias for linear in into]))
    theirs.out_proj.load_state_dict(ours.output_proj.state_dict())
    return theirs


def projection_gradients(module):
    return {
        kind: torch.cat([getattr(module.get_submodule(name), kind).grad for name in PROJECTIONS[:3]])
        for kind in ("weight", "bias")
    }


def hide_row(length_q, length_k, row):
    mask = torch.ones(length_q, length_k, dtype=torch.bool).tril(length_k - 2)
    mask[row] = False
    return mask


def reveal(n, dropout):
    """A module whose output is its own attention weights: one head, and all projections but two are identities.

    Query and key projections are zero, so that all weights are 1 / n before dropout.
    """
    module = MultiHeadAttention(n, 1, dropout).double()
    with torch.no_grad():
        for name in PROJECTIONS:
            linear = module.get_submodule(name)
            linear.weight.copy_(torch.eye(n) if name in ("value_proj", "output_proj") else torch.zeros(n, n))
            linear.bias.zero_()
    return module


# what it is made of


def test_submodules_have_the_names_of_the_course():
    parameters = {name: tuple(p.shape) for name, p in MultiHeadAttention(6, 3).named_parameters()}
    expected = {f"{name}.weight": (6, 6) for name in PROJECTIONS} | {f"{name}.bias": (6,) for name in PROJECTIONS}
    assert parameters == expected
    assert all(isinstance(MultiHeadAttention(6, 3).get_submodule(name), torch.nn.Linear) for name in PROJECTIONS)


def test_it_goes_through_torchs_own_attention(monkeypatch):
    calls = []

    def counted(*args, **kwargs):
        calls.append(kwargs)
        return F.scaled_dot_product_attention(*args, **kwargs)

    monkeypatch.setattr(clearformer.nn.attention, "F", SimpleNamespace(scaled_dot_product_attention=counted))
    x = randn(2, 3, 8)
    make()(x, x, x)
    make()(x, x, x, hide_row(3, 3, 1))
    assert len(calls) == 2


def test_printing_it_tells_its_sizes():
    assert "d_model=8, num_heads=2, dropout=0.1" in repr(MultiHeadAttention(8, 2, 0.1))


# against torch's module, values and gradients


@pytest.mark.parametrize("num_heads", [1, 2, 4, 8])
@pytest.mark.parametrize("masking", ["none", "causal", "padding", "both, in one mask per sequence"])
def test_values_and_gradients_equal_torch_multihead_attention(num_heads, masking):
    ours = make(8, num_heads)
    theirs = torch_module(ours)
    length_q, length_k = (5, 5) if masking in ("causal", "both, in one mask per sequence") else (4, 6)
    visible = torch.ones(3, 1, 1, length_k, dtype=torch.bool)
    visible[0, ..., -2:] = False  # padding behind, inside, and none; never in front, where the causal mask
    visible[1, ..., 1] = False  # would leave the first query nothing, for which torch's module gives NaN
    causal = torch.ones(length_q, length_k, dtype=torch.bool).tril()
    mask, keywords = {
        "none": (None, {}),
        "causal": (causal, {"attn_mask": ~causal}),
        "padding": (visible, {"key_padding_mask": ~visible[:, 0, 0]}),
        "both, in one mask per sequence": (
            visible & causal,
            {"attn_mask": ~(visible & causal).expand(-1, num_heads, -1, -1).flatten(0, 1)},
        ),
    }[masking]
    inputs = [randn(3, length_q, 8, seed=1), randn(3, length_k, 8, seed=2), randn(3, length_k, 8, seed=3)]
    our_inputs = [x.clone().requires_grad_() for x in inputs]
    their_inputs = [x.clone().requires_grad_() for x in inputs]
    our_output = ours(*our_inputs, mask)
    their_output, their_weights = theirs(*their_inputs, average_attn_weights=False, **keywords)
    assert largest_difference(our_output, their_output) <= EXACT
    assert largest_difference(ours.attention_weights(*our_inputs[:2], mask), their_weights) <= EXACT

    grad_output = randn(*our_output.shape, seed=4)
    our_output.backward(grad_output)
    their_output.backward(grad_output)
    for mine, torchs in zip(our_inputs, their_inputs, strict=True):
        assert largest_difference(mine.grad, torchs.grad) <= EXACT
    gradients = projection_gradients(ours)
    assert largest_difference(gradients["weight"], theirs.in_proj_weight.grad) <= EXACT
    assert largest_difference(gradients["bias"], theirs.in_proj_bias.grad) <= EXACT
    assert largest_difference(ours.output_proj.weight.grad, theirs.out_proj.weight.grad) <= EXACT
    assert largest_difference(ours.output_proj.bias.grad, theirs.out_proj.bias.grad) <= EXACT


@property_test
@given(
    leading=st.lists(st.integers(1, 3), max_size=3),
    length_q=st.integers(1, 4),
    length_k=st.integers(1, 4),
    num_heads=st.integers(1, 4),
    d_head=st.integers(1, 3),
    seed=st.integers(0, 2**31),
    data=st.data(),
)
def test_equals_the_numpy_reference_for_any_shape_and_mask(leading, length_q, length_k, num_heads, d_head, seed, data):
    d_model = num_heads * d_head
    module = make(d_model, num_heads, seed=seed)
    with torch.no_grad():
        for name in PROJECTIONS:
            module.get_submodule(name).bias.zero_()  # the NumPy one has none
    query, key = randn(*leading, length_q, d_model, seed=seed), randn(*leading, length_k, d_model, seed=seed + 1)
    shape = [data.draw(st.sampled_from([1, n])) for n in (*leading, num_heads, length_q, length_k)]
    shape = shape[data.draw(st.integers(0, len(shape))) :]
    mask = np.random.default_rng(seed).random(shape) < data.draw(st.sampled_from([0.0, 0.4, 0.8]))
    mask = np.asarray(mask)
    weights = [module.get_submodule(name).weight.detach().numpy().T for name in PROJECTIONS]
    output = module(query, key, key, torch.tensor(mask))
    expected = multi_head_attention(query.numpy(), key.numpy(), *weights, num_heads, mask)
    assert largest_difference(output, torch.tensor(expected)) <= EXACT
    rows = module.attention_weights(query, key, torch.tensor(mask)).sum(dim=-1)
    has_key = np.broadcast_to(mask, (*leading, num_heads, length_q, length_k)).any(axis=-1)
    assert largest_difference(rows, torch.tensor(has_key, dtype=torch.float64)) <= EXACT


def test_gradients_equal_finite_differences_with_a_hidden_row_too():
    module = make(4, 2)
    query, key, value = (randn(2, 3, 4, seed=seed).requires_grad_() for seed in range(3))
    mask = hide_row(3, 3, 1)
    assert torch.autograd.gradcheck(lambda q, k, v: module(q, k, v, mask), (query, key, value))
    assert torch.autograd.gradcheck(lambda q, k: module.attention_weights(q, k, mask), (query, key))


# a query that may attend to nothing


def naive_attention(query, key, value, attn_mask=None, dropout_p=0.0):
    """What a backend without a guard does: for a hidden row, NaN forward and backward."""
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, -math.inf)
    return F.dropout(scores.softmax(dim=-1), dropout_p) @ value


@pytest.mark.parametrize("dtype", HALF_AND_MORE, ids=str)
@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("backend", ["torch", "naive"])
def test_a_hidden_row_gives_the_output_bias_and_zero_gradients(monkeypatch, dtype, dropout, backend):
    if backend == "naive":
        functions = SimpleNamespace(scaled_dot_product_attention=naive_attention)
        monkeypatch.setattr(clearformer.nn.attention, "F", functions)
    torch.manual_seed(0)
    module = make(8, 2, dropout, dtype).train()
    query, key, value = (randn(2, 4, 8, seed=seed, dtype=dtype).requires_grad_() for seed in range(3))
    output = module(query, key, value, hide_row(4, 4, row=2))
    assert output.dtype == dtype
    assert (output[:, 2] == module.output_proj.bias).all()
    output.backward(randn(2, 4, 8, seed=4, dtype=dtype))
    everything = [query.grad, key.grad, value.grad, *(p.grad for p in module.parameters())]
    assert all(gradient.isfinite().all() for gradient in everything)
    assert (query.grad[:, 2] == 0).all()
    assert (query.grad[:, [0, 1, 3]] != 0).any()


@pytest.mark.parametrize("dtype", HALF_AND_MORE, ids=str)
def test_a_hidden_row_adds_nothing_to_the_gradients_of_keys_and_values(dtype):
    module = make(8, 2, dtype=dtype)
    mask = hide_row(4, 4, row=2)
    rest = [0, 1, 3]

    def gradients(rows):
        query, key, value = (randn(2, 4, 8, seed=seed, dtype=dtype) for seed in range(3))
        key.requires_grad_()
        value.requires_grad_()
        output = module(query[:, rows], key, value, mask[rows])
        output.backward(randn(2, 4, 8, seed=4, dtype=dtype)[:, rows])
        return key.grad, value.grad

    tolerance = {torch.float16: 1e-2, torch.bfloat16: 1e-1, torch.float32: 1e-5, torch.float64: EXACT}[dtype]
    for with_it, without in zip(gradients([0, 1, 2, 3]), gradients(rest), strict=True):
        assert largest_difference(with_it, without) <= tolerance


def test_hidden_in_every_sequence_head_and_way_of_writing_the_mask():
    module, x = make(8, 2), randn(3, 4, 8)
    bias = module.output_proj.bias.expand(3, 4, 8)
    for shape in [(), (4,), (4, 1), (4, 4), (3, 1, 1, 4), (3, 1, 4, 4), (3, 2, 4, 4), (1, 1, 1, 1)]:
        mask = torch.zeros(shape, dtype=torch.bool)
        assert torch.equal(module(x, x, x, mask), bias), shape
        assert (module.attention_weights(x, x, mask) == 0).all(), shape


def test_a_sequence_that_is_all_padding_leaves_the_others_alone():
    module, x = make(8, 2), randn(3, 4, 8)
    mask = torch.ones(3, 1, 1, 4, dtype=torch.bool)
    mask[1] = False
    output = module(x, x, x, mask)
    assert torch.equal(output[1], module.output_proj.bias.expand(4, 8))
    assert largest_difference(output[[0, 2]], module(x[[0, 2]], x[[0, 2]], x[[0, 2]])) <= EXACT


def test_a_row_hidden_in_one_head_only_keeps_the_other_heads():
    module, x = make(8, 2), randn(1, 3, 8)
    mask = torch.ones(2, 3, 3, dtype=torch.bool)
    mask[0, 1] = False
    weights = module.attention_weights(x, x, mask)
    assert (weights[0, 0, 1] == 0).all()
    assert weights[0, 1, 1].sum().item() == pytest.approx(1.0)
    assert not torch.equal(module(x, x, x, mask)[0, 1], module.output_proj.bias)


def test_without_any_key_the_output_is_the_bias():
    module = make(8, 2)
    query, none = randn(2, 3, 8), randn(2, 0, 8)
    for mask in (None, torch.ones(3, 0, dtype=torch.bool)):
        assert torch.equal(module(query, none, none, mask), module.output_proj.bias.expand(2, 3, 8))
        assert module.attention_weights(query, none, mask).shape == (2, 2, 3, 0)


# dropout


def test_dropout_acts_in_training_only():
    module, x = make(8, 2, dropout=0.5), randn(2, 6, 8)
    plain = make(8, 2)
    assert torch.equal(module.eval()(x, x, x), plain(x, x, x))
    torch.manual_seed(0)
    first, second = module.train()(x, x, x), module(x, x, x)
    assert largest_difference(first, plain(x, x, x)) > 1e-3
    assert largest_difference(first, second) > 1e-3
    torch.manual_seed(0)
    assert torch.equal(module(x, x, x), first)


def test_dropout_sets_weights_to_zero_and_scales_up_the_rest():
    """Done before the softmax, the rest would sum to 1 and not be multiples of 1 / n."""
    n = 40
    module, eye = reveal(n, dropout=0.2).train(), torch.eye(40).double().unsqueeze(0)
    torch.manual_seed(0)
    weights = module(eye, eye, eye)[0]  # (T_q, T_k)
    kept = weights != 0
    assert (weights[kept] - 1 / (n * 0.8)).abs().max() <= EXACT
    assert 0.75 < kept.double().mean() < 0.85  # 1,600 draws: a deviation of 0.01


def test_dropout_acts_on_the_weights_and_not_on_the_output():
    """With values that are all ones, each output is the sum of a row of weights, alike across the head."""
    module, ones = reveal(8, dropout=0.5).train(), torch.ones(1, 8, 8).double()
    torch.manual_seed(0)
    output = module(ones, ones, ones)[0]
    assert largest_difference(output, output[:, :1].expand(8, 8)) <= EXACT
    assert output[:, 0].unique().numel() > 1
    assert 0 < (output != 0).double().mean() <= 1


def test_dropout_of_everything_leaves_the_bias():
    module, x = make(8, 2, dropout=1.0).train(), randn(2, 3, 8)
    assert torch.equal(module(x, x, x), module.output_proj.bias.expand(2, 3, 8))


def test_attention_weights_are_shown_without_dropout():
    x = randn(2, 5, 8)
    shown = make(8, 2, dropout=0.5).train().attention_weights(x, x)
    assert largest_difference(shown, make(8, 2).attention_weights(x, x)) == 0.0


# laws


def test_future_tokens_do_not_change_the_past():
    module, x = make(8, 4), randn(2, 6, 8)
    changed = torch.cat([x[:, :4], 10 * randn(2, 2, 8, seed=5)], dim=1)
    causal = torch.ones(6, 6, dtype=torch.bool).tril()
    before, after = module(x, x, x, causal), module(changed, changed, changed, causal)
    assert largest_difference(after[:, :4], before[:, :4]) <= EXACT
    assert largest_difference(after[:, 4:], before[:, 4:]) > 1e-3


def test_padding_does_not_matter_wherever_it_is():
    module, x = make(8, 2), randn(2, 3, 8)
    for real in ([0, 1, 2], [2, 3, 4], [0, 2, 4]):
        padded = 100 * randn(2, 5, 8, seed=6)
        padded[:, real] = x
        mask = torch.zeros(2, 1, 1, 5, dtype=torch.bool)
        mask[..., real] = True
        assert largest_difference(module(x, padded, padded, mask), module(x, x, x)) <= EXACT


def test_the_order_of_keys_does_not_matter_and_that_of_queries_is_kept():
    module = make(8, 2)
    query, key, value = randn(2, 4, 8, seed=1), randn(2, 5, 8, seed=2), randn(2, 5, 8, seed=3)
    output = module(query, key, value)
    order = [3, 0, 4, 1, 2]
    assert largest_difference(module(query, key[:, order], value[:, order]), output) <= EXACT
    assert largest_difference(module(query[:, [2, 0, 3, 1]], key, value), output[:, [2, 0, 3, 1]]) <= EXACT


def test_inputs_and_mask_are_not_changed():
    module, mask = make(8, 2), hide_row(4, 4, 1)
    tensors = [randn(2, 4, 8, seed=seed) for seed in range(3)]
    copies, mask_copy = [x.clone() for x in tensors], mask.clone()
    module(*tensors, mask)
    module.attention_weights(*tensors[:2], mask)
    assert all(torch.equal(x, copy) for x, copy in zip(tensors, copies, strict=True))
    assert torch.equal(mask, mask_copy)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float16, 1e-2), (torch.bfloat16, 1e-1), (torch.float32, 1e-5)], ids=str
)
def test_keeps_the_dtype_and_is_exact_to_it(dtype, tolerance):
    narrow = make(8, 2, dtype=dtype)
    wide = make(8, 2, dtype=dtype).double()
    x, mask = randn(2, 4, 8, dtype=dtype), hide_row(4, 4, 2)
    output, weights = narrow(x, x, x, mask), narrow.attention_weights(x, x, mask)
    assert (output.dtype, weights.dtype) == (dtype, dtype)
    assert largest_difference(output.double(), wide(*[x.double()] * 3, mask)) <= tolerance
    assert largest_difference(weights.double(), wide.attention_weights(x.double(), x.double(), mask)) <= tolerance


@pytest.mark.parametrize("dtype", HALF_AND_MORE, ids=str)
def test_large_scores_stay_finite(dtype):
    module = make(8, 2, dtype=dtype)
    x = (100 * randn(2, 4, 8, dtype=dtype)).requires_grad_()
    output = module(x, x, x, hide_row(4, 4, 2))
    output.sum().backward()
    assert output.isfinite().all()
    assert x.grad.isfinite().all()


# bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((8, 3), r"num_heads must divide d_model; got d_model = 8, num_heads = 3"),
        ((0, 1), r"d_model must be a whole number of at least 1; got 0"),
        ((8, 0), r"num_heads must be a whole number of at least 1; got 0"),
        ((8, -2), r"num_heads must be a whole number of at least 1; got -2"),
        ((8.0, 2), r"d_model must be a whole number of at least 1; got 8.0"),
        ((8, 2, -0.1), r"dropout must be from 0 to 1; got -0.1"),
        ((8, 2, 1.5), r"dropout must be from 0 to 1; got 1.5"),
        ((8, 2, math.nan), r"dropout must be from 0 to 1; got nan"),
    ],
)
def test_sizes_that_cannot_be_used_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        MultiHeadAttention(*arguments)


X = torch.ones(2, 3, 8)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ((X[..., :5], X, X), r"query must have shape .* d_model = 8; got \(2, 3, 5\)"),
        ((X, X[..., :5], X), r"key must have shape .* d_model = 8; got \(2, 3, 5\)"),
        ((X, X, X[0, 0]), r"value must have shape .* d_model = 8; got \(8,\)"),
        ((X, X, X[:, :2]), r"key and value .* same shape.* value \(2, 2, 8\)"),
        ((X, X[:1], X[:1]), r"same leading axes.* query \(2, 3, 8\), key \(1, 3, 8\)"),
        ((X, X, X, torch.ones(3, 3)), r"mask must be a bool tensor.* got torch.float32"),
        ((X, X, X, torch.ones(3, 3, dtype=torch.long)), r"mask must be a bool tensor.* got torch.int64"),
        ((X, X, X, np.ones((3, 3), dtype=bool)), r"mask must be a bool tensor.* got ndarray"),
        ((X, X, X, torch.ones(3, 4, dtype=torch.bool)), r"mask .* \(2, 4, 3, 3\); got \(3, 4\)"),
        ((X, X, X, torch.ones(1, 2, 1, 1, 3, dtype=torch.bool)), r"mask .* \(2, 4, 3, 3\); got \(1, 2, 1, 1, 3\)"),
        ((X, X, X, torch.ones(2, 3, 3, dtype=torch.bool)), r"mask .* got \(2, 3, 3\); is an axis missing"),
    ],
)
def test_inputs_that_cannot_go_together_are_named(inputs, message):
    with pytest.raises(ValueError, match=message):
        MultiHeadAttention(8, 4)(*inputs)
    if len(inputs) == 4:
        query, key, _, mask = inputs
        with pytest.raises(ValueError, match=message):
            MultiHeadAttention(8, 4).attention_weights(query, key, mask)
