"""Live score cards of many customers, computed at once."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

import numpy as np

from app.days import AsOf
from app.db import ReadSession
from app.deployment import Deployment
from app.lifecycle.policy import Policy
from app.lifecycle.records import Floats
from app.schemas.score_lists import LookupRequest
from app.scoring.histories.features import Features
from app.services import as_of as as_ofs
from app.services import (
    decided_stages,
    models,
    next_actions,
    policies,
    populations,
    records,
    risk_columns,
    score_cards,
    settings,
)
from app.services.learning import Learnt
from app.services.populations import Population
from app.services.score_cards import Cards, Lifecycle
from app.services.scores import describe_risk, explain, facts_of, model_of

INLINE = 500
"""Customers that are scored at once; more go to a thread."""


@dataclass(frozen=True, eq=False)
class _Asked:
    """Customers as they stand at an instant, and what a model sees of those who have bought."""

    here: Deployment
    policy: Policy
    learnt: Learnt | None
    as_of: AsOf
    horizon_days: int | None
    people: Population
    where: Lifecycle
    buyers: Population
    known: Features | None


async def find(
    session: ReadSession, here: Deployment, request: LookupRequest, now: datetime
) -> dict[str, Any]:
    """Return what `scores.get` answers for each of the customers, in the order of the request."""
    as_of = as_ofs.parse(request.as_of, here, now, pointer="/as_of")
    ids = list(dict.fromkeys(request.customer_ids))
    active = await settings.pointers(session)
    regime = await policies.regime(session, active.regime)
    policy = regime.at(as_of.micros)
    learnt = None if active.model_id is None else await models.load(session, active.model_id)
    people = await populations.of_customers(session, policy.silence, as_of, ids)
    recorded = await records.at_instant(session, here, policy, people, as_of)
    gap_days = None if learnt is None else learnt.gap_days
    decided = await decided_stages.of_customers(session, here, regime, as_of, ids)
    where = score_cards.lifecycle(policy, people, recorded, as_of, gap_days, decided)
    stages = [policy.stages[code] for code in where.stage.tolist()]
    actions = await next_actions.of(session, here, policy, people, stages, as_of)
    buyers = people.buyers()
    scorable = learnt is not None and learnt.rfm_cuts is not None and len(buyers) > 0
    known = None
    if learnt is not None and scorable:
        known = await risk_columns.read(session, learnt, buyers, as_of)
    asked = _Asked(here, policy, learnt if scorable else None, as_of, request.horizon_days,
                   people, where, buyers, known)  # fmt: skip
    made = await asyncio.to_thread(_cards, asked) if len(people) > INLINE else _cards(asked)
    common = {
        "lookahead": learnt is not None and learnt.as_of > as_of.at,
        "model_id": active.model_id,
        "model_as_of": learnt and learnt.as_of,
        "policy_version": policy.version,
        "as_of": as_of.at,
        "computed_at": now,
    }
    for card, own in zip(made, actions, strict=True):
        card |= {**common, "next_actions": own}
    found = {card["customer_id"]: card for card in made}
    return {
        "items": [found[each] for each in ids if each in found],
        "unknown": [each for each in ids if each not in found],
        "as_of": as_of.at,
        "computed_at": now,
    }


def _cards(asked: _Asked) -> list[dict[str, Any]]:
    rows = np.arange(len(asked.people))
    cards = [
        facts_of(asked.here, asked.policy, asked.people.take(row), asked.where.take(row))
        for row in rows[:, None]
    ]
    bought = np.flatnonzero(asked.people.columns.purchase_days > 0)
    if asked.learnt is None:
        for row in bought.tolist():
            cards[row]["status"] = "no_model"
        return cards
    for row, told in zip(bought.tolist(), _scored(asked, asked.learnt, bought), strict=True):
        cards[row] |= told
    return cards


def _scored(asked: _Asked, learnt: Learnt, bought: Any) -> list[Mapping[str, Any]]:
    """Return what the model says of each who has a purchase day."""
    horizon = asked.horizon_days or learnt.horizon_days
    where, buyers, as_of = asked.where.take(bought), asked.buyers, asked.as_of
    scored = score_cards.cards(learnt, buyers, where, as_of, horizon, asked.known)
    gaps: Floats | None = where.usual_gap
    found: list[Mapping[str, Any]] = []
    for row in range(len(buyers)):
        one = buyers.take(np.array([row]))
        gap = None if gaps is None else float(gaps[row])
        told = explain(learnt, buyers, gap, scored.reasons, row, as_of, asked.known)
        risk = {**describe_risk(learnt, scored, row, horizon), "reasons": told}
        model = model_of(asked.here, learnt, one, as_of, _only(scored, row), horizon)
        found.append({**model, "churn_risk": risk})
    return found


def _only(scored: Cards, row: int) -> Cards:
    """Return the columns of one customer; the reasons stay those of all."""
    own = {
        field.name: getattr(scored, field.name)[row : row + 1]
        for field in fields(scored)
        if field.name != "reasons"
    }
    return replace(scored, **own)
