"""Where customers stand now, by what is stored of them: nobody's history is followed.

What is recorded holds as long as time alone has not changed it, which the rules say of columns. Of
whom that cannot be said so, the answer is not given here: `stages.get` follows the history.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

import numpy as np

from app.days import AsOf, from_day, from_micros, to_micros
from app.deployment import Deployment
from app.lifecycle.dated import NO_END, Ints
from app.lifecycle.evaluator import evaluate, threshold_crossings
from app.lifecycle.policy import Policy
from app.lifecycle.records import Records, Span
from app.postgres.db import ReadSession
from app.services.customer_base import populations
from app.services.customer_base.populations import Population
from app.services.policies.policies import PolicyTimeline
from app.services.stages import (
    customer_snapshots,
    due_transitions,
    next_actions,
    rule_records,
    why_churned,
)
from app.services.stages.customer_snapshots import CustomerSnapshots

LOOKED_AHEAD = 36_525
"""Days, a hundred years, within which time alone may make customers leave."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What is known of customers: answers with the version of the stage, as far as it goes."""

    answers: dict[str, tuple[dict[str, Any], int]]
    known: frozenset[str]


async def of_customers(
    session: ReadSession, deployment: Deployment, customer_ids: Sequence[str], now: datetime
) -> Recorded:
    """Return what `stages.get` answers of now, for those whose recorded stage holds."""
    snapshots = await customer_snapshots.read(session, customer_ids, moves=True)
    if snapshots is None:
        return Recorded({}, frozenset())
    known = frozenset(snapshots.of)
    as_of, timeline = deployment.as_of(now), snapshots.timeline
    since = max(timeline.starts[-1], to_micros(snapshots.recorded_until))
    if not (snapshots.settled and timeline.has_one_role_each) or timeline.starts[-1] > as_of.micros:
        return Recorded({}, known)
    rows = _sure(snapshots, since, as_of)
    population, policy = snapshots.population.take(rows), timeline.current
    since_day = deployment.calendar.day_of(from_micros(since))
    records = await rule_records.at_instant(
        session, deployment, policy, population, as_of, since_day=since_day
    )
    changed = set(due_transitions.elsewhere(policy, population, records, as_of.day).tolist())
    if records.interactions is not None:
        late = await due_transitions.waited(
            session, deployment, population, records, from_micros(since), as_of.at
        )
        changed |= {row for row, each in enumerate(population.customer_ids) if each in late}
    if changed:
        kept = np.array([row for row in range(len(rows)) if row not in changed], dtype=np.int64)
    else:
        kept = np.arange(len(rows))
    if not len(kept):
        return Recorded({}, known)
    answers = await _answers(session, deployment, snapshots, rows, kept, records, as_of)
    return Recorded(answers, known)


def _sure(snapshots: CustomerSnapshots, since: int, as_of: AsOf) -> Ints:
    """Return the rows of those of whom nothing stored says that another instant is meant."""
    population, timeline = snapshots.population, snapshots.timeline
    true = populations.true_at(
        timeline, timeline.current.inactivity_limit, population.summaries, as_of
    )
    overridden = set(snapshots.overridden)
    return np.array(
        [
            row
            for row, customer_id in enumerate(population.customer_ids)
            if true[row]
            and customer_id not in overridden
            and (snapshots.profiles_since[row] or since) <= since
            and all(last <= as_of.at for *_, last in snapshots.moves[row])
        ],
        dtype=np.int64,
    )


async def _answers(
    session: ReadSession,
    deployment: Deployment,
    snapshots: CustomerSnapshots,
    rows: Ints,
    kept: Ints,
    records: Records,
    as_of: AsOf,
) -> dict[str, tuple[dict[str, Any], int]]:
    """Return the answers of those `kept` of `rows`, of whom the records are."""
    policy, timeline = snapshots.timeline.current, snapshots.timeline
    of_snapshot = rows[kept].tolist()
    population = snapshots.population.take(rows[kept])
    stage, rule = evaluate(policy, records, kept, np.full(len(kept), as_of.day))
    stages = [policy.stages[code] for code in stage.tolist()]
    fits = await next_actions.fitting(session, deployment, policy, population, stages, as_of)
    churns_on = _churn_dates(policy, records, kept, as_of.day)
    moved = [_moves(timeline, snapshots.moves[row]) for row in of_snapshot]
    recorded = set(snapshots.recorded_churn)
    left = {
        customer_id: came_back
        for customer_id, code, (_, _, came_back) in zip(
            population.customer_ids, stages, moved, strict=True
        )
        if customer_id in recorded and policy.has_left(code)
    }
    why = await why_churned.since(session, left, as_of) if left else {}
    alike = {
        "override": None,
        "policy_version": policy.version,
        "model_id": policy.model_id or snapshots.model_id,
        "as_of": as_of.at,
        "computed_at": as_of.at,
    }
    found = {}
    for place, customer_id in enumerate(population.customer_ids):
        since, count, came_back = moved[place]
        code = stages[place]
        answer = {
            "customer_id": customer_id,
            "stage": code,
            "sub_stage": fits[place].sub_stage,
            "since": since,
            "rule": policy.rules[rule[place]].code,
            "recorded_stage": code,
            **_purchases(population, place, as_of.day),
            "churn_record": why.get(customer_id),
            "churns_on": None if policy.has_left(code) else churns_on.get(place),
            "win_backs": {"count": count, "last_at": came_back},
            "next_actions": fits[place].actions,
        }
        found[customer_id] = answer | alike, snapshots.stage_versions[of_snapshot[place]]
    return found


def _purchases(population: Population, row: int, today: int) -> dict[str, Any]:
    columns = population.columns
    bought = bool(columns.purchase_days[row] > 0)
    return {
        "purchase_days": int(columns.purchase_days[row]),
        "days_since_last_purchase": today - int(columns.last_day[row]) if bought else None,
        "last_purchase_on": from_day(columns.last_day[row]) if bought else None,
        "lives": int(columns.lives[row]),
        "life_started_on": from_day(columns.life_start_day[row]) if bought else None,
    }


def _moves(
    timeline: PolicyTimeline, moves: Sequence[tuple[str, str, str, int, datetime]]
) -> tuple[datetime | None, int, datetime | None]:
    """Return when the last transition was, how often the customer came back, and when last."""
    left, here = timeline.stages_of("churned"), timeline.stages_of("customer")
    since, count, came_back = None, 0, None
    for before, after, cause, times, last in moves:
        since = last if since is None else max(since, last)
        if before in left and after in here and cause != "policy":
            count += times
            came_back = last if came_back is None else max(came_back, last)
    return since, count, came_back


def _churn_dates(policy: Policy, records: Records, rows: Ints, today: int) -> dict[int, date]:
    """Return by place in `rows` the first day on which time alone has made a customer leave."""
    ahead = replace(records, span=Span(records.span.first, np.full(len(records.owner), NO_END)))
    first = np.full(len(rows), today)
    place, day = threshold_crossings(policy, ahead, rows, first, first + LOOKED_AHEAD)
    if not len(place):
        return {}
    stage, _ = evaluate(policy, ahead, rows[place], day)
    gone = policy.is_churned(stage)
    found: dict[int, date] = {}
    for at, on in sorted(zip(place[gone].tolist(), day[gone].tolist(), strict=True), reverse=True):
        found[at] = from_day(on)
    return found
