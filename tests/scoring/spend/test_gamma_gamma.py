"""The Gamma-Gamma model against published values, mpmath, and awkward money."""

from __future__ import annotations

import math

import numpy as np
import pytest
from mpmath import mp, mpf

from app.scoring.spend import gamma_gamma

NOTE = gamma_gamma.Model.from_params(p=6.25, q=3.74, v=15.44)


@pytest.fixture(scope="module")
def fitted(cdnow):
    return gamma_gamma.fit(cdnow.paid_repeat_days, cdnow.mean_value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("p", 6.24935), ("q", 3.74426), ("v", 15.44431)],
    ids=lambda v: f"CLVTools-BTYD-note025-{v}",
)
def test_cdnow_parameters(fitted, name, value):
    assert fitted.params[name] == pytest.approx(value, rel=1e-4)


def test_cdnow_log_likelihood_clvtools_btyd(fitted):
    assert fitted.log_likelihood == pytest.approx(-4055.91769480, abs=1e-6)
    assert (fitted.n, fitted.status) == (946, "ok")
    assert 0 < fitted.correlation < 0.3


@pytest.mark.parametrize(
    ("x", "mean_value", "expected"),
    [(2, 40, 39.1404199), (0, 35, 35.2189781), (1, 35, 35.0667408), (2, 35, 35.0393701),
     (7, 35, 35.0129060)],
    ids=lambda v: f"BTYD-{v}",
)  # fmt: skip
def test_published_expected_value(x, mean_value, expected):
    assert NOTE.expected_value(x, mean_value) == pytest.approx(expected, rel=2e-9)


def test_published_note_025_first_customers(cdnow):
    got = NOTE.expected_value(cdnow.paid_repeat_days[:10], cdnow.mean_value[:10])
    sheet = [24.65, 18.91, 35.17, 35.17, 35.17, 71.46, 18.91, 35.17, 27.28, 35.17]
    np.testing.assert_allclose(got, sheet, atol=0.1)


def test_the_correlation_of_count_and_value_is_pearsons(cdnow, fitted):
    x, z = cdnow.paid_repeat_days, cdnow.mean_value
    found = gamma_gamma.correlation(x, z)
    used = (x > 0) & (z > 0)
    assert found == pytest.approx(np.corrcoef(x[used], z[used])[0, 1])
    assert found == pytest.approx(fitted.correlation)
    assert gamma_gamma.correlation([0, 2], [5, 0]) == 0
    assert gamma_gamma.correlation([1, 2, 3, 0], [2, 4, 6, 900]) == pytest.approx(1)


def test_likelihood_and_derivatives_are_the_definition():
    rng = np.random.default_rng(0)
    x, z, w = rng.integers(1, 9, 20).astype(float), rng.gamma(2, 3, 20), rng.integers(1, 4, 20)
    likelihood = gamma_gamma._Likelihood(x, z, w.astype(float))
    theta = np.log([3.0, 2.5, 11.0])
    value, gradient, hessian = likelihood(theta)
    p, q, v = map(mpf, (3.0, 2.5, 11.0))
    exact = sum(
        int(n) * (mp.loggamma(p * a + q) - mp.loggamma(p * a) - mp.loggamma(q) + q * mp.log(v)
        + (p * a - 1) * mp.log(m) + p * a * mp.log(a) - (p * a + q) * mp.log(v + a * m))
        for a, m, n in zip(map(mpf, x), map(mpf, z), w, strict=True)
    )  # fmt: skip
    assert value == pytest.approx(float(exact), rel=1e-12)
    for i, step in enumerate(1e-5 * np.eye(3)):
        up, down = likelihood(theta + step), likelihood(theta - step)
        assert gradient[i] == pytest.approx((up[0] - down[0]) / 2e-5, rel=1e-6)
        np.testing.assert_allclose(hessian[i], (up[1] - down[1]) / 2e-5, rtol=1e-6)


def test_currency_and_weights_do_not_matter(cdnow, fitted):
    cents = gamma_gamma.fit(cdnow.paid_repeat_days, cdnow.mean_value * 100)
    assert cents.v == pytest.approx(fitted.v * 100, rel=1e-9)
    assert cents.q == pytest.approx(fitted.q, rel=1e-9)
    twice = gamma_gamma.fit(
        cdnow.paid_repeat_days, cdnow.mean_value, weights=np.full(cdnow.x.size, 2)
    )
    assert twice.p == pytest.approx(fitted.p, rel=1e-9)
    np.testing.assert_allclose(twice.covariance, fitted.covariance / 2, rtol=1e-6)


@pytest.mark.parametrize("q", [1e-6, 0.5, 1.0, 1.0000001, 1.05])
def test_a_heavy_tail_never_makes_money_negative(q):
    model = gamma_gamma.Model.from_params(p=2, q=q, v=10)
    values = model.expected_value([0, 0, 1, 1000], [0, 5, 0, 50])
    assert (values > 0).all()
    assert values[0] == pytest.approx(11 * 2 * 10 / q, rel=1e-12)
    assert values[3] == pytest.approx(50, rel=0.02)


@pytest.mark.parametrize("seed", range(25))
def test_every_population_gets_a_usable_model(seed):
    rng = np.random.default_rng(seed)
    n = int(np.exp(rng.uniform(0, 8)))
    x = rng.integers(0, rng.choice([1, 2, 30, 100_000]) + 1, n)
    spread = rng.choice([0.0, 0.1, 1, 5])
    z = np.exp(rng.normal(rng.uniform(-8, 12), spread, n)) * (rng.random(n) > 0.1)
    model = gamma_gamma.fit(x, z)
    assert model.status in {"ok", "weakly_identified", "fallback"}
    assert math.isfinite(model.log_likelihood)
    assert -1 <= model.correlation <= 1
    values = model.expected_value(x, z)
    assert (np.isfinite(values) & (values > 0)).all()


def test_nobody_to_fit():
    model = gamma_gamma.fit([], [])
    assert (model.status, model.n) == ("fallback", 0)
    assert model.expected_value(0, 0) == pytest.approx(1)


def test_a_true_tail_below_one_is_flagged():
    rng = np.random.default_rng(4)
    nu = rng.gamma(0.6, 1 / 10, 5000)
    x = rng.integers(1, 6, 5000)
    model = gamma_gamma.fit(x, rng.gamma(2 * x, 1 / nu) / x)
    assert model.q < 1
    assert model.status == "weakly_identified"


@pytest.mark.parametrize(
    ("x", "z"), [([1.5], [1]), ([1], [-1]), ([1], [math.nan]), ([1, 2], [1]), (1, 1)]
)
def test_bad_input_is_refused(x, z):
    with pytest.raises(ValueError, match=r"whole|finite|one-dimensional"):
        gamma_gamma.fit(x, z)
