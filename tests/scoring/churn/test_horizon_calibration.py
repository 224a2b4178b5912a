"""Churn risk of regular buyers: chosen well, and told well at any horizon."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from app.scoring.churn import churn_selection, landmark, observation, walk_forward
from app.scoring.churn.churn_risk import ChurnRisk
from app.scoring.churn.design import TOGETHER
from app.scoring.churn.horizon_calibration import calibrate
from app.scoring.evaluation import metrics
from app.scoring.histories.features import Facts, features_at
from app.scoring.purchases import hiatus

HORIZON = 30
ASKED = (1, 7, 14, 30, 45, 90, 180, 365)


def subscriptions(*, n=500, gap=30, leave=0.05, jitter=0, seed=3):
    """Payments from day -500 to 400, at equal gaps or not quite, each the last by chance."""
    rng = np.random.default_rng(seed)
    rows = []
    for customer in range(n):
        day = -float(rng.integers(10, 500))
        while day < 400:
            rows.append((customer, int(np.floor(day))))
            if rng.random() < leave:
                break
            day += max(1.0, gap + rng.normal(0, jitter)) if jitter else gap
    customer, day = np.array(rows).T
    return Facts(customer=customer, day=day, amount=np.full(day.size, 9.99))


@pytest.fixture(scope="module")
def log():
    return subscriptions()


@pytest.fixture(scope="module")
def choice(log):
    seen = log.day <= 0
    past = Facts(customer=log.customer[seen], day=log.day[seen], amount=log.amount[seen])
    return churn_selection.choose(past, as_of=0, horizon=HORIZON)


def outcome(log, horizon):
    customer, features = features_at(log, as_of=0)
    bought = observation.buyers(log, after=0, until=horizon)
    return features, (~np.isin(customer, bought)).astype(float)


def test_subscribers_are_foreseen_as_well_as_by_the_recency_rule(log, choice):
    features, churned = outcome(log, HORIZON)
    before = outcome(
        Facts(customer=log.customer, day=log.day + HORIZON, amount=log.amount), HORIZON
    )
    rule = hiatus.fit(before[0].T - before[0].t_x, 1 - before[1], window=HORIZON)
    by_rule = rule.p_no_purchase(features.T - features.t_x, horizon=HORIZON)
    predicted = choice.risk.probability(features, horizon=HORIZON)
    gap = metrics.difference(
        metrics.log_loss_each(predicted, churned), metrics.log_loss_each(by_rule, churned)
    )
    # The rule is the truth here: told alike, their paired difference has hardly an error. What is
    # told besides is that the next window may differ from those before it, as windows do.
    assert gap.value <= max(gap.standard_error, 0.03 * metrics.log_loss(by_rule, churned))
    assert metrics.ece(predicted, churned) <= 0.05


def test_what_differs_by_rounding_only_has_no_weight(choice):
    """Every payment is 9.99, and the means of them are not quite."""
    assert choice.risk.kind == landmark.KIND
    assert max(abs(weight) for weight in choice.risk.weights.values()) < 20
    assert choice.risk.weights["value"] == 0


@pytest.mark.parametrize("horizon", [7, 14, 45, 90, 180, 365])
def test_what_is_told_of_payers_is_near_what_they_do(log, choice, horizon):
    features, churned = outcome(log, horizon)
    predicted = choice.risk.probability(features, horizon=horizon)
    paying = features.T - features.t_x <= 30
    # Which day a week or two contain is chance, to them and to those that were learnt from.
    slack = 0.08 if horizon < HORIZON else 0.04
    assert predicted.mean() == pytest.approx(churned.mean(), abs=slack)
    assert predicted[paying].mean() == pytest.approx(churned[paying].mean(), abs=slack)


def test_risk_falls_with_the_horizon_and_is_never_certain(log, choice):
    features, _ = outcome(log, HORIZON)
    predicted = np.array([choice.risk.probability(features, horizon=days) for days in ASKED])
    assert predicted.min() > 0
    assert predicted.max() < 1
    assert (np.diff(predicted, axis=0) <= 1e-12).all()


RISING_KINDS = ("mbg_nbd", "bg_nbd")


@pytest.mark.parametrize("kinds", [RISING_KINDS, churn_selection.PLAIN_KINDS])
def test_reasons_add_up_at_any_horizon(log, kinds):
    """And taking a cause of risk away lowers it.

    Who buys at regular gaps is not expected right after a purchase, nor at the very next day: so
    of a few nothing raises their risk by itself, and what does it is purchases, age and silence
    together.
    """
    seen = log.day <= 0
    past = Facts(customer=log.customer[seen], day=log.day[seen], amount=log.amount[seen])
    risk = churn_selection.choose(past, as_of=0, horizon=HORIZON, kinds=kinds).risk
    features, _ = outcome(log, HORIZON)
    for horizon in ASKED:
        reasons = risk.reasons(features, horizon=horizon)
        total = reasons.base + np.sum(list(reasons.parts.values()), axis=0)
        np.testing.assert_allclose(total, reasons.total, rtol=0, atol=1e-9)
        effects = {
            cause: reasons.total - risk.without(features, cause, horizon=horizon)
            for cause in reasons.parts
        }
        for cause, part in reasons.parts.items():
            assert (effects[cause][part > 1e-9] > 0).all(), (horizon, cause)
            assert (effects[cause][part < -1e-9] < 0).all(), (horizon, cause)
        assert kinds != RISING_KINDS or not reasons.parts[TOGETHER].any()


def test_regular_buyers_are_foreseen_by_regular_purchases():
    log = subscriptions(n=400, jitter=8, seed=5)
    past = Facts(customer=log.customer, day=log.day, amount=log.amount)
    choice = churn_selection.choose(past, as_of=0, horizon=HORIZON)
    assert choice.risk.process_kind == churn_selection.REGULAR
    for horizon in (7, 30, 180):
        features, churned = outcome(log, horizon)
        predicted = choice.risk.probability(features, horizon=horizon)
        assert predicted.mean() == pytest.approx(churned.mean(), abs=0.06)


def test_a_risk_without_lines_is_carried_no_further_than_by_the_process(log, choice):
    """As those are that were stored before there were any."""
    stored = choice.risk.as_dict()
    steep = {**stored, "weights": {"process": 8.0}}
    del steep["calibrations"]
    risk = ChurnRisk.from_dict(steep)
    features, _ = outcome(log, HORIZON)
    then, now = (risk.log_odds(features, horizon=days) for days in (90, HORIZON))
    there, here = (plain_of(risk).log_odds(features, horizon=days) for days in (90, HORIZON))
    near = np.maximum(np.abs(then), np.abs(now)) < 25  # beyond it log-odds are drawn in
    np.testing.assert_allclose((then - now)[near], (there - here)[near], atol=1e-6)


def plain_of(risk):
    return dataclasses.replace(risk, intercept=0.0, weights={"process": 1.0})


def test_too_few_outcomes_leave_the_process_to_carry():
    log = subscriptions(n=30)
    track = walk_forward.plain(walk_forward.look_back(log, 0, HORIZON), "mbg_nbd")
    assert calibrate(track.recalibrated(None), track).calibrations == ()
