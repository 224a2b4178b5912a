"""The purchase days of long histories, kept with each write: added to, made anew, or dropped."""

from collections.abc import Sequence

import numpy as np

from app.lifecycle.summary_columns import NEVER, SummaryColumns
from app.postgres.db import WriteSession
from app.services.customer_base import purchase_days, summary_rows
from app.services.customer_base.summary_rows import StoredSummaries
from app.services.stages.told_by_days import DaysWritten


async def keep(
    session: WriteSession,
    customer_ids: Sequence[str],
    before: StoredSummaries,
    after: SummaryColumns,
    written: DaysWritten,
) -> None:
    """Keep the days of those whose history is long: added to where facts came in order.

    They are made anew of those who are outdated or were last written by another release, which may
    not have kept them, and where a fact has begun to count.
    """
    was_long = before.summaries.facts >= purchase_days.LONG_HISTORY
    is_long = (after.facts >= purchase_days.LONG_HISTORY) & (after.facts_until != NEVER)
    counts_more = after.facts_until != before.summaries.facts_until
    of_another_release = before.known & (before.summaries.policy_version == 0)
    outdated = counts_more | of_another_release | written.outdated
    outdated[list(written.known)] = False
    added = {}
    for number, facts in written.in_order.items():
        added[customer_ids[number]] = facts
        outdated[number] = False
    short = ~is_long & (was_long | of_another_release | written.all_of_them)
    await purchase_days.add(session, added)
    await purchase_days.make(
        session,
        {
            customer_ids[number]: int(after.facts_until[number])
            for number in np.flatnonzero(is_long & outdated).tolist()
        },
    )
    await purchase_days.drop(
        session, [customer_ids[number] for number in np.flatnonzero(short).tolist()]
    )


async def make(session: WriteSession, customer_ids: Sequence[str]) -> None:
    """Make the days of customers, who are locked, anew where their summaries tell of many facts."""
    kept = (await summary_rows.read(session, customer_ids)).summaries
    long = (kept.facts >= purchase_days.LONG_HISTORY) & (kept.facts_until != NEVER)
    until = {customer_ids[row]: int(kept.facts_until[row]) for row in np.flatnonzero(long).tolist()}
    await purchase_days.drop(session, set(customer_ids) - set(until))
    await purchase_days.make(session, until)
