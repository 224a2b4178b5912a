"""The summary of each customer's purchases: reading it for an instant, and keeping it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import select, text

from app.days import to_day, to_micros
from app.lifecycle.facts import State, Summary
from app.lifecycle.inactivity import InactivityLimit
from app.lifecycle.version import DERIVATION_VERSION
from app.models import PurchaseSummary
from app.money import to_units
from app.postgres.db import AnyRow, ReadSession, WriteSession
from app.services.customer_base import purchase_folds
from app.services.policies.policies import PolicyTimeline

COLUMNS = [
    PurchaseSummary.facts,
    PurchaseSummary.refunds,
    PurchaseSummary.facts_until,
    PurchaseSummary.next_fact_at,
    PurchaseSummary.purchase_days,
    PurchaseSummary.first_purchase_on,
    PurchaseSummary.last_purchase_on,
    PurchaseSummary.life_started_on,
    PurchaseSummary.life_purchase_days,
    PurchaseSummary.lives,
    PurchaseSummary.revenue,
    PurchaseSummary.first_day_value,
    PurchaseSummary.last_day_value,
    PurchaseSummary.paid_days,
    PurchaseSummary.refund_excess,
    PurchaseSummary.sum_log_gaps,
    PurchaseSummary.gap_1,
    PurchaseSummary.gap_2,
    PurchaseSummary.gap_3,
    PurchaseSummary.value_2,
    PurchaseSummary.value_3,
    PurchaseSummary.policy_version,
    PurchaseSummary.derivation_version,
]


def from_row(row: AnyRow) -> Summary:
    """Read the columns of `COLUMNS`."""
    return Summary(
        facts=row.facts,
        refunds=row.refunds,
        facts_until=None if row.facts_until is None else to_micros(row.facts_until),
        next_fact_at=None if row.next_fact_at is None else to_micros(row.next_fact_at),
        state=State(
            row.purchase_days,
            _day(row.first_purchase_on),
            _day(row.last_purchase_on),
            _day(row.life_started_on),
            row.life_purchase_days,
            row.lives,
        ),
        revenue=to_units(row.revenue),
        first_day_value=to_units(row.first_day_value),
        last_day_value=to_units(row.last_day_value),
        paid_days=row.paid_days,
        refund_excess=to_units(row.refund_excess),
        sum_log_gaps=row.sum_log_gaps,
        gaps=tuple(gap for gap in (row.gap_1, row.gap_2, row.gap_3) if gap is not None),
        values=_values(row),
        # What other rules derived is not gone on from, as if no policy had counted the lives.
        policy_version=row.policy_version if row.derivation_version == DERIVATION_VERSION else 0,
    )


def _values(row: AnyRow) -> tuple[int, ...]:
    if not row.purchase_days:
        return ()
    before = [to_units(value) for value in (row.value_2, row.value_3) if value is not None]
    return (to_units(row.last_day_value), *before)


def _day(on: Any) -> int:
    return 0 if on is None else to_day(on)


def holds_at(summary: Summary, at: int) -> bool:
    """Whether a summary is what the facts up to an instant amount to."""
    return (summary.facts_until is None or summary.facts_until <= at) and (
        summary.next_fact_at is None or at < summary.next_fact_at
    )


async def stored(session: ReadSession, customer_ids: Sequence[str]) -> dict[str, Summary]:
    """Return the kept summaries of customers; one without facts has none."""
    rows = await session.execute(
        select(PurchaseSummary.customer_id, *COLUMNS).where(
            PurchaseSummary.customer_id == text("ANY(CAST(:customer_ids AS text[]))")
        ),
        {"customer_ids": list(customer_ids)},
    )
    return {row.customer_id: from_row(row) for row in rows}


async def overdue(session: ReadSession, after: str, up_to: str, at: datetime) -> set[str]:
    """Return customers with `after` < id <= `up_to` for whom a fact has begun to count since."""
    statement = select(PurchaseSummary.customer_id).where(
        PurchaseSummary.customer_id > after,
        PurchaseSummary.customer_id <= up_to,
        PurchaseSummary.next_fact_at <= at,
    )
    return set(await session.scalars(statement))


async def at(
    session: ReadSession,
    timeline: PolicyTimeline,
    inactivity_limit: InactivityLimit,
    summaries: Mapping[str, Summary],
    until: datetime,
) -> dict[str, Summary]:
    """Return summaries true at `until`, with lives as a silence ends them.

    The kept one where it holds, else from the facts.
    """
    micros = to_micros(until)
    others = [
        customer_id
        for customer_id, summary in summaries.items()
        if not (holds_at(summary, micros) and counts_lives(timeline, inactivity_limit, summary))
    ]
    if not others:
        return dict(summaries)
    ends = np.full(len(others), micros)
    folded = await purchase_folds.fold(session, inactivity_limit, others, ends)
    return {**summaries, **dict(zip(others, folded.summaries(), strict=True))}


def counts_lives(
    timeline: PolicyTimeline, inactivity_limit: InactivityLimit, summary: Summary
) -> bool:
    """Whether the lives of a summary are those that a silence ends."""
    return (
        summary.facts == 0
        or timeline.inactivity_limit_of(summary.policy_version) == inactivity_limit
    )


async def confirm(session: WriteSession, customer_ids: Sequence[str]) -> None:
    """Let summaries of customers who are locked be by the present rules, which say the same."""
    await session.execute(_CONFIRM, {"ids": list(customer_ids), "version": DERIVATION_VERSION})


_CONFIRM = text(
    "UPDATE purchase_summaries SET derivation_version = :version"
    " WHERE customer_id = ANY(CAST(:ids AS text[])) AND derivation_version <> :version"
)
