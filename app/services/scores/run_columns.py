"""A run's scores of some customers, as the columns of the table that keeps them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.lifecycle.dated import Bools, Floats, Ints
from app.money import CENTS, UNITS, cents
from app.postgres.binary_copy import Column
from app.scoring.churn import rhythm
from app.scoring.churn.churn_risk import CAUSES
from app.scoring.rfm import rfm
from app.scoring.spend import clv
from app.services.scores import calls, explanations
from app.services.scores.model_scores import Scores
from app.services.stages.placement import Placement

STATUSES = ("never_purchased", "insufficient_history", "ok")


def columns(placement: Placement, scores: Scores | None, actions: Ints | None) -> dict[str, Column]:
    """Return placed customers and the scores of the buyers among them.

    Those who never purchased have a stage and no scores. Without scores nothing can be said of
    buyers, and they are left out. `actions` are those of the buyers.
    """
    if scores is None:
        placement = placement.take(np.flatnonzero(~placement.bought))
        return _of_everybody(placement, "ok")
    status = "insufficient_history" if scores.model.status == "fallback" else "ok"
    found = _of_everybody(placement, status)
    return found | _of_buyers(scores, placement.bought, actions)


def _of_everybody(placement: Placement, status: str) -> dict[str, Column]:
    """Return what every row has; `status` is that of buyers."""
    population, bought = placement.population, placement.bought
    assert population.versions is not None
    return {
        "customer_id": Column("text", population.customer_ids),
        "customer_version": Column("int8", population.versions),
        "stage": Column("text", placement.policy.stages, codes=placement.stage),
        "status": Column("text", STATUSES, codes=np.where(bought, STATUSES.index(status), 0)),
        "purchase_days": Column("int4", population.columns.purchase_days),
        "first_purchase_on": Column("date", population.columns.first_day, ~bought),
        "last_purchase_on": Column("date", population.columns.last_day, ~bought),
        "revenue": Column("numeric", population.summaries.column("revenue")),
        "value_to_save": Column("numeric", np.zeros(len(bought), np.int64)),
        "call_reasons": Column("text[]", calls.SETS, codes=np.full(len(bought), calls.NONE)),
    }


def _of_buyers(scores: Scores, bought: Bools, actions: Ints | None) -> dict[str, Column]:
    def spread(kind: Any, values: NDArray[Any] | None) -> Column:
        return Column(kind, *_spread(values, bought))

    def named(names: tuple[str, ...], values: Ints) -> Column:
        codes = np.full(len(bought), -1)
        codes[bought] = values
        return Column("text", names, codes=codes)

    identified = scores.model.dropout_identified
    to_save, _ = _spread(_units(scores.value_to_save), bought)
    return {
        "usual_gap_days": spread("float8", scores.placement.usual_gap_days),
        "r": spread("int2", scores.r),
        "f": spread("int2", scores.f),
        "m": spread("int2", scores.m),
        "rfm_group": named(tuple(rfm.GROUPS), scores.group),
        "p_alive": spread("float8", scores.p_alive if identified else None),
        "expected_purchases": spread("float8", scores.expected_purchases),
        "probability": spread("float8", scores.probability),
        "rhythm": named(rhythm.STATUSES, scores.rhythm),
        "chance_if_active": spread("float8", scores.chance_if_active),
        "call_reasons": Column("text[]", calls.SETS, codes=_spread(scores.calls, bought)[0]),
        "clv": spread("numeric", _units(scores.clv)),
        "value_tier": named(tuple(clv.TIERS), scores.tier),
        # Who never purchased has nothing to save.
        "value_to_save": Column("numeric", to_save),
        "reason": named(tuple(CAUSES), scores.raising),
        "next_actions": spread("int8", actions),
        "explanation": spread("bytea", explanations.packed(scores)),
    }


def _spread(values: NDArray[Any] | None, rows: Bools) -> tuple[NDArray[Any], Bools]:
    """Return values of some rows as a column of all, and which of them are NULL."""
    if values is None:
        return np.zeros(len(rows)), np.ones(len(rows), np.bool_)
    found = np.zeros(len(rows), values.dtype)
    found[rows] = values
    return found, ~rows


def _units(amounts: Floats) -> Ints:
    """Return computed amounts of money, rounded, in the smallest stored unit."""
    return cents(amounts) * (UNITS // CENTS)
