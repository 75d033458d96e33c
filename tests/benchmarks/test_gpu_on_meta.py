"""What is timed stays on the device and waits for nothing. Seen on "meta", whose tensors have no values to look at.

An operation between "meta" and the CPU fails, as one between a GPU and the CPU does; so does whatever reads a value,
for which a GPU would have to be waited for.
"""

import pytest
import torch

from clearformer.lora import apply_lora
from clearformer.memory import set_policy
from clearformer.models import Transformer, TransformerConfig
from clearformer.nn import Encoder

META = torch.device("meta")


@pytest.fixture
def base_step(script, monkeypatch):
    # The one place that reads values, on purpose: it looks for ids that are out of range.
    monkeypatch.setattr("clearformer.nn.embedding.require_token_ids", lambda *arguments: None)
    return script("base_step")


def steps_on_meta(base_step, model):
    batch = base_step.random_batch(model.config, 2, 5, META)
    stepper = base_step.Stepper(model.to(META), batch)
    stepper.optimizer.step = lambda: None  # on "meta" there is no fused Adam
    return stepper


@pytest.mark.parametrize("precision", ["float32", "tf32"])
@pytest.mark.parametrize("adapted", [False, True])
def test_a_training_step(base_step, precision, adapted):
    model = Transformer(TransformerConfig.preset("toy", 50, dropout=0.1))
    if adapted:
        apply_lora(model, ["query_proj", "linear1"], 8, 16)
    loss = steps_on_meta(base_step, model)(precision)
    assert loss.device == META and not loss.requires_grad
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert learning and all(parameter.grad is not None for parameter in learning)


def test_a_step_that_looked_at_its_loss_would_be_found(base_step):
    stepper = steps_on_meta(base_step, Transformer(TransformerConfig.preset("toy", 50)))
    with pytest.raises(RuntimeError):
        stepper("float32").item()


@pytest.mark.parametrize("policy", ["plain", "scores", "attention", 2, "layers"])
def test_forward_and_backward_under_each_policy(script, policy):
    model = set_policy(Encoder(4, 16, 2, 32, dropout=0.1, norm="pre"), policy).to(META).train()
    _, both = script("checkpoint_policies").passes(model, "tf32", 2, 6, META)
    both()
    assert all(parameter.grad is not None for parameter in model.parameters())
