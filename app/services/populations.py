"""Many customers as columns: what their facts amount to at one instant."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import select

from app.days import AsOf
from app.db import AnyRow, ReadSession
from app.deployment import to_amount
from app.lifecycle.facts import EMPTY, Summary
from app.lifecycle.policy import SilenceLimit
from app.lifecycle.records import Columns, Floats, Ints
from app.models import Customer, PurchaseSummary
from app.services import policies, purchase_summaries

CHUNK = 20_000


@dataclass(frozen=True)
class Population:
    """Customers, and their purchases as columns. Money is in whole units of the currency."""

    customer_ids: list[str]
    recorded_stages: list[str]
    summaries: list[Summary]
    columns: Columns
    revenue: Floats
    paid_days: Ints
    purchase_value: Floats
    first_day_value: Floats

    @classmethod
    def of(
        cls, customer_ids: list[str], recorded_stages: list[str], summaries: list[Summary]
    ) -> "Population":
        def money(name: str) -> Floats:
            units = [getattr(summary, name) for summary in summaries]
            return np.array(units, dtype=np.float64) / 10_000

        return cls(
            customer_ids,
            recorded_stages,
            summaries,
            Columns.of([summary.state for summary in summaries]),
            money("revenue"),
            np.array([summary.paid_days for summary in summaries], dtype=np.int64),
            money("purchase_value"),
            money("first_day_value"),
        )

    def __len__(self) -> int:
        return len(self.customer_ids)

    def buyers(self) -> "Population":
        """Return those with a purchase day."""
        rows = np.flatnonzero(self.columns.purchase_days > 0)
        return Population(
            [self.customer_ids[row] for row in rows],
            [self.recorded_stages[row] for row in rows],
            [self.summaries[row] for row in rows],
            self.columns.take(rows),
            self.revenue[rows],
            self.paid_days[rows],
            self.purchase_value[rows],
            self.first_day_value[rows],
        )

    @property
    def x(self) -> Ints:
        """Repeat purchase days."""
        return np.maximum(self.columns.purchase_days - 1, 0)

    @property
    def t_x(self) -> Ints:
        """Days from the first purchase day to the last."""
        return self.columns.last_day - self.columns.first_day

    def T(self, as_of: AsOf) -> Ints:  # noqa: N802  # the literature's name
        """Return days from the first purchase day to `as_of`; 0 for those without one."""
        return np.where(self.columns.purchase_days > 0, as_of.day - self.columns.first_day, 0)

    @property
    def paid_repeat_days(self) -> Ints:
        """Repeat purchase days with a positive net value."""
        return self.paid_days - (self.first_day_value > 0)

    @property
    def mean_repeat_value(self) -> Floats:
        """Mean net value of the paid repeat days; 0 where there are none."""
        paid = self.paid_repeat_days
        value = self.purchase_value - self.first_day_value
        return np.where(paid > 0, np.maximum(value, 0) / np.maximum(paid, 1), 0.0)

    def revenue_of(self, row: int) -> Any:
        """Return the exact revenue of one customer."""
        return to_amount(self.summaries[row].revenue)


async def read(
    session: ReadSession,
    silence: SilenceLimit,
    as_of: AsOf,
    *,
    after: str = "",
    up_to: str | None = None,
) -> Population:
    """Read the customers with `after` < id <= `up_to` as they stood at `as_of`."""
    ids: list[str] = []
    stages: list[str] = []
    summaries: list[Summary] = []
    last = after
    regime = await policies.regime(session)
    while True:
        rows = await _chunk(session, last, up_to)
        found = {row.customer_id: _summary(row) for row in rows}
        true_then = await purchase_summaries.at(session, regime, silence, found, as_of.at)
        ids += true_then
        summaries += true_then.values()
        stages += [row.stage for row in rows]
        if len(rows) < CHUNK:
            return Population.of(ids, stages, summaries)
        last = rows[-1].customer_id


async def _chunk(session: ReadSession, after: str, up_to: str | None) -> Sequence[AnyRow]:
    statement = (
        select(Customer.customer_id, Customer.stage, *purchase_summaries.COLUMNS)
        .outerjoin(PurchaseSummary, PurchaseSummary.customer_id == Customer.customer_id)
        .where(Customer.customer_id > after)
        .order_by(Customer.customer_id)
        .limit(CHUNK)
    )
    if up_to is not None:
        statement = statement.where(Customer.customer_id <= up_to)
    return (await session.execute(statement)).all()


def _summary(row: AnyRow) -> Summary:
    return EMPTY if row.facts is None else purchase_summaries.from_row(row)


async def boundaries(session: ReadSession, size: int) -> list[tuple[str, str]]:
    """Split all customers into ranges (after, up to] of at most `size`."""
    ends: list[str] = []
    last = ""
    while True:
        statement = (
            select(Customer.customer_id)
            .where(Customer.customer_id > last)
            .order_by(Customer.customer_id)
            .offset(size - 1)
            .limit(1)
        )
        end = await session.scalar(statement)
        if end is None:
            break
        ends.append(end)
        last = end
    tail = select(Customer.customer_id).order_by(Customer.customer_id.desc()).limit(1)
    final = await session.scalar(tail)
    if final is not None and final != last:
        ends.append(final)
    return list(zip(["", *ends], ends, strict=False))
