import numpy as np
import pytest
import torch

from clearformer.checks.answer import PRINTED_LIMIT, AnswerError, InProcessAnswer
from clearformer.checks.guard import Guard


def failing(target, *args, **options):
    with pytest.raises(AnswerError) as caught:
        InProcessAnswer(target, **options).call(*args)
    return caught.value


def test_a_call_returns_a_copy_that_later_calls_cannot_change():
    kept = np.zeros(3)

    def answer(x):
        kept[:] = x
        return kept

    handle = InProcessAnswer(answer)
    first = handle.call(1.0)
    handle.call(2.0)
    assert first.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    "change",
    [
        lambda x, y: x.__imul__(2),
        lambda x, y: y.append(1),
        lambda x, y: x.sort(),
    ],
)
def test_changing_an_argument_is_noticed(change):
    handle = InProcessAnswer(change)
    handle.call(np.array([3.0, 1.0]), [0])
    assert len(handle.changed) == 1


def test_nan_in_an_argument_is_no_change():
    handle = InProcessAnswer(lambda x, y: None)
    handle.call(np.array([np.nan, 1.0]), torch.tensor([float("nan")]))
    assert not handle.changed


def test_an_error_names_its_kind_and_line():
    def answer(x):
        return x + missing  # noqa: F821

    error = failing(answer, 1)
    assert (error.kind, error.text) == ("NameError", "name 'missing' is not defined")
    assert "return x + missing" in error.where


@pytest.mark.parametrize("ending", [SystemExit, RecursionError, MemoryError])
def test_answers_that_end_the_program_come_back_as_errors(ending):
    def answer():
        raise ending

    assert failing(answer).kind == ending.__name__


def test_a_keyboard_interrupt_is_the_persons_own_and_passes_through():
    def answer():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        InProcessAnswer(answer).call()


def test_a_stub_is_unanswered_and_so_is_whoever_calls_it():
    def softmax(x):
        raise NotImplementedError

    assert failing(softmax, 1).unanswered == "softmax"
    assert failing(lambda x: softmax(x), 1).unanswered == "softmax"
    for nothing in (None, ...):
        with pytest.raises(AnswerError) as caught:
            InProcessAnswer(nothing).value()
        assert caught.value.unanswered


def test_printing_is_kept_to_a_limit():
    def answer():
        for _ in range(10_000):
            print("x" * 100)

    handle = InProcessAnswer(answer)
    handle.call()
    assert len(handle.printed) < PRINTED_LIMIT + 100
    assert handle.printed.endswith("(more was printed)")


def test_gradients_of_a_function_are_torch_autograds():
    x, grad = torch.randn(3, 4, dtype=torch.float64), torch.randn(3, 4, dtype=torch.float64)
    output, gradients = InProcessAnswer(torch.tanh).call_with_gradients((x,), grad)
    torch.testing.assert_close(gradients[0], grad * (1 - output**2))
    assert x.grad is None and not x.requires_grad


class Scaled(torch.nn.Module):
    def __init__(self, size):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(size))

    def forward(self, x):
        return self.weight * x if self.training else x


def test_a_module_is_made_loaded_called_and_differentiated():
    module = InProcessAnswer(Scaled).make(2)
    assert module.parameters() == {"weight": (2,)}
    module.load({"weight": torch.tensor([2.0, 3.0])})
    output, inputs, parameters = module.call_with_gradients((torch.ones(2),), torch.tensor([1.0, 10.0]))
    assert output.tolist() == [2.0, 3.0]
    assert inputs[0].tolist() == [2.0, 30.0]
    assert parameters["weight"].tolist() == [1.0, 10.0]
    module.eval()
    assert module.call(torch.ones(2)).tolist() == [1.0, 1.0]


def test_a_parameter_that_is_missing_or_too_much_is_named():
    module = InProcessAnswer(Scaled).make(2)
    with pytest.raises(AnswerError, match=r"no parameter scale \(2,\).*it has weight \(2,\)"):
        module.load({"scale": torch.ones(2)})
    with pytest.raises(AnswerError, match=r"no parameter weight \(3,\)"):
        module.load({"weight": torch.ones(3)})


def test_a_class_that_is_no_module_is_told_so():
    module = InProcessAnswer(dict).make()
    with pytest.raises(AnswerError, match=r"torch\.nn\.Module"):
        module.parameters()


def library_softmax(x):
    return torch.nn.functional.softmax(x, dim=-1)


@pytest.mark.parametrize(
    ("name", "uses"),
    [
        ("torch.softmax", lambda x: torch.softmax(x, -1)),
        ("torch.nn.functional.softmax", library_softmax),
        ("torch.Tensor.softmax", lambda x: x.softmax(-1)),
        ("torch.nn.MultiheadAttention", lambda x: torch.nn.MultiheadAttention(2, 1)),
        (
            "torch.nn.functional.scaled_dot_product_attention",
            lambda x: torch.nn.functional.scaled_dot_product_attention(x, x, x),
        ),
    ],
)
def test_a_forbidden_library_call_is_noticed(name, uses):
    x = torch.ones(2, 2)
    assert failing(uses, x, forbidden=(name,)).forbidden == name
    InProcessAnswer(uses).call(x)  # allowed where nothing forbids it
    InProcessAnswer(lambda x: x.exp(), forbidden=(name,)).call(x)


def test_a_forbidden_call_cannot_be_hidden_by_a_bare_except():
    def sly(x):
        try:
            return torch.softmax(x, -1)
        except BaseException:
            return x

    assert failing(sly, torch.ones(2), forbidden=("torch.softmax",)).forbidden == "torch.softmax"


def test_functions_of_a_forbidden_module_are_noticed_under_any_name():
    from clearformer.numpy.attention import softmax as innocent

    modules = ("clearformer.numpy.attention",)
    assert failing(lambda x: innocent(x), np.ones(2), modules=modules).forbidden.endswith(".softmax")


def test_the_guard_puts_back_what_it_found():
    import sys

    before = sys.getprofile()
    with Guard(("torch.softmax",)):
        assert sys.getprofile() is not before
    assert sys.getprofile() is before
