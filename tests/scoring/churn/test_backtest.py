"""The back-test: what was told beside what happened, and beside rules that need no model."""

from __future__ import annotations

import datetime as dt
import json

import numpy as np
import pytest

from app.scoring.churn import backtest, churn_selection, observation
from app.scoring.evaluation import metrics
from app.scoring.histories.features import Facts

DAY = dt.date(1997, 9, 30).toordinal()
CONTENDERS = {
    "chosen", "landmark", *churn_selection.PLAIN_KINDS, "hiatus", "own_cadence", "base_rate",
}  # fmt: skip


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
    ("customers", "purchases"), [(0, 1), (1, 1), (5, 3), (300, 1), (300, 30)]
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
