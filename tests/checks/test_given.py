import contextlib

import numpy as np
import pytest
import torch

from clearformer.checks.answer import AnswerError, InProcessAnswer
from clearformer.checks.given import Callback, Generator, Layer, rebuilt, with_weights


def test_a_generator_is_numpys_with_that_seed_and_keeps_its_state():
    handle, generator = InProcessAnswer(lambda rng: rng.random(3)), Generator(7)
    expected = np.random.default_rng(7)
    assert handle.call(generator).tolist() == expected.random(3).tolist()
    assert handle.call(rng=generator).tolist() == expected.random(3).tolist()
    assert handle.call(Generator(7)).tolist() == np.random.default_rng(7).random(3).tolist()


def test_another_answer_gets_a_generator_of_its_own():
    generator = Generator(7)
    first, second = (InProcessAnswer(lambda rng: rng.random()).call(generator) for _ in range(2))
    assert first == second


def test_a_callback_is_called_and_cannot_be_changed_by_its_caller():
    seen = []

    def double(x):
        seen.append(x)
        return 2 * x

    def answer(function, x):
        result = function(x)
        x += 1
        return result

    handle = InProcessAnswer(answer)
    assert handle.call(Callback(double, "double"), np.ones(2)).tolist() == [2.0, 2.0]
    assert seen[0].tolist() == [1.0, 1.0]


def test_a_callback_has_so_many_calls_in_each_question():
    calls = []

    def answer(function, count):
        for _ in range(count):
            function()
        return count

    handle, callback = InProcessAnswer(answer), Callback(lambda: calls.append(1), "next_token_logits", limit=3)
    assert [handle.call(callback, 3) for _ in range(2)] == [3, 3]
    with pytest.raises(AnswerError, match=r"called next_token_logits more than 3 times") as caught:
        handle.call(callback, 4)
    assert caught.value.kind == "TooManyCalls"
    assert len(calls) == 9
    assert handle.call(callback, 3) == 3


def test_hiding_the_cap_behind_a_bare_except_does_not_help():
    def answer(function):
        for _ in range(100):
            with contextlib.suppress(BaseException):
                function()
        return "done"

    with pytest.raises(AnswerError, match="more than 5 times"):
        InProcessAnswer(answer).call(Callback(lambda: None, "f", limit=5))


@pytest.mark.parametrize("error", [ValueError, IndexError, TypeError, KeyError])
def test_what_a_callback_raises_arrives_in_the_answer(error):
    def fails():
        raise error("no such token")

    def answer(function):
        try:
            function()
        except error as caught:
            return str(caught)

    assert "no such token" in InProcessAnswer(answer).call(Callback(fails, "fails"))
    with pytest.raises(AnswerError) as caught:
        InProcessAnswer(lambda function: function()).call(Callback(fails, "fails"))
    assert caught.value.kind == error.__name__
    assert "function: function()" in caught.value.where


def test_layers_are_torchs_with_the_weights_they_were_given():
    weight, bias = torch.arange(6.0, dtype=torch.float64).reshape(2, 3), torch.ones(2, dtype=torch.float64)
    layer = Layer("Linear", 3, 2, weights={"weight": weight, "bias": bias})
    x = torch.ones(4, 3, dtype=torch.float64)
    output = InProcessAnswer(lambda layer, x: layer(x)).call(layer, x)
    assert output.equal(x @ weight.T + bias)


def test_layers_are_nested_and_named():
    inner = Layer("ModuleDict", {"query": Layer("Linear", 2, 2), "act": Layer("ReLU")})
    model = Layer("Sequential", {"embedding": Layer("Embedding", 5, 2), "block": inner})
    handle = InProcessAnswer(lambda model: None)
    assert handle.given(model).parameters() == {
        "embedding.weight": (5, 2),
        "block.query.weight": (2, 2),
        "block.query.bias": (2,),
    }


def test_the_same_layer_in_two_places_is_one_layer():
    shared = Layer("Linear", 2, 2)
    handle = InProcessAnswer(lambda layers, one: layers[0] is layers[1] is one)
    assert handle.call([shared, shared], shared) is True
    assert handle.call([Layer("Linear", 2, 2), shared], shared) is False


def test_weights_are_drawn_for_every_parameter_and_half_precision_stays():
    layer = with_weights(np.random.default_rng(0), Layer("Sequential", Layer("Linear", 2, 2, dtype="float16")))
    layer = with_weights(np.random.default_rng(0), Layer("LayerNorm", 4, dtype="float16"))
    assert set(layer.weights) == {"weight", "bias"}
    assert InProcessAnswer(lambda layer: layer.weight).call(layer).dtype == torch.float16


def test_building_a_layer_leaves_the_random_state_alone():
    torch.manual_seed(3)
    state = torch.get_rng_state()
    InProcessAnswer(lambda layer: None).call(Layer("Linear", 8, 8))
    assert torch.get_rng_state().equal(state)


def test_a_layer_that_nobody_knows_is_refused():
    with pytest.raises(ValueError, match=r"kind: got 'Unfold'"):
        Layer("Unfold", 2)


@pytest.mark.parametrize(
    "given",
    [
        Generator(5),
        Layer("LayerNorm", 4, label="norm", dtype="float32", frozen=True, eps=1e-3),
        Layer("Sequential", Layer("Linear", 2, 2), Layer("Dropout", 0.5)),
    ],
)
def test_a_description_can_be_taken_apart_and_put_together(given):
    again = rebuilt(type(given).__name__, given.fields())
    assert repr(again) == repr(given)
    assert again.fields() == given.fields()


def test_an_argument_that_was_changed_is_put_back_for_the_next_question():
    def answer(x, words, count):
        before = x.tolist(), [*words], dict(count)
        x *= 2
        words.append("more")
        count.clear()
        return before

    handle = InProcessAnswer(answer)
    arguments = np.arange(4.0)[::-1], ["a"], {"b": 1}
    first, second = handle.call(*arguments), handle.call(*arguments)
    assert first == second == ([3.0, 2.0, 1.0, 0.0], ["a"], {"b": 1})
    assert handle.changed == {0, 1, 2}


def test_watched_layers_tell_their_order_and_their_gradients():
    layers = [with_weights(np.random.default_rng(i), Layer("Linear", 2, 2, label=f"layer {i}")) for i in range(2)]
    x = torch.ones(3, 2, dtype=torch.float64)
    handle = InProcessAnswer(lambda x, layers: layers[0](layers[1](x)).exp())
    seen = handle.call_watched((x, layers), torch.ones_like(x))
    assert seen["calls"] == [("layer 1", "forward"), ("layer 0", "forward")]
    weights = [layer.weights for layer in layers]
    inner = x @ weights[1]["weight"].T + weights[1]["bias"]
    outer = (inner @ weights[0]["weight"].T + weights[0]["bias"]).exp()
    torch.testing.assert_close(seen["output"], outer)
    torch.testing.assert_close(seen["parameters"]["layer 0"]["bias"], outer.sum(0))
    torch.testing.assert_close(seen["parameters"]["layer 0"]["weight"], outer.T @ inner)
    torch.testing.assert_close(seen["gradients"][0], outer @ weights[0]["weight"] @ weights[1]["weight"])
    assert seen["gradients"][1] is None
    assert (3, 2) in seen["saved"]
    assert handle.call_watched((x, layers), x, without_gradient=(0,))["gradients"] == [None, None]


def test_only_layers_with_a_label_are_watched():
    named = Layer("Sequential", Layer("Linear", 2, 2, label="inside"), Layer("Tanh"))
    x = torch.ones(1, 2, dtype=torch.float64)
    seen = InProcessAnswer(lambda layer, x: layer(layer(x))).call_watched((named, x), x)
    assert seen["calls"] == [("inside", "forward")] * 2
    assert set(seen["parameters"]) == {"inside"}
