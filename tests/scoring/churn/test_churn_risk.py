"""Risk as a sum of reasons: it adds up, and taking a reason away does what it says."""

from __future__ import annotations

import datetime as dt
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.scoring.churn import contributions, landmark, observation
from app.scoring.churn.churn_risk import ChurnRisk, HorizonCalibration
from app.scoring.churn.design import BASELINE, CAUSES, FEATURES, RISING, Scales
from app.scoring.churn.horizon_calibration import HORIZONS, LEAST_SLOPE
from app.scoring.histories.features import Features, features_at
from app.scoring.purchases.registry import MODELS
from app.scoring.regression.recalibration import Platt, sigmoid

DAY = dt.date(1997, 9, 30).toordinal()
PARAMS = {"r": 0.5, "alpha": 40.0, "a": 0.9, "b": 1.6}
PROCESSES = {
    "mbg_nbd": MODELS["mbg_nbd"].build(**PARAMS),
    "bg_nbd": MODELS["bg_nbd"].build(**PARAMS),
    "nbd": MODELS["nbd"].build(r=0.4, alpha=80.0),
}
ANY = PROCESSES | {"mbg_cnbd_k": MODELS["mbg_cnbd_k"].build(k=12, **PARAMS)}


@st.composite
def times(draw):
    x = draw(st.integers(0, 200))
    T = draw(st.integers(1 if x else 0, 3000))
    return x, draw(st.integers(1, T)) if x else 0, T


def optional(least, most):
    return st.one_of(st.just(math.nan), st.floats(least, most))


@st.composite
def customers(draw):
    n = draw(st.integers(1, 6))
    rows = [draw(times()) for _ in range(n)]
    x, t_x, T = zip(*rows, strict=True)
    features = {}
    for name, values in {
        "sum_log_gaps": optional(-5, 500),
        "gap_1": optional(1, 900),
        "gap_2": optional(1, 900),
        "value_1": optional(0, 1e9),
        "mean_value": optional(0, 1e9),
        "refunds": st.integers(0, 50),
        "complaints": st.integers(0, 50),
        "satisfaction": optional(0, 1),
        "contact_silence": optional(0, 9000),
    }.items():
        features[name] = [draw(values) for _ in range(n)]
    return Features.of(x, t_x, T, **features)


@st.composite
def risks(draw):
    kind = draw(st.sampled_from(sorted(ANY)))
    weights = {
        name: draw(st.floats(0, 1.5)) if name in RISING else draw(st.floats(-1.5, 1.5))
        for name in FEATURES
    }
    return ChurnRisk(
        kind=landmark.KIND,
        process_kind=kind,
        process=ANY[kind],
        scales=Scales(
            gap=40.0, value=30.0, satisfaction=0.7, contact=3.0, cadence_cut=1.5, silence_cut=60.0
        ),
        intercept=draw(st.floats(-3, 3)),
        weights=weights,
        label_window=90,
        anchor=(1.0, 50.0, 200.0),
        reference=draw(times()),
        calibrations=tuple(
            HorizonCalibration(days, draw(st.floats(-4, 4)), draw(st.floats(LEAST_SLOPE, 8)))
            for days in draw(st.sets(st.sampled_from([h for h in HORIZONS if h != 90])))
        ),
    )


def added(reasons):
    return reasons.base + np.sum(list(reasons.parts.values()), axis=0)


def contradictions(risk, features, horizon, *, causes=CAUSES):
    """Return the customers whose largest risk-raising reason does not lower the risk if removed."""
    reasons = risk.reasons(features, horizon=horizon)
    parts = np.array([reasons.parts[cause] for cause in causes])
    most = parts.argmax(axis=0)
    wrong = np.zeros(len(features), dtype=bool)
    for at, cause in enumerate(causes):
        rows = (most == at) & (parts[at] > 0)
        wrong |= rows & (risk.without(features, cause, horizon=horizon) >= reasons.total)
    return int(wrong.sum())


@settings(max_examples=100)
@given(risk=risks(), features=customers(), horizon=st.sampled_from([7.0, 90.0, 365.0]))
def test_reasons_add_up_and_agree_with_taking_them_away(risk, features, horizon):
    reasons = risk.reasons(features, horizon=horizon)
    assert list(reasons.parts) == list(CAUSES)
    np.testing.assert_allclose(added(reasons), reasons.total, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(reasons.total, risk.log_odds(features, horizon=horizon))
    for cause, part in reasons.parts.items():
        effect = reasons.total - risk.without(features, cause, horizon=horizon)
        assert (effect[part > 1e-9] > 0).all(), cause
        assert (effect[part < -1e-9] < 0).all(), cause


@settings(max_examples=40)
@given(risk=risks(), features=customers())
def test_the_reference_has_no_reasons(risk, features):
    reference = Features.of(*risk.reference)
    reasons = risk.reasons(reference, horizon=30)
    assert max(abs(float(part[0])) for part in reasons.parts.values()) == pytest.approx(0, abs=1e-9)
    assert reasons.base == pytest.approx(float(risk.log_odds(reference, horizon=30)[0]))


@settings(max_examples=40)
@given(risk=risks(), features=customers())
def test_risk_never_rises_with_the_horizon(risk, features):
    odds = [risk.log_odds(features, horizon=h) for h in (1, 7, 20, 30, 89, 90, 91, 180, 200, 1000)]
    assert np.isfinite(odds).all()
    assert (np.diff(odds, axis=0) <= 1e-9).all()


@settings(max_examples=40)
@given(risk=risks(), features=customers())
def test_a_stored_risk_scores_bit_for_bit_alike(risk, features):
    again = ChurnRisk.from_dict(json.loads(json.dumps(risk.as_dict(), allow_nan=False)))
    for horizon in (30, 90):
        np.testing.assert_array_equal(
            again.log_odds(features, horizon=horizon), risk.log_odds(features, horizon=horizon)
        )
    assert again.as_dict() == risk.as_dict()


@settings(max_examples=40)
@given(risk=risks(), features=customers())
def test_one_customer_scores_as_in_a_crowd(risk, features):
    many = risk.log_odds(features, horizon=60)
    for i in range(len(features)):
        assert risk.log_odds(features.take([i]), horizon=60)[0] == pytest.approx(many[i], abs=1e-9)


@settings(max_examples=15)
@given(risk=risks(), seed=st.integers(0, 99), horizon=st.sampled_from([30.0, 90.0, 365.0]))
def test_reasons_of_one_customer_are_those_in_a_crowd_of_whom_many_are_alike(risk, seed, horizon):
    rng, n = np.random.default_rng(seed), 3000
    T = rng.integers(1, 500, n)
    x = np.where(rng.random(n) < 0.5, rng.geometric(0.5, n), 0)
    features = Features.of(x, np.where(x > 0, rng.integers(1, T + 1), 0), T)
    many = risk.reasons(features, horizon=horizon)
    for row in rng.integers(0, n, 20).tolist():
        alone = risk.reasons(features.take([row]), horizon=horizon)
        assert alone.total[0] == pytest.approx(many.total[row], rel=1e-12, abs=1e-12)
        for cause, part in alone.parts.items():
            assert part[0] == pytest.approx(many.parts[cause][row], rel=1e-11, abs=1e-11), cause


@pytest.mark.parametrize("kind", sorted(PROCESSES))
@settings(max_examples=100)
@given(x=st.integers(0, 300), age=st.floats(1, 5000), q=st.floats(0, 0.99), more=st.floats(1, 9))
def test_the_processes_rise_with_age_and_silence(kind, x, age, q, more):
    """What the reasons rest on; see `app.scoring.churn.shapley`."""

    def odds(T, q):
        t_x = T * (1 - q) if x else 0
        return float(PROCESSES[kind].no_purchase_log_odds(x, t_x, T, horizon=90))

    slack = 1e-9 * (1 + abs(odds(age, q)))
    assert odds(age * more, q) >= odds(age, q) - slack
    assert odds(age, q + (0.999 - q) * (1 - 1 / more)) >= odds(age, q) - slack


def references(features):
    living = features.T - features.t_x <= 180
    return (
        contributions.reference(features.x, features.t_x, features.T),
        contributions.reference(features.x[living], features.t_x[living], features.T[living]),
        (3.0, 100.0, 150.0),
    )


def assert_reasons_hold(facts, window):
    _, features = features_at(facts, as_of=DAY)
    learnt = landmark.fit(facts, as_of=DAY, horizon=window)
    assert learnt.status == "ok"
    for plain in (learnt, observation.plain(features, "mbg_nbd", 90)):
        for reference in references(features):
            risk = plain.compared_with(reference)
            for horizon in (90, window):
                reasons = risk.reasons(features, horizon=horizon)
                assert np.abs(added(reasons) - reasons.total).max() <= 1e-9
                assert contradictions(risk, features, horizon) == 0


def test_reasons_hold_for_the_sample(cdnow_facts):
    assert_reasons_hold(cdnow_facts, 273)


def test_reasons_hold_for_every_customer_of_cdnow(cdnow_master_facts):
    assert_reasons_hold(cdnow_master_facts, 273)


@pytest.mark.parametrize("kind", ["pareto_nbd", "mbg_cnbd_k"])
def test_other_processes_add_up_and_never_contradict(cdnow_facts, kind):
    _, features = features_at(cdnow_facts, as_of=DAY)
    risk = observation.plain(features, kind, 90)
    reasons = risk.reasons(features, horizon=90)
    assert np.abs(added(reasons) - reasons.total).max() <= 1e-9
    assert contradictions(risk, features, 90) == 0


def test_a_process_by_itself_is_the_process(cdnow_facts):
    _, features = features_at(cdnow_facts, as_of=DAY)
    risk = observation.plain(features, "mbg_nbd", 90)
    for horizon in (30, 90):
        np.testing.assert_array_equal(
            risk.log_odds(features, horizon=horizon),
            risk.process.no_purchase_log_odds(
                features.x, features.t_x, features.T, horizon=horizon
            ),
        )
    assert risk.is_extrapolated(30)
    assert not risk.is_extrapolated(90)
    calibration = Platt(slope=0.8, intercept=0.1)
    np.testing.assert_allclose(
        risk.recalibrated(calibration).probability(features, horizon=90),
        sigmoid(calibration.log_odds(risk.log_odds(features, horizon=90))),
        rtol=1e-12,
    )


def test_bad_input_is_refused():
    risk = observation.plain(Features.of([0, 2], [0, 9], [30, 30]), "mbg_nbd", 90)
    features = Features.of(1, 2, 3)
    with pytest.raises(ValueError, match="horizon"):
        risk.log_odds(features, horizon=0)
    with pytest.raises(ValueError, match="cause"):
        risk.without(features, "weather", horizon=30)
    for change in ({"format": 0}, {"weights": {"moon": 1.0}}):
        with pytest.raises(ValueError, match="no churn risk"):
            ChurnRisk.from_dict(risk.as_dict() | change)


def test_every_rising_weight_is_of_the_course():
    assert set(RISING) < set(BASELINE) < set(FEATURES)
