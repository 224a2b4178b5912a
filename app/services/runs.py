"""Scoring runs: everybody scored in parts, the moves of time recorded, all published at once."""

import asyncio
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
from sqlalchemy import func, insert, select, update

from app.days import AsOf, from_day
from app.db import AnyRow, ReadSession, WriteSession, copy_rows
from app.deployment import MONEY_UNIT, Deployment
from app.lifecycle.policy import Policy
from app.models import Run, Score
from app.schemas.models import RunRequest
from app.scoring import churn, clv, rfm
from app.services import as_of as as_ofs
from app.services import (
    customers,
    lifecycle,
    models,
    operations,
    parts,
    policies,
    populations,
    records,
    reports,
    score_cards,
    settings,
    stage_moves,
)
from app.services.learning import DEFAULT_KIND, Learnt
from app.services.parts import Part
from app.services.populations import Population
from app.services.score_cards import Lifecycle

RUN = "scoring_run"
SCORE_PART = 50_000
MOVE_PART = 5_000
DEFAULT_UNIT = "day"


async def submit(
    session: WriteSession, here: Deployment, asked: RunRequest, *, now: datetime, by: str
) -> dict[str, Any]:
    """Start to score everybody."""
    as_ofs.parse(asked.as_of, here, now, pointer="/as_of")
    if asked.model_id is not None:
        await models.get(session, asked.model_id)
    row = await operations.submit(
        session, RUN, asked.model_dump(mode="json"), now=now, requested_by=by
    )
    return operations.shown(row)


async def submit_scheduled(session: WriteSession, slot: str, now: datetime) -> None:
    """Start the run of a slot of time, unless any worker has done so."""
    await operations.submit(session, RUN, RunRequest().model_dump(mode="json"), now=now, slot=slot)


async def plan_part(session: WriteSession, here: Deployment, part: Part, now: datetime) -> None:
    """Begin a run: find or fit the model, and split everybody into parts."""
    as_of = as_ofs.parse(part.request.get("as_of"), here, now)
    active = await settings.pointers(session)
    model_id = part.request.get("model_id") or active.model_id
    if model_id is None or (await models.load(session, model_id)).rfm_cuts is None:
        name = part.operation_id
        model_id = await models.fit(session, DEFAULT_KIND, DEFAULT_UNIT, as_of, now, name=name)
        await settings.put(session, settings.ACTIVE_MODEL, model_id)
    run_id = await session.scalar(
        insert(Run)
        .values(
            operation_id=part.operation_id,
            model_id=model_id,
            policy_version=active.policy_version,
            as_of=as_of.at,
            created_at=now,
        )
        .returning(Run.run_id)
    )
    ranges = [
        (task, {"after": after, "up_to": up_to})
        for task, size in (("move", MOVE_PART), ("score", SCORE_PART))
        for after, up_to in await populations.boundaries(session, size)
    ]
    await parts.plan(session, part, ranges, {"run_id": run_id, "planned_at": now.isoformat()})


async def move_part(session: WriteSession, here: Deployment, part: Part, now: datetime) -> None:
    """Record the moves that time has made in a range of customers."""
    moved = await stage_moves.due(session, here, now, **_range(part))
    if moved:
        await customers.take(session, moved, now)
        await lifecycle.advance(session, here, moved, now)


async def score_part(session: WriteSession, here: Deployment, part: Part, now: datetime) -> None:
    """Score a range of customers and write them by binary COPY."""
    del now
    run = await get(session, part.context["run_id"])
    policy = await policies.get(session, run.policy_version)
    learnt = await models.load(session, run.model_id)
    as_of = here.as_of(run.as_of)
    people = await populations.read(session, policy.silence, as_of, **_range(part))
    known = await records.at_instant(session, here, policy, people, as_of)
    where = score_cards.lifecycle(policy, people, known, as_of, learnt.gap_days)
    rows = await asyncio.to_thread(
        lambda: list(_rows(run.run_id, learnt, policy, people, where, as_of))
    )
    columns = [column.key for column in Score.__table__.columns]
    await copy_rows(session, "scores", columns, rows)


def _range(part: Part) -> dict[str, Any]:
    return {"after": part.arguments["after"], "up_to": part.arguments["up_to"]}


def _rows(
    run_id: int,
    learnt: Learnt,
    policy: Policy,
    people: Population,
    everyone: Lifecycle,
    as_of: AsOf,
) -> Iterator[tuple[object, ...]]:
    """Yield the rows of the scores table, in the order of its columns."""
    has_bought = people.columns.purchase_days > 0
    for row in np.flatnonzero(~has_bought).tolist():
        stage = policy.stages[everyone.stage[row]]
        yield (
            people.customer_ids[row],
            run_id,
            stage,
            "never_purchased",
            False,
            0,
            None,
            None,
            people.revenue_of(row),
            *[None] * 12,
            Decimal(0),
        )
    buyers = people.buyers()
    if not len(buyers) or learnt.rfm_cuts is None:
        return
    where = everyone.take(np.flatnonzero(has_bought))
    scored = score_cards.cards(learnt, buyers, where, as_of, score_cards.DEFAULT_HORIZON_DAYS)
    told = learnt.dropout_identified
    status = "insufficient_history" if learnt.status == "fallback" else "ok"
    for row, customer_id in enumerate(buyers.customer_ids):
        yield (
            customer_id,
            run_id,
            policy.stages[where.stage[row]],
            status,
            bool(where.at_risk is not None and where.at_risk[row]),
            int(buyers.columns.purchase_days[row]),
            from_day(buyers.columns.first_day[row]),
            from_day(buyers.columns.last_day[row]),
            buyers.revenue_of(row),
            None if where.usual_gap is None else float(where.usual_gap[row]),
            int(scored.r[row]),
            int(scored.f[row]),
            int(scored.m[row]),
            rfm.GROUPS[scored.group[row]],
            float(scored.p_alive[row]) if told else None,
            float(scored.expected_purchases[row]),
            float(scored.probability[row]),
            churn.LEVELS[scored.level[row]],
            amount(scored.clv[row]),
            clv.TIERS[scored.tier[row]],
            amount(scored.value_at_risk[row]) if told else None,
        )


def amount(value: float) -> Decimal:
    """Return a computed value as money, to the smallest stored unit."""
    return Decimal(repr(float(value))).quantize(MONEY_UNIT)


async def publish(
    session: WriteSession, here: Deployment, part: Part, now: datetime
) -> dict[str, Any]:
    """Make the finished run the one that lists and reports read."""
    del here
    run_id: int = part.context["run_id"]
    previous = (await settings.pointers(session)).run_id
    scored = await session.scalar(
        select(func.count()).select_from(Score).where(Score.run_id == run_id)
    )
    summary = await reports.summarise(session, run_id)
    await session.execute(
        update(Run)
        .where(Run.run_id == run_id)
        .values(published_at=now, customers=scored, summary=summary)
    )
    await session.execute(
        update(Run).where(Run.run_id == previous, Run.replaced_at.is_(None)).values(replaced_at=now)
    )
    await settings.put(session, settings.PUBLISHED_RUN, run_id)
    await settings.put(session, settings.MOVED_UNTIL, part.context["planned_at"])
    run = await get(session, run_id)
    return {"run_id": run_id, "model_id": run.model_id, "customers": scored}


async def find(session: ReadSession, run_id: int) -> AnyRow | None:
    """Return a run, or None if it is no longer kept."""
    statement = select(*Run.__table__.columns).where(Run.run_id == run_id)
    return (await session.execute(statement)).one_or_none()


async def get(session: ReadSession, run_id: int) -> AnyRow:
    """Return a run that is kept."""
    row = await find(session, run_id)
    assert row is not None
    return row
