"""What the BG/NBD and the MBG/NBD have in common: numerics, invariances, thin data, bad input."""

from __future__ import annotations

import csv
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf

from app.scoring.purchases import bg_nbd, mbg_nbd
from app.scoring.purchases.alive import expected_count

DATA = Path(__file__).parents[1] / "data"
KINDS = pytest.mark.parametrize("kind", [bg_nbd, mbg_nbd], ids=["bg_nbd", "mbg_nbd"])
PARAMS = {"r": 0.25, "alpha": 30.0, "a": 0.8, "b": 2.5}
STATUSES = {"ok", "weakly_identified", "no_dropout_identified", "fallback"}


def golden(name):
    with (DATA / name).open() as lines:
        return list(csv.DictReader(lines))


def test_golden_expected_purchases():
    worst = 0.0
    for row in golden("golden_bgnbd_ey_given_alive.csv"):
        a, b, r, x, z = (float(row[key]) for key in ["a", "b", "r", "x", "z"])
        s = np.array([[z / (1 - z)]])
        got = expected_count(a, b, np.array([x]), np.array([r + x]), s)[0, 0]
        worst = max(worst, abs(got / float(row["ey_given_alive"]) - 1))
    assert worst < 1e-11


def test_golden_likelihood_and_p_alive():
    for row in golden("golden_bg_mbg_ll_palive.csv"):
        kind = {"BG": bg_nbd, "MBG": mbg_nbd}[row["model"]]
        model = kind.Model.from_params(**{k: float(row[k]) for k in ("r", "alpha", "a", "b")})
        history = [float(row[key]) for key in ("x", "t_x", "T")]
        each = model.log_likelihood_each(*history)
        assert each == pytest.approx(float(row["LL"]), rel=1e-11, abs=1e-13)
        assert model.p_alive(*history) == pytest.approx(
            float(row["p_alive"]), rel=1e-11, abs=1e-300
        )


def exact_log_odds(model, x, t_x, T, horizon):
    """The log-odds of no purchase from the definition, in 400 digits."""
    with mp.workdps(400):
        r, alpha, a, b = map(mpf, model.params.values())
        n = x + model.first
        odds = mpf(0)
        if n:
            odds = a / (b + n - 1) * ((alpha + T) / (alpha + mpf(t_x))) ** (r + x)
        quiet = ((alpha + T) / (alpha + T + mpf(horizon))) ** (r + x)
        return float(mp.log((odds + quiet) / (1 - quiet)))


@KINDS
@pytest.mark.parametrize(
    "row",
    [(0, 0, 0, 30), (2, 3, 900, 30), (300, 10, 900, 1), (300, 899, 900, 1e6), (5, 5, 5, 1e-9)],
)
def test_log_odds_where_the_probability_rounds(kind, row):
    model = kind.Model.from_params(**PARAMS)
    got = model.no_purchase_log_odds(*row[:3], horizon=row[3])
    assert got == pytest.approx(exact_log_odds(model, *row), rel=1e-13, abs=1e-13)
    p = model.p_no_purchase(*row[:3], horizon=row[3])
    assert p == pytest.approx(1 / (1 + math.exp(-got)), rel=1e-12)


@KINDS
def test_pmf_sums_to_one_and_has_the_expected_mean(kind):
    model = kind.Model.from_params(**PARAMS)
    n = np.arange(600)
    pmf = model.pmf_new(n, 200)
    assert pmf.sum() == pytest.approx(1, abs=1e-12)
    assert n @ pmf == pytest.approx(float(model.expected_purchases_new(200)), rel=1e-9)
    np.testing.assert_allclose(model.pmf_new([0, 1], 0), [1, 0], rtol=1e-14, atol=1e-300)


@KINDS
def test_discounted_purchases_is_the_sum_of_discounted_expectations(kind):
    model = kind.Model.from_params(**PARAMS)
    history = [0, 3, 80], [0, 100, 200], [150, 120, 201]
    edges = np.linspace(0, 730, 2_001)
    steps = np.diff([model.expected_purchases(*history, horizon=t) for t in edges], axis=0)
    midpoints = (edges[1:] + edges[:-1]) / 2
    sums = 1.1 ** (-midpoints / 365.25) @ steps
    got = model.discounted_purchases(
        *history, annual_discount=0.1, periods_per_year=365.25, horizon=730
    )
    np.testing.assert_allclose(got, sums, rtol=1e-8)


@KINDS
@pytest.mark.parametrize("x", [0, 1, 20, 5000])
def test_discounted_purchases_in_the_limit(kind, x):
    model = kind.Model.from_params(**PARAMS)
    history, year = (x, min(x, 90), 100), {"periods_per_year": 365.25}
    flat = model.discounted_purchases(*history, annual_discount=0, horizon=365, **year)
    assert flat == model.expected_purchases(*history, horizon=365)
    low = model.discounted_purchases(*history, annual_discount=1e-12, horizon=365, **year)
    assert low == pytest.approx(flat, rel=1e-11)
    ever = model.discounted_purchases(*history, annual_discount=0.5, **year)
    long = model.discounted_purchases(*history, annual_discount=0.5, horizon=1e5, **year)
    assert ever == pytest.approx(long, rel=1e-11)
    with pytest.raises(ValueError, match="horizon"):
        model.discounted_purchases(*history, annual_discount=0, **year)


@KINDS
@pytest.mark.parametrize("step", [1.0, 0.31])
def test_many_rows_equal_single_rows(kind, step):
    rng = np.random.default_rng(1)
    T = np.ceil(rng.uniform(10, 2000, 5000)) * step
    x = np.minimum(rng.geometric(0.3, T.size) - 1.0, 30)
    x[:5] = 200, 199, 3000, 31, 31
    t_x = np.where(x > 0, rng.uniform(1e-9, 1, T.size) * T, 0)
    model = kind.Model.from_params(**PARAMS)
    rows = [*range(8), *range(100, 5000, 700)]
    discount = {"annual_discount": 0.1, "periods_per_year": 365.25, "horizon": 365}
    for method, options in (
        (model.expected_purchases, {"horizon": 90.0}),
        (model.discounted_purchases, discount),
        (model.log_likelihood_each, {}),
        (model.p_alive, {}),
    ):
        together = method(x, t_x, T, **options)
        alone = [method(x[i], t_x[i], T[i], **options) for i in rows]
        np.testing.assert_allclose(together[rows], alone, rtol=3e-13)


@KINDS
def test_time_unit_does_not_matter(kind, cdnow):
    day, week = (kind.fit(cdnow.x, cdnow.t_x / u, cdnow.T / u) for u in (1.0, 7.0))
    year = 365.25
    for unit, model in ((1.0, day), (7.0, week)):
        history = cdnow.x, cdnow.t_x / unit, cdnow.T / unit
        results = (
            model.p_alive(*history),
            model.expected_purchases(*history, horizon=90 / unit),
            model.p_no_purchase(*history, horizon=90 / unit),
            model.discounted_purchases(
                *history, annual_discount=0.1, periods_per_year=year / unit, horizon=year / unit
            ),
        )
        if unit == 1:
            first = results
    for one, other in zip(first, results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)
    times = cdnow.x.sum()
    assert week.log_likelihood == pytest.approx(day.log_likelihood + times * math.log(7), abs=1e-6)


@KINDS
def test_order_duplication_and_weights_agree(kind, cdnow):
    history = np.array([cdnow.x, cdnow.t_x, cdnow.T], dtype=float)
    kept = history.copy()
    rng = np.random.default_rng(2)
    weights = rng.integers(0, 4, cdnow.x.size)
    weighted = kind.fit(*history, weights=weights)
    repeated = kind.fit(*rng.permutation(np.repeat(history, weights, axis=1), axis=1))
    assert weighted.n == repeated.n
    assert weighted.log_likelihood == pytest.approx(repeated.log_likelihood, rel=1e-13)
    np.testing.assert_allclose(
        list(weighted.params.values()), list(repeated.params.values()), rtol=1e-9
    )
    np.testing.assert_allclose(weighted.covariance, repeated.covariance, rtol=1e-7)
    assert np.array_equal(history, kept)


@KINDS
def test_large_samples_start_from_a_part_and_end_at_the_same_maximum(kind):
    rng = np.random.default_rng(3)
    n = 60_000
    T = rng.uniform(100, 300, n)
    x = rng.poisson(rng.gamma(0.5, 0.02, n) * T * rng.uniform(0.1, 1, n)).astype(float)
    t_x = np.where(x > 0, T * rng.uniform(0.01, 1, n), 0)
    model = kind.fit(x, t_x, T)
    for name, error in model.standard_errors.items():
        for side in (-0.01, 0.01):
            moved = kind.Model.from_params(
                **{**model.params, name: model.params[name] + side * error}
            )
            assert moved.log_likelihood_each(x, t_x, T).sum() < model.log_likelihood


@KINDS
def test_online_retail_has_no_dropout_to_identify(kind, online_retail):
    x, t_x, T, customers = online_retail
    model = kind.fit(x, t_x, T, weights=customers)
    assert model.status == "no_dropout_identified"
    alive = model.p_alive(x, t_x, T)
    assert customers @ (alive > 0.99) > 0.99 * customers.sum()
    assert np.isfinite(model.expected_purchases(x, t_x, T, horizon=90)).all()


def populations():
    """Yield random and degenerate populations."""
    for seed in range(60):
        rng = np.random.default_rng(seed)
        n = int(np.exp(rng.uniform(np.log(1), np.log(4000))))
        unit = rng.choice([1 / 24, 1, 7, 365.25])
        T = rng.uniform(0, 800, n) if seed % 3 else np.full(n, 100.0)
        x = np.floor(rng.gamma(rng.choice([0.05, 1, 30]), rng.choice([0.3, 3, 60]), n))
        x = np.clip(x, 0, 5000) + (seed % 7 == 0)
        if seed % 11 == 0:
            x[:] = seed
        recency = rng.beta(*rng.choice([0.2, 1, 8], 2), n) if seed % 5 else np.ones(n)
        T = T + (x > 0)
        t_x = np.where(x > 0, np.maximum(T * recency, 1e-6), 0)
        if seed % 2:
            T, t_x = np.ceil(T), np.ceil(t_x)
        yield pytest.param(x, t_x / unit, T / unit, id=f"seed-{seed}-n-{n}")
    yield pytest.param(np.zeros(0), np.zeros(0), np.zeros(0), id="nobody")
    yield pytest.param(np.zeros(50), np.zeros(50), np.zeros(50), id="all-new")
    yield pytest.param(np.zeros(500), np.zeros(500), np.arange(500.0), id="no-repeat")
    yield pytest.param(np.full(500, 5000.0), np.full(500, 99.0), np.full(500, 99.0), id="x-5000")
    yield pytest.param(np.full(99, 3.0), np.full(99, 1.0), np.full(99, 900.0), id="all-gone")
    yield pytest.param(np.full(99, 1e9), np.full(99, 1.0), np.full(99, 1.0), id="x-1e9")


@KINDS
@pytest.mark.parametrize(("x", "t_x", "T"), list(populations()))
def test_every_population_gets_a_usable_model(kind, x, t_x, T):
    model = kind.fit(x, t_x, T)
    assert model.status in STATUSES
    assert model.n == x.size
    assert all(0 < value < math.inf for value in model.params.values())
    assert math.isfinite(model.log_likelihood)
    x, t_x, T = x[:200], t_x[:200], T[:200]
    horizon = float(T.max(initial=1.0))
    for p in (model.p_alive(x, t_x, T), model.p_no_purchase(x, t_x, T, horizon=horizon)):
        assert ((p >= 0) & (p <= 1)).all()
    counts = model.expected_purchases(x, t_x, T, horizon=horizon)
    assert ((counts >= 0) & np.isfinite(counts)).all()
    assert np.isfinite(model.no_purchase_log_odds(x, t_x, T, horizon=horizon)).all()
    worth = model.discounted_purchases(x, t_x, T, annual_discount=0.1, periods_per_year=365.25)
    assert ((worth >= 0) & np.isfinite(worth)).all()


@KINDS
@pytest.mark.parametrize("n", [0, 5, 19])
def test_thin_data_fall_back_to_a_prior_at_the_rate_seen(kind, n):
    model = kind.fit(np.ones(n), np.full(n, 10.0), np.full(n, 20.0))
    assert model.status == "fallback"
    assert np.isnan(list(model.standard_errors.values())).all()
    if n:
        rate = (n + 0.5) / (20 * (n + 1))
        assert model.r / model.alpha == pytest.approx(rate, rel=1e-12)


@KINDS
@settings(max_examples=150, deadline=None)
@given(
    x=st.integers(0, 10**6),
    share=st.floats(0, 1),
    times=st.tuples(st.floats(1e-6, 1e6), st.floats(0, 1e6)),
    logs=st.tuples(*[st.floats(-10, 10)] * 4),
)
@example(x=0, share=0.0, times=(1.0, 1e-300), logs=(0.0, 1.0, -2.0, 1.0))
def test_predictions_are_always_in_range(kind, x, share, times, logs):
    T, horizon = times
    r, alpha, a, b = np.exp(logs)
    model = kind.Model.from_params(r=r, alpha=alpha, a=a, b=b)
    history = (x, max(share * T, 1e-300) if x else 0, T)
    alive = model.p_alive(*history)
    assert 0 <= alive <= 1
    risk = model.p_no_purchase(*history, horizon=horizon)
    assert 1 - alive - 1e-12 <= risk <= 1
    expected = model.expected_purchases(*history, horizon=horizon)
    # Markov: as many purchases at least as the chance of one, and at most those without dropout
    most = (r + x) * horizon / (alpha + T)
    tiny = np.finfo(float).tiny  # below, numbers are no longer exact to 1e-9 of themselves
    assert (1 - risk) * (1 - 1e-9) - 1e-12 <= expected <= most * (1 + 1e-9) + tiny
    assert math.isfinite(model.no_purchase_log_odds(*history, horizon=horizon))
    assert math.isfinite(model.log_likelihood_each(*history))


@KINDS
def test_longer_silence_means_more_risk(kind):
    model = kind.Model.from_params(**PARAMS)
    risk = model.p_no_purchase(4, np.linspace(300, 1, 50), 300, horizon=30)
    assert (np.diff(risk) > 0).all()
    assert (np.diff(model.p_no_purchase(4, 200, 300, horizon=np.arange(60))) < 0).all()


BAD = {
    "ragged": ([[1], [1, 2]], 1, 1, "real numbers"),
    "text": ("a", 1, 1, "real numbers"),
    "nothing": (None, 1, 1, "real numbers"),
    "shapes": ([1, 1], [1, 1, 1], 1, "fit together"),
    "nan": (math.nan, 1, 1, "finite"),
    "infinite": (1, 1, [math.inf], "finite"),
    "negative": (1, [-1], 1, "t_x must be finite and not negative"),
    "t_x above T": (1, 2, 1, "exceed"),
    "fraction": ([1.5], 1, 1, "whole"),
    "x = 0, t_x > 0": ([0], 1, 1, "where x is 0"),
    "x > 0, t_x = 0": (1, 0, 1, "where x is positive"),
}


@KINDS
@pytest.mark.parametrize(("x", "t_x", "T", "message"), BAD.values(), ids=BAD)
def test_bad_histories_are_refused(kind, x, t_x, T, message):
    model = kind.Model.from_params(**PARAMS)
    with pytest.raises(ValueError, match=message):
        model.p_alive(x, t_x, T)
    with pytest.raises(ValueError, match=message):
        model.expected_purchases(x, t_x, T, horizon=1)


@KINDS
def test_other_bad_input_is_refused(kind):
    model = kind.Model.from_params(**PARAMS)
    with pytest.raises(ValueError, match="horizon"):
        model.expected_purchases(1, 1, 1, horizon=-1)
    with pytest.raises(ValueError, match="one-dimensional"):
        kind.fit(1, 1, 1)
    with pytest.raises(ValueError, match="weights"):
        kind.fit([1], [1], [1], weights=[-1])
    with pytest.raises(ValueError, match="weights"):
        kind.fit([1], [1], [1], weights=[1, 1])
    with pytest.raises(ValueError, match="parameters"):
        kind.Model.from_params(r=1)
    with pytest.raises(ValueError, match="positive"):
        kind.Model.from_params(r=1, alpha=0, a=1, b=1)
    with pytest.raises(ValueError, match="whole"):
        model.pmf_new(0.5, 1)


@KINDS
def test_shapes_and_kinds_of_input(kind):
    model = kind.Model.from_params(**PARAMS)
    assert model.p_alive([1, 2], [[3.0], [4.0]], 5).shape == (2, 2)
    assert model.p_alive([], [], []).shape == (0,)
    assert model.expected_purchases([], [], [], horizon=3).shape == (0,)
    assert model.expected_purchases(2, 3, 4, horizon=[[1], [2]]).shape == (2, 1)
    one = model.expected_purchases(np.int32(2), np.float32(3), np.array(4), horizon=5)
    assert one.shape == ()
    assert one == model.expected_purchases([2], [3], [4], horizon=5)[0]


@KINDS
def test_models_compare_hash_and_pickle(kind, cdnow):
    model = kind.fit(cdnow.x, cdnow.t_x, cdnow.T)
    again = pickle.loads(pickle.dumps(model))
    assert again == model
    assert hash(again) == hash(model)
    assert again.p_alive(1, 2, 3) == model.p_alive(1, 2, 3)
    assert list(model.standard_errors) == ["r", "alpha", "a", "b"]
    with pytest.raises(AttributeError):
        model.r = 1
