"""What is kept of customers beside their facts, and what follows from the facts, as documents.

Both are told in the same words, so that they are equal where what is kept is true. Nothing in them
depends on when or in which order the facts arrived.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import text

from app.days import from_day, from_micros, to_micros
from app.deployment import Deployment
from app.lifecycle.facts import EMPTY, Summary
from app.lifecycle.history import Transition
from app.lifecycle.inactivity import InactivityLimit
from app.lifecycle.version import DERIVATION_VERSION
from app.money import to_amount
from app.postgres.db import AnyRow, ReadSession, WriteSession
from app.schemas.common.types import format_amount, format_instant
from app.services.common import deployment_settings
from app.services.customer_base import (
    interaction_counts,
    purchase_days,
    purchase_summaries,
    refund_allocations,
)
from app.services.customers import customers, derived_profiles
from app.services.policies import policies
from app.services.policies.policies import PolicyTimeline
from app.services.stages import overrides, tracing, transitions
from app.services.stages.resume_points import ResumePoints
from app.services.stages.transitions import LiveRow

Document = dict[str, Any]
"""What is derived of one customer, as JSON: the same text for the same state."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A customer: what is kept as a digest, and where it differs from what the facts say."""

    digest: int
    outdated: bool
    differences: list[tuple[str, Any, Any]]


async def compare(
    session: ReadSession, deployment: Deployment, customer_ids: Sequence[str]
) -> dict[str, Compared]:
    """Hold what is kept of known customers against what follows from their facts."""
    if not customer_ids:
        return {}
    timeline = await policies.timeline(session)
    stored = await kept(session, deployment, timeline, customer_ids)
    until = {customer_id: one.until for customer_id, one in stored.items()}
    follows = await derived(session, deployment, timeline, until)
    for customer_id, one in stored.items():
        if (
            one.outdated
        ):  # Another release kept no days, or did not keep them up: nobody reads them.
            follows[customer_id]["purchase_days"] = None
    return {
        customer_id: Compared(
            digest(one.document),
            one.outdated,
            differences(one.document, follows[customer_id]),
        )
        for customer_id, one in stored.items()
    }


async def compare_locked(
    session: WriteSession,
    deployment: Deployment,
    customer_ids: Sequence[str],
    locked: Sequence[str],
    now: datetime,
) -> dict[str, Compared]:
    """Compare customers once more while nobody writes to them, nor to others that are locked."""
    await customers.lock_or_create(session, locked, now)
    return await compare(session, deployment, customer_ids)


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of a customer, up to when that has been brought, and by which rules."""

    document: Document
    until: int
    outdated: bool


async def kept(
    session: ReadSession,
    deployment: Deployment,
    timeline: PolicyTimeline,
    customer_ids: Sequence[str],
) -> dict[str, Kept]:
    """Return what is kept of known customers."""
    ids = list(customer_ids)
    recorded = {row.customer_id: row for row in await session.execute(_RECORDED, {"ids": ids})}
    summaries = await purchase_summaries.stored(session, ids)
    derived_by = {row.customer_id: row for row in await session.execute(_DERIVED_BY, {"ids": ids})}
    live = await transitions.live(session, ids)
    allocated = await refund_allocations.stored(session, ids)
    by_day = await purchase_days.stored(session, ids)
    counted = await interaction_counts.stored(session, ids)
    overridden = await overrides.of(session, deployment, ids)
    of_profiles = await derived_profiles.kept(session, ids)
    floor = to_micros(await deployment_settings.recorded_until(session))
    found = {}
    for customer_id in sorted(recorded):
        summary = summaries.get(customer_id, EMPTY)
        rows = live.get(customer_id, [])
        rules = derived_by.get(customer_id)
        limit = None if rules is None else timeline.inactivity_limit_of(rules.policy_version)
        outdated = rules is not None and rules.derivation_version != DERIVATION_VERSION
        document = {
            "stage": _stage(recorded[customer_id]),
            "summary": _summary(summary, limit),
            "transitions": {_at(row.effective_at): _live(row) for row in rows},
            **allocated[customer_id],
            "purchase_days": None if outdated else by_day.get(customer_id),
            "interaction_days": counted[customer_id],
            **of_profiles[customer_id],
        }
        instants = [row.effective_at for row in rows]
        instants += [override.at for override in overridden.get(customer_id, ())]
        until = max(floor, timeline.starts[-1], summary.facts_until or floor, *instants)
        found[customer_id] = Kept(document, until, outdated)
    return found


async def derived(
    session: ReadSession,
    deployment: Deployment,
    timeline: PolicyTimeline,
    until: Mapping[str, int],
) -> dict[str, Document]:
    """Return what follows from the facts of customers, up to an instant each."""
    ids = list(until)
    overridden = await overrides.of(session, deployment, ids)
    ends = np.array(list(until.values()), dtype=np.int64)
    none = ResumePoints.none()
    found = await tracing.derive(session, deployment, timeline, ids, none, ends, overridden)
    told: dict[str, dict[str, Any]] = {customer_id: {} for customer_id in ids}
    for transition in found.history.transitions():
        told[ids[transition.owner]][_at(transition.at)] = _found(transition)
    stages = found.history.last(len(ids))
    summaries = found.summaries.summaries()
    allocated = refund_allocations.documents(found.set_off)
    long = {
        customer_id: summary.facts_until
        for customer_id, summary in zip(ids, summaries, strict=True)
        if purchase_days.is_long(summary.facts) and summary.facts_until is not None
    }
    by_day = await purchase_days.derived(session, long)
    counted = await interaction_counts.count(session, ids)
    of_profiles = await derived_profiles.derived(session, deployment, ids)
    limit = timeline.current.inactivity_limit
    return {
        customer_id: {
            "stage": {"stage": stage, "since": None if since is None else _at(since)},
            "summary": _summary(summary, limit),
            "transitions": told[customer_id],
            **allocated[customer_id],
            "purchase_days": by_day.get(customer_id),
            "interaction_days": counted[customer_id],
            **of_profiles[customer_id],
        }
        for customer_id, (stage, since), summary in zip(ids, stages, summaries, strict=True)
    }


def digest(document: Document) -> int:
    """Return a number of 128 bits that another state does not have."""
    written = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return int.from_bytes(hashlib.blake2b(written.encode(), digest_size=16).digest())


def differences(before: Document, after: Document, path: str = "") -> list[tuple[str, Any, Any]]:
    """Return each value that differs, by its JSON pointer; None is what is not there."""
    found: list[tuple[str, Any, Any]] = []
    for name in sorted(before.keys() | after.keys()):
        one, other = before.get(name), after.get(name)
        pointer = f"{path}/{name.replace('~', '~0').replace('/', '~1')}"
        if isinstance(one, dict) and isinstance(other, dict):
            found += differences(one, other, pointer)
        elif one != other:
            found.append((pointer, one, other))
    return found


def _at(instant: int) -> str:
    return format_instant(from_micros(instant))


def _stage(row: AnyRow) -> Document:
    since: datetime | None = row.stage_since
    return {"stage": row.stage, "since": None if since is None else format_instant(since)}


def _summary(summary: Summary, limit: InactivityLimit | None) -> Document | None:
    """Return a summary; lives are counted by the silence that is allowed."""
    if not summary.facts:
        return None
    state = summary.state
    days = {name: getattr(state, name) for name in ("first_day", "last_day", "life_start_day")}
    money = ("revenue", "first_day_value", "last_day_value", "refund_excess")
    instants = ("facts_until", "next_fact_at")
    return {
        **{name: getattr(summary, name) for name in ("facts", "refunds", "paid_days")},
        **{name: getattr(state, name) for name in ("purchase_days", "life_purchase_days", "lives")},
        **{name: from_day(day).isoformat() for name, day in days.items() if state.purchase_days},
        **{name: format_amount(to_amount(getattr(summary, name))) for name in money},
        **{name: at and _at(at) for name in instants for at in [getattr(summary, name)]},
        "sum_log_gaps": summary.sum_log_gaps,
        "gaps": list(summary.gaps),
        "values": [format_amount(to_amount(value)) for value in summary.values],
        "inactivity_limit": None if limit is None else limit.as_dict(),
    }


def _live(row: LiveRow) -> Document:
    return {
        **{name: getattr(row, name) for name in _OF_TRANSITIONS},
        "evidence": json.loads(row.evidence),
    }


def _found(transition: Transition) -> Document:
    return {
        **{name: getattr(transition, name) for name in _OF_TRANSITIONS},
        "evidence": json.loads(transition.evidence),
    }


_OF_TRANSITIONS = (
    "from_stage", "to_stage", "cause", "rule", "policy_version", "reason", "actor",
)  # fmt: skip
_RECORDED = text(
    "SELECT customer_id, stage, stage_since FROM customers"
    " WHERE customer_id = ANY(CAST(:ids AS text[]))"
)
_DERIVED_BY = text(
    "SELECT customer_id, policy_version, derivation_version FROM purchase_summaries"
    " WHERE customer_id = ANY(CAST(:ids AS text[]))"
)
