"""A run's scores of some customers, as the columns of the table that keeps them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.binary_copy import Column
from app.days import AsOf
from app.lifecycle.policy import Policy
from app.lifecycle.records import UNITS, Bools, Floats, Ints
from app.scoring.churn import contributions
from app.scoring.histories.features import Features
from app.scoring.rfm import rfm
from app.scoring.spend import clv
from app.services import score_cards
from app.services.learning import Learnt
from app.services.populations import Population
from app.services.score_cards import CAUSES, Cards, Lifecycle

STATUSES = ("never_purchased", "insufficient_history", "ok")
CENTS = 100
_LARGEST = 9.2e18
"""As many units as a number of the table holds, nearly."""


def columns(
    run_id: int,
    learnt: Learnt,
    policy: Policy,
    people: Population,
    where: Lifecycle,
    as_of: AsOf,
    horizon_days: int,
    known: Features | None,
) -> dict[str, Column]:
    """Score customers; those who never purchased have a stage and no scores.

    `known` is what the risk of the model looks at, of those who have purchased.
    """
    bought = people.columns.purchase_days > 0
    if learnt.rfm_cuts is None:  # nobody has been seen to purchase, and nothing can be said
        people, where = people.take(np.flatnonzero(~bought)), where.take(np.flatnonzero(~bought))
        bought = np.zeros(len(people), dtype=np.bool_)
    found = _of_everybody(run_id, learnt, policy, people, where, bought)
    if bought.any():
        living = where if bought.all() else where.take(np.flatnonzero(bought))
        scored = score_cards.cards(learnt, people.buyers(), living, as_of, horizon_days, known)
        found |= _of_buyers(learnt, scored, living, bought)
    return found


def _of_everybody(
    run_id: int,
    learnt: Learnt,
    policy: Policy,
    people: Population,
    where: Lifecycle,
    bought: Bools,
) -> dict[str, Column]:
    status = STATUSES.index("insufficient_history" if learnt.status == "fallback" else "ok")
    at_risk = np.zeros(len(people), np.bool_) if where.at_risk is None else where.at_risk
    return {
        "customer_id": Column("text", people.customer_ids),
        "run_id": Column("int4", np.full(len(people), run_id)),
        "stage": Column("text", policy.stages, codes=where.stage),
        "status": Column("text", STATUSES, codes=np.where(bought, status, 0)),
        "at_risk": Column("bool", at_risk & bought),
        "purchase_days": Column("int4", people.columns.purchase_days),
        "first_purchase_on": Column("date", people.columns.first_day, ~bought),
        "last_purchase_on": Column("date", people.columns.last_day, ~bought),
        "revenue": Column("numeric", people.summaries.column("revenue")),
        "value_at_risk": Column("numeric", np.zeros(len(people), np.int64)),
    }


def _of_buyers(learnt: Learnt, scored: Cards, where: Lifecycle, bought: Bools) -> dict[str, Column]:
    def spread(kind: Any, values: Floats | Ints | None) -> Column:
        return Column(kind, *_spread(values, bought))

    def named(names: tuple[str, ...], values: Ints) -> Column:
        codes = np.full(len(bought), -1)
        codes[bought] = values
        return Column("text", names, codes=codes)

    told = learnt.dropout_identified
    at_risk, _ = _spread(_units(scored.value_at_risk), bought)
    return {
        "usual_gap_days": spread("float8", where.usual_gap),
        "r": spread("int2", scored.r),
        "f": spread("int2", scored.f),
        "m": spread("int2", scored.m),
        "rfm_group": named(tuple(rfm.GROUPS), scored.group),
        "p_alive": spread("float8", scored.p_alive if told else None),
        "expected_purchases": spread("float8", scored.expected_purchases),
        "probability": spread("float8", scored.probability),
        "level": named(tuple(contributions.LEVELS), scored.level),
        "clv": spread("numeric", _units(scored.clv)),
        "value_tier": named(tuple(clv.TIERS), scored.tier),
        # Who never purchased has nothing to lose, whether or not a dropout is identified.
        "value_at_risk": Column("numeric", at_risk, None if told else bought),
        "reason": named(tuple(CAUSES), scored.raising),
    }


def _spread(values: Floats | Ints | None, rows: Bools) -> tuple[NDArray[Any], Bools]:
    """Return values of some rows as a column of all, and which of them are NULL."""
    if values is None:
        return np.zeros(len(rows)), np.ones(len(rows), np.bool_)
    found = np.zeros(len(rows), values.dtype)
    found[rows] = values
    return found, ~rows


def cents(amounts: Floats) -> Ints:
    """Return computed amounts of money in cents: the one rounding of all that is computed."""
    largest = _LARGEST * CENTS / UNITS
    return np.rint(np.clip(amounts * CENTS, -largest, largest)).astype(np.int64)


def _units(amounts: Floats) -> Ints:
    """Return computed amounts of money, rounded, in the smallest stored unit."""
    return cents(amounts) * (UNITS // CENTS)
