"""Each branch of the rule that chooses a model, with made-up models."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest

from app.scoring.evaluation import selection
from app.scoring.purchases import bg_nbd, mbg_nbd

FITS = {"bg_nbd": selection.of_times(bg_nbd.fit), "mbg_nbd": selection.of_times(mbg_nbd.fit)}
CDNOW_END = 729570  # 1998-06-30
WEEKS_39 = 273


@pytest.fixture(scope="module")
def cdnow_choice(cdnow_log):
    return selection.choose(
        *cdnow_log, as_of=CDNOW_END, horizon=WEEKS_39, holdout=WEEKS_39, fits=FITS
    )


def row(choice, kind):
    return next(score for score in choice.table if score.kind == kind)


def made_up(p, expected=1.0, status="ok", log_likelihood=0.0):
    """Return a fit of a model that says the same of everybody."""
    return lambda _: SimpleNamespace(
        params={"a": 1.0},
        log_likelihood=log_likelihood,
        status=status,
        p_no_purchase=lambda x, *_, **__: np.full(x.shape, 1 - p),
        expected_purchases=lambda x, *_, **__: np.full(x.shape, expected),
    )


@pytest.fixture(scope="module")
def log():
    """300 customers who buy on about every tenth day from day 0 to 299."""
    rng = np.random.default_rng(0)
    customer = np.repeat(np.arange(300), 30)
    return customer, rng.integers(0, 300, customer.size), np.ones(customer.size)


def test_the_answer_is_fit_for_json(cdnow_choice):
    plain = json.loads(json.dumps(cdnow_choice.as_dict(), allow_nan=False))
    assert plain["table"][0]["kind"] == "mbg_nbd"
    assert next(r for r in plain["table"] if r["kind"] == "hiatus")["log_likelihood"] is None
    assert plain["churn"]["reason"]
    assert plain["hiatus_lead"]["standard_error"] > 0


def test_the_order_of_rows_does_not_matter(cdnow_log, cdnow_choice):
    order = np.random.default_rng(0).permutation(cdnow_log[0].size)
    again = selection.choose(
        *(column[order] for column in cdnow_log),
        as_of=CDNOW_END, horizon=WEEKS_39, holdout=WEEKS_39, fits=FITS,
    )  # fmt: skip
    assert again.as_dict() == cdnow_choice.as_dict()


def test_what_comes_after_the_hold_out_is_not_seen(log):
    later = tuple(
        np.append(column, extra) for column, extra in zip(log, (7, 290, 1.0), strict=True)
    )
    one, two = (selection.choose(*rows, as_of=280, horizon=30, fits=FITS) for rows in (log, later))
    assert one.as_dict() == two.as_dict()


def test_a_third_of_the_history_is_held_out_at_most(log):
    long = selection.choose(*log, as_of=299, horizon=200, fits=FITS)
    assert (long.holdout, long.calibration_end) == (99, 200)
    assert "99 days, not 200" in long.note
    short = selection.choose(*log, as_of=299, horizon=20, fits=FITS)
    assert (short.holdout, short.note) == (20, "")


def test_a_tie_goes_to_the_least_bic_and_of_equals_to_the_simpler_model(log):
    fits = {"bg_nbd": made_up(0.999), "pareto_nbd": made_up(0.9995), "mbg_nbd": made_up(0.9991)}
    choice = selection.choose(*log, as_of=299, horizon=60, fits=fits)
    assert [score.kind for score in choice.table[:3]] == ["mbg_nbd", "pareto_nbd", "bg_nbd"]
    assert choice.purchases.kind == "mbg_nbd"
    fits = {"mbg_nbd": made_up(0.3, 1.0), "pareto_nbd": made_up(0.9, 6.0), "mine": made_up(0.9, 6)}
    choice = selection.choose(*log, as_of=299, horizon=60, fits=fits)
    assert (choice.purchases.kind, choice.churn.kind) == ("pareto_nbd", "pareto_nbd")
    assert "least BIC" in choice.churn.reason


def test_each_output_is_chosen_by_itself(log):
    fits = {"mbg_nbd": made_up(0.999, 0.0), "pareto_nbd": made_up(0.1, 6.0)}
    choice = selection.choose(*log, as_of=299, horizon=60, fits=fits)
    assert (choice.purchases.kind, choice.churn.kind) == ("pareto_nbd", "mbg_nbd")


def test_a_gap_within_one_standard_error_is_a_tie(log):
    """The rule by hand: losses of two models, and the gap between them."""
    fits = {"mbg_nbd": made_up(0.5, 5.0), "pareto_nbd": made_up(0.5, 5.2)}
    choice = selection.choose(*log, as_of=299, horizon=60, fits=fits)
    customers, until, length = 300, 239, 60
    seen = [set(log[1][log[0] == c].tolist()) for c in range(customers)]
    actual = np.array([sum(until < d <= until + length for d in days) for days in seen])
    gap = np.abs(5.0 - actual) - np.abs(5.2 - actual)
    least = min(np.abs(5.0 - actual).mean(), np.abs(5.2 - actual).mean())
    slack = max(gap.std(ddof=1) / math.sqrt(customers), 1e-2 * least)
    assert row(choice, "mbg_nbd").mae == pytest.approx(np.abs(5.0 - actual).mean())
    assert choice.purchases.kind == ("mbg_nbd" if gap.mean() <= slack else "pareto_nbd")


def test_a_prior_stands_back_and_so_does_what_declines(log):
    fits = {
        "mbg_nbd": made_up(0.999, 6.0, status="fallback"),
        "pareto_nbd": lambda _: None,
        "bg_nbd": made_up(0.2, 1.0),
        "nbd": made_up(0.999, 6.0),
    }
    choice = selection.choose(*log, as_of=299, horizon=60, fits=fits)
    assert choice.churn.kind == choice.purchases.kind == "bg_nbd"
    assert row(choice, "pareto_nbd").status == "not_applicable"
    assert row(choice, "nbd").role == "baseline"


def test_a_prediction_that_is_not_a_number_is_never_chosen(log):
    fits = {"mbg_nbd": made_up(math.nan), "bg_nbd": made_up(0.5)}
    choice = selection.choose(*log, as_of=299, horizon=60, fits=fits)
    assert (choice.churn.kind, row(choice, "mbg_nbd").status) == ("bg_nbd", "not_finite")
    alone = selection.choose(*log, as_of=299, horizon=60, fits={"mbg_nbd": made_up(math.nan)})
    assert alone.churn.kind == "mbg_nbd"
    assert math.isnan(alone.hiatus_lead.value)
    assert not alone.second_stage_advised


def test_thin_is_a_matter_of_gaps_and_not_of_customers(log):
    """Few customers of whom much was seen are compared; many of whom nothing was are not."""
    few = tuple(column[log[0] < 19] for column in log)
    assert selection.choose(*few, as_of=299, horizon=60, fits=FITS).basis == "holdout"
    once = (np.arange(500), np.arange(500) % 90, np.ones(500))
    choice = selection.choose(*once, as_of=99, horizon=9, fits=FITS)
    assert (choice.basis, choice.churn.kind, choice.holdout) == ("thin_data", "mbg_nbd", None)
    assert "0 gaps between purchases" in choice.note
    assert "prior" in choice.churn.reason
    twice = (np.arange(500) % 250, np.arange(500) // 250 * 90, np.ones(500))
    assert "shorter than 2 gaps" in selection.choose(*twice, as_of=99, horizon=9, fits=FITS).note
    assert selection.choose([], [], [], as_of=9, horizon=9, fits=FITS).customers == 0


def test_without_dropout_nothing_wins_by_default(log):
    """However well it fits; where data are thin the BIC chooses among what can leave."""
    few = tuple(column[log[0] < 1] for column in log)
    fits = FITS | {
        "nbd": made_up(0.5, log_likelihood=1e9),
        "mbg_cnbd_k": made_up(0.5, log_likelihood=-1.0),
        "pareto_nbd": made_up(0.5, log_likelihood=-9.0),
    }
    choice = selection.choose(*few, as_of=299, horizon=60, fits=fits)
    assert (choice.basis, choice.purchases.kind) == ("thin_data", "mbg_cnbd_k")
    assert choice.churn.kind == "mbg_cnbd_k"


def test_without_a_hold_out_bic_decides_and_it_is_said(log):
    fits = {"mbg_nbd": made_up(0.5, log_likelihood=-15), "bg_nbd": made_up(0.5, log_likelihood=-9)}
    choice = selection.choose(*log, as_of=299, horizon=60, holdout=298, fits=fits)
    assert (choice.basis, choice.churn.kind, choice.purchases.kind) == ("bic", "bg_nbd", "bg_nbd")
    close = {**fits, "mbg_nbd": made_up(0.5, log_likelihood=-9.9)}
    assert (
        selection.choose(*log, as_of=299, horizon=60, holdout=298, fits=close).churn.kind
        == "mbg_nbd"
    )  # a gap of less than 6 is no strong evidence
    assert "no hold-out of 298 days" in choice.note
    assert "BIC" in choice.churn.reason
    assert row(choice, "bg_nbd").bic == pytest.approx(18 + math.log(300))
    assert math.isnan(row(choice, "bg_nbd").mae)
    json.dumps(choice.as_dict(), allow_nan=False)


def test_refunds_are_no_purchases(log):
    refund = tuple(
        np.append(column, extra) for column, extra in zip(log, (7, 295, -0.5), strict=True)
    )
    one, two = (
        selection.choose(*rows, as_of=299, horizon=60, fits={"mbg_nbd": FITS["mbg_nbd"]})
        for rows in (log, refund)
    )
    assert one.as_dict() == two.as_dict()


def test_a_fit_may_ask_for_gaps_and_options(cdnow):
    seen = {}

    def fit(x, t_x, T, *, sum_log_gaps, k):
        seen.update(x=x, gaps=sum_log_gaps, k=k)

    selection.of_times(fit, gaps=True, k=2)(cdnow)
    assert seen["x"] is cdnow.x
    assert seen["gaps"] is cdnow.sum_log_gaps
    assert seen["k"] == 2


def test_a_better_silence_asks_for_a_second_stage(log):
    left = (log[0] % 2 == 1) & (log[1] > 150)
    rows = tuple(column[~left] for column in log)
    choice = selection.choose(*rows, as_of=299, horizon=60, fits={"mbg_nbd": made_up(0.5)})
    assert row(choice, "hiatus").auc > 0.99
    assert row(choice, "hiatus").brier < 0.02
    assert choice.hiatus_lead.value == pytest.approx(row(choice, "hiatus").auc - 0.5)
    assert choice.second_stage_advised


@pytest.mark.parametrize(
    "more",
    [{"horizon": 0}, {"horizon": 1.5}, {"holdout": 0}, {"fits": {}}, {"fits": {"nbd": made_up(1)}}],
)
def test_bad_questions_are_refused(log, more):
    with pytest.raises(ValueError):
        selection.choose(*log, **{"as_of": 299, "horizon": 60, "fits": FITS} | more)
