"""Where a customer stands, and how the customer came there."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import and_, func, select

from app.days import AsOf, from_day, from_micros, to_micros
from app.deployment import Deployment
from app.lifecycle.history import BY_HAND, History
from app.lifecycle.instants import Override
from app.lifecycle.policy import Policy
from app.models import StageTransition
from app.postgres.db import AnyRow, ReadSession
from app.services.policies import policies
from app.services.policies.policies import PolicyTimeline
from app.services.stages import customer_snapshots, following, next_actions, why_churned
from app.services.stages.customer_snapshots import CustomerSnapshot
from app.services.stages.placement import Placement
from app.services.stages.recorded_stages import LOOKED_AHEAD


@dataclass(frozen=True, slots=True)
class View:
    """A customer at an instant, under the policies there were or under one alone."""

    snapshot: CustomerSnapshot
    timeline: PolicyTimeline
    placement: Placement

    @property
    def policy(self) -> Policy:
        return self.placement.policy

    async def history(self, session: ReadSession, deployment: Deployment, as_of: AsOf) -> History:
        """Follow the customer to the instant; under another policy, from the beginning."""
        return await following.history(
            session,
            deployment,
            self.timeline,
            self.snapshot.customer_id,
            self.snapshot.summary,
            as_of,
            whole=self.timeline is not self.snapshot.timeline,
        )


async def look(
    session: ReadSession,
    deployment: Deployment,
    customer_id: str,
    as_of: AsOf,
    policy_version: int | None,
) -> View:
    snapshot = await customer_snapshots.get(session, customer_id)
    timeline = snapshot.timeline
    if policy_version is not None:
        timeline = PolicyTimeline(
            (await policies.get(session, policy_version),), (policies.ALWAYS,)
        )
    return View(
        snapshot,
        timeline,
        await customer_snapshots.place(session, deployment, snapshot.among, timeline, as_of),
    )


async def get(
    session: ReadSession,
    deployment: Deployment,
    customer_id: str,
    *,
    as_of: AsOf,
    policy_version: int | None,
    now: datetime,
) -> tuple[dict[str, Any], int]:
    """Return the stage at an instant, and the version of the recorded stage."""
    view = await look(session, deployment, customer_id, as_of, policy_version)
    snapshot, policy, placed = view.snapshot, view.policy, view.placement
    summary = placed.population.summaries[0]
    found = await view.history(session, deployment, as_of)
    end = end_of(found, placed)
    stage, by_hand = end.stage, override_of(end.override)
    since, win_backs = await _moves_of(session, view.timeline, customer_id, found)
    left = [customer_id] if policy.has_left(stage) else []
    why = await why_churned.of_churned(session, deployment, view.timeline, left, as_of)
    (fits,) = await next_actions.fitting(
        session, deployment, policy, placed.population, [stage], as_of
    )
    state = summary.state
    bought = state.purchase_days > 0
    answer = {
        "customer_id": customer_id,
        "stage": stage,
        "sub_stage": fits.sub_stage,
        "since": since,
        "rule": BY_HAND if by_hand else policy.rules[end.rule].code,
        "recorded_stage": snapshot.recorded_stage,
        "override": by_hand,
        "purchase_days": state.purchase_days,
        "days_since_last_purchase": int(placed.days_since_last_purchase[0]) if bought else None,
        "last_purchase_on": from_day(state.last_day) if bought else None,
        "churn_record": why.get(customer_id),
        "churns_on": None if policy.has_left(stage) else _churns_on(deployment, found, as_of),
        "lives": state.lives,
        "life_started_on": from_day(state.life_start_day) if bought else None,
        "win_backs": win_backs,
        "next_actions": fits.actions,
        "policy_version": policy.version,
        "model_id": policy.model_id or snapshot.model_id,
        "as_of": as_of.at,
        "computed_at": now,
    }
    return answer, snapshot.stage_version


@dataclass(frozen=True, slots=True)
class End:
    """Where a history of one customer ends; `rule` is the place of the rule that holds."""

    stage: str
    rule: int
    override: Override | None


def end_of(found: History, placed: Placement) -> End:
    """Return the stage in which a history of one customer ends, and what decides it."""
    if not len(found.stage):
        return End(placed.stages[0], int(placed.rule[0]), None)
    ((stage, _),) = found.last(1)
    return End(stage, int(found.rule[-1]), found.standing_override(0))


def override_of(override: Override | None) -> dict[str, Any] | None:
    """Return an override as the API shows it."""
    if override is None:
        return None
    return {
        "stage": override.stage,
        "reason": override.reason,
        "actor": override.actor,
        "set_at": from_micros(override.at),
        "until": None if override.until is None else from_micros(override.until),
    }


def _churns_on(deployment: Deployment, found: History, as_of: AsOf) -> date | None:
    """Return the day on which time alone makes the customer one who has left."""
    if not len(found.stage):  # Not heard of yet, or nothing done that the rules look at.
        return None
    last = as_of.day + LOOKED_AHEAD
    until = to_micros(deployment.calendar.start_of(last))
    day = found.project(until, last, deployment.calendar.starts).churn_date(as_of.micros)
    return None if day is None else from_day(day)


async def _moves_of(
    session: ReadSession, timeline: PolicyTimeline, customer_id: str, found: History
) -> tuple[datetime | None, dict[str, Any]]:
    """Return since when the last stage holds, and the returns of one who had left.

    Where the history goes on from the ledger, what came before is read from there.
    """
    ((_, last),) = found.last(1)
    since = None if last is None else from_micros(last)
    if not (len(found.stage) and found.customers.known[0]):
        return since, win_backs_of(found.returns())
    before = await _recorded(session, timeline, customer_id, from_micros(found.rows.at[0]))
    win_backs = win_backs_of(found.returns(), before.returns, before.last_return)
    return since or before.since, win_backs


def win_backs_of(
    returns: Sequence[int], before: int = 0, last: datetime | None = None
) -> dict[str, Any]:
    """Return how often one who had left came back, and when last, as the API shows it."""
    return {
        "count": before + len(returns),
        "last_at": from_micros(returns[-1]) if returns else last,
    }


async def _recorded(
    session: ReadSession, timeline: PolicyTimeline, customer_id: str, until: datetime
) -> AnyRow:
    """Return what the ledger says up to an instant: the last transition, and the returns."""
    at = StageTransition.effective_at
    returned = and_(
        StageTransition.from_stage.in_(timeline.stages_of("churned")),
        StageTransition.to_stage.in_(timeline.stages_of("customer")),
        StageTransition.cause != "policy",
    )
    statement = select(
        func.max(at).label("since"),
        func.count().filter(returned).label("returns"),
        func.max(at).filter(returned).label("last_return"),
    ).where(
        StageTransition.customer_id == customer_id,
        StageTransition.voided_at.is_(None),
        at <= until,
    )
    return (await session.execute(statement)).one()
