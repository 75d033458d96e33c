"""What the readers of Hugging Face's models have in common."""

ACTIVATIONS = {
    "relu": "relu",
    "gelu": "gelu",
    "silu": "silu",
    "swish": "silu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
}  # theirs: ours


def require_form(kind, holds, message):
    """ValueError unless this holds of the configuration of a model of this kind, such as "GPT-2"."""
    if not holds:
        raise ValueError(f"this {kind} configuration is not one of ours: {message}")


def require_activation(kind, field, name):
    """Our name of an activation; ValueError where we have none."""
    require_form(kind, name in ACTIVATIONS, f"{field} must be one of {', '.join(ACTIVATIONS)}; got {name!r}")
    return ACTIVATIONS[name]


def read_weight(kind, state, name):
    """state[name]; ValueError where it is missing."""
    if name not in state:
        raise ValueError(f"these are not the weights of such a {kind} model: {name} is missing")
    return state[name]


def is_one_table(kind, state, *names):
    """Are all these the same numbers in memory?"""
    return len({read_weight(kind, state, name).data_ptr() for name in names}) == 1


def with_weights(ours, theirs, weights):
    """Our model with these weights, in the dtype, on the device and in the mode of theirs."""
    example = next(theirs.parameters())
    ours = ours.to(example.device, example.dtype).train(theirs.training)
    ours.load_state_dict(weights)
    return ours
