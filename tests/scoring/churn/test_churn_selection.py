"""Which risk is served, and why."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace

import numpy as np
import pytest

from app.scoring.churn import guard, landmark, verdicts
from app.scoring.churn.backtest_tables import cross_fitted
from app.scoring.churn.candidates import Candidate, Judged, select
from app.scoring.churn.churn_risk import ChurnRisk
from app.scoring.churn.churn_selection import INSUFFICIENT, choose
from app.scoring.churn.verdicts import CLEARLY
from app.scoring.evaluation import metrics
from app.scoring.evaluation.one_standard_error import CLOSE
from app.scoring.histories.features import Facts, features_at

DAY = dt.date(1997, 9, 30).toordinal()


def test_cdnow_is_judged_on_a_holdout(cdnow_facts):
    choice = choose(cdnow_facts, as_of=DAY, horizon=90)
    assert (choice.status, choice.holdout, choice.note) == ("ok", 90, "")
    assert [row.kind for row in choice.table][-2:] == ["bg_nbd", landmark.KIND]
    chosen = next(row for row in choice.table if row.kind == choice.risk.kind)
    assert min(row.behind for row in choice.table) == 0
    least = min(row.log_loss for row in choice.table)
    clearly = max(CLEARLY * chosen.behind_error, CLOSE * least)
    assert chosen.behind <= clearly or choice.reason == "least_log_loss"
    best = max(row.auc for row in choice.table)
    assert chosen.auc >= best - chosen.auc_error
    assert all(row.ece <= 0.05 for row in choice.table)
    assert choice.label_window == 90
    assert not choice.extrapolated


def test_a_long_horizon_is_carried(cdnow_facts):
    choice = choose(cdnow_facts, as_of=DAY, horizon=365)
    assert choice.label_window < 365
    assert choice.extrapolated
    assert choice.holdout == 90  # a third of the history


def test_the_second_stage_is_chosen_where_it_is_better(online_retail_facts):
    choice = choose(online_retail_facts, as_of=282, horizon=91)
    assert choice.risk.kind == landmark.KIND
    assert choice.reason == "least_log_loss"


@pytest.mark.parametrize("kinds", [("mbg_nbd",), ("pareto_nbd", "mbg_nbd"), ()])
def test_a_choice_is_stored_with_its_evidence(cdnow_facts, kinds):
    choice = choose(cdnow_facts, as_of=DAY, horizon=90, kinds=kinds)
    stored = json.loads(json.dumps(choice.as_dict(), allow_nan=False))
    assert stored["chosen"] == choice.risk.kind
    _, features = features_at(cdnow_facts, as_of=DAY)
    np.testing.assert_array_equal(
        ChurnRisk.from_dict(stored["risk"]).log_odds(features, horizon=30),
        choice.risk.log_odds(features, horizon=30),
    )


def test_a_model_without_regularity_is_not_judged_twice(cdnow_facts):
    kinds = ("mbg_nbd", "mbg_cnbd_k")
    table = choose(cdnow_facts, as_of=DAY, horizon=90, kinds=kinds).table
    assert [row.kind for row in table] == ["mbg_nbd", landmark.KIND]
    alone = choose(cdnow_facts, as_of=DAY, horizon=90, kinds=kinds[1:]).table
    assert [row.kind for row in alone] == ["mbg_cnbd_k", landmark.KIND]


def judged(churned, windows=4):
    window = np.arange(churned.size) * windows // churned.size
    return Judged(tuple(range(windows)), churned, window, 100)


def candidate(kind, predicted, churned, *, raw=0.9, bic=np.inf):
    of_raw = metrics.log_loss_each(np.full(churned.size, raw), churned)
    loss = metrics.log_loss_each(predicted, churned)
    told = np.full(churned.size, raw)
    late = np.zeros(churned.size, dtype=bool)
    return Candidate(kind, "mbg_nbd", "ok", predicted, loss, told, of_raw, late, bic)


@pytest.mark.parametrize(("off", "at"), [(0.04, 1), (0.01, 1), (0.3, 0)])
def test_the_average_serves_unless_it_is_clearly_worse(off, at):
    """It tells halves of the customers apart who do not differ; a process tells the share."""
    n = np.arange(200)
    churned = (n // 2 % 10 < 3).astype(float)
    candidates = [
        candidate("mbg_nbd", np.full(200, 0.3), churned, bic=1.0),
        candidate(landmark.KIND, np.clip(0.3 + off * (-1.0) ** n, 0.001, 1), churned),
    ]
    base = metrics.log_loss_each(np.full(200, 0.5), churned)
    picked = select(candidates, judged(churned), base)
    assert picked.table[1].behind > 0
    assert picked.wanted == at
    assert picked.reason == ("average_not_clearly_worse" if at else "least_log_loss")


@pytest.mark.parametrize(("off", "at"), [(0.02, 0), (0.06, 1)])
def test_the_simpler_of_two_processes_is_taken_if_it_is_as_good(off, at):
    """As good is a thousandth, and nobody is told apart who does not differ."""
    n = np.arange(200)
    churned = (n // 2 % 10 < 3).astype(float)
    candidates = [
        candidate("mbg_nbd", 0.3 + off * (-1.0) ** n, churned, bic=1.0),
        candidate("bg_nbd", np.full(200, 0.3), churned, bic=900.0),
    ]
    base = metrics.log_loss_each(np.full(200, 0.5), churned)
    picked = select(candidates, judged(churned), base)
    assert picked.wanted == at
    assert picked.reason == ("least_log_loss" if at else "simpler_and_as_good")


def test_of_processes_that_tie_the_gaps_decide():
    churned = (np.arange(200) % 10 < 3).astype(float)
    told = np.full(200, 0.3)
    base = metrics.log_loss_each(np.full(200, 0.5), churned)
    for bics in ((900.0, 800.0), (800.0, 900.0)):
        rows = [
            candidate(kind, told, churned, bic=bic)
            for kind, bic in zip(("mbg_nbd", "mbg_cnbd_k"), bics, strict=True)
        ]
        assert select(rows, judged(churned), base).at == bics.index(800.0)


def test_what_loses_is_not_published_and_what_serves_instead_is_the_best_that_is_left():
    churned = (np.arange(400) % 10 < 3).astype(float)
    on = judged(churned, windows=4)
    base = metrics.log_loss_each(np.full(400, 0.35), churned)

    def decide(told, raw):
        rows = [candidate("mbg_nbd", np.full(400, told), churned, raw=raw, bic=1.0)]
        picked = select(rows, on, base)
        return guard.decide(rows[picked.wanted], picked.served, base, on)

    good, raw, share = decide(0.3, 0.9), decide(0.9, 0.3), decide(0.9, 0.8)
    assert (good.serves, good.instead_of, good.reason) == ("recalibrated", None, "not_worse")
    assert (raw.serves, raw.instead_of, raw.reason) == ("raw", "mbg_nbd", "loses_to_base_rate")
    assert (share.serves, share.kind, share.reason) == (
        "base_rate", "base_rate", "loses_to_base_rate",
    )  # fmt: skip
    for found in (good, raw, share):
        least = min(found.log_loss, found.log_loss_raw, found.log_loss_base_rate)
        assert found.log_loss_served == pytest.approx(least)
        assert guard.Guard.from_dict(found.as_dict()) == found
    line = decide(0.34, 0.3)
    assert (line.serves, line.reason) == ("recalibrated", "not_worse")  # by less than chance
    worse = decide(0.45, 0.3)
    assert worse.serves == "raw"


def test_a_line_that_is_worse_of_the_late_alone_is_not_published():
    """It gains by the many fresh ones; the late, told .3 by it and .8 by the process, all left."""
    n = np.arange(400)
    late = n % 40 == 0
    churned = np.where(late, 1.0, n % 10 == 1)
    line, raw = np.where(late, 0.3, 0.1), np.where(late, 0.8, 0.3)
    losses = [metrics.log_loss_each(told, churned) for told in (line, raw)]
    row = Candidate("mbg_nbd", "mbg_nbd", "ok", line, losses[0], raw, losses[1], late, 1.0)
    on = judged(churned)
    base = metrics.log_loss_each(np.full(400, 0.5), churned)
    assert losses[0].mean() < losses[1].mean()
    picked = select([row], on, base)
    found = guard.decide(row, picked.served, base, on)
    assert (found.serves, found.reason) == ("raw", verdicts.LOSES_TO_RAW_WHEN_LATE)
    assert picked.reason == "guard"
    alike = replace(row, late=np.zeros(400, dtype=bool))
    assert select([alike], on, base).served is alike


@pytest.mark.parametrize(("windows", "serves"), [(2, "raw"), (3, "recalibrated")])
def test_over_few_windows_a_line_must_be_clearly_better(windows, serves):
    churned = (np.arange(60) % 10 < 3).astype(float)
    on = judged(churned, windows=windows)
    row = candidate("mbg_nbd", np.full(60, 0.33), churned, raw=0.38, bic=1.0)
    base = metrics.log_loss_each(np.full(60, 0.5), churned)
    picked = select([row], on, base)
    assert guard.decide(row, picked.served, base, on).serves == serves
    clear = candidate("mbg_nbd", np.full(60, 0.3), churned, raw=0.9, bic=1.0)
    assert select([clear], on, base).served is clear
    average = candidate(landmark.KIND, np.full(60, 0.33), churned, raw=0.38)
    assert select([average], on, base).served is average
    assert select([average], judged(churned, windows=1), base).served.raw
    worse = candidate(landmark.KIND, np.full(60, 0.38), churned, raw=0.33)
    assert select([worse], on, base).served.raw


@pytest.mark.parametrize("horizon", [90, 180])
def test_what_serves_is_what_was_judged(online_retail_facts, horizon):
    """Over a horizon that history does not hold thrice, the windows judged are those learnt on."""
    choice = choose(online_retail_facts, as_of=282, horizon=horizon)
    assert choice.label_window in (0, choice.holdout)
    assert (choice.reason == "guard") == (choice.guard.instead_of is not None)


def test_nothing_later_matters(cdnow_facts):
    seen = cdnow_facts.day <= DAY
    early = Facts(
        customer=cdnow_facts.customer[seen],
        day=cdnow_facts.day[seen],
        amount=cdnow_facts.amount[seen],
    )
    first, second = (choose(facts, as_of=DAY, horizon=90) for facts in (early, cdnow_facts))
    assert first.as_dict() == second.as_dict()


@pytest.mark.parametrize("customers", [0, 1, 5, 20])
def test_too_little_history_is_said(cdnow_facts, customers):
    few = cdnow_facts.of(np.unique(cdnow_facts.customer)[:customers])
    choice = choose(few, as_of=DAY, horizon=90)
    assert (choice.status, choice.reason) == (INSUFFICIENT, INSUFFICIENT)
    assert choice.risk.status == INSUFFICIENT
    assert (choice.guard.serves, choice.guard.reason) == ("raw", "not_judged")
    assert (choice.holdout, choice.table) == (0, ())
    assert choice.note
    assert np.isfinite(choice.risk.log_odds(features_at(few, as_of=DAY)[1], horizon=90)).all()
    json.dumps(choice.as_dict(), allow_nan=False)


def test_cross_fitting_leaves_the_judged_customers_out():
    rng = np.random.default_rng(1)
    odds = rng.normal(size=500)
    churned = (rng.random(500) < 0.5).astype(float)
    before = cross_fitted(odds, churned)
    flipped = churned.copy()
    flipped[0] = 1 - flipped[0]
    after = cross_fitted(odds, flipped)
    same_part = np.arange(500) % 5 == 0
    np.testing.assert_array_equal(after[same_part], before[same_part])
    assert (after[~same_part] != before[~same_part]).all()
    # Nothing to be learnt: an honest estimate does not beat the share itself.
    assert metrics.log_loss(before, churned) > metrics.log_loss(
        np.full(500, churned.mean()), churned
    )  # fmt: skip


def test_unknown_kinds_are_refused(cdnow_facts):
    with pytest.raises(ValueError, match="horse"):
        choose(cdnow_facts, as_of=DAY, horizon=90, kinds=("horse",))
