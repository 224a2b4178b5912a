"""Whatever the population, what is told is no worse than what anybody could have told."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.scoring.churn import churn_selection, guard, landmark, observation, verdicts, walk_forward
from app.scoring.churn.rules import BASE_RATE, rules
from app.scoring.churn.verdicts import LOST
from app.scoring.evaluation import metrics
from app.scoring.histories.features import Facts, Features, features_at
from benchmarks import invented
from tests.depth import drawn
from tests.scoring.churn import populations

FEW = ("mbg_nbd", "mbg_cnbd_k")


def told(facts, cut, horizon, **options):
    choice = churn_selection.choose(facts, as_of=cut, horizon=horizon, **options)
    customer, features = features_at(facts, as_of=cut)
    churned = observation.churned(facts, customer, cut, horizon)
    base = rules(facts, cut, horizon, features)["base_rate"][0]
    return choice, choice.risk.probability(features, horizon=horizon), churned, base


@pytest.mark.parametrize(("seed", "cut"), [(5, 1060), (11, 1060), (4, 1000), (7, 1060)])
def test_buyers_who_are_alike_are_told_the_share_of_the_season(seed, cut):
    """On one window a line without a ridge gave them slopes of up to 978, and risks of 0."""
    facts = populations.alike(np.random.default_rng(seed), 1100)
    choice, p, churned, base = told(facts, cut, 30)
    assert choice.risk.weights.get("process", 0.0) < 3
    assert p.mean() == pytest.approx(churned.mean(), abs=0.1)
    assert metrics.log_loss(p, churned) <= metrics.log_loss(base, churned) + 0.02


@pytest.mark.parametrize("population", populations.ALL)
def test_no_population_is_told_worse_than_the_base_rate(population):
    facts = population(np.random.default_rng(2), 830)
    _, p, churned, base = told(facts, 800, 30, kinds=FEW)
    # Twelve customers are a sample of twelve.
    slack = 0.02 if population is not populations.twelve else 0.1
    assert metrics.log_loss(p, churned) <= metrics.log_loss(base, churned) + slack


@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.integers(0, 10_000),
    st.integers(60, 250),
    st.floats(15, 150),
    st.sampled_from([0.3, 3.0, 1e6]),
    st.sampled_from([150.0, 1e9]),
    st.sampled_from([14, 30, 90]),
)
def test_what_serves_lost_to_nothing_it_was_held_against(seed, n, gap, alikeness, life, horizon):
    """And where tomorrow is like yesterday, it is no worse than the base rate then either."""
    rng = np.random.default_rng(seed)
    start = rng.uniform(0, 400, n)
    rate = rng.gamma(alikeness, 1 / (alikeness * gap), n) + 1e-5
    leave = start + rng.exponential(life, n)
    facts = populations.poisson(rng, start, rate, 600 + horizon, leave=leave)
    choice, p, churned, base = told(facts, 600, horizon, kinds=FEW)
    found = choice.guard
    if found.reason != verdicts.NOT_JUDGED:
        others = min(found.log_loss_raw, found.log_loss_base_rate)
        assert found.log_loss_served <= others + LOST + 1e-12
    gap = metrics.difference(
        metrics.log_loss_each(p, churned), metrics.log_loss_each(base, churned)
    )
    assert gap.value <= 0.02 + 3 * np.nan_to_num(gap.standard_error)


@pytest.mark.parametrize("days", [365, 500])
@pytest.mark.parametrize("leave", [0.01, 0.02])
def test_monthly_donors_have_a_regular_process_and_a_late_one_is_at_risk(days, leave):
    """A line that suits the fresh, who are many, must not lower what the late are told.

    Told .11 to .30 after 61 days, before the late were looked at by themselves.
    """
    late, fresh = [], []
    for seed in range(drawn(1, 3)):
        facts = populations.donors(np.random.default_rng(seed), days, leave=leave, spread=60)
        choice = churn_selection.choose(facts, as_of=days, horizon=30)
        assert choice.risk.process_kind in ("mbg_cnbd_k", "bg_cnbd_k")
        span = 9 * 30.6
        for silent, found in ((61, late), (5, fresh)):
            one = features(9, span, span + silent)
            found.append(float(choice.risk.probability(one, horizon=30)[0]))
    assert min(late) > 0.8
    assert np.mean(late) > 0.9
    assert max(fresh) < 0.3


def features(x, t_x, T):
    gap = t_x / x
    return Features.of(
        [x], [t_x], [T], sum_log_gaps=x * np.log(gap), gap_1=gap, gap_2=gap, gap_3=gap,
        mean_value=1.0, value_1=1.0, value_2=1.0, value_3=1.0,
    )  # fmt: skip


def test_nothing_is_told_with_a_fact_of_its_own_window():
    """Nor is any line: what a window was told stays as it is when later facts change."""
    facts = populations.growth(np.random.default_rng(3), 700)
    past = walk_forward.look_back(facts, 700, 30)
    at = past.judged[1]
    day = past.marks[at].day
    rng = np.random.default_rng(4)
    shuffled = np.where(facts.day > day, day + rng.integers(1, 200, facts.day.size), facts.day)
    changed = Facts(customer=facts.customer, day=shuffled, amount=facts.amount)
    for learn in (walk_forward.plain, walk_forward.base_rate):
        first = learn(past, "mbg_nbd").predicted(at)
        again = learn(walk_forward.look_back(changed, 700, 30), "mbg_nbd").predicted(at)
        np.testing.assert_array_equal(again, first)


def test_a_season_that_was_seen_twice_is_expected():
    """The level of the windows of a year ago counts beside that of the last ones."""
    rng = np.random.default_rng(6)
    facts = populations.alike(rng, 1100)
    track = walk_forward.base_rate(walk_forward.look_back(facts, 1035, 30), "mbg_nbd")
    now = sigmoid_of(track)
    before = walk_forward.base_rate(walk_forward.look_back(facts, 940, 30), "mbg_nbd")
    assert now < sigmoid_of(before) - 0.1


def sigmoid_of(track):
    return float(track.recalibrated(None).probability(track.past.now, horizon=30).mean())


@pytest.mark.parametrize("seed", [0, 2])
def test_the_base_rate_serves_where_nothing_tells_customers_apart(seed):
    facts = Facts(**invented.alike(seed, 1000).facts)
    choice, p, _, _ = told(facts, 1000, 30)
    assert (choice.guard.serves, choice.reason) == (BASE_RATE, "guard")
    assert choice.guard.instead_of == landmark.KIND
    assert choice.risk.kind == BASE_RATE
    assert np.ptp(p) < 1e-9
    _, known = features_at(facts, as_of=1000)
    longer = choice.risk.probability(known, horizon=90)
    assert (longer <= p + 1e-12).all()
    assert choice.as_dict()["guard"]["serves"] == BASE_RATE


def test_a_kind_that_was_asked_for_says_where_it_loses_to_the_base_rate():
    """Buyers at regular gaps by a process without memory."""
    regular = populations.donors(np.random.default_rng(2), 700, n=200, leave=0.04)
    alike = populations.alike(np.random.default_rng(4), 1100)
    found = churn_selection.judge(alike, "mbg_nbd", as_of=1095, horizon=30)
    assert (found.serves, found.kind) == (guard.RAW, "mbg_nbd")
    assert found.windows > 0
    good = churn_selection.judge(regular, "mbg_cnbd_k", as_of=700, horizon=30)
    assert good.reason == verdicts.NOT_WORSE
    assert good.log_loss_served < good.log_loss_base_rate
    bad = churn_selection.judge(regular, "nbd", as_of=700, horizon=30)
    assert bad.log_loss_served > good.log_loss_served
    nobody = churn_selection.judge(
        populations.once(np.random.default_rng(1), 5), "mbg_nbd", as_of=5, horizon=30
    )
    assert nobody.reason == verdicts.NOT_JUDGED
