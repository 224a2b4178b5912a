"""The periods that a customer spent in stages, and the lives."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from app.days import AsOf, from_day, from_micros
from app.deployment import Deployment
from app.lifecycle import facts
from app.lifecycle.history import History
from app.postgres.db import ReadSession
from app.services.customer_base import purchase_facts, rule_facts
from app.services.stages import customer_snapshots, following, stages


async def get(
    session: ReadSession, deployment: Deployment, customer_id: str, *, as_of: AsOf, now: datetime
) -> dict[str, Any]:
    """Return the periods a customer spent in stages up to an instant, and the lives."""
    snapshot = await customer_snapshots.get(session, customer_id)
    found = await following.history(
        session, deployment, snapshot.timeline, customer_id, snapshot.summary, as_of, whole=True
    )
    first_seen = await rule_facts.first_seen(session, [customer_id])
    own = await purchase_facts.of_customers(session, [customer_id])
    policy = snapshot.timeline.at(as_of.micros)
    states = facts.lives(own[customer_id], policy.inactivity_limit, until=as_of.micros)
    return {
        "customer_id": customer_id,
        "periods": _periods(found, from_micros(first_seen[customer_id]), as_of),
        "lives": [
            {
                "number": state.lives,
                "started_on": from_day(state.life_start_day),
                "last_purchase_on": from_day(state.last_day),
                "purchase_days": state.life_purchase_days,
            }
            for state in states
        ],
        "win_backs": stages.win_backs_of(found.returns()),
        "policy_version": policy.version,
        "as_of": as_of.at,
        "computed_at": now,
    }


def _periods(found: History, first_seen: datetime, as_of: AsOf) -> list[dict[str, Any]]:
    if first_seen > as_of.at:
        return []
    transitions = found.transitions()
    first = transitions[0].from_stage if transitions else found.beginning(0)
    began: list[dict[str, Any]] = [
        {"stage": first, "from": first_seen, "cause": None, "rule": None, "policy_version": None,
         "reason": None, "actor": None}
    ]  # fmt: skip
    for transition in transitions:
        told = {
            "stage": transition.to_stage,
            "from": from_micros(transition.at),
            "cause": transition.cause,
            "rule": transition.rule,
            "policy_version": transition.policy_version,
            "reason": transition.reason,
            "actor": transition.actor,
        }
        if told["from"] <= began[0]["from"]:
            began.clear()
        began.append(told)
    ends: list[datetime | None] = [each["from"] for each in began[1:]]
    renames = [{**rename._asdict(), "at": from_micros(rename.at)} for rename in found.renames()]
    return [
        {
            **each,
            **_called(each, until, renames),
            "until": until,
            "days": round(((until or as_of.at) - each["from"]).total_seconds() / 86_400, 3),
        }
        for each, until in zip(began, [*ends, None], strict=True)
    ]


def _called(
    period: dict[str, Any], until: datetime | None, renames: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Return what changes of policy called the stage of a period, and what it is called last."""
    own = [
        {name: rename[name] for name in ("from_stage", "to_stage", "at", "policy_version")}
        for rename in renames
        if period["from"] < rename["at"] and (until is None or rename["at"] < until)
    ]
    return {"stage": own[-1]["to_stage"] if own else period["stage"], "renames": own}
