"""Intervals where the answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from app.scoring.evaluation import metrics
from app.scoring.evaluation.bootstrap import intervals
from app.scoring.purchases import mbg_nbd


def test_the_interval_of_a_mean_is_the_normal_one():
    values = np.random.default_rng(0).normal(3, 2, 400)
    found = intervals(np.mean, values, n=2000, seed=1)
    half = 1.96 * values.std() / 20
    assert found.estimate["value"] == values.mean()
    assert found.lower["value"] == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert found.upper["value"] == pytest.approx(values.mean() + half, abs=0.1 * half)
    narrow = intervals(np.mean, values, n=2000, seed=1, level=0.5)
    assert found.lower["value"] < narrow.lower["value"] < narrow.upper["value"]


def test_rows_and_weights_draw_the_same_customers():
    values = np.arange(50.0)

    def mean(column, weights=None):
        return {"mean": np.average(column, weights=weights)}

    rows, weights = (intervals(mean, values, n=30, seed=2, by=by) for by in ("rows", "weights"))
    assert rows.lower == pytest.approx(weights.lower)
    assert rows.upper == pytest.approx(weights.upper)
    assert intervals(mean, values, n=30, seed=3) != rows
    assert intervals(mean, values, n=30, seed=2) == rows


def test_the_parameters_of_a_model_have_intervals(cdnow_weeks):
    found = intervals(mbg_nbd.fit, *cdnow_weeks, n=40, seed=0, by="weights")
    model = mbg_nbd.fit(*cdnow_weeks)
    assert found.estimate == model.params
    for name in ("r", "alpha"):
        width = found.upper[name] - found.lower[name]
        assert width == pytest.approx(2 * 1.96 * model.standard_errors[name], rel=0.5)
        assert found.lower[name] < model.params[name] < found.upper[name]


def test_comparisons_stay_paired():
    rng = np.random.default_rng(3)
    y = rng.random(300) < 0.4
    first = y + rng.normal(0, 1, 300)
    second = first + rng.normal(0, 0.1, 300)
    found = intervals(
        lambda a, b, out: metrics.auc(a, out) - metrics.auc(b, out),
        first, second, y, n=400, seed=0,
    )  # fmt: skip
    error = metrics.auc_difference(first, second, y).standard_error
    width = found.upper["value"] - found.lower["value"]
    assert width == pytest.approx(2 * 1.96 * error, rel=0.2)


def test_draws_without_a_value_are_left_out_and_counted():
    y = np.array([1] + [0] * 9)
    found = intervals(metrics.auc, np.arange(10.0), y, n=100, seed=0)
    assert 0 < found.used["value"] < 100
    assert math.isfinite(found.lower["value"])
    nothing = intervals(metrics.auc, np.arange(3.0), np.zeros(3), n=5, seed=0)
    assert nothing.used == {"value": 0}
    assert math.isnan(nothing.lower["value"])


@pytest.mark.parametrize("more", [{"n": 1}, {"level": 0}, {"level": 1}])
def test_bad_numbers_are_refused(more):
    with pytest.raises(ValueError):
        intervals(np.mean, [1.0, 2.0], seed=0, **more)


@pytest.mark.parametrize("arrays", [(), ([],), ([1.0], [1.0, 2.0]), (1.0,)])
def test_bad_arrays_are_refused(arrays):
    with pytest.raises(ValueError, match="one length"):
        intervals(np.mean, *arrays, seed=0)
