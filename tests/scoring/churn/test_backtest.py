"""The back-test: what was told beside what happened, and beside rules that need no model."""

from __future__ import annotations

import datetime as dt
import json

import numpy as np
import pytest

from app.scoring.churn import backtest, backtest_tables, churn_selection, observation
from app.scoring.evaluation import metrics
from app.scoring.histories.features import Facts
from app.scoring.spend import intervals

DAY = dt.date(1997, 9, 30).toordinal()
CONTENDERS = {
    "chosen", "landmark", "process", "regression", *churn_selection.PLAIN_KINDS, "hiatus",
    "own_cadence", "base_rate",
}  # fmt: skip
EPOCH = dt.date(1970, 1, 1).toordinal()


KINDS = ("mbg_nbd",)


@pytest.fixture(scope="module")
def cdnow_report(cdnow_facts):
    return backtest.run(cdnow_facts, as_of=DAY + 273, horizon=273, draws=30)


@pytest.fixture(scope="module")
def retail_report(online_retail_facts):
    return backtest.run(online_retail_facts, as_of=373, horizon=91, draws=0)


@pytest.mark.parametrize("report", ["cdnow_report", "retail_report"])
def test_the_chosen_is_within_one_standard_error_of_the_best(report, request):
    fold = request.getfixturevalue(report)["folds"][0]
    contenders = fold["contenders"]
    assert set(contenders) == CONTENDERS
    chosen = contenders["chosen"]
    best = max(row["auc"] for row in contenders.values())
    assert chosen["auc"] >= best - chosen["auc_error"]
    assert chosen["ece_recalibrated"] <= 0.05
    for rule in ("hiatus", "own_cadence", "base_rate"):
        assert chosen["brier"] < contenders[rule]["brier"] - 0.02


def test_cdnow_is_calibrated_without_seeing_the_future(cdnow_report):
    fold = cdnow_report["folds"][0]
    assert fold["contenders"]["chosen"]["ece"] <= 0.05
    assert fold["customers"] == 2357
    assert sum(row["n"] for row in fold["calibration"]) == 2357
    for row in fold["calibration"]:
        assert row["lower"] <= row["churned"] <= row["upper"]
        assert row["from"] <= row["predicted"] <= row["to"]
    ends = fold["intervals"]
    for name in ("auc", "brier", "log_loss", "ece"):
        assert ends["lower"][name] <= ends["upper"][name]
        assert ends["estimate"][name] == pytest.approx(fold["contenders"]["chosen"][name])


def test_sums_agree_with_the_log(cdnow_report, cdnow_log):
    customer, day, amount = cdnow_log
    later = day > DAY
    fold = cdnow_report["folds"][0]
    days = len(set(zip(customer[later], day[later], strict=True)))
    for rows in (fold["groups"], [fold["one_time"], fold["repeat"]]):
        assert sum(row["purchases"] for row in rows) == days
        assert sum(row["revenue"] for row in rows) == pytest.approx(amount[later].sum())
        assert sum(row["n"] for row in rows) == 2357
        expected = sum(row["expected_purchases"] for row in rows)
        assert expected == pytest.approx(days, rel=0.25)
    assert fold["new_customers"] == {"customers": 0, "revenue": 0}
    lift = fold["lift"]
    assert lift["leaving"]["gain"][-1] == pytest.approx(1)
    assert lift["purchases"]["lift"][0] > 4
    assert len(fold["curve"]) <= 20


@pytest.mark.parametrize("report", ["cdnow_report", "retail_report"])
def test_what_is_averaged_is_shown_with_its_weight(report, request):
    fold = request.getfixturevalue(report)["folds"][0]
    weights = {part["name"]: part["weight"] for part in fold["components"]}
    assert set(weights) == {"process", "regression"}
    assert sum(weights.values()) == pytest.approx(1)
    losses = {name: fold["contenders"][name]["log_loss"] for name in weights}
    assert len(set(losses.values())) == len(losses)
    # A mean of log-odds is no worse than the worst of them.
    assert fold["contenders"]["landmark"]["log_loss"] < max(losses.values()) + 0.05


def test_levels_of_windows_are_those_that_the_risk_was_moved_by(online_retail_facts):
    options = {"as_of": 282, "horizon": 60}
    choice = churn_selection.choose(online_retail_facts, kinds=KINDS, **options)
    growth = choice.growth
    assert growth.used == (choice.guard.serves != "raw")
    for window in growth.windows:
        mark = observation.observe(online_retail_facts, window.day, 60)
        assert window.customers == mark.customer.size
        assert window.churned == pytest.approx(mark.churned.mean())
        assert window.error > 0
    levels = [window.level for window in growth.windows]
    assert min(0, *levels) < growth.forecast < max(0, *levels)
    if growth.used:
        # What is served is what was learnt, at the level that was forecast.
        assert choice.risk.weights["process"] != 1.0


def test_totals_of_the_process_stand_beside_those_that_are_served(
    retail_report, online_retail_facts
):
    fold = retail_report["folds"][0]
    totals = fold["totals"]
    assert totals["purchases"] == sum(row["purchases"] for row in fold["groups"])
    told = {row["by"]: row for row in totals["told"]}
    assert list(told) == ["served", "process"]
    served = sum(row["expected_purchases"] for row in fold["groups"])
    assert told["served"]["expected_purchases"] == pytest.approx(served)
    features = observation.observe(online_retail_facts, 282, 91).features
    process = observation.fit_process(features, "mbg_nbd")
    alone = process.expected_purchases(features.x, features.t_x, features.T, horizon=91).sum()
    assert told["process"]["expected_purchases"] == pytest.approx(alone)
    for row in totals["told"]:
        gap = row["expected_purchases"] / totals["purchases"] - 1
        assert row["error"] == pytest.approx(gap)
        assert retail_report["totals_error"][row["by"]] == pytest.approx(abs(gap))


def test_what_intervals_held_is_counted(retail_report, online_retail_facts):
    fold = retail_report["folds"][0]
    choice = churn_selection.choose(online_retail_facts, as_of=282, horizon=91)
    mark = observation.observe(online_retail_facts, 282, 91)
    process = observation.fit_process(mark.features, "mbg_nbd")
    history = mark.features.x, mark.features.t_x, mark.features.T
    told = intervals.Purchases.of(
        1 - choice.risk.probability(mark.features, horizon=91),
        process.purchases_if_any(*history, horizon=91),
        intervals.shape_of(process, mark.features.x),
    )
    each = intervals.of_purchases(told, choice.between)
    after = backtest_tables.outcomes(online_retail_facts, 282, 91).purchases
    held = np.mean([low <= made <= high for low, high, made in zip(each.low, each.high, after,
                                                                   strict=True)])  # fmt: skip
    found = fold["coverage"]
    assert found["between"] == {"sd": choice.between.sd, "windows": choice.between.windows}
    assert found["purchases"]["held"] == pytest.approx(held)
    assert found["purchases"]["promised"] == pytest.approx(each.held.mean())
    assert 0.7 < held < 1
    for of, made in (("purchases", fold["totals"]["purchases"]),
                     ("revenue", fold["totals"]["revenue"])):  # fmt: skip
        ends = fold["totals"]["told"][0]["interval" if of == "purchases" else "revenue_interval"]
        assert found[of]["total_held"] == (ends["low"] <= made <= ends["high"])
        assert retail_report["coverage"][of]["total_held"] == float(found[of]["total_held"])
        assert retail_report["coverage"][of]["held"] == pytest.approx(found[of]["held"])


def test_a_season_is_learnt_at_the_cut_and_counted_in():
    rng = np.random.default_rng(0)
    first = dt.date(2020, 1, 1).toordinal() - EPOCH
    days = 3 * 366 + 200
    month = (first + np.arange(days)).astype("datetime64[D]").astype("datetime64[M]").astype(int)
    pace = np.where(np.isin(month % 12, (10, 11)), 2.5, 0.7)
    rate = rng.gamma(2, 1 / 2, 700) / 60
    bought = rng.random((700, days)) < np.minimum(rate[:, None] * pace, 0.9)
    bought[np.arange(700), rng.integers(0, 200, 700)] = True
    customer, day = np.nonzero(bought)
    facts = Facts(customer=customer, day=first + day, amount=np.full(day.size, 9.0))
    cut = dt.date(2022, 10, 31).toordinal() - EPOCH
    options = {"as_of": cut + 60, "horizon": 60, "cut_days": [cut], "draws": 0, "kinds": KINDS}
    fold = backtest.run(facts, **options)["folds"][0]
    assert fold["season"]["status"] == "seasonal"
    months = [month["factor"] for month in fold["season"]["months"]]
    assert sorted(range(12), key=months.__getitem__)[-2:] in ([10, 11], [11, 10])
    errors = {row["by"]: row["error"] for row in fold["totals"]["told"]}
    assert list(errors) == ["served", "process", "process_in_plain_time"]
    assert errors["process_in_plain_time"] < -0.4
    assert abs(errors["process"]) < 0.2
    # Nothing of it is learnt from after the cut.
    until = first + day <= cut
    known = Facts(
        customer=customer[until], day=first + day[until], amount=np.full(until.sum(), 9.0)
    )
    assert backtest.run(known, **options)["folds"][0]["season"] == fold["season"]


def test_new_customers_stand_apart(retail_report, online_retail_log):
    customer, day, cents = online_retail_log
    new = np.setdiff1d(customer, customer[day <= 282])
    found = retail_report["folds"][0]["new_customers"]
    assert found["customers"] == new.size
    assert found["revenue"] == pytest.approx(cents[np.isin(customer, new)].sum() / 100)


def test_the_report_is_plain(cdnow_report, retail_report):
    for report in (cdnow_report, retail_report):
        assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert retail_report["folds"][0]["intervals"] is None
    assert cdnow_report["bands"]["fitted"]


def test_folds_roll(online_retail_facts):
    report = backtest.run(online_retail_facts, as_of=373, horizon=60, folds=3, draws=0, kinds=KINDS)
    assert [fold["cut"] for fold in report["folds"]] == [193, 253, 313]
    for name, row in report["mean"].items():
        aucs = [fold["contenders"][name]["auc"] for fold in report["folds"]]
        assert row["auc"] == pytest.approx(np.mean(aucs))
    # In any order,
    swapped = backtest.run(
        online_retail_facts, as_of=373, horizon=60, cut_days=[313, 193, 253], draws=0, kinds=KINDS
    )
    assert swapped == report
    # One of them by itself is the same: a fold knows nothing of the others, nor of what follows.
    alone = backtest.run(
        online_retail_facts, as_of=253, horizon=60, cut_days=[193], draws=0, kinds=KINDS
    )
    assert alone["folds"][0] == report["folds"][0]


def test_the_figures_are_those_of_the_evaluation(online_retail_facts):
    report = backtest.run(online_retail_facts, as_of=282, horizon=60, draws=0, kinds=KINDS)
    mark = observation.observe(online_retail_facts, 222, 60)
    process = observation.fit_process(mark.features, "mbg_nbd")
    p = process.p_no_purchase(mark.features.x, mark.features.t_x, mark.features.T, horizon=60)
    row = report["folds"][0]["contenders"]["mbg_nbd"]
    for name, value in metrics.summary(p, mark.churned).items():
        if name in row:
            assert row[name] == pytest.approx(value), name


def test_purchases_are_expected_by_the_model_that_serves_them(online_retail_facts):
    options = {"as_of": 282, "horizon": 60, "draws": 0, "kinds": KINDS, "purchases": "nbd"}
    fold = backtest.run(online_retail_facts, **options)["folds"][0]
    assert fold["choice"]["chosen"] != "nbd"
    features = observation.observe(online_retail_facts, 222, 60).features
    process = observation.fit_process(features, "nbd")
    history = features.x, features.t_x, features.T
    served = process.expected_purchases(*history, horizon=60)
    # Of the risk that serves, those who return do so as often as the model of purchases says.
    chosen = churn_selection.choose(online_retail_facts, as_of=222, horizon=60, kinds=KINDS)
    chance = 1 - chosen.risk.probability(features, horizon=60)
    served = served * chance / (1 - process.p_no_purchase(*history, horizon=60))
    predicted = sum(row["expected_purchases"] for row in fold["groups"])
    assert predicted == pytest.approx(served.sum())
    assert all(row["expected_purchases"] >= row["n"] * (1 - row["predicted"]) - 1e-9
               for row in fold["groups"])  # fmt: skip


@pytest.mark.parametrize(
    ("customers", "purchases"), [(0, 1), (1, 1), (5, 3), (300, 1), (100, 20)]
)  # fmt: skip
@pytest.mark.parametrize("horizon", [1, 90, 2000])
def test_degenerate_populations_have_a_report(customers, purchases, horizon):
    customer = np.repeat(np.arange(customers), purchases)
    facts = Facts(
        customer=customer,
        day=np.random.default_rng(0).integers(0, 300, customer.size),
        amount=np.ones(customer.size),
    )
    for as_of in (299, 3000):
        report = backtest.run(facts, as_of=as_of, horizon=horizon, draws=3)
        json.dumps(report, allow_nan=False)


def test_cuts_need_a_horizon_before_them():
    assert backtest.cuts(0, 365, 90, 3) == [95, 185, 275]
    assert backtest.cuts(0, 365, 90, 9) == [95, 185, 275]
    assert backtest.cuts(0, 100, 90, 2) == [10]
