"""Every figure against its definition, written as a plain loop."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.scoring.evaluation import metrics

P = st.integers(0, 10).map(lambda tenths: tenths / 10)
ROWS = st.lists(st.tuples(P, st.booleans()), min_size=1, max_size=40)


def columns(rows):
    return [np.array(column) for column in zip(*rows, strict=True)]


def slow_auc(score, y):
    pairs = [(a, b) for a, ya in zip(score, y, strict=True) if ya
             for b, yb in zip(score, y, strict=True) if not yb]  # fmt: skip
    return sum((a > b) + (a == b) / 2 for a, b in pairs) / len(pairs) if pairs else math.nan


def slow_groups(p, groups):
    """Return the rows of each group; a cut is the least p that k/groups do not exceed."""
    ordered = sorted(p)
    cuts = [
        next(v for v in ordered if sum(u <= v for u in p) * groups >= k * len(p))
        for k in range(1, groups)
    ]
    group = [sum(cut < v for cut in cuts) for v in p]
    return [[i for i, g in enumerate(group) if g == k] for k in sorted(set(group))]


@given(ROWS)
def test_auc_counts_pairs(rows):
    p, y = columns(rows)
    assert metrics.auc(p, y) == pytest.approx(slow_auc(p, y), nan_ok=True)
    assert metrics.auc(-p, ~y) == pytest.approx(slow_auc(p, y), nan_ok=True)


def test_auc_of_many_ties_is_exact():
    y = np.arange(100_000) % 2
    assert metrics.auc(np.zeros(y.size), y) == 0.5
    assert metrics.auc(y, y) == 1.0
    assert metrics.auc(np.where(y, -np.inf, np.inf), y) == 0.0


@given(ROWS)
def test_losses_are_their_definitions(rows):
    p, y = columns(rows)
    kept = [min(max(v, 1e-15), 1 - 1e-15) for v in p]
    squares = [(v - out) ** 2 for v, out in rows]
    logs = [-math.log(v) if out else -math.log1p(-v) for v, out in zip(kept, y, strict=True)]
    assert metrics.brier(p, y) == pytest.approx(sum(squares) / len(rows))
    assert metrics.log_loss(p, y) == pytest.approx(sum(logs) / len(rows))
    share = sum(out for _, out in rows) / len(rows)
    if 0 < share < 1:
        base = sum((share - out) ** 2 for _, out in rows)
        assert metrics.brier_skill(p, y) == pytest.approx(1 - sum(squares) / base)
    else:
        assert math.isnan(metrics.brier_skill(p, y))


@given(ROWS, st.integers(1, 12))
def test_the_calibration_table_is_the_plain_loop(rows, groups):
    p, y = columns(rows)
    table = metrics.calibration_table(p, y, groups=groups)
    expected = slow_groups(p.tolist(), groups)
    assert table.n.tolist() == [len(group) for group in expected]
    error = 0.0
    for k, group in enumerate(expected):
        predicted, observed = p[group].mean(), y[group].mean()
        assert table.lowest[k] == p[group].min()
        assert table.highest[k] == p[group].max()
        assert table.predicted[k] == pytest.approx(predicted)
        assert table.observed[k] == pytest.approx(observed)
        spread = math.sqrt(sum(v * (1 - v) for v in p[group])) / len(group)
        assert table.standard_error[k] == pytest.approx(spread)
        error += len(group) / len(rows) * abs(predicted - observed)
    assert (table.lowest[1:] > table.highest[:-1]).all()
    assert metrics.ece(p, y, groups=groups) == pytest.approx(error)
    json.dumps(table.as_dict(), allow_nan=False)


@given(
    st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 5)), min_size=1, max_size=30),
    st.integers(1, 12),
)
def test_gains_share_ties_alike(rows, groups):
    score, outcome = columns(rows)
    found = metrics.gains(score, outcome, groups=groups)
    total = outcome.sum()
    for k in range(1, groups + 1):
        places, held = k * len(rows) / groups, 0.0
        for value in sorted(set(score.tolist()), reverse=True):
            tied = score == value
            held += outcome[tied].sum() * min(max(places / tied.sum(), 0), 1)
            places -= tied.sum()
        gain = held / total if total else math.nan
        assert found.gain[k - 1] == pytest.approx(gain, nan_ok=True)
    if total:
        assert found.lift == pytest.approx(np.diff(found.gain, prepend=0) * groups)
        assert found.lift.mean() == pytest.approx(1)
    assert found.as_dict().keys() == {"share", "gain", "lift"}


def test_the_calibration_line_finds_what_was_done_to_the_log_odds():
    rng = np.random.default_rng(0)
    eta = rng.normal(0, 1, 40_000)
    y = rng.random(eta.size) < 1 / (1 + np.exp(-eta))
    too_bold = 1 / (1 + np.exp(-(2 * eta + 1)))
    slope, intercept = metrics.calibration_line(too_bold, y)
    assert (slope, intercept) == pytest.approx((0.5, -0.5), abs=0.05)
    assert all(map(math.isnan, metrics.calibration_line([0.3] * 20, [0, 1] * 10)))
    assert all(map(math.isnan, metrics.calibration_line([0.3, 0.4], [0, 1])))


def test_count_errors():
    found = metrics.count_errors([1, 2, 3.5], [0, 2, 3])
    assert found.mae == pytest.approx(0.5)
    assert found.rmse == pytest.approx(math.sqrt(1.25 / 3))
    assert found.sum_error == pytest.approx(0.3)
    assert math.isnan(metrics.count_errors([1.0], [0]).sum_error)


def test_the_difference_of_two_losses_is_paired():
    first, second = [1.0, 2, 4, 4], [0.0, 1, 3, 1]
    found = metrics.difference(first, second)
    gaps = [1.0, 1, 1, 3]
    spread = sum((gap - 1.5) ** 2 for gap in gaps) / 3
    assert found.value == 1.5
    assert found.standard_error == pytest.approx(math.sqrt(spread / 4))
    assert math.isnan(metrics.difference([1.0], [2.0]).standard_error)


@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.integers(0, 6), st.booleans()), min_size=4, max_size=25
    )
)
def test_delong_is_the_plain_loop(rows):
    first, second, y = columns(rows)
    found = metrics.auc_difference(first, second, y)
    n, m = int(y.sum()), int((~y).sum())
    if not (n and m):
        assert math.isnan(found.value)
        return

    def wins(score):
        return np.array(
            [[(a > b) + (a == b) / 2 for b in score[~y]] for a in score[y]], dtype=float
        )

    gap = wins(first) - wins(second)
    assert found.value == pytest.approx(gap.mean(), abs=1e-12)
    if n > 1 and m > 1:
        variance = gap.mean(axis=1).var(ddof=1) / n + gap.mean(axis=0).var(ddof=1) / m
        assert found.standard_error == pytest.approx(math.sqrt(variance), abs=1e-12)
    else:
        assert math.isnan(found.standard_error)


def test_the_order_of_customers_does_not_matter():
    rng = np.random.default_rng(1)
    p = np.round(rng.random(500), 1)
    y = rng.random(500) < p
    order = rng.permutation(500)
    one, two = metrics.summary(p, y), metrics.summary(p[order], y[order])
    assert one == pytest.approx(two)
    assert one["auc"] == metrics.auc(p, y)
    assert one["base_rate"] == y.mean()


@pytest.mark.parametrize(
    ("p", "y"),
    [([], []), ([0.5], [2]), ([1.5], [1]), ([math.nan], [1]), ([0.5, 0.5], [1]), (0.5, 1)],
)
def test_bad_predictions_are_refused(p, y):
    for figure in (metrics.brier, metrics.log_loss, metrics.ece, metrics.summary):
        with pytest.raises(ValueError):
            figure(p, y)


def test_other_bad_input_is_refused():
    with pytest.raises(ValueError, match="NaN"):
        metrics.auc([math.nan], [1])
    with pytest.raises(ValueError, match="groups"):
        metrics.calibration_table([0.5], [1], groups=0)
    with pytest.raises(ValueError, match="at least one"):
        metrics.gains([], [])
    with pytest.raises(ValueError, match="one length"):
        metrics.count_errors([1.0, 2.0], [1])
    with pytest.raises(ValueError, match="one length"):
        metrics.difference([1.0, 2.0], [1])
    with pytest.raises(ValueError, match="finite"):
        metrics.difference([math.inf], [1])
