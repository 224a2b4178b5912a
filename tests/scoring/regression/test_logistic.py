"""Logistic regression against its own equations and published values."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.scoring.regression import logistic


def population(n=400, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3)) * [1, 50, 1e-3] + [0, 1e4, 0]
    log_odds = X @ [0.8, -0.02, 500] + 199.5
    return X, (rng.random(n) < 1 / (1 + np.exp(-log_odds))).astype(float)


def slope_at(model, X, y, ridge, weights):
    """Return the gradient of the penalised log-likelihood in the standardised parameters."""
    n = sum(weights)
    gradient = [0.0] * (X.shape[1] + 1)
    for j in range(-1, X.shape[1]):
        column = [1.0] * len(y) if j < 0 else X[:, j].tolist()
        mean = 0.0 if j < 0 else sum(w * v for w, v in zip(weights, column, strict=True)) / n
        squares = sum(w * (v - mean) ** 2 for w, v in zip(weights, column, strict=True))
        spread = 1.0 if j < 0 else math.sqrt(squares / n)
        for row, value in enumerate(column):
            eta = model.intercept + sum(
                b * v for b, v in zip(model.coefficients.tolist(), X[row].tolist(), strict=True)
            )
            miss = y[row] - 1 / (1 + math.exp(-eta))
            gradient[j + 1] += weights[row] * miss * (value - mean) / spread
        if j >= 0:
            gradient[j + 1] -= ridge * float(model.coefficients[j]) * spread
    return gradient


def test_the_telco_regression_of_r(telco):
    model = logistic.fit(*telco, ridge=0)
    found = [model.intercept, *model.coefficients]
    assert found == pytest.approx([-1.79266829, -0.05491983, 0.03109835, 0.63333646], abs=1e-7)
    assert model.log_likelihood == pytest.approx(-3165.67286, abs=1e-5)
    assert (model.status, model.n) == ("ok", 7043)


def test_standard_errors_are_the_inverse_information(telco):
    X, y = telco
    model = logistic.fit(X, y, ridge=0)
    Z, p = np.column_stack((np.ones(y.size), X)), model.probability(X)
    information = (Z.T * (p * (1 - p))) @ Z
    assert model.covariance == pytest.approx(np.linalg.inv(information), rel=1e-6)
    assert model.standard_errors == pytest.approx(np.sqrt(np.diag(model.covariance)))


@pytest.mark.parametrize("ridge", [0.0, 0.3, 20.0])
def test_no_step_from_the_fit_climbs(ridge):
    X, y = population(150)
    weights = np.random.default_rng(1).integers(0, 4, y.size).tolist()
    model = logistic.fit(X, y, ridge=ridge, weights=weights)
    assert model.status == "ok"
    assert slope_at(model, X, y, ridge, weights) == pytest.approx([0] * 4, abs=1e-5)


def test_weights_are_repeated_rows_in_any_order():
    X, y = population(100)
    weights = np.random.default_rng(2).integers(0, 3, y.size)
    rows = np.random.default_rng(3).permutation(np.repeat(np.arange(y.size), weights))
    one, two = logistic.fit(X, y, weights=weights), logistic.fit(X[rows], y[rows])
    assert one.coefficients == pytest.approx(two.coefficients, rel=1e-9)
    assert one.log_likelihood == pytest.approx(two.log_likelihood)
    assert one.n == two.n


def test_units_do_not_matter():
    X, y = population()
    factor, shift = np.array([7.0, 1e-150, 1e150]), np.array([3.0, 0, 0])
    one, two = logistic.fit(X, y), logistic.fit(X * factor + shift, y)
    assert two.coefficients * factor == pytest.approx(one.coefficients, rel=1e-9)
    assert two.probability(X * factor + shift) == pytest.approx(one.probability(X), rel=1e-9)


def test_many_rows_start_from_a_part_of_them():
    X, y = population(60_000, seed=5)
    model = logistic.fit(X, y, ridge=0)
    assert model.coefficients == pytest.approx([0.8, -0.02, 500], rel=0.05)


def test_contributions_add_up():
    X, y = population()
    model = logistic.fit(X, y)
    terms = model.contributions(X, X[7])
    assert terms.base + terms.parts.sum(axis=1) == pytest.approx(model.log_odds(X), abs=1e-9)
    assert terms.total == pytest.approx(model.log_odds(X), abs=1e-9)
    assert terms.parts[7].tolist() == [0, 0, 0]
    assert terms.base == pytest.approx(float(model.log_odds(X[7])))
    one = model.contributions(X[3], X[7])
    assert one.parts.tolist() == terms.parts[3].tolist()


def test_a_stored_model_predicts_the_same():
    X, y = population()
    model = logistic.fit(X, y)
    again = logistic.Model.from_params(
        intercept=model.intercept, coefficients=model.coefficients.tolist()
    )
    assert again.probability(X).tolist() == model.probability(X).tolist()
    copy = pickle.loads(pickle.dumps(model))
    assert copy.probability(X).tolist() == model.probability(X).tolist()


def test_separated_rows_are_told():
    X, y = np.arange(40.0)[:, None], np.arange(40) >= 17
    for ridge in (0.0, 1.0):
        model = logistic.fit(X, y, ridge=ridge)
        assert model.status == "separated"
        assert np.isfinite(model.coefficients).all()
        assert ((model.probability(X) > 0.5) == y).all()


def test_one_column_that_separates_some_rows_is_told():
    rng = np.random.default_rng(0)
    X = np.column_stack((rng.normal(size=200), np.arange(200) < 20))
    y = (X[:, 1] > 0) | (rng.random(200) < 0.4)
    assert logistic.fit(X, y, ridge=0).status == "separated"
    held = logistic.fit(X, y, ridge=1)
    assert held.status == "ok"
    assert held.coefficients[1] < 6


def test_columns_that_say_the_same_are_told():
    X, y = population()
    for more in (X[:, :1], np.full((y.size, 1), 1e9)):
        model = logistic.fit(np.hstack((X, more)), y, ridge=0)
        assert model.status == "weakly_identified"
        assert model.probability(np.hstack((X, more))) == pytest.approx(
            logistic.fit(X, y, ridge=0).probability(X), abs=1e-6
        )


def test_too_few_events_give_the_shrunk_share():
    X, y = np.arange(20.0)[:, None], [1, 1] + [0] * 18
    model = logistic.fit(X, y)
    assert model.status == "fallback"
    assert model.probability(X).tolist() == pytest.approx([2.5 / 21] * 20)
    assert np.isnan(model.standard_errors).all()
    assert logistic.fit(np.zeros((0, 2)), []).probability([[1, 2]]).tolist() == [0.5]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 4),
    st.integers(1, 80),
    st.sampled_from([0.0, 1e-3, 1.0]),
    st.sampled_from([1e-200, 1.0, 1e200]),
)
def test_every_valid_sample_gives_a_finite_model(seed, k, n, ridge, unit):
    rng = np.random.default_rng(seed)
    X = np.round(rng.standard_cauchy((n, k)) * rng.integers(0, 3, k), 1) * unit
    y = rng.random(n) < rng.random()
    before = X.copy()
    model = logistic.fit(X, y, ridge=ridge)
    p = model.probability(X)
    assert np.isfinite(p).all()
    assert ((p >= 0) & (p <= 1)).all()
    assert math.isfinite(model.log_likelihood)
    assert model.status in {"ok", "separated", "weakly_identified", "fallback"}
    assert (before == X).all()


@pytest.mark.parametrize(
    ("X", "y", "more"),
    [
        ([[1.0]], [2], {}),
        ([[1.0], [2.0]], [1], {}),
        ([1.0, 2.0], [0, 1], {}),
        ([[math.nan]], [1], {}),
        ([["a"]], [1], {}),
        ([[1.0]], [1], {"ridge": -1}),
        ([[1.0]], [1], {"weights": [-1]}),
        ([[1.0]], [1], {"weights": [1, 2]}),
    ],
)
def test_bad_samples_are_refused(X, y, more):
    with pytest.raises(ValueError):
        logistic.fit(X, y, **more)


def test_bad_questions_are_refused():
    model = logistic.Model.from_params(intercept=0, coefficients=[1, 2])
    for X in ([1, 2, 3], [math.inf, 1], 1.0):
        with pytest.raises(ValueError, match="columns"):
            model.log_odds(X)
    with pytest.raises(ValueError, match="one row"):
        model.contributions([[1, 2]], [[1, 2]])
    with pytest.raises(ValueError, match="finite"):
        logistic.Model.from_params(intercept=math.nan, coefficients=[1])
