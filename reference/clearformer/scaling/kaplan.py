"""What a decoder's loss is for a budget, by Kaplan et al. 2020, "Scaling Laws for Neural Language Models".

Loss in nats a token, N in parameters without embeddings, D in tokens, C in PF-days. The constants belong to their data
(WebText2), their vocabulary of 50,257 and their decoders: another tokenizer gives other constants.
"""

import math

from clearformer.scaling._arguments import require_positive

PF_DAY = 1e15 * 24 * 60 * 60  # 8.64e19 floating-point operations


def training_flops(num_parameters, num_tokens):
    """6ND: floating-point operations of training on every token once (Kaplan et al. 2020, section 2.1).

    A parameter takes part in one multiply-add a token, 2 operations, in the forward pass, and in two of them in the
    backward pass. num_parameters is without embeddings; the part of attention that grows with the length of the context
    is left out. ValueError where an argument is not a positive, finite number.
    """
    require_positive(num_parameters=num_parameters, num_tokens=num_tokens)
    return 6 * num_parameters * num_tokens


def to_pf_days(flops):
    """Floating-point operations → PF-days: a day at 10¹⁵ operations a second is 8.64e19."""
    require_positive(flops=flops)
    return flops / PF_DAY


def decoder_parameters(num_layers, d_model):
    """12 · num_layers · d_model²: a decoder without embeddings, with d_ff = 4 · d_model (section 2.1).

    4 · d_model² for the projections of attention and 8 · d_model² for the feed-forward; biases and norms left out.
    """
    require_positive(num_layers=num_layers, d_model=d_model)
    return 12 * num_layers * d_model**2


def loss_by_parameters(num_parameters):
    """L(N) = (8.8e13 / N)^0.076: enough data, trained to the end (eq. 1.1). Nats a token."""
    require_positive(num_parameters=num_parameters)
    return (8.8e13 / num_parameters) ** 0.076


def loss_by_tokens(num_tokens):
    """L(D) = (5.4e13 / D)^0.095: a large model, stopped early, on D different tokens (eq. 1.2). Nats a token."""
    require_positive(num_tokens=num_tokens)
    return (5.4e13 / num_tokens) ** 0.095


def loss_by_compute(pf_days):
    """L(C_min) = (3.1e8 / C_min)^0.050: the best size for the budget, small batches (eq. 1.3). Nats a token."""
    require_positive(pf_days=pf_days)
    return (3.1e8 / pf_days) ** 0.050


def optimal_parameters(pf_days):
    """N_opt = 1.3e9 · C_min^0.73 (table 6)."""
    require_positive(pf_days=pf_days)
    return 1.3e9 * pf_days**0.73


def optimal_batch(pf_days):
    """B = 2.0e6 · C_min^0.24: the critical batch, in tokens, at the loss that the budget leads to (table 6)."""
    require_positive(pf_days=pf_days)
    return 2.0e6 * pf_days**0.24


def minimal_steps(pf_days):
    """S_min = 5.4e3 · C_min^0.03: steps that no batch, however large, can go below (table 6)."""
    require_positive(pf_days=pf_days)
    return 5.4e3 * pf_days**0.03


def optimal_tokens(pf_days):
    """D_opt = 2e10 · C_min^0.27, the variant of table 6.

    It is what 2 · S_min steps of the critical batch read. The text of the paper has 4e10 · C_min^0.26 for one pass over
    the data.
    """
    require_positive(pf_days=pf_days)
    return 2e10 * pf_days**0.27


def tokens_against_overfitting(num_parameters):
    """D ≥ 5e3 · N^0.74: different tokens that keep overfitting within the noise between seeds (eq. 4.4)."""
    require_positive(num_parameters=num_parameters)
    return 5e3 * num_parameters**0.74


def critical_batch_size(loss):
    """B_crit = 2e8 · L^(−1 / 0.21), in tokens (eq. 1.4). It grows as the loss, in nats a token, falls.

    ValueError where the loss is not a positive, finite number.
    """
    require_positive(loss=loss)
    return 2e8 * loss ** (-1 / 0.21)


def steps_ratio(batch, critical_batch):
    """S / S_min = 1 + B_crit / B (eq. 5.4; McCandlish et al. 2018, eq. 2.11). Both batches in one unit."""
    require_positive(batch=batch, critical_batch=critical_batch)
    return 1 + critical_batch / batch


def compute_ratio(batch, critical_batch):
    """C / C_min = 1 + B / B_crit (eq. 5.5): what a large batch costs. At B_crit both ratios are 2."""
    require_positive(batch=batch, critical_batch=critical_batch)
    return 1 + batch / critical_batch


def width(num_parameters, num_layers):
    """d_model = √(N / (12 · num_layers)): `decoder_parameters` the other way round. Not rounded."""
    require_positive(num_parameters=num_parameters, num_layers=num_layers)
    return math.sqrt(num_parameters / (12 * num_layers))
