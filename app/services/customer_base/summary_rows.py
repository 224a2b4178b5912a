"""The kept summaries of customers as columns: read, and written, for many at once."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.days import from_day, from_micros
from app.lifecycle.dated import Bools, Floats, Ints
from app.lifecycle.facts import Summary
from app.lifecycle.policy import Policy
from app.lifecycle.records import Columns
from app.lifecycle.summary_columns import LARGEST, NEVER, NO_MORE, SummaryColumns
from app.lifecycle.version import DERIVATION_VERSION
from app.money import UNITS, to_amount
from app.postgres import binary_copy
from app.postgres.binary_copy import Column
from app.postgres.db import ReadSession, WriteSession, copy_rows, fetch_rows
from app.services.common import sql_numbers
from app.services.common.id_texts import NAMED, named

_COUNTS = ("facts", "refunds", "purchase_days", "life_purchase_days", "lives", "paid_days")
_DAYS = ("first_purchase_on", "last_purchase_on", "life_started_on")
_GAPS = ("gap_1", "gap_2", "gap_3")
_MONEY = (
    "revenue", "first_day_value", "refund_excess", "last_day_value", "value_2", "value_3",
)  # fmt: skip
_BOUND = 9 * 10**18 // UNITS
"""More money than is ever gone on from: `StoredSummaries.exact` says of whom."""


def _units(name: str) -> str:
    return sql_numbers.units(f"greatest(least(coalesce({name}, 0), {_BOUND}), -{_BOUND})")


_STORED = (
    f"SELECT customer_id, {', '.join(_COUNTS)},"  # noqa: S608  # names of columns
    f" coalesce({sql_numbers.micros('facts_until')}, {NEVER}),"
    f" coalesce({sql_numbers.micros('next_fact_at')}, {NO_MORE}),"
    f" {', '.join(f'coalesce({sql_numbers.day(name)}, 0)' for name in _DAYS)},"
    f" {', '.join(f'coalesce({name}, 0)' for name in _GAPS)},"
    f" {', '.join(map(_units, _MONEY))},"
    # What other rules derived is not gone on from, as if no policy had counted the lives.
    f" CASE WHEN derivation_version = {DERIVATION_VERSION} THEN policy_version ELSE 0 END,"
    " sum_log_gaps"
    f" FROM purchase_summaries WHERE customer_id = ANY({NAMED})"
)


@dataclass(frozen=True)
class StoredSummaries:
    """What is kept of customers, in their order; of those who are not `known`, nothing is."""

    known: Bools
    summaries: SummaryColumns

    @classmethod
    def of(cls, summary: Summary) -> "StoredSummaries":
        """Return what is kept of one customer."""
        return cls(np.array([summary.facts > 0]), SummaryColumns.of([summary]))

    @property
    def exact(self) -> Bools:
        """Say whose money is told to the unit, because it is not too much for a column."""
        kept = self.summaries
        sums = np.abs([kept.revenue, kept.first_day_value, kept.refund_excess, *kept.values])
        found: Bools = sums.max(axis=0) < LARGEST
        return found


async def read(
    session: ReadSession, customer_ids: Sequence[str], *, created: Collection[str] = ()
) -> StoredSummaries:
    """Return the kept summaries of customers; of those just `created` there is none."""
    n, new = len(customer_ids), set(created)
    known = np.zeros(n, np.bool_)
    asked = [customer_id for customer_id in customer_ids if customer_id not in new]
    rows = await fetch_rows(session, _STORED, named(asked)) if asked else []
    if not rows:
        return StoredSummaries(known, SummaryColumns.empty(n))
    number = {customer_id: place for place, customer_id in enumerate(customer_ids)}
    ids, *numbers, logs = zip(*rows, strict=True)
    place = np.array([number[customer_id] for customer_id in ids], dtype=np.int64)
    known[place] = True
    table = np.zeros((len(numbers), n), np.int64)
    table[:, place] = np.array(numbers, dtype=np.int64)
    table[len(_COUNTS), ~known], table[len(_COUNTS) + 1, ~known] = NEVER, NO_MORE
    sum_log_gaps = np.zeros(n)
    sum_log_gaps[place] = logs
    return StoredSummaries(known, _columns(table, sum_log_gaps))


def _columns(table: Ints, sum_log_gaps: Floats) -> SummaryColumns:
    facts, refunds, days, life_days, lives, paid = table[:6]
    until, upcoming, first, last, life_start = table[6:11]
    revenue, first_value, excess = table[14:17]
    return SummaryColumns(
        facts=facts,
        refunds=refunds,
        facts_until=until,
        next_fact_at=upcoming,
        states=Columns(days, first, last, life_start, life_days, lives),
        revenue=revenue,
        first_day_value=first_value,
        paid_days=paid,
        refund_excess=excess,
        sum_log_gaps=sum_log_gaps,
        gaps=table[11:14],
        values=table[17:20],
        policy_version=table[20],
    )


async def save(
    session: WriteSession,
    policy: Policy,
    customer_ids: Sequence[str],
    summaries: SummaryColumns,
    known: Bools,
) -> None:
    """Keep the summaries of customers that the session has taken; those not known are new.

    Rows are taken away and copied in: that costs less than half of an update of all columns.
    """
    old = [customer_ids[row] for row in np.flatnonzero(known).tolist()]
    if old:
        await fetch_rows(session, _WITHOUT, named(old))
    if len(summaries):
        await _insert(session, policy, list(customer_ids), summaries)


_WITHOUT = f"DELETE FROM purchase_summaries WHERE customer_id = ANY({NAMED})"  # noqa: S608


def _written(policy: Policy, kept: SummaryColumns) -> dict[str, Column]:
    """Return the columns of the table."""
    states, n = kept.states, len(kept)
    none = states.purchase_days == 0
    counts = (kept.facts, kept.refunds, states.purchase_days, states.life_purchase_days,
              states.lives, kept.paid_days)  # fmt: skip
    days = (states.first_day, states.last_day, states.life_start_day)
    money = (kept.revenue, kept.first_day_value, kept.refund_excess, *kept.values)
    missing = (None, None, None, None, states.purchase_days < 2, states.purchase_days < 3)
    until, upcoming = kept.facts_until, kept.next_fact_at
    return {
        **{name: Column("int4", each) for name, each in zip(_COUNTS, counts, strict=True)},
        "facts_until": Column("timestamptz", until, null=until == NEVER),
        "next_fact_at": Column("timestamptz", upcoming, null=upcoming == NO_MORE),
        **{name: Column("date", each, null=none) for name, each in zip(_DAYS, days, strict=True)},
        **{
            name: Column("int4", each, null=states.purchase_days < place + 2)
            for place, (name, each) in enumerate(zip(_GAPS, kept.gaps, strict=True))
        },
        **{
            name: Column("numeric", each, null=null)
            for name, each, null in zip(_MONEY, money, missing, strict=True)
        },
        "sum_log_gaps": Column("float8", kept.sum_log_gaps),
        "policy_version": Column("int4", np.full(n, policy.version)),
        "derivation_version": Column("int4", np.full(n, DERIVATION_VERSION)),
    }


async def _insert(
    session: WriteSession, policy: Policy, ids: list[str], kept: SummaryColumns
) -> None:
    columns = _written(policy, kept)
    if all(np.asarray(column.values).dtype != object for column in columns.values()):
        await binary_copy.write(
            session, "purchase_summaries", {"customer_id": Column("text", ids), **columns}
        )
        return
    values = [_listed(column) for column in columns.values()]
    rows = list(zip(ids, *values, strict=True))
    await copy_rows(session, "purchase_summaries", ["customer_id", *columns], rows)


def _listed(column: Column) -> list[object]:
    """Return the values of a column as the driver takes them."""
    values: list[Any] = np.asarray(column.values).tolist()
    null = [False] * len(values) if column.null is None else np.asarray(column.null).tolist()
    make: Callable[[Any], object] | None = _MAKE.get(column.kind)
    return [
        None if is_null else value if make is None else make(value)
        for value, is_null in zip(values, null, strict=True)
    ]


_MAKE: dict[str, Callable[[Any], object]] = {
    "timestamptz": from_micros,
    "date": from_day,
    "numeric": to_amount,
}
