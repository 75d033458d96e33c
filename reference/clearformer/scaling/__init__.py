"""How loss, size, data and compute go together: the laws of 2020 and 2022, and fitting one's own."""

from clearformer.scaling.chinchilla import CHINCHILLA, REFIT_2024, LossSurface, compute_optimal
from clearformer.scaling.fitting import Band, bootstrap_power_law, fit_loss_surface, fit_power_law
from clearformer.scaling.kaplan import (
    PF_DAY,
    compute_ratio,
    critical_batch_size,
    decoder_parameters,
    loss_by_compute,
    loss_by_parameters,
    loss_by_tokens,
    minimal_steps,
    optimal_batch,
    optimal_parameters,
    optimal_tokens,
    steps_ratio,
    to_pf_days,
    tokens_against_overfitting,
    training_flops,
    width,
)

__all__ = [
    "CHINCHILLA",
    "PF_DAY",
    "REFIT_2024",
    "Band",
    "LossSurface",
    "bootstrap_power_law",
    "compute_optimal",
    "compute_ratio",
    "critical_batch_size",
    "decoder_parameters",
    "fit_loss_surface",
    "fit_power_law",
    "loss_by_compute",
    "loss_by_parameters",
    "loss_by_tokens",
    "minimal_steps",
    "optimal_batch",
    "optimal_parameters",
    "optimal_tokens",
    "steps_ratio",
    "to_pf_days",
    "tokens_against_overfitting",
    "training_flops",
    "width",
]
