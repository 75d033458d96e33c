"""What a check of a torch module must survive and say; MultiHeadAttention is the first such exercise."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from clearformer.checks import catalogue, judge_here
from clearformer.checks.answer import AnswerError, InProcessAnswer
from clearformer.checks.catalogue.lesson_03_multi_head_attention.wrong_modules import Plain
from clearformer.checks.exercise import Call, Case
from clearformer.checks.judge import judge

EXERCISE = catalogue.find("MultiHeadAttention")


class NoModule:
    def __init__(self, d_model, num_heads, dropout=0.0):
        self.query_proj = nn.Linear(d_model, d_model)


class SuperForgotten(nn.Module):
    def __init__(self, d_model, num_heads, dropout=0.0):
        self.num_heads = num_heads


@pytest.mark.parametrize("target", [NoModule, SuperForgotten, lambda d_model, num_heads, dropout=0.0: None])
def test_what_is_no_module_is_told_so(target):
    assert "has to be a torch.nn.Module" in judge_here(EXERCISE, target).message


@pytest.mark.parametrize("use", ["parameters", "train", "eval"])
def test_every_question_to_what_is_no_module_is_an_answer_error(use):
    handle = InProcessAnswer(NoModule).make(4, 2)
    with pytest.raises(AnswerError, match=r"has to be a torch\.nn\.Module"):
        getattr(handle, use)()


class ForwardMissing(Plain):
    forward = nn.Module.forward


class ForwardIsAStub(Plain):
    def forward(self, query, key, value, mask=None):
        raise NotImplementedError("write me")


class InitIsAStub(nn.Module):
    def __init__(self, d_model, num_heads, dropout=0.0):
        super().__init__()
        raise NotImplementedError


@pytest.mark.parametrize("target", [ForwardMissing, ForwardIsAStub, InitIsAStub])
def test_a_module_without_its_code_is_unanswered(target):
    verdict = judge_here(EXERCISE, target)
    assert verdict.status == "unanswered"
    assert verdict.message.startswith("MultiHeadAttention is not written yet.")


class OperationThatTorchLacks(Plain):
    def weights(self, scores, mask):
        return torch.softmax(scores.long(), dim=-1)  # torch raises NotImplementedError


def test_an_operation_that_torch_lacks_is_an_error_and_not_a_stub():
    verdict = judge_here(EXERCISE, OperationThatTorchLacks)
    assert verdict.status == "error"
    assert "not implemented for 'Long'" in verdict.message
    assert "torch.softmax(scores.long()" in verdict.message


class ShapeLost(Plain):
    def forward(self, query, key, value, mask=None):
        return super().forward(query, key, value, mask).squeeze()


def test_a_wrong_shape_is_shown_although_no_gradient_can_follow():
    assert "output: expected shape (1, 3, 4), got (3, 4)" in judge_here(EXERCISE, ShapeLost).message


class OneLayerTooMany(Plain):
    def build(self):
        super().build()
        self.norm = nn.LayerNorm(self.d_model)


def test_a_parameter_nobody_asked_for_is_named():
    message = judge_here(EXERCISE, OneLayerTooMany).message
    assert "not the ones asked for: it has norm.weight (4,), norm.bias (4,)" in message


class InHalfTheDigits(Plain):
    def scores(self, query, key):
        return super().scores(query.float(), key.float()).to(query.dtype)


class ChangesItsInput(Plain):
    def forward(self, query, key, value, mask=None):
        output = super().forward(query, key, value, mask)
        query.data.mul_(1 + 1e-6)
        return output


class ValueGradientLost(Plain):
    def forward(self, query, key, value, mask=None):
        return super().forward(query, key, value.detach(), mask)


class KeyBiasIgnored(Plain):
    """Right outputs and gradients: a bias of the keys adds the same to every score of a row."""

    def project(self, query, key, value):
        bias = self.key_proj.bias
        return self.query_proj(query), F.linear(key, self.key_proj.weight) + 0.0 * bias, self.value_proj(value)


def test_another_way_to_the_same_numbers_passes():
    assert judge_here(EXERCISE, KeyBiasIgnored).status == "passed"


class DropsTheSameKeysForAllSentences(Plain):
    def drop(self, weights):
        return weights * F.dropout(torch.ones_like(weights[:1]), self.dropout, self.training)


class DropsTheSameKeysForAllHeads(Plain):
    def drop(self, weights):
        return weights * F.dropout(torch.ones_like(weights[:, :1]), self.dropout, self.training)


class DropsTheSameKeysForAllQueries(Plain):
    def drop(self, weights):
        return weights * F.dropout(torch.ones_like(weights[:, :, :1]), self.dropout, self.training)


class DropsWholeRows(Plain):
    def drop(self, weights):
        return weights * F.dropout(torch.ones_like(weights[..., :1]), self.dropout, self.training)


class DropsWeightsAndOutputs(Plain):
    def finish(self, merged):
        return F.dropout(super().finish(merged), self.dropout, self.training)


class MakesTheRowsSumToOneAgain(Plain):
    def drop(self, weights):
        kept = super().drop(weights)
        return kept / kept.sum(dim=-1, keepdim=True).clamp_min(1e-9)


class DropsOncePerObject(Plain):
    def drop(self, weights):
        if not self.training:
            return weights
        if getattr(self, "kept", None) is None or self.kept.shape != weights.shape:
            self.kept = F.dropout(torch.ones_like(weights), self.dropout)
        return weights * self.kept


class NeverInTrainingAgain(Plain):
    def drop(self, weights):
        self.quiet = getattr(self, "quiet", False) or not self.training
        return weights if self.quiet else F.dropout(weights, self.dropout)


class RemembersTheFirstMask(Plain):
    first = None

    def weights(self, scores, mask):
        type(self).first = mask if self.first is None else self.first
        fits = mask is not None and self.first is not None and self.first.shape == mask.shape
        return super().weights(scores, self.first if fits else mask)


class MaximumOverHiddenKeysToo(Plain):
    def weights(self, scores, mask):
        exponentials = (scores - scores.amax(dim=-1, keepdim=True)).exp()
        if mask is not None:
            exponentials = exponentials * mask
        return (exponentials / exponentials.sum(dim=-1, keepdim=True)).nan_to_num(0.0)


class SmallNumberInTheDenominator(Plain):
    def weights(self, scores, mask):
        hidden = scores if mask is None else scores.masked_fill(~mask, -torch.inf)
        exponentials = hidden.exp()
        return exponentials / (exponentials.sum(dim=-1, keepdim=True) + 1e-6)


@pytest.mark.parametrize(
    "sabotage",
    [
        InHalfTheDigits,
        ChangesItsInput,
        ValueGradientLost,
        DropsTheSameKeysForAllSentences,
        DropsTheSameKeysForAllHeads,
        DropsTheSameKeysForAllQueries,
        DropsWholeRows,
        DropsWeightsAndOutputs,
        MakesTheRowsSumToOneAgain,
        DropsOncePerObject,
        NeverInTrainingAgain,
        RemembersTheFirstMask,
        MaximumOverHiddenKeysToo,
        SmallNumberInTheDenominator,
    ],
)
def test_wrong_modules_that_no_misconception_tells_of_do_not_pass(sabotage):
    for seed in (2017, 0, 1):
        assert judge_here(EXERCISE, sabotage, seed).status == "failed"


def test_a_check_leaves_torch_as_it_was():
    torch.manual_seed(5)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    with torch.no_grad():  # as some lesson may have left it
        assert judge_here(EXERCISE, Plain).status == "passed"
        assert not torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_a_notebook_in_double_precision_by_default_is_checked_too():
    torch.set_default_dtype(torch.float64)
    try:
        assert judge_here(EXERCISE, Plain).status == "passed"
    finally:
        torch.set_default_dtype(torch.float32)


def test_an_exercise_whose_own_right_answer_fails_is_a_bug_that_is_told():
    import dataclasses

    broken = Case("no such argument", lambda rng: Call(surprise=1), ask=lambda answer, call: answer.make(**call.kwargs))
    exercise = dataclasses.replace(EXERCISE, cases=(broken,))
    with pytest.raises(RuntimeError, match="no such argument"):
        judge(exercise, InProcessAnswer(Plain))


def test_a_class_that_an_answer_uses_and_that_is_a_stub_is_named():
    def uses_it():
        return InitIsAStub(8, 2)

    with pytest.raises(AnswerError) as caught:
        InProcessAnswer(uses_it).call()
    assert caught.value.unanswered == "InitIsAStub"
