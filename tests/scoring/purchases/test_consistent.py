"""Expected purchases, held to the chance of any purchase they are told beside."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.scoring.purchases import consistent
from app.scoring.purchases.registry import MODELS

SCALE = st.floats(-3, 4).map(lambda power: 10.0**power)
SHAPE = st.floats(-2, 2).map(lambda power: 10.0**power)
YEAR = {"annual_discount": 0.1, "periods_per_year": 365.25}


@st.composite
def models(draw: st.DrawFn) -> object:
    """Draw a model of any kind with parameters far apart."""
    kind = draw(st.sampled_from(sorted(MODELS)))
    params = {"r": draw(SHAPE), "alpha": draw(SCALE)}
    if kind == "pareto_nbd":
        params |= {"s": draw(SHAPE), "beta": draw(SCALE)}
    elif kind != "nbd":
        params |= {"a": draw(SHAPE), "b": draw(SHAPE)}
    if kind.endswith("cnbd_k"):
        params["k"] = draw(st.integers(1, 6))
    return MODELS[kind].build(**params)


@st.composite
def histories(draw: st.DrawFn) -> tuple[int, float, float]:
    """Draw a history that may be busy, and may then be silent for a century."""
    x = draw(st.integers(0, 400))
    t_x = draw(st.floats(1, 5000)) if x else 0.0
    return x, t_x, t_x + draw(st.sampled_from([0.0, 1.0, 30.0, 400.0, 40_000.0]))


@settings(max_examples=300, deadline=None)
@given(models(), histories(), st.sampled_from([1e-3, 1.0, 30.0, 365.0, 3650.0]))
def test_who_makes_any_purchase_makes_one_or_more(model, history, horizon):
    if_any = model.purchases_if_any(*history, horizon=horizon)
    assert np.isfinite(if_any)
    assert if_any >= 1
    log_odds = model.no_purchase_log_odds(*history, horizon=horizon)
    chance = 1 / (1 + np.exp(np.clip(log_odds, -700, 700)))
    plain = model.expected_purchases(*history, horizon=horizon)
    # However little is left of either after a long silence.
    assert plain == pytest.approx(chance * if_any, rel=1e-6, abs=1e-250)


@settings(max_examples=200, deadline=None)
@given(models(), histories(), st.sampled_from([1.0, 30.0, 365.0, 3650.0]))
def test_discounted_they_lie_between_the_last_moment_and_now(model, history, horizon):
    discounted = model.discounted_if_any(*history, horizon=horizon, **YEAR)
    whole = model.purchases_if_any(*history, horizon=horizon)
    assert 1.1 ** (-horizon / 365.25) * (1 - 1e-9) <= discounted <= whole * (1 + 1e-6)


@pytest.mark.parametrize("kind", ["bg_nbd", "mbg_nbd", "pareto_nbd"])
def test_a_silence_that_leaves_no_chance_leaves_what_those_who_return_would_buy(kind):
    ends = {"s": 0.5, "beta": 20.0} if kind == "pareto_nbd" else {"a": 0.8, "b": 2.5}
    model = MODELS[kind].build(r=2.0, alpha=10.0, **ends)
    gone, back = (300, 400.0, 30_000.0), (300, 30_000.0, 30_000.0)
    assert model.p_alive(*gone) < 1e-200
    assert model.expected_purchases(*gone, horizon=90.0) < 1e-200
    # Of purchases without memory the last one says whether somebody is left, and nothing more.
    share = 1 / (1 + np.exp(model.no_purchase_log_odds(*back, horizon=90.0)))
    plain = model.expected_purchases(*back, horizon=90.0) / share
    assert model.purchases_if_any(*gone, horizon=90.0) == pytest.approx(plain, rel=1e-9)


def test_as_many_as_a_simulation_finds():
    """The slow twin: gamma rates, a geometric end, and a count of those who bought at all."""
    rng = np.random.default_rng(5)
    model = MODELS["mbg_nbd"].build(r=1.5, alpha=30.0, a=0.9, b=3.0)
    n, horizon = 200_000, 120.0
    rate, leave = rng.gamma(1.5, 1 / 30.0, n), rng.beta(0.9, 3.0, n)
    alive = rng.random(n) > leave
    clock, count = np.zeros(n), np.zeros(n)
    while alive.any():
        clock[alive] += rng.exponential(1 / rate[alive])
        alive &= clock <= horizon
        count[alive] += 1
        alive &= rng.random(n) > leave
    some = count[count > 0]
    error = some.std() / np.sqrt(some.size)
    assert abs(some.mean() - model.purchases_if_any(0, 0, 0, horizon=horizon)) < 4 * error


@settings(max_examples=300, deadline=None)
@given(
    models(),
    histories(),
    st.sampled_from([1.0, 30.0, 365.0, 3650.0]),
    st.floats(-800, 800) | st.sampled_from([0.0, -25.0, 25.0]),
)
def test_no_risk_however_learnt_contradicts_what_is_expected(model, history, horizon, log_odds):
    """Not one near 0 or 1 either, nor that of a base rate, which knows no customer."""
    given_risk = {"log_odds": log_odds, "horizon": horizon}
    expected = consistent.expected_purchases(model, *history, **given_risk)
    chance = np.exp(-np.logaddexp(0, log_odds))
    assert expected >= chance
    assert np.isfinite(expected)
    assert expected >= 1 - 1 / (1 + np.exp(-min(max(log_odds, -700), 700))) - 1e-15


@settings(max_examples=50, deadline=None)
@given(models(), histories())
def test_a_riskier_customer_of_the_same_history_is_expected_less(model, history):
    odds = np.array([-5.0, 0.0, 5.0, 50.0])
    expected = consistent.expected_purchases(model, *history, log_odds=odds, horizon=90.0)
    assert (np.diff(expected) < 0).all()
