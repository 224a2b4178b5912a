"""What the days of long histories are worth, and of some of them each purchase: read for rules."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np

from app.days import Calendar, from_micros
from app.lifecycle.money_by_day import MoneyByDay, Step
from app.lifecycle.summary_columns import NEVER
from app.money import to_units
from app.postgres.db import ReadSession, fetch_rows
from app.services.common import sql_numbers

_FIRST_DAY = -719_000  # in the year 1

_VALUES = (
    f"SELECT customer_id, {sql_numbers.day('purchased_on')}, value FROM purchase_days"  # noqa: S608  # names of columns
    " WHERE customer_id = ANY($1::text[])"
)
_ASKED = "unnest($1::text[], $2::timestamptz[]) AS asked (customer_id, since)"
# By whole keys: see `refund_facts`.
_REDUCTIONS = (
    f"SELECT a.customer_id, {sql_numbers.micros('a.effective_at')},"  # noqa: S608  # names of columns
    f" {sql_numbers.day('a.effective_on')}, {sql_numbers.day('t.occurred_on')}, -a.value"
    f" FROM {_ASKED} JOIN refund_allocations a ON a.customer_id = asked.customer_id"
    " AND a.effective_at >= asked.since CROSS JOIN LATERAL (SELECT * FROM transactions t"
    " WHERE t.customer_id = a.customer_id AND t.source = a.purchase_source"
    " AND t.transaction_id = a.purchase_id OFFSET 0) t WHERE a.customer_id = ANY($1::text[])"
)
_REFUNDS = (
    f"SELECT t.customer_id, {sql_numbers.micros('t.occurred_at')},"  # noqa: S608  # names of columns
    f" {sql_numbers.day('t.occurred_on')} FROM {_ASKED} CROSS JOIN LATERAL"
    " (SELECT * FROM transactions t WHERE t.customer_id = asked.customer_id"
    " AND t.occurred_at > asked.since AND t.kind = 'refund' OFFSET 0) t"
)
_PURCHASES = (
    f"SELECT t.customer_id, {sql_numbers.micros('t.occurred_at')},"  # noqa: S608  # names of columns
    f" {sql_numbers.day('t.occurred_on')}, sum(t.value)"
    " FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[])"
    " AS asked (customer_id, since, until) CROSS JOIN LATERAL"
    " (SELECT * FROM transactions t WHERE t.customer_id = asked.customer_id"
    " AND t.occurred_at >= asked.since AND t.occurred_at < asked.until"
    " AND t.kind = 'purchase' OFFSET 0) t GROUP BY t.customer_id, t.occurred_at, t.occurred_on"
)


@dataclass(frozen=True, slots=True)
class Asked:
    """From when on a customer's money is asked for, and of which days each purchase is.

    With `each`, that is of all later days. Nothing is refunded of who has no `refunds`.
    """

    since: int
    refunds: bool
    days: frozenset[int]
    each: bool


async def read(
    session: ReadSession, calendar: Calendar, asked: Mapping[str, Asked]
) -> dict[str, MoneyByDay]:
    """Return what is known of the money of customers, but of those whose days do not add up.

    Each purchase is told of the day of the instant asked for, and of days with refunds, too.
    """
    values: dict[str, dict[int, int]] = {each: {} for each in asked}
    for customer_id, day, value in await fetch_rows(session, _VALUES, list(asked)):
        values[customer_id][day] = to_units(value)
    first = {
        each: _FIRST_DAY if one.since == NEVER else calendar.day_of(from_micros(one.since))
        for each, one in asked.items()
    }
    reductions, refunds = await _refunded(session, calendar, asked, first)
    days = {}
    for each, one in asked.items():
        refunded = [day for _, day in refunds[each]] + [step.today for step in reductions[each]]
        days[each] = _one_by_one(one, first[each], values[each], one.days.union(refunded))
    purchases = await _purchases(session, calendar, days)
    found = {
        each: MoneyByDay(
            one.since, first[each], values[each], reductions[each],
            [at for at, _ in refunds[each]], days[each], purchases[each],
        )
        for each, one in asked.items()
    }  # fmt: skip
    return {each: one for each, one in found.items() if one.adds_up()}


def _one_by_one(
    asked: Asked, first: int, values: Mapping[int, int], days: AbstractSet[int]
) -> frozenset[int]:
    """Return the days of purchases that are told one by one, none before the first."""
    return frozenset(
        day for day in values if day == first or (day > first and (asked.each or day in days))
    )


async def _refunded(
    session: ReadSession, calendar: Calendar, asked: Mapping[str, Asked], first: Mapping[str, int]
) -> tuple[dict[str, list[Step]], dict[str, list[tuple[int, int]]]]:
    """Return what refunds took back since a day of each customer, and the refunds themselves."""
    reductions: dict[str, list[Step]] = {each: [] for each in asked}
    refunds: dict[str, list[tuple[int, int]]] = {each: [] for each in asked}
    own = [each for each, one in asked.items() if one.refunds]
    if own:
        since = [calendar.start_of(first[each]) for each in own]
        for customer_id, at, today, day, value in await fetch_rows(
            session, _REDUCTIONS, own, since
        ):
            reductions[customer_id].append(Step(at, today, day, to_units(value)))
        for customer_id, at, day in await fetch_rows(session, _REFUNDS, own, since):
            if at > asked[customer_id].since:
                refunds[customer_id].append((at, day))
    return reductions, refunds


async def _purchases(
    session: ReadSession, calendar: Calendar, days: Mapping[str, frozenset[int]]
) -> dict[str, list[Step]]:
    """Return the purchases of some days of customers, those of an instant as one."""
    found: dict[str, list[Step]] = {each: [] for each in days}
    ranges = []
    for customer_id, own in days.items():
        in_order = np.array(sorted(own), dtype=np.int64)
        for some in np.split(in_order, np.flatnonzero(np.diff(in_order) > 1) + 1):
            if len(some):
                ends = calendar.start_of(int(some[0])), calendar.start_of(int(some[-1]) + 1)
                ranges.append((customer_id, *ends))
    columns = map(list, zip(*ranges, strict=True))
    rows = await fetch_rows(session, _PURCHASES, *columns) if ranges else ()
    for customer_id, at, day, value in rows:
        found[customer_id].append(Step(at, day, day, to_units(value)))
    return found
