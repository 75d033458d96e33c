"""Kaplan's laws agree with the numbers of their paper and with each other."""

import math

import numpy as np
import pytest

from clearformer.scaling import kaplan

POSITIVE = (0, -1.0, float("nan"), float("inf"), "1e9", None, True, np.array([1.0, 0.0]))
LAWS = {
    "num_parameters": (kaplan.loss_by_parameters, kaplan.tokens_against_overfitting),
    "num_tokens": (kaplan.loss_by_tokens,),
    "flops": (kaplan.to_pf_days,),
    "loss": (kaplan.critical_batch_size,),
    "pf_days": (
        kaplan.loss_by_compute,
        kaplan.optimal_parameters,
        kaplan.optimal_batch,
        kaplan.minimal_steps,
        kaplan.optimal_tokens,
    ),
}


def test_a_pf_day_is_a_day_at_ten_to_the_fifteen_operations_a_second():
    assert kaplan.PF_DAY == 8.64e19
    assert kaplan.to_pf_days(kaplan.PF_DAY) == 1.0


def test_chinchilla_costs_what_its_paper_says():
    # 70 billion parameters, 1.4 trillion tokens; Hoffmann et al. 2022 state 5.76e23 for the budget, from a finer count
    assert kaplan.training_flops(70e9, 1.4e12) == pytest.approx(5.88e23)
    assert kaplan.training_flops(70e9, 1.4e12) == pytest.approx(5.76e23, rel=0.03)


@pytest.mark.parametrize(
    ("law", "at"),
    [
        (kaplan.loss_by_parameters, 8.8e13),
        (kaplan.loss_by_tokens, 5.4e13),
        (kaplan.loss_by_compute, 3.1e8),
    ],
)
def test_at_its_constant_a_law_of_the_loss_is_one(law, at):
    assert law(at) == 1.0


@pytest.mark.parametrize(
    ("law", "exponent"),
    [
        (kaplan.loss_by_parameters, -0.076),
        (kaplan.loss_by_tokens, -0.095),
        (kaplan.loss_by_compute, -0.050),
        (kaplan.optimal_parameters, 0.73),
        (kaplan.optimal_batch, 0.24),
        (kaplan.minimal_steps, 0.03),
        (kaplan.optimal_tokens, 0.27),
        (kaplan.tokens_against_overfitting, 0.74),
        (kaplan.critical_batch_size, -1 / 0.21),
    ],
)
def test_doubling_multiplies_by_two_to_the_exponent(law, exponent):
    assert law(5.0) / law(2.5) == pytest.approx(2**exponent, rel=1e-12)


@pytest.mark.parametrize(
    ("law", "constant"),
    [
        (kaplan.optimal_parameters, 1.3e9),
        (kaplan.optimal_batch, 2.0e6),
        (kaplan.minimal_steps, 5.4e3),
        (kaplan.optimal_tokens, 2e10),
        (kaplan.tokens_against_overfitting, 5e3),
        (kaplan.critical_batch_size, 2e8),
    ],
)
def test_at_one_the_other_laws_give_their_constants(law, constant):
    assert law(1.0) == constant


def test_one_pf_day_buys_what_the_laws_of_size_batch_and_steps_say_together():
    # 6 · N · B · S is the budget again: three laws fitted apart agree within their rounding
    for pf_days in (1e-3, 1.0, 1e3):
        bought = kaplan.training_flops(
            kaplan.optimal_parameters(pf_days), kaplan.optimal_batch(pf_days) * kaplan.minimal_steps(pf_days)
        )
        assert kaplan.to_pf_days(bought) == pytest.approx(pf_days, rel=0.03)


def test_the_tokens_of_table_6_are_those_of_twice_the_minimal_steps():
    for pf_days in (1e-3, 1.0, 1e3):
        read = 2 * kaplan.minimal_steps(pf_days) * kaplan.optimal_batch(pf_days)
        assert kaplan.optimal_tokens(pf_days) == pytest.approx(read, rel=0.1)


def test_the_batch_by_the_loss_and_by_the_budget_are_one_law():
    for pf_days in (1e-3, 1.0, 1e3):
        by_loss = kaplan.critical_batch_size(kaplan.loss_by_compute(pf_days))
        assert by_loss == pytest.approx(kaplan.optimal_batch(pf_days), rel=0.1)


def test_the_critical_batch_grows_as_the_loss_falls():
    sizes = [kaplan.critical_batch_size(loss) for loss in (10.8, 5.0, 3.0, 2.0)]
    assert sizes == sorted(sizes)


def test_a_billion_parameters_want_the_22_billion_tokens_of_webtext2():
    # section 4.2: below 1e9 parameters there is hardly any overfitting on the 22 billion tokens
    assert kaplan.tokens_against_overfitting(1e9) == pytest.approx(22e9, rel=0.05)


def test_gpt_2_and_gpt_3_have_about_the_parameters_of_the_formula():
    assert kaplan.decoder_parameters(48, 1600) == pytest.approx(1.5e9, rel=0.03)
    assert kaplan.decoder_parameters(96, 12_288) == pytest.approx(175e9, rel=0.01)


def test_width_undoes_the_count():
    assert kaplan.width(kaplan.decoder_parameters(24, 1024), 24) == pytest.approx(1024)


def test_steps_and_compute_trade_along_one_hyperbola():
    for batch in (0.1, 1.0, 7.0):
        steps, compute = kaplan.steps_ratio(batch, 1.0), kaplan.compute_ratio(batch, 1.0)
        assert (steps - 1) * (compute - 1) == pytest.approx(1)  # McCandlish et al. 2018, eq. 2.11
        assert compute == pytest.approx(batch * steps)  # what is computed is steps times batch
    assert (kaplan.steps_ratio(3, 3), kaplan.compute_ratio(3, 3)) == (2, 2)


def test_an_array_of_sizes_gives_an_array_of_losses():
    sizes = np.array([1e6, 1e9])
    assert kaplan.loss_by_parameters(sizes).tolist() == [kaplan.loss_by_parameters(size) for size in sizes]


@pytest.mark.parametrize("bad", POSITIVE, ids=str)
@pytest.mark.parametrize("name", LAWS)
def test_what_is_not_positive_is_refused_by_name(name, bad):
    for law in LAWS[name]:
        with pytest.raises(ValueError, match=f"{name} must be positive"):
            law(bad)


@pytest.mark.parametrize(
    ("law", "names"),
    [
        (kaplan.training_flops, ("num_parameters", "num_tokens")),
        (kaplan.decoder_parameters, ("num_layers", "d_model")),
        (kaplan.width, ("num_parameters", "num_layers")),
        (kaplan.steps_ratio, ("batch", "critical_batch")),
        (kaplan.compute_ratio, ("batch", "critical_batch")),
    ],
)
def test_each_of_two_arguments_is_refused_by_name(law, names):
    for place, name in enumerate(names):
        arguments = [1.0, 1.0]
        arguments[place] = math.nan
        with pytest.raises(ValueError, match=f"^{name} must be positive"):
            law(*arguments)
