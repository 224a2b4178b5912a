"""Where a customer stands, and how the customer came there."""

from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import select

from app.days import AsOf, from_day, from_micros
from app.db import AnyRow, ReadSession
from app.deployment import Deployment
from app.lifecycle.evaluator import moves, silence_limit
from app.lifecycle.facts import Point, Summary
from app.lifecycle.policy import CHURNED
from app.models import StageTransition
from app.services import customers, purchase_summaries, score_cards, standings
from app.services.paging import PageRequest, Sort, fetch_shown
from app.services.populations import Population
from app.services.standings import Standing

_NEWEST = Sort((StageTransition.effective_at, StageTransition.transition_id), descending=True)


async def get(
    session: ReadSession, here: Deployment, customer_id: str, *, as_of: AsOf, now: datetime
) -> tuple[dict[str, Any], int]:
    """Return the stage at an instant, and the version of the recorded stage."""
    standing = await standings.get(session, customer_id)
    policy = standing.policy
    summary, since = await _since(session, here, standing, as_of)
    people = Population.of([customer_id], [standing.recorded_stage], [summary])
    where = score_cards.lifecycle(policy, people, as_of, standing.gap_days)
    stage = policy.stages[where.stage[0]]
    state = summary.state
    bought = state.purchase_days > 0
    limit = silence_limit(policy, people.columns)
    living = bought and stage != CHURNED
    answer = {
        "customer_id": customer_id,
        "stage": stage,
        "since": since,
        "rule": policy.rules[where.rule[0]].code,
        "recorded_stage": standing.recorded_stage,
        "at_risk": None if where.at_risk is None else bool(where.at_risk[0]),
        "purchase_days": state.purchase_days,
        "days_since_last_purchase": int(where.days_silent[0]) if bought else None,
        "last_purchase_on": from_day(state.last_day) if bought else None,
        "churns_on": from_day(state.last_day + int(limit[0]) + 1) if living else None,
        "lives": state.lives,
        "life_started_on": from_day(state.life_start_day) if bought else None,
        "policy_version": policy.version,
        "model_id": standing.model_id,
        "as_of": as_of.at,
        "computed_at": now,
    }
    return answer, standing.stage_version


async def _since(
    session: ReadSession, here: Deployment, standing: Standing, as_of: AsOf
) -> tuple[Summary, datetime | None]:
    """Return what the facts amount to at an instant, and since when the stage then held."""
    customer_id, policy, kept = standing.customer_id, standing.policy, standing.summary
    known = purchase_summaries.holds_at(kept, as_of.micros)
    if known and kept.facts_until is not None:
        day = here.calendar.day_of(from_micros(kept.facts_until))
        summary, points = kept, [Point(kept.facts_until, day, kept.state)]
    elif known:
        return kept, None
    else:
        folded = await purchase_summaries.fold_facts(
            session, policy.silence, {customer_id: as_of.micros}
        )
        summary, points = folded[customer_id].summary, folded[customer_id].points
    found = moves(
        policy,
        np.zeros(len(points), dtype=np.int64),
        points,
        until=np.array([as_of.micros]),
        day_start=here.calendar.starts,
        first_is_known=np.array([known]),
    )
    if len(found.at):
        return summary, from_micros(found.at[-1])
    return summary, await _recorded_since(session, customer_id, as_of) if known else None


async def _recorded_since(session: ReadSession, customer_id: str, as_of: AsOf) -> datetime | None:
    statement = (
        select(StageTransition.effective_at)
        .where(
            StageTransition.customer_id == customer_id,
            StageTransition.voided_at.is_(None),
            StageTransition.effective_at <= as_of.at,
        )
        .order_by(StageTransition.effective_at.desc())
        .limit(1)
    )
    since: datetime | None = await session.scalar(statement)
    return since


async def transitions_of(
    session: ReadSession, customer_id: str, page: PageRequest, *, include_voided: bool
) -> dict[str, Any]:
    """Return a page of a customer's ledger, newest first."""
    statement = select(*StageTransition.__table__.columns, *_NEWEST.columns).where(
        StageTransition.customer_id == customer_id
    )
    if not include_voided:
        statement = statement.where(StageTransition.voided_at.is_(None))
    bound_to = {"list": "transitions", "customer_id": customer_id, "voided": include_voided}
    found = await fetch_shown(session, statement, page, _NEWEST, bound_to, _shown)
    if not found["items"]:
        await customers.require(session, customer_id)
    return found


def _shown(row: AnyRow) -> dict[str, Any]:
    columns = {column.key: getattr(row, column.key) for column in StageTransition.__table__.columns}
    del columns["customer_id"]
    return {**columns, "transition_id": str(row.transition_id)}
