"""The NBD against published values and mpmath."""

from __future__ import annotations

import math

import numpy as np
import pytest
from mpmath import mp, mpf

from app.scoring.purchases import nbd


def test_cdnow_btydplus(cdnow_weeks):
    fitted = nbd.fit(*cdnow_weeks)
    assert fitted.r == pytest.approx(0.3847659, rel=1e-4)
    assert fitted.alpha == pytest.approx(12.0720137, rel=1e-4)
    assert fitted.log_likelihood == pytest.approx(-9763.6576, abs=1e-3)
    assert fitted.status == "ok"


@pytest.mark.parametrize(("x", "T", "horizon"), [(0, 0, 5), (3, 40, 0.01), (5000, 900, 1e5)])
def test_it_is_the_definition(x, T, horizon):
    model = nbd.Model.from_params(r=0.4, alpha=12)
    history = x, 1 if x else 0, T
    with mp.workdps(60):
        k, age = mpf(model.r) + x, mpf(12) + T
        quiet = (age / (age + mpf(horizon))) ** k
        value = mp.rf(mpf(model.r), x) * mpf(12) ** mpf(model.r) * age**-k
        got = model.log_likelihood_each(*history)
        assert got == pytest.approx(float(mp.log(value)), rel=1e-12)
        got = model.no_purchase_log_odds(*history, horizon=horizon)
        assert got == pytest.approx(float(mp.log(quiet / (1 - quiet))), rel=1e-12)
    assert model.p_alive(*history) == 1
    assert model.p_no_purchase(*history, horizon=horizon) == pytest.approx(float(quiet), rel=1e-11)
    assert model.expected_purchases(*history, horizon=horizon) == pytest.approx(
        (0.4 + x) / (12 + T) * horizon
    )


def test_discounting_for_ever_is_a_perpetuity():
    model = nbd.Model.from_params(r=0.4, alpha=12)
    got = model.discounted_purchases(2, 5, 8, annual_discount=0.1, periods_per_year=52)
    assert got == pytest.approx(2.4 / 20 / (math.log(1.1) / 52), rel=1e-14)


def test_pmf_is_negative_binomial():
    model = nbd.Model.from_params(r=1, alpha=4)
    np.testing.assert_allclose(model.pmf_new(np.arange(5), 12), 0.25 * 0.75 ** np.arange(5))
