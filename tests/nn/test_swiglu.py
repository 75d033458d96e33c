"""SwiGLU against Hugging Face's and torch's own gate, and by laws."""

import pytest
import torch

from clearformer.nn import FeedForward, SwiGLU, swiglu

EXACT = 1e-12  # the largest difference in float64


def randn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def weights(d_model=4, d_ff=6):
    return randn(d_model, d_ff, seed=1), randn(d_model, d_ff, seed=2), randn(d_ff, d_model, seed=3)


@pytest.mark.parametrize("shape", [(4,), (5, 4), (2, 3, 4), (0, 4)])
@pytest.mark.parametrize("d_ff", [6, 4, 1])
def test_the_function_is_its_formula(shape, d_ff):
    x, (gate, up, down) = randn(*shape), weights(d_ff=d_ff)
    wanted = ((x @ gate) / (1 + torch.exp(-(x @ gate))) * (x @ up)) @ down
    torch.testing.assert_close(swiglu(x, gate, up, down), wanted, atol=EXACT, rtol=0)


@pytest.mark.parametrize("bias", [False, True])
def test_the_module_is_hugging_faces(bias):
    llama = pytest.importorskip("transformers.models.llama.modeling_llama")
    config = llama.LlamaConfig(hidden_size=4, intermediate_size=6, num_attention_heads=1, mlp_bias=bias)
    theirs = llama.LlamaMLP(config).double()
    ours = SwiGLU(4, 6, bias=bias).double()
    ours.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(ours(randn(2, 3, 4)), theirs(randn(2, 3, 4)), atol=EXACT, rtol=0)


def test_module_and_function_are_one():
    module = SwiGLU(4, 6).double()
    matrices = [linear.weight.T for linear in (module.gate_proj, module.up_proj, module.down_proj)]
    torch.testing.assert_close(module(randn(2, 3, 4)), swiglu(randn(2, 3, 4), *matrices), atol=EXACT, rtol=0)


def test_two_thirds_of_the_width_have_as_many_weights_as_the_feed_forward_of_2017():
    matrices = [p.numel() for p in FeedForward(12, 48).parameters() if p.ndim == 2]
    assert sum(p.numel() for p in SwiGLU(12, 32).parameters()) == sum(matrices)


def test_large_numbers_stay_finite():
    gate, up, down = weights()
    assert swiglu(1e4 * randn(3, 4), gate, up, down).isfinite().all()
    assert swiglu(300.0 * randn(3, 4).float(), *(w.float() for w in (gate, up, down))).isfinite().all()


def test_gradients():
    arguments = [values.requires_grad_() for values in (randn(2, 4), *weights())]
    assert torch.autograd.gradcheck(swiglu, arguments)


@pytest.mark.parametrize(
    "shapes, says",
    [
        (((3, 5), (4, 6), (4, 6), (6, 4)), "d_model of x"),
        (((3, 4), (4, 6), (4, 5), (6, 4)), "w_gate and w_up"),
        (((3, 4), (4, 6), (4, 6), (4, 6)), r"w_down must have shape \(d_ff, d_model\) = \(6, 4\)"),
        (((3, 4), (6, 4), (6, 4), (4, 6)), "w_gate and w_up"),
        (((), (4, 6), (4, 6), (6, 4)), "w_gate and w_up"),
    ],
)
def test_shapes_that_cannot_go_together_are_named(shapes, says):
    with pytest.raises(ValueError, match=says):
        swiglu(*(torch.ones(shape) for shape in shapes))


def test_a_module_says_what_it_cannot_take():
    with pytest.raises(ValueError, match="d_model = 4"):
        SwiGLU(4, 6)(torch.ones(2, 5))
    for sizes in ((0, 6), (4, 2.5)):
        with pytest.raises(ValueError, match="whole number"):
            SwiGLU(*sizes)
