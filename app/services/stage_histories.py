"""The periods that a customer spent in stages, and the lives."""

from datetime import datetime
from typing import Any

from app.days import AsOf, from_day, from_micros
from app.db import ReadSession
from app.deployment import Deployment
from app.lifecycle import facts
from app.lifecycle.history import History
from app.services import lifecycle, purchase_summaries, rule_facts, stages, standings


async def get(
    session: ReadSession, here: Deployment, customer_id: str, *, as_of: AsOf, now: datetime
) -> dict[str, Any]:
    """Return the periods a customer spent in stages up to an instant, and the lives."""
    standing = await standings.get(session, customer_id)
    found = await lifecycle.history(
        session, here, standing.regime, customer_id, standing.summary, as_of, whole=True
    )
    begun = await rule_facts.begun(session, [customer_id])
    own = await purchase_summaries.facts_of(session, [customer_id])
    policy = standing.regime.at(as_of.micros)
    states = facts.lives(own[customer_id], policy.silence, until=as_of.micros)
    return {
        "customer_id": customer_id,
        "periods": _periods(found, from_micros(begun[customer_id]), as_of),
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


def _periods(found: History, begun: datetime, as_of: AsOf) -> list[dict[str, Any]]:
    if begun > as_of.at:
        return []
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
            "days": round(((until or as_of.at) - each["from"]).total_seconds() / 86_400, 3),
        }
        for each, until in zip(began, [*ends, None], strict=True)
    ]
