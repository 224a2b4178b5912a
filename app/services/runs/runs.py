"""Scoring runs: everybody scored in parts, what time changed recorded, all published at once.

Parts come in waves: one plans, then scores, with the transitions of whom time has moved, then the
indexes of what was written; the last of all publishes.
"""

from datetime import datetime
from itertools import pairwise
from typing import Any

from sqlalchemy import insert, update

from app.deployment import Deployment
from app.lifecycle.dated import Ints
from app.models import Run
from app.models.scoring import SCORE_INDEXES
from app.postgres.binary_copy import Column
from app.postgres.db import WriteSession
from app.schemas.models.models import RunRequest
from app.services.common import as_of as as_ofs
from app.services.common import deployment_settings, threads
from app.services.customer_base import populations
from app.services.customers import customers
from app.services.models import model_store, refitting
from app.services.operations import operations, parts
from app.services.operations.parts import Part
from app.services.policies import policies
from app.services.runs import score_tables
from app.services.scores import explanations, intervals, model_scores, run_columns, run_rows
from app.services.scores.model_scores import Scores
from app.services.scores.run_summaries import RunSummary
from app.services.stages import derivation, due_transitions, next_actions
from app.services.stages.placement import Placement

RUN = "scoring_run"
SCORE_PART = 50_000
TRANSITIONS_AT_ONCE = 5_000
"""Customers are locked while their transitions are recorded: few of them, and briefly."""


async def submit(
    session: WriteSession, deployment: Deployment, asked: RunRequest, *, now: datetime, by: str
) -> dict[str, Any]:
    """Start to score everybody."""
    as_ofs.parse(asked.as_of, deployment, now, pointer="/as_of")
    if asked.model_id is not None:
        await model_store.get(session, asked.model_id)
    await deployment_settings.require_derived(session)
    row = await operations.submit(session, RUN, asked, now=now, requested_by=by)
    return operations.to_response(row)


async def submit_scheduled(session: WriteSession, slot: str, now: datetime) -> None:
    """Start the run of a slot of time, unless any worker has done so."""
    await deployment_settings.require_derived(session)
    await operations.submit(session, RUN, RunRequest(), now=now, slot=slot)


async def plan_part(
    session: WriteSession, deployment: Deployment, part: Part, now: datetime
) -> None:
    """Begin a run: settle which model scores, and split everybody into parts."""
    as_of = as_ofs.parse(part.asked(RunRequest).as_of, deployment, now)
    timeline = await policies.timeline(session)
    prepared = await refitting.prepare(session, deployment, part, now)
    model = await model_store.load(session, prepared.model_id)
    run_id = await session.scalar(
        insert(Run)
        .values(
            operation_id=part.operation_id,
            model_id=prepared.model_id,
            policy_version=timeline.at(as_of.micros).version,
            as_of=as_of.at,
            created_at=now,
            horizon_days=model.horizon_days,
        )
        .returning(Run.run_id)
    )
    assert run_id is not None
    await score_tables.create(session, run_id)
    ranges = [
        ("score", {"after": after, "up_to": up_to})
        for after, up_to in await populations.boundaries(session, SCORE_PART)
    ]
    context = {
        "run_id": run_id,
        "planned_at": now.isoformat(),
        "refit": prepared.refit,
        "comparison": prepared.comparison,
    }
    await parts.plan(session, part, ranges, context)


async def transition_part(
    session: WriteSession, deployment: Deployment, part: Part, now: datetime
) -> None:
    """Record what time has changed in a range of customers."""
    moved = await due_transitions.due(session, deployment, now, **_range(part))
    await _record(session, deployment, part, moved, now)


async def _record(
    session: WriteSession, deployment: Deployment, part: Part, moved: list[str], now: datetime
) -> None:
    """Record the transitions of whom time has moved in the range of a part, or split it."""
    if len(moved) > TRANSITIONS_AT_ONCE:
        after, up_to = _range(part).values()
        cuts = [after, *moved[TRANSITIONS_AT_ONCE - 1 : -1 : TRANSITIONS_AT_ONCE], up_to]
        ranges = [("transition", {"after": low, "up_to": high}) for low, high in pairwise(cuts)]
        await parts.plan(session, part, ranges, part.context)
    elif moved:
        await customers.lock_or_create(session, moved, now)
        await derivation.advance(session, deployment, moved, now)


async def score_part(
    session: WriteSession, deployment: Deployment, part: Part, now: datetime
) -> None:
    """Score a range of customers, and record what time has changed of them.

    The latter comes last, so that nobody is locked while others are scored. It makes new versions
    of customers: lists look for facts of these, and find none.
    """
    run = await run_rows.get(session, part.context["run_id"])
    policy = await policies.get(session, run.policy_version)
    model = await model_store.load(session, run.model_id)
    as_of = deployment.as_of(run.as_of)
    timeline = (await policies.timeline(session)).under(policy, as_of.micros)
    planned_at = datetime.fromisoformat(part.context["planned_at"])
    placed, moved = await due_transitions.placed_and_due(
        session, deployment, timeline, as_of, planned_at, gap_days=model.gap_days, **_range(part)
    )
    scored = await model_scores.score(session, model, placed, run.horizon_days)
    actions = None
    if scored is not None:
        buyers = scored.placement
        actions = await next_actions.of_stages(
            session, deployment, policy, buyers.population, buyers.stage, as_of
        )
    columns, outcome = await threads.compute(len(placed), _written, placed, scored, actions)
    await score_tables.fill(session, run.run_id, columns)
    await parts.note(session, part, outcome)
    await _record(session, deployment, part, moved, now)


def _written(
    placed: Placement, scored: Scores | None, actions: Ints | None
) -> tuple[dict[str, Column], dict[str, Any]]:
    """Return the rows of a part, and what they amount to."""
    columns = run_columns.columns(placed, scored, actions)
    expected = None if scored is None else intervals.columns(scored, placed.bought)
    return columns, {
        "summary": RunSummary.of(columns, expected).dump(),
        "explanation": None if scored is None else explanations.of(scored).dump(),
    }


async def index_part(
    session: WriteSession, deployment: Deployment, part: Part, now: datetime
) -> None:
    """Build one index of a run, all of whose rows are there."""
    del deployment, now
    await score_tables.index(session, part.context["run_id"], part.arguments["index"])


def _range(part: Part) -> dict[str, Any]:
    return {"after": part.arguments["after"], "up_to": part.arguments["up_to"]}


async def complete(
    session: WriteSession, deployment: Deployment, part: Part, now: datetime
) -> dict[str, Any] | None:
    """After the rows, have them indexed; after the indexes, publish."""
    if "indexed" in part.context:
        return await publish(session, deployment, part, now)
    await score_tables.analyse(session, part.context["run_id"])
    indexes = [("index", {"index": name}) for name in SCORE_INDEXES]
    await parts.plan(session, part, indexes, {**part.context, "indexed": list(SCORE_INDEXES)})
    return None


async def publish(
    session: WriteSession, deployment: Deployment, part: Part, now: datetime
) -> dict[str, Any]:
    """Make the finished run the one that lists and reports read.

    One of an earlier instant than theirs can be read by its id, as long as one that was replaced.
    """
    run_id: int = part.context["run_id"]
    run = await run_rows.get(session, run_id)
    previous = (await deployment_settings.pointers(session)).run_id
    read = None if previous is None else await run_rows.find(session, previous)
    published = read is None or read.as_of <= run.as_of
    found = [each for each in await parts.noted(session, part) if "summary" in each]
    summary = RunSummary.added_up(RunSummary.load(each["summary"]) for each in found)
    explained = (each["explanation"] for each in found if each["explanation"] is not None)
    await score_tables.release(session, run_id)
    monitor = await refitting.monitor(session, deployment, run)
    await session.execute(
        update(Run)
        .where(Run.run_id == run_id)
        .values(
            published_at=now,
            customers=summary.customers,
            summary=summary.dump(),
            monitor=monitor.dump(),
            explanation=next(explained, None),
        )
    )
    replaced = previous if published else run_id
    await session.execute(
        update(Run).where(Run.run_id == replaced, Run.replaced_at.is_(None)).values(replaced_at=now)
    )
    if published:
        await deployment_settings.put(session, deployment_settings.PUBLISHED_RUN, run_id)
    await deployment_settings.put(
        session, deployment_settings.RECORDED_UNTIL, part.context["planned_at"]
    )
    return {
        "run_id": run_id,
        "model_id": run.model_id,
        "customers": summary.customers,
        "published": published,
        "refit": part.context.get("refit"),
        "comparison": part.context.get("comparison"),
    }
