"""What checks of torch modules ask: make it, put known weights in, look at outputs, gradients, training, evaluation."""

from __future__ import annotations

import numpy as np
import torch

from clearformer.checks.exercise import Call


class ModuleCall(Call):
    """A call of a module. The keywords are what a message shows; weights and grad_output stay out of it.

    weights      {dotted name: tensor}, all parameters of the module
    grad_output  shaped like the output: gradients are those of (output * grad_output).sum()
    inputs       which keywords are forward's positional arguments, in their order
    options      which of them go to forward by name, where they are given; all others make the module
    """

    def __init__(self, weights, grad_output, *, inputs, options=("mask",), **shown):
        super().__init__(**shown)
        self.weights, self.grad_output = weights, grad_output
        self.input_names, self._options = tuple(inputs), tuple(options)

    def settings(self):
        asked = (*self.input_names, *self._options)
        return {name: value for name, value in self.kwargs.items() if name not in asked}

    def inputs(self):
        return [self.kwargs[name] for name in self.input_names]

    def options(self):
        return {name: self.kwargs[name] for name in self._options if name in self.kwargs}


def made(answer, call, factor=1.0):
    """The answer's module in the dtype of the call's weights, with `factor` times these weights in it."""
    module = answer.make(**call.settings())
    module.to(str(call.grad_output.dtype).removeprefix("torch."))
    module.load({name: factor * weight for name, weight in call.weights.items()})
    return module


def outputs_and_gradients(answer, call, evaluation=False):
    """What most cases compare: the output, and how a loss changes with each input and each parameter."""
    module = made(answer, call)
    if evaluation:
        module.eval()
    output, of_inputs, of_parameters = module.call_with_gradients(call.inputs(), call.grad_output, call.options())
    named = zip(call.input_names, of_inputs, strict=True)
    seen = {f"gradient of {name}": gradient for name, gradient in named}
    return {"output": output} | seen | {f"gradient of {name}": of_parameters[name] for name in call.weights}


def outputs_in_evaluation(answer, call):
    return outputs_and_gradients(answer, call, evaluation=True)


def output_alone(answer, call):
    module = made(answer, call)
    return {"output": module.call(*call.inputs(), **call.options())}


def made_alone(answer, call):
    answer.make(**call.settings())
    return {}


def same_and_other_seeds(answer, call):
    """Dropout is drawn anew in training, repeatable by seed, and off in evaluation."""
    module = made(answer, call)

    def with_seed(number):
        answer.seed(number)
        return module.call(*call.inputs(), **call.options())

    first, again, other = with_seed(1), with_seed(1), with_seed(2)
    module.eval()
    quiet, still_quiet = with_seed(1), with_seed(2)
    module.train()
    loud = with_seed(1)
    return {
        "training: the same seed gives the same output": bool(first.equal(again)),
        "training: another seed gives another output": not first.equal(other),
        "evaluation: two calls give the same output": bool(quiet.equal(still_quiet)),
        "training again after evaluation: dropout is back": not loud.equal(quiet),
    }


def different_numbers(values):
    return np.unique(np.round(values.double().numpy(), 6))


def causal(seq_len):
    return torch.ones(seq_len, seq_len).tril().bool()


def tensor(rng, *shape, size=1.0, dtype=torch.float64):
    return torch.from_numpy(size * rng.normal(size=shape)).to(dtype)


def linear_weights(rng, name, d_in, d_out, dtype=torch.float64):
    """{dotted name: tensor} for the nn.Linear called `name`."""
    return {
        f"{name}.weight": tensor(rng, d_out, d_in, size=0.6, dtype=dtype),
        f"{name}.bias": tensor(rng, d_out, size=0.6, dtype=dtype),
    }
