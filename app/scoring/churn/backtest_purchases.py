"""The purchases that a back-test would have expected, beside those that were made.

At a cut the model of purchases and its season are learnt as they would have been on that day. What
is served follows from the learnt risk and that model (`app.scoring.purchases.consistent`); beside
it stands what the model tells by itself, in the season and in plain time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from app.scoring.churn import observation
from app.scoring.churn.backtest_tables import Outcomes
from app.scoring.histories.features import Facts
from app.scoring.numerics.array_types import FloatArray
from app.scoring.purchases import consistent, season_learning
from app.scoring.purchases.in_season import InSeason
from app.scoring.purchases.registry import MODELS
from app.scoring.purchases.season_learning import LearntSeason

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


def totals(told: dict[str, FloatArray], after: Outcomes) -> dict[str, Any]:
    """Return sums over all customers: what was told, by what told it, and what happened.

    ``error`` is what was told over what happened, less 1; None where nothing happened.
    """
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
