"""The summary of each customer's purchases: reading it for an instant, and keeping it."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Dialect, select, text
from sqlalchemy.dialects import postgresql

from app.days import from_day, from_micros, to_day, to_micros
from app.db import AnyRow, ReadSession, WriteSession, copy_rows
from app.lifecycle.facts import Point, State, Summary, fold
from app.lifecycle.inactivity import InactivityLimit
from app.lifecycle.money import MonetaryState, replay
from app.lifecycle.policy import Policy
from app.lifecycle.purchases import SetOff, set_off
from app.lifecycle.version import DERIVATION_VERSION
from app.models import PurchaseSummary
from app.money import to_amount, to_units
from app.services.customer_base import purchase_facts
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


@dataclass(frozen=True, slots=True)
class Folded:
    """The facts of a customer folded: the summary, and every state on the way to it.

    `worth` follows their value through time, and `netted` is what refunds take back in the end,
    where somebody asked for it.
    """

    summary: Summary
    points: list[Point]
    worth: list[MonetaryState] = field(default_factory=list)
    netted: SetOff | None = None


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
    folded = await fold_facts(session, inactivity_limit, dict.fromkeys(others, micros))
    return {**summaries, **{customer_id: folded[customer_id].summary for customer_id in others}}


def counts_lives(
    timeline: PolicyTimeline, inactivity_limit: InactivityLimit, summary: Summary
) -> bool:
    """Whether the lives of a summary are those that a silence ends."""
    return (
        summary.facts == 0
        or timeline.inactivity_limit_of(summary.policy_version) == inactivity_limit
    )


async def fold_facts(
    session: ReadSession, limit: InactivityLimit, until: Mapping[str, int]
) -> dict[str, Folded]:
    """Fold all facts of customers, each up to its own instant."""
    return (await fold_by(session, [limit], until, worth=False))[limit]


async def fold_by(
    session: ReadSession,
    limits: Sequence[InactivityLimit],
    until: Mapping[str, int],
    *,
    worth: bool,
    netted: bool = False,
) -> dict[InactivityLimit, dict[str, Folded]]:
    """Fold all facts of customers by each of several limits of silence."""
    folded: dict[InactivityLimit, dict[str, Folded]] = {limit: {} for limit in limits}
    ids = list(until)
    # By some customers at a time rather than a cursor, which needs a transaction: reads have none.
    for start in range(0, len(ids), _AT_A_TIME):
        facts = await purchase_facts.of_customers(session, ids[start : start + _AT_A_TIME])
        for customer_id, own in facts.items():
            more = (
                replay(own, until=until[customer_id]) if worth else [],
                set_off(own) if netted and any(each.refunds for each in own) else None,
            )
            for limit, found in folded.items():
                found[customer_id] = Folded(*fold(own, limit, until=until[customer_id]), *more)
    return folded


_AT_A_TIME = 500


_NAMES = ["customer_id", *(column.key for column in COLUMNS)]
_DIALECT: Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
_TYPES = [
    PurchaseSummary.__table__.c[name].type.compile(dialect=_DIALECT).split(" COLLATE")[0]
    for name in _NAMES
]
_UPDATE = text(
    "UPDATE purchase_summaries s SET "  # noqa: S608  # names of columns
    + ", ".join(f"{name} = new.{name}" for name in _NAMES[1:])
    + " FROM unnest("
    + ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in zip(_NAMES, _TYPES, strict=True))
    + f") AS new ({', '.join(_NAMES)}) WHERE s.customer_id = new.customer_id"
)


async def save(
    session: WriteSession, policy: Policy, summaries: Mapping[str, Summary], known: Container[str]
) -> None:
    """Keep the summaries of customers that the session has taken; those not known are new."""
    rows = [
        (customer_id, *_to_row(summary), policy.version, DERIVATION_VERSION)
        for customer_id, summary in summaries.items()
    ]
    await copy_rows(
        session, "purchase_summaries", _NAMES, [row for row in rows if row[0] not in known]
    )
    columns = list(zip(*(row for row in rows if row[0] in known), strict=True))
    if columns:
        await session.execute(_UPDATE, dict(zip(_NAMES, map(list, columns), strict=True)))


async def confirm(session: WriteSession, customer_ids: Sequence[str]) -> None:
    """Let summaries of customers who are locked be by the present rules, which say the same."""
    await session.execute(_CONFIRM, {"ids": list(customer_ids), "version": DERIVATION_VERSION})


_CONFIRM = text(
    "UPDATE purchase_summaries SET derivation_version = :version"
    " WHERE customer_id = ANY(CAST(:ids AS text[])) AND derivation_version <> :version"
)


def _to_row(summary: Summary) -> tuple[object, ...]:
    state = summary.state
    days = state.first_day, state.last_day, state.life_start_day
    first, last, life_start = map(from_day, days) if state.purchase_days else (None, None, None)
    return (
        summary.facts,
        summary.refunds,
        None if summary.facts_until is None else from_micros(summary.facts_until),
        None if summary.next_fact_at is None else from_micros(summary.next_fact_at),
        state.purchase_days,
        first,
        last,
        life_start,
        state.life_purchase_days,
        state.lives,
        to_amount(summary.revenue),
        to_amount(summary.first_day_value),
        to_amount(summary.last_day_value),
        summary.paid_days,
        to_amount(summary.refund_excess),
        summary.sum_log_gaps,
        *(summary.gaps[place] if place < len(summary.gaps) else None for place in range(3)),
        *(
            to_amount(summary.values[place]) if place < len(summary.values) else None
            for place in (1, 2)
        ),
    )
