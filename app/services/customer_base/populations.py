"""Many customers as columns: what their facts amount to at one instant."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from sqlalchemy import select

from app.days import AsOf
from app.lifecycle.dated import Bools, Floats, Ints
from app.lifecycle.facts import Summary
from app.lifecycle.inactivity import InactivityLimit
from app.lifecycle.records import Columns, Money
from app.models import Customer
from app.money import UNITS
from app.postgres import binary_copy
from app.postgres.binary_copy import Block, Field
from app.postgres.db import ReadSession, fetch_rows
from app.scoring.spend import evidence
from app.services.customer_base import purchase_folds, summary_columns
from app.services.customer_base.summary_columns import FIELDS, STATE_FIELDS, Summaries
from app.services.policies import policies
from app.services.policies.policies import PolicyTimeline

FOLDED_AT_ONCE = 2_000
_READ = tuple(field for field in FIELDS if field.name != "refund_excess")
_RANGE = "{0}.customer_id > $1 AND ($2::text IS NULL OR {0}.customer_id <= $2)"
# As one text of a range: no id holds a line break.
_CONTACTED = (
    "SELECT string_agg(customer_id, E'\\n') FROM"  # noqa: S608  # no value of a caller
    f" (SELECT DISTINCT customer_id FROM interaction_days d WHERE {_RANGE.format('d')}) AS found"
)
_NONE: Ints = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Population:
    """Customers, and their purchases as columns. Money is in whole units of the currency."""

    customer_ids: list[str]
    recorded: Ints
    """The recorded stage of each, as a place in `stages`."""
    stages: tuple[str, ...]
    summaries: Summaries
    versions: Ints | None = None
    """The version of each, where they were read: another one with each write."""
    contacted: Bools | None = None
    """Who has any interaction, where that was read: those of others need not be looked for."""

    @classmethod
    def of(
        cls,
        customer_ids: Sequence[str],
        recorded_stages: Sequence[str],
        summaries: Sequence[Summary],
    ) -> "Population":
        stages = tuple(dict.fromkeys(recorded_stages))
        recorded = np.array([stages.index(stage) for stage in recorded_stages], dtype=np.int64)
        return cls(list(customer_ids), recorded, stages, Summaries.of(summaries))

    def __len__(self) -> int:
        return len(self.customer_ids)

    def take(self, rows: Ints) -> "Population":
        ids = self._ids(rows)
        versions = None if self.versions is None else self.versions[rows]
        contacted = None if self.contacted is None else self.contacted[rows]
        kept = self.summaries.take(rows)
        return Population(ids, self.recorded[rows], self.stages, kept, versions, contacted)

    def buyers(self) -> "Population":
        """Return those with a purchase day."""
        bought = self.columns.purchase_days > 0
        return self if bought.all() else self.take(np.flatnonzero(bought))

    @cached_property
    def may_have_interactions(self) -> list[str]:
        ids = self.customer_ids
        return ids if self.contacted is None else self._ids(np.flatnonzero(self.contacted))

    def _ids(self, rows: Ints) -> list[str]:
        return [self.customer_ids[row] for row in rows.tolist()]

    @cached_property
    def recorded_stages(self) -> list[str]:
        return [self.stages[code] for code in self.recorded.tolist()]

    @cached_property
    def columns(self) -> Columns:
        column = self.summaries.column
        return Columns(
            purchase_days=column("purchase_days"),
            first_day=column("first_day"),
            last_day=column("last_day"),
            life_start_day=column("life_start_day"),
            life_purchase_days=column("life_purchase_days"),
            lives=column("lives"),
        )

    def money(self) -> Money:
        """Return the sums that rules look at, in smallest units."""
        column = self.summaries.column
        return Money(
            revenue=column("revenue"),
            first_day_value=column("first_day_value"),
            paid_days=column("paid_days"),
            gaps=np.stack([column("gap_1"), column("gap_2"), column("gap_3")]),
            values=np.stack([column("last_day_value"), column("value_2"), column("value_3")]),
        )

    @cached_property
    def revenue(self) -> Floats:
        return self._amount("revenue")

    @cached_property
    def first_day_value(self) -> Floats:
        return self._amount("first_day_value")

    def _amount(self, name: str) -> Floats:
        return np.asarray(self.summaries.column(name) / UNITS, dtype=np.float64)

    @property
    def paid_days(self) -> Ints:
        return self.summaries.column("paid_days")

    @property
    def sum_log_gaps(self) -> Floats:
        return self.summaries.column("sum_log_gaps")

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

    def spend_days(self, kind: evidence.Kind) -> tuple[Ints, Floats]:
        """Return the days that count as evidence of spend, and their mean value; 0 without any."""
        return evidence.of_totals(kind, self.revenue, self.first_day_value, self.paid_days)


async def read(
    session: ReadSession,
    inactivity_limit: InactivityLimit,
    as_of: AsOf,
    *,
    after: str = "",
    up_to: str | None = None,
) -> Population:
    """Read the customers with `after` < id <= `up_to` as they stood at `as_of`.

    No `Summary` can be made of what is read: nobody asks many for what refunds exceed purchases by.
    """
    return await _read(session, inactivity_limit, as_of, [after, up_to], _READ)


async def read_states(
    session: ReadSession, inactivity_limit: InactivityLimit, as_of: AsOf, *, after: str, up_to: str
) -> Population:
    """Read as `read` does, but no money."""
    return await _read(session, inactivity_limit, as_of, [after, up_to], STATE_FIELDS)


async def _read(
    session: ReadSession,
    inactivity_limit: InactivityLimit,
    as_of: AsOf,
    ends: list[object],
    fields: Sequence[Field],
) -> Population:
    timeline = await policies.timeline(session)
    stages = tuple(sorted({stage for policy in timeline.policies for stage in policy.stages}))
    own = [Field("recorded", "int4", fill=0), Field("version", "int8")]
    asked = [*own, *fields, Field("customer_id", "text")]
    known = ", ".join(summary_columns.sql(field) for field in fields)
    query = (
        f"SELECT c.customer_id, array_position($3::text[], c.stage) AS recorded,"  # noqa: S608  # names of columns
        # Said of both tables, lest all summaries are read for a few of them.
        f" c.version, {known} FROM customers c LEFT JOIN purchase_summaries s"
        f" ON s.customer_id = c.customer_id AND {_RANGE.format('s')}"
        f" WHERE {_RANGE.format('c')}"
    )
    blocks: list[Block] = []

    async def keep(block: Block) -> None:
        blocks.append(block)

    await binary_copy.read(
        session, query, [*ends, list(stages)], asked, keep, order_by="customer_id"
    )
    ids = [customer_id for block in blocks for customer_id in block.texts["customer_id"]]
    # A stage that no policy knows is 0 and stands before the others.
    recorded, versions = (
        np.concatenate([_NONE, *(block.arrays[name] for block in blocks)])
        for name in ("recorded", "version")
    )
    kept = Summaries.joined(len(ids), [block.arrays for block in blocks], fields)
    contacted = None if ends[1] is None else await _contacted(session, ids, ends)
    population = Population(ids, recorded, ("", *stages), kept, versions, contacted)
    await _correct(session, timeline, inactivity_limit, population, as_of)
    return population


async def _contacted(session: ReadSession, ids: Sequence[str], ends: Sequence[object]) -> Bools:
    """Say who of all customers of a range has any interaction."""
    ((told,),) = await fetch_rows(session, _CONTACTED, *ends)
    if told is None:
        return np.zeros(len(ids), np.bool_)
    found = set(told.split("\n"))
    return np.fromiter((each in found for each in ids), np.bool_, len(ids))


async def at(
    session: ReadSession,
    timeline: PolicyTimeline,
    inactivity_limit: InactivityLimit,
    kept: Population,
    as_of: AsOf,
) -> Population:
    """Return customers as they stood at `as_of`, of whom the kept summaries are known."""
    if true_at(timeline, inactivity_limit, kept.summaries, as_of).all():
        return kept
    found = kept.take(np.arange(len(kept)))
    await _correct(session, timeline, inactivity_limit, found, as_of)
    return found


async def _correct(
    session: ReadSession,
    timeline: PolicyTimeline,
    inactivity_limit: InactivityLimit,
    population: Population,
    as_of: AsOf,
) -> None:
    """Fold the facts of those whose kept summary says another instant, or another silence."""
    stale = np.flatnonzero(
        ~true_at(timeline, inactivity_limit, population.summaries, as_of)
    ).tolist()
    for start in range(0, len(stale), FOLDED_AT_ONCE):
        rows = stale[start : start + FOLDED_AT_ONCE]
        ids, until = (
            [population.customer_ids[row] for row in rows],
            np.full(len(rows), as_of.micros),
        )
        folded = await purchase_folds.fold(session, inactivity_limit, ids, until)
        population.summaries.put(rows, folded.summaries())


def true_at(
    timeline: PolicyTimeline, inactivity_limit: InactivityLimit, kept: Summaries, as_of: AsOf
) -> Bools:
    """Say of which summaries `purchase_summaries.at` would take the kept one."""
    then = (kept.column("facts_until") <= as_of.micros) & (
        as_of.micros < kept.column("next_fact_at")
    )
    versions = [
        policy.version
        for policy in timeline.policies
        if policy.inactivity_limit == inactivity_limit
    ]
    alike = np.isin(kept.column("policy_version"), versions)
    return np.asarray(then & (alike | (kept.column("facts") == 0)), dtype=np.bool_)


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
