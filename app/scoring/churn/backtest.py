"""What churn risk would have told in the past, beside what happened.

At each cut everything is learnt from facts up to it, as it would have been on that day, and
judged on the days after it: the chosen risk, the landmark model and what it averages, the models of
purchases by themselves, and three rules that need no model (`app.scoring.churn.rules`). Beside
them: the season and the growth that were learnt, and totals of expected purchases.

Everything comes as plain values, fit for JSON; what is not defined is None.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

import numpy as np

from app.scoring.churn import backtest_purchases as buying
from app.scoring.churn import backtest_tables as tables
from app.scoring.churn import churn_selection, landmark, observation
from app.scoring.churn.churn_bands import bands
from app.scoring.churn.churn_risk import ChurnRisk
from app.scoring.churn.churn_selection import ChurnSelection
from app.scoring.churn.rules import Prediction, rules
from app.scoring.evaluation.one_standard_error import plain_values
from app.scoring.histories.features import Facts, Features
from app.scoring.numerics.array_types import FloatArray
from app.scoring.regression.recalibration import sigmoid

CHOSEN: Final = "chosen"
FIGURES: Final = (
    "brier",
    "log_loss",
    "auc",
    "auc_error",
    "ece",
    "ece_recalibrated",
    "lift_leaving",
    "lift_buying",
)


def cuts(first: int, as_of: int, horizon: int, folds: int) -> list[int]:
    """Return the days to test at, ascending, a horizon apart, none without a horizon before it.

    Where not even one has a horizon of history before it, the last one is returned.
    """
    days = [as_of - horizon * (back + 1) for back in range(folds)]
    return [day for day in days[::-1] if day - horizon >= first] or days[:1]


def run(
    facts: Facts,
    *,
    as_of: int,
    horizon: int,
    folds: int = 1,
    cut_days: Sequence[int] | None = None,
    kinds: Sequence[str] = churn_selection.PLAIN_KINDS,
    process: str = "mbg_nbd",
    purchases: str = "mbg_nbd",
    draws: int = 200,
    seed: int = 0,
) -> dict[str, Any]:
    """Test churn risk on the past.

    Parameters
    ----------
    facts : Facts
    as_of : int
        The last day that counts.
    horizon : int
        Days ahead, at least 1.
    folds : int
        Cuts, a horizon apart, the last one a horizon before ``as_of``.
    cut_days : sequence of int, optional
        Cuts in place of ``folds``.
    kinds, process, seed
        As for `churn_selection.choose`.
    purchases : str
        Kind of the model of purchases, in `registry.MODELS`, that expects them.
    draws : int
        Of the bootstrap; below 2 there are no intervals.

    Returns
    -------
    dict
        ``horizon``, ``folds`` (a dict for each cut, ascending), ``bands`` of the last cut,
        ``mean`` of each figure of each contender over the cuts, ``totals_error``, the mean size of
        the errors of totals of purchases by what told them, and ``coverage``, what intervals held.

    Raises
    ------
    ValueError
        As for `churn_selection.choose`.
    """
    ahead = observation.whole_days("horizon", horizon)
    some = observation.sampled(facts, as_of, seed)
    if cut_days is None:
        cut_days = cuts(int(np.min(some.day, initial=as_of)), as_of, ahead, folds)
    options: dict[str, Any] = {"kinds": kinds, "process": process, "seed": seed}
    options |= {"purchases": purchases, "draws": draws}
    results = [_fold(some, cut, ahead, **options) for cut in sorted(cut_days)]
    report = {
        "horizon": ahead,
        "folds": results,
        "bands": results[-1]["bands"] if results else None,
        "mean": _mean([result["contenders"] for result in results]),
        "totals_error": buying.mean_errors(results),
        "coverage": buying.mean_coverage(results),
    }
    plain: dict[str, Any] = plain_values(report)
    return plain


def _fold(
    facts: Facts,
    cut: int,
    horizon: int,
    *,
    kinds: Sequence[str],
    process: str,
    purchases: str,
    draws: int,
    seed: int,
) -> dict[str, Any]:
    """Return what is found at one cut."""
    after = tables.outcomes(facts, cut, horizon)
    if not after.customer.size:
        return {"cut": cut, "customers": 0, "contenders": {}, "bands": None}
    by = buying.learn(facts, cut, after, purchases)
    options: dict[str, Any] = {"kinds": kinds, "process": process, "seed": seed}
    choice = churn_selection.choose(facts, as_of=cut, horizon=horizon, season=by.clock, **options)
    average = choice.risk
    predicted = {CHOSEN: _of(choice.risk, after.features, by.ahead(cut, horizon))}
    if average.kind != landmark.KIND:
        average = landmark.fit(facts, as_of=cut, horizon=horizon, process=process, seed=seed)
    predicted |= _beside(average, after.features, by.ahead(cut, horizon))
    predicted |= _alone(facts, cut, horizon, after.features, kinds)
    p, log_odds = predicted[CHOSEN]
    told = buying.expected(by, after, log_odds, horizon)
    reach = buying.reach(by, told[buying.SERVED], after, log_odds, choice.between)
    return {
        "cut": cut,
        "customers": p.size,
        "churned": float(after.churned.mean()),
        "choice": _evidence(choice),
        "components": [{"name": part.name, "weight": part.weight} for part in average.parts],
        "growth": None if choice.growth is None else asdict(choice.growth),
        "season": None if by.season is None else by.season.as_dict(),
        "totals": buying.totals(told, after, reach),
        "coverage": reach.coverage,
        "contenders": {
            name: tables.figures(*each, after.churned, against=predicted[CHOSEN])
            for name, each in predicted.items()
        },
        "intervals": tables.intervals(p, after.churned, draws=draws, seed=seed),
        **_tables(p, after, told[buying.SERVED]),
    }


def _evidence(choice: ChurnSelection) -> dict[str, Any]:
    """Return what was chosen, without the risk itself."""
    found = choice.as_dict()
    del found["risk"]
    return found


def _tables(p: FloatArray, after: tables.Outcomes, expected: FloatArray) -> dict[str, Any]:
    """Return the tables of one cut, of the risk and the purchases that are served."""
    features = after.features
    return {
        "calibration": tables.calibration(p, after.churned),
        "curve": tables.curve(p, after.churned),
        "lift": tables.lift(p, after),
        "groups": tables.groups(p, after, expected),
        "one_time": tables.subset(p, after, expected, features.x == 0),
        "repeat": tables.subset(p, after, expected, features.x > 0),
        "new_customers": after.new,
        "bands": bands(p, after.churned).as_dict(),
    }


def _beside(average: ChurnRisk, features: Features, ahead: float) -> dict[str, Prediction]:
    """Return what an average tells, and what it is made of as it was before any line."""
    risks = {landmark.KIND: average} | {part.name: part.risk for part in average.parts}
    return {name: _of(risk, features, ahead) for name, risk in risks.items()}


def _alone(
    facts: Facts, cut: int, horizon: int, features: Features, kinds: Sequence[str]
) -> dict[str, Prediction]:
    """Return what models of purchases in plain time, and rules, tell by themselves."""
    models = {kind: observation.plain(features, kind, horizon) for kind in kinds}
    told = {kind: _of(risk, features, horizon) for kind, risk in models.items()}
    return told | rules(facts, cut, horizon, features)


def _of(risk: ChurnRisk, features: Features, ahead: float) -> Prediction:
    odds = risk.log_odds(features, horizon=ahead)
    return sigmoid(odds), odds


def _mean(folds: list[dict[str, dict[str, Any]]]) -> dict[str, dict[str, float]]:
    """Return the mean of every figure over the folds where it is defined."""
    names = dict.fromkeys(name for fold in folds for name in fold)
    result: dict[str, dict[str, float]] = {}
    for name in names:
        rows = [fold[name] for fold in folds if name in fold]
        result[name] = {}
        for figure in FIGURES:
            features = [row[figure] for row in rows if math.isfinite(row[figure])]
            result[name][figure] = float(np.mean(features)) if features else math.nan
    return result
