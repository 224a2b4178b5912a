"""The landmark model: nothing of the future leaks in, and something comes out of anything."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.scoring.churn import landmark, observation, rolling, walk_forward
from app.scoring.churn.design import RISING, Scales
from app.scoring.evaluation import metrics
from app.scoring.histories.features import COMPLAINT, CONTACT, Facts, Features, features_at
from tests.scoring.churn import populations

DAY = dt.date(1997, 9, 30).toordinal()


def outcome(facts, day, window):
    customer, features = features_at(facts, as_of=day)
    bought = observation.buyers(facts, after=day, until=day + window)
    return features, (~np.isin(customer, bought)).astype(float)


def at_day(facts, day, window):
    mark = observation.observe(facts, day, window)
    process = observation.fit_process(mark.features, "mbg_nbd")
    return dataclasses.replace(mark, process=process)


def with_more(facts, *, after, customers=400, seed=5):
    """The same facts with others after a day: purchases, refunds, complaints, answers."""
    rng = np.random.default_rng(seed)
    kept = np.asarray(facts.day) <= after
    codes = np.unique(facts.customer)
    who, day = rng.choice(codes, customers), after + rng.integers(1, 200, customers)
    columns = facts.customer, facts.day, facts.amount
    fresh = who, day, rng.normal(20, 30, customers)
    customer, days, amount = (
        np.concatenate((np.asarray(old)[kept], new))
        for old, new in zip(columns, fresh, strict=True)
    )
    return Facts(
        customer=customer,
        day=days,
        amount=amount,
        contact_customer=who,
        contact_day=day,
        contact_kind=rng.choice([0, COMPLAINT], customers),
        contact_score=rng.uniform(0, 1, customers),
    )


def same(first, second):
    assert first.as_dict() == second.as_dict()


@pytest.mark.parametrize("horizon", [60, 90, 273])
def test_nothing_after_the_day_of_learning_matters(cdnow_facts, horizon):
    learnt = landmark.fit(cdnow_facts, as_of=DAY, horizon=horizon)
    assert learnt.kind == landmark.KIND
    for seed in (1, 2):
        changed = with_more(cdnow_facts, after=DAY, seed=seed)
        same(landmark.fit(changed, as_of=DAY, horizon=horizon), learnt)


def test_features_know_nothing_of_the_window_and_labels_nothing_after_it(cdnow_facts):
    day, window = DAY - 90, 60
    mark = at_day(cdnow_facts, day, window)
    scales = Scales.fit(mark.features)
    after = at_day(with_more(cdnow_facts, after=day + window), day, window)
    within = at_day(with_more(cdnow_facts, after=day), day, window)
    for changed in (after, within):
        np.testing.assert_array_equal(changed.design(scales), mark.design(scales))
        assert Scales.fit(changed.features) == scales
    np.testing.assert_array_equal(after.churned, mark.churned)
    assert (within.churned != mark.churned).any()


def test_windows_are_past_and_over_and_lie_end_to_end():
    for span in range(1, 900, 7):
        for window in (1, 30, 90, 365):
            window = max(min(window, span // 3), 1)
            days = walk_forward.days(1000, 1000 + span, window)
            assert all(1000 <= day <= 1000 + span - window for day in days)
            assert (np.diff(days) >= window).all()
            assert days[-1:] in ([], [1000 + span - window])
            assert len(days) >= 2 or span < 3 * window
            assert len(days) <= 2 * (walk_forward.YEAR // walk_forward.APART + 1)


@pytest.mark.parametrize("window", [1, 7, 30, 365])
def test_landmarks_lie_a_third_of_a_window_apart_as_far_back_as_facts_go(window):
    for span in (0, 1, 40, 400, 3000):
        days = rolling.days(1000, 1000 + span, window)
        apart = max(math.ceil(window / 3), -(-(span - window) // rolling.MOST))
        assert len(days) <= rolling.MOST + 1
        assert all(1000 + window / 2 <= day <= 1000 + span - window for day in days)
        assert days[:1] in ([], [1000 + span - window])
        assert set(-np.diff(days)) <= {apart}
        assert not days or days[-1] - 1000 - math.ceil(window / 2) < apart


def test_many_rows_are_drawn_by_customer_and_day(cdnow_facts, monkeypatch):
    whole = rolling.landmarks(cdnow_facts, DAY, 30)
    monkeypatch.setattr(rolling, "ROWS", 2000)
    some, again = (rolling.landmarks(cdnow_facts, DAY, 30) for _ in range(2))
    assert sum(mark.customer.size for mark in some) <= 2000 < whole[-1].customer.size * len(whole)
    assert [mark.day for mark in some] == [mark.day for mark in whole]
    for mark, same_mark, full in zip(some, again, whole, strict=True):
        np.testing.assert_array_equal(mark.customer, same_mark.customer)
        rows = np.searchsorted(full.customer, mark.customer)
        np.testing.assert_array_equal(mark.churned, full.churned[rows])
        np.testing.assert_array_equal(mark.features.t_x, full.features.t_x[rows])
    assert not np.isin(some[0].customer, some[-1].customer).all()
    _, known = features_at(cdnow_facts, as_of=DAY)
    few = landmark.fit(cdnow_facts, as_of=DAY, horizon=30).probability(known, horizon=30)
    monkeypatch.undo()
    gap = few - landmark.fit(cdnow_facts, as_of=DAY, horizon=30).probability(known, horizon=30)
    assert np.abs(gap).mean() < 0.05


@pytest.mark.parametrize(
    ("better", "spread", "place"), [(0.0, 0.1, 0), (0.001, 0.5, 0), (0.05, 0.1, 2)]
)
def test_the_regression_counts_more_only_where_that_was_clearly_better(better, spread, place):
    rng = np.random.default_rng(0)
    usual = [rng.uniform(0.2, 1, 400) for _ in range(3)]
    others = [[loss + 0.01, loss - better + rng.normal(0, spread, 400)] for loss in usual]
    losses = [[loss, *other] for loss, other in zip(usual, others, strict=True)]
    assert landmark.regression_share(losses) == landmark.SHARES[place]
    assert landmark.regression_share([]) == landmark.SHARES[0]


def test_the_order_of_rows_does_not_matter(cdnow_facts):
    rows = np.random.default_rng(3).permutation(np.size(cdnow_facts.day))
    shuffled = Facts(
        customer=cdnow_facts.customer[rows],
        day=cdnow_facts.day[rows],
        amount=cdnow_facts.amount[rows],
    )
    same(
        landmark.fit(shuffled, as_of=DAY, horizon=90),
        landmark.fit(cdnow_facts, as_of=DAY, horizon=90),
    )


def test_codes_may_be_words(cdnow_facts):
    words = np.char.add("customer-", np.char.zfill(cdnow_facts.customer.astype(str), 6))
    named = dataclasses.replace(cdnow_facts, customer=words)
    same(
        landmark.fit(named, as_of=DAY, horizon=90),
        landmark.fit(cdnow_facts, as_of=DAY, horizon=90),
    )


def test_neither_currency_nor_calendar_matters(cdnow_facts):
    moved = dataclasses.replace(
        cdnow_facts, day=cdnow_facts.day - 9999, amount=cdnow_facts.amount * 128
    )
    _, features = features_at(cdnow_facts, as_of=DAY)
    _, other = features_at(moved, as_of=DAY - 9999)
    here = landmark.fit(cdnow_facts, as_of=DAY, horizon=90).log_odds(features, horizon=90)
    there = landmark.fit(moved, as_of=DAY - 9999, horizon=90).log_odds(other, horizon=90)
    np.testing.assert_allclose(there, here, atol=1e-7)


def test_rising_weights_are_never_negative(cdnow_facts, online_retail_facts):
    for facts, day in ((cdnow_facts, DAY), (online_retail_facts, 282), (online_retail_facts, 200)):
        risk = landmark.fit(facts, as_of=day, horizon=60)
        assert min(risk.weights[name] for name in RISING) >= 0


def test_it_foresees_the_next_39_weeks_of_cdnow(cdnow_facts):
    risk = landmark.fit(cdnow_facts, as_of=DAY, horizon=273)
    assert risk.label_window < 273
    assert risk.is_extrapolated(273)
    features, churned = outcome(cdnow_facts, DAY, 273)
    p = risk.probability(features, horizon=273)
    assert metrics.auc(p, churned) > 0.77
    assert metrics.ece(p, churned) < 0.04
    mbg = observation.plain(features, "mbg_nbd", 273).probability(features, horizon=273)
    assert metrics.brier(p, churned) < metrics.brier(mbg, churned) - 0.003


def test_it_foresees_the_next_quarter_of_online_retail(online_retail_facts):
    risk = landmark.fit(online_retail_facts, as_of=282, horizon=91)
    assert risk.label_window == 91
    features, churned = outcome(online_retail_facts, 282, 91)
    p = risk.probability(features, horizon=91)
    assert metrics.auc(p, churned) > 0.73
    # The quarter before Christmas brings more of them back than any before it.
    assert metrics.log_loss(p, churned) < 0.63


def test_a_draw_of_many_customers_learns_about_the_same(cdnow_facts, monkeypatch):
    full = landmark.fit(cdnow_facts, as_of=DAY, horizon=90)
    monkeypatch.setattr(observation, "CUSTOMERS", 1500)
    some = observation.sampled(cdnow_facts, DAY, 1)
    assert np.unique(some.customer).size == 1500
    part = landmark.fit(cdnow_facts, as_of=DAY, horizon=90, seed=1)
    same(part, landmark.fit(cdnow_facts, as_of=DAY, horizon=90, seed=1))
    _, features = features_at(cdnow_facts, as_of=DAY)
    gap = part.probability(features, horizon=90) - full.probability(features, horizon=90)
    assert np.abs(gap).mean() < 0.05


def log(customers, purchases, *, seed=0, span=400, amount=10.0):
    """So many customers with so many purchases each, spread over the span."""
    rng = np.random.default_rng(seed)
    customer = np.repeat(np.arange(customers), purchases)
    return Facts(
        customer=customer,
        day=rng.integers(0, span, customer.size),
        amount=np.full(customer.size, amount),
    )


POPULATIONS = {
    "nobody": log(0, 1),
    "one": log(1, 1),
    "two": log(2, 60),
    "five": log(5, 3),
    "all_new": Facts(
        customer=np.arange(300) % 200, day=397 + np.arange(300) % 4, amount=np.ones(300)
    ),
    "all_once": log(500, 1),
    "all_often": log(400, 40),
    "all_worthless": log(400, 3, amount=0.0),
    "only_refunds": log(50, 2, amount=-5.0),
    "one_day": log(300, 2, span=1),
    "two_days": log(300, 2, span=2),
    "huge_amounts": log(400, 3, amount=1e300),
    "one_landmark": Facts(
        customer=np.arange(600) % 300, day=np.arange(600) // 300 * 299 + 100, amount=np.ones(600)
    ),
    "all_leave": Facts(
        customer=np.arange(500), day=np.append(0, np.full(499, 1)), amount=np.ones(500)
    ),
}


@pytest.mark.parametrize("name", POPULATIONS)
@pytest.mark.parametrize("horizon", [1, 90, 5000])
def test_degenerate_populations_have_a_finite_risk(name, horizon):
    facts = POPULATIONS[name]
    risk = landmark.fit(facts, as_of=400, horizon=horizon)
    assert risk.status in {"ok", "insufficient_history", "weakly_identified"}
    _, features = features_at(facts, as_of=400)
    for of in (features, Features.of([0, 3], [0, 9], [5, 99], value_1=1e308, mean_value=1e308)):
        reasons = risk.reasons(of, horizon=horizon)
        assert np.isfinite(reasons.total).all()
        assert np.isfinite(list(reasons.parts.values())).all()
        p = risk.probability(of, horizon=horizon)
        assert ((p >= 0) & (p <= 1)).all()


@settings(max_examples=25)
@given(
    st.integers(1, 60),
    st.integers(1, 5),
    st.integers(2, 600),
    st.integers(1, 400),
    st.sampled_from(["mbg_nbd", "bg_nbd", "nbd"]),
)
def test_any_population_has_a_finite_risk(customers, purchases, span, horizon, process):
    facts = log(customers, purchases, seed=customers, span=span)
    risk = landmark.fit(facts, as_of=span, horizon=horizon, process=process)
    _, features = features_at(facts, as_of=span)
    assert np.isfinite(risk.log_odds(features, horizon=horizon)).all()


def test_complaints_are_learnt_where_they_matter():
    rng = np.random.default_rng(0)
    n, days = 1500, np.arange(0, 720)
    rate = 1 / 30
    customers, when = np.nonzero(rng.random((n, days.size)) < rate)
    quits = rng.integers(200, 1500, n)
    kept = when <= quits[customers]
    left = np.flatnonzero((quits < days.size) & (rng.random(n) < 0.8))
    # Others, too, were in contact, of any matter: it is the complaint that tells.
    who = np.append(left, np.arange(n))
    at = np.append(quits[left], rng.integers(0, np.minimum(quits, days.size)))
    facts = Facts(
        customer=customers[kept],
        day=when[kept],
        amount=rng.gamma(3, 10, kept.sum()),
        contact_customer=who,
        contact_day=at,
        contact_kind=np.where(np.arange(who.size) < left.size, COMPLAINT, CONTACT),
        contact_score=np.full(who.size, np.nan),
    )
    risk = landmark.fit(facts, as_of=719, horizon=60)
    assert risk.weights["complaints"] > 1
    features = Features.of([9, 9], 270, 300, complaints=[0, 1], sum_log_gaps=9 * np.log(30.0))
    reasons = risk.reasons(features, horizon=60)
    assert reasons.parts["complaints"][1] > 1
    assert reasons.parts["complaints"][0] == 0


def test_thin_pasts_are_said_to_be_thin(cdnow_facts):
    few = cdnow_facts.of(np.unique(cdnow_facts.customer)[:40])
    risk = landmark.fit(few, as_of=DAY, horizon=90)
    assert (risk.status, risk.kind) == ("insufficient_history", "mbg_nbd")
    assert risk.weights == {"process": 1.0}
    assert not risk.is_extrapolated(90)
    with pytest.raises(ValueError, match="whole"):
        landmark.fit(few, as_of=DAY, horizon=1.5)
    with pytest.raises(ValueError, match="horse"):
        landmark.fit(few, as_of=DAY, horizon=90, process="horse")


def test_a_few_who_came_years_before_all_others_make_no_long_history():
    facts = populations.facts([(n, day) for n in range(200) for day in range(n % 30, 300, 40)])
    early = Facts(
        customer=np.append(facts.customer, [900, 901]),
        day=np.append(facts.day, [-900, -700]),
        amount=np.ones(facts.customer.size + 2),
    )
    window, by_early = (landmark.label_window(some, 299, 365) for some in (facts, early))
    assert window == by_early == 99
