"""The purchases that a back-test would have expected, beside those that were made.

At a cut the model of purchases and its season are learnt as they would have been on that day. What
is served follows from the learnt risk and that model (`app.scoring.purchases.consistent`); beside
it stands what the model tells by itself, in the season and in plain time.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app.scoring.churn import observation
from app.scoring.churn.backtest_tables import Outcomes
from app.scoring.histories.features import Facts
from app.scoring.numerics.array_types import FloatArray
from app.scoring.purchases import consistent, season_learning
from app.scoring.purchases.in_season import InSeason
from app.scoring.purchases.registry import MODELS
from app.scoring.purchases.season_learning import LearntSeason
from app.scoring.spend import intervals, quantiles
from app.scoring.spend.intervals import Between, Interval, Purchases
from app.seasons import Season

SERVED: Final = "served"
PROCESS: Final = "process"
PLAIN: Final = "process_in_plain_time"


@dataclass(frozen=True, eq=False)
class Expecting:
    """What expects purchases at a cut.

    Attributes
    ----------
    plain : PurchaseModel
        In plain time.
    process : PurchaseModel or InSeason
        As it serves: as of the cut, in the season where there is one.
    season : LearntSeason or None
        None where the model is a prior, and no season was looked for.
    """

    plain: Any
    process: Any
    season: LearntSeason | None

    @property
    def clock(self) -> Season | None:
        """The season that is counted in, if there is one."""
        return None if self.process is self.plain or self.season is None else self.season.season

    def ahead(self, cut: int, horizon: int) -> float:
        """Return how many seasonal days ahead risk is to be asked for."""
        return horizon if self.clock is None else float(self.clock.between(cut, cut + horizon))


def learn(facts: Facts, cut: int, after: Outcomes, kind: str) -> Expecting:
    """Return what would have expected purchases at a cut, its kind in `registry.MODELS`."""
    plain = observation.fit_process(after.features, kind)
    if plain.status == "fallback":
        return Expecting(plain, plain, None)
    found = season_learning.learn(facts.log(cut), MODELS[kind], as_of=cut)
    if found.season is None or found.model is None:
        return Expecting(plain, plain, found)
    return Expecting(plain, InSeason(found.model, found.season, cut), found)


def expected(
    by: Expecting, after: Outcomes, log_odds: FloatArray, horizon: int
) -> dict[str, FloatArray]:
    """Return the expected purchases of each customer, by what tells them, `SERVED` first.

    Parameters
    ----------
    by : Expecting
    after : Outcomes
        Of n customers.
    log_odds : FloatArray
        Of no purchase in the horizon, by the risk that serves, shape (n,).
    horizon : int
        Days ahead.
    """
    history = after.features.x, after.features.t_x, after.features.T
    told = {
        SERVED: consistent.expected_purchases(
            by.process, *history, log_odds=log_odds, horizon=horizon
        ),
        PROCESS: by.process.expected_purchases(*history, horizon=horizon),
    }
    if by.process is not by.plain:
        told[PLAIN] = by.plain.expected_purchases(*history, horizon=horizon)
    return told


@dataclass(frozen=True, eq=False)
class Reach:
    """What intervals were told of what is served, and what they held.

    Attributes
    ----------
    purchases, revenue : tuple of float
        Both ends of the interval of the total.
    coverage : dict
        Shares of customers in their intervals, promised and found, and whether totals were.
    """

    purchases: tuple[float, float]
    revenue: tuple[float, float]
    coverage: dict[str, Any]


def reach(
    by: Expecting, served: FloatArray, after: Outcomes, log_odds: FloatArray, between: Between
) -> Reach:
    """Return the intervals of what is served, held against what happened.

    Parameters
    ----------
    by : Expecting
    served, log_odds : FloatArray
        Expected purchases and log-odds of none, by what serves, shape (n,).
    after : Outcomes
    between : Between
        As learnt at the cut, from windows before it.
    """
    chance = consistent.chance_of_any(log_odds)
    if_any = np.divide(served, chance, out=np.ones(chance.size), where=chance > 0)
    told = Purchases.of(chance, if_any, intervals.shape_of(by.process, after.features.x))
    worth = intervals.values(told, after.spend, after.paid, discount=0.0, spend=after.spend_model)
    total, value = float(served.sum()), float((served * after.spend).sum())
    purchases = intervals.of_purchase_total(total, float(told.variance.sum()), between)
    revenue = intervals.of_total(value, float(worth.variance.sum()), between)
    each, amounts = (
        intervals.of_purchases(told, between),
        intervals.of_values(worth, between),
    )
    return Reach(
        purchases,
        revenue,
        {
            "level": quantiles.LEVEL,
            "between": asdict(between),
            "purchases": _held(each, after.purchases, purchases),
            "revenue": _held(amounts, after.revenue, revenue),
        },
    )


def _held(each: Interval, made: NDArray[Any], total: tuple[float, float]) -> dict[str, Any]:
    return {
        "promised": float(each.held.mean()),
        "held": float(((made >= each.low) & (made <= each.high)).mean()),
        "total_held": bool(total[0] <= made.sum() <= total[1]),
    }


def mean_coverage(folds: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return what intervals held over some cuts; None without any."""
    known = [fold["coverage"] for fold in folds if fold.get("coverage")]
    if not known:
        return None
    return {"level": quantiles.LEVEL, "cuts": len(known)} | {
        of: {
            name: float(np.mean([each[of][name] for each in known]))
            for name in ("promised", "held", "total_held")
        }
        for of in ("purchases", "revenue")
    }


def totals(told: dict[str, FloatArray], after: Outcomes, served: Reach) -> dict[str, Any]:
    """Return sums over all customers: what was told, by what told it, and what happened.

    ``error`` is what was told over what happened, less 1; None where nothing happened.
    """
    ends = {
        "interval": dict(zip(("low", "high"), served.purchases, strict=True)),
        "revenue_interval": dict(zip(("low", "high"), served.revenue, strict=True)),
    }
    purchases, revenue = int(after.purchases.sum()), float(after.revenue.sum())
    return {
        "purchases": purchases,
        "revenue": revenue,
        "told": [
            {
                "by": name,
                "expected_purchases": float(each.sum()),
                "error": float(each.sum()) / purchases - 1 if purchases else None,
                "expected_revenue": float((each * after.spend).sum()),
                **(ends if name == SERVED else {}),
            }
            for name, each in told.items()
        ],
    }


def mean_errors(folds: list[dict[str, Any]]) -> dict[str, float]:
    """Return by what told them the mean size of the errors of totals over some cuts."""
    errors: dict[str, list[float]] = {}
    for fold in folds:
        for row in (fold.get("totals") or {"told": []})["told"]:
            if row["error"] is not None:
                errors.setdefault(row["by"], []).append(abs(row["error"]))
    return {name: sum(each) / len(each) for name, each in errors.items()}
