"""What holds for every model and every scorer of the registry."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

from app.scoring.purchases import registry

PARAMS = {
    "mbg_nbd": {"r": 0.5, "alpha": 40.0, "a": 0.9, "b": 1.6},
    "bg_nbd": {"r": 0.25, "alpha": 30.0, "a": 0.8, "b": 2.5},
    "pareto_nbd": {"r": 0.55, "alpha": 74.0, "s": 0.6, "beta": 82.0},
    "mbg_cnbd_k": {"r": 0.5, "alpha": 20.0, "a": 0.9, "b": 1.6, "k": 2},
    "bg_cnbd_k": {"r": 0.5, "alpha": 15.0, "a": 0.9, "b": 1.6, "k": 3},
    "nbd": {"r": 0.4, "alpha": 84.0},
}
TIMES = {"alpha", "beta"}
YEAR = 365.25


@pytest.fixture(params=registry.MODELS.values(), ids=registry.MODELS)
def kind(request):
    return request.param


@pytest.fixture
def model(kind):
    return kind.build(**PARAMS[kind.name])


@pytest.fixture(params=registry.SCORERS.values(), ids=registry.SCORERS)
def scorer(request):
    return request.param


@pytest.fixture(scope="module")
def histories():
    rng = np.random.default_rng(0)
    n = 80
    x = np.minimum(rng.geometric(0.4, n) - 1.0, 40)
    x[:3] = 500, 0, 80
    T = np.ceil(rng.uniform(1, 400, n))
    t_x = np.where(x > 0, np.ceil(T * rng.uniform(0.01, 1, n)), 0)
    return x, t_x, T


def predictions(model, x, t_x, T, unit=1.0, horizon=30.0):
    """Every prediction, histories in days shown to the model in another unit."""
    history, ahead = (x, t_x / unit, T / unit), horizon / unit
    return {
        "p_alive": model.p_alive(*history),
        "p_no_purchase": model.p_no_purchase(*history, horizon=ahead),
        "expected": model.expected_purchases(*history, horizon=ahead),
        "log_odds": model.no_purchase_log_odds(*history, horizon=ahead),
        "discounted": model.discounted_purchases(
            *history, annual_discount=0.1, periods_per_year=YEAR / unit, horizon=YEAR / unit
        ),
        "ever": model.discounted_purchases(
            *history, annual_discount=0.1, periods_per_year=YEAR / unit
        ),
    }


def fit(kind, cdnow, unit=1.0, **options):
    gaps = cdnow.sum_log_gaps - cdnow.x * math.log(unit)
    return kind.fit(cdnow.x, cdnow.t_x / unit, cdnow.T / unit, sum_log_gaps=gaps, **options)


def test_values_are_finite_and_in_range(model, histories):
    x = histories[0]
    found = predictions(model, *histories)
    for values in found.values():
        assert values.shape == x.shape
        assert np.isfinite(values).all()
    for name in ("p_alive", "p_no_purchase"):
        assert ((found[name] >= 0) & (found[name] <= 1)).all()
    assert (found["expected"] >= 0).all()
    assert (found["discounted"] <= found["ever"] * (1 + 1e-12)).all()
    undiscounted = model.expected_purchases(*histories, horizon=YEAR)
    assert (found["discounted"] <= undiscounted * (1 + 1e-12)).all()
    # as many purchases at least as the chance of one
    assert (1 - found["p_no_purchase"] <= found["expected"] + 1e-12).all()
    assert (1 - found["p_no_purchase"] <= found["p_alive"] + 1e-12).all()
    assert np.isfinite(model.log_likelihood_each(*histories)).all()


def test_log_odds_are_those_of_the_probability(model, histories):
    for horizon in (1e-3, 30.0, 3000.0):
        p = model.p_no_purchase(*histories, horizon=horizon)
        odds = model.no_purchase_log_odds(*histories, horizon=horizon)
        inside = (p > 1e-12) & (p < 0.9)
        np.testing.assert_allclose(
            odds[inside], np.log(p[inside] / (1 - p[inside])), rtol=1e-9, atol=1e-9
        )


def test_predictions_do_not_depend_on_the_other_rows(model, histories):
    together = predictions(model, *histories)
    order = np.random.default_rng(1).permutation(histories[0].size)
    shuffled = predictions(model, *(column[order] for column in histories))
    rows = [0, 1, 2, *range(3, 80, 30)]
    single = [predictions(model, *(float(c[i]) for c in histories)) for i in rows]
    for name, values in together.items():
        np.testing.assert_allclose(shuffled[name], values[order], rtol=1e-11)
        alone = [found[name] for found in single]
        np.testing.assert_allclose(alone, values[rows], rtol=1e-11, err_msg=name)


def test_a_horizon_for_each_row(model, histories):
    few = tuple(column[:30] for column in histories)
    ahead = np.linspace(0.1, 90, 30)
    for method in (model.expected_purchases, model.p_no_purchase, model.no_purchase_log_odds):
        together = method(*few, horizon=ahead)
        alone = [method(*(float(c[i]) for c in few), horizon=float(ahead[i])) for i in range(30)]
        np.testing.assert_allclose(together, alone, rtol=1e-11)


def test_shapes_are_broadcast(model):
    x, T = np.array([[1], [2]]), np.array([10.0, 20.0, 30.0])
    for values in predictions(model, x, np.array([5.0]), T).values():
        assert values.shape == (2, 3)
    assert model.p_alive([], [], []).shape == (0,)
    assert model.expected_purchases([], [], [], horizon=1).shape == (0,)


@pytest.mark.parametrize("unit", [1 / 24, 7.0, YEAR])
def test_the_unit_of_time_does_not_matter(kind, model, histories, unit):
    params = {
        name: value / unit if name in TIMES else value for name, value in model.params.items()
    }
    other = kind.build(**params)
    first, second = (predictions(m, *histories, unit=u) for m, u in ((model, 1.0), (other, unit)))
    for name, values in first.items():
        np.testing.assert_allclose(second[name], values, rtol=1e-9, err_msg=name)


def test_fits_in_another_unit_predict_the_same(kind, cdnow):
    day, week = fit(kind, cdnow), fit(kind, cdnow, 7.0)
    history = cdnow.x, cdnow.t_x, cdnow.T
    first, second = predictions(day, *history), predictions(week, *history, unit=7.0)
    for name, values in first.items():
        np.testing.assert_allclose(second[name], values, rtol=1e-9, err_msg=name)
    shift = cdnow.x.sum() * math.log(7)
    assert week.log_likelihood == pytest.approx(day.log_likelihood + shift, abs=1e-6)


def test_order_duplication_and_weights_agree(kind, cdnow):
    columns = cdnow.x, cdnow.t_x, cdnow.T, cdnow.sum_log_gaps
    rng = np.random.default_rng(2)
    weights = rng.integers(0, 4, cdnow.x.size)
    order = rng.permutation(np.repeat(np.arange(cdnow.x.size), weights))
    weighted = kind.fit(*columns[:3], sum_log_gaps=columns[3], weights=weights)
    repeated = kind.fit(*(column[order] for column in columns[:3]), sum_log_gaps=columns[3][order])
    assert weighted.n == repeated.n == weights.sum()
    assert weighted.log_likelihood == pytest.approx(repeated.log_likelihood, rel=1e-12)
    np.testing.assert_allclose(
        list(weighted.params.values()), list(repeated.params.values()), rtol=1e-8
    )


def test_the_likelihood_of_a_fit_is_the_sum_over_customers(kind, cdnow):
    found = fit(kind, cdnow)
    more = {"sum_log_gaps": cdnow.sum_log_gaps} if kind.needs_gaps else {}
    each = found.log_likelihood_each(cdnow.x, cdnow.t_x, cdnow.T, **more)
    assert each.sum() == pytest.approx(found.log_likelihood, rel=1e-11)
    assert found.status == "ok"
    assert found.n == cdnow.x.size
    rebuilt = kind.build(**found.params)
    assert rebuilt == found
    for name, error in found.standard_errors.items():
        for side in (-0.02, 0.02):
            other = kind.build(**{**found.params, name: found.params[name] + side * error})
            moved = other.log_likelihood_each(cdnow.x, cdnow.t_x, cdnow.T, **more).sum()
            assert moved < found.log_likelihood


def test_the_distribution_of_purchases(model):
    n = np.arange(400)
    pmf = model.pmf_new(n, 60)
    assert ((pmf >= 0) & (pmf <= 1)).all()
    assert pmf.sum() == pytest.approx(1, abs=1e-9)
    assert n @ pmf == pytest.approx(float(model.expected_purchases_new(60)), rel=1e-6)
    assert pmf[0] == pytest.approx(float(model.p_no_purchase(0, 0, 0, horizon=60)), rel=1e-11)
    np.testing.assert_allclose(model.pmf_new([0, 1], 0), [1, 0], atol=1e-200)


def test_further_ahead_means_more_purchases_and_less_risk_of_none(model, histories):
    few = tuple(column[:50] for column in histories)
    steps = (0.0, 1.0, 10.0, 100.0, 1000.0)
    expected = np.array([model.expected_purchases(*few, horizon=h) for h in steps])
    quiet = np.array([model.p_no_purchase(*few, horizon=h) for h in steps])
    np.testing.assert_allclose(expected[0], 0, atol=1e-12)
    np.testing.assert_allclose(quiet[0], 1, rtol=1e-12)
    assert (np.diff(expected, axis=0) >= 0).all()
    assert (np.diff(quiet, axis=0) <= 1e-15).all()


def test_longer_silence_means_no_more_life(kind, model):
    # of two customers alike but for the last purchase; more regular ones fall due first
    alive = model.p_alive(4, np.linspace(300, 1, 60), 300)
    assert (np.diff(alive) <= 1e-15).all()
    risk = model.p_no_purchase(4, np.linspace(300, 1, 60), 300, horizon=30)
    if not kind.needs_gaps:
        assert (np.diff(risk) >= -1e-15).all()


def test_nothing_is_mutated(kind, model, cdnow):
    columns = [np.array(c, dtype=float) for c in (cdnow.x, cdnow.t_x, cdnow.T, cdnow.sum_log_gaps)]
    weights = np.ones(cdnow.x.size)
    kept = [column.copy() for column in (*columns, weights)]
    for column in (*columns, weights):
        column.flags.writeable = False
    kind.fit(*columns[:3], sum_log_gaps=columns[3], weights=weights)
    predictions(model, *columns[:3])
    for column, before in zip((*columns, weights), kept, strict=True):
        np.testing.assert_array_equal(column, before)


def test_a_model_survives_pickling(kind, cdnow, histories):
    found = fit(kind, cdnow)
    again = pickle.loads(pickle.dumps(found))
    assert again == found
    assert again.standard_errors == found.standard_errors
    for name, values in predictions(found, *histories).items():
        np.testing.assert_array_equal(predictions(again, *histories)[name], values)


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


@pytest.mark.parametrize(("x", "t_x", "T", "message"), BAD.values(), ids=BAD)
def test_bad_histories_are_refused(kind, model, x, t_x, T, message):
    for method in (model.p_alive, model.log_likelihood_each):
        with pytest.raises(ValueError, match=message):
            method(x, t_x, T)
    for method in (
        model.expected_purchases, model.p_no_purchase, model.no_purchase_log_odds
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            method(x, t_x, T, horizon=1)
    with pytest.raises(ValueError, match=message):
        model.discounted_purchases(x, t_x, T, annual_discount=0.1, periods_per_year=1)
    with pytest.raises(ValueError, match=message):
        kind.fit(x, t_x, T, sum_log_gaps=0)


def test_other_bad_input_is_refused(kind, model):
    for horizon in (-1, math.nan, math.inf):
        with pytest.raises(ValueError, match="horizon"):
            model.expected_purchases(1, 1, 1, horizon=horizon)
    for n, t in ((1.5, 1), (-1, 1), (1, -1), (1, math.nan)):
        with pytest.raises(ValueError, match="must be"):
            model.pmf_new(n, t)
    with pytest.raises(ValueError, match="horizon is needed"):
        model.discounted_purchases(1, 1, 1, annual_discount=0, periods_per_year=1)
    with pytest.raises(ValueError, match="one-dimensional"):
        kind.fit(1, 1, 1, sum_log_gaps=0)
    for weights in ([-1], [1, 1], [math.nan]):
        with pytest.raises(ValueError, match="weights"):
            kind.fit([1], [1], [1], sum_log_gaps=[0], weights=weights)
    with pytest.raises(ValueError, match="parameters"):
        kind.build(**{**PARAMS[kind.name], "other": 1})
    with pytest.raises(ValueError, match="positive"):
        kind.build(**{**PARAMS[kind.name], "alpha": 0})


def test_gaps_are_asked_for_where_they_are_needed(kind):
    if kind.needs_gaps:
        with pytest.raises(ValueError, match="sum_log_gaps"):
            kind.fit([1], [1], [1])


def test_a_scorer_is_finite_and_knows_no_order(scorer, histories):
    kept = tuple(column.copy() for column in histories)
    values = scorer(*histories)
    assert values.shape == histories[0].shape
    assert np.isfinite(values).all()
    order = np.random.default_rng(3).permutation(values.size)
    np.testing.assert_array_equal(scorer(*(c[order] for c in histories)), values[order])
    for column, before in zip(histories, kept, strict=True):
        np.testing.assert_array_equal(column, before)


@pytest.mark.parametrize(
    ("t_x", "T"), [(2, 1), (-1, 1), (math.nan, 1), (1, math.inf), ([1, 1], [1, 1, 1])]
)
def test_a_scorer_refuses_bad_histories(scorer, t_x, T):
    with pytest.raises(ValueError, match=r"must|fit together|finite"):
        scorer(1, t_x, T)


def test_a_scorer_joins_once():
    with pytest.raises(ValueError, match="exists"):
        registry.register("hiatus", registry.SCORERS["hiatus"])
