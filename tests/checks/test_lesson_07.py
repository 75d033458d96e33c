"""The exercises of lesson 07 against torch, and against wrong answers that no misconception tells of."""

import pytest
import torch
import torch.nn.functional as F

from clearformer.checks import catalogue, judge_here
from clearformer.nn import EncoderLayer
from clearformer.nn.residual import ResidualLayer

NORM = catalogue.find("layer_norm")
SEEDS = (2017, 0, 1)


@pytest.mark.parametrize("number", range(len(NORM.alternatives)))
def test_the_right_layer_norms_are_those_of_torch(number):
    for case in NORM.cases:
        call = case.inputs(3)
        x, weight, bias = call.args
        expected = F.layer_norm(x.double(), x.shape[-1:], weight.double(), bias.double(), call.kwargs.get("eps", 1e-5))
        room = {torch.float64: 1e-9, torch.float32: 1e-5, torch.float16: 1e-2, torch.bfloat16: 5e-2}[x.dtype]
        found = NORM.alternatives[number](*call.args, **call.kwargs)
        torch.testing.assert_close(found.double(), expected, rtol=room, atol=room)


def calls_torch(x, weight, bias, eps=1e-5):
    return F.layer_norm(x, x.shape[-1:], weight, bias, eps)


def calls_torchs_module(x, weight, bias, eps=1e-5):
    norm = torch.nn.LayerNorm(x.shape[-1], eps, elementwise_affine=False)
    return norm(x) * weight + bias


def as_one_group(x, weight, bias, eps=1e-5):
    return F.group_norm(x.reshape(-1, x.shape[-1]), 1, weight, bias, eps).view_as(x)


@pytest.mark.parametrize("answer", [calls_torch, calls_torchs_module, as_one_group])
def test_a_call_of_torchs_own_norm_is_told(answer):
    verdict = judge_here(NORM, answer)
    assert (verdict.status, verdict.misconception) == ("failed", "calls-the-answer")
    assert "already is the answer" in verdict.message


@pytest.mark.parametrize(("name", "placement"), [("post_norm", "post"), ("pre_norm", "pre")])
def test_a_call_of_the_layer_of_lesson_04_is_told(name, placement):
    def answer(x, sublayer, norm):
        return ResidualLayer(0.0, placement).connect(x, sublayer, norm)

    verdict = judge_here(catalogue.find(name), answer)
    assert (verdict.status, verdict.misconception) == ("failed", "calls-the-answer")
    assert "ResidualLayer.connect. That call already is the answer" in verdict.message


@pytest.mark.parametrize("placement", ["post", "pre"])
def test_our_own_layer_is_what_the_exercises_ask_for(placement):
    torch.manual_seed(0)
    layer, place = EncoderLayer(8, 2, 16, norm=placement).double(), catalogue.find(f"{placement}_norm").reference
    x = torch.randn(2, 3, 8).double()
    by_hand = place(x, lambda x: layer.self_attention(x, x, x), layer.norm1)
    torch.testing.assert_close(place(by_hand, layer.feed_forward, layer.norm2), layer(x), rtol=0, atol=0)


def in_single_precision(x, weight, bias, eps=1e-5):
    return F.softplus(x).to(x.dtype) * 0 + NORM.alternatives[0](x.float(), weight.float(), bias.float(), eps).to(
        x.dtype
    )


def smallest_eps(x, weight, bias, eps=1e-5):
    return NORM.alternatives[0](x, weight, bias, max(eps, 1e-4))


def other_default(x, weight, bias, eps=1e-6):
    return NORM.alternatives[0](x, weight, bias, eps)


def batch_decides(x, weight, bias, eps=1e-5):
    return NORM.alternatives[0](x, weight, bias, eps) + 1e-3 * (x - x.mean(dim=0)) * (x.ndim > 2)


def norm_on_a_part(x, sublayer, norm):
    return norm(x + sublayer(x)) * 0.5 + 0.5 * norm(x + sublayer(x))


def sublayer_sees_half(x, sublayer, norm):
    return x + sublayer(0.999 * norm(x))


def residual_scaled(x, sublayer, norm):
    return norm(0.99 * x + sublayer(x))


def loses_the_gradient_of_the_sublayer(x, sublayer, norm):
    return x + sublayer(norm(x.detach()))


def drops_the_last_layer(x, layers, final_norm):
    return catalogue.find("pre_norm_stack").reference(x, layers[: max(len(layers) - 1, 1)], final_norm)


def norms_the_sum_when_it_is_large(x, layers, final_norm):
    x = catalogue.find("pre_norm_stack").reference(x, layers, lambda x: x)
    return final_norm(x / x.abs().max().clamp(min=1e-3))


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("layer_norm", in_single_precision),
        ("layer_norm", smallest_eps),
        ("layer_norm", other_default),
        ("layer_norm", batch_decides),
        ("post_norm", norm_on_a_part),
        ("post_norm", residual_scaled),
        ("pre_norm", sublayer_sees_half),
        ("pre_norm", loses_the_gradient_of_the_sublayer),
        ("pre_norm_stack", drops_the_last_layer),
        ("pre_norm_stack", norms_the_sum_when_it_is_large),
    ],
)
def test_wrong_answers_that_no_misconception_tells_of_do_not_pass(name, answer):
    for seed in SEEDS:
        assert judge_here(catalogue.find(name), answer, seed).status in ("failed", "error")


@pytest.mark.parametrize("name", ["post_norm", "pre_norm"])
@pytest.mark.parametrize("strange", [None, 3, "x", [1.0], torch.ones(1), torch.ones(2, 3).int()])
def test_strange_results_are_told_and_do_not_break_the_check(name, strange):
    assert judge_here(catalogue.find(name), lambda x, sublayer, norm: strange).status in ("failed", "error")
