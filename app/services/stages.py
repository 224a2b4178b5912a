"""Where a customer stands, and how the customer came there."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from app.days import AsOf, from_day, from_micros
from app.db import ReadSession
from app.deployment import Deployment
from app.lifecycle import facts
from app.lifecycle.history import BY_HAND, History
from app.lifecycle.policy import Policy
from app.lifecycle.records import silence_limit
from app.models import StageTransition
from app.services import (
    lifecycle,
    next_actions,
    overrides,
    policies,
    purchase_summaries,
    rule_facts,
    standings,
)
from app.services.policies import Regime
from app.services.populations import Population
from app.services.score_cards import Lifecycle
from app.services.standings import Standing


@dataclass(frozen=True, slots=True)
class View:
    """A customer at an instant, under the policies there were or under one alone."""

    standing: Standing
    regime: Regime
    policy: Policy
    people: Population
    where: Lifecycle
    actions: list[dict[str, Any]]

    async def history(self, session: ReadSession, here: Deployment, as_of: AsOf) -> History:
        """Follow the customer to the instant; under another policy, from the beginning."""
        return await lifecycle.history(
            session,
            here,
            self.regime,
            self.standing.customer_id,
            self.standing.summary,
            as_of,
            whole=self.regime is not self.standing.regime,
        )


async def look(
    session: ReadSession,
    here: Deployment,
    customer_id: str,
    as_of: AsOf,
    policy_version: int | None,
) -> View:
    standing = await standings.get(session, customer_id)
    regime = standing.regime
    if policy_version is not None:
        regime = Regime((await policies.get(session, policy_version),), (policies.ALWAYS,))
    policy = regime.at(as_of.micros)
    people, where, actions = await standings.look(session, here, standing, policy, as_of)
    return View(standing, regime, policy, people, where, actions)


async def get(
    session: ReadSession,
    here: Deployment,
    customer_id: str,
    *,
    as_of: AsOf,
    policy_version: int | None,
    now: datetime,
) -> tuple[dict[str, Any], int]:
    """Return the stage at an instant, and the version of the recorded stage."""
    view = await look(session, here, customer_id, as_of, policy_version)
    standing, policy, where = view.standing, view.policy, view.where
    summary = view.people.summaries[0]
    found = await view.history(session, here, as_of)
    stage, since = end_of(found, policy, where)
    if since is None and policy_version is None:
        since = await _recorded_since(session, customer_id, as_of)
    actions = view.actions
    if stage != policy.stages[where.stage[0]]:
        (actions,) = await next_actions.of(session, here, policy, view.people, [stage], as_of)
    state = summary.state
    bought = state.purchase_days > 0
    limit = silence_limit(policy.silence, view.people.columns)
    by_silence = any(term.name == "silence_limit_days" for term in policy.terms)
    living = bought and not policy.has_left(stage) and by_silence
    pinned = await overrides.pinned_until(session, customer_id, as_of.at)
    answer = {
        "customer_id": customer_id,
        "stage": stage,
        "sub_stage": await next_actions.sub_stage(session, here, policy, view.people, stage, as_of),
        "since": since,
        "rule": BY_HAND if found.standing_override(0) else policy.rules[where.rule[0]].code,
        "recorded_stage": standing.recorded_stage,
        "pinned_until": pinned,
        "at_risk": None if where.at_risk is None else bool(where.at_risk[0]),
        "purchase_days": state.purchase_days,
        "days_since_last_purchase": int(where.days_silent[0]) if bought else None,
        "last_purchase_on": from_day(state.last_day) if bought else None,
        "churns_on": from_day(state.last_day + int(limit[0]) + 1) if living else None,
        "lives": state.lives,
        "life_started_on": from_day(state.life_start_day) if bought else None,
        "win_backs": await _win_backs(session, standing.regime, customer_id, as_of),
        "next_actions": actions,
        "policy_version": policy.version,
        "model_id": policy.model_id or standing.model_id,
        "as_of": as_of.at,
        "computed_at": now,
    }
    return answer, standing.stage_version


def end_of(found: History, policy: Policy, where: Lifecycle) -> tuple[str, datetime | None]:
    """Return the stage in which a history of one customer ends, and since when."""
    if not len(found.stage):
        return policy.stages[where.stage[0]], None
    ((stage, since),) = found.last(1)
    return stage, None if since is None else from_micros(since)


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


async def _win_backs(
    session: ReadSession, regime: Regime, customer_id: str, as_of: AsOf
) -> dict[str, Any]:
    """Count the returns of a customer who had left."""
    left, others = regime.stages_of("churned"), regime.stages_of("customer")
    statement = select(func.count(), func.max(StageTransition.effective_at)).where(
        StageTransition.customer_id == customer_id,
        StageTransition.voided_at.is_(None),
        StageTransition.effective_at <= as_of.at,
        StageTransition.from_stage.in_(left),
        StageTransition.to_stage.in_(others),
        StageTransition.cause != "policy",
    )
    count, last = (await session.execute(statement)).one()
    return {"count": count, "last_at": last}


async def periods(
    session: ReadSession, here: Deployment, customer_id: str, *, as_of: AsOf, now: datetime
) -> dict[str, Any]:
    """Return the periods a customer spent in stages up to an instant, and the lives."""
    standing = await standings.get(session, customer_id)
    found = await lifecycle.history(
        session, here, standing.regime, customer_id, standing.summary, as_of, whole=True
    )
    known = await rule_facts.read_profiles(session, [customer_id])
    own = await purchase_summaries.facts_of(session, [customer_id])
    begun = min(
        [known[customer_id]["begun_at"], *(from_micros(fact.at) for fact in own[customer_id])]
    )
    policy = standing.regime.at(as_of.micros)
    states = facts.lives(own[customer_id], policy.silence, until=as_of.micros)
    return {
        "customer_id": customer_id,
        "periods": _periods(found, begun, as_of),
        "lives": [
            {
                "number": state.lives,
                "started_on": from_day(state.life_start_day),
                "last_purchase_on": from_day(state.last_day),
                "purchase_days": state.life_purchase_days,
            }
            for state in states
        ],
        "win_backs": await _win_backs(session, standing.regime, customer_id, as_of),
        "policy_version": policy.version,
        "as_of": as_of.at,
        "computed_at": now,
    }


def _periods(found: History, begun: datetime, as_of: AsOf) -> list[dict[str, Any]]:
    moves = found.moves()
    first = moves[0].from_stage if moves else found.beginning(0)
    began: list[dict[str, Any]] = [
        {"stage": first, "from": begun, "cause": None, "rule": None, "policy_version": None,
         "reason": None, "actor": None}
    ]  # fmt: skip
    for move in moves:
        told = {"stage": move.to_stage, "from": from_micros(move.at), "cause": move.cause,
                "rule": move.rule, "policy_version": move.policy_version, "reason": move.reason,
                "actor": move.actor}  # fmt: skip
        if told["from"] <= began[0]["from"]:
            began.clear()
        began.append(told)
    ends: list[datetime | None] = [each["from"] for each in began[1:]]
    return [
        {
            **each,
            "until": until,
            "days": round(((until or max(as_of.at, each["from"])) - each["from"]).total_seconds()
                          / 86_400, 3),
        }
        for each, until in zip(began, [*ends, None], strict=True)
    ]  # fmt: skip
