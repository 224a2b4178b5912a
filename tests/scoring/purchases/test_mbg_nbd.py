"""The MBG/NBD against published values and its own definition."""

from __future__ import annotations

import numpy as np
import pytest

from app.scoring.purchases import mbg_nbd

PYMC = mbg_nbd.Model.from_params(r=0.25, alpha=4, a=0.8, b=2.5)


@pytest.fixture(scope="module")
def fitted(cdnow_weeks):
    return mbg_nbd.fit(*cdnow_weeks)


@pytest.mark.parametrize(
    ("name", "value"),
    [("r", 0.5248436), ("alpha", 6.1830928), ("a", 0.8913878), ("b", 1.6140483)],
    ids=lambda v: f"BTYDplus-{v}",
)
def test_cdnow_parameters(fitted, name, value):
    assert fitted.params[name] == pytest.approx(value, rel=1e-4)


def test_cdnow_log_likelihood_btydplus(fitted):
    assert fitted.log_likelihood == pytest.approx(-9582.13571555, abs=1e-6)
    assert fitted.status == "ok"


def test_published_pymc_marketing_log_likelihood():
    got = PYMC.log_likelihood_each([0, 200], [0, 38], 40)
    np.testing.assert_allclose(got, [-0.417928262045, 100.786909761], rtol=1e-10)


def test_a_new_customer_may_leave_at_once():
    assert PYMC.p_alive(0, 0, 0) == pytest.approx(2.5 / 3.3, rel=1e-14)


def test_predictions_agree_with_simulation():
    rng = np.random.default_rng(5)
    n, T, horizon = 400_000, 20.0, 15.0
    rate, leave = rng.gamma(0.8, 1 / 6, n), rng.beta(0.8, 2.5, n)
    model = mbg_nbd.Model.from_params(r=0.8, alpha=6, a=0.8, b=2.5)
    x, t_x, ahead = np.zeros(n), np.zeros(n), np.zeros(n)
    now, alive = np.zeros(n), np.flatnonzero(rng.random(n) > leave)
    while alive.size:
        now[alive] += rng.exponential(1 / rate[alive])
        alive = alive[now[alive] < T + horizon]
        past = alive[now[alive] < T]
        x[past] += 1
        t_x[past] = now[past]
        ahead[alive[now[alive] >= T]] += 1
        alive = alive[rng.random(alive.size) > leave[alive]]
    expected = model.expected_purchases(x, t_x, T, horizon=horizon)
    assert expected.mean() == pytest.approx(ahead.mean(), rel=0.01)
    quiet = model.p_no_purchase(x, t_x, T, horizon=horizon)
    assert quiet.mean() == pytest.approx((ahead == 0).mean(), rel=0.003)
    for k in (1, 2, 4):
        assert quiet[x == k].mean() == pytest.approx((ahead[x == k] == 0).mean(), abs=0.015)
    for k in range(4):
        assert model.pmf_new(k, T) == pytest.approx((x == k).mean(), abs=0.003)
    assert model.expected_purchases_new(T) == pytest.approx(x.mean(), rel=0.01)
