"""Who is gone on with where refunds are on file: what is bought later than all of them."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from app.days import to_micros
from app.deployment import Deployment
from app.lifecycle.fact_columns import FactColumns
from app.postgres.db import WriteSession
from app.services.customer_base import summary_rows
from app.services.stages import resuming
from app.services.stages.resuming import NewFacts
from tests import histories
from tests.database import NOW
from tests.depth import drawn
from tests.kept import as_item, ingest, kept_ledger, kept_summary
from tests.lifecycle.assembled import as_lifecycle
from tests.twin import Fact, Twin


def fact(name: str, days_ago: int, amount: str, kind: str = "purchase", of: str = "") -> Fact:
    named = ("default", of) if of else None
    at = NOW - timedelta(days=days_ago)
    return Fact(("default", name), at, Decimal(amount), kind, named)


ON_FILE = [
    fact("a", 90, "10"), fact("b", 80, "7"), fact("r", 70, "7", "refund"),
    fact("s", 60, "3", "refund", "awaited"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("new", "goes_on"),
    [
        ([fact("c", 50, "5")], True),
        ([fact("c", 50, "5"), fact("d", 50, "5"), fact("e", 10, "5")], True),
        ([fact("awaited", 50, "5")], False),
        ([fact("c", 40, "5"), fact("awaited", 30, "5")], False),
        ([fact("c", 60, "5")], False),
        ([fact("c", 75, "5")], False),
        ([fact("c", 50, "0")], False),
        ([fact("t", 50, "5", "refund")], False),
    ],
    ids=["later", "several", "awaited", "awaited among others", "at the instant of a refund",
         "earlier", "of nothing", "a refund"],
)  # fmt: skip
async def test_a_later_purchase_goes_on_unless_a_refund_waits_for_it(
    session: WriteSession, deployment: Deployment, new: Sequence[Fact], *, goes_on: bool
) -> None:
    await ingest(session, deployment, [as_item("c", each) for each in ON_FILE], NOW)
    zone = deployment.calendar.zone
    written = NewFacts(FactColumns.of({"c": [as_lifecycle(each, zone) for each in new]}))
    kept = await summary_rows.read(session, ["c"])
    found, _ = resuming.can_extend(kept, written, to_micros(NOW))
    found &= ~await resuming.awaited(session, kept, written)
    assert found.tolist() == [goes_on]
    await ingest(session, deployment, [as_item("c", each) for each in new], NOW)
    twin = Twin([*ON_FILE, *new], zone)
    assert await kept_summary(session, "c") == twin.summary(NOW)
    assert await kept_ledger(session, "c") == twin.ledger(NOW)


@pytest.mark.parametrize("seed", range(drawn(6, 100)))
async def test_facts_in_order_of_time_with_refunds_among_them_agree_with_the_twin(
    session: WriteSession, deployment: Deployment, seed: int
) -> None:
    rng = random.Random(seed)
    zone = deployment.calendar.zone
    facts = {
        f"c{number}": [each for each in histories.facts(rng, zone, NOW.date()) if each.at <= NOW]
        for number in range(4)
    }
    stream = sorted(
        ((each.at, customer_id, each) for customer_id, own in facts.items() for each in own),
        key=lambda row: row[:2],
    )
    while stream:
        size = rng.choice((1, 2, 7))
        batch, stream = stream[:size], stream[size:]
        await ingest(session, deployment, [as_item(each, one) for _, each, one in batch], NOW)
    for customer_id, own in facts.items():
        if own:
            twin = Twin(own, zone)
            assert await kept_summary(session, customer_id) == twin.summary(NOW)
            assert await kept_ledger(session, customer_id) == twin.ledger(NOW)


async def test_more_money_than_a_column_holds_is_summed_exactly(
    session: WriteSession, deployment: Deployment
) -> None:
    most = "99999999999999.9999"
    start = datetime(2024, 1, 1, 12, tzinfo=UTC)
    facts = [
        Fact(("default", str(day)), start + timedelta(days=day), Decimal(most)) for day in range(14)
    ]
    for each in facts:
        await ingest(session, deployment, [as_item("rich", each)], NOW)
    twin = Twin(facts, deployment.calendar.zone)
    assert await kept_summary(session, "rich") == twin.summary(NOW)
    assert await kept_ledger(session, "rich") == twin.ledger(NOW)
