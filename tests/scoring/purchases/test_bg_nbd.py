"""The BG/NBD against published values, mpmath and the definition of the model."""

from __future__ import annotations

import numpy as np
import pytest
from mpmath import mp, mpf

from app.scoring.purchases import bg_nbd

PAPER = bg_nbd.Model.from_params(r=0.243, alpha=4.414, a=0.793, b=2.426)
PYMC = bg_nbd.Model.from_params(r=0.25, alpha=4, a=0.8, b=2.5)


@pytest.fixture(scope="module")
def fitted(cdnow_weeks):
    return bg_nbd.fit(*cdnow_weeks)


@pytest.mark.parametrize(
    ("name", "value"),
    [("r", 0.24259454), ("alpha", 4.4136019), ("a", 0.7929199), ("b", 2.4258880)],
    ids=lambda v: f"CLVTools-test_correctness_bgnbd-{v}",
)
def test_cdnow_parameters(fitted, name, value):
    assert fitted.params[name] == pytest.approx(value, rel=1e-5)


def test_cdnow_log_likelihood_clvtools(fitted, cdnow_weeks):
    assert fitted.log_likelihood == pytest.approx(-9582.42920667, abs=1e-6)
    assert fitted.log_likelihood_each(*cdnow_weeks).sum() == pytest.approx(-9582.42920667, abs=1e-6)
    assert fitted.status == "ok"
    assert fitted.n == 2357


@pytest.mark.parametrize(
    ("got", "value", "rel"),
    [
        pytest.param(
            lambda: PAPER.expected_purchases(2, 30.43, 38.86, horizon=39),
            1.22602817, 1e-7, id="FHL05-Excel-E[Y(39)]",
        ),
        pytest.param(
            lambda: PAPER.expected_purchases_new([39, 52]), [1.19672319, 1.44605060], 1e-7,
            id="BTYD-E[X(39)],E[X(52)]",
        ),
        pytest.param(
            lambda: PAPER.p_alive([5, 6, 7, 8], 30, 39),
            [0.705626847, 0.687091133, 0.663866181, 0.636545642], 2e-9, id="BTYD-P(alive)-x=5..8",
        ),
        pytest.param(lambda: PAPER.p_alive(23, 39, 39), 0.968555454, 1e-8, id="BTYD-man-P(alive)"),
        pytest.param(lambda: PAPER.pmf_new(10, 2), 1.07868964e-7, 1e-8, id="BTYD-man-P(X(2)=10)"),
        pytest.param(lambda: PAPER.pmf_new(0, 39), 0.573786352, 1e-8, id="lifetimes-P(X(39)=0)"),
        pytest.param(
            lambda: PAPER.pmf_new(np.arange(11, 16), 30),
            [0.0019995214, 0.0015170236, 0.0011633150, 0.0009003148, 0.0007023638], 1e-7,
            id="lifetimes-BTYD-P(X(30)=11..15)",
        ),
        pytest.param(
            lambda: PYMC.log_likelihood_each([0, 200], [0, 38], 40), [-0.5994738182, 100.795693093],
            1e-10, id="pymc-marketing-test_beta_geo-LL",
        ),
    ],
)  # fmt: skip
def test_published(got, value, rel):
    np.testing.assert_allclose(got(), value, rtol=rel)


def test_published_fhl05_excel_unconditional(fitted):
    # The sheet prints four digits of what it computes from unrounded parameters.
    got = fitted.expected_purchases_new([0.1429, 1, 3, 31.8571, 32])
    np.testing.assert_allclose(got, [0.0078, 0.0532, 0.1506, 1.0405, 1.0437], rtol=0, atol=5e-5)
    # It truncates its series, which shows at the longest time.
    assert fitted.expected_purchases_new(78) == pytest.approx(1.8576, abs=5e-4)


def test_published_clvtools_customers(fitted, cdnow, cdnow_weeks):
    rows = np.searchsorted(cdnow.customer, [1, 2, 10, 1516])
    some = [column[rows] for column in cdnow_weeks]
    alive = [0.7266197521, 0.2123901873, 1, 0.9688545008]
    np.testing.assert_allclose(fitted.p_alive(*some), alive, atol=1e-5)
    ahead = [1.55868477, 0.26012049, 0.25168180, 25.75735768]
    np.testing.assert_allclose(fitted.expected_purchases(*some, horizon=52), ahead, rtol=1e-4)
    total = fitted.expected_purchases(*cdnow_weeks, horizon=52).sum()
    assert total == pytest.approx(2089.3976, rel=1e-4)


def closed_form_conditional(params, x, t_x, T, t):
    """E[Y(t)] of Fader, Hardie and Lee (2005), eq. (10), in 60 digits."""
    with mp.workdps(60):
        r, alpha, a, b, x, t_x, T, t = map(mpf, (*params.values(), x, t_x, T, t))
        z = t / (alpha + T + t)
        power = ((alpha + T) / (alpha + T + t)) ** (r + x)
        f = mp.hyp2f1(r + x, b + x, a + b + x - 1, z)
        odds = a / (b + x - 1) * ((alpha + T) / (alpha + t_x)) ** (r + x) if x > 0 else 0
        return float((a + b + x - 1) / (a - 1) * (1 - power * f) / (1 + odds))


@pytest.mark.parametrize(
    "row", [(0, 0, 0, 10), (0, 0, 0, 78), (0, 0, 40, 3), (3, 20, 30, 52), (40, 30, 39, 1)]
)
def test_conditional_expectation_is_the_closed_form(row):
    got = PAPER.expected_purchases(*row[:3], horizon=row[3])
    assert got == pytest.approx(closed_form_conditional(PAPER.params, *row), rel=1e-12)


def test_no_repeat_purchase_is_alive_for_certain():
    assert PAPER.p_alive(0, 0, [1, 1e6]).tolist() == [1, 1]
