"""The tables of a back-test; `app.scoring.churn.backtest` says of what."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.scoring.churn.candidates import auc_error
from app.scoring.churn.churn_bands import wilson
from app.scoring.evaluation import bootstrap, metrics
from app.scoring.histories.features import Facts, Features, features_at
from app.scoring.histories.purchase_days import purchase_days
from app.scoring.numerics.array_types import BoolArray, FloatArray, IntArray
from app.scoring.regression.recalibration import platt
from app.scoring.spend import evidence, gamma_gamma

GROUPS = 10
CURVE = 20
PARTS = 5


@dataclass(frozen=True, eq=False)
class Outcomes:
    """The customers known at a cut, and what they did after it; all of shape (n,) but the last.

    Attributes
    ----------
    customer : NDArray
    features : Histories
    purchases : IntArray
        Purchase days after the cut.
    revenue : FloatArray
        Their value net of refunds; of those that name a purchase, where the log tells them apart.
    spend : FloatArray
        Expected value of a purchase day, by the Gamma-Gamma model at the cut.
    paid : FloatArray
        Purchase days that are evidence of it.
    spend_model : gamma_gamma.Model
    new : dict
        Those without a purchase before: how many, and their revenue.
    """

    customer: NDArray[Any]
    features: Features
    purchases: IntArray
    revenue: FloatArray
    spend: FloatArray
    paid: FloatArray
    spend_model: gamma_gamma.Model
    new: dict[str, float]

    @property
    def churned(self) -> FloatArray:
        """1 for those without a purchase after the cut, else 0."""
        return np.where(self.purchases == 0, 1.0, 0.0)


def outcomes(facts: Facts, cut: int, horizon: int) -> Outcomes:
    """Return what followed a cut, as known at the end of the horizon; see `observation.buyers`."""
    customer, features = features_at(facts, as_of=cut)
    end = cut + horizon
    then = purchase_days(*facts.log(end), as_of=end)
    after = then.day > cut
    bought = _by_customer(after.astype(np.int64), then.start)
    worth = _by_customer(np.where(after, then.value, 0.0), then.start)
    old = np.isin(then.customer, customer)
    # Of those with nothing but refunded purchases by the end, nothing followed.
    rows = np.searchsorted(customer, then.customer[old])
    purchases, revenue = np.zeros(customer.size, dtype=np.int64), np.zeros(customer.size)
    purchases[rows], revenue[rows] = bought[old], worth[old]
    return Outcomes(
        customer=customer,
        features=features,
        purchases=purchases,
        revenue=revenue,
        **_spend(facts, cut, horizon),
        new={"customers": int((~old).sum()), "revenue": float(worth[~old].sum())},
    )


def _by_customer(values: NDArray[Any], start: IntArray) -> NDArray[Any]:
    """Return the sum of each customer; `reduceat` takes no empty array."""
    sums: NDArray[Any] = np.add.reduceat(values, start) if start.size else values
    return sums


def _spend(facts: Facts, cut: int, horizon: int) -> dict[str, Any]:
    seen = purchase_days(*facts.log(cut), as_of=cut)
    chosen = evidence.choose(seen.start, seen.day, seen.value, as_of=cut, holdout=horizon)
    days = evidence.of_days(chosen.evidence, seen.start, seen.value)
    model = gamma_gamma.fit(*days)
    return {"spend": model.expected_value(*days), "paid": days[0], "spend_model": model}


def figures(
    p: FloatArray, rank: FloatArray, churned: FloatArray, *, against: Any
) -> dict[str, Any]:
    """Return how good one contender was, and by how much it beats another.

    ``ece_recalibrated`` is after Platt's line, each customer's fitted to other customers.
    """
    lead = metrics.auc_difference(rank, against[1], churned)
    loss, other = (metrics.log_loss_each(each, churned) for each in (p, against[0]))
    odds = np.log(np.clip(p, 1e-15, 1.0)) - np.log1p(-np.clip(p, 0.0, 1 - 1e-15))
    again = cross_fitted(odds, churned)
    return {
        "brier": metrics.brier(p, churned),
        "log_loss": float(loss.mean()),
        "auc": metrics.auc(rank, churned),
        "auc_error": auc_error(rank, churned),
        "ece": metrics.ece(p, churned),
        "ece_recalibrated": metrics.ece(again, churned),
        "lift_leaving": float(metrics.gains(rank, churned).lift[0]),
        "lift_buying": float(metrics.gains(-rank, 1 - churned).lift[0]),
        "auc_lead": asdict(lead),
        "log_loss_lead": asdict(metrics.difference(loss, other)),
    }


def cross_fitted(log_odds: FloatArray, churned: FloatArray) -> FloatArray:
    """Return probabilities by Platt lines that were each fitted to other customers."""
    part = np.arange(churned.size) % PARTS
    p = np.empty(churned.size)
    for one in range(PARTS):
        calibration = platt(log_odds[part != one], churned[part != one])
        p[part == one] = calibration.apply(log_odds[part == one])
    return p


def intervals(
    p: FloatArray, churned: FloatArray, *, draws: int, seed: int
) -> dict[str, Any] | None:
    """Return bootstrap intervals of the main figures."""
    if draws < 2:
        return None

    def of(p: FloatArray, churned: FloatArray) -> dict[str, float]:
        return {
            name: function(p, churned)
            for name, function in (
                ("brier", metrics.brier),
                ("log_loss", metrics.log_loss),
                ("auc", metrics.auc),
                ("ece", metrics.ece),
            )
        }

    return asdict(bootstrap.intervals(of, p, churned, n=draws, seed=seed))


def calibration(p: FloatArray, churned: FloatArray) -> list[dict[str, float]]:
    """Return the calibration table by tenths of the risk, ascending."""
    table = metrics.calibration_table(p, churned, groups=GROUPS)
    lower, upper = wilson(np.round(table.observed * table.n), table.n)
    columns = {
        "from": table.lowest,
        "to": table.highest,
        "n": table.n,
        "predicted": table.predicted,
        "churned": table.observed,
        "lower": lower,
        "upper": upper,
    }
    return _rows(columns)


def curve(p: FloatArray, churned: FloatArray) -> list[dict[str, float]]:
    """Return the points of a calibration curve."""
    table = metrics.calibration_table(p, churned, groups=CURVE)
    return _rows({"predicted": table.predicted, "churned": table.observed, "n": table.n})


def lift(p: FloatArray, after: Outcomes) -> dict[str, Any]:
    """Return gain and lift: of leavers from the highest risk, of purchases from the lowest."""
    return {
        "leaving": metrics.gains(p, after.churned).as_dict(),
        "purchases": metrics.gains(-p, after.purchases).as_dict(),
        "revenue": metrics.gains(-p, after.revenue).as_dict(),
    }


def groups(p: FloatArray, after: Outcomes, purchases: FloatArray) -> list[dict[str, float]]:
    """Return what was expected and what happened, by tenths of the risk, ascending."""
    edges = np.quantile(p, np.arange(1, GROUPS) / GROUPS, method="inverted_cdf")
    _, group = np.unique(np.searchsorted(edges, p), return_inverse=True)
    n = np.bincount(group)
    columns = {
        "n": n,
        "predicted": np.bincount(group, p) / n,
        "churned": np.bincount(group, after.churned) / n,
    }
    for name, values in _sums(after, purchases).items():
        columns[name] = np.bincount(group, values)
    return _rows(columns)


def subset(
    p: FloatArray, after: Outcomes, purchases: FloatArray, rows: BoolArray
) -> dict[str, Any]:
    """Return the main figures of a part of the customers."""
    if not rows.any():
        return {"n": 0}
    churned = after.churned[rows]
    sums = {name: float(v[rows].sum()) for name, v in _sums(after, purchases).items()}
    return {
        "n": int(rows.sum()),
        "predicted": float(p[rows].mean()),
        "churned": float(churned.mean()),
        "brier": metrics.brier(p[rows], churned),
        "auc": metrics.auc(p[rows], churned),
        "ece": metrics.ece(p[rows], churned),
        **sums,
    }


def _sums(after: Outcomes, purchases: FloatArray) -> dict[str, FloatArray]:
    return {
        "expected_purchases": purchases,
        "purchases": after.purchases.astype(np.float64),
        "expected_revenue": purchases * after.spend,
        "revenue": after.revenue,
    }


def _rows(columns: dict[str, NDArray[Any]]) -> list[dict[str, float]]:
    names = list(columns)
    return [
        dict(zip(names, row, strict=True))
        for row in zip(*(column.tolist() for column in columns.values()), strict=True)
    ]
