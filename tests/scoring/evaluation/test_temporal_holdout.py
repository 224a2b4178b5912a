"""Hold-outs whose figures are known, on CDNOW (39 and 39 weeks) and online retail (13 weeks)."""

from __future__ import annotations

import math

import pytest

from app.scoring.evaluation import metrics, selection
from app.scoring.histories import purchase_summary
from app.scoring.purchases import bg_nbd, mbg_nbd

FITS = {"bg_nbd": selection.of_times(bg_nbd.fit), "mbg_nbd": selection.of_times(mbg_nbd.fit)}
CDNOW_END = 729570  # 1998-06-30
WEEKS_39 = 273


@pytest.fixture(scope="module")
def cdnow_choice(cdnow_log):
    return selection.choose(
        *cdnow_log, as_of=CDNOW_END, horizon=WEEKS_39, holdout=WEEKS_39, fits=FITS
    )


@pytest.fixture(scope="module")
def retail_choice(online_retail_log):
    return selection.choose(*online_retail_log, as_of=373, horizon=91, fits=FITS)


def row(choice, kind):
    return next(score for score in choice.table if score.kind == kind)


@pytest.mark.parametrize(
    ("kind", "log_likelihood", "sum_error", "mae", "auc", "brier"),
    [
        ("bg_nbd", -9582.43, -0.121, 0.7855, 0.757, 0.1612),
        ("mbg_nbd", -9582.14, -0.162, 0.7648, 0.760, 0.1614),
    ],
)
def test_the_hold_out_of_cdnow(
    cdnow_choice, cdnow, kind, log_likelihood, sum_error, mae, auc, brier
):
    """As measured with the lifetimes library."""
    found = row(cdnow_choice, kind)
    in_weeks = found.log_likelihood + cdnow.x.sum() * math.log(7)
    assert in_weeks == pytest.approx(log_likelihood, abs=0.01)
    assert found.sum_error == pytest.approx(sum_error, abs=5e-4)
    assert found.mae == pytest.approx(mae, abs=5e-5)
    assert found.auc == pytest.approx(auc, abs=5e-4)
    assert found.brier == pytest.approx(brier, abs=5e-5)
    assert found.ece == pytest.approx(0.055, abs=1e-3)
    assert found.bic == pytest.approx(-2 * found.log_likelihood + 4 * math.log(2357))


def test_the_baselines_of_cdnow(cdnow_choice):
    assert (cdnow_choice.customers, cdnow_choice.repeaters) == (2357, 946)
    assert cdnow_choice.base_rate == pytest.approx(0.290, abs=5e-4)
    assert row(cdnow_choice, "hiatus").auc == pytest.approx(0.771, abs=5e-4)
    assert row(cdnow_choice, "own_rate").mae == pytest.approx(1.0237, abs=5e-5)
    assert row(cdnow_choice, "own_rate").sum_error == pytest.approx(0.557, abs=5e-4)
    assert row(cdnow_choice, "base_rate").auc == 0.5
    for kind in ("hiatus", "base_rate", "own_rate"):
        assert row(cdnow_choice, kind).role == "baseline"
        for model in ("bg_nbd", "mbg_nbd"):
            assert row(cdnow_choice, kind).log_loss > row(cdnow_choice, model).log_loss
            assert row(cdnow_choice, kind).mae > row(cdnow_choice, model).mae


def test_the_choice_on_cdnow(cdnow_choice):
    assert cdnow_choice.basis == "holdout"
    assert (cdnow_choice.purchases.kind, cdnow_choice.churn.kind) == ("mbg_nbd", "mbg_nbd")
    assert "least BIC" in cdnow_choice.churn.reason
    lead = cdnow_choice.hiatus_lead
    assert lead.value == pytest.approx(0.7714 - 0.7601, abs=2e-4)
    assert lead.standard_error > 0
    assert cdnow_choice.second_stage_advised


def test_the_hold_out_of_online_retail(retail_choice):
    found = row(retail_choice, "mbg_nbd")
    assert found.status == "no_dropout_identified"
    assert retail_choice.base_rate == pytest.approx(0.570, abs=5e-4)
    assert found.auc == pytest.approx(0.733, abs=5e-4)
    assert found.brier == pytest.approx(0.2171, abs=5e-5)
    assert found.ece == pytest.approx(0.107, abs=5e-4)
    assert row(retail_choice, "hiatus").auc == pytest.approx(0.683, abs=1e-3)
    assert (retail_choice.purchases.kind, retail_choice.churn.kind) == ("mbg_nbd", "mbg_nbd")
    assert not retail_choice.second_stage_advised


def test_the_top_decile_of_cdnow(cdnow_log, cdnow):
    """By expected purchases it buys 4.7 times what the average customer does."""
    later = purchase_summary.summarise(*cdnow_log, as_of=CDNOW_END).x - cdnow.x
    history = cdnow.x, cdnow.t_x, cdnow.T
    expected = bg_nbd.fit(*history).expected_purchases(*history, horizon=WEEKS_39)
    assert metrics.gains(expected, later).lift[0] == pytest.approx(4.7, abs=0.05)
