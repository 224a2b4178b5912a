"""The (M)BG/CNBD-k against published values, plain sums and simulation."""

from __future__ import annotations

import datetime as dt
import math

import numpy as np
import pytest
from mpmath import mp, mpf

from app.scoring.histories.collapse import collapse
from app.scoring.purchases import bg_nbd, cnbd_k, mbg_nbd
from app.scoring.purchases.erlang_likelihood import ErlangBetaGeometric
from app.scoring.purchases.phases import expected_phased

PARAMS = {"r": 0.9, "alpha": 3.0, "a": 0.8, "b": 2.5}
MODIFIED = pytest.mark.parametrize("modified", [True, False], ids=["MBG", "BG"])


@pytest.fixture(scope="module")
def weeks(cdnow, cdnow_weeks):
    return (*cdnow_weeks, cdnow.sum_log_gaps - cdnow.x * math.log(7))


@pytest.mark.parametrize(
    ("k", "value"),
    [
        pytest.param(2, -9853.2531, id="BTYDplus-LL-k=2"),
        pytest.param(3, -10394.3627, id="BTYDplus-LL-k=3"),
    ],
)
def test_cdnow_log_likelihood(weeks, k, value):
    fitted = cnbd_k.fit(*weeks[:3], sum_log_gaps=weeks[3], k=k)
    assert fitted.log_likelihood == pytest.approx(value, abs=1e-3)


def test_cdnow_k_btydplus(weeks):
    fitted = cnbd_k.fit(*weeks[:3], sum_log_gaps=weeks[3])
    assert fitted.k == 1
    assert fitted.params["k"] == 1


def test_cdnow_wheat_morrison_btydplus(cdnow_log):
    end = dt.date(1997, 9, 30).toordinal()
    days = {}
    for customer, day in zip(*(column.tolist() for column in cdnow_log[:2]), strict=True):
        if day <= end:
            days.setdefault(customer, set()).add(day)
    gaps = [np.diff(sorted(seen)) for seen in days.values() if len(seen) > 2]
    shares = [some[0] / (some[0] + some[1]) for some in gaps]
    # BTYDplus takes the two gaps in a random order, which the variance about 1/2 does not need.
    assert cnbd_k.wheat_morrison(shares) == pytest.approx(0.98394, abs=0.01)


@MODIFIED
def test_one_phase_is_the_beta_geometric_model(modified, cdnow_weeks, weeks):
    simple = (mbg_nbd if modified else bg_nbd).fit(*cdnow_weeks)
    fitted = cnbd_k.fit(*weeks[:3], sum_log_gaps=weeks[3], k=1, modified=modified)
    assert fitted.log_likelihood == pytest.approx(simple.log_likelihood, rel=1e-13)
    for name in simple.params:
        assert fitted.params[name] == pytest.approx(simple.params[name], rel=1e-8)
    some = tuple(column[:300] for column in cdnow_weeks)
    for method in ("expected_purchases", "p_no_purchase", "no_purchase_log_odds"):
        one, other = (getattr(model, method)(*some, horizon=9.0) for model in (fitted, simple))
        np.testing.assert_allclose(one, other, rtol=1e-8)


@MODIFIED
@pytest.mark.parametrize("k", [1, 2, 5])
def test_derivatives_are_those_of_the_value(modified, k, cdnow_weeks):
    x, t_x, T = (np.asarray(column, dtype=float) for column in cdnow_weeks)
    likelihood = ErlangBetaGeometric(collapse(x, t_x, T, None), k, int(modified))
    theta, step = np.array([-0.4, -0.9, -0.7, -0.2]), 1e-5
    _, gradient, hessian = likelihood(theta)
    for i in range(4):
        up, down = (likelihood(theta + sign * step * np.eye(4)[i]) for sign in (1, -1))
        assert (up[0] - down[0]) / (2 * step) == pytest.approx(gradient[i], rel=1e-6)
        np.testing.assert_allclose((up[1] - down[1]) / (2 * step), hessian[i], rtol=1e-6)


def plain_sum(a, c, phases, j, m, s):
    """E of `app.scoring.purchases.phases`, purchase by purchase."""
    with mp.workdps(30):
        z = mpf(s) / (1 + mpf(s))
        term = (1 - z) ** mpf(m)
        below = total = mpf(0)
        survived = mpf(1)
        for i in range(100_000):
            if i >= phases - j and (i - phases + j) % phases == 0:
                count = (i + j) // phases - 1
                total += survived * (1 - below)
                survived *= (mpf(c) + count) / (mpf(a) + mpf(c) + count)
                if (1 - below) < mpf(10) ** -22:
                    break
            below += term
            term *= z * (mpf(m) + i) / (i + 1)
        return float(total)


@pytest.mark.parametrize("seed", range(60))
def test_expected_purchases_are_the_plain_sum(seed):
    rng = np.random.default_rng(seed)
    phases = int(rng.integers(1, 17))
    j = int(rng.integers(0, phases))
    a, b = np.exp(rng.uniform(-4, 4, 2))
    n, s = float(rng.choice([0, 1, 5, 60])), float(np.exp(rng.uniform(-9, 2)))
    m = float(np.exp(rng.uniform(-3, 2))) + phases * n + j
    got = expected_phased(a, b, phases, j, np.array([n]), np.array([m]), np.array([[s]]))[0, 0]
    assert got == pytest.approx(plain_sum(a, b + n, phases, j, m, s), rel=1e-10)


def simulate(k, modified, n, T, horizon, seed):
    """Simulate customers: x, t_x, sum of log gaps, purchases ahead, alive at T."""
    rng = np.random.default_rng(seed)
    rate, leave = rng.gamma(PARAMS["r"], 1 / PARAMS["alpha"], n), rng.beta(0.8, 2.5, n)
    x, t_x, gaps, ahead = (np.zeros(n) for _ in range(4))
    now, alive_then = np.zeros(n), np.zeros(n, dtype=bool)
    staying = rng.random(n) > leave if modified else np.ones(n, dtype=bool)
    alive = np.flatnonzero(staying)
    while alive.size:
        gap = rng.gamma(k, 1 / rate[alive])
        now[alive] += gap
        alive_then[alive[now[alive] >= T]] = True
        keep = now[alive] < T + horizon
        alive, gap = alive[keep], gap[keep]
        past = now[alive] < T
        x[alive[past]] += 1
        t_x[alive[past]] = now[alive[past]]
        gaps[alive[past]] += np.log(gap[past])
        ahead[alive[~past]] += 1
        alive = alive[rng.random(alive.size) > leave[alive]]
    return x, t_x, gaps, ahead, alive_then


@MODIFIED
@pytest.mark.parametrize("k", [2, 3])
def test_predictions_agree_with_simulation(k, modified):
    T, horizon = 12.0, 10.0
    x, t_x, _, ahead, alive = simulate(k, modified, 1_000_000, T, horizon, seed=k)
    model = cnbd_k.Model.from_params(k=k, modified=modified, **PARAMS)
    assert model.p_alive(x, t_x, T).mean() == pytest.approx(alive.mean(), rel=0.003)
    expected = model.expected_purchases(x, t_x, T, horizon=horizon)
    assert expected.mean() == pytest.approx(ahead.mean(), rel=0.005)
    quiet = model.p_no_purchase(x, t_x, T, horizon=horizon)
    recent = t_x > 0.8 * T
    for some in (x == 0, x == 1, x == 3, recent, (x > 2) & ~recent):
        error = 4 * ahead[some].std() / math.sqrt(some.sum())
        assert expected[some].mean() == pytest.approx(ahead[some].mean(), abs=error)
        assert quiet[some].mean() == pytest.approx((ahead[some] == 0).mean(), abs=0.008)
    for count in range(4):
        assert model.pmf_new(count, T) == pytest.approx((x == count).mean(), abs=0.003)
    assert model.expected_purchases_new(T) == pytest.approx(x.mean(), rel=0.005)


@pytest.mark.parametrize("k", [1, 2, 4])
def test_k_is_found(k):
    x, t_x, gaps, _, _ = simulate(k, True, 6000, 20.0, 0.0, seed=k)
    fitted = cnbd_k.fit(x, t_x, np.full(x.size, 20.0), sum_log_gaps=gaps)
    assert fitted.k == k
    assert fitted.status == "ok"
    for name, value in PARAMS.items():
        error = fitted.standard_errors[name]
        assert fitted.params[name] == pytest.approx(value, abs=4 * error)


def test_a_small_chance_of_a_purchase_keeps_its_digits():
    model = cnbd_k.Model.from_params(k=3, **PARAMS)
    # Right after a purchase all three phases are ahead: the chance is of the third order.
    odds = model.no_purchase_log_odds(2, 5, 5, horizon=[1e-6, 1e-7])
    assert np.diff(odds)[0] == pytest.approx(3 * math.log(10), rel=1e-6)


@pytest.mark.parametrize("k", [0, 1.5, -1])
def test_k_is_a_whole_number(k):
    with pytest.raises(ValueError, match="k must be"):
        cnbd_k.fit([1], [1], [1], sum_log_gaps=[0], k=k)
    with pytest.raises(ValueError, match="k must be"):
        cnbd_k.Model.from_params(k=k, **PARAMS)


@pytest.mark.parametrize("gaps", [[0, 0], [math.nan], 0])
def test_gaps_are_one_finite_number_each(gaps):
    with pytest.raises(ValueError, match="sum_log_gaps"):
        cnbd_k.fit([1], [1], [1], sum_log_gaps=gaps)
