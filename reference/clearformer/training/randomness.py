"""The state of every source of random numbers that training may draw from, as tensors."""

import random

import numpy as np
import torch


def set_seeds(seed, process=0):
    """Seed torch (every device), NumPy and Python; processes of one run get different numbers from one seed."""
    words = np.random.SeedSequence([seed, process]).generate_state(3)
    torch.manual_seed(int(words[0]))
    np.random.seed(int(words[1]))
    random.seed(int(words[2]))


def random_state(device="cpu"):
    """The states of torch (CPU and, if given, one CUDA device), NumPy and Python: {name: tensor}.

    The tensors have the same sizes every time.
    """
    numpy_state = np.random.get_state(legacy=False)
    _, python_words, python_gauss = random.getstate()
    state = {
        "torch": torch.get_rng_state(),
        "numpy": torch.tensor([*map(int, numpy_state["state"]["key"]), numpy_state["state"]["pos"]]),
        "numpy_gauss": _maybe(numpy_state["gauss"] if numpy_state["has_gauss"] else None),
        "python": torch.tensor(python_words),
        "python_gauss": _maybe(python_gauss),
    }
    if torch.device(device).type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def restore_random_state(state, device="cpu"):
    """Go on where random_state was taken. A state taken without CUDA leaves CUDA's alone."""
    torch.set_rng_state(state["torch"])
    gauss = _number(state["numpy_gauss"])
    *key, position = state["numpy"].tolist()
    numpy_state = {"key": np.array(key, dtype=np.uint32), "pos": position}
    np.random.set_state(
        {"bit_generator": "MT19937", "state": numpy_state, "has_gauss": int(gauss is not None), "gauss": gauss or 0.0}
    )
    random.setstate((3, tuple(state["python"].tolist()), _number(state["python_gauss"])))
    if "cuda" in state and torch.device(device).type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)


def _maybe(number):
    return torch.tensor([number is not None, number or 0.0], dtype=torch.float64)


def _number(pair):
    return pair[1].item() if pair[0] else None
